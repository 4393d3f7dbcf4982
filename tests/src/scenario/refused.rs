//! Scenarios of many descriptors that the kernel refuses, and of some that it
//! takes although they are not what they should be.

use wharf::{Amount, TxDescriptor, Umem};

use super::descriptors::{LEN, TOO_LONG};
use super::{
    Chunks, Damaged, End, EndConfig, Medium, Side, Steps, Track, exchange, frames_of, put,
};
use crate::{SOON, wait_until};

/// An end that sends damaged descriptors, with memory for two queues one after
/// the other.
pub(super) fn sender(track: &Track) -> EndConfig {
    let mut config = EndConfig::new(track);
    config.queue.limits.chunks = Some(Amount::Frames(128));
    config
}

/// Damages every second descriptor.
struct EverySecond;

impl Steps for EverySecond {
    fn send(&mut self, near: &mut End, number: usize, bytes: &[u8]) {
        let frame = near.make(bytes);
        near.transmit(frame);
        if !self.arrives(number) {
            let mut tx = near.xsk.tx();
            tx.damage(0, |it| TxDescriptor {
                len: TOO_LONG,
                ..it
            });
        }
    }

    fn arrives(&self, number: usize) -> bool {
        number.is_multiple_of(2)
    }
}

/// `STAT_TX_INVALID`: every second descriptor is too long; the kernel counts
/// them, and the others arrive.
///
/// # Panics
///
/// When it does not hold.
pub fn stat_tx_invalid(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let config = sender(&track);
    let mut near = End::bind_with(&track, Side::Near, &config);
    let mut far = End::bind(&track, Side::Far);
    // Half of them do not fill the TX ring: some kernels never give them back.
    let sent = frames_of(&track, 512, LEN as usize);

    exchange(&mut EverySecond, &mut near, &mut far, &sent);

    let damaged = Damaged {
        refused: 256,
        ..Damaged::default()
    };
    damaged.assert_survived(&track, near, &mut far, &config);
}

/// Not the kernel's own: it stops sending at each descriptor that it refuses, and
/// one [`wake`](wharf::XskTx::wake) gets past them all.
///
/// # Panics
///
/// When it does not hold.
pub fn refused_descriptors_in_a_row(medium: Medium) {
    const REFUSED: u32 = 100;
    let Some(track) = Track::new(medium) else {
        return;
    };
    let config = sender(&track);
    let mut near = End::bind_with(&track, Side::Near, &config);
    let mut far = End::bind(&track, Side::Far);
    let sent = frames_of(&track, u64::from(REFUSED) + 1, LEN as usize);
    for (bytes, number) in sent.iter().zip(0..) {
        let frame = near.make(bytes);
        near.transmit(frame);
        if number < REFUSED {
            let mut tx = near.xsk.tx();
            tx.damage(0, |it| TxDescriptor {
                len: TOO_LONG,
                ..it
            });
        }
    }

    near.xsk.wake().expect("the interface is up");

    if medium != Medium::ZeroCopy {
        assert_eq!(near.xsk.tx().pending(), 0, "{near:?}");
    }
    let mut received = Vec::new();
    wait_until("the valid one comes", SOON, || {
        if medium == Medium::ZeroCopy {
            // The driver asks for it, and a batch ends at what it refuses.
            near.xsk.wake().expect("the interface is up");
        }
        received.extend(far.xsk.receive(64).map(|frame| frame.to_vec()));
        !received.is_empty()
    });
    assert_eq!(received, [sent[REFUSED as usize].clone()]);
    let damaged = Damaged {
        refused: REFUSED,
        ..Damaged::default()
    };
    damaged.assert_survived(&track, near, &mut far, &config);
}

/// Not the kernel's own: descriptors that are valid and name another chunk, one
/// that the application holds and one that is sent already. Nobody gets a chunk
/// twice.
///
/// # Panics
///
/// When it does not hold.
pub fn descriptors_of_other_chunks(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let config = sender(&track);
    let umem = Umem::new(&config.umem).expect("there is memory");
    let mut held = Chunks::all(&umem).first().expect("the first of them");
    let mut near = End::bind_to(&track, Side::Near, &config, umem);
    let mut far = End::bind(&track, Side::Far);
    let sent = frames_of(&track, 5, LEN as usize);
    put(&mut held, 0, &sent[0]);

    let mut named = 0;
    for (bytes, number) in sent[1..].iter().zip(1..) {
        let frame = near.make(bytes);
        near.transmit(frame);
        let mut tx = near.xsk.tx();
        tx.damage(0, |it| {
            let addr = match number {
                // The first chunk of the UMEM.
                1 => 0,
                // That of the one before.
                3 => named,
                _ => it.addr,
            };
            named = addr;
            TxDescriptor { addr, ..it }
        });
    }
    let mut received = Vec::new();
    wait_until("all come", SOON, || {
        near.xsk.wake().expect("the interface is up");
        received.extend(far.xsk.receive(64).map(|frame| frame.to_vec()));
        received.len() == 4
    });

    assert_eq!(
        received,
        [0, 2, 2, 4].map(|number: usize| sent[number].clone())
    );
    let damaged = Damaged {
        taken: 2,
        ..Damaged::default()
    };
    damaged.assert_accounted(&mut near);
    assert_eq!(*held, *sent[0], "it is the application's as before");
    drop(held);
    damaged.assert_survived(&track, near, &mut far, &config);
}

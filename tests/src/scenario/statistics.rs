//! Scenarios of frames that the kernel drops and counts.

use wharf::{CopyMode, RingCapacity};

use super::traffic::STREAM;
use super::{End, Medium, Side, Steps, Track, Usual, ends, exchange, frames_of};
use crate::{SOON, wait_until};

/// Every other frame fits a chunk.
struct EveryOther;

impl Steps for EveryOther {
    fn arrives(&self, number: usize) -> bool {
        number.is_multiple_of(2)
    }
}

/// `STAT_RX_DROPPED`: with so much headroom that every other frame does not fit,
/// `rx_dropped` is their number and the others arrive.
///
/// The kernel's own case allows for one less, because its counters are read as
/// soon as the last frame that fits has arrived; this one waits for the last.
/// Wharf would bind the queue for frames in several chunks, or not at all, so the
/// MTU becomes larger than a chunk after that.
///
/// # Panics
///
/// When it does not hold.
pub fn stat_rx_dropped(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let pair = track
        .pair()
        .expect("the kernel's case leaves zero copy out");
    let receiving = pair.server_interface();
    // Of a chunk 448 bytes are left: an Ethernet header, a VLAN tag, and these.
    receiving.set_mtu(430).expect("a veth takes any");
    let (mut near, mut far) = ends(&track, |side, end| {
        if side == Side::Far {
            end.umem.headroom = 3392;
        }
    });
    receiving.set_mtu(1500).expect("a veth takes any");
    let (fitting, longer) = [448, 449].map(|len| frames_of(&track, STREAM, len)).into();
    let sent: Vec<_> = fitting
        .into_iter()
        .zip(longer)
        .enumerate()
        .map(|(number, (fitting, longer))| if number % 2 == 0 { fitting } else { longer })
        .collect();

    exchange(&mut EveryOther, &mut near, &mut far, &sent);

    near.flush();
    wait_until("every other frame is dropped", SOON, || {
        far.statistics().rx_dropped >= STREAM / 2
    });
    let kernel = far.statistics();
    assert_eq!(kernel.rx_dropped, STREAM / 2, "{kernel:?}");
    assert_eq!(
        (kernel.rx_ring_full, kernel.rx_fill_ring_empty_descs),
        (0, 0)
    );
    near.assert_settled();
    far.assert_settled();
}

/// Sends frames in small numbers, and takes none at the other end, which has
/// chunks for them.
fn send_unreceived(near: &mut End, far: &mut End, sent: &[Vec<u8>]) {
    for burst in sent.chunks(64) {
        let seen = redirected(far);
        for bytes in burst {
            let frame = near.make(bytes);
            near.transmit(frame);
        }
        wait_until("the program sees the frames", SOON, || {
            near.xsk.wake().expect("the interface is up");
            near.xsk.recycle();
            far.xsk.recycle();
            redirected(far) == seen + burst.len() as u64
        });
    }
}

/// `STAT_RX_FULL`: half as many frames again as the RX ring holds, of which
/// nobody takes any: those that find it full are `rx_ring_full`, and the first
/// are in it.
///
/// # Panics
///
/// When it does not hold.
pub fn stat_rx_full(medium: Medium) {
    const ENTRIES: u32 = 1024;
    let Some(track) = Track::new(medium) else {
        return;
    };
    let (mut near, mut far) = ends(&track, |side, end| {
        if side == Side::Far {
            // So many that the fill ring is full when the RX ring is.
            end.umem.frames = 2 * ENTRIES;
            end.queue.ring_size = RingCapacity::new(ENTRIES).expect("a power of two");
            end.queue.limits.chunks = None;
        }
    });
    let sent = frames_of(&track, u64::from(ENTRIES + ENTRIES / 2), 64);

    send_unreceived(&mut near, &mut far, &sent);

    let kernel = far.statistics();
    assert_eq!(kernel.rx_ring_full, u64::from(ENTRIES / 2), "{kernel:?}");
    assert_eq!(
        (kernel.rx_dropped, kernel.rx_fill_ring_empty_descs),
        (0, 0),
        "{kernel:?}"
    );
    let arrived: Vec<_> = far.xsk.receive(2 * ENTRIES).map(|f| f.to_vec()).collect();
    assert!(arrived[..] == sent[..ENTRIES as usize]);
    far.xsk.recycle();
    exchange(&mut Usual, &mut near, &mut far, &sent);
    near.assert_settled();
    far.assert_settled();
}

/// `STAT_FILL_EMPTY`: nobody gives the kernel chunks, and once it has used those
/// that it had, `rx_fill_ring_empty_descs` says so. With chunks the queue goes on.
///
/// In copy mode that is the first frame without a chunk, which is dropped and
/// counted; in zero copy the driver asks for chunks in advance, and all arrive.
///
/// # Panics
///
/// When it does not hold.
pub fn stat_fill_empty(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let (mut near, mut far) = ends(&track, |_, _| ());
    let chunks = far.umem.audit().fill as usize;
    let sent = frames_of(&track, 2 * chunks as u64, 64);

    assert_eq!(far.statistics().rx_fill_ring_empty_descs, 0);
    let (mut next, mut arrived) = (0, 0);
    while far.statistics().rx_fill_ring_empty_descs == 0 {
        let bytes = sent.get(next).expect("the fill ring is empty at last");
        let frame = near.make(bytes);
        near.transmit(frame);
        near.flush();
        wait_until("the program sees the frame", SOON, || {
            redirected(&far) == next as u64 + 1
        });
        next += 1;
        for frame in far.xsk.receive(64) {
            assert!(*frame == sent[arrived][..], "frame {arrived}: {frame:?}");
            arrived += 1;
        }
    }

    let kernel = far.statistics();
    if medium.copy_mode() == CopyMode::Copy {
        assert_eq!((next, arrived), (chunks + 1, chunks));
        let counted = (kernel.rx_dropped, kernel.rx_fill_ring_empty_descs);
        assert_eq!(counted, (1, 1), "{kernel:?}");
    } else {
        assert_eq!((next, kernel.rx_dropped), (arrived, 0), "{kernel:?}");
    }
    far.xsk.recycle();
    exchange(&mut Usual, &mut near, &mut far, &sent);
    near.assert_settled();
    far.assert_settled();
}

/// Frames that the program has redirected to the end's xsk.
fn redirected(end: &End) -> u64 {
    end.steering.counts(0).expect("there is a slot").redirected
}

//! Descriptors that are unusual or wrong, and queues that do not exist.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use wharf::{
    Application, Batch, DropReason, Engine, Error, Interface, InterfaceId, NicQueue, OutOfRange,
    Outbox, QueueIndex, TxDescriptor, Umem, UmemConfig, WakeError, XskErrorKind,
};

use super::{
    End, EndConfig, Medium, Side, Track, assert_usable, at_once, ends, exchange, frames_of, give,
    roomy,
};
use crate::scenario::Steps;
use crate::{SOON, assert_no_program, wait_until};

/// Sends frames from odd addresses.
struct FromOddAddresses;

impl Steps for FromOddAddresses {
    fn send(&mut self, near: &mut End, _number: usize, bytes: &[u8]) {
        let mut frame = near.make(&[&[0xff], bytes].concat());
        frame.shrink_front(1).expect("it is longer");
        assert_eq!(frame.as_ptr().addr() % 2, 1);
        near.transmit(frame);
    }
}

/// Frames leave from odd addresses: they arrive, and each chunk comes home, although
/// Linux 6.18 to 7.3 loses the lowest bit of the address in copy mode.
///
/// # Panics
///
/// When it does not hold.
pub fn odd_tx_address(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let (mut near, mut far) = ends(&track);

    let frames = frames_of(&track, 1500, 65);
    exchange(&mut FromOddAddresses, &mut near, &mut far, &frames);

    near.assert_settled();
    far.assert_settled();
}

/// `XDP_TX_METADATA` of `include/uapi/linux/if_xdp.h` (Linux 6.8), which no queue
/// of ours has room for.
fn with_metadata(descriptor: TxDescriptor) -> TxDescriptor {
    TxDescriptor {
        options: descriptor.options | 2,
        ..descriptor
    }
}

/// A frame claims metadata that is not there. In copy mode Linux 6.8 and later
/// refuse it for good, with all behind it: the queue says so at once, each time,
/// and closes cleanly. Before, the frame alone is refused and counted, and in zero
/// copy the driver need not look. The interface is usable afterwards.
///
/// # Panics
///
/// When it does not hold.
pub fn bad_tx_metadata(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let mut near = End::bind_with(&track, Side::Near, &roomy(&track));
    let mut far = End::bind(&track, Side::Far);
    // So many that every slot of the completion ring has been used.
    assert_usable(&track, &mut near, &mut far);
    assert_usable(&track, &mut near, &mut far);
    let frames = frames_of(&track, 7, 64);
    give(&mut near, &frames[..4]);
    near.xsk.tx().damage(0, with_metadata);
    give(&mut near, &frames[4..]);

    let outcome = at_once("the wake-up", || near.xsk.wake());
    let mut arrived = 0;
    wait_until("those before it arrive", SOON, || {
        arrived += far.xsk.receive(64).count();
        arrived >= 3
    });
    match outcome {
        Ok(()) => {
            near.flush_or_stay(1);
            wait_until("those behind it arrive", SOON, || {
                arrived += far.xsk.receive(64).count();
                arrived >= 6
            });
            let refused = near.statistics().tx_invalid_descs;
            println!("{medium:?}: the frame was not sent: {refused}");
            assert!(refused == 1 || medium == Medium::ZeroCopy, "{refused}");
        }
        Err(error) => {
            assert_refused(&error);
            for _ in 0..20 {
                let again = at_once("the wake-up", || near.xsk.wake());
                assert_refused(&again.expect_err("it stands in the way"));
                near.xsk.recycle();
                assert_eq!(far.xsk.receive(64).count(), 0, "none gets past it");
            }
            println!("{medium:?}: {} violations", near.xsk.violations());
        }
    }
    assert!(near.umem.audit().is_balanced());

    let End {
        steering,
        xsk,
        umem,
        ..
    } = near;
    at_once("closing", || drop(xsk));
    drop(steering);
    let audit = umem.audit();
    assert!(audit.is_balanced(), "{audit:?}");
    assert_eq!((audit.fill, audit.transmit), (0, 0), "{audit:?}");
    let mut near = End::bind_to(&track, Side::Near, &roomy(&track), umem);
    assert_usable(&track, &mut near, &mut far);
}

#[track_caller]
fn assert_refused(error: &WakeError) {
    let is_invalid = |error: &io::Error| error.raw_os_error() == Some(libc::EINVAL);
    assert!(
        matches!(error, WakeError::Other(error) if is_invalid(error)),
        "{error}"
    );
}

/// Sends frames back, and damages one.
struct DamageAt(u64);

impl Application for DamageAt {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        for frame in batch {
            out.send_back(frame);
            self.0 = self.0.wrapping_sub(1);
            if self.0 == 0 {
                out.damage(InterfaceId(0), with_metadata);
            }
        }
    }
}

/// As [`bad_tx_metadata`], by an engine's application: where the kernel refuses
/// for good, the engine ends with an error that names the interface, soon, and has
/// every frame in a counter; elsewhere it counts the one and goes on.
///
/// # Panics
///
/// When it does not hold.
pub fn bad_tx_metadata_in_an_engine(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let mut near = End::bind(&track, Side::Near);
    let interface = track.interface(Side::Far);
    let engine = {
        let _inside = track.enter(Side::Far);
        let builder = Engine::builder().interface(interface).frames(2048);
        let builder = builder.attach(medium.attach()).mode(medium.mode());
        builder.start(|_| DamageAt(150)).expect("it starts")
    };
    for some in frames_of(&track, 300, 64).chunks(50) {
        give(&mut near, some);
        near.flush();
        near.xsk.receive(64).for_each(drop);
    }
    let all = |engine: &Engine| engine.stats().totals().frames_in == 300;
    wait_until("all have arrived", SOON, || all(&engine));
    // Long enough to have met it: an engine that goes on shows all as sent.
    let deadline = Instant::now() + SOON;
    // One that is refused is taken off those completed, and in Linux 6.1 and older
    // never is completed.
    let gone_on = |engine: &Engine| {
        let totals = engine.stats().totals();
        totals.tx_frames + totals.drops.get(DropReason::TxInvalid) >= 299
    };
    while !gone_on(&engine) && engine.wait(Duration::ZERO) {
        near.xsk.receive(64).for_each(drop);
        near.xsk.recycle();
        let totals = engine.stats().totals();
        assert!(Instant::now() < deadline, "it does not go on: {totals:?}");
        thread::sleep(Duration::from_millis(1));
    }

    let started = Instant::now();
    let summary = engine.stop();

    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_secs(3), "it took {elapsed:?}");
    assert!(summary.is_conserved(), "{:?}", summary.stats.totals());
    let totals = summary.stats.totals();
    assert_eq!(totals.frames_in, 300);
    let violations: u64 = (summary.stats.workers.iter())
        .map(|worker| worker.violations)
        .sum();
    println!("{medium:?}: {violations} violations, {:?}", totals.drops);
    match summary.outcome {
        Err(Error::Send { interface, source }) => {
            assert_eq!(
                (interface.as_str(), source.raw_os_error()),
                ("eth0", Some(libc::EINVAL))
            );
            assert!(totals.drops.get(DropReason::TxUnfinished) > 0, "{totals:?}");
            // The kernel was asked again once or twice, and not until the end.
            assert!(violations <= 2, "{violations}");
        }
        outcome => {
            outcome.expect("it went on");
            let refused = totals.drops.get(DropReason::TxInvalid);
            assert!(refused == 1 || medium == Medium::ZeroCopy, "{totals:?}");
        }
    }
    if let Some(pair) = track.pair() {
        assert_no_program(pair.server_interface());
    }
    let mut far = End::bind(&track, Side::Far);
    near.xsk.receive(64).for_each(drop);
    exchange(
        &mut super::Usual,
        &mut near,
        &mut far,
        &frames_of(&track, 300, 64),
    );
    far.assert_settled();
}

/// Indices from 65536 on, which the kernel would take for others, are refused
/// by name, and so are those that the interface does not have. The queues that
/// they would have been are free.
///
/// # Panics
///
/// When it does not hold.
pub fn queue_beyond_65535(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    for index in [65_536, 65_537, u32::MAX] {
        let error = QueueIndex::new(index).expect_err("the kernel would truncate it");
        assert_eq!(error, OutOfRange::QueueIndex(index));
        let text = error.to_string();
        let instead = format!("would bind queue {} instead", index & 0xffff);
        assert!(
            text.contains(&index.to_string()) && text.contains(&instead),
            "{text}"
        );
    }
    {
        let _inside = track.enter(Side::Near);
        let interface = Interface::by_name(track.interface(Side::Near)).expect("it exists");
        let umem = Umem::new(&UmemConfig::new(1024)).expect("there is memory");
        let config = EndConfig::new(&track).queue;
        let queues = interface.queue_counts().expect("it has queues").bindable();
        for index in [queues, 65_535] {
            let index = QueueIndex::new(index).expect("the kernel can name it");
            let error = NicQueue::new(&umem, &interface, index)
                .bind(&config)
                .map(drop);
            let error = error.expect_err("there is no such queue");
            assert!(
                matches!(error.kind(), XskErrorKind::NoSuchQueue { queues: has, .. } if *has == queues),
                "{error}"
            );
        }
    }
    let (mut near, mut far) = ends(&track);
    assert_usable(&track, &mut near, &mut far);
}

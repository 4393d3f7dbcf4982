//! Queues that are closed at the worst time, and what comes after them.

use std::thread;
use std::time::Duration;

use wharf::{
    Interface, NicQueue, QueueIndex, Umem, UmemConfig, Xsk, XskConfig, XskError, XskErrorKind,
    XskIndex,
};

use super::stall::Stall;
use super::{
    End, EndConfig, Medium, Side, Track, assert_usable, at_once, ends, frames_of, give, roomy,
};
use crate::{SOON, wait_until};

/// Both queues close with frames wherever frames can be: not published, sent and
/// not completed, received and not taken. Every chunk has an owner, those in our
/// rings came home, and the queues are to be had at once.
///
/// # Panics
///
/// When it does not hold.
pub fn close_with_frames_in_flight(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let mut near = End::bind_with(&track, Side::Near, &roomy(&track));
    let mut far = End::bind(&track, Side::Far);
    give(&mut near, &frames_of(&track, 100, 64));
    wait_until("all have arrived", SOON, || {
        near.xsk.wake().expect("the interface is up");
        far.xsk.rx().has_frames() && far.xsk.receive(128).len() == 100
    });
    give(&mut near, &frames_of(&track, 30, 64));
    let (umem, far_umem) = (near.umem.clone(), far.umem.clone());
    let (lent, far_lent) = (umem.audit().fill, far_umem.audit().fill);
    assert_eq!(umem.audit().transmit, 130);
    let (steering, far_steering) = (near.steering, far.steering);

    at_once("closing", || drop((near.xsk, far.xsk)));

    let audit = umem.audit();
    assert!(audit.is_balanced(), "{audit:?}");
    // In zero copy the last completions may be to come still.
    let written_off = audit.stranded - lent;
    assert!(written_off <= 100, "{audit:?}");
    if medium != Medium::ZeroCopy {
        assert_eq!(written_off, 0, "completed or never published: {audit:?}");
    }
    assert_eq!((audit.fill, audit.transmit, audit.held()), (0, 0, 0));
    let audit = far_umem.audit();
    assert!(audit.is_balanced(), "{audit:?}");
    assert_eq!(
        (audit.fill, audit.stranded),
        (0, far_lent - 100),
        "received frames came home: {audit:?}"
    );
    drop((steering, far_steering));
    // The same memory, as far as the kernel has left it.
    let config = roomy(&track);
    let mut near = End::bind_to(&track, Side::Near, &config, umem);
    let mut far = End::bind(&track, Side::Far);
    assert_usable(&track, &mut near, &mut far);
}

/// Queue 0 of the near interface, with so much patience.
fn bind(track: &Track, patience: Duration) -> Result<Xsk, XskError> {
    let _inside = track.enter(Side::Near);
    let interface = Interface::by_name(track.interface(Side::Near)).expect("it exists");
    let umem = Umem::new(&UmemConfig::new(1024)).expect("there is memory");
    let config = XskConfig {
        bind_patience: patience,
        ..EndConfig::new(track).queue
    };
    let index = QueueIndex::new(0).expect("small");
    NicQueue::new(&umem, &interface, index)
        .bind(&config)
        .map(|(queue, _)| queue)
}

/// Shorter than anybody lets go.
const SHORT: Duration = Duration::from_millis(200);

/// The queue is taken, and the error says what to do.
#[track_caller]
fn assert_taken(track: &Track) {
    let error = bind(track, SHORT).map(drop).expect_err("it is taken");
    assert!(
        matches!(error.kind(), XskErrorKind::QueueTaken { waited, .. } if *waited >= SHORT / 2),
        "{error}"
    );
    let text = error.to_string();
    for words in ["stop the program", "rings are mapped", "frames it sent"] {
        assert!(text.contains(words), "no `{words}` in: {text}");
    }
    assert_eq!(text.lines().count(), 1, "{text}");
}

/// Frames that were sent wait somewhere in the kernel as their queue closes: the
/// kernel keeps the queue until they are gone, and binding waits for that as
/// long as it may.
///
/// # Panics
///
/// When it does not hold.
pub fn close_with_frames_held_by_the_kernel(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let Some(stall) = Stall::new(&track) else {
        return;
    };
    let mut near = End::bind(&track, Side::Near);
    give(&mut near, &frames_of(&track, 100, 300));
    wait_until("the kernel takes them", SOON, || {
        near.xsk.wake().expect("the interface is up");
        near.xsk.tx().pending() == 0
    });
    near.xsk.recycle();
    let in_flight = near.xsk.tx().in_flight();
    assert!(in_flight >= 90, "they are held: {in_flight}");
    let umem = near.umem.clone();
    let lent = umem.audit().fill;

    at_once("closing", || drop(near));

    let audit = umem.audit();
    assert!(audit.is_balanced(), "{audit:?}");
    assert_eq!((audit.fill, audit.stranded), (0, lent + in_flight));
    assert_taken(&track);
    let bound = thread::scope(|scope| {
        scope.spawn(|| stall.release());
        bind(&track, SOON)
    });
    drop(bound.expect("the queue is free once they are gone"));
}

/// A ring of a closed queue stays mapped: the kernel keeps the queue as long, and
/// the program steers past it.
///
/// # Panics
///
/// When it does not hold.
pub fn leaked_mapping_and_rebind(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let (mut near, mut far) = ends(&track);
    assert_usable(&track, &mut near, &mut far);
    let End {
        mut steering,
        mut xsk,
        umem,
        ..
    } = near;
    let leaked = xsk.rx().leak_mapping();
    let cleared = steering.clear(0, XskIndex(0));
    cleared.expect("there is a slot");

    at_once("closing", || drop(xsk));

    assert!(umem.audit().is_balanced());
    assert_taken(&track);
    let frame = track.flow(4000).frame(b"to whom?");
    let verdict = steering.test_run(0, &frame).expect("it runs");
    assert_eq!(verdict, wharf::Verdict::Pass, "not into the closed socket");
    drop(steering);
    drop(leaked);
    let mut near = End::bind(&track, Side::Near);
    assert_usable(&track, &mut near, &mut far);
}

/// A process that is forked gets neither the rings nor the memory, so it cannot
/// keep a queue that way; and one that is run gets no descriptor.
///
/// # Panics
///
/// When it does not hold.
pub fn child_inherits_no_ring(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let near = End::bind(&track, Side::Near);
    let socket = near.xsk.socket().expect("a bound queue has a socket");
    let number = std::os::fd::AsRawFd::as_raw_fd(&socket);

    let link = std::fs::read_link(format!("/proc/self/fd/{number}")).expect("it is open");
    let name = link.to_string_lossy().into_owned();
    let maps = std::fs::read_to_string("/proc/self/smaps").expect("the kernel tells");
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}"));

    let mut rings = 0;
    let mut in_ring = false;
    for line in maps.lines() {
        if line.contains(name.as_str()) {
            in_ring = true;
        } else if let (true, Some(flags)) = (in_ring, line.strip_prefix("VmFlags:")) {
            assert!(flags.split(' ').any(|flag| flag == "dc"), "{flags}");
            (rings, in_ring) = (rings + 1, false);
        }
    }
    assert_eq!(rings, 4, "all of them: {name}\n{maps}");
    let info = info.expect("it is open");
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = u32::from_str_radix(flags.expect("it has flags").trim(), 8).expect("octal");
    // O_CLOEXEC, include/uapi/asm-generic/fcntl.h.
    assert_eq!(flags & 0o2_000_000, 0o2_000_000, "{info}");
}

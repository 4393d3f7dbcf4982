//! Rings and buffers that are full, and frames that the kernel loses.

use rustix::net::sockopt::set_socket_send_buffer_size;
use wharf::{RingCapacity, TransmitError};

use super::stall::Stall;
use super::{
    End, EndConfig, Medium, Side, Track, Usual, assert_usable, at_once, ends, exchange, frames_of,
    give,
};
use crate::scenario::Steps;
use crate::{SOON, wait_until};

/// Nobody takes completions: the queue refuses frames when the completion ring
/// has no room for one more, and not before. So the kernel never finds it full,
/// and waking it takes no call that does nothing. Once they are taken, all goes on.
///
/// # Panics
///
/// When it does not hold.
pub fn completion_ring_full(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let mut config = EndConfig::new(&track);
    config.queue.ring_size = RingCapacity::new(64).expect("a power of two");
    let mut near = End::bind_with(&track, Side::Near, &config);
    let mut far = End::bind(&track, Side::Far);
    let frames = frames_of(&track, 64, 64);
    // Not in one go, so that the TX ring is empty at the end.
    for some in frames.chunks(16) {
        for bytes in some {
            let frame = near.make(bytes);
            near.xsk.transmit(frame).expect("there is room");
        }
        wait_until("the kernel takes them", SOON, || {
            near.xsk.wake().expect("the interface is up");
            near.xsk.tx().pending() == 0
        });
    }

    for _ in 0..3 {
        let frame = near.make(&frames[0]);
        let refused = near.xsk.transmit(frame).expect_err("no room to complete");
        assert!(matches!(refused, TransmitError::RingFull(_)), "{refused}");
        let before = near.xsk.tx().counters().wakeups;
        at_once("the wake-up", || near.xsk.wake()).expect("the interface is up");
        let mut tx = near.xsk.tx();
        assert_eq!((tx.room(), tx.in_flight()), (0, 64));
        assert_eq!(tx.counters().wakeups, before, "nothing to wake for");
    }

    let mut arrived = Vec::new();
    wait_until("all arrive", SOON, || {
        arrived.extend(far.xsk.receive(64).map(|frame| frame.to_vec()));
        arrived.len() >= 64
    });
    assert!(arrived == frames, "each once, in order");
    near.flush();
    assert_eq!(near.xsk.tx().room(), 64);
    assert_usable(&track, &mut near, &mut far);
}

/// The socket's send buffer is full of frames that wait further on: what does not
/// fit stays in the TX ring, no call spins for it, none is lost, and all go once
/// there is room.
///
/// # Panics
///
/// When it does not hold.
pub fn send_buffer_full(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let Some(stall) = Stall::new(&track) else {
        return;
    };
    let mut near = End::bind(&track, Side::Near);
    let socket = near.xsk.socket().expect("a bound queue has a socket");
    // The kernel's least, a few kilobytes.
    set_socket_send_buffer_size(socket, 1).expect("it may be small");
    give(&mut near, &frames_of(&track, 100, 1000));

    let mut left = 0;
    for round in 0..5 {
        let before = near.xsk.tx().counters().wakeups;
        at_once("the wake-up", || near.xsk.wake()).expect("the interface is up");
        near.xsk.recycle();
        let mut tx = near.xsk.tx();
        let (pending, calls) = (tx.pending(), tx.counters().wakeups - before);
        assert!(pending > 80, "few fit: {pending} are left");
        if round > 0 {
            assert_eq!(pending, left, "no room comes of itself");
            assert!(calls <= 2, "{calls} calls for nothing");
        }
        left = pending;
    }
    stall.release();

    near.flush();
    let sent = near.xsk.tx().counters();
    assert_eq!((sent.frames, sent.completed), (100, 100));
    assert_eq!(sent.dropped_by_kernel, 0, "none was lost");
    near.assert_settled();
}

/// Sends every third frame longer than the link takes.
struct SomeTooLong;

impl Steps for SomeTooLong {
    fn send(&mut self, near: &mut End, number: usize, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        if !self.arrives(number) {
            bytes.resize(1600, 0);
        }
        let frame = near.make(&bytes);
        near.transmit(frame);
    }

    fn arrives(&self, number: usize) -> bool {
        !number.is_multiple_of(3)
    }
}

/// Frames that the kernel takes and loses (`EBUSY`) are counted one by one, also
/// among others, which all arrive: those too long for the link, and all while the
/// other end is down.
///
/// # Panics
///
/// When it does not hold.
pub fn ebusy_accounting(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let (mut near, mut far) = ends(&track);
    let lost = |near: &mut End| near.xsk.tx().counters().dropped_by_kernel;
    let frames = frames_of(&track, 900, 64);

    exchange(&mut SomeTooLong, &mut near, &mut far, &frames);
    near.flush();
    assert_eq!(lost(&mut near), 300, "every third");
    track.set_down(Side::Far);
    give(&mut near, &frames[..200]);
    near.flush();
    assert_eq!(lost(&mut near), 500, "all");
    track.set_up(Side::Far);
    exchange(&mut Usual, &mut near, &mut far, &frames[..300]);
    near.flush();

    let sent = near.xsk.tx().counters();
    assert_eq!((sent.frames, sent.completed), (1400, 1400));
    assert_eq!(sent.dropped_by_kernel, 500);
    assert_eq!(near.xsk.violations(), 0);
    crate::assert_all_home(&near.umem);
    far.assert_settled();
}

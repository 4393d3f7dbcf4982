//! Scenarios of waiting for the kernel with `poll(2)`, and of waking it.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendFlags, send};
use wharf::{RingCapacity, TransmitError};
use wharf_testbed::set_tx_budget;

use super::traffic::STREAM;
use super::{End, Medium, Provoked, Steps, Track, ends, exchange, frames_of};
use crate::{SOON, is_older_than, wait_until};

/// How long a poll waits that is to time out.
const VAIN: Duration = Duration::from_millis(200);

/// What `poll(2)` says of an end's socket: nothing if it timed out.
fn poll_end(end: &End, events: PollFlags, limit: Duration) -> PollFlags {
    let socket = end.xsk.socket().expect("a bound queue has a socket");
    let mut polled = [PollFd::new(&socket, events)];
    let limit = Timespec::try_from(limit).expect("a short time");
    let ready = poll(&mut polled, Some(&limit)).expect("it polls");
    let said = polled[0].revents();
    assert_eq!(ready == 0, said.is_empty());
    said
}

/// The receiving end waits in `poll(2)` for frames.
struct PollRx;

impl Steps for PollRx {
    fn wait(&mut self, far: &mut End) {
        assert_eq!(poll_end(far, PollFlags::IN, SOON), PollFlags::IN);
    }
}

/// `POLL_RX`: whoever waits for frames with `poll(2)` is told of all of them.
///
/// # Panics
///
/// When it does not hold.
pub fn poll_rx(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let (mut near, mut far) = ends(&track, |_, _| ());

    exchange(
        &mut PollRx,
        &mut near,
        &mut far,
        &frames_of(&track, STREAM, 64),
    );

    near.assert_settled();
    far.assert_settled();
}

/// The sending end has `poll(2)` say that there is room, and send.
struct PollTx;

impl Steps for PollTx {
    fn wake(&mut self, near: &mut End) {
        near.xsk.publish();
        assert_eq!(poll_end(near, PollFlags::OUT, SOON), PollFlags::OUT);
    }
}

/// `POLL_TX`: `poll(2)` says that there is room to send, and in saying so sends
/// what was published. Nobody wakes the kernel in another way.
///
/// # Panics
///
/// When it does not hold.
pub fn poll_tx(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let (mut near, mut far) = ends(&track, |_, _| ());

    exchange(
        &mut PollTx,
        &mut near,
        &mut far,
        &frames_of(&track, STREAM, 64),
    );

    assert_eq!(near.xsk.tx().counters().wakeups, 0);
    near.assert_settled();
    far.assert_settled();
}

/// `POLL_RXQ_FULL`: where nobody sends, waiting for frames times out, and is no
/// error. The queue is as good afterwards.
///
/// # Panics
///
/// When it does not hold.
pub fn poll_rxq_full(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let (mut near, mut far) = ends(&track, |_, _| ());

    let said = poll_end(&far, PollFlags::IN, VAIN);

    assert_eq!(said, PollFlags::empty());
    exchange(&mut PollRx, &mut near, &mut far, &frames_of(&track, 64, 64));
    near.assert_settled();
    far.assert_settled();
}

/// `POLL_TXQ_FULL`: where nobody consumes completions, waiting for room to send
/// times out, and is no error.
///
/// Wharf's ring is full before the kernel's: it takes no more frames than the
/// completion ring has room for, so the kernel can always send them. Only a
/// program that goes on nevertheless, here by fault injection, brings the kernel
/// to where it stops, and its completions are found out.
///
/// # Panics
///
/// When it does not hold.
pub fn poll_txq_full(medium: Medium) {
    const ENTRIES: u32 = 128;
    let Some(track) = Track::new(medium) else {
        return;
    };
    let (mut near, mut far) = ends(&track, |_, end| {
        end.queue.ring_size = RingCapacity::new(ENTRIES).expect("a power of two");
    });
    let bytes = frames_of(&track, 1, 64).remove(0);
    let arrive = |far: &mut End| {
        let mut arrived = 0;
        wait_until("all frames arrive", SOON, || {
            arrived += far
                .xsk
                .receive(ENTRIES)
                .map(|frame| assert!(*frame == bytes[..]))
                .count();
            far.xsk.recycle();
            arrived == ENTRIES as usize
        });
    };

    for _ in 0..ENTRIES {
        let frame = near.make(&bytes);
        near.xsk.transmit(frame).expect("there is room");
    }
    near.xsk.wake().expect("the interface is up");
    arrive(&mut far);
    let frame = near.make(&bytes);
    let Err(TransmitError::RingFull(frame)) = near.xsk.transmit(frame) else {
        panic!("more frames than the completion ring has room for");
    };
    let mut tx = near.xsk.tx();
    assert_eq!(tx.pending(), 0, "the kernel has sent them all");
    while tx.transmit_unowned(&frame) {}
    near.xsk.publish();
    let stuck = poll_end(&near, PollFlags::OUT, VAIN);
    let pending = near.xsk.tx().pending();

    assert_eq!(stuck, PollFlags::empty());
    assert_eq!(pending, ENTRIES, "the kernel took some without room");
    near.flush();
    near.xsk.wake().expect("the interface is up");
    arrive(&mut far);
    assert_eq!(poll_end(&near, PollFlags::OUT, SOON), PollFlags::OUT);
    drop(frame);
    let provoked = Provoked {
        violations: ENTRIES.into(),
        ..Provoked::default()
    };
    wait_until("the kernel completes", SOON, || {
        near.xsk.recycle();
        near.xsk.violations() == provoked.violations
    });
    near.assert_settled_but(provoked);
    far.assert_settled();
}

/// `TX_QUEUE_CONSUMER`: one call sends as many frames as the TX budget, 32, and
/// the ring shows that at once: of 33 frames one is left.
///
/// Before Linux 6.17 the kernel shows that it has taken frames only as it looks
/// for more than it knows of (`xskq_cons_read_desc` in `net/xdp/xsk_queue.h`),
/// here in the last call. The budget is 16 in 5.10.
///
/// # Panics
///
/// When it does not hold.
pub fn tx_queue_consumer(medium: Medium) {
    const FRAMES: u32 = 33;
    let Some(track) = Track::new(medium) else {
        return;
    };
    let (mut near, mut far) = ends(&track, |_, _| ());
    let sent = frames_of(&track, FRAMES.into(), 64);
    let shows_at_once = near.report.tx_budget.is_some();
    let budget = if is_older_than(5, 11) { 16 } else { 32 };
    if shows_at_once {
        let socket = near.xsk.socket().expect("a bound queue has a socket");
        set_tx_budget(socket, budget).expect("it could be set before");
    }
    for bytes in &sent {
        let frame = near.make(bytes);
        near.transmit(frame);
    }
    near.xsk.publish();

    let mut left = FRAMES;
    while left > 0 {
        let socket = near.xsk.socket().expect("a bound queue has a socket");
        let answer = send(socket, &[], SendFlags::DONTWAIT);
        left = left.saturating_sub(budget);
        let expected = if left > 0 {
            Err(rustix::io::Errno::AGAIN)
        } else {
            Ok(0)
        };
        assert_eq!(answer, expected, "{left} are left");
        let shown = if shows_at_once || left == 0 {
            left
        } else {
            FRAMES
        };
        assert_eq!(near.xsk.tx().pending(), shown, "{left} are left");
        wait_until("the kernel completes what it has sent", SOON, || {
            near.xsk.recycle();
            near.xsk.tx().in_flight() == left
        });
    }

    assert_eq!(near.xsk.tx().counters().wakeups, 0);
    exchange(&mut Arrived, &mut near, &mut far, &sent);
    near.assert_settled();
    far.assert_settled();
}

/// Frames that are on their way already.
struct Arrived;

impl Steps for Arrived {
    fn send(&mut self, _near: &mut End, _number: usize, _bytes: &[u8]) {}
}

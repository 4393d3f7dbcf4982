//! Frames from one end to the other, each looked at when it arrives.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

use wharf::{Frame, Steering};

use super::{End, Redirects, Track};

/// Frames on their way at once: those in the TX ring, in the NIC, and in the RX
/// ring.
pub const WINDOW: usize = 128;

/// How long an exchange may take: emulation is some ten times slower than a
/// machine.
const LIMIT: Duration = Duration::from_secs(40);

/// Numbered frames of `len_bytes` each, without the Ethernet checksum.
///
/// # Panics
///
/// When `len_bytes` is less than 58, which headers and number take.
#[must_use]
pub fn frames_of(track: &Track, count: u64, len_bytes: usize) -> Vec<Vec<u8>> {
    let payload = len_bytes.checked_sub(42).expect("room for the headers");
    track.flow(4000).sequenced(1, payload, 0..count).collect()
}

/// What a scenario does with frames on their way to an end with the program `P`;
/// the defaults are the usual.
pub trait Steps<P = Steering> {
    /// Gives the kernel the frame of this number and these bytes.
    fn send(&mut self, near: &mut End, _number: usize, bytes: &[u8]) {
        let frame = near.make(bytes);
        near.transmit(frame);
    }

    /// Has the kernel send what it was given.
    fn wake(&mut self, near: &mut End) {
        near.xsk.wake().expect("the interface is up");
    }

    /// Frames that may be on their way at once.
    fn window(&self) -> usize {
        WINDOW
    }

    /// Waits for frames, or does not.
    fn wait(&mut self, _far: &mut End<P>) {}

    /// Whether the frame of this number is to arrive.
    fn arrives(&self, _number: usize) -> bool {
        true
    }

    /// The bytes with which it is to arrive.
    fn arriving(&self, _number: usize, sent: &[u8]) -> Vec<u8> {
        sent.to_vec()
    }

    /// Looks at the frame that arrived, whose bytes are right.
    fn look(&mut self, _number: usize, _frame: &Frame) {}
}

/// The usual steps.
pub struct Usual;

impl<P> Steps<P> for Usual {}

/// Sends all from one end, and takes at the other those that are to arrive, with
/// the checks of the kernel's own harness: each arrives once, in order, with the
/// right bytes and no others, and where the headroom ends; and the kernel never
/// gives back more frames than it has. No more than [`Steps::window`] are on
/// their way at once.
///
/// # Panics
///
/// When one does not arrive for long, or one that should not does.
pub fn exchange<P: Redirects + Debug>(
    steps: &mut impl Steps<P>,
    near: &mut End,
    far: &mut End<P>,
    sent: &[Vec<u8>],
) {
    let expected: Vec<usize> = (0..sent.len()).filter(|n| steps.arrives(*n)).collect();
    let (mut next, mut arrived) = (0, 0);
    let deadline = Instant::now() + LIMIT;
    while next < sent.len() || arrived < expected.len() {
        assert!(
            Instant::now() < deadline,
            "{next} of {} sent, {arrived} of {} arrived: {near:?}, {far:?}",
            sent.len(),
            expected.len()
        );
        // Those before the first that has not arrived are off the way.
        let reached = expected.get(arrived).map_or(next, |first| next.min(*first));
        while next < sent.len().min(reached + steps.window()) {
            steps.send(near, next, &sent[next]);
            next += 1;
        }
        steps.wake(near);
        take_back(near);
        steps.wait(far);
        let (before, front) = (arrived, far.front());
        for frame in far.xsk.receive(64) {
            let number = *expected.get(arrived).expect("no more than are to arrive");
            let bytes: Vec<u8> = frame.segments().flatten().copied().collect();
            assert!(
                bytes == steps.arriving(number, &sent[number]),
                "frame {number}, the {arrived}th to arrive: {} bytes at {} of its chunk: {bytes:x?}",
                bytes.len(),
                frame.headroom()
            );
            assert_eq!(frame.headroom(), front, "frame {number} begins elsewhere");
            steps.look(number, &frame);
            arrived += 1;
        }
        far.xsk.recycle();
        if arrived == before {
            thread::yield_now();
        }
    }
}

/// Takes back what the kernel is done with: no more frames than it had.
fn take_back(end: &mut End) {
    let mut tx = end.xsk.tx();
    let had = tx.in_flight();
    let back = tx.complete();
    assert!(back <= had, "{back} frames came back of {had}: {tx:?}");
    end.xsk.recycle();
}

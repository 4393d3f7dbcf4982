//! Scenarios of plain traffic.

use std::mem;

use wharf::ChunkSize;

use super::{End, Medium, Side, Track, Usual, ends, exchange, frames_of};

/// Frames of the default stream, of 64 bytes each.
pub const STREAM: u64 = 4096;

/// Carries so many frames from `near` to `far`, after which both are at rest.
fn carry(track: &Track, near: &mut End, far: &mut End, count: u64) {
    exchange(&mut Usual, near, far, &frames_of(track, count, 64));

    near.assert_settled();
    far.assert_settled();
}

/// `SEND_RECEIVE`: all arrive, in order.
///
/// # Panics
///
/// When it does not hold.
pub fn send_receive(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let (mut near, mut far) = ends(&track, |_, _| ());

    carry(&track, &mut near, &mut far, STREAM);
}

/// `SEND_RECEIVE_2K_FRAME`: with chunks of 2048 bytes.
///
/// # Panics
///
/// When it does not hold.
pub fn send_receive_2k_frame(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let (mut near, mut far) = ends(&track, |_, end| {
        end.umem.chunk_size = ChunkSize::new(2048).expect("a chunk size");
    });

    carry(&track, &mut near, &mut far, STREAM);
}

/// `SEND_RECEIVE_SINGLE_PKT`: one frame alone arrives, without others to push
/// it.
///
/// # Panics
///
/// When it does not hold.
pub fn send_receive_single_pkt(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let (mut near, mut far) = ends(&track, |_, _| ());

    carry(&track, &mut near, &mut far, 1);
}

/// `UMEM_HEADROOM`: with 128 bytes of headroom frames begin 128 bytes later.
///
/// # Panics
///
/// When it does not hold.
pub fn umem_headroom(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let (mut near, mut far) = ends(&track, |side, end| {
        if side == Side::Far {
            end.umem.headroom = 128;
        }
    });
    assert_eq!(far.front(), 256 + 128);

    carry(&track, &mut near, &mut far, STREAM);
}

/// `TEARDOWN`: ten times over, everything is made, used and taken down, on the
/// same interfaces. Each time goes once around the rings.
///
/// # Panics
///
/// When it does not hold.
pub fn teardown(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let sent = frames_of(&track, 600, 64);

    for _ in 0..10 {
        let (mut near, mut far) = ends(&track, |_, _| ());
        exchange(&mut Usual, &mut near, &mut far, &sent);
        near.assert_settled();
        far.assert_settled();
    }
}

/// `BIDIRECTIONAL`: the same ends carry a stream one way, and then the other.
///
/// # Panics
///
/// When it does not hold.
pub fn bidirectional(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let (mut near, mut far) = ends(&track, |_, _| ());
    let sent = frames_of(&track, STREAM, 64);

    for _ in 0..2 {
        exchange(&mut Usual, &mut near, &mut far, &sent);
        near.assert_settled();
        far.assert_settled();
        mem::swap(&mut near, &mut far);
    }
}

//! Scenarios of plain traffic.

use wharf::ChunkSize;

use super::{End, EndConfig, Medium, Side, Track, Usual, exchange, frames_of};

/// Frames of the default stream.
const STREAM: u64 = 4096;

/// Both ends of a track, as `config` changes the usual one.
fn ends(track: &Track, config: impl Fn(&mut EndConfig)) -> (End, End) {
    let mut changed = EndConfig::new(track);
    config(&mut changed);
    let bind = |side| End::bind_with(track, side, &changed);
    (bind(Side::Near), bind(Side::Far))
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
    let (mut near, mut far) = ends(&track, |_| ());

    exchange(
        &mut Usual,
        &mut near,
        &mut far,
        &frames_of(&track, STREAM, 64),
    );

    near.assert_settled();
    far.assert_settled();
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
    let (mut near, mut far) = ends(&track, |end| {
        end.umem.chunk_size = ChunkSize::new(2048).expect("a chunk size");
    });

    exchange(
        &mut Usual,
        &mut near,
        &mut far,
        &frames_of(&track, STREAM, 64),
    );

    near.assert_settled();
    far.assert_settled();
}

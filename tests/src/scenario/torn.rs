//! Scenarios of frames of which the kernel refuses a descriptor before the last.
//!
//! Kernels differ in what they make of the rest. Some drop the frame to its end
//! (Linux 7.2); for the others the next descriptor begins a frame
//! (`__xsk_generic_xmit` in `net/xdp/xsk.c`, 6.6).

use wharf::TxDescriptor;

use super::descriptors::TOO_LONG;
use super::multi_buffer::wide;
use super::refused::sender;
use super::{Damaged, End, Medium, Side, frames_of};
use crate::{SOON, wait_until};

/// `XDP_PKT_CONTD` in `include/uapi/linux/if_xdp.h`.
const GOES_ON: u32 = 1;

/// What arrives, and how many chunks are in refused frames.
type Outcome = (Vec<Vec<u8>>, u32);

/// Sends what `send` makes of five frames of `len_bytes`, and sees that one of the
/// outcomes comes of it and that the queue survives it.
fn run(
    medium: Medium,
    len_bytes: usize,
    send: impl Fn(&mut End, &[Vec<u8>]),
    outcomes: impl Fn(&[Vec<u8>]) -> [Outcome; 2],
) {
    let Some(track) = wide(medium) else { return };
    let config = sender(&track);
    let mut near = End::bind_with(&track, Side::Near, &config);
    let mut far = End::bind(&track, Side::Far);
    let sent = frames_of(&track, 5, len_bytes);

    send(&mut near, &sent);
    let mut received: Vec<Vec<u8>> = Vec::new();
    wait_until("the last one comes", SOON, || {
        near.xsk.wake().expect("the interface is up");
        let frames = far.xsk.receive(64);
        received.extend(frames.map(|frame| frame.segments().flatten().copied().collect()));
        received.last() == sent.last()
    });

    let outcomes = outcomes(&sent);
    let lengths: Vec<usize> = received.iter().map(Vec::len).collect();
    let outcome = outcomes.iter().find(|(arrived, _)| *arrived == received);
    let (_, refused) = outcome.unwrap_or_else(|| panic!("frames of {lengths:?} bytes arrived"));
    let damaged = Damaged {
        refused: *refused,
        ..Damaged::default()
    };
    damaged.assert_survived(&track, near, &mut far, &config);
}

/// Sends frames in pieces of `piece` bytes.
fn send_all(near: &mut End, piece: usize, frames: &[Vec<u8>]) {
    for bytes in frames {
        let frame = near.make_in(piece, bytes);
        near.transmit(frame);
    }
}

fn copies(of: &[&[u8]]) -> Vec<Vec<u8>> {
    of.iter().map(|bytes| bytes.to_vec()).collect()
}

/// `TOO_MANY_FRAGS`: a frame in as many chunks as the kernel takes arrives, and
/// one in more is dropped. On some kernels the chunk that was too many begins a
/// frame (6.12.95, 6.18.15), on others it does not (6.18.44, 7.2.12).
///
/// # Panics
///
/// When it does not hold.
pub fn too_many_frags(medium: Medium) {
    /// `MAX_SKB_FRAGS` and the head of an skb.
    const MOST: usize = 18;
    const LEN: usize = MOST * 100;
    let send = |near: &mut End, sent: &[Vec<u8>]| {
        assert_eq!(near.xsk.tx().most_chunks() as usize, MOST);
        send_all(near, 100, &sent[..3]);
        let mut tx = near.xsk.tx();
        tx.damage(0, |it| TxDescriptor {
            options: GOES_ON,
            ..it
        });
        send_all(near, LEN, &sent[3..4]);
        send_all(near, 100, &sent[4..]);
    };
    run(medium, LEN, send, |sent| {
        let [first, second, _, one_more, last] = sent else {
            panic!("five frames");
        };
        [
            (copies(&[first, second, last]), 19),
            (copies(&[first, second, one_more, last]), 18),
        ]
    });
}

/// Not the kernel's own: it refuses the second of a frame's four descriptors.
///
/// # Panics
///
/// When it does not hold.
pub fn refused_in_the_middle(medium: Medium) {
    const LEN: usize = 4000;
    let send = |near: &mut End, sent: &[Vec<u8>]| {
        send_all(near, LEN / 4, &sent[..2]);
        let mut tx = near.xsk.tx();
        tx.damage(2, |it| TxDescriptor {
            len: TOO_LONG,
            ..it
        });
        send_all(near, LEN / 4, &sent[2..]);
    };
    run(medium, LEN, send, |sent| {
        let [first, torn, others @ ..] = sent else {
            panic!("five frames");
        };
        let with = |rest: Option<&[u8]>| {
            let mut arrived = vec![first.clone()];
            arrived.extend(rest.map(<[u8]>::to_vec));
            arrived.extend_from_slice(others);
            arrived
        };
        [(with(None), 4), (with(Some(&torn[LEN / 2..])), 2)]
    });
}

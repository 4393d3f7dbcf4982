//! Scenarios of frames in several chunks.

use wharf::{Frame, TxDescriptor, Umem, UmemConfig};

use super::descriptors::{CHUNKS, HELD, LEN, TOO_LONG};
use super::refused::sender;
use super::unaligned::unaligned_layout;
use super::{
    Chunks, Damaged, End, EndConfig, Medium, Side, Steps, Track, TrackOptions, exchange, frames_of,
    put,
};

/// The MTU that the kernel's own use, and the longest frame it allows.
const MTU: u32 = 9000;
const LONGEST: usize = 9014;
/// `XSK_UMEM__LARGE_FRAME_SIZE`.
const LARGE: usize = 3072;
/// `XSK_DESC__INVALID_OPTION`, without the bit that says that the frame goes on.
const NO_OPTION: u32 = 0xfffe;

/// Two interfaces with an MTU of 9000. `None` says that the case is skipped.
pub(super) fn wide(medium: Medium) -> Option<Track> {
    let options = TrackOptions {
        mtu: MTU,
        ..TrackOptions::default()
    };
    Track::with(medium, options)
}

/// Sends each frame in chunks as they are received, and sees that so many arrive.
struct InChunks;

impl Steps for InChunks {
    fn send(&mut self, near: &mut End, _number: usize, bytes: &[u8]) {
        let frame = near.make_in(near.umem.receivable() as usize, bytes);
        near.transmit(frame);
    }

    fn look(&mut self, _number: usize, frame: &Frame) {
        assert_eq!(frame.chunks(), 3, "{frame:?}");
    }
}

/// `SEND_RECEIVE_9K_PACKETS`: frames of the full MTU, in three chunks each.
///
/// # Panics
///
/// When it does not hold.
pub fn send_receive_9k_packets(medium: Medium) {
    send_receive_9k(medium, UmemConfig::new(CHUNKS));
}

/// `SEND_RECEIVE_UNALIGNED_9K_PACKETS`: in unaligned chunks.
///
/// # Panics
///
/// When it does not hold.
pub fn send_receive_unaligned_9k_packets(medium: Medium) {
    let (layout, Some(_pages)) = unaligned_layout(4001) else {
        return;
    };
    send_receive_9k(medium, layout);
}

fn send_receive_9k(medium: Medium, umem: UmemConfig) {
    let Some(track) = wide(medium) else { return };
    let config = EndConfig {
        umem,
        ..EndConfig::new(&track)
    };
    let mut near = End::bind_with(&track, Side::Near, &config);
    let mut far = End::bind_with(&track, Side::Far, &config);
    let sent = frames_of(&track, 1000, LONGEST);

    exchange(&mut InChunks, &mut near, &mut far, &sent);

    near.assert_settled();
    far.assert_settled();
}

/// A frame in several chunks, and what is done to the descriptor of the last.
#[derive(Clone, Copy)]
struct Packet {
    /// Bytes of the chunks.
    chunks: &'static [usize],
    damage: Damage,
    /// Chunks that it arrives in; 0 if it does not.
    arrives_in: u32,
}

/// What is done to a descriptor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Damage {
    None,
    /// This length.
    Length(u32),
    /// This address.
    Address(u64),
    /// This address, in chunks that the application holds.
    Across(u64),
    /// These options.
    Options(u32),
}

impl Damage {
    fn of(self, it: TxDescriptor) -> TxDescriptor {
        match self {
            Self::None => it,
            Self::Length(len) => TxDescriptor { len, ..it },
            Self::Address(addr) | Self::Across(addr) => TxDescriptor { addr, ..it },
            Self::Options(options) => TxDescriptor { options, ..it },
        }
    }
}

impl Packet {
    fn valid(chunks: &'static [usize], arrives_in: u32) -> Self {
        Self {
            chunks,
            damage: Damage::None,
            arrives_in,
        }
    }

    fn refused(chunks: &'static [usize], damage: Damage) -> Self {
        Self {
            chunks,
            damage,
            arrives_in: 0,
        }
    }

    /// The chunks that damage has made of it.
    fn damaged(&self) -> Damaged {
        let chunks = u32::try_from(self.chunks.len()).expect("few");
        match self.damage {
            Damage::None => Damaged::default(),
            Damage::Across(_) => Damaged {
                taken: 1,
                ..Damaged::default()
            },
            Damage::Address(_) => Damaged {
                refused: chunks - 1,
                misnamed: 1,
                taken: 0,
            },
            _ => Damaged {
                refused: chunks,
                ..Damaged::default()
            },
        }
    }
}

/// One after the other.
struct Packets<'a> {
    packets: &'a [Packet],
    held: &'a mut Chunks,
}

impl Steps for Packets<'_> {
    fn send(&mut self, near: &mut End, number: usize, bytes: &[u8]) {
        let Packet { chunks, damage, .. } = self.packets[number];
        let mut rest = bytes;
        let mut pieces = chunks.iter().map(|&len| {
            let piece = rest.split_off(..len).expect("as long as its chunks");
            let mut frame = near.allocate();
            // A chunk's worth of bytes leaves no room before them.
            let most = frame.headroom() + frame.tailroom() - length(len);
            let offset = frame.headroom().min(most);
            put(&mut frame, offset, piece);
            frame
        });
        let mut frame = pieces.next().expect("at least one");
        for piece in pieces {
            frame.append(piece).expect("a sensible end");
        }
        if let Damage::Across(addr) = damage {
            let last = chunks.last().expect("at least one");
            self.held.write(addr, &bytes[bytes.len() - last..]);
        }
        near.transmit(frame);
        near.xsk.tx().damage(0, |it| damage.of(it));
    }

    fn arrives(&self, number: usize) -> bool {
        self.packets[number].arrives_in > 0
    }

    fn look(&mut self, number: usize, frame: &Frame) {
        assert_eq!(
            frame.chunks(),
            self.packets[number].arrives_in,
            "frame {number}"
        );
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a frame is short")
}

/// Sends packets at once, and sees that the valid ones arrive and that the queue
/// survives the others.
fn run(medium: Medium, layout: UmemConfig, table: impl Fn(u64) -> Vec<Packet>) {
    let Some(track) = wide(medium) else { return };
    let (mut sending, mut receiving) = (sender(&track), EndConfig::new(&track));
    (sending.umem, receiving.umem) = (layout, layout);
    let umem = Umem::new(&layout).expect("there is memory");
    let mut chunks = Chunks::all(&umem);
    let packets = table(chunks.size());
    chunks.retain(&HELD);
    let mut near = End::bind_to(&track, Side::Near, &sending, umem);
    let mut far = End::bind_with(&track, Side::Far, &receiving);
    let flow = track.flow(4000);
    let lengths = packets.iter().map(|it| it.chunks.iter().sum::<usize>());
    let sent: Vec<Vec<u8>> = lengths
        .zip(0..)
        .flat_map(|(bytes, number)| flow.sequenced(1, bytes - 42, number..number + 1))
        .collect();

    let mut steps = Packets {
        packets: &packets,
        held: &mut chunks,
    };
    exchange(&mut steps, &mut near, &mut far, &sent);

    let all = packets.iter().map(Packet::damaged);
    let damaged = all.fold(Damaged::default(), |sum, next| Damaged {
        refused: sum.refused + next.refused,
        misnamed: sum.misnamed + next.misnamed,
        taken: sum.taken + next.taken,
    });
    damaged.assert_survived(&track, near, &mut far, &sending);
}

/// The table of `testapp_invalid_desc_mb`. The damaged descriptor ends its frame:
/// what kernels make of descriptors that come after it is in
/// [`torn`](super::torn).
fn aligned(size: u64) -> Vec<Packet> {
    let half = u64::from(LEN / 2);
    vec![
        Packet::valid(&[LEN as usize], 1),
        Packet::refused(&[LARGE; 3], Damage::Length(0)),
        Packet::refused(&[LARGE; 2], Damage::Address(size)),
        Packet::refused(&[LARGE; 2], Damage::Length(TOO_LONG)),
        Packet::refused(&[LARGE; 2], Damage::Options(NO_OPTION)),
        // Whole chunks, which leave XDP's headroom free where they arrive.
        Packet::valid(&[4096; 2], 3),
        // Across the edge of a chunk.
        Packet::refused(&[LARGE, LEN as usize], Damage::Address(0x1000 - half)),
        Packet::valid(&[LEN as usize], 1),
    ]
}

/// `ALIGNED_INV_DESC_MULTI_BUFF`: the kernel drops all of a frame of which it
/// refuses a descriptor.
///
/// # Panics
///
/// When it does not hold.
pub fn aligned_inv_desc_multi_buff(medium: Medium) {
    run(medium, UmemConfig::new(CHUNKS), aligned);
}

/// `UNALIGNED_INV_DESC_MULTI_BUFF`: as [`aligned_inv_desc_multi_buff`], but the
/// edge of a chunk may be crossed.
///
/// # Panics
///
/// When it does not hold.
pub fn unaligned_inv_desc_multi_buff(medium: Medium) {
    let (layout, Some(_pages)) = unaligned_layout(4096) else {
        return;
    };
    run(medium, layout, |size| {
        let mut packets = aligned(size);
        let across = packets.len() - 2;
        packets[across] = Packet {
            damage: Damage::Across(0x9000 - u64::from(LEN / 2)),
            arrives_in: 1,
            ..packets[across]
        };
        packets
    });
}

//! Scenarios in which the XDP program does something to frames: Wharf's with a
//! rule, or the test's own.

use std::io::Write;

use aya::EbpfLoader;
use wharf::{Frame, RuleSet};
use wharf_testbed::UdpFlow;

use super::{
    End, EndConfig, Medium, Object, Outcome, OwnProgram, Redirects, Side, Steps, Track,
    TrackOptions, exchange, frames_of,
};
use crate::{SOON, wait_until};

/// Frames of the default stream.
const STREAM: u64 = 4096;

/// The most bytes of a frame in one chunk.
const CHUNK: usize = 4096 - 256;

/// Every other frame, beginning with the first, arrives.
struct EveryOther;

impl<P> Steps<P> for EveryOther {
    fn arrives(&self, number: usize) -> bool {
        number.is_multiple_of(2)
    }
}

/// `XDP_DROP_HALF`: a rule drops every other frame. Those that are kept arrive, and
/// no others, and the steering counts each.
///
/// # Panics
///
/// When it does not hold.
pub fn xdp_drop_half(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let mut near = End::bind(&track, Side::Near);
    let mut config = EndConfig::new(&track);
    let rules = "drop udp src port 4001\ndefault redirect";
    config.steering.rules = rules.parse::<RuleSet>().expect("rules");
    let mut far = End::bind_with(&track, Side::Far, &config);
    let flows = [track.flow(4000), track.flow(4001)];
    let sent: Vec<Vec<u8>> = (0..STREAM)
        .zip(flows.iter().cycle())
        .flat_map(|(number, flow)| numbered(flow, number, 64))
        .collect();

    exchange(&mut EveryOther, &mut near, &mut far, &sent);

    wait_until("the last one is dropped", SOON, || {
        far.steering.counts(0).expect("a slot").dropped == STREAM / 2
    });
    near.assert_settled();
    far.assert_settled();
    let counts = far.steering.counts(0).expect("there is a slot");
    assert_eq!(counts.redirected, STREAM / 2, "{counts:?}");
    let hits = far.steering.hits().expect("the program is there");
    assert_eq!(hits.rules, [STREAM / 2], "{hits:?}");
}

/// `XDP_DROP_HALF` as the kernel has it: a program of the test's own drops them.
///
/// # Panics
///
/// When it does not hold.
pub fn xdp_drop_half_by_own_program(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let mut near = End::bind(&track, Side::Near);
    let program = OwnProgram::load(&Object::DROP_HALF, "drop_half_one");
    let mut far = End::bind_own(&track, Side::Far, program);
    let sent = frames_of(&track, STREAM, 64);

    exchange(&mut EveryOther, &mut near, &mut far, &sent);

    wait_until("the last one is dropped", SOON, || {
        far.steering.count(Outcome::Dropped) == STREAM / 2
    });
    near.assert_settled();
    far.assert_settled();
    assert_eq!(far.steering.redirected(), STREAM / 2);
}

/// Each frame has its number in front of it.
struct Numbered;

impl<P> Steps<P> for Numbered {
    fn send(&mut self, near: &mut End, _number: usize, bytes: &[u8]) {
        send_in_chunks(near, bytes);
    }

    fn look(&mut self, number: usize, frame: &Frame) {
        // As `tests/programs/metadata.bpf.c` has it.
        let number = u32::try_from(number).expect("few");
        let expected = [0x7a67_d9c1_u32.to_ne_bytes(), number.to_ne_bytes()].concat();
        assert_eq!(frame.metadata(8), Some(&expected[..]), "frame {number}");
    }
}

/// `XDP_METADATA_COPY`: a program numbers the frames in front of their first byte,
/// and there the numbers arrive.
///
/// # Panics
///
/// When it does not hold.
pub fn xdp_metadata_copy(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let sent = frames_of(&track, STREAM, 64);

    metadata_copy(&track, "number_one", &sent);
}

/// `XDP_METADATA_COPY_MULTI_BUFF`: with an MTU of 9000, and so frames in one chunk
/// and in several.
///
/// # Panics
///
/// When it does not hold.
pub fn xdp_metadata_copy_multi_buff(medium: Medium) {
    let Some(track) = large(medium) else { return };
    let flow = track.flow(4000);
    let lengths = [64, CHUNK, CHUNK + 1, 2 * CHUNK + 1, 9000];
    let sent: Vec<Vec<u8>> = (0..STREAM / 4)
        .zip(lengths.iter().cycle())
        .flat_map(|(number, len)| numbered(&flow, number, *len))
        .collect();

    metadata_copy(&track, "number_frags", &sent);
}

fn metadata_copy(track: &Track, program: &'static str, sent: &[Vec<u8>]) {
    let mut near = End::bind(track, Side::Near);
    let program = OwnProgram::load(&Object::METADATA, program);
    let mut far = End::bind_own(track, Side::Far, program);

    exchange(&mut Numbered, &mut near, &mut far, sent);

    near.assert_settled();
    far.assert_settled();
    assert_eq!(far.steering.redirected(), sent.len() as u64);
    assert_no_refusal(&far.steering, 0);
}

/// `XDP_ADJUST_TAIL_SHRINK`: a program takes 4 bytes off the end.
///
/// # Panics
///
/// When it does not hold.
pub fn xdp_adjust_tail_shrink(medium: Medium) {
    if let Some(track) = Track::new(medium) {
        adjust_tail(&track, "adjust_one", -4, 128);
    }
}

/// `XDP_ADJUST_TAIL_SHRINK_MULTI_BUFF`: a program takes 4096 bytes off frames of
/// 6 KiB, which takes away a whole buffer.
///
/// # Panics
///
/// When it does not hold.
pub fn xdp_adjust_tail_shrink_multi_buff(medium: Medium) {
    if let Some(track) = large(medium) {
        adjust_tail(&track, "adjust_frags", -4096, 6 * 1024);
    }
}

/// `XDP_ADJUST_TAIL_GROW`: a program puts 4 bytes at the end.
///
/// The kernel's test has frames of 128 bytes, which fill the buffer that veth
/// copies them into: it is as long as a whole number of cache lines holds them
/// (`skb_pp_cow_data`, `net/core/skbuff.c`, Linux 6.18).
///
/// # Panics
///
/// When it does not hold.
pub fn xdp_adjust_tail_grow(medium: Medium) {
    if let Some(track) = Track::new(medium) {
        adjust_tail(&track, "adjust_one", 4, 120);
    }
}

/// `XDP_ADJUST_TAIL_GROW_MULTI_BUFF`: a program fills up the last buffer of frames
/// of 6 KiB.
///
/// # Panics
///
/// When it does not hold.
pub fn xdp_adjust_tail_grow_multi_buff(medium: Medium) {
    if let Some(track) = large(medium) {
        // The kernel's test: a page, less what the last of two equal parts has, the
        // headroom and the tailroom (`skb_shared_info`, 320 bytes on 64 bits).
        adjust_tail(&track, "adjust_frags", 4096 - 3072 - 256 - 320, 6 * 1024);
    }
}

/// Frames arrive longer or shorter, or as they were.
struct Adjusted {
    bytes: i32,
}

impl<P> Steps<P> for Adjusted {
    fn send(&mut self, near: &mut End, _number: usize, bytes: &[u8]) {
        send_in_chunks(near, bytes);
    }

    fn arriving(&self, _number: usize, sent: &[u8]) -> Vec<u8> {
        let mut bytes = sent.to_vec();
        let len = u32::try_from(bytes.len()).expect("short");
        let adjusted = len.checked_add_signed(self.bytes).expect("it has them");
        bytes.resize(adjusted as usize, 0);
        if self.bytes > 0 {
            // As `tests/programs/adjust_tail.bpf.c` has it.
            let (_, last) = bytes.split_last_chunk_mut().expect("it is longer");
            *last = adjusted.to_be_bytes();
        }
        bytes
    }
}

fn adjust_tail(track: &Track, name: &'static str, bytes: i32, len_bytes: usize) {
    let mut near = End::bind(track, Side::Near);
    let mut loader = EbpfLoader::new();
    loader.override_global("adjust_bytes", &bytes, true);
    let program = OwnProgram::load_with(&mut loader, &Object::ADJUST_TAIL, name);
    let mut far = End::bind_own(track, Side::Far, program);
    let sent = frames_of(track, STREAM / 4, len_bytes);
    let (first, rest) = sent.split_first().expect("there are some");

    // The first one tells whether the driver can do it at all.
    send_in_chunks(&mut near, first);
    let arrived = take_one(&mut near, &mut far);
    let unsupported = far.steering.count(Outcome::Unsupported) > 0;
    let mut adjusted = Adjusted {
        bytes: if unsupported { 0 } else { bytes },
    };
    let expected = Steps::<OwnProgram>::arriving(&adjusted, 0, first);
    assert!(arrived == expected, "{} bytes arrived", arrived.len());
    exchange(&mut adjusted, &mut near, &mut far, rest);

    near.assert_settled();
    far.assert_settled();
    let count = sent.len() as u64;
    assert_eq!(far.steering.redirected(), count);
    assert_no_refusal(&far.steering, if unsupported { count } else { 0 });
    if unsupported {
        skipped("the driver cannot move the end of a frame: EOPNOTSUPP");
    }
}

/// Sends what waits, and takes one frame at the other end.
fn take_one(near: &mut End, far: &mut End<OwnProgram>) -> Vec<u8> {
    let mut arrived = None;
    wait_until("the first frame arrives", SOON, || {
        near.xsk.wake().expect("the interface is up");
        let bytes = |frame: Frame| frame.segments().flatten().copied().collect();
        arrived = far.xsk.receive(64).next().map(bytes);
        far.xsk.recycle();
        arrived.is_some()
    });
    arrived.expect("waited for")
}

/// Says that the kernel leaves a hole in this case, past the test runner's capture.
fn skipped(reason: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let _ = writeln!(std::io::stderr(), "\nSKIPPED {test}: {reason}");
}

#[track_caller]
fn assert_no_refusal(program: &OwnProgram, unsupported: u64) {
    let count = |outcome| program.count(outcome);
    let refused = (count(Outcome::Unsupported), count(Outcome::Refused));
    assert_eq!(refused, (unsupported, 0), "{program:?}");
}

/// A track with an MTU of 9000.
fn large(medium: Medium) -> Option<Track> {
    let options = TrackOptions {
        mtu: 9000,
        ..TrackOptions::default()
    };
    Track::with(medium, options)
}

/// The frame of this number and length.
fn numbered(flow: &UdpFlow, number: u64, len_bytes: usize) -> impl Iterator<Item = Vec<u8>> {
    flow.sequenced(1, len_bytes - 42, number..number + 1)
}

/// Sends a frame in as few chunks as hold it.
fn send_in_chunks(near: &mut End, bytes: &[u8]) {
    let mut parts = bytes.chunks(CHUNK);
    let mut frame = near.make(parts.next().expect("some bytes"));
    for part in parts {
        let end = near.make(part);
        frame.append(end).expect("a sensible end");
    }
    near.transmit(frame);
}

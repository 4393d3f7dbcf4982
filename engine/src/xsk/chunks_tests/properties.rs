//! What holds for frames in several chunks whatever is done with them.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::{CHUNKS, RING, USABLE, assert_all_returned, bytes, config};
use crate::memory::frame::{AppendError, Frame};
use crate::memory::{Umem, UmemConfig};
use crate::xsk::layouts::{any_addr, any_layout, chunk_of};
use crate::xsk::{SimulatedNic, TransmitError, Xsk};

fn queue_in(layout: &UmemConfig) -> (Umem, Xsk, SimulatedNic) {
    let umem = Umem::new(layout).expect("a small UMEM");
    let (queue, nic) = Xsk::simulated(&umem, &config()).expect("a simulated queue");
    (umem, queue, nic)
}

#[derive(Clone, Debug)]
enum Operation {
    /// A frame of so many bytes.
    Deliver(usize),
    /// One descriptor of a frame, and whether it is the last.
    DeliverPart(usize, bool),
    InjectDescriptor(u64, u32, u32),
    InjectCompletion(u64),
    Receive(u32),
    Send(usize),
    Append(usize),
    Shrink(usize, u32),
    Drop(usize),
    Detach(usize),
    Transmit(usize),
    Recycle,
}

fn operation() -> impl Strategy<Value = Operation> {
    let addr = || any_addr(CHUNKS);
    prop_oneof![
        4 => (14_usize..20_000).prop_map(Operation::Deliver),
        4 => (1_usize..USABLE, any::<bool>()).prop_map(|(len, last)| Operation::DeliverPart(len, last)),
        1 => (addr(), 0_u32..5000, 0_u32..4).prop_map(|(addr, len, options)| Operation::InjectDescriptor(addr, len, options)),
        1 => addr().prop_map(Operation::InjectCompletion),
        4 => (1_u32..16).prop_map(Operation::Receive),
        4 => any::<usize>().prop_map(Operation::Send),
        1 => any::<usize>().prop_map(Operation::Append),
        1 => (any::<usize>(), 1_u32..9000).prop_map(|(which, by)| Operation::Shrink(which, by)),
        1 => any::<usize>().prop_map(Operation::Drop),
        1 => any::<usize>().prop_map(Operation::Detach),
        3 => (1_usize..8).prop_map(Operation::Transmit),
        2 => Just(Operation::Recycle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the application and a lying kernel do with frames in several
    /// chunks: chunks are conserved, each is in one frame, and nobody panics.
    #[test]
    fn nothing_breaks_conservation(
        layout in any_layout(CHUNKS),
        operations in prop::collection::vec(operation(), 1..300),
    ) {
        let (umem, mut queue, mut nic) = queue_in(&layout);
        let mut frames: Vec<Frame> = Vec::new();
        let mut detached = Vec::new();

        for operation in operations {
            match operation {
                Operation::Deliver(len) => {
                    nic.deliver(&bytes(1, len));
                }
                Operation::DeliverPart(len, last) => {
                    nic.deliver_part(&bytes(2, len), u32::from(!last));
                }
                Operation::InjectDescriptor(addr, len, options) => {
                    nic.inject_descriptor(addr, len, options);
                }
                Operation::InjectCompletion(addr) => {
                    nic.inject_completion(addr);
                }
                Operation::Receive(max) => frames.extend(queue.receive(max)),
                Operation::Send(which) if !frames.is_empty() => {
                    let frame = frames.swap_remove(which % frames.len());
                    frames.extend(queue.transmit(frame).err().map(TransmitError::into_frame));
                }
                Operation::Append(which) if frames.len() > 1 => {
                    let end = frames.swap_remove(which % frames.len());
                    let to = which / 7 % frames.len();
                    let refused = frames[to].append(end).err();
                    frames.extend(refused.map(AppendError::into_frame));
                }
                Operation::Shrink(which, by) if !frames.is_empty() => {
                    let place = which % frames.len();
                    let total = frames[place].total_len();
                    prop_assert_eq!(frames[place].shrink_back(by).is_ok(), by <= total);
                }
                Operation::Drop(which) if !frames.is_empty() => {
                    frames.swap_remove(which % frames.len());
                }
                Operation::Detach(which) if !frames.is_empty() => {
                    detached.push(frames.swap_remove(which % frames.len()).detach());
                }
                Operation::Transmit(count) => {
                    queue.wake().expect("nothing to wake");
                    for _ in 0..count {
                        nic.transmitted();
                    }
                }
                Operation::Recycle => queue.recycle(),
                _ => detached.clear(),
            }
            prop_assert!(umem.audit().is_balanced(), "{:?}", umem.audit());
        }
        queue.rx().0.abandon();
        let held = frames.len() + detached.len();
        let audit = umem.audit();
        prop_assert_eq!((audit.application + audit.detached) as usize, held);
        let mut owned: Vec<_> = frames.iter().flat_map(Frame::segments).collect();
        owned.extend(detached.iter().flat_map(|frame| frame.segments()));
        let mut chunks: Vec<_> = owned.iter().map(|bytes| chunk_of(&umem, bytes)).collect();
        prop_assert_eq!(chunks.len(), held + audit.parts as usize);
        chunks.sort_unstable();
        chunks.dedup();
        prop_assert_eq!(chunks.len(), owned.len(), "a chunk is in one frame");
        drop(owned);
        drop((frames, detached));
        let audit = umem.audit();
        prop_assert_eq!((audit.application, audit.detached, audit.parts), (0, 0, 0));
    }

    /// An honest NIC, frames of all sizes, read in bites of all sizes: what goes
    /// in comes out, in order and intact.
    #[test]
    fn frames_of_all_sizes_pass_through_intact(
        layout in any_layout(CHUNKS),
        lengths in prop::collection::vec(prop_oneof![14_usize..200, 3800..3900_usize, 14..20_000_usize], 1..120),
        bite in 1_u32..20,
    ) {
        let (umem, mut queue, mut nic) = queue_in(&layout);
        let mut expected = VecDeque::new();
        let mut out = 0;
        let mut take = |queue: &mut Xsk, nic: &mut SimulatedNic, expected: &mut VecDeque<Vec<u8>>| {
            let (mut rx, mut tx) = queue.split();
            let room = tx.room();
            for frame in rx.receive(bite.min(room)) {
                tx.transmit(frame).expect("there was room");
            }
            queue.wake().expect("nothing to wake");
            while let Some(sent) = nic.transmitted() {
                assert_eq!(Some(sent), expected.pop_front(), "in order and intact");
                out += 1;
            }
            queue.recycle();
        };

        for (number, &len) in lengths.iter().enumerate() {
            let frame = bytes(number as u8, len);
            let mut tries = 0;
            while !nic.deliver(&frame) {
                take(&mut queue, &mut nic, &mut expected);
                tries += 1;
                prop_assert!(tries < 100, "it is stuck");
            }
            expected.push_back(frame);
        }
        for _ in 0..200 {
            take(&mut queue, &mut nic, &mut expected);
        }

        prop_assert_eq!(out, lengths.len());
        prop_assert_eq!(queue.violations(), 0);
        let (rx, tx) = queue.split();
        let total: usize = lengths.iter().sum();
        prop_assert_eq!((rx.counters().frames, rx.counters().bytes), (out as u64, total as u64));
        prop_assert_eq!((tx.counters().completed, tx.counters().bytes), (out as u64, total as u64));
        assert_all_returned(&umem);
        prop_assert_eq!(umem.audit().fill, RING);
    }
}

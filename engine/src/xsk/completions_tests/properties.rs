//! What holds for completions whatever a lying kernel does.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{CHUNKS, bytes_of, config, made};
use crate::memory::{Frame, Umem};
use crate::xsk::layouts::{any_addr, any_layout};
use crate::xsk::{CompletionQueue, Outcome, SimulatedNic, Xsk};

#[derive(Clone, Debug)]
enum Operation {
    Send,
    SendTagged(u64),
    /// The cookie, and the chunks of the frame.
    SendReturning(u64, usize),
    Publish,
    /// The kernel takes so many descriptors, and keeps them.
    Take(usize),
    /// It completes one of those that it has.
    Complete(usize),
    /// It completes one that it has completed before.
    Repeat(usize),
    Invent(u64),
    Recycle,
    /// The application reads so many.
    Read(usize),
    /// It sends one again that came back.
    Retransmit(u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    let cookie = || 0_u64..4;
    prop_oneof![
        1 => Just(Operation::Send),
        4 => cookie().prop_map(Operation::SendTagged),
        4 => (cookie(), 1_usize..5).prop_map(|(cookie, chunks)| Operation::SendReturning(cookie, chunks)),
        4 => Just(Operation::Publish),
        4 => (1_usize..8).prop_map(Operation::Take),
        6 => any::<usize>().prop_map(Operation::Complete),
        2 => any::<usize>().prop_map(Operation::Repeat),
        1 => any_addr(CHUNKS).prop_map(Operation::Invent),
        4 => Just(Operation::Recycle),
        3 => (1_usize..8).prop_map(Operation::Read),
        2 => cookie().prop_map(Operation::Retransmit),
    ]
}

/// An xsk, and what was sent on it.
struct World {
    umem: Umem,
    xsk: Xsk,
    nic: SimulatedNic,
    queue: CompletionQueue,
    /// How often each cookie was sent and not read.
    outstanding: BTreeMap<u64, i64>,
    taken: Vec<u64>,
    completed: Vec<u64>,
    returned: Vec<Frame>,
}

impl World {
    fn send(&mut self, frame: Frame, cookie: u64) {
        if self.xsk.transmit_returning(frame, cookie).is_ok() {
            *self.outstanding.entry(cookie).or_default() += 1;
        }
    }

    fn step(&mut self, operation: &Operation) {
        match *operation {
            Operation::Send => {
                if self.umem.audit().pool > 8 {
                    let _ = self.xsk.transmit(made(&self.umem, &[0; 40], 40));
                }
            }
            Operation::SendTagged(cookie) => {
                if self.umem.audit().pool > 8
                    && (self.xsk)
                        .transmit_tagged(made(&self.umem, &[1; 40], 40), cookie)
                        .is_ok()
                {
                    *self.outstanding.entry(cookie).or_default() += 1;
                }
            }
            Operation::SendReturning(cookie, chunks) => {
                if self.umem.audit().pool > 8 {
                    let byte = u8::try_from(cookie).expect("few");
                    let frame = made(&self.umem, &vec![byte; chunks * 20], 20);
                    self.send(frame, cookie);
                }
            }
            Operation::Publish => self.xsk.publish(),
            Operation::Take(most) => {
                let taken = std::iter::from_fn(|| self.nic.take_transmitted());
                self.taken.extend(taken.take(most));
            }
            Operation::Complete(which) => {
                if !self.taken.is_empty() {
                    let addr = self.taken.swap_remove(which % self.taken.len());
                    if self.nic.inject_completion(addr) {
                        self.completed.push(addr);
                    }
                }
            }
            Operation::Repeat(which) => {
                if !self.completed.is_empty() {
                    let addr = self.completed[which % self.completed.len()];
                    self.nic.inject_completion(addr);
                }
            }
            Operation::Invent(addr) => drop(self.nic.inject_completion(addr)),
            Operation::Recycle => self.xsk.recycle(),
            Operation::Read(most) => self.read(most),
            Operation::Retransmit(cookie) => {
                if let Some(frame) = self.returned.pop() {
                    self.send(frame, cookie);
                }
            }
        }
    }

    fn read(&mut self, most: usize) {
        let completions: Vec<_> = self.queue.completions().take(most).collect();
        for completion in completions {
            *self.outstanding.entry(completion.cookie).or_default() -= 1;
            self.returned.extend(completion.frame);
        }
    }

    fn check(&self) {
        let audit = self.umem.audit();
        assert!(audit.is_balanced(), "{audit:?}");
        let outstanding: i64 = self.outstanding.values().sum();
        let completions = self.queue.completions();
        let unread = i64::try_from(completions.len()).expect("few");
        let known = i64::from(completions.outstanding()) + unread;
        assert_eq!(known, outstanding);
        assert!(self.outstanding.values().all(|left| *left >= 0));
        // Whoever sent it, a frame in one piece has the same bytes throughout.
        for frame in &self.returned {
            let bytes = bytes_of(frame);
            assert!(bytes.iter().all(|byte| *byte == bytes[0]));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the kernel invents, repeats and withholds, every cookie is reported as
    /// often as it was used, no chunk has two owners, and nobody panics.
    #[test]
    fn every_cookie_is_reported_once(
        layout in any_layout(CHUNKS),
        operations in proptest::collection::vec(operation(), 1..200),
    ) {
        let umem = Umem::new(&layout).expect("a small UMEM");
        let (xsk, nic) = Xsk::simulated(&umem, &config()).expect("a simulated xsk");
        let queue = xsk.completion_queue();
        let mut world = World {
            umem,
            xsk,
            nic,
            queue,
            outstanding: BTreeMap::new(),
            taken: Vec::new(),
            completed: Vec::new(),
            returned: Vec::new(),
        };
        for operation in &operations {
            world.step(operation);
            world.check();
        }

        let World { umem, xsk, queue, mut outstanding, returned, nic, .. } = world;
        drop(xsk);
        let mut aborted = 0;
        for completion in queue.completions() {
            *outstanding.entry(completion.cookie).or_default() -= 1;
            aborted += u32::from(completion.outcome == Outcome::Aborted);
        }

        prop_assert!(outstanding.values().all(|left| *left == 0), "{outstanding:?}");
        prop_assert_eq!(queue.completions().outstanding(), 0);
        drop((returned, nic));
        let audit = umem.audit();
        prop_assert!(audit.is_balanced(), "{audit:?}, {aborted} aborted");
        prop_assert_eq!((audit.application, audit.parts, audit.transmit), (0, 0, 0));
    }
}

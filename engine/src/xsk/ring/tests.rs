//! The rings against a simple oracle: random operations of both sides on plain
//! memory, from indices on either side of the 2^32 wrap.

use std::collections::VecDeque;
use std::ptr::NonNull;

use proptest::prelude::*;

use super::atomic::{AtomicU32, Ordering, Slot};
use super::{Consumer, Full, Producer, RingMemory};

/// The memory of a ring, which outlives both sides in every test.
struct Memory {
    producer: AtomicU32,
    consumer: AtomicU32,
    flags: AtomicU32,
    slots: Box<[u64]>,
}

impl Memory {
    fn new(start: u32, capacity: u32) -> Self {
        Self {
            producer: AtomicU32::new(start),
            consumer: AtomicU32::new(start),
            flags: AtomicU32::new(0),
            slots: vec![0; capacity as usize].into_boxed_slice(),
        }
    }

    fn side(&mut self) -> RingMemory<u64> {
        let capacity = u32::try_from(self.slots.len()).expect("a small ring");
        let words = [
            NonNull::from(&self.producer),
            NonNull::from(&self.consumer),
            NonNull::from(&self.flags),
        ];
        let slots = NonNull::from(&mut *self.slots).cast::<Slot<u64>>();
        // SAFETY: every test keeps the memory until both sides are gone, and
        // takes each side once.
        unsafe { RingMemory::from_parts(words, slots, capacity) }
    }
}

#[derive(Clone, Debug)]
enum Operation {
    Push(u64),
    Retract,
    Publish,
    Look,
    Pop,
    Release,
    /// Each side maps the ring once more, and goes on there.
    Remap,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => any::<u64>().prop_map(Operation::Push),
        1 => Just(Operation::Retract),
        1 => Just(Operation::Publish),
        1 => Just(Operation::Look),
        4 => Just(Operation::Pop),
        1 => Just(Operation::Release),
        1 => Just(Operation::Remap),
    ]
}

/// What a ring of `capacity` does, without indices.
#[derive(Default)]
struct Oracle {
    unpublished: VecDeque<u64>,
    published: VecDeque<u64>,
    seen: usize,
    popped: usize,
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ring_does_what_the_oracle_does(
        start in prop_oneof![Just(0), any::<u32>(), (0_u32..40).prop_map(|before| u32::MAX - before)],
        shift in 0_u32..5,
        operations in prop::collection::vec(operation(), 1..400),
    ) {
        let capacity = 1 << shift;
        let mut memory = Memory::new(start, capacity);
        let mut producer = Producer::new(memory.side());
        let mut consumer = Consumer::new(memory.side());
        let mut oracle = Oracle::default();

        for operation in operations {
            match operation {
                Operation::Push(value) => {
                    let taken = oracle.unpublished.len() + oracle.published.len() + oracle.popped;
                    let expected = if taken < capacity as usize { Ok(()) } else { Err(Full) };
                    prop_assert_eq!(producer.push(value), expected);
                    if expected.is_ok() {
                        oracle.unpublished.push_back(value);
                    }
                }
                Operation::Retract => {
                    prop_assert_eq!(producer.retract(), oracle.unpublished.pop_back());
                }
                Operation::Publish => {
                    producer.publish();
                    oracle.published.append(&mut oracle.unpublished);
                }
                Operation::Look => {
                    oracle.seen = oracle.published.len();
                    prop_assert_eq!(consumer.available() as usize, oracle.seen);
                }
                Operation::Pop => {
                    let expected = if oracle.seen == 0 { None } else {
                        oracle.seen -= 1;
                        oracle.popped += 1;
                        oracle.published.pop_front()
                    };
                    prop_assert_eq!(consumer.pop(), expected);
                }
                Operation::Release => {
                    consumer.release();
                    oracle.popped = 0;
                }
                Operation::Remap => {
                    // SAFETY: it is the same memory, and outlives both sides.
                    let producing = unsafe { producer.remap(memory.side()) };
                    // SAFETY: as above.
                    let consuming = unsafe { consumer.remap(memory.side()) };
                    prop_assert!(producing && consuming);
                }
            }
            let unconsumed = oracle.published.len() + oracle.popped;
            prop_assert_eq!(producer.pending() as usize, unconsumed);
            let free = capacity as usize - unconsumed - oracle.unpublished.len();
            prop_assert_eq!(producer.free(capacity) as usize, free);
        }
        prop_assert_eq!(producer.faults() + consumer.faults(), 0);
    }

    #[test]
    fn consumer_never_trusts_a_senseless_producer_index(
        start in any::<u32>(),
        producer_index in any::<u32>(),
    ) {
        let mut memory = Memory::new(start, 8);
        let mut consumer = Consumer::new(memory.side());
        memory.producer.store(producer_index, Ordering::Release);

        let available = consumer.available();

        let claimed = producer_index.wrapping_sub(start);
        if claimed <= 8 {
            prop_assert_eq!((available, consumer.faults()), (claimed, 0));
        } else {
            prop_assert_eq!((available, consumer.faults()), (0, 1));
        }
    }

    #[test]
    fn producer_never_trusts_a_senseless_consumer_index(
        start in any::<u32>(),
        pushed in 0_u32..=8,
        consumer_index in any::<u32>(),
    ) {
        let mut memory = Memory::new(start, 8);
        let mut producer = Producer::new(memory.side());
        for value in 0..u64::from(pushed) {
            prop_assert_eq!(producer.push(value), Ok(()));
        }
        producer.publish();
        memory.consumer.store(consumer_index, Ordering::Release);

        let pending = producer.pending();

        let claimed = consumer_index.wrapping_sub(start);
        if claimed <= pushed {
            prop_assert_eq!((pending, producer.faults()), (pushed - claimed, 0));
        } else {
            prop_assert_eq!((pending, producer.faults()), (pushed, 1));
        }
    }
}

#[test]
fn entries_cross_the_wrap_in_order() {
    let start = u32::MAX - 1;
    let mut memory = Memory::new(start, 4);
    let mut producer = Producer::new(memory.side());
    let mut consumer = Consumer::new(memory.side());

    for value in [10, 11, 12, 13] {
        producer.push(value).expect("four slots");
    }
    assert_eq!(producer.push(14), Err(Full));
    producer.publish();
    assert_eq!(consumer.available(), 4);
    let read: Vec<_> = std::iter::from_fn(|| consumer.pop()).collect();

    assert_eq!(read, [10, 11, 12, 13]);
    let consumed = memory.consumer.load(Ordering::Relaxed);
    assert_eq!(consumed, start, "not released yet");
    consumer.release();
    assert_eq!(memory.consumer.load(Ordering::Relaxed), 2);
}

#[test]
fn memory_of_another_ring_is_not_taken_for_ours() {
    let mut memory = Memory::new(7, 4);
    let mut producer = Producer::new(memory.side());
    let mut consumer = Consumer::new(memory.side());
    let (mut elsewhere, mut larger) = (Memory::new(8, 4), Memory::new(7, 8));

    for other in [&mut elsewhere, &mut larger] {
        // SAFETY: it is not the same ring, which is noticed; it lives as long.
        assert!(!unsafe { producer.remap(other.side()) });
        // SAFETY: as above.
        assert!(!unsafe { consumer.remap(other.side()) });
    }

    producer.push(5).expect("a free slot");
    producer.publish();
    assert_eq!((consumer.available(), consumer.pop()), (1, Some(5)));
}

#[test]
fn unpublished_entries_stay_unseen() {
    let mut memory = Memory::new(0, 4);
    let mut producer = Producer::new(memory.side());
    let mut consumer = Consumer::new(memory.side());

    producer.push(1).expect("a free slot");

    assert_eq!(consumer.available(), 0);
    assert_eq!(consumer.pop(), None);
    producer.publish();
    assert_eq!(consumer.available(), 1);
}

#[test]
fn wake_up_flag_is_seen_by_the_producer() {
    let mut memory = Memory::new(0, 4);
    let producer = Producer::new(memory.side());
    let consumer = Consumer::<u64>::new(memory.side());

    assert!(!producer.wants_wakeup());
    consumer.ask_for_wakeup(true);
    assert!(producer.wants_wakeup());
}

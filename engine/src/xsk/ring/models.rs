//! Loom models: every interleaving of a producer and a consumer on one ring,
//! under the memory model, with slots that loom watches for races.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p wharf-xdp --release --lib models`.

use std::ptr::NonNull;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::atomic::{AtomicU32, Ordering, Slot, fence};
use super::{Consumer, Producer, RingMemory};
use crate::kernel::sys::if_xdp::XDP_RING_NEED_WAKEUP;

const CAPACITY: u32 = 2;

/// The memory of a ring, kept by both threads.
struct Memory {
    producer: AtomicU32,
    consumer: AtomicU32,
    flags: AtomicU32,
    slots: [Slot<u64>; CAPACITY as usize],
}

impl Memory {
    /// Indices start one entry before their wrap.
    fn new() -> Arc<Self> {
        Arc::new(Self {
            producer: AtomicU32::new(u32::MAX),
            consumer: AtomicU32::new(u32::MAX),
            flags: AtomicU32::new(0),
            slots: [Slot(UnsafeCell::new(0)), Slot(UnsafeCell::new(0))],
        })
    }

    fn side(&self) -> RingMemory<u64> {
        let words = [
            NonNull::from(&self.producer),
            NonNull::from(&self.consumer),
            NonNull::from(&self.flags),
        ];
        // SAFETY: each thread keeps the memory while it has its side, and takes
        // one side.
        unsafe { RingMemory::from_parts(words, NonNull::from(&self.slots).cast(), CAPACITY) }
    }
}

// SAFETY: the slots are shared by the ring's protocol, which the models check.
unsafe impl Sync for Memory {}
// SAFETY: as above.
unsafe impl Send for Memory {}

#[test]
fn models_entries_arrive_whole_and_in_order() {
    loom::model(|| {
        const COUNT: u64 = 3;
        let memory = Memory::new();
        let ours = Arc::clone(&memory);
        let producing = thread::spawn(move || {
            let mut producer = Producer::new(ours.side());
            for value in 1..=COUNT {
                while producer.push(value).is_err() {
                    thread::yield_now();
                }
                producer.publish();
            }
            producer.faults()
        });

        let mut consumer = Consumer::new(memory.side());
        let mut expected = 1;
        while expected <= COUNT {
            if consumer.available() == 0 {
                thread::yield_now();
            }
            while let Some(value) = consumer.pop() {
                assert_eq!(value, expected);
                expected += 1;
            }
            consumer.release();
        }

        assert_eq!(consumer.faults(), 0);
        assert_eq!(producing.join().expect("no panic"), 0);
    });
}

/// The kernel's side of `need_wakeup` sets the flag, then looks for work once
/// more before it goes to sleep. One of the two must see the other.
#[test]
fn models_wake_up_is_never_missed_by_both_sides() {
    loom::model(|| {
        let memory = Memory::new();
        let ours = Arc::clone(&memory);
        let producing = thread::spawn(move || {
            let mut producer = Producer::new(ours.side());
            producer.push(7).expect("an empty ring");
            producer.publish();
            producer.wants_wakeup()
        });

        memory.flags.store(XDP_RING_NEED_WAKEUP, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let mut consumer = Consumer::new(memory.side());
        let kernel_saw_work = consumer.available() > 0;

        let producer_wakes = producing.join().expect("no panic");
        assert!(kernel_saw_work || producer_wakes);
    });
}

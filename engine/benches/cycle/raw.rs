//! The loop that C programs write on libxdp, as `xdpsock`'s `l2fwd` does: copied
//! descriptors, addresses handed on unchecked. It is as fast as such a loop can
//! be, and nothing in it is safe.
#![expect(unsafe_code, reason = "raw descriptors are what it measures")]

use std::sync::atomic::{AtomicU32, Ordering};

use crate::loops::{Kind, LEN, Loop, RING};

pub(crate) const RAW: Kind = Kind::per_frame("raw", "raw_cycle", |_| Box::new(RawQueue::new(RING)));

#[inline(never)]
fn raw_cycle(queue: &mut RawQueue, batch: u32) -> u32 {
    queue.handle(batch)
}

impl Loop for RawQueue {
    fn serve(&mut self, batch: u32) {
        self.serve_kernel(batch, LEN);
    }

    fn cycle(&mut self, batch: u32) -> u32 {
        raw_cycle(self, batch)
    }
}

#[derive(Clone, Copy, Default)]
struct Descriptor {
    addr: u64,
    _len: u32,
    _options: u32,
}

/// A ring, with the cached indices of `struct xsk_ring_prod` and
/// `struct xsk_ring_cons` for each of its sides.
struct Ring<T> {
    producer: Box<AtomicU32>,
    consumer: Box<AtomicU32>,
    slots: Box<[T]>,
    mask: u32,
    cached_producer: u32,
    cached_consumer: u32,
}

impl<T: Copy + Default> Ring<T> {
    fn new(entries: u32) -> Self {
        Self {
            producer: Box::default(),
            consumer: Box::default(),
            slots: vec![T::default(); entries as usize].into(),
            mask: entries - 1,
            cached_producer: 0,
            cached_consumer: 0,
        }
    }

    /// `xsk_ring_prod__reserve`: the first of `count` free slots.
    #[inline]
    fn reserve(&mut self, count: u32) -> Option<u32> {
        let consumer = self.consumer.load(Ordering::Acquire);
        let free = self.mask + 1 - self.cached_producer.wrapping_sub(consumer);
        (free >= count).then(|| {
            let first = self.cached_producer;
            self.cached_producer = first.wrapping_add(count);
            first
        })
    }

    /// `xsk_ring_prod__submit`.
    #[inline]
    fn submit(&mut self) {
        self.producer.store(self.cached_producer, Ordering::Release);
    }

    /// `xsk_ring_cons__peek`: the first of up to `count` entries, and how many.
    #[inline]
    fn peek(&mut self, count: u32) -> (u32, u32) {
        let producer = self.producer.load(Ordering::Acquire);
        let first = self.cached_consumer;
        let ready = producer.wrapping_sub(first).min(count);
        self.cached_consumer = first.wrapping_add(ready);
        (first, ready)
    }

    /// `xsk_ring_cons__release`.
    #[inline]
    fn release(&mut self) {
        self.consumer.store(self.cached_consumer, Ordering::Release);
    }

    #[inline]
    fn read(&self, index: u32) -> T {
        // SAFETY: the mask keeps the index below the number of slots.
        unsafe { *self.slots.get_unchecked((index & self.mask) as usize) }
    }

    #[inline]
    fn write(&mut self, index: u32, entry: T) {
        // SAFETY: the mask keeps the index below the number of slots.
        *unsafe { self.slots.get_unchecked_mut((index & self.mask) as usize) } = entry;
    }
}

/// One queue's rings. Both sides use the same ring here, one after the other:
/// each index is cached by the one side that owns it.
struct RawQueue {
    fill: Ring<u64>,
    rx: Ring<Descriptor>,
    tx: Ring<Descriptor>,
    completion: Ring<u64>,
}

impl RawQueue {
    fn new(entries: u32) -> Self {
        let mut queue = Self {
            fill: Ring::new(entries),
            rx: Ring::new(entries),
            tx: Ring::new(entries),
            completion: Ring::new(entries),
        };
        let first = queue.fill.reserve(entries).expect("an empty ring");
        for chunk in 0..entries {
            queue.fill.write(first + chunk, u64::from(chunk) * 4096);
        }
        queue.fill.submit();
        queue
    }

    /// What is measured: completed chunks to the fill ring, received frames to
    /// the TX ring.
    #[inline]
    fn handle(&mut self, batch: u32) -> u32 {
        let (first, completed) = self.completion.peek(batch);
        if completed > 0 {
            let to = self
                .fill
                .reserve(completed)
                .expect("as many slots as chunks");
            for entry in 0..completed {
                let addr = self.completion.read(first.wrapping_add(entry));
                self.fill.write(to.wrapping_add(entry), addr & !4095);
            }
            self.fill.submit();
            self.completion.release();
        }
        let (first, received) = self.rx.peek(batch);
        if received > 0 {
            let to = self.tx.reserve(received).expect("as many slots as chunks");
            for entry in 0..received {
                let descriptor = std::hint::black_box(self.rx.read(first.wrapping_add(entry)));
                self.tx.write(to.wrapping_add(entry), descriptor);
            }
            self.tx.submit();
            self.rx.release();
        }
        received
    }

    /// The kernel's side, one frame at a time.
    fn serve_kernel(&mut self, batch: u32, len: u32) {
        let (first, sent) = self.tx.peek(batch);
        for entry in 0..sent {
            let to = self.completion.reserve(1).expect("as many slots as chunks");
            let addr = self.tx.read(first.wrapping_add(entry)).addr;
            self.completion.write(to, addr);
        }
        self.completion.submit();
        self.tx.release();
        let (first, lent) = self.fill.peek(batch);
        for entry in 0..lent {
            let to = self.rx.reserve(1).expect("as many slots as chunks");
            let addr = self.fill.read(first.wrapping_add(entry)) + 256;
            let descriptor = Descriptor {
                addr,
                _len: len,
                _options: 0,
            };
            self.rx.write(to, descriptor);
        }
        self.rx.submit();
        self.fill.release();
    }
}

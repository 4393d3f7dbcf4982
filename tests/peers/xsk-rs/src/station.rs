//! Wharf at its end of the link: the layer below the engine, in one hand.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wharf::{
    Attach, NicQueue, QueueIndex, RingCapacity, Steering, SteeringConfig, Umem, UmemConfig, Xsk,
    XskConfig,
};
use wharf_testbed::{Entered, Interface};

use crate::patience::Patience;

/// A Wharf queue on queue 0 of an interface, with frames steered to it.
///
/// Keeps its thread inside the interface's host.
#[derive(Debug)]
pub struct Station {
    /// Detached before the queue goes.
    steering: Steering,
    queue: Xsk,
    umem: Umem,
    _inside: Entered,
}

impl Station {
    /// # Panics
    ///
    /// When Wharf does not come up.
    #[must_use]
    pub fn open(interface: &Interface, attach: Attach) -> Self {
        let inside = interface.host().enter().expect("the host lives");
        let interface = wharf::Interface::by_name(interface.name()).expect("it exists");
        let mut steering = Steering::attach(&interface, attach, 1, &SteeringConfig::default())
            .expect("veth has XDP");
        let umem = Umem::new(&UmemConfig::new(CHUNKS)).expect("two megabytes");
        let config = XskConfig::new(RingCapacity::new(RING).expect("a power of two"));
        let index = QueueIndex::new(0).expect("zero is a queue");
        let (queue, _) = NicQueue::new(&umem, &interface, index)
            .bind(&config)
            .expect("it binds");
        steering.insert(&queue).expect("there is a slot");
        Self {
            steering,
            queue,
            umem,
            _inside: inside,
        }
    }

    /// Sends one frame, and is patient where a ring is full or no chunk free.
    ///
    /// # Panics
    ///
    /// When the kernel refuses, or does not come on.
    pub fn send(&mut self, bytes: &[u8]) {
        let patience = Patience::new("wharf has no free chunk to send from");
        let mut frame = loop {
            self.queue.recycle();
            match self.umem.allocate() {
                Some(frame) => break frame,
                None => self.flush(),
            }
            patience.check();
        };
        let len = u32::try_from(bytes.len()).expect("a frame is short");
        let room = frame.grow_back(len).expect("a chunk holds a frame");
        room.copy_from_slice(bytes);
        let patience = Patience::new("the TX ring of wharf stays full");
        while let Err(refused) = self.queue.transmit(frame) {
            frame = refused.into_frame();
            self.flush();
            self.queue.recycle();
            patience.check();
        }
    }

    /// Wakes the kernel to send what it was given.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    pub fn flush(&mut self) {
        self.queue.wake().expect("the interface stays");
    }

    /// Hands received frames to `look`, and gives their number. Waits for the
    /// first of them for up to `timeout`.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    pub fn receive(&mut self, timeout: Duration, mut look: impl FnMut(&[u8])) -> u64 {
        self.wait(timeout);
        let mut rx = self.queue.rx();
        let mut received = 0;
        for frame in rx.receive(BATCH) {
            look(&frame);
            received += 1;
        }
        self.queue.recycle();
        received
    }

    /// Sends received frames back where they came from, as they are but for the
    /// Ethernet addresses, and gives their number. Waits as `receive` does.
    ///
    /// # Panics
    ///
    /// When the kernel refuses, or the TX ring is full.
    pub fn reflect(&mut self, timeout: Duration) -> u64 {
        self.wait(timeout);
        let (mut rx, mut tx) = self.queue.split();
        let mut received = 0;
        for mut frame in rx.receive(BATCH) {
            frame.swap_mac_addresses();
            tx.transmit(frame)
                .expect("the window is smaller than the ring");
            received += 1;
        }
        self.flush();
        self.queue.recycle();
        received
    }

    /// Waits until the kernel is done with every frame sent, and demands that
    /// `received` frames came in, `sent` went out, no chunk is missing, and
    /// the kernel kept its contract.
    ///
    /// # Panics
    ///
    /// When that is not so.
    pub fn settle(mut self, received: u64, sent: u64) {
        let patience = Patience::new("frames of wharf are not completed");
        self.flush();
        while self.queue.tx().in_flight() > 0 {
            self.flush();
            self.queue.recycle();
            patience.pause();
        }
        let violations = self.queue.violations();
        let (rx, tx) = self.queue.split();
        assert_eq!(violations, 0, "the kernel broke its contract");
        assert_eq!((rx.counters().frames, rx.counters().invalid), (received, 0));
        let counters = tx.counters();
        assert_eq!((counters.frames, counters.completed), (sent, sent));
        assert_eq!((counters.dropped_by_kernel, counters.invalid), (0, 0));
        let steered = self.steering.counts(0).expect("there is a slot");
        assert_eq!((steered.redirected, steered.passed_no_xsk), (received, 0));
        let audit = self.umem.audit();
        assert!(audit.is_balanced(), "chunks are missing: {audit:?}");
        assert_eq!(audit.pool + audit.fill, CHUNKS, "{audit:?}");
    }

    /// Sleeps until frames are there, for up to `timeout`.
    fn wait(&mut self, timeout: Duration) {
        if !self.queue.rx().has_frames() {
            let socket = self.queue.socket().expect("a bound queue has one");
            let timeout = Timespec::try_from(timeout).expect("a short time");
            let mut readable = [PollFd::new(&socket, PollFlags::IN)];
            poll(&mut readable, Some(&timeout)).expect("the socket lives");
        }
    }
}

/// Entries of each ring; few, so that they wrap often.
const RING: u32 = 256;

/// Chunks: all that the fill ring holds, and as many to send from.
const CHUNKS: u32 = 2 * RING;

/// Frames taken at once.
const BATCH: u32 = 64;

//! xsk-rs behind a safe face, as far as the tests need one.
//!
//! xsk-rs leaves it to the caller that a chunk is at one place only: its
//! descriptors are `Copy`. Here each of them is moved between the pool, the
//! fill ring and the TX ring as if it were not.
#![expect(unsafe_code, reason = "receiving and sending with xsk-rs is unsafe")]

use std::fmt;
use std::io::Write;
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use wharf_testbed::{Entered, Interface};
use xsk_rs::config::{BindFlags, LibxdpFlags, QueueSize, SocketConfig, UmemConfig, XdpFlags};
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, Socket, TxQueue, Umem};

use crate::patience::Patience;

/// How the peer gets its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// libxdp attaches its own XDP program, in the driver.
    Libxdp,
    /// None, or somebody else's: the peer only sends until a program redirects
    /// frames to [`Peer::socket`].
    Foreign,
}

/// An xsk of xsk-rs on queue 0 of an interface.
///
/// It keeps its thread inside the interface's host, and stays on that thread:
/// libxdp detaches its program by the interface's index, whatever that names in
/// the namespace of the thread that closes the socket.
///
/// # Invariants
///
/// A chunk's descriptor is in `free`, or lent through the fill ring, or given to
/// the TX ring, and never in two of them.
pub struct Peer {
    tx: TxQueue,
    rx: RxQueue,
    fill: FillQueue,
    completion: CompQueue,
    umem: Umem,
    free: Vec<FrameDesc>,
    lent: usize,
    in_flight: usize,
    /// Where received, and where completed descriptors are put.
    received: Vec<FrameDesc>,
    completed: Vec<FrameDesc>,
    /// Last, so that the socket closes inside the host.
    _inside: Entered,
}

impl Peer {
    /// Binds an xsk in copy mode, which is all that veth has.
    ///
    /// # Errors
    ///
    /// What libxdp says, in words.
    ///
    /// # Panics
    ///
    /// When the host is gone, or there is no memory.
    pub fn open(interface: &Interface, program: Program) -> Result<Self, String> {
        let inside = interface.host().enter().expect("the host lives");
        let chunks = NonZeroU32::new(CHUNKS).expect("not zero");
        let ring = QueueSize::new(RING).expect("a power of two");
        let umem = UmemConfig::builder()
            .fill_queue_size(ring)
            .comp_queue_size(ring)
            .build()
            .expect("chunks of 4096 bytes");
        let (umem, free) = Umem::new(umem, chunks, false).expect("two megabytes");
        let name = interface.name().parse().expect("no zero byte");
        let mut config = SocketConfig::builder();
        config
            .rx_queue_size(ring)
            .tx_queue_size(ring)
            .xdp_flags(XdpFlags::XDP_FLAGS_DRV_MODE | XdpFlags::XDP_FLAGS_UPDATE_IF_NOEXIST)
            .bind_flags(BindFlags::XDP_COPY | BindFlags::XDP_USE_NEED_WAKEUP);
        if program == Program::Foreign {
            config.libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD);
        }
        // SAFETY: no other socket shares `umem`, so none can have its frames.
        let socket = unsafe { Socket::new(config.build(), &umem, &name, 0) };
        let (tx, rx, rings) = socket.map_err(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            format!("{error}: {}", source.unwrap_or_default())
        })?;
        let (fill, completion) = rings.expect("the first socket of a UMEM gets its rings");
        let mut peer = Self {
            tx,
            rx,
            fill,
            completion,
            umem,
            free,
            lent: 0,
            in_flight: 0,
            received: vec![FrameDesc::default(); BATCH],
            completed: vec![FrameDesc::default(); BATCH],
            _inside: inside,
        };
        peer.top_up();
        Ok(peer)
    }

    /// Sends one frame, and is patient where the ring is full.
    ///
    /// # Panics
    ///
    /// When the kernel refuses, or does not come on.
    pub fn send(&mut self, bytes: &[u8]) {
        let patience = Patience::new("xsk-rs has no free chunk to send from");
        let mut chunk = loop {
            self.complete();
            match self.free.pop() {
                Some(chunk) => break chunk,
                None => self.flush(),
            }
            patience.check();
        };
        {
            // SAFETY: `chunk` was free, so nobody else has it.
            let mut data = unsafe { self.umem.data_mut(&mut chunk) };
            let mut cursor = data.cursor();
            cursor.set_pos(0);
            cursor.write_all(bytes).expect("a chunk holds a frame");
        }
        self.give(chunk);
    }

    /// Hands received frames to `look`, which may change them, and gives their
    /// number. Waits for the first of them for up to `timeout`.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    pub fn receive(&mut self, timeout: Duration, mut look: impl FnMut(&[u8])) -> u64 {
        let received = self.take(timeout);
        for place in 0..received {
            let chunk = self.received[place];
            // SAFETY: the kernel has just given the chunk up, and nobody got it
            // from us.
            let data = unsafe { self.umem.data(&chunk) };
            look(data.contents());
            self.free.push(chunk);
        }
        self.top_up();
        received as u64
    }

    /// Sends received frames back where they came from, as they are but for the
    /// Ethernet addresses, and gives their number. Waits as `receive` does.
    ///
    /// # Panics
    ///
    /// When the kernel refuses, or does not come on.
    pub fn reflect(&mut self, timeout: Duration) -> u64 {
        let received = self.take(timeout);
        for place in 0..received {
            let mut chunk = self.received[place];
            {
                // SAFETY: as in `receive`.
                let mut data = unsafe { self.umem.data_mut(&mut chunk) };
                let (destination, rest) = data.contents_mut().split_at_mut(6);
                destination.swap_with_slice(&mut rest[..6]);
            }
            self.give(chunk);
        }
        self.flush();
        self.complete();
        self.top_up();
        received as u64
    }

    /// Wakes the kernel until it has taken all that it was given to send.
    ///
    /// # Panics
    ///
    /// When the kernel refuses, or does not come on.
    pub fn flush(&mut self) {
        let patience = Patience::new("the kernel does not send for xsk-rs");
        while self.tx.nb_free_exact() < RING && self.tx.needs_wakeup() {
            self.tx.wakeup().expect("the interface stays");
            patience.check();
        }
    }

    /// Waits until the kernel is done with every frame sent, and demands that
    /// no chunk is missing and the kernel found no fault.
    ///
    /// # Panics
    ///
    /// When that is not so.
    pub fn settle(&mut self) {
        let patience = Patience::new("frames of xsk-rs are not completed");
        while self.in_flight > 0 {
            self.flush();
            self.complete();
            patience.pause();
        }
        assert_eq!(self.free.len() + self.lent, CHUNKS as usize);
        let mut chunks: Vec<_> = self.free.iter().map(|chunk| chunk.addr() / 4096).collect();
        chunks.sort_unstable();
        chunks.dedup();
        assert_eq!(chunks.len(), self.free.len(), "a chunk is free twice");
        let statistics = self.rx.fd().xdp_statistics().expect("it is a socket");
        let faults = [
            statistics.rx_dropped(),
            statistics.rx_ring_full(),
            statistics.rx_invalid_descs(),
            statistics.tx_invalid_descs(),
        ];
        assert_eq!(faults, [0; 4], "{statistics:?}");
    }

    /// The socket, for somebody else's XSKMAP.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        let fd = self.rx.fd().as_raw_fd();
        // SAFETY: the socket is open for as long as `rx` lives.
        unsafe { BorrowedFd::borrow_raw(fd) }
    }

    /// Puts a chunk on the TX ring, which has room for it before long.
    fn give(&mut self, chunk: FrameDesc) {
        let patience = Patience::new("the TX ring of xsk-rs stays full");
        // SAFETY: the chunk is neither free nor lent, and of this UMEM.
        while unsafe { self.tx.produce_one(&chunk) } == 0 {
            self.flush();
            self.complete();
            patience.check();
        }
        self.in_flight += 1;
    }

    /// Fills `received` with received chunks, which are lent no more.
    fn take(&mut self, timeout: Duration) -> usize {
        // SAFETY: all that comes out of the ring is of this UMEM.
        let mut received = unsafe { self.rx.consume(&mut self.received) };
        if received == 0 {
            let millis = i32::try_from(timeout.as_millis()).expect("a short time");
            // SAFETY: as before.
            let polled = unsafe { self.rx.poll_and_consume(&mut self.received, millis) };
            received = polled.expect("the socket lives");
        }
        self.lent -= received;
        received
    }

    fn complete(&mut self) {
        // SAFETY: as in `take`.
        let completed = unsafe { self.completion.consume(&mut self.completed) };
        self.free.extend_from_slice(&self.completed[..completed]);
        self.in_flight -= completed;
    }

    fn top_up(&mut self) {
        let wanted = RING as usize - self.lent;
        let wanted = wanted.min(self.free.len());
        let chunks = self.free.split_off(self.free.len() - wanted);
        // SAFETY: the chunks were free and are of this UMEM.
        let lent = unsafe { self.fill.produce(&chunks) };
        // All or none.
        if lent == 0 {
            self.free.extend(chunks);
        }
        self.lent += lent;
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("free", &self.free.len())
            .field("lent", &self.lent)
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}

/// Entries of each ring; few, so that they wrap often.
const RING: u32 = 256;

/// Chunks: all that the fill ring holds, and as many to send from.
const CHUNKS: u32 = 2 * RING;

/// Frames taken at once.
const BATCH: usize = 64;

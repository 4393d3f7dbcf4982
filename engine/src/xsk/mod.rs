//! An AF_XDP socket from its creation to its bind: registration of the UMEM,
//! the four rings, and the mode it really got.
//!
//! A socket that fails to bind, other than because the queue is busy, is thrown
//! away with its registration: the kernel leaves flags of the failed attempt
//! behind on the UMEM (fixed in 6.12.117 and 7.3.4). It unpins the memory a
//! little later, so a registration that meets a limit is tried again.

mod error;
pub(crate) mod panic_gate;

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use error::XskError;

use crate::bind_report::CopyMode;
use crate::config::{QueueIndex, RingCapacity};
use crate::interface::Interface;
use crate::ring::{CompletionRing, FillRing, RxRing, TxRing};
use crate::sys::if_xdp::{self, RingOffset, SockaddrXdp, UmemReg};
use crate::sys::memory::Mapping;
use crate::sys::socket;
use crate::umem;
use error::bind_error;

/// Bytes of a frame beyond the MTU: an Ethernet header and one VLAN tag, which
/// is what the kernel forwards (`is_skb_forwardable`, `net/core/dev.c`).
pub(crate) const FRAME_OVERHEAD: u32 = 14 + 4;

/// How far a bind came before it failed.
pub(crate) enum BindFailure {
    /// The socket is not bound, and the kernel has nothing of its rings.
    Unbound(XskError),
    /// The socket was bound.
    Bound(XskError),
}

/// The four rings of a queue.
pub(crate) struct Rings {
    pub(crate) fill: FillRing,
    pub(crate) completion: CompletionRing,
    pub(crate) rx: RxRing,
    pub(crate) tx: TxRing,
}

/// A socket with its UMEM and rings, ready to be bound.
pub(crate) struct Xsk {
    fd: OwnedFd,
    /// The bound socket whose registration of the UMEM this one shares.
    shares_with: Option<Rc<OwnedFd>>,
    pub(crate) tx_budget: Option<u32>,
    pub(crate) send_buffer_bytes: u32,
}

impl Xsk {
    /// Opens a socket, registers the UMEM or shares a bound socket's
    /// registration, and maps the rings.
    ///
    /// Waits until `deadline` while memory of closed sockets is still pinned.
    pub(crate) fn open(
        umem: &umem::Shared,
        capacity: RingCapacity,
        deadline: Instant,
    ) -> Result<(Self, Rings), XskError> {
        let fd = socket::open().map_err(XskError::Open)?;
        let shares_with = umem.registrant();
        if shares_with.is_none() {
            let register = || register(&fd, umem);
            retry_while(libc::ENOBUFS, deadline, register).map_err(|source| {
                XskError::Register {
                    bytes: umem.geometry.len_bytes(),
                    source,
                }
            })?;
        }
        let entries = capacity.get();
        for (name, option) in [
            ("fill", if_xdp::XDP_UMEM_FILL_RING),
            ("completion", if_xdp::XDP_UMEM_COMPLETION_RING),
            ("RX", if_xdp::XDP_RX_RING),
            ("TX", if_xdp::XDP_TX_RING),
        ] {
            socket::create_ring(fd.as_fd(), option, entries).map_err(|source| XskError::Setup {
                operation: format!("create a {name} ring of {entries} entries"),
                source,
            })?;
        }
        let rings = map_rings(&fd, entries)?;
        let tx_budget = socket::set_tx_budget(fd.as_fd(), entries)
            .is_ok()
            .then_some(entries);
        let send_buffer_bytes = raise_send_buffer(&fd, entries, umem.geometry.chunk_size())?;
        let xsk = Self {
            fd,
            shares_with,
            tx_budget,
            send_buffer_bytes,
        };
        Ok((xsk, rings))
    }

    /// Binds the socket to a queue, and gives it with the mode it really got.
    ///
    /// Waits until `deadline` while the queue is busy: a socket that was closed
    /// holds its queue for another 20 to 55 ms (6.18), because the kernel tears
    /// it down later.
    pub(crate) fn bind(
        self,
        umem: &umem::Shared,
        interface: &Interface,
        queue: QueueIndex,
        mode: CopyMode,
        deadline: Instant,
    ) -> Result<(Rc<OwnedFd>, CopyMode), BindFailure> {
        let address = SockaddrXdp {
            family: if_xdp::AF_XDP,
            flags: match (&self.shares_with, mode) {
                // The mode and the wake-up flag are inherited; any other flag
                // beside this one is EINVAL.
                (Some(_), _) => if_xdp::XDP_SHARED_UMEM,
                (None, CopyMode::ZeroCopy) => if_xdp::XDP_ZEROCOPY | if_xdp::XDP_USE_NEED_WAKEUP,
                (None, CopyMode::Copy) => if_xdp::XDP_COPY | if_xdp::XDP_USE_NEED_WAKEUP,
            },
            ifindex: interface.index().get(),
            queue_id: queue.get(),
            shared_umem_fd: match &self.shares_with {
                Some(fd) => {
                    u32::try_from(fd.as_raw_fd()).expect("open descriptors are not negative")
                }
                None => 0,
            },
        };
        let started = Instant::now();
        let bind = || socket::bind(self.fd.as_fd(), &address);
        retry_while(libc::EBUSY, deadline, bind).map_err(|source| {
            let waited = started.elapsed();
            BindFailure::Unbound(bind_error(interface, queue, mode, source, waited))
        })?;
        let zero_copy = socket::is_zero_copy(self.fd.as_fd()).map_err(|source| {
            BindFailure::Bound(XskError::Setup {
                operation: "read back the mode (XDP_OPTIONS)".to_owned(),
                source,
            })
        })?;
        let got = if zero_copy {
            CopyMode::ZeroCopy
        } else {
            CopyMode::Copy
        };
        let fd = Rc::new(self.fd);
        umem.add_socket(&fd);
        Ok((fd, got))
    }
}

/// Tries again while the kernel says `errno`, in growing intervals, until
/// `deadline`.
fn retry_while(
    errno: i32,
    deadline: Instant,
    attempt: impl Fn() -> io::Result<()>,
) -> io::Result<()> {
    let mut pause = Duration::from_millis(2);
    loop {
        match attempt() {
            Err(error)
                if error.raw_os_error() == Some(errno) && Instant::now() + pause < deadline =>
            {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(100));
            }
            done => return done,
        }
    }
}

#[expect(unsafe_code, reason = "the kernel gets the UMEM to write to")]
fn register(fd: &OwnedFd, umem: &umem::Shared) -> io::Result<()> {
    let region = umem.region();
    let registration = UmemReg {
        addr: u64::try_from(region.start().as_ptr().addr()).expect("addresses fit 64 bits"),
        len: umem.geometry.len_bytes(),
        chunk_size: umem.geometry.chunk_size(),
        headroom: 0,
        flags: 0,
        tx_metadata_len: 0,
    };
    // SAFETY: a region hands out no references, and the ledger lets a `Frame`
    // exist only over chunks that are in no fill ring.
    unsafe { socket::register_umem(fd.as_fd(), &registration) }
}

fn map_rings(fd: &OwnedFd, entries: u32) -> Result<Rings, XskError> {
    let offsets = socket::mmap_offsets(fd.as_fd()).map_err(|source| XskError::Setup {
        operation: "read the ring offsets (XDP_MMAP_OFFSETS, Linux 5.4)".to_owned(),
        source,
    })?;
    Ok(Rings {
        fill: FillRing::new(map(
            fd,
            offsets.fill,
            entries,
            if_xdp::XDP_UMEM_PGOFF_FILL_RING,
        )?),
        completion: CompletionRing::new(map(
            fd,
            offsets.completion,
            entries,
            if_xdp::XDP_UMEM_PGOFF_COMPLETION_RING,
        )?),
        rx: RxRing::new(map(fd, offsets.rx, entries, if_xdp::XDP_PGOFF_RX_RING)?),
        tx: TxRing::new(map(fd, offsets.tx, entries, if_xdp::XDP_PGOFF_TX_RING)?),
    })
}

#[expect(
    unsafe_code,
    reason = "the mapping is a ring because the kernel says so"
)]
fn map<T: Copy>(
    fd: &OwnedFd,
    offset: RingOffset,
    entries: u32,
    page_offset: i64,
) -> Result<crate::ring::Shared<T>, XskError> {
    let failed = |source| XskError::Setup {
        operation: format!("map a ring of {entries} entries"),
        source,
    };
    let slots = u64::from(entries) * u64::try_from(size_of::<T>()).expect("entries are small");
    let len = offset
        .desc
        .checked_add(slots)
        .and_then(|len| usize::try_from(len).ok())
        .ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?;
    let mapping = Mapping::of_file(fd.as_fd(), len, page_offset).map_err(failed)?;
    // SAFETY: the kernel laid out this mapping as a ring of `T` (descriptors for
    // RX and TX, u64 for fill and completion: integers, valid for any bits), and
    // `open` takes each side once.
    unsafe { crate::ring::Shared::in_mapping(&Arc::new(mapping), offset, entries) }
        .ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))
}

/// Room for a ring of frames in flight. The kernel charges a frame with its
/// memory and the bookkeeping around it, about twice a chunk at the most
/// (`skb->truesize`); what it does not grant only means more wake-ups.
fn raise_send_buffer(fd: &OwnedFd, entries: u32, chunk_size: u32) -> Result<u32, XskError> {
    let bytes = i32::try_from(u64::from(entries) * u64::from(chunk_size)).unwrap_or(i32::MAX / 2);
    socket::set_send_buffer(fd.as_fd(), bytes.min(i32::MAX / 2)).map_err(|source| XskError::Setup {
        operation: "raise the send buffer (SO_SNDBUF)".to_owned(),
        source,
    })
}

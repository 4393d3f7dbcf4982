//! An AF_XDP socket from its creation to its bind: registration of the UMEM,
//! the four rings, and the mode it really got.
//!
//! A socket that fails to bind, other than because the queue is busy, is thrown
//! away with its registration: the kernel leaves flags of the failed attempt
//! behind on the UMEM (fixed in 6.12.117 and 7.3.4). It unpins the memory a
//! little later, so a registration that meets a limit is tried again.
//!
//! A queue may have several xsks. The first brings the fill and the completion
//! ring, the others use those and have an RX and a TX ring only
//! ([`Socket::open_sharer`]). Closing a descriptor closes a socket only when no ring
//! is mapped through it any more, so as an xsk goes, the two shared rings are
//! mapped through one that stays ([`remap_fill`], [`remap_completion`]).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::error::{XskError, XskErrorKind, bind_error};
use super::rings::{Rings, create_ring, map_completion, map_fill, map_own_rings, ring_offsets};
use super::target::Target;
use crate::kernel::CopyMode;
use crate::kernel::interface::Interface;
use crate::kernel::sys::if_xdp::{self, UmemReg};
use crate::kernel::sys::socket::{self, BindAddress};
use crate::kernel::{FRAME_OVERHEAD, QueueIndex, RingCapacity, XDP_PACKET_HEADROOM};
use crate::memory;
use crate::xsk::ring::{CompletionRing, FillRing, RxRing, TxRing};

/// How far a bind came before it failed.
pub(crate) enum BindFailure {
    /// The socket is not bound, and the kernel has nothing of its rings.
    Unbound(XskErrorKind),
    /// The socket was bound.
    Bound(XskErrorKind),
}

/// Whose registration of the UMEM a socket uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registration {
    /// That of the bound sockets, or the first one.
    Shared,
    /// One of its own, which pins the memory once more, for a mode that the others do
    /// not have.
    Own,
}

/// A socket with its UMEM and rings, ready to be bound.
pub(crate) struct Socket {
    fd: OwnedFd,
    /// The bound sockets whose registration of the UMEM this one can share.
    shares_with: Vec<Rc<OwnedFd>>,
    registration: Registration,
    pub(crate) tx_budget: Option<u32>,
    pub(crate) send_buffer_bytes: u32,
}

impl Socket {
    /// Opens a socket, registers the UMEM or shares a bound socket's
    /// registration, and maps the rings. The fill and the completion ring have
    /// `shared_entries`, a power of two.
    ///
    /// Waits until `deadline` while memory of closed sockets is still pinned.
    pub(crate) fn open(
        umem: &memory::UmemState,
        interface: &Interface,
        registration: Registration,
        capacity: RingCapacity,
        shared_entries: u32,
        deadline: Instant,
    ) -> Result<(Self, Rings), XskErrorKind> {
        let fd = interface.open_xsk().map_err(XskErrorKind::Open)?;
        let shares_with = match registration {
            Registration::Shared => umem.registrants(),
            Registration::Own => Vec::new(),
        };
        if shares_with.is_empty() {
            let register = || register(&fd, umem);
            retry_while(libc::ENOBUFS, deadline, register).map_err(|source| {
                XskErrorKind::Register {
                    bytes: umem.geometry.len_bytes(),
                    source,
                }
            })?;
        }
        let entries = capacity.get();
        for (name, option, entries) in [
            ("fill", if_xdp::XDP_UMEM_FILL_RING, shared_entries),
            (
                "completion",
                if_xdp::XDP_UMEM_COMPLETION_RING,
                shared_entries,
            ),
            ("RX", if_xdp::XDP_RX_RING, entries),
            ("TX", if_xdp::XDP_TX_RING, entries),
        ] {
            create_ring(&fd, name, option, entries)?;
        }
        let offsets = ring_offsets(&fd)?;
        let (rx, tx) = map_own_rings(&fd, &offsets, entries)?;
        let rings = Rings {
            fill: map_fill(&fd, &offsets, shared_entries).map(FillRing::new)?,
            completion: map_completion(&fd, &offsets, shared_entries).map(CompletionRing::new)?,
            rx,
            tx,
        };
        let socket = Self {
            registration,
            ..Self::equip(fd, shares_with, umem, entries)?
        };
        Ok((socket, rings))
    }

    /// Opens a socket that is to share the queue of the bound socket `first`, and
    /// maps its rings.
    pub(crate) fn open_sharer(
        umem: &memory::UmemState,
        first: &Rc<OwnedFd>,
        capacity: RingCapacity,
    ) -> Result<(Self, (RxRing, TxRing)), XskErrorKind> {
        let fd = socket::open().map_err(XskErrorKind::Open)?;
        let entries = capacity.get();
        create_ring(&fd, "RX", if_xdp::XDP_RX_RING, entries)?;
        create_ring(&fd, "TX", if_xdp::XDP_TX_RING, entries)?;
        let rings = map_own_rings(&fd, &ring_offsets(&fd)?, entries)?;
        let xsk = Self::equip(fd, vec![Rc::clone(first)], umem, entries)?;
        Ok((xsk, rings))
    }

    fn equip(
        fd: OwnedFd,
        shares_with: Vec<Rc<OwnedFd>>,
        umem: &memory::UmemState,
        entries: u32,
    ) -> Result<Self, XskErrorKind> {
        let tx_budget = socket::set_tx_budget(fd.as_fd(), entries)
            .is_ok()
            .then_some(entries);
        let send_buffer_bytes = raise_send_buffer(&fd, entries, umem.geometry.chunk_size())?;
        Ok(Self {
            fd,
            shares_with,
            tx_budget,
            send_buffer_bytes,
            registration: Registration::Shared,
        })
    }

    /// Binds the socket to a queue, and returns it with the mode it really got.
    ///
    /// Waits until `deadline` while the queue is busy: a socket that was closed
    /// holds its queue for another 20 to 55 ms (6.18), because the kernel tears
    /// it down later.
    pub(crate) fn bind(
        self,
        umem: &memory::UmemState,
        target: &Target<'_>,
        deadline: Instant,
    ) -> Result<(Rc<OwnedFd>, CopyMode), BindFailure> {
        let Target {
            interface, queue, ..
        } = *target;
        let address = |flags, shared_umem| BindAddress {
            flags,
            ifindex: interface.index().get(),
            queue_id: queue.get(),
            shared_umem,
        };
        let started = Instant::now();
        let bind = || {
            let mut outcome = None;
            for sharer in &self.shares_with {
                // All else is inherited, and any other flag beside this one is
                // EINVAL.
                let address = address(if_xdp::XDP_SHARED_UMEM, Some(sharer.as_fd()));
                match socket::bind(self.fd.as_fd(), &address) {
                    // The interface of that one is gone.
                    Err(error) if error.raw_os_error() == Some(libc::EBADF) => {
                        outcome = Some(Err(error));
                    }
                    done => return done,
                }
            }
            outcome.unwrap_or_else(|| socket::bind(self.fd.as_fd(), &address(target.flags(), None)))
        };
        retry_while(libc::EBUSY, deadline, bind).map_err(|source| {
            let waited = started.elapsed();
            let largest = umem.geometry.receivable().saturating_sub(FRAME_OVERHEAD);
            BindFailure::Unbound(bind_error(target, source, waited, largest))
        })?;
        let got = mode_of(&self.fd).map_err(BindFailure::Bound)?;
        let fd = Rc::new(self.fd);
        if self.registration == Registration::Shared {
            umem.add_socket(&fd, interface.index().get(), queue);
        }
        Ok((fd, got))
    }

    /// Binds a [sharer](Self::open_sharer) to the queue of the socket it shares
    /// with. A queue that has a socket of ours is never busy.
    pub(crate) fn bind_sharer(
        self,
        umem: &memory::UmemState,
        interface: &Interface,
        queue: QueueIndex,
    ) -> Result<Rc<OwnedFd>, XskErrorKind> {
        let first = self.shares_with.first().expect("a sharer shares");
        let address = BindAddress {
            flags: if_xdp::XDP_SHARED_UMEM,
            ifindex: interface.index().get(),
            queue_id: queue.get(),
            shared_umem: Some(first.as_fd()),
        };
        socket::bind(self.fd.as_fd(), &address).map_err(XskErrorKind::Share)?;
        let fd = Rc::new(self.fd);
        umem.add_socket(&fd, interface.index().get(), queue);
        Ok(fd)
    }
}

/// Whether the kernel has AF_XDP at all, and the calling thread may use it.
pub(crate) fn check_kernel() -> Result<(), XskError> {
    let opened = socket::open().map(drop);
    opened.map_err(|error| XskErrorKind::Open(error).at("any interface", None))
}

/// The mode that a bound socket really got, which those that share its
/// registration of the UMEM inherit.
pub(crate) fn mode_of(socket: &OwnedFd) -> Result<CopyMode, XskErrorKind> {
    let zero_copy = socket::is_zero_copy(socket.as_fd()).map_err(|source| XskErrorKind::Setup {
        operation: "read back the mode (XDP_OPTIONS)".to_owned(),
        source,
    })?;
    Ok(if zero_copy {
        CopyMode::ZeroCopy
    } else {
        CopyMode::Copy
    })
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
fn register(fd: &OwnedFd, umem: &memory::UmemState) -> io::Result<()> {
    let region = umem.region();
    let registration = UmemReg {
        addr: u64::try_from(region.start().as_ptr().expose_provenance())
            .expect("addresses fit 64 bits"),
        len: umem.geometry.len_bytes(),
        chunk_size: umem.geometry.chunk_size(),
        headroom: umem.geometry.front() - XDP_PACKET_HEADROOM,
        flags: if umem.geometry.is_unaligned() {
            if_xdp::XDP_UMEM_UNALIGNED_CHUNK_FLAG
        } else {
            0
        },
        tx_metadata_len: 0,
    };
    // SAFETY: a region hands out no references, and the ledger lets a `Frame`
    // exist only over chunks that are in no fill ring.
    unsafe { socket::register_umem(fd.as_fd(), &registration) }
}

/// Room for a ring of frames in flight. The kernel charges a frame with its
/// memory and the bookkeeping around it, about twice a chunk at the most
/// (`skb->truesize`); what it does not grant only means more wake-ups.
fn raise_send_buffer(fd: &OwnedFd, entries: u32, chunk_size: u32) -> Result<u32, XskErrorKind> {
    let bytes = i32::try_from(u64::from(entries) * u64::from(chunk_size)).unwrap_or(i32::MAX / 2);
    socket::set_send_buffer(fd.as_fd(), bytes.min(i32::MAX / 2)).map_err(|source| {
        XskErrorKind::Setup {
            operation: "raise the send buffer (SO_SNDBUF)".to_owned(),
            source,
        }
    })
}

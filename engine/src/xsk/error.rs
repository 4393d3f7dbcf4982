//! Why a queue could not be bound, in words that say what to do.

use std::io;
use std::time::Duration;

use thiserror::Error;

use super::FRAME_OVERHEAD;
use crate::bind_report::CopyMode;
use crate::config::QueueIndex;
use crate::interface::Interface;

/// A queue could not be bound.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum XskError {
    /// The socket could not be opened.
    #[error("cannot open an AF_XDP socket: {}", open_remedy(.0))]
    Open(#[source] io::Error),
    /// The kernel did not take the UMEM.
    #[error("cannot register a UMEM of {bytes} bytes: {}", register_remedy(.source))]
    Register {
        /// Bytes of the UMEM.
        bytes: u64,
        /// The kernel's error.
        source: io::Error,
    },
    /// A socket option failed.
    #[error("cannot {operation} ({source}); ask for a smaller ring if memory is short")]
    Setup {
        /// What was tried.
        operation: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// The interface is administratively down.
    #[error("interface `{interface}` is down: bring it up with `ip link set {interface} up`")]
    InterfaceDown {
        /// The interface.
        interface: String,
    },
    /// The interface has no such queue.
    #[error("interface `{interface}` has no queue {queue}: it has {queues}, counted from 0")]
    NoSuchQueue {
        /// The interface.
        interface: String,
        /// The queue asked for.
        queue: u32,
        /// Queues the interface has.
        queues: u32,
    },
    /// Frames of the interface may be longer than a chunk holds.
    #[error(
        "interface `{interface}` has an MTU of {mtu}, whose frames of up to {frame} bytes do not fit a chunk of \
         {chunk} bytes, which holds {usable}: lower the MTU to {} or raise the chunk size (at most the page size)",
        usable.saturating_sub(FRAME_OVERHEAD)
    )]
    MtuTooLarge {
        /// The interface.
        interface: String,
        /// Its MTU in bytes.
        mtu: u32,
        /// The longest frame in bytes.
        frame: u32,
        /// The chunk size in bytes.
        chunk: u32,
        /// Bytes of a chunk that a frame can use.
        usable: u32,
    },
    /// The UMEM is bound to the queue already.
    #[error(
        "queue {queue} of `{interface}` is bound to this UMEM already: get one more xsk of it with `Queue::share`, \
         or drop the ones it has"
    )]
    BoundAlready {
        /// The interface.
        interface: String,
        /// The queue.
        queue: QueueIndex,
    },
    /// The queue has as many xsks as it was bound for.
    #[error(
        "queue {queue} of `{interface}` has the {xsks} xsk(s) it was bound for: bind it for more \
         (`QueueConfig::xsks`), so that its completion ring holds the frames of all"
    )]
    NoMoreXsks {
        /// The interface.
        interface: String,
        /// The queue.
        queue: QueueIndex,
        /// The xsks it was bound for.
        xsks: u8,
    },
    /// One more xsk could not be bound to a queue.
    #[error("cannot bind one more xsk to queue {queue} of `{interface}`: {source}")]
    Share {
        /// The interface.
        interface: String,
        /// The queue.
        queue: QueueIndex,
        /// The kernel's error.
        source: io::Error,
    },
    /// A simulated queue was to be shared with the kernel, or with the NIC of
    /// another queue.
    #[error("a simulated queue is shared on its own NIC: use that one's `SimulatedNic::share`")]
    Simulated,
    /// Another socket is bound to the queue.
    #[error(
        "queue {queue} of `{interface}` is taken by another AF_XDP socket (still busy after {waited:?}): \
         stop the program that uses it, or choose other queues"
    )]
    QueueTaken {
        /// The interface.
        interface: String,
        /// The queue.
        queue: QueueIndex,
        /// How long we tried.
        waited: Duration,
    },
    /// Zero copy was demanded and is not to be had.
    #[error(
        "zero copy is not available on queue {queue} of `{interface}` ({reason}): \
         use mode auto or copy, or a NIC whose driver supports it"
    )]
    NoZeroCopy {
        /// The interface.
        interface: String,
        /// The queue.
        queue: QueueIndex,
        /// What the kernel said, in words.
        reason: String,
    },
    /// The bind failed for another reason.
    #[error("cannot bind queue {queue} of `{interface}` in {} mode: {source}", mode.label())]
    Bind {
        /// The interface.
        interface: String,
        /// The queue.
        queue: QueueIndex,
        /// The mode that was tried.
        mode: CopyMode,
        /// The kernel's error.
        source: io::Error,
    },
    /// The queue got another mode than was demanded.
    #[error(
        "queue {queue} of `{interface}` got {} mode, because queues that share a UMEM share the first one's mode: \
         ask for mode auto, or use a UMEM of its own",
        got.label()
    )]
    SharedMode {
        /// The interface.
        interface: String,
        /// The queue.
        queue: QueueIndex,
        /// The mode it got.
        got: CopyMode,
    },
    /// This kernel panics on what would be sent.
    #[error(
        "Linux {release} panics when frames sent in copy mode reach a stack on the same machine, as from `{interface}`: \
         use Linux 6.18 or later, or 6.15 or earlier, or accept the risk (`wharf forward --risk-kernel-panic`, in code `KnownPanics::Risk`)"
    )]
    KernelPanics {
        /// The interface.
        interface: String,
        /// The kernel's release.
        release: String,
    },
    /// 255 xsks have shared the UMEM already.
    #[error("the UMEM has been bound to 255 xsks already: use another UMEM")]
    TooManyQueues,
}

/// What a failed bind means.
pub(super) fn bind_error(
    interface: &Interface,
    queue: QueueIndex,
    mode: CopyMode,
    source: io::Error,
    waited: Duration,
) -> XskError {
    let name = interface.name().to_owned();
    match (source.raw_os_error(), mode) {
        (Some(libc::EBUSY), _) => XskError::QueueTaken {
            interface: name,
            queue,
            waited,
        },
        // No interface, or a socket that cannot lend its UMEM: not the mode.
        (Some(libc::ENODEV | libc::EBADF), _) | (_, CopyMode::Copy) => XskError::Bind {
            interface: name,
            queue,
            mode,
            source,
        },
        // Drivers refuse with what they like (virtio_net with ENOENT, for one),
        // and the kernel's own choice falls back on anything as well.
        (errno, CopyMode::ZeroCopy) => XskError::NoZeroCopy {
            interface: name,
            queue,
            reason: match errno {
                Some(libc::EOPNOTSUPP) => "the driver does not support it".to_owned(),
                Some(libc::EINVAL) => "the driver refused this MTU, chunk size or queue".to_owned(),
                _ => format!("the driver refused: {source}"),
            },
        },
    }
}

fn open_remedy(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM) => "CAP_NET_RAW is missing; run as root".to_owned(),
        Some(libc::EAFNOSUPPORT) => {
            "this kernel is built without AF_XDP (CONFIG_XDP_SOCKETS)".to_owned()
        }
        _ => error.to_string(),
    }
}

fn register_remedy(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOBUFS) => {
            "the user's locked-memory limit is exhausted (RLIMIT_MEMLOCK); grant \
                                CAP_IPC_LOCK, raise `ulimit -l`, or ask for fewer frames"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

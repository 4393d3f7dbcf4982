//! Why a queue could not be bound, in words that say what to do.

use std::io;
use std::time::Duration;

use thiserror::Error;

use super::socket::Target;
use crate::kernel::CopyMode;
use crate::kernel::FRAME_OVERHEAD;
use crate::kernel::QueueIndex;

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
        "interface `{interface}` has an MTU of {mtu}, whose frames of up to {frame} bytes do not fit {} of \
         {chunk} bytes, which hold{} {usable}: lower the MTU to {}{} or raise the chunk size (at most the page size)",
        if *chunks == 1 { "a chunk".to_owned() } else { format!("{chunks} chunks") },
        if *chunks == 1 { "s" } else { "" },
        usable.saturating_sub(FRAME_OVERHEAD),
        if *chunks == 1 { ", allow frames in several chunks (multi-buffer auto)," } else { "" },
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
        /// The most chunks that a frame may have.
        chunks: u32,
        /// Bytes of those that a frame can use.
        usable: u32,
    },
    /// The kernel does not take frames in several chunks.
    #[error(
        "this kernel takes no frames in several chunks (XDP_USE_SG, Linux 6.6), for which `{interface}` was to be \
         bound: lower the MTU of each interface to {largest} or less, or raise the chunk size (at most the page size)"
    )]
    NoMultiBuffer {
        /// The interface.
        interface: String,
        /// The largest MTU whose frames fit a chunk.
        largest: u32,
    },
    /// The frames of an interface need several chunks, and the UMEM was bound
    /// first for frames in one.
    #[error(
        "interface `{interface}` has an MTU of {mtu}, whose frames need several chunks, and the first queue of the \
         UMEM was bound for frames in one: bind that with `MultiBuffer::Always`, or this one first"
    )]
    SharedOneChunk {
        /// The interface.
        interface: String,
        /// Its MTU in bytes.
        mtu: u32,
    },
    /// The UMEM is bound to the queue already.
    #[error(
        "queue {queue} of `{interface}` is bound to this UMEM already: get one more xsk of it with `Xsk::share`, \
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
         (`XskConfig::xsks`), so that its completion ring holds the frames of all"
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
         stop the program that uses it, or choose other queues; a closed socket keeps its queue while its rings are \
         mapped or frames it sent are queued elsewhere"
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
    /// The UMEM cannot be shared with the queue.
    #[error(
        "cannot bind queue {queue} of `{interface}`: the interfaces of the queues that have the UMEM are gone: drop \
         those queues first, or use another UMEM"
    )]
    RegistrantsGone {
        /// The interface.
        interface: String,
        /// The queue.
        queue: QueueIndex,
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

/// What a failed bind means. `largest` is the largest MTU that fits a chunk.
pub(super) fn bind_error(
    target: &Target<'_>,
    source: io::Error,
    waited: Duration,
    largest: u32,
) -> XskError {
    let Target {
        interface,
        queue,
        mode,
        multi_buffer,
    } = *target;
    let name = interface.name().to_owned();
    match (source.raw_os_error(), mode) {
        // All else that gives this has been checked before.
        (Some(libc::EINVAL), CopyMode::Copy) if multi_buffer => XskError::NoMultiBuffer {
            interface: name,
            largest,
        },
        (Some(libc::EBUSY), _) => XskError::QueueTaken {
            interface: name,
            queue,
            waited,
        },
        // Every socket that could lend the UMEM is bound no more.
        (Some(libc::EBADF), _) => XskError::RegistrantsGone {
            interface: name,
            queue,
        },
        // No interface: not the mode.
        (Some(libc::ENODEV), _) | (_, CopyMode::Copy) => XskError::Bind {
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
                Some(libc::EOPNOTSUPP) if multi_buffer => {
                    "the driver does not support it, or not for frames in several chunks".to_owned()
                }
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
            "this kernel has no AF_XDP: use Linux 5.9 or later with CONFIG_XDP_SOCKETS=y".to_owned()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::interface::Interface;

    fn failure(mode: CopyMode, multi_buffer: bool, errno: i32) -> XskError {
        let loopback = Interface::by_name("lo").expect("it is everywhere");
        let target = Target {
            interface: &loopback,
            queue: QueueIndex::new(0).expect("zero is a queue"),
            mode,
            multi_buffer,
        };
        let source = io::Error::from_raw_os_error(errno);
        bind_error(&target, source, Duration::ZERO, 3822)
    }

    #[test]
    fn kernel_without_frames_in_several_chunks_is_named_with_the_mtu_that_works() {
        let error = failure(CopyMode::Copy, true, libc::EINVAL);

        assert!(matches!(error, XskError::NoMultiBuffer { .. }));
        let text = error.to_string();
        assert!(text.contains("Linux 6.6") && text.contains("to 3822 or less"));
        let error = failure(CopyMode::Copy, false, libc::EINVAL);
        assert!(matches!(error, XskError::Bind { .. }));
    }

    #[test]
    fn driver_without_frames_in_several_chunks_is_left_for_copy_mode() {
        for errno in [libc::EOPNOTSUPP, libc::EINVAL] {
            let error = failure(CopyMode::ZeroCopy, true, errno);

            assert!(matches!(error, XskError::NoZeroCopy { .. }), "{error}");
        }
    }
}

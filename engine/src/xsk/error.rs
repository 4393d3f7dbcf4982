//! Why an xsk could not be had, in words that say what to do.

use std::fmt;
use std::io;
use std::time::Duration;

use super::target::Target;
use crate::kernel::interface::InterfaceError;
use crate::kernel::{CopyMode, FRAME_OVERHEAD, KernelCall, QueueIndex, explain_refusal};
use crate::memory::{LimitsError, UmemError};

/// An xsk could not be had: on which interface and queue, and why. Its message is one
/// line that says what to do.
#[derive(Debug)]
pub struct XskError {
    interface: String,
    queue: Option<QueueIndex>,
    kind: XskErrorKind,
}

/// Why an xsk could not be had.
#[derive(Debug)]
#[non_exhaustive]
pub enum XskErrorKind {
    /// The socket could not be opened.
    Open(io::Error),
    /// The kernel did not take the UMEM.
    #[non_exhaustive]
    Register {
        /// Bytes of the UMEM.
        bytes: u64,
        /// The kernel's error.
        source: io::Error,
    },
    /// A socket option failed.
    #[non_exhaustive]
    Setup {
        /// What was tried.
        operation: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// The interface cannot be looked at.
    Interface(InterfaceError),
    /// There is no memory for the rings of a simulated xsk.
    Memory(UmemError),
    /// The interface is administratively down.
    InterfaceDown,
    /// The interface has no such queue.
    #[non_exhaustive]
    NoSuchQueue {
        /// Queues the interface has.
        queues: u32,
    },
    /// Frames of the interface may be longer than a chunk holds.
    #[non_exhaustive]
    MtuTooLarge {
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
    #[non_exhaustive]
    NoMultiBuffer {
        /// The largest MTU whose frames fit a chunk.
        largest: u32,
    },
    /// The frames of the interface need several chunks, and the UMEM was bound
    /// first for frames in one.
    #[non_exhaustive]
    SharedOneChunk {
        /// Its MTU in bytes.
        mtu: u32,
    },
    /// The UMEM is bound to the queue already.
    BoundAlready,
    /// The queue has no xsk to share it with.
    NotBound,
    /// The queue has as many xsks as it was bound for.
    #[non_exhaustive]
    NoMoreXsks {
        /// The xsks it was bound for.
        xsks: u8,
    },
    /// One more xsk could not be bound to the queue.
    Share(io::Error),
    /// Another socket is bound to the queue.
    #[non_exhaustive]
    QueueTaken {
        /// How long we tried.
        waited: Duration,
    },
    /// Zero copy was demanded and is not to be had.
    #[non_exhaustive]
    NoZeroCopy {
        /// What the kernel said, in words.
        reason: String,
    },
    /// The UMEM cannot be shared with the queue: its other interfaces are gone.
    RegistrantsGone,
    /// The bind failed for another reason.
    #[non_exhaustive]
    Bind {
        /// The mode that was tried.
        mode: CopyMode,
        /// The kernel's error.
        source: io::Error,
    },
    /// The xsk got another mode than was demanded.
    #[non_exhaustive]
    SharedMode {
        /// The mode it got.
        got: CopyMode,
    },
    /// This kernel panics on what would be sent.
    #[non_exhaustive]
    KernelPanics {
        /// The kernel's release.
        release: String,
    },
    /// 255 xsks have shared the UMEM already.
    TooManyXsks,
    /// The limits do not fit.
    Limits(LimitsError),
}

impl XskError {
    /// The interface's name; `simulated` for a simulated xsk.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// The queue, where one was asked for.
    #[must_use]
    pub fn queue(&self) -> Option<QueueIndex> {
        self.queue
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> &XskErrorKind {
        &self.kind
    }
}

impl XskErrorKind {
    /// The error of this kind, for an xsk of `queue` of `interface`.
    pub(crate) fn at(self, interface: &str, queue: impl Into<Option<QueueIndex>>) -> XskError {
        XskError {
            interface: interface.to_owned(),
            queue: queue.into(),
            kind: self,
        }
    }
}

impl fmt::Display for XskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            interface,
            queue,
            kind,
        } = self;
        let queue = queue.map_or(0, QueueIndex::get);
        match kind {
            XskErrorKind::Open(source) => {
                write!(f, "cannot open an AF_XDP socket: {}", open_remedy(source))
            }
            XskErrorKind::Register { bytes, source } => write!(
                f,
                "cannot register a UMEM of {bytes} bytes: {}",
                register_remedy(source)
            ),
            XskErrorKind::Setup { operation, source } => {
                write!(f, "cannot {operation}: {}", explained(source))
            }
            XskErrorKind::Interface(source) => source.fmt(f),
            XskErrorKind::Memory(source) => source.fmt(f),
            XskErrorKind::Limits(source) => source.fmt(f),
            XskErrorKind::InterfaceDown => write!(
                f,
                "interface `{interface}` is down: bring it up with `ip link set {interface} up`"
            ),
            XskErrorKind::NoSuchQueue { queues } => write!(
                f,
                "interface `{interface}` has no queue {queue}: it has {queues}, counted from 0"
            ),
            XskErrorKind::MtuTooLarge {
                mtu,
                frame,
                chunk,
                chunks,
                usable,
            } => mtu_too_large(f, interface, [*mtu, *frame, *chunk, *chunks, *usable]),
            XskErrorKind::NoMultiBuffer { largest } => write!(
                f,
                "this kernel takes no frames in several chunks (XDP_USE_SG, Linux 6.6), for which `{interface}` was \
                 to be bound: lower the MTU of each interface to {largest} or less, or raise the chunk size (at most \
                 the page size)"
            ),
            XskErrorKind::SharedOneChunk { mtu } => write!(
                f,
                "interface `{interface}` has an MTU of {mtu}, whose frames need several chunks, and the first queue \
                 of the UMEM was bound for frames in one: bind that with `MultiBuffer::Always`, or this one first"
            ),
            XskErrorKind::BoundAlready => write!(
                f,
                "queue {queue} of `{interface}` is bound to this UMEM already: get one more xsk of it with \
                 `NicQueue::share`, or drop the ones it has"
            ),
            XskErrorKind::NotBound => write!(
                f,
                "queue {queue} of `{interface}` has no xsk to share it with: bind it first, with `NicQueue::bind`"
            ),
            XskErrorKind::NoMoreXsks { xsks } => write!(
                f,
                "queue {queue} of `{interface}` has the {xsks} xsk(s) it was bound for: bind it for more \
                 (`XskConfig::xsks`), so that its completion ring holds the frames of all"
            ),
            XskErrorKind::Share(source) => write!(
                f,
                "cannot bind one more xsk to queue {queue} of `{interface}`: {}",
                explained(source)
            ),
            XskErrorKind::QueueTaken { waited } => write!(
                f,
                "queue {queue} of `{interface}` is taken by another AF_XDP socket (still busy after {waited:?}): \
                 stop the program that uses it, or choose other queues; a closed socket keeps its queue while its \
                 rings are mapped or frames it sent are queued elsewhere"
            ),
            XskErrorKind::NoZeroCopy { reason } => write!(
                f,
                "zero copy is not available on queue {queue} of `{interface}` ({reason}): \
                 use mode auto or copy, or a NIC whose driver supports it"
            ),
            XskErrorKind::RegistrantsGone => write!(
                f,
                "cannot bind queue {queue} of `{interface}`: the interfaces of the queues that have the UMEM are \
                 gone: drop the xsks of those queues first, or use another UMEM"
            ),
            XskErrorKind::Bind { mode, source } => write!(
                f,
                "cannot bind queue {queue} of `{interface}` in {} mode: {}",
                mode.label(),
                explained(source)
            ),
            XskErrorKind::SharedMode { got } => write!(
                f,
                "queue {queue} of `{interface}` got {} mode, because queues that share a UMEM share the first one's \
                 mode: ask for mode auto, or use a UMEM of its own",
                got.label()
            ),
            XskErrorKind::KernelPanics { release } => write!(
                f,
                "Linux {release} panics when frames sent in copy mode reach a stack on the same machine, as from \
                 `{interface}`: use Linux 6.18 or later, or 6.15 or earlier, or accept the risk (`wharf forward \
                 --risk-kernel-panic`, in code `KnownPanics::Risk`)"
            ),
            XskErrorKind::TooManyXsks => {
                f.write_str("the UMEM has been bound to 255 xsks already: use another UMEM")
            }
        }
    }
}

impl std::error::Error for XskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            XskErrorKind::Open(source)
            | XskErrorKind::Share(source)
            | XskErrorKind::Register { source, .. }
            | XskErrorKind::Setup { source, .. }
            | XskErrorKind::Bind { source, .. } => Some(source),
            // Their messages are this one's.
            XskErrorKind::Interface(error) => error.source(),
            XskErrorKind::Memory(error) => error.source(),
            _ => None,
        }
    }
}

fn mtu_too_large(
    f: &mut fmt::Formatter<'_>,
    interface: &str,
    [mtu, frame, chunk, chunks, usable]: [u32; 5],
) -> fmt::Result {
    let largest = usable.saturating_sub(FRAME_OVERHEAD);
    write!(
        f,
        "interface `{interface}` has an MTU of {mtu}, whose frames of up to {frame} bytes do not fit "
    )?;
    if chunks == 1 {
        write!(
            f,
            "a chunk of {chunk} bytes, which holds {usable}: lower the MTU to {largest}, allow frames in several \
             chunks (multi-buffer auto), or raise the chunk size (at most the page size)"
        )
    } else {
        write!(
            f,
            "{chunks} chunks of {chunk} bytes, which hold {usable}: lower the MTU to {largest} or raise the chunk \
             size (at most the page size)"
        )
    }
}

/// What a failed bind means. `largest` is the largest MTU that fits a chunk.
pub(super) fn bind_error(
    target: &Target<'_>,
    source: io::Error,
    waited: Duration,
    largest: u32,
) -> XskErrorKind {
    let Target {
        mode, multi_buffer, ..
    } = *target;
    match (source.raw_os_error(), mode) {
        // All else that leads to this has been checked before.
        (Some(libc::EINVAL), CopyMode::Copy) if multi_buffer => {
            XskErrorKind::NoMultiBuffer { largest }
        }
        (Some(libc::EBUSY), _) => XskErrorKind::QueueTaken { waited },
        // Every socket through which the UMEM could be shared is bound no more.
        (Some(libc::EBADF), _) => XskErrorKind::RegistrantsGone,
        // No interface: not the mode.
        (Some(libc::ENODEV), _) | (_, CopyMode::Copy) => XskErrorKind::Bind { mode, source },
        // Drivers refuse with what they like (virtio_net with ENOENT, for one),
        // and the kernel's own choice falls back on anything as well.
        (errno, CopyMode::ZeroCopy) => XskErrorKind::NoZeroCopy {
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
        Some(libc::EAFNOSUPPORT) => format!(
            "this kernel has no AF_XDP: use Linux 5.9 or later with CONFIG_XDP_SOCKETS=y ({})",
            explained(error)
        ),
        _ => explained(error),
    }
}

fn register_remedy(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOBUFS) => {
            "the user's locked-memory limit is exhausted (RLIMIT_MEMLOCK); grant \
                                CAP_IPC_LOCK, raise `ulimit -l`, or ask for fewer frames"
                .to_owned()
        }
        _ => explained(error),
    }
}

fn explained(error: &io::Error) -> String {
    explain_refusal(error, KernelCall::Xsk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::interface::Interface;

    fn failure(mode: CopyMode, multi_buffer: bool, errno: i32) -> XskErrorKind {
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

        assert!(matches!(error, XskErrorKind::NoMultiBuffer { .. }));
        let text = error.at("eth0", None).to_string();
        assert!(text.contains("Linux 6.6") && text.contains("to 3822 or less"));
        let error = failure(CopyMode::Copy, false, libc::EINVAL);
        assert!(matches!(error, XskErrorKind::Bind { .. }));
    }

    #[test]
    fn driver_without_frames_in_several_chunks_is_left_for_copy_mode() {
        for errno in [libc::EOPNOTSUPP, libc::EINVAL] {
            let error = failure(CopyMode::ZeroCopy, true, errno);

            assert!(
                matches!(error, XskErrorKind::NoZeroCopy { .. }),
                "{error:?}"
            );
        }
    }
}

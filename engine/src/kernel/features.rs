//! What the running kernel can do, found out by trying: never by its version,
//! which says little of a distribution's kernel and nothing of its configuration.
//!
//! Everything is tried on sockets, memory and programs that exist for that only
//! and are gone when it is done. No interface is bound, attached to or changed: where
//! a bind is the trial, it names an interface that cannot exist, and the kernel
//! judges the flags before the interface (`xsk_bind` in `net/xdp/xsk.c`).
//!
//! What a *driver* can do is [`Interface::xdp_features`](crate::Interface::xdp_features).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use crate::kernel::interface::NetdevRequests;
use crate::kernel::limits::{KernelCall, explain_refusal};
use crate::kernel::sys::bpf::{self, Buffers};
use crate::kernel::sys::descriptors;
use crate::kernel::sys::if_xdp;
use crate::kernel::sys::socket::{self, BindAddress};

/// What the running kernel can do for AF_XDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KernelFeatures {
    /// AF_XDP sockets: `socket(2)`. Linux 4.18, with `CONFIG_XDP_SOCKETS`.
    pub af_xdp: Support,
    /// XDP programs: `BPF_PROG_LOAD`. Linux 4.8, with `CONFIG_BPF_SYSCALL`.
    pub xdp_programs: Support,
    /// XDP programs attached by a bpf_link, which goes with its process:
    /// `BPF_LINK_CREATE`. Linux 5.9. Wharf attaches in no other way.
    pub xdp_links: Support,
    /// XDP programs for frames in several buffers: `BPF_F_XDP_HAS_FRAGS`. Linux
    /// 5.18. Without it, native mode bounds the MTU.
    pub frags_programs: Support,
    /// The kernel's own types, `/sys/kernel/btf/vmlinux`. Linux 5.4, with
    /// `CONFIG_DEBUG_INFO_BTF`. Wharf's program does without.
    pub btf: Support,
    /// Binding so that the kernel says when it needs a wake-up:
    /// `XDP_USE_NEED_WAKEUP`. Linux 5.4.
    pub need_wakeup: Support,
    /// Frames in several chunks: `XDP_USE_SG`. Linux 6.6. Without it, an MTU has to
    /// fit a chunk.
    pub multi_buffer: Support,
    /// Chunks at any address and of any size: `XDP_UMEM_UNALIGNED_CHUNK_FLAG`. Linux
    /// 5.4.
    pub unaligned_chunks: Support,
    /// Statistics that distinguish a full RX ring from an empty fill ring:
    /// `XDP_STATISTICS`. Linux 5.9. Without it, the one count is of both.
    pub long_statistics: Support,
    /// A wake-up that sends a whole ring in copy mode: `XDP_MAX_TX_SKB_BUDGET`.
    /// Linux 6.17. Without it, one sends 32 frames, or 16 before 5.11.
    pub tx_budget: Support,
    /// Timestamps and checksums on request, frame by frame:
    /// `xdp_umem_reg.tx_metadata_len`. Linux 6.8.
    pub tx_metadata: Support,
    /// Queues polled by the process that reads them: `SO_PREFER_BUSY_POLL`. Linux
    /// 5.11.
    pub busy_poll: Support,
    /// What a driver can do with XDP, over netlink: `NETDEV_CMD_DEV_GET`. Linux 6.3.
    pub driver_features: Support,
    /// What a queue is used for, over netlink: `NETDEV_CMD_QUEUE_GET`. Linux 6.8.
    pub queue_features: Support,
}

/// How a trial came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// The kernel can.
    Yes,
    /// The kernel cannot.
    No,
    /// It could not be tried, usually because privileges are missing.
    Unknown,
}

impl KernelFeatures {
    /// Tries all of it, which takes some milliseconds and leaves nothing. Never
    /// fails: what needs privileges that the calling thread lacks is
    /// [`Support::Unknown`].
    ///
    /// Sockets take CAP_NET_RAW, programs CAP_BPF and CAP_NET_ADMIN.
    #[must_use]
    pub fn probe() -> Self {
        let (driver_features, queue_features) = match NetdevRequests::probe() {
            Ok(NetdevRequests::None) => (Support::No, Support::No),
            Ok(NetdevRequests::Interfaces) => (Support::Yes, Support::No),
            Ok(NetdevRequests::Queues) => (Support::Yes, Support::Yes),
            Err(_) => (Support::Unknown, Support::Unknown),
        };
        let (af_xdp, xsk) = match socket::open() {
            Ok(xsk) => (Support::Yes, Some(xsk)),
            // Families are looked up before privileges (`__sock_create`).
            Err(error) if is(&error, libc::EPERM) => (Support::Yes, None),
            Err(error) if is(&error, libc::EAFNOSUPPORT) => (Support::No, None),
            Err(_) => (Support::Unknown, None),
        };
        // Without sockets there is none of what they can.
        let none = match af_xdp {
            Support::No => Support::No,
            Support::Yes | Support::Unknown => Support::Unknown,
        };
        let of_xsk = |trial: fn(BorrowedFd<'_>) -> Support| {
            xsk.as_ref().map_or(none, |xsk| trial(xsk.as_fd()))
        };
        let xdp_programs = programs(Buffers::One);
        Self {
            af_xdp,
            xdp_programs,
            xdp_links: xdp_links(),
            frags_programs: match xdp_programs {
                Support::Yes => programs(Buffers::Several),
                known => known,
            },
            btf: match Path::new(BTF).try_exists() {
                Ok(true) => Support::Yes,
                Ok(false) => Support::No,
                Err(_) => Support::Unknown,
            },
            need_wakeup: of_xsk(|xsk| bind_flag(xsk, if_xdp::XDP_USE_NEED_WAKEUP)),
            multi_buffer: of_xsk(|xsk| bind_flag(xsk, if_xdp::XDP_USE_SG)),
            unaligned_chunks: of_xsk(|_| {
                let tried = socket::try_registration(if_xdp::XDP_UMEM_UNALIGNED_CHUNK_FLAG, 0);
                judge(tried, libc::EINVAL)
            }),
            long_statistics: of_xsk(|xsk| match socket::has_long_statistics(xsk) {
                Ok(true) => Support::Yes,
                Ok(false) => Support::No,
                Err(_) => Support::Unknown,
            }),
            tx_budget: of_xsk(tx_budget),
            tx_metadata: of_xsk(|_| tx_metadata()),
            busy_poll: of_xsk(|xsk| match socket::prefer_busy_poll(xsk) {
                // It was understood.
                Err(error) if is(&error, libc::EPERM) => Support::Yes,
                tried => judge(tried, libc::ENOPROTOOPT),
            }),
            driver_features,
            queue_features,
        }
    }
}

impl KernelFeatures {
    /// Why some of it could not be tried, and what to do; `None` if nothing is in the
    /// way now. Tries the first steps once more.
    #[must_use]
    pub fn obstacle() -> Option<String> {
        let refused = |tried: io::Result<()>, call| {
            let error = tried.err()?;
            // Features that are not there are no obstacle.
            let is_missing = [libc::ENOSYS, libc::EAFNOSUPPORT, libc::EINVAL]
                .iter()
                .any(|&errno| is(&error, errno));
            (!is_missing).then(|| explain_refusal(&error, call))
        };
        refused(
            descriptors::check_free(TRIAL_DESCRIPTORS),
            KernelCall::Other,
        )
        .or_else(|| refused(socket::open().map(drop), KernelCall::Xsk))
        .or_else(|| refused(bpf::load_xdp(Buffers::One), KernelCall::Bpf))
    }
}

/// Whether the kernel attaches XDP programs by links.
pub(crate) fn xdp_links() -> Support {
    match bpf::knows_xdp_links() {
        Ok(true) => Support::Yes,
        Ok(false) => Support::No,
        Err(error) if is(&error, libc::ENOSYS) => Support::No,
        Err(_) => Support::Unknown,
    }
}

fn programs(buffers: Buffers) -> Support {
    match bpf::load_xdp(buffers) {
        Err(error) if is(&error, libc::ENOSYS) => Support::No,
        tried => judge(tried, libc::EINVAL),
    }
}

/// Tries a flag of a bind on an interface that cannot exist.
fn bind_flag(xsk: BorrowedFd<'_>, flag: u16) -> Support {
    let nowhere = BindAddress {
        flags: flag,
        ifindex: i32::MAX.cast_unsigned(),
        queue_id: 0,
        shared_umem: None,
    };
    match socket::bind(xsk, &nowhere) {
        // The flag passed.
        Err(error) if is(&error, libc::ENODEV) => Support::Yes,
        tried => judge(tried, libc::EINVAL),
    }
}

/// The budget has the size of the TX ring at the most, so there has to be one.
fn tx_budget(xsk: BorrowedFd<'_>) -> Support {
    let tried = socket::create_ring(xsk, if_xdp::XDP_TX_RING, SMALL_RING)
        .and_then(|()| socket::set_tx_budget(xsk, SMALL_RING));
    judge(tried, libc::ENOPROTOOPT)
}

/// Room for metadata has a flag from 6.11 on. From 6.8 to 6.10 it has none, and
/// shows in that room of an odd size is refused; before, the field is padding.
fn tx_metadata() -> Support {
    let flagged = socket::try_registration(if_xdp::XDP_UMEM_TX_METADATA_LEN, TX_METADATA_BYTES);
    match judge(flagged, libc::EINVAL) {
        Support::No => match judge(socket::try_registration(0, ODD_BYTES), libc::EINVAL) {
            Support::No => Support::Yes,
            Support::Yes => Support::No,
            Support::Unknown => Support::Unknown,
        },
        known => known,
    }
}

/// `unknown` is how a kernel that does not know what was tried answers.
fn judge(tried: io::Result<()>, unknown: i32) -> Support {
    match tried {
        Ok(()) => Support::Yes,
        Err(error) if is(&error, unknown) => Support::No,
        Err(_) => Support::Unknown,
    }
}

fn is(error: &io::Error, errno: i32) -> bool {
    error.raw_os_error() == Some(errno)
}

/// An xsk, and what is tried beside it.
const TRIAL_DESCRIPTORS: usize = 4;

const BTF: &str = "/sys/kernel/btf/vmlinux";

/// More than the 32 entries that a budget has at the least.
const SMALL_RING: u32 = 64;

/// Source: `struct xsk_tx_metadata` in `include/uapi/linux/if_xdp.h`, Linux 6.8.
const TX_METADATA_BYTES: u32 = 24;

/// No multiple of 8.
const ODD_BYTES: u32 = 7;

#[cfg(test)]
mod tests {
    use super::*;
    use caps::CapSet;

    #[test]
    fn trial_tells_refusal_from_not_knowing_and_from_neither() {
        let refused = |errno| Err(io::Error::from_raw_os_error(errno));

        assert_eq!(judge(Ok(()), libc::EINVAL), Support::Yes);
        assert_eq!(judge(refused(libc::EINVAL), libc::EINVAL), Support::No);
        assert_eq!(
            judge(refused(libc::ENOBUFS), libc::EINVAL),
            Support::Unknown
        );
    }

    #[test]
    fn without_privileges_it_is_unknown_what_takes_them() {
        // Capabilities belong to a thread, so a thread of its own gives them up.
        let features = std::thread::spawn(|| {
            caps::clear(None, CapSet::Effective).expect("giving up needs no privilege");
            KernelFeatures::probe()
        });

        let features = features.join().expect("it never fails");

        assert_eq!(features.af_xdp, Support::Yes);
        assert_eq!(features.multi_buffer, Support::Unknown);
        assert_eq!(features.tx_metadata, Support::Unknown);
        assert_ne!(features.driver_features, Support::Unknown);
    }
}

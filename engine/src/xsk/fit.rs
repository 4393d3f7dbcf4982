//! Whether the frames of an interface fit a chunk, and what to do if not.
//!
//! Queues that share a UMEM take frames in several chunks if the first that was
//! bound does: the kernel keeps that on the UMEM, and takes no flag from the
//! others (`xsk_bind` in `net/xdp/xsk.c`, Linux 6.6).

use super::chunks::MOST_CHUNKS_COPY;
use crate::kernel::FRAME_OVERHEAD;
use crate::kernel::interface::{Interface, InterfaceError};
use crate::memory::{Umem, UmemConfig};
use crate::xsk::MultiBuffer;
use crate::xsk::XskErrorKind;

/// How the longest frames of an interface fit the chunks of a UMEM.
struct Fit {
    mtu: u32,
    /// Bytes of the longest frame.
    frame: u32,
    chunk: u32,
    /// Bytes of it that a chunk takes.
    usable: u32,
}

impl Fit {
    fn of(interface: &Interface, umem: &Umem) -> Result<Self, InterfaceError> {
        let mtu = interface.mtu()?;
        Ok(Self {
            mtu,
            frame: frame_of_mtu(mtu),
            chunk: umem.chunk_size(),
            usable: umem.receivable(),
        })
    }

    fn chunks(&self) -> u32 {
        self.frame.div_ceil(self.usable)
    }

    fn too_large(&self, chunks: u32) -> XskErrorKind {
        XskErrorKind::MtuTooLarge {
            mtu: self.mtu,
            frame: self.frame,
            chunk: self.chunk,
            chunks,
            usable: self.usable * chunks,
        }
    }
}

/// Whether frames of `interface` may not fit a chunk of `umem`.
pub(crate) fn needs_several_chunks(
    interface: &Interface,
    umem: &Umem,
) -> Result<bool, InterfaceError> {
    Ok(Fit::of(interface, umem)?.chunks() > 1)
}

/// Bytes of the longest frame that any of `interfaces` receives as they are now, where
/// they share a UMEM and so take frames in several chunks if one of them has to.
pub(crate) fn longest_received(
    umem: &UmemConfig,
    asked: MultiBuffer,
    interfaces: &[Interface],
) -> Result<u32, InterfaceError> {
    let usable = umem.receivable();
    let several = match asked {
        MultiBuffer::Always => true,
        MultiBuffer::Never => false,
        MultiBuffer::Auto => {
            let frames: Result<Vec<_>, _> = interfaces.iter().map(longest_frame).collect();
            frames?.into_iter().any(|frame| frame > usable)
        }
    };
    Ok(if several {
        usable.saturating_mul(MOST_CHUNKS_COPY)
    } else {
        usable
    })
}

fn longest_frame(interface: &Interface) -> Result<u32, InterfaceError> {
    Ok(frame_of_mtu(interface.mtu()?))
}

/// Bytes of the longest frame of an interface with this MTU.
pub(crate) fn frame_of_mtu(mtu: u32) -> u32 {
    mtu.saturating_add(FRAME_OVERHEAD)
}

/// Whether an xsk is to be bound for frames in several chunks. `shares` says
/// that the UMEM has been bound before, and so decided.
pub(super) fn decide(
    umem: &Umem,
    interface: &Interface,
    asked: MultiBuffer,
    shares: bool,
) -> Result<bool, XskErrorKind> {
    let fit = Fit::of(interface, umem).map_err(XskErrorKind::Interface)?;
    let needed = fit.chunks();
    let several = match asked {
        _ if shares => umem.shared().takes_multi_buffer(),
        MultiBuffer::Always => true,
        MultiBuffer::Auto => needed > 1,
        MultiBuffer::Never => false,
    };
    if !several && shares && needed > 1 && asked != MultiBuffer::Never {
        return Err(XskErrorKind::SharedOneChunk { mtu: fit.mtu });
    }
    let most = match asked {
        MultiBuffer::Auto | MultiBuffer::Always if several => MOST_CHUNKS_COPY,
        _ => 1,
    };
    if needed > most {
        return Err(fit.too_large(most));
    }
    Ok(several)
}

/// Checks what zero copy takes beside a driver that has it: a driver without is
/// left to say so itself.
///
/// The chunks must be whole for the NIC, else the kernel passes over them in the
/// fill ring without a word; and frames must fit as many chunks as the driver
/// takes.
pub(super) fn check_zero_copy(
    umem: &Umem,
    interface: &Interface,
    multi_buffer: bool,
) -> Result<(), XskErrorKind> {
    let refuse = |reason| Err(XskErrorKind::NoZeroCopy { reason });
    if umem.shared().region().scatters_chunks() && may_zero_copy(interface) {
        return refuse(format!(
            "unaligned chunks of {} bytes lie across pages, which takes huge pages: `wharf forward --huge-pages`, \
             in code `Pages::Huge`",
            umem.chunk_size()
        ));
    }
    if !multi_buffer {
        return Ok(());
    }
    let most = chunks_in_zero_copy(interface);
    let needed = Fit::of(interface, umem).map_or(1, |fit| fit.chunks());
    if most == 1 || needed <= most {
        return Ok(());
    }
    refuse(format!(
        "its frames take {needed} chunks, and the driver sends up to {most}"
    ))
}

/// Whether the driver has zero copy, as far as the kernel says, which it does since 6.3.
fn may_zero_copy(interface: &Interface) -> bool {
    let features = interface.xdp_features().ok().flatten();
    features.is_none_or(crate::kernel::interface::XdpFeatures::zero_copy)
}

/// The most chunks of a frame that the driver takes in zero-copy mode, as it says
/// itself. A kernel that takes several asks it.
pub(super) fn chunks_in_zero_copy(interface: &Interface) -> u32 {
    let features = interface.xdp_features().ok().flatten();
    features.map_or(1, |features| features.zero_copy_segments().max(1))
}

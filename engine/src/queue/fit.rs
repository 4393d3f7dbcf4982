//! Whether the frames of an interface fit a chunk, and what to do if not.
//!
//! Queues that share a UMEM take frames in several chunks if the first that was
//! bound does: the kernel keeps that on the UMEM, and takes no flag from the
//! others (`xsk_bind` in `net/xdp/xsk.c`, Linux 6.6).

use super::chunks::MOST_CHUNKS_COPY;
use crate::Error;
use crate::config::{FRAME_OVERHEAD, MultiBuffer, QueueIndex, XDP_PACKET_HEADROOM};
use crate::interface::{Interface, InterfaceError};
use crate::umem::Umem;
use crate::xsk::XskError;

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
    fn of(interface: &Interface, chunk: u32) -> Result<Self, InterfaceError> {
        let mtu = interface.mtu()?;
        Ok(Self {
            mtu,
            frame: mtu.saturating_add(FRAME_OVERHEAD),
            chunk,
            usable: chunk - XDP_PACKET_HEADROOM,
        })
    }

    fn chunks(&self) -> u32 {
        self.frame.div_ceil(self.usable)
    }

    fn too_large(&self, interface: &Interface, chunks: u32) -> XskError {
        XskError::MtuTooLarge {
            interface: interface.name().to_owned(),
            mtu: self.mtu,
            frame: self.frame,
            chunk: self.chunk,
            chunks,
            usable: self.usable * chunks,
        }
    }
}

/// Whether frames of `interface` may not fit a chunk of `chunk` bytes.
pub(crate) fn needs_several_chunks(
    interface: &Interface,
    chunk: u32,
) -> Result<bool, InterfaceError> {
    Ok(Fit::of(interface, chunk)?.chunks() > 1)
}

/// Whether a queue is to be bound for frames in several chunks. `shares` says
/// that the UMEM has been bound before, and so decided.
pub(super) fn decide(
    umem: &Umem,
    interface: &Interface,
    asked: MultiBuffer,
    shares: bool,
) -> Result<bool, Error> {
    let fit = Fit::of(interface, umem.chunk_size())?;
    let needed = fit.chunks();
    let several = match asked {
        _ if shares => umem.shared().takes_multi_buffer(),
        MultiBuffer::Always => true,
        MultiBuffer::Auto => needed > 1,
        MultiBuffer::Never => false,
    };
    if !several && shares && needed > 1 && asked != MultiBuffer::Never {
        return Err(XskError::SharedOneChunk {
            interface: interface.name().to_owned(),
            mtu: fit.mtu,
        }
        .into());
    }
    let most = match asked {
        MultiBuffer::Auto | MultiBuffer::Always if several => MOST_CHUNKS_COPY,
        _ => 1,
    };
    if needed > most {
        return Err(fit.too_large(interface, most).into());
    }
    Ok(several)
}

/// Checks that frames of the interface fit as many chunks as its driver takes in
/// zero-copy mode. A driver without zero copy is left to say so itself.
pub(super) fn check_zero_copy(
    umem: &Umem,
    interface: &Interface,
    queue: QueueIndex,
) -> Result<(), XskError> {
    let most = chunks_in_zero_copy(interface);
    let needed = Fit::of(interface, umem.chunk_size()).map_or(1, |fit| fit.chunks());
    if most == 1 || needed <= most {
        return Ok(());
    }
    Err(XskError::NoZeroCopy {
        interface: interface.name().to_owned(),
        queue,
        reason: format!("its frames take {needed} chunks, and the driver sends up to {most}"),
    })
}

/// The most chunks of a frame that the driver takes in zero-copy mode, as it says
/// itself. A kernel that takes several can tell.
pub(super) fn chunks_in_zero_copy(interface: &Interface) -> u32 {
    let features = interface.xdp_features().ok().flatten();
    features.map_or(1, |features| features.zero_copy_segments().max(1))
}

//! RX ring → frame.
#![expect(unsafe_code, reason = "frames of handles that were reserved")]

use std::rc::Rc;

use crate::kernel::sys::if_xdp::Descriptor;
use crate::memory::frame::Frame;
use crate::memory::geometry::Place;
use crate::memory::handle::{Handle, UmemPointer};
use crate::memory::ledger::{Receiving, XskRecords};
use crate::memory::umem::UmemState;

/// Makes frames of the descriptors that one xsk receives.
pub(crate) struct Receiver<'a> {
    umem: UmemPointer,
    run: Receiving<'a>,
    shift: u32,
    /// A chunk's size, less one.
    mask: u64,
}

impl<'a> Receiver<'a> {
    #[inline]
    pub(crate) fn new(umem: &'a Rc<UmemState>, records: &XskRecords) -> Self {
        let geometry = &umem.geometry;
        Self {
            umem: UmemPointer::of(umem),
            run: if geometry.is_unaligned() {
                Receiving::nothing(records)
            } else {
                Receiving::new(&umem.ledger, records)
            },
            shift: geometry.chunk_shift(),
            mask: u64::from(geometry.chunk_size()) - 1,
        }
    }

    /// The frame that a descriptor names, if that is a whole frame in an aligned
    /// chunk that is posted to the xsk's queue.
    ///
    /// # Safety
    ///
    /// The UMEM counts a [handle](Handle::reserve) that was reserved for a frame of
    /// this call and is none yet. It is none still if this returns `None`.
    #[inline(always)]
    pub(crate) unsafe fn frame(&self, descriptor: Descriptor) -> Option<Frame> {
        let (addr, extent) = (descriptor.addr, descriptor.extent());
        // With options in it, the extent is longer than any chunk; so is an
        // extent of zero, less one. What is left of the chunk behind its first
        // byte is `!addr & mask`.
        if extent.wrapping_sub(1) > !addr & self.mask {
            return None;
        }
        let claim = self.run.claim(addr >> self.shift)?;
        // SAFETY: the caller's promise.
        let umem = unsafe { Handle::from_reserved(self.umem) };
        // SAFETY: the claim is this UMEM's, for the chunk that the aligned address
        // lies in, and the bytes were just found to end in it. There are no parts,
        // as the upper half of the extent is zero.
        Some(unsafe { Frame::from_raw(umem, claim, addr, extent) })
    }
}

/// Why a descriptor is no frame.
pub(crate) enum Refused {
    /// Its chunk is not posted to the queue, or it names none.
    Violation,
    /// Its bytes make no sense, at a place in a chunk.
    Senseless(Place),
}

impl UmemState {
    /// The place of the bytes that a descriptor names, if there are any and they lie
    /// in one chunk. The options are not looked at.
    pub(crate) fn locate(&self, descriptor: Descriptor) -> Result<Place, Refused> {
        let place = self
            .geometry
            .place(descriptor.addr)
            .ok_or(Refused::Violation)?;
        let len = descriptor.len();
        if len > 0 && self.geometry.fits(place.offset, len) {
            Ok(place)
        } else {
            Err(Refused::Senseless(place))
        }
    }

    /// Why a descriptor is refused whose bytes may be anywhere.
    pub(crate) fn refuse(&self, descriptor: Descriptor) -> Refused {
        self.geometry
            .place(descriptor.addr)
            .map_or(Refused::Violation, Refused::Senseless)
    }
}

/// As [`Receiver::frame`], for a whole frame in a chunk that need not be aligned.
///
/// # Safety
///
/// As there.
pub(crate) unsafe fn receive_reserved(
    umem: &Rc<UmemState>,
    records: &XskRecords,
    descriptor: Descriptor,
) -> Option<Frame> {
    let place = umem.locate(descriptor).ok()?;
    if descriptor.options() != 0 {
        return None;
    }
    let claim = umem.ledger.receive(place.chunk, records).ok()?;
    // SAFETY: the caller's promise.
    let handle = unsafe { Handle::from_reserved(UmemPointer::of(umem)) };
    let addr = umem.geometry.addr(place);
    // SAFETY: the claim is this UMEM's, for the chunk of `place`, in which the bytes
    // were found to lie; there are no parts, as there are no options.
    Some(unsafe { Frame::from_raw(handle, claim, addr, descriptor.extent()) })
}

/// Receives the frame, or its first chunk, that a descriptor names, in any layout.
pub(crate) fn receive(
    umem: &Rc<UmemState>,
    records: &XskRecords,
    descriptor: Descriptor,
) -> Result<Frame, Refused> {
    let place = umem.locate(descriptor)?;
    let claim = umem
        .ledger
        .receive(place.chunk, records)
        .map_err(|_| Refused::Violation)?;
    umem.ledger.hold(records.xsk, 1);
    Ok(Frame::in_place(umem, claim, place, descriptor.len()))
}

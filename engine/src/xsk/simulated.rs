//! The other side of an xsk's rings, in plain memory: what a NIC and the kernel
//! do, as far as an application can see.
//!
//! It runs the same ring code with the roles swapped, so a test against it
//! exercises everything above the system calls. It keeps the kernel's part of
//! the contract, for unaligned chunks as well, and panics where the kernel would
//! refuse what it gets; [`SimulatedNic::inject_received`] and
//! [`SimulatedNic::inject_completion`] break it on purpose.
#![expect(
    unsafe_code,
    reason = "the kernel's side reads and writes chunks that are in its rings"
)]

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::chunks::MOST_CHUNKS_COPY;
use super::config::{MultiBuffer, XskConfig};
use super::error::{XskError, XskErrorKind};
use super::nic_queue::check_room;
use super::queue_state::QueueState;
use super::tx::SendLimits;
use super::xsk::{Xsk, XskParts};
use crate::kernel::sys::if_xdp::{Descriptor, RingOffset, XDP_PKT_CONTD};
use crate::kernel::sys::memory::{Mapping, page_size};
use crate::kernel::{CopyMode, QueueIndex};
use crate::memory::geometry::Place;
use crate::memory::ledger::{QueueId, XskId};
use crate::memory::{Umem, UmemError, UmemState};
use crate::xsk::ring::{CompletionRing, Consumer, FillRing, Producer, RingMemory, RxRing, TxRing};

/// A NIC and kernel made of plain memory, for one xsk of a queue.
///
/// ```
/// use wharf::{Xsk, XskConfig, RingCapacity, Umem, UmemConfig};
///
/// let umem = Umem::new(&UmemConfig::new(256)).unwrap();
/// let config = XskConfig::new(RingCapacity::new(64).unwrap());
/// let (mut xsk, mut nic) = Xsk::simulated(&umem, &config).unwrap();
///
/// assert!(nic.deliver(b"a packet of bytes"));
/// let frame = xsk.receive(64).next().expect("delivered");
/// xsk.transmit(frame).expect("the TX ring is empty");
/// xsk.wake().expect("nothing to wake");
///
/// assert_eq!(nic.transmitted().as_deref(), Some(&b"a packet of bytes"[..]));
/// xsk.recycle();
/// assert!(umem.audit().is_balanced());
/// ```
pub struct SimulatedNic {
    umem: Rc<UmemState>,
    /// What the xsks on the other side share, while there are any.
    state: Weak<QueueState>,
    /// The queue and the xsk on the other side, as the ledger knows them.
    queue: QueueId,
    xsk: XskId,
    config: XskConfig,
    rx: Producer<Descriptor>,
    tx: Consumer<Descriptor>,
    shared: Rc<SharedRings>,
}

/// The rings that the xsks of a queue share.
struct SharedRings {
    fill: RefCell<Consumer<u64>>,
    completion: RefCell<Producer<u64>>,
}

impl Xsk {
    /// An xsk on rings in plain memory, and the other side of them: a NIC and
    /// kernel to test code that uses xsks against, without privileges.
    ///
    /// # Errors
    ///
    /// [`XskError`] when there is no memory for the rings, the
    /// [limits](XskConfig::limits) do not fit, or 255 xsks have shared the UMEM.
    pub fn simulated(umem: &Umem, config: &XskConfig) -> Result<(Self, SimulatedNic), XskError> {
        first(umem.shared(), config).map_err(error)
    }
}

fn first(umem: &Rc<UmemState>, config: &XskConfig) -> Result<(Xsk, SimulatedNic), XskErrorKind> {
    let (fill, nic_fill) = ring(config.shared_entries())?;
    let (completion, nic_completion) = ring(config.shared_entries())?;
    let id = umem.new_xsk().ok_or(XskErrorKind::TooManyXsks)?;
    let (fill, completion) = (FillRing::new(fill), CompletionRing::new(completion));
    let state = match QueueState::new(umem, id, fill, completion, config, true) {
        Ok(state) => state,
        Err(error) => {
            umem.forget_xsk(id);
            return Err(XskErrorKind::Limits(error));
        }
    };
    umem.collect_returns();
    state.post();
    let shared = Rc::new(SharedRings {
        fill: RefCell::new(Consumer::new(nic_fill)),
        completion: RefCell::new(Producer::new(nic_completion)),
    });
    join(&state, id, shared, config)
}

/// One more xsk of a queue, and its NIC.
fn join(
    state: &Rc<QueueState>,
    id: XskId,
    shared: Rc<SharedRings>,
    config: &XskConfig,
) -> Result<(Xsk, SimulatedNic), XskErrorKind> {
    let entries = config.ring_size.get();
    let (rx, nic_rx) = ring(entries)?;
    let (tx, nic_tx) = ring(entries)?;
    let nic = SimulatedNic {
        umem: Rc::clone(state.umem()),
        state: Rc::downgrade(state),
        queue: state.id(),
        xsk: id,
        config: *config,
        rx: Producer::new(nic_rx),
        tx: Consumer::new(nic_tx),
        shared,
    };
    let parts = XskParts {
        member: state.join(id, None, config),
        rx: RxRing::new(rx),
        tx: TxRing::new(tx),
        bound_to: None,
        queue: QueueIndex::new(0).expect("zero is a queue"),
        mode: CopyMode::Copy,
        limits: SendLimits {
            sends: true,
            most_chunks: match config.multi_buffer {
                MultiBuffer::Always => MOST_CHUNKS_COPY,
                MultiBuffer::Auto | MultiBuffer::Never => 1,
            },
        },
    };
    Ok((Xsk::new(parts, config)?, nic))
}

fn error(kind: XskErrorKind) -> XskError {
    kind.at("simulated", None)
}

impl SimulatedNic {
    /// Returns one more xsk of this NIC's queue, as
    /// [`NicQueue::share`](crate::NicQueue::share) does, and the NIC on its other
    /// side. The NICs use the same fill and completion ring, as their xsks do.
    ///
    /// # Errors
    ///
    /// [`XskError`] when there is no memory for the rings, when the queue has no xsk
    /// or as many as it was [made for](XskConfig::xsks), or 255 have shared the UMEM.
    pub fn share(&self) -> Result<(Xsk, Self), XskError> {
        let share = || {
            let state = self.state.upgrade().ok_or(XskErrorKind::NotBound)?;
            check_room(&state, &self.config)?;
            let id = self.umem.new_xsk().ok_or(XskErrorKind::TooManyXsks)?;
            join(&state, id, Rc::clone(&self.shared), &self.config)
        };
        share().map_err(error)
    }

    /// Receives `bytes` as a frame would be: into the next chunk of the fill
    /// ring, then onto the RX ring; into several if they do not fit one. `false`
    /// when there is no chunk or no slot for some of them, or the xsk was not
    /// made for frames in several chunks ([`MultiBuffer::Always`]); the frame is
    /// lost then.
    pub fn deliver(&mut self, bytes: &[u8]) -> bool {
        let usable = self.umem.geometry.receivable() as usize;
        let parts = bytes.len().div_ceil(usable);
        if parts <= 1 {
            return self.deliver_part(bytes, 0);
        }
        let room = u32::try_from(parts).is_ok_and(|parts| {
            self.rx.free(parts) >= parts && self.shared.fill.borrow_mut().available() >= parts
        });
        let last = (parts - 1) * usable;
        let (first, last) = bytes.split_at(last);
        room && self.config.multi_buffer == MultiBuffer::Always
            && (first.chunks(usable)).all(|part| self.deliver_part(part, XDP_PKT_CONTD))
            && self.deliver_part(last, 0)
    }

    /// Receives one chunk of a frame.
    pub(crate) fn deliver_part(&mut self, bytes: &[u8], options: u32) -> bool {
        let Some((place, len)) = self.receive(bytes.len()) else {
            return false;
        };
        if !self.umem.ledger.is_posted(place.chunk, self.queue) {
            return false;
        }
        let chunk = self.umem.region().bytes(place, len);
        // SAFETY: the ledger has the chunk in the queue's fill ring still (a
        // descriptor injected before may have made it the application's), so by a
        // `Frame`'s invariant none has it, and nothing on another thread can
        // change that; `bytes` checked that `len` bytes fit.
        unsafe {
            chunk.copy_from_nonoverlapping(std::ptr::NonNull::from(bytes).cast(), bytes.len())
        };
        self.inject_descriptor(self.umem.geometry.addr(place), len, options)
    }

    /// Like [`deliver`](Self::deliver), with whatever bytes the chunk has.
    pub fn deliver_blank(&mut self, len: u32) -> bool {
        let received = self.receive(len as usize);
        received
            .is_some_and(|(place, len)| self.inject_received(self.umem.geometry.addr(place), len))
    }

    /// Sends the next frame of the TX ring: returns its bytes, and posts its chunks
    /// to the completion ring. `None` when there is none, or no slot to
    /// complete it.
    pub fn transmitted(&mut self) -> Option<Vec<u8>> {
        let (mut bytes, mut goes_on) = self.transmitted_part()?;
        while goes_on {
            let (part, more) = self.transmitted_part()?;
            bytes.extend(part);
            goes_on = more;
        }
        Some(bytes)
    }

    /// Sends one chunk of a frame; returns its bytes, and whether the frame goes on.
    fn transmitted_part(&mut self) -> Option<(Vec<u8>, bool)> {
        let descriptor = self.transmit()?;
        let place = self.umem.geometry.place(descriptor.addr)?;
        if !(self.umem.ledger).is_transmitted(place.chunk, self.xsk) {
            self.tx.release();
            return None;
        }
        let start = self.umem.region().bytes(place, descriptor.len());
        // SAFETY: the ledger has the chunk in the xsk's TX ring still, so by a
        // `Frame`'s invariant none has it, and nothing on another thread can
        // change that; `bytes` checked that `len` bytes fit.
        let bytes = unsafe {
            std::slice::from_raw_parts(start.as_ptr(), descriptor.len() as usize).to_vec()
        };
        self.finish_transmit(descriptor);
        Some((bytes, descriptor.options() & XDP_PKT_CONTD != 0))
    }

    /// Like [`transmitted`](Self::transmitted), for the length alone of a frame
    /// in one chunk.
    pub fn transmitted_blank(&mut self) -> Option<u32> {
        let descriptor = self.transmit()?;
        self.finish_transmit(descriptor);
        Some(descriptor.len())
    }

    /// Puts a descriptor on the RX ring that no NIC would, to see it refused.
    /// `false` when the ring is full.
    pub fn inject_received(&mut self, addr: u64, len: u32) -> bool {
        self.inject_descriptor(addr, len, 0)
    }

    /// As [`inject_received`](Self::inject_received), with the descriptor's
    /// options.
    pub(crate) fn inject_descriptor(&mut self, addr: u64, len: u32, options: u32) -> bool {
        let descriptor = Descriptor::new(addr, len, options);
        let pushed = self.rx.push(descriptor).is_ok();
        self.rx.publish();
        pushed
    }

    /// Puts an address on the completion ring that no kernel would, to see it
    /// refused. `false` when the ring is full.
    pub fn inject_completion(&mut self, addr: u64) -> bool {
        let mut completion = self.shared.completion.borrow_mut();
        let pushed = completion.push(addr).is_ok();
        completion.publish();
        pushed
    }

    /// Takes the next descriptor off the TX ring and keeps its chunk, until
    /// [`inject_completion`](Self::inject_completion) returns it. `None` when there is
    /// none.
    #[cfg(test)]
    pub(super) fn take_transmitted(&mut self) -> Option<u64> {
        let descriptor = self.transmit()?;
        self.tx.release();
        Some(descriptor.addr)
    }

    /// The indices of the fill, RX, TX and completion ring.
    #[cfg(test)]
    pub(super) fn indices(&self) -> [u32; 4] {
        let (fill, completion) = (&self.shared.fill, &self.shared.completion);
        let shared = (fill.borrow().next(), completion.borrow().next());
        [shared.0, self.rx.next(), self.tx.next(), shared.1]
    }

    fn receive(&mut self, len: usize) -> Option<(Place, u32)> {
        let len = u32::try_from(len).ok()?;
        if self.rx.free(1) == 0 || len > self.umem.geometry.receivable() {
            return None;
        }
        let mut fill = self.shared.fill.borrow_mut();
        fill.available();
        let addr = fill.pop()?;
        fill.release();
        let place = self.umem.geometry.place(addr)?;
        Some((
            Place {
                offset: self.umem.geometry.front(),
                ..place
            },
            len,
        ))
    }

    fn transmit(&mut self) -> Option<Descriptor> {
        if self.shared.completion.borrow_mut().free(1) == 0 {
            return None;
        }
        self.tx.available();
        let descriptor = self.tx.pop()?;
        assert!(
            self.takes(descriptor),
            "the kernel would refuse {descriptor:?}"
        );
        Some(descriptor)
    }

    /// Whether the kernel would send it: its own arithmetic, not ours
    /// (`xp_aligned_validate_desc`, `xp_unaligned_validate_desc` in
    /// `net/xdp/xsk_queue.h`). Both agree on where the bytes are.
    fn takes(&self, descriptor: Descriptor) -> bool {
        let (addr, len) = (descriptor.addr, descriptor.len());
        let geometry = &self.umem.geometry;
        let chunk_size = u64::from(geometry.chunk_size());
        let (start, room) = if geometry.is_unaligned() {
            let start = (addr & 0xffff_ffff_ffff) + (addr >> 48);
            (start, chunk_size)
        } else {
            (addr, chunk_size - addr % chunk_size)
        };
        let end = start + u64::from(len);
        let place = geometry.place(addr);
        len > 0
            && u64::from(len) <= room
            && end <= geometry.len_bytes()
            && place.is_some_and(|place| geometry.distance(place) as u64 == start)
    }

    fn finish_transmit(&mut self, descriptor: Descriptor) {
        self.tx.release();
        self.inject_completion(descriptor.addr);
    }
}

impl std::fmt::Debug for SimulatedNic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimulatedNic").finish_non_exhaustive()
    }
}

/// One ring's memory, seen from both sides. The indices start just before
/// their wrap, so that every use of a simulated xsk crosses it.
fn ring<T: Copy>(entries: u32) -> Result<(RingMemory<T>, RingMemory<T>), XskErrorKind> {
    let page = page_size() as usize;
    let len = page + entries as usize * size_of::<T>();
    let map = |source| {
        let bytes = u64::try_from(len).expect("lengths fit 64 bits");
        XskErrorKind::Memory(UmemError::Map { bytes, source })
    };
    let memory = Arc::new(Mapping::anonymous(len).map_err(map)?);
    let offset = RingOffset {
        producer: 0,
        consumer: 64,
        flags: 128,
        desc: u64::from(page_size()),
    };
    let side = || {
        // SAFETY: the mapping is zeroed and laid out here; `T` is an integer or
        // a descriptor of integers; each side is used once, by the callers.
        unsafe { RingMemory::in_mapping(&memory, offset, entries) }
            .expect("the mapping was sized for the ring")
    };
    let (ours, theirs) = (side(), side());
    // SAFETY: the sides were made just now, and nobody has looked at them.
    unsafe { ours.start_at(u32::MAX - entries / 2) };
    Ok((ours, theirs))
}

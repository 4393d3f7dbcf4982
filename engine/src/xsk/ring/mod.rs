//! The four rings between us and the kernel, each with one producer and one
//! consumer.
//!
//! ```text
//!   us ── FillRing::give ──────► kernel ── RxRing::take ────────► us
//!   us ── TxRing::give ────────► kernel ── CompletionRing::take ─► us
//! ```
//!
//! These four methods are all that moves a chunk across the kernel boundary.
//! They know addresses and descriptors; what an address means, and whether the
//! kernel may name it, is for the ledger (`umem::ledger`).
#![expect(
    unsafe_code,
    reason = "indices and entries lie in memory shared with the kernel"
)]

mod atomic;
mod consumer;
mod producer;
mod shared;

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod tests;

pub(crate) use consumer::Consumer;
pub(crate) use producer::{Full, Producer};
pub(crate) use shared::RingMemory;

use crate::kernel::sys::if_xdp::Descriptor;

/// Chunks we lend the kernel to receive into.
pub(crate) struct FillRing(Producer<u64>);

/// Frames the kernel received.
pub(crate) struct RxRing(Consumer<Descriptor>);

/// Frames for the kernel to send.
pub(crate) struct TxRing(Producer<Descriptor>);

/// Chunks whose frames the kernel is done with.
pub(crate) struct CompletionRing(Consumer<u64>);

impl FillRing {
    pub(crate) fn new(shared: RingMemory<u64>) -> Self {
        Self(Producer::new(shared))
    }

    /// Lends the kernel the chunk at `addr`, once published.
    #[inline]
    pub(crate) fn give(&mut self, addr: u64) -> Result<(), Full> {
        self.0.push(addr)
    }

    #[inline]
    pub(crate) fn publish(&mut self) {
        self.0.publish();
    }

    #[inline]
    pub(crate) fn free(&mut self, wanted: u32) -> u32 {
        self.0.free(wanted)
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.0.capacity()
    }

    pub(crate) fn wants_wakeup(&self) -> bool {
        self.0.wants_wakeup()
    }

    /// See [`Producer::remap`].
    ///
    /// # Safety
    ///
    /// As there.
    pub(crate) unsafe fn remap(&mut self, shared: RingMemory<u64>) -> bool {
        // SAFETY: the caller's promise.
        unsafe { self.0.remap(shared) }
    }

    pub(crate) fn faults(&self) -> u64 {
        self.0.faults()
    }
}

impl RxRing {
    pub(crate) fn new(shared: RingMemory<Descriptor>) -> Self {
        Self(Consumer::new(shared))
    }

    /// Takes the next of the available frames from the kernel.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<Descriptor> {
        self.0.pop()
    }

    #[inline]
    pub(crate) fn available(&mut self) -> u32 {
        self.0.available()
    }

    #[inline]
    pub(crate) fn release(&mut self) {
        self.0.release();
    }

    /// See [`RingMemory::memory`].
    #[cfg(feature = "fault-injection")]
    pub(crate) fn memory(&self) -> Option<std::sync::Arc<crate::kernel::sys::memory::Mapping>> {
        self.0.memory()
    }

    pub(crate) fn faults(&self) -> u64 {
        self.0.faults()
    }
}

impl TxRing {
    pub(crate) fn new(shared: RingMemory<Descriptor>) -> Self {
        Self(Producer::new(shared))
    }

    /// Gives the kernel a frame to send, once published.
    #[inline]
    pub(crate) fn give(&mut self, descriptor: Descriptor) -> Result<(), Full> {
        self.0.push(descriptor)
    }

    /// Takes back the latest frame that was given and not published.
    pub(crate) fn retract(&mut self) -> Option<Descriptor> {
        self.0.retract()
    }

    /// See [`Producer::change`].
    #[cfg(feature = "fault-injection")]
    pub(crate) fn change(
        &mut self,
        back: u32,
        change: impl FnOnce(Descriptor) -> Descriptor,
    ) -> bool {
        self.0.change(back, change)
    }

    #[inline]
    pub(crate) fn publish(&mut self) {
        self.0.publish();
    }

    #[inline]
    pub(crate) fn free(&mut self, wanted: u32) -> u32 {
        self.0.free(wanted)
    }

    pub(crate) fn pending(&mut self) -> u32 {
        self.0.pending()
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.0.capacity()
    }

    pub(crate) fn wants_wakeup(&self) -> bool {
        self.0.wants_wakeup()
    }

    pub(crate) fn faults(&self) -> u64 {
        self.0.faults()
    }
}

impl CompletionRing {
    pub(crate) fn new(shared: RingMemory<u64>) -> Self {
        Self(Consumer::new(shared))
    }

    /// Takes the next of the available chunks back from the kernel.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<u64> {
        self.0.pop()
    }

    #[inline]
    pub(crate) fn available(&mut self) -> u32 {
        self.0.available()
    }

    #[inline]
    pub(crate) fn release(&mut self) {
        self.0.release();
    }

    /// See [`Consumer::remap`].
    ///
    /// # Safety
    ///
    /// As there.
    pub(crate) unsafe fn remap(&mut self, shared: RingMemory<u64>) -> bool {
        // SAFETY: the caller's promise.
        unsafe { self.0.remap(shared) }
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.0.capacity()
    }

    pub(crate) fn faults(&self) -> u64 {
        self.0.faults()
    }
}

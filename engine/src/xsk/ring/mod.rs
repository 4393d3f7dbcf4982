//! The four rings between us and the kernel, each with one producer and one
//! consumer.
//!
//! ```text
//!   us ── FillRing::give ──────► kernel ── RxRing::take ────────► us
//!   us ── TxRing::give ────────► kernel ── CompletionRing::take ─► us
//! ```
//!
//! These four methods are all that moves a chunk across the kernel boundary, with
//! [`CompletionRing::take_to`], which takes and gives at once.
//! Each moves as many as lie in a row (`row`). They know addresses and descriptors;
//! what an address means, and whether the kernel may name it, is for the ledger
//! (`memory::ledger`).
#![expect(
    unsafe_code,
    reason = "indices and entries lie in memory shared with the kernel"
)]

mod atomic;
mod consumer;
mod producer;
mod row;
mod shared;

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod tests;

pub(crate) use consumer::{Consumer, Entry};
#[cfg(test)]
pub(crate) use producer::Full;
pub(crate) use producer::{FreeSlot, Producer};
pub(crate) use shared::RingMemory;

use std::iter::Rev;
use std::slice::Iter;

use crate::kernel::sys::if_xdp::Descriptor;

/// Chunks posted for the kernel to receive into.
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

    /// See [`Producer::begin_row`].
    #[inline]
    pub(crate) fn begin_row(&mut self, max: u32) -> u32 {
        self.0.begin_row(max)
    }

    /// Posts chunks to the kernel, once published: those at the addresses that `addr`
    /// makes of each of `chunks`, which are at most as many as the row has slots.
    #[inline]
    pub(crate) fn give<'a, C: 'a>(
        &mut self,
        chunks: Rev<Iter<'a, C>>,
        addr: impl FnMut(&C) -> u64,
    ) {
        self.0.put_all(chunks, addr);
    }

    #[inline]
    pub(crate) fn publish(&mut self) {
        self.0.publish();
    }

    #[inline]
    pub(crate) fn free(&mut self, wanted: u32) -> u32 {
        self.0.free(wanted)
    }

    #[inline]
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

    /// See [`Consumer::begin_row`].
    #[inline]
    pub(crate) fn begin_row(&mut self, max: u32) -> u32 {
        self.0.begin_row(max)
    }

    /// The next frame of the row, to be [taken](Entry::take) from the kernel.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> Option<Entry<'_, Descriptor>> {
        self.0.entry()
    }

    /// See [`Consumer::end_row`].
    #[inline]
    pub(crate) fn end_row(&mut self) -> u32 {
        self.0.end_row()
    }

    /// See [`Consumer::row_used`].
    #[inline]
    pub(crate) fn row_used(&self) -> u32 {
        self.0.row_used()
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

    /// See [`Producer::begin_row`].
    #[inline]
    pub(crate) fn begin_row(&mut self, max: u32) -> u32 {
        self.0.begin_row(max)
    }

    /// The next slot of the row, to [hand](FreeSlot::put) the kernel a frame to send,
    /// once published.
    #[inline(always)]
    pub(crate) fn give(&mut self) -> Option<FreeSlot<'_, Descriptor>> {
        self.0.slot()
    }

    /// Takes back the latest frame that was handed over and not published.
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

    /// The index of the next entry to write.
    #[inline]
    pub(crate) fn next(&self) -> u32 {
        self.0.next()
    }

    pub(crate) fn pending(&mut self) -> u32 {
        self.0.pending()
    }

    /// See [`Producer::is_known_empty`].
    #[inline]
    pub(crate) fn is_known_empty(&self) -> bool {
        self.0.is_known_empty()
    }

    #[inline]
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

    /// See [`Consumer::begin_row`].
    #[inline]
    pub(crate) fn begin_row(&mut self, max: u32) -> u32 {
        self.0.begin_row(max)
    }

    /// Takes chunks of the row back from the kernel, one for each of `with`, as long as
    /// `accept` takes them. Returns their number.
    #[inline]
    pub(crate) fn take<W>(&mut self, with: &[W], accept: impl FnMut(u64, &W) -> bool) -> usize {
        self.0.take_with(with, accept)
    }

    /// See [`Consumer::known_available`].
    #[inline]
    pub(crate) fn known_available(&self) -> u32 {
        self.0.known_available()
    }

    /// As [`take`](Self::take), for chunks that go to the row of a fill ring at once, at
    /// the addresses that `accept` makes of theirs.
    #[inline]
    pub(crate) fn take_to(
        &mut self,
        fill: &mut FillRing,
        accept: impl FnMut(u64) -> Option<u64>,
    ) -> u32 {
        self.0.take_to(&mut fill.0, accept)
    }

    /// See [`Consumer::row_left`].
    #[inline]
    pub(crate) fn row_left(&self) -> u32 {
        self.0.row_left()
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

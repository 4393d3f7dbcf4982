//! The kernel's own counters of an xsk.

use std::fmt::{Debug, Formatter, Result};
use std::ops::AddAssign;

/// The kernel's own counters of a socket: `XDP_STATISTICS`.
///
/// Source: `struct xdp_statistics` in `include/uapi/linux/if_xdp.h`. Fields
/// after `tx_invalid_descs` are zero before Linux 5.9.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KernelStatistics {
    /// Frames dropped because there was no chunk for them or they were too long.
    pub rx_dropped: u64,
    /// Always zero: nothing in the kernel increments what it reports here.
    pub rx_invalid_descs: u64,
    /// TX descriptors the kernel refused.
    pub tx_invalid_descs: u64,
    /// Frames dropped because the RX ring was full.
    pub rx_ring_full: u64,
    /// Times the kernel found the fill ring empty, counted for all sockets that
    /// share it. Each is in `rx_dropped` as well.
    pub rx_fill_ring_empty_descs: u64,
    /// Times the kernel found the TX ring empty.
    pub tx_ring_empty_descs: u64,
}

impl AddAssign for KernelStatistics {
    fn add_assign(&mut self, other: Self) {
        // Whole, so that a count that is added later is not forgotten here.
        let Self {
            rx_dropped,
            rx_invalid_descs,
            tx_invalid_descs,
            rx_ring_full,
            rx_fill_ring_empty_descs,
            tx_ring_empty_descs,
        } = other;
        self.rx_dropped += rx_dropped;
        self.rx_invalid_descs += rx_invalid_descs;
        self.tx_invalid_descs += tx_invalid_descs;
        self.rx_ring_full += rx_ring_full;
        self.rx_fill_ring_empty_descs += rx_fill_ring_empty_descs;
        self.tx_ring_empty_descs += tx_ring_empty_descs;
    }
}

/// Only what is not zero.
impl Debug for KernelStatistics {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let counts = [
            ("rx_dropped", self.rx_dropped),
            ("rx_invalid_descs", self.rx_invalid_descs),
            ("tx_invalid_descs", self.tx_invalid_descs),
            ("rx_ring_full", self.rx_ring_full),
            ("rx_fill_ring_empty_descs", self.rx_fill_ring_empty_descs),
            ("tx_ring_empty_descs", self.tx_ring_empty_descs),
        ];
        let counted = counts.into_iter().filter(|(_, count)| *count != 0);
        f.debug_map().entries(counted).finish()
    }
}

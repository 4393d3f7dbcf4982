//! The kernel's own counters of an xsk.

/// The kernel's own counters of a socket: `XDP_STATISTICS`.
///
/// Source: `struct xdp_statistics` in `include/uapi/linux/if_xdp.h`. Fields
/// after `tx_invalid_descs` are zero before Linux 5.9.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

//! What an interface counted: the kernel's standard counters and the driver's.

use std::collections::BTreeMap;
use std::ops::Sub;

use netlink_packet_route::link::LinkAttribute;

use crate::error::Result;
use crate::interface::Interface;
use crate::sys::ethtool;

/// The standard counters of an interface, as `ip -s link` shows them.
///
/// Subtract an earlier reading for what happened in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Frames received.
    pub rx_packets: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Bytes received, Ethernet header included.
    pub rx_bytes: u64,
    /// Bytes sent, Ethernet header included.
    pub tx_bytes: u64,
    /// Frames received in error.
    pub rx_errors: u64,
    /// Frames that failed to be sent.
    pub tx_errors: u64,
    /// Frames received and dropped, by XDP among others.
    pub rx_dropped: u64,
    /// Frames dropped on sending: the peer's ring full, or no carrier.
    pub tx_dropped: u64,
}

impl Interface {
    /// The standard counters.
    ///
    /// # Errors
    ///
    /// [`Error::Netlink`](crate::Error::Netlink) when the interface is gone.
    pub fn counters(&self) -> Result<Counters> {
        let link = self.describe("read its counters")?;
        let counted = link.attributes.iter().find_map(|attribute| {
            let LinkAttribute::Stats64(stats) = attribute else {
                return None;
            };
            Some(Counters {
                rx_packets: stats.rx_packets,
                tx_packets: stats.tx_packets,
                rx_bytes: stats.rx_bytes,
                tx_bytes: stats.tx_bytes,
                rx_errors: stats.rx_errors,
                tx_errors: stats.tx_errors,
                rx_dropped: stats.rx_dropped,
                tx_dropped: stats.tx_dropped,
            })
        });
        Ok(counted.expect("the kernel reports IFLA_STATS64 for every link since 2.6.35"))
    }

    /// The driver's own counters, as `ethtool -S` shows them; empty for a
    /// driver without.
    ///
    /// # Errors
    ///
    /// [`Error::Interface`](crate::Error::Interface) when the interface is gone.
    pub fn driver_counters(&self) -> Result<BTreeMap<String, u64>> {
        ethtool::statistics(self.host().control(), self.name())
            .map_err(|source| self.error("read its driver's counters", source))
    }
}

impl Sub for Counters {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            rx_packets: self.rx_packets.wrapping_sub(earlier.rx_packets),
            tx_packets: self.tx_packets.wrapping_sub(earlier.tx_packets),
            rx_bytes: self.rx_bytes.wrapping_sub(earlier.rx_bytes),
            tx_bytes: self.tx_bytes.wrapping_sub(earlier.tx_bytes),
            rx_errors: self.rx_errors.wrapping_sub(earlier.rx_errors),
            tx_errors: self.tx_errors.wrapping_sub(earlier.tx_errors),
            rx_dropped: self.rx_dropped.wrapping_sub(earlier.rx_dropped),
            tx_dropped: self.tx_dropped.wrapping_sub(earlier.tx_dropped),
        }
    }
}

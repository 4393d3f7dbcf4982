//! What a driver says it can do with XDP.
//!
//! It is what the driver claims in its present configuration. Whether a queue
//! really gets zero copy shows when it is bound.

use std::io;

use netlink_packet_core::{DefaultNla, parse_u32, parse_u64};

use super::generic_family::find;
use super::netdev_family::{NETDEV_CMD_DEV_GET, NetdevFamily};
use super::netlink::malformed;
use crate::kernel::terms::InterfaceIndex;

/// What a driver says it can do with XDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XdpFeatures {
    bits: u64,
    zero_copy_segments: u32,
}

impl XdpFeatures {
    /// Runs programs natively, with the verdicts pass, drop, abort and transmit.
    #[must_use]
    pub fn native(self) -> bool {
        self.has(BASIC)
    }

    /// Takes the verdict redirect, without which no frame reaches an xsk.
    #[must_use]
    pub fn redirect(self) -> bool {
        self.has(REDIRECT)
    }

    /// Binds xsks in zero-copy mode.
    #[must_use]
    pub fn zero_copy(self) -> bool {
        self.has(XSK_ZEROCOPY)
    }

    /// Receives frames in several buffers natively.
    #[must_use]
    pub fn multi_buffer(self) -> bool {
        self.has(RX_SG)
    }

    /// The most chunks of a frame in zero-copy mode; 0 without zero copy.
    #[must_use]
    pub fn zero_copy_segments(self) -> u32 {
        self.zero_copy_segments
    }

    fn has(self, bit: u64) -> bool {
        self.bits & bit != 0
    }
}

/// The features of the interface `index` in the calling thread's namespace; `None`
/// before Linux 6.3, which has no such family.
pub(super) fn of(index: InterfaceIndex) -> io::Result<Option<XdpFeatures>> {
    let Some(mut netdev) = NetdevFamily::open()? else {
        return Ok(None);
    };
    let interface = DefaultNla::new(NETDEV_A_DEV_IFINDEX, index.get().to_ne_bytes().to_vec());
    let device = netdev.request(NETDEV_CMD_DEV_GET, &interface)?;
    let bits = match find(&device, NETDEV_A_DEV_XDP_FEATURES)? {
        Some(value) => parse_u64(&value).map_err(malformed)?,
        None => 0,
    };
    let zero_copy_segments = match find(&device, NETDEV_A_DEV_XDP_ZC_MAX_SEGS)? {
        Some(value) => parse_u32(&value).map_err(malformed)?,
        None => 0,
    };
    Ok(Some(XdpFeatures {
        bits,
        zero_copy_segments,
    }))
}

/// Attributes and flags. Source: `include/uapi/linux/netdev.h`.
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
const NETDEV_A_DEV_XDP_ZC_MAX_SEGS: u16 = 4;
const BASIC: u64 = 1;
const REDIRECT: u64 = 2;
const XSK_ZEROCOPY: u64 = 8;
const RX_SG: u64 = 32;

#[cfg(test)]
mod tests {
    use super::super::handle::Interface;
    use super::super::testing::{in_private_network, ip};

    #[test]
    fn veth_has_native_xdp_and_no_zero_copy() {
        in_private_network(|| {
            ip("link add one type veth peer name two");
            let one = Interface::by_name("one").expect("it was just added");

            let Some(features) = one.xdp_features().expect("an answer") else {
                return; // Before 6.3.
            };

            assert!(features.native() && features.redirect() && features.multi_buffer());
            assert!(!features.zero_copy());
            assert_eq!(features.zero_copy_segments(), 0);
        });
    }

    #[test]
    fn loopback_has_nothing() {
        in_private_network(|| {
            let lo = Interface::by_name("lo").expect("it is there");

            let features = lo.xdp_features().expect("an answer").unwrap_or_default();

            assert!(!features.native() && !features.redirect() && !features.zero_copy());
        });
    }
}

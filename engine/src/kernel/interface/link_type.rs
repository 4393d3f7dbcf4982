//! What the frames of an interface begin with.

use std::fmt;

/// The type of an interface's link layer, a number of the kernel
/// (`include/uapi/linux/if_arp.h`). Displays as its name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkType(u16);

impl LinkType {
    /// Frames begin with an Ethernet header.
    pub const ETHERNET: Self = Self(1);

    pub(super) fn new(number: u16) -> Self {
        Self(number)
    }

    /// The kernel's number.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }

    /// Whether frames begin with an Ethernet header, as Wharf reads and sends them. Those
    /// of the loopback interface do as well.
    #[must_use]
    pub fn has_ethernet_header(self) -> bool {
        matches!(self, Self::ETHERNET | Self(LOOPBACK))
    }

    /// What has such a link layer, for people.
    fn examples(self) -> Option<&'static str> {
        NAMES
            .iter()
            .find(|(number, ..)| *number == self.0)
            .map(|(_, _, examples)| *examples)
    }

    /// Why there is no Ethernet header.
    pub(super) fn reason(self) -> String {
        match self.examples() {
            Some(examples) => format!("{self}: {examples}"),
            None => self.to_string(),
        }
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(number, ..)| *number == self.0) {
            Some((_, name, _)) => write!(f, "ARPHRD_{name}"),
            None => write!(f, "ARPHRD type {}", self.0),
        }
    }
}

const LOOPBACK: u16 = 772;

/// Number, name, and what has it.
const NAMES: [(u16, &str, &str); 21] = [
    (1, "ETHER", "Ethernet"),
    (24, "IEEE1394", "FireWire"),
    (32, "INFINIBAND", "InfiniBand"),
    (280, "CAN", "a CAN bus"),
    (512, "PPP", "PPP, such as PPPoE or a modem"),
    (519, "RAWIP", "bare IP packets, such as a modem's"),
    (768, "TUNNEL", "an IPIP tunnel"),
    (769, "TUNNEL6", "an IPv6 tunnel"),
    (LOOPBACK, "LOOPBACK", "the loopback interface"),
    (774, "FDDI", "FDDI"),
    (776, "SIT", "a 6in4 (sit) tunnel"),
    (778, "IPGRE", "a GRE tunnel"),
    (779, "PIMREG", "multicast routing"),
    (801, "IEEE80211", "a radio's raw frames"),
    (802, "IEEE80211_PRISM", "a radio's raw frames"),
    (803, "IEEE80211_RADIOTAP", "a radio's monitor"),
    (804, "IEEE802154", "an IEEE 802.15.4 radio"),
    (823, "IP6GRE", "a GRE tunnel over IPv6"),
    (824, "NETLINK", "a monitor of netlink"),
    (826, "VSOCKMON", "a monitor of vsock"),
    (
        65_534,
        "NONE",
        "bare IP packets, such as those of tun and WireGuard",
    ),
];

#[cfg(test)]
mod tests {
    use super::super::error::InterfaceErrorKind;
    use super::super::handle::Interface;
    use super::super::testing::{in_private_network, ip};
    use super::*;

    #[test]
    fn types_have_the_names_of_the_kernel() {
        assert_eq!(LinkType::new(65_534).to_string(), "ARPHRD_NONE");
        assert_eq!(LinkType::new(778).to_string(), "ARPHRD_IPGRE");
        assert_eq!(LinkType::new(12_345).to_string(), "ARPHRD type 12345");
        assert!(NAMES.is_sorted_by_key(|(number, ..)| number));
    }

    #[test]
    fn only_frames_with_an_ethernet_header_are_taken() {
        in_private_network(|| {
            ip("link add one type veth peer name two");
            ip("link add bridged type bridge");
            ip("tuntap add dev tapped mode tap");
            ip("tuntap add dev tunnelled mode tun");
            let check = |name| {
                let interface = Interface::by_name(name).expect("it was just added");
                interface.check_frames()
            };

            for good in ["lo", "one", "bridged", "tapped"] {
                assert!(check(good).is_ok(), "{good}");
            }
            let error = check("tunnelled").expect_err("it has none");
            assert!(matches!(
                error.kind,
                InterfaceErrorKind::NoEthernetHeader {
                    link_type: LinkType(65_534)
                }
            ));
            let error = error.to_string();
            assert!(error.contains("`tunnelled`"), "{error}");
            assert!(error.contains("ARPHRD_NONE"), "{error}");
        });
    }
}

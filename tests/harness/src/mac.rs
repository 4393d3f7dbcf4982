//! Ethernet addresses, and deterministic ones for interfaces that need any.

use std::fmt;
use std::str::FromStr;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddress(pub [u8; 6]);

/// A text that is not an Ethernet address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no Ethernet address; write six hexadecimal bytes, like 02:00:00:00:00:01")]
pub struct ParseMacError(String);

impl MacAddress {
    /// The address every host receives.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// The six bytes as they go on the wire.
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// A locally administered address that is the same on every run for the
    /// same host and interface name.
    pub(crate) fn derived_from(host: &str, interface: &str) -> Self {
        // FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv/
        let hash = host
            .bytes()
            .chain([b'/'])
            .chain(interface.bytes())
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        let [a, b, c, d, e, ..] = hash.to_be_bytes();
        Self([0x02, a, b, c, d, e])
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl FromStr for MacAddress {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes: Option<Vec<u8>> = text
            .split(':')
            .map(|byte| {
                let is_hex = byte.bytes().all(|digit| digit.is_ascii_hexdigit());
                (byte.len() == 2 && is_hex)
                    .then(|| u8::from_str_radix(byte, 16).ok())
                    .flatten()
            })
            .collect();
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| ParseMacError(text.to_owned()))
    }
}

impl From<[u8; 6]> for MacAddress {
    fn from(octets: [u8; 6]) -> Self {
        Self(octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_round_trip() {
        let mac = MacAddress([0x02, 0, 0xab, 3, 4, 0xff]);

        assert_eq!(mac.to_string(), "02:00:ab:03:04:ff");
        assert_eq!("02:00:ab:03:04:ff".parse(), Ok(mac));
    }

    #[test]
    fn malformed_text_is_refused() {
        for text in [
            "",
            "02:00",
            "02:00:00:00:00:zz",
            "02:00:00:00:00:01:02",
            "+2:00:00:00:00:01",
        ] {
            assert!(text.parse::<MacAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn derived_address_is_local_unicast_and_stable() {
        let mac = MacAddress::derived_from("client", "eth0");

        assert_eq!(mac.octets()[0] & 0b11, 0b10);
        assert_eq!(mac, MacAddress::derived_from("client", "eth0"));
        assert_ne!(mac, MacAddress::derived_from("client", "eth1"));
        assert_ne!(mac, MacAddress::derived_from("server", "eth0"));
    }
}

//! Numbers, addresses and ports, from one word each.
//!
//! Errors are messages; the caller adds line and column.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use super::error::shown;
use super::suggest::suggestion;
use crate::kernel::XskIndex;
use crate::steering::rules::names::{SERVICES, value_of};
use crate::steering::rules::{MacAddress, Ports, Prefix, VlanId, VlanIds};

/// A number of at most `most`, decimal or 0x and hexadecimal.
pub(super) fn number(word: &str, what: &str, most: u32) -> Result<u32, String> {
    let (digits, radix) = match word.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (word, 10),
    };
    let no_number = || {
        format!(
            "expected {what}, a number from 0 to {most}, not `{}`",
            shown(word)
        )
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(no_number());
    }
    if radix == 10 && digits.len() > 1 && digits.starts_with('0') {
        let digits = shown(digits.trim_start_matches('0'));
        return Err(format!(
            "`{}` starts with a zero, which is octal in tcpdump: use {digits} or 0x...",
            shown(word)
        ));
    }
    match u32::from_str_radix(digits, radix) {
        Ok(number) if number <= most => Ok(number),
        _ => Err(format!(
            "{what} {} is out of range: use 0 to {most}",
            shown(word)
        )),
    }
}

pub(super) fn byte(word: &str, what: &str) -> Result<u8, String> {
    let number = number(word, what, u8::MAX.into())?;
    Ok(u8::try_from(number).expect("checked against the most"))
}

fn two_bytes(word: &str, what: &str) -> Result<u16, String> {
    let number = number(word, what, u16::MAX.into())?;
    Ok(u16::try_from(number).expect("checked against the most"))
}

/// A number of one byte, or its name.
pub(super) fn named_byte(
    word: &str,
    what: &str,
    names: &[(&'static str, u8)],
) -> Result<u8, String> {
    let name = word.strip_prefix('\\').unwrap_or(word);
    if let Some(value) = value_of(names, name) {
        return Ok(value);
    }
    if starts_with_digit(name) {
        return byte(name, what);
    }
    Err(unknown_name(
        name,
        what,
        names.iter().map(|(name, _)| *name),
    ))
}

pub(super) fn ether_type(word: &str, names: &[(&'static str, u16)]) -> Result<u16, String> {
    let name = word.strip_prefix('\\').unwrap_or(word);
    if let Some(value) = value_of(names, name) {
        return Ok(value);
    }
    if starts_with_digit(name) {
        return two_bytes(name, "EtherType");
    }
    Err(unknown_name(
        name,
        "EtherType",
        names.iter().map(|(name, _)| *name),
    ))
}

fn unknown_name<'a>(name: &str, what: &str, names: impl Iterator<Item = &'a str>) -> String {
    let name_shown = shown(name);
    match suggestion(name, names) {
        Some(near) => format!("unknown {what} `{name_shown}`: did you mean `{near}`?"),
        None => format!("unknown {what} `{name_shown}`: use its number"),
    }
}

/// `A-B`, or one id.
pub(super) fn vlan_ids(word: &str) -> Result<VlanIds, String> {
    let Some((first, last)) = word.split_once('-') else {
        return vlan_id(word).map(VlanIds::one);
    };
    VlanIds::range(vlan_id(first)?, vlan_id(last)?).map_err(|error| error.to_string())
}

/// The length of a frame; the last number stands for all that are longer.
pub(super) fn frame_bytes(word: &str) -> Result<u16, String> {
    let number = number(word, "frame length", u32::from(u16::MAX) - 1)?;
    Ok(u16::try_from(number).expect("16 bits"))
}

fn vlan_id(word: &str) -> Result<VlanId, String> {
    let number = number(word, "VLAN id", 4095)?;
    VlanId::new(u16::try_from(number).expect("12 bits")).map_err(|error| error.to_string())
}

pub(super) fn xsk_index(word: &str) -> Result<XskIndex, String> {
    byte(word, "xsk").map(XskIndex)
}

pub(super) fn port(word: &str) -> Result<u16, String> {
    if starts_with_digit(word) {
        if word.contains('-') {
            return Err(format!(
                "`port` takes one port: write `portrange {}`",
                shown(word)
            ));
        }
        return two_bytes(word, "port");
    }
    let no_number = format!(
        "`{}` is no port number: service names are not looked up",
        shown(word)
    );
    Err(match value_of(SERVICES, &word.to_ascii_lowercase()) {
        Some(port) => format!("{no_number}, use {port}"),
        None => format!("{no_number}, give the number"),
    })
}

/// `A-B`, or one port.
pub(super) fn port_range(word: &str) -> Result<Ports, String> {
    let Some((first, last)) = word.split_once('-') else {
        return port(word).map(Ports::one);
    };
    Ports::range(port(first)?, port(last)?).map_err(|error| error.to_string())
}

pub(super) fn address(word: &str) -> Result<IpAddr, String> {
    if let Ok(address) = word.parse() {
        return Ok(address);
    }
    let word_shown = shown(word);
    Err(if word.contains('/') {
        format!("`host` takes one address: write `net {word_shown}`")
    } else if looks_like_address(word) {
        format!("`{word_shown}` is no IP address: use one such as 10.0.0.1 or fd00::1")
    } else {
        format!("`{word_shown}` is no IP address: names are not looked up, give the address")
    })
}

/// `ADDRESS/LENGTH` or `ADDRESS`, of which IPv4 may leave out zeros at the end, as
/// in tcpdump: 10 is 10.0.0.0/8.
pub(super) fn prefix(word: &str) -> Result<Prefix, String> {
    let (address_word, length_word) = match word.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (word, None),
    };
    let (network, default_length) = match short_ipv4(address_word) {
        Some((network, length)) => (network.into(), length),
        None => {
            let network = address(address_word)?;
            (network, Prefix::host(network).length())
        }
    };
    let length = match length_word {
        Some(length) => {
            let most = Prefix::host(network).length();
            let length = number(length, "prefix length", most.into())?;
            u8::try_from(length).expect("at most 128")
        }
        None => default_length,
    };
    Prefix::new(network, length).map_err(|error| error.to_string())
}

/// `network` with the bits of a mask such as 255.255.0.0.
pub(super) fn masked_prefix(network: &str, mask: &str) -> Result<Prefix, String> {
    let network = address(network)?;
    let bits = mask.parse::<Ipv4Addr>().ok().map(Ipv4Addr::to_bits);
    match bits {
        Some(bits) if network.is_ipv4() && bits.leading_ones() == bits.count_ones() => {
            let length = u8::try_from(bits.leading_ones()).expect("at most 32");
            Prefix::new(network, length).map_err(|error| error.to_string())
        }
        _ => Err(format!(
            "`{}` is no mask of an IPv4 prefix: use one such as 255.255.0.0, or write `net {network}/LENGTH`",
            shown(mask)
        )),
    }
}

/// One to three numbers with dots, with as many bits as they have.
fn short_ipv4(word: &str) -> Option<(Ipv4Addr, u8)> {
    let mut octets = [0; 4];
    let mut count = 0;
    for part in word.split('.') {
        *octets.get_mut(count)? = byte(part, "").ok()?;
        count += 1;
    }
    let bits = u8::try_from(count * 8).ok()?;
    (bits < 32).then_some((octets.into(), bits))
}

pub(super) fn mac(word: &str) -> Result<MacAddress, String> {
    let no_mac = || {
        format!(
            "`{}` is no MAC address: use six bytes such as 02:00:00:00:00:01",
            shown(word)
        )
    };
    let mut bytes = [0; 6];
    let mut count = 0;
    for part in word.split([':', '-']) {
        let is_hex = part.chars().all(|digit| digit.is_ascii_hexdigit());
        if count == bytes.len() || !is_hex || !(1..=2).contains(&part.len()) {
            return Err(no_mac());
        }
        bytes[count] = u8::from_str_radix(part, 16).map_err(|_| no_mac())?;
        count += 1;
    }
    if count != bytes.len() {
        return Err(no_mac());
    }
    Ok(MacAddress(bytes))
}

/// `10.0.0.1:80` or `[fd00::1]:80`.
pub(super) fn end_point(word: &str) -> Result<std::net::SocketAddr, String> {
    match std::net::SocketAddr::from_str(word) {
        Ok(end_point) if !word.contains('%') => Ok(end_point),
        _ => Err(format!(
            "`{}` is no address with a port: use one such as 10.0.0.1:80 or [fd00::1]:80",
            shown(word)
        )),
    }
}

/// Whether the word is a value rather than a name, as far as its looks go.
pub(super) fn looks_like_value(word: &str) -> bool {
    starts_with_digit(word) || looks_like_address(word)
}

fn looks_like_address(word: &str) -> bool {
    let of_address = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.' | '/');
    word.contains(':') && word.chars().all(of_address) || starts_with_digit(word)
}

fn starts_with_digit(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_digit())
}

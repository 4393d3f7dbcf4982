//! Ethtool over `ioctl(SIOCETHTOOL)`: features, statistics, queue counts, ring sizes.
//!
//! The ioctl is the oldest of ethtool's interfaces and the only one for
//! statistics by name. Every structure of it is a row of 32-bit words that
//! begins with the command, so requests are built in a `Vec<u32>` and read back
//! from it. Source: `include/uapi/linux/ethtool.h` and `net/ethtool/ioctl.c`,
//! Linux 6.18.
//!
//! # How much the kernel writes
//!
//! For strings and statistics the kernel ignores the count in the request and
//! writes as many entries as the driver has *now*, which another process may
//! have changed since we asked. Those buffers therefore hold [`MAX_ENTRIES`],
//! more than any driver has, whatever the count was.

#![expect(
    unsafe_code,
    reason = "no library offers ethtool's ioctl; the netlink one lacks named statistics"
)]

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Queues in use and at most, as `ethtool -l` shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Channels {
    /// Receive queues in use.
    pub rx: u32,
    /// Transmit queues in use.
    pub tx: u32,
    /// Receive queues the interface was created with.
    pub max_rx: u32,
    /// Transmit queues the interface was created with.
    pub max_tx: u32,
}

/// Frames that each receive and transmit ring of a NIC holds, now and at most, as
/// `ethtool -g` shows them. A veth has no rings.
///
/// NICs are not moved into hosts of their own, so this is about the interfaces
/// of the calling thread's network namespace, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingSizes {
    /// Of each receive ring.
    pub rx: u32,
    /// Of each transmit ring.
    pub tx: u32,
    /// Of each receive ring, at most.
    pub max_rx: u32,
    /// Of each transmit ring, at most.
    pub max_tx: u32,
}

/// One feature bit of an interface.
pub(crate) struct Feature {
    /// The kernel's name of it.
    pub name: String,
    /// Its index in the kernel's list.
    pub position: usize,
    /// Whether it can be switched at all.
    pub changeable: bool,
    /// Whether it is on.
    pub active: bool,
}

/// Reads all features, in the kernel's order.
pub(crate) fn features(socket: BorrowedFd<'_>, interface: &str) -> io::Result<Vec<Feature>> {
    let names = strings(socket, interface, ETH_SS_FEATURES)?;
    let blocks = names.len().div_ceil(32);
    // {cmd, size, {available, requested, active, never_changed}[size]}: the
    // kernel writes at most `size` blocks.
    let mut words = request(ETHTOOL_GFEATURES, 2 + 4 * blocks);
    words[1] = word(blocks);
    ioctl(socket, interface, &mut words)?;

    let state = &words[2..];
    let features = names.into_iter().enumerate().map(|(position, name)| {
        let (block, bit) = (4 * (position / 32), 1 << (position % 32));
        Feature {
            name,
            position,
            changeable: state[block] & bit != 0 && state[block + 3] & bit == 0,
            active: state[block + 2] & bit != 0,
        }
    });
    Ok(features.collect())
}

/// Asks for `changes` to be all on or all off; the kernel may leave some.
pub(crate) fn switch_features(
    socket: BorrowedFd<'_>,
    interface: &str,
    changes: &[Feature],
    active: bool,
) -> io::Result<()> {
    // The kernel refuses any other number of blocks than it has.
    let blocks = strings_count(socket, interface, ETH_SS_FEATURES)?.div_ceil(32);
    // {cmd, size, {valid, requested}[size]}
    let mut words = request(ETHTOOL_SFEATURES, 2 + 2 * blocks);
    words[1] = word(blocks);
    for change in changes {
        let (block, bit) = (2 + 2 * (change.position / 32), 1 << (change.position % 32));
        words[block] |= bit;
        if active {
            words[block + 1] |= bit;
        }
    }
    ioctl(socket, interface, &mut words)
}

/// Reads the driver's statistics by name; empty for a driver without.
pub(crate) fn statistics(
    socket: BorrowedFd<'_>,
    interface: &str,
) -> io::Result<BTreeMap<String, u64>> {
    let names = match strings(socket, interface, ETH_SS_STATS) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(BTreeMap::new()),
        names => names?,
    };
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    // {cmd, n_stats, u64[n_stats]}
    let mut words = request(ETHTOOL_GSTATS, 2 + 2 * MAX_ENTRIES);
    words[1] = word(names.len());
    ioctl(socket, interface, &mut words)?;

    let values = words[2..].chunks_exact(2).map(|halves| {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&halves[0].to_ne_bytes());
        bytes[4..].copy_from_slice(&halves[1].to_ne_bytes());
        u64::from_ne_bytes(bytes)
    });
    Ok(names.into_iter().zip(values).collect())
}

/// Asks whether the link is up, which has the kernel process what it has
/// deferred about it.
pub(crate) fn link_state(socket: BorrowedFd<'_>, interface: &str) -> io::Result<bool> {
    // {cmd, data}
    let mut words = request(ETHTOOL_GLINK, 2);
    ioctl(socket, interface, &mut words)?;
    Ok(words[1] != 0)
}

/// Reads how many queues are in use.
pub(crate) fn channels(socket: BorrowedFd<'_>, interface: &str) -> io::Result<Channels> {
    let words = read_channels(socket, interface)?;
    Ok(Channels {
        max_rx: words[1],
        max_tx: words[2],
        rx: words[5],
        tx: words[6],
    })
}

/// Sets how many queues are in use.
pub(crate) fn set_channels(
    socket: BorrowedFd<'_>,
    interface: &str,
    rx: u32,
    tx: u32,
) -> io::Result<()> {
    let mut words = read_channels(socket, interface)?;
    words[0] = ETHTOOL_SCHANNELS;
    words[5] = rx;
    words[6] = tx;
    ioctl(socket, interface, &mut words)
}

/// {cmd, max_rx, max_tx, max_other, max_combined, rx, tx, other, combined}
fn read_channels(socket: BorrowedFd<'_>, interface: &str) -> io::Result<Vec<u32>> {
    let mut words = request(ETHTOOL_GCHANNELS, 9);
    ioctl(socket, interface, &mut words)?;
    Ok(words)
}

/// Reads how many frames the rings hold.
pub(crate) fn ring_sizes(socket: BorrowedFd<'_>, interface: &str) -> io::Result<RingSizes> {
    let words = read_ring_sizes(socket, interface)?;
    Ok(RingSizes {
        max_rx: words[1],
        max_tx: words[4],
        rx: words[5],
        tx: words[8],
    })
}

/// Sets how many frames the rings hold.
pub(crate) fn set_ring_sizes(
    socket: BorrowedFd<'_>,
    interface: &str,
    rx: u32,
    tx: u32,
) -> io::Result<()> {
    let mut words = read_ring_sizes(socket, interface)?;
    words[0] = ETHTOOL_SRINGPARAM;
    words[5] = rx;
    words[8] = tx;
    ioctl(socket, interface, &mut words)
}

/// {cmd, max_rx, max_rx_mini, max_rx_jumbo, max_tx, rx, rx_mini, rx_jumbo, tx}
fn read_ring_sizes(socket: BorrowedFd<'_>, interface: &str) -> io::Result<Vec<u32>> {
    let mut words = request(ETHTOOL_GRINGPARAM, 9);
    ioctl(socket, interface, &mut words)?;
    Ok(words)
}

fn strings(socket: BorrowedFd<'_>, interface: &str, set: u32) -> io::Result<Vec<String>> {
    let count = strings_count(socket, interface, set)?;
    if count == 0 {
        return Ok(Vec::new());
    }
    // {cmd, string_set, len, u8[32][len]}
    let mut words = request(ETHTOOL_GSTRINGS, 3 + STRING_WORDS * MAX_ENTRIES);
    words[1] = set;
    words[2] = word(count);
    ioctl(socket, interface, &mut words)?;

    let names = words[3..].chunks_exact(STRING_WORDS).take(count);
    let names = names.map(|words| {
        let bytes: Vec<u8> = words
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .take_while(|&byte| byte != 0)
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    });
    Ok(names.collect())
}

fn strings_count(socket: BorrowedFd<'_>, interface: &str, set: u32) -> io::Result<usize> {
    // {cmd, reserved, u64 mask, u32 count}: one bit is set, one count returns.
    let mut words = request(ETHTOOL_GSSET_INFO, 5);
    let mask = (1_u64 << set).to_ne_bytes();
    words[2] = u32::from_ne_bytes([mask[0], mask[1], mask[2], mask[3]]);
    words[3] = u32::from_ne_bytes([mask[4], mask[5], mask[6], mask[7]]);
    let asked = [words[2], words[3]];
    ioctl(socket, interface, &mut words)?;

    // The kernel clears the bits of sets the driver lacks.
    let count = if words[2..4] == asked { words[4] } else { 0 };
    match usize::try_from(count) {
        Ok(count) if count <= MAX_ENTRIES / 2 => Ok(count),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the driver claims {count} names"),
        )),
    }
}

fn request(command: u32, length_words: usize) -> Vec<u32> {
    let mut words = vec![0; length_words];
    words[0] = command;
    words
}

fn word(count: usize) -> u32 {
    u32::try_from(count).expect("counts are bounded by MAX_ENTRIES")
}

/// Private to this module: its callers size `words` for what the command in
/// `words[0]` makes the kernel write.
fn ioctl(socket: BorrowedFd<'_>, interface: &str, words: &mut [u32]) -> io::Result<()> {
    let mut ifr_name = [0; libc::IFNAMSIZ];
    if interface.len() >= ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in ifr_name.iter_mut().zip(interface.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    let mut request = libc::ifreq {
        ifr_name,
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_data: words.as_mut_ptr().cast(),
        },
    };

    // SAFETY: `request` is a valid ifreq with a name that ends in NUL, and its
    // data pointer is to `words`, borrowed exclusively until the call returns.
    // Every caller in this module sizes `words` for its command: as the uapi
    // structure says, or MAX_ENTRIES where the kernel decides.
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    if outcome < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// More statistics or features than any driver has: the kernel creates at most
/// 4096 queues (`rtnl_create_link`), drivers count a dozen things for each. The
/// pages behind unused entries are never touched, so they cost nothing.
const MAX_ENTRIES: usize = 1 << 17;
/// `ETH_GSTRING_LEN` is 32 bytes.
const STRING_WORDS: usize = 8;

const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_GLINK: u32 = 0x0a;
const ETHTOOL_GRINGPARAM: u32 = 0x10;
const ETHTOOL_SRINGPARAM: u32 = 0x11;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSTATS: u32 = 0x1d;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETHTOOL_SFEATURES: u32 = 0x3b;
const ETHTOOL_GCHANNELS: u32 = 0x3c;
const ETHTOOL_SCHANNELS: u32 = 0x3d;
const ETH_SS_STATS: u32 = 1;
const ETH_SS_FEATURES: u32 = 4;

//! Wharf's XDP program, compiled, and the layout of its maps: the contract
//! between the C sources and the loader.
//!
//! # Contract
//!
//! * [`PROGRAM`] decides about each frame in four stages: management, exact
//!   flows, rules, default. [`Config`] turns stages on and off; as it is in the
//!   object, every frame is redirected to the AF_XDP socket in the slot of
//!   [`XSKS`] with the index `queue * xsks_per_queue`. When the slot is empty the
//!   frame becomes what [`Config::no_xsk_verdict`] says: `XDP_PASS` in the object.
//!   [`PROGRAM_ONE_BUFFER`] is the same for kernels before 5.18, which do not
//!   know `BPF_F_XDP_HAS_FRAGS`: load one of the two.
//! * Before loading, the loader sets the variable [`CONFIG`] and the map
//!   [`TABLES`] ([`Config::words`], [`Tables`]) and raises `max_entries`: of [`XSKS`] to
//!   `queue_slots * xsks_per_queue`, of [`COUNTS`] to `queue_slots + 1`, of
//!   [`HITS`] to [`HIT_RULES`] plus the number of rules, of the others to what
//!   they are to hold. Every trie used has a prefix of length 0.
//! * [`COUNTS`] has one [`QueueCounts`] per queue and possible CPU, and a last
//!   one for all queues without a slot. Its sum over the CPUs grows by one for
//!   each frame, before the frame is delivered.
//! * [`HITS`] says which rule decided. It stays zero when no stage is on.
//! * The program needs no GPL-only helper. Its least kernel is 5.9. Where
//!   [`Config::reads_frames`], loading it takes CAP_PERFMON.
//!
//! The object is committed, so this crate builds without clang;
//! `ebpf/build.sh --check` says whether it is still what the source compiles to.

pub mod pass;
mod tables;

use std::net::{IpAddr, SocketAddr};
use std::ops::Add;

pub use tables::{CLAUSES, EXTENSIONS, Mask, RowsFull, Table, Tables, WORDS};

/// The object file, an ELF relocatable with BTF, 8-byte aligned as parsers of
/// ELF structures like it.
pub static OBJECT: &[u8] = &ALIGNED.0;

/// The XDP program, `SEC("xdp.frags")`: frames may span buffers. Linux 5.18.
pub const PROGRAM: &str = "wharf_steer";

/// The XDP program, `SEC("xdp")`: frames lie in one buffer, which limits the
/// MTU that a driver accepts in native mode.
pub const PROGRAM_ONE_BUFFER: &str = "wharf_steer_one";

/// The XSKMAP: `queue * xsks_per_queue + n` (`u32`) to the queue's n-th AF_XDP
/// socket (`u32` file descriptor).
pub const XSKS: &str = "wharf_xsks";

/// The per-CPU array: queue index (`u32`) to [`QueueCounts`].
pub const COUNTS: &str = "wharf_counts";

/// The per-CPU array of frames (`u64`) decided: [`HIT_DEFAULT`], [`HIT_FLOWS`],
/// [`HIT_MANAGEMENT`], [`HIT_NO_XSK`], [`HIT_UNDECIDED`], and from [`HIT_RULES`] on by rule.
pub const HITS: &str = "wharf_hits";

/// In [`HITS`]: frames that nothing else decided.
pub const HIT_DEFAULT: u32 = 0;
/// In [`HITS`]: frames of exact flows.
pub const HIT_FLOWS: u32 = 1;
/// In [`HITS`]: frames that the host itself lives on.
pub const HIT_MANAGEMENT: u32 = 2;
/// In [`HITS`]: frames that were to be redirected to an xsk that is not there,
/// whatever decided so.
pub const HIT_NO_XSK: u32 = 3;
/// In [`HITS`]: frames that left a rule undecided: see [`Config::undecided_action`].
pub const HIT_UNDECIDED: u32 = 4;
/// In [`HITS`]: frames of the first rule.
pub const HIT_RULES: u32 = 5;

/// The hash: [`flow_key`] to action (`u32`).
pub const FLOWS: &str = "wharf_flows";

/// The hash of the host's addresses ([`address_key`]), with any value (`u32`).
pub const OWN_ADDRESSES: &str = "wharf_own_addrs";

/// The hash of receivers: MAC address in memory order and two zeros (`u64`) to
/// [`Mask`].
pub const MACS: &str = "wharf_macs";

/// The same of senders.
pub const SOURCE_MACS: &str = "wharf_src_macs";

/// The LPM tries of IPv4 prefixes, source and destination, to [`Mask`].
pub const PREFIXES_V4: [&str; 2] = ["wharf_src_v4", "wharf_dst_v4"];

/// The LPM tries of IPv6 prefixes, source and destination, to [`Mask`].
pub const PREFIXES_V6: [&str; 2] = ["wharf_src_v6", "wharf_dst_v6"];

/// The LPM tries of IPv4 prefixes in ARP, sender and the one asked for, to [`Mask`].
pub const PREFIXES_ARP: [&str; 2] = ["wharf_arp_src", "wharf_arp_dst"];

/// The variable that holds [`Config::words`].
pub const CONFIG: &str = "wharf_config";

/// The array with one entry, [`Tables::bytes`]: the section of the variable
/// `wharf_tables`.
pub const TABLES: &str = ".bss";

/// An action that leaves the frame to the kernel.
pub const ACTION_PASS: u32 = 0;
/// An action that drops the frame.
pub const ACTION_DROP: u32 = 2;

/// An action that redirects to the n-th xsk of the queue.
#[must_use]
pub fn action_redirect(xsk: u8) -> u32 {
    1 | u32::from(xsk) << 8
}

/// What the program is configured with before it is loaded: constants to the
/// verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// What rules ask for: bits of [`Table::asks`], and [`ASKS_ANYTHING`] where
    /// there are rules.
    pub fields: u32,
    /// Words of a [`Mask`] that are in use.
    pub words: u32,
    /// Whether [`FLOWS`] is looked at.
    pub flows: bool,
    /// Whether what the host itself lives on goes to the kernel.
    pub management: bool,
    /// What becomes of frames that nothing else decides.
    pub default_action: u32,
    /// Queues that have slots.
    pub queue_slots: u32,
    /// Slots that each has.
    pub xsks_per_queue: u32,
    /// What becomes of frames whose slot is empty.
    pub no_xsk_verdict: u32,
    /// What becomes of frames that a rule may match which would do something else than
    /// what decides; or [`UNDECIDED_NEXT`].
    pub undecided_action: u32,
}

/// In [`Config::undecided_action`]: a rule that may match does not.
pub const UNDECIDED_NEXT: u32 = u32::MAX;

/// In [`Config::no_xsk_verdict`]: such frames go to the kernel's stack.
pub const NO_XSK_PASS: u32 = 2;
/// In [`Config::no_xsk_verdict`]: such frames are dropped.
pub const NO_XSK_DROP: u32 = 1;

/// A bit of [`Config::fields`].
pub const ASKS_ANYTHING: u32 = 1 << 31;

impl Config {
    /// Whether any stage before the default is on.
    #[must_use]
    pub fn reads_frames(&self) -> bool {
        self.fields != 0 || self.flows || self.management
    }

    /// The configuration as the program has it.
    #[must_use]
    pub fn words(&self) -> [u32; 9] {
        [
            self.fields,
            self.words,
            u32::from(self.flows),
            u32::from(self.management),
            self.default_action,
            self.queue_slots,
            self.xsks_per_queue,
            self.no_xsk_verdict,
            self.undecided_action,
        ]
    }
}

/// The key of a flow in [`FLOWS`]. The addresses are of one IP version.
#[must_use]
pub fn flow_key(protocol: u8, source: SocketAddr, destination: SocketAddr) -> [u8; FLOW_KEY] {
    let mut key = [0; FLOW_KEY];
    for (at, end) in [(0, source), (20, destination)] {
        let (bits, address) = match end.ip() {
            IpAddr::V4(address) => (32_u32, address.octets().to_vec()),
            IpAddr::V6(address) => (128, address.octets().to_vec()),
        };
        key[at..at + 4].copy_from_slice(&bits.to_ne_bytes());
        key[at + 4..at + 4 + address.len()].copy_from_slice(&address);
    }
    key[40..42].copy_from_slice(&source.port().to_be_bytes());
    key[42..44].copy_from_slice(&destination.port().to_be_bytes());
    key[44..48].copy_from_slice(&u32::from(protocol).to_ne_bytes());
    key
}

/// Reads what [`flow_key`] wrote.
#[must_use]
pub fn flow_of_key(key: &[u8; FLOW_KEY]) -> (u8, SocketAddr, SocketAddr) {
    let end = |at: usize, port: usize| {
        let port = u16::from_be_bytes([key[port], key[port + 1]]);
        let bits = u32::from_ne_bytes([key[at], key[at + 1], key[at + 2], key[at + 3]]);
        let mut octets = [0; 16];
        octets.copy_from_slice(&key[at + 4..at + 20]);
        let address = match bits {
            32 => IpAddr::from([octets[0], octets[1], octets[2], octets[3]]),
            _ => IpAddr::from(octets),
        };
        SocketAddr::new(address, port)
    };
    let protocol = u32::from_ne_bytes([key[44], key[45], key[46], key[47]]);
    // It was an u8.
    let protocol = u8::try_from(protocol).unwrap_or_default();
    (protocol, end(0, 40), end(20, 42))
}

/// The bytes of a key in [`FLOWS`].
pub const FLOW_KEY: usize = 48;

/// The key of an address in [`OWN_ADDRESSES`].
#[must_use]
pub fn address_key(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// What the program decided for the frames of a queue, on one CPU or summed over
/// all of them. Each frame is in one of the five counts.
///
/// A redirect is a decision, not a delivery. Frames that were redirected, but are
/// neither received nor counted in the socket's `XDP_STATISTICS`, are lost: the
/// socket was not bound, or was bound to another queue. Counts start with the
/// program and wrap at 2^64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct QueueCounts {
    /// Frames redirected to the socket in a slot of the queue.
    pub redirected: u64,
    /// Frames passed to the kernel's stack, as flows, rules or the default say.
    pub passed: u64,
    /// Frames dropped, as flows, rules or the default say.
    pub dropped: u64,
    /// Frames passed to the kernel's stack although they should be redirected: the
    /// slot was empty.
    pub passed_no_xsk: u64,
    /// Frames dropped although they should be redirected: the slot was empty.
    pub dropped_no_xsk: u64,
}

impl QueueCounts {
    /// The bytes of one value in the map.
    pub const SIZE: usize = size_of::<Self>();

    /// Reads a value as the kernel returns it, in the byte order of the machine.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let mut counts = [0; 5];
        for (count, bytes) in counts.iter_mut().zip(bytes.as_chunks().0) {
            *count = u64::from_ne_bytes(*bytes);
        }
        let [redirected, passed, dropped, passed_no_xsk, dropped_no_xsk] = counts;
        Self {
            redirected,
            passed,
            dropped,
            passed_no_xsk,
            dropped_no_xsk,
        }
    }

    /// All frames that the program saw.
    #[must_use]
    pub fn frames(&self) -> u64 {
        let seen = self.redirected.wrapping_add(self.passed);
        seen.wrapping_add(self.passed_no_xsk)
            .wrapping_add(self.dropped)
            .wrapping_add(self.dropped_no_xsk)
    }
}

impl Add for QueueCounts {
    type Output = Self;

    /// Wraps like the counters themselves.
    fn add(self, other: Self) -> Self {
        Self {
            redirected: self.redirected.wrapping_add(other.redirected),
            passed: self.passed.wrapping_add(other.passed),
            dropped: self.dropped.wrapping_add(other.dropped),
            passed_no_xsk: self.passed_no_xsk.wrapping_add(other.passed_no_xsk),
            dropped_no_xsk: self.dropped_no_xsk.wrapping_add(other.dropped_no_xsk),
        }
    }
}

impl std::iter::Sum for QueueCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}

/// Aligns the bytes of the object as an ELF header is.
#[repr(C, align(8))]
struct Aligned<Bytes: ?Sized>(Bytes);

static ALIGNED: &Aligned<[u8]> = &Aligned(*include_bytes!("../wharf.bpf.o"));

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use aya_obj::generated::bpf_map_type::{self, *};
    use aya_obj::{Object, ProgramSection};

    use super::*;

    #[test]
    fn object_is_aligned_for_elf() {
        assert_eq!(OBJECT.as_ptr().addr() % 8, 0);
        assert_eq!(&OBJECT[..4], b"\x7fELF");
    }

    #[test]
    fn object_holds_both_programs_and_nothing_else() {
        let object = Object::parse(OBJECT).expect("the object parses");

        let mut names: Vec<_> = object.programs.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, [PROGRAM, PROGRAM_ONE_BUFFER]);
        for (name, program) in &object.programs {
            let ProgramSection::Xdp { frags, .. } = program.section else {
                panic!("`{name}` is an XDP program");
            };
            assert_eq!(frags, name == PROGRAM, "`{name}`");
            // One of the strings in include/linux/license.h.
            assert_eq!(program.license.to_bytes(), b"Dual MIT/GPL");
        }
    }

    #[test]
    fn object_keeps_its_btf() {
        let object = Object::parse(OBJECT).expect("the object parses");

        assert!(object.btf.is_some() && object.btf_ext.is_some());
        assert!(
            !OBJECT.windows(7).any(|name| name == b".debug_"),
            "DWARF is stripped"
        );
    }

    #[test]
    fn object_asks_for_none_of_the_kernels_types() {
        let object = Object::parse(OBJECT).expect("the object parses");

        // Wharf's loader has none to relocate it against.
        assert!(!object.has_btf_relocations());
    }

    #[test]
    fn maps_are_what_this_crate_says() {
        let object = Object::parse(OBJECT).expect("the object parses");

        let shape = |name: &str| {
            let map = object.maps.get(name).expect("the map exists");
            let sizes = (map.key_size(), map.value_size(), map.max_entries());
            (map.map_type(), sizes)
        };
        let mask = 32;
        let tables = u32::try_from(Tables::SIZE).expect("half a megabyte");
        let of = |kind: bpf_map_type| kind as u32;
        assert_eq!(object.maps.len(), 15, "with .rodata");
        assert_eq!(shape(XSKS), (of(BPF_MAP_TYPE_XSKMAP), (4, 4, 1)));
        assert_eq!(shape(COUNTS), (of(BPF_MAP_TYPE_PERCPU_ARRAY), (4, 40, 2)));
        assert_eq!(shape(HITS), (of(BPF_MAP_TYPE_PERCPU_ARRAY), (4, 8, 5)));
        assert_eq!(shape(FLOWS), (of(BPF_MAP_TYPE_HASH), (48, 4, 1)));
        assert_eq!(shape(OWN_ADDRESSES), (of(BPF_MAP_TYPE_HASH), (16, 4, 1)));
        assert_eq!(shape(MACS), (of(BPF_MAP_TYPE_HASH), (8, mask, 1)));
        assert_eq!(shape(SOURCE_MACS), shape(MACS));
        for name in PREFIXES_V4.into_iter().chain(PREFIXES_ARP) {
            assert_eq!(shape(name), (of(BPF_MAP_TYPE_LPM_TRIE), (8, mask, 1)));
        }
        for name in PREFIXES_V6 {
            assert_eq!(shape(name), (of(BPF_MAP_TYPE_LPM_TRIE), (20, mask, 1)));
        }
        assert_eq!(shape(TABLES), (of(BPF_MAP_TYPE_ARRAY), (4, tables, 1)));
        assert_eq!(QueueCounts::SIZE, 40);
        assert_eq!(size_of::<Mask>(), 32);
    }

    #[test]
    fn names_fit_the_kernel() {
        // BPF_OBJ_NAME_LEN is 16 with the terminating zero; longer names are
        // cut, and what operators see in `bpftool` would differ from ours.
        let maps = [XSKS, COUNTS, HITS, FLOWS, OWN_ADDRESSES, MACS, SOURCE_MACS];
        let prefixes = [PREFIXES_V4, PREFIXES_V6, PREFIXES_ARP]
            .into_iter()
            .flatten();
        for name in [PROGRAM, PROGRAM_ONE_BUFFER]
            .into_iter()
            .chain(maps)
            .chain(prefixes)
        {
            assert!(name.len() < 16, "`{name}`");
        }
    }

    #[test]
    fn counts_are_read_in_the_order_of_the_struct() {
        let mut bytes = [0; QueueCounts::SIZE];
        bytes[offset_of!(QueueCounts, redirected)..][..8].copy_from_slice(&7_u64.to_ne_bytes());
        bytes[offset_of!(QueueCounts, passed)..][..8].copy_from_slice(&9_u64.to_ne_bytes());
        bytes[offset_of!(QueueCounts, passed_no_xsk)..][..8].copy_from_slice(&3_u64.to_ne_bytes());
        bytes[offset_of!(QueueCounts, dropped)..][..8].copy_from_slice(&4_u64.to_ne_bytes());
        bytes[offset_of!(QueueCounts, dropped_no_xsk)..][..8].copy_from_slice(&5_u64.to_ne_bytes());

        let counts = QueueCounts::from_bytes(bytes);

        assert_eq!((counts.redirected, counts.passed), (7, 9));
        assert_eq!((counts.passed_no_xsk, counts.dropped), (3, 4));
        assert_eq!(counts.dropped_no_xsk, 5);
        assert_eq!(counts.frames(), 28);
    }

    #[test]
    fn counts_add_up_over_cpus_and_wrap() {
        let cpus = [
            QueueCounts {
                redirected: u64::MAX,
                passed: 1,
                ..QueueCounts::default()
            },
            QueueCounts {
                redirected: 2,
                passed: 3,
                ..QueueCounts::default()
            },
        ];

        let total: QueueCounts = cpus.into_iter().sum();

        assert_eq!((total.redirected, total.passed), (1, 4));
    }
    #[test]
    fn flow_is_read_back_from_its_key() {
        for (source, destination) in [
            ("10.0.0.1:1", "10.0.0.2:65535"),
            ("[fd00::1]:80", "[::1]:0"),
        ] {
            let ends = [source, destination].map(|end| end.parse().expect("an address"));

            let key = flow_key(17, ends[0], ends[1]);

            assert_eq!(flow_of_key(&key), (17, ends[0], ends[1]));
        }
    }
}

//! Wharf's XDP program, compiled, and the layout of its maps: the contract
//! between `wharf.bpf.c` and whoever loads it.
//!
//! # Contract
//!
//! * [`PROGRAM`] redirects each frame to the AF_XDP socket in the slot of
//!   [`XSKS`] that has the index of the queue the frame arrived on. When the
//!   slot is empty the frame goes to the kernel's stack (`XDP_PASS`).
//!   [`PROGRAM_ONE_BUFFER`] is the same for kernels before 5.18, which do not
//!   know `BPF_F_XDP_HAS_FRAGS`: load one of the two.
//! * Both maps have one entry in the object; the loader raises `max_entries` to
//!   the number of queues before it creates them. Queues past the end pass.
//! * [`COUNTS`] has one [`QueueCounts`] per queue and possible CPU. Its sum over
//!   the CPUs grows by one for each frame, before the frame is delivered.
//! * The program reads no packet bytes and needs no GPL-only helper. Its least
//!   kernel is 5.3, for the verdict in the flags of `bpf_redirect_map`.
//!
//! The object is committed, so this crate builds without clang;
//! `ebpf/build.sh --check` says whether it is still what the source compiles to.

use std::ops::Add;

/// The object file, an ELF relocatable with BTF, 8-byte aligned as parsers of
/// ELF structures like it.
pub static OBJECT: &[u8] = &ALIGNED.0;

/// The XDP program, `SEC("xdp.frags")`: frames may span buffers. Linux 5.18.
pub const PROGRAM: &str = "wharf_steer";

/// The XDP program, `SEC("xdp")`: frames lie in one buffer, which limits the
/// MTU that a driver accepts in native mode.
pub const PROGRAM_ONE_BUFFER: &str = "wharf_steer_one";

/// The XSKMAP: queue index (`u32`) to AF_XDP socket (`u32` file descriptor).
pub const XSKS: &str = "wharf_xsks";

/// The per-CPU array: queue index (`u32`) to [`QueueCounts`].
pub const COUNTS: &str = "wharf_counts";

/// What the program decided for the frames of a queue on one CPU, or on all of
/// them once added up.
///
/// A redirect is a decision, not a delivery. Frames that were redirected but
/// neither received nor counted in the socket's `XDP_STATISTICS` were lost on
/// the way, because the socket was not bound, or to another queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct QueueCounts {
    /// Frames handed to the socket in the queue's slot.
    pub redirected: u64,
    /// Frames left to the kernel's stack: the slot was empty.
    pub passed: u64,
}

impl QueueCounts {
    /// The bytes of one value in the map.
    pub const SIZE: usize = size_of::<Self>();

    /// Reads a value as the kernel gives it, in the byte order of the machine.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
        Self {
            redirected: u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            passed: u64::from_ne_bytes(rest),
        }
    }
}

impl Add for QueueCounts {
    type Output = Self;

    /// Wraps like the counters themselves.
    fn add(self, other: Self) -> Self {
        Self {
            redirected: self.redirected.wrapping_add(other.redirected),
            passed: self.passed.wrapping_add(other.passed),
        }
    }
}

impl std::iter::Sum for QueueCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}

/// Gives the bytes of the object the alignment of an ELF header.
#[repr(C, align(8))]
struct Aligned<Bytes: ?Sized>(Bytes);

static ALIGNED: &Aligned<[u8]> = &Aligned(*include_bytes!("../wharf.bpf.o"));

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use aya_obj::generated::bpf_map_type::{BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_XSKMAP};
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
    fn maps_are_what_this_crate_says() {
        let object = Object::parse(OBJECT).expect("the object parses");

        let shape = |name: &str| {
            let map = object.maps.get(name).expect("the map exists");
            let sizes = (map.key_size(), map.value_size(), map.max_entries());
            (map.map_type(), sizes)
        };
        assert_eq!(object.maps.len(), 2);
        assert_eq!(shape(XSKS), (BPF_MAP_TYPE_XSKMAP as u32, (4, 4, 1)));
        assert_eq!(
            shape(COUNTS),
            (BPF_MAP_TYPE_PERCPU_ARRAY as u32, (4, 16, 1))
        );
        assert_eq!(QueueCounts::SIZE, 16);
    }

    #[test]
    fn names_fit_the_kernel() {
        // BPF_OBJ_NAME_LEN is 16 with the terminating zero; longer names are
        // cut, and what operators see in `bpftool` would differ from ours.
        for name in [PROGRAM, PROGRAM_ONE_BUFFER, XSKS, COUNTS] {
            assert!(name.len() < 16, "`{name}`");
        }
    }

    #[test]
    fn counts_are_read_in_the_order_of_the_struct() {
        let mut bytes = [0; QueueCounts::SIZE];
        bytes[offset_of!(QueueCounts, redirected)..][..8].copy_from_slice(&7_u64.to_ne_bytes());
        bytes[offset_of!(QueueCounts, passed)..][..8].copy_from_slice(&9_u64.to_ne_bytes());

        let counts = QueueCounts::from_bytes(bytes);

        assert_eq!((counts.redirected, counts.passed), (7, 9));
    }

    #[test]
    fn counts_add_up_over_cpus_and_wrap() {
        let cpus = [
            QueueCounts {
                redirected: u64::MAX,
                passed: 1,
            },
            QueueCounts {
                redirected: 2,
                passed: 3,
            },
        ];

        let total: QueueCounts = cpus.into_iter().sum();

        assert_eq!((total.redirected, total.passed), (1, 4));
    }
}

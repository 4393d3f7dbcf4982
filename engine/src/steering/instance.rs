//! One set of rules in the kernel: a program, the tables that it alone has, and
//! what it counted.

use std::io;

use aya::Ebpf;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray};
use wharf_ebpf::{
    COUNTS, Config, HIT_DEFAULT, HIT_FLOWS, HIT_MANAGEMENT, HIT_NO_XSK, HIT_RULES, HIT_UNDECIDED,
    HITS, MACS, Mask, NO_XSK_DROP, NO_XSK_PASS, PREFIXES_ARP, PREFIXES_V4, PREFIXES_V6,
    QueueCounts, SOURCE_MACS, TABLES, Tables, XSKS,
};

use super::config::{NoXsk, OWN_ADDRESSES, SteeringConfig};
use super::error::{SteeringError, SteeringErrorKind};
use super::hits::Totals;
use super::loader::create_maps;
use super::program::Program;
use super::shared::SharedMaps;
use crate::kernel::interface::Interface;
use crate::kernel::privileges;
use crate::kernel::sys::bpf::{self, Buffers};
use crate::kernel::sys::descriptors;
use crate::steering::rules::{Compiled, Prefix, RuleSet, compile};

/// A program with its own tables, loaded.
pub(super) struct Instance {
    pub(super) rules: RuleSet,
    pub(super) program: Program,
    counts: PerCpuArray<MapData, [u8; QueueCounts::SIZE]>,
    hits: PerCpuArray<MapData, u64>,
    queue_slots: u32,
    /// Whether nothing is asked of frames, and hits are not counted.
    is_plain: bool,
}

/// What a program is made for: the same for all instances of an interface.
pub(super) struct Target<'a> {
    pub(super) interface: &'a Interface,
    pub(super) queue_slots: u32,
    pub(super) config: &'a SteeringConfig,
}

impl Instance {
    /// Loads the first program for `rules` of an interface. Returns it with the
    /// maps that later ones share.
    pub(super) fn load_first(
        target: &Target<'_>,
        rules: &RuleSet,
        programs: &[Buffers],
    ) -> Result<(Self, SharedMaps), SteeringError> {
        let (mut ebpf, config) = create(target, rules, SharedSizes::Full)?;
        let shared = SharedMaps::take_from(&mut ebpf);
        let shared = shared.map_err(|error| SteeringError::load(target.interface, error.into()))?;
        let instance = Self::load(target, rules, programs, ebpf, &config)?;
        Ok((instance, shared))
    }

    /// Loads a program for `rules` that uses the maps of those before it.
    pub(super) fn load_next(
        target: &Target<'_>,
        rules: &RuleSet,
        buffers: Buffers,
        shared: &SharedMaps,
    ) -> Result<Self, SteeringError> {
        let (ebpf, config) = create(target, rules, SharedSizes::Least)?;
        let replaced = shared.replace_those_of(&ebpf);
        replaced.map_err(|error| SteeringError::load(target.interface, error.into()))?;
        Self::load(target, rules, &[buffers], ebpf, &config)
    }

    fn load(
        target: &Target<'_>,
        rules: &RuleSet,
        programs: &[Buffers],
        mut ebpf: Ebpf,
        config: &Config,
    ) -> Result<Self, SteeringError> {
        let interface = target.interface;
        let failed = |error: MapError| SteeringError::load(interface, error.into());
        let counts = PerCpuArray::try_from(take(&mut ebpf, COUNTS)).map_err(failed)?;
        let hits = PerCpuArray::try_from(take(&mut ebpf, HITS)).map_err(failed)?;
        let program = Program::load(interface, ebpf, programs)?;
        Ok(Self {
            rules: rules.clone(),
            program,
            counts,
            hits,
            queue_slots: target.queue_slots,
            is_plain: !config.reads_frames(),
        })
    }

    /// What it decided for the frames of a queue, or at `queue_slots` for those of
    /// all queues beyond.
    pub(super) fn counts(&self, queue: u32) -> Result<QueueCounts, MapError> {
        let per_cpu = self.counts.get(&queue, 0)?;
        Ok(per_cpu.iter().copied().map(QueueCounts::from_bytes).sum())
    }

    /// All that it counted.
    pub(super) fn totals(&self) -> Result<Totals, MapError> {
        let queues: Vec<_> = (0..=self.queue_slots)
            .map(|queue| self.counts(queue))
            .collect::<Result<_, _>>()?;
        let hits = |index| -> Result<u64, MapError> { Ok(self.hits.get(&index, 0)?.iter().sum()) };
        let rules = HIT_RULES..self.hits.len();
        Ok(Totals {
            rules: rules.map(hits).collect::<Result<_, _>>()?,
            default: if self.is_plain {
                let decided = queues.iter().map(|counts| counts.frames() - no_xsk(counts));
                decided.sum()
            } else {
                hits(HIT_DEFAULT)?
            },
            no_xsk: if self.is_plain {
                queues.iter().map(no_xsk).sum()
            } else {
                hits(HIT_NO_XSK)?
            },
            undecided: hits(HIT_UNDECIDED)?,
            flows: hits(HIT_FLOWS)?,
            management: hits(HIT_MANAGEMENT)?,
            queues,
        })
    }
}

impl Target<'_> {
    fn configure(&self, compiled: &Compiled) -> Config {
        Config {
            fields: compiled.fields,
            words: compiled.words,
            flows: self.config.flow_capacity > 0,
            management: self.config.keep_management,
            default_action: compiled.default_action,
            queue_slots: self.queue_slots,
            xsks_per_queue: u32::from(self.config.xsks_per_queue),
            no_xsk_verdict: match self.config.no_xsk {
                NoXsk::Pass => NO_XSK_PASS,
                NoXsk::Drop => NO_XSK_DROP,
            },
            undecided_action: compiled.undecided_action,
        }
    }

    /// Entries of each map.
    fn sizes(&self, compiled: &Compiled, shared_sizes: SharedSizes) -> Vec<(&'static str, u32)> {
        let entries = |count: usize| u32::try_from(count.max(1)).expect("there are few rules");
        let mut sizes = vec![
            (COUNTS, self.queue_slots + 1),
            (HITS, HIT_RULES + compiled.rules),
        ];
        for (name, macs) in [SOURCE_MACS, MACS].into_iter().zip(&compiled.macs) {
            sizes.push((name, entries(macs.len())));
        }
        let tries = [
            (PREFIXES_ARP, &compiled.prefixes_arp),
            (PREFIXES_V4, &compiled.prefixes_v4),
            (PREFIXES_V6, &compiled.prefixes_v6),
        ];
        for (names, prefixes) in tries {
            for (name, prefixes) in names.into_iter().zip(prefixes) {
                sizes.push((name, entries(prefixes.len())));
            }
        }
        let own_addresses = if self.config.keep_management {
            OWN_ADDRESSES
        } else {
            1
        };
        let shared = [
            (
                XSKS,
                self.queue_slots * u32::from(self.config.xsks_per_queue),
            ),
            (wharf_ebpf::FLOWS, self.config.flow_capacity.max(1)),
            (wharf_ebpf::OWN_ADDRESSES, own_addresses),
        ];
        sizes.extend(shared.map(|(name, full)| match shared_sizes {
            SharedSizes::Full => (name, full),
            SharedSizes::Least => (name, 1),
        }));
        sizes
    }
}

/// Frames that were to go to an xsk that is not there.
fn no_xsk(counts: &QueueCounts) -> u64 {
    counts.passed_no_xsk + counts.dropped_no_xsk
}

/// How large the maps are made that programs share.
#[derive(Clone, Copy)]
enum SharedSizes {
    /// As large as they are asked for.
    Full,
    /// As small as can be, for those of the first program replace them.
    Least,
}

/// Creates the maps of a program for `rules`, and writes its tables.
fn create(
    target: &Target<'_>,
    rules: &RuleSet,
    shared_sizes: SharedSizes,
) -> Result<(Ebpf, Config), SteeringError> {
    let interface = target.interface;
    let compiled = compile(rules, target.config.xsks_per_queue);
    let compiled = compiled.map_err(|error| SteeringError::new(interface, error))?;
    let config = target.configure(&compiled);
    if config.reads_frames() && !privileges::can_read_frames() {
        return Err(SteeringError::new(interface, SteeringErrorKind::CannotRead));
    }
    let sizes = target.sizes(&compiled, shared_sizes);
    try_out().map_err(|error| SteeringError::load(interface, error.into()))?;
    let ebpf = create_maps(&config, &sizes);
    let mut ebpf = ebpf.map_err(|error| SteeringError::load(interface, error.into()))?;
    let filled = fill(&mut ebpf, &compiled);
    filled.map_err(|error| SteeringError::load(interface, error.into()))?;
    Ok((ebpf, config))
}

/// Tries the first steps, and whether there are descriptors for the rest.
///
/// The loader finds out what the kernel can do by trying, once in the life of a process.
/// What fails then for want of descriptors, memory or permission it takes for missing,
/// and later errors name the wrong cause.
fn try_out() -> io::Result<()> {
    descriptors::check_free(DESCRIPTORS)?;
    bpf::create_array()?;
    bpf::load_xdp(Buffers::One)
}

/// What a program takes, and a few: one for each map, one for their types, and one for
/// itself.
const DESCRIPTORS: usize = 24;

/// Writes the tables.
fn fill(ebpf: &mut Ebpf, compiled: &Compiled) -> Result<(), MapError> {
    let mut tables: Array<_, [u8; Tables::SIZE]> = Array::try_from(map(ebpf, TABLES))?;
    tables.set(0, compiled.tables.bytes(), 0)?;
    for (name, compiled_macs) in [SOURCE_MACS, MACS].into_iter().zip(&compiled.macs) {
        let mut macs: HashMap<_, u64, Mask> = HashMap::try_from(map(ebpf, name))?;
        for (mac, mask) in compiled_macs {
            macs.insert(mac, mask, 0)?;
        }
    }
    let of_ipv4 = PREFIXES_V4.into_iter().zip(&compiled.prefixes_v4);
    let of_arp = PREFIXES_ARP.into_iter().zip(&compiled.prefixes_arp);
    for (name, prefixes) in of_ipv4.chain(of_arp) {
        let trie: LpmTrie<_, [u8; 4], Mask> = LpmTrie::try_from(map(ebpf, name))?;
        fill_trie(trie, prefixes)?;
    }
    for (name, prefixes) in PREFIXES_V6.into_iter().zip(&compiled.prefixes_v6) {
        let trie: LpmTrie<_, [u8; 16], Mask> = LpmTrie::try_from(map(ebpf, name))?;
        fill_trie(trie, prefixes)?;
    }
    Ok(())
}

fn fill_trie<const N: usize>(
    mut trie: LpmTrie<&mut MapData, [u8; N], Mask>,
    prefixes: &[(Prefix, Mask)],
) -> Result<(), MapError> {
    for (prefix, mask) in prefixes {
        let mut octets = [0; N];
        match prefix.address() {
            std::net::IpAddr::V4(address) => octets.copy_from_slice(&address.octets()),
            std::net::IpAddr::V6(address) => octets.copy_from_slice(&address.octets()),
        }
        trie.insert(&Key::new(prefix.length().into(), octets), mask, 0)?;
    }
    Ok(())
}

fn map<'a>(ebpf: &'a mut Ebpf, name: &str) -> &'a mut Map {
    ebpf.map_mut(name)
        .expect("wharf-ebpf tests that the object holds the map")
}

fn take(ebpf: &mut Ebpf, name: &str) -> Map {
    ebpf.take_map(name)
        .expect("wharf-ebpf tests that the object holds the map")
}

//! One set of rules in the kernel: a program, the tables that it alone has, and
//! what it counted.

use aya::Ebpf;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray};
use wharf_ebpf::{
    COUNTS, Config, HIT_DEFAULT, HIT_FLOWS, HIT_MANAGEMENT, HIT_RULES, HITS, MACS, Mask,
    PREFIXES_V4, PREFIXES_V6, QueueCounts, TABLES, Tables, XSKS,
};

use super::SteeringError;
use super::config::{OWN_ADDRESSES, SteeringConfig};
use super::hits::Totals;
use super::program::{Frames, Program};
use super::shared::SharedMaps;
use crate::kernel::interface::Interface;
use crate::kernel::privileges;
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

/// What all instances of one interface have in common.
pub(super) struct Frame<'a> {
    pub(super) interface: &'a Interface,
    pub(super) queue_slots: u32,
    pub(super) config: &'a SteeringConfig,
}

impl Instance {
    /// Loads a program for `rules`. The first of an interface gets no `shared`
    /// maps, and gives them.
    pub(super) fn load(
        frame: &Frame<'_>,
        rules: &RuleSet,
        programs: &[Frames],
        shared: Option<&SharedMaps>,
    ) -> Result<(Self, Option<SharedMaps>), SteeringError> {
        let interface = frame.interface;
        let compiled = compile(rules, frame.config.xsks_per_queue)?;
        let config = frame.configure(&compiled);
        let failed = |error: MapError| SteeringError::load(interface, error.into());
        if config.reads_frames() && !privileges::can_read_frames() {
            return Err(SteeringError::CannotRead {
                interface: interface.name().to_owned(),
            });
        }
        let sizes = frame.sizes(&compiled, shared.is_none());
        let mut ebpf = Program::create(interface, &config, &sizes)?;
        fill(&mut ebpf, &compiled).map_err(failed)?;
        let taken = match shared {
            Some(shared) => {
                shared
                    .give(&ebpf)
                    .map_err(|error| SteeringError::load(interface, error.into()))?;
                None
            }
            None => Some(SharedMaps::take(&mut ebpf).map_err(failed)?),
        };
        let counts = PerCpuArray::try_from(take(&mut ebpf, COUNTS)).map_err(failed)?;
        let hits = PerCpuArray::try_from(take(&mut ebpf, HITS)).map_err(failed)?;
        let program = Program::load(interface, ebpf, programs)?;
        let instance = Self {
            rules: rules.clone(),
            program,
            counts,
            hits,
            queue_slots: frame.queue_slots,
            is_plain: !config.reads_frames(),
        };
        Ok((instance, taken))
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
                queues.iter().map(QueueCounts::frames).sum()
            } else {
                hits(HIT_DEFAULT)?
            },
            flows: hits(HIT_FLOWS)?,
            management: hits(HIT_MANAGEMENT)?,
            queues,
        })
    }
}

impl Frame<'_> {
    fn configure(&self, compiled: &Compiled) -> Config {
        Config {
            fields: compiled.fields,
            words: compiled.words,
            flows: self.config.flow_capacity > 0,
            management: self.config.keep_management,
            default_action: compiled.default_action,
            queue_slots: self.queue_slots,
            xsks_per_queue: u32::from(self.config.xsks_per_queue),
        }
    }

    /// Entries of each map.
    fn sizes(&self, compiled: &Compiled, is_first: bool) -> Vec<(&'static str, u32)> {
        let entries = |count: usize| u32::try_from(count.max(1)).expect("there are few rules");
        let xsks = self.queue_slots * u32::from(self.config.xsks_per_queue);
        let mut sizes = vec![
            (COUNTS, self.queue_slots + 1),
            (HITS, HIT_RULES + compiled.rules),
            (MACS, entries(compiled.macs.len())),
        ];
        let tries = [
            (PREFIXES_V4, &compiled.prefixes_v4),
            (PREFIXES_V6, &compiled.prefixes_v6),
        ];
        for (names, prefixes) in tries {
            for (name, prefixes) in names.into_iter().zip(prefixes) {
                sizes.push((name, entries(prefixes.len())));
            }
        }
        if is_first {
            let addresses = if self.config.keep_management {
                OWN_ADDRESSES
            } else {
                1
            };
            sizes.push((XSKS, xsks));
            sizes.push((wharf_ebpf::FLOWS, self.config.flow_capacity.max(1)));
            sizes.push((wharf_ebpf::OWN_ADDRESSES, addresses));
        }
        sizes
    }
}

/// Writes the tables.
fn fill(ebpf: &mut Ebpf, compiled: &Compiled) -> Result<(), MapError> {
    let mut tables: Array<_, [u8; Tables::SIZE]> = Array::try_from(map(ebpf, TABLES))?;
    tables.set(0, compiled.tables.bytes(), 0)?;
    let mut macs: HashMap<_, u64, Mask> = HashMap::try_from(map(ebpf, MACS))?;
    for (mac, mask) in &compiled.macs {
        macs.insert(mac, mask, 0)?;
    }
    for (name, prefixes) in PREFIXES_V4.into_iter().zip(&compiled.prefixes_v4) {
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

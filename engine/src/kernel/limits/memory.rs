//! How much memory the control groups of this process allow it.
//!
//! Who exceeds such a limit gets no error: the kernel kills a process of the group
//! without a word. So memory is asked for only where there is room. The machine as a
//! whole is no different.

use std::fs;
use std::path::PathBuf;

use rustix::process::{Resource, getrlimit};

use super::control_group::{Group, Version, groups};

/// A control group with a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryGroup {
    /// Its directory in the cgroup file system.
    pub directory: PathBuf,
    /// Bytes that its processes may have together.
    pub limit: u64,
    /// Bytes that they have, without what the kernel can take back at once, such as
    /// cached files.
    pub used: u64,
}

impl MemoryGroup {
    /// Bytes that are left.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    fn of(group: &Group, free_swap: u64) -> Option<Self> {
        let (limit, used) = match group.version {
            Version::One => ("memory.limit_in_bytes", "memory.usage_in_bytes"),
            Version::Two => ("memory.max", "memory.current"),
        };
        let limit = group.number(limit)?;
        let used = group.number(used)?;
        let reclaimable = reclaimable(group, free_swap);
        Some(Self {
            directory: group.directory.clone(),
            limit,
            used: used.saturating_sub(reclaimable),
        })
    }
}

/// The group of this process, or above it, in which the least is left; `None` if none
/// has a limit.
#[must_use]
pub fn tightest_memory_group() -> Option<MemoryGroup> {
    let groups = groups("memory");
    let free_swap = free_swap();
    let limited = groups
        .iter()
        .filter_map(|group| MemoryGroup::of(group, free_swap));
    limited.min_by_key(MemoryGroup::left)
}

/// The bytes of address space that this process may have (`RLIMIT_AS`), if that is
/// limited, and those that it has.
pub(crate) fn address_space() -> Option<(u64, u64)> {
    let limit = getrlimit(Resource::As).current?;
    // The first number is of pages: proc_pid_statm(5).
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages
        .split(' ')
        .next()
        .and_then(|pages| pages.parse::<u64>().ok());
    let page_bytes = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    Some((limit, pages.unwrap_or(0).saturating_mul(page_bytes)))
}

/// Bytes that the machine has for who asks, those included that it gets back from caches
/// and swap space; `None` where `/proc` does not say.
pub(crate) fn available_memory() -> Option<u64> {
    let available = meminfo("MemAvailable:")?;
    Some(available.saturating_add(free_swap()))
}

/// The group of this process, or above it, whose limit has been met.
pub(super) fn met_memory_limit() -> Option<MemoryGroup> {
    let met = |group: &Group| {
        let times = match group.version {
            Version::One => group.number("memory.failcnt"),
            Version::Two => group.entry("memory.events", "max"),
        };
        times.is_some_and(|times| times > 0)
    };
    let groups = groups("memory");
    let free_swap = free_swap();
    let mut met = groups.iter().filter(|group| met(group));
    met.find_map(|group| MemoryGroup::of(group, free_swap))
}

/// Bytes that the kernel gets back before it kills: files' pages, some of its own
/// memory, and what fits the swap space. `memory.stat` counts the groups below as well,
/// under other names in version 1.
fn reclaimable(group: &Group, free_swap: u64) -> u64 {
    let names: &[&str] = match group.version {
        Version::One => &["total_inactive_file", "total_active_file"],
        Version::Two => &["inactive_file", "active_file", "slab_reclaimable"],
    };
    let entry = |name: &str| group.entry("memory.stat", name).unwrap_or(0);
    let swappable = match group.version {
        Version::One => entry("total_inactive_anon") + entry("total_active_anon"),
        Version::Two => entry("inactive_anon") + entry("active_anon"),
    };
    let swap = match group.version {
        Version::One => free_swap,
        Version::Two => {
            let used = group.number("memory.swap.current").unwrap_or(0);
            let most = group.number("memory.swap.max");
            most.map_or(free_swap, |most| free_swap.min(most.saturating_sub(used)))
        }
    };
    let files: u64 = names.iter().map(|name| entry(name)).sum();
    files.saturating_add(swappable.min(swap))
}

fn free_swap() -> u64 {
    meminfo("SwapFree:").unwrap_or(0)
}

/// The bytes that `/proc/meminfo` has behind `name`.
fn meminfo(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib = line.split_whitespace().next()?.parse::<u64>().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that looks like a control group's, removed on drop.
    struct Fake(Group);

    impl Fake {
        fn new(name: &str, version: Version, files: &[(&str, &str)]) -> Self {
            let directory =
                std::env::temp_dir().join(format!("wharf-group-{}-{name}", std::process::id()));
            fs::create_dir_all(&directory).expect("a new directory");
            for (file, text) in files {
                fs::write(directory.join(file), text).expect("a new file");
            }
            Self(Group::fake(directory, version))
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0.directory);
        }
    }

    #[test]
    fn cached_files_are_no_use_of_a_group() {
        let one = Fake::new(
            "one",
            Version::One,
            &[
                ("memory.limit_in_bytes", "104857600\n"),
                ("memory.usage_in_bytes", "90000000\n"),
                (
                    "memory.stat",
                    "inactive_file 1\ntotal_inactive_file 50000000\ntotal_active_file 10000000\n",
                ),
            ],
        );
        let two = Fake::new(
            "two",
            Version::Two,
            &[
                ("memory.max", "104857600\n"),
                ("memory.current", "90000000\n"),
                (
                    "memory.stat",
                    "anon 1\ninactive_file 50000000\nactive_file 6000000\nslab_reclaimable 4000000\n",
                ),
            ],
        );

        for group in [&one, &two] {
            let group = MemoryGroup::of(&group.0, 0).expect("it has a limit");

            assert_eq!((group.limit, group.used), (104_857_600, 30_000_000));
            assert_eq!(group.left(), 74_857_600);
        }
    }

    #[test]
    fn what_fits_the_swap_space_is_no_use_either() {
        let group = Fake::new(
            "swap",
            Version::Two,
            &[
                ("memory.max", "100000\n"),
                ("memory.current", "90000\n"),
                ("memory.stat", "inactive_anon 30000\nactive_anon 50000\n"),
                ("memory.swap.max", "20000\n"),
                ("memory.swap.current", "5000\n"),
            ],
        );
        let used = |free_swap| MemoryGroup::of(&group.0, free_swap).map(|group| group.used);

        assert_eq!(used(0), Some(90_000));
        assert_eq!(used(10_000), Some(80_000));
        assert_eq!(used(1 << 30), Some(75_000));
    }

    #[test]
    fn group_without_a_limit_has_none() {
        let one = Fake::new(
            "free-one",
            Version::One,
            &[
                ("memory.limit_in_bytes", "9223372036854771712\n"),
                ("memory.usage_in_bytes", "1\n"),
            ],
        );
        let two = Fake::new(
            "free-two",
            Version::Two,
            &[("memory.max", "max\n"), ("memory.current", "1\n")],
        );
        let top = Fake::new("top", Version::Two, &[("memory.stat", "anon 1\n")]);

        for group in [&one, &two, &top] {
            assert_eq!(MemoryGroup::of(&group.0, 0), None);
        }
    }
}

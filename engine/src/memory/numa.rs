//! Memory is put on the NUMA node of the CPU that works on it, before it is there: a
//! page stays where it was faulted in, and pinned for good.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ptr::NonNull;

use super::NumaReport;
use crate::kernel::sys::memory::Mapping;
use crate::kernel::sys::numa::{current_node, nodes_of, prefer_node};
use crate::kernel::{KernelCall, explain_refusal};

/// What is to become of memory that has no pages yet.
pub(super) struct Placement {
    wanted: Option<u32>,
    /// Why the kernel was not told.
    refusal: Option<String>,
}

impl Placement {
    /// Has the pages of `mapping` come from the node of the calling thread's CPU.
    pub(super) fn near(mapping: &Mapping) -> Self {
        let node = current_node();
        match node.as_ref().map(|node| prefer_node(mapping, *node)) {
            Ok(Ok(())) => Self {
                wanted: node.ok(),
                refusal: None,
            },
            Ok(Err(error)) => Self {
                wanted: node.ok(),
                refusal: Some(explain("mbind", &error)),
            },
            Err(error) => Self {
                wanted: None,
                refusal: Some(explain("getcpu", error)),
            },
        }
    }

    /// Nothing: the memory is another owner's, and lies where it lies.
    pub(super) fn of_others() -> Self {
        Self {
            wanted: current_node().ok(),
            refusal: Some("its owner put it there".to_owned()),
        }
    }

    /// Where the memory lies by now.
    pub(super) fn report(self, start: NonNull<u8>, len: usize, page_bytes: u64) -> NumaReport {
        let nodes = nodes();
        let found = nodes_of(start, &samples(len, page_bytes));
        judge(self, found, nodes)
    }
}

fn judge(placement: Placement, found: io::Result<Vec<u32>>, nodes: u32) -> NumaReport {
    let Placement { wanted, refusal } = placement;
    let found = match found {
        Ok(found) => found,
        // On a machine with one node it lies there.
        Err(_) if nodes == 1 => wanted.into_iter().collect(),
        Err(error) => {
            return NumaReport {
                wanted,
                got: None,
                fallback: Some(refusal.unwrap_or_else(|| explain("move_pages", &error))),
                nodes,
            };
        }
    };
    let each: BTreeSet<u32> = found.iter().copied().collect();
    let got = (each.len() == 1).then(|| found[0]);
    let fallback = match got {
        Some(_) if got == wanted => None,
        _ => Some(refusal.unwrap_or_else(|| {
            let elsewhere = found.iter().filter(|node| Some(**node) != wanted).count();
            format!(
                "{} of {} pages looked at are elsewhere: the node has too little memory free",
                elsewhere,
                found.len()
            )
        })),
    };
    NumaReport {
        wanted,
        got,
        fallback,
        nodes,
    }
}

fn explain(call: &str, error: &io::Error) -> String {
    let has_none = error.raw_os_error() == Some(libc::ENOSYS) && !fs::exists(NODES).unwrap_or(true);
    if has_none {
        return "this kernel knows no NUMA nodes (CONFIG_NUMA)".to_owned();
    }
    format!("{call}: {}", explain_refusal(error, KernelCall::Other))
}

/// Pages all over the memory.
fn samples(len: usize, page_bytes: u64) -> Vec<usize> {
    const MOST: usize = 1024;
    let page = usize::try_from(page_bytes).unwrap_or(len).max(1);
    let pages = len.div_ceil(page).max(1);
    let step = pages.div_ceil(MOST);
    (0..pages).step_by(step).map(|index| index * page).collect()
}

/// The nodes of this machine that have memory or CPUs.
fn nodes() -> u32 {
    let entries = fs::read_dir(NODES).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let nodes = names.filter(|name| {
        let number = name.strip_prefix("node");
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    });
    u32::try_from(nodes.count()).unwrap_or(u32::MAX).max(1)
}

const NODES: &str = "/sys/devices/system/node";

#[cfg(test)]
mod tests {
    use super::*;

    fn near(wanted: u32) -> Placement {
        Placement {
            wanted: Some(wanted),
            refusal: None,
        }
    }

    #[test]
    fn memory_on_the_node_wanted_has_no_fallback() {
        let report = judge(near(1), Ok(vec![1, 1, 1]), 2);

        assert_eq!((report.wanted, report.got), (Some(1), Some(1)));
        assert_eq!(report.fallback, None);
    }

    #[test]
    fn memory_that_spilt_over_says_how_much() {
        let report = judge(near(1), Ok(vec![1, 0, 0, 1]), 2);

        assert_eq!(report.got, None);
        let text = report.fallback.expect("a reason");
        assert!(text.starts_with("2 of 4 pages looked at"), "{text}");
    }

    #[test]
    fn refusal_is_the_reason_only_if_memory_is_elsewhere() {
        let refused = || Placement {
            wanted: Some(1),
            refusal: Some("mbind: no".to_owned()),
        };

        assert_eq!(judge(refused(), Ok(vec![1]), 2).fallback, None);
        let elsewhere = judge(refused(), Ok(vec![0]), 2);
        assert_eq!(elsewhere.got, Some(0));
        assert_eq!(elsewhere.fallback.as_deref(), Some("mbind: no"));
    }

    #[test]
    fn only_node_of_a_machine_needs_no_look() {
        let refused = || Err(io::Error::from_raw_os_error(libc::EPERM));

        assert_eq!(judge(near(0), refused(), 1).got, Some(0));
        let two = judge(near(0), refused(), 2);
        assert_eq!(two.got, None);
        assert!(two.fallback.expect("a reason").starts_with("move_pages: "));
    }

    #[test]
    fn samples_are_all_over_and_not_too_many() {
        assert_eq!(samples(3 << 12, 4096), [0, 4096, 8192]);
        assert_eq!(samples(1, 4096), [0]);
        let many = samples(16 << 30, 4096);
        assert!((512..=1024).contains(&many.len()));
        assert!(*many.last().expect("some") > 15 << 30);
    }
}

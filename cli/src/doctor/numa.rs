//! Whether the workers of an interface can be on its NUMA node: frames that cross from
//! one node to another take longer, each of them.

use std::collections::BTreeSet;
use std::fs;

use rustix::thread::{CpuSet, sched_getaffinity};

use super::check::Check;
use crate::args::CpuList;
use crate::report::ranges;

/// Where `interface` is, beside the CPUs that this process may use. `None` on machines
/// with one node, and for interfaces that are nowhere.
pub fn examine(interface: &str) -> Option<Check> {
    let node = fs::read_to_string(format!("/sys/class/net/{interface}/device/numa_node")).ok()?;
    let node: u32 = node.trim().parse().ok()?;
    let nodes = cpus("/sys/devices/system/node/has_cpu")?;
    let near = cpus(&format!("/sys/devices/system/node/node{node}/cpulist"))?;
    let allowed = sched_getaffinity(None).ok()?;
    let allowed = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
    judge(node, nodes.len(), &near, &allowed.collect())
}

fn judge(
    node: u32,
    nodes: usize,
    near: &BTreeSet<usize>,
    allowed: &BTreeSet<usize>,
) -> Option<Check> {
    let topic = "NUMA node";
    if nodes < 2 {
        return None;
    }
    let list = |cpus: &BTreeSet<usize>| ranges(&cpus.iter().copied().collect::<Vec<_>>());
    let usable: BTreeSet<usize> = near.intersection(allowed).copied().collect();
    Some(if usable.is_empty() {
        Check::poor(
            topic,
            format!("{node}, and this process may use none of its CPUs"),
            format!("allow it some of CPUs {}", list(near)),
        )
    } else if usable == *allowed {
        Check::good(
            topic,
            format!("{node}, as all CPUs that this process may use"),
        )
    } else {
        Check::poor(
            topic,
            format!("{node}, and workers on other nodes take longer for each frame"),
            format!("use --cpus {}", list(&usable)),
        )
    })
}

/// A list as `0-3,8` in a file.
fn cpus(path: &str) -> Option<BTreeSet<usize>> {
    let CpuList(cpus) = fs::read_to_string(path).ok()?.trim().parse().ok()?;
    Some(cpus.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    fn judged(nodes: usize, near: &[usize], allowed: &[usize]) -> Option<Check> {
        let set = |cpus: &[usize]| cpus.iter().copied().collect();
        judge(1, nodes, &set(near), &set(allowed))
    }

    #[test]
    fn cpus_of_other_nodes_are_to_be_left_out() {
        let check = judged(2, &[4, 5, 6, 7], &[3, 4, 5, 6]).expect("two nodes");

        assert_eq!(check.state, State::Poor);
        assert_eq!(check.remedy.as_deref(), Some("use --cpus 4-6"));
        let near = judged(2, &[4, 5], &[4]).expect("two nodes");
        assert_eq!(near.state, State::Good);
        let far = judged(2, &[4, 5], &[0]).expect("two nodes");
        assert_eq!(far.remedy.as_deref(), Some("allow it some of CPUs 4-5"));
    }

    #[test]
    fn machine_with_one_node_has_nothing_to_say() {
        assert_eq!(judged(1, &[0, 1], &[0]), None);
    }
}

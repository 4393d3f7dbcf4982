//! Whether two named interfaces fit each other.
//!
//! A worker has a queue of each and one memory for both, so they get what both can.

use wharf::{ChunkSize, Interface, InterfaceError, UmemConfig};

use super::check::Check;
use crate::pair;

/// All that is looked at.
pub fn examine(a: &Interface, b: &Interface) -> Result<Vec<Check>, InterfaceError> {
    let queues = [a.queue_counts()?.rx, b.queue_counts()?.rx];
    let zero_copy = [can_zero_copy(a)?, can_zero_copy(b)?];
    Ok(vec![
        mtus((a.name(), a.mtu()?), (b.name(), b.mtu()?)),
        workers(queues),
        memory(zero_copy),
        chunks(
            [(a.name(), a.mtu()?), (b.name(), b.mtu()?)],
            UmemConfig::new(1).chunk_size,
        ),
    ])
}

/// Queues that share a UMEM do as the first, which is bound for the largest MTU.
fn chunks([a, b]: [(&str, u32); 2], size: ChunkSize) -> Check {
    let topic = "chunks";
    let ([a_chunks, b_chunks], most) = {
        let each = [a.1, b.1].map(|mtu| size.chunks_for_mtu(mtu));
        (each, each[0].max(each[1]))
    };
    let name = if a_chunks > b_chunks { a.0 } else { b.0 };
    match (a_chunks == b_chunks, most) {
        (true, 1) => Check::good(topic, "one per frame"),
        (true, _) => Check::good(topic, format!("frames in up to {most} on both")),
        (false, _) => Check::good(
            topic,
            format!(
                "frames in up to {most} on both: the MTU of {name} needs them, and both share memory"
            ),
        ),
    }
}

fn mtus(a: (&str, u32), b: (&str, u32)) -> Check {
    match pair::unequal_mtus(a, b) {
        Some(lost) => Check::poor("MTUs", lost.what, lost.remedy),
        None => Check::good("MTUs", "equal"),
    }
}

fn workers([a, b]: [u32; 2]) -> Check {
    let (topic, fewest) = ("workers", a.min(b).max(1));
    let found = format!("at most {fewest}, the smaller number of receive queues");
    if a == b {
        Check::good(topic, found)
    } else {
        Check::poor(
            topic,
            format!("{found}: {a} and {b}"),
            "set both to the same number with `ethtool -L`",
        )
    }
}

fn memory(zero_copy: [Option<bool>; 2]) -> Check {
    let topic = "shared memory";
    match zero_copy {
        [Some(a), Some(b)] if a != b => Check::poor(
            topic,
            "only one of them has zero copy; both get copy, because they share memory",
            "it works; for zero copy, use two interfaces that have it",
        ),
        _ => Check::good(topic, "both can use the same mode"),
    }
}

fn can_zero_copy(interface: &Interface) -> Result<Option<bool>, InterfaceError> {
    let features = interface.xdp_features()?;
    Ok(features.map(|features| features.zero_copy()))
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    #[test]
    fn what_they_do_not_have_in_common_is_poor() {
        assert_eq!(workers([4, 4]).state, State::Good);
        assert_eq!(workers([4, 2]).state, State::Poor);
        assert_eq!(memory([Some(true), Some(true)]).state, State::Good);
        assert_eq!(memory([Some(true), Some(false)]).state, State::Poor);
        assert_eq!(memory([None, Some(false)]).state, State::Good);
        assert_eq!(mtus(("a", 1500), ("b", 1500)).state, State::Good);
        let size = UmemConfig::new(1).chunk_size;
        let found = |a, b| chunks([("a", a), ("b", b)], size).finding;
        assert_eq!(found(1500, 1500), "one per frame");
        assert!(found(9000, 9000).contains("up to 3 on both"));
        assert!(found(9000, 1500).contains("the MTU of a needs them"));
        let check = mtus(("a", 1500), ("b", 9000));
        assert_eq!(check.state, State::Poor);
        assert!(check.remedy.expect("there is one").contains("same MTU"));
    }
}

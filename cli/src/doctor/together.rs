//! What two interfaces that were named mean for each other.
//!
//! A worker has a queue of each and one memory for both, so they get what both can.

use wharf::{Interface, InterfaceError};

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
    ])
}

fn mtus(a: (&str, u32), b: (&str, u32)) -> Check {
    match pair::unequal_mtus(a, b) {
        Some(lost) => Check::poor("MTUs", lost.what, lost.remedy),
        None => Check::good("MTUs", "equal"),
    }
}

fn workers([a, b]: [u32; 2]) -> Check {
    let (topic, fewest) = ("workers", a.min(b).max(1));
    let found = format!("{fewest} at the most, as many as the fewest queues to receive");
    if a == b {
        Check::good(topic, found)
    } else {
        Check::poor(
            topic,
            format!("{found}: {a} and {b}"),
            "give both the same number with `ethtool -L`",
        )
    }
}

fn memory(zero_copy: [Option<bool>; 2]) -> Check {
    let topic = "shared memory";
    match zero_copy {
        [Some(a), Some(b)] if a != b => Check::poor(
            topic,
            "only one of them has zero copy, and both get copy, as they share memory",
            "it works; for zero copy take two interfaces that have it",
        ),
        _ => Check::good(topic, "neither costs the other its mode"),
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
        let check = mtus(("a", 1500), ("b", 9000));
        assert_eq!(check.state, State::Poor);
        assert!(check.remedy.expect("there is one").contains("same MTU"));
    }
}

//! `wharf forward`: every frame arrives as it was sent, and is in its account.

use crate::NICS;
use crate::end::{carry, flow, frames};
use crate::wire::{GuestWire, assert_zero_copy};

#[test]
fn forward_carries_frames_intact_and_accounts_for_every_one() {
    let wire = GuestWire::new();
    let (mut near, mut far) = (wire.end(NICS[0]), wire.end(NICS[3]));
    let forward = wire.forward();
    let sent = frames(flow(), COUNT);

    let there = carry(&mut near, &mut far, &sent, |_| ());
    let back = carry(&mut far, &mut near, &sent, |_| ());
    let report = forward.stop();

    for checker in [there, back] {
        assert!(checker.report(1).is_perfect(), "{}", checker.report(1));
    }
    assert_zero_copy(&report.summary);
    report.assert_nothing_dropped();
    let totals = ["frames_in", "rx_frames", "tx_frames"].map(|name| report.total(name));
    assert_eq!(totals, [2 * COUNT; 3]);
    near.assert_settled();
    far.assert_settled();
}

/// Frames each way.
const COUNT: u64 = 4000;

//! The books of an engine that has stopped, and of a UMEM at rest.

use wharf::{DropReason, Summary, Umem};

/// As [`assert_balanced`], and no frame was lost between the XDP program and
/// the RX ring: no interface went away, so nothing excuses that. The engine
/// finds those by subtraction, so that its books would hide a frame it forgot.
///
/// # Panics
///
/// When something is missing.
#[track_caller]
pub fn assert_conserved(summary: &Summary) {
    assert_balanced(summary);
    let undelivered = summary.stats.totals().drops.get(DropReason::RxUndelivered);
    assert_eq!(undelivered, 0, "frames were steered and never received");
}

/// Every chunk has an owner, and every frame that came in went out, was passed to the
/// kernel's stack, was dropped for a reason, or is held.
///
/// # Panics
///
/// When something is missing, or the kernel put nonsense on a ring.
#[track_caller]
pub fn assert_balanced(summary: &Summary) {
    let totals = summary.stats.totals();
    for audit in &summary.audits {
        assert!(audit.is_balanced(), "chunks are missing: {audit:?}");
    }
    assert!(!summary.audits.is_empty(), "no worker left an audit");
    // Not by `unaccounted` alone: the sum is made here once more, by hand.
    let held: u64 = summary.audits.iter().map(wharf::Audit::held).sum();
    let dropped: u64 = DropReason::ALL
        .map(|reason| totals.drops.get(reason))
        .iter()
        .sum();
    assert_eq!(
        totals.frames_in + totals.frames_made,
        totals.tx_frames + totals.frames_passed_by_application + dropped + held,
        "frames are missing: {totals:?}, {held} held"
    );
    assert!(summary.is_conserved(), "{totals:?}");
    let violations: u64 = summary
        .stats
        .workers
        .iter()
        .map(|worker| worker.violations)
        .sum();
    assert_eq!(violations, 0, "the kernel broke its contract");
}

/// As [`assert_conserved`], and no frame was dropped at all.
///
/// # Panics
///
/// When one was.
#[track_caller]
pub fn assert_nothing_dropped(summary: &Summary) {
    assert_conserved(summary);
    let drops: Vec<_> = summary
        .stats
        .totals()
        .drops
        .iter()
        .filter(|(_, frames)| *frames > 0)
        .collect();
    assert_eq!(drops, [], "frames were dropped");
}

/// The chunks of all owners are the chunks of the UMEM, and no frame is held or
/// on its way out.
///
/// # Panics
///
/// When one is missing, or not at home.
#[track_caller]
pub fn assert_all_home(umem: &Umem) {
    let audit = umem.audit();
    assert!(audit.is_balanced(), "{audit:?}");
    assert_eq!(
        (audit.held(), audit.transmit, audit.quarantined),
        (0, 0, 0),
        "{audit:?}"
    );
}

//! What became of the frames of each flow.
//!
//! The checker remembers every sequence number it has seen, one bit each, so
//! its verdicts are exact whatever the order.

use std::collections::BTreeMap;
use std::fmt;

use crate::frames::{FrameError, UdpFrame};
use crate::payload::{Corrupted, SequencedPayload};

/// Counts what arrived of each flow of [`SequencedPayload`]s, and what did not.
///
/// ```
/// use wharf_testbed::{FlowChecker, SequencedPayload};
///
/// let mut checker = FlowChecker::new();
/// checker.expect(1, 3);
/// for sequence in [0, 2] {
///     let payload = SequencedPayload { flow: 1, sequence }.to_bytes(64);
///     checker.observe_payload(&payload);
/// }
///
/// let report = checker.report(1);
/// assert_eq!((report.received, report.lost), (2, 1));
/// ```
#[derive(Clone, Debug, Default)]
pub struct FlowChecker {
    flows: BTreeMap<u32, Flow>,
    unattributed: u64,
    foreign: u64,
}

/// What one payload turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// The first of its number, and the highest so far.
    InOrder(SequencedPayload),
    /// The first of its number, after a higher one.
    Reordered(SequencedPayload),
    /// Seen before.
    Duplicate(SequencedPayload),
    /// Not as it was sent; of this flow, where that is known.
    Corrupted(Option<u32>),
    /// Not a UDP frame.
    Foreign,
}

/// What became of one flow, or of several together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FlowReport {
    /// Payloads expected: as set, or up to the highest number seen.
    pub expected: u64,
    /// Different payloads that arrived intact.
    pub received: u64,
    /// Payloads that did not arrive intact.
    pub lost: u64,
    /// Payloads that arrived after one with a higher number.
    pub reordered: u64,
    /// Payloads that arrived once more.
    pub duplicated: u64,
    /// Payloads that arrived changed; they count as lost too.
    pub corrupted: u64,
}

#[derive(Clone, Debug, Default)]
struct Flow {
    /// Bit `n % 64` of word `n / 64`: whether number `n` was seen.
    seen: BTreeMap<u64, u64>,
    /// One more than the highest number seen.
    next: u64,
    expected: u64,
    received: u64,
    reordered: u64,
    duplicated: u64,
    corrupted: u64,
}

impl FlowChecker {
    /// A checker that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says that `count` payloads of `flow` were sent, numbered from 0; losing
    /// the last ones is noticed only then.
    pub fn expect(&mut self, flow: u32, count: u64) {
        self.flows.entry(flow).or_default().expected = count;
    }

    /// Counts a received frame. Checksums are checked as well as the payload.
    pub fn observe_frame(&mut self, frame: &[u8]) -> Observation {
        match UdpFrame::parse(frame) {
            Ok(frame) => self.observe_payload(&frame.payload),
            Err(FrameError::NotUdp) => {
                self.foreign += 1;
                Observation::Foreign
            }
            Err(FrameError::UdpChecksum { frame }) => {
                let flow = match SequencedPayload::verify(&frame.payload) {
                    Ok(claimed) | Err(Corrupted::Body { claimed, .. }) => Some(claimed.flow),
                    Err(_) => None,
                };
                self.count_corruption(flow)
            }
            Err(_) => self.count_corruption(None),
        }
    }

    /// Counts a received payload.
    pub fn observe_payload(&mut self, payload: &[u8]) -> Observation {
        match SequencedPayload::verify(payload) {
            Ok(payload) => self.flows.entry(payload.flow).or_default().observe(payload),
            Err(Corrupted::Body { claimed, .. }) => self.count_corruption(Some(claimed.flow)),
            Err(_) => self.count_corruption(None),
        }
    }

    /// What became of one flow; all zero for one never heard of.
    pub fn report(&self, flow: u32) -> FlowReport {
        self.flows.get(&flow).map(Flow::report).unwrap_or_default()
    }

    /// What became of all flows together. Corruption that no flow can be
    /// blamed for is included.
    pub fn total(&self) -> FlowReport {
        let unattributed = FlowReport {
            corrupted: self.unattributed,
            ..FlowReport::default()
        };
        self.flows
            .values()
            .map(Flow::report)
            .fold(unattributed, |total, flow| FlowReport {
                expected: total.expected + flow.expected,
                received: total.received + flow.received,
                lost: total.lost + flow.lost,
                reordered: total.reordered + flow.reordered,
                duplicated: total.duplicated + flow.duplicated,
                corrupted: total.corrupted + flow.corrupted,
            })
    }

    /// The flows heard of, in order.
    pub fn flows(&self) -> impl Iterator<Item = u32> + '_ {
        self.flows.keys().copied()
    }

    /// Corrupt payloads whose flow is unknown.
    pub fn unattributed_corruption(&self) -> u64 {
        self.unattributed
    }

    /// Frames that are not UDP, such as ARP.
    pub fn foreign(&self) -> u64 {
        self.foreign
    }

    fn count_corruption(&mut self, flow: Option<u32>) -> Observation {
        match flow {
            Some(flow) => self.flows.entry(flow).or_default().corrupted += 1,
            None => self.unattributed += 1,
        }
        Observation::Corrupted(flow)
    }
}

impl Flow {
    fn observe(&mut self, payload: SequencedPayload) -> Observation {
        let sequence = payload.sequence;
        let word = self.seen.entry(sequence / 64).or_default();
        let bit = 1 << (sequence % 64);
        if *word & bit != 0 {
            self.duplicated += 1;
            return Observation::Duplicate(payload);
        }
        *word |= bit;
        self.received += 1;
        if sequence < self.next {
            self.reordered += 1;
            return Observation::Reordered(payload);
        }
        self.next = sequence.saturating_add(1);
        Observation::InOrder(payload)
    }

    fn report(&self) -> FlowReport {
        let expected = self.expected.max(self.next);
        FlowReport {
            expected,
            received: self.received,
            lost: expected.saturating_sub(self.received),
            reordered: self.reordered,
            duplicated: self.duplicated,
            corrupted: self.corrupted,
        }
    }
}

impl FlowReport {
    /// Whether everything expected arrived once, intact and in order, and
    /// anything was expected at all.
    pub fn is_perfect(&self) -> bool {
        self.expected > 0
            && self.received == self.expected
            && self.lost + self.reordered + self.duplicated + self.corrupted == 0
    }
}

impl fmt::Display for FlowReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} of {} received, {} lost, {} reordered, {} duplicated, {} corrupted",
            self.received,
            self.expected,
            self.lost,
            self.reordered,
            self.duplicated,
            self.corrupted
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(sequence: u64) -> Vec<u8> {
        SequencedPayload { flow: 1, sequence }.to_bytes(48)
    }

    fn observe(checker: &mut FlowChecker, sequences: impl IntoIterator<Item = u64>) {
        for sequence in sequences {
            checker.observe_payload(&payload(sequence));
        }
    }

    #[test]
    fn intact_flow_is_perfect() {
        let mut checker = FlowChecker::new();
        checker.expect(1, 200);

        observe(&mut checker, 0..200);

        assert!(checker.report(1).is_perfect());
        assert_eq!(checker.total(), checker.report(1));
    }

    #[test]
    fn silent_flow_is_not_perfect() {
        let mut checker = FlowChecker::new();

        assert!(!checker.report(1).is_perfect());
        checker.expect(1, 5);
        assert_eq!(checker.report(1).lost, 5);
    }

    #[test]
    fn lost_payloads_are_counted_in_the_middle_and_at_the_end() {
        let mut checker = FlowChecker::new();
        checker.expect(1, 10);

        observe(&mut checker, [0, 1, 2, 5, 6]);

        assert_eq!(checker.report(1).lost, 5);
        assert_eq!(checker.report(1).reordered, 0);
    }

    #[test]
    fn late_payload_is_reordered_and_not_lost() {
        let mut checker = FlowChecker::new();

        observe(&mut checker, [0, 2, 3, 1]);

        let report = checker.report(1);
        assert_eq!((report.received, report.reordered, report.lost), (4, 1, 0));
    }

    #[test]
    fn repeated_payload_is_a_duplicate_and_received_once() {
        let mut checker = FlowChecker::new();

        observe(&mut checker, [0, 1, 0, 1, 1]);

        let report = checker.report(1);
        assert_eq!((report.received, report.duplicated), (2, 3));
    }

    #[test]
    fn corrupt_body_is_blamed_on_its_flow_and_lost() {
        let mut checker = FlowChecker::new();
        checker.expect(1, 1);
        let mut bytes = payload(0);
        bytes[40] ^= 0x10;

        let observation = checker.observe_payload(&bytes);

        assert_eq!(observation, Observation::Corrupted(Some(1)));
        let report = checker.report(1);
        assert_eq!((report.corrupted, report.lost, report.received), (1, 1, 0));
    }

    #[test]
    fn corrupt_header_is_blamed_on_no_flow() {
        let mut checker = FlowChecker::new();
        let mut bytes = payload(0);
        bytes[11] ^= 1;

        checker.observe_payload(&bytes);

        assert_eq!(checker.unattributed_corruption(), 1);
        assert_eq!(checker.total().corrupted, 1);
        assert_eq!(checker.flows().count(), 0);
    }

    #[test]
    fn extreme_sequence_numbers_do_not_overflow() {
        let mut checker = FlowChecker::new();

        observe(&mut checker, [u64::MAX, u64::MAX - 1]);

        assert_eq!(checker.report(1).received, 2);
        assert_eq!(checker.report(1).reordered, 1);
    }
}

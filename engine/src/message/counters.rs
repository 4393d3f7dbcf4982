//! What became of fragments.

/// What a reassembler received, and what it did with it.
///
/// Every fragment is in one of `held`, of a message that was completed or lost, or among
/// those that were dropped: `fragments = in completed messages + in lost messages + held +
/// duplicates + late + malformed + too_large`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReassemblyCounters {
    /// Frames that were handed over.
    pub fragments: u64,
    /// Messages that are complete.
    pub messages: u64,
    /// Payload bytes of those.
    pub bytes: u64,
    /// Fragments of those.
    pub completed_fragments: u64,
    /// Fragments that their message had already.
    pub duplicates: u64,
    /// Fragments of messages that were completed, or given up as lost, before.
    pub late: u64,
    /// Frames that are no fragments, or contradict others.
    pub malformed: u64,
    /// Fragments of messages that are larger than the limits allow.
    pub too_large: u64,
    /// Messages that were given up, because a fragment did not come in time.
    pub timed_out: u64,
    /// Messages that were given up for newer ones, because a limit was reached.
    pub evicted: u64,
    /// Messages that were incomplete at the end.
    pub abandoned: u64,
    /// Fragments of messages that were given up.
    pub lost_fragments: u64,
    /// Lost messages whose reports were dropped, because nobody took them.
    pub unreported: u64,
}

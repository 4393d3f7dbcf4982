//! Gathers the fragments of messages, of several peers and in any order, in bounded
//! memory.
//!
//! A message is found by its peer and its number. What was completed or given up is
//! remembered for a while, so that a late or doubled fragment does not begin it anew. The
//! order in which messages began is kept beside them, for time limits and for what has to
//! give way; an entry whose message is done with is skipped, and swept out when there are
//! too many.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::{Duration, Instant};

use super::counters::ReassemblyCounters;
use super::fragment::{Fragment, Malformed};
use super::incomplete::Incomplete;
use super::lost::{Lost, LostReason};
use super::remembered::Remembered;
use super::strip::strip;
use super::whole::Message;
use crate::memory::frame::Frame;

/// The bounds of a [`Reassembler`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReassemblyConfig {
    /// Incomplete messages at a time, of all peers together. The one that began first
    /// gives way to one more.
    pub most_messages: usize,
    /// Chunks that fragments of incomplete messages lie in. A message that takes more
    /// fragments is refused; where several together take more, the one that began first
    /// gives way. Leave enough of the UMEM to receive into.
    pub most_chunks: u32,
    /// Bytes of a message.
    pub most_bytes: u32,
    /// How long after its first fragment a message may take to be complete.
    pub time_limit: Duration,
    /// Messages that are remembered after they were completed or given up, so that their
    /// late fragments are known as such. A peer may use a number again only after so
    /// many others.
    pub remembered: usize,
}

impl Default for ReassemblyConfig {
    /// 64 messages in 8,192 chunks together, 16 MiB each, within a second; 1,024 remembered.
    fn default() -> Self {
        Self {
            most_messages: 64,
            most_chunks: 8192,
            most_bytes: 16 << 20,
            time_limit: Duration::from_secs(1),
            remembered: 1024,
        }
    }
}

/// Makes messages of frames: see [`message`](crate::message).
///
/// `P` names a peer; whatever the caller tells peers apart by.
#[derive(Debug)]
pub struct Reassembler<P> {
    config: ReassemblyConfig,
    incomplete: HashMap<(P, u64), Incomplete>,
    /// Messages in the order in which they began, and some that are done with.
    order: VecDeque<(u64, (P, u64))>,
    remembered: Remembered<(P, u64)>,
    /// Chunks of all incomplete messages.
    chunks: u32,
    next_serial: u64,
    lost: VecDeque<Lost<P>>,
    counters: ReassemblyCounters,
}

/// What became of a frame.
#[derive(Debug)]
#[must_use = "it may have a message"]
#[non_exhaustive]
pub enum Reception<P> {
    /// Its message is complete.
    Complete(Message<P>),
    /// It is kept until its message is complete.
    Held,
    /// Its message had it already: it was dropped.
    Duplicate,
    /// Its message was completed or given up before: it was dropped.
    Late,
    /// It is no fragment, or contradicts others: here it is again.
    Malformed(Frame, Malformed),
    /// Its message is larger than the limits allow: it was dropped.
    TooLarge,
}

impl<P: Clone + Eq + Hash> Reassembler<P> {
    /// An empty one.
    #[must_use]
    pub fn new(config: ReassemblyConfig) -> Self {
        Self {
            config,
            incomplete: HashMap::new(),
            order: VecDeque::new(),
            remembered: Remembered::new(config.remembered),
            chunks: 0,
            next_serial: 0,
            lost: VecDeque::new(),
            counters: ReassemblyCounters::default(),
        }
    }

    /// Takes a frame of `peer` with `header_bytes` of headers in front of the fragment
    /// header, which lie in its first chunk. Headers and padding are cut off in place.
    pub fn receive(
        &mut self,
        frame: Frame,
        header_bytes: u32,
        peer: P,
        now: Instant,
    ) -> Reception<P> {
        self.counters.fragments += 1;
        let (frame, fragment) = match strip(frame, header_bytes) {
            Ok(stripped) => stripped,
            Err((frame, reason)) => return self.malformed(frame, reason),
        };
        let is_too_large = fragment.message_len > self.config.most_bytes
            || fragment.count() > self.config.most_chunks;
        if is_too_large {
            self.counters.too_large += 1;
            return Reception::TooLarge;
        }
        let key = (peer, fragment.message);
        match self.incomplete.get(&key) {
            Some(known) if !known.fragment().agrees_with(&fragment) => {
                return self.malformed(frame, Malformed::Contradiction);
            }
            Some(known) if known.has(fragment.index) => {
                self.counters.duplicates += 1;
                return Reception::Duplicate;
            }
            Some(_) => {}
            None if self.remembered.has(&key) => {
                self.counters.late += 1;
                return Reception::Late;
            }
            None if fragment.count() == 1 => {
                return Reception::Complete(self.complete(key, &fragment, vec![frame]));
            }
            None => self.begin(key.clone(), fragment, now),
        }
        self.hold(key, fragment.index, frame)
    }

    /// Gives up messages whose time is over. Call it now and then, as often as reports
    /// of loss are to be exact.
    pub fn expire(&mut self, now: Instant) {
        while let Some((key, since)) = self.oldest() {
            if now.saturating_duration_since(since) < self.config.time_limit {
                return;
            }
            self.counters.timed_out += 1;
            self.give_up(&key, LostReason::TimedOut);
        }
    }

    /// When the next message times out, if none is completed before.
    pub fn next_expiry(&mut self) -> Option<Instant> {
        let (_, since) = self.oldest()?;
        since.checked_add(self.config.time_limit)
    }

    /// Gives up all incomplete messages.
    pub fn abandon(&mut self) {
        while let Some((key, _)) = self.oldest() {
            self.counters.abandoned += 1;
            self.give_up(&key, LostReason::Abandoned);
        }
    }

    /// The next message that was given up since, each once. As many reports are kept
    /// as there may be incomplete messages; older ones are dropped, and counted.
    pub fn take_lost(&mut self) -> Option<Lost<P>> {
        self.lost.pop_front()
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> ReassemblyCounters {
        self.counters
    }

    /// Messages of which some fragments have arrived.
    #[must_use]
    pub fn incomplete(&self) -> usize {
        self.incomplete.len()
    }

    /// Chunks that their frames lie in.
    #[must_use]
    pub fn held_chunks(&self) -> u32 {
        self.chunks
    }

    /// Entries of the order of messages.
    #[cfg(test)]
    pub(super) fn noted(&self) -> usize {
        self.order.len()
    }

    fn malformed(&mut self, frame: Frame, reason: Malformed) -> Reception<P> {
        self.counters.malformed += 1;
        Reception::Malformed(frame, reason)
    }

    /// Makes room for a new message, and notes it.
    fn begin(&mut self, key: (P, u64), fragment: Fragment, now: Instant) {
        while self.incomplete.len() >= self.config.most_messages.max(1) {
            self.evict_oldest();
        }
        self.sweep();
        let serial = self.next_serial;
        self.next_serial += 1;
        self.order.push_back((serial, key.clone()));
        self.incomplete
            .insert(key, Incomplete::new(fragment, now, serial));
    }

    /// Adds a fragment to its message, which has begun.
    fn hold(&mut self, key: (P, u64), index: u32, frame: Frame) -> Reception<P> {
        let chunks = frame.chunks();
        while self.chunks + chunks > self.config.most_chunks {
            // Which may be this one, where its fragments lie in several chunks each.
            self.evict_oldest();
            if !self.incomplete.contains_key(&key) {
                self.counters.late += 1;
                return Reception::Late;
            }
        }
        let Some(incomplete) = self.incomplete.get_mut(&key) else {
            unreachable!("it has begun");
        };
        incomplete.add(index, frame);
        self.chunks += chunks;
        if !incomplete.is_complete() {
            return Reception::Held;
        }
        self.chunks -= incomplete.chunks();
        let incomplete = self.incomplete.remove(&key).expect("it was just there");
        let fragment = *incomplete.fragment();
        Reception::Complete(self.complete(key, &fragment, incomplete.into_frames()))
    }

    fn complete(&mut self, key: (P, u64), fragment: &Fragment, frames: Vec<Frame>) -> Message<P> {
        self.counters.messages += 1;
        self.counters.bytes += u64::from(fragment.message_len);
        self.counters.completed_fragments += frames.len() as u64;
        self.remembered.add(key.clone());
        let (peer, number) = key;
        Message {
            peer,
            number,
            len: fragment.message_len,
            stride: fragment.stride,
            frames,
        }
    }

    /// The message that began first.
    fn oldest(&mut self) -> Option<((P, u64), Instant)> {
        loop {
            let (serial, key) = self.order.front()?;
            if let Some(known) = self.incomplete.get(key)
                && known.serial() == *serial
            {
                return Some((key.clone(), known.since()));
            }
            self.order.pop_front();
        }
    }

    fn evict_oldest(&mut self) {
        let (key, _) = self.oldest().expect("a limit is reached by messages");
        self.counters.evicted += 1;
        self.give_up(&key, LostReason::Evicted);
    }

    fn give_up(&mut self, key: &(P, u64), reason: LostReason) {
        let Some(incomplete) = self.incomplete.remove(key) else {
            return;
        };
        self.chunks -= incomplete.chunks();
        self.counters.lost_fragments += incomplete.fragments();
        self.remembered.add(key.clone());
        if self.lost.len() >= self.config.most_messages.max(1) {
            self.lost.pop_front();
            self.counters.unreported += 1;
        }
        self.lost.push_back(Lost {
            peer: key.0.clone(),
            number: key.1,
            len: incomplete.fragment().message_len,
            missing: incomplete.missing(),
            reason,
        });
    }

    /// Removes entries of the order whose messages are done with, when most are.
    fn sweep(&mut self) {
        if self.order.len() < 2 * self.incomplete.len() + SWEPT_FROM {
            return;
        }
        let incomplete = &self.incomplete;
        self.order.retain(|(serial, key)| {
            let known = incomplete.get(key);
            known.is_some_and(|known| known.serial() == *serial)
        });
    }
}

/// Entries that are not worth a sweep.
const SWEPT_FROM: usize = 64;

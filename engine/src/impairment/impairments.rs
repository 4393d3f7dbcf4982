//! The impairments of both directions of a wire: shared by its workers, and by those who
//! change them and read what they did.
//!
//! Whatever the number of workers, a direction has one rate, one limit and one row of
//! random numbers, behind a lock that a worker takes once for a batch that comes and once
//! for one that goes. The frames stay with the worker that received them.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use super::model::Model;
use super::settings::Impairment;
use crate::{InterfaceId, LimitPolicy, XskLimits};

/// What is done to the frames of an [`ImpairedWire`](super::ImpairedWire), for each direction: a handle to
/// change it while the wire runs, from any thread.
#[derive(Clone, Debug, Default)]
pub struct Impairments(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    directions: [Direction; 2],
    /// The fewest frames that a worker can hold in one direction; the largest number
    /// until there are workers.
    capacity: AtomicU32,
    /// The fewest frames that an xsk's [limits](crate::Limits) let an application hold; the
    /// largest number likewise.
    allowed: AtomicU32,
}

/// From one of the two interfaces to the other.
#[derive(Debug, Default)]
pub(super) struct Direction {
    /// Whether there is an impairment: asked once a batch.
    is_impaired: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) current: Option<Current>,
    pub(super) counts: ImpairmentCounts,
}

/// An impairment in force.
#[derive(Debug)]
pub(super) struct Current {
    impairment: Impairment,
    pub(super) model: Model,
    pub(super) limit: u32,
}

/// What impairments did to the frames of a direction since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImpairmentCounts {
    /// Frames that are held now.
    pub held: u64,
    /// Frames that were lost on purpose: [`DropReason::ImpairedLoss`](crate::DropReason).
    pub lost: u64,
    /// Frames that were dropped because as many were held as the limit allows:
    /// [`DropReason::ImpairedLimit`](crate::DropReason).
    pub over_limit: u64,
    /// Frames that were sent twice.
    pub duplicated: u64,
    /// Frames that were to be sent twice, and no chunk was free for the copy.
    pub not_duplicated: u64,
    /// Frames and copies that had a bit flipped.
    pub corrupted: u64,
    /// Frames that were sent before those that were delayed.
    pub reordered: u64,
}

/// An impairment that the workers have too little memory for, or may hold too little.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "`{impairment}` may hold {needed} frames, and a worker's packet memory has room for {capacity} per direction: give it more frames or a higher limit on held ones, or say `limit {capacity}`"
)]
#[non_exhaustive]
pub struct TooManyHeld {
    /// The impairment.
    pub impairment: String,
    /// Frames that it may hold.
    pub needed: u32,
    /// Frames that can be.
    pub capacity: u32,
}

impl Impairments {
    /// No impairment in either direction.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Impairs what comes in on one of the two interfaces from now on, or does so no
    /// more. Frames that are held keep their times, so those that come may go before
    /// them if their delay is shorter.
    ///
    /// # Errors
    ///
    /// [`TooManyHeld`] if it [needs](Impairment::frames_needed) more than the
    /// [capacity](Self::capacity). Nothing has changed then.
    ///
    /// # Panics
    ///
    /// When `from` is neither of the two.
    pub fn set(
        &self,
        from: InterfaceId,
        impairment: Option<Impairment>,
    ) -> Result<(), TooManyHeld> {
        let limit = self.checked_limit(impairment.as_ref())?;
        let current = impairment.map(|impairment| Current {
            model: Model::new(&impairment),
            impairment,
            limit,
        });
        let direction = self.direction(from);
        let mut state = direction.lock();
        // What it was is told by the lock; this only saves taking it.
        (direction.is_impaired).store(current.is_some(), Ordering::Relaxed);
        state.current = current;
        Ok(())
    }

    /// As [`set`](Self::set), for both directions, or none if one cannot be.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub fn set_both(&self, impairments: [Option<Impairment>; 2]) -> Result<(), TooManyHeld> {
        for impairment in &impairments {
            self.checked_limit(impairment.as_ref())?;
        }
        for (id, impairment) in impairments.into_iter().enumerate() {
            self.set(InterfaceId(id), impairment)?;
        }
        Ok(())
    }

    /// The limit of an impairment that has none of its own is what can be held.
    fn checked_limit(&self, impairment: Option<&Impairment>) -> Result<u32, TooManyHeld> {
        let capacity = self.room();
        let Some(impairment) = impairment else {
            return Ok(u32::MAX);
        };
        let needed = impairment.frames_needed();
        if needed > capacity {
            return Err(TooManyHeld {
                impairment: impairment.to_string(),
                needed,
                capacity,
            });
        }
        Ok(impairment.limit().unwrap_or(u32::MAX))
    }

    /// Whether what was set before there were workers fits their memory.
    ///
    /// # Errors
    ///
    /// [`TooManyHeld`] if it does not.
    pub fn check(&self) -> Result<(), TooManyHeld> {
        for direction in &self.0.directions {
            let state = direction.lock();
            let impairment = state.current.as_ref().map(|current| &current.impairment);
            self.checked_limit(impairment)?;
        }
        Ok(())
    }

    /// Frames that can be held for a direction at a time, whichever worker and queue they
    /// come in on: seven eighths of a queue's share of the chunks, as the rest is there
    /// to receive into, or what [limits](crate::Limits) allow at the start if that is less.
    /// `None` while there are no workers.
    #[must_use]
    pub fn capacity(&self) -> Option<u32> {
        let capacity = self.room();
        (capacity != u32::MAX).then_some(capacity)
    }

    fn room(&self) -> u32 {
        let capacity = self.0.capacity.load(Ordering::Relaxed);
        capacity.min(self.0.allowed.load(Ordering::Relaxed))
    }

    /// What is done to frames that come in on an interface.
    ///
    /// # Panics
    ///
    /// When `from` is neither of the two.
    #[must_use]
    pub fn get(&self, from: InterfaceId) -> Option<Impairment> {
        let state = self.direction(from).lock();
        let current = state.current.as_ref();
        current.map(|current| current.impairment.clone())
    }

    /// What was done to frames that came in on an interface.
    ///
    /// # Panics
    ///
    /// When `from` is neither of the two.
    #[must_use]
    pub fn counts(&self, from: InterfaceId) -> ImpairmentCounts {
        self.direction(from).lock().counts
    }

    /// Notes what a worker can hold: the fewest count.
    pub(super) fn note_capacity(&self, frames: u32) {
        self.0.capacity.fetch_min(frames, Ordering::Relaxed);
    }

    /// Notes what limits let an application hold of an xsk: the least counts.
    pub(super) fn note_allowed(&self, limits: &XskLimits) {
        // Copies take no chunk, so what is to be held beyond the limit can be.
        if limits.policy != LimitPolicy::CopyOut {
            self.0.allowed.fetch_min(limits.held, Ordering::Relaxed);
        }
    }

    pub(super) fn direction(&self, InterfaceId(from): InterfaceId) -> &Direction {
        assert!(from < 2, "a wire has two interfaces");
        &self.0.directions[from]
    }

    /// The limit that holds, whatever was said. Frames beyond what an xsk may hold are not
    /// the impairment's to drop: a [policy](LimitPolicy) says what becomes of them.
    pub(super) fn limit(&self, current: &Current) -> u32 {
        current.limit.min(self.0.capacity.load(Ordering::Relaxed))
    }
}

/// Frames that a direction can hold on a worker with so many chunks and queues. An eighth
/// of the chunks are for copies and frames that are made; of the share of each queue, an
/// eighth stays to receive into, and to send from.
#[must_use]
pub fn capacity(chunks: u32, queues: u32) -> u32 {
    let share = (chunks - chunks / 8) / queues.max(1);
    share - share / 8
}

/// The fewest chunks with which a worker with so many queues has a
/// [`capacity`] of `frames` for each direction.
#[must_use]
pub fn chunks_for(frames: u32, queues: u32) -> u32 {
    let (frames, queues) = (u64::from(frames), u64::from(queues.max(1)));
    // Rounded up, as each of the divisions above rounds down.
    let share = (frames * 8).div_ceil(7) + 1;
    let chunks = (share * queues * 8).div_ceil(7) + 8;
    u32::try_from(chunks).unwrap_or(u32::MAX)
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            directions: Default::default(),
            capacity: AtomicU32::new(u32::MAX),
            allowed: AtomicU32::new(u32::MAX),
        }
    }
}

impl Direction {
    #[inline]
    pub(super) fn is_impaired(&self) -> bool {
        self.is_impaired.load(Ordering::Relaxed)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn impairment(text: &str) -> Option<Impairment> {
        Some(text.parse().expect(text))
    }

    #[test]
    fn limits_beyond_the_memory_are_refused_and_change_nothing() {
        let impairments = Impairments::new();
        impairments.0.capacity.store(100, Ordering::Relaxed);
        let before = impairment("delay 1ms limit 100");
        impairments
            .set(InterfaceId(0), before.clone())
            .expect("it fits");

        let too_many = impairment("delay 1ms limit 101");
        let error = impairments.set(InterfaceId(0), too_many.clone());
        let both = impairments.set_both([impairment("loss 1%"), too_many]);

        let expected = Err(TooManyHeld {
            impairment: "delay 1ms limit 101".to_owned(),
            needed: 101,
            capacity: 100,
        });
        assert_eq!((error, both), (expected.clone(), expected));
        assert_eq!(impairments.get(InterfaceId(0)), before);
        assert_eq!(impairments.get(InterfaceId(1)), None);
        assert_eq!(impairments.check(), Ok(()));
        let nothing_is_held = impairment("loss 1% limit 10000");
        assert_eq!(impairments.set(InterfaceId(1), nothing_is_held), Ok(()));
    }

    #[test]
    fn impairment_that_needs_more_than_may_be_held_is_refused() {
        let impairments = Impairments::new();
        impairments.note_capacity(6000);
        let limits = |held, policy| XskLimits {
            chunks: 7000,
            floor: 256,
            held,
            in_transmit: 2048,
            policy,
        };
        let set = || impairments.set(InterfaceId(0), impairment("delay 1ms limit 101"));

        impairments.note_allowed(&limits(100, LimitPolicy::CopyOut));
        assert_eq!((set(), impairments.capacity()), (Ok(()), Some(6000)));

        impairments.note_allowed(&limits(100, LimitPolicy::Backpressure));
        let error = set().expect_err("one too many");
        assert_eq!((error.needed, error.capacity), (101, 100));
        assert_eq!(impairments.capacity(), Some(100));
        let fits = impairments.set(InterfaceId(0), impairment("delay 1ms limit 100"));
        assert_eq!(fits, Ok(()));
    }

    #[test]
    fn impairments_set_before_the_start_are_checked_after_it() {
        let impairments = Impairments::new();
        let set = impairments.set(InterfaceId(1), impairment("delay 1ms limit 9000"));
        assert_eq!((set, impairments.capacity()), (Ok(()), None));

        impairments.0.capacity.store(5000, Ordering::Relaxed);

        assert!(impairments.check().is_err());
        assert_eq!(impairments.capacity(), Some(5000));
    }

    #[test]
    fn chunks_suffice_for_the_frames_they_are_for() {
        for frames in [1, 10, 999, 1000, 5000, 10_000, 100_000] {
            for queues in [1, 2, 3, 8] {
                let chunks = chunks_for(frames, queues);
                let room = capacity(chunks, queues);

                assert!(room >= frames, "{frames} {queues}: {room}");
                assert!(room <= frames + 16, "{frames} {queues}: {room}");
            }
        }
        assert_eq!(chunks_for(u32::MAX, 8), u32::MAX);
        assert!(capacity(16_384, 2) >= 5000, "50 ms at 100,000 a second");
    }
}

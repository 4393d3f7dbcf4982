//! Things that are due at a time, in the order of their times.
//!
//! Most come in order, and lie in a row; only those that are due before the last of the
//! row are in a heap. So a delay without a jitter costs a push and a pop, whatever is
//! held. The kernel's `tfifo` has two such queues, for the same reason.

use std::collections::{BinaryHeap, VecDeque};
use std::time::Instant;

/// A queue by time. Things of the same time keep their order.
#[derive(Debug)]
pub(super) struct DelayQueue<T> {
    row: VecDeque<(Instant, T)>,
    others: BinaryHeap<Entry<T>>,
    pushed: u64,
}

#[derive(Debug)]
struct Entry<T> {
    due: Instant,
    number: u64,
    value: T,
}

impl<T> DelayQueue<T> {
    pub(super) fn new() -> Self {
        Self {
            row: VecDeque::new(),
            others: BinaryHeap::new(),
            pushed: 0,
        }
    }

    pub(super) fn push(&mut self, due: Instant, value: T) {
        match self.row.back() {
            Some((last, _)) if due < *last => {
                self.pushed += 1;
                self.others.push(Entry {
                    due,
                    number: self.pushed,
                    value,
                });
            }
            _ => self.row.push_back((due, value)),
        }
    }

    /// Takes the first, if it is due by then.
    pub(super) fn pop(&mut self, by: Instant) -> Option<T> {
        if self.next_due().is_none_or(|due| due > by) {
            return None;
        }
        if self.is_other_first() {
            return self.others.pop().map(|entry| entry.value);
        }
        self.row.pop_front().map(|(_, value)| value)
    }

    /// When the first is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        if self.is_other_first() {
            return self.others.peek().map(|entry| entry.due);
        }
        self.row.front().map(|(due, _)| *due)
    }

    pub(super) fn len(&self) -> usize {
        self.row.len() + self.others.len()
    }

    /// At the same time the one in the row came first: one is in the heap only because
    /// the row's last was due later, and that is still there.
    fn is_other_first(&self) -> bool {
        match (self.others.peek(), self.row.front()) {
            (Some(other), Some((due, _))) => other.due < *due,
            (other, _) => other.is_some(),
        }
    }
}

impl<T> Ord for Entry<T> {
    /// The one that is due first is the greatest, which a heap has at its top.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.due, other.number).cmp(&(self.due, self.number))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Entry<T> {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_leaves_before_its_time() {
        let (mut queue, start) = (DelayQueue::new(), Instant::now());
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        queue.push(at(20), "later");
        queue.push(at(10), "first");

        assert_eq!(queue.next_due(), Some(at(10)));
        assert_eq!(queue.pop(at(9)), None);
        assert_eq!(queue.pop(at(10)), Some("first"));
        assert_eq!(queue.pop(at(19)), None);
        assert_eq!(queue.pop(at(20)), Some("later"));
        assert_eq!(
            (queue.pop(at(99)), queue.next_due(), queue.len()),
            (None, None, 0)
        );
    }

    proptest! {
        /// Pushes (`Some`) and pops (`None`) beside a list that is sorted.
        #[test]
        fn order_is_that_of_times_and_then_of_arrival(
            steps in prop::collection::vec(prop::option::weighted(0.6, 0_u64..20), 0..300),
        ) {
            let start = Instant::now();
            let (mut queue, mut sorted) = (DelayQueue::new(), Vec::new());
            for (number, step) in steps.into_iter().enumerate() {
                if let Some(due) = step {
                    let due = start + Duration::from_secs(due);
                    queue.push(due, number);
                    sorted.push((due, number));
                    sorted.sort();
                } else {
                    let by = start + Duration::from_secs(number as u64 % 20);
                    let is_due = sorted.first().is_some_and(|(due, _)| *due <= by);
                    let expected = is_due.then(|| sorted.remove(0).1);
                    prop_assert_eq!(queue.pop(by), expected);
                }
                prop_assert_eq!(queue.len(), sorted.len());
                prop_assert_eq!(queue.next_due(), sorted.first().map(|first| first.0));
            }
        }
    }
}

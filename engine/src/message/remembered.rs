//! Messages that are done with, so that their late fragments begin no new one.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

/// The keys that were added last, up to a number.
#[derive(Debug)]
pub(super) struct Remembered<K> {
    most: usize,
    order: VecDeque<K>,
    keys: HashSet<K>,
}

impl<K: Clone + Eq + Hash> Remembered<K> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            order: VecDeque::new(),
            keys: HashSet::new(),
        }
    }

    /// Adds a key, in the place of the oldest if there are as many as may be.
    pub(super) fn add(&mut self, key: K) {
        if self.most == 0 || !self.keys.insert(key.clone()) {
            return;
        }
        if self.order.len() == self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        self.order.push_back(key);
    }

    pub(super) fn has(&self, key: &K) -> bool {
        self.keys.contains(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_keys_are_forgotten() {
        let mut remembered = Remembered::new(2);

        for key in [1, 2, 2, 3] {
            remembered.add(key);
        }

        let has: Vec<_> = (0..5).filter(|key| remembered.has(key)).collect();
        assert_eq!(has, [2, 3]);
        let mut none = Remembered::new(0);
        none.add(1);
        assert!(!none.has(&1));
    }
}

//! The number of entries of a ring.

use std::num::NonZeroU32;

use super::out_of_range::{OutOfRange, RING_CAPACITY_MAX, RING_CAPACITY_MIN};

/// The number of entries of a ring: a power of two from 64 to 2^20.
///
/// The kernel takes any power of two; below 64 some drivers misbehave with
/// small TX rings (fixed in 6.12.114, see `tx_descs` in
/// `net/xdp/xsk_buff_pool.c`), and 2^20 entries already are 16 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingCapacity(NonZeroU32);

impl RingCapacity {
    /// The smallest capacity.
    pub const MIN: u32 = RING_CAPACITY_MIN;
    /// The largest capacity.
    pub const MAX: u32 = RING_CAPACITY_MAX;

    /// # Errors
    ///
    /// [`OutOfRange::RingCapacity`] unless `entries` is a power of two from
    /// [`MIN`](Self::MIN) to [`MAX`](Self::MAX).
    pub fn new(entries: u32) -> Result<Self, OutOfRange> {
        NonZeroU32::new(entries)
            .filter(|entries| entries.is_power_of_two())
            .filter(|entries| (Self::MIN..=Self::MAX).contains(&entries.get()))
            .map(Self)
            .ok_or(OutOfRange::RingCapacity(entries))
    }

    /// The number of entries.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_capacity_takes_powers_of_two_only() {
        for bad in [0, 1, 32, 63, 65, 100, 3000, 1 << 21, u32::MAX] {
            assert_eq!(RingCapacity::new(bad), Err(OutOfRange::RingCapacity(bad)));
        }
        for good in [64, 2048, 1 << 20] {
            assert_eq!(RingCapacity::new(good).map(RingCapacity::get), Ok(good));
        }
    }
}

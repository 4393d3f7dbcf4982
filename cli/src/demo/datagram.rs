//! The datagrams of the UDP check: which bytes a number stands for.

use super::pattern::Pattern;

/// Datagrams as a function of their number: eight bytes of it, then a pattern,
/// up to a length that depends on it, too.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Bytes of the largest datagram.
    pub largest: usize,
}

impl Sizes {
    /// The largest fits the MTU with an IPv4 and a UDP header.
    pub fn up_to_mtu(mtu: u32) -> Self {
        let mtu = usize::try_from(mtu).expect("32 bits fit usize on Linux");
        Self {
            largest: mtu
                .saturating_sub(IPV4_AND_UDP_HEADER_BYTES)
                .max(SEQUENCE_BYTES),
        }
    }

    /// Every eighth is as large as can be; the others take all sizes in turn.
    fn length(self, sequence: u64) -> usize {
        if sequence.is_multiple_of(8) {
            return self.largest;
        }
        let span = (self.largest - SEQUENCE_BYTES + 1) as u64;
        // A prime stride, so that neighbours differ much.
        SEQUENCE_BYTES + usize::try_from(sequence.wrapping_mul(7919) % span).expect("below span")
    }

    /// Writes the datagram of this number and returns its length.
    pub fn write(self, sequence: u64, bytes: &mut [u8]) -> usize {
        let length = self.length(sequence);
        let (number, payload) = bytes[..length].split_at_mut(SEQUENCE_BYTES);
        number.copy_from_slice(&sequence.to_be_bytes());
        Pattern::new(sequence).fill(0, payload);
        length
    }

    /// The number of a datagram that is exactly as it was written.
    pub fn verify(self, bytes: &[u8]) -> Option<u64> {
        let (number, payload) = bytes.split_first_chunk::<SEQUENCE_BYTES>()?;
        let sequence = u64::from_be_bytes(*number);
        let is_intact = bytes.len() == self.length(sequence)
            && Pattern::new(sequence).first_mismatch(0, payload).is_none();
        is_intact.then_some(sequence)
    }
}

const SEQUENCE_BYTES: usize = 8;
const IPV4_AND_UDP_HEADER_BYTES: usize = 20 + 8;

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes { largest: 1472 };

    #[test]
    fn sizes_reach_both_ends() {
        let lengths: Vec<usize> = (0..10_000).map(|sequence| SIZES.length(sequence)).collect();

        assert_eq!(lengths.iter().min(), Some(&SEQUENCE_BYTES));
        assert_eq!(lengths.iter().max(), Some(&1472));
    }

    #[test]
    fn datagram_that_changed_in_any_way_is_not_verified() {
        let mut bytes = vec![0; 1473];
        let length = SIZES.write(8, &mut bytes);

        assert_eq!(SIZES.verify(&bytes[..length]), Some(8));
        assert_eq!(SIZES.verify(&bytes[..length - 1]), None, "cut short");
        assert_eq!(SIZES.verify(&bytes[..=length]), None, "grown");
        assert_eq!(SIZES.verify(&bytes[..3]), None, "no number");
        bytes[700] ^= 1;
        assert_eq!(SIZES.verify(&bytes[..length]), None, "changed");
    }
}

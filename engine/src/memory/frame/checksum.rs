//! Finishing the checksum of a frame that its sender left to hardware.

use super::frame::Frame;
use crate::memory::checksum::{self, ChecksumProtocol};

/// A checksum that was finished: see [`Frame::finish_checksum`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FinishedChecksum {
    /// Whose it is.
    pub protocol: ChecksumProtocol,
    /// Where it is in the frame, in bytes.
    pub offset: u32,
}

impl Frame {
    /// Finishes the checksum that the sender of an Ethernet frame left to hardware, if
    /// it left one, and returns which; `None` if the frame is as it should be.
    ///
    /// Stacks do so on virtual interfaces, such as veth: the field has the sum of
    /// the pseudo-header, and every other receiver than a stack on the same machine
    /// takes the frame for damaged. It may be the checksum of TCP, UDP or SCTP, or
    /// that of a tunnel around them, and behind any tunnel, extension header or tag
    /// that the kernel makes. A right checksum stays as it is.
    ///
    /// An engine does this with what it receives where it is needed: see
    /// [`EngineBuilder::checksums`](crate::EngineBuilder::checksums).
    #[inline]
    pub fn finish_checksum(&mut self) -> Option<FinishedChecksum> {
        if checksum::is_plainly_done(self) {
            return None;
        }
        self.finish_whatever_it_is()
    }

    #[inline(never)]
    fn finish_whatever_it_is(&mut self) -> Option<FinishedChecksum> {
        if !self.is_contiguous() {
            return self.finish_in_several_chunks();
        }
        let bytes: &[u8] = self;
        let segments = || std::iter::once(bytes);
        let undone = checksum::find(bytes, self.len_bytes(), segments)?;
        let value = undone.value(segments());
        let (field, value) = (undone.field(), value.bytes());
        self[field..field + value.len()].copy_from_slice(value);
        Some(FinishedChecksum {
            protocol: undone.protocol(),
            offset: u32::try_from(field).ok()?,
        })
    }

    #[cold]
    #[inline(never)]
    fn finish_in_several_chunks(&mut self) -> Option<FinishedChecksum> {
        // The kernel puts all headers into the first chunk; an application may not.
        let mut copy = [0; MOST_HEADER_BYTES];
        let head: &[u8] = if self.len_bytes() as usize >= MOST_HEADER_BYTES {
            &*self
        } else {
            let mut copied = 0;
            for segment in self.segments() {
                let len = segment.len().min(MOST_HEADER_BYTES - copied);
                copy[copied..copied + len].copy_from_slice(&segment[..len]);
                copied += len;
            }
            &copy[..copied]
        };
        let undone = checksum::find(head, self.total_len(), || self.segments())?;
        let value = undone.value(self.segments());
        self.overwrite(undone.field(), value.bytes());
        Some(FinishedChecksum {
            protocol: undone.protocol(),
            offset: u32::try_from(undone.field()).ok()?,
        })
    }

    /// Writes `bytes` at `offset`, whatever the chunks they lie in.
    fn overwrite(&mut self, offset: usize, bytes: &[u8]) {
        let mut start = 0;
        for segment in self.segments_mut() {
            for (place, byte) in bytes.iter().enumerate() {
                let within = (offset + place).checked_sub(start);
                if let Some(to) = within.and_then(|within| segment.get_mut(within)) {
                    *to = *byte;
                }
            }
            start += segment.len();
        }
    }
}

/// Headers of tunnels in tunnels fit.
const MOST_HEADER_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::checksum::samples::{Version, ethernet, vxlan};
    use crate::memory::{Umem, UmemConfig};

    /// A frame of the bytes, in chunks of which each has at most `piece` of them.
    fn frame(umem: &Umem, bytes: &[u8], piece: usize) -> Frame {
        let mut pieces = bytes.chunks(piece).map(|bytes| {
            let mut frame = umem.allocate().expect("a free chunk");
            let len = u32::try_from(bytes.len()).expect("short");
            frame.grow_back(len).expect("room").copy_from_slice(bytes);
            frame
        });
        let mut frame = pieces.next().expect("it has bytes");
        pieces.for_each(|end| frame.append(end).expect("of the same UMEM"));
        frame
    }

    #[test]
    fn checksum_is_finished_whatever_the_chunks_of_the_frame() {
        let umem = Umem::new(&UmemConfig::new(512)).expect("a small UMEM");
        let packet = Version::V4.tcp(&[0xa5; 1001]);
        let inner = ethernet(0x0800, packet);
        let outer = Version::V6.udp(4789, vxlan(inner.clone()));
        for right in [inner, ethernet(0x86dd, outer)] {
            let index = right.undone.len() - 1;
            for piece in [3, 50, 51, 511, 512, 600, 3000] {
                let mut frame = frame(&umem, &right.left_undone(index), piece);
                let finished = frame.finish_checksum().expect("it was undone");

                let (field, _, protocol) = &right.undone[index];
                assert_eq!(finished.protocol, *protocol);
                assert_eq!(finished.offset as usize, *field);
                assert_eq!(frame.segments().collect::<Vec<_>>().concat(), right.bytes);
                assert_eq!(frame.finish_checksum(), None, "once is enough");
            }
        }
    }

    #[test]
    fn checksum_across_two_chunks_is_written_to_both() {
        let umem = Umem::new(&UmemConfig::new(64)).expect("a small UMEM");
        let right = ethernet(0x0800, Version::V4.sctp(b"chunks in words."));
        let (field, _, _) = right.undone[0];
        for at in field..=field + 4 {
            let mut frame = frame(&umem, &right.left_undone(0)[..at], usize::MAX);
            let mut end = umem.allocate().expect("a free chunk");
            let rest = &right.left_undone(0)[at..];
            let len = u32::try_from(rest.len()).expect("short");
            end.grow_back(len).expect("room").copy_from_slice(rest);
            frame.append(end).expect("of the same UMEM");

            assert!(frame.finish_checksum().is_some());

            assert_eq!(frame.segments().collect::<Vec<_>>().concat(), right.bytes);
        }
    }

    #[test]
    fn empty_frame_is_left_alone() {
        let umem = Umem::new(&UmemConfig::new(1)).expect("a small UMEM");
        let mut frame = umem.allocate().expect("a free chunk");

        assert_eq!(frame.finish_checksum(), None);
    }
}

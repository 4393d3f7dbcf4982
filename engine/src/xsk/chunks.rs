//! Sending a frame in several chunks: all of them or none.

use super::send_error::TransmitError;
use super::tx::TxHalf;
use crate::kernel::sys::if_xdp::{Descriptor, XDP_PKT_CONTD};
use crate::kernel::sys::memory::page_size;
use crate::memory::frame::Frame;
use crate::memory::geometry::Geometry;

/// The most chunks of a frame in copy mode: the kernel puts the first into the
/// head of an skb, and each of the others into a fragment, of which an skb has
/// `MAX_SKB_FRAGS`, 17 at the least (`xsk_build_skb` in `net/xdp/xsk.c`, Linux
/// 6.6; `include/linux/skbuff.h`).
pub(crate) const MOST_CHUNKS_COPY: u32 = 17 + 1;

/// Drivers that ask for skbs without a head of their own (`IFF_TX_SKB_NO_LINEAR`,
/// Linux 5.12 to 7.3). There the first chunk takes a fragment as well, and the
/// kernel drops a frame in one chunk more than it has fragments; before 6.12.114
/// and 7.2 its chunks never come back (`xsk_build_skb_zerocopy`).
const WITHOUT_HEAD: [&str; 1] = ["virtio_net"];

/// The most chunks of a frame that is sent in copy mode through a driver. Without
/// a head, a chunk takes a fragment for each page that it lies on.
pub(super) fn most_chunks_copy(driver: Option<&str>, geometry: &Geometry) -> u32 {
    let headless = driver.is_some_and(|driver| WITHOUT_HEAD.contains(&driver));
    match (headless, geometry.straddles(page_size())) {
        (false, _) => MOST_CHUNKS_COPY,
        (true, false) => MOST_CHUNKS_COPY - 1,
        (true, true) => (MOST_CHUNKS_COPY - 1) / 2,
    }
}

/// Bytes that the first of several chunks must have. The kernel takes the
/// Ethernet header off the head of an skb, and stops the machine if it is not
/// all there (`__skb_pull` in `include/linux/skbuff.h`).
const ETHERNET_HEADER: u32 = 14;

impl TxHalf {
    /// Why a frame in several chunks cannot be sent now, if that is because it has several.
    #[cold]
    #[inline(never)]
    pub(super) fn check_chunks(&mut self, frame: &Frame) -> Result<(), fn(Frame) -> TransmitError> {
        let chunks = frame.chunks();
        if chunks > self.most_chunks() {
            return Err(TransmitError::TooManyChunks);
        }
        if frame.len_bytes() < ETHERNET_HEADER {
            return Err(TransmitError::ShortFirstChunk);
        }
        if chunks > self.unused_completions() || chunks > self.ring.free(chunks) {
            return Err(self.full(frame));
        }
        Ok(())
    }

    /// As [`transmit`](Self::transmit), for a frame in several chunks that has
    /// passed the checks.
    #[cold]
    #[inline(never)]
    pub(super) fn transmit_chunks(&mut self, frame: Frame) {
        let chunks = frame.chunks();
        self.bytes += u64::from(frame.total_len());
        let records = *self.member.records();
        self.send_chunk(frame.addr(), frame.len_bytes(), XDP_PKT_CONTD);
        for part in frame.parts() {
            let is_last = part.next.is_none();
            let options = if is_last { 0 } else { XDP_PKT_CONTD };
            let umem = self.transmitter.umem();
            let addr = umem.geometry.addr(part.place);
            umem.ledger
                .transmit_part(part.place.chunk, is_last, &records);
            self.send_chunk(addr, part.len, options);
        }
        let ledger = &self.transmitter.umem().ledger;
        let from = ledger.transmit_first(&frame.into_claim(), &records);
        self.sent_parts += u64::from(chunks - 1);
        self.counters.made += u64::from(from.is_made());
    }

    fn send_chunk(&mut self, addr: u64, len: u32, options: u32) {
        // One slot at a time: they may lie on both sides of the ring's end.
        self.ring.begin_row(1);
        let slot = self.ring.give();
        slot.expect("there are as many free slots as chunks")
            .put(Descriptor::new(addr, len, options));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::ChunkSize;

    #[test]
    fn driver_whose_skbs_have_no_head_takes_a_chunk_less() {
        let whole = Geometry::new(1, ChunkSize::new(2048).expect("a chunk size"), 0, None);

        assert_eq!(most_chunks_copy(Some("virtio_net"), &whole), 17);
        assert_eq!(most_chunks_copy(Some("veth"), &whole), 18);
        assert_eq!(most_chunks_copy(None, &whole), 18);
    }

    #[test]
    fn chunk_across_two_pages_takes_two_fragments_where_skbs_have_no_head() {
        let size = ChunkSize::unaligned(3000).expect("a chunk size");
        let across = Geometry::new(1, size, 0, None);

        assert_eq!(most_chunks_copy(Some("virtio_net"), &across), 8);
        assert_eq!(most_chunks_copy(Some("veth"), &across), 18);
    }
}

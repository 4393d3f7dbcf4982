//! How the queues of a UMEM share its chunks, while queues appear and go.
//!
//! Nothing takes back a chunk that is posted to a fill ring. So when queues appear, those
//! that were there come down to their share as frames arrive, and until then the new ones
//! make do with what is left.

use crate::kernel::XskIndex;
use crate::memory::Umem;
use crate::xsk::RxHalf;

/// Which queues are to have which chunks.
#[derive(Debug, Default)]
pub(crate) struct ChunkShares {
    /// The RX queues of each interface: others receive nothing.
    rx_queues: Vec<u32>,
    /// The chunks that each queue is to have which receives.
    share: u32,
    /// Whether some have another limit yet.
    is_uneven: bool,
}

/// The chunks that each of `queues` queues of a UMEM may have. An eighth stays out of the
/// fill rings, for frames that the application makes.
pub(crate) fn chunk_share(umem: &Umem, queues: u32) -> u32 {
    (umem.chunks() - umem.chunks() / 8) / queues.max(1)
}

/// Chunks that a queue can do with while it has no more.
const LEAST_CHUNKS: u32 = 64;

impl ChunkShares {
    /// Shares the chunks of `umem` anew among the queues of `xsks` that receive, those
    /// whose index is below the number of RX queues of their interface, and `more` that
    /// are to come. Returns the limit for each of those.
    ///
    /// The new ones get half of what is not spoken for, so that there is something for
    /// the queues of the next interface, too.
    pub(crate) fn make_room(
        &mut self,
        umem: &Umem,
        xsks: &[RxHalf],
        more: u32,
        rx_queues: &[u32],
    ) -> u32 {
        rx_queues.clone_into(&mut self.rx_queues);
        let (receiving, available) = self.receiving(umem, xsks);
        self.share = available / receiving.saturating_add(more).max(1);
        for rx in xsks {
            rx.set_chunk_limit(rx.chunk_limit().min(self.wanted(rx)));
        }
        self.is_uneven = true;
        let taken = queues(xsks).filter(|rx| self.receives(rx));
        let taken = taken.map(|rx| rx.charged().max(rx.chunk_limit()));
        let half = available.saturating_sub(taken.sum()) / 2 / more.max(1);
        half.max(LEAST_CHUNKS).min(self.share)
    }

    /// Gives all queues their share, once the chunks suffice for all. To be called now and
    /// then.
    pub(crate) fn even_out(&mut self, umem: &Umem, xsks: &[RxHalf]) {
        if !self.is_uneven {
            return;
        }
        let (receiving, available) = self.receiving(umem, xsks);
        self.share = available / receiving.max(1);
        let needed = queues(xsks).filter(|rx| self.receives(rx));
        let needed = needed.map(|rx| rx.charged().max(self.share));
        if needed.sum::<u32>() <= available {
            for rx in xsks {
                rx.set_chunk_limit(self.wanted(rx));
            }
            self.is_uneven = false;
        }
    }

    /// How many queues receive, and the chunks for all of them: without those that lie in
    /// the fill rings of others.
    fn receiving(&self, umem: &Umem, xsks: &[RxHalf]) -> (u32, u32) {
        let (receiving, others): (Vec<_>, Vec<_>) = queues(xsks).partition(|rx| self.receives(rx));
        let elsewhere = others.into_iter().map(RxHalf::charged).sum();
        let queues = u32::try_from(receiving.len()).unwrap_or(u32::MAX);
        (queues, chunk_share(umem, 1).saturating_sub(elsewhere))
    }

    fn wanted(&self, rx: &RxHalf) -> u32 {
        if self.receives(rx) { self.share } else { 0 }
    }

    /// Whether the interface of an xsk has an RX queue of its index.
    fn receives(&self, rx: &RxHalf) -> bool {
        let queues = self.rx_queues.get(rx.interface().0);
        queues.is_some_and(|queues| rx.queue().get() < *queues)
    }
}

/// One xsk of each queue.
fn queues(xsks: &[RxHalf]) -> impl Iterator<Item = &RxHalf> {
    xsks.iter().filter(|rx| rx.xsk() == XskIndex(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{InterfaceId, RingCapacity};
    use crate::memory::UmemConfig;
    use crate::xsk::{SimulatedNic, Xsk, XskConfig};

    /// Xsks on interfaces of their own, each of which may have `limit` chunks.
    fn xsks(umem: &Umem, limits: &[u32]) -> (Vec<RxHalf>, Vec<SimulatedNic>) {
        let bound = limits.iter().enumerate().map(|(id, &limit)| {
            let config = XskConfig {
                interface: InterfaceId(id),
                chunk_limit: Some(limit),
                ..XskConfig::new(RingCapacity::new(1024).expect("a power of two"))
            };
            let (xsk, nic) = Xsk::simulated(umem, &config).expect("there is memory");
            (xsk.into_halves().0, nic)
        });
        bound.unzip()
    }

    #[test]
    fn queues_that_appear_leave_chunks_for_those_that_follow() {
        let umem = Umem::new(&UmemConfig::new(1024)).expect("there is memory");
        let (old, _nics) = xsks(&umem, &[448, 448]);
        assert_eq!(umem.audit().pool, 128, "the rest is posted");
        let mut shares = ChunkShares::default();

        let limit = shares.make_room(&umem, &old, 2, &[1, 1]);

        assert_eq!(limit, 64, "from the eighth that is not shared");
        assert!(old.iter().all(|rx| rx.chunk_limit() == 224));
    }

    #[test]
    fn shares_are_even_once_what_was_posted_came_back() {
        let umem = Umem::new(&UmemConfig::new(1024)).expect("there is memory");
        let (mut rx, mut nics) = xsks(&umem, &[896, 0, 0]);
        let mut shares = ChunkShares::default();

        shares.make_room(&umem, &rx, 0, &[1, 1, 1]);
        shares.even_out(&umem, &rx);
        assert_eq!(rx[0].chunk_limit(), 298, "it gets nothing more");
        assert_eq!(rx[1].chunk_limit(), 0, "the first has it all");
        for _ in 0..600 {
            assert!(nics[0].deliver(b"a packet of bytes"));
            rx[0].receive(1).for_each(drop);
            rx[0].top_up();
        }
        shares.even_out(&umem, &rx);

        assert!(rx.iter().all(|rx| rx.chunk_limit() == 298));
        assert_eq!(rx[0].charged(), 298);
    }

    #[test]
    fn queue_that_has_gone_gets_no_chunks_until_it_is_back() {
        let umem = Umem::new(&UmemConfig::new(1024)).expect("there is memory");
        let (rx, _nics) = xsks(&umem, &[100, 100]);
        let mut shares = ChunkShares::default();

        shares.make_room(&umem, &rx, 0, &[1, 0]);
        shares.even_out(&umem, &rx);
        assert_eq!(
            [rx[0].chunk_limit(), rx[1].chunk_limit()],
            [796, 0],
            "what lies there is of no use"
        );

        shares.make_room(&umem, &rx, 0, &[1, 1]);
        shares.even_out(&umem, &rx);
        assert_eq!([rx[0].chunk_limit(), rx[1].chunk_limit()], [448, 448]);
    }
}

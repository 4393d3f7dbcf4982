//! Pool → fill ring.

use std::cell::Cell;
use std::iter::Rev;
use std::slice::Iter;

use crate::memory::ledger::{Record, XskRecords};
use crate::memory::umem::UmemState;

/// Posts free chunks to a fill ring, one by one.
pub(crate) struct Posting<'a> {
    records: &'a [Cell<Record>],
    posted: Record,
    stride: u64,
}

impl Posting<'_> {
    /// Pool → fill ring, for a chunk of the pool. Returns its address, as ring entries
    /// have it.
    #[inline]
    pub(crate) fn post(&self, chunk: &Cell<u32>) -> u64 {
        let chunk = chunk.get();
        let record = &self.records[chunk as usize];
        assert!(
            record.get() == Record::POOL,
            "only a chunk of the pool is posted"
        );
        record.set(self.posted);
        u64::from(chunk) * self.stride
    }
}

impl UmemState {
    /// Takes up to `most` chunks from the pool for the fill ring of the queue of
    /// `records`, and charges the queue. `post_all` posts them. Returns their number.
    #[inline]
    pub(crate) fn post(
        &self,
        records: &XskRecords,
        most: u32,
        post_all: impl FnOnce(Rev<Iter<'_, Cell<u32>>>, Posting<'_>),
    ) -> u32 {
        let posting = Posting {
            records: self.ledger.records(),
            posted: records.posted,
            stride: u64::from(self.geometry.stride()),
        };
        let posted = self.pool.take_row(most, |chunks| post_all(chunks, posting));
        self.ledger.charge(records.queue, posted);
        posted
    }
}

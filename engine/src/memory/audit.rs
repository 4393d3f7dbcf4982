//! Where every chunk of a UMEM is: the sum that has to come out.

/// Where every chunk of a UMEM was at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Audit {
    /// Free.
    pub pool: u32,
    /// With the kernel, to receive into; received frames not yet taken from
    /// the RX ring count here.
    pub fill: u32,
    /// Frames that the application holds.
    pub application: u32,
    /// Detached frames, on any thread.
    pub detached: u32,
    /// Further chunks of those frames, detached ones included: all but the first
    /// chunk of each frame in several.
    pub parts: u32,
    /// Of the application's frames, detached ones included, those that it made
    /// itself and has not sent.
    pub made: u32,
    /// With the kernel, to send from: every chunk of a frame in several.
    pub transmit: u32,
    /// Withdrawn because the kernel returned them with a senseless descriptor.
    pub quarantined: u32,
    /// Written off because the kernel still had them when their xsk closed.
    pub stranded: u32,
    /// Chunks that the pool really holds.
    pub pooled: u32,
    /// Chunks of the UMEM.
    pub total: u32,
    /// The chunks for copies, which are beside those.
    pub copies: CopyAudit,
}

/// Where every chunk for copies was, in the ordinary memory beside a UMEM. All are zero
/// until the first frame is copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyAudit {
    /// Free.
    pub pool: u32,
    /// Copied frames that the application holds.
    pub application: u32,
    /// Detached copies, on any thread.
    pub detached: u32,
    /// Further chunks of those: all but the first of each copy in several.
    pub parts: u32,
    /// Of the copies, detached ones included, those of frames that the application made.
    pub made: u32,
    /// Chunks that the pools really hold.
    pub pooled: u32,
    /// Chunks for copies.
    pub total: u32,
}

impl CopyAudit {
    fn held(&self) -> u64 {
        u64::from(self.application) + u64::from(self.detached) - u64::from(self.made)
    }

    fn is_balanced(&self) -> bool {
        let owners = [self.pool, self.application, self.detached, self.parts];
        let sum: u64 = owners.into_iter().map(u64::from).sum();
        sum == u64::from(self.total) && self.pool == self.pooled
    }
}

impl Audit {
    /// Received frames that the application holds, detached and copied ones included.
    #[must_use]
    pub fn held(&self) -> u64 {
        let here = u64::from(self.application) + u64::from(self.detached) - u64::from(self.made);
        here + self.copies.held()
    }

    /// Whether the chunks of all owners are the chunks of the UMEM, and the
    /// pool holds what the ledger says it holds; of those for copies likewise.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        let owners = [
            self.pool,
            self.fill,
            self.application,
            self.detached,
            self.parts,
            self.transmit,
            self.quarantined,
            self.stranded,
        ];
        let sum: u64 = owners.into_iter().map(u64::from).sum();
        sum == u64::from(self.total) && self.pool == self.pooled && self.copies.is_balanced()
    }
}

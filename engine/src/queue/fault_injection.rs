//! Damage to what is on its way to the kernel, for tests of how kernel and queue
//! take it. Nothing else can make a descriptor that is not a frame's.
//!
//! It cannot touch memory that it should not: the kernel checks descriptors
//! against the UMEM, which is all it could read, and the queue checks what comes
//! back against the ledger. A chunk whose completion does not come stays in
//! transmit until the queue closes, and one that comes back by a wrong address
//! is a [violation](super::Queue::violations). A simulated NIC panics at what the
//! kernel would refuse.

use super::QueueTx;
use crate::sys::if_xdp::Descriptor;

/// An entry of the TX ring, as `struct xdp_desc` in
/// `include/uapi/linux/if_xdp.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxDescriptor {
    /// Where the bytes lie in the UMEM.
    pub addr: u64,
    /// The number of bytes.
    pub len: u32,
    /// Flags: 1 says that the frame goes on in the next descriptor.
    pub options: u32,
}

impl QueueTx {
    /// Changes a descriptor that [`transmit`](Self::transmit) wrote and
    /// [`publish`](Self::publish) or [`wake`](Self::wake) has not published:
    /// the latest is 0, the one before is 1.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn damage(&mut self, back: u32, damage: impl FnOnce(TxDescriptor) -> TxDescriptor) {
        let changed = self.ring.change(back, |descriptor| {
            let Descriptor { addr, len, options } = descriptor;
            let TxDescriptor { addr, len, options } = damage(TxDescriptor { addr, len, options });
            Descriptor { addr, len, options }
        });
        assert!(changed, "only what is not published can be damaged");
    }
}

//! Damage to what is on its way to the kernel, for tests of how kernel and xsk
//! take it. Nothing else can make a descriptor that is not a frame's.
//!
//! It cannot touch memory that it should not: the kernel checks descriptors
//! against the UMEM, which is all it could read, and the xsk checks what comes
//! back against the ledger. A chunk whose completion does not come stays in
//! transmit until the xsk closes, and one that comes back by a wrong address
//! is a [violation](super::Xsk::violations). A simulated NIC panics at what the
//! kernel would refuse.
//!
//! [`XskRx::leak_mapping`] does the other thing that only a bug can do.

use std::sync::Arc;

use super::rx::XskRx;
use super::tx::{TxHalf, XskTx};
use crate::kernel::sys::if_xdp::Descriptor;
use crate::kernel::sys::memory::Mapping;
use crate::memory::frame::Frame;

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

impl XskTx<'_> {
    /// Changes a descriptor that [`transmit`](Self::transmit) wrote and
    /// [`publish`](Self::publish) or [`wake`](Self::wake) has not published:
    /// the latest is 0, the one before is 1.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn damage(&mut self, back: u32, damage: impl FnOnce(TxDescriptor) -> TxDescriptor) {
        self.0.damage(back, damage);
    }

    /// Hands the kernel a descriptor of `frame`, which stays the caller's, and
    /// returns whether there was a slot: what a program does that loses count of its
    /// frames. There may be more such frames than the completion ring has room
    /// for, and each that comes back is a violation.
    pub fn transmit_unowned(&mut self, frame: &Frame) -> bool {
        let descriptor = Descriptor::new(frame.addr(), frame.len_bytes(), 0);
        self.0.send_uncounted(descriptor)
    }
}

impl TxHalf {
    /// See [`XskTx::damage`].
    pub(crate) fn damage(&mut self, back: u32, damage: impl FnOnce(TxDescriptor) -> TxDescriptor) {
        let changed = self.ring.change(back, |descriptor| {
            let TxDescriptor { addr, len, options } = damage(TxDescriptor {
                addr: descriptor.addr,
                len: descriptor.len(),
                options: descriptor.options(),
            });
            Descriptor::new(addr, len, options)
        });
        assert!(changed, "only what is not published can be damaged");
    }
}

/// The memory of a ring that stays mapped although its xsk is gone, as a
/// forgotten xsk leaves it, or another process that mapped it.
#[derive(Debug)]
pub struct LeakedMapping(#[expect(dead_code, reason = "keeps the ring mapped")] Arc<Mapping>);

impl XskRx<'_> {
    /// Keeps the RX ring mapped until what this returns is dropped.
    ///
    /// # Panics
    ///
    /// Never: rings lie in mappings.
    #[must_use]
    pub fn leak_mapping(&self) -> LeakedMapping {
        LeakedMapping(
            self.0
                .receiving
                .ring()
                .memory()
                .expect("the ring is a mapping"),
        )
    }
}

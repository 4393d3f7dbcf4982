//! What becomes of frames whose descriptors were damaged on their way to the
//! kernel, and of the queue they were sent through.
//!
//! Kernels differ in what they do with a descriptor that they refuse. Some give
//! it back on the completion ring, with the address as it was: in copy mode
//! 6.12.114, 6.18.44 and 7.2, in zero copy 7.2. Others never do (`net/xdp/xsk.c`,
//! `xskq_cons_read_desc` in `net/xdp/xsk_queue.h`).

use std::thread;
use std::time::{Duration, Instant};

use super::{End, EndConfig, Side, Track, Usual, exchange, frames_of};
use crate::SOON;

/// Chunks of frames whose descriptors were damaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damaged {
    /// In descriptors that the kernel refuses and that name the chunk, or refuses
    /// for another of the same frame.
    pub refused: u32,
    /// In descriptors that the kernel refuses and that name something else.
    pub misnamed: u32,
    /// In descriptors that the kernel takes and that name another chunk.
    pub taken: u32,
}

impl Damaged {
    /// What is left in transmit and counted as violations, where the kernel gives
    /// back what it refuses, and where it does not.
    fn ends(self) -> [(u32, u64); 2] {
        let Self {
            refused,
            misnamed,
            taken,
        } = self;
        let nonsense = misnamed + taken;
        [
            (nonsense, u64::from(nonsense)),
            (refused + nonsense, u64::from(taken)),
        ]
    }

    /// Waits until the kernel is done with what `near` sent, and checks what the
    /// queue made of it: what cannot be home is in transmit, every address that
    /// the kernel made up is a violation, and no chunk is missing or there twice.
    ///
    /// # Panics
    ///
    /// When that is not so.
    pub fn assert_accounted(self, near: &mut End) {
        let deadline = Instant::now() + SOON;
        loop {
            near.xsk.wake().expect("the interface is up");
            near.xsk.recycle();
            let audit = near.umem.audit();
            assert!(audit.is_balanced(), "{audit:?}");
            let found = (audit.transmit, near.xsk.violations());
            if self.ends().contains(&found) && near.xsk.tx().pending() == 0 {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "transmit and violations {found:?} are none of {:?}: {near:?}, {audit:?}",
                self.ends()
            );
            thread::sleep(Duration::from_millis(1));
        }
        let refused = near.statistics().tx_invalid_descs;
        assert_eq!(refused, u64::from(self.refused + self.misnamed), "{near:?}");
        let audit = near.umem.audit();
        assert_eq!((audit.held(), audit.quarantined), (0, 0), "{audit:?}");
    }

    /// As [`assert_accounted`](Self::assert_accounted), and the damage does not
    /// last: the queue sends on, what it has lost is written off when it closes,
    /// and another on the same memory is as good as new.
    ///
    /// # Panics
    ///
    /// When that is not so.
    pub fn assert_survived(self, track: &Track, mut near: End, far: &mut End, config: &EndConfig) {
        self.assert_accounted(&mut near);
        let later = frames_of(track, 256, 64);
        exchange(&mut Usual, &mut near, far, &later);
        self.assert_accounted(&mut near);

        let End {
            steering,
            xsk,
            umem,
            ..
        } = near;
        let open = umem.audit();
        drop(steering);
        drop(xsk);
        let closed = umem.audit();
        assert!(closed.is_balanced(), "{closed:?}");
        let written_off = open.transmit + open.fill;
        assert_eq!((closed.transmit, closed.fill), (0, 0), "{closed:?}");
        assert_eq!(closed.stranded, written_off, "{open:?}, {closed:?}");

        let mut near = End::bind_to(track, Side::Near, config, umem);
        exchange(&mut Usual, &mut near, far, &later);
        near.assert_settled();
        far.assert_settled();
    }
}

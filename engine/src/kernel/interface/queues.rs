//! How many queues an interface has.
//!
//! `bind(2)` takes queue indices below the larger of the *real* numbers of RX
//! and TX queues (`xsk_bind` → `xp_assign_dev` → `xsk_reg_pool_at_qid`,
//! `net/xdp/xsk.c`). rtnetlink says how many were *allocated*, which may be
//! more; the real ones are what the driver says through ethtool, as
//! `ethtool -l` shows them. A driver that says nothing has as a rule one queue,
//! and then both numbers agree; multi-queue tun, with 256 allocated, is the
//! known exception, so the source comes with the numbers.

use std::io;
use std::os::fd::BorrowedFd;

use super::link::Link;
use crate::kernel::sys::netdev;

/// The queues an interface has in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterfaceQueues {
    /// RX queues.
    pub rx: u32,
    /// TX queues.
    pub tx: u32,
    /// The RX queues that were allocated, which it may come to use while it exists.
    pub rx_allocated: u32,
    /// Where the numbers come from.
    pub source: QueuesSource,
}

impl InterfaceQueues {
    /// An xsk can be bound to the queues below this number. Those at or above
    /// [`rx`](Self::rx) receive nothing, those at or above [`tx`](Self::tx)
    /// send nothing.
    #[must_use]
    pub fn bindable(self) -> u32 {
        self.rx.max(self.tx)
    }
}

/// How far the numbers of queues can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueuesSource {
    /// The driver says so: `ETHTOOL_GCHANNELS`.
    Driver,
    /// The driver does not say; these were allocated, and fewer may be in use.
    Allocated,
}

pub(super) fn of(socket: BorrowedFd<'_>, link: &Link) -> io::Result<InterfaceQueues> {
    match netdev::channels(socket, &link.name) {
        Ok(channels) => Ok(InterfaceQueues {
            rx: channels.combined.saturating_add(channels.rx),
            tx: channels.combined.saturating_add(channels.tx),
            rx_allocated: link.rx_queues_allocated,
            source: QueuesSource::Driver,
        }),
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(InterfaceQueues {
            rx: link.rx_queues_allocated,
            tx: link.tx_queues_allocated,
            rx_allocated: link.rx_queues_allocated,
            source: QueuesSource::Allocated,
        }),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::handle::Interface;
    use super::super::testing::{in_private_network, ip};
    use super::*;

    #[test]
    fn veth_says_its_real_queues() {
        in_private_network(|| {
            ip("link add one numrxqueues 4 numtxqueues 2 type veth peer name two");
            let one = Interface::by_name("one").expect("it was just added");

            let queues = one.queue_counts().expect("veth says");

            assert_eq!((queues.rx, queues.tx), (4, 2));
            assert_eq!(queues.rx_allocated, 4);
            assert_eq!(queues.source, QueuesSource::Driver);
            assert_eq!(queues.bindable(), 4);
        });
    }

    #[test]
    fn loopback_has_the_queue_that_was_allocated() {
        in_private_network(|| {
            let lo = Interface::by_name("lo").expect("every namespace has one");

            let queues = lo.queue_counts().expect("rtnetlink says");

            assert_eq!((queues.rx, queues.tx), (1, 1));
            assert_eq!(queues.source, QueuesSource::Allocated);
        });
    }
}

//! Several xsks on one queue of an interface.

use std::rc::Rc;

use super::error::XskError;
use super::socket::Socket;
use super::{Xsk, XskConfig, XskParts};
use crate::Error;
use crate::kernel::XskIndex;
use crate::kernel::interface::Interface;
use crate::memory::ledger::{XskId, XskRecords};
use crate::xsk::BindReport;
use crate::xsk::ring::{RxRing, TxRing};

/// What the first xsk of a queue was bound with.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) interface: Interface,
    pub(super) config: XskConfig,
    pub(super) report: BindReport,
}

impl Xsk {
    /// Binds one more xsk to the same queue of the interface, with an RX and a TX
    /// ring of its own, so that rules may tell its frames apart.
    ///
    /// The fill and the completion ring are those of the queue, and so are the
    /// limit on chunks and the fill floor: [`recycle`](Self::recycle) on any of
    /// the xsks serves all. The xsks are equals, may be dropped in any order, and
    /// take the mode of the first. Their number is the lowest that is free.
    ///
    /// Which frames it gets is for the XDP program to say; take its socket out of
    /// [`Steering`](crate::Steering) before it is dropped while others stay, as
    /// what arrives meanwhile is lost with its chunk until the last of them goes.
    /// Before Linux 6.12 the socket that was bound first stays open until then.
    /// In generic XDP, kernels before 6.1.164 and 6.12.28 race when frames of one
    /// queue are received on two CPUs for xsks that share a fill ring
    /// (CVE-2025-37920).
    ///
    /// # Errors
    ///
    /// [`Error::Interface`] when the interface cannot be looked at,
    /// [`Error::Socket`] when it is down, the queue has the xsks it was
    /// [bound for](XskConfig::xsks) or is a simulated one, or the kernel refuses.
    pub fn share(&self) -> Result<(Self, BindReport), Error> {
        let (Some(origin), Some(first)) = (&self.origin, &self.rx.socket) else {
            return Err(XskError::Simulated.into());
        };
        let Origin {
            interface, config, ..
        } = &**origin;
        let queue = self.rx.queue;
        if !interface.is_up()? {
            let interface = interface.name().to_owned();
            return Err(XskError::InterfaceDown { interface }.into());
        }
        self.check_room(config, interface.name())?;
        let umem = &self.rx.umem;
        let (xsk, rings) = Socket::open_sharer(umem, first, config.ring_size)?;
        let (tx_budget, send_buffer_bytes) = (xsk.tx_budget, xsk.send_buffer_bytes);
        let socket = xsk.bind_sharer(umem, interface, queue)?;
        let member = umem.join().ok_or(XskError::TooManyQueues)?;
        let mut shared = self.join_with(member, rings, config);
        shared.set_socket(&socket, self.rx.mode);
        shared.tx.sends = self.tx.sends;
        shared.origin = Some(Rc::clone(origin));
        let report = BindReport {
            xsk: shared.rx.xsk,
            tx_budget,
            send_buffer_bytes,
            ..origin.report.clone()
        };
        Ok((shared, report))
    }

    /// One more xsk of this one's queue.
    pub(super) fn join_with(
        &self,
        member: XskId,
        (rx, tx): (RxRing, TxRing),
        config: &XskConfig,
    ) -> Self {
        let parts = XskParts {
            seat: XskRecords::new(self.rx.seat.group, member),
            xsk: self.free_xsk(),
            rx,
            tx,
            fill: Rc::clone(&self.rx.fill),
            completion: Rc::clone(&self.tx.completion),
        };
        let mut shared = Self::join(&self.rx.umem, parts, self.rx.queue, config);
        shared.tx.most_chunks = self.tx.most_chunks;
        shared
    }

    /// Checks that the queue was bound for one more xsk.
    pub(super) fn check_room(&self, config: &XskConfig, interface: &str) -> Result<(), XskError> {
        if self.rx.fill.xsks(&self.tx.completion) < usize::from(config.xsks.max(1)) {
            return Ok(());
        }
        Err(XskError::NoMoreXsks {
            interface: interface.to_owned(),
            queue: self.rx.queue,
            xsks: config.xsks.max(1),
        })
    }

    fn free_xsk(&self) -> XskIndex {
        self.rx.fill.free_index(&self.tx.completion)
    }
}

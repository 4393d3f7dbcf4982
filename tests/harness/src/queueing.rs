//! The queueing discipline of an interface.
//!
//! A veth has none by default, and then loses a frame, with `EBUSY` for an XDP
//! socket, whenever the peer's 256-slot ring is full. Since Linux 6.16
//! (6.12.61) a veth with a discipline stops its queue instead, even for senders
//! that bypass the discipline, and nothing is lost (`veth_xmit` in
//! `drivers/net/veth.c`).

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage};

use crate::error::Result;
use crate::interface::Interface;

/// What queues frames in front of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Queueing {
    /// A plain first-in first-out queue, which makes transmission through a
    /// veth lossless.
    #[default]
    Pfifo,
    /// Nothing: frames go straight to the peer's ring, or are lost.
    None,
}

impl Queueing {
    pub(crate) const PFIFO: &str = "pfifo";
    const NONE: &str = "noqueue";
}

impl Interface {
    /// Attaches a queueing discipline at the root, in place of the present one.
    ///
    /// # Errors
    ///
    /// [`Error::Netlink`](crate::Error::Netlink) when the kernel refuses.
    pub fn set_queueing(&self, queueing: Queueing) -> Result<()> {
        let kind = match queueing {
            Queueing::Pfifo => Queueing::PFIFO,
            Queueing::None => Queueing::NONE,
        };
        // The header stores the index as signed; the kernel hands out positive
        // ones only.
        let index = i32::try_from(self.index()).expect("interface indices are positive i32");
        let mut message = TcMessage::with_index(index);
        message.header.parent = TcHandle::ROOT;
        message.attributes.push(TcAttribute::Kind(kind.to_owned()));
        let request = RouteNetlinkMessage::NewQueueDiscipline(message);
        self.request(request, NLM_F_CREATE | NLM_F_REPLACE, || {
            format!("attach queueing discipline {kind}")
        })?;
        Ok(())
    }
}

//! One rtnetlink conversation, synchronous and bounded.
//!
//! A netlink socket belongs to the namespace it was opened in, whichever thread
//! uses it later (`sock_net(sk)` in `net/core/rtnetlink.c`), so a host keeps
//! one and no thread has to enter the namespace to change it. Answers are
//! matched by sequence number; those to a request that timed out are skipped.

use std::io;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload, NlasIterator,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};

/// A netlink socket and the number of its last request.
pub(crate) struct Netlink {
    socket: Socket,
    sequence: u32,
}

/// The kernel's refusal.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub source: io::Error,
    pub explanation: Option<String>,
}

impl Netlink {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(REPLY_LIMIT))?;
        // Both only improve messages; kernels before 4.12 lack them.
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_cap_ack(true);
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// Makes one request and returns what the kernel sent before its
    /// acknowledgement.
    pub fn request(
        &mut self,
        body: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, Refusal> {
        self.sequence = self.sequence.wrapping_add(1);
        let acknowledge = if flags & NLM_F_DUMP == NLM_F_DUMP {
            0
        } else {
            NLM_F_ACK
        };
        let mut message = NetlinkMessage::from(body);
        message.header.flags = NLM_F_REQUEST | acknowledge | flags;
        message.header.sequence_number = self.sequence;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);

        self.socket.send(&bytes, 0)?;
        self.collect_replies()
    }

    fn collect_replies(&self) -> Result<Vec<RouteNetlinkMessage>, Refusal> {
        let mut replies = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full().map_err(timed_out)?;
            let mut rest = datagram.as_slice();
            while !rest.is_empty() {
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                    .map_err(io::Error::other)?;
                let length = usize::try_from(message.header.length).unwrap_or(usize::MAX);
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                match message.payload {
                    NetlinkPayload::InnerMessage(reply) => replies.push(reply),
                    NetlinkPayload::Done(_) => return Ok(replies),
                    NetlinkPayload::Error(answer) if answer.code.is_none() => return Ok(replies),
                    NetlinkPayload::Error(answer) => {
                        return Err(Refusal {
                            source: answer.to_io(),
                            explanation: explanation(&answer.header),
                        });
                    }
                    _ => {}
                }
            }
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(source: io::Error) -> Self {
        Self {
            source,
            explanation: None,
        }
    }
}

/// The text of an extended acknowledgement: the attributes after the 16-byte
/// header of the refused request (`NLMSGERR_ATTR_MSG`, Linux 4.12).
fn explanation(echo: &[u8]) -> Option<String> {
    const NLMSGERR_ATTR_MSG: u16 = 1;

    NlasIterator::new(echo.get(16..)?)
        .flatten()
        .find(|attribute| attribute.kind() == NLMSGERR_ATTR_MSG)
        .map(|attribute| {
            let text = String::from_utf8_lossy(attribute.value());
            text.trim_end_matches('\0').to_owned()
        })
}

fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock {
        io::Error::new(io::ErrorKind::TimedOut, "the kernel did not answer")
    } else {
        error
    }
}

/// How long the kernel may take to answer. Requests queue behind the
/// kernel-wide rtnl lock, which deleting many links can hold for seconds.
const REPLY_LIMIT: Duration = Duration::from_secs(30);

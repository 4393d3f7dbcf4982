//! Requests over netlink, one at a time, and the messages of the answers,
//! unparsed. Every request of ours goes through [`Netlink::request`], whatever the
//! protocol.
//!
//! A dump that the kernel could not read in one go, because what it lists
//! changed meanwhile, is marked (`NLM_F_DUMP_INTR`) and requested again.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{
    DecodeError, Emitable, ErrorBuffer, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer,
    NetlinkHeader,
};
use netlink_sys::protocols::{NETLINK_GENERIC, NETLINK_ROUTE};
use netlink_sys::{Socket, SocketAddr};

/// A socket for requests, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
}

/// Whether an answer is all of one moment.
enum Consistency {
    Whole,
    Interrupted,
}

impl Netlink {
    /// For links, addresses and routes: rtnetlink.
    pub(super) fn route() -> io::Result<Self> {
        Self::open(NETLINK_ROUTE)
    }

    /// For families that have a name: generic netlink.
    pub(super) fn generic() -> io::Result<Self> {
        Self::open(NETLINK_GENERIC)
    }

    fn open(protocol: isize) -> io::Result<Self> {
        Ok(Self {
            socket: Socket::new(protocol)?,
            sequence: 0,
        })
    }

    /// Requests all objects of a kind, and returns what `parse` made of them.
    pub(super) fn dump<T>(
        &mut self,
        message_type: u16,
        header: &[u8],
        parse: impl Fn(&[u8]) -> Result<Option<T>, DecodeError>,
    ) -> io::Result<Vec<T>> {
        self.request(message_type, header, NLM_F_REQUEST | NLM_F_DUMP, parse)
    }

    /// Sends a message of type `message_type` with `body`, and returns what `parse`
    /// made of the objects in the answer.
    pub(super) fn request<T>(
        &mut self,
        message_type: u16,
        body: &[u8],
        flags: u16,
        parse: impl Fn(&[u8]) -> Result<Option<T>, DecodeError>,
    ) -> io::Result<Vec<T>> {
        for _ in 1..DUMPS_AT_MOST {
            self.send(message_type, body, flags)?;
            if let (items, Consistency::Whole) = self.answer(flags, &parse)? {
                return Ok(items);
            }
        }
        // On a machine that never rests, the last answer is as good as any.
        self.send(message_type, body, flags)?;
        Ok(self.answer(flags, &parse)?.0)
    }

    fn send(&mut self, message_type: u16, body: &[u8], flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        let len = header.buffer_len() + body.len();
        header.length = u32::try_from(len).map_err(io::Error::other)?;
        header.message_type = message_type;
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut bytes = vec![0; header.buffer_len()];
        header.emit(&mut bytes);
        bytes.extend_from_slice(body);
        let kernel = SocketAddr::new(0, 0);
        self.socket.send_to(&bytes, &kernel, 0).map(drop)
    }

    fn answer<T>(
        &mut self,
        flags: u16,
        parse: impl Fn(&[u8]) -> Result<Option<T>, DecodeError>,
    ) -> io::Result<(Vec<T>, Consistency)> {
        let is_dump = flags & NLM_F_DUMP == NLM_F_DUMP;
        let mut items = Vec::new();
        let mut consistency = Consistency::Whole;
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            for message in Messages(&datagram) {
                let message = message?;
                if message.sequence_number() != self.sequence {
                    // The rest of an exchange that an error cut short.
                    continue;
                }
                if message.flags() & NLM_F_DUMP_INTR != 0 {
                    consistency = Consistency::Interrupted;
                }
                match message.message_type() {
                    NLMSG_ERROR => {
                        error_of(message.payload())?;
                        return Ok((items, consistency));
                    }
                    NLMSG_DONE => return Ok((items, consistency)),
                    kind if kind >= NLMSG_MIN_TYPE => {
                        items.extend(parse(message.payload()).map_err(malformed)?);
                        if !is_dump {
                            return Ok((items, consistency));
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Opens a socket that receives a notification of every change in `groups` in the
/// calling thread's network namespace, and never blocks.
pub(super) fn subscribe(groups: &[u32]) -> io::Result<Socket> {
    subscribe_to(NETLINK_ROUTE, groups)
}

/// The same for a protocol.
pub(super) fn subscribe_to(protocol: isize, groups: &[u32]) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.set_non_blocking(true)?;
    socket.bind_auto()?;
    for group in groups {
        socket.add_membership(*group)?;
    }
    Ok(socket)
}

/// The netlink messages in a datagram, one behind the other.
pub(super) struct Messages<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = io::Result<NetlinkBuffer<&'a [u8]>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let message = match NetlinkBuffer::new_checked(self.0) {
            Ok(message) => message,
            Err(error) => {
                self.0 = &[];
                return Some(Err(malformed(error)));
            }
        };
        // Messages begin at multiples of four (NLMSG_ALIGN).
        let len = usize::try_from(message.length()).unwrap_or(usize::MAX);
        let next = len.checked_next_multiple_of(4).unwrap_or(usize::MAX);
        self.0 = self.0.get(next..).unwrap_or_default();
        Some(Ok(message))
    }
}

/// An error message with code 0 is an acknowledgement.
fn error_of(payload: &[u8]) -> io::Result<()> {
    match ErrorBuffer::new_checked(payload).map_err(malformed)?.code() {
        Some(code) => Err(io::Error::from_raw_os_error(code.get().saturating_neg())),
        None => Ok(()),
    }
}

pub(super) fn malformed(error: DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Source: `include/uapi/linux/netlink.h`.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// Types below are about the exchange, those from here on about objects.
const NLMSG_MIN_TYPE: u16 = 0x10;

/// A dump is interrupted by a change in the moment that it takes; so many in a
/// row mean that the next will be, too.
const DUMPS_AT_MOST: usize = 8;

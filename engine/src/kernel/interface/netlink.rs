//! Questions to the kernel's rtnetlink, one at a time, and the messages of its
//! answers, undigested.
//!
//! A dump that the kernel could not read in one go, because what it lists
//! changed meanwhile, is marked (`NLM_F_DUMP_INTR`); it is asked for again.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{
    DecodeError, Emitable, ErrorBuffer, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer,
    NetlinkHeader,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// A socket to ask on, in the network namespace of the thread that opened it.
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
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self {
            socket: Socket::new(NETLINK_ROUTE)?,
            sequence: 0,
        })
    }

    /// Asks for all objects of a kind, and gives what `parse` made of them.
    pub(super) fn dump<T>(
        &mut self,
        question: u16,
        header: &[u8],
        parse: impl Fn(&[u8]) -> Result<Option<T>, DecodeError>,
    ) -> io::Result<Vec<T>> {
        self.ask(question, header, NLM_F_REQUEST | NLM_F_DUMP, parse)
    }

    /// Sends a message of type `question` with `body`, and gives what `parse`
    /// made of the objects in the answer.
    pub(super) fn ask<T>(
        &mut self,
        question: u16,
        body: &[u8],
        flags: u16,
        parse: impl Fn(&[u8]) -> Result<Option<T>, DecodeError>,
    ) -> io::Result<Vec<T>> {
        for _ in 1..DUMPS_AT_MOST {
            self.send(question, body, flags)?;
            if let (items, Consistency::Whole) = self.answer(question, flags, &parse)? {
                return Ok(items);
            }
        }
        // On a machine that never rests, the last answer is as good as any.
        self.send(question, body, flags)?;
        Ok(self.answer(question, flags, &parse)?.0)
    }

    fn send(&mut self, question: u16, body: &[u8], flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        let len = header.buffer_len() + body.len();
        header.length = u32::try_from(len).map_err(io::Error::other)?;
        header.message_type = question;
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
        question: u16,
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
                    kind if kind == new_of(question) => {
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

/// Opens a socket which the kernel tells of every change in `groups` in the
/// calling thread's network namespace, and which never blocks.
pub(super) fn subscribe(groups: &[u32]) -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
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

/// The number that `NEW` has where `question` is `GET` or `SET`: the four
/// messages about a kind of object stand together (`RTM_NR_FAMILIES`).
fn new_of(question: u16) -> u16 {
    question & !3
}

/// An error message with code 0 is an acknowledgement.
pub(super) fn error_of(payload: &[u8]) -> io::Result<()> {
    match ErrorBuffer::new_checked(payload).map_err(malformed)?.code() {
        Some(code) => Err(io::Error::from_raw_os_error(code.get().saturating_neg())),
        None => Ok(()),
    }
}

pub(super) fn malformed(error: DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Source: `include/uapi/linux/netlink.h`.
pub(super) const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// A dump is interrupted by a change in the moment that it takes; so many in a
/// row mean that the next will be, too.
const DUMPS_AT_MOST: usize = 8;

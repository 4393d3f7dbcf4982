//! Raw frames in and out of an interface.
//!
//! An AF_PACKET socket sees what the kernel's stack sees: frames that an XDP
//! program redirects or drops never reach it, and what an XDP socket transmits
//! is not seen on the interface it leaves by, only on the other end.

use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_recv_buffer_size_force, set_socket_send_buffer_size_force};
use rustix::net::{
    AddressFamily, MMsgHdr, SendAncillaryBuffer, SendFlags, SocketFlags, SocketType, sendmmsg,
    socket_with,
};

use crate::error::{Error, Result};
use crate::interface::Interface;
use crate::pacer::Pacer;
use crate::sys::packet::{self, Batch};

/// A raw socket bound to one interface.
///
/// It stays with the interface's host whichever thread uses it. Every wait is
/// bounded. Frames are whole Ethernet frames without the checksum (FCS); VLAN
/// tags are in place.
pub struct PacketSocket {
    socket: OwnedFd,
    host: String,
    interface: String,
    batch: Option<Box<Batch>>,
    dropped: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Send,
    Receive,
    ReceiveAll,
}

impl PacketSocket {
    /// Opens a socket that sends, and receives what the interface takes in: on
    /// a veth, which filters nothing, every frame.
    ///
    /// It receives from now on; what is not collected takes up to 16 MiB of
    /// memory, and is dropped and counted beyond.
    ///
    /// # Errors
    ///
    /// [`Error::Interface`] or [`Error::Namespace`], mostly for want of
    /// privileges.
    pub fn open(interface: &Interface) -> Result<Self> {
        Self::create(interface, Purpose::Receive)
    }

    /// As [`PacketSocket::open`], but has the interface take in frames for any
    /// address, where it filters them: physical ones do, and macvlans.
    ///
    /// # Errors
    ///
    /// As [`PacketSocket::open`].
    pub fn open_promiscuous(interface: &Interface) -> Result<Self> {
        Self::create(interface, Purpose::ReceiveAll)
    }

    /// Opens a socket that only sends, and costs the interface's receive path
    /// nothing.
    ///
    /// # Errors
    ///
    /// As [`PacketSocket::open`].
    pub fn sender(interface: &Interface) -> Result<Self> {
        Self::create(interface, Purpose::Send)
    }

    fn create(interface: &Interface, purpose: Purpose) -> Result<Self> {
        let socket = interface
            .host()
            .try_run(|| {
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                // Protocol 0 until it is bound, lest it receive from everywhere.
                socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)
            })?
            .map_err(|error| interface.error("open a packet socket", error.into()))?;
        configure(socket.as_fd(), interface.index(), purpose)
            .map_err(|error| interface.error("bind a packet socket", error))?;
        Ok(Self {
            socket,
            host: interface.host().name().to_owned(),
            interface: interface.name().to_owned(),
            batch: None,
            dropped: 0,
        })
    }

    /// Sends one frame; see [`PacketSocket::send_batch`].
    ///
    /// # Errors
    ///
    /// As [`PacketSocket::send_batch`].
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        self.send_batch(&[frame])
    }

    /// Sends all frames, with one system call for every 64.
    ///
    /// Waits while the interface's queue is full, so nothing is lost on the way
    /// to a link with a queueing discipline.
    ///
    /// # Errors
    ///
    /// [`Error::Interface`] when the kernel refuses a frame, and
    /// [`Error::Timeout`] when the queue takes none for five seconds; the frames
    /// before it are sent then.
    pub fn send_batch(&self, frames: &[impl AsRef<[u8]>]) -> Result<()> {
        for frames in frames.chunks(SEND_BATCH) {
            let slices: Vec<_> = frames
                .iter()
                .map(|frame| [io::IoSlice::new(frame.as_ref())])
                .collect();
            let mut controls: Vec<_> = (0..frames.len())
                .map(|_| SendAncillaryBuffer::default())
                .collect();
            let mut messages: Vec<_> = slices
                .iter()
                .zip(&mut controls)
                .map(|(slice, control)| MMsgHdr::new(slice, control))
                .collect();
            self.send_messages(&mut messages)?;
        }
        Ok(())
    }

    /// Sends the frames at the pace of `pacer` and returns how many.
    ///
    /// # Errors
    ///
    /// As [`PacketSocket::send_batch`].
    pub fn send_paced(
        &self,
        pacer: &mut Pacer,
        frames: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<u64> {
        let mut frames = frames.into_iter();
        let mut sent = 0;
        loop {
            let burst: Vec<_> = frames.by_ref().take(pacer.burst_frames()).collect();
            if burst.is_empty() {
                return Ok(sent);
            }
            pacer.wait(burst.len());
            self.send_batch(&burst)?;
            sent += u64::try_from(burst.len()).expect("a burst is small");
        }
    }

    /// Receives one frame, or `None` when none comes within `limit`.
    ///
    /// # Errors
    ///
    /// [`Error::Interface`], for instance once when the interface is set down.
    pub fn receive(&mut self, limit: Duration) -> Result<Option<Vec<u8>>> {
        let mut received = None;
        self.receive_until(limit, |frame| {
            received = Some(frame.to_vec());
            ControlFlow::Break(())
        })?;
        Ok(received)
    }

    /// Receives `count` frames, or fewer when `limit` passes first.
    ///
    /// # Errors
    ///
    /// As [`PacketSocket::receive`].
    pub fn receive_count(&mut self, count: usize, limit: Duration) -> Result<Vec<Vec<u8>>> {
        let mut received = Vec::new();
        if count == 0 {
            return Ok(received);
        }
        self.receive_until(limit, |frame| {
            received.push(frame.to_vec());
            if received.len() == count {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        Ok(received)
    }

    /// Hands frames to `each` as they come until it breaks or `limit` passes,
    /// and returns how many it was handed.
    ///
    /// # Errors
    ///
    /// As [`PacketSocket::receive`].
    pub fn receive_until(
        &mut self,
        limit: Duration,
        mut each: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<u64> {
        let deadline = Instant::now() + limit;
        let mut handed = 0;
        loop {
            let batch = self.batch.get_or_insert_with(|| Box::new(Batch::new()));
            while let Some(frame) = batch.take() {
                handed += 1;
                if each(frame).is_break() {
                    return Ok(handed);
                }
            }
            match batch.receive(self.socket.as_fd()) {
                Ok(()) if Instant::now() < deadline => {}
                // Frames that came in time are handed out even when it is over.
                Ok(()) => {
                    while let Some(frame) = batch.take() {
                        handed += 1;
                        if each(frame).is_break() {
                            break;
                        }
                    }
                    return Ok(handed);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let is_ready = wait(self.socket.as_fd(), PollFlags::IN, deadline)
                        .map_err(|error| self.error("wait for a frame", error))?;
                    if !is_ready {
                        return Ok(handed);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error("receive", error)),
            }
        }
    }

    /// How many frames this socket has missed for want of memory, since it was
    /// opened. They are lost to the test, not on the link.
    ///
    /// # Errors
    ///
    /// [`Error::Interface`] when the kernel does not say.
    pub fn kernel_drops(&mut self) -> Result<u64> {
        self.dropped += packet::drops(self.socket.as_fd())
            .map_err(|error| self.error("read its socket's drop counter", error))?;
        Ok(self.dropped)
    }

    fn send_messages(&self, mut messages: &mut [MMsgHdr<'_>]) -> Result<()> {
        let mut deadline = Instant::now() + SEND_LIMIT;
        while !messages.is_empty() {
            match sendmmsg(&self.socket, messages, SendFlags::empty()) {
                Ok(sent) => {
                    messages = &mut messages[sent..];
                    deadline = Instant::now() + SEND_LIMIT;
                    continue;
                }
                Err(Errno::INTR) => continue,
                // The interface's queue is full, of which poll knows nothing.
                Err(Errno::NOBUFS) => thread::sleep(QUEUE_FULL_PAUSE),
                Err(Errno::AGAIN) => {
                    wait(self.socket.as_fd(), PollFlags::OUT, deadline)
                        .map_err(|error| self.error("wait for room to send", error))?;
                }
                Err(error) => return Err(self.error("send", error.into())),
            }
            if Instant::now() >= deadline {
                return Err(Error::Timeout {
                    host: self.host.clone(),
                    interface: self.interface.clone(),
                    awaited: "room in its queue",
                    limit: SEND_LIMIT,
                    remedy: "; check that the other end is up and receives",
                });
            }
        }
        Ok(())
    }

    fn error(&self, operation: &str, source: io::Error) -> Error {
        Error::Interface {
            host: self.host.clone(),
            interface: self.interface.clone(),
            operation: operation.to_owned(),
            source,
        }
    }
}

impl AsFd for PacketSocket {
    /// The socket, for polling. Frames read past this type are read without
    /// their VLAN tags.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl std::fmt::Debug for PacketSocket {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("PacketSocket")
            .field("host", &self.host)
            .field("interface", &self.interface)
            .finish_non_exhaustive()
    }
}

fn configure(socket: BorrowedFd<'_>, index: u32, purpose: Purpose) -> io::Result<()> {
    set_socket_send_buffer_size_force(socket, BUFFER_BYTES)?;
    if purpose == Purpose::Send {
        return packet::bind(socket, index, 0);
    }
    set_socket_recv_buffer_size_force(socket, BUFFER_BYTES)?;
    packet::set_flag(socket, libc::PACKET_IGNORE_OUTGOING)?;
    packet::set_flag(socket, libc::PACKET_AUXDATA)?;
    if purpose == Purpose::ReceiveAll {
        packet::be_promiscuous(socket, index)?;
    }
    packet::bind(socket, index, ETH_P_ALL)
}

/// Waits until the socket is ready, and says whether it is.
fn wait(socket: BorrowedFd<'_>, events: PollFlags, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).expect("limits are shorter than centuries");
        match poll(&mut [PollFd::new(&socket, events)], Some(&timeout)) {
            Err(Errno::INTR) => {}
            outcome => return Ok(outcome? > 0),
        }
    }
}

/// Every protocol; it fits 16 bits.
const ETH_P_ALL: u16 = 3;
/// Some 10 000 full frames, as the kernel accounts for them.
const BUFFER_BYTES: usize = 16 << 20;
const SEND_BATCH: usize = 64;
const SEND_LIMIT: Duration = Duration::from_secs(5);
/// About as long as a full queue of 1000 frames needs to become half empty.
const QUEUE_FULL_PAUSE: Duration = Duration::from_micros(500);

//! A channel for messages between two xsks: flow control, so that nothing gets lost, above
//! the library's message layer, which says so if it does.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use wharf::message::{
    Layout, Message, MessageSender, Payload, Reassembler, ReassemblyConfig, Reception, Returning,
    Scatter, SenderConfig, SentMessage, UdpEndpoint, UdpHeaders, UdpPeer,
};
use wharf::{Umem, WakeError, Xsk};

use super::flow::{Flow, GRANT_BYTES};
use crate::exit::Failure;

/// One end of a channel. `P` is what writes the payload of its messages.
pub struct Channel<P> {
    pub xsk: Xsk,
    umem: Umem,
    headers: UdpHeaders,
    layout: Layout,
    sender: MessageSender<UdpHeaders, P>,
    messages: Reassembler<UdpPeer>,
    flow: Flow,
    next_expiry: Instant,
    /// Frames that belong to nobody, or were malformed.
    pub strangers: u64,
}

/// What a channel is made with.
#[derive(Clone, Copy, Debug)]
pub struct ChannelPlan {
    pub frame_bytes: u32,
    /// Frames that may be under way to an end.
    pub window: u32,
    /// Messages that are sent side by side.
    pub side_by_side: usize,
    /// The largest message.
    pub most_bytes: u32,
}

/// Which end of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

impl ChannelPlan {
    /// How messages are cut.
    pub fn layout(&self) -> Result<Layout, Failure> {
        Layout::new(self.frame_bytes, UdpHeaders::BYTES)
            .map_err(|error| Failure::Usage(error.to_string()))
    }

    /// Chunks of a frame, as received.
    pub fn chunks_per_frame(&self) -> u32 {
        self.frame_bytes.div_ceil(RECEIVABLE_BYTES)
    }

    /// Entries of the rings: all frames under way, grants among them.
    pub fn ring_entries(&self) -> u32 {
        let entries = (2 * self.window * self.chunks_per_frame()).next_power_of_two();
        entries.max(64)
    }

    /// Chunks that incomplete messages take at an end, and one that is looked at.
    pub fn held_chunks(&self) -> Result<u32, Failure> {
        let frames = self.layout()?.frames(self.most_bytes);
        let messages = u32::try_from(self.side_by_side + 1).unwrap_or(u32::MAX);
        let chunks = frames.saturating_mul(self.chunks_per_frame());
        Ok(chunks.saturating_mul(messages))
    }

    /// Chunks of one end of a channel: a full fill ring, frames in transmit, and
    /// messages half way.
    pub fn chunks(&self) -> Result<u32, Failure> {
        let in_transmit = self.window * self.chunks_per_frame();
        let needed = self.ring_entries() + in_transmit + SPARE_CHUNKS;
        Ok(needed.saturating_add(self.held_chunks()?))
    }
}

impl<P: Payload> Channel<P> {
    pub fn new(
        xsk: Xsk,
        umem: &Umem,
        side: Side,
        macs: [[u8; 6]; 2],
        plan: &ChannelPlan,
    ) -> Result<Self, Failure> {
        let port = FIRST_PORT + u16::try_from(xsk.queue().get()).unwrap_or(0);
        let end = |mac, host| UdpEndpoint {
            mac,
            socket: SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, host), port),
        };
        let (client, server) = (end(macs[0], 1), end(macs[1], 2));
        let headers = match side {
            Side::Client => UdpHeaders::new(client, server),
            Side::Server => UdpHeaders::new(server, client),
        };
        Ok(Self {
            xsk,
            umem: umem.clone(),
            headers,
            layout: plan.layout()?,
            sender: MessageSender::new(SenderConfig {
                most_in_flight: plan.window,
                side_by_side: plan.side_by_side,
                ..SenderConfig::default()
            }),
            messages: Reassembler::new(ReassemblyConfig {
                most_messages: 2 * plan.side_by_side + 2,
                most_chunks: plan.held_chunks()?,
                // Answers are short, and may be longer than requests.
                most_bytes: plan.most_bytes.max(SHORT_BYTES),
                time_limit: LOSS_TIME,
                ..ReassemblyConfig::default()
            }),
            flow: Flow::new(plan.window),
            next_expiry: Instant::now() + LOSS_TIME,
            strangers: 0,
        })
    }

    /// Takes what has arrived, and returns the messages that are whole with it to
    /// `handle`. Returns whether there was anything.
    pub fn receive(&mut self, mut handle: impl FnMut(Message<UdpPeer>)) -> bool {
        let now = Instant::now();
        let mut batch = self.xsk.receive(BATCH);
        let is_any = !batch.is_empty();
        for frame in batch.by_ref() {
            let payload = frame.get(UdpHeaders::BYTES as usize..).unwrap_or_default();
            if let Some(received) = Flow::read_grant(payload) {
                self.flow.grant(received);
                continue;
            }
            let Some(peer) = UdpPeer::of(&frame) else {
                self.strangers += 1;
                continue;
            };
            self.flow.was_received();
            let reception = self.messages.receive(frame, UdpHeaders::BYTES, peer, now);
            match reception {
                Reception::Complete(message) => handle(message),
                Reception::Held => {}
                _ => self.strangers += 1,
            }
        }
        drop(batch);
        self.xsk.recycle();
        if now >= self.next_expiry {
            self.next_expiry = now + LOSS_TIME;
            self.messages.expire(now);
        }
        for completion in self.xsk.completions() {
            // Grants are sent without a cookie, so it is of a message.
            if self.sender.completed(completion).is_err() {
                self.strangers += 1;
            }
        }
        is_any
    }

    /// A message to be sent, which `number` names to both ends.
    pub fn submit(
        &mut self,
        number: u64,
        len: u32,
        payload: P,
        returning: Returning,
    ) -> Result<(), Failure> {
        let scatter = Scatter::new(number, len, &self.layout, self.headers, payload)
            .map_err(|error| Failure::Run(error.to_string()))?;
        self.submit_scatter(number, scatter, returning)
    }

    /// A message to be sent in the frames that it lies in.
    pub fn submit_message<Q>(
        &mut self,
        number: u64,
        message: Message<Q>,
        returning: Returning,
    ) -> Result<(), Failure> {
        let scatter = Scatter::of_message(number, message, self.headers)
            .map_err(|(_, error)| Failure::Run(error.to_string()))?;
        self.submit_scatter(number, scatter, returning)
    }

    fn submit_scatter(
        &mut self,
        number: u64,
        scatter: Scatter<UdpHeaders, P>,
        returning: Returning,
    ) -> Result<(), Failure> {
        let submitted = self.sender.submit(number, scatter, returning);
        submitted.map_err(|error| Failure::Run(error.to_string()))
    }

    /// Sends what may be sent, and wakes the kernel. Returns whether there was anything.
    pub fn send(&mut self, nothing_came: bool) -> Result<bool, Failure> {
        if let Some(received) = self.flow.to_tell(nothing_came) {
            self.tell(received);
        }
        let room = self.flow.room();
        let sent = self.sender.advance(&self.umem, &mut self.xsk.tx(), room);
        self.flow.was_sent(sent);
        match self.xsk.wake() {
            Ok(()) => Ok(sent > 0),
            Err(WakeError::Down) => Err(Failure::Run(
                "the benchmark's interface was set down".to_owned(),
            )),
            Err(error) => Err(Failure::Run(error.to_string())),
        }
    }

    /// Sends a grant, if there is room; else it is due again.
    fn tell(&mut self, received: u64) {
        let Some(mut frame) = self.umem.allocate() else {
            return;
        };
        let headers = UdpHeaders::BYTES as usize;
        let len = UdpHeaders::BYTES + GRANT_BYTES;
        let Ok(bytes) = frame.grow_back(len) else {
            return;
        };
        wharf::message::Headers::write(&self.headers, &mut bytes[..headers], GRANT_BYTES);
        bytes[headers..].copy_from_slice(&Flow::grant_payload(received));
        if self.xsk.transmit(frame).is_ok() {
            self.flow.was_told(received);
        }
    }

    /// The next message that the kernel is done with.
    pub fn take_ended(&mut self) -> Option<SentMessage> {
        self.sender.take_ended()
    }

    /// Gives up what is incomplete, and returns how many messages got lost on the way
    /// here, and how many frames the kernel dropped on this end.
    pub fn losses(&mut self) -> (u64, u64) {
        self.messages.abandon();
        let counters = self.messages.counters();
        let messages = counters.timed_out + counters.evicted + counters.abandoned;
        let kernel = self.xsk.rx().kernel_statistics().unwrap_or_default();
        let frames = kernel.rx_dropped
            + kernel.rx_ring_full
            + self.xsk.tx_counters().dropped_by_kernel
            + self.strangers;
        (messages, frames)
    }
}

/// UDP ports, one per channel.
const FIRST_PORT: u16 = 4000;
/// Frames at a time.
const BATCH: u32 = 64;
/// Of a chunk of 4096 bytes, behind XDP's headroom.
const RECEIVABLE_BYTES: u32 = 3840;
/// Of an answer.
const SHORT_BYTES: u32 = 64;
/// For grants.
const SPARE_CHUNKS: u32 = 64;
/// A message takes that long only if a part of it got lost.
const LOSS_TIME: Duration = Duration::from_secs(2);

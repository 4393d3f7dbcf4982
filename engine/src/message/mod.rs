//! Messages larger than a frame: a payload is scattered over frames in place, and
//! gathered from them in place, whatever the order in which they arrive.
//!
//! What a block server or an RPC needs above frames, and no more: there is no
//! connection, no retransmission and no congestion control. Loss is reported, never
//! repaired. The layer uses the public API only, so it works with an
//! [`Engine`](crate::Engine)'s outbox and with xsks of an own event loop alike, and what
//! it does an application could do as well.
//!
//! ```text
//!   payload ─► Scatter ─► frames ─► MessageSender ─► TX ring ─► completions
//!                                                                    │
//!                      once per message: take_ended ◄── completed ◄──┘
//!
//!   RX ring ─► frames ─► Reassembler ─► Message: owned frames, payload as segments
//! ```
//!
//! # On the wire
//!
//! A frame has the caller's own headers ([`Headers`]), a fragment header of
//! [`FRAGMENT_HEADER_BYTES`], and its part of the payload. All numbers are big endian.
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 2 | `WM` |
//! | 2 | 1 | version, 1 |
//! | 3 | 1 | 0 |
//! | 4 | 4 | index of the fragment |
//! | 8 | 8 | the message's number |
//! | 16 | 4 | bytes of the message |
//! | 20 | 4 | stride: payload bytes of every fragment but the last |
//!
//! All fragments of a message have the same stride, so that a fragment's place follows
//! from its index, and no two overlap. Bytes behind a fragment's own are padding.
//!
//! # Example
//!
//! A message of 10,000 bytes over a simulated wire:
//!
//! ```
//! use std::time::Instant;
//! use wharf::message::{Layout, Reassembler, ReassemblyConfig, Reception, Scatter};
//! use wharf::{Umem, UmemConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let umem = Umem::new(&UmemConfig::new(64))?;
//! // Ethernet headers with an EtherType of our own, for an MTU of 1500.
//! let headers = *b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x88\xb5";
//! let layout = Layout::new(1514, 14)?;
//! let mut scatter = Scatter::new(7, 10_000, &layout, headers, |offset: u32, bytes: &mut [u8]| {
//!     for (place, byte) in (offset..).zip(bytes) {
//!         *byte = place as u8;
//!     }
//! })?;
//!
//! let mut reassembler = Reassembler::new(ReassemblyConfig::default());
//! let mut message = None;
//! while let Some(frame) = scatter.next_frame(&umem)? {
//!     if let Reception::Complete(whole) = reassembler.receive(frame, 14, "a peer", Instant::now()) {
//!         message = Some(whole);
//!     }
//! }
//! let message = message.expect("no fragment got lost");
//! assert_eq!((message.number(), message.len()), (7, 10_000));
//! assert!(message.segments().flatten().zip(0_u32..).all(|(byte, place)| *byte == place as u8));
//! # Ok(())
//! # }
//! ```

mod counters;
mod detached;
mod error;
mod fragment;
mod headers;
mod incomplete;
mod layout;
mod lost;
mod payload;
mod reassembler;
mod remembered;
mod scatter;
mod sender;
mod sink;
mod strip;
mod submit;
mod whole;

pub use counters::ReassemblyCounters;
pub use detached::DetachedMessage;
pub use error::{MessageError, NoChunk};
pub use fragment::{FRAGMENT_HEADER_BYTES, Malformed};
pub use headers::{Headers, UdpEndpoint, UdpHeaders, UdpPeer};
pub use layout::Layout;
pub use lost::{Lost, LostReason};
pub use payload::{FromBytes, Payload};
pub use reassembler::{Reassembler, ReassemblyConfig, Reception};
pub use scatter::Scatter;
pub use sender::{MessageSender, SendOutcome, SenderConfig, SentMessage};
pub use sink::{FrameSink, Returning, ToInterface};
pub use submit::SubmitError;
pub use whole::Message;

#[cfg(test)]
mod sender_tests;
#[cfg(test)]
mod tests;

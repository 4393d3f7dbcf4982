//! Hosts joined by veth pairs in private network namespaces, undone on drop.
//!
//! Everything is a value: a [`Host`] is an unnamed network namespace held by a
//! file descriptor, a [`Link`] is a veth pair between two hosts, a
//! [`ChildGuard`] is a program running in one. Dropping them undoes them, and
//! because no namespace has a name, the kernel undoes them too when the process
//! is killed. The caller's own namespace and interfaces are never touched, and
//! no program is called: links, addresses, offloads and queueing disciplines
//! are set over netlink and ioctl.
//!
//! ```text
//!   client                 server            Testbed::pair()
//!   eth0 10.77.0.1 ─────── 10.77.0.2 eth0
//!
//!   client                 forwarder                   server
//!   eth0 10.77.0.1 ─────── left   right ─────── 10.77.0.2 eth0
//!                          Testbed::wire(): nothing joins left and right
//! ```
//!
//! # Example
//!
//! Ten frames from one host to another, checked for loss and corruption:
//!
//! ```no_run
//! use std::time::Duration;
//! use wharf_testbed::{FlowChecker, PacketSocket, Testbed};
//!
//! # fn main() -> wharf_testbed::Result<()> {
//! let pair = Testbed::pair()?;
//! let flow = pair.udp_flow(4000, 4433);
//! let mut receiver = PacketSocket::open(pair.server_interface())?;
//!
//! let sender = PacketSocket::sender(pair.client_interface())?;
//! let frames: Vec<_> = flow.sequenced(1, 100, 0..10).collect();
//! sender.send_batch(&frames)?;
//!
//! let mut checker = FlowChecker::new();
//! checker.expect(1, 10);
//! for frame in receiver.receive_count(10, Duration::from_secs(5))? {
//!     checker.observe_frame(&frame);
//! }
//! assert!(checker.report(1).is_perfect(), "{}", checker.report(1));
//! # Ok(())
//! # }
//! ```
//!
//! # What the links are tuned for
//!
//! A veth pair has traps for a program that reads raw frames from it, and links
//! are built without them unless asked: a stack that sends through veth leaves
//! checksums, segmentation and VLAN tags to "hardware" that is not there, so
//! those offloads are off at both ends; and a sender overruns the peer's
//! 256-slot ring unless a queueing discipline is attached, so a `pfifo` is.
//! IPv6 is off, so hosts send nothing by themselves.
//!
//! # Impaired links
//!
//! With the feature `impair`, a link made with `LinkBuilder::impairable` delays, loses and
//! slows down frames as `tc netem` does, on kernels without it too:
//! `link.impair("delay 20ms loss 1%")`. It runs Wharf's engine in the middle, on a thread
//! of this process.
//!
//! # Privileges
//!
//! `CAP_SYS_ADMIN`, `CAP_NET_ADMIN` and `CAP_NET_RAW`: in practice, root.
//! Tests begin with [`require_privileges`], which skips loudly.

mod addressing;
mod channels;
mod child;
mod command;
mod counters;
mod error;
mod extension_headers;
mod flow;
mod frames;
mod host;
mod huge_pages;
mod interface;
#[cfg(feature = "impair")]
mod line;
mod link;
mod mac;
mod moving;
mod namespace_thread;
mod napi;
mod netlink;
mod offloads;
mod pacer;
mod packet_socket;
mod payload;
mod queueing;
mod requirements;
mod ring_sizes;
mod switch;
mod sys;
mod topology;
mod xdp;
mod xsk;

pub use child::ChildGuard;
pub use command::HostCommand;
pub use counters::Counters;
pub use error::{Error, Result};
pub use extension_headers::set_destination_options;
pub use flow::{FlowChecker, FlowReport, Observation};
pub use frames::{FrameError, UdpFlow, UdpFrame};
pub use host::{Entered, Host};
pub use huge_pages::HugePages;
pub use interface::{Interface, Status};
#[cfg(feature = "impair")]
pub use line::LinkEnd;
pub use link::{Link, LinkBuilder};
pub use mac::{MacAddress, ParseMacError};
pub use offloads::Offload;
pub use pacer::Pacer;
pub use packet_socket::PacketSocket;
pub use payload::{Corrupted, SequencedPayload};
pub use queueing::Queueing;
pub use requirements::{
    REQUIRED_VARIABLE, require_nothing_missing, require_privileges, require_program,
};
pub use switch::Switch;
pub use sys::ethtool::{Channels, RingSizes};
pub use topology::{
    CLIENT_IPV4, CLIENT_IPV6, Neighbours, Pair, SERVER_IPV4, SERVER_IPV6, Testbed, TopologyOptions,
    Wire,
};
pub use xdp::{AttachedXdp, XdpMode};
pub use xsk::set_tx_budget;

//! Network interfaces: what they are, what is attached to them, and when they
//! go away.
//!
//! ```text
//! handle             an interface that was looked up
//! error              what can go wrong with one
//! netlink            requests over netlink, and the messages of the answers
//! link, link_socket  what rtnetlink says about links, and requests about them
//! link_type          what frames begin with
//! generic_family     families of generic netlink by name
//! netdev_family      requests about drivers
//! xdp_features       what a driver says of XDP
//! program            the XDP program that is attached, and who holds it
//! queues             how many queues there really are
//! queue_watch        news that queues were set
//! helper_pair        a veth pair by which frames get to an interface's ingress
//! promiscuous        frames for other hosts, for as long as a guard lives
//! link_watch         events: down, up, carrier, MTU, name, removed
//! default_route      whether the machine's way out leads through an interface
//! output_interfaces  the interfaces that default routes name
//! software_source    whether frames come from software that left checksums undone
//! vlan_offloads      whether VLAN tags are taken out of frames
//! address_watch      the namespace's own addresses, as they come and go
//! ```

mod address_watch;
mod default_route;
mod error;
mod generic_family;
mod handle;
mod helper_pair;
mod link;
mod link_socket;
mod link_type;
mod link_watch;
mod netdev_family;
mod netlink;
mod output_interfaces;
mod program;
mod promiscuous;
mod queue_watch;
mod queues;
mod software_source;
#[cfg(test)]
pub(crate) mod testing;
mod vlan_offloads;
mod xdp_features;

pub(crate) use address_watch::AddressWatch;
pub use default_route::DefaultRoute;
pub use error::{InterfaceError, InterfaceErrorKind};
pub use handle::Interface;
pub(crate) use helper_pair::HelperPair;
pub use helper_pair::{HelperPairError, HelperPairStep};
pub use link_type::LinkType;
pub(crate) use link_watch::{LinkChange, LinkEvent, LinkState, LinkWatch};
pub(crate) use netdev_family::NetdevRequests;
pub use program::{AttachedProgram, Holder};
pub use promiscuous::Promiscuous;
pub(crate) use queue_watch::{QueueNews, QueueWatch};
pub use queues::{InterfaceQueues, QueuesSource};
pub use software_source::SoftwareSource;
pub use vlan_offloads::VlanOffloads;
pub use xdp_features::XdpFeatures;

pub(crate) use crate::kernel::terms::ProgramMode;

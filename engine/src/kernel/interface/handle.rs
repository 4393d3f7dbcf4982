//! An interface that was looked up, and what can be asked about it.
//!
//! An [`Interface`] belongs to the network namespace of the thread that looked
//! it up, and asks there, whatever thread calls it. Everything it returns
//! is requested anew each time, through rtnetlink and ethtool; none of it is read from
//! `/sys`, which shows the namespace it was mounted in.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::default_route::{self, DefaultRoute};
use super::error::{CallContext, InterfaceError, InterfaceErrorKind};
use super::link::Link;
use super::link_socket::LinkSocket;
use super::link_type::LinkType;
use super::program::AttachedProgram;
use super::promiscuous::Promiscuous;
use super::queues::{self, InterfaceQueues};
use super::software_source::{self, SoftwareSource};
use super::vlan_offloads::{self, VlanOffloads};
use super::xdp_features::{self, XdpFeatures};
use crate::kernel::sys::namespace::NetworkNamespace;
use crate::kernel::sys::{netdev, socket};
use crate::kernel::terms::{InterfaceIndex, ProgramMode};

/// An interface of the network namespace it was looked up in.
///
/// A clone is another handle to the same interface. The interface may be
/// renamed or deleted at any time; the index stays its identity, and every
/// request about one that is gone fails with [`InterfaceErrorKind::Gone`].
#[derive(Clone, Debug)]
pub struct Interface {
    name: String,
    index: InterfaceIndex,
    /// A socket of the interface's namespace, shared by the clones. Requests are
    /// made one at a time, so that each gets its own answer.
    socket: Arc<Mutex<LinkSocket>>,
    /// The namespace, where it is none that a thread of the caller's is in.
    namespace: Option<Arc<NetworkNamespace>>,
}

impl Interface {
    /// Looks `name` up in the network namespace of the calling thread: the name of an
    /// interface, or an alternative one (`ip link property add … altname`). The interface
    /// found has its [`name`](Self::name).
    ///
    /// # Errors
    ///
    /// [`InterfaceErrorKind::Unknown`] names the interfaces that do exist.
    pub fn by_name(name: &str) -> Result<Self, InterfaceError> {
        let mut socket = LinkSocket::open().context(name, "open a netlink socket for")?;
        let Some(link) = socket.by_name(name).context(name, "look up")? else {
            let existing = socket.names().context(name, "list the interfaces beside")?;
            return Err(InterfaceError::new(
                name,
                InterfaceErrorKind::Unknown { existing },
            ));
        };
        Ok(Self {
            name: link.name,
            index: link.index,
            socket: Arc::new(Mutex::new(socket)),
            namespace: None,
        })
    }

    /// Looks `name` up in another network namespace than the calling thread's. Needs
    /// CAP_SYS_ADMIN.
    pub(super) fn by_name_in(
        namespace: &Arc<NetworkNamespace>,
        name: &str,
    ) -> Result<Self, InterfaceError> {
        let found = namespace.run(|| Self::by_name(name));
        let found = found.context(name, "enter the network namespace of")??;
        Ok(Self {
            namespace: Some(Arc::clone(namespace)),
            ..found
        })
    }

    /// Opens an xsk in the interface's namespace: that of the calling thread, unless
    /// the interface was looked up in another.
    pub(crate) fn open_xsk(&self) -> io::Result<OwnedFd> {
        match &self.namespace {
            None => socket::open(),
            Some(namespace) => namespace.run(socket::open)?,
        }
    }

    /// All interfaces in the network namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// [`InterfaceErrorKind::Call`] when the kernel does not answer.
    pub fn all() -> Result<Vec<Self>, InterfaceError> {
        let names = LinkSocket::open().and_then(|mut socket| socket.names());
        let names = names.in_namespace("list the interfaces of this network namespace")?;
        let known = names.iter().map(|name| Self::by_name(name));
        // One that has gone since is not an interface.
        Ok(known.filter_map(Result::ok).collect())
    }

    /// The name at the time of the lookup.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kernel's number for it.
    #[must_use]
    pub fn index(&self) -> InterfaceIndex {
        self.index
    }

    /// Whether it is administratively up (`ip link set dev NAME up`).
    ///
    /// # Errors
    ///
    /// [`InterfaceErrorKind::Gone`] when the interface is.
    pub fn is_up(&self) -> Result<bool, InterfaceError> {
        self.link().map(|link| link.up)
    }

    /// Whether there is a live link at the other end of the cable. False
    /// wherever the interface is down.
    ///
    /// # Errors
    ///
    /// [`InterfaceErrorKind::Gone`] when the interface is.
    pub fn has_carrier(&self) -> Result<bool, InterfaceError> {
        self.link().map(|link| link.carrier)
    }

    /// The longest network-layer packet in bytes; a frame is 14 bytes longer, or
    /// 18 with a VLAN tag.
    ///
    /// # Errors
    ///
    /// [`InterfaceErrorKind::Gone`] when the interface is.
    pub fn mtu(&self) -> Result<u32, InterfaceError> {
        self.link().map(|link| link.mtu)
    }

    /// What its frames begin with. Wharf drives interfaces whose frames have an
    /// [Ethernet header](LinkType::has_ethernet_header).
    ///
    /// # Errors
    ///
    /// [`InterfaceErrorKind::Gone`] when the interface is.
    pub fn link_type(&self) -> Result<LinkType, InterfaceError> {
        self.link().map(|link| link.link_type)
    }

    /// How many queues it has in use; an xsk can be bound to those below
    /// [`InterfaceQueues::bindable`].
    ///
    /// # Errors
    ///
    /// [`InterfaceErrorKind::Gone`] when the interface is.
    pub fn queue_counts(&self) -> Result<InterfaceQueues, InterfaceError> {
        let link = self.link()?;
        let socket = self.socket();
        queues::of(socket.as_fd(), &link).context(&self.name, "count the queues of")
    }

    /// The name of the driver, for example `veth`; `None` where there is none
    /// to be had.
    #[must_use]
    pub fn driver(&self) -> Option<String> {
        let link = self.link().ok()?;
        netdev::driver(self.socket().as_fd(), &link.name).ok()
    }

    /// The XDP program attached to it, whoever attached it.
    ///
    /// Its name and holder take CAP_SYS_ADMIN; without they are unknown.
    ///
    /// # Errors
    ///
    /// [`InterfaceErrorKind::Gone`] when the interface is.
    pub fn xdp(&self) -> Result<Option<AttachedProgram>, InterfaceError> {
        let xdp = self.xdp_id()?;
        Ok(xdp.map(|(id, mode)| AttachedProgram::look_up(id, mode)))
    }

    /// What its driver says it can do with XDP, as it is set up now; `None` where
    /// the kernel does not know, before Linux 6.3. The calling thread must be in
    /// the interface's network namespace.
    ///
    /// # Errors
    ///
    /// [`InterfaceErrorKind::Call`] when the kernel refuses.
    pub fn xdp_features(&self) -> Result<Option<XdpFeatures>, InterfaceError> {
        xdp_features::of(self.index).context(&self.name, "ask for the XDP features of")
    }

    /// The default route that leads over it, or over a bridge, bond or VLAN on
    /// top of it; `None` where there is none. All routing tables count, of IPv4
    /// and of IPv6.
    ///
    /// # Errors
    ///
    /// [`InterfaceErrorKind::Gone`] when the interface is.
    pub fn default_route(&self) -> Result<Option<DefaultRoute>, InterfaceError> {
        self.link()?;
        default_route::over(&mut self.socket(), self.index)
            .context(&self.name, "look for default routes over")
    }

    /// Why frames that arrive at it may lack a checksum, which their sender left to
    /// hardware; `None` where they come from hardware.
    ///
    /// # Errors
    ///
    /// [`InterfaceErrorKind::Gone`] when the interface is.
    pub fn software_source(&self) -> Result<Option<SoftwareSource>, InterfaceError> {
        self.link()?;
        software_source::of(&mut self.socket(), self.index).context(&self.name, "look under")
    }

    /// Whether VLAN tags are taken out of frames at it.
    ///
    /// # Errors
    ///
    /// [`InterfaceErrorKind::Gone`] when the interface is.
    pub fn vlan_offloads(&self) -> Result<VlanOffloads, InterfaceError> {
        let link = self.link()?;
        vlan_offloads::of(&mut self.socket(), &link).context(&self.name, "ask for the offloads of")
    }

    /// Puts it into promiscuous mode for as long as the guard lives, so that
    /// frames for other hosts are received as well. Needs CAP_NET_RAW. The
    /// calling thread must be in the interface's network namespace.
    ///
    /// # Errors
    ///
    /// [`InterfaceErrorKind::Call`] when the kernel refuses.
    pub fn promiscuous(&self) -> Result<Promiscuous, InterfaceError> {
        Promiscuous::hold(&self.name, self.index)
    }

    /// Its MAC address; `None` where its addresses are of another kind.
    pub(crate) fn address(&self) -> Result<Option<[u8; 6]>, InterfaceError> {
        self.link().map(|link| link.address)
    }

    /// An error if its frames have no Ethernet header.
    pub(crate) fn check_frames(&self) -> Result<(), InterfaceError> {
        let link_type = self.link_type()?;
        if link_type.has_ethernet_header() {
            return Ok(());
        }
        Err(InterfaceError::new(
            &self.name,
            InterfaceErrorKind::NoEthernetHeader { link_type },
        ))
    }

    /// An error if it has no queue.
    pub(crate) fn check_queues(&self) -> Result<(), InterfaceError> {
        if self.queue_counts()?.bindable() > 0 {
            return Ok(());
        }
        let is_tap = self.driver().as_deref() == Some("tun");
        Err(InterfaceError::new(
            &self.name,
            InterfaceErrorKind::NoQueue { is_tap },
        ))
    }

    /// The id and mode of the attached program, without looking it up.
    pub(crate) fn xdp_id(&self) -> Result<Option<(u32, ProgramMode)>, InterfaceError> {
        self.link().map(|link| link.xdp)
    }

    /// Whether `socket` is in the interface's network namespace. `None` before Linux
    /// 5.14, which does not say.
    pub(crate) fn shares_namespace_of(&self, socket: BorrowedFd<'_>) -> Option<bool> {
        let own = socket::network_namespace(self.socket().as_fd()).ok()?;
        let other = socket::network_namespace(socket).ok()?;
        Some(own == other)
    }

    fn link(&self) -> Result<Link, InterfaceError> {
        let link = self.socket().by_index(self.index);
        link.context(&self.name, "query")?.ok_or_else(|| {
            InterfaceError::new(&self.name, InterfaceErrorKind::Gone { index: self.index })
        })
    }

    /// A socket of the interface's namespace, for requests to rtnetlink.
    pub(super) fn socket(&self) -> MutexGuard<'_, LinkSocket> {
        // Every request starts a new exchange, so a poisoned one is no harm.
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{in_private_network, ip};
    use super::*;

    #[test]
    fn unknown_interface_lists_those_that_exist() {
        in_private_network(|| {
            ip("link add one type veth peer name two");

            let error = Interface::by_name("eht0").expect_err("no such interface");

            assert_eq!(
                error.to_string(),
                "interface `eht0` does not exist: this network namespace has lo, two, one"
            );
        });
    }

    #[test]
    fn overlong_name_is_unknown() {
        in_private_network(|| {
            for length in [16, 17, 127, 128, 129, 100_000] {
                let error = Interface::by_name(&"x".repeat(length)).expect_err("too long");

                assert!(matches!(error.kind, InterfaceErrorKind::Unknown { .. }));
            }
        });
    }

    #[test]
    fn alternative_name_leads_to_the_interface_however_long_it_is() {
        in_private_network(|| {
            ip("link add one type veth peer name two");
            for length in [3, 15, 16, 127] {
                let name = "a".repeat(length);
                ip(&format!("link property add dev one altname {name}"));

                let found = Interface::by_name(&name).expect("it was just named so");

                let one = Interface::by_name("one").expect("it exists");
                assert_eq!((found.name(), found.index()), ("one", one.index()));
            }
        });
    }

    #[test]
    fn interface_knows_its_state() {
        in_private_network(|| {
            ip("link add one mtu 3000 type veth peer name two");
            let one = Interface::by_name("one").expect("it was just added");

            assert_eq!((one.name(), one.mtu().unwrap()), ("one", 3000));
            assert_eq!(one.driver().as_deref(), Some("veth"));
            assert!(!one.is_up().unwrap());
            ip("link set dev one up");
            assert!(one.is_up().unwrap() && !one.has_carrier().unwrap());
            ip("link set dev two up");
            assert!(one.has_carrier().unwrap());
            assert!(one.xdp().unwrap().is_none());
        });
    }

    #[test]
    fn interface_keeps_to_its_namespace_on_other_threads() {
        in_private_network(|| {
            ip("link add one mtu 3000 type veth peer name two");
            let one = Interface::by_name("one").expect("it was just added");

            let mtu = in_private_network(move || one.mtu().expect("asked from elsewhere"));

            assert_eq!(mtu, Some(3000));
        });
    }

    #[test]
    fn renamed_interface_is_found_by_its_index() {
        in_private_network(|| {
            ip("link add one type veth peer name two");
            let one = Interface::by_name("one").expect("it was just added");

            ip("link set dev one name uno");

            assert_eq!(one.driver().as_deref(), Some("veth"));
            assert_eq!(one.queue_counts().expect("it exists").rx, 1);
        });
    }

    #[test]
    fn deleted_interface_is_gone() {
        in_private_network(|| {
            ip("link add one type veth peer name two");
            let one = Interface::by_name("one").expect("it was just added");

            ip("link delete one");

            let error = one.mtu().expect_err("it was deleted");
            assert_eq!(
                error.to_string(),
                "interface `one` was deleted or moved to another network namespace: \
                 look it up again"
            );
        });
    }
}

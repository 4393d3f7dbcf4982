//! A veth pair by which frames get to an interface's ingress, as if they had just
//! arrived there.
//!
//! ```text
//!   a namespace that only we hold       the interface's namespace
//!  ┌──────────────┐      ┌───────────────────────┐         ┌───────────┐
//!  │ sending end  │ ───► │ receiving end         │ ──────► │ interface │ ──► stack
//!  │              │      │ clsact: bpf, mirred   │ ingress │           │
//!  └──────────────┘      └───────────────────────┘         └───────────┘
//! ```
//!
//! Both ends go when their namespaces do, or one of them: the process that ends,
//! however it ends, closes the last descriptor of the sending end's namespace.
//!
//! The redirection is the action `mirred` and not `bpf_redirect`, for three reasons.
//! It marks the frame as redirected, and generic XDP leaves those alone
//! (`netif_receive_generic_xdp`, `net/core/dev.c`), so a program on the interface does
//! not see it again. It calls the stack at once, where `bpf_redirect` puts the frame
//! into the backlog a second time, which may be full and drops in silence
//! (`tcf_mirred_forward`, `net/sched/act_mirred.c`). And it holds the device, not its
//! number: when the interface is gone, frames go nowhere.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use netlink_packet_core::{
    DefaultNla, Emitable, NLA_F_NESTED, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute,
    LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::tc::{
    TcAction, TcActionAttribute, TcActionMirror, TcActionMirrorOption, TcActionOption,
    TcActionType, TcAttribute, TcFilterBpf, TcFilterBpfOption, TcHandle, TcMessage, TcMirror,
    TcMirrorActionType, TcOption,
};

use super::handle::Interface;
use super::link_socket::LinkSocket;
use crate::kernel::limits::{KernelCall, explain_refusal};
use crate::kernel::sys::namespace::NetworkNamespace;
use crate::kernel::terms::InterfaceIndex;

/// A veth pair whose frames get to the ingress of an interface. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct HelperPair {
    sending: Interface,
    receiving: String,
}

impl HelperPair {
    /// Makes a pair with `queues` queues for `interface`, whose frames run through
    /// the classifier `program` on their way. The interface's name at this time is
    /// in the receiving end's alias.
    pub(crate) fn make(
        interface: &Interface,
        queues: u32,
        program: BorrowedFd<'_>,
    ) -> Result<Self, HelperPairError> {
        let fail = |step| {
            move |source| HelperPairError {
                interface: interface.name().to_owned(),
                step,
                source,
            }
        };
        let namespace = NetworkNamespace::new().map_err(fail(HelperPairStep::Namespace))?;
        let namespace = Arc::new(namespace);
        let target = NetworkNamespace::of(interface.socket().as_fd());
        let target = target.map_err(fail(HelperPairStep::Pair))?;
        let made = namespace.run(|| make_links(queues, target.as_fd()));
        let receiving = made.and_then(|made| made);
        let receiving = receiving.map_err(fail(HelperPairStep::Pair))?;
        let sending = Interface::by_name_in(&namespace, SENDING);
        let sending =
            sending.map_err(|error| fail(HelperPairStep::Pair)(io::Error::other(error)))?;
        // From here on the end of `pair` undoes it all.
        let mut pair = Self {
            sending,
            receiving: String::new(),
        };
        let mut socket = interface.socket();
        let link = socket
            .by_index(receiving)
            .map_err(fail(HelperPairStep::Pair))?;
        let link =
            link.ok_or_else(|| fail(HelperPairStep::Pair)(io::ErrorKind::NotFound.into()))?;
        pair.receiving = link.name;
        let alias = format!(
            "process {} passes frames to {}",
            std::process::id(),
            interface.name()
        );
        let qdisc = RouteNetlinkMessage::NewQueueDiscipline(clsact(receiving));
        add(&mut socket, qdisc).map_err(fail(HelperPairStep::Qdisc))?;
        let filter =
            RouteNetlinkMessage::NewTrafficFilter(redirect(receiving, interface.index(), program));
        add(&mut socket, filter).map_err(fail(HelperPairStep::Redirect))?;
        set_up(&mut socket, receiving, Some(alias)).map_err(fail(HelperPairStep::Pair))?;
        drop(socket);
        let index = pair.sending.index();
        set_up(&mut pair.sending.socket(), index, None).map_err(fail(HelperPairStep::Pair))?;
        Ok(pair)
    }

    /// The end that xsks send on, in a namespace of its own.
    pub(crate) fn sending(&self) -> &Interface {
        &self.sending
    }

    /// The name of the end that is in the interface's namespace.
    pub(crate) fn receiving(&self) -> &str {
        &self.receiving
    }
}

impl Drop for HelperPair {
    fn drop(&mut self) {
        let mut request = LinkMessage::default();
        request.header.index = self.sending.index().get();
        let request = RouteNetlinkMessage::DelLink(request);
        // It fails when the pair has gone with the interface's namespace, or was
        // deleted. What else may be is left to the end of the namespace.
        let _ = self
            .sending
            .socket()
            .request(request, NLM_F_REQUEST | NLM_F_ACK);
    }
}

/// Makes the pair, its sending end in the calling thread's namespace. Returns the number
/// of the other in `target`.
fn make_links(queues: u32, target: BorrowedFd<'_>) -> io::Result<InterfaceIndex> {
    let common = |name: &str| {
        let mut link = LinkMessage::default();
        link.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::Mtu(MTU),
            LinkAttribute::NumTxQueues(queues),
            LinkAttribute::NumRxQueues(queues),
        ];
        link
    };
    let mut peer = common(RECEIVING);
    peer.attributes
        .push(LinkAttribute::NetNsFd(target.as_raw_fd()));
    let mut link = common(SENDING);
    // A UMEM knows the interfaces of its sockets by number, and numbers of other
    // namespaces must be none that occur in this one.
    link.header.index = NEXT_INDEX.fetch_add(1, Ordering::Relaxed);
    link.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
    ]));
    let mut socket = LinkSocket::open()?;
    add(&mut socket, RouteNetlinkMessage::NewLink(link))?;
    let link = socket.by_name(SENDING)?;
    let receiving = link.and_then(|link| link.lower_elsewhere.or(link.lower));
    receiving.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Sets a link up so that the stack sends nothing on it of its own accord: no
/// addresses of IPv6, no ARP.
fn set_up(socket: &mut LinkSocket, index: InterfaceIndex, alias: Option<String>) -> io::Result<()> {
    let mut quiet = LinkMessage::default();
    quiet.header.index = index.get();
    let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
    let specific = AfSpecUnspec::Inet6(vec![mode]);
    quiet
        .attributes
        .push(LinkAttribute::AfSpecUnspec(vec![specific]));
    match set(socket, quiet) {
        // There is no IPv6.
        Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {}
        done => done?,
    }
    let mut up = LinkMessage::default();
    up.header.index = index.get();
    up.header.flags = LinkFlags::Up | LinkFlags::Noarp;
    up.header.change_mask = up.header.flags;
    up.attributes.extend(alias.map(LinkAttribute::IfAlias));
    set(socket, up)
}

fn set(socket: &mut LinkSocket, link: LinkMessage) -> io::Result<()> {
    let request = RouteNetlinkMessage::SetLink(link);
    socket.request(request, NLM_F_REQUEST | NLM_F_ACK).map(drop)
}

fn add(socket: &mut LinkSocket, request: RouteNetlinkMessage) -> io::Result<()> {
    let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    socket.request(request, flags).map(drop)
}

/// The queueing discipline whose ingress filters are attached to.
fn clsact(index: InterfaceIndex) -> TcMessage {
    let mut message = TcMessage::with_index(index.get().cast_signed());
    message.header.handle = TcHandle {
        major: TcHandle::CLSACT.major,
        minor: 0,
    };
    message.header.parent = TcHandle::CLSACT;
    message.attributes = vec![TcAttribute::Kind("clsact".to_owned())];
    message
}

/// A filter on the ingress of `from` that runs `program` on every frame, and redirects
/// it to the ingress of `to`.
fn redirect(from: InterfaceIndex, to: InterfaceIndex, program: BorrowedFd<'_>) -> TcMessage {
    let mut mirror = TcMirror::default();
    mirror.generic.action = TcActionType::Stolen;
    mirror.eaction = TcMirrorActionType::IngressRedir;
    mirror.ifindex = to.get();
    let mut action = TcAction::default();
    action.attributes = vec![
        TcActionAttribute::Kind(TcActionMirror::KIND.to_owned()),
        TcActionAttribute::Options(vec![TcActionOption::Mirror(TcActionMirrorOption::Parms(
            mirror,
        ))]),
    ];
    let actions = [action];
    let mut bytes = vec![0; actions.as_slice().buffer_len()];
    actions.as_slice().emit(&mut bytes);
    let mut message = TcMessage::with_index(from.get().cast_signed());
    message.header.parent = TcHandle {
        minor: TcHandle::MIN_INGRESS,
        ..TcHandle::CLSACT
    };
    // The priority, and above it all protocols.
    message.header.info = 1 << 16 | u32::from(ETH_P_ALL.to_be());
    message.attributes = vec![
        TcAttribute::Kind(TcFilterBpf::KIND.to_owned()),
        TcAttribute::Options(vec![
            TcOption::Bpf(TcFilterBpfOption::ProgFd(
                program.as_raw_fd().cast_unsigned(),
            )),
            TcOption::Bpf(TcFilterBpfOption::ProgName("wharf_pass".to_owned())),
            TcOption::Other(DefaultNla::new(TCA_BPF_ACT | NLA_F_NESTED, bytes)),
        ]),
    ];
    message
}

/// The name of the sending end, in a namespace where no other is.
const SENDING: &str = "wharf";

/// The kernel puts the lowest number that is free in the namespace for `%d`.
const RECEIVING: &str = "wharf%d";

/// The number of the next sending end. The kernel counts from 1.
static NEXT_INDEX: AtomicU32 = AtomicU32::new(1 << 30);

/// The most a veth takes.
const MTU: u32 = 65_535;

/// Source: `include/uapi/linux/pkt_cls.h`.
const TCA_BPF_ACT: u16 = 1;

/// Source: `include/uapi/linux/if_ether.h`.
const ETH_P_ALL: u16 = 3;

/// Why there is no way to an interface's ingress. Its message is one line.
#[derive(Debug)]
pub struct HelperPairError {
    interface: String,
    step: HelperPairStep,
    source: io::Error,
}

/// What could not be had for a way to an interface's ingress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HelperPairStep {
    /// A network namespace for the sending end.
    Namespace,
    /// The veth pair itself.
    Pair,
    /// The queueing discipline `clsact` on the receiving end.
    Qdisc,
    /// The filter that redirects.
    Redirect,
}

impl HelperPairError {
    /// What could not be had.
    #[must_use]
    pub fn step(&self) -> HelperPairStep {
        self.step
    }
}

impl HelperPairStep {
    fn what(self) -> &'static str {
        match self {
            Self::Namespace => "make a network namespace",
            Self::Pair => "make a veth pair",
            Self::Qdisc => "add the queueing discipline clsact to a veth",
            Self::Redirect => "redirect frames from a veth",
        }
    }

    /// What it takes.
    fn remedy(self) -> &'static str {
        match self {
            Self::Namespace => "passing takes CAP_SYS_ADMIN and a kernel with CONFIG_NET_NS",
            Self::Pair => "passing takes CAP_NET_ADMIN and a kernel with CONFIG_VETH",
            Self::Qdisc => "passing takes a kernel with CONFIG_NET_SCH_INGRESS",
            Self::Redirect => {
                "passing takes a kernel with CONFIG_NET_CLS_BPF and CONFIG_NET_ACT_MIRRED"
            }
        }
    }
}

impl fmt::Display for HelperPairError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "frames cannot be passed to the kernel's stack on `{}`: could not {}: {}; {}",
            self.interface,
            self.step.what(),
            explain_refusal(&self.source, KernelCall::Interface),
            self.step.remedy()
        )
    }
}

impl std::error::Error for HelperPairError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{in_private_network, ip};
    use super::*;

    #[test]
    fn error_names_what_the_kernel_lacks() {
        let error = HelperPairError {
            interface: "eth0".to_owned(),
            step: HelperPairStep::Redirect,
            source: io::Error::from_raw_os_error(libc::ENOENT),
        };

        assert_eq!(
            error.to_string(),
            "frames cannot be passed to the kernel's stack on `eth0`: could not redirect frames from a veth: No such \
             file or directory (os error 2); passing takes a kernel with CONFIG_NET_CLS_BPF and CONFIG_NET_ACT_MIRRED"
        );
    }

    #[test]
    fn pair_that_cannot_be_finished_is_undone() {
        in_private_network(|| {
            ip("link add one type veth peer name two");
            let one = Interface::by_name("one").expect("it was just added");
            let before = LinkSocket::open().and_then(|mut socket| socket.names());
            let no_program = std::fs::File::open("/dev/null").expect("it is there");

            let error = HelperPair::make(&one, 1, no_program.as_fd());

            let error = error.expect_err("that is no program");
            assert_eq!(error.step(), HelperPairStep::Redirect);
            let after = LinkSocket::open().and_then(|mut socket| socket.names());
            assert_eq!(after.expect("an answer"), before.expect("an answer"));
        });
    }
}

//! An XDP program that was there before: every other frame stack's, in effect.

use std::os::fd::{AsFd, AsRawFd};

use aya::programs::{Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage, LinkXdp};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use wharf_testbed::Interface;

/// Where and how the program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the driver, over netlink, as `ip link set dev NAME xdpdrv` does.
    Native,
    /// Behind the driver, over netlink.
    Generic,
    /// In the driver, by a bpf_link of this process.
    Link,
}

impl Place {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Native, Self::Generic, Self::Link];
}

/// A program on an interface. One attached by a link goes with this value, the
/// others with their interface.
#[derive(Debug)]
pub struct Occupant {
    id: u32,
    _ebpf: Ebpf,
}

impl Occupant {
    /// Attaches a program that passes every frame on.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    #[must_use]
    pub fn attach(interface: &Interface, place: Place) -> Self {
        Self::attach_named(interface, place, wharf_ebpf::PROGRAM_ONE_BUFFER)
    }

    /// As [`attach`](Self::attach), a program that the kernel knows by `name`.
    ///
    /// # Panics
    ///
    /// When the kernel refuses, or the name is too long.
    #[must_use]
    pub fn attach_named(interface: &Interface, place: Place, name: &str) -> Self {
        let object = rename(wharf_ebpf::OBJECT, wharf_ebpf::PROGRAM_ONE_BUFFER, name);
        interface
            .host()
            .run(|| Self::attach_here(interface, place, &object, name))
    }

    fn attach_here(interface: &Interface, place: Place, object: &[u8], name: &str) -> Self {
        let mut ebpf = EbpfLoader::new().load(object).expect("the object is good");
        let program = ebpf.program_mut(name);
        let program: &mut Xdp = program
            .expect("it is in the object")
            .try_into()
            .expect("it is XDP");
        program.load().expect("the verifier accepts it");
        let id = program.info().expect("it is loaded").id();
        // XDP_FLAGS_SKB_MODE and XDP_FLAGS_DRV_MODE of linux/if_link.h.
        match place {
            Place::Generic => attach_over_netlink(interface, program, 2),
            Place::Native => attach_over_netlink(interface, program, 4),
            Place::Link => {
                let link = program.attach(interface.name(), XdpMode::Driver);
                link.expect("the interface is free");
            }
        }
        Self { id, _ebpf: ebpf }
    }

    /// The kernel's number for the program.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }
}

/// The object with one of its symbols renamed: string tables of ELF and BTF end
/// their strings with a zero, so a shorter name fits in the place of a longer.
fn rename(object: &[u8], symbol: &str, name: &str) -> Vec<u8> {
    assert!(name.len() <= symbol.len(), "`{name}` is too long");
    let old = [symbol.as_bytes(), &[0]].concat();
    let mut new = name.as_bytes().to_vec();
    new.resize(old.len(), 0);
    let mut object = object.to_vec();
    let mut place = 0;
    while let Some(bytes) = object.get_mut(place..place + old.len()) {
        if *bytes == *old {
            bytes.copy_from_slice(&new);
        }
        place += 1;
    }
    object
}

/// In the calling thread's network namespace.
fn attach_over_netlink(interface: &Interface, program: &Xdp, flags: u32) {
    let mut change = LinkMessage::default();
    change.header.index = interface.index();
    let fd = program.fd().expect("it is loaded").as_fd().as_raw_fd();
    change.attributes.push(LinkAttribute::Xdp(vec![
        LinkXdp::Fd(fd),
        LinkXdp::Flags(flags),
    ]));
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::SetLink(change));
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);

    let mut socket = Socket::new(NETLINK_ROUTE).expect("a netlink socket");
    socket.bind_auto().expect("a netlink address");
    socket
        .connect(&SocketAddr::new(0, 0))
        .expect("the kernel listens");
    socket.send(&bytes, 0).expect("the kernel takes requests");
    let (answer, _) = socket.recv_from_full().expect("the kernel acknowledges");
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).expect("netlink");
    let NetlinkPayload::Error(outcome) = answer.payload else {
        panic!("no acknowledgement: {answer:?}");
    };
    assert_eq!(
        outcome.code, None,
        "the program was not attached: {outcome:?}"
    );
}

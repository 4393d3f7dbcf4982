//! Whether the frames that arrive at an interface come from software that left
//! their checksums to hardware, which then is nowhere.
//!
//! Judged by what is under the interface: what comes off a wire has its checksums.
//! What no hardware is known to be under may lack them, because looking for one
//! costs little, and a frame without it is lost. A paravirtual NIC is such: its frames
//! may come from another machine on the same host, half done (`VIRTIO_NET_HDR_F_NEEDS_CSUM`
//! and its likes elsewhere).

use std::fmt;
use std::io;

use super::link::Link;
use super::link_socket::LinkSocket;
use crate::kernel::sys::netdev;
use crate::kernel::terms::{InterfaceIndex, ProgramMode};

/// Why frames that arrive at an interface may lack a checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SoftwareSource {
    /// The interface, or one under it, has no hardware.
    Virtual {
        /// Which of them.
        interface: String,
        /// What it is, such as `veth` or `virtio`.
        kind: String,
    },
    /// The XDP program runs in generic mode, where frames come from the stack, which
    /// may have them from this machine.
    GenericMode,
}

impl fmt::Display for SoftwareSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Virtual { interface, kind } => write!(f, "`{interface}` is virtual ({kind})"),
            Self::GenericMode => f.write_str("generic XDP has frames from this machine's stack"),
        }
    }
}

/// What may send to the interface `index` without checksums; `None` if only hardware
/// does.
pub(super) fn of(
    socket: &mut LinkSocket,
    index: InterfaceIndex,
) -> io::Result<Option<SoftwareSource>> {
    let Some(link) = socket.by_index(index)? else {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    };
    let links = match stack(&link.kind) {
        Stack::Nothing => Vec::new(),
        Stack::Lower | Stack::Ports => socket.links()?,
    };
    let found = under(&links, &link).find_map(|found| judge(socket, &found));
    Ok(found.or_else(|| {
        let is_generic = matches!(link.xdp, Some((_, ProgramMode::Generic)));
        is_generic.then_some(SoftwareSource::GenericMode)
    }))
}

/// What hands frames to a link.
enum Stack {
    /// Nothing: it is what it is.
    Nothing,
    /// The one that it stands on.
    Lower,
    /// Those that are its ports.
    Ports,
}

/// Kinds that hand on what others receive. Others that stand on something get frames
/// from their neighbours too, as macvlan does, or unpack them.
fn stack(kind: &str) -> Stack {
    match kind {
        "vlan" | "dsa" => Stack::Lower,
        "bridge" | "bond" | "team" => Stack::Ports,
        _ => Stack::Nothing,
    }
}

/// What is found at the end of a way down.
enum Found {
    /// A link that hands on no other's frames.
    Ground(Link),
    /// A link that should, and under which nothing is seen.
    Nothing { on: Link },
}

/// All ends of the ways down from `top`. Each link is looked at once.
fn under(links: &[Link], top: &Link) -> impl Iterator<Item = Found> {
    let mut ways = vec![top.clone()];
    let mut found = Vec::new();
    let mut looked_at = 0;
    while let Some(link) = ways.get(looked_at).cloned() {
        looked_at += 1;
        let is_under = |other: &&Link| match stack(&link.kind) {
            Stack::Nothing => false,
            Stack::Lower => link.lower == Some(other.index),
            Stack::Ports => other.master == Some(link.index),
        };
        let mut lower = links.iter().filter(is_under).peekable();
        match (stack(&link.kind), lower.peek()) {
            (Stack::Nothing, _) => found.push(Found::Ground(link)),
            (_, None) => found.push(Found::Nothing { on: link }),
            (_, Some(_)) => {
                for other in lower {
                    if !ways.iter().any(|known| known.index == other.index) {
                        ways.push(other.clone());
                    }
                }
            }
        }
    }
    found.into_iter()
}

fn judge(socket: &LinkSocket, found: &Found) -> Option<SoftwareSource> {
    let (link, kind) = match found {
        Found::Ground(link) if !link.kind.is_empty() => (link, link.kind.clone()),
        Found::Ground(link) => (link, without_hardware(socket, link)?),
        Found::Nothing { on } => {
            let what = match stack(&on.kind) {
                Stack::Ports => "without ports",
                _ => "on an interface elsewhere",
            };
            (on, format!("{} {what}", on.kind))
        }
    };
    Some(SoftwareSource::Virtual {
        interface: link.name.clone(),
        kind,
    })
}

/// What a link is that nothing made, unless it is hardware.
fn without_hardware(socket: &LinkSocket, link: &Link) -> Option<String> {
    use std::os::fd::AsFd;
    let device = netdev::device(socket.as_fd(), &link.name).unwrap_or_default();
    if PARAVIRTUAL_DRIVERS.contains(&device.driver.as_str()) {
        return Some(device.driver);
    }
    // Before Linux 5.14 the kernel does not name the bus, but most drivers say where
    // on it they are.
    let is_hardware = match &link.bus {
        Some(bus) => HARDWARE_BUSES.contains(&bus.as_str()),
        None => is_pci_address(&device.bus_info) || device.bus_info.starts_with("usb-"),
    };
    if is_hardware {
        return None;
    }
    let kind = link.bus.clone().unwrap_or(device.driver);
    Some(if kind.is_empty() {
        "without a device".to_owned()
    } else {
        kind
    })
}

/// Such as `0000:03:00.0`.
fn is_pci_address(bus_info: &str) -> bool {
    let parts: Vec<_> = bus_info.split([':', '.']).collect();
    let is_number = |part: &&str| u32::from_str_radix(part, 16).is_ok();
    parts.len() == 4 && parts.iter().all(is_number)
}

/// Buses that NICs are on which send to a wire, or as if to one. Not `virtio`, `xen`,
/// `vmbus`, `vio` and `ccwgroup`, behind which other machines of a host are, nor `netdevsim`.
const HARDWARE_BUSES: [&str; 8] = [
    "pci",
    "platform",
    "usb",
    "auxiliary",
    "fsl-mc",
    "sdio",
    "pcmcia",
    "mdio_bus",
];

/// NICs of virtual machines, on whatever bus: their frames may come half done.
const PARAVIRTUAL_DRIVERS: [&str; 5] = ["virtio_net", "vmxnet3", "hv_netvsc", "vif", "ibmveth"];

#[cfg(test)]
mod tests {
    use super::super::handle::Interface;
    use super::super::testing::{has_kind, in_private_network, ip};
    use super::*;

    fn source(name: &str) -> Option<String> {
        let interface = Interface::by_name(name).expect("it exists");
        let source = interface.software_source().expect("the kernel answers");
        source.map(|source| source.to_string())
    }

    fn is_virtual(name: &str, kind: &str) -> Option<String> {
        Some(format!("`{name}` is virtual ({kind})"))
    }

    #[test]
    fn virtual_interfaces_are_named() {
        in_private_network(|| {
            ip("link add one type veth peer name two");
            ip("tuntap add dev tap mode tap");
            ip("link add vx type vxlan id 4 dstport 4789 dev one");

            assert_eq!(source("one"), is_virtual("one", "veth"));
            assert_eq!(source("tap"), is_virtual("tap", "tun"));
            assert_eq!(source("vx"), is_virtual("vx", "vxlan"));
            if has_kind("dummy") {
                ip("link add dummy type dummy");
                assert_eq!(source("dummy"), is_virtual("dummy", "dummy"));
            }
            assert_eq!(source("lo"), is_virtual("lo", "without a device"));
        });
    }

    #[test]
    fn what_stands_on_virtual_interfaces_names_them() {
        in_private_network(|| {
            ip("link add one type veth peer name two");
            ip("link add bridge type bridge");
            assert_eq!(
                source("bridge"),
                is_virtual("bridge", "bridge without ports")
            );
            ip("link set dev one master bridge");
            assert_eq!(source("bridge"), is_virtual("one", "veth"));
            ip("link add macvlan link two type macvlan mode bridge");
            assert_eq!(source("macvlan"), is_virtual("macvlan", "macvlan"));
            for (kind, options) in [
                ("vlan", "link two name upper type vlan id 5"),
                ("ipvlan", "link two name upper type ipvlan"),
                ("bond", "upper type bond"),
                ("team", "upper type team"),
            ] {
                if !has_kind(kind) {
                    println!("this kernel has no {kind}");
                    continue;
                }
                ip(&format!("link add {options}"));
                let expected = match kind {
                    "vlan" => is_virtual("two", "veth"),
                    "ipvlan" => is_virtual("upper", "ipvlan"),
                    other => is_virtual("upper", &format!("{other} without ports")),
                };
                assert_eq!(source("upper"), expected);
                ip("link delete upper");
            }
        });
    }

    fn link(index: u32, kind: &str) -> Link {
        Link {
            link_type: crate::kernel::interface::LinkType::ETHERNET,
            index: InterfaceIndex::new(index),
            name: format!("if{index}"),
            up: true,
            carrier: true,
            mtu: 1500,
            rx_queues_allocated: 1,
            tx_queues_allocated: 1,
            xdp: None,
            master: None,
            lower: None,
            lower_elsewhere: None,
            address: None,
            kind: kind.to_owned(),
            bus: None,
        }
    }

    fn on_pci(index: u32, master: Option<u32>) -> Link {
        Link {
            bus: Some("pci".to_owned()),
            master: master.map(InterfaceIndex::new),
            ..link(index, "")
        }
    }

    /// What is under `links[0]`.
    fn judged(links: &[Link]) -> Option<String> {
        let socket = LinkSocket::open().expect("a socket");
        let found = under(links, &links[0]).find_map(|found| judge(&socket, &found));
        found.map(|source| source.to_string())
    }

    #[test]
    fn hardware_under_it_makes_frames_whole() {
        let on = |lower: u32, link: Link| Link {
            lower: Some(InterfaceIndex::new(lower)),
            ..link
        };
        for kind in ["bond", "team", "bridge"] {
            let ports = [link(1, kind), on_pci(2, Some(1)), on_pci(3, Some(1))];
            assert_eq!(judged(&ports), None, "{kind}");
        }
        assert_eq!(judged(&[on_pci(1, None)]), None);
        let tagged = [on(2, link(1, "vlan")), link(2, "bond"), on_pci(3, Some(2))];
        assert_eq!(judged(&tagged), None);
        // The neighbours of a macvlan are on this machine.
        let macvlan = [on(2, link(1, "macvlan")), on_pci(2, None)];
        assert_eq!(judged(&macvlan), is_virtual("if1", "macvlan"));
    }

    #[test]
    fn one_virtual_port_is_enough() {
        let mut veth = link(3, "veth");
        veth.master = Some(InterfaceIndex::new(1));
        let ports = [link(1, "bridge"), on_pci(2, Some(1)), veth];
        assert_eq!(judged(&ports), is_virtual("if3", "veth"));
        for bus in ["virtio", "xen", "vmbus", "vio", "netdevsim"] {
            let mut nic = on_pci(1, None);
            nic.bus = Some(bus.to_owned());
            assert_eq!(judged(&[nic]), is_virtual("if1", bus));
        }
        let elsewhere = judged(&[link(1, "vlan")]);
        assert_eq!(
            elsewhere,
            is_virtual("if1", "vlan on an interface elsewhere")
        );
    }

    #[test]
    fn links_that_stand_on_each_other_end() {
        let port_of = |index, master, kind| Link {
            master: Some(InterfaceIndex::new(master)),
            ..link(index, kind)
        };
        let circle = [port_of(1, 2, "bridge"), port_of(2, 1, "bridge")];
        assert_eq!(judged(&circle), None);
    }

    #[test]
    fn addresses_of_pci_devices_are_known() {
        for (bus_info, is_address) in [
            ("0000:03:00.0", true),
            ("10000:e1:00.1", true),
            ("N/A", false),
            ("", false),
            ("tap", false),
            ("vif-0", false),
        ] {
            assert_eq!(is_pci_address(bus_info), is_address, "{bus_info}");
        }
    }
}

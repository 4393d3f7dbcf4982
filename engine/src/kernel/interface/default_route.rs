//! Whether the machine's way out leads through an interface: over it as it is,
//! or over a bridge, a bond or a VLAN on top of it.
//!
//! Every routing table counts, whatever rules choose among them (`ip rule`), and
//! so does each next hop of a multipath route: taking the frames of an
//! interface that may be the way out is what the user has to ask for. Default
//! routes that discard (`blackhole`, `unreachable`) lead nowhere and do not
//! count. An interface that was moved to another network namespace, as those
//! of containers are, is not looked for there.

use std::fmt;
use std::io;

use super::link::Link;
use super::link_socket::LinkSocket;
use super::output_interfaces;
use crate::kernel::terms::InterfaceIndex;

/// The default route that frames of an interface come by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DefaultRoute {
    /// The interface that the route names: the one asked about, or one on top
    /// of it.
    pub interface: String,
}

impl fmt::Display for DefaultRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the default route of `{}`", self.interface)
    }
}

/// The default route over the interface `index`; `None` also where there is no
/// such interface.
pub(super) fn over(
    socket: &mut LinkSocket,
    index: InterfaceIndex,
) -> io::Result<Option<DefaultRoute>> {
    let outputs = output_interfaces::of_default_routes(socket.netlink())?;
    if outputs.is_empty() {
        return Ok(None);
    }
    let links = socket.links()?;
    let output = and_uppers(&links, index)
        .into_iter()
        .find(|link| outputs.contains(&link.index));
    Ok(output.map(|link| DefaultRoute {
        interface: link.name.clone(),
    }))
}

/// The link `index` and all that stand on it, the nearest first.
fn and_uppers(links: &[Link], index: InterfaceIndex) -> Vec<&Link> {
    let mut found: Vec<&Link> = links.iter().filter(|link| link.index == index).collect();
    let mut looked_at = 0;
    while let Some(&lower) = found.get(looked_at) {
        looked_at += 1;
        for link in links {
            let is_known = found.iter().any(|known| known.index == link.index);
            if !is_known && stands_on(link, lower) {
                found.push(link);
            }
        }
    }
    found
}

/// Whether frames that arrive on `lower` may come out of `upper`.
fn stands_on(upper: &Link, lower: &Link) -> bool {
    // The other end of a cable is not on top of this one, but is what
    // `IFLA_LINK` says of these.
    let has_peer = matches!(upper.kind.as_str(), "veth" | "netkit" | "vxcan");
    lower.master == Some(upper.index)
        || (upper.lower == Some(lower.index) && !has_peer)
        // A switch of Open vSwitch is the master of its ports, and the host's
        // own interfaces on it name no lower one.
        || (upper.kind == OPENVSWITCH && lower.kind == OPENVSWITCH)
}

const OPENVSWITCH: &str = "openvswitch";

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::handle::Interface;
    use super::super::testing::{allow_ipv6, in_private_network, ip};
    use super::*;
    use crate::kernel::interface::LinkType;

    /// Two pairs whose near ends have addresses.
    fn two_pairs() {
        for (name, address) in [("one", "10.1.0.1/24"), ("two", "10.2.0.1/24")] {
            ip(&format!("link add {name} type veth peer name {name}-peer"));
            ip(&format!("link set dev {name}-peer up"));
            ip(&format!("link set dev {name} up"));
            ip(&format!("address add {address} dev {name}"));
        }
    }

    fn via(name: &str) -> Option<String> {
        let interface = Interface::by_name(name).expect("it exists");
        let route = interface.default_route().expect("the kernel answers");
        route.map(|route| route.interface)
    }

    #[test]
    fn default_route_is_found_on_its_own_interface_only() {
        in_private_network(|| {
            two_pairs();
            ip("route add 10.9.0.0/16 via 10.2.0.2");
            ip("route add blackhole default metric 1");
            assert_eq!(via("one"), None);

            ip("route add default via 10.1.0.2 metric 2");

            assert_eq!(via("one").as_deref(), Some("one"));
            assert_eq!((via("two"), via("one-peer")), (None, None));
        });
    }

    #[test]
    fn default_route_of_ipv6_counts() {
        in_private_network(|| {
            allow_ipv6();
            two_pairs();

            ip("-6 route add default dev two");

            assert_eq!((via("one"), via("two").as_deref()), (None, Some("two")));
        });
    }

    #[test]
    fn default_route_in_any_table_counts() {
        in_private_network(|| {
            allow_ipv6();
            two_pairs();

            ip("route add default via 10.1.0.2 table 77");
            ip("-6 route add default dev two table 4000");

            assert_eq!(via("one").as_deref(), Some("one"));
            assert_eq!(via("two").as_deref(), Some("two"));
        });
    }

    #[test]
    fn every_next_hop_of_a_multipath_route_counts() {
        in_private_network(|| {
            two_pairs();

            ip(
                "route add default nexthop via 10.1.0.2 dev one nexthop via 10.2.0.2 dev two weight 5",
            );

            assert_eq!(via("one").as_deref(), Some("one"));
            assert_eq!(via("two").as_deref(), Some("two"));
        });
    }

    #[test]
    fn nexthop_object_is_looked_up_where_the_route_names_no_interface() {
        in_private_network(|| {
            two_pairs();
            let set = Command::new("sysctl")
                .arg("net.ipv4.nexthop_compat_mode=0")
                .output();
            assert!(set.expect("`sysctl` is installed").status.success());
            ip("nexthop add id 7 via 10.1.0.2 dev one");
            ip("nexthop add id 8 via 10.2.0.2 dev two");
            ip("nexthop add id 9 group 7/8");

            ip("route add default nhid 7");
            assert_eq!((via("one").as_deref(), via("two")), (Some("one"), None));

            ip("route replace default nhid 9");
            assert_eq!(via("two").as_deref(), Some("two"));
        });
    }

    #[test]
    fn default_route_of_a_bridge_is_carried_by_its_ports() {
        in_private_network(|| {
            two_pairs();
            ip("link add bridge type bridge");
            ip("link set dev one master bridge");
            ip("link set dev bridge up");
            ip("address add 10.3.0.1/24 dev bridge");
            ip("route add default via 10.3.0.2");

            assert_eq!(via("one").as_deref(), Some("bridge"));
            assert_eq!(via("two"), None);
        });
    }

    #[test]
    fn default_route_of_what_stands_on_a_port_is_carried_by_the_port() {
        in_private_network(|| {
            allow_ipv6();
            two_pairs();
            ip("link add bridge type bridge");
            ip("link set dev one master bridge");
            ip("link set dev bridge up");
            ip("link add link bridge name upper type macvlan");
            ip("link set dev upper up");
            ip("-6 route add default dev upper");

            assert_eq!(via("one").as_deref(), Some("upper"));
            assert_eq!(via("one-peer"), None, "the other end of the cable");
        });
    }

    #[test]
    fn interface_that_is_gone_has_no_default_route() {
        in_private_network(|| {
            two_pairs();
            ip("route add default via 10.2.0.2");
            let one = Interface::by_name("one").expect("it exists");
            ip("link delete one");

            let error = one.default_route().expect_err("it was deleted");

            assert!(error.to_string().contains("was deleted"), "{error}");
        });
    }

    #[test]
    fn switch_of_open_vswitch_carries_the_route_of_its_own_interfaces() {
        let link = |index, kind: &str, master: Option<u32>| Link {
            index: InterfaceIndex::new(index),
            link_type: LinkType::ETHERNET,
            name: format!("link{index}"),
            up: true,
            carrier: true,
            mtu: 1500,
            rx_queues_allocated: 1,
            tx_queues_allocated: 1,
            xdp: None,
            master: master.map(InterfaceIndex::new),
            lower: None,
            lower_elsewhere: None,
            address: None,
            kind: kind.to_owned(),
            bus: None,
        };
        let links = [
            link(2, "", Some(3)),
            link(3, OPENVSWITCH, None),
            link(4, OPENVSWITCH, None),
            link(5, "", None),
        ];

        let found = and_uppers(&links, InterfaceIndex::new(2));

        let found: Vec<_> = found.iter().map(|link| link.index.get()).collect();
        assert_eq!(found, [2, 3, 4]);
    }
}

//! Links: as asked for, without traps, and gone when dropped.

use std::fs;
use std::time::Duration;

use wharf_testbed::{
    Error, Host, Link, MacAddress, Offload, Queueing, RingSizes, Switch, require_privileges,
    require_program,
};

const SOON: Duration = Duration::from_secs(5);

fn hosts() -> (Host, Host) {
    (Host::new("a").unwrap(), Host::new("b").unwrap())
}

#[test]
fn link_is_as_asked_at_both_ends() {
    if !require_privileges() {
        return;
    }
    let (a, b) = hosts();
    let macs = (
        MacAddress([2, 0, 0, 0, 0, 1]),
        MacAddress([2, 0, 0, 0, 0, 2]),
    );

    let link = Link::between(&a, &b)
        .names("left", "right")
        .macs(macs.0, macs.1)
        .mtu(3000)
        .queues(4)
        .create()
        .unwrap();

    let ends = [(link.near(), "left", macs.0), (link.far(), "right", macs.1)];
    for (end, name, mac) in ends {
        end.wait_for_carrier(SOON).unwrap();
        let status = end.status().unwrap();
        let channels = end.channels().unwrap();

        assert_eq!((end.name(), end.mac()), (name, mac));
        assert!(status.is_up && status.has_carrier);
        assert_eq!(status.mtu, 3000);
        assert_eq!((status.rx_queues, status.tx_queues), (4, 4));
        assert_eq!((channels.rx, channels.tx, channels.max_rx), (4, 4, 4));
        assert_eq!(status.queueing_discipline, "pfifo");
        assert_eq!(end.xdp().unwrap(), None);
    }
    assert_eq!(a.interface_names().unwrap(), ["lo", "left"]);
    assert_eq!(b.interface_names().unwrap(), ["lo", "right"]);
}

#[test]
fn nothing_appears_in_the_callers_namespace() {
    if !require_privileges() {
        return;
    }
    // The caller here is a thread inside a host, which nobody else changes.
    let caller = Host::new("caller").unwrap();
    let before = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let (a, b) = hosts();

    let inside = caller.enter().unwrap();
    let _link = Link::between(&a, &b).create().unwrap();
    drop(inside);

    assert_eq!(caller.interface_names().unwrap(), ["lo"]);
    let names = |table: &str| -> Vec<String> {
        let lines = table.lines().filter_map(|line| line.split_once(':'));
        lines.map(|(name, _)| name.trim().to_owned()).collect()
    };
    let after = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    assert_eq!(names(&before), names(&after));
}

#[test]
fn offloads_are_off_unless_left_on() {
    if !require_privileges() {
        return;
    }
    let (a, b) = hosts();
    let plain = Link::between(&a, &b).create().unwrap();
    let offloading = Link::between(&a, &b)
        .offloads(Switch::On)
        .queueing(Queueing::None)
        .create()
        .unwrap();

    for offload in Offload::ALL {
        for end in [plain.near(), plain.far()] {
            assert_eq!(end.offload(offload).unwrap(), Switch::Off, "{offload:?}");
        }
    }
    for offload in [Offload::TxChecksum, Offload::Segmentation, Offload::TxVlan] {
        assert_eq!(
            offloading.near().offload(offload).unwrap(),
            Switch::On,
            "{offload:?}"
        );
    }
    let status = offloading.far().status().unwrap();
    assert_eq!(status.queueing_discipline, "noqueue");
    assert_eq!(offloading.near().name(), "eth1");
}

#[test]
fn ethtool_and_tc_agree() {
    if !require_privileges() || !require_program("ethtool") || !require_program("tc") {
        return;
    }
    let (a, b) = hosts();
    let link = Link::between(&a, &b).create().unwrap();

    for end in [link.near(), link.far()] {
        let features = end
            .host()
            .command("ethtool")
            .args(["-k", end.name()])
            .run_checked(SOON)
            .unwrap();
        for feature in [
            "tx-checksumming",
            "tcp-segmentation-offload",
            "generic-segmentation-offload",
            "generic-receive-offload",
            "tx-udp-segmentation",
            "rx-vlan-offload",
            "tx-vlan-offload",
        ] {
            assert!(features.contains(&format!("{feature}: off")), "{features}");
        }
        let disciplines = end
            .host()
            .command("tc")
            .args(["qdisc", "show", "dev", end.name()])
            .run_checked(SOON)
            .unwrap();
        assert!(disciplines.starts_with("qdisc pfifo"), "{disciplines}");
        assert!(disciplines.contains("root"), "{disciplines}");
    }
}

#[test]
fn every_offload_switches_both_ways() {
    if !require_privileges() {
        return;
    }
    let (a, b) = hosts();
    let link = Link::between(&a, &b).create().unwrap();
    let end = link.near();

    // Segmentation depends on checksums, so on goes the other way round.
    for offload in Offload::ALL.into_iter().rev() {
        end.set_offload(offload, Switch::On).unwrap();
        assert_eq!(end.offload(offload).unwrap(), Switch::On, "{offload:?}");
    }
    for offload in Offload::ALL {
        end.set_offload(offload, Switch::Off).unwrap();
        assert_eq!(end.offload(offload).unwrap(), Switch::Off, "{offload:?}");
    }
    assert_eq!(end.features().unwrap()["tx-scatter-gather"], Switch::On);
}

#[test]
fn dropped_link_is_gone_from_both_hosts() {
    if !require_privileges() {
        return;
    }
    let (a, b) = hosts();
    let link = Link::between(&a, &b).create().unwrap();

    drop(link);

    assert_eq!(a.interface_names().unwrap(), ["lo"]);
    assert_eq!(b.interface_names().unwrap(), ["lo"]);
}

#[test]
fn deleting_twice_and_using_after_are_harmless() {
    if !require_privileges() {
        return;
    }
    let (a, b) = hosts();
    let link = Link::between(&a, &b).create().unwrap();

    link.far().delete().unwrap();
    link.delete().unwrap();
    link.delete().unwrap();

    let error = link.near().status().unwrap_err();
    assert!(matches!(error, Error::Netlink { .. }), "{error}");
    assert!(error.to_string().contains("gone"), "{error}");
    assert!(link.near().driver_counters().is_err());
    assert!(link.near().channels().is_err());
}

#[test]
fn moved_end_arrives_with_its_offloads_and_queue() {
    if !require_privileges() {
        return;
    }
    let (a, b) = hosts();
    let c = Host::new("c").unwrap();
    let mut link = Link::between(&a, &b)
        .names("left", "right")
        .create()
        .unwrap();

    link.far_mut().move_to(&c).unwrap();

    let far = link.far();
    assert_eq!(b.interface_names().unwrap(), ["lo"]);
    assert_eq!(c.interface_names().unwrap(), ["lo", "right"]);
    assert_eq!(far.host().name(), "c");
    assert!(!far.status().unwrap().is_up);
    assert_eq!(far.status().unwrap().queueing_discipline, "pfifo");
    assert_eq!(far.offload(Offload::TxChecksum).unwrap(), Switch::Off);
    far.set_up().unwrap();
    link.near().wait_for_carrier(SOON).unwrap();

    drop(link);
    assert_eq!(c.interface_names().unwrap(), ["lo"]);
}

#[test]
fn end_down_takes_the_carrier_of_the_other() {
    if !require_privileges() {
        return;
    }
    let (a, b) = hosts();
    let link = Link::between(&a, &b).create().unwrap();

    link.far().set_down().unwrap();

    assert!(!link.near().status().unwrap().has_carrier);
    let error = link.near().wait_for_carrier(Duration::from_millis(20));
    assert!(matches!(error, Err(Error::Timeout { .. })));
    link.far().set_up().unwrap();
    link.near().wait_for_carrier(SOON).unwrap();
}

#[test]
fn channels_mtu_and_napi_change() {
    if !require_privileges() {
        return;
    }
    let (a, b) = hosts();
    let link = Link::between(&a, &b).queues(4).create().unwrap();
    let end = link.near();

    end.set_channels(2, 1).unwrap();
    end.set_mtu(9000).unwrap();
    end.set_gro(Switch::On).unwrap();
    end.set_threaded_napi(Switch::On).unwrap();

    let channels = end.channels().unwrap();
    assert_eq!((channels.rx, channels.tx), (2, 1));
    assert_eq!((channels.max_rx, channels.max_tx), (4, 4));
    assert_eq!(end.status().unwrap().mtu, 9000);
    assert!(end.set_channels(5, 1).is_err());
    end.set_threaded_napi(Switch::Off).unwrap();
}

#[test]
fn interface_without_rings_has_no_ring_sizes() {
    if !require_privileges() {
        return;
    }
    let (a, b) = hosts();
    let _link = Link::between(&a, &b).create().unwrap();
    let _inside = a.enter().unwrap();

    for (interface, reason) in [("eth0", "not supported"), ("eth9", "No such device")] {
        let read = RingSizes::of(interface).unwrap_err().to_string();
        let set = RingSizes::set(interface, 64, 128).unwrap_err().to_string();

        assert!(read.contains(interface) && read.contains(reason), "{read}");
        assert!(set.contains("64 rx and 128 tx frames"), "{set}");
        assert!(set.contains(reason), "{set}");
    }
}

#[test]
fn ends_in_one_host_get_different_names() {
    if !require_privileges() {
        return;
    }
    let host = Host::new("one").unwrap();

    let first = Link::between(&host, &host).create().unwrap();
    let second = Link::between(&host, &host).create().unwrap();

    assert_eq!((first.near().name(), first.far().name()), ("eth0", "eth1"));
    assert_eq!(
        (second.near().name(), second.far().name()),
        ("eth2", "eth3")
    );
}

#[test]
fn errors_name_host_and_input() {
    if !require_privileges() {
        return;
    }
    let (a, b) = hosts();
    let _link = Link::between(&a, &b).create().unwrap();

    let taken = Link::between(&a, &b).names("eth0", "eth9").create();
    let missing = a.interface("eth7").unwrap_err();
    let no_queues = Link::between(&a, &b).queues(0).create().unwrap_err();

    let taken = taken.unwrap_err().to_string();
    assert!(
        taken.contains("host `a`") && taken.contains("`eth0`"),
        "{taken}"
    );
    assert!(taken.contains("choose another name"), "{taken}");
    assert!(missing.to_string().contains("`eth7`"), "{missing}");
    assert!(matches!(no_queues, Error::Netlink { .. }), "{no_queues}");
    assert_eq!(b.interface_names().unwrap(), ["lo", "eth0"]);
}

#[test]
fn ipv6_address_needs_a_host_with_ipv6() {
    if !require_privileges() {
        return;
    }
    let (a, b) = (Host::new("a").unwrap(), Host::with_ipv6("b").unwrap());
    let link = Link::between(&a, &b).create().unwrap();
    let address: std::net::Ipv6Addr = "fd00::1".parse().unwrap();

    let refused = link.near().add_address(address, 64).unwrap_err();
    link.far().add_address(address, 64).unwrap();

    assert!(refused.to_string().contains("with_ipv6"), "{refused}");
}

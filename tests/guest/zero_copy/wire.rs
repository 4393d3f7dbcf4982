//! The guest's NICs as a wire: eth0 and eth3 are the ends, each in a namespace
//! of its own, and `wharf forward eth1 eth2` is in the middle, in a third.

use serde_json::Value;
use wharf::Attach;
use wharf_testbed::{Host, Interface};
use wharf_tests::{Forward, wharf_in};

use crate::end::End;
use crate::{LIMIT, NICS, ip, require_guest};

/// Three hosts. The kernel takes the NICs home when they are dropped.
pub struct GuestWire {
    pub near: Host,
    pub middle: Host,
    pub far: Host,
}

impl GuestWire {
    /// Takes the guest's NICs and sets them up. Nothing forwards yet.
    pub fn new() -> Self {
        require_guest();
        let host = |name| Host::new(name).expect("the guest's root may");
        let wire = Self {
            near: host("near"),
            middle: host("middle"),
            far: host("far"),
        };
        for (name, host) in
            NICS.into_iter()
                .zip([&wire.near, &wire.middle, &wire.middle, &wire.far])
        {
            let namespace = host.namespace_path();
            let path = namespace.to_str().expect("a plain name");
            ip(&["link", "set", name, "netns", path]);
            let interface = host.interface(name).expect("it is there now");
            interface.set_up().expect("it can be");
        }
        wire
    }

    /// Starts the command in the middle, in zero copy, and asks the kernel
    /// whether that is what it does.
    pub fn forward(&self) -> Forward {
        let options = ["--mode", "zero-copy", "--queues", "1", "--cpus", "0"];
        let forward = self.forward_as(Attach::Native, &options);
        for name in [NICS[1], NICS[2]] {
            assert_eq!(self.umems_of(name), ["zc:1"], "{name}");
        }
        forward
    }

    /// Starts the command in the middle.
    pub fn forward_as(&self, attach: Attach, options: &[&str]) -> Forward {
        let command = wharf_in(&self.middle);
        Forward::start_between(command, [NICS[1], NICS[2]], attach, options)
    }

    /// Binds a NIC in zero copy, wherever it is.
    pub fn end(&self, name: &str) -> End {
        let place = NICS.iter().position(|nic| *nic == name);
        let host = match place.expect("a NIC of the guest") {
            0 => &self.near,
            1 | 2 => &self.middle,
            _ => &self.far,
        };
        let inside = host.enter().expect("the host lives");
        let end = End::bind(name);
        drop(inside);
        end
    }

    /// What the kernel's socket diagnosis says about the mode of the UMEM of each
    /// xsk of `name`: `XDP_DU_F_ZEROCOPY` of `include/uapi/linux/xdp_diag.h`.
    fn umems_of(&self, name: &str) -> Vec<String> {
        let mut command = self.middle.command("ss");
        command.args(["--xdp", "--all", "--extended", "--no-header", "--oneline"]);
        let said = command.run_checked(LIMIT).expect("the guest has ss");
        let own = |line: &&str| line.contains(&format!("{name}:q0"));
        let flag = |line: &str| {
            let mut words = line.split([',', '(', ')', ' ']);
            let found = words.find(|word| word.starts_with("zc:"));
            found
                .unwrap_or_else(|| panic!("no mode in {said}"))
                .to_owned()
        };
        said.lines().filter(own).map(flag).collect()
    }

    pub fn near_nic(&self) -> Interface {
        self.near.interface(NICS[0]).expect("it is there")
    }

    pub fn left(&self) -> Interface {
        self.middle.interface(NICS[1]).expect("it is there")
    }

    pub fn far_nic(&self) -> Interface {
        self.far.interface(NICS[3]).expect("it is there")
    }

    /// Frames that have arrived at the far end.
    pub fn arrived(&self) -> u64 {
        self.far_nic().counters().expect("it is there").rx_packets
    }
}

/// Both interfaces are in zero copy, native, by the command's own account, which
/// is what the kernel says of its sockets (`XDP_OPTIONS`).
#[track_caller]
pub fn assert_zero_copy(summary: &Value) {
    let setup = &summary["setup"];
    let interfaces = setup["interfaces"].as_array().expect("interfaces");
    let attach: Vec<_> = interfaces
        .iter()
        .map(|interface| {
            (
                interface["name"].as_str(),
                interface["driver"].as_str(),
                interface["attach"].as_str(),
            )
        })
        .collect();
    let native = |name| (Some(name), Some("virtio_net"), Some("native"));
    assert_eq!(attach, [native(NICS[1]), native(NICS[2])]);
    let workers = setup["workers"].as_array().expect("workers");
    let mut modes: Vec<_> = workers
        .iter()
        .flat_map(|worker| worker["queues"].as_array().expect("queues"))
        .map(|queue| (queue["interface"].as_str(), queue["mode"].as_str()))
        .collect();
    modes.sort_unstable();
    let zero_copy = |name| (Some(name), Some("zero-copy"));
    assert_eq!(modes, [zero_copy(NICS[1]), zero_copy(NICS[2])]);
}

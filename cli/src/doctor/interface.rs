//! What `wharf forward` would get on an interface, and what would make it more.
//!
//! Nothing is attached or bound here: that resets many NICs. What the driver reports
//! is taken, and labelled as its report.

use serde::Serialize;
use wharf::{
    Checksums, ChecksumsReport, ChunkSize, Interface, InterfaceError, InterfaceQueues,
    KeepManagement, KernelFeatures, LinkType, ManagementReport, QueuesSource, Support, UmemConfig,
    XdpFeatures,
};

use super::check::{Check, State, worst};
use super::numa;
use crate::report::counted;

/// One interface, examined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Examined {
    pub name: String,
    pub driver: Option<String>,
    pub checks: Vec<Check>,
    /// What `wharf forward` would get.
    pub forward: String,
}

impl Examined {
    /// Examines `interface` of a machine whose worst state is `machine`.
    pub fn of(
        interface: &Interface,
        kernel: &KernelFeatures,
        machine: State,
    ) -> Result<Self, InterfaceError> {
        let name = interface.name();
        let features = interface.xdp_features()?;
        let chunk = UmemConfig::new(1).chunk_size;
        let mtu = interface.mtu()?;
        let queues = interface.queue_counts()?;
        let management = ManagementReport::of(KeepManagement::Auto, interface)?;
        let checksums = ChecksumsReport::of(Checksums::Auto, interface)?;
        let (driver, modes) = judge_driver(features, chunk.chunks_for_mtu(mtu));
        let mut checks = vec![
            state(interface)?,
            judge_frames(interface.link_type()?),
            program(interface)?,
            driver,
            judge_mtu(name, mtu, chunk, features, kernel),
            judge_queues(name, interface.driver().as_deref(), queues),
            Check::good("management", kept(&management)),
            Check::good("bypass", BYPASS),
            Check::good("checksums", done(&checksums)),
        ];
        checks.extend(numa::examine(name));
        let forward = match worst(&checks).max(machine) {
            State::Bad => "nothing, as it is".to_owned(),
            _ => format!(
                "{modes}; {}; frames in up to {}; management traffic {}",
                counted(queues.rx.max(1), "queue"),
                counted(chunk.chunks_for_mtu(mtu), "chunk"),
                if management.is_kept() {
                    "kept"
                } else {
                    "taken"
                }
            ),
        };
        Ok(Self {
            name: name.to_owned(),
            driver: interface.driver(),
            checks,
            forward,
        })
    }
}

/// Said of every interface, as people look for their frames there.
const BYPASS: &str =
    "forwarded frames go around tcpdump, nftables, tc and queueing disciplines here";

fn state(interface: &Interface) -> Result<Check, InterfaceError> {
    let name = interface.name();
    Ok(if !interface.is_up()? {
        Check::bad("state", "down", format!("run `ip link set {name} up`"))
    } else if interface.has_carrier()? {
        Check::good("state", "up, with a carrier")
    } else {
        Check::poor(
            "state",
            "up, without a carrier: nothing is received or sent",
            "plug it in, or bring up its other end",
        )
    })
}

fn judge_frames(link_type: LinkType) -> Check {
    let topic = "frames";
    if link_type.has_ethernet_header() {
        Check::good(topic, "with an Ethernet header")
    } else {
        Check::bad(
            topic,
            format!("without an Ethernet header ({link_type})"),
            "use an interface whose frames have one, such as tap instead of tun, or gretap instead of gre",
        )
    }
}

fn program(interface: &Interface) -> Result<Check, InterfaceError> {
    Ok(match interface.xdp()? {
        None => Check::good("program", "no XDP program is attached"),
        Some(program) => Check::bad(
            "program",
            format!("it has {program}"),
            program.removal(interface.name()),
        ),
    })
}

/// What the driver reports, and the modes it would get for frames of `chunks` chunks.
fn judge_driver(features: Option<XdpFeatures>, chunks: u32) -> (Check, String) {
    let topic = "driver";
    let Some(features) = features else {
        let unknown = Check::unknown(
            topic,
            "before 6.3 the kernel does not report what it can do",
        );
        return (
            unknown,
            "the best mode of its driver, which the start of a run shows".to_owned(),
        );
    };
    if !(features.native() && features.redirect()) {
        let generic = Check::poor(
            topic,
            "no native XDP in its current setup",
            "it works, in generic mode, the slowest; a NIC with native XDP is faster",
        );
        (generic, "generic mode, copy".to_owned())
    } else if !features.zero_copy() {
        let copy = Check::poor(
            topic,
            "native XDP, without zero copy",
            "it works, in copy mode; a NIC with zero copy is faster",
        );
        (copy, "native mode, copy".to_owned())
    } else {
        let zero_copy = Check::good(topic, "native XDP with zero copy, as it reports");
        let mode = if chunks > features.zero_copy_segments().max(1) {
            "native mode, copy"
        } else {
            "native mode, zero copy"
        };
        (zero_copy, mode.to_owned())
    }
}

fn judge_mtu(
    name: &str,
    mtu: u32,
    chunk: ChunkSize,
    features: Option<XdpFeatures>,
    kernel: &KernelFeatures,
) -> Check {
    let topic = "MTU";
    let chunks = chunk.chunks_for_mtu(mtu);
    if chunks <= 1 {
        return Check::good(topic, mtu.to_string());
    }
    let found = format!(
        "{mtu}, whose frames take {chunks} chunks of {}",
        chunk.get()
    );
    let lower = format!(
        "run `ip link set {name} mtu {}`, or less",
        chunk.largest_mtu()
    );
    let zero_copy = features
        .filter(|features| features.zero_copy())
        .map(|features| features.zero_copy_segments().max(1));
    match zero_copy {
        _ if kernel.multi_buffer == Support::No => Check::bad(
            topic,
            format!("{found} bytes, and before 6.6 the kernel takes frames in one chunk only"),
            lower,
        ),
        Some(most) if most < chunks => Check::poor(
            topic,
            format!("{found} bytes, and with zero copy the driver takes up to {most}"),
            format!("it works, in copy mode; for zero copy, {lower}"),
        ),
        _ => Check::good(topic, format!("{found} bytes")),
    }
}

fn judge_queues(name: &str, driver: Option<&str>, queues: InterfaceQueues) -> Check {
    let topic = "queues";
    if queues.bindable() == 0 {
        return match driver {
            Some("tun") => Check::bad(
                topic,
                "none: no program holds this tap open",
                "start the program it is for, such as a virtual machine, first",
            ),
            _ => Check::bad(
                topic,
                "none now",
                format!("bring it up, or run `ethtool -L {name} combined 1`"),
            ),
        };
    }
    let InterfaceQueues { rx, tx, source, .. } = queues;
    let found = format!("{rx} to receive, {tx} to send");
    let found = match source {
        QueuesSource::Allocated => {
            format!("{found}, as allocated: the driver does not report how many are in use")
        }
        _ => found,
    };
    if tx < rx && tx > 0 {
        Check::poor(
            topic,
            format!(
                "{found}: a worker cannot send here if all its queues are beyond the first {tx}"
            ),
            format!("run `ethtool -L {name} rx {tx}`, or use `--queues {tx}`"),
        )
    } else if tx > rx {
        Check::good(topic, format!("{found}: the first {rx} are used"))
    } else {
        Check::good(topic, found)
    }
}

fn kept(management: &ManagementReport) -> String {
    let report = management.to_string();
    // The topic says the rest.
    let report = report.strip_prefix("management traffic is ");
    report.unwrap_or_default().to_owned()
}

fn done(checksums: &ChecksumsReport) -> String {
    let report = checksums.to_string();
    // The topic says the rest.
    let report = report.strip_prefix("checksums are ");
    report.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(mtu: u32, multi_buffer: Support) -> Check {
        let chunk = ChunkSize::new(4096).expect("the smallest page");
        let mut kernel = KernelFeatures::probe();
        kernel.multi_buffer = multi_buffer;
        judge_mtu("eth0", mtu, chunk, None, &kernel)
    }

    #[test]
    fn mtu_beyond_a_chunk_is_fine_unless_the_kernel_takes_one_only() {
        for (mtu, multi_buffer, state) in [
            (1500, Support::No, State::Good),
            (3822, Support::No, State::Good),
            (3823, Support::No, State::Bad),
            (3823, Support::Yes, State::Good),
            (65_535, Support::Unknown, State::Good),
        ] {
            assert_eq!(judged(mtu, multi_buffer).state, state, "{mtu}");
        }
        let check = judged(9000, Support::No);
        assert!(check.finding.contains("3 chunks of 4096 bytes"));
        let remedy = check.remedy.expect("there is one");
        assert!(remedy.contains("ip link set eth0 mtu 3822"), "{remedy}");
    }

    #[test]
    fn fewer_queues_to_send_than_to_receive_are_poor() {
        let loopback = Interface::by_name("lo").expect("every namespace has one");
        let loopback = loopback.queue_counts().expect("it has queues");
        let queues = |rx, tx| {
            let mut queues = loopback;
            (queues.rx, queues.tx, queues.source) = (rx, tx, QueuesSource::Driver);
            queues
        };

        assert_eq!(judge_queues("eth0", None, queues(2, 2)).state, State::Good);
        assert_eq!(judge_queues("eth0", None, queues(1, 2)).state, State::Good);
        let check = judge_queues("eth0", None, queues(4, 2));
        assert_eq!(check.state, State::Poor);
        assert!(check.remedy.expect("there is one").contains("--queues 2"));
    }

    #[test]
    fn interface_without_queues_or_ethernet_is_bad() {
        let loopback = Interface::by_name("lo").expect("every namespace has one");
        let mut queues = loopback.queue_counts().expect("it has queues");
        (queues.rx, queues.tx) = (0, 0);

        let tap = judge_queues("tap0", Some("tun"), queues);
        let other = judge_queues("eth0", Some("other"), queues);
        let frames = judge_frames(loopback.link_type().expect("it has one"));

        assert_eq!((tap.state, other.state), (State::Bad, State::Bad));
        assert!(tap.finding.contains("holds this tap open"));
        assert_eq!(frames.state, State::Good);
    }

    #[test]
    fn kernel_without_a_report_of_the_driver_leaves_the_modes_open() {
        let (check, modes) = judge_driver(None, 1);

        assert_eq!(check.state, State::Unknown);
        assert!(modes.contains("the start of a run shows"), "{modes}");
    }
}

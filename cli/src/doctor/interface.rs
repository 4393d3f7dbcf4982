//! What `wharf forward` would get on an interface, and what would make it more.
//!
//! Nothing is attached or bound here: that resets many NICs. The driver's own
//! word is taken, and said to be that.

use serde::Serialize;
use wharf::{Interface, InterfaceError, QueuesSource};

use super::check::{Check, State, worst};

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
    /// Looks at `interface` of a machine that is as good as `machine`.
    pub fn of(interface: &Interface, machine: State) -> Result<Self, InterfaceError> {
        let driver = interface.driver();
        let mut checks = vec![state(interface)?, mtu(interface)?, queues(interface)?];
        checks.push(program(interface)?);
        let (xdp, modes) = features(interface)?;
        checks.push(xdp);
        let forward = match worst(&checks).max(machine) {
            State::Bad => "nothing, as it is".to_owned(),
            _ => modes.to_owned(),
        };
        Ok(Self {
            name: interface.name().to_owned(),
            driver,
            checks,
            forward,
        })
    }
}

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
            "plug it in",
        )
    })
}

fn mtu(interface: &Interface) -> Result<Check, InterfaceError> {
    let mtu = interface.mtu()?;
    // The kernel that tells this at all is as old as 6.3.
    let zero_copy = interface
        .xdp_features()?
        .filter(|features| features.zero_copy())
        .map(|features| features.zero_copy_segments());
    Ok(judge_mtu(interface.name(), mtu, zero_copy))
}

/// `zero_copy` is the number of chunks that a frame may have in zero-copy mode,
/// where the driver has that.
fn judge_mtu(name: &str, mtu: u32, zero_copy: Option<u32>) -> Check {
    let chunks = (mtu + CHUNK_ROOM - LARGEST_MTU).div_ceil(CHUNK_ROOM);
    let lower = format!("run `ip link set {name} mtu {LARGEST_MTU}`, or less");
    if chunks <= 1 {
        return Check::good("MTU", mtu.to_string());
    }
    match zero_copy {
        Some(most) if most < chunks => Check::poor(
            "MTU",
            format!(
                "{mtu}, whose frames take {chunks} chunks of 4096 bytes, more than the driver \
                 takes with zero copy"
            ),
            format!("it works, in copy mode; for zero copy, {lower}"),
        ),
        _ => Check::good(
            "MTU",
            format!(
                "{mtu}, whose frames take {chunks} chunks of 4096 bytes: multi-buffer, which needs \
                 Linux 6.6"
            ),
        ),
    }
}

fn queues(interface: &Interface) -> Result<Check, InterfaceError> {
    let queues = interface.queue_counts()?;
    let finding = format!("{} to receive, {} to send", queues.rx, queues.tx);
    Ok(match queues.source {
        QueuesSource::Driver => Check::good("queues", finding),
        QueuesSource::Allocated => Check::good(
            "queues",
            format!("{finding}, as allocated: the driver does not say how many are in use"),
        ),
    })
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

/// The driver's word, and the modes that it promises.
fn features(interface: &Interface) -> Result<(Check, &'static str), InterfaceError> {
    let Some(features) = interface.xdp_features()? else {
        let unknown = Check::unknown(
            "driver",
            "the kernel cannot tell what it can do, before 6.3",
        );
        return Ok((
            unknown,
            "the best of what its driver has; the report of a run says which",
        ));
    };
    Ok(if !(features.native() && features.redirect()) {
        let generic = Check::poor(
            "driver",
            "no native XDP as it is set up",
            "it works, in generic mode, which is the slowest; a NIC with native XDP is faster",
        );
        (generic, "generic mode, copy")
    } else if !features.zero_copy() {
        let copy = Check::poor(
            "driver",
            "native XDP, without zero copy",
            "it works, in copy mode; a NIC with zero copy is faster",
        );
        (copy, "native mode, copy")
    } else {
        let zero_copy = Check::good("driver", "native XDP with zero copy, as it says itself");
        (zero_copy, "native mode, zero copy")
    })
}

/// A chunk of a page, without the kernel's headroom.
const CHUNK_ROOM: u32 = 4096 - 256;

/// That without an Ethernet header and a VLAN tag, which a frame has beyond its
/// MTU.
const LARGEST_MTU: u32 = CHUNK_ROOM - 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mtu_beyond_a_chunk_is_fine_unless_zero_copy_is_lost_by_it() {
        for (mtu, zero_copy, state) in [
            (1500, None, State::Good),
            (3822, Some(1), State::Good),
            (3823, None, State::Good),
            (3823, Some(1), State::Poor),
            (9000, Some(8), State::Good),
            (9000, Some(2), State::Poor),
            (65_535, None, State::Good),
        ] {
            let check = judge_mtu("eth0", mtu, zero_copy);

            assert_eq!(check.state, state, "{mtu} {zero_copy:?}");
        }
        assert!(judge_mtu("eth0", 9000, None).finding.contains("3 chunks"));
        assert!(judge_mtu("eth0", 3823, None).finding.contains("2 chunks"));
    }
}

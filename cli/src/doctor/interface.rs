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
    /// Looks at `interface`.
    pub fn of(interface: &Interface) -> Result<Self, InterfaceError> {
        let driver = interface.driver();
        let mut checks = vec![state(interface)?, mtu(interface)?, queues(interface)?];
        checks.push(program(interface)?);
        let (xdp, modes) = features(interface)?;
        checks.push(xdp);
        let forward = match worst(&checks) {
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
    let name = interface.name();
    let mtu = interface.mtu()?;
    Ok(if mtu > LARGEST_MTU {
        Check::bad(
            "MTU",
            format!("{mtu}, whose frames do not fit a chunk of 4096 bytes"),
            format!("run `ip link set {name} mtu {LARGEST_MTU}`, or less"),
        )
    } else {
        Check::good("MTU", mtu.to_string())
    })
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

/// A chunk of a page, without the kernel's headroom, an Ethernet header and a
/// VLAN tag.
const LARGEST_MTU: u32 = 4096 - 256 - 18;

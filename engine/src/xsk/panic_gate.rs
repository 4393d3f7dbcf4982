//! Refuses the one case in which a kernel panics under a correct program.
//!
//! Linux 6.16.y and 6.17.y keep the number of descriptors of a copy-mode frame
//! in the control block of its skb (30f241fcf52a, `net/xdp/xsk.c`), where the IP
//! layer of a receiver on the same machine writes too (`ip_rcv_core`). The
//! completion then follows a bad pointer (`xsk_destruct_skb`): a panic at the
//! first frames sent through a veth into another namespace. 6.18 keeps it
//! elsewhere. No stable 6.16 or 6.17 is known to be free of it, so this goes by
//! the version, unlike everything else, which is found out by trying.

use super::XskErrorKind;
use crate::kernel::CopyMode;
use crate::kernel::KnownPanics;
use crate::kernel::interface::Interface;

/// Drivers that hand a sent frame to a stack of the same machine.
const LOCAL_RECEIVERS: [&str; 6] = ["veth", "netkit", "bridge", "macvlan", "ipvlan", "dummy"];

/// # Errors
///
/// [`XskErrorKind::KernelPanics`] when sending in `mode` may take the machine down
/// and the caller has not taken that on.
pub(crate) fn check(
    interface: &Interface,
    mode: CopyMode,
    known_panics: KnownPanics,
) -> Result<(), XskErrorKind> {
    if mode == CopyMode::ZeroCopy || known_panics == KnownPanics::Risk {
        return Ok(());
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    if KnownPanics::affect(release) && may_deliver_locally(interface) {
        return Err(XskErrorKind::KernelPanics {
            release: release.to_owned(),
        });
    }
    Ok(())
}

fn may_deliver_locally(interface: &Interface) -> bool {
    match interface.driver() {
        Some(driver) => LOCAL_RECEIVERS.contains(&driver.as_str()),
        // Loopback and stacked interfaces have no driver to name.
        None => true,
    }
}

//! Why the kernel does not attach a program, in words.

use std::io;

use crate::kernel::interface::{Interface, ProgramMode};
use crate::kernel::sys::bpf::Buffers;
use crate::kernel::{KernelCall, explain_refusal};

/// Why `interface` took no program, and what might help.
///
/// The kernel returns a number; the text that goes with it only reaches netlink
/// attachments. These are the meanings in the drivers' `ndo_bpf` and in
/// `dev_xdp_attach` (`net/core/dev.c`), Linux 5.10 to 7.3.
pub(super) fn reason(
    interface: &Interface,
    mode: ProgramMode,
    buffers: Buffers,
    error: &io::Error,
) -> String {
    let driver = interface.driver();
    let driver = driver.as_deref();
    let the_driver = driver.map_or("its driver".to_owned(), |name| format!("driver {name}"));
    let mtu = interface
        .mtu()
        .map_or(String::new(), |mtu| format!(" {mtu}"));
    let buffers = match buffers {
        Buffers::One => ", as this kernel is older than 5.18 and keeps XDP frames in one buffer",
        Buffers::Several => "",
    };
    match (mode, error.raw_os_error()) {
        (ProgramMode::Native, Some(libc::EOPNOTSUPP)) => {
            format!("{the_driver} has no native XDP, or not with the offloads that are on")
        }
        // veth looks at what its peer may send.
        (ProgramMode::Native, Some(libc::ERANGE)) if driver == Some("veth") => format!(
            "the MTU of its peer is too large for native XDP{buffers}: lower it to 3506 or less"
        ),
        (ProgramMode::Native, Some(libc::ERANGE)) => {
            format!(
                "its MTU{mtu} is too large for native XDP{buffers}: lower it to 3000, for example"
            )
        }
        (ProgramMode::Native, Some(libc::ENOSPC)) if driver == Some("veth") => {
            let name = interface.name();
            format!(
                "it has fewer RX queues than its peer has TX queues: \
                 raise them with `ethtool -L {name} rx COUNT`"
            )
        }
        (ProgramMode::Native, Some(libc::ENOSPC | libc::ENOMEM)) => {
            format!("{the_driver} lacks the queues or the memory for native XDP")
        }
        (ProgramMode::Native, Some(libc::EINVAL)) => format!(
            "{the_driver} refuses native XDP as it is set up: the MTU{mtu} may be too large, \
             or LRO or a guest offload be on"
        ),
        (_, Some(libc::EEXIST | libc::EBUSY)) => {
            "an interface above it, such as a bond, has an XDP program: remove that".to_owned()
        }
        (_, _) => explain_refusal(error, KernelCall::Bpf),
    }
}

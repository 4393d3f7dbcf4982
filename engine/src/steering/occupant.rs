//! The program that is attached already, if any.

use std::time::{Duration, Instant};

use super::error::{SteeringError, SteeringErrorKind};
use crate::kernel::interface::{Holder, Interface};

/// Returns once no program is attached, or an error that names the program.
///
/// The program of a killed process goes some 150 ms after the process: a program of
/// ours that no process holds is waited for. If its bpf_link goes while the kernel
/// is asked about it, the program looks as if it were attached over netlink.
pub(super) fn wait_while_leaving(interface: &Interface) -> Result<(), SteeringError> {
    let deadline = Instant::now() + LEAVING_PATIENCE;
    loop {
        let found = interface.xdp();
        let found = found.map_err(|error| SteeringError::new(interface, error))?;
        let Some(program) = found else {
            return Ok(());
        };
        let is_ours = program.name.as_deref().is_some_and(|name| {
            [wharf_ebpf::PROGRAM, wharf_ebpf::PROGRAM_ONE_BUFFER].contains(&name)
        });
        let may_be_leaving = matches!(
            program.holder,
            Holder::Link { process: None, .. } | Holder::Netlink
        );
        if !is_ours || !may_be_leaving || Instant::now() >= deadline {
            let kind = SteeringErrorKind::Occupied(Box::new(program));
            return Err(SteeringError::new(interface, kind));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How long a program may take to go with its process, on a busy machine.
const LEAVING_PATIENCE: Duration = Duration::from_secs(2);

//! Attaching the program: native first, generic as the reported fallback.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::error::{SteeringError, SteeringErrorKind};
use super::program::Program;
use super::refusal::reason;
use crate::kernel::features::{self, Support};
use crate::kernel::interface::{Interface, ProgramMode};
use crate::kernel::sys::bpf::{self, Buffers, XdpMode};

/// Where the XDP program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attach {
    /// In the driver, or in the kernel's stack where the driver cannot. The
    /// [`AttachReport`] says which, and why.
    #[default]
    Auto,
    /// In the driver, or an error that says why not.
    Native,
    /// In the kernel's stack, even where native would work.
    Generic,
}

/// What was asked for, and what was got.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttachReport {
    /// What was asked for.
    pub requested: Attach,
    /// Where the program runs.
    pub got: ProgramMode,
    /// Why the program is not in the driver, where [`Attach::Auto`] tried it.
    pub fallback: Option<String>,
    /// Whether frames may lie in several buffers. False before Linux 5.18, where
    /// native mode limits the MTU.
    pub multi_buffer: bool,
    /// The kernel's number for the program.
    pub program_id: u32,
}

/// Keeps the program attached for as long as it lives; a bpf_link.
#[derive(Debug)]
pub(super) struct Attachment(OwnedFd);

impl Attachment {
    /// Attaches `next` instead of `current`, between two frames.
    pub(super) fn replace(&self, next: &Program, current: &Program) -> io::Result<()> {
        bpf::replace_xdp(self.0.as_fd(), next.fd(), current.fd())
    }

    #[cfg(test)]
    pub(super) fn try_clone(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // It fails when the interface is gone, and the attachment with it.
        // Anything else is left to the descriptor, which is closed next.
        let _ = bpf::detach_xdp(self.0.as_fd());
    }
}

/// Attaches `program`, and checks that it is attached to `interface`: the kernel
/// looks its index up in the network namespace of the calling thread.
pub(super) fn attach(
    interface: &Interface,
    requested: Attach,
    program: &Program,
) -> Result<(Attachment, AttachReport), SteeringError> {
    let as_mode = |mode| attach_as(interface, mode, program);
    let (link, mode, fallback) = match requested {
        Attach::Generic => (as_mode(XdpMode::Generic)?, XdpMode::Generic, None),
        Attach::Native => (as_mode(XdpMode::Native)?, XdpMode::Native, None),
        Attach::Auto => match as_mode(XdpMode::Native) {
            Ok(link) => (link, XdpMode::Native, None),
            Err(error) => match error.kind() {
                SteeringErrorKind::Refused { reason, .. } => {
                    let link = as_mode(XdpMode::Generic)?;
                    (link, XdpMode::Generic, Some(reason.clone()))
                }
                _ => return Err(error),
            },
        },
    };
    let got = program_mode(mode);
    // The interface asks in its own namespace, so this finds that the two differ.
    let attached = interface.xdp_id();
    let attached = attached.map_err(|error| SteeringError::new(interface, error))?;
    if attached != Some((program.id(), got)) {
        return Err(SteeringError::new(
            interface,
            SteeringErrorKind::OtherNamespace,
        ));
    }
    let report = AttachReport {
        requested,
        got,
        fallback,
        multi_buffer: program.buffers() == Buffers::Several,
        program_id: program.id(),
    };
    Ok((link, report))
}

fn attach_as(
    interface: &Interface,
    mode: XdpMode,
    program: &Program,
) -> Result<Attachment, SteeringError> {
    let index = interface.index().get();
    match bpf::attach_xdp(program.fd(), index, mode) {
        Ok(link) => Ok(Attachment(link)),
        Err(source) => Err(SteeringError::new(
            interface,
            failure(interface, mode, program, source),
        )),
    }
}

/// What `source`, the kernel's answer to the attempt to attach, means.
fn failure(
    interface: &Interface,
    mode: XdpMode,
    program: &Program,
    source: io::Error,
) -> SteeringErrorKind {
    let mode = program_mode(mode);
    match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => return SteeringErrorKind::Privileges(source),
        // In the other mode it would be the same. A driver that has no memory for
        // native XDP is another matter.
        Some(libc::EMFILE | libc::ENFILE) => return SteeringErrorKind::Resources(source),
        // Another program came first, or is attached in the other mode.
        Some(libc::EBUSY | libc::EEXIST) => match interface.xdp() {
            Ok(Some(found)) => return SteeringErrorKind::Occupied(Box::new(found)),
            Ok(None) => {}
            Err(error) => return error.into(),
        },
        // Also what a kernel says that does not know the command, or what to attach.
        Some(libc::EINVAL) if features::xdp_links() == Support::No => {
            return SteeringErrorKind::NoXdpLinks(source);
        }
        // Says "gone" where that is the reason: the kernel's word for it is EINVAL.
        _ => {
            if let Err(error) = interface.is_up() {
                return error.into();
            }
        }
    }
    SteeringErrorKind::Refused {
        mode,
        reason: reason(interface, mode, program.buffers(), &source),
        source,
    }
}

fn program_mode(mode: XdpMode) -> ProgramMode {
    match mode {
        XdpMode::Native => ProgramMode::Native,
        XdpMode::Generic => ProgramMode::Generic,
    }
}

//! Attaching the program: native first, generic as the reported fallback.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::SteeringError;
use super::program::{Frames, Program};
use crate::kernel::features::{self, Support};
use crate::kernel::interface::{Interface, ProgramMode};
use crate::kernel::sys::bpf::{self, XdpMode};

/// Where the XDP program is to run, as asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attach {
    /// Native where the driver can, else generic; the [`AttachReport`] says
    /// which and why.
    #[default]
    Auto,
    /// In the driver, or an error that says why not.
    Native,
    /// In the kernel's stack, even where native would work.
    Generic,
}

/// Where the XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachedMode {
    /// In the driver, before there is an skb.
    Native,
    /// In the kernel's stack, on an skb.
    Generic,
}

impl fmt::Display for AttachedMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl AttachedMode {
    /// The mode in words, as the command line has it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }

    fn flag(self) -> XdpMode {
        match self {
            Self::Native => XdpMode::Native,
            Self::Generic => XdpMode::Generic,
        }
    }

    fn shown(self) -> ProgramMode {
        match self {
            Self::Native => ProgramMode::Native,
            Self::Generic => ProgramMode::Generic,
        }
    }
}

/// What was asked for, and what was got.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttachReport {
    /// What was asked for.
    pub requested: Attach,
    /// Where the program runs.
    pub got: AttachedMode,
    /// Why native mode was not to be had, where it was tried.
    pub fallback: Option<String>,
    /// Whether frames may lie in several buffers. False before Linux 5.18, and
    /// then native mode limits the MTU.
    pub multi_buffer: bool,
    /// The kernel's number for the program.
    pub program_id: u32,
}

/// Keeps the program attached for as long as it lives; a bpf_link.
#[derive(Debug)]
pub(super) struct Attachment(OwnedFd);

impl Attachment {
    /// Puts `next` in the place of `current`, between two frames.
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

/// Attaches `program` and makes sure that it was to the interface meant.
pub(super) fn attach(
    interface: &Interface,
    requested: Attach,
    program: &Program,
) -> Result<(Attachment, AttachReport), SteeringError> {
    let (link, got, fallback) = match requested {
        Attach::Generic => {
            let link = attach_as(interface, AttachedMode::Generic, program)?;
            (link, AttachedMode::Generic, None)
        }
        Attach::Native => {
            let link = attach_as(interface, AttachedMode::Native, program)?;
            (link, AttachedMode::Native, None)
        }
        Attach::Auto => match attach_as(interface, AttachedMode::Native, program) {
            Ok(link) => (link, AttachedMode::Native, None),
            Err(SteeringError::Refused { reason, .. }) => {
                let link = attach_as(interface, AttachedMode::Generic, program)?;
                (link, AttachedMode::Generic, Some(reason))
            }
            Err(error) => return Err(error),
        },
    };
    // The kernel looked the index up in this thread's namespace. The interface
    // asks in its own, so this also finds that the two differ.
    if interface.xdp_id()? != Some((program.id(), got.shown())) {
        return Err(SteeringError::OtherNamespace {
            interface: interface.name().to_owned(),
        });
    }
    let report = AttachReport {
        requested,
        got,
        fallback,
        multi_buffer: program.frames() == Frames::Any,
        program_id: program.id(),
    };
    Ok((link, report))
}

fn attach_as(
    interface: &Interface,
    mode: AttachedMode,
    program: &Program,
) -> Result<Attachment, SteeringError> {
    let index = interface.index().get();
    let source = match bpf::attach_xdp(program.fd(), index, mode.flag()) {
        Ok(link) => return Ok(Attachment(link)),
        Err(source) => source,
    };
    match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => Err(SteeringError::privileges(interface, source)),
        // Somebody was faster, or a program is there in the other mode.
        Some(libc::EBUSY | libc::EEXIST) => Err(match interface.xdp()? {
            Some(found) => SteeringError::occupied(interface, found),
            None => refused(interface, mode, program, source),
        }),
        // Also what a kernel says that does not know the command, or what to attach.
        Some(libc::EINVAL) if features::xdp_links() == Support::No => {
            Err(SteeringError::NoXdpLinks {
                interface: interface.name().to_owned(),
                source,
            })
        }
        _ => {
            // Gives "gone" where that is the reason: the kernel's word for it
            // is EINVAL.
            interface.is_up()?;
            Err(refused(interface, mode, program, source))
        }
    }
}

fn refused(
    interface: &Interface,
    mode: AttachedMode,
    program: &Program,
    source: io::Error,
) -> SteeringError {
    SteeringError::Refused {
        interface: interface.name().to_owned(),
        mode,
        reason: reason(interface, mode, program, &source),
        source,
    }
}

/// The kernel gives a number; the text that goes with it only reaches netlink
/// attachments. These are the meanings in the drivers' `ndo_bpf` and in
/// `dev_xdp_attach` (`net/core/dev.c`), Linux 5.10 to 7.3.
fn reason(
    interface: &Interface,
    mode: AttachedMode,
    program: &Program,
    error: &io::Error,
) -> String {
    let driver = interface.driver();
    let driver = driver.as_deref();
    let the_driver = driver.map_or("its driver".to_owned(), |name| format!("driver {name}"));
    let mtu = interface
        .mtu()
        .map_or(String::new(), |mtu| format!(" {mtu}"));
    let buffers = match program.frames() {
        Frames::OneBuffer => {
            ", as this kernel is older than 5.18 and keeps XDP frames in one buffer"
        }
        Frames::Any => "",
    };
    match (mode, error.raw_os_error()) {
        (AttachedMode::Native, Some(libc::EOPNOTSUPP)) => {
            format!("{the_driver} has no native XDP, or not with the offloads that are on")
        }
        // veth looks at what its peer may send.
        (AttachedMode::Native, Some(libc::ERANGE)) if driver == Some("veth") => format!(
            "the MTU of its peer is too large for native XDP{buffers}: lower it to 3506 or less"
        ),
        (AttachedMode::Native, Some(libc::ERANGE)) => {
            format!(
                "its MTU{mtu} is too large for native XDP{buffers}: lower it to 3000, for example"
            )
        }
        (AttachedMode::Native, Some(libc::ENOSPC)) if driver == Some("veth") => {
            let name = interface.name();
            format!(
                "it has fewer RX queues than its peer has TX queues: \
                 raise them with `ethtool -L {name} rx COUNT`"
            )
        }
        (AttachedMode::Native, Some(libc::ENOSPC | libc::ENOMEM)) => {
            format!("{the_driver} lacks the queues or the memory for native XDP")
        }
        (AttachedMode::Native, Some(libc::EINVAL)) => format!(
            "{the_driver} refuses native XDP as it is set up: the MTU{mtu} may be too large, \
             or LRO or a guest offload be on"
        ),
        (_, Some(libc::EEXIST | libc::EBUSY)) => {
            "an interface above it, such as a bond, has an XDP program: remove that".to_owned()
        }
        (_, _) => error.to_string(),
    }
}

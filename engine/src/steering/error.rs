//! What can go wrong with steering, and what to do about it.

use std::error::Error as StdError;
use std::io;

use thiserror::Error;

use super::AttachedMode;
use crate::kernel::interface::{AttachedProgram, Interface, InterfaceError};
use crate::steering::rules::RulesError;

/// Why frames could not be steered.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SteeringError {
    /// The interface has an XDP program, which we do not replace.
    #[error("interface `{interface}` already has {program}: {}", program.removal(interface))]
    Occupied {
        /// The interface.
        interface: String,
        /// The program that is there.
        program: Box<AttachedProgram>,
    },
    /// The kernel does not attach the program in this mode.
    #[error("could not attach to interface `{interface}` in {mode} mode: {reason}{}", alternative(*mode))]
    Refused {
        /// The interface.
        interface: String,
        /// The mode that was tried.
        mode: AttachedMode,
        /// Why, and what might help.
        reason: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel has no bpf_link for XDP.
    #[error(
        "this kernel cannot attach an XDP program to interface `{interface}` by a bpf_link, which goes with its \
         process (BPF_LINK_CREATE): use Linux 5.9 or later"
    )]
    NoXdpLinks {
        /// The interface.
        interface: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel has no `bpf(2)`.
    #[error(
        "this kernel loads no BPF programs, as steering the frames of interface `{interface}` takes: \
         use Linux 5.9 or later with CONFIG_BPF_SYSCALL=y"
    )]
    NoBpf {
        /// The interface.
        interface: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// We may not load or attach programs.
    #[error(
        "not allowed to steer the frames of interface `{interface}`: {source}; \
         run as root, or grant CAP_BPF and CAP_NET_ADMIN\
         {}",
        old_kernel_remedy(source)
    )]
    Privileges {
        /// The interface.
        interface: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel does not take the program or its maps.
    #[error(
        "could not load the XDP program for interface `{interface}`: {}; \
         it needs Linux 5.9 or later with CONFIG_BPF_SYSCALL and CONFIG_XDP_SOCKETS", brief(source.as_ref())
    )]
    Load {
        /// The interface.
        interface: String,
        /// What went wrong, with the verifier's log where there is one.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Steering by rules, flows or management reads frames, which we may not.
    #[error(
        "not allowed to read the frames of interface `{interface}`, as steering rules do: \
         run as root, or grant CAP_PERFMON besides CAP_BPF and CAP_NET_ADMIN"
    )]
    CannotRead {
        /// The interface.
        interface: String,
    },
    /// The rules do not fit, or name what is not there.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// No rules can be replaced where nothing is attached.
    #[error("interface `{interface}` is not steered any more: attach again")]
    Detached {
        /// The interface.
        interface: String,
    },
    /// The program for other rules could not be put in place.
    #[error(
        "could not replace the rules of interface `{interface}`, the old ones are in force: {source}"
    )]
    Replace {
        /// The interface.
        interface: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A flow that no frame can be of.
    #[error("no frame can be of this flow: {reason}")]
    Flow {
        /// Why.
        reason: &'static str,
    },
    /// There is no room for a flow.
    #[error(
        "interface `{interface}` has room for {capacity} flows, which are there: \
         remove some, or ask for more when it is attached"
    )]
    FlowsFull {
        /// The interface.
        interface: String,
        /// How many there can be.
        capacity: u32,
    },
    /// A map refused an operation.
    #[error("could not {operation} of interface `{interface}`: {source}")]
    Map {
        /// The interface.
        interface: String,
        /// What was tried, such as `read the hits`.
        operation: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The calling thread is in another network namespace than the interface.
    #[error(
        "interface `{interface}` is not in the network namespace of this thread: \
         attach from a thread that is in the interface's namespace"
    )]
    OtherNamespace {
        /// The interface.
        interface: String,
    },
    /// Steering was asked for without a slot for any queue.
    #[error("no queue of interface `{interface}` is to be steered: ask for one slot or more")]
    NoSlots {
        /// The interface.
        interface: String,
    },
    /// There is no slot for the queue.
    #[error(
        "interface `{interface}`: queue {queue} has no slot; there are slots for \
         {queue_slots} queue(s), from 0"
    )]
    QueueOutOfRange {
        /// The interface.
        interface: String,
        /// The queue asked for.
        queue: u32,
        /// The number of slots.
        queue_slots: u32,
    },
    /// A map refused an operation on a queue's slot.
    #[error("could not {operation} queue {queue} of interface `{interface}`: {source}")]
    Slot {
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
        /// What was tried, such as `steer frames to`.
        operation: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel did not run the program on a frame.
    #[error("could not run the XDP program of interface `{interface}` on a frame: {source}")]
    TestRun {
        /// The interface.
        interface: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The interface could not be asked.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
}

impl SteeringError {
    pub(super) fn occupied(interface: &Interface, program: AttachedProgram) -> Self {
        Self::Occupied {
            interface: interface.name().to_owned(),
            program: Box::new(program),
        }
    }

    pub(super) fn privileges(interface: &Interface, source: io::Error) -> Self {
        Self::Privileges {
            interface: interface.name().to_owned(),
            source,
        }
    }

    pub(super) fn load(interface: &Interface, source: Box<dyn StdError + Send + Sync>) -> Self {
        match os_error(source.as_ref()) {
            Some(number @ (libc::EPERM | libc::EACCES)) => {
                Self::privileges(interface, io::Error::from_raw_os_error(number))
            }
            Some(number @ libc::ENOSYS) => Self::NoBpf {
                interface: interface.name().to_owned(),
                source: io::Error::from_raw_os_error(number),
            },
            _ => Self::Load {
                interface: interface.name().to_owned(),
                source,
            },
        }
    }
}

/// The number of the system call's error at the bottom of `error`, if that is
/// what it is.
pub(super) fn os_error(error: &(dyn StdError + 'static)) -> Option<i32> {
    let mut error = error;
    loop {
        if let Some(io_error) = error.downcast_ref::<io::Error>() {
            return io_error.raw_os_error();
        }
        error = error.source()?;
    }
}

/// The kernel's error at the bottom of one of aya's, or aya's where there is
/// none.
pub(super) fn into_io(error: impl StdError + Send + Sync + 'static) -> io::Error {
    match os_error(&error) {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::other(error),
    }
}

/// One line for an error that may carry a verifier's log.
fn brief(error: &(dyn StdError + Send + Sync + 'static)) -> String {
    match os_error(error) {
        Some(number) => io::Error::from_raw_os_error(number).to_string(),
        None => error
            .to_string()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned(),
    }
}

fn alternative(mode: AttachedMode) -> &'static str {
    match mode {
        AttachedMode::Native => "; or ask for generic mode",
        AttachedMode::Generic => "",
    }
}

/// Older verifiers walk branches that are never taken, and in those frames are
/// read (6.1 refuses, 6.12 does not). Up to 5.10 the memory of maps is charged to RLIMIT_MEMLOCK, and too low a
/// limit is EPERM as well.
fn old_kernel_remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM) => "; before Linux 5.11, `ulimit -l unlimited` may be what is missing",
        Some(libc::EACCES) => "; before Linux 6.12, CAP_PERFMON as well",
        _ => "",
    }
}

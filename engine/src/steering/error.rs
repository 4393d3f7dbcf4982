//! What can go wrong with steering, and what to do about it.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use crate::kernel::interface::{AttachedProgram, Interface, InterfaceError, ProgramMode};
use crate::kernel::{InterfaceIndex, KernelCall, XskIndex, explain_refusal};
use crate::steering::rules::RulesError;

/// Why the frames of an interface could not be steered. Its message is one line,
/// which names the interface and ends with the likely remedy.
#[derive(Debug)]
pub struct SteeringError {
    interface: String,
    kind: SteeringErrorKind,
}

/// What went wrong, without the interface. See [`SteeringError::kind`].
#[derive(Debug)]
#[non_exhaustive]
pub enum SteeringErrorKind {
    /// The interface has an XDP program, which we do not replace.
    Occupied(Box<AttachedProgram>),
    /// The kernel does not attach the program in this mode.
    Refused {
        /// The mode that was tried.
        mode: ProgramMode,
        /// Why, and what might help.
        reason: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel has no bpf_link for XDP, which is Linux 5.9.
    NoXdpLinks(io::Error),
    /// The kernel has no `bpf(2)`.
    NoBpf(io::Error),
    /// We may not load or attach programs.
    Privileges(io::Error),
    /// This process, its control groups or the machine have none left of what the
    /// program, its maps or its attachment take: descriptors or memory.
    Resources(io::Error),
    /// The kernel does not take the program or its maps. The error has the
    /// verifier's log where there is one.
    Load(Box<dyn StdError + Send + Sync>),
    /// Rules, flows or management read frames, which takes CAP_PERFMON.
    CannotRead,
    /// The rules do not fit, or name what does not exist.
    Rules(RulesError),
    /// The program is detached: rules cannot be replaced.
    Detached,
    /// The program for other rules could not be attached. The old rules are in
    /// force.
    Replace(io::Error),
    /// A flow that no frame can be of, and why.
    Flow(&'static str),
    /// There is no room for another flow.
    FlowsFull {
        /// How many there can be.
        capacity: u32,
    },
    /// A map refused an operation.
    Map {
        /// What was tried, such as `read the hits`.
        operation: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The calling thread is in another network namespace than the interface.
    OtherNamespace,
    /// No slot was asked for.
    NoSlots,
    /// The queue has no slot.
    QueueOutOfRange {
        /// The queue asked for.
        queue: u32,
        /// The number of queues that have slots.
        queue_slots: u32,
    },
    /// The xsk is bound to another interface.
    OtherInterface {
        /// The kernel's number for that interface, in the xsk's network namespace.
        bound_to: InterfaceIndex,
        /// Why it cannot be the steered one.
        reason: &'static str,
    },
    /// The xsk is simulated: it has no socket.
    NoSocket,
    /// Queues do not have as many xsks.
    XskOutOfRange {
        /// The xsk asked for.
        xsk: XskIndex,
        /// How many a queue has.
        xsks: u8,
    },
    /// A map refused an operation on a queue's slot.
    Slot {
        /// The queue.
        queue: u32,
        /// What was tried, such as `steer frames to`.
        operation: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel did not run the program on a frame.
    TestRun(io::Error),
    /// The interface could not be asked.
    Interface(InterfaceError),
}

impl SteeringError {
    pub(super) fn new(interface: &Interface, kind: impl Into<SteeringErrorKind>) -> Self {
        Self {
            interface: interface.name().to_owned(),
            kind: kind.into(),
        }
    }

    /// The kind follows from the system call's error at the bottom of `source`.
    pub(super) fn load(interface: &Interface, source: Box<dyn StdError + Send + Sync>) -> Self {
        let kind = match os_error(source.as_ref()) {
            Some(number @ (libc::EPERM | libc::EACCES)) => {
                SteeringErrorKind::Privileges(io::Error::from_raw_os_error(number))
            }
            Some(number @ libc::ENOSYS) => {
                SteeringErrorKind::NoBpf(io::Error::from_raw_os_error(number))
            }
            Some(number) if is_of_resources(number) => {
                SteeringErrorKind::Resources(io::Error::from_raw_os_error(number))
            }
            _ => SteeringErrorKind::Load(source),
        };
        Self::new(interface, kind)
    }

    /// The name of the interface.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> &SteeringErrorKind {
        &self.kind
    }
}

impl From<InterfaceError> for SteeringErrorKind {
    fn from(error: InterfaceError) -> Self {
        Self::Interface(error)
    }
}

impl From<RulesError> for SteeringErrorKind {
    fn from(error: RulesError) -> Self {
        Self::Rules(error)
    }
}

impl fmt::Display for SteeringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use SteeringErrorKind as Kind;
        let interface = &self.interface;
        match &self.kind {
            Kind::Occupied(program) => write!(
                f,
                "interface `{interface}` already has {program}: {}",
                program.removal(interface)
            ),
            Kind::Refused { mode, reason, .. } => write!(
                f,
                "could not attach to interface `{interface}` in {mode} mode: {reason}{}",
                alternative(*mode)
            ),
            Kind::NoXdpLinks(_) => write!(
                f,
                "this kernel cannot attach an XDP program to interface `{interface}` by a bpf_link, \
                 which goes with its process (BPF_LINK_CREATE): use Linux 5.9 or later"
            ),
            Kind::NoBpf(source) => write!(
                f,
                "this kernel loads no BPF programs, as steering the frames of interface \
                 `{interface}` takes: use Linux 5.9 or later with CONFIG_BPF_SYSCALL=y ({})",
                explained(source)
            ),
            Kind::Privileges(source) => write!(
                f,
                "not allowed to steer the frames of interface `{interface}`: {}",
                explained(source)
            ),
            Kind::Resources(source) => write!(
                f,
                "could not have the XDP program of interface `{interface}`: {}",
                explained(source)
            ),
            Kind::Load(source) => write!(
                f,
                "could not load the XDP program for interface `{interface}`: {}; \
                 it needs Linux 5.9 or later with CONFIG_BPF_SYSCALL and CONFIG_XDP_SOCKETS",
                brief(source.as_ref())
            ),
            Kind::CannotRead => write!(
                f,
                "not allowed to read the frames of interface `{interface}`, as steering rules do: \
                 run as root, or grant CAP_PERFMON besides CAP_BPF and CAP_NET_ADMIN"
            ),
            Kind::Rules(error) => write!(f, "{error}"),
            Kind::Detached => write!(
                f,
                "interface `{interface}` is not steered any more: attach again"
            ),
            Kind::Replace(source) => write!(
                f,
                "could not replace the rules of interface `{interface}`, \
                 the old ones are in force: {}",
                explained(source)
            ),
            Kind::Flow(reason) => write!(f, "no frame can be of this flow: {reason}"),
            Kind::FlowsFull { capacity } => write!(
                f,
                "interface `{interface}` has room for {capacity} flows, which are there: \
                 remove some, or ask for more when it is attached"
            ),
            Kind::Map { operation, source } => write!(
                f,
                "could not {operation} of interface `{interface}`: {}",
                explained(source)
            ),
            Kind::OtherNamespace => write!(
                f,
                "interface `{interface}` is not in the network namespace of this thread: \
                 attach from a thread that is in the interface's namespace"
            ),
            Kind::NoSlots => write!(
                f,
                "no queue of interface `{interface}` is to be steered: ask for one slot or more"
            ),
            Kind::QueueOutOfRange { queue, queue_slots } => write!(
                f,
                "interface `{interface}`: queue {queue} has no slot; there are slots for \
                 {queue_slots} queue(s), from 0"
            ),
            Kind::OtherInterface { bound_to, reason } => write!(
                f,
                "the xsk is bound to interface {bound_to}, {reason} interface `{interface}`: \
                 insert it into the steering of its own interface"
            ),
            Kind::NoSocket => write!(
                f,
                "a simulated xsk has no socket, so no frame of interface `{interface}` \
                 can be steered to it: bind one"
            ),
            Kind::XskOutOfRange { xsk, xsks } => write!(
                f,
                "interface `{interface}`: there is no xsk {}; a queue has {xsks}, counted from 0: \
                 name one of those, or ask for more when it is attached",
                xsk.0
            ),
            Kind::Slot {
                queue,
                operation,
                source,
            } => write!(
                f,
                "could not {operation} queue {queue} of interface `{interface}`: {}",
                explained(source)
            ),
            Kind::TestRun(source) => write!(
                f,
                "could not run the XDP program of interface `{interface}` on a frame: {}",
                explained(source)
            ),
            Kind::Interface(error) => write!(f, "{error}"),
        }
    }
}

impl StdError for SteeringError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        use SteeringErrorKind as Kind;
        match &self.kind {
            Kind::Refused { source, .. }
            | Kind::Map { source, .. }
            | Kind::Slot { source, .. }
            | Kind::NoXdpLinks(source)
            | Kind::NoBpf(source)
            | Kind::Privileges(source)
            | Kind::Resources(source)
            | Kind::Replace(source)
            | Kind::TestRun(source) => Some(source),
            Kind::Load(source) => Some(source.as_ref()),
            // Their messages are the whole message.
            Kind::Rules(error) => error.source(),
            Kind::Interface(error) => error.source(),
            Kind::Occupied(_)
            | Kind::CannotRead
            | Kind::Detached
            | Kind::Flow(_)
            | Kind::FlowsFull { .. }
            | Kind::OtherNamespace
            | Kind::NoSlots
            | Kind::QueueOutOfRange { .. }
            | Kind::OtherInterface { .. }
            | Kind::NoSocket
            | Kind::XskOutOfRange { .. } => None,
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

fn alternative(mode: ProgramMode) -> &'static str {
    match mode {
        ProgramMode::Native => "; or ask for generic mode",
        _ => "",
    }
}

fn explained(error: &io::Error) -> String {
    explain_refusal(error, KernelCall::Bpf)
}

/// Whether the kernel's number says that something is used up, not that it is wrong.
pub(super) fn is_of_resources(number: i32) -> bool {
    matches!(
        number,
        libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS | libc::EAGAIN
    )
}

//! What can go wrong with an interface, and what to do about it.

use std::fmt;
use std::io;

use super::link_type::LinkType;
use crate::kernel::limits::{KernelCall, explain_refusal};
use crate::kernel::terms::InterfaceIndex;

/// Why an interface could not be looked up, asked or changed. Displays as one
/// line that ends with the remedy.
#[derive(Debug)]
#[non_exhaustive]
pub struct InterfaceError {
    /// The name of the interface; `None` where it is about all of a network
    /// namespace.
    pub interface: Option<String>,
    /// What went wrong.
    pub kind: InterfaceErrorKind,
}

/// What went wrong with an interface.
#[derive(Debug)]
#[non_exhaustive]
pub enum InterfaceErrorKind {
    /// There is no interface of that name.
    Unknown {
        /// The names that do exist in this network namespace.
        existing: Vec<String>,
    },
    /// It existed once.
    Gone {
        /// Its index.
        index: InterfaceIndex,
    },
    /// Its frames do not begin with an Ethernet header.
    NoEthernetHeader {
        /// What they begin with.
        link_type: LinkType,
    },
    /// It has no queue now.
    NoQueue {
        /// Whether it is a tap, which has one for each descriptor that holds it open.
        is_tap: bool,
    },
    /// A system call about it failed.
    Call {
        /// What was tried, such as `query`.
        operation: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl InterfaceError {
    pub(super) fn new(interface: &str, kind: InterfaceErrorKind) -> Self {
        Self {
            interface: Some(interface.to_owned()),
            kind,
        }
    }
}

impl fmt::Display for InterfaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = Subject(self.interface.as_deref());
        match &self.kind {
            InterfaceErrorKind::Unknown { existing } => write!(
                f,
                "{subject} does not exist: this network namespace has {}",
                Names(existing)
            ),
            InterfaceErrorKind::Gone { .. } => write!(
                f,
                "{subject} was deleted or moved to another network namespace: look it up again"
            ),
            InterfaceErrorKind::NoEthernetHeader { link_type } => write!(
                f,
                "frames of {subject} have no Ethernet header ({}), and Wharf reads and sends Ethernet frames: use an \
                 interface whose frames have one, such as tap instead of tun, or gretap instead of gre",
                link_type.reason()
            ),
            InterfaceErrorKind::NoQueue { is_tap: true } => write!(
                f,
                "{subject} has no queue, because no program holds this tap open: start the program it is for, such \
                 as a virtual machine, first"
            ),
            InterfaceErrorKind::NoQueue { is_tap: false } => write!(
                f,
                "{subject} has no queue now: bring it up, or give it one with `ethtool -L`"
            ),
            InterfaceErrorKind::Call { operation, source } => {
                write!(f, "could not {operation}")?;
                if self.interface.is_some() {
                    write!(f, " {subject}")?;
                }
                write!(f, ": {}", explain_refusal(source, KernelCall::Interface))
            }
        }
    }
}

impl std::error::Error for InterfaceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            InterfaceErrorKind::Call { source, .. } => Some(source),
            InterfaceErrorKind::Unknown { .. }
            | InterfaceErrorKind::Gone { .. }
            | InterfaceErrorKind::NoEthernetHeader { .. }
            | InterfaceErrorKind::NoQueue { .. } => None,
        }
    }
}

/// Turns the kernel's answer into [`InterfaceErrorKind::Call`].
pub(super) trait CallContext<T> {
    /// For a call about the interface `name`, which follows `operation` in the
    /// message.
    fn context(self, name: &str, operation: &'static str) -> Result<T, InterfaceError>;

    /// For a call about all of a network namespace.
    fn in_namespace(self, operation: &'static str) -> Result<T, InterfaceError>;
}

impl<T> CallContext<T> for io::Result<T> {
    fn context(self, name: &str, operation: &'static str) -> Result<T, InterfaceError> {
        self.map_err(|source| {
            InterfaceError::new(name, InterfaceErrorKind::Call { operation, source })
        })
    }

    fn in_namespace(self, operation: &'static str) -> Result<T, InterfaceError> {
        self.map_err(|source| InterfaceError {
            interface: None,
            kind: InterfaceErrorKind::Call { operation, source },
        })
    }
}

/// An interface by its name.
struct Subject<'a>(Option<&'a str>);

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "interface `{name}`"),
            None => f.write_str("an interface"),
        }
    }
}

/// Lists names, and cuts a long list short.
struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Enough for a host, and still one line on one with a thousand veths.
        const SHOWN: usize = 16;
        let shown = self.0.get(..SHOWN).unwrap_or(self.0);
        match self.0.len() - shown.len() {
            0 if shown.is_empty() => f.write_str("none"),
            0 => f.write_str(&shown.join(", ")),
            more => write!(f, "{} and {more} more", shown.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_list_of_names_is_cut_short() {
        let existing: Vec<_> = (0..1000).map(|number| format!("veth{number}")).collect();
        let error = InterfaceError::new("eth0", InterfaceErrorKind::Unknown { existing });

        assert!(error.to_string().ends_with("veth15 and 984 more"));
    }

    #[test]
    fn failed_call_names_the_interface_where_there_is_one() {
        let refused = || io::Result::<()>::Err(io::Error::from_raw_os_error(libc::ENODEV));

        let about_one = refused().context("eth0", "query").expect_err("refused");
        let about_all = refused().in_namespace("list them").expect_err("refused");

        let end =
            ": No such device (os error 19): it is not in the network namespace of this thread";
        assert_eq!(
            about_one.to_string(),
            format!("could not query interface `eth0`{end}")
        );
        assert_eq!(about_all.to_string(), format!("could not list them{end}"));
    }
}

//! What can go wrong with an interface, and what to do about it.

use std::fmt;
use std::io;

use thiserror::Error;

use crate::kernel::terms::InterfaceIndex;

/// Why an interface could not be looked up, asked or changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InterfaceError {
    /// There is no interface of that name.
    #[error(
        "interface `{name}` does not exist: this network namespace has {}",
        Names(existing)
    )]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names that do exist in this network namespace.
        existing: Vec<String>,
    },
    /// It existed once.
    #[error(
        "interface `{name}` was deleted or moved to another network namespace: look it up again"
    )]
    Gone {
        /// Its name when it was looked up.
        name: String,
        /// Its index.
        index: InterfaceIndex,
    },
    /// A system call about it failed.
    #[error("could not {operation} interface `{name}`: {source}{}", remedy(source))]
    Call {
        /// What was tried, such as `query`.
        operation: &'static str,
        /// The interface.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Events about interfaces cannot be had.
    #[error("could not watch interfaces for changes: {source}{}", remedy(source))]
    Watch {
        /// What the kernel said.
        #[from]
        source: io::Error,
    },
}

/// Turns the kernel's answer into [`InterfaceError::Call`].
pub(super) trait CallContext<T> {
    fn context(self, name: &str, operation: &'static str) -> Result<T, InterfaceError>;
}

impl<T> CallContext<T> for io::Result<T> {
    fn context(self, name: &str, operation: &'static str) -> Result<T, InterfaceError> {
        self.map_err(|source| InterfaceError::Call {
            operation,
            name: name.to_owned(),
            source,
        })
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => "; run as root, or grant CAP_NET_RAW and CAP_NET_ADMIN",
        Some(libc::EMFILE) => "; raise the limit of open files with `ulimit -n`",
        Some(libc::ENODEV) => "; it is not in the network namespace of this thread",
        _ => "",
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
        let error = InterfaceError::Unknown {
            name: "eth0".into(),
            existing,
        };

        assert!(error.to_string().ends_with("veth15 and 984 more"));
    }
}

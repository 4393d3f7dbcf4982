//! What can go wrong: the operation, its input, the kernel's answer, a remedy.
//!
//! Every message fits on one line and ends with the likely remedy, so a command
//! line can print it as it is.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation of a testbed failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A host's namespace could not be made or entered.
    #[error("host `{host}`: cannot {operation}: {source}{}", remedy(.source))]
    Namespace {
        /// The host's name.
        host: String,
        /// What was tried.
        operation: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },

    /// The kernel refused a netlink request.
    #[error("host `{host}`: cannot {operation}: {source}{}{}", quoted(.explanation), remedy(.source))]
    Netlink {
        /// The host in whose namespace the request was made.
        host: String,
        /// What was tried, with its input.
        operation: String,
        /// The kernel's answer.
        source: io::Error,
        /// The kernel's own words, where it gave any.
        explanation: Option<String>,
    },

    /// An operation on one interface failed.
    #[error("interface `{interface}` of host `{host}`: cannot {operation}: {source}{}", remedy(.source))]
    Interface {
        /// The host that has the interface.
        host: String,
        /// The interface's name.
        interface: String,
        /// What was tried, with its input.
        operation: String,
        /// The kernel's answer.
        source: io::Error,
    },

    /// The kernel took the request and left the offload as it was.
    #[error(
        "interface `{interface}` of host `{host}`: `{feature}` stays as it is; the driver or an attached XDP program fixes it"
    )]
    OffloadFixed {
        /// The host that has the interface.
        host: String,
        /// The interface's name.
        interface: String,
        /// The kernel's name of the feature, as `ethtool -k` shows it.
        feature: String,
    },

    /// A program could not be started.
    #[error("host `{host}`: cannot start `{program}`: {source}{}", remedy(.source))]
    Spawn {
        /// The host it was meant for.
        host: String,
        /// The program.
        program: String,
        /// The kernel's answer.
        source: io::Error,
    },

    /// A child process could not be watched, signalled or reaped.
    #[error("host `{host}`: cannot {operation} `{program}`: {source}{}", remedy(.source))]
    Child {
        /// The host it runs in.
        host: String,
        /// The program.
        program: String,
        /// What was tried.
        operation: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },

    /// A program took longer than its limit; `finish`, `stop` and `run_*` kill it.
    #[error(
        "host `{host}`: `{program}` did not {awaited} within {limit:?}; it said: {output:?}; raise the limit or look at what it waits for"
    )]
    CommandTimeout {
        /// The host it ran in.
        host: String,
        /// The program.
        program: String,
        /// What was waited for.
        awaited: String,
        /// The limit.
        limit: Duration,
        /// Its standard output and standard error until then.
        output: String,
    },

    /// A program ended without success.
    #[error("host `{host}`: `{program}` ended with {status}; it said: {output:?}")]
    CommandFailed {
        /// The host it ran in.
        host: String,
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// Its standard output and standard error.
        output: String,
    },

    /// A link cannot be impaired.
    #[error("cannot impair the link: {reason}")]
    Impairment {
        /// What is wrong, and what to do about it.
        reason: String,
    },

    /// An awaited state did not come about.
    #[error("interface `{interface}` of host `{host}`: no {awaited} within {limit:?}{remedy}")]
    Timeout {
        /// The host that has the interface.
        host: String,
        /// The interface's name.
        interface: String,
        /// What was waited for.
        awaited: &'static str,
        /// The limit.
        limit: Duration,
        /// What to do about it, with its separator.
        remedy: &'static str,
    },
}

impl Error {
    /// The kernel's answer, where one is behind this error.
    pub fn io_error(&self) -> Option<&io::Error> {
        match self {
            Self::Namespace { source, .. }
            | Self::Netlink { source, .. }
            | Self::Interface { source, .. }
            | Self::Spawn { source, .. }
            | Self::Child { source, .. } => Some(source),
            _ => None,
        }
    }

    /// Whether the thing operated on does not exist (any more).
    pub(crate) fn is_missing(&self) -> bool {
        let code = self.io_error().and_then(io::Error::raw_os_error);
        matches!(code, Some(libc::ENODEV | libc::ENXIO))
    }
}

/// The likely remedy for an answer of the kernel, with its separator.
fn remedy(source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(libc::EPERM) => {
            "; CAP_SYS_ADMIN, CAP_NET_ADMIN or CAP_NET_RAW is missing: run as root"
        }
        Some(libc::EACCES) => "; if this is about IPv6, make the host with Host::with_ipv6",
        Some(libc::EEXIST) => "; it exists already: choose another name or address",
        Some(libc::ENODEV | libc::ENXIO) => {
            "; the interface is gone: it, its peer or its host was deleted"
        }
        Some(libc::ENOENT) => "; check the name, and that it is installed",
        Some(libc::ENETDOWN) => "; set the interface up first",
        Some(libc::EMSGSIZE) => "; the frame exceeds the MTU: raise it at both ends",
        Some(libc::EMFILE) => "; raise the limit on open files (ulimit -n)",
        Some(libc::ENOSPC) => "; raise /proc/sys/user/max_net_namespaces",
        Some(libc::EOPNOTSUPP) => "; the kernel or the driver lacks this: see its configuration",
        _ => "",
    }
}

fn quoted(explanation: &Option<String>) -> String {
    explanation
        .as_ref()
        .map(|words| format!(" ({words})"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_privilege_is_named_in_the_message() {
        let error = Error::Namespace {
            host: "client".into(),
            operation: "create its network namespace",
            source: io::Error::from_raw_os_error(libc::EPERM),
        };

        let message = error.to_string();

        assert!(message.contains("`client`"), "{message}");
        assert!(message.ends_with("run as root"), "{message}");
    }

    #[test]
    fn kernel_explanation_is_quoted() {
        let error = Error::Netlink {
            host: "client".into(),
            operation: "create a link".into(),
            source: io::Error::from_raw_os_error(libc::EINVAL),
            explanation: Some("unsupported".into()),
        };

        assert!(error.to_string().contains("(unsupported)"));
        assert!(!error.is_missing());
    }
}

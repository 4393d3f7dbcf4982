//! Whether management traffic stays with the kernel.

use clap::Args;
use wharf::KeepManagement;

/// [`KeepManagement`] on the command line.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct ManagementArgs {
    /// Leave management traffic to the kernel on both interfaces [default: on
    /// those that carry the default route]
    #[arg(long, hide_short_help = true)]
    pub keep_management: bool,
    /// Take management traffic too, even on an interface that carries the
    /// default route: SSH through it breaks off
    #[arg(long, hide_short_help = true, conflicts_with = "keep_management")]
    pub take_everything: bool,
}

impl From<ManagementArgs> for KeepManagement {
    fn from(arguments: ManagementArgs) -> Self {
        match (arguments.keep_management, arguments.take_everything) {
            (true, _) => Self::Always,
            (false, true) => Self::Never,
            (false, false) => Self::Auto,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Command, parse};
    use super::*;
    use crate::exit::Failure;

    fn keep(option: &str) -> Result<KeepManagement, Failure> {
        let line = format!("wharf forward eth0 eth1 {option}");
        match parse(line.split_whitespace())? {
            Some(Command::Forward(arguments)) => Ok(arguments.management.into()),
            other => panic!("not a forward: {other:?}"),
        }
    }

    #[test]
    fn management_traffic_is_kept_or_taken_but_not_both() {
        let both = keep("--keep-management --take-everything").expect_err("they conflict");

        assert!(both.to_string().contains("cannot be used with"), "{both}");
        for (option, kept) in [
            ("", KeepManagement::Auto),
            ("--keep-management", KeepManagement::Always),
            ("--take-everything", KeepManagement::Never),
        ] {
            assert_eq!(keep(option).expect("a good command line"), kept);
        }
    }
}

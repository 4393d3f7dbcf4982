//! What to run when a capability is missing: this very command, as root.

use std::env;

use caps::{CapSet, Capability};

use crate::exit::Failure;

/// Fails with one line that names those of `needed` that this process lacks.
pub fn require(purpose: &str, needed: &[Capability]) -> Result<(), Failure> {
    let mut missing = needed
        .iter()
        .filter(|capability| !has(**capability))
        .peekable();
    if missing.peek().is_none() {
        return Ok(());
    }
    Err(refusal(purpose, missing.map(Capability::to_string)))
}

/// The engine's error, with the command to run where a privilege is missing.
pub fn explain(error: wharf::Error) -> Failure {
    match error {
        wharf::Error::Privileges(missing) => refusal("forwarding", missing.names()),
        other => other.into(),
    }
}

fn refusal(purpose: &str, missing: impl Iterator<Item = String>) -> Failure {
    let missing: Vec<String> = missing.collect();
    let missing = missing.join(", ");
    Failure::Run(format!(
        "{purpose} needs {missing}, which this process lacks; run: {}",
        this_command_as_root()
    ))
}

/// What to type to run this very command with all privileges.
pub fn this_command_as_root() -> String {
    as_root(env::args_os().map(|argument| argument.to_string_lossy().into_owned()))
}

/// Where the kernel does not report it, the attempt itself will show.
fn has(capability: Capability) -> bool {
    caps::has_cap(None, CapSet::Effective, capability).unwrap_or(true)
}

fn as_root(arguments: impl Iterator<Item = String>) -> String {
    std::iter::once("sudo".to_owned())
        .chain(arguments.map(|argument| quoted(&argument)))
        .collect::<Vec<_>>()
        .join(" ")
}

fn quoted(argument: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+[]".contains(c);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hint_repeats_the_command_line_and_quotes_for_the_shell() {
        let line = ["target/release/wharf", "forward", "eth0", "it's", ""];

        let hint = as_root(line.into_iter().map(str::to_owned));

        assert_eq!(hint, r"sudo target/release/wharf forward eth0 'it'\''s' ''");
    }
}

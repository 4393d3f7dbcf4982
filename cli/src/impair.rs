//! `wharf impair`: lists and changes what a running forwarder does to frames on their way.
//!
//! The input is read and checked first, so that a wrong request is never sent.

use std::io;
use std::thread;
use std::time::Duration;

use crate::args::{ImpairArgs, ImpairCommand, ImpairDirection};
use crate::control::{Client, Command, ImpairmentListing};
use crate::exit::Failure;
use crate::find;
use crate::impair_input;
use crate::printable;
use crate::report::{Format, write_impairments, write_line};
use crate::stdout;

/// Makes one request and ends.
pub fn run(arguments: &ImpairArgs) -> Result<(), Failure> {
    let connect = || find::forwarder(arguments.target.control.as_deref(), arguments.target.pid);
    let (command, format) = match &arguments.command {
        ImpairCommand::List { json, watch } => {
            let format = Format::of(*json);
            if let Some(pause) = watch {
                return self::watch(&mut connect()?, format, *pause);
            }
            (Command::ImpairList {}, format)
        }
        ImpairCommand::Set {
            direction,
            impairment,
        } => (set(impairment, direction)?, Format::of(false)),
        ImpairCommand::Clear { direction } => {
            let ImpairDirection { from, revision } = direction.clone();
            (Command::ImpairClear { from, revision }, Format::of(false))
        }
    };
    let listing = connect()?.ask(&command)?;
    stdout::outcome(write(&listing, format))
}

fn set(words: &[String], direction: &ImpairDirection) -> Result<Command, Failure> {
    let text = words.join(" ");
    impair_input::impairment("set", &text)?;
    let ImpairDirection { from, revision } = direction.clone();
    Ok(Command::ImpairSet {
        impairment: text,
        from,
        revision,
    })
}

/// Prints them every `pause`, until the forwarder or the reader of standard output has
/// ended, or a signal ends this process.
fn watch(client: &mut Client, format: Format, pause: Duration) -> Result<(), Failure> {
    loop {
        let listing = client.ask(&Command::ImpairList {})?;
        let written = write(&listing, format);
        if written.is_err() {
            return stdout::outcome(written);
        }
        thread::sleep(pause);
    }
}

fn write(listing: &ImpairmentListing, format: Format) -> io::Result<()> {
    let mut out = printable::stdout();
    match format {
        Format::Json => write_line(&mut out, listing),
        Format::Table => write_impairments(&mut out, listing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impairment_in_several_words_is_one() {
        let words = ["delay", "20ms", "loss", "1%"].map(str::to_owned);

        let command = set(&words, &ImpairDirection::default()).expect("a good one");

        let expected = Command::ImpairSet {
            impairment: "delay 20ms loss 1%".into(),
            from: None,
            revision: None,
        };
        assert_eq!(command, expected);
    }

    #[test]
    fn bad_impairment_never_leaves_the_command() {
        let bad = set(&["delay -5ms".to_owned()], &ImpairDirection::default());

        assert!(
            matches!(&bad, Err(Failure::Text { message, .. }) if message.starts_with("set: column 7: ")),
            "{bad:?}"
        );
    }
}

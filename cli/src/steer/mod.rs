//! `wharf steer`: lists and changes the steering of a running forwarder.
//!
//! The input is read and checked first, so that a wrong request is never sent.

mod explain;
mod flows;
mod list;

use std::io::Write;
use std::path::Path;

use crate::args::{FlowCommand, Guard, SteerArgs, SteerCommand};
use crate::control::{Client, Command, Edited};
use crate::exit::{Failure, one_line};
use crate::explain::explain;
use crate::find;
use crate::frame_input::Frames;
use crate::printable;
use crate::report::{Format, counted};
use crate::rule_input;
use crate::stdout::print;

/// Makes one request and ends.
pub fn run(arguments: &SteerArgs) -> Result<(), Failure> {
    let connect = || find::forwarder(arguments.target.control.as_deref(), arguments.target.pid);
    let text = match &arguments.command {
        SteerCommand::List { json, watch } => {
            let format = Format::of(*json);
            return match watch {
                None => list::once(&mut connect()?, format),
                Some(pause) => list::watch(&mut connect()?, format, *pause),
            };
        }
        SteerCommand::Add { at, guard, rule } => {
            let command = add(rule, *at, *guard)?;
            edit(&mut connect()?, &command)?
        }
        SteerCommand::Remove { number, guard } => {
            let command = Command::Remove {
                number: *number,
                revision: guard.revision,
            };
            edit(&mut connect()?, &command)?
        }
        SteerCommand::Replace { file, guard } => {
            let command = replace(file, *guard)?;
            edit(&mut connect()?, &command)?
        }
        SteerCommand::Default { action, guard } => {
            let action = rule_input::action("default", action)?;
            let command = Command::Default {
                action: action.to_string(),
                revision: guard.revision,
            };
            edit(&mut connect()?, &command)?
        }
        SteerCommand::Undecided { action, guard } => {
            rule_input::undecided("undecided", action)?;
            let command = Command::Undecided {
                action: action.trim().to_owned(),
                revision: guard.revision,
            };
            edit(&mut connect()?, &command)?
        }
        SteerCommand::Explain { frames, json } => {
            let frames = Frames::open(frames)?;
            return explain(&explain::ask(&mut connect()?)?, frames, *json);
        }
        SteerCommand::Flow(command) => return run_flow(command, connect),
    };
    print(&text)
}

fn run_flow(
    command: &FlowCommand,
    connect: impl Fn() -> Result<Client, Failure>,
) -> Result<(), Failure> {
    match command {
        FlowCommand::Add { action, flow } => {
            let flow = flows::one(action, flow)?;
            print(&flows::add(&mut connect()?, &[flow])?)
        }
        FlowCommand::Remove { flow } => {
            let flow = rule_input::flow("flow remove", &flow.join(" "))?;
            print(&flows::remove(&mut connect()?, &flow)?)
        }
        FlowCommand::Load { action, file } => {
            let action = rule_input::action("--action", action)?;
            let flows = rule_input::flows_of_file(file, action)?;
            print(&flows::add(&mut connect()?, &flows)?)
        }
        FlowCommand::List => flows::list(&mut connect()?, &mut printable::stdout()),
        FlowCommand::Count { json } => print(&flows::count(&mut connect()?, *json)?),
    }
}

fn add(words: &[String], at: Option<usize>, guard: Guard) -> Result<Command, Failure> {
    if at == Some(0) {
        let text = "--at 0: rules are counted from 1".to_owned();
        return Err(Failure::Usage(text));
    }
    let text = words.join(" ");
    rule_input::rule("add", &text)?;
    Ok(Command::Add {
        rule: text,
        at,
        revision: guard.revision,
    })
}

fn replace(file: &Path, guard: Guard) -> Result<Command, Failure> {
    Ok(Command::Replace {
        rules: rule_input::replacement_of_file(file)?,
        revision: guard.revision,
    })
}

/// What an edit did. What is odd about it goes to standard error.
fn edit(client: &mut Client, command: &Command) -> Result<String, Failure> {
    let reply: Edited = client.ask(command)?;
    for note in &reply.notes {
        // Standard error may be closed.
        let _ = writeln!(printable::stderr(), "wharf: {}", one_line(note));
    }
    Ok(edited(&reply))
}

fn edited(edited: &Edited) -> String {
    let mut text = String::new();
    if let (Some(number), Some(rule)) = (edited.number, &edited.rule) {
        text += &format!("rule {number}: {rule}\n");
    }
    if let Some(previous) = &edited.previous_default {
        text += &format!("default {} (it was {previous})\n", edited.default);
    }
    if let Some(previous) = &edited.previous_undecided {
        text += &format!("undecided {} (it was {previous})\n", edited.undecided);
    }
    let rules = counted(edited.rules, "rule");
    text + &format!("revision {}, {rules}\n", edited.revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_in_several_words_is_one_rule() {
        let words = ["drop", "tcp", "port", "80"].map(str::to_owned);

        let command = add(&words, Some(2), Guard { revision: Some(9) }).expect("a good rule");

        let expected = Command::Add {
            rule: "drop tcp port 80".into(),
            at: Some(2),
            revision: Some(9),
        };
        assert_eq!(command, expected);
    }

    #[test]
    fn bad_rule_never_leaves_the_command() {
        let bad = add(&["tcp port 70000".to_owned()], None, Guard::default());
        let number = add(&["tcp".to_owned()], Some(0), Guard::default());

        assert!(
            matches!(&bad, Err(Failure::Text { message, .. }) if message.starts_with("add: column 10: ")),
            "{bad:?}"
        );
        assert!(matches!(number, Err(Failure::Usage(text)) if text.contains("from 1")));
    }

    #[test]
    fn edit_is_confirmed_with_what_it_did() {
        let mut reply = Edited {
            revision: 4,
            rules: 1,
            number: Some(2),
            rule: Some("drop udp".into()),
            default: "pass".into(),
            ..Edited::default()
        };

        let with_rule = edited(&reply);
        (reply.number, reply.rule) = (None, None);
        let without = edited(&reply);
        reply.previous_default = Some("redirect".into());
        let default = edited(&reply);

        assert_eq!(with_rule, "rule 2: drop udp\nrevision 4, 1 rule\n");
        assert_eq!(without, "revision 4, 1 rule\n");
        assert_eq!(
            default,
            "default pass (it was redirect)\nrevision 4, 1 rule\n"
        );
    }
}

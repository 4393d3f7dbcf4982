//! `wharf rules`: works on rules without an interface, and without privileges.

use std::collections::HashMap;
use std::path::Path;

use crate::args::{RulesArgs, RulesCommand};
use crate::exit::Failure;
use crate::explain::{Asked, explain};
use crate::frame_input::Frames;
use crate::rule_input;

/// Reads the rules and the frames, and prints what becomes of these.
pub fn run(arguments: &RulesArgs) -> Result<(), Failure> {
    let RulesCommand::Test {
        rules,
        frames,
        json,
    } = &arguments.command;
    if rules == Path::new("-") && frames == &["-"] {
        let text = "standard input can be the rules or the capture, not both";
        return Err(Failure::Usage(text.to_owned()));
    }
    let asked = Asked {
        rules: rule_input::rules_of_file(rules)?,
        flows: HashMap::new(),
    };
    explain(&asked, Frames::open(frames)?, *json)
}

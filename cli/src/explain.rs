//! Asks rules about frames, and prints what they decide: for `rules test` and
//! `steer explain`.

use std::collections::HashMap;
use std::io::{self, Write};

use wharf::{Action, Flow, RuleSet};

use crate::exit::Failure;
use crate::frame_input::Frames;
use crate::printable;
use crate::report::{ExplainedFrames, write_line};
use crate::stdout::outcome;

/// What decides about frames.
pub struct Asked {
    pub rules: RuleSet,
    pub flows: HashMap<Flow, Action>,
}

/// Prints what becomes of each frame, and how many were decided by what.
pub fn explain(asked: &Asked, mut frames: Frames, json: bool) -> Result<(), Failure> {
    let mut out = printable::on(io::BufWriter::new(io::stdout().lock()));
    let mut all = ExplainedFrames::new(&asked.rules);
    let end = loop {
        let captured = match frames.next() {
            Ok(Some(captured)) => captured,
            Ok(None) => break Ok(()),
            // What was read before is good, and is printed.
            Err(failure) => break Err(failure),
        };
        let flow = Flow::of(&captured.bytes);
        let flow_action = flow.and_then(|flow| asked.flows.get(&flow).copied());
        let explanation = asked
            .rules
            .explain_first(&captured.bytes, captured.frame_bytes);
        let lengths = (captured.bytes.len(), captured.frame_bytes);
        let frame = all.add(&explanation, lengths, flow, flow_action);
        let written = if json {
            write_line(&mut out, &frame)
        } else {
            frame.write(&mut out)
        };
        if written.is_err() {
            return outcome(written);
        }
    };
    let written = if json {
        write_line(&mut out, &all)
    } else {
        all.write(&mut out)
    };
    outcome(written.and_then(|()| out.flush()))?;
    end
}

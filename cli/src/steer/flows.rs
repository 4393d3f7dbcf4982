//! Exact flows: one by one, and by the thousand.

use std::io::{self, Write};

use wharf::{Action, Flow};

use crate::control::{Client, Command, FLOWS_PER_MESSAGE, FlowCount, FlowPage, FlowsChanged};
use crate::exit::Failure;
use crate::flow_line::{flow_line, split_action};
use crate::report::counted;
use crate::{rule_input, stdout};

/// The flow in `words`, which may begin with an action of its own.
pub fn one(action: &str, words: &[String]) -> Result<(Flow, Action), Failure> {
    let action = rule_input::action("--action", action)?;
    let text = words.join(" ");
    let (action, flow, _) = split_action(&text, action);
    Ok((rule_input::flow("flow add", flow)?, action))
}

/// Adds `flows` in batches. Each batch is added as a whole or not at all.
pub fn add(client: &mut Client, flows: &[(Flow, Action)]) -> Result<String, Failure> {
    let (mut added, mut count) = (0, 0);
    for (index, batch) in flows.chunks(FLOWS_PER_MESSAGE).enumerate() {
        let lines = batch.iter().map(|(flow, action)| flow_line(*action, flow));
        let command = Command::FlowAdd {
            flows: lines.collect(),
        };
        let changed: FlowsChanged = client.ask(&command).map_err(|error| {
            let before = index * FLOWS_PER_MESSAGE;
            match before {
                0 => Failure::from(error),
                _ => Failure::Run(format!(
                    "{error} (the first {before} of {} flows are loaded)",
                    flows.len()
                )),
            }
        })?;
        added += changed.changed;
        count = changed.count;
    }
    Ok(format!(
        "{} read, {added} new; {count} in all\n",
        counted(flows.len(), "flow")
    ))
}

/// Removes a flow, which has to be there.
pub fn remove(client: &mut Client, flow: &Flow) -> Result<String, Failure> {
    let command = Command::FlowRemove {
        flows: vec![flow.to_string()],
    };
    let changed: FlowsChanged = client.ask(&command)?;
    if changed.changed == 0 {
        return Err(Failure::Run(format!("there is no flow {flow}")));
    }
    Ok(format!("removed; {} in all\n", changed.count))
}

/// Writes every flow, a page at a time.
pub fn list(client: &mut Client, out: &mut impl Write) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(out);
    let mut after = None;
    loop {
        let page: FlowPage = client.ask(&Command::FlowList { after })?;
        let written = page
            .flows
            .iter()
            .try_for_each(|flow| writeln!(out, "{flow}"));
        if written.is_err() {
            return stdout::outcome(written);
        }
        after = page.after;
        if after.is_none() {
            return stdout::outcome(out.flush());
        }
    }
}

pub fn count(client: &mut Client, json: bool) -> Result<String, Failure> {
    let count: FlowCount = client.ask(&Command::FlowCount {})?;
    if json {
        let object = serde_json::to_string(&count).expect("numbers");
        return Ok(object + "\n");
    }
    Ok(format!("{} of {}\n", count.count, count.capacity))
}

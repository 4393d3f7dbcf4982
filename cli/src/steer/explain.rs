//! `wharf steer explain`: what the rules of a running forwarder decide.

use std::collections::HashMap;

use wharf::{Action, Flow, ParseError, RuleSet};

use crate::control::{Client, Command, FlowPage, Listing};
use crate::exit::Failure;
use crate::explain::Asked;
use crate::flow_line::split_action;

/// The rules and flows of the forwarder.
pub fn ask(client: &mut Client) -> Result<Asked, Failure> {
    let listing: Listing = client.ask(&Command::List {})?;
    let rules = rules_of(&listing).map_err(|error| not_understood(&error))?;
    let flows = if listing.flows.count > 0 {
        flows(client)?
    } else {
        HashMap::new()
    };
    Ok(Asked { rules, flows })
}

fn rules_of(listing: &Listing) -> Result<RuleSet, ParseError> {
    let rules: Vec<_> = listing
        .rules
        .iter()
        .map(|entry| entry.rule.parse())
        .collect::<Result<_, ParseError>>()?;
    let mut rules = RuleSet::new(rules, listing.default.action.parse()?);
    rules.undecided = match listing.undecided.action.as_str() {
        "next" => None,
        action => Some(action.parse()?),
    };
    Ok(rules)
}

fn flows(client: &mut Client) -> Result<HashMap<Flow, Action>, Failure> {
    let mut flows = HashMap::new();
    let mut after = None;
    loop {
        let page: FlowPage = client.ask(&Command::FlowList { after })?;
        for line in &page.flows {
            let (action, text, _) = split_action(line, Action::REDIRECT);
            let flow = text.parse().map_err(|error| not_understood(&error))?;
            flows.insert(flow, action);
        }
        if page.after.is_none() {
            return Ok(flows);
        }
        after = page.after;
    }
}

/// Rules come from a forwarder of another version, perhaps.
fn not_understood(error: &ParseError) -> Failure {
    Failure::Run(format!(
        "the forwarder's rules are not understood here: {error}"
    ))
}

//! Does what clients ask, one edit at a time.
//!
//! Edits name rules by their numbers, and numbers change when rules come and
//! go. So rules have a revision that goes up with every edit; a client that
//! names the one it has seen is refused when that is not the one there is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;
use wharf::{Action, Flow, Rule, RuleSet};

use super::listing::{Facts, FinalRules};
use super::message::{
    Command, Edited, FlowCount, FlowPage, FlowsChanged, Listing, Refusal, RefusalCode, reply_line,
};
use super::steered::Steered;
use super::{FLOWS_PER_MESSAGE, RULES_BYTES_MAX};
use crate::language::{flow_line, split_action};

/// Answers requests about one engine.
pub struct Clerk<'a> {
    steered: &'a dyn Steered,
    facts: Facts,
    desk: Mutex<Desk>,
}

/// What an edit changes, beside the engine.
struct Desk {
    revision: u64,
    /// What is in the engine's tables: only the clerk writes there.
    flows: BTreeMap<FlowKey, Action>,
}

/// A flow in an order that pages can follow.
type FlowKey = (u8, SocketAddr, SocketAddr);

impl<'a> Clerk<'a> {
    pub fn new(steered: &'a dyn Steered, facts: Facts) -> Self {
        Self {
            steered,
            facts,
            desk: Mutex::new(Desk {
                revision: 1,
                flows: BTreeMap::new(),
            }),
        }
    }

    /// The rules as the last edit left them, for [`FinalRules::listing`].
    pub fn close(self) -> FinalRules {
        let desk = self
            .desk
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        FinalRules {
            rules: self.steered.rules(),
            revision: desk.revision,
            flows: count(desk.flows.len()),
            facts: self.facts,
        }
    }

    /// The reply to a line, as a line.
    pub fn answer(&self, line: &str) -> String {
        reply_line(Command::from_line(line).and_then(|command| self.carry_out(command)))
    }

    /// The rules and what they counted so far.
    pub fn listing(&self) -> Result<Listing, Refusal> {
        let desk = self.desk();
        let hits = self.steered.hits().map_err(refused)?;
        Ok(self.facts.listing(
            desk.revision,
            &self.steered.rules(),
            &hits,
            count(desk.flows.len()),
        ))
    }

    fn carry_out(&self, command: Command) -> Result<Value, Refusal> {
        match command {
            Command::List {} => self.listing().map(value),
            Command::Add { rule, at, revision } => self.edit(revision, |set| {
                let rule: Rule = rule.parse().map_err(bad_rule)?;
                let most = set.rules.len() + 1;
                let number = at.unwrap_or(most);
                if !(1..=most).contains(&number) {
                    return Err(no_such_rule(format!(
                        "no place {number} for a rule: give 1 to {most}"
                    )));
                }
                let text = rule.to_string();
                set.rules.insert(number - 1, rule);
                Ok((Some(number), Some(text)))
            }),
            Command::Remove { number, revision } => self.edit(revision, |set| {
                let index = number.wrapping_sub(1);
                if index >= set.rules.len() {
                    return Err(no_such_rule(match set.rules.len() {
                        0 => format!("there is no rule {number}: there are none"),
                        most => format!("there is no rule {number}: give 1 to {most}"),
                    }));
                }
                let rule = set.rules.remove(index);
                Ok((Some(number), Some(rule.to_string())))
            }),
            Command::Replace { rules, revision } => self.edit(revision, |set| {
                *set = rules.parse().map_err(bad_rule)?;
                Ok((None, None))
            }),
            Command::Default {
                action: text,
                revision,
            } => self.edit(revision, |set| {
                set.default = text.parse().map_err(bad_rule)?;
                Ok((None, None))
            }),
            Command::FlowAdd { flows } => self.add_flows(&flows).map(value),
            Command::FlowRemove { flows } => self.remove_flows(&flows).map(value),
            Command::FlowList { after } => self.list_flows(after.as_deref()).map(value),
            Command::FlowCount {} => Ok(value(self.flow_count())),
        }
    }

    /// Changes the rules by `change`, or leaves them as they are. It gives the
    /// number and the text of the rule it was about.
    fn edit(
        &self,
        revision: Option<u64>,
        change: impl FnOnce(&mut RuleSet) -> Result<(Option<usize>, Option<String>), Refusal>,
    ) -> Result<Value, Refusal> {
        let mut desk = self.desk();
        if let Some(seen) = revision.filter(|seen| *seen != desk.revision) {
            return Err(Refusal::new(
                RefusalCode::RulesChanged,
                format!(
                    "the rules have changed: they are at revision {}, not {seen}; look at them with `wharf steer list`",
                    desk.revision
                ),
            ));
        }
        let mut rules = self.steered.rules();
        let (number, rule) = change(&mut rules)?;
        let text = rules.to_string();
        if text.len() > RULES_BYTES_MAX {
            return Err(bad_rule(format!(
                "the rules would be {} bytes of text together, and {RULES_BYTES_MAX} is the most",
                text.len()
            )));
        }
        self.steered.replace_rules(&rules).map_err(refused)?;
        desk.revision += 1;
        Ok(value(Edited {
            revision: desk.revision,
            rules: rules.rules.len(),
            number,
            rule,
        }))
    }

    /// All of them, or none.
    fn add_flows(&self, lines: &[String]) -> Result<FlowsChanged, Refusal> {
        let flows = read_flows(lines)?;
        let mut desk = self.desk();
        let capacity = self.facts.flow_capacity;
        let new: BTreeSet<FlowKey> = flows
            .iter()
            .map(|(flow, _)| key(flow))
            .filter(|key| !desk.flows.contains_key(key))
            .collect();
        let (count_now, added) = (count(desk.flows.len()), count(new.len()));
        if count_now + added > u64::from(capacity) {
            return Err(Refusal::new(
                RefusalCode::FlowsFull,
                match capacity {
                    0 => "this forwarder has no room for flows: start it with --flow-capacity N"
                        .to_owned(),
                    _ => format!(
                        "no room for {added} more flows: there are {count_now}, and room for {capacity}; start the forwarder with a larger --flow-capacity"
                    ),
                },
            ));
        }
        let mut done = Vec::new();
        for (flow, action) in flows {
            if let Err(error) = self.steered.insert_flow(&flow, action) {
                self.undo(&mut desk, &done);
                return Err(refused(error));
            }
            done.push((flow, desk.flows.insert(key(&flow), action)));
        }
        let is_new = |(_, before): &&(Flow, Option<Action>)| before.is_none();
        let changed = count(done.iter().filter(is_new).count());
        Ok(desk.flows_changed(changed))
    }

    /// Makes each of these flows what it was, the last one first.
    fn undo(&self, desk: &mut Desk, done: &[(Flow, Option<Action>)]) {
        for (flow, before) in done.iter().rev() {
            let undone = match before {
                Some(action) => self.steered.insert_flow(flow, *action),
                None => self.steered.remove_flow(flow).map(drop),
            };
            // One that cannot be is still there, and is listed.
            if undone.is_ok() {
                match before {
                    Some(action) => desk.flows.insert(key(flow), *action),
                    None => desk.flows.remove(&key(flow)),
                };
            }
        }
    }

    fn remove_flows(&self, lines: &[String]) -> Result<FlowsChanged, Refusal> {
        let flows = read_flows(lines)?;
        let mut desk = self.desk();
        let mut changed = 0;
        for (flow, _) in flows {
            let was_there = self.steered.remove_flow(&flow).map_err(refused)?;
            desk.flows.remove(&key(&flow));
            changed += u64::from(was_there);
        }
        Ok(desk.flows_changed(changed))
    }

    fn list_flows(&self, after: Option<&str>) -> Result<FlowPage, Refusal> {
        let begin = match after {
            None => Bound::Unbounded,
            Some(text) => Bound::Excluded(key(&read_flow(text)?.0)),
        };
        let desk = self.desk();
        let mut rest = desk.flows.range((begin, Bound::Unbounded)).peekable();
        let lines: Vec<(String, Flow)> = rest
            .by_ref()
            .take(FLOWS_PER_MESSAGE)
            .map(|(key, action)| {
                let flow = flow(key);
                (flow_line(*action, &flow), flow)
            })
            .collect();
        let more = rest.peek().is_some();
        let last = lines.last().filter(|_| more);
        Ok(FlowPage {
            after: last.map(|(_, flow)| flow.to_string()),
            flows: lines.into_iter().map(|(line, _)| line).collect(),
        })
    }

    fn flow_count(&self) -> FlowCount {
        FlowCount {
            count: count(self.desk().flows.len()),
            capacity: self.facts.flow_capacity.into(),
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        // Changed by single statements only, so it is good whatever panicked.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    fn flows_changed(&self, changed: u64) -> FlowsChanged {
        FlowsChanged {
            changed,
            count: count(self.flows.len()),
        }
    }
}

fn read_flows(lines: &[String]) -> Result<Vec<(Flow, Action)>, Refusal> {
    lines.iter().map(|line| read_flow(line)).collect()
}

fn read_flow(line: &str) -> Result<(Flow, Action), Refusal> {
    let (action, text, _) = split_action(line, Action::REDIRECT);
    let flow = text.parse().map_err(bad_rule)?;
    Ok((flow, action))
}

fn key(flow: &Flow) -> FlowKey {
    (flow.protocol, flow.source, flow.destination)
}

fn flow(&(protocol, source, destination): &FlowKey) -> Flow {
    Flow {
        protocol,
        source,
        destination,
    }
}

fn count(len: usize) -> u64 {
    u64::try_from(len).expect("a collection in memory")
}

fn value(reply: impl Serialize) -> Value {
    serde_json::to_value(reply).expect("strings and numbers")
}

fn bad_rule(error: impl ToString) -> Refusal {
    Refusal::new(RefusalCode::BadRule, error.to_string())
}

fn no_such_rule(error: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::NoSuchRule, error)
}

fn refused(error: String) -> Refusal {
    Refusal::new(RefusalCode::Refused, error)
}

#[cfg(test)]
mod tests;

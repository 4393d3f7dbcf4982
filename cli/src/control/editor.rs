//! Edits the rules and flows of a running engine on behalf of clients, one edit at a
//! time.
//!
//! An edit names a rule by its number, and numbers change when rules are added and
//! removed. So the rules have a revision that every edit raises. A client may name the
//! revision it has seen; if that is not the current one, the edit is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;
use wharf::{Action, Flow, Rule, RuleSet};

use super::impairing::{Change, Impairing};
use super::listing::{FinalRules, ForwarderInfo, undecided_text};
use super::message::{
    Command, Edited, FlowCount, FlowPage, FlowsChanged, Listing, Refusal, RefusalCode, reply_line,
};
use super::protocol::{FLOWS_PER_MESSAGE, RULES_BYTES_MAX};
use super::steerable::Steerable;
use crate::flow_line::{flow_line, split_action};
use crate::rule_notes;

/// Answers requests about one engine.
pub struct Editor<'a> {
    target: &'a dyn Steerable,
    info: ForwarderInfo,
    state: Mutex<State>,
    impairing: Impairing,
}

/// What an edit changes, beside the engine.
struct State {
    revision: u64,
    /// What the engine's flow tables hold: only the editor writes there.
    flows: BTreeMap<FlowKey, Action>,
}

/// A flow in an order that pages can follow.
type FlowKey = (u8, SocketAddr, SocketAddr);

impl<'a> Editor<'a> {
    pub fn new(target: &'a dyn Steerable, info: ForwarderInfo) -> Self {
        Self {
            target,
            info,
            state: Mutex::new(State {
                revision: 1,
                flows: BTreeMap::new(),
            }),
            impairing: Impairing::default(),
        }
    }

    /// With the impairments of the wire that runs.
    pub fn impairing(self, impairing: Impairing) -> Self {
        Self { impairing, ..self }
    }

    /// The rules as the last edit left them, for [`FinalRules::listing`].
    pub fn close(self) -> FinalRules {
        let state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        FinalRules {
            rules: self.target.rules(),
            revision: state.revision,
            flows: count(state.flows.len()),
            info: self.info,
        }
    }

    /// The reply to a line, as a line.
    pub fn reply_to(&self, line: &str) -> String {
        reply_line(Command::from_line(line).and_then(|command| self.carry_out(command)))
    }

    /// The rules and what they counted so far.
    pub fn listing(&self) -> Result<Listing, Refusal> {
        let state = self.lock();
        let hits = self.target.hits().map_err(refused)?;
        Ok(self.info.listing(
            state.revision,
            &self.target.rules(),
            &hits,
            count(state.flows.len()),
        ))
    }

    fn carry_out(&self, command: Command) -> Result<Value, Refusal> {
        match command {
            Command::Info {} => Ok(value(self.info.message())),
            Command::List {} => self.listing().map(value),
            Command::Add { rule, at, revision } => self.edit(revision, |set| {
                let rule: Rule = rule.parse().map_err(bad_rule)?;
                let most = set.rules.len() + 1;
                let number = at.unwrap_or(most);
                if !(1..=most).contains(&number) {
                    return Err(no_such_rule(format!(
                        "a rule cannot be number {number}: the range is 1 to {most}"
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
                        0 => format!("there is no rule {number}: there are no rules"),
                        most => format!("there is no rule {number}: the range is 1 to {most}"),
                    }));
                }
                let rule = set.rules.remove(index);
                Ok((Some(number), Some(rule.to_string())))
            }),
            Command::Replace { rules, revision } => self.edit(revision, |set| {
                *set = set.replaced_by(&rules).map_err(bad_rule)?;
                Ok((None, None))
            }),
            Command::Default {
                action: text,
                revision,
            } => self.edit(revision, |set| {
                set.default = text.parse().map_err(bad_rule)?;
                Ok((None, None))
            }),
            Command::Undecided {
                action: text,
                revision,
            } => self.edit(revision, |set| {
                set.undecided = match text.as_str() {
                    "next" => None,
                    text => Some(text.parse().map_err(bad_rule)?),
                };
                Ok((None, None))
            }),
            Command::FlowAdd { flows } => self.add_flows(&flows).map(value),
            Command::FlowRemove { flows } => self.remove_flows(&flows).map(value),
            Command::FlowList { after } => self.list_flows(after.as_deref()).map(value),
            Command::FlowCount {} => Ok(value(self.flow_count())),
            Command::ImpairList {} => Ok(value(self.impairing.listing(&self.info))),
            Command::ImpairSet {
                impairment,
                from,
                revision,
            } => {
                let change = Change { from, revision };
                (self.impairing)
                    .set(Some(&impairment), &change, &self.info)
                    .map(value)
            }
            Command::ImpairClear { from, revision } => {
                let change = Change { from, revision };
                self.impairing.set(None, &change, &self.info).map(value)
            }
        }
    }

    /// Changes the rules by `change`, or leaves them as they are. `change` returns
    /// the number and the text of the rule it is about.
    fn edit(
        &self,
        revision: Option<u64>,
        change: impl FnOnce(&mut RuleSet) -> Result<(Option<usize>, Option<String>), Refusal>,
    ) -> Result<Value, Refusal> {
        let mut state = self.lock();
        if let Some(seen) = revision.filter(|seen| *seen != state.revision) {
            return Err(Refusal::new(
                RefusalCode::RulesChanged,
                format!(
                    "the rules have changed: they are at revision {}, not {seen}; see `wharf steer list`",
                    state.revision
                ),
            ));
        }
        let before = self.target.rules();
        let mut rules = before.clone();
        let (number, rule) = change(&mut rules)?;
        let text = rules.to_string();
        if text.len() > RULES_BYTES_MAX {
            return Err(bad_rule(format!(
                "the rules would be {} bytes of text together; the limit is {RULES_BYTES_MAX}",
                text.len()
            )));
        }
        self.target.replace_rules(&rules).map_err(refused)?;
        state.revision += 1;
        Ok(value(Edited {
            revision: state.revision,
            rules: rules.rules.len(),
            number,
            rule,
            default: rules.default.to_string(),
            previous_default: (rules.default != before.default).then(|| before.default.to_string()),
            undecided: undecided_text(rules.undecided),
            previous_undecided: (rules.undecided != before.undecided)
                .then(|| undecided_text(before.undecided)),
            notes: self.notes(&before, &rules),
        }))
    }

    /// What is odd about `rules` that was not about those `before`.
    fn notes(&self, before: &RuleSet, rules: &RuleSet) -> Vec<String> {
        let mut notes = rule_notes::repeated_since(before, rules);
        let forwards = rule_notes::redirects(rules) || self.info.flow_capacity > 0;
        if !forwards && rule_notes::redirects(before) {
            notes.push(format!(
                "{}: `wharf steer default redirect` forwards what no rule matches",
                rule_notes::NOTHING_REDIRECTED
            ));
        }
        notes
    }

    /// All of them, or none.
    fn add_flows(&self, lines: &[String]) -> Result<FlowsChanged, Refusal> {
        let flows = read_flows(lines)?;
        let mut state = self.lock();
        let capacity = self.info.flow_capacity;
        let new: BTreeSet<FlowKey> = flows
            .iter()
            .map(|(flow, _)| key(flow))
            .filter(|key| !state.flows.contains_key(key))
            .collect();
        let (count_now, added) = (count(state.flows.len()), count(new.len()));
        if count_now + added > u64::from(capacity) {
            return Err(Refusal::new(
                RefusalCode::FlowsFull,
                match capacity {
                    0 => "this forwarder has no room for flows: start it with --flow-capacity N"
                        .to_owned(),
                    _ => format!(
                        "no room for {added} more flows: {count_now} of {capacity} are in use; start the forwarder with a larger --flow-capacity"
                    ),
                },
            ));
        }
        let mut done = Vec::new();
        for (flow, action) in flows {
            if let Err(error) = self.target.insert_flow(&flow, action) {
                self.undo(&mut state, &done);
                return Err(refused(error));
            }
            done.push((flow, state.flows.insert(key(&flow), action)));
        }
        let is_new = |(_, before): &&(Flow, Option<Action>)| before.is_none();
        let changed = count(done.iter().filter(is_new).count());
        Ok(state.flows_changed(changed))
    }

    /// Restores each of these flows, the last one first.
    fn undo(&self, state: &mut State, done: &[(Flow, Option<Action>)]) {
        for (flow, before) in done.iter().rev() {
            let undone = match before {
                Some(action) => self.target.insert_flow(flow, *action),
                None => self.target.remove_flow(flow).map(drop),
            };
            // One that cannot be restored is still in the table, and is listed.
            if undone.is_ok() {
                match before {
                    Some(action) => state.flows.insert(key(flow), *action),
                    None => state.flows.remove(&key(flow)),
                };
            }
        }
    }

    fn remove_flows(&self, lines: &[String]) -> Result<FlowsChanged, Refusal> {
        let flows = read_flows(lines)?;
        let mut state = self.lock();
        let mut changed = 0;
        for (flow, _) in flows {
            let was_there = self.target.remove_flow(&flow).map_err(refused)?;
            state.flows.remove(&key(&flow));
            changed += u64::from(was_there);
        }
        Ok(state.flows_changed(changed))
    }

    fn list_flows(&self, after: Option<&str>) -> Result<FlowPage, Refusal> {
        let begin = match after {
            None => Bound::Unbounded,
            Some(text) => Bound::Excluded(key(&read_flow(text)?.0)),
        };
        let state = self.lock();
        let mut rest = state.flows.range((begin, Bound::Unbounded)).peekable();
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
            count: count(self.lock().flows.len()),
            capacity: self.info.flow_capacity.into(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Changed by single statements only, so it is good whatever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
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

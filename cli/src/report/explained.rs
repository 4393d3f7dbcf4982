//! What rules decide about frames and why, as text and as JSON.

use std::io::{self, Write};

use serde::Serialize;
use wharf::{Action, Explanation, Flow, RuleSet};

use super::text::{counted, grouped};
use crate::control::undecided_text;

/// A frame, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "frame")]
pub struct ExplainedFrame {
    /// Counted from 1.
    frame: u64,
    bytes: usize,
    captured_bytes: usize,
    flow: Option<String>,
    action: String,
    decided_by: DecidedBy,
    /// The number of the rule that decides, counted from 1.
    rule: Option<usize>,
    rule_text: Option<String>,
    undecided: Vec<Unanswered>,
    /// What keeps fields from being read.
    unread: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum DecidedBy {
    Flow,
    Rule,
    Undecided,
    Default,
}

/// A rule that the frame leaves undecided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Unanswered {
    rule: usize,
    rule_text: String,
    questions: Vec<String>,
}

/// How many frames were decided by what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "summary")]
pub struct ExplainedFrames {
    frames: u64,
    rules: Vec<RuleFrames>,
    undecided: ActionFrames,
    default: ActionFrames,
    /// Frames of flows.
    flow_frames: u64,
    /// Frames that left a rule undecided.
    undecided_frames: u64,
    /// Frames of which the capture has a part.
    cut_frames: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct RuleFrames {
    number: usize,
    rule: String,
    frames: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct ActionFrames {
    action: String,
    frames: u64,
}

impl ExplainedFrames {
    /// No frames yet.
    pub fn new(rules: &RuleSet) -> Self {
        let rule_frames = |(index, rule): (usize, &wharf::Rule)| RuleFrames {
            number: index + 1,
            rule: rule.to_string(),
            frames: 0,
        };
        Self {
            frames: 0,
            rules: rules.rules.iter().enumerate().map(rule_frames).collect(),
            undecided: ActionFrames {
                action: undecided_text(rules.undecided),
                frames: 0,
            },
            default: ActionFrames {
                action: rules.default.to_string(),
                frames: 0,
            },
            flow_frames: 0,
            undecided_frames: 0,
            cut_frames: 0,
        }
    }

    /// Counts a frame of `frame_bytes` bytes, of which there are `captured_bytes`.
    /// `flow_action` is that of its flow, if it is of one that is known.
    pub fn add(
        &mut self,
        explanation: &Explanation,
        (captured_bytes, frame_bytes): (usize, usize),
        flow: Option<Flow>,
        flow_action: Option<Action>,
    ) -> ExplainedFrame {
        self.frames += 1;
        self.cut_frames += u64::from(captured_bytes < frame_bytes);
        let decision = &explanation.decision;
        let (decided_by, rule) = match (flow_action, decision.by) {
            (Some(_), _) => (DecidedBy::Flow, None),
            (None, wharf::DecidedBy::Rule(index)) => (DecidedBy::Rule, Some(index)),
            (None, wharf::DecidedBy::Undecided(_)) => (DecidedBy::Undecided, None),
            (None, wharf::DecidedBy::Default) => (DecidedBy::Default, None),
        };
        *match (decided_by, rule) {
            (_, Some(index)) => &mut self.rules[index].frames,
            (DecidedBy::Flow, None) => &mut self.flow_frames,
            (DecidedBy::Undecided, None) => &mut self.undecided.frames,
            (_, None) => &mut self.default.frames,
        } += 1;
        let undecided: Vec<Unanswered> = if decided_by == DecidedBy::Flow {
            Vec::new()
        } else {
            let unanswered = explanation.undecided.iter().map(|undecided| Unanswered {
                rule: undecided.rule + 1,
                rule_text: self.rules[undecided.rule].rule.clone(),
                questions: undecided
                    .questions
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
            });
            unanswered.collect()
        };
        self.undecided_frames += u64::from(!undecided.is_empty());
        ExplainedFrame {
            frame: self.frames,
            bytes: frame_bytes,
            captured_bytes,
            flow: flow.map(|flow| flow.to_string()),
            action: flow_action.unwrap_or(decision.action).to_string(),
            decided_by,
            rule: rule.map(|index| index + 1),
            rule_text: rule.map(|index| self.rules[index].rule.clone()),
            unread: explanation
                .unread
                .filter(|_| !undecided.is_empty())
                .map(|unread| unread.to_string()),
            undecided,
        }
    }

    /// Writes a row for each rule and the default, and notes.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{:>5}  {:>15}  rule", "", "frames")?;
        for entry in &self.rules {
            let frames = grouped(entry.frames);
            writeln!(out, "{:>5}  {frames:>15}  {}", entry.number, entry.rule)?;
        }
        let mut row =
            |frames: u64, what: &str| writeln!(out, "{:>5}  {:>15}  {what}", "", grouped(frames));
        if self.undecided.action != "next" {
            let text = format!("undecided {}", self.undecided.action);
            row(self.undecided.frames, &text)?;
        }
        row(
            self.default.frames,
            &format!("default {}", self.default.action),
        )?;
        if self.flow_frames > 0 {
            row(self.flow_frames, "flows")?;
        }
        if self.undecided_frames > 0 {
            let frames = counted(self.undecided_frames, "frame");
            writeln!(out, "{frames} left a rule undecided")?;
        }
        if self.cut_frames > 0 {
            let frames = counted(self.cut_frames, "frame");
            writeln!(
                out,
                "{frames} cut off by the capture: what is missing counts as cut off"
            )?;
        }
        Ok(())
    }
}

impl ExplainedFrame {
    /// Writes a line, and one for each rule that is undecided.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { frame, bytes, .. } = self;
        write!(out, "{frame}: {bytes} bytes")?;
        if self.captured_bytes < self.bytes {
            write!(out, ", {} captured", self.captured_bytes)?;
        }
        if let Some(flow) = &self.flow {
            write!(out, ", {flow}")?;
        }
        write!(out, ": {}, ", self.action)?;
        match (self.decided_by, self.rule, &self.rule_text) {
            (_, Some(number), Some(text)) => writeln!(out, "by rule {number}: {text}")?,
            (DecidedBy::Flow, ..) => writeln!(out, "by its flow")?,
            (DecidedBy::Undecided, ..) => writeln!(out, "undecided")?,
            _ => writeln!(out, "by default")?,
        }
        for unanswered in &self.undecided {
            let questions: Vec<String> = unanswered
                .questions
                .iter()
                .map(|question| format!("`{question}`"))
                .collect();
            write!(
                out,
                "   rule {} is undecided at {}",
                unanswered.rule,
                questions.join(", ")
            )?;
            match &self.unread {
                Some(unread) => writeln!(out, ": {unread}")?,
                None => writeln!(out)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A later fragment of UDP from 10.0.0.1 to 10.0.0.2.
    const FRAGMENT: [u8; 38] = [
        2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 24, 0, 0, 0, 1, 64, 17, 0, 0, 10, 0,
        0, 1, 10, 0, 0, 2, 0, 53, 0, 53,
    ];

    fn text(write: impl Fn(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut bytes = Vec::new();
        write(&mut bytes).expect("memory takes everything");
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn frame_says_which_rule_and_which_question_has_no_answer() {
        let rules: RuleSet = "drop udp port 53\nredirect ip".parse().expect("good rules");
        let mut frames = ExplainedFrames::new(&rules);

        let explanation = rules.explain(&FRAGMENT);
        let frame = frames.add(&explanation, (38, 1500), None, None);

        assert_eq!(
            text(|out| frame.write(out)),
            "1: 1500 bytes, 38 captured: redirect, by rule 2: redirect ip\n   \
             rule 1 is undecided at `src port 53`, `dst port 53`: it is an IP fragment after the first\n"
        );
        let json = serde_json::to_value(&frame).expect("it is JSON");
        assert_eq!(json["type"], "frame");
        assert_eq!(
            (&json["rule"], &json["decided_by"]),
            (&2.into(), &"rule".into())
        );
        assert_eq!(json["undecided"][0]["questions"][1], "dst port 53");
    }

    #[test]
    fn summary_counts_frames_by_what_decided() {
        let rules: RuleSet = "drop udp\ndefault pass".parse().expect("good rules");
        let mut frames = ExplainedFrames::new(&rules);

        let udp = rules.explain(&FRAGMENT);
        frames.add(&udp, (38, 38), None, None);
        frames.add(&udp, (38, 38), None, Some(Action::Pass));
        frames.add(&rules.explain(&[0; 14]), (14, 14), None, None);

        let rows = text(|out| frames.write(out));
        let rows: Vec<&str> = rows.lines().map(str::trim).collect();
        assert_eq!(rows[1], "1                1  drop udp");
        assert_eq!(rows[2], "1  default pass");
        assert_eq!(rows[3], "1  flows");
        let json = serde_json::to_value(&frames).expect("it is JSON");
        assert_eq!(
            (&json["type"], &json["frames"]),
            (&"summary".into(), &3.into())
        );
        assert_eq!(json["rules"][0]["frames"], 1);
    }
}

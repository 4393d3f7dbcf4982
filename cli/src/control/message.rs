//! Requests and replies, as JSON.

use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::protocol::VERSION;

/// A request. Rules and flows are text in the language of `--match`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Which forwarder this is: [`Info`]. The reply never waits for an edit.
    Info {},
    /// The rules and what they counted: [`Listing`].
    List {},
    /// One more rule: [`Edited`].
    Add {
        rule: String,
        /// Its number, from 1; behind the others where there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<usize>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<u64>,
    },
    /// One rule less: [`Edited`].
    Remove {
        number: usize,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<u64>,
    },
    /// Other rules: [`Edited`].
    Replace {
        /// As a rules file. Without a line `default ACTION`, the default stays.
        rules: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<u64>,
    },
    /// Another default: [`Edited`].
    Default {
        action: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<u64>,
    },
    /// Another action for undecided frames, or `next`: [`Edited`].
    Undecided {
        action: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<u64>,
    },
    /// More flows, `ACTION FLOW` each: [`FlowsChanged`].
    FlowAdd { flows: Vec<String> },
    /// Fewer flows, `FLOW` each: [`FlowsChanged`].
    FlowRemove { flows: Vec<String> },
    /// Some of the flows: [`FlowPage`].
    FlowList {
        /// The last one of the page before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
    },
    /// How many flows there are: [`FlowCount`].
    FlowCount {},
    /// What is done to frames on their way: [`ImpairmentListing`].
    ImpairList {},
    /// Another impairment: [`ImpairmentListing`].
    ImpairSet {
        impairment: String,
        /// The interface that frames come in on; both where there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<u64>,
    },
    /// No impairment: [`ImpairmentListing`].
    ImpairClear {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<u64>,
    },
}

impl Command {
    /// The request as one line.
    pub fn to_line(&self) -> String {
        let mut object = serde_json::to_value(self).expect("strings and numbers");
        object["version"] = VERSION.into();
        format!("{object}\n")
    }

    /// Reads a request.
    pub fn from_line(line: &str) -> Result<Self, Refusal> {
        let mut object: Map<String, Value> = serde_json::from_str(line).map_err(|error| {
            Refusal::bad_request(format!("the line is not a JSON object: {error}"))
        })?;
        let version = object.remove("version");
        if version != Some(VERSION.into()) {
            let found = version.map_or_else(|| "none".to_owned(), |version| version.to_string());
            return Err(Refusal::new(
                RefusalCode::UnsupportedVersion,
                format!(
                    "the request's version is {found}, and this forwarder speaks version {VERSION}"
                ),
            ));
        }
        serde_json::from_value(Value::Object(object))
            .map_err(|error| Refusal::bad_request(format!("not a request: {error}")))
    }
}

/// Why a request was refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: RefusalCode,
    /// One line.
    pub error: String,
}

/// What sort of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The line is no request.
    BadRequest,
    /// It is one of another version of the protocol.
    UnsupportedVersion,
    /// A rule, flow or action cannot be parsed.
    BadRule,
    /// No rule has the number.
    NoSuchRule,
    /// The rules are not those of the revision that the request names.
    RulesChanged,
    /// More flows than there is room for.
    FlowsFull,
    /// An impairment cannot be parsed.
    BadImpairment,
    /// The forwarder has no interface of the name.
    NoSuchInterface,
    /// The impairments are not those of the revision that the request names.
    ImpairmentsChanged,
    /// The engine or the kernel refused.
    Refused,
    /// Too many clients, or too slow a one.
    Busy,
    /// One that this version does not know.
    #[serde(other)]
    Other,
}

impl Refusal {
    pub fn new(code: RefusalCode, error: impl Into<String>) -> Self {
        Self {
            code,
            error: crate::exit::one_line(&error.into()),
        }
    }

    pub fn bad_request(error: impl Into<String>) -> Self {
        Self::new(RefusalCode::BadRequest, error)
    }
}

/// A reply as one line.
pub fn reply_line(outcome: Result<Value, Refusal>) -> String {
    let object = match outcome {
        Ok(mut object) => {
            object["version"] = VERSION.into();
            object["ok"] = true.into();
            object
        }
        Err(Refusal { code, error }) => {
            json!({ "version": VERSION, "ok": false, "code": code, "error": error })
        }
    };
    format!("{object}\n")
}

/// Reads a reply.
pub fn reply_from_line(line: &str) -> Result<Result<Value, Refusal>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Failed {
        code: RefusalCode,
        error: String,
    }
    let mut object: Map<String, Value> = serde_json::from_str(line)?;
    let version = object.remove("version").unwrap_or_default();
    match object.remove("ok") {
        Some(Value::Bool(false)) => {
            let Failed { code, error } = serde_json::from_value(Value::Object(object))?;
            Ok(Err(Refusal { code, error }))
        }
        Some(Value::Bool(true)) if version == VERSION => Ok(Ok(Value::Object(object))),
        _ => Err(serde_json::Error::custom(format!(
            "not a reply of version {VERSION}"
        ))),
    }
}

/// Which forwarder this is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    pub pid: u32,
    pub interfaces: Vec<String>,
}

/// The rules of a running forwarder and what they counted since it started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    pub pid: u32,
    pub interfaces: Vec<String>,
    /// Goes up with every change of the rules.
    pub revision: u64,
    pub rules: Vec<RuleEntry>,
    pub default: DefaultEntry,
    /// Frames of which a rule is undecided, where they are not left to the next rule;
    /// the action is `next` then.
    pub undecided: DefaultEntry,
    pub flows: FlowsEntry,
    /// Management traffic, which passes to the kernel before any rule.
    pub management: OtherEntry,
    /// Frames that were to be redirected to an xsk that is not there: no hits of a
    /// rule, but passed or dropped as `--no-socket` says.
    pub no_xsk: OtherEntry,
    /// Frames decided by removed rules.
    pub removed: OtherEntry,
}

/// A rule and the frames it decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleEntry {
    pub number: usize,
    pub rule: String,
    #[serde(flatten)]
    pub hits: HitCount,
}

/// The default, or what is said of undecided frames, and the frames left to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultEntry {
    pub action: String,
    #[serde(flatten)]
    pub hits: HitCount,
}

/// The flows and the frames they decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowsEntry {
    pub count: u64,
    pub capacity: u64,
    #[serde(flatten)]
    pub hits: HitCount,
}

/// Frames decided by neither rules, default nor flows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherEntry {
    #[serde(flatten)]
    pub hits: HitCount,
}

/// Frames decided, in all and on each interface, in the order of `interfaces`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HitCount {
    pub hits: u64,
    pub hits_by_interface: Vec<u64>,
}

impl HitCount {
    pub fn of(by_interface: impl Iterator<Item = u64>) -> Self {
        let hits_by_interface: Vec<u64> = by_interface.collect();
        Self {
            hits: hits_by_interface.iter().sum(),
            hits_by_interface,
        }
    }
}

/// The rules were changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edited {
    /// Of the rules as they are now.
    pub revision: u64,
    /// How many there are now.
    pub rules: usize,
    /// The number of the rule that was added or removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<usize>,
    /// That rule, as it was understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The action for frames that match no rule.
    pub default: String,
    /// What that was before, if the edit has changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_default: Option<String>,
    /// The action for undecided frames, or `next`.
    pub undecided: String,
    /// What that was before, if the edit has changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_undecided: Option<String>,
    /// What is odd about the rules since this edit, one line each.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Flows were added or removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowsChanged {
    /// How many of those in the request were new, or were there to be removed.
    pub changed: u64,
    /// How many there are now.
    pub count: u64,
}

/// Some of the flows, in an order of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowPage {
    /// `ACTION FLOW` each.
    pub flows: Vec<String>,
    /// What to ask for next; `None` after the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// How many flows there are, and may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowCount {
    pub count: u64,
    pub capacity: u64,
}

/// What a running forwarder does to frames on their way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImpairmentListing {
    pub pid: u32,
    pub interfaces: Vec<String>,
    /// Goes up with every change of the impairments.
    pub revision: u64,
    /// Frames that can be held for each direction.
    pub capacity_frames: Option<u32>,
    /// First interface to second, and back.
    pub directions: Vec<ImpairmentEntry>,
}

/// What is done to the frames of a direction, and was since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImpairmentEntry {
    pub from: String,
    pub to: String,
    pub impairment: Option<String>,
    /// Now.
    pub held_frames: u64,
    pub lost_frames: u64,
    pub over_limit_frames: u64,
    pub duplicated_frames: u64,
    pub not_duplicated_frames: u64,
    pub corrupted_frames: u64,
    pub reordered_frames: u64,
}

impl ImpairmentEntry {
    /// What came on top of `earlier`; what is held is held now.
    pub fn since(self, earlier: &Self) -> Self {
        let Self {
            lost_frames,
            over_limit_frames,
            duplicated_frames,
            not_duplicated_frames,
            corrupted_frames,
            reordered_frames,
            ..
        } = earlier;
        Self {
            lost_frames: self.lost_frames.saturating_sub(*lost_frames),
            over_limit_frames: self.over_limit_frames.saturating_sub(*over_limit_frames),
            duplicated_frames: self.duplicated_frames.saturating_sub(*duplicated_frames),
            not_duplicated_frames: (self.not_duplicated_frames)
                .saturating_sub(*not_duplicated_frames),
            corrupted_frames: self.corrupted_frames.saturating_sub(*corrupted_frames),
            reordered_frames: self.reordered_frames.saturating_sub(*reordered_frames),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_reads_back_as_it_was() {
        let requests = [
            Command::List {},
            Command::Add {
                rule: "tcp port 80".into(),
                at: Some(2),
                revision: None,
            },
            Command::Remove {
                number: 3,
                revision: Some(7),
            },
            Command::FlowList { after: None },
        ];

        for request in requests {
            let line = request.to_line();

            assert_eq!(line.matches('\n').count(), 1, "{line}");
            assert_eq!(Command::from_line(&line), Ok(request));
        }
    }

    #[test]
    fn line_that_is_no_request_is_refused_with_the_reason() {
        use RefusalCode::{BadRequest, UnsupportedVersion};
        let cases = [
            ("", BadRequest, "not a JSON object"),
            ("[]", BadRequest, "not a JSON object"),
            ("{\"version\":1", BadRequest, "not a JSON object"),
            (
                r#"{"command":"list"}"#,
                UnsupportedVersion,
                "version is none",
            ),
            (
                r#"{"version":2,"command":"list"}"#,
                UnsupportedVersion,
                "version is 2",
            ),
            (r#"{"version":1}"#, BadRequest, "command"),
            (r#"{"version":1,"command":"sing"}"#, BadRequest, "sing"),
            (
                r#"{"version":1,"command":"remove"}"#,
                BadRequest,
                "missing field `number`",
            ),
            (
                r#"{"version":1,"command":"remove","number":-1}"#,
                BadRequest,
                "-1",
            ),
            (
                r#"{"version":1,"command":"remove","number":1,"revison":4}"#,
                BadRequest,
                "revison",
            ),
            (r#"{"version":1,"command":"list","at":4}"#, BadRequest, "at"),
        ];

        for (line, code, needle) in cases {
            let refusal = Command::from_line(line).expect_err(line);

            assert_eq!(refusal.code, code, "{line}: {refusal:?}");
            assert!(refusal.error.contains(needle), "{line}: {refusal:?}");
        }
    }

    #[test]
    fn reply_reads_back_as_it_was() {
        let good = json!({ "count": 3, "capacity": 8 });
        let bad = Refusal::new(RefusalCode::RulesChanged, "other\nrules");

        let good_line = reply_line(Ok(good.clone()));
        let bad_line = reply_line(Err(bad.clone()));

        assert_eq!(reply_from_line(&good_line).expect("a reply"), Ok(good));
        assert_eq!(reply_from_line(&bad_line).expect("a reply"), Err(bad));
        assert!(bad_line.contains("\"rules_changed\"") && bad_line.contains("other rules"));
        assert!(reply_from_line(r#"{"version":2,"ok":true}"#).is_err());
    }
}

//! Rules, actions and flows as text.

use std::fmt;
use std::net::SocketAddr;

use crate::steering::rules::names::{PORT_PROTOCOLS, name_of};
use crate::steering::rules::{Action, Flow, Rule, RuleSet};

impl fmt::Display for RuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for rule in &self.rules {
            writeln!(f, "{rule}")?;
        }
        if let Some(action) = self.undecided {
            writeln!(f, "undecided {action}")?;
        }
        write!(f, "default {}", self.default)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.action, self.expression)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            &Self::REDIRECT => f.write_str("redirect"),
            Self::Redirect(index) => write!(f, "redirect:{}", index.0),
            Self::Pass => f.write_str("pass"),
            Self::Drop => f.write_str("drop"),
        }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match name_of(PORT_PROTOCOLS, self.protocol) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "{}", self.protocol)?,
        }
        // Without the zone of an IPv6 address, which is not on the wire.
        let end = |end: SocketAddr| SocketAddr::new(end.ip(), end.port());
        write!(f, " {} > {}", end(self.source), end(self.destination))
    }
}

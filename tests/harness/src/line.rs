//! The engine in the middle of an impairable link, which forwards between its two ends
//! and impairs what it forwards.
//!
//! It runs on threads of this process, in a namespace of its own.

use std::fmt;

use wharf::impairment::{Impairment, ImpairmentCounts, Impairments};
use wharf::{Engine, InterfaceId};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::interface::Interface;

/// A running engine; stopped on drop.
pub(crate) struct Line {
    engine: Option<Engine>,
    impairments: Impairments,
    host: Host,
}

/// One of the two ends of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkEnd {
    /// The end in the first host.
    Near,
    /// The end in the second host.
    Far,
}

impl Line {
    /// Forwards between two interfaces of `host`.
    pub(crate) fn start(host: &Host, left: &Interface, right: &Interface) -> Result<Self> {
        let impairments = Impairments::new();
        let wires = impairments.clone();
        let builder = Engine::builder()
            .interface(left.name())
            .interface(right.name())
            .promiscuous();
        let started = host.try_run(move || builder.start(move |context| wires.wire(context)))?;
        let engine = started.map_err(|error| refused(&error))?;
        Ok(Self {
            engine: Some(engine),
            impairments,
            host: host.clone(),
        })
    }

    /// Impairs what comes in at an end, or at both; not at all without a text.
    pub(crate) fn set(&self, end: Option<LinkEnd>, text: Option<&str>) -> Result<()> {
        let impairment: Option<Impairment> =
            (text.map(str::parse).transpose()).map_err(|error| refused(&error))?;
        let set = match end {
            Some(end) => self.impairments.set(id(end), impairment),
            None => self.impairments.set_both([impairment.clone(), impairment]),
        };
        set.map_err(|error| refused(&error))
    }

    pub(crate) fn counts(&self, end: LinkEnd) -> ImpairmentCounts {
        self.impairments.counts(id(end))
    }
}

fn id(end: LinkEnd) -> InterfaceId {
    match end {
        LinkEnd::Near => InterfaceId(0),
        LinkEnd::Far => InterfaceId(1),
    }
}

fn refused(error: &dyn fmt::Display) -> Error {
    Error::Impairment {
        reason: error.to_string(),
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            // It undoes what it did to interfaces that are there. Where that fails, the
            // namespace goes with the link.
            let _ = self.host.try_run(move || drop(engine.stop()));
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

//! Changes the impairments of a running wire on behalf of clients, and lists them.
//!
//! They have a revision of their own, as rules have: see [`Editor`](super::editor::Editor).

use std::sync::{Mutex, PoisonError};

use wharf::InterfaceId;
use wharf::impairment::{Impairment, Impairments};

use super::listing::ForwarderInfo;
use super::message::{ImpairmentEntry, ImpairmentListing, Refusal, RefusalCode};

/// Answers requests about the impairments of one wire.
#[derive(Debug, Default)]
pub struct Impairing {
    impairments: Impairments,
    /// 1 and more for each change.
    changes: Mutex<u64>,
}

/// Which direction is to change, and what the client has seen.
pub(super) struct Change {
    pub(super) from: Option<String>,
    pub(super) revision: Option<u64>,
}

impl Impairing {
    pub fn new(impairments: Impairments) -> Self {
        Self {
            impairments,
            changes: Mutex::new(0),
        }
    }

    /// What is done in each direction, and was so far.
    pub(super) fn listing(&self, info: &ForwarderInfo) -> ImpairmentListing {
        let changes = *self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        self.listing_at(changes, info)
    }

    fn listing_at(&self, changes: u64, info: &ForwarderInfo) -> ImpairmentListing {
        ImpairmentListing {
            pid: info.pid,
            interfaces: info.interfaces.clone(),
            revision: changes + 1,
            capacity_frames: self.impairments.capacity(),
            directions: entries(&self.impairments, &info.interfaces),
        }
    }

    /// Sets the impairment of both directions, or of one, or removes it.
    pub(super) fn set(
        &self,
        text: Option<&str>,
        change: &Change,
        info: &ForwarderInfo,
    ) -> Result<ImpairmentListing, Refusal> {
        let impairment = text.map(str::parse::<Impairment>).transpose();
        let impairment = impairment
            .map_err(|error| Refusal::new(RefusalCode::BadImpairment, error.to_string()))?;
        let from = change.from.as_deref().map(|name| direction(name, info));
        let from = from.transpose()?;
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let revision = *changes + 1;
        if let Some(seen) = change.revision.filter(|seen| *seen != revision) {
            return Err(Refusal::new(
                RefusalCode::ImpairmentsChanged,
                format!(
                    "the impairments have changed: they are at revision {revision}, not {seen}; see `wharf impair list`"
                ),
            ));
        }
        let set = match from {
            Some(from) => self.impairments.set(from, impairment),
            None => self.impairments.set_both([impairment.clone(), impairment]),
        };
        set.map_err(|error| Refusal::new(RefusalCode::Refused, error.to_string()))?;
        *changes += 1;
        Ok(self.listing_at(*changes, info))
    }
}

fn direction(name: &str, info: &ForwarderInfo) -> Result<InterfaceId, Refusal> {
    let found = info.interfaces.iter().position(|one| one == name);
    found.map(InterfaceId).ok_or_else(|| {
        Refusal::new(
            RefusalCode::NoSuchInterface,
            format!(
                "this forwarder has no interface {name}: use {}",
                info.interfaces.join(" or ")
            ),
        )
    })
}

/// A line for each direction of the two interfaces of these names.
pub fn entries(impairments: &Impairments, interfaces: &[String]) -> Vec<ImpairmentEntry> {
    let [a, b] = interfaces else {
        return Vec::new();
    };
    let entry = |(from, (name, to)): (usize, (&String, &String))| {
        let from = InterfaceId(from);
        let counts = impairments.counts(from);
        ImpairmentEntry {
            from: name.clone(),
            to: to.clone(),
            impairment: impairments.get(from).map(|one| one.to_string()),
            held_frames: counts.held,
            lost_frames: counts.lost,
            over_limit_frames: counts.over_limit,
            duplicated_frames: counts.duplicated,
            not_duplicated_frames: counts.not_duplicated,
            corrupted_frames: counts.corrupted,
            reordered_frames: counts.reordered,
        }
    };
    [(a, b), (b, a)]
        .into_iter()
        .enumerate()
        .map(entry)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> ForwarderInfo {
        ForwarderInfo {
            interfaces: vec!["eth0".into(), "eth1".into()],
            ..ForwarderInfo::default()
        }
    }

    fn change(from: Option<&str>, revision: Option<u64>) -> Change {
        Change {
            from: from.map(str::to_owned),
            revision,
        }
    }

    fn texts(listing: &ImpairmentListing) -> Vec<Option<&str>> {
        let directions = listing.directions.iter();
        directions
            .map(|entry| entry.impairment.as_deref())
            .collect()
    }

    #[test]
    fn each_change_raises_the_revision() {
        let impairing = Impairing::default();
        assert_eq!(impairing.listing(&info()).revision, 1);

        let both = impairing.set(Some("delay 1ms"), &change(None, Some(1)), &info());
        let one = impairing.set(None, &change(Some("eth1"), Some(2)), &info());

        let (both, one) = (both.expect("good"), one.expect("good"));
        assert_eq!(texts(&both), [Some("delay 1ms"); 2]);
        assert_eq!(texts(&one), [Some("delay 1ms"), None]);
        assert_eq!((both.revision, one.revision), (2, 3));
    }

    #[test]
    fn refused_changes_change_nothing() {
        let impairing = Impairing::default();
        let cases = [
            (
                Some("dealy 1ms"),
                change(None, None),
                RefusalCode::BadImpairment,
            ),
            (
                Some("delay 1ms"),
                change(Some("eth2"), None),
                RefusalCode::NoSuchInterface,
            ),
            (
                Some("delay 1ms"),
                change(None, Some(2)),
                RefusalCode::ImpairmentsChanged,
            ),
        ];
        for (text, change, code) in cases {
            let refusal = impairing.set(text, &change, &info()).expect_err("bad");
            assert_eq!(refusal.code, code, "{refusal:?}");
        }
        let listing = impairing.listing(&info());
        assert_eq!((listing.revision, texts(&listing)), (1, vec![None; 2]));
    }
}

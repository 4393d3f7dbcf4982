//! What gets lost between two interfaces when frames are forwarded between them.
//!
//! `wharf forward` warns as it starts and when an MTU changes, `wharf doctor`
//! beforehand. Neither refuses.

use std::time::{Duration, Instant};

use wharf::{Interface, InterfaceError, VlanOffloads};

/// What gets lost between `a` and `b` as they are, and what to do about it: one
/// line each.
pub fn warnings(a: &Interface, b: &Interface) -> Result<Vec<String>, InterfaceError> {
    let mut warnings = Vec::new();
    for interface in [a, b] {
        if !interface.has_carrier()? {
            let name = interface.name();
            warnings.push(format!(
                "`{name}` has no carrier, so nothing is received or sent there: plug it in, or bring up its other end"
            ));
        }
    }
    for interface in [a, b] {
        let lost = lost_tags(interface.name(), &interface.vlan_offloads()?);
        warnings.extend(lost.map(|Lost { what, remedy }| format!("{what}: {remedy}")));
    }
    if let Some(Lost { what, remedy }) = unequal_mtus((a.name(), a.mtu()?), (b.name(), b.mtu()?)) {
        warnings.push(format!("{what}: {remedy}"));
    }
    Ok(warnings)
}

/// Frames that get lost, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Lost {
    pub what: String,
    pub remedy: String,
}

/// Where the VLAN tags of frames that come in on the interface `name` are lost.
pub fn lost_tags(name: &str, offloads: &VlanOffloads) -> Option<Lost> {
    let (end, remedy) = match offloads {
        VlanOffloads::Receiving => (
            format!("`{name}` has rxvlan on"),
            format!("if there are any, run `ethtool -K {name} rxvlan off`"),
        ),
        VlanOffloads::Peer(peer) => (
            format!("its other end `{peer}` has txvlan on"),
            format!("if there are any, run `ethtool -K {peer} txvlan off`"),
        ),
        VlanOffloads::PeerElsewhere => (
            "its other end, in another network namespace, has txvlan on unless you switched it off"
                .to_owned(),
            format!(
                "if there are any, run `ethtool -K NAME txvlan off` there, and `ethtool -K {name} rxvlan off` here"
            ),
        ),
        _ => return None,
    };
    Some(Lost {
        what: format!("VLAN tags of frames that come in on `{name}` are lost: {end}"),
        remedy,
    })
}

/// Which frames do not fit the interface they are to leave through.
pub fn unequal_mtus(a: (&str, u32), b: (&str, u32)) -> Option<Lost> {
    let ((from, longest), (to, room)) = match a.1.cmp(&b.1) {
        std::cmp::Ordering::Equal => return None,
        std::cmp::Ordering::Greater => (a, b),
        std::cmp::Ordering::Less => (b, a),
    };
    Some(Lost {
        what: format!(
            "packets of more than {room} bytes that come in on `{from}` (MTU {longest}) do not fit `{to}` (MTU {room}) \
             and are lost"
        ),
        remedy: format!(
            "set both to the same MTU, for example with `ip link set {from} mtu {room}`"
        ),
    })
}

/// The MTUs of the two interfaces while they change, which takes two steps where both
/// are changed.
#[derive(Debug)]
pub struct Mtus {
    now: [(String, u32); 2],
    /// When the last change was, until there was an answer to it.
    changed: Option<Instant>,
}

impl Mtus {
    /// The names and MTUs of the two.
    pub fn new(now: [(String, u32); 2]) -> Self {
        Self { now, changed: None }
    }

    /// The interface of this number, and of this name now, has this MTU since `at`.
    pub fn change(&mut self, interface: usize, name: &str, mtu: u32, at: Instant) {
        if let Some(now) = self.now.get_mut(interface) {
            *now = (name.to_owned(), mtu);
            self.changed = Some(at);
        }
    }

    /// What gets lost since the last change, said once, when nothing has changed for
    /// long enough.
    pub fn warning(&mut self, now: Instant) -> Option<String> {
        self.changed
            .take_if(|changed| now.saturating_duration_since(*changed) >= SETTLED)?;
        let [a, b] = &self.now;
        let Lost { what, remedy } = unequal_mtus((&a.0, a.1), (&b.0, b.1))?;
        Some(format!("{what}: {remedy}"))
    }
}

/// Enough to type the second of two commands, if they are in a script.
const SETTLED: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mtus_are_warned_of_once_when_they_have_settled() {
        let start = Instant::now();
        let mut mtus = Mtus::new(["left", "right"].map(|name| (name.to_owned(), 1500)));
        let at = |millis| start + Duration::from_millis(millis);

        assert_eq!(mtus.warning(at(10_000)), None, "nothing changed");
        mtus.change(0, "wan0", 9000, at(10_000));
        assert_eq!(mtus.warning(at(10_100)), None, "the other may follow");
        let warning = mtus.warning(at(10_600)).expect("it did not");
        assert!(warning.contains("that come in on `wan0` (MTU 9000)"));
        assert_eq!(mtus.warning(at(20_000)), None, "it was said");
        mtus.change(1, "right", 9000, at(20_000));
        assert_eq!(mtus.warning(at(30_000)), None, "they are equal");
    }

    #[test]
    fn end_that_takes_vlan_tags_out_is_named_with_what_to_do() {
        let line = |offloads| {
            let lost = lost_tags("left", &offloads)?;
            Some(format!("{}: {}", lost.what, lost.remedy))
        };

        assert_eq!(line(VlanOffloads::None), None);
        for (offloads, end, remedy) in [
            (
                VlanOffloads::Receiving,
                "`left` has rxvlan on",
                "`ethtool -K left rxvlan off`",
            ),
            (
                VlanOffloads::Peer("far".into()),
                "its other end `far` has txvlan on",
                "`ethtool -K far txvlan off`",
            ),
            (
                VlanOffloads::PeerElsewhere,
                "in another network namespace",
                "`ethtool -K NAME txvlan off` there, and `ethtool -K left rxvlan off` here",
            ),
        ] {
            let line = line(offloads).expect("tags are lost");
            assert!(line.starts_with("VLAN tags of frames that come in on `left` are lost: "));
            assert!(line.contains(end) && line.contains(remedy), "{line}");
        }
    }

    #[test]
    fn larger_mtu_names_what_does_not_fit_the_smaller_one() {
        let either_way = [
            unequal_mtus(("left", 9000), ("right", 1500)),
            unequal_mtus(("right", 1500), ("left", 9000)),
        ];

        for warning in either_way {
            let Lost { what, remedy } = warning.expect("they differ");
            assert!(what.contains("more than 1500 bytes that come in on `left` (MTU 9000)"));
            assert!(remedy.contains("`ip link set left mtu 1500`"));
        }
        assert_eq!(unequal_mtus(("left", 1500), ("right", 1500)), None);
    }
}

//! What gets lost between two interfaces when frames are forwarded between them.
//!
//! `wharf forward` warns as it starts, `wharf doctor` beforehand. Neither refuses.

use wharf::{Interface, InterfaceError};

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

#[cfg(test)]
mod tests {
    use super::*;

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

//! The one kernel panic that is known beforehand, because trying would cause it.

/// What to do where the kernel is known to panic under a correct program: in
/// Linux 6.16.y and 6.17.y, on copy-mode frames that reach a stack on the same
/// machine, as through a veth (`xsk_destruct_skb`, `net/xdp/xsk.c`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KnownPanics {
    /// Refuse to bind the queue.
    #[default]
    Refuse,
    /// Bind it nevertheless.
    Risk,
}

impl KnownPanics {
    /// Whether they affect the kernel `release`, as `uname -r` prints it.
    ///
    /// No stable 6.16 or 6.17 is known to be free of it.
    #[must_use]
    pub fn affect(release: &str) -> bool {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        let version = (numbers.next(), numbers.next());
        matches!(version, (Some("6"), Some("16" | "17")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_of_the_two_series_are_affected_whatever_their_suffix() {
        for release in ["6.16.12", "6.17", "6.17.0-5-generic", "6.16.3+deb14-amd64"] {
            assert!(KnownPanics::affect(release), "{release}");
        }
    }

    #[test]
    fn other_kernels_are_not() {
        for release in [
            "6.1.16",
            "6.1.17-cloud",
            "6.18.44",
            "5.16.17",
            "7.17.1",
            "6.160",
            "",
        ] {
            assert!(!KnownPanics::affect(release), "{release}");
        }
    }
}

//! What the calling thread may do, asked before the kernel refuses it.
//!
//! Setting up an engine takes three capabilities: CAP_NET_RAW opens xsks,
//! CAP_NET_ADMIN and CAP_BPF load the XDP program and its maps (`bpf(2)`,
//! Linux 5.8; CAP_SYS_ADMIN stands in for CAP_BPF, `bpf_capable` in
//! `include/linux/capability.h`). Running one takes none.
//!
//! Steering rules, flows and management read frames, at offsets that depend on
//! them. Loading such a program takes CAP_PERFMON as well (`bpf_allow_ptr_leaks` in
//! `include/linux/bpf.h`; CAP_SYS_ADMIN stands in). Taking every frame does not.
//!
//! A capability held in a user namespace does not count for loading programs;
//! then this check passes, and the load itself fails with the same remedy.

use std::fmt;

use caps::{CapSet, Capability, CapsHashSet};
use thiserror::Error;

/// What an engine's XDP program does with frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It takes every one as it is.
    None,
    /// It reads them, to decide.
    Frames,
}

/// Says whether the calling thread has the capabilities that setting up an
/// engine takes.
///
/// # Errors
///
/// [`MissingCapabilities`] names those it lacks, and the remedy.
pub(crate) fn check(steering: Reading) -> Result<(), MissingCapabilities> {
    let needed = match steering {
        Reading::None => &NEEDED[..3],
        Reading::Frames => &NEEDED[..],
    };
    let missing = missing_of(&effective(), needed);
    if missing.is_empty() {
        Ok(())
    } else {
        Err(MissingCapabilities { missing })
    }
}

/// Says whether the calling thread may make and enter network namespaces, which takes
/// CAP_SYS_ADMIN.
///
/// # Errors
///
/// [`MissingCapabilities`], with the remedy.
pub(crate) fn check_namespaces() -> Result<(), MissingCapabilities> {
    let missing = missing_of(&effective(), &[Capability::CAP_SYS_ADMIN]);
    if missing.is_empty() {
        Ok(())
    } else {
        Err(MissingCapabilities { missing })
    }
}

/// Whether memory may be pinned beyond `RLIMIT_MEMLOCK`: CAP_IPC_LOCK.
pub(crate) fn can_lock_memory() -> bool {
    effective().contains(&Capability::CAP_IPC_LOCK)
}

/// Whether a program that reads frames may be loaded.
pub(crate) fn can_read_frames() -> bool {
    missing_of(&effective(), &[Capability::CAP_PERFMON]).is_empty()
}

/// The capabilities that are needed and were not found. Displays as one line
/// that ends with the remedy.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub struct MissingCapabilities {
    missing: Vec<Capability>,
}

impl MissingCapabilities {
    /// What the calling thread lacks for an engine that takes every frame; `None`
    /// if nothing is missing.
    #[must_use]
    pub fn to_take_frames() -> Option<Self> {
        check(Reading::None).err()
    }

    /// What the calling thread lacks for an engine that reads frames, as rules, flows
    /// and kept management traffic take; `None` if nothing is missing.
    #[must_use]
    pub fn to_read_frames() -> Option<Self> {
        check(Reading::Frames).err()
    }

    /// The names of the missing capabilities, such as `CAP_NET_ADMIN`.
    pub fn names(&self) -> impl Iterator<Item = String> + '_ {
        self.missing.iter().map(ToString::to_string)
    }
}

impl fmt::Display for MissingCapabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.names().collect();
        let perfmon = if self.missing.contains(&Capability::CAP_PERFMON) {
            ",cap_perfmon"
        } else {
            ""
        };
        let admin = if self.missing.contains(&Capability::CAP_SYS_ADMIN) {
            ",cap_sys_admin"
        } else {
            ""
        };
        let program = std::env::current_exe();
        let program = program
            .as_ref()
            .map_or("wharf".into(), |path| path.to_string_lossy());
        write!(
            f,
            "missing {}: run as root, for example with sudo, or once run \
             `sudo setcap cap_net_raw,cap_net_admin,cap_bpf{perfmon}{admin}+ep {program}`",
            names.join(", ")
        )
    }
}

/// The effective capabilities; none when the kernel does not say.
fn effective() -> CapsHashSet {
    caps::read(None, CapSet::Effective).unwrap_or_default()
}

fn missing_of(held: &CapsHashSet, needed: &[Capability]) -> Vec<Capability> {
    let split = [Capability::CAP_BPF, Capability::CAP_PERFMON];
    let has = |capability| {
        held.contains(&capability)
            || (split.contains(&capability) && held.contains(&Capability::CAP_SYS_ADMIN))
    };
    needed
        .iter()
        .copied()
        .filter(|&capability| !has(capability))
        .collect()
}

/// The last only where frames are read.
const NEEDED: [Capability; 4] = [
    Capability::CAP_NET_RAW,
    Capability::CAP_NET_ADMIN,
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sys_admin_stands_in_for_bpf_and_perfmon_only() {
        let held = CapsHashSet::from([Capability::CAP_SYS_ADMIN]);

        assert_eq!(
            missing_of(&held, &NEEDED),
            [Capability::CAP_NET_RAW, Capability::CAP_NET_ADMIN]
        );
    }

    #[test]
    fn missing_capabilities_are_one_line_with_the_remedy() {
        let held = CapsHashSet::from([Capability::CAP_NET_RAW]);
        let error = MissingCapabilities {
            missing: missing_of(&held, &NEEDED),
        };

        let line = error.to_string();

        assert!(line.starts_with("missing CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON: run as root"));
        assert!(line.contains("setcap cap_net_raw,cap_net_admin,cap_bpf,cap_perfmon+ep /"));
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn dropped_capabilities_are_missed() {
        // Capabilities belong to a thread, so a thread of its own gives them up.
        let result = std::thread::spawn(|| {
            caps::clear(None, CapSet::Effective).expect("giving up needs no privilege");
            (check(Reading::None), can_lock_memory(), check_namespaces())
        });

        let (checked, locks, enters) = result.join().expect("the thread ends");

        let names: Vec<_> = checked.expect_err("nothing is held").names().collect();
        assert_eq!(names, ["CAP_NET_RAW", "CAP_NET_ADMIN", "CAP_BPF"]);
        assert!(!locks);
        let line = enters.expect_err("nothing is held").to_string();
        assert!(
            line.starts_with("missing CAP_SYS_ADMIN: run as root"),
            "{line}"
        );
        assert!(line.contains("cap_bpf,cap_sys_admin+ep /"), "{line}");
    }
}

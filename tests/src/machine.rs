//! What an interface is like, so that a test can demand it unchanged, and which
//! kernel this is.

use wharf_testbed::{Interface, Status};

/// What Wharf may change while it runs, and must leave as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceState {
    /// Up, carrier, promiscuous, MTU, queues.
    pub status: Status,
    /// The id of the attached XDP program.
    pub program: Option<u32>,
}

/// How `interface` is now.
///
/// # Panics
///
/// When the kernel does not say.
#[must_use]
pub fn state_of(interface: &Interface) -> InterfaceState {
    let xdp = interface.xdp().expect("the interface exists");
    InterfaceState {
        status: interface.status().expect("the interface exists"),
        // A program without an id is none of this kernel's; any number tells
        // it from no program.
        program: xdp.map(|xdp| xdp.program_id.unwrap_or(u32::MAX)),
    }
}

/// No XDP program is attached, and nobody wants frames for other addresses.
///
/// # Panics
///
/// When that is not so.
#[track_caller]
pub fn assert_no_program(interface: &Interface) {
    let state = state_of(interface);
    assert_eq!(
        state.program,
        None,
        "a program is left on {}",
        interface.name()
    );
    assert!(
        !state.status.is_promiscuous,
        "{} is still promiscuous",
        interface.name()
    );
}

/// Whether this kernel comes before `major.minor`.
///
/// # Panics
///
/// When the kernel does not say.
#[must_use]
pub fn is_older_than(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("it is there");
    let mut numbers = release.split(['.', '-']).map(str::parse);
    let mut number = || {
        numbers
            .next()
            .and_then(Result::ok)
            .expect("a release such as 6.18.2")
    };
    (number(), number()) < (major, minor)
}

//! An XDP program of the test's own in place of Wharf's, as a user would bring one
//! along: loaded and attached by aya, with the queue's socket in its own XSKMAP.
//!
//! The sources are in `tests/programs`; `tests/programs/build.sh` makes the objects
//! of them, which are committed.

use std::os::fd::BorrowedFd;

use aya::maps::{PerCpuArray, XskMap};
use aya::programs::{Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use wharf::Attach;

use super::Redirects;

/// A compiled file of `tests/programs`.
#[derive(Debug)]
pub struct Object(pub &'static [u8]);

impl Object {
    /// Drops every other frame.
    pub const DROP_HALF: Self = Self(include_bytes!("../../programs/drop_half.bpf.o"));
    /// Numbers frames in front of their first byte.
    pub const METADATA: Self = Self(include_bytes!("../../programs/metadata.bpf.o"));
    /// Makes frames shorter or longer.
    pub const ADJUST_TAIL: Self = Self(include_bytes!("../../programs/adjust_tail.bpf.o"));
}

/// What the programs count, by the index in `outcomes`, as `own.h` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Outcome {
    /// Handed to the socket.
    Redirected = 0,
    /// The driver cannot do what was asked: `EOPNOTSUPP`.
    Unsupported = 1,
    /// The kernel refused it for another reason.
    Refused = 2,
    /// Dropped on purpose.
    Dropped = 3,
}

/// A loaded program; detached on drop.
#[derive(Debug)]
pub struct OwnProgram {
    name: &'static str,
    /// Closes the link that holds the program to the interface.
    ebpf: Ebpf,
}

impl OwnProgram {
    /// Loads the program `name` of `object`.
    ///
    /// # Panics
    ///
    /// When there is none, or the verifier refuses it.
    #[must_use]
    pub fn load(object: &Object, name: &'static str) -> Self {
        Self::load_with(&mut EbpfLoader::new(), object, name)
    }

    /// As [`load`](Self::load), with a loader that sets the program's constants.
    ///
    /// # Panics
    ///
    /// As [`load`](Self::load).
    #[must_use]
    pub fn load_with(loader: &mut EbpfLoader<'_>, object: &Object, name: &'static str) -> Self {
        let ebpf = loader.load(object.0).expect("the object is good");
        let mut own = Self { name, ebpf };
        own.program().load().expect("the verifier accepts it");
        own
    }

    /// Attaches it in the mode that is asked for, or not at all.
    pub(super) fn attach(&mut self, interface: &str, attach: Attach) {
        let mode = match attach {
            Attach::Native => XdpMode::Driver,
            Attach::Generic => XdpMode::Skb,
            other => unreachable!("a medium names a mode, not {other:?}"),
        };
        let attached = self.program().attach(interface, mode);
        attached.expect("the interface is free");
    }

    /// Has the frames of queue 0 go to `socket`.
    pub(super) fn insert(&mut self, socket: BorrowedFd<'_>) {
        let xsks = self.ebpf.map_mut("xsks").expect("the programs have it");
        let mut xsks = XskMap::try_from(xsks).expect("an XSKMAP");
        xsks.set(0, socket, 0).expect("there is a slot");
    }

    /// Frames with this outcome so far.
    ///
    /// # Panics
    ///
    /// When the map cannot be read.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> u64 {
        let outcomes = self.ebpf.map("outcomes").expect("the programs have it");
        let outcomes: PerCpuArray<_, u64> = outcomes.try_into().expect("counters");
        let by_cpu = outcomes.get(&(outcome as u32), 0).expect("an index of it");
        by_cpu.iter().sum()
    }

    fn program(&mut self) -> &mut Xdp {
        let program = self.ebpf.program_mut(self.name);
        let program = program.expect("it is in the object");
        program.try_into().expect("an XDP program")
    }
}

impl Redirects for OwnProgram {
    fn redirected(&self) -> u64 {
        self.count(Outcome::Redirected)
    }
}

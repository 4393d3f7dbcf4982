//! The steering of one interface: what its owner asks of it.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use aya::maps::MapError;
use wharf_ebpf::QueueCounts;

use super::attach::{self, Attach, AttachReport, Attachment};
use super::config::SteeringConfig;
use super::error::{SteeringError, SteeringErrorKind, into_io};
use super::hits::{PastCounts, RuleHits};
use super::instance::{Instance, Target};
use super::occupant::wait_while_leaving;
use super::shared::SharedMaps;
use super::verdict::Verdict;
use crate::kernel::XskIndex;
use crate::kernel::interface::Interface;
use crate::kernel::sys::bpf::Buffers;
use crate::steering::rules::{RuleSet, RulesError, compile};

/// Steers the frames of one interface: flows, rules and a default send each frame
/// to an xsk of the queue it arrived on, to the kernel's stack, or nowhere.
///
/// Owns the XDP program, its maps and its attachment. Dropping it detaches the
/// program, and so does the end of the process. [An XDP program of your
/// own](crate::Xsk#an-xdp-program-of-your-own) needs no `Steering`.
pub struct Steering {
    pub(super) interface: Interface,
    pub(super) config: SteeringConfig,
    pub(super) report: AttachReport,
    /// Keeps the program attached. Dropped first: the program is detached before its
    /// maps are closed.
    pub(super) attachment: Option<Attachment>,
    pub(super) shared: SharedMaps,
    pub(super) instance: Instance,
    /// Between the two halves of a replacement, the instance before.
    pub(super) previous: Option<Instance>,
    pub(super) past: PastCounts,
    pub(super) queue_slots: u32,
}

impl Steering {
    /// Loads the program with slots for the queues `0..queue_slots`, and attaches it
    /// to `interface`. A frame that is redirected to an empty slot goes to the
    /// kernel's stack, so nothing is taken until the first [`insert`](Self::insert).
    ///
    /// Blocks for some milliseconds. The calling thread must be in the interface's
    /// network namespace. Needs CAP_NET_ADMIN and CAP_BPF, and with rules, flows or
    /// management CAP_PERFMON. Linux 5.9; frames in several buffers 5.18.
    ///
    /// # Errors
    ///
    /// [`SteeringError`] names the interface, the reason and the remedy, and nothing
    /// stays attached. [`SteeringErrorKind::Occupied`] is a program that was
    /// attached before.
    pub fn attach(
        interface: &Interface,
        requested: Attach,
        queue_slots: u32,
        config: &SteeringConfig,
    ) -> Result<Self, SteeringError> {
        let programs = [Buffers::Several, Buffers::One];
        Self::attach_with(interface, requested, queue_slots, config, &programs)
    }

    pub(super) fn attach_with(
        interface: &Interface,
        requested: Attach,
        queue_slots: u32,
        config: &SteeringConfig,
        programs: &[Buffers],
    ) -> Result<Self, SteeringError> {
        if queue_slots == 0 || config.xsks_per_queue == 0 {
            return Err(SteeringError::new(interface, SteeringErrorKind::NoSlots));
        }
        // Loading is the slow part, so ask first.
        let frames = interface.check_frames();
        frames.map_err(|error| SteeringError::new(interface, error))?;
        wait_while_leaving(interface)?;
        let target = Target {
            interface,
            queue_slots,
            config,
        };
        let (instance, shared) = Instance::load_first(&target, &config.rules, programs)?;
        let (attachment, report) = attach::attach(interface, requested, &instance.program)?;
        Ok(Self {
            interface: interface.clone(),
            config: config.clone(),
            report,
            attachment: Some(attachment),
            shared,
            past: PastCounts::new(&instance.rules, queue_slots + 1),
            instance,
            previous: None,
            queue_slots,
        })
    }

    /// Checks that `rules` fit the program, for queues that have `xsks_per_queue`
    /// xsks each. Makes no system call.
    ///
    /// # Errors
    ///
    /// [`RulesError`] names the rule, and what does not fit.
    pub fn check(rules: &RuleSet, xsks_per_queue: u8) -> Result<(), RulesError> {
        compile(rules, xsks_per_queue).map(drop)
    }

    /// What was decided for the frames of `queue` since [`attach`](Self::attach), over
    /// all CPUs and all rules. Makes a system call.
    ///
    /// # Errors
    ///
    /// [`SteeringErrorKind::QueueOutOfRange`].
    pub fn counts(&self, queue: u32) -> Result<QueueCounts, SteeringError> {
        self.slot(queue, XskIndex(0))?;
        let counts = self.instance.counts(queue);
        let counts =
            counts.map_err(|source| self.slot_error(queue, "read the counts of", source))?;
        Ok(self.past.queue(queue) + counts)
    }

    /// What was decided for the frames of all queues without slots, together. Makes
    /// a system call.
    ///
    /// # Errors
    ///
    /// [`SteeringErrorKind::Map`].
    pub fn counts_beyond(&self) -> Result<QueueCounts, SteeringError> {
        let counts = self.instance.counts(self.queue_slots);
        let counts = counts.map_err(|source| self.map_error("read the counts", source))?;
        Ok(self.past.queue(self.queue_slots) + counts)
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> &RuleSet {
        &self.instance.rules
    }

    /// Frames by what decided about them, since [`attach`](Self::attach). Makes a
    /// system call for each queue and each rule.
    ///
    /// # Errors
    ///
    /// [`SteeringErrorKind::Map`].
    pub fn hits(&self) -> Result<RuleHits, SteeringError> {
        let totals = self.instance.totals();
        let totals = totals.map_err(|source| self.map_error("read the hits", source))?;
        Ok(self.past.hits(&totals))
    }

    /// Sets the host's own addresses, instead of those set before. Only
    /// [`SteeringConfig::keep_management`] asks for them.
    ///
    /// # Errors
    ///
    /// [`SteeringErrorKind::Map`] when there are more than 4096, or more than one
    /// without `keep_management`.
    pub fn set_own_addresses(&mut self, addresses: &[IpAddr]) -> Result<(), SteeringError> {
        let set = self.shared.set_own_addresses(addresses);
        set.map_err(|source| self.map_error("set the host's addresses", source))
    }

    /// Detaches the program, as drop does: all frames go to the kernel's stack, and
    /// the counts stop. Does nothing when it is detached already.
    pub fn detach(&mut self) {
        self.attachment = None;
    }

    /// Runs the program on `frame` as if it had arrived on `queue`, and returns the
    /// verdict. The frame is delivered nowhere, but counted like any other.
    ///
    /// Queue 0 works everywhere. For others the interface must have the queue,
    /// the calling thread must be in its network namespace, and the kernel must
    /// be 5.15 or later.
    ///
    /// # Errors
    ///
    /// [`SteeringErrorKind::TestRun`] when the kernel refuses, for example a frame
    /// shorter than an Ethernet header.
    pub fn test_run(&self, queue: u32, frame: &[u8]) -> Result<Verdict, SteeringError> {
        self.test_run_repeated(queue, frame, 1)
            .map(|(verdict, _)| verdict)
    }

    /// Like [`test_run`](Self::test_run), `repeat` times. Returns the last verdict, and
    /// the mean time that the kernel measured, in whole nanoseconds.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn test_run_repeated(
        &self,
        queue: u32,
        frame: &[u8],
        repeat: u32,
    ) -> Result<(Verdict, Duration), SteeringError> {
        let program = &self.instance.program;
        let run = program.test_run(&self.interface, queue, frame, repeat);
        run.map_err(|source| self.error(SteeringErrorKind::TestRun(source)))
    }

    /// What was asked for, and how the program was attached.
    #[must_use]
    pub fn report(&self) -> &AttachReport {
        &self.report
    }

    /// The kernel's number for the program, as `bpftool prog` shows it. It changes
    /// with the rules.
    #[must_use]
    pub fn program_id(&self) -> u32 {
        self.instance.program.id()
    }

    /// The interface it steers.
    #[must_use]
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// How many queues have slots: those from 0 up to this number.
    #[must_use]
    pub fn queue_slots(&self) -> u32 {
        self.queue_slots
    }

    pub(super) fn error(&self, kind: impl Into<SteeringErrorKind>) -> SteeringError {
        SteeringError::new(&self.interface, kind)
    }

    pub(super) fn map_error(&self, operation: &'static str, source: MapError) -> SteeringError {
        self.error(SteeringErrorKind::Map {
            operation,
            source: into_io(source),
        })
    }
}

impl fmt::Debug for Steering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // aya's maps have no Debug.
        f.debug_struct("Steering")
            .field("interface", &self.interface)
            .field("report", &self.report)
            .field("attachment", &self.attachment)
            .field("queue_slots", &self.queue_slots)
            .finish_non_exhaustive()
    }
}

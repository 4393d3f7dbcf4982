//! The steering of one interface: what its owner asks of it.

use std::fmt;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
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

/// Steers the frames of one interface: each goes where flows and rules say, to an
/// xsk of the queue it arrived on, to the kernel, or nowhere. An [XDP program of
/// your own](crate::Xsk#an-xdp-program-of-your-own) can do without it.
pub struct Steering {
    pub(super) interface: Interface,
    pub(super) config: SteeringConfig,
    pub(super) report: AttachReport,
    /// Keeps the program attached. First, so that frames take their usual way
    /// before the maps go.
    pub(super) attachment: Option<Attachment>,
    pub(super) shared: SharedMaps,
    pub(super) instance: Instance,
    /// Between the two halves of a replacement, what was there before.
    pub(super) previous: Option<Instance>,
    pub(super) past: PastCounts,
    pub(super) queue_slots: u32,
}

impl Steering {
    /// Loads the program with room for the queues `0..queue_slots` and attaches
    /// it to `interface`. Every frame that is to be redirected goes to the kernel
    /// until a socket is [`insert`](Self::insert)ed.
    ///
    /// The calling thread must be in the interface's network namespace. Takes
    /// CAP_NET_ADMIN and CAP_BPF; with rules, flows or management CAP_PERFMON as
    /// well. Linux 5.9; frames in several buffers 5.18.
    ///
    /// # Errors
    ///
    /// Nothing stays attached. [`SteeringError`] names the interface, the reason
    /// and the remedy; [`SteeringErrorKind::Occupied`] names the program in the way.
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

    /// Says whether `rules` would fit queues that have `xsks_per_queue` xsks each,
    /// without asking the kernel.
    ///
    /// # Errors
    ///
    /// [`RulesError`] says what does not.
    pub fn check(rules: &RuleSet, xsks_per_queue: u8) -> Result<(), RulesError> {
        compile(rules, xsks_per_queue).map(drop)
    }

    /// What was decided for the frames of `queue` so far, over all CPUs. A system
    /// call.
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

    /// What was decided for the frames of all queues that have no slots.
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

    /// Frames by what decided about them so far. Some system calls.
    ///
    /// # Errors
    ///
    /// [`SteeringErrorKind::Map`].
    pub fn hits(&self) -> Result<RuleHits, SteeringError> {
        let totals = self.instance.totals();
        let totals = totals.map_err(|source| self.map_error("read the hits", source))?;
        Ok(self.past.hits(&totals))
    }

    /// Makes `addresses` those of the host, and no others; they matter with
    /// [`SteeringConfig::keep_management`].
    ///
    /// # Errors
    ///
    /// [`SteeringErrorKind::Map`], when there are thousands.
    pub fn set_own_addresses(&mut self, addresses: &[IpAddr]) -> Result<(), SteeringError> {
        let set = self.shared.set_own_addresses(addresses);
        set.map_err(|source| self.map_error("set the host's addresses", source))
    }

    /// Makes `address` one of the host's.
    ///
    /// # Errors
    ///
    /// [`SteeringErrorKind::Map`], when there are thousands.
    pub fn insert_own_address(&mut self, address: IpAddr) -> Result<(), SteeringError> {
        let inserted = self.shared.insert_own_address(address);
        inserted.map_err(|source| self.map_error("add an address of the host", source))
    }

    /// Makes `address` none of the host's, and gives whether it was.
    ///
    /// # Errors
    ///
    /// [`SteeringErrorKind::Map`].
    pub fn remove_own_address(&mut self, address: IpAddr) -> Result<bool, SteeringError> {
        let removed = self.shared.remove_own_address(address);
        removed.map_err(|source| self.map_error("remove an address of the host", source))
    }

    /// Detaches the program, as drop does: frames take their usual way, and the
    /// counts stop. Does nothing when it is detached already.
    pub fn detach(&mut self) {
        self.attachment = None;
    }

    /// Runs the program on `frame` as if it had arrived on `queue`, without
    /// delivering it anywhere, and gives its verdict. It counts like any frame.
    ///
    /// Queue 0 works everywhere. For others the interface must have the queue,
    /// the calling thread must be in its network namespace, and the kernel must
    /// be 5.15 or later.
    ///
    /// # Errors
    ///
    /// [`SteeringErrorKind::TestRun`] when the kernel does not run it, for example
    /// on a frame shorter than an Ethernet header.
    pub fn test_run(&self, queue: u32, frame: &[u8]) -> Result<Verdict, SteeringError> {
        self.test_run_repeated(queue, frame, 1)
            .map(|(verdict, _)| verdict)
    }

    /// Like [`test_run`](Self::test_run), `repeat` times, and gives the mean time
    /// that the kernel measured, in whole nanoseconds.
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

    /// How the program was attached, and what was asked for.
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

    /// The program, for example to hand it to another process.
    #[must_use]
    pub fn program_fd(&self) -> BorrowedFd<'_> {
        self.instance.program.fd()
    }

    /// The interface it steers.
    #[must_use]
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// The queues it has slots for are those below this number.
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

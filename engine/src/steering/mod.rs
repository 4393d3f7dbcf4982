//! What decides which frames reach an xsk: the XDP program, its maps, and its
//! attachment to an interface.
//!
//! A [`Steering`] owns all three. The program is attached by a bpf_link, which
//! is a file descriptor: when the `Steering` is dropped, or its process is
//! killed, the kernel detaches the program and frames take their usual way.
//!
//! Attach before zero-copy sockets are bound: attaching resets the queues of
//! many NICs. A socket may be inserted before it is bound; until then frames for
//! its queue are dropped (`xsk_rcv_check`, `net/xdp/xsk.c`), so insert it last.
//!
//! Whoever has an XDP program already needs none of this: see
//! [`Xsk`](crate::Xsk#an-xdp-program-of-your-own).

mod attach;
mod config;
mod error;
mod flows;
mod hits;
mod instance;
mod program;
mod replace;
pub(crate) mod rules;
#[cfg(test)]
mod rules_tests;
mod shared;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use aya::maps::MapError;
pub use wharf_ebpf::QueueCounts;

pub use attach::{Attach, AttachReport, AttachedMode};
pub use config::SteeringConfig;
pub use error::SteeringError;
pub use hits::RuleHits;
pub use program::Verdict;

use crate::kernel::XskIndex;
use crate::kernel::interface::{Holder, Interface};
use crate::steering::rules::{RuleSet, RulesError, compile};
use attach::Attachment;
use hits::Carried;
use instance::{Frame, Instance};
use program::Frames;
use shared::SharedMaps;

/// Steers the frames of one interface: each goes where flows and rules say, to an
/// xsk of the queue it arrived on, to the kernel, or nowhere. An [XDP program of
/// your own](crate::Xsk#an-xdp-program-of-your-own) can do without it.
pub struct Steering {
    interface: Interface,
    config: SteeringConfig,
    report: AttachReport,
    /// Keeps the program attached. First, so that frames take their usual way
    /// before the maps go.
    attachment: Option<Attachment>,
    shared: SharedMaps,
    instance: Instance,
    /// Between the two halves of a replacement, what was there before.
    previous: Option<Instance>,
    carried: Carried,
    queue_slots: u32,
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
    /// and the remedy; [`SteeringError::Occupied`] names the program in the way.
    pub fn attach(
        interface: &Interface,
        requested: Attach,
        queue_slots: u32,
        config: &SteeringConfig,
    ) -> Result<Self, SteeringError> {
        let programs = [Frames::Any, Frames::OneBuffer];
        Self::attach_with(interface, requested, queue_slots, config, &programs)
    }

    fn attach_with(
        interface: &Interface,
        requested: Attach,
        queue_slots: u32,
        config: &SteeringConfig,
        programs: &[Frames],
    ) -> Result<Self, SteeringError> {
        if queue_slots == 0 || config.xsks_per_queue == 0 {
            return Err(SteeringError::NoSlots {
                interface: interface.name().to_owned(),
            });
        }
        // Loading is the slow part, so ask first.
        wait_while_leaving(interface)?;
        let frame = Frame {
            interface,
            queue_slots,
            config,
        };
        let (instance, shared) = Instance::load(&frame, &config.rules, programs, None)?;
        let shared = shared.expect("the first instance gives its maps");
        let (attachment, report) = attach::attach(interface, requested, &instance.program)?;
        Ok(Self {
            interface: interface.clone(),
            config: config.clone(),
            report,
            attachment: Some(attachment),
            shared,
            carried: Carried::new(&instance.rules, queue_slots + 1),
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

    /// Redirects the frames of `queue` that go to its first xsk to `socket`, from
    /// the next frame on. The kernel empties the slot by itself when the socket is
    /// closed.
    ///
    /// # Errors
    ///
    /// [`SteeringError::QueueOutOfRange`], or [`SteeringError::Slot`] when
    /// `socket` is no xsk.
    pub fn insert(&mut self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), SteeringError> {
        self.insert_xsk(queue, XskIndex(0), socket)
    }

    /// Like [`insert`](Self::insert), for any of the queue's xsks.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn insert_xsk(
        &mut self,
        queue: u32,
        xsk: XskIndex,
        socket: BorrowedFd<'_>,
    ) -> Result<(), SteeringError> {
        let slot = self.slot(queue, xsk)?;
        let result = self.shared.xsks.set(slot, socket, 0);
        result.map_err(|source| self.slot_error(queue, "steer frames to", source))
    }

    /// Leaves the frames of `queue` that go to its first xsk to the kernel, from
    /// the next frame on. An empty slot is fine.
    ///
    /// # Errors
    ///
    /// [`SteeringError::QueueOutOfRange`].
    pub fn remove(&mut self, queue: u32) -> Result<(), SteeringError> {
        self.remove_xsk(queue, XskIndex(0))
    }

    /// Like [`remove`](Self::remove), for any of the queue's xsks.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn remove_xsk(&mut self, queue: u32, xsk: XskIndex) -> Result<(), SteeringError> {
        let slot = self.slot(queue, xsk)?;
        let removed = shared::found(self.shared.xsks.unset(slot));
        let removed = removed.map(drop);
        removed.map_err(|source| self.slot_error(queue, "stop steering frames to", source))
    }

    /// What was decided for the frames of `queue` so far, over all CPUs. A system
    /// call.
    ///
    /// # Errors
    ///
    /// [`SteeringError::QueueOutOfRange`].
    pub fn counts(&self, queue: u32) -> Result<QueueCounts, SteeringError> {
        self.slot(queue, XskIndex(0))?;
        let counts = self.instance.counts(queue);
        let counts =
            counts.map_err(|source| self.slot_error(queue, "read the counts of", source))?;
        Ok(self.carried.queue(queue) + counts)
    }

    /// What was decided for the frames of all queues that have no slots.
    ///
    /// # Errors
    ///
    /// [`SteeringError::Map`].
    pub fn counts_beyond(&self) -> Result<QueueCounts, SteeringError> {
        let counts = self.instance.counts(self.queue_slots);
        let counts = counts.map_err(|source| self.map_error("read the counts", source))?;
        Ok(self.carried.queue(self.queue_slots) + counts)
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
    /// [`SteeringError::Map`].
    pub fn hits(&self) -> Result<RuleHits, SteeringError> {
        let totals = self.instance.totals();
        let totals = totals.map_err(|source| self.map_error("read the hits", source))?;
        Ok(self.carried.hits(&totals))
    }

    /// Makes `addresses` those of the host, and no others; they matter with
    /// [`SteeringConfig::keep_management`].
    ///
    /// # Errors
    ///
    /// [`SteeringError::Map`], when there are thousands.
    pub fn set_own_addresses(&mut self, addresses: &[IpAddr]) -> Result<(), SteeringError> {
        let set = self.shared.set_own_addresses(addresses);
        set.map_err(|source| self.map_error("set the host's addresses", source))
    }

    /// Makes `address` one of the host's.
    ///
    /// # Errors
    ///
    /// [`SteeringError::Map`], when there are thousands.
    pub fn insert_own_address(&mut self, address: IpAddr) -> Result<(), SteeringError> {
        let inserted = self.shared.insert_own_address(address);
        inserted.map_err(|source| self.map_error("add an address of the host", source))
    }

    /// Makes `address` none of the host's, and gives whether it was.
    ///
    /// # Errors
    ///
    /// [`SteeringError::Map`].
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
    /// [`SteeringError::TestRun`] when the kernel does not run it, for example
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
        run.map_err(|source| SteeringError::TestRun {
            interface: self.interface.name().to_owned(),
            source,
        })
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

    fn slot(&self, queue: u32, XskIndex(xsk): XskIndex) -> Result<u32, SteeringError> {
        let interface = || self.interface.name().to_owned();
        if queue >= self.queue_slots {
            return Err(SteeringError::QueueOutOfRange {
                interface: interface(),
                queue,
                queue_slots: self.queue_slots,
            });
        }
        let xsks = self.config.xsks_per_queue;
        if xsk >= xsks {
            return Err(RulesError::NoSuchXsk {
                rule: None,
                xsk,
                xsks,
            }
            .into());
        }
        Ok(queue * u32::from(xsks) + u32::from(xsk))
    }

    fn slot_error(&self, queue: u32, operation: &'static str, source: MapError) -> SteeringError {
        SteeringError::Slot {
            interface: self.interface.name().to_owned(),
            queue,
            operation,
            source: error::into_io(source),
        }
    }

    fn map_error(&self, operation: &'static str, source: MapError) -> SteeringError {
        SteeringError::Map {
            interface: self.interface.name().to_owned(),
            operation,
            source: error::into_io(source),
        }
    }
}

/// Makes sure that no program is attached.
///
/// That of a process which was killed just now goes with the process, some 150 ms
/// later: a program of ours that no process holds is waited for. Its bpf_link may
/// have gone between two looks, and then seems to be none.
fn wait_while_leaving(interface: &Interface) -> Result<(), SteeringError> {
    let deadline = Instant::now() + LEAVING_PATIENCE;
    while let Some(program) = interface.xdp()? {
        let is_ours = program.name.as_deref().is_some_and(|name| {
            [wharf_ebpf::PROGRAM, wharf_ebpf::PROGRAM_ONE_BUFFER].contains(&name)
        });
        let may_be_leaving = matches!(
            program.holder,
            Holder::Link { process: None, .. } | Holder::Netlink
        );
        if !is_ours || !may_be_leaving || Instant::now() >= deadline {
            return Err(SteeringError::occupied(interface, program));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// How long a program may take to go with its process, on a busy machine.
const LEAVING_PATIENCE: Duration = Duration::from_secs(2);

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

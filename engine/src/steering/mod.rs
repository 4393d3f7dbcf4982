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

mod attach;
mod error;
mod program;
#[cfg(test)]
mod tests;

use std::fmt;
use std::os::fd::BorrowedFd;

use aya::maps::{MapData, MapError, PerCpuArray, XskMap};
pub use wharf_ebpf::QueueCounts;

pub use attach::{Attach, AttachReport, AttachedMode};
pub use error::SteeringError;
pub use program::Verdict;

use crate::interface::Interface;
use attach::Attachment;
use program::{Frames, Program};

/// Steers the frames of one interface: those that arrive on a queue with an
/// xsk go to that xsk, all others to the kernel.
pub struct Steering {
    interface: Interface,
    report: AttachReport,
    /// Keeps the program attached. First, so that frames take their usual way
    /// before the maps go.
    attachment: Option<Attachment>,
    xsks: XskMap<MapData>,
    counts: PerCpuArray<MapData, [u8; QueueCounts::SIZE]>,
    program: Program,
    queue_slots: u32,
}

impl Steering {
    /// Loads the program with room for the queues `0..queue_slots` and attaches
    /// it to `interface`. Every frame goes to the kernel until a socket is
    /// [`insert`](Self::insert)ed.
    ///
    /// The calling thread must be in the interface's network namespace. Takes
    /// CAP_NET_ADMIN and CAP_BPF. Linux 5.9; frames in several buffers 5.18.
    ///
    /// # Errors
    ///
    /// Nothing stays attached. [`SteeringError`] names the interface, the reason
    /// and the remedy; [`SteeringError::Occupied`] names the program in the way.
    pub fn attach(
        interface: &Interface,
        requested: Attach,
        queue_slots: u32,
    ) -> Result<Self, SteeringError> {
        Self::attach_with(
            interface,
            requested,
            queue_slots,
            &[Frames::Any, Frames::OneBuffer],
        )
    }

    fn attach_with(
        interface: &Interface,
        requested: Attach,
        queue_slots: u32,
        programs: &[Frames],
    ) -> Result<Self, SteeringError> {
        if queue_slots == 0 {
            return Err(SteeringError::NoSlots {
                interface: interface.name().to_owned(),
            });
        }
        // Loading is the slow part, so ask first.
        if let Some(program) = interface.xdp()? {
            return Err(SteeringError::occupied(interface, program));
        }
        let mut program = Program::load(interface, queue_slots, programs)?;
        let xsks = program.take_map(interface, wharf_ebpf::XSKS, XskMap::try_from)?;
        let counts = program.take_map(interface, wharf_ebpf::COUNTS, PerCpuArray::try_from)?;
        let (attachment, report) = attach::attach(interface, requested, &program)?;
        Ok(Self {
            interface: interface.clone(),
            report,
            attachment: Some(attachment),
            xsks,
            counts,
            program,
            queue_slots,
        })
    }

    /// Redirects the frames of `queue` to `socket`, an xsk, from the next frame
    /// on. The kernel empties the slot by itself when the socket is closed.
    ///
    /// # Errors
    ///
    /// [`SteeringError::QueueOutOfRange`], or [`SteeringError::Slot`] when
    /// `socket` is no xsk.
    pub fn insert(&mut self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), SteeringError> {
        let result = self.xsks.set(queue, socket, 0);
        result.map_err(|source| self.slot_error(queue, "steer frames to", source))
    }

    /// Leaves the frames of `queue` to the kernel, from the next frame on. An
    /// empty slot is fine.
    ///
    /// # Errors
    ///
    /// [`SteeringError::QueueOutOfRange`].
    pub fn remove(&mut self, queue: u32) -> Result<(), SteeringError> {
        match self.xsks.unset(queue) {
            Err(MapError::KeyNotFound) => Ok(()),
            Err(MapError::SyscallError(error))
                if error.io_error.raw_os_error() == Some(libc::ENOENT) =>
            {
                Ok(())
            }
            result => {
                result.map_err(|source| self.slot_error(queue, "stop steering frames to", source))
            }
        }
    }

    /// What the program decided for the frames of `queue` so far, over all CPUs.
    /// A system call.
    ///
    /// # Errors
    ///
    /// [`SteeringError::QueueOutOfRange`].
    pub fn counts(&self, queue: u32) -> Result<QueueCounts, SteeringError> {
        let per_cpu = self
            .counts
            .get(&queue, 0)
            .map_err(|source| self.slot_error(queue, "read the counts of", source))?;
        Ok(per_cpu.iter().copied().map(QueueCounts::from_bytes).sum())
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
        let run = self.program.test_run(&self.interface, queue, frame);
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

    /// The kernel's number for the program, as `bpftool prog` shows it.
    #[must_use]
    pub fn program_id(&self) -> u32 {
        self.report.program_id
    }

    /// The program, for example to hand it to another process.
    #[must_use]
    pub fn program_fd(&self) -> BorrowedFd<'_> {
        self.program.fd()
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

    fn slot_error(&self, queue: u32, operation: &'static str, source: MapError) -> SteeringError {
        let interface = self.interface.name().to_owned();
        match source {
            MapError::OutOfBounds { .. } => SteeringError::QueueOutOfRange {
                interface,
                queue,
                queue_slots: self.queue_slots,
            },
            source => SteeringError::Slot {
                interface,
                queue,
                operation,
                source: error::into_io(source),
            },
        }
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

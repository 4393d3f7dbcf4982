//! How an xsk is bound.

use std::time::Duration;

use super::checksums::Checksums;
use crate::kernel::interface_id::InterfaceId;
use crate::kernel::{KnownPanics, RingCapacity};
use crate::memory::Limits;

/// How frames travel between the NIC and the UMEM, as asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Zero copy where every interface of the worker can do it, else copy; the
    /// [`BindReport`](crate::BindReport) says which and why.
    #[default]
    Auto,
    /// Zero copy, or an error that says why it is not to be had.
    ZeroCopy,
    /// Copy, even where zero copy would work.
    Copy,
}

/// Whether frames may lie in several chunks, which takes Linux 6.6 and, for zero
/// copy, a driver that can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MultiBuffer {
    /// Where the interface's MTU does not fit a chunk.
    #[default]
    Auto,
    /// Always: also for frames that an application makes longer than the MTU's,
    /// or when an interface with a larger MTU is to share the UMEM later.
    Always,
    /// Never: an MTU that does not fit a chunk is an error.
    Never,
}

impl MultiBuffer {
    /// The policy in words, as the command line has it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

/// How an xsk is bound, and the queue is set up with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XskConfig {
    /// Entries of each of the four rings; the fill and the completion ring of a
    /// queue for several xsks have as many for each of them.
    pub ring_size: RingCapacity,
    /// Zero copy or copy. Xsks that share a UMEM share the mode of the first.
    pub mode: Mode,
    /// Xsks that the queue is to have, with those that [`NicQueue::share`](super::NicQueue::share)
    /// adds. Zero counts as one.
    pub xsks: u8,
    /// How much packet memory the queue and each of its xsks may use. It can be
    /// [changed](crate::Xsk::set_limits) later.
    pub limits: Limits,
    /// Transmissions of the xsk that are [to be reported](crate::XskTx::transmit_tagged)
    /// at a time, those that have ended and nobody has read included; at most 2^24.
    /// `None` is twice as many as the TX ring has entries. Memory for them is taken when
    /// the first is sent.
    pub completions: Option<u32>,
    /// How long to wait for a queue that is busy, or for locked memory: a socket
    /// that closes holds its queue and its memory for some 50 ms.
    pub bind_patience: Duration,
    /// Whether frames may lie in several chunks. Xsks that share a UMEM do as
    /// the first.
    pub multi_buffer: MultiBuffer,
    /// Whether received frames get the checksums that their senders left to hardware.
    /// Simulated xsks leave them unless they are asked to finish them.
    pub checksums: Checksums,
    /// Whether to bind where this kernel is known to panic.
    pub known_panics: KnownPanics,
    /// The caller's name for the interface, which batches carry.
    pub interface: InterfaceId,
}

impl XskConfig {
    /// Rings of `ring_size`, mode [`Mode::Auto`], frames in several chunks where
    /// the MTU calls for them, checksums finished where no hardware does it, one xsk, no
    /// [limits](Limits) but the usual ones, three seconds of patience.
    #[must_use]
    pub fn new(ring_size: RingCapacity) -> Self {
        Self {
            ring_size,
            mode: Mode::Auto,
            xsks: 1,
            limits: Limits::default(),
            completions: None,
            bind_patience: Duration::from_secs(3),
            multi_buffer: MultiBuffer::Auto,
            checksums: Checksums::Auto,
            known_panics: KnownPanics::Refuse,
            interface: InterfaceId(0),
        }
    }

    pub(super) fn completion_places(&self) -> u32 {
        let default = self.ring_size.get().saturating_mul(2);
        self.completions.unwrap_or(default)
    }

    /// Entries of the fill and of the completion ring: so many that neither is
    /// too small for what all xsks receive or send at once.
    pub(crate) fn shared_entries(&self) -> u32 {
        let wanted = self.ring_size.get() * u32::from(self.xsks.max(1));
        wanted.next_power_of_two()
    }

    /// Chunks that stay with the kernel unless a limit says otherwise: enough for a
    /// driver to go on, and few beside what the ring holds.
    pub(super) fn usual_floor(&self) -> u32 {
        self.ring_size.get() / 8
    }
}

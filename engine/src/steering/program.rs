//! The XDP program in the kernel: loading it, and running it on a frame by hand.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use aya::programs::{ProgramError, TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};

use super::SteeringError;
use super::error::{into_io, os_error};
use crate::kernel::interface::Interface;

/// Which of the object's two programs: they differ in the flag
/// `BPF_F_XDP_HAS_FRAGS`, which aya sets by the section's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frames {
    /// Frames may lie in several buffers. Linux 5.18.
    Any,
    /// Frames lie in one buffer, which bounds the MTU in native mode.
    OneBuffer,
}

impl Frames {
    fn program(self) -> &'static str {
        match self {
            Self::Any => wharf_ebpf::PROGRAM,
            Self::OneBuffer => wharf_ebpf::PROGRAM_ONE_BUFFER,
        }
    }
}

/// The program, loaded.
#[derive(Debug)]
pub(super) struct Program {
    ebpf: Ebpf,
    id: u32,
    frames: Frames,
}

/// What the program decides about a frame.
/// Source: `enum xdp_action` in `include/uapi/linux/bpf.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// `XDP_ABORTED`: dropped because of an error.
    Aborted,
    /// `XDP_DROP`.
    Drop,
    /// `XDP_PASS`: goes to the kernel's stack.
    Pass,
    /// `XDP_TX`: goes back out of the interface.
    Transmit,
    /// `XDP_REDIRECT`: goes to the xsk of the queue.
    Redirect,
    /// None of the above.
    Other(u32),
}

impl From<u32> for Verdict {
    fn from(action: u32) -> Self {
        match action {
            0 => Self::Aborted,
            1 => Self::Drop,
            2 => Self::Pass,
            3 => Self::Transmit,
            4 => Self::Redirect,
            other => Self::Other(other),
        }
    }
}

impl Program {
    /// Creates the maps, with as many entries as `sizes` says.
    pub(super) fn create(
        interface: &Interface,
        config: &wharf_ebpf::Config,
        sizes: &[(&'static str, u32)],
    ) -> Result<Ebpf, SteeringError> {
        let words = config.words();
        let mut loader = EbpfLoader::new();
        loader.override_global(wharf_ebpf::CONFIG, &words[..], true);
        for &(name, entries) in sizes {
            loader.map_max_entries(name, entries);
        }
        let ebpf = loader.load(wharf_ebpf::OBJECT);
        ebpf.map_err(|error| SteeringError::load(interface, error.into()))
    }

    /// Loads the first of `programs` that the kernel knows the flags of.
    pub(super) fn load(
        interface: &Interface,
        mut ebpf: Ebpf,
        programs: &[Frames],
    ) -> Result<Self, SteeringError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| {
            SteeringError::load(interface, source)
        };
        let mut unknown_flags = None;
        for &frames in programs {
            let program = xdp(&mut ebpf, frames).map_err(|error| failed(error.into()))?;
            match program.load() {
                Ok(()) => {
                    let id = program.info().map_err(|error| failed(error.into()))?.id();
                    return Ok(Self { ebpf, id, frames });
                }
                // That is EINVAL (`bpf_prog_load`, `kernel/bpf/syscall.c`).
                Err(error) if os_error(&error) == Some(libc::EINVAL) => unknown_flags = Some(error),
                Err(error) => return Err(failed(error.into())),
            }
        }
        Err(failed(
            unknown_flags
                .expect("the caller names at least one program")
                .into(),
        ))
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    pub(super) fn frames(&self) -> Frames {
        self.frames
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        let fd = self.xdp().fd().expect("it was loaded on construction");
        fd.as_fd()
    }

    /// Runs the program `repeat` times; gives its last verdict, and the mean time.
    pub(super) fn test_run(
        &self,
        interface: &Interface,
        queue: u32,
        frame: &[u8],
        repeat: u32,
    ) -> io::Result<(Verdict, Duration)> {
        // `struct xdp_md`: data, data_end, data_meta, ingress_ifindex,
        // rx_queue_index, egress_ifindex. Without one the kernel takes queue 0
        // of the namespace's loopback.
        let frame_len = u32::try_from(frame.len()).map_err(io::Error::other)?;
        let context = [0, frame_len, 0, interface.index().get(), queue, 0];
        let context: Vec<u8> = context.into_iter().flat_map(u32::to_ne_bytes).collect();
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_in: (queue > 0).then_some(&context),
            repeat,
            ..TestRunOptions::default()
        };
        let result = self.xdp().test_run(options).map_err(into_io)?;
        Ok((result.return_value.into(), result.duration))
    }

    /// What the verifier went through; Linux 5.16 tells.
    #[cfg(test)]
    pub(super) fn verified_instructions(&self) -> Option<u32> {
        let info = self.xdp().info().expect("it is loaded");
        info.verified_instruction_count()
    }

    fn xdp(&self) -> &Xdp {
        let program = self.ebpf.program(self.frames.program());
        let program = program.expect("it was found on construction");
        program.try_into().expect("it was an XDP program then")
    }
}

fn xdp(ebpf: &mut Ebpf, frames: Frames) -> Result<&mut Xdp, ProgramError> {
    let program = ebpf.program_mut(frames.program());
    program
        .expect("wharf-ebpf tests that the object holds both programs")
        .try_into()
}

//! The XDP program in the kernel: loading it, and running it on a frame by hand.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use aya::Ebpf;
use aya::programs::{ProgramError, TestRun, TestRunOptions, Xdp};

use super::error::{SteeringError, into_io, os_error};
use super::verdict::Verdict;
use crate::kernel::interface::Interface;
use crate::kernel::sys::bpf::Buffers;

/// The program, loaded.
#[derive(Debug)]
pub(super) struct Program {
    ebpf: Ebpf,
    id: u32,
    buffers: Buffers,
}

impl Program {
    /// Loads the first of `programs` that the kernel knows the flags of. The object
    /// has two, which differ in `BPF_F_XDP_HAS_FRAGS` only; aya sets that flag by
    /// the section's name.
    pub(super) fn load(
        interface: &Interface,
        mut ebpf: Ebpf,
        programs: &[Buffers],
    ) -> Result<Self, SteeringError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| {
            SteeringError::load(interface, source)
        };
        let mut unknown_flags = None;
        for &buffers in programs {
            let program = xdp(&mut ebpf, buffers).map_err(|error| failed(error.into()))?;
            match program.load() {
                Ok(()) => {
                    let id = program.info().map_err(|error| failed(error.into()))?.id();
                    return Ok(Self { ebpf, id, buffers });
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

    /// Whether its frames may lie in several buffers.
    pub(super) fn buffers(&self) -> Buffers {
        self.buffers
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        let fd = self.xdp().fd().expect("it was loaded on construction");
        fd.as_fd()
    }

    /// Runs the program `repeat` times. Returns its last verdict, and the mean time.
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

    /// The instructions that the verifier went through. Linux 5.16.
    #[cfg(test)]
    pub(super) fn verified_instructions(&self) -> Option<u32> {
        let info = self.xdp().info().expect("it is loaded");
        info.verified_instruction_count()
    }

    fn xdp(&self) -> &Xdp {
        let program = self.ebpf.program(name_of(self.buffers));
        let program = program.expect("it was found on construction");
        program.try_into().expect("it was an XDP program then")
    }
}

fn xdp(ebpf: &mut Ebpf, buffers: Buffers) -> Result<&mut Xdp, ProgramError> {
    let program = ebpf.program_mut(name_of(buffers));
    program
        .expect("wharf-ebpf tests that the object holds both programs")
        .try_into()
}

/// Programs with one buffer bound the MTU in native mode.
fn name_of(buffers: Buffers) -> &'static str {
    match buffers {
        Buffers::Several => wharf_ebpf::PROGRAM,
        Buffers::One => wharf_ebpf::PROGRAM_ONE_BUFFER,
    }
}

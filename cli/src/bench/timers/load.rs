//! Frames for the worker: none, so many a second, or as many as a thread can send.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use wharf_testbed::{Pacer, PacketSocket};

use crate::bench::testbed::Bed;
use crate::exit::Failure;

/// What the worker has to do beside.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    None,
    /// As many frames as a thread can send.
    Full,
    /// So many frames a second.
    Rate(u32),
}

impl Load {
    pub fn name(self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Full => "full".to_owned(),
            Self::Rate(frames) => format!("{frames}/s"),
        }
    }

    /// Sends until `is_over`, for `duration` at the most, from a CPU that is not the
    /// worker's where there is another: else the two would measure the scheduler.
    pub fn start<'scope>(
        self,
        scope: &'scope Scope<'scope, '_>,
        bed: &Bed,
        is_over: &'scope AtomicBool,
        duration: Duration,
        worker: Option<usize>,
    ) -> Result<Option<Sending<'scope>>, Failure> {
        let rate = match self {
            Self::None => return Ok(None),
            Self::Full => None,
            Self::Rate(frames) => Some(frames),
        };
        let socket = bed.server_sender()?;
        let burst = vec![bed.frame_to_nobody(&[0xa5; PAYLOAD]); BURST];
        let until = Instant::now() + duration;
        let send = move || {
            leave_cpu(worker);
            let mut pacer = rate.map(|rate| Pacer::per_second(rate).burst(BURST));
            let mut sent = 0;
            while !is_over.load(Ordering::Relaxed) && Instant::now() < until {
                if let Some(pacer) = &mut pacer {
                    pacer.wait(BURST);
                }
                send(&socket, &burst)?;
                sent += BURST as u64;
            }
            Ok(sent)
        };
        Ok(Some(Sending(scope.spawn(send))))
    }
}

/// Keeps the calling thread off a CPU. Where it cannot be, it stays where it is.
fn leave_cpu(cpu: Option<usize>) {
    let Some(cpu) = cpu else { return };
    if let Ok(mut cpus) = sched_getaffinity(None)
        && cpus.count() > 1
        && cpu < CpuSet::MAX_CPU
    {
        cpus.unset(cpu);
        let _ = sched_setaffinity(None, &cpus);
    }
}

fn send(socket: &PacketSocket, burst: &[Vec<u8>]) -> Result<(), Failure> {
    socket
        .send_batch(burst)
        .map_err(|error| Failure::Run(error.to_string()))
}

/// A thread that sends.
pub struct Sending<'scope>(ScopedJoinHandle<'scope, Result<u64, Failure>>);

impl Sending<'_> {
    /// Waits for its end, and returns how many frames it sent.
    pub fn join(self) -> Result<u64, Failure> {
        let sent = self.0.join();
        sent.unwrap_or_else(|_| Err(Failure::Run("the sender panicked".to_owned())))
    }
}

/// Frames that go out at once.
const BURST: usize = 16;

/// Bytes of UDP payload in each frame.
const PAYLOAD: usize = 64;

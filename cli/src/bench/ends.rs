//! Xsks of an end of the testbed, without an engine: each thread owns its UMEM and its
//! sockets, and the program that steers to them is shared.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wharf::{
    Attach, AttachReport, BindReport, Interface, NicQueue, NoXsk, QueueIndex, RingCapacity,
    Steering, SteeringConfig, Umem, UmemConfig, Xsk, XskConfig,
};

use crate::exit::Failure;

/// An interface with the program that steers its frames to xsks.
pub struct End {
    interface: Interface,
    steering: Mutex<Steering>,
}

impl End {
    /// Attaches the program to an interface of the calling thread's namespace.
    pub fn attach(name: &str, queues: u32) -> Result<Self, Failure> {
        let interface = Interface::by_name(name).map_err(failure)?;
        let mut config = SteeringConfig::default();
        // What comes when an xsk is gone would be answered by the kernel's stack.
        config.no_xsk = NoXsk::Drop;
        let steering = Steering::attach(&interface, Attach::Auto, queues, &config);
        Ok(Self {
            interface,
            steering: Mutex::new(steering.map_err(failure)?),
        })
    }

    /// Binds an xsk to each of some queues, all of one UMEM, for the calling thread,
    /// which is in the namespace.
    pub fn bind(
        &self,
        queues: impl IntoIterator<Item = u32>,
        chunks: u32,
        ring_entries: u32,
    ) -> Result<(Umem, Vec<Xsk>, Vec<BindReport>), Failure> {
        let umem = Umem::new(&UmemConfig::new(chunks)).map_err(failure)?;
        let ring = RingCapacity::new(ring_entries).map_err(failure)?;
        let (mut xsks, mut reports) = (Vec::new(), Vec::new());
        for queue in queues {
            let index = QueueIndex::new(queue).map_err(failure)?;
            let queue = NicQueue::new(&umem, &self.interface, index);
            let (xsk, report) = queue.bind(&XskConfig::new(ring)).map_err(failure)?;
            let mut steering = self.steering.lock().unwrap_or_else(PoisonError::into_inner);
            steering.insert(&xsk).map_err(failure)?;
            xsks.push(xsk);
            reports.push(report);
        }
        Ok((umem, xsks, reports))
    }

    /// How the program was attached.
    pub fn report(&self) -> AttachReport {
        let steering = self.steering.lock().unwrap_or_else(PoisonError::into_inner);
        steering.report().clone()
    }
}

/// Waits until frames arrive at one of the xsks, for a millisecond at the most. In copy
/// mode waiting on a socket sends what is in its TX ring and hides what got lost there,
/// so with frames in one it only gives way to other threads.
pub fn wait<'a>(xsks: impl Iterator<Item = &'a mut Xsk>) -> Result<(), Failure> {
    let mut waits = Vec::new();
    let mut is_pending = false;
    for xsk in xsks {
        is_pending |= xsk.tx().pending() > 0;
        waits.push(&*xsk);
    }
    if is_pending {
        std::thread::yield_now();
        return Ok(());
    }
    let sockets: Vec<_> = waits.iter().filter_map(|xsk| xsk.socket()).collect();
    let mut descriptors: Vec<_> = sockets
        .iter()
        .map(|socket| PollFd::new(socket, PollFlags::IN))
        .collect();
    let timeout = Timespec::try_from(LONGEST_WAIT).expect("a millisecond is a time");
    match poll(&mut descriptors, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(failure(io::Error::from(error))),
    }
}

/// What went wrong as the bench was built.
fn failure(error: impl std::fmt::Display) -> Failure {
    Failure::Run(error.to_string())
}

const LONGEST_WAIT: Duration = Duration::from_millis(1);

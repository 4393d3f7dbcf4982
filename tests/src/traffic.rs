//! Frames that nobody answers, so that they can be counted to the last one, and
//! a thread that sends them without end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crate::{SOON, wait_until};
use wharf_testbed::{Interface, MacAddress, Pacer, PacketSocket, UdpFlow, Wire};

/// `flow` to an Ethernet address that nobody has, so that no stack answers that
/// the port is closed.
#[must_use]
pub fn unanswered(flow: UdpFlow) -> UdpFlow {
    flow.macs(flow.source_mac(), NOBODY)
}

/// An [`unanswered`] flow from the client towards the server of a wire.
#[must_use]
pub fn quiet_flow(wire: &Wire, client_port: u16) -> UdpFlow {
    unanswered(wire.udp_flow(client_port, 4433))
}

/// Sends `frames`, never more than `window` of them ahead of `taken`, which the
/// receiver counts up. So none is lost however slow the receiver is, as long as
/// its rings hold a window.
///
/// # Panics
///
/// When the link refuses them, or the receiver takes none for long.
pub fn send_within(window: usize, taken: &AtomicUsize, socket: &PacketSocket, frames: &[Vec<u8>]) {
    let mut sent = 0;
    for burst in frames.chunks(window.div_ceil(4)) {
        wait_until("the receiver takes frames", SOON, || {
            sent + burst.len() <= taken.load(Ordering::Relaxed) + window
        });
        socket.send_batch(burst).expect("the link takes them");
        sent += burst.len();
    }
}

/// Frames sent from a thread of its own until told to stop, or until the
/// interface is no more. Stops on drop.
#[derive(Debug)]
pub struct Stream {
    over: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Stream {
    /// Sends frames of `flow` from `interface`, `per_second` of them a second.
    ///
    /// # Panics
    ///
    /// When there is no socket to be had.
    #[must_use]
    pub fn start(interface: &Interface, flow: UdpFlow, per_second: u32) -> Self {
        let socket = PacketSocket::sender(interface).expect("a socket");
        let over = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let thread = std::thread::spawn({
            let (over, sent) = (Arc::clone(&over), Arc::clone(&sent));
            let frame = flow.frame(&[0xa5; 200]);
            let burst = vec![frame; BURST];
            let mut pacer = Pacer::per_second(per_second).burst(BURST);
            move || {
                while !over.load(Ordering::Relaxed) {
                    pacer.wait(BURST);
                    // The interface is down or gone, which is what some cases
                    // are about.
                    if socket.send_batch(&burst).is_err() {
                        break;
                    }
                    sent.fetch_add(BURST as u64, Ordering::Relaxed);
                }
            }
        });
        Self {
            over,
            sent,
            thread: Some(thread),
        }
    }

    /// Frames sent so far, at least.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Sends no more, and gives how many frames were sent.
    #[must_use]
    pub fn stop(mut self) -> u64 {
        self.end();
        self.sent()
    }

    fn end(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its only panic would be a bug of the test's own.
            let _ = thread.join();
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.end();
    }
}

/// Frames sent by one system call.
const BURST: usize = 16;

/// No interface of a testbed has it.
const NOBODY: MacAddress = MacAddress([2, 0, 0, 0, 9, 9]);

//! The server that is a thread blocking on a kernel socket, as most are.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use rustix::time::{ClockId, clock_gettime};
use wharf_testbed::SERVER_IPV4;

use super::client::PORT;
use super::cpus::pin;
use crate::bench::testbed::Bed;
use crate::exit::Failure;

/// A thread on the server that answers datagrams.
pub struct SocketServer {
    shared: Arc<Shared>,
    thread: JoinHandle<Result<(), Failure>>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    /// Nanoseconds that the thread has used.
    cpu_time: AtomicU64,
}

impl SocketServer {
    pub fn start(bed: &Bed, cpu: usize) -> Result<Self, Failure> {
        let socket = bed.on_server(|| {
            open()
                .map_err(|error| Failure::Run(format!("cannot open the server's socket: {error}")))
        })?;
        let shared = Arc::new(Shared::default());
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let _pinned = pin(cpu)?;
                answer(&socket, &shared)
                    .map_err(|error| Failure::Run(format!("the server's socket: {error}")))
            }
        });
        Ok(Self { shared, thread })
    }

    /// Of its thread, some milliseconds old at the most while there are requests.
    pub fn cpu_time(&self) -> Duration {
        Duration::from_nanos(self.shared.cpu_time.load(Ordering::Relaxed))
    }

    pub fn stop(self) -> Result<(), Failure> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let panicked = |_| Failure::Run("the server's thread panicked".to_owned());
        self.thread.join().map_err(panicked)?
    }
}

fn open() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((SERVER_IPV4, PORT))?;
    socket.set_read_timeout(Some(LOOK))?;
    set_socket_recv_buffer_size_force(&socket, BUFFER_BYTES)?;
    Ok(socket)
}

fn answer(socket: &UdpSocket, shared: &Shared) -> io::Result<()> {
    let mut datagram = [0; 2048];
    let mut answered = 0_u64;
    while !shared.is_over.load(Ordering::Relaxed) {
        match socket.recv_from(&mut datagram) {
            Ok((bytes, from)) => {
                socket.send_to(&datagram[..bytes], from)?;
                answered += 1;
                if !answered.is_multiple_of(EVERY) {
                    continue;
                }
            }
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
        let used = clock_gettime(ClockId::ThreadCPUTime);
        let used = Duration::try_from(used).unwrap_or_default();
        let nanoseconds = u64::try_from(used.as_nanos()).unwrap_or(u64::MAX);
        shared.cpu_time.store(nanoseconds, Ordering::Relaxed);
    }
    Ok(())
}

fn is_timeout(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

/// How often the thread looks whether it is over.
const LOOK: Duration = Duration::from_millis(20);

/// After how many answers the thread says what time it has used.
const EVERY: u64 = 16;

/// As the client's.
const BUFFER_BYTES: usize = 8 << 20;

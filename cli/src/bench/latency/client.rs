//! Sends requests when they are due, whatever became of those before, and measures from
//! then: a client that waits for a slow answer, and sends the next one later, would
//! leave out what everybody else would have waited.

use std::hint;
use std::io;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use wharf_testbed::{CLIENT_IPV4, SERVER_IPV4};

use super::cpus::pin;
use crate::exit::Failure;

/// The port that servers answer at.
pub const PORT: u16 = 7007;

/// A socket that spins.
pub struct Client {
    socket: UdpSocket,
    payload: Vec<u8>,
    /// The number of the next request. None comes twice, so an answer that is late
    /// belongs to nobody.
    next: u64,
    cpu: usize,
}

/// What one turn found.
pub struct Slice {
    /// In nanoseconds, from when a request was due.
    pub round_trips: Histogram<u64>,
    pub sent: u64,
    pub lost: u64,
    /// How long requests were sent.
    pub took: Duration,
}

impl Client {
    /// Opens the socket in this thread's namespace.
    pub fn open(cpu: usize, payload_bytes: usize) -> Result<Self, Failure> {
        let open = || -> io::Result<UdpSocket> {
            let socket = UdpSocket::bind((CLIENT_IPV4, 0))?;
            socket.connect((SERVER_IPV4, PORT))?;
            socket.set_nonblocking(true)?;
            set_socket_recv_buffer_size_force(&socket, BUFFER_BYTES)?;
            Ok(socket)
        };
        Ok(Self {
            socket: open().map_err(|error| failed("open the client's socket", &error))?,
            payload: vec![0; payload_bytes],
            next: 0,
            cpu,
        })
    }

    /// Sends `rate` requests a second for `turn`, and waits for the answers. Returns
    /// what `cpu_time` grew by meanwhile as well.
    pub fn measure(
        &mut self,
        rate: u32,
        turn: Duration,
        cpu_time: impl Fn() -> Duration,
        stop: &AtomicBool,
    ) -> Result<(Slice, Duration), Failure> {
        let _pinned = pin(self.cpu)?;
        self.meet(stop)?;
        let before = cpu_time();
        let slice = self
            .exchange(rate, turn, stop)
            .map_err(|error| failed("exchange datagrams", &error))?;
        Ok((slice, cpu_time().saturating_sub(before)))
    }

    /// Waits until the server answers.
    fn meet(&mut self, stop: &AtomicBool) -> Result<(), Failure> {
        let deadline = Instant::now() + MEETING;
        while Instant::now() < deadline && !stop.load(Ordering::Relaxed) {
            let number = self.next;
            self.next += 1;
            // Refused where nobody listens yet.
            let _ = self.send(number);
            let answer_by = Instant::now() + Duration::from_millis(20);
            while Instant::now() < answer_by {
                if matches!(self.receive(), Ok(Some(answer)) if answer == number) {
                    return Ok(());
                }
            }
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let limit = MEETING.as_secs();
        Err(Failure::Run(format!(
            "the server does not answer within {limit} seconds"
        )))
    }

    fn exchange(&mut self, rate: u32, turn: Duration, stop: &AtomicBool) -> io::Result<Slice> {
        let mut round_trips = histogram();
        let first = self.next;
        let count = requests(rate, turn);
        let mut is_answered = vec![false; usize::try_from(count).unwrap_or(usize::MAX)];
        let mut answered = 0;
        let start = Instant::now();
        let due = |index: u64| start + due_after(index, rate);
        let mut sent = 0;
        let mut last = start;
        loop {
            let now = Instant::now();
            if sent < count && now >= due(sent) && !stop.load(Ordering::Relaxed) {
                match self.send(first + sent) {
                    Ok(()) => sent += 1,
                    Err(error) if is_full(&error) => {}
                    Err(error) => return Err(error),
                }
                last = now;
            }
            match self.receive()? {
                Some(number) => {
                    let Some(index) = number.checked_sub(first).filter(|index| *index < sent)
                    else {
                        continue;
                    };
                    let place = usize::try_from(index).unwrap_or(usize::MAX);
                    if !std::mem::replace(&mut is_answered[place], true) {
                        answered += 1;
                        let took = due(index).elapsed().as_nanos();
                        round_trips.saturating_record(u64::try_from(took).unwrap_or(u64::MAX));
                    }
                }
                None => hint::spin_loop(),
            }
            let is_over = sent == count || stop.load(Ordering::Relaxed);
            if is_over && (answered == sent || last.elapsed() >= PATIENCE) {
                break;
            }
        }
        self.next = first + count;
        Ok(Slice {
            round_trips,
            sent,
            lost: sent - answered,
            took: start.elapsed(),
        })
    }

    fn send(&mut self, number: u64) -> io::Result<()> {
        self.payload[..8].copy_from_slice(&number.to_be_bytes());
        self.socket.send(&self.payload).map(drop)
    }

    /// The number of an answer, if there is one that is whole.
    fn receive(&self) -> io::Result<Option<u64>> {
        let mut answer = [0; 2048];
        match self.socket.recv(&mut answer) {
            Ok(bytes) if bytes == self.payload.len() => {
                let number = answer.first_chunk().expect("8 bytes of 2048");
                Ok(Some(u64::from_be_bytes(*number)))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            // The server before this one has closed its socket.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Of nanoseconds up to a minute, with three digits.
pub fn histogram() -> Histogram<u64> {
    let longest = Duration::from_secs(60).as_nanos();
    let longest = u64::try_from(longest).expect("a minute is short");
    Histogram::new_with_max(longest, 3).expect("three digits are few")
}

/// Whether it may be tried again.
fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, WouldBlock};
    matches!(error.kind(), WouldBlock | ConnectionRefused)
        || error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error())
}

/// Requests of a turn; one at least.
fn requests(rate: u32, turn: Duration) -> u64 {
    let count = u128::from(rate) * turn.as_nanos() / 1_000_000_000;
    u64::try_from(count).unwrap_or(u64::MAX).max(1)
}

/// How long after the first request one is due.
fn due_after(index: u64, rate: u32) -> Duration {
    let nanoseconds = u128::from(index) * 1_000_000_000 / u128::from(rate);
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

fn failed(what: &str, error: &io::Error) -> Failure {
    Failure::Run(format!("cannot {what}: {error}"))
}

/// For answers that come while the client is not running.
const BUFFER_BYTES: usize = 8 << 20;

/// How long a server may take to answer at all.
const MEETING: Duration = Duration::from_secs(10);

/// How long after the last request an answer may come.
const PATIENCE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_evenly() {
        assert_eq!(due_after(0, 1000), Duration::ZERO);
        assert_eq!(due_after(1, 1000), Duration::from_millis(1));
        assert_eq!(due_after(3_000_000, 3), Duration::from_secs(1_000_000));
    }

    #[test]
    fn turn_has_as_many_requests_as_the_rate_says() {
        assert_eq!(requests(1000, Duration::from_millis(200)), 200);
        assert_eq!(requests(1, Duration::from_millis(20)), 1);
    }
}

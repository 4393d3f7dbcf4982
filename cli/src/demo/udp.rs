//! UDP through the wire and back: numbered datagrams of every size up to the
//! largest that fits the MTU, verified by the server, echoed, and verified by
//! the client.
//!
//! A window and a rate keep the datagrams on their way below what any queue
//! between holds, so all of them must come back: nothing resends UDP.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde::Serialize;
use socket2::SockRef;
use wharf_testbed::{CLIENT_IPV4, SERVER_IPV4, Wire};

use super::clock::{Clock, LOST};
use super::datagram::Sizes;
use super::timed::{is_timeout, uninterrupted};

/// What became of the datagrams.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UdpReport {
    /// Every datagram came back as it was, once.
    pub intact: bool,
    pub sent_datagrams: u64,
    /// Payload of those.
    pub sent_bytes: u64,
    pub largest_bytes: usize,
    /// Verified by the server.
    pub arrived_datagrams: u64,
    /// Verified by the client on their way back.
    pub returned_datagrams: u64,
    pub lost_datagrams: u64,
    pub duplicate_datagrams: u64,
    pub corrupted_datagrams: u64,
    pub errors: Vec<String>,
}

/// Sends until the clock is over and waits for the rest.
pub fn run(wire: &Wire, clock: &Clock<'_>) -> UdpReport {
    open_both(wire)
        .map(|(client, server, sizes)| exchange(&client, &server, sizes, clock))
        .unwrap_or_else(|error| UdpReport {
            errors: vec![format!("cannot set up: {error}")],
            ..UdpReport::default()
        })
}

fn open_both(wire: &Wire) -> Result<(UdpSocket, UdpSocket, Sizes), String> {
    let mtu = wire
        .client_interface()
        .status()
        .map_err(|error| error.to_string())?
        .mtu;
    let server = wire.server().run(|| open((SERVER_IPV4, PORT)));
    let client = wire.client().run(|| {
        let socket = open((CLIENT_IPV4, 0))?;
        socket.connect((SERVER_IPV4, PORT))?;
        Ok(socket)
    });
    let text = |error: io::Error| error.to_string();
    Ok((
        client.map_err(text)?,
        server.map_err(text)?,
        Sizes::up_to_mtu(mtu),
    ))
}

fn open(address: (Ipv4Addr, u16)) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    let options = SockRef::from(&socket);
    options.set_recv_buffer_size(BUFFER_BYTES)?;
    options.set_send_buffer_size(BUFFER_BYTES)?;
    Ok(socket)
}

fn exchange(client: &UdpSocket, server: &UdpSocket, sizes: Sizes, clock: &Clock<'_>) -> UdpReport {
    let is_client_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let echoing = scope.spawn(|| echo(server, sizes, &is_client_done));
        let mut report = send_and_verify(client, sizes, clock);
        is_client_done.store(true, Ordering::Relaxed);
        let echoed = echoing.join().expect("the echo thread returns its errors");
        report.arrived_datagrams = echoed.verified;
        report.corrupted_datagrams += echoed.corrupted;
        report.errors.extend(echoed.error);
        report.judged()
    })
}

/// The client: sends within window and rate, and verifies what comes back.
fn send_and_verify(socket: &UdpSocket, sizes: Sizes, clock: &Clock<'_>) -> UdpReport {
    let mut report = UdpReport {
        largest_bytes: sizes.largest,
        ..UdpReport::default()
    };
    if let Err(error) = exchange_datagrams(socket, sizes, clock, &mut report) {
        report.errors.push(format!("client: {error}"));
    }
    report.lost_datagrams = report.sent_datagrams - report.returned_datagrams;
    report
}

fn exchange_datagrams(
    socket: &UdpSocket,
    sizes: Sizes,
    clock: &Clock<'_>,
    report: &mut UdpReport,
) -> io::Result<()> {
    let mut bytes = vec![0; sizes.largest + 1];
    let mut has_returned: Vec<bool> = Vec::new();
    // Datagrams that took too long: no longer waited for.
    let mut given_up = 0;
    socket.set_read_timeout(Some(LOST))?;
    loop {
        let due =
            u64::try_from(clock.elapsed().as_micros()).unwrap_or(u64::MAX) / MICROS_PER_DATAGRAM;
        // However short the time, one is sent: nothing proves nothing.
        let is_over = clock.is_over() && report.sent_datagrams > 0;
        while !is_over
            && report.sent_datagrams < due.max(1)
            && report.sent_datagrams - report.returned_datagrams - given_up < WINDOW
        {
            let length = sizes.write(report.sent_datagrams, &mut bytes);
            uninterrupted(|| socket.send(&bytes[..length]))?;
            report.sent_datagrams += 1;
            report.sent_bytes += length as u64;
            has_returned.push(false);
        }
        if report.sent_datagrams == report.returned_datagrams + given_up {
            if is_over {
                return Ok(());
            }
            thread::sleep(PAUSE);
            continue;
        }
        match uninterrupted(|| socket.recv(&mut bytes)) {
            Ok(length) => match sizes
                .verify(&bytes[..length])
                .and_then(|sequence| has_returned.get_mut(usize::try_from(sequence).ok()?))
            {
                Some(returned) if *returned => report.duplicate_datagrams += 1,
                Some(returned) => {
                    *returned = true;
                    report.returned_datagrams += 1;
                    // One that was given up for lost came back after all.
                    given_up = given_up.min(report.sent_datagrams - report.returned_datagrams);
                }
                None => report.corrupted_datagrams += 1,
            },
            Err(error) if is_timeout(&error) => {
                given_up = report.sent_datagrams - report.returned_datagrams;
            }
            Err(error) => return Err(error),
        }
    }
}

/// What the server saw.
#[derive(Debug, Default)]
struct Echoed {
    verified: u64,
    corrupted: u64,
    error: Option<String>,
}

/// The server: verifies each datagram and sends it back as it came.
fn echo(socket: &UdpSocket, sizes: Sizes, is_client_done: &AtomicBool) -> Echoed {
    let mut echoed = Echoed::default();
    if let Err(error) = echo_datagrams(socket, sizes, is_client_done, &mut echoed) {
        echoed.error = Some(format!("server: {error}"));
    }
    echoed
}

fn echo_datagrams(
    socket: &UdpSocket,
    sizes: Sizes,
    is_client_done: &AtomicBool,
    echoed: &mut Echoed,
) -> io::Result<()> {
    let mut bytes = vec![0; sizes.largest + 1];
    socket.set_read_timeout(Some(POLL_INTERVAL))?;
    while !is_client_done.load(Ordering::Relaxed) {
        match uninterrupted(|| socket.recv_from(&mut bytes)) {
            Ok((length, client)) => {
                match sizes.verify(&bytes[..length]) {
                    Some(_) => echoed.verified += 1,
                    None => echoed.corrupted += 1,
                }
                uninterrupted(|| socket.send_to(&bytes[..length], client))?;
            }
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl UdpReport {
    fn judged(mut self) -> Self {
        self.intact = self.sent_datagrams > 0
            && self.returned_datagrams == self.sent_datagrams
            && self.arrived_datagrams == self.sent_datagrams
            && self.duplicate_datagrams == 0
            && self.corrupted_datagrams == 0
            && self.errors.is_empty();
        self
    }
}

const PORT: u16 = 7002;

/// Datagrams on their way at most, there and back.
const WINDOW: u64 = 32;

/// 10 000 datagrams a second, each there and back.
const MICROS_PER_DATAGRAM: u64 = 100;

/// While nothing is due.
const PAUSE: Duration = Duration::from_micros(500);

/// Between two checks whether the client is done.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Far more than the window.
const BUFFER_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes { largest: 1472 };

    fn local_pair() -> (UdpSocket, UdpSocket) {
        let server = open((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let client = open((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        client
            .connect(server.local_addr().expect("a bound socket"))
            .expect("an address");
        (client, server)
    }

    #[test]
    fn every_datagram_comes_back_on_a_good_path() {
        let stop = AtomicBool::new(false);
        let (client, server) = local_pair();

        let report = exchange(
            &client,
            &server,
            SIZES,
            &Clock::new(Duration::from_millis(50), &stop),
        );

        assert!(report.intact, "{report:?}");
        assert!(report.sent_datagrams >= 8, "{report:?}");
    }

    #[test]
    fn datagrams_without_an_answer_are_lost_and_the_wait_is_bounded() {
        let stop = AtomicBool::new(false);
        let (client, _server) = local_pair();

        let report = send_and_verify(
            &client,
            SIZES,
            &Clock::new(Duration::from_millis(20), &stop),
        );

        assert!(report.lost_datagrams > 0);
        assert_eq!(report.lost_datagrams, report.sent_datagrams);
        assert!(!report.judged().intact);
    }
}

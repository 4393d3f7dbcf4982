//! ICMP echo through the wire: requests of every size from a raw socket,
//! answered by the server's kernel; the same payload has to come back.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use socket2::{Domain, Protocol, Socket, Type};
use wharf_testbed::{SERVER_IPV4, Wire};

use super::clock::{Clock, LOST};
use super::pattern::Pattern;
use super::timed::{is_timeout, uninterrupted};

/// What became of the requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EchoReport {
    /// Every request was answered with its own payload.
    pub intact: bool,
    pub requests: u64,
    pub replies: u64,
    pub lost: u64,
    pub corrupted: u64,
    /// Of the middle one of all replies.
    pub median_round_trip_microseconds: u64,
    pub errors: Vec<String>,
}

/// Asks one request at a time until the clock is over.
pub fn run(wire: &Wire, clock: &Clock<'_>) -> EchoReport {
    let mut report = EchoReport::default();
    let result = wire
        .client_interface()
        .status()
        .map_err(|error| error.to_string())
        .and_then(|status| {
            let socket = wire.client().run(open).map_err(|error| error.to_string())?;
            ask_all(&socket, largest_payload(status.mtu), clock, &mut report)
                .map_err(|error| error.to_string())
        });
    report.errors.extend(result.err());
    report.lost = report.requests - report.replies;
    report.intact = report.requests > 0
        && report.lost == 0
        && report.corrupted == 0
        && report.errors.is_empty();
    report
}

/// Connected, so that it hears the server's ICMP only.
fn open() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
    socket.connect(&SocketAddr::from((SERVER_IPV4, 0)).into())?;
    socket.set_read_timeout(Some(LOST))?;
    Ok(socket)
}

fn ask_all(
    socket: &Socket,
    largest_payload: usize,
    clock: &Clock<'_>,
    report: &mut EchoReport,
) -> io::Result<()> {
    let mut round_trips = Vec::new();
    let mut sequence: u16 = 0;
    // However short the time, one is sent: nothing proves nothing.
    while report.requests == 0 || !clock.is_over() {
        let request = Echo::request(sequence, payload(sequence, largest_payload));
        let asked = Instant::now();
        uninterrupted(|| socket.send(&request.to_bytes()))?;
        report.requests += 1;
        if let Some(round_trip) = wait_for_reply(socket, &request, asked, report)? {
            report.replies += 1;
            round_trips.push(round_trip);
        }
        sequence = sequence.wrapping_add(1);
        thread::sleep(PAUSE);
    }
    round_trips.sort_unstable();
    let median = round_trips
        .get(round_trips.len() / 2)
        .copied()
        .unwrap_or_default();
    report.median_round_trip_microseconds = u64::try_from(median.as_micros()).unwrap_or(u64::MAX);
    Ok(())
}

/// The time until the reply to `request`, or `None` if it does not come.
fn wait_for_reply(
    socket: &Socket,
    request: &Echo,
    asked: Instant,
    report: &mut EchoReport,
) -> io::Result<Option<Duration>> {
    let mut bytes = [0; 1 << 16];
    while asked.elapsed() < LOST {
        let length = match uninterrupted(|| (&*socket).read(&mut bytes)) {
            Ok(length) => length,
            Err(error) if is_timeout(&error) => break,
            Err(error) => return Err(error),
        };
        match Echo::parse_reply(&bytes[..length]) {
            Some(reply) if reply == *request => return Ok(Some(asked.elapsed())),
            // A late reply to an earlier request, which counts as lost already.
            Some(reply) if reply.sequence != request.sequence => {}
            Some(_) => report.corrupted += 1,
            // Other ICMP of the server.
            None => {}
        }
    }
    Ok(None)
}

/// Every fourth as large as can be, the others of all sizes in turn.
fn payload(sequence: u16, largest: usize) -> Vec<u8> {
    let length = if sequence.is_multiple_of(4) {
        largest
    } else {
        usize::from(sequence).wrapping_mul(7919) % (largest + 1)
    };
    let mut payload = vec![0; length];
    Pattern::new(u64::from(sequence)).fill(0, &mut payload);
    payload
}

fn largest_payload(mtu: u32) -> usize {
    let mtu = usize::try_from(mtu).expect("32 bits fit usize on Linux");
    mtu.saturating_sub(IPV4_HEADER_BYTES + ICMP_HEADER_BYTES)
}

/// An echo request of ours, or the reply to one.
#[derive(Debug, PartialEq, Eq)]
struct Echo {
    sequence: u16,
    payload: Vec<u8>,
}

impl Echo {
    fn request(sequence: u16, payload: Vec<u8>) -> Self {
        Self { sequence, payload }
    }

    /// The ICMP message (RFC 792).
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![ECHO_REQUEST, 0, 0, 0];
        bytes.extend(IDENTIFIER.to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(&self.payload);
        let checksum = internet_checksum(&bytes).to_be_bytes();
        bytes[2..4].copy_from_slice(&checksum);
        bytes
    }

    /// Reads what a raw socket returns: the IPv4 packet with its header.
    fn parse_reply(packet: &[u8]) -> Option<Self> {
        let header_bytes = usize::from(packet.first()? & 0x0f) * 4;
        let message = packet.get(header_bytes..)?;
        let (header, payload) = message.split_first_chunk::<ICMP_HEADER_BYTES>()?;
        let [
            kind,
            code,
            _,
            _,
            id_high,
            id_low,
            sequence_high,
            sequence_low,
        ] = *header;
        let is_ours =
            kind == ECHO_REPLY && code == 0 && u16::from_be_bytes([id_high, id_low]) == IDENTIFIER;
        is_ours.then(|| Self {
            sequence: u16::from_be_bytes([sequence_high, sequence_low]),
            payload: payload.to_vec(),
        })
    }
}

/// The ones' complement sum of RFC 1071.
fn internet_checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| {
            u32::from(u16::from_be_bytes([
                pair[0],
                pair.get(1).copied().unwrap_or(0),
            ]))
        })
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded to 16 bits")
}

const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;

/// The client's namespace is private: no other process sends echo requests there.
const IDENTIFIER: u16 = 0x5748;

/// A hundred requests a second.
const PAUSE: Duration = Duration::from_millis(10);

const IPV4_HEADER_BYTES: usize = 20;
const ICMP_HEADER_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel makes of `request`: a reply behind an IPv4 header.
    fn reply_to(request: &Echo) -> Vec<u8> {
        let mut packet = vec![0; IPV4_HEADER_BYTES];
        packet[0] = 0x45;
        packet.extend(request.to_bytes());
        packet[IPV4_HEADER_BYTES] = ECHO_REPLY;
        packet
    }

    #[test]
    fn reply_with_the_same_payload_equals_its_request() {
        let request = Echo::request(5, payload(5, 1472));

        assert_eq!(Echo::parse_reply(&reply_to(&request)), Some(request));
    }

    #[test]
    fn reply_with_a_changed_payload_does_not() {
        let request = Echo::request(4, payload(4, 1472));
        let mut packet = reply_to(&request);
        packet[100] ^= 1;

        assert_ne!(Echo::parse_reply(&packet), Some(request));
    }

    #[test]
    fn other_icmp_is_not_a_reply() {
        let mut unreachable = reply_to(&Echo::request(1, Vec::new()));
        unreachable[IPV4_HEADER_BYTES] = 3;

        assert_eq!(Echo::parse_reply(&unreachable), None);
        assert_eq!(Echo::parse_reply(&[]), None);
        assert_eq!(
            Echo::parse_reply(&[0x4f; 30]),
            None,
            "header beyond the end"
        );
    }

    #[test]
    fn checksum_of_a_message_with_its_checksum_is_zero() {
        for sequence in [0, 1, 2, 3] {
            let bytes = Echo::request(sequence, payload(sequence, 1471)).to_bytes();

            assert_eq!(internet_checksum(&bytes), 0);
        }
    }
}

//! TCP through the wire: several connections, each full in both directions at
//! once, every byte verified where it arrives.
//!
//! Socket buffers are small on purpose. A veth queues 256 frames, and what
//! exceeds them is lost in the kernel, where no forwarder can help it; TCP would
//! recover, but the UDP beside it would not. Two connections with 64 KiB under
//! way each are some 90 frames per direction.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

use serde::Serialize;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use wharf_testbed::{SERVER_IPV4, Wire};

use super::clock::{Clock, STALL};
use super::pattern::Pattern;
use super::timed::{is_timeout, uninterrupted};

/// What became of the connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TcpReport {
    /// Everything sent arrived, and something did on every connection.
    pub intact: bool,
    pub connections: usize,
    /// Both directions.
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub errors: Vec<String>,
}

/// Sends until the clock is over and waits for the rest.
pub fn run(wire: &Wire, clock: &Clock<'_>) -> TcpReport {
    match connect_all(wire) {
        Ok(pairs) => exchange_all(&pairs, clock),
        Err(error) => TcpReport {
            errors: vec![format!("cannot connect: {error}")],
            ..TcpReport::default()
        },
    }
}

/// Both ends of a connection.
struct Pair {
    client: TcpStream,
    server: TcpStream,
}

/// One direction of a connection, at one end.
#[derive(Default)]
struct Flow {
    bytes: u64,
    error: Option<String>,
}

fn connect_all(wire: &Wire) -> io::Result<Vec<Pair>> {
    let address = SocketAddr::from((SERVER_IPV4, PORT)).into();
    let listener = wire.server().run(|| listen(&address))?;
    (0..CONNECTIONS)
        .map(|_| {
            let client = wire.client().run(|| connect(&address))?;
            let (server, _) = listener.accept()?;
            Ok(Pair {
                client: prepared(client)?,
                server: prepared(server)?,
            })
        })
        .collect()
}

fn listen(address: &SockAddr) -> io::Result<Socket> {
    let socket = small_socket()?;
    socket.bind(address)?;
    socket.listen(1)?;
    // Bounds the wait in accept(2), too.
    socket.set_read_timeout(Some(STALL))?;
    Ok(socket)
}

fn connect(address: &SockAddr) -> io::Result<Socket> {
    let socket = small_socket()?;
    socket.connect_timeout(address, STALL)?;
    Ok(socket)
}

/// The buffers have to be set before the connection is made; the listener's
/// are inherited by what it accepts.
fn small_socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_recv_buffer_size(BUFFER_BYTES)?;
    socket.set_send_buffer_size(BUFFER_BYTES)?;
    Ok(socket)
}

fn prepared(socket: Socket) -> io::Result<TcpStream> {
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(STALL))?;
    stream.set_write_timeout(Some(STALL))?;
    Ok(stream)
}

fn exchange_all(pairs: &[Pair], clock: &Clock<'_>) -> TcpReport {
    let flows: Vec<(Flow, Flow)> = thread::scope(|scope| {
        let threads: Vec<_> = pairs
            .iter()
            .flat_map(|pair| [(&pair.client, &pair.server), (&pair.server, &pair.client)])
            .zip(0..)
            .map(|((from, to), seed)| {
                let pattern = Pattern::new(seed);
                let sending = scope.spawn(move || send(from, pattern, clock));
                let receiving = scope.spawn(move || receive(to, pattern));
                (sending, receiving)
            })
            .collect();
        let broken = "a flow's thread returns its errors";
        threads
            .into_iter()
            .map(|(sending, receiving)| {
                (
                    sending.join().expect(broken),
                    receiving.join().expect(broken),
                )
            })
            .collect()
    });
    report(pairs.len(), &flows)
}

fn report(connections: usize, flows: &[(Flow, Flow)]) -> TcpReport {
    let errors: Vec<String> = flows
        .iter()
        .flat_map(|(sent, received)| [&sent.error, &received.error])
        .flatten()
        .cloned()
        .collect();
    let all_arrived = flows
        .iter()
        .all(|(sent, received)| sent.bytes > 0 && sent.bytes == received.bytes);
    TcpReport {
        intact: all_arrived && errors.is_empty() && !flows.is_empty(),
        connections,
        sent_bytes: flows.iter().map(|(sent, _)| sent.bytes).sum(),
        received_bytes: flows.iter().map(|(_, received)| received.bytes).sum(),
        errors,
    }
}

fn send(mut stream: &TcpStream, pattern: Pattern, clock: &Clock<'_>) -> Flow {
    let mut flow = Flow::default();
    let mut bytes = [0; PIECE_BYTES];
    // However short the time, something is sent: nothing proves nothing.
    while flow.bytes == 0 || !clock.is_over() {
        pattern.fill(flow.bytes, &mut bytes);
        match uninterrupted(|| stream.write(&bytes)) {
            Ok(taken) => flow.bytes += taken as u64,
            Err(error) => {
                flow.error = Some(stopped("sending", flow.bytes, &error));
                break;
            }
        }
    }
    // Tells the other end that this is all; it notices itself if it is not.
    let _ = stream.shutdown(Shutdown::Write);
    flow
}

fn receive(mut stream: &TcpStream, pattern: Pattern) -> Flow {
    let mut flow = Flow::default();
    let mut bytes = [0; PIECE_BYTES];
    loop {
        match uninterrupted(|| stream.read(&mut bytes)) {
            Ok(0) => return flow,
            Ok(taken) => {
                if let Some(index) = pattern.first_mismatch(flow.bytes, &bytes[..taken]) {
                    let position = flow.bytes + index as u64;
                    flow.error
                        .get_or_insert_with(|| format!("byte {position} arrived corrupted"));
                }
                flow.bytes += taken as u64;
            }
            Err(error) => {
                flow.error = Some(stopped("receiving", flow.bytes, &error));
                return flow;
            }
        }
    }
}

fn stopped(what: &str, bytes: u64, error: &io::Error) -> String {
    if is_timeout(error) {
        let stall = STALL.as_secs();
        format!("{what} stalled for {stall} s after {bytes} bytes")
    } else {
        format!("{what} stopped after {bytes} bytes: {error}")
    }
}

const CONNECTIONS: usize = 2;
const PORT: u16 = 7001;

/// The kernel doubles it for its bookkeeping (`SO_RCVBUF` in socket(7)).
const BUFFER_BYTES: usize = 64 << 10;

const PIECE_BYTES: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use super::*;

    fn local_pair() -> Pair {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let client = TcpStream::connect(address).expect("a listener");
        let (server, _) = listener.accept().expect("a connection");
        Pair { client, server }
    }

    #[test]
    fn everything_sent_arrives_on_a_good_connection() {
        let stop = AtomicBool::new(false);
        let clock = Clock::new(Duration::from_millis(50), &stop);

        let report = exchange_all(&[local_pair(), local_pair()], &clock);

        assert!(report.intact, "{report:?}");
        assert!(report.sent_bytes > 0);
        assert_eq!(report.sent_bytes, report.received_bytes);
    }

    #[test]
    fn foreign_bytes_are_reported_with_their_position() {
        let pair = local_pair();
        let mut bytes = [0; 100];
        Pattern::new(1).fill(0, &mut bytes);
        bytes[42] ^= 1;
        (&pair.client)
            .write_all(&bytes)
            .expect("an open connection");
        pair.client
            .shutdown(Shutdown::Write)
            .expect("an open connection");

        let flow = receive(&pair.server, Pattern::new(1));

        assert_eq!(flow.bytes, 100);
        assert_eq!(flow.error.as_deref(), Some("byte 42 arrived corrupted"));
    }

    #[test]
    fn flow_that_lost_its_end_is_not_intact() {
        let flow = |bytes| Flow { bytes, error: None };

        assert!(!report(1, &[(flow(10), flow(9))]).intact);
        assert!(!report(1, &[(flow(0), flow(0))]).intact);
        assert!(!report(0, &[]).intact);
        assert!(report(1, &[(flow(10), flow(10))]).intact);
    }
}

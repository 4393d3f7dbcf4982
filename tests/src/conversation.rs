//! TCP connections between kernels' own stacks, tried with bounds.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use wharf_testbed::Host;

/// An end of a connection, and the other one.
#[derive(Debug)]
pub struct Connection {
    near: TcpStream,
    far: TcpStream,
}

/// Listens in `host` at `address` and `port`.
///
/// # Panics
///
/// When the port is taken.
#[must_use]
pub fn listen(host: &Host, address: impl Into<IpAddr>, port: u16) -> TcpListener {
    let address = SocketAddr::from((address.into(), port));
    host.run(|| TcpListener::bind(address).expect("the port is free"))
}

/// Connects from `host` to `listener`; `None` when that takes longer than
/// `limit`.
///
/// # Panics
///
/// When the connection is refused.
#[must_use]
pub fn connect(host: &Host, listener: &TcpListener, limit: Duration) -> Option<Connection> {
    let to = listener.local_addr().expect("it listens");
    let near = reach(host, to, limit)?;
    let (far, _) = listener.accept().expect("the kernel has connected them");
    Some(Connection { near, far })
}

/// Connects from `host` to `to`; `None` when nobody answers within `limit`.
///
/// # Panics
///
/// When the connection fails in another way.
#[must_use]
pub fn reach(host: &Host, to: SocketAddr, limit: Duration) -> Option<TcpStream> {
    match host.run(|| TcpStream::connect_timeout(&to, limit)) {
        Ok(stream) => Some(stream),
        Err(error) if error.kind() == std::io::ErrorKind::TimedOut => None,
        Err(error) => panic!("{to}: {error}"),
    }
}

impl Connection {
    /// Whether a line goes there and back, each way within `limit`.
    ///
    /// # Panics
    ///
    /// When what arrives is something else.
    #[must_use]
    pub fn works(&mut self, limit: Duration) -> bool {
        says(&mut self.near, &mut self.far, limit) && says(&mut self.far, &mut self.near, limit)
    }

    /// The end that connected.
    #[must_use]
    pub fn near(&mut self) -> &mut TcpStream {
        &mut self.near
    }
}

fn says(from: &mut TcpStream, to: &mut TcpStream, limit: Duration) -> bool {
    const LINE: &[u8] = b"are you still there?\n";
    to.set_read_timeout(Some(limit)).expect("above zero");
    from.write_all(LINE).expect("there is room");
    let mut heard = [0; LINE.len()];
    match to.read_exact(&mut heard) {
        Ok(()) => {
            assert_eq!(heard, LINE);
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
            false
        }
    }
}

//! A small HTTP server: one thread, a few clients at a time, one request each.
//!
//! A client that comes when all places are taken gets that of the one which came
//! first. So idle connections, however many, keep nobody out, and the process
//! needs no more descriptors than there are places.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{AbortHandle, yield_now};
use tokio::time::{sleep, timeout};

use super::answer::answer;

/// What the metrics are at the moment, as text.
type Render = dyn Fn() -> String + Send + Sync;

/// A server that is bound and does not answer yet.
pub struct Server {
    runtime: Runtime,
    listener: TcpListener,
}

impl Server {
    /// Binds `address`, and takes from the kernel all that serving needs later.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = StdListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        Ok(Self { runtime, listener })
    }

    /// Answers from a thread of its own, with what `render` returns, until the
    /// process ends.
    pub fn start(self, render: impl Fn() -> String + Send + Sync + 'static) -> io::Result<()> {
        let Self { runtime, listener } = self;
        let render: Arc<Render> = Arc::new(render);
        thread::Builder::new()
            .name("wharf-metrics".to_owned())
            .spawn(move || runtime.block_on(accept(&listener, &render)))?;
        Ok(())
    }
}

async fn accept(listener: &TcpListener, render: &Arc<Render>) {
    let mut clients = Clients::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                clients.make_room();
                let client = tokio::spawn(serve(stream, Arc::clone(render)));
                clients.0.push_back(client.abort_handle());
                // So that each client is looked at before others take its place.
                yield_now().await;
            }
            // Out of descriptors or memory. Without the pause the thread would
            // spin: the client that waits to be accepted stays.
            Err(_) => {
                clients.cut_first();
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Those that are being served, by the order they came in.
#[derive(Default)]
struct Clients(VecDeque<AbortHandle>);

impl Clients {
    /// Makes room for one more.
    fn make_room(&mut self) {
        self.0.retain(|client| !client.is_finished());
        if self.0.len() >= CLIENTS_MAX {
            self.cut_first();
        }
    }

    fn cut_first(&mut self) {
        if let Some(first) = self.0.pop_front() {
            first.abort();
        }
    }
}

/// Answers one request.
async fn serve(stream: TcpStream, render: Arc<Render>) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = answer(request.method(), request.uri().path(), || render());
        ready(Ok::<Response<String>, Infallible>(response))
    });
    let connection = http1::Builder::new()
        // Prometheus connects anew each time, and others do without the place.
        .keep_alive(false)
        // Some clients close their side as soon as they have asked.
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_LIMIT)
        .max_header_size(REQUEST_BYTES_MAX)
        .max_buf_size(REQUEST_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // A client that is gone, too slow or makes no sense has no other remedy.
    let _ = timeout(CLIENT_LIMIT, connection).await;
}

/// Clients at a time: more than scrape one forwarder, few beside 256 descriptors.
const CLIENTS_MAX: usize = 16;

/// How long a request may take to arrive.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// How long a client may take in all: as Prometheus' usual limit for a scrape.
const CLIENT_LIMIT: Duration = Duration::from_secs(10);

/// What a request may take, headers and all; the least that hyper takes.
const REQUEST_BYTES_MAX: usize = 8 * 1024;

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream as StdStream;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn server() -> SocketAddr {
        let server = Server::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let address = server.listener.local_addr().expect("it is bound");
        server.start(|| "frames 1\n".to_owned()).expect("a thread");
        address
    }

    fn connect(address: SocketAddr) -> StdStream {
        let stream = StdStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        stream
    }

    /// Sends `request` and returns all that comes until the server closes.
    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = connect(address);
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("it closes");
        reply
    }

    #[test]
    fn request_is_answered_and_the_connection_closed() {
        let address = server();

        let metrics = ask(address, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
        let head = ask(address, "HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
        let other = ask(address, "GET /other HTTP/1.1\r\nHost: a\r\n\r\n");
        let posted = ask(
            address,
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        );
        let old = ask(address, "GET /metrics HTTP/1.0\r\n\r\n");

        assert!(metrics.starts_with("HTTP/1.1 200 "), "{metrics}");
        assert!(metrics.ends_with("\r\n\r\nframes 1\n"), "{metrics}");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.ends_with("\r\n\r\n"), "{head}");
        assert!(other.starts_with("HTTP/1.1 404 "), "{other}");
        assert!(posted.starts_with("HTTP/1.1 405 "), "{posted}");
        assert!(old.ends_with("frames 1\n"), "{old}");
    }

    #[test]
    fn idle_clients_keep_nobody_out_and_are_cut_when_others_come() {
        let address = server();
        let mut first = connect(address);
        first.write_all(b"GET /metrics HT").expect("it reads");
        let _idle: Vec<StdStream> = (0..4 * CLIENTS_MAX).map(|_| connect(address)).collect();

        for _ in 0..3 {
            let reply = ask(address, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
            assert!(reply.ends_with("frames 1\n"), "{reply}");
        }

        let mut rest = Vec::new();
        // A reset is an end as well.
        let _ = first.read_to_end(&mut rest);
        assert_eq!(rest, b"", "it was cut");
    }

    #[test]
    fn silent_client_is_cut() {
        let address = server();
        let mut silent = connect(address);

        let end = silent.read(&mut [0; 64]);

        assert!(matches!(end, Ok(0)), "{end:?}");
    }

    #[test]
    fn request_without_end_is_refused() {
        let address = server();
        let mut stream = connect(address);
        let header = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(64 * 1024));

        // It may close before the end of it.
        let _ = stream.write_all(header.as_bytes());
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply);

        let reply = String::from_utf8_lossy(&reply);
        assert!(reply.is_empty() || reply.contains(" 431 "), "{reply}");
    }
}

//! The forwarder's side of the socket: one thread that accepts, and one for each
//! client. They end with the server: dropping it shuts every socket down, which
//! wakes the threads that wait on one.
//!
//! A process that is out of descriptors cannot accept, so a client would wait for
//! an answer that never comes. One descriptor is kept for that: it makes room to
//! accept the client and to say why it is not served.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use socket2::SockRef;

use super::editor::Editor;
use super::line::{Lines, ReadLimits};
use super::message::{Refusal, RefusalCode, reply_line};
use super::socket::Socket;

/// Serves requests until dropped. Its threads end soon after; the scope waits for
/// them.
pub struct Server<'a> {
    socket: &'a Socket,
    clients: Arc<Mutex<Clients>>,
}

#[derive(Default)]
struct Clients {
    /// By the order they came in.
    streams: Vec<(u64, Arc<UnixStream>)>,
    next: u64,
    is_closed: bool,
}

impl<'a> Server<'a> {
    /// Has `editor` reply to the clients of `socket`.
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, 'a>,
        socket: &'a Socket,
        editor: &'a Editor<'a>,
    ) -> io::Result<Self> {
        let clients = Arc::new(Mutex::new(Clients::default()));
        let server = Self {
            socket,
            clients: Arc::clone(&clients),
        };
        Builder::new()
            .name("wharf-control".to_owned())
            .spawn_scoped(scope, move || accept(scope, socket, editor, &clients))?;
        Ok(server)
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let mut clients = lock(&self.clients);
        clients.is_closed = true;
        for (_, stream) in &clients.streams {
            // The peer may have gone already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes `accept` (`unix_shutdown` in net/unix/af_unix.c).
        let _ = SockRef::from(self.socket.listener()).shutdown(Shutdown::Both);
    }
}

fn accept<'scope, 'a>(
    scope: &'scope Scope<'scope, 'a>,
    socket: &'a Socket,
    editor: &'a Editor<'a>,
    clients: &Arc<Mutex<Clients>>,
) {
    let listener = socket.listener();
    let mut spare = spare_descriptor();
    loop {
        // `accept` takes its descriptor before it waits (`__sys_accept4_file` in
        // net/socket.c), so without one it fails although there is no client.
        // A wait that fails ends in an `accept` that waits.
        let _ = poll(&mut [PollFd::new(listener, PollFlags::IN)], None);
        let accepted = listener.accept();
        if lock(clients).is_closed {
            return;
        }
        match accepted {
            Ok((stream, _)) => start_client(scope, Arc::new(stream), editor, clients),
            // Out of descriptors or memory: others may end soon.
            Err(_) => {
                if spare.take().is_some() {
                    refuse_next(listener);
                }
                spare = spare_descriptor();
                std::thread::sleep(ACCEPT_PAUSE);
            }
        }
    }
}

fn spare_descriptor() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Refuses the client that waits to be accepted.
fn refuse_next(listener: &UnixListener) {
    // Another thread may have taken what was given back.
    if let Ok((stream, _)) = listener.accept()
        && stream.set_write_timeout(Some(WRITE_LIMIT)).is_ok()
    {
        let error = "the forwarder has no file descriptor left: raise its limit (`ulimit -n`)";
        refuse(&stream, RefusalCode::Busy, error);
    }
}

fn start_client<'scope, 'a>(
    scope: &'scope Scope<'scope, 'a>,
    stream: Arc<UnixStream>,
    editor: &'a Editor<'a>,
    clients: &Arc<Mutex<Clients>>,
) {
    if stream.set_write_timeout(Some(WRITE_LIMIT)).is_err() {
        return;
    }
    let Some(number) = register(clients, &stream) else {
        let busy = RefusalCode::Busy;
        refuse(&stream, busy, "too many clients at once: try again");
        return;
    };
    let mine = Arc::clone(clients);
    let told = Arc::clone(&stream);
    let thread = Builder::new().name("wharf-client".to_owned());
    let started = thread.spawn_scoped(scope, move || {
        serve(&stream, editor);
        unregister(&mine, number);
    });
    if let Err(error) = started {
        let reason = format!("the forwarder cannot start a thread: {error}");
        refuse(&told, RefusalCode::Busy, &reason);
        unregister(clients, number);
    }
}

/// Returns a number for the client, or `None` when there are too many.
fn register(clients: &Mutex<Clients>, stream: &Arc<UnixStream>) -> Option<u64> {
    let mut clients = lock(clients);
    if clients.streams.len() >= CLIENTS_MAX || clients.is_closed {
        return None;
    }
    let number = clients.next;
    clients.next += 1;
    clients.streams.push((number, Arc::clone(stream)));
    Some(number)
}

fn unregister(clients: &Mutex<Clients>, number: u64) {
    lock(clients).streams.retain(|(other, _)| *other != number);
}

/// Replies to a client until it is done or takes too long.
fn serve(stream: &UnixStream, editor: &Editor<'_>) {
    let mut lines = Lines::of(stream);
    loop {
        match lines.next(READ_LIMITS) {
            Ok(None) => return,
            Ok(Some(line)) => {
                let reply = editor.reply_to(&line);
                if (&mut &*stream).write_all(reply.as_bytes()).is_err() {
                    return;
                }
            }
            Err(error) => {
                match error.kind() {
                    ErrorKind::InvalidData => {
                        refuse(stream, RefusalCode::BadRequest, &error.to_string());
                    }
                    ErrorKind::TimedOut => {
                        refuse(stream, RefusalCode::Busy, "no request arrived in time");
                    }
                    // The peer is gone.
                    _ => {}
                }
                return;
            }
        }
    }
}

/// Says why the connection ends.
fn refuse(stream: &UnixStream, code: RefusalCode, error: &str) {
    let reply = reply_line(Err(Refusal::new(code, error)));
    // The peer may be gone.
    let _ = (&mut &*stream).write_all(reply.as_bytes());
}

fn lock(clients: &Mutex<Clients>) -> MutexGuard<'_, Clients> {
    clients.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a client may be silent, and how long a request may take to arrive.
const READ_LIMITS: ReadLimits = ReadLimits {
    idle: Duration::from_secs(60),
    line: Duration::from_secs(5),
};

/// How long a client may take to make room for a reply.
const WRITE_LIMIT: Duration = Duration::from_secs(5);

/// Each of them has a thread.
const CLIENTS_MAX: usize = 16;

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};
    use std::thread;

    use super::*;
    use crate::control::listing::ForwarderInfo;
    use crate::control::message::Command;
    use crate::control::socket::connect;
    use crate::control::socket::tests::Scratch;
    use crate::control::steerable::tests::Fake;

    /// Runs `test` beside a server on a socket of its own.
    fn with_server(name: &str, test: impl FnOnce(&Socket)) {
        let scratch = Scratch::new(name);
        let socket = Socket::at(&scratch.0.join("control")).expect("a new socket");
        let fake = Fake::default();
        let editor = Editor::new(&fake, ForwarderInfo::default());
        thread::scope(|scope| {
            let server = Server::start(scope, &socket, &editor).expect("a thread");
            test(&socket);
            drop(server);
        });
    }

    fn ask(stream: &UnixStream, line: &str) -> String {
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a timeout");
        (&mut &*stream)
            .write_all(line.as_bytes())
            .expect("it reads");
        let mut reply = String::new();
        BufReader::new(stream)
            .read_line(&mut reply)
            .expect("it answers");
        reply
    }

    #[test]
    fn clients_are_answered_beside_each_other_and_again() {
        with_server("clients", |socket| {
            let first = connect(socket.path()).expect("it listens");
            let second = connect(socket.path()).expect("it listens");

            for stream in [&first, &second, &first] {
                let reply = ask(stream, &Command::FlowCount {}.to_line());
                assert!(reply.contains("\"ok\":true"), "{reply}");
            }
        });
    }

    #[test]
    fn nonsense_is_refused_and_the_client_may_go_on() {
        with_server("nonsense", |socket| {
            let stream = connect(socket.path()).expect("it listens");

            let refused = ask(&stream, "hello?\n");
            let served = ask(&stream, &Command::FlowCount {}.to_line());

            assert!(refused.contains("\"bad_request\""), "{refused}");
            assert!(served.contains("\"ok\":true"), "{served}");
        });
    }

    #[test]
    fn bytes_that_are_no_line_are_a_bad_request_and_the_last() {
        with_server("bytes", |socket| {
            let mut stream = connect(socket.path()).expect("it listens");
            stream.write_all(b"\xff\n").expect("it reads");
            stream
                .set_read_timeout(Some(Duration::from_secs(10)))
                .expect("a timeout");

            let mut said = String::new();
            stream.read_to_string(&mut said).expect("it is told");

            assert!(said.contains("\"bad_request\""), "{said}");
            assert!(said.contains("not UTF-8"), "{said}");
        });
    }

    #[test]
    fn clients_that_hang_hold_up_neither_others_nor_the_end() {
        with_server("hanging", |socket| {
            let mut silent = connect(socket.path()).expect("it listens");
            silent.write_all(b"{\"version\":").expect("it reads");
            // Asks, and never reads the replies.
            let deaf = connect(socket.path()).expect("it listens");
            deaf.set_nonblocking(true).expect("a mode");
            let line = Command::List {}.to_line();
            while (&mut &deaf).write(line.as_bytes()).is_ok() {}

            let stream = connect(socket.path()).expect("it listens");
            let reply = ask(&stream, &Command::FlowCount {}.to_line());

            assert!(reply.contains("\"ok\":true"), "{reply}");
            // They are still there when the server ends.
            std::mem::forget((silent, deaf));
        });
    }

    #[test]
    fn too_many_clients_are_refused() {
        with_server("many", |socket| {
            let clients: Vec<UnixStream> = (0..CLIENTS_MAX)
                .map(|_| connect(socket.path()).expect("it listens"))
                .collect();
            for stream in &clients {
                ask(stream, &Command::FlowCount {}.to_line());
            }

            let mut one_more = connect(socket.path()).expect("it listens");
            one_more
                .set_read_timeout(Some(Duration::from_secs(10)))
                .expect("a timeout");
            let mut said = String::new();
            one_more.read_to_string(&mut said).expect("it is told");

            assert!(said.contains("too many clients"), "{said}");
        });
    }
}

//! One control socket: how it is made, found and removed.
//!
//! A process that is killed leaves its socket behind. Connecting to it then fails
//! with `ECONNREFUSED`, and the next forwarder removes it. Between `bind` and
//! `listen` a good socket looks the same, so a process that makes or removes one
//! holds a lock on its directory.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, fchmod, flock};
use socket2::{Domain, SockAddr, Type};

/// A socket that clients find by its path. Removed on drop.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode, so that another process's is not removed.
    identity: (u64, u64),
}

impl Socket {
    /// A socket at `path`. A stale one that is there is removed first.
    pub fn at(path: &Path) -> io::Result<Self> {
        let _lock = lock(parent(path))?;
        remove_if_stale(path)?;
        Self::bind(path.to_owned())
    }

    /// Binds `path`. The caller holds the directory's [`lock`].
    pub fn bind(path: PathBuf) -> io::Result<Self> {
        let address = SockAddr::unix(&path).map_err(|_| {
            let text = format!("the path of a socket has at most {PATH_BYTES_MAX} bytes");
            io::Error::new(ErrorKind::InvalidInput, text)
        })?;
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // What the path gets is the socket's mode (`unix_bind_bsd` in
        // net/unix/af_unix.c), so it is never open to others, not for a moment.
        fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        socket.bind(&address).map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => {
                io::Error::new(ErrorKind::AddrInUse, "another process listens there")
            }
            _ => error,
        })?;
        socket.listen(BACKLOG)?;
        let status = fs::symlink_metadata(&path)?;
        Ok(Self {
            listener: UnixListener::from(std::os::fd::OwnedFd::from(socket)),
            path,
            identity: (status.dev(), status.ino()),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // So that no other socket appears there between the check and the removal.
        let _lock = lock(parent(&self.path));
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|status| (status.dev(), status.ino()) == self.identity);
        if is_ours {
            // Gone already, or to be cleaned up by the next forwarder.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Connects without waiting for a forwarder that does not accept.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_nonblocking(false)?;
    Ok(UnixStream::from(std::os::fd::OwnedFd::from(socket)))
}

/// The directory that the last part of `path` is in.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The lock on a directory of sockets, held until dropped.
pub fn lock(directory: &Path) -> io::Result<File> {
    let file = File::open(directory)?;
    let deadline = Instant::now() + LOCK_LIMIT;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let text = "another process holds the lock on its directory";
                return Err(io::Error::new(ErrorKind::TimedOut, text));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Removes a stale socket, and nothing else.
pub fn remove_if_stale(path: &Path) -> io::Result<()> {
    let status = match fs::symlink_metadata(path) {
        Ok(status) => status,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !status.file_type().is_socket() {
        let text = "the file there is not a socket";
        return Err(io::Error::new(ErrorKind::AlreadyExists, text));
    }
    match connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => remove(path),
        _ => Ok(()),
    }
}

/// Whoever else removed it was as right.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Whether a forwarder listens at `path`, be it too busy to accept.
pub fn is_listening(path: &Path) -> bool {
    match connect(path) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

/// `sun_path` of `struct sockaddr_un`, with a zero at its end (unix(7)).
const PATH_BYTES_MAX: usize = 107;

/// Clients that may wait to be accepted.
const BACKLOG: i32 = 16;

/// The lock is held for a few system calls.
const LOCK_LIMIT: Duration = Duration::from_secs(2);

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A directory of its own, removed on drop.
    pub struct Scratch(pub PathBuf);

    impl Scratch {
        pub fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("wharf-cli-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).expect("a new directory");
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// What a killed process leaves.
    pub fn stale(path: &Path) {
        drop(UnixListener::bind(path).expect("the path is free"));
        assert!(path.exists());
    }

    #[test]
    fn chosen_path_is_taken_over_from_the_dead_only() {
        let scratch = Scratch::new("chosen");
        let path = scratch.0.join("control");
        stale(&path);

        let socket = Socket::at(&path).expect("nobody listens there");
        let again = Socket::at(&path).expect_err("somebody listens there");
        drop(socket);
        fs::write(&path, "precious").expect("a new file");
        let file = Socket::at(&path).expect_err("no socket");

        assert_eq!(again.to_string(), "another process listens there");
        assert_eq!(file.to_string(), "the file there is not a socket");
        assert_eq!(fs::read(&path).expect("still there"), b"precious");
    }

    #[test]
    fn socket_is_removed_under_the_lock_and_may_be_gone_by_then() {
        let scratch = Scratch::new("removed");
        let path = scratch.0.join("control");
        let socket = Socket::at(&path).expect("a new socket");
        let held = lock(&scratch.0).expect("nobody else has it");

        let ending = std::thread::spawn(move || drop(socket));
        std::thread::sleep(Duration::from_millis(100));

        assert!(path.exists(), "somebody else makes or removes sockets");
        drop(held);
        ending.join().expect("no panic");
        assert!(!path.exists());
        remove(&path).expect("it is gone already");
    }

    #[test]
    fn path_too_long_for_a_socket_is_an_error() {
        let long = Path::new("/tmp").join("x".repeat(200));

        let error = Socket::at(&long).expect_err("108 bytes at most");

        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }

    #[test]
    fn forwarder_that_does_not_accept_counts_as_running_and_nobody_waits_for_it() {
        let scratch = Scratch::new("busy");
        let path = scratch.0.join("control");
        let _listener = UnixListener::bind(&path).expect("the path is free");
        let mut waiting = Vec::new();
        while let Ok(stream) = connect(&path) {
            waiting.push(stream);
            assert!(waiting.len() < 100_000, "the backlog ends");
        }

        assert!(is_listening(&path));
        remove_if_stale(&path).expect("it is left alone");

        assert!(path.exists());
    }
}

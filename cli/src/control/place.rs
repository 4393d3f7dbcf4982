//! Where control sockets are, and how they come and go.
//!
//! Sockets without a name chosen by the user are in one directory, which is
//! where `wharf steer` looks for the only forwarder that runs. A process that is
//! killed leaves its socket behind; nobody listens on that any more
//! (`ECONNREFUSED`), and the next forwarder removes it. Between `bind` and
//! `listen` a good socket looks the same, so whoever makes or removes one holds
//! a lock on its directory.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, fchmod, flock};
use socket2::{Domain, SockAddr, Type};

/// The directory of sockets without a name of their own: `/run/wharf`, or
/// `$WHARF_CONTROL_DIR`.
pub fn directory() -> PathBuf {
    std::env::var_os(DIRECTORY_VARIABLE)
        .filter(|name| !name.is_empty())
        .map_or_else(|| PathBuf::from(DIRECTORY), PathBuf::from)
}

/// The socket of the forwarder with a process id.
pub fn socket_of(directory: &Path, pid: u32) -> PathBuf {
    directory.join(format!("{PREFIX}{pid}{SUFFIX}"))
}

/// The sockets in `directory` on which a forwarder listens, by process id.
pub fn running(directory: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut running: Vec<_> = named_in(directory)?
        .into_iter()
        .filter(|(_, path)| is_listening(path))
        .collect();
    running.sort_unstable();
    Ok(running)
}

/// A socket that clients find by its path. Removed on drop.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode, so that nobody else's is removed.
    identity: (u64, u64),
}

impl Socket {
    /// This process's socket in `directory`, which is made if it is not there.
    pub fn in_directory(directory: &Path) -> io::Result<Self> {
        make_private(directory)?;
        let _lock = lock(directory)?;
        for (_, path) in named_in(directory)? {
            remove_if_stale(&path)?;
        }
        Self::bind(socket_of(directory, std::process::id()))
    }

    /// A socket at `path`, in the place of one on which nobody listens.
    pub fn at(path: &Path) -> io::Result<Self> {
        let _lock = lock(parent(path))?;
        remove_if_stale(path)?;
        Self::bind(path.to_owned())
    }

    /// With the directory's lock held.
    fn bind(path: PathBuf) -> io::Result<Self> {
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
        // So that nobody puts another socket there between the look and the removal.
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

/// Makes `directory`, or sees that nobody else can put sockets into it.
fn make_private(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let status = fs::symlink_metadata(directory)?;
    let refuse = |text: &str| Err(io::Error::new(ErrorKind::PermissionDenied, text));
    if !status.is_dir() {
        return refuse("it is no directory");
    }
    if status.uid() != rustix::process::geteuid().as_raw() {
        return refuse("it belongs to another user");
    }
    if status.mode() & 0o022 != 0 {
        return refuse("others can write to it: make it private with `chmod 700`");
    }
    Ok(())
}

/// The directory that the last part of `path` is in.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Held until dropped.
fn lock(directory: &Path) -> io::Result<File> {
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

/// Removes a socket on which nobody listens, and nothing else.
fn remove_if_stale(path: &Path) -> io::Result<()> {
    let status = match fs::symlink_metadata(path) {
        Ok(status) => status,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !status.file_type().is_socket() {
        let text = "there is something that is no socket";
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

/// A forwarder that is too busy to accept listens, too.
fn is_listening(path: &Path) -> bool {
    match connect(path) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

/// Everything in `directory` that is named like a forwarder's socket and is one.
fn named_in(directory: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let is_socket = entry.file_type().is_ok_and(|kind| kind.is_socket());
        if let (Some(pid), true) = (pid_in(&entry.file_name()), is_socket) {
            found.push((pid, entry.path()));
        }
    }
    Ok(found)
}

fn pid_in(name: &OsStr) -> Option<u32> {
    let middle = name.to_str()?.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    middle.parse().ok()
}

const DIRECTORY: &str = "/run/wharf";
const DIRECTORY_VARIABLE: &str = "WHARF_CONTROL_DIR";
const PREFIX: &str = "forward-";
const SUFFIX: &str = ".sock";

/// `sun_path` of `struct sockaddr_un`, with a zero at its end (unix(7)).
const PATH_BYTES_MAX: usize = 107;

/// Clients that may wait to be accepted.
const BACKLOG: i32 = 16;

/// The lock is held for a few system calls.
const LOCK_LIMIT: Duration = Duration::from_secs(2);

#[cfg(test)]
pub mod tests {
    use std::os::unix::fs::PermissionsExt;

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

    fn mode(path: &Path) -> u32 {
        let status = fs::symlink_metadata(path).expect("it is there");
        status.permissions().mode() & 0o7777
    }

    /// What a killed process leaves.
    fn stale(path: &Path) {
        drop(UnixListener::bind(path).expect("the path is free"));
        assert!(path.exists());
    }

    #[test]
    fn socket_and_directory_are_for_their_owner_alone_and_the_socket_goes() {
        let scratch = Scratch::new("private");
        let directory = scratch.0.join("wharf");

        let socket = Socket::in_directory(&directory).expect("it can be made");

        let path = socket.path().to_owned();
        assert_eq!(path, socket_of(&directory, std::process::id()));
        assert_eq!((mode(&directory), mode(&path)), (0o700, 0o600));
        let found = running(&directory).expect("the directory can be read");
        assert_eq!(found, [(std::process::id(), path.clone())]);
        drop(socket);
        assert!(!path.exists());
        assert_eq!(running(&directory).expect("it can be read"), []);
    }

    #[test]
    fn sockets_of_dead_processes_are_cleaned_up_and_nothing_else_is() {
        let scratch = Scratch::new("stale");
        let directory = scratch.0.join("wharf");
        DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .expect("new");
        let dead = socket_of(&directory, 4_000_001);
        stale(&dead);
        let live = socket_of(&directory, 4_000_002);
        let listener = UnixListener::bind(&live).expect("the path is free");
        let (file, other) = (directory.join("forward-x.sock"), directory.join("notes"));
        stale(&file);
        fs::write(&other, "").expect("a new file");

        let socket = Socket::in_directory(&directory).expect("it can be made");

        assert!(!dead.exists(), "nobody listened there");
        assert!(live.exists() && file.exists() && other.exists());
        let mut pids = vec![std::process::id(), 4_000_002];
        pids.sort_unstable();
        let found: Vec<u32> = running(&directory)
            .expect("it can be read")
            .into_iter()
            .map(|(pid, _)| pid)
            .collect();
        assert_eq!(found, pids);
        drop((socket, listener));
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
        assert_eq!(file.to_string(), "there is something that is no socket");
        assert_eq!(fs::read(&path).expect("still there"), b"precious");
    }

    #[test]
    fn directory_that_others_can_write_to_is_not_used() {
        let scratch = Scratch::new("shared");
        let directory = scratch.0.join("wharf");
        fs::create_dir(&directory).expect("a new directory");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).expect("ours");

        let error = Socket::in_directory(&directory).expect_err("not private");

        assert!(error.to_string().contains("chmod 700"), "{error}");
    }

    #[test]
    fn forwarder_that_does_not_accept_counts_as_running_and_nobody_waits_for_it() {
        let scratch = Scratch::new("busy");
        let path = socket_of(&scratch.0, 4_000_003);
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
}

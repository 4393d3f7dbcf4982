//! The directory of control sockets, one for each running forwarder.
//!
//! A socket whose path the user did not choose is named after its process and lies in
//! this directory, where `wharf steer` finds it. Only its owner can enter it.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::socket::{Socket, is_listening, lock, remove_if_stale};

/// The directory of the sockets that are not named by `--control`: `/run/wharf`, or
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

/// Listens on this process's socket in `directory`, which is made if it is not there.
pub fn listen_in(directory: &Path) -> io::Result<Socket> {
    make_private(directory)?;
    let _lock = lock(directory)?;
    for (_, path) in named_in(directory)? {
        remove_if_stale(&path)?;
    }
    Socket::bind(socket_of(directory, std::process::id()))
}

/// Makes `directory`, or checks that no other user can put sockets into it.
fn make_private(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let status = fs::symlink_metadata(directory)?;
    let refuse = |text: &str| Err(io::Error::new(ErrorKind::PermissionDenied, text));
    if !status.is_dir() {
        return refuse("it is not a directory");
    }
    if status.uid() != rustix::process::geteuid().as_raw() {
        return refuse("it belongs to another user");
    }
    if status.mode() & 0o022 != 0 {
        return refuse("others can write to it: make it private with `chmod 700`");
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::control::socket::tests::{Scratch, stale};

    fn mode(path: &Path) -> u32 {
        let status = fs::symlink_metadata(path).expect("it is there");
        status.permissions().mode() & 0o7777
    }

    #[test]
    fn socket_and_directory_are_for_their_owner_alone_and_the_socket_goes() {
        let scratch = Scratch::new("private");
        let directory = scratch.0.join("wharf");

        let socket = listen_in(&directory).expect("it can be made");

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

        let socket = listen_in(&directory).expect("it can be made");

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
    fn directory_that_others_can_write_to_is_not_used() {
        let scratch = Scratch::new("shared");
        let directory = scratch.0.join("wharf");
        fs::create_dir(&directory).expect("a new directory");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).expect("ours");

        let error = listen_in(&directory).expect_err("not private");

        assert!(error.to_string().contains("chmod 700"), "{error}");
    }
}

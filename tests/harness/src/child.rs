//! A running program: watched through a pidfd, killed and reaped on drop.
//!
//! The child leads a process group of its own, and the group is killed as a
//! whole just before the child is reaped: until then the child's process id, which
//! is the group's, cannot be given to anybody else.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus, Output};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

use crate::error::{Error, Result};
use crate::host::Host;

/// A program running in a host. Dropping the guard kills it, and everything it
/// started in its process group.
#[derive(Debug)]
pub struct ChildGuard {
    child: Child,
    pidfd: OwnedFd,
    status: Option<ExitStatus>,
    said: Arc<Said>,
    program: String,
    /// The host's thread must outlive the child, which dies with it.
    host: Host,
}

/// What the child said, filled by one thread for each of its outputs.
#[derive(Debug, Default)]
struct Said {
    words: Mutex<Words>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Words {
    output: Vec<u8>,
    errors: Vec<u8>,
    open_streams: usize,
}

impl ChildGuard {
    pub(crate) fn watch(mut child: Child, program: &str, host: &Host) -> Result<Self> {
        let pidfd = match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(error) => {
                // Without a guard nothing else would end it.
                let _ = child.kill();
                let _ = child.wait();
                return Err(child_error(host, program, "watch", error.into()));
            }
        };
        let said = Arc::new(Said::default());
        if let Some(stream) = child.stdout.take() {
            said.collect(stream, |words| &mut words.output);
        }
        if let Some(stream) = child.stderr.take() {
            said.collect(stream, |words| &mut words.errors);
        }
        Ok(Self {
            child,
            pidfd,
            status: None,
            said,
            program: program.to_owned(),
            host: host.clone(),
        })
    }

    /// Waits for the program to end by itself and returns what it said in all.
    ///
    /// # Errors
    ///
    /// [`Error::CommandTimeout`] when it takes longer than `limit`; it is killed
    /// then.
    pub fn finish(mut self, limit: Duration) -> Result<Output> {
        let status = self.wait_bounded(limit)?;
        // The group is dead; its outputs close at once, unless a process that
        // left the group holds them.
        let words = self
            .said
            .wait_while(OUTPUT_LIMIT, |words| words.open_streams > 0);
        Ok(Output {
            status,
            stdout: words.output.clone(),
            stderr: words.errors.clone(),
        })
    }

    /// Sends a signal, for instance [`libc::SIGINT`], and waits for the program
    /// to end.
    ///
    /// # Errors
    ///
    /// As [`ChildGuard::signal`] and [`ChildGuard::finish`].
    pub fn stop(mut self, signal: i32, limit: Duration) -> Result<Output> {
        self.signal(signal)?;
        self.finish(limit)
    }

    /// Waits for the program to end by itself; it runs on when it does not.
    ///
    /// # Errors
    ///
    /// [`Error::CommandTimeout`] when it takes longer than `limit`.
    pub fn wait_bounded(&mut self, limit: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        let has_ended =
            has_ended(&self.pidfd, limit).map_err(|error| self.error("wait for", error))?;
        if !has_ended {
            return Err(self.timeout("end".to_owned(), limit));
        }
        self.reap().map_err(|error| self.error("reap", error))
    }

    /// How the program ended, if it has.
    ///
    /// # Errors
    ///
    /// [`Error::Child`] when the kernel does not say.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        match self.wait_bounded(Duration::ZERO) {
            Err(Error::CommandTimeout { .. }) => Ok(None),
            outcome => outcome.map(Some),
        }
    }

    /// Waits until the program has said `text`, on either output.
    ///
    /// # Errors
    ///
    /// [`Error::CommandTimeout`] when it takes longer than `limit`, and
    /// [`Error::CommandFailed`] when the program ends without having said it.
    pub fn wait_for_output(&mut self, text: &str, limit: Duration) -> Result<()> {
        let is_said = |words: &Words| {
            let needle = text.as_bytes();
            [&words.output, &words.errors]
                .iter()
                .any(|said| needle.is_empty() || said.windows(needle.len()).any(|at| at == needle))
        };
        let words = self
            .said
            .wait_while(limit, |words| !is_said(words) && words.open_streams > 0);
        if is_said(&words) {
            return Ok(());
        }
        let has_closed = words.open_streams == 0;
        drop(words);
        if has_closed {
            let status = self.wait_bounded(OUTPUT_LIMIT)?;
            return Err(Error::CommandFailed {
                host: self.host.name().to_owned(),
                program: self.program.clone(),
                status,
                output: self.everything_said(),
            });
        }
        Err(self.timeout(format!("say {text:?}"), limit))
    }

    /// Sends a signal, for instance [`libc::SIGTERM`], to the program alone; to
    /// one that has ended, none.
    ///
    /// # Errors
    ///
    /// [`Error::Child`] when there is no such signal.
    pub fn signal(&mut self, signal: i32) -> Result<()> {
        if self.status.is_some() {
            return Ok(());
        }
        let signal = Signal::from_named_raw(signal)
            .ok_or_else(|| self.error("signal", io::Error::from_raw_os_error(libc::EINVAL)))?;
        match pidfd_send_signal(&self.pidfd, signal) {
            Err(Errno::SRCH) | Ok(()) => Ok(()),
            Err(error) => Err(self.error("signal", error.into())),
        }
    }

    /// The program's process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the program has said on standard output so far.
    pub fn stdout(&self) -> String {
        text(&self.said.lock().output)
    }

    /// What the program has said on standard error so far.
    pub fn stderr(&self) -> String {
        text(&self.said.lock().errors)
    }

    /// Kills what is left of the group, then takes the child's exit status.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        // ESRCH means that no process is left, as wanted.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let status = self.child.wait()?;
        self.status = Some(status);
        Ok(status)
    }

    fn everything_said(&self) -> String {
        let words = self.said.lock();
        text(&[words.output.as_slice(), &words.errors].concat())
    }

    fn timeout(&self, awaited: String, limit: Duration) -> Error {
        Error::CommandTimeout {
            host: self.host.name().to_owned(),
            program: self.program.clone(),
            awaited,
            limit,
            output: self.everything_said(),
        }
    }

    fn error(&self, operation: &'static str, source: io::Error) -> Error {
        child_error(&self.host, &self.program, operation, source)
    }
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        if self.status.is_none() {
            // SIGKILL cannot be refused; an error cannot be reported from here.
            let _ = self.reap();
        }
    }
}

impl Said {
    fn collect(
        self: &Arc<Self>,
        mut stream: impl Read + Send + 'static,
        side: fn(&mut Words) -> &mut Vec<u8>,
    ) {
        self.lock().open_streams += 1;
        let said = Arc::clone(self);
        // Ends when the stream closes, so it needs no join.
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            loop {
                match stream.read(&mut chunk) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Ok(0) | Err(_) => break,
                    Ok(length) => {
                        side(&mut said.lock()).extend_from_slice(&chunk[..length]);
                        said.changed.notify_all();
                    }
                }
            }
            said.lock().open_streams -= 1;
            said.changed.notify_all();
        });
    }

    fn wait_while(
        &self,
        limit: Duration,
        mut condition: impl FnMut(&Words) -> bool,
    ) -> MutexGuard<'_, Words> {
        self.changed
            .wait_timeout_while(self.lock(), limit, |words| condition(words))
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    fn lock(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pidfd becomes readable when its process ends (Linux 5.3).
fn has_ended(pidfd: &OwnedFd, limit: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).expect("limits are shorter than centuries");
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&timeout)) {
            Err(Errno::INTR) => {}
            outcome => return Ok(outcome? > 0),
        }
    }
}

fn child_error(host: &Host, program: &str, operation: &'static str, source: io::Error) -> Error {
    Error::Child {
        host: host.name().to_owned(),
        program: program.to_owned(),
        operation,
        source,
    }
}

/// Output as text, whatever its bytes.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// How long the outputs of a dead process group may stay open, and a process
/// with closed outputs alive.
const OUTPUT_LIMIT: Duration = Duration::from_secs(2);

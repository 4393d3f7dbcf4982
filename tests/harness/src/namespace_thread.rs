//! The thread that makes a host's namespace and starts its programs.
//!
//! A network namespace belongs to a thread, so one is started to unshare it.
//! It then stays, because the kernel delivers a child's parent-death signal
//! when the *thread* that forked it ends: programs started here outlive neither
//! the host nor, by `SIGKILL` or otherwise, the process.

use std::fs::{self, File};
use std::io;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::{self, JoinHandle};

use crate::error::{Error, Result};
use crate::netlink::Netlink;
use crate::switch::Switch;
use crate::sys;

/// The thread inside one namespace; ends, and takes its children along, on drop.
pub(crate) struct NamespaceThread {
    jobs: Option<Mutex<Sender<Job>>>,
    thread: Option<JoinHandle<()>>,
}

/// What else is opened inside a fresh namespace and usable from any thread.
pub(crate) struct Inside {
    pub namespace: OwnedFd,
    pub netlink: Netlink,
    /// Carries ethtool requests; any socket of the namespace does.
    pub control: UdpSocket,
}

struct Job {
    command: Command,
    reply: SyncSender<(Command, io::Result<Child>)>,
}

impl NamespaceThread {
    /// Starts the thread and makes the namespace.
    pub fn start(host: &str, ipv6: Switch) -> Result<(Self, Inside)> {
        let failure = |operation, source| Error::Namespace {
            host: host.to_owned(),
            operation,
            source,
        };
        let (jobs, queue) = mpsc::channel();
        let (report, made) = mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name(format!("in {host}"))
            .spawn(move || {
                let inside = make_namespace(ipv6);
                let ready = inside.is_ok();
                let _ = report.send(inside);
                if ready {
                    serve(&queue);
                }
            })
            .map_err(|source| failure("start its thread", source))?;
        let thread = Self {
            jobs: Some(Mutex::new(jobs)),
            thread: Some(thread),
        };

        match made.recv() {
            Ok(Ok(inside)) => Ok((thread, inside)),
            Ok(Err((operation, source))) => Err(failure(operation, source)),
            Err(_) => unreachable!("the thread reports before it ends"),
        }
    }

    /// Starts `command` from the thread, and so inside the namespace.
    pub fn spawn(&self, command: Command) -> (Command, io::Result<Child>) {
        let (reply, started) = mpsc::sync_channel(1);
        self.jobs
            .as_ref()
            .expect("only drop takes the sender")
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .send(Job { command, reply })
            .expect("the thread serves until the sender is dropped");
        started
            .recv()
            .expect("the thread answers every job it takes")
    }
}

impl Drop for NamespaceThread {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed, and cannot be passed on from here.
            let _ = thread.join();
        }
    }
}

fn serve(queue: &Receiver<Job>) {
    while let Ok(Job { mut command, reply }) = queue.recv() {
        let child = command.spawn();
        let _ = reply.send((command, child));
    }
}

fn make_namespace(ipv6: Switch) -> std::result::Result<Inside, (&'static str, io::Error)> {
    sys::namespace::unshare_network().map_err(|error| ("create its network namespace", error))?;
    let namespace = File::open("/proc/thread-self/ns/net")
        .map_err(|error| ("open its network namespace", error))?
        .into();
    if ipv6 == Switch::Off {
        disable_ipv6().map_err(|error| ("disable IPv6", error))?;
    }
    let netlink = Netlink::open().map_err(|error| ("open a netlink socket", error))?;
    // Unbound to any address: loopback is still down.
    let control = UdpSocket::bind("0.0.0.0:0").map_err(|error| ("open a control socket", error))?;
    Ok(Inside {
        namespace,
        netlink,
        control,
    })
}

/// `/proc/sys/net` shows the namespace of the thread that opens it
/// (`net_ctl_header_lookup` in `net/sysctl_net.c`).
fn disable_ipv6() -> io::Result<()> {
    for scope in ["all", "default"] {
        match fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "1") {
            // A kernel without IPv6 has nothing to disable.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

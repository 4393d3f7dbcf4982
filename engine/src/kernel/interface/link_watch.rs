//! Events about interfaces: down, carrier lost, removed.
//!
//! An xsk does not say that its interface went away: `poll(2)` just times out
//! (`xsk_poll`, `net/xdp/xsk.c`, Linux 5.10 to 7.3). rtnetlink does. An interface
//! that is moved to another network namespace is deleted in the old one, and so
//! are the sockets bound to it.
//!
//! The kernel drops notifications that nobody reads in time and says so once with
//! `ENOBUFS`. We remember the last state of every interface, request the present
//! one, and report the difference, so nothing but intermediate states is ever
//! missed.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use netlink_sys::Socket;

use super::error::{CallContext, InterfaceError};
use super::handle::Interface;
use super::link::{self, Link, LinkNotification};
use super::link_socket::{self, LinkSocket};
use crate::kernel::sys::wait::PollSet;
use crate::kernel::terms::InterfaceIndex;

/// What an interface can do for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// It is up and has a carrier: frames flow.
    Up,
    /// It is up, but nothing is at the other end. Frames flow again when the
    /// carrier comes back.
    CarrierLost,
    /// It was set down. Frames flow again when it is set up.
    Down,
    /// It was deleted or moved to another network namespace. This is final: its
    /// sockets are dead, and an interface of the same name is another one.
    Removed,
}

/// An interface went from one state to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LinkEvent {
    /// Which interface.
    pub(crate) index: InterfaceIndex,
    /// Its name when it was put under watch.
    pub(crate) name: String,
    /// Its state now.
    pub(crate) state: LinkState,
}

impl fmt::Display for LinkEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.state {
            LinkState::Up => "is up",
            LinkState::CarrierLost => "has no carrier",
            LinkState::Down => "is down",
            LinkState::Removed => "was deleted or moved to another network namespace",
        };
        write!(f, "interface `{}` {what}", self.name)
    }
}

/// Watches interfaces of the network namespace it was opened in.
///
/// Its descriptor is readable when there is something to look at, which may
/// turn out to be about other interfaces.
#[derive(Debug)]
pub(crate) struct LinkWatch {
    notifications: Socket,
    links: LinkSocket,
    watched: BTreeMap<InterfaceIndex, Watched>,
    events: VecDeque<LinkEvent>,
}

#[derive(Debug)]
struct Watched {
    name: String,
    state: LinkState,
}

impl LinkWatch {
    /// Starts to listen in the network namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a socket.
    pub(crate) fn open() -> Result<Self, InterfaceError> {
        Ok(Self {
            notifications: link_socket::subscribe().in_namespace(OPERATION)?,
            links: LinkSocket::open().in_namespace(OPERATION)?,
            watched: BTreeMap::new(),
            events: VecDeque::new(),
        })
    }

    /// Puts `interface` under watch and returns its state; every change from there
    /// on is an event. [`LinkState::Removed`] when it is already gone.
    ///
    /// # Errors
    ///
    /// When the kernel does not answer.
    pub(crate) fn watch(&mut self, interface: &Interface) -> Result<LinkState, InterfaceError> {
        // What happened before now is no news about this interface.
        self.read_notifications().in_namespace(OPERATION)?;
        let link = self.links.by_index(interface.index());
        let state = LinkState::of(link.in_namespace(OPERATION)?.as_ref());
        let watched = Watched {
            name: interface.name().to_owned(),
            state,
        };
        self.watched.insert(interface.index(), watched);
        Ok(state)
    }

    /// Returns the events since the last call, and waits up to `timeout` for the
    /// first when there are none. Zero does not wait.
    ///
    /// # Errors
    ///
    /// When the kernel does not answer; then states may have changed unseen.
    pub(crate) fn poll(&mut self, timeout: Duration) -> Result<Vec<LinkEvent>, InterfaceError> {
        self.wait(timeout).in_namespace(OPERATION)
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<Vec<LinkEvent>> {
        let start = Instant::now();
        loop {
            self.read_notifications()?;
            let left = timeout.saturating_sub(start.elapsed());
            if !self.events.is_empty() || left.is_zero() {
                return Ok(self.events.drain(..).collect());
            }
            let set = PollSet::new(self.notifications.as_fd());
            set.wait(left)?;
        }
    }

    fn read_notifications(&mut self) -> io::Result<()> {
        loop {
            match self.notifications.recv_from_full() {
                Ok((datagram, _)) => {
                    for notification in link::notifications(&datagram)? {
                        match notification {
                            LinkNotification::Changed(link) => {
                                self.observe(link.index, LinkState::of(Some(&link)));
                            }
                            LinkNotification::Removed(index) => {
                                self.observe(index, LinkState::Removed)
                            }
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => self.look_again()?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Notifications were lost: looks up the state of everything under watch.
    fn look_again(&mut self) -> io::Result<()> {
        let indices: Vec<_> = self.watched.keys().copied().collect();
        for index in indices {
            let link = self.links.by_index(index)?;
            self.observe(index, LinkState::of(link.as_ref()));
        }
        Ok(())
    }

    fn observe(&mut self, index: InterfaceIndex, state: LinkState) {
        let Some(watched) = self.watched.get_mut(&index) else {
            return;
        };
        // A removed interface that moves back may get its old index, but not
        // its sockets.
        if watched.state == state || watched.state == LinkState::Removed {
            return;
        }
        watched.state = state;
        self.events.push_back(LinkEvent {
            index,
            name: watched.name.clone(),
            state,
        });
    }
}

impl AsFd for LinkWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notifications.as_fd()
    }
}

impl LinkState {
    fn of(link: Option<&Link>) -> Self {
        match link {
            None => Self::Removed,
            Some(link) if !link.up => Self::Down,
            Some(link) if !link.carrier => Self::CarrierLost,
            Some(_) => Self::Up,
        }
    }
}

const OPERATION: &str = "watch interfaces for changes";

#[cfg(test)]
mod tests {
    use super::super::testing::{in_private_network, ip};
    use super::*;

    /// A deadline for what happens at once.
    const SOON: Duration = Duration::from_secs(10);

    fn pair_under_watch() -> (LinkWatch, InterfaceIndex) {
        ip("link add one type veth peer name two");
        ip("link set dev two up");
        ip("link set dev one up");
        let one = Interface::by_name("one").expect("it was just added");
        let mut watch = LinkWatch::open().expect("a socket");
        assert_eq!(watch.watch(&one).expect("it exists"), LinkState::Up);
        (watch, one.index())
    }

    fn states(watch: &mut LinkWatch) -> Vec<LinkState> {
        let events = watch.poll(SOON).expect("the kernel answers");
        events.into_iter().map(|event| event.state).collect()
    }

    #[test]
    fn watch_reports_down_and_up() {
        in_private_network(|| {
            let (mut watch, index) = pair_under_watch();

            ip("link set dev one down");
            let events = watch.poll(SOON).expect("the kernel answers");

            assert_eq!(events.len(), 1);
            assert_eq!(events[0].index, index);
            assert_eq!(events[0].to_string(), "interface `one` is down");
            ip("link set dev one up");
            assert_eq!(states(&mut watch).last(), Some(&LinkState::Up));
        });
    }

    #[test]
    fn watch_reports_lost_carrier() {
        in_private_network(|| {
            let (mut watch, _) = pair_under_watch();

            ip("link set dev two down");

            assert_eq!(states(&mut watch), [LinkState::CarrierLost]);
        });
    }

    #[test]
    fn watch_reports_deletion() {
        in_private_network(|| {
            let (mut watch, _) = pair_under_watch();

            ip("link delete one");

            assert_eq!(states(&mut watch).last(), Some(&LinkState::Removed));
        });
    }

    #[test]
    fn watch_reports_move_to_another_namespace_as_removal() {
        in_private_network(|| {
            let (mut watch, _) = pair_under_watch();
            // A process in a namespace of its own, until its input ends.
            let mut elsewhere = std::process::Command::new("unshare")
                .args(["--net", "sh", "-c", "echo ready; read line"])
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .expect("`unshare` of util-linux is installed");
            let mut line = String::new();
            let output = elsewhere.stdout.take().expect("it is piped");
            io::BufRead::read_line(&mut io::BufReader::new(output), &mut line).expect("a line");

            ip(&format!("link set dev one netns {}", elsewhere.id()));

            assert_eq!(states(&mut watch).last(), Some(&LinkState::Removed));
            drop(elsewhere.stdin.take());
            elsewhere.wait().expect("it ends with its input");
        });
    }

    #[test]
    fn leaving_a_bridge_is_not_removal() {
        in_private_network(|| {
            let (mut watch, _) = pair_under_watch();
            ip("link add bridge type bridge");
            ip("link set dev one master bridge");
            ip("link set dev one nomaster");
            ip("link set dev one down");

            let seen = states(&mut watch);

            assert!(!seen.contains(&LinkState::Removed), "{seen:?}");
            assert_eq!(seen.last(), Some(&LinkState::Down));
        });
    }

    #[test]
    fn change_is_found_after_lost_notifications() {
        in_private_network(|| {
            let (mut watch, _) = pair_under_watch();
            // The kernel's least is 2 KiB or so: one or two notifications.
            watch
                .notifications
                .set_rx_buf_sz(1_u32)
                .expect("a small buffer");
            for mtu in 1000..1050 {
                ip(&format!("link set dev two mtu {mtu}"));
            }
            ip("link set dev one down");

            assert_eq!(states(&mut watch), [LinkState::Down]);
        });
    }

    #[test]
    fn events_about_others_are_not_reported() {
        in_private_network(|| {
            let (mut watch, _) = pair_under_watch();

            ip("link add three type veth peer name four");

            let events = watch.poll(Duration::ZERO).expect("the kernel answers");
            assert_eq!(events, []);
        });
    }

    #[test]
    fn changes_before_the_watch_are_not_reported() {
        in_private_network(|| {
            ip("link add one type veth peer name two");
            let one = Interface::by_name("one").expect("it was just added");
            let mut watch = LinkWatch::open().expect("a socket");
            ip("link set dev one up");
            ip("link set dev one down");

            assert_eq!(watch.watch(&one).expect("it exists"), LinkState::Down);

            assert_eq!(watch.poll(Duration::ZERO).expect("it answers"), []);
        });
    }

    #[test]
    fn removed_interface_stays_removed() {
        in_private_network(|| {
            ip("link add one index 4242 type veth peer name two");
            let one = Interface::by_name("one").expect("it was just added");
            let mut watch = LinkWatch::open().expect("a socket");
            watch.watch(&one).expect("it exists");

            ip("link delete one");
            ip("link add one index 4242 type veth peer name two");

            assert_eq!(states(&mut watch), [LinkState::Removed]);
        });
    }
}

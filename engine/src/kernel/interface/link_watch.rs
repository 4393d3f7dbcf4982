//! Events about interfaces: set down or up, carrier, MTU, name, removed.
//!
//! An xsk does not say that its interface went away: `poll(2)` just times out
//! (`xsk_poll`, `net/xdp/xsk.c`, Linux 5.10 to 7.3). rtnetlink does. An interface
//! that is moved to another network namespace is deleted in the old one, and so
//! are the sockets bound to it.
//!
//! The kernel notifies of much more than changes, and drops notifications that
//! nobody reads in time, which it says once with `ENOBUFS`. We remember what was
//! last known of every interface, request what is known now where notifications
//! were lost, and report the differences: each change once, and nothing but
//! intermediate states is ever missed.

use std::collections::{BTreeMap, VecDeque};
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

/// What changed about an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LinkChange {
    /// It was set down.
    Down,
    /// It was set up. Where it has no carrier then, that is a change of its own.
    Up,
    /// It is up, and has no carrier.
    CarrierLost,
    /// It has a carrier again.
    CarrierBack,
    /// It has another MTU, in bytes.
    Mtu { before: u32, after: u32 },
    /// It has another MAC address.
    Address([u8; 6]),
    /// It has another name.
    Renamed { before: String, after: String },
    /// It is not there any more: [`LinkState::Removed`].
    Removed,
}

/// Something changed about an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LinkEvent {
    /// Which interface.
    pub(crate) index: InterfaceIndex,
    /// Its name now.
    pub(crate) name: String,
    /// What changed.
    pub(crate) change: LinkChange,
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

/// What was last known of an interface.
#[derive(Debug)]
struct Watched {
    name: String,
    mtu: u32,
    address: Option<[u8; 6]>,
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
        let link = link.in_namespace(OPERATION)?;
        let state = LinkState::of(link.as_ref());
        let watched = Watched {
            name: link
                .as_ref()
                .map_or(interface.name(), |it| &it.name)
                .to_owned(),
            mtu: link.as_ref().map_or(0, |link| link.mtu),
            address: link.as_ref().and_then(|link| link.address),
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
                                self.observe(link.index, Some(&link));
                            }
                            LinkNotification::Removed(index) => self.observe(index, None),
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => self.look_again()?,
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Notifications were lost: looks up everything under watch. What is still queued
    /// is from before, and could only be taken for news.
    fn look_again(&mut self) -> io::Result<()> {
        loop {
            match self.notifications.recv_from_full() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if !is_passing(&error) => return Err(error),
                _ => {}
            }
        }
        let indices: Vec<_> = self.watched.keys().copied().collect();
        for index in indices {
            let link = self.links.by_index(index)?;
            self.observe(index, link.as_ref());
        }
        Ok(())
    }

    fn observe(&mut self, index: InterfaceIndex, link: Option<&Link>) {
        let Some(watched) = self.watched.get_mut(&index) else {
            return;
        };
        for change in watched.changes_to(link) {
            self.events.push_back(LinkEvent {
                index,
                name: watched.name.clone(),
                change,
            });
        }
    }
}

impl Watched {
    /// What changed since the last call, in an order that can be told: the name first,
    /// by which the rest is known.
    fn changes_to(&mut self, link: Option<&Link>) -> Vec<LinkChange> {
        // A removed interface that moves back may get its old index, but not
        // its sockets.
        if self.state == LinkState::Removed {
            return Vec::new();
        }
        let mut changes = Vec::new();
        // Some notifications, such as those of wireless events, have no attributes.
        if let Some(link) = link.filter(|link| !link.name.is_empty()) {
            if link.name != self.name {
                changes.push(LinkChange::Renamed {
                    before: std::mem::replace(&mut self.name, link.name.clone()),
                    after: link.name.clone(),
                });
            }
            if link.mtu != self.mtu {
                changes.push(LinkChange::Mtu {
                    before: std::mem::replace(&mut self.mtu, link.mtu),
                    after: link.mtu,
                });
            }
        }
        if let Some(address) = link.and_then(|link| link.address)
            && self.address.replace(address) != Some(address)
        {
            changes.push(LinkChange::Address(address));
        }
        let before = std::mem::replace(&mut self.state, LinkState::of(link));
        changes.extend_from_slice(self.state.changes_from(before));
        changes
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

    fn changes_from(self, before: Self) -> &'static [LinkChange] {
        match (before, self) {
            (Self::Down, Self::Up) => &[LinkChange::Up],
            (Self::Down, Self::CarrierLost) => &[LinkChange::Up, LinkChange::CarrierLost],
            (Self::Up, Self::CarrierLost) => &[LinkChange::CarrierLost],
            (Self::CarrierLost, Self::Up) => &[LinkChange::CarrierBack],
            (Self::Up | Self::CarrierLost, Self::Down) => &[LinkChange::Down],
            (_, Self::Removed) => &[LinkChange::Removed],
            (Self::Up, Self::Up)
            | (Self::CarrierLost, Self::CarrierLost)
            | (Self::Down, Self::Down)
            | (Self::Removed, _) => &[],
        }
    }
}

/// Whether to read on after this error.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::ENOBUFS))
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

    fn changes(watch: &mut LinkWatch) -> Vec<LinkChange> {
        let events = watch.poll(SOON).expect("the kernel answers");
        events.into_iter().map(|event| event.change).collect()
    }

    #[test]
    fn watch_reports_down_and_up() {
        in_private_network(|| {
            let (mut watch, index) = pair_under_watch();

            ip("link set dev one down");
            let events = watch.poll(SOON).expect("the kernel answers");

            let down = LinkEvent {
                index,
                name: "one".to_owned(),
                change: LinkChange::Down,
            };
            assert_eq!(events, [down]);
            ip("link set dev one up");
            assert_eq!(changes(&mut watch), [LinkChange::Up]);
        });
    }

    #[test]
    fn watch_reports_up_without_carrier_as_two_changes() {
        in_private_network(|| {
            let (mut watch, _) = pair_under_watch();
            ip("link set dev one down");
            ip("link set dev two down");
            assert_eq!(changes(&mut watch), [LinkChange::Down]);

            ip("link set dev one up");
            let up = changes(&mut watch);
            ip("link set dev two up");

            assert_eq!(up, [LinkChange::Up, LinkChange::CarrierLost]);
            assert_eq!(changes(&mut watch), [LinkChange::CarrierBack]);
        });
    }

    #[test]
    fn watch_reports_mtu_and_name() {
        in_private_network(|| {
            let (mut watch, index) = pair_under_watch();

            ip("link set dev one mtu 9000");
            let mtu = changes(&mut watch);
            // A name can be changed while the interface is up since Linux 6.3.
            ip("link set dev one down");
            ip("link set dev one name uno");
            ip("link set dev uno mtu 1400");
            let later = watch.poll(SOON).expect("the kernel answers");

            let changed = |before, after| LinkChange::Mtu { before, after };
            assert_eq!(mtu, [changed(1500, 9000)]);
            let event = |name: &str, change| LinkEvent {
                index,
                name: name.to_owned(),
                change,
            };
            let renamed = LinkChange::Renamed {
                before: "one".to_owned(),
                after: "uno".to_owned(),
            };
            assert_eq!(
                later,
                [
                    event("one", LinkChange::Down),
                    event("uno", renamed),
                    event("uno", changed(9000, 1400)),
                ]
            );
        });
    }

    #[test]
    fn watch_reports_each_change_once() {
        in_private_network(|| {
            let (mut watch, _) = pair_under_watch();

            // The kernel notifies of each, and nothing changes.
            ip("link set dev one alias again");
            ip("link set dev one mtu 1500");
            ip("link set dev one up");
            ip("link set dev one promisc on");
            ip("link set dev one mtu 1501");

            assert_eq!(
                changes(&mut watch),
                [LinkChange::Mtu {
                    before: 1500,
                    after: 1501
                }]
            );
        });
    }

    #[test]
    fn watch_reports_lost_carrier() {
        in_private_network(|| {
            let (mut watch, _) = pair_under_watch();

            ip("link set dev two down");

            assert_eq!(changes(&mut watch), [LinkChange::CarrierLost]);
        });
    }

    #[test]
    fn watch_reports_deletion() {
        in_private_network(|| {
            let (mut watch, _) = pair_under_watch();

            ip("link delete one");

            assert_eq!(changes(&mut watch).last(), Some(&LinkChange::Removed));
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

            assert_eq!(changes(&mut watch).last(), Some(&LinkChange::Removed));
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

            let seen = changes(&mut watch);

            assert!(!seen.contains(&LinkChange::Removed), "{seen:?}");
            assert_eq!(seen.last(), Some(&LinkChange::Down));
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
            ip("link set dev one mtu 1400");
            ip("link set dev one down");

            let mtu = LinkChange::Mtu {
                before: 1500,
                after: 1400,
            };
            assert_eq!(changes(&mut watch), [mtu, LinkChange::Down]);
        });
    }

    #[test]
    fn notifications_from_before_the_lost_ones_are_no_news() {
        in_private_network(|| {
            let (mut watch, _) = pair_under_watch();
            watch
                .notifications
                .set_rx_buf_sz(1_u32)
                .expect("a small buffer");

            // This one is kept, and that it is up again is lost.
            ip("link set dev one down");
            for mtu in 1000..1050 {
                ip(&format!("link set dev two mtu {mtu}"));
            }
            ip("link set dev one up");

            assert_eq!(watch.poll(Duration::ZERO).expect("it answers"), []);
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

            assert_eq!(changes(&mut watch), [LinkChange::Removed]);
        });
    }
}

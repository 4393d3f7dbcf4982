//! A thread that notices what happens to the interfaces, and when the host's own
//! addresses change. A socket never says so: `poll` reports no error on an xsk
//! whose interface is gone.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::own_addresses::AddressFollower;
use crate::kernel::interface::{
    Interface, InterfaceErrorKind, LinkChange, LinkEvent, LinkState, LinkWatch,
};
use crate::kernel::sys::wait::PollSet;
use crate::kernel::{InterfaceId, InterfaceIndex};
use crate::runtime::Error;
use crate::runtime::OnLinkDown;
use crate::runtime::down_links::DownLinks;
use crate::runtime::events::{EventKind, Events};
use crate::runtime::shutdown::{REMOVED, SET_DOWN, Shutdown};
use crate::steering::Passage;
use crate::xsk::frame_of_mtu;

/// Ends its thread on drop.
pub(super) struct Supervisor {
    thread: Option<JoinHandle<()>>,
    shutdown: Arc<Shutdown>,
}

/// Nothing needs the thread but events and the end of the engine.
const FOREVER: Duration = Duration::from_secs(3600);

impl Supervisor {
    /// Watches `links`, and follows `addresses` where somebody wants to know them.
    pub(super) fn start(
        mut links: Links,
        mut addresses: Option<AddressFollower>,
        news: News,
        shutdown: &Arc<Shutdown>,
    ) -> Result<Self, Error> {
        let flag = Arc::clone(shutdown);
        for &interface in &links.down {
            news.down.set(interface, true);
        }
        let thread = Builder::new()
            .name("wharf-links".to_owned())
            .spawn(move || {
                if let Err(error) = supervise(&mut links, addresses.as_mut(), &news, &flag) {
                    flag.fail(error);
                }
            })
            .map_err(|source| Error::System {
                operation: "start the thread that watches interfaces",
                source,
            })?;
        Ok(Self {
            thread: Some(thread),
            shutdown: Arc::clone(shutdown),
        })
    }
}

/// What becomes of news.
pub(super) struct News {
    pub(super) events: Events,
    pub(super) down: Arc<DownLinks>,
    pub(super) on_link_down: OnLinkDown,
    /// The ways back to the stacks, which judge by an interface's address whose a frame is.
    pub(super) passages: Vec<Arc<Passage>>,
    /// Bytes of the longest frame that can be received.
    pub(super) longest_received: u32,
}

/// Interfaces under watch.
pub(super) struct Links {
    watch: LinkWatch,
    interfaces: Vec<Interface>,
    /// Those that were down from the beginning.
    down: Vec<InterfaceId>,
}

impl Links {
    /// Puts `interfaces` under watch, in the calling thread's network namespace.
    pub(super) fn watch(interfaces: &[Interface]) -> Result<Self, Error> {
        let mut watch = LinkWatch::open()?;
        let mut down = Vec::new();
        for (id, interface) in interfaces.iter().enumerate() {
            if watch.watch(interface)? == LinkState::Down {
                down.push(InterfaceId(id));
            }
        }
        Ok(Self {
            watch,
            interfaces: interfaces.to_vec(),
            down,
        })
    }

    /// The interface that an event is about, and the number that the engine gave it.
    fn find(&self, index: InterfaceIndex) -> Option<(InterfaceId, &Interface)> {
        let mut interfaces = self.interfaces.iter().enumerate();
        let (id, interface) = interfaces.find(|(_, interface)| interface.index() == index)?;
        Some((InterfaceId(id), interface))
    }
}

fn supervise(
    links: &mut Links,
    mut addresses: Option<&mut AddressFollower>,
    news: &News,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    while !shutdown.is_requested() {
        // First, because news may have come while the watch was set up.
        for event in links.watch.poll(Duration::ZERO)? {
            if let Some((id, interface)) = links.find(event.index) {
                news.handle(id, interface, event)?;
            }
        }
        if let Some(addresses) = &mut addresses {
            addresses.follow()?;
        }
        let mut set = PollSet::new(links.watch.as_fd());
        set.push(shutdown.supervisor_alarm());
        if let Some(addresses) = &addresses {
            set.push(addresses.as_fd());
        }
        set.wait(FOREVER).map_err(|source| Error::System {
            operation: "wait for news of the interfaces",
            source,
        })?;
    }
    Ok(())
}

impl News {
    /// # Errors
    ///
    /// When the engine cannot go on.
    fn handle(
        &self,
        id: InterfaceId,
        interface: &Interface,
        event: LinkEvent,
    ) -> Result<(), Error> {
        let lost = |what| Error::InterfaceLost {
            interface: event.name.clone(),
            what,
        };
        let kind = match event.change {
            LinkChange::Removed => return Err(lost(REMOVED)),
            LinkChange::Down if is_gone(interface) => return Err(lost(REMOVED)),
            LinkChange::Down if self.on_link_down == OnLinkDown::End => return Err(lost(SET_DOWN)),
            LinkChange::Down => EventKind::LinkDown,
            LinkChange::Up => EventKind::LinkUp,
            LinkChange::CarrierLost => EventKind::CarrierLost,
            LinkChange::CarrierBack => EventKind::CarrierBack,
            LinkChange::Mtu { before, after } => EventKind::MtuChanged {
                before,
                after,
                longest_received: (frame_of_mtu(after) > self.longest_received)
                    .then_some(self.longest_received),
            },
            LinkChange::Address(mac) => {
                let passage = self.passages.get(id.0);
                let set = passage.map_or(Ok(()), |passage| passage.set_address(mac));
                return set.map_err(|error| Error::System {
                    operation: "note the new MAC address of an interface",
                    source: std::io::Error::other(error),
                });
            }
            LinkChange::Renamed { before, after } => EventKind::Renamed { before, after },
        };
        match kind {
            EventKind::LinkDown => self.down.set(id, true),
            EventKind::LinkUp => self.down.set(id, false),
            _ => {}
        }
        self.events.report(id, kind);
        Ok(())
    }
}

/// Whether an interface that was set down is not there any more.
///
/// One that is deleted or moved goes down first, and all of it happens under one
/// hold of the kernel's RTNL lock (`rtnl_dellink`, `net/core/rtnetlink.c`). So
/// the answer to a question that takes the lock too, asked after the news that
/// it is down, says which it was.
fn is_gone(interface: &Interface) -> bool {
    let error = interface.is_up().err();
    error.is_some_and(|error| matches!(error.kind, InterfaceErrorKind::Gone { .. }))
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.shutdown.request();
        if let Some(thread) = self.thread.take() {
            // It cannot panic, and there is nothing to do if it did.
            let _ = thread.join();
        }
    }
}

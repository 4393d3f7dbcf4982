//! A thread that notices what happens to the interfaces, and when the host's own
//! addresses change. A socket never says so: `poll` reports no error on an xsk
//! whose interface is gone.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::own_addresses::AddressFollower;
use crate::kernel::interface::{Interface, InterfaceErrorKind, LinkEvent, LinkState, LinkWatch};
use crate::kernel::sys::wait::PollSet;
use crate::kernel::{InterfaceId, InterfaceIndex};
use crate::runtime::Error;
use crate::runtime::events::{EventKind, Events};
use crate::runtime::shutdown::{REMOVED, SET_DOWN, Shutdown};

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
        events: &Events,
        shutdown: &Arc<Shutdown>,
    ) -> Result<Self, Error> {
        let flag = Arc::clone(shutdown);
        let events = events.clone();
        let thread = Builder::new()
            .name("wharf-links".to_owned())
            .spawn(move || {
                if let Err(error) = supervise(&mut links, addresses.as_mut(), &events, &flag) {
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

/// Interfaces under watch.
pub(super) struct Links {
    watch: LinkWatch,
    interfaces: Vec<Interface>,
}

impl Links {
    /// Puts `interfaces` under watch, in the calling thread's network namespace.
    pub(super) fn watch(interfaces: &[Interface]) -> Result<Self, Error> {
        let mut watch = LinkWatch::open()?;
        for interface in interfaces {
            watch.watch(interface)?;
        }
        Ok(Self {
            watch,
            interfaces: interfaces.to_vec(),
        })
    }

    /// The number that the engine gave to an interface.
    fn id(&self, index: InterfaceIndex) -> Option<InterfaceId> {
        let mut interfaces = self.interfaces.iter();
        interfaces
            .position(|interface| interface.index() == index)
            .map(InterfaceId)
    }
}

fn supervise(
    links: &mut Links,
    mut addresses: Option<&mut AddressFollower>,
    events: &Events,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    while !shutdown.is_requested() {
        // First, because news may have come while the watch was set up.
        for event in links.watch.poll(Duration::ZERO)? {
            let kind = match event.state {
                LinkState::Up => EventKind::CarrierBack,
                LinkState::CarrierLost => EventKind::CarrierLost,
                LinkState::Down | LinkState::Removed => {
                    return Err(name_loss(&links.interfaces, event));
                }
            };
            if let Some(interface) = links.id(event.index) {
                events.report(interface, kind);
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

/// What became of the interface in `lost`.
///
/// One that is deleted or moved goes down first, and all of it happens under one
/// hold of the kernel's RTNL lock (`rtnl_dellink`, `net/core/rtnetlink.c`). So
/// the answer to a question that takes the lock too, asked after the news that
/// it is down, says which it was.
fn name_loss(interfaces: &[Interface], lost: LinkEvent) -> Error {
    let is_gone = || {
        let mut it = interfaces
            .iter()
            .filter(|interface| interface.index() == lost.index);
        it.any(|interface| {
            let error = interface.is_up().err();
            error.is_some_and(|error| matches!(error.kind, InterfaceErrorKind::Gone { .. }))
        })
    };
    let what = if lost.state == LinkState::Removed || is_gone() {
        REMOVED
    } else {
        SET_DOWN
    };
    Error::InterfaceLost {
        interface: lost.name,
        what,
    }
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

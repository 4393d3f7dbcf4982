//! What happens to an engine's interfaces and queues while it runs, for whoever asks.
//!
//! Several threads report; the engine's owner takes what there is, when it likes. So
//! the list is bounded: the oldest events are dropped for the newest, and counted.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::kernel::interface::InterfaceQueues;
use crate::kernel::{InterfaceId, KernelStatistics};

/// Something that happened to an interface while the engine ran, and did not end it.
///
/// Displays as one line: what happened, what follows, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// When, since the engine started.
    pub at: Duration,
    /// The interface, in the builder's order.
    pub interface: InterfaceId,
    /// Its name at that time.
    pub name: String,
    /// What happened.
    pub kind: EventKind,
}

/// What can happen to an interface. What ends the engine is no event but the
/// [`Error`](crate::Error) in the [`Summary`](crate::Summary).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// It was set down, and the engine waits
    /// ([`OnLinkDown::Wait`](crate::OnLinkDown::Wait)) until it is up again. Until then,
    /// frames to it are dropped and counted
    /// ([`DropReason::TxLinkDown`](crate::DropReason::TxLinkDown)).
    LinkDown,
    /// It was set up again.
    LinkUp,
    /// It is up, but nothing is at the other end any more: the peer was set down or
    /// the cable pulled.
    CarrierLost,
    /// The other end is there again.
    CarrierBack,
    /// Its MTU is another one.
    MtuChanged {
        /// The MTU in bytes, as it was.
        before: u32,
        /// The MTU in bytes, as it is now.
        after: u32,
        /// The longest frame that can still be received, in bytes without the frame
        /// check sequence, where that is less than the MTU allows; else `None`.
        longest_received: Option<u32>,
    },
    /// It has another name. It is still the same interface.
    Renamed {
        /// Its name as it was.
        before: String,
        /// Its name now.
        after: String,
    },
    /// It has other numbers of queues.
    QueuesChanged {
        /// The numbers as they were.
        before: InterfaceQueues,
        /// The numbers now.
        after: InterfaceQueues,
        /// Where the driver runs no program on queues that appear until it comes again
        /// (veth): the longest time for which frames on them went to the kernel's stack,
        /// past the rules and in no counter. `None` where none did.
        past_rules: Option<Duration>,
    },
    /// Queues appeared, and the rules may not hold on them: frames that arrive there may
    /// go to the kernel's stack.
    RulesNotRenewed {
        /// Why not.
        reason: String,
    },
    /// The TX queues that a worker drives have gone. What it is to send on the interface
    /// is dropped and counted ([`DropReason::TxRefused`](crate::DropReason::TxRefused))
    /// until one of them is back.
    WorkerCannotSend {
        /// The worker.
        worker: usize,
    },
    /// A worker drives a queue that appeared.
    QueueServed {
        /// The queue's index.
        queue: u32,
        /// The worker.
        worker: usize,
    },
    /// Frames are in transmit on a queue, and for as long as
    /// [`transmit_watchdog`](crate::EngineBuilder::transmit_watchdog) says none came back,
    /// although the kernel was woken once more: the driver is stuck, or whoever the frames
    /// went to holds them. Frames go on being sent while there is room.
    TransmitStalled {
        /// The worker.
        worker: usize,
        /// How long none came back.
        after: Duration,
        /// What the xsk is like.
        stall: TransmitStall,
    },
    /// Frames come back again after [`TransmitStalled`](Self::TransmitStalled).
    TransmitResumed {
        /// The worker.
        worker: usize,
        /// How long none came back.
        after: Duration,
        /// What the xsk is like now.
        stall: TransmitStall,
    },
    /// No worker drives a queue that appeared.
    QueueNotServed {
        /// The queue's index.
        queue: u32,
        /// Why not, as a clause, such as `the worker has no chunks left`.
        reason: String,
    },
}

/// What an xsk is like whose frames in transmit do not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransmitStall {
    /// The queue's index.
    pub queue: u32,
    /// Which of the queue's xsks.
    pub xsk: u8,
    /// Frames handed to the kernel that have not come back.
    pub in_flight: u32,
    /// Of their descriptors, those that the kernel has not taken from the TX ring.
    pub pending: u32,
    /// The kernel's counters.
    pub kernel: KernelStatistics,
}

impl EventKind {
    /// The kind as a label for logs and JSON, in `snake_case`.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::LinkDown => "link_down",
            Self::LinkUp => "link_up",
            Self::CarrierLost => "carrier_lost",
            Self::CarrierBack => "carrier_back",
            Self::MtuChanged { .. } => "mtu_changed",
            Self::Renamed { .. } => "renamed",
            Self::QueuesChanged { .. } => "queues_changed",
            Self::RulesNotRenewed { .. } => "rules_not_renewed",
            Self::WorkerCannotSend { .. } => "worker_cannot_send",
            Self::TransmitStalled { .. } => "transmit_stalled",
            Self::TransmitResumed { .. } => "transmit_resumed",
            Self::QueueServed { .. } => "queue_served",
            Self::QueueNotServed { .. } => "queue_not_served",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.kind {
            EventKind::LinkDown => write!(
                f,
                "interface `{name}` was set down: frames to it are dropped until it is up again"
            ),
            EventKind::LinkUp => write!(f, "interface `{name}` is up again"),
            EventKind::CarrierLost => write!(
                f,
                "interface `{name}` has no carrier: frames to it are dropped until its peer is back"
            ),
            EventKind::CarrierBack => write!(f, "interface `{name}` has a carrier again"),
            EventKind::MtuChanged {
                before,
                after,
                longest_received,
            } => {
                write!(
                    f,
                    "the MTU of interface `{name}` changed from {before} to {after}"
                )?;
                longest_received.map_or(Ok(()), |longest| {
                    write!(
                        f,
                        ": received frames longer than {longest} bytes are dropped: \
                         start again to receive them"
                    )
                })
            }
            EventKind::Renamed { before, after } => {
                write!(f, "interface `{before}` is now called `{after}`")
            }
            EventKind::QueuesChanged {
                before,
                after,
                past_rules,
            } => {
                write!(
                    f,
                    "interface `{name}` has {}, and had {}",
                    Queues(*after),
                    Queues(*before)
                )?;
                past_rules.map_or(Ok(()), |time| {
                    write!(
                        f,
                        "; for up to {} ms, frames on the new ones went past the rules, uncounted",
                        time.as_millis().max(1)
                    )
                })
            }
            EventKind::RulesNotRenewed { reason } => write!(
                f,
                "the rules may not hold on the new queues of interface `{name}`: {reason}; \
                 start again"
            ),
            EventKind::WorkerCannotSend { worker } => write!(
                f,
                "worker {worker} has no TX queue of interface `{name}` left, and drops the frames \
                 to it: start again to use fewer workers"
            ),
            EventKind::TransmitStalled { after, stall, .. } => {
                let what = if stall.pending > 0 {
                    "the kernel does not take"
                } else {
                    "the driver, or whoever they went to, holds"
                };
                write!(
                    f,
                    "queue {} of interface `{name}` has finished none of {} frames for {:.1} s: \
                     {what} them; look at the interface and at what is behind it",
                    stall.queue,
                    stall.in_flight,
                    after.as_secs_f64()
                )
            }
            EventKind::TransmitResumed { after, stall, .. } => write!(
                f,
                "queue {} of interface `{name}` finishes frames again, after {:.1} s",
                stall.queue,
                after.as_secs_f64()
            ),
            EventKind::QueueServed { queue, worker } => {
                write!(
                    f,
                    "worker {worker} drives queue {queue} of interface `{name}`"
                )
            }
            EventKind::QueueNotServed { queue, reason } => write!(
                f,
                "no worker drives queue {queue} of interface `{name}`: {reason}"
            ),
        }
    }
}

/// `1 RX and 4 TX queues`.
struct Queues(InterfaceQueues);

impl fmt::Display for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InterfaceQueues { rx, tx, .. } = self.0;
        let plural = if tx == 1 { "" } else { "s" };
        write!(f, "{rx} RX and {tx} TX queue{plural}")
    }
}

/// The events that nobody has taken yet. A clone is another handle to the same list.
#[derive(Clone, Debug)]
pub(crate) struct Events(Arc<Mutex<Pending>>);

#[derive(Debug)]
struct Pending {
    /// The present names of the engine's interfaces, in the builder's order.
    names: Vec<String>,
    events: VecDeque<(Instant, InterfaceId, String, EventKind)>,
    lost: u64,
}

impl Events {
    /// No events yet, of interfaces with these names.
    pub(crate) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(Arc::new(Mutex::new(Pending {
            names: names.into_iter().collect(),
            events: VecDeque::new(),
            lost: 0,
        })))
    }

    /// Reports that something happened to an interface just now. From
    /// [`EventKind::Renamed`] on, the interface has its new name.
    pub(crate) fn report(&self, interface: InterfaceId, kind: EventKind) {
        let mut pending = self.lock();
        if let EventKind::Renamed { after, .. } = &kind
            && let Some(name) = pending.names.get_mut(interface.0)
        {
            name.clone_from(after);
        }
        let name = pending.names.get(interface.0).cloned().unwrap_or_default();
        if pending.events.len() == MOST_PENDING {
            pending.events.pop_front();
            pending.lost += 1;
        }
        let event = (Instant::now(), interface, name, kind);
        pending.events.push_back(event);
    }

    /// Takes what was reported since the last call, oldest first, by an engine that
    /// started at `started`.
    pub(crate) fn take(&self, started: Instant) -> Vec<Event> {
        let events = std::mem::take(&mut self.lock().events);
        let event = |(at, interface, name, kind): (Instant, _, _, _)| Event {
            at: at.saturating_duration_since(started),
            interface,
            name,
            kind,
        };
        events.into_iter().map(event).collect()
    }

    /// Events that were dropped because nobody took them in time.
    pub(crate) fn lost(&self) -> u64 {
        self.lock().lost
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Enough for somebody who looks once a second while interfaces flap, and little
/// memory for somebody who never looks.
const MOST_PENDING: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::interface::QueuesSource;

    const A: InterfaceId = InterfaceId(0);

    fn said(kind: EventKind) -> String {
        let events = Events::new(["a0".to_owned()]);
        events.report(A, kind);
        events.take(Instant::now())[0].to_string()
    }

    #[test]
    fn event_says_what_follows_and_what_to_do() {
        let mtu_changed = |longest_received| EventKind::MtuChanged {
            before: 1500,
            after: 9000,
            longest_received,
        };
        let queues = |rx, tx| InterfaceQueues {
            rx,
            tx,
            rx_allocated: rx,
            source: QueuesSource::Driver,
        };

        let stalled = |pending| EventKind::TransmitStalled {
            worker: 0,
            after: Duration::from_millis(5200),
            stall: TransmitStall {
                queue: 3,
                xsk: 0,
                in_flight: 64,
                pending,
                kernel: KernelStatistics::default(),
            },
        };

        let all = [
            (
                EventKind::LinkDown,
                "interface `a0` was set down: frames to it are dropped until it is up again",
            ),
            (EventKind::LinkUp, "interface `a0` is up again"),
            (
                EventKind::CarrierLost,
                "interface `a0` has no carrier: frames to it are dropped until its peer is back",
            ),
            (EventKind::CarrierBack, "interface `a0` has a carrier again"),
            (
                mtu_changed(None),
                "the MTU of interface `a0` changed from 1500 to 9000",
            ),
            (
                mtu_changed(Some(3840)),
                "the MTU of interface `a0` changed from 1500 to 9000: received frames longer \
                 than 3840 bytes are dropped: start again to receive them",
            ),
            (
                EventKind::Renamed {
                    before: "a0".into(),
                    after: "lan".into(),
                },
                "interface `a0` is now called `lan`",
            ),
            (
                EventKind::QueuesChanged {
                    before: queues(1, 1),
                    after: queues(1, 4),
                    past_rules: None,
                },
                "interface `a0` has 1 RX and 4 TX queues, and had 1 RX and 1 TX queue",
            ),
            (
                EventKind::QueuesChanged {
                    before: queues(1, 1),
                    after: queues(4, 1),
                    past_rules: Some(Duration::from_micros(12_300)),
                },
                "interface `a0` has 4 RX and 1 TX queue, and had 1 RX and 1 TX queue; for up to \
                 12 ms, frames on the new ones went past the rules, uncounted",
            ),
            (
                stalled(0),
                "queue 3 of interface `a0` has finished none of 64 frames for 5.2 s: the driver, \
                 or whoever they went to, holds them; look at the interface and at what is \
                 behind it",
            ),
            (
                stalled(60),
                "queue 3 of interface `a0` has finished none of 64 frames for 5.2 s: the kernel \
                 does not take them; look at the interface and at what is behind it",
            ),
            (
                EventKind::QueueServed {
                    queue: 3,
                    worker: 1,
                },
                "worker 1 drives queue 3 of interface `a0`",
            ),
            (
                EventKind::QueueNotServed {
                    queue: 3,
                    reason: "the worker has no chunks left".into(),
                },
                "no worker drives queue 3 of interface `a0`: the worker has no chunks left",
            ),
        ];

        for (kind, sentence) in all {
            assert_eq!(said(kind), sentence);
        }
    }

    #[test]
    fn events_are_taken_once_and_in_order() {
        let started = Instant::now();
        let events = Events::new(["a0".to_owned(), "b0".to_owned()]);
        let reporter = events.clone();

        reporter.report(InterfaceId(1), EventKind::CarrierLost);
        reporter.report(A, EventKind::LinkDown);
        let taken = events.take(started);

        let labels: Vec<_> = taken
            .iter()
            .map(|event| (event.interface.0, event.name.as_str(), event.kind.label()))
            .collect();
        assert_eq!(labels, [(1, "b0", "carrier_lost"), (0, "a0", "link_down")]);
        assert!(taken[0].at <= taken[1].at && taken[1].at <= started.elapsed());
        assert_eq!(events.take(started), []);
    }

    #[test]
    fn event_has_the_name_of_its_time() {
        let events = Events::new(["a0".to_owned()]);

        events.report(A, EventKind::LinkDown);
        events.report(
            A,
            EventKind::Renamed {
                before: "a0".into(),
                after: "lan".into(),
            },
        );
        events.report(A, EventKind::LinkUp);

        let taken = events.take(Instant::now());
        let names: Vec<_> = taken.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(names, ["a0", "lan", "lan"]);
    }

    #[test]
    fn oldest_events_are_dropped_and_counted_when_nobody_takes_them() {
        let events = Events::new(["a0".to_owned()]);

        for _ in 0..3 {
            events.report(A, EventKind::LinkDown);
        }
        for _ in 0..MOST_PENDING {
            events.report(A, EventKind::LinkUp);
        }

        let taken = events.take(Instant::now());
        assert_eq!(taken.len(), MOST_PENDING);
        assert!(taken.iter().all(|event| event.kind == EventKind::LinkUp));
        assert_eq!(events.lost(), 3);
    }
}

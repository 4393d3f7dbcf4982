//! A thread that notices when the queues of an interface change while the engine runs,
//! by `ethtool -L` or by a program that opens or closes queues of a tun, and has the
//! workers follow.
//!
//! The kernel announces the one and not the other, so it also looks ten times a second.
//! When queues appear it first renews the program: veth runs the program that it has on the queues that it had when
//! the program came, and hands frames on new ones to the kernel's stack unseen
//! (`veth_enable_range_safe` does not set `rq->xdp_prog`, `drivers/net/veth.c`; tried on
//! Linux 6.18). A program that comes again, as a new one, is set for all of them. Loading
//! one takes tens of milliseconds, so where that may be needed a spare one is there.
//!
//! A queue that goes keeps its xsk, which serves it if it comes back: closing it would
//! write off the chunks that the kernel has. The kernel refuses `ethtool -L` below a
//! queue that has an xsk, so only queues that their driver takes away by itself go.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::plan;
use super::spare_program::SpareProgram;
use super::steering_table::SteeringTable;
use super::worker_requests::{Driven, Follow, Request, Requests, Socket};
use crate::kernel::QueueIndex;
use crate::kernel::interface::{Interface, InterfaceQueues, QueueNews, QueueWatch};
use crate::kernel::interface_id::InterfaceId;
use crate::kernel::sys::wait::{PollSet, grace_period};
use crate::runtime::Error;
use crate::runtime::events::{EventKind, Events};
use crate::runtime::shutdown::Shutdown;

/// Ends its thread on drop.
pub(super) struct QueueFollower {
    thread: Option<JoinHandle<()>>,
    shutdown: Arc<Shutdown>,
}

/// What the thread works on.
pub(super) struct Following {
    pub(super) interfaces: Vec<Followed>,
    /// Opened before the program was attached.
    pub(super) watch: Option<QueueWatch>,
    /// Queues from this one on are not driven, as was asked for.
    pub(super) queues: Option<u32>,
    pub(super) steering: Arc<SteeringTable>,
    /// One for each interface.
    pub(super) spares: Vec<SpareProgram>,
    /// One for each worker.
    pub(super) requests: Vec<Requests>,
    pub(super) events: Events,
    pub(super) shutdown: Arc<Shutdown>,
}

/// An interface and its queues as they were last seen.
pub(super) struct Followed {
    pub(super) interface: Interface,
    /// Whether queues that appear have no program until one comes again.
    pub(super) leaves_out_new_queues: bool,
    pub(super) queues: InterfaceQueues,
    /// Which queues have xsks.
    pub(super) driven: Vec<QueueIndex>,
    /// Whether it was down when there were queues to drive: no xsk can be bound then.
    pub(super) was_down: bool,
}

/// What became of the queues of an interface between two looks.
struct Change {
    id: InterfaceId,
    before: InterfaceQueues,
    now: InterfaceQueues,
    /// Whether there may be queues on which no program runs.
    are_new: bool,
}

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(100);

/// How long a worker may take to bind a queue: drivers may reset the NIC for it.
const PATIENCE: Duration = Duration::from_secs(10);

impl QueueFollower {
    pub(super) fn start(mut following: Following) -> Result<Self, Error> {
        let shutdown = Arc::clone(&following.shutdown);
        let thread = Builder::new()
            .name("wharf-queues".to_owned())
            .spawn(move || following.run())
            .map_err(|source| Error::System {
                operation: "start the thread that follows queues",
                source,
            })?;
        Ok(Self {
            thread: Some(thread),
            shutdown,
        })
    }
}

impl Following {
    fn run(&mut self) {
        let mut last_look = Instant::now();
        while !self.shutdown.is_requested() {
            let watch = self.watch.as_ref();
            let news = watch.map(QueueWatch::take).unwrap_or_default();
            let look = Instant::now();
            let changes: Vec<_> = (0..self.interfaces.len())
                .filter_map(|id| self.look_at(InterfaceId(id), &news))
                .collect();
            // Of all interfaces, before workers bind anything: that may take long.
            self.renew_programs(&changes);
            let unseen = last_look.elapsed();
            last_look = look;
            for change in changes {
                self.follow(change, unseen);
            }
            self.load_spares();
            let mut set = PollSet::new(self.shutdown.supervisor_alarm());
            if let Some(watch) = &self.watch {
                set.push(watch.as_fd());
            }
            if set.wait(INTERVAL).is_err() {
                std::thread::sleep(INTERVAL);
            }
        }
    }

    /// What is to be done about an interface.
    fn look_at(&mut self, id: InterfaceId, news: &QueueNews) -> Option<Change> {
        let followed = &mut self.interfaces[id.0];
        // One that cannot be asked has gone, which others notice.
        let now = followed.interface.queue_counts().ok()?;
        let before = std::mem::replace(&mut followed.queues, now);
        // As many as before may be other ones, which went and came back since.
        let are_new = now.rx > before.rx || news.concern(followed.interface.index());
        let is_back = followed.was_down && followed.interface.is_up().unwrap_or(false);
        (are_new || is_back || now != before).then_some(Change {
            id,
            before,
            now,
            are_new,
        })
    }

    /// Has the workers follow what changed. `unseen` is the longest time for which no
    /// program was on queues that appeared.
    fn follow(&mut self, change: Change, unseen: Duration) {
        let Change {
            id, before, now, ..
        } = change;
        if now != before {
            self.steering.count_queues(id, now.rx);
            let leaves_out = now.rx > before.rx && self.interfaces[id.0].leaves_out_new_queues;
            let kind = EventKind::QueuesChanged {
                before,
                after: now,
                past_rules: leaves_out.then_some(unseen),
            };
            self.events.report(id, kind);
            if now.tx < before.tx {
                self.note_senders(id, before.tx, now.tx);
            }
        }
        self.have_followed(id, now);
    }

    /// Says which workers could send on an interface, and cannot any more.
    fn note_senders(&self, id: InterfaceId, before: u32, now: u32) {
        let can_send = |worker, tx| {
            let mut driven = self.interfaces[id.0].driven.iter();
            driven.any(|&queue| self.worker_of(queue) == worker && queue.get() < tx)
        };
        for worker in 0..self.requests.len() {
            if can_send(worker, before) && !can_send(worker, now) {
                self.events
                    .report(id, EventKind::WorkerCannotSend { worker });
            }
        }
    }

    /// Has the workers follow an interface, and drive its queues that none drives.
    fn have_followed(&mut self, id: InterfaceId, now: InterfaceQueues) {
        let last = self.queues.map_or(now.rx, |most| now.rx.min(most));
        // The kernel has no queue that is no index.
        let queues = (0..last).filter_map(|queue| QueueIndex::new(queue).ok());
        let driven = &self.interfaces[id.0].driven;
        let mut missing: Vec<_> = queues.filter(|queue| !driven.contains(queue)).collect();
        let is_up = self.interfaces[id.0].interface.is_up().unwrap_or(false);
        self.interfaces[id.0].was_down = !is_up && !missing.is_empty();
        let (reply, replies) = channel();
        for (worker, requests) in self.requests.iter().enumerate() {
            let is_its_own = |queue: &&QueueIndex| self.worker_of(**queue) == worker;
            let request = Follow {
                interface: id,
                rx: now.rx,
                tx: now.tx,
                drive: missing.iter().filter(is_its_own).copied().collect(),
                reply: reply.clone(),
            };
            requests.send(Request::Follow(request), worker, &self.shutdown);
        }
        drop(reply);
        let deadline = Instant::now() + PATIENCE;
        while !self.shutdown.is_requested() && Instant::now() < deadline {
            match replies.recv_timeout(INTERVAL) {
                Ok((queue, driven)) => {
                    missing.retain(|one| *one != queue);
                    self.note(id, queue, driven);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        for queue in missing {
            let seconds = PATIENCE.as_secs();
            let reason = format!("its worker did not answer within {seconds} seconds");
            self.note(id, queue, Err(reason));
        }
    }

    /// Steers frames to a queue that is driven now, and says what became of it.
    fn note(&mut self, id: InterfaceId, index: QueueIndex, driven: Driven) {
        let (queue, worker) = (index.get(), self.worker_of(index));
        let kind = match driven.and_then(|sockets| self.steer(id, &sockets)) {
            Ok(()) => {
                self.interfaces[id.0].driven.push(index);
                EventKind::QueueServed { queue, worker }
            }
            Err(reason) => EventKind::QueueNotServed { queue, reason },
        };
        if !self.shutdown.is_requested() {
            self.events.report(id, kind);
        }
    }

    fn worker_of(&self, queue: QueueIndex) -> usize {
        plan::worker_of(queue.get(), self.requests.len())
    }

    /// Puts the rules in force on queues that appeared, too.
    fn renew_programs(&mut self, changes: &[Change]) {
        let renewed: Vec<_> = changes.iter().filter(|change| change.are_new).collect();
        if renewed.is_empty() {
            return;
        }
        let mut all = self.steering.lock();
        let mut failures = Vec::new();
        for Change { id, .. } in &renewed {
            let steering = &mut all[id.0];
            let prepared = match self.spares[id.0].take_for(steering.rules()) {
                Some(spare) => Ok(spare),
                None => steering.prepare(steering.rules()),
            };
            if let Err(error) = prepared.and_then(|next| steering.switch(next)) {
                failures.push((*id, error.to_string()));
            }
        }
        grace_period();
        for Change { id, .. } in &renewed {
            all[id.0].settle();
        }
        drop(all);
        for (id, reason) in failures {
            if !self.shutdown.is_requested() {
                let kind = EventKind::RulesNotRenewed { reason };
                self.events.report(id, kind);
            }
        }
    }

    /// Loads the program of each interface once more where it may have to come again, so
    /// that it then comes at once. Rules that change all the time are not worth it.
    fn load_spares(&mut self) {
        for (id, followed) in self.interfaces.iter().enumerate() {
            let may_grow = followed.queues.rx_allocated > followed.queues.rx;
            if !may_grow || !followed.leaves_out_new_queues {
                continue;
            }
            let all = self.steering.lock();
            self.spares[id].load_for(&all[id]);
        }
    }

    fn steer(&self, InterfaceId(id): InterfaceId, sockets: &[Socket]) -> Result<(), String> {
        let mut all = self.steering.lock();
        for socket in sockets {
            all[id]
                .insert_bound(socket.slot, socket.bound_to, socket.fd.as_fd())
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

impl Drop for QueueFollower {
    fn drop(&mut self) {
        self.shutdown.request();
        if let Some(thread) = self.thread.take() {
            // It cannot panic, and there is nothing to do if it did.
            let _ = thread.join();
        }
    }
}

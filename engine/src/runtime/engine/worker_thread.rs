//! A worker's thread from its first moment to its last: it pins itself, builds
//! its UMEM and queues, reports to the engine, and runs.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use core_affinity::CoreId;

use super::binder::{Binder, Bound};
use super::plan::WorkerPlan;
use super::report::WorkerReport;
use super::settings::Settings;
use super::worker_requests::{Follow, Limit, Request, Requests, Socket};
use crate::kernel::QueueIndex;
use crate::kernel::interface::Interface;
use crate::kernel::interface_id::InterfaceId;
use crate::kernel::sys::clock::wake_punctually;
use crate::memory::Audit;
use crate::runtime::Error;
use crate::runtime::application::{Application, WorkerContext};
use crate::runtime::attention::Attention;
use crate::runtime::clock::Clock;
use crate::runtime::down_links::DownLinks;
use crate::runtime::events::Events;
use crate::runtime::guard::guarded;
use crate::runtime::outbox::Outbox;
use crate::runtime::passes::Passes;
use crate::runtime::publisher::SharedCounters;
use crate::runtime::shutdown::Shutdown;
use crate::runtime::worker::{Duties, Worker, WorkerParts};
use crate::runtime::xsk_set::XskSet;
use crate::steering::{Passage, Slot};
use crate::xsk::{Batch, BindReport, Xsk};

/// What a worker says once its queues are bound.
pub(super) struct Ready {
    pub(super) report: WorkerReport,
    pub(super) sockets: Vec<Socket>,
}

/// What a worker's thread starts with.
pub(super) struct WorkerThread {
    pub(super) plan: WorkerPlan,
    pub(super) config: Settings,
    pub(super) interfaces: Vec<Interface>,
    pub(super) passages: Vec<Arc<Passage>>,
    pub(super) shared: SharedCounters,
    pub(super) links: Arc<DownLinks>,
    pub(super) events: Events,
    pub(super) requests: Requests,
    pub(super) shutdown: Arc<Shutdown>,
}

/// How long the supervisor may take to find out what became of an interface.
const EXPLANATION: Duration = Duration::from_secs(1);

impl WorkerThread {
    /// Runs to the end, and returns the audit unless the setup failed. Sends
    /// on `ready` how the setup went, and closes it. What `make` returns beside the
    /// application is kept until all else is done.
    pub(super) fn run<A, K>(
        mut self,
        ready: Sender<Result<Ready, Error>>,
        make: impl FnOnce(&WorkerContext) -> (A, K),
    ) -> Option<Audit>
    where
        A: Application,
    {
        let pin = |cpu: &usize| core_affinity::set_for_current(CoreId { id: *cpu });
        self.plan.cpu = self.plan.cpu.filter(pin);
        wake_punctually();
        let bound = Binder::bind_all(&self.config, &self.interfaces, &self.plan);
        let bound = bound.and_then(|(binder, bound)| {
            let passes = binder.bind_passes(&self.passages, self.plan.worker)?;
            let sockets = sockets(&bound)?;
            Ok((binder, bound, passes, sockets))
        });
        match bound {
            Ok((binder, bound, passes, sockets)) => {
                self.work(binder, (bound, passes), sockets, ready, make)
            }
            Err(error) => {
                // The engine has gone if it does not listen.
                let _ = ready.send(Err(error));
                drop(ready);
                self.guard(|| drop(make));
                None
            }
        }
    }

    fn work<A: Application, K>(
        &self,
        binder: Binder,
        (bound, passes): (Bound, Passes),
        sockets: Vec<Socket>,
        ready: Sender<Result<Ready, Error>>,
        make: impl FnOnce(&WorkerContext) -> (A, K),
    ) -> Option<Audit> {
        let alarm = Arc::clone(self.shutdown.alarm(self.plan.worker));
        let attention = Rc::new(Attention::new(alarm, Clock::Machine));
        let umem = binder.umem().clone();
        let (queues, reports): (Vec<_>, Vec<_>) = bound.into_iter().unzip();
        let names = reports.iter().map(|report| report.interface.clone());
        let parts = WorkerParts {
            worker: self.plan.worker,
            cpu: self.plan.cpu,
            xsks: XskSet::new(
                umem.clone(),
                names.zip(queues).collect(),
                self.config.batch_size,
                Rc::clone(&attention),
            )
            .with_passes(passes),
            wait: self.config.wait,
            shared: Arc::clone(&self.shared),
            links: Arc::clone(&self.links),
            transmit_watchdog: self.config.transmit_watchdog,
            events: self.events.clone(),
        };
        let mut worker = match Worker::new(parts) {
            Ok(worker) => worker,
            Err(message) => {
                let _ = ready.send(Err(self.panicked(message)));
                drop(ready);
                self.guard(|| drop(make));
                return None;
            }
        };
        let context = WorkerContext {
            worker: self.plan.worker,
            cpu: self.plan.cpu,
            umem,
            queues: reports,
            attention,
        };
        let bound = Ready {
            report: WorkerReport::new(&context),
            sockets,
        };
        let mut kept = None;
        if let Some((application, keep)) = self.guard(|| make(&context)) {
            kept = Some(keep);
            // The engine has gone if it does not listen, and then it has asked
            // the workers to stop.
            let _ = ready.send(Ok(bound));
            drop(ready);
            let mut duties = QueueDuties {
                config: self.config.clone(),
                requests: self.requests.clone(),
                binder,
            };
            self.run_application(&mut worker, application, &mut duties);
        }
        drop(context);
        let (audit, published) = worker.finish();
        if let Err(message) = published {
            self.shutdown.fail(self.panicked(message));
        }
        self.guard(|| drop(kept));
        Some(audit)
    }

    /// Runs the application to its end, and whatever it leaves undone.
    fn run_application(
        &self,
        worker: &mut Worker,
        mut application: impl Application,
        duties: &mut impl Duties,
    ) {
        let ran = self.guard(|| {
            if let Err(error) = worker.run(&mut application, duties, &self.shutdown)
                && !self.supervisor_explains(&error)
            {
                self.shutdown.fail(error);
            }
            // The program is detached before the queues close.
            self.shutdown.wait_until_requested();
            worker.let_finish(&mut application);
            worker.drain(&mut application);
            worker.end_transmissions(&mut application);
        });
        let ended = self.guard(|| drop(application));
        if ran.is_none() || ended.is_none() {
            self.shutdown.wait_until_requested();
            worker.drain(&mut Discard);
        }
    }

    /// Whether the supervisor knows why `error` happened: a socket cannot distinguish an
    /// interface that is set down from one that is about to go.
    fn supervisor_explains(&self, error: &Error) -> bool {
        matches!(error, Error::InterfaceLost { .. }) && self.shutdown.wait_for_failure(EXPLANATION)
    }

    /// Runs the application's code; a panic in it becomes the engine's failure.
    fn guard<T>(&self, run: impl FnOnce() -> T) -> Option<T> {
        // Whatever the panic left half done is the application's, which is never
        // run again, or a batch, which ends itself as it drops.
        let fail = |message| {
            self.shutdown.fail(Error::ApplicationPanicked {
                worker: self.plan.worker,
                message,
            });
        };
        guarded(run).map_err(fail).ok()
    }

    /// A panic of the `metrics` recorder.
    fn panicked(&self, message: String) -> Error {
        Error::WorkerPanicked {
            worker: self.plan.worker,
            message,
        }
    }
}

/// Stands in for an application that panicked: drops what still arrives, which
/// is counted as dropped by the application.
struct Discard;

impl Application for Discard {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        batch.for_each(drop);
    }
}

/// Follows the queues of the interfaces, and changes limits, between two rounds.
struct QueueDuties {
    config: Settings,
    requests: Requests,
    binder: Binder,
}

impl Duties for QueueDuties {
    fn is_any(&self) -> bool {
        self.requests.is_any()
    }

    fn run(&mut self, worker: &mut Worker) -> Result<(), Error> {
        for request in self.requests.take() {
            match request {
                Request::Follow(follow) => self.follow(worker, follow),
                Request::Limit(limit) => {
                    let Limit {
                        interface, limits, ..
                    } = limit;
                    let set = worker.xsks().set_limits(interface, &limits);
                    if set.is_ok() {
                        self.binder.set_limits(interface, limits);
                    }
                    // The caller has given up if it does not listen.
                    let _ = limit.reply.send(set);
                }
            }
        }
        Ok(())
    }
}

impl QueueDuties {
    fn follow(&mut self, worker: &mut Worker, follow: Follow) {
        let interface = follow.interface;
        self.binder.rx_queues[interface.0] = follow.rx;
        let (rx_queues, xsks) = (&self.binder.rx_queues, worker.xsks());
        xsks.set_tx_queues(interface, follow.tx);
        xsks.make_room(follow.drive.len(), rx_queues);
        for queue in follow.drive {
            let driven = self.drive(worker, interface, queue);
            let driven = driven.map_err(|error| error.to_string());
            // The supervisor has given up if it does not listen.
            let _ = follow.reply.send((queue, driven));
        }
        // Those that could not be driven need no share.
        worker.xsks().make_room(0, &self.binder.rx_queues);
    }

    fn drive(
        &self,
        worker: &mut Worker,
        interface: InterfaceId,
        queue: QueueIndex,
    ) -> Result<Vec<Socket>, Error> {
        let queues = worker.xsks().queues() + 1;
        self.config.check_queues(queues)?;
        let bound = self.binder.bind_more(interface, queue)?;
        let sockets = sockets(&bound)?;
        let name = self.binder.interface_name(interface);
        let xsks = bound.into_iter().map(|(xsk, _)| (name.to_owned(), xsk));
        worker.add(xsks.collect())?;
        Ok(sockets)
    }
}

/// The sockets of xsks, for other threads.
fn sockets(bound: &Bound) -> Result<Vec<Socket>, Error> {
    let socket = |(xsk, report): &(Xsk, BindReport)| {
        let (socket, bound_to) = xsk.socket().zip(xsk.bound_to())?;
        Some(socket.try_clone_to_owned().map(|fd| Socket {
            interface: report.id,
            slot: Slot {
                queue: xsk.queue(),
                xsk: xsk.index(),
            },
            bound_to,
            fd,
        }))
    };
    let sockets: Result<_, _> = bound.iter().filter_map(socket).collect();
    sockets.map_err(|source| Error::System {
        operation: "duplicate a socket's descriptor",
        source,
    })
}

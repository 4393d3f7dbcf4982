//! A worker's thread from its first moment to its last: it pins itself, builds
//! its UMEM and queues, reports to the engine, and runs.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use core_affinity::CoreId;

use super::plan::WorkerPlan;
use super::report::WorkerReport;
use super::settings::Settings;
use crate::kernel::InterfaceIndex;
use crate::kernel::interface::Interface;
use crate::kernel::interface_id::InterfaceId;
use crate::memory::{Audit, Umem};
use crate::runtime::Error;
use crate::runtime::application::{Application, WorkerContext};
use crate::runtime::down_links::DownLinks;
use crate::runtime::guard::guarded;
use crate::runtime::outbox::Outbox;
use crate::runtime::publisher::SharedCounters;
use crate::runtime::shutdown::Shutdown;
use crate::runtime::worker::{Worker, WorkerParts};
use crate::runtime::xsk_set::XskSet;
use crate::steering::Slot;
use crate::xsk::BindReport;
use crate::xsk::XskErrorKind;
use crate::xsk::{Batch, NicQueue, Xsk, XskConfig, needs_several_chunks};
use crate::xsk::{Mode, MultiBuffer};

/// What a worker says once its queues are bound.
pub(super) struct Ready {
    pub(super) report: WorkerReport,
    pub(super) sockets: Vec<Socket>,
}

/// A worker's xsk, for the XDP program to redirect to.
pub(super) struct Socket {
    pub(super) interface: InterfaceId,
    pub(super) slot: Slot,
    pub(super) bound_to: InterfaceIndex,
    pub(super) fd: OwnedFd,
}

/// What a worker's thread starts with.
pub(super) struct WorkerThread {
    pub(super) plan: WorkerPlan,
    pub(super) config: Settings,
    pub(super) interfaces: Vec<Interface>,
    pub(super) shared: SharedCounters,
    pub(super) links: Arc<DownLinks>,
    pub(super) shutdown: Arc<Shutdown>,
}

/// How long the supervisor may take to find out what became of an interface.
const EXPLANATION: Duration = Duration::from_secs(1);

/// A worker's queues with what each of them got.
type Bound = Vec<(Xsk, BindReport)>;

impl WorkerThread {
    /// Runs to the end, and returns the audit unless the setup failed. Sends
    /// on `ready` how the setup went, and closes it.
    pub(super) fn run<A, F>(
        mut self,
        ready: Sender<Result<Ready, Error>>,
        make: Arc<F>,
    ) -> Option<Audit>
    where
        A: Application,
        F: Fn(&WorkerContext) -> A,
    {
        let pin = |cpu: &usize| core_affinity::set_for_current(CoreId { id: *cpu });
        self.plan.cpu = self.plan.cpu.filter(pin);
        let audit = match self.set_up() {
            Ok((umem, bound, sockets)) => self.work(umem, bound, sockets, ready, &*make),
            Err(error) => {
                // The engine has gone if it does not listen.
                let _ = ready.send(Err(error));
                None
            }
        };
        // The last worker drops what the caller's closure has captured.
        self.guard(|| drop(make));
        audit
    }

    fn set_up(&self) -> Result<(Umem, Bound, Vec<Socket>), Error> {
        let (umem, bound) = self.bind()?;
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
        let sockets = sockets.map_err(|source| Error::System {
            operation: "duplicate a socket's descriptor",
            source,
        })?;
        Ok((umem, bound, sockets))
    }

    /// Binds all queues to a fresh UMEM. Queues that share it share the mode, so
    /// where one cannot have zero copy, all get copy.
    fn bind(&self) -> Result<(Umem, Bound), Error> {
        match self.bind_all(self.config.xsk.mode) {
            Err(Error::Xsk(error)) if self.config.xsk.mode == Mode::Auto => {
                let XskErrorKind::NoZeroCopy { reason, .. } = error.kind() else {
                    return Err(error.into());
                };
                let interface = error.interface();
                let (umem, mut bound) = self.bind_all(Mode::Copy)?;
                for (_, report) in &mut bound {
                    report.requested = Mode::Auto;
                    report.fallback = Some(format!(
                        "queues share a UMEM, and on `{interface}` {reason}"
                    ));
                }
                Ok((umem, bound))
            }
            bound => bound,
        }
    }

    fn bind_all(&self, mode: Mode) -> Result<(Umem, Bound), Error> {
        let umem = Umem::new(&self.config.umem)?;
        let multi_buffer = self.multi_buffer(&umem)?;
        // An eighth stays out of the fill rings, for frames that the application
        // makes.
        let share = umem.chunks() - umem.chunks() / 8;
        let queues = u32::try_from(self.plan.queues.len()).expect("a worker has few queues");
        let mut bound = Bound::new();
        for &(InterfaceId(id), queue) in &self.plan.queues {
            let config = XskConfig {
                mode,
                multi_buffer,
                xsks: self.config.steering.xsks_per_queue,
                chunk_limit: Some(share / queues),
                interface: InterfaceId(id),
                ..self.config.xsk
            };
            let queue = NicQueue::new(&umem, &self.interfaces[id], queue);
            let first = queue.bind(&config)?;
            let others = (1..config.xsks).map(|_| queue.share());
            let others: Vec<_> = others.collect::<Result<_, _>>()?;
            bound.push(first);
            bound.extend(others);
        }
        Ok((umem, bound))
    }

    /// What all queues ask for: those that share a UMEM do as the first, so where
    /// the frames of one interface need several chunks, all take such.
    fn multi_buffer(&self, umem: &Umem) -> Result<MultiBuffer, Error> {
        if self.config.xsk.multi_buffer != MultiBuffer::Auto {
            return Ok(self.config.xsk.multi_buffer);
        }
        for interface in &self.interfaces {
            if needs_several_chunks(interface, umem)? {
                return Ok(MultiBuffer::Always);
            }
        }
        Ok(MultiBuffer::Auto)
    }

    fn work<A: Application>(
        &self,
        umem: Umem,
        bound: Bound,
        sockets: Vec<Socket>,
        ready: Sender<Result<Ready, Error>>,
        make: &impl Fn(&WorkerContext) -> A,
    ) -> Option<Audit> {
        let (queues, reports): (Vec<_>, Vec<_>) = bound.into_iter().unzip();
        let names = reports.iter().map(|report| report.interface.clone());
        let parts = WorkerParts {
            worker: self.plan.worker,
            cpu: self.plan.cpu,
            xsks: XskSet::new(
                umem.clone(),
                names.zip(queues).collect(),
                self.config.batch_size,
            ),
            wait: self.config.wait,
            shared: Arc::clone(&self.shared),
            links: Arc::clone(&self.links),
        };
        let mut worker = match Worker::new(parts) {
            Ok(worker) => worker,
            Err(message) => {
                let _ = ready.send(Err(self.panicked(message)));
                return None;
            }
        };
        let context = WorkerContext {
            worker: self.plan.worker,
            cpu: self.plan.cpu,
            umem,
            queues: reports,
        };
        let bound = Ready {
            report: WorkerReport::new(&context),
            sockets,
        };
        if let Some(application) = self.guard(|| make(&context)) {
            // The engine has gone if it does not listen, and then it has asked
            // the workers to stop.
            let _ = ready.send(Ok(bound));
            drop(ready);
            self.run_application(&mut worker, application);
        }
        drop(context);
        let (audit, published) = worker.finish();
        if let Err(message) = published {
            self.shutdown.fail(self.panicked(message));
        }
        Some(audit)
    }

    /// Runs the application to its end, and whatever it leaves undone.
    fn run_application(&self, worker: &mut Worker, mut application: impl Application) {
        let ran = self.guard(|| {
            if let Err(error) = worker.run(&mut application, &self.shutdown)
                && !self.supervisor_explains(&error)
            {
                self.shutdown.fail(error);
            }
            // The program is detached before the queues close.
            self.shutdown.wait_until_requested();
            worker.drain(&mut application);
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

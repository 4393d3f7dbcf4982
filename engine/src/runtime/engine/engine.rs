//! The engine: programs attached to interfaces, one worker per CPU, and an
//! orderly end.
//!
//! # Order of things
//!
//! Start: attach the programs (their maps empty, so frames go on to the kernel),
//! bind the queues with full fill rings, put the sockets into the maps. Stop:
//! detach, handle what has arrived, wait for what is being sent, take the
//! audits, close. Many drivers reset the NIC when a program comes or goes, and
//! some crash when it goes after the sockets did.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::kernel::ProgramMode;
use crate::kernel::interface::{Interface, Promiscuous, QueueWatch};
use crate::kernel::interface_id::InterfaceId;
use crate::kernel::privileges::{self, Reading};
use crate::memory::{self, Audit};
use crate::runtime::Error;
use crate::runtime::application::{Application, WorkerContext};
use crate::runtime::down_links::DownLinks;
use crate::runtime::drops::DropReason;
use crate::runtime::events::{Event, Events};
use crate::runtime::guard::{guarded, message_of};
use crate::runtime::publisher::SharedCounters;
use crate::runtime::shutdown::Shutdown;
use crate::runtime::stats::{Snapshot, Summary, XskStats};
use crate::steering::{Passage, Steering, SteeringConfig};
use crate::xsk::{self, ChecksumsReport};

use super::management::ManagementReport;
use super::own_addresses::AddressFollower;
use super::plan::{self, Plan, WorkerPlan};
use super::queue_follower::{Followed, Following, QueueFollower};
use super::report::{EngineReport, InterfaceReport};
use super::settings::Settings;
use super::spare_program::SpareProgram;
use super::steering_table::SteeringTable;
use super::supervisor::{Links, News, Supervisor};
use super::worker_requests::Requests;
use super::worker_thread::{Ready, WorkerThread};

/// A running engine. Dropping it stops it.
///
/// ```no_run
/// use std::sync::atomic::AtomicBool;
///
/// struct Reflect;
///
/// impl wharf::Application for Reflect {
///     fn receive(&mut self, batch: wharf::Batch<'_>, out: &mut wharf::Outbox<'_>) {
///         for mut frame in batch {
///             frame.swap_mac_addresses();
///             out.send_back(frame);
///         }
///     }
/// }
///
/// static STOP: AtomicBool = AtomicBool::new(false); // set by a signal handler
///
/// fn main() -> Result<(), wharf::Error> {
///     let engine = wharf::Engine::builder()
///         .interface("eth0")
///         .memory_limit(128 << 20)
///         .start(|_worker| Reflect)?;
///     let summary = engine.run_until(&STOP);
///     assert!(summary.is_conserved());
///     summary.outcome
/// }
/// ```
pub struct Engine {
    pub(super) shutdown: Arc<Shutdown>,
    pub(super) steering: Arc<SteeringTable>,
    /// Held for their drop, which undoes it.
    promiscuous: Vec<Promiscuous>,
    /// One for each interface, if frames can be passed.
    passages: Vec<Arc<Passage>>,
    supervisor: Option<Supervisor>,
    queues: Option<QueueFollower>,
    events: Events,
    links: Arc<DownLinks>,
    pub(super) workers: Vec<RunningWorker>,
    report: EngineReport,
    started: Instant,
}

pub(super) struct RunningWorker {
    /// `None` once joined.
    thread: Option<JoinHandle<Option<Audit>>>,
    shared: SharedCounters,
    pub(super) requests: Requests,
}

impl RunningWorker {
    /// Whether the calling thread is the worker's.
    pub(super) fn is_this_thread(&self) -> bool {
        let thread = self.thread.as_ref();
        thread.is_some_and(|thread| thread.thread().id() == std::thread::current().id())
    }
}

/// Says before anything is set up what no interface may be: another one of them, or one
/// that cannot be driven. They were called `names`.
fn check_shapes(interfaces: &[Interface], names: &[String]) -> Result<(), Error> {
    for (at, interface) in interfaces.iter().enumerate() {
        let mut others = interfaces[..at].iter();
        if let Some(other) = others.position(|other| other.index() == interface.index()) {
            return Err(Error::SameInterface {
                first: names[other].clone(),
                second: names[at].clone(),
                interface: interface.name().to_owned(),
            });
        }
    }
    for interface in interfaces {
        interface.check_frames()?;
        if interface.is_up()? {
            interface.check_queues()?;
        }
    }
    Ok(())
}

/// How often [`Engine::run_until`] looks at its flag.
const FLAG_INTERVAL: Duration = Duration::from_millis(20);

impl Engine {
    /// `factory` returns for each worker what makes its application there, and
    /// something to keep until the worker's thread ends.
    pub(super) fn start<A, K, M>(
        config: Settings,
        factory: impl FnMut(usize) -> M,
    ) -> Result<Self, Error>
    where
        A: Application,
        M: FnOnce(&WorkerContext) -> (A, K) + Send + 'static,
    {
        privileges::check(config.steering.reading())?;
        if config.passing {
            privileges::check_namespaces()?;
        }
        // Said before an interface is touched, and better than by the loader, which
        // misses a type of map then.
        xsk::check_kernel()?;
        let names = config.interfaces.iter();
        let interfaces: Vec<_> = names
            .map(|name| Interface::by_name(name))
            .collect::<Result<_, _>>()?;
        check_shapes(&interfaces, &config.interfaces)?;
        let management = ManagementReport::of_all(config.keep_management, &interfaces)?;
        if management.iter().any(ManagementReport::is_kept) {
            privileges::check(Reading::Frames)?;
        }
        // What is wrong with them is said before an interface is touched.
        let plan = plan::make(&config, &interfaces)?;
        memory::check_budget(plan.workers.len(), &config.umem)?;
        memory::check_room(plan.workers.len(), &config.umem)?;
        let links = Links::watch(&interfaces)?;
        // Before a program comes, so that no queue appears unseen after it. Without, it
        // is noticed a little later.
        let queue_watch = QueueWatch::open().unwrap_or_default();
        let mut kept = Vec::new();
        let mut engine = Self {
            report: EngineReport {
                limits: config.xsk.limits,
                memory_limit: config.umem.memory_limit,
                ..EngineReport::default()
            },
            steering: Arc::default(),
            promiscuous: Vec::new(),
            passages: Vec::new(),
            supervisor: None,
            events: Events::new(interfaces.iter().map(|it| it.name().to_owned())),
            links: Arc::new(DownLinks::new(interfaces.len())),
            queues: None,
            workers: Vec::new(),
            shutdown: Arc::new(Shutdown::new(0)?),
            started: Instant::now(),
        };
        for ((id, interface), management) in interfaces.iter().enumerate().zip(management) {
            let id = InterfaceId(id);
            let wanted = SteeringConfig {
                keep_management: management.is_kept(),
                ..config.steering.clone()
            };
            let slots = plan::slots(interface)?;
            let steering = Steering::attach(interface, config.attach, slots, &wanted)?;
            if management.is_kept() {
                kept.push(id);
            }
            // Some drivers change the number of queues as a program comes.
            let queues = interface.queue_counts()?;
            let driven = plan::driven(&config, interface, queues)?.rx;
            let checksums = ChecksumsReport::of(config.xsk.checksums, interface)?;
            let report =
                InterfaceReport::new(id, interface, driven, &steering, management, checksums)?;
            engine.report.interfaces.push(report);
            engine.steering.lock().push(steering);
            engine.steering.count_queues(id, queues.rx);
            if config.promiscuous {
                engine.promiscuous.push(interface.promiscuous()?);
            }
        }
        let plan = plan::make(&config, &interfaces)?;
        engine.report.unused_cpus.clone_from(&plan.unused_cpus);
        engine.shutdown = Arc::new(Shutdown::new(plan.workers.len())?);
        if config.passing {
            engine.make_passages(&interfaces, plan.workers.len())?;
        }
        // Before there is a socket to take frames from the host.
        let addresses = if kept.is_empty() {
            None
        } else {
            Some(AddressFollower::start(&engine.steering, kept)?)
        };
        let news = News {
            events: engine.events.clone(),
            down: Arc::clone(&engine.links),
            on_link_down: config.on_link_down,
            passages: engine.passages.clone(),
            longest_received: xsk::longest_received(
                &config.umem,
                config.xsk.multi_buffer,
                &interfaces,
            )?,
        };
        let supervisor = Supervisor::start(links, addresses, news, &engine.shutdown)?;
        engine.supervisor = Some(supervisor);
        engine.start_workers(&config, &interfaces, &plan.workers, factory)?;
        engine.started = Instant::now();
        engine.follow_queues(&config, &interfaces, &plan, queue_watch)?;
        Ok(engine)
    }

    /// Makes the ways back to the stacks.
    fn make_passages(&mut self, interfaces: &[Interface], workers: usize) -> Result<(), Error> {
        let workers = u32::try_from(workers).unwrap_or(u32::MAX);
        for (interface, report) in interfaces.iter().zip(&mut self.report.interfaces) {
            let passage = Passage::make(interface, workers)?;
            report.passage = Some(passage.receiving().to_owned());
            self.passages.push(Arc::new(passage));
        }
        Ok(())
    }

    fn start_workers<A, K, M>(
        &mut self,
        config: &Settings,
        interfaces: &[Interface],
        plans: &[WorkerPlan],
        mut factory: impl FnMut(usize) -> M,
    ) -> Result<(), Error>
    where
        A: Application,
        M: FnOnce(&WorkerContext) -> (A, K) + Send + 'static,
    {
        let (ready, readiness) = channel();
        for plan in plans {
            let worker = plan.worker;
            let make = guarded(|| factory(worker));
            let make = make.map_err(|message| Error::ApplicationPanicked { worker, message })?;
            let shared = SharedCounters::default();
            let requests = Requests::default();
            let thread = WorkerThread {
                config: config.clone(),
                interfaces: interfaces.to_vec(),
                passages: self.passages.clone(),
                shared: Arc::clone(&shared),
                links: Arc::clone(&self.links),
                events: self.events.clone(),
                requests: requests.clone(),
                shutdown: Arc::clone(&self.shutdown),
                plan: plan.clone(),
            };
            let ready = ready.clone();
            let thread = Builder::new()
                .name(format!("wharf-{}", thread.plan.worker))
                .spawn(move || thread.run(ready, make))
                .map_err(|source| Error::System {
                    operation: "start a worker's thread",
                    source,
                })?;
            self.workers.push(RunningWorker {
                thread: Some(thread),
                shared,
                requests,
            });
        }
        drop(ready);
        self.steer(&readiness)
    }

    /// Waits for the workers' queues, and steers frames to them.
    fn steer(&mut self, readiness: &Receiver<Result<Ready, Error>>) -> Result<(), Error> {
        let mut all: Vec<Ready> = readiness.iter().collect::<Result<_, _>>()?;
        all.sort_by_key(|ready| ready.report.worker);
        for ready in all {
            for socket in ready.sockets {
                let InterfaceId(id) = socket.interface;
                let steering = &mut self.steering.lock()[id];
                if socket.slot.queue.get() >= steering.queue_slots() {
                    // It only sends.
                    continue;
                }
                steering.insert_bound(socket.slot, socket.bound_to, socket.fd.as_fd())?;
            }
            self.report.workers.push(ready.report);
        }
        if self.report.workers.len() < self.workers.len() {
            // A worker that ends before it is ready has said why, or panicked
            // while it made the application.
            return Err(self.shutdown.take_failure().unwrap_or(Error::System {
                operation: "start the workers",
                source: std::io::ErrorKind::Other.into(),
            }));
        }
        Ok(())
    }

    fn follow_queues(
        &mut self,
        config: &Settings,
        interfaces: &[Interface],
        plan: &Plan,
        watch: Option<QueueWatch>,
    ) -> Result<(), Error> {
        let followed = |(id, (interface, &queues)): (usize, (&Interface, _))| {
            let planned = plan.workers.iter().flat_map(|worker| &worker.queues);
            let driven = planned.filter(|(of, _)| *of == InterfaceId(id));
            let report = &self.report.interfaces[id];
            Followed {
                interface: interface.clone(),
                leaves_out_new_queues: report.attach.got == ProgramMode::Native
                    && report.driver.as_deref() == Some("veth"),
                queues,
                driven: driven.map(|(_, queue)| *queue).collect(),
                was_down: false,
            }
        };
        let interfaces = interfaces.iter().zip(&plan.queues).enumerate();
        let followed = interfaces.map(followed).collect();
        let spares = {
            let all = self.steering.lock();
            let spares = all.iter().map(|one| SpareProgram::new(one.rules()));
            spares.collect()
        };
        let following = Following {
            interfaces: followed,
            watch,
            queues: config.queues,
            steering: Arc::clone(&self.steering),
            spares,
            requests: self
                .workers
                .iter()
                .map(|worker| worker.requests.clone())
                .collect(),
            events: self.events.clone(),
            shutdown: Arc::clone(&self.shutdown),
        };
        self.queues = Some(QueueFollower::start(following)?);
        Ok(())
    }

    /// What was got: modes, queues, CPUs, memory.
    #[must_use]
    pub fn report(&self) -> &EngineReport {
        &self.report
    }

    /// The counters now. [`DropReason::RxUndelivered`] is known only at the end.
    #[must_use]
    pub fn stats(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            elapsed: self.started.elapsed(),
            ..Snapshot::default()
        };
        for worker in &self.workers {
            let shared = worker.shared.lock().unwrap_or_else(PoisonError::into_inner);
            snapshot.xsks.extend(&shared.xsks);
            snapshot.workers.push(shared.worker.clone());
        }
        snapshot
            .xsks
            .sort_by_key(|xsk| (xsk.interface, xsk.queue, xsk.xsk));
        snapshot.queues = self.steering.count(&mut snapshot.xsks);
        snapshot
    }

    /// What happened to the interfaces since the last call, oldest first. Makes no
    /// system call. Call it now and then: up to 1024 events wait for it, and then the
    /// oldest are dropped, and counted by [`events_lost`](Self::events_lost).
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.events.take(self.started)
    }

    /// Events that were dropped because [`events`](Self::events) was not called in time.
    #[must_use]
    pub fn events_lost(&self) -> u64 {
        self.events.lost()
    }

    /// Waits for up to `timeout`, and returns whether the engine still runs. When
    /// it does not, [`stop`](Self::stop) says why.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> bool {
        !self.shutdown.wait_for_failure(timeout)
    }

    /// Runs until `stop` is set, or the engine fails.
    pub fn run_until(self, stop: &AtomicBool) -> Summary {
        while !stop.load(Ordering::Relaxed) && self.wait(FLAG_INTERVAL) {}
        self.stop()
    }

    /// Stops: detaches the programs, handles frames that have arrived, waits up
    /// to a second for frames that are being sent, and closes the queues.
    pub fn stop(mut self) -> Summary {
        let audits = self.halt();
        let mut stats = self.stats();
        for XskStats { counters, .. } in &mut stats.xsks {
            let received = counters.received_or_dropped();
            let undelivered = counters.frames_in.saturating_sub(received);
            counters.drops.set(DropReason::RxUndelivered, undelivered);
        }
        Summary {
            stats,
            rule_hits: self.rule_hits().unwrap_or_default(),
            audits,
            workers: self.workers.len(),
            outcome: self.shutdown.take_failure().map_or(Ok(()), Err),
        }
    }

    /// Ends everything that runs, once; returns the audits of the workers.
    fn halt(&mut self) -> Vec<Audit> {
        self.steering.lock().iter_mut().for_each(Steering::detach);
        self.promiscuous.clear();
        self.shutdown.request();
        self.supervisor = None;
        self.queues = None;
        let mut audits = Vec::new();
        for (worker, running) in self.workers.iter_mut().enumerate() {
            let Some(thread) = running.thread.take() else {
                continue;
            };
            if thread.thread().id() == std::thread::current().id() {
                // The application dropped its own engine; its thread ends next.
                continue;
            }
            match thread.join() {
                Ok(audit) => audits.extend(audit),
                // Whatever is not ours is guarded, so this is a bug of ours.
                Err(panic) => self.shutdown.fail(Error::WorkerPanicked {
                    worker,
                    message: message_of(panic),
                }),
            }
        }
        self.passages.clear();
        audits
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.halt();
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

//! What an engine is asked for, checked before the machine is touched.

use std::sync::Arc;
use std::time::Duration;

use super::engine::Engine;
use super::management::KeepManagement;
use super::settings::Settings;
use crate::kernel::{ChunkSize, KnownPanics, RingCapacity};
use crate::memory::{Copybreak, Limits, Pages};
use crate::runtime::application::{Application, WorkerContext};
use crate::runtime::config::{ConfigError, DEFAULT_BATCH_SIZE, OnLinkDown, Wait};
use crate::runtime::error::Error;
use crate::steering::rules::RuleSet;
use crate::steering::{Attach, NoXsk};
use crate::xsk::{Checksums, Mode, MultiBuffer};

/// Builds an [`Engine`]: see [`Engine::builder`].
#[derive(Clone, Debug)]
pub struct EngineBuilder(Settings);

impl Engine {
    /// What to ask of an engine.
    #[must_use]
    pub fn builder() -> EngineBuilder {
        EngineBuilder(Settings::new())
    }
}

impl EngineBuilder {
    /// Chunks per worker: both queues of a pair can fill their rings twice over.
    pub const DEFAULT_FRAMES: u32 = Settings::FRAMES;
    /// Entries of each ring: 40 ms of 100,000 frames a second, which a worker
    /// that shares its CPU may have to wait for it.
    pub const DEFAULT_RING_SIZE: u32 = Settings::RING_SIZE;
    /// Frames per batch: the NAPI budget with which drivers fill the RX ring.
    pub const DEFAULT_BATCH_SIZE: u32 = DEFAULT_BATCH_SIZE;

    /// Adds an interface to drive. Interfaces are numbered in the order of these
    /// calls, from [`InterfaceId(0)`](crate::InterfaceId).
    #[must_use]
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.0.interfaces.push(name.into());
        self
    }

    /// Zero copy or copy; [`Mode::Auto`] by default.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.0.xsk.mode = mode;
        self
    }

    /// Whether frames may lie in several chunks; [`MultiBuffer::Auto`] by default,
    /// which is when an interface's MTU does not fit one.
    #[must_use]
    pub fn multi_buffer(mut self, multi_buffer: MultiBuffer) -> Self {
        self.0.xsk.multi_buffer = multi_buffer;
        self
    }

    /// Whether received frames get the checksums that their senders left to hardware;
    /// [`Checksums::Auto`] by default, which is where no hardware is known to be under
    /// the interface. If they are not finished, every receiver but this machine's stack
    /// drops such a frame, or an answer made of it in place, as damaged.
    #[must_use]
    pub fn checksums(mut self, checksums: Checksums) -> Self {
        self.0.xsk.checksums = checksums;
        self
    }

    /// How the XDP program is attached; [`Attach::Auto`] by default.
    #[must_use]
    pub fn attach(mut self, attach: Attach) -> Self {
        self.0.attach = attach;
        self
    }

    /// Drives the queues `0..count` of every interface, instead of all of them.
    /// Rules hold on the other queues, too, and what is to be redirected there becomes
    /// what [`no_xsk`](Self::no_xsk) says.
    #[must_use]
    pub fn queues(mut self, count: u32) -> Self {
        self.0.queues = Some(count);
        self
    }

    /// Binds `count` xsks to every driven queue, 1 by default, so that rules can tell
    /// flows apart for the application: `redirect:N` sends to the N-th xsk, and
    /// [`Batch::xsk`](crate::Batch::xsk) says which it was. They have an RX and a
    /// TX ring each, and share the fill and the completion ring of their queue,
    /// which are as many times as large, and the queue's share of the chunks.
    ///
    /// Which xsk a frame goes to is decided by the rules alone: one that no rule
    /// names gets nothing.
    #[must_use]
    pub fn xsks_per_queue(mut self, count: u8) -> Self {
        self.0.steering.xsks_per_queue = count;
        self
    }

    /// The CPUs to pin workers to, in order; by default those that this process
    /// may use. There is one worker per CPU, but never more than the interface
    /// with the fewest queues has of them.
    #[must_use]
    pub fn cpus(mut self, cpus: impl Into<Vec<usize>>) -> Self {
        self.0.cpus = Some(cpus.into());
        self
    }

    /// Chunks per worker, [`DEFAULT_FRAMES`](Self::DEFAULT_FRAMES) by default.
    /// Each of a worker's queues may have an equal share of seven eighths of
    /// them; the rest is there for frames that the application makes.
    #[must_use]
    pub fn frames(mut self, frames: u32) -> Self {
        self.0.umem.frames = frames;
        self
    }

    /// The size of a chunk, 4096 bytes by default, and whether chunks are aligned
    /// to it, as they are by default.
    #[must_use]
    pub fn chunk_size(mut self, chunk_size: ChunkSize) -> Self {
        self.0.umem.chunk_size = chunk_size;
        self
    }

    /// The pages that chunks lie on; [`Pages::Base`] by default. Every worker has
    /// its own.
    #[must_use]
    pub fn pages(mut self, pages: Pages) -> Self {
        self.0.umem.pages = pages;
        self
    }

    /// Bytes that stay free in front of every received frame beside XDP's own 256,
    /// none by default: see [`UmemConfig::headroom`](crate::UmemConfig::headroom).
    #[must_use]
    pub fn headroom(mut self, bytes: u32) -> Self {
        self.0.umem.headroom = bytes;
        self
    }

    /// Below which size frames that the application [holds](crate::Frame::hold) or
    /// [detaches](crate::Frame::detach) are copied out of the UMEM: see
    /// [`UmemConfig::copybreak`](crate::UmemConfig::copybreak) for the default.
    #[must_use]
    pub fn copybreak(mut self, copybreak: Copybreak) -> Self {
        self.0.umem.copybreak = copybreak;
        self
    }

    /// Frames of a worker that may be copied out at a time, as many as it has chunks by
    /// default: see [`UmemConfig::copies`](crate::UmemConfig::copies).
    #[must_use]
    pub fn copies(mut self, frames: u32) -> Self {
        self.0.umem.copies = Some(frames);
        self
    }

    /// Entries of each ring,
    /// [`DEFAULT_RING_SIZE`](Self::DEFAULT_RING_SIZE) by default.
    #[must_use]
    pub fn ring_size(mut self, ring_size: RingCapacity) -> Self {
        self.0.xsk.ring_size = ring_size;
        self
    }

    /// The most frames that an application receives at once,
    /// [`DEFAULT_BATCH_SIZE`](Self::DEFAULT_BATCH_SIZE) by default.
    #[must_use]
    pub fn batch_size(mut self, frames: u32) -> Self {
        self.0.batch_size = frames;
        self
    }

    /// What workers do when idle; [`Wait::Adaptive`] by default.
    #[must_use]
    pub fn wait(mut self, wait: Wait) -> Self {
        self.0.wait = wait;
        self
    }

    /// What to do when an interface is set down; [`OnLinkDown::Wait`] by default, so
    /// that the engine goes on when it is up again.
    #[must_use]
    pub fn on_link_down(mut self, on_link_down: OnLinkDown) -> Self {
        self.0.on_link_down = on_link_down;
        self
    }

    /// Transmissions of an xsk that are to be [reported](crate::Outbox::send_tagged) at a
    /// time: see [`XskConfig::completions`](crate::XskConfig::completions). Twice as many as a ring has entries by default.
    #[must_use]
    pub fn completions(mut self, places: u32) -> Self {
        self.0.xsk.completions = Some(places);
        self
    }

    /// How long no frame in transmit on a queue may come back, while there are some,
    /// before the kernel is woken once more and then
    /// [`EventKind::TransmitStalled`](crate::EventKind::TransmitStalled) says so. Five
    /// seconds by default, as the kernel's own watchdog; `None` is for ever. Looked at
    /// about twenty times a second.
    #[must_use]
    pub fn transmit_watchdog(mut self, patience: Option<Duration>) -> Self {
        self.0.transmit_watchdog = patience;
        self
    }

    /// What to do where this kernel is known to panic; refuses by default.
    #[must_use]
    pub fn known_panics(mut self, known_panics: KnownPanics) -> Self {
        self.0.xsk.known_panics = known_panics;
        self
    }

    /// Receives frames for any MAC address while the engine runs.
    #[must_use]
    pub fn promiscuous(mut self) -> Self {
        self.0.promiscuous = true;
        self
    }

    /// Lets the application [pass](crate::Outbox::pass) frames to the kernel's stack, as if they
    /// had just arrived.
    ///
    /// The engine makes a veth pair for each interface, which goes with it, and with
    /// the process if that is killed. Its sending end is in a network namespace of its
    /// own; its receiving end is beside the interface, is called `wharf0` or the like,
    /// and has an alias that says whose it is. Each worker has an xsk more for each
    /// interface, and if the interface has zero copy, the UMEM is pinned once more. So
    /// this is off by default. It takes CAP_SYS_ADMIN, to make the namespace, and a kernel
    /// with `CONFIG_VETH`, `CONFIG_NET_SCH_INGRESS`, `CONFIG_NET_CLS_BPF` and
    /// `CONFIG_NET_ACT_MIRRED`; the engine does not start without. Nor does it where
    /// [known panics](Self::known_panics) stand against it.
    #[must_use]
    pub fn passing(mut self) -> Self {
        self.0.passing = true;
        self
    }

    /// Whether the kernel keeps ARP, neighbour discovery and DHCP, and on the
    /// host's own addresses SSH and established connections;
    /// [`KeepManagement::Auto`] by default, so that you cannot lock yourself
    /// out. Where the kernel keeps it, CAP_PERFMON is needed as well.
    #[must_use]
    pub fn keep_management(mut self, keep: KeepManagement) -> Self {
        self.0.keep_management = keep;
        self
    }

    /// Bytes of UMEM that this process may pin, all engines together, as far as this one
    /// is concerned: [`set_memory_limit`](crate::set_memory_limit) limits all of them.
    /// That it suffices for all workers is checked before anything is set up, and so are
    /// `RLIMIT_MEMLOCK` and the memory control groups.
    #[must_use]
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.0.umem.memory_limit = Some(bytes);
        self
    }

    /// How much packet memory each queue, and each of its xsks, may use; no more than its
    /// share of its worker's by default. [`Engine::set_limits`] changes it later.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.0.xsk.limits = limits;
        self
    }

    /// What becomes of frames, on every interface; by default all of them go to the
    /// application.
    #[must_use]
    pub fn rules(mut self, rules: RuleSet) -> Self {
        self.0.steering.rules = rules;
        self
    }

    /// What becomes of frames that rules, flows or the default redirect where no xsk
    /// is there to take them: while the engine starts and ends, and on queues that no
    /// worker drives, as with [`queues`](Self::queues). [`NoXsk::Pass`] by default: such
    /// frames go to the kernel's stack, as they do without the engine.
    #[must_use]
    pub fn no_xsk(mut self, no_xsk: NoXsk) -> Self {
        self.0.steering.no_xsk = no_xsk;
        self
    }

    /// The most exact flows there will be at a time, on every interface; none by
    /// default. See [`SteeringConfig::flow_capacity`](crate::SteeringConfig::flow_capacity).
    #[must_use]
    pub fn flow_capacity(mut self, flows: u32) -> Self {
        self.0.steering.flow_capacity = flows;
        self
    }

    /// Checks all that can be judged without a look at the machine.
    /// [`start`](Self::start) does so too.
    ///
    /// # Errors
    ///
    /// The first [`ConfigError`] found.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.0.validate()
    }

    /// Starts the engine: attaches the XDP program, starts the workers, binds
    /// their queues, and steers frames to them. `application` makes one
    /// application per worker, on the worker's thread. Where each is to have something
    /// of its own, [`start_with`](Self::start_with) moves it there.
    ///
    /// The interfaces are those of the calling thread's network namespace, and
    /// workers run in it. Blocks until all queues are bound: some milliseconds,
    /// or seconds where drivers reset the NIC.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the setup. Everything is undone then.
    pub fn start<A, F>(self, application: F) -> Result<Engine, Error>
    where
        A: Application,
        F: Fn(&WorkerContext) -> A + Send + Sync + 'static,
    {
        self.validate()?;
        let application = Arc::new(application);
        Engine::start(self.0, |_| {
            let application = Arc::clone(&application);
            move |context: &WorkerContext| (application(context), application)
        })
    }

    /// As [`start`](Self::start), with state that moves into each worker. `factory` is
    /// called with the number of each worker, from 0, on the calling thread; what it
    /// returns is called once on the worker's thread, and makes the application there.
    /// So the one may hand out what there is one of, and the application need not be
    /// [`Send`].
    ///
    /// ```no_run
    /// # use wharf::{Application, Batch, Outbox};
    /// use std::sync::mpsc::{Receiver, channel};
    ///
    /// struct Take(Receiver<Vec<u8>>);
    /// # impl Application for Take {
    /// #     fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) { batch.for_each(drop); }
    /// # }
    ///
    /// # fn main() -> Result<(), wharf::Error> {
    /// let mut senders = Vec::new();
    /// let engine = wharf::Engine::builder().interface("eth0").start_with(|_worker| {
    ///     let (sender, receiver) = channel();
    ///     senders.push(sender);
    ///     move |_context| Take(receiver)
    /// })?;
    /// # engine.stop().outcome
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the setup, [`Error::ApplicationPanicked`] among them if `factory`
    /// panics. Everything is undone then.
    pub fn start_with<A, F, M>(self, mut factory: F) -> Result<Engine, Error>
    where
        A: Application,
        F: FnMut(usize) -> M,
        M: FnOnce(&WorkerContext) -> A + Send + 'static,
    {
        self.validate()?;
        Engine::start(self.0, |worker| {
            let make = factory(worker);
            move |context: &WorkerContext| (make(context), ())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::UmemConfigError;

    fn pair() -> EngineBuilder {
        Engine::builder().interface("a").interface("b")
    }

    #[test]
    fn defaults_are_valid() {
        assert_eq!(pair().validate(), Ok(()));
    }

    #[test]
    fn builder_refuses_what_no_machine_can_do() {
        let same = Engine::builder().interface("a").interface("a");
        assert_eq!(same.validate(), Err(ConfigError::SameInterface("a".into())));
        assert_eq!(Engine::builder().validate(), Err(ConfigError::NoInterface));
        for (bad, error) in [
            (pair().queues(0), ConfigError::Zero { what: "queues" }),
            (pair().queues(65_537), ConfigError::TooManyQueues(65_537)),
            (
                pair().xsks_per_queue(0),
                ConfigError::Zero {
                    what: "xsks per queue",
                },
            ),
            (
                pair().xsks_per_queue(128),
                ConfigError::TooManyXsks {
                    queues: 2,
                    xsks: 128,
                    most: 255,
                },
            ),
            (
                pair().transmit_watchdog(Some(Duration::ZERO)),
                ConfigError::Zero {
                    what: "the transmit watchdog's time",
                },
            ),
            (pair().batch_size(0), ConfigError::Zero { what: "batch" }),
            (pair().frames(0), ConfigError::Umem(UmemConfigError::Empty)),
            (pair().cpus([]), ConfigError::Zero { what: "CPUs" }),
            (pair().cpus([1, 1]), ConfigError::SameCpu(1)),
            (
                pair().frames(127),
                ConfigError::TooFewFrames {
                    frames: 127,
                    queues: 2,
                    needed: 128,
                },
            ),
        ] {
            assert_eq!(bad.validate(), Err(error));
        }
    }
}

//! One end of a scenario: queue 0 of an interface, its program and its UMEM.

use wharf::{
    Amount, BindReport, Frame, Interface, KernelStatistics, Limits, NicQueue, QueueIndex,
    RingCapacity, Steering, SteeringConfig, TransmitError, Umem, UmemConfig, Xsk, XskConfig,
};

use super::{OwnProgram, Side, Track};
use crate::{SOON, wait_until};

/// What an end is made of.
#[derive(Clone, Debug)]
pub struct EndConfig {
    /// 1024 chunks of 4096 bytes.
    pub umem: UmemConfig,
    /// Rings of 512 entries, half of the chunks charged to it, the track's mode.
    pub queue: XskConfig,
    /// Everything goes to the xsk.
    pub steering: SteeringConfig,
}

impl EndConfig {
    /// The usual end of a track.
    ///
    /// # Panics
    ///
    /// Never.
    #[must_use]
    pub fn new(track: &Track) -> Self {
        let rings = RingCapacity::new(512).expect("a power of two");
        Self {
            umem: UmemConfig::new(1024),
            queue: XskConfig {
                mode: track.medium().mode(),
                limits: Limits {
                    chunks: Some(Amount::Frames(512)),
                    ..Limits::default()
                },
                ..XskConfig::new(rings)
            },
            steering: SteeringConfig::default(),
        }
    }
}

/// Queue 0 of an interface. Fields drop in the order that the docs ask for: the
/// program first.
#[derive(Debug)]
pub struct End<P = Steering> {
    /// The program: Wharf's, or the test's own.
    pub steering: P,
    /// The queue, for more xsks.
    pub nic_queue: NicQueue,
    /// The xsk.
    pub xsk: Xsk,
    /// The memory.
    pub umem: Umem,
    /// What binding returned.
    pub report: BindReport,
    headroom: u32,
}

/// What a case brought about at an end, which a plain stream does not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Provoked {
    /// Frames received by other xsks of the queue than the end's.
    pub elsewhere: u64,
    /// Entries on rings that failed a check.
    pub violations: u64,
}

/// Both ends of a track, as `change` makes them of the usual ones.
///
/// # Panics
///
/// As [`End::bind`].
#[must_use]
pub fn ends(track: &Track, change: impl Fn(Side, &mut EndConfig)) -> (End, End) {
    let bind = |side| {
        let mut config = EndConfig::new(track);
        change(side, &mut config);
        End::bind_with(track, side, &config)
    };
    (bind(Side::Near), bind(Side::Far))
}

/// A program that hands frames to the xsk, and counts those.
pub trait Redirects {
    /// Frames of queue 0 handed to its xsk so far.
    ///
    /// # Panics
    ///
    /// When its counters are not to be had.
    fn redirected(&self) -> u64;
}

impl Redirects for Steering {
    fn redirected(&self) -> u64 {
        self.counts(0).expect("there is a slot").redirected
    }
}

impl End {
    /// The usual end.
    ///
    /// # Panics
    ///
    /// When it cannot be had, or not in the track's mode.
    #[must_use]
    pub fn bind(track: &Track, side: Side) -> Self {
        Self::bind_with(track, side, &EndConfig::new(track))
    }

    /// An end of another kind.
    ///
    /// # Panics
    ///
    /// As [`bind`](Self::bind).
    #[must_use]
    pub fn bind_with(track: &Track, side: Side, config: &EndConfig) -> Self {
        let umem = Umem::new(&config.umem).expect("there is memory");
        Self::bind_to(track, side, config, umem)
    }

    /// An end that uses memory of another.
    ///
    /// # Panics
    ///
    /// As [`bind`](Self::bind).
    #[must_use]
    pub fn bind_to(track: &Track, side: Side, config: &EndConfig, umem: Umem) -> Self {
        let _inside = track.enter(side);
        let interface = Interface::by_name(track.interface(side)).expect("it exists");
        let attach = track.medium().attach();
        let mut steering =
            Steering::attach(&interface, attach, 1, &config.steering).expect("it attaches");
        let (nic_queue, xsk, report) = bind_queue(track, &umem, steering.interface(), config);
        steering.insert(&xsk).expect("there is a slot");
        Self {
            steering,
            nic_queue,
            xsk,
            umem,
            report,
            headroom: config.umem.headroom,
        }
    }
}

impl End<OwnProgram> {
    /// An end whose program is `program`, attached as the medium says, and not
    /// Wharf's. Memory and queue are the usual.
    ///
    /// # Panics
    ///
    /// As [`End::bind`].
    #[must_use]
    pub fn bind_own(track: &Track, side: Side, mut program: OwnProgram) -> Self {
        let _inside = track.enter(side);
        let config = EndConfig::new(track);
        let interface = Interface::by_name(track.interface(side)).expect("it exists");
        let umem = Umem::new(&config.umem).expect("there is memory");
        program.attach(interface.name(), track.medium().attach());
        let (nic_queue, xsk, report) = bind_queue(track, &umem, &interface, &config);
        program.insert(xsk.socket().expect("a bound xsk has a socket"));
        Self {
            steering: program,
            nic_queue,
            xsk,
            umem,
            report,
            headroom: config.umem.headroom,
        }
    }
}

fn bind_queue(
    track: &Track,
    umem: &Umem,
    interface: &Interface,
    config: &EndConfig,
) -> (NicQueue, Xsk, BindReport) {
    let index = QueueIndex::new(0).expect("small");
    let nic_queue = NicQueue::new(umem, interface, index);
    let (xsk, report) = nic_queue.bind(&config.queue).expect("it binds");
    assert_eq!(report.got, track.medium().copy_mode(), "{report:?}");
    (nic_queue, xsk, report)
}

impl<P: Redirects> End<P> {
    /// A free chunk, as soon as there is one.
    ///
    /// # Panics
    ///
    /// When none is for long.
    pub fn allocate(&mut self) -> Frame {
        let mut free = self.umem.allocate();
        if free.is_none() {
            wait_until("a chunk is free", SOON, || {
                self.xsk.wake().expect("the interface is up");
                self.xsk.recycle();
                free = self.umem.allocate();
                free.is_some()
            });
        }
        free.expect("waited for")
    }

    /// A frame of these bytes, as far from the start of its chunk as
    /// [`Umem::allocate`] puts it.
    ///
    /// # Panics
    ///
    /// When it does not fit a chunk.
    pub fn make(&mut self, bytes: &[u8]) -> Frame {
        let mut frame = self.allocate();
        let len = u32::try_from(bytes.len()).expect("a frame is short");
        let room = frame.grow_back(len).expect("a chunk holds the frame");
        room.copy_from_slice(bytes);
        frame
    }

    /// Gives the kernel a frame, as soon as there is room.
    ///
    /// # Panics
    ///
    /// When there is none for long, or the frame is refused.
    pub fn transmit(&mut self, frame: Frame) {
        let mut waiting = Some(frame);
        wait_until("the TX ring has room", SOON, || {
            let frame = waiting.take().expect("not sent yet");
            match self.xsk.transmit(frame) {
                Ok(()) => true,
                Err(TransmitError::RingFull(frame)) => {
                    waiting = Some(frame);
                    self.xsk.wake().expect("the interface is up");
                    self.xsk.recycle();
                    false
                }
                Err(error) => panic!("{error}"),
            }
        });
    }

    /// Where in its chunk a received frame begins: behind XDP's own headroom and
    /// the UMEM's.
    #[must_use]
    pub fn front(&self) -> u32 {
        256 + self.headroom
    }

    /// The kernel's counters of the socket.
    ///
    /// # Panics
    ///
    /// When the socket is not open.
    pub fn statistics(&mut self) -> KernelStatistics {
        let rx = self.xsk.rx();
        rx.kernel_statistics().expect("the socket is open")
    }

    /// Waits until all that was sent has been completed.
    ///
    /// # Panics
    ///
    /// When it has not for long.
    pub fn flush(&mut self) {
        wait_until("the kernel completes", SOON, || {
            self.xsk.wake().expect("the interface is up");
            self.xsk.recycle();
            self.xsk.tx().in_flight() == 0
        });
    }

    /// As [`flush`](Self::flush), though `lost` of the frames need not come back.
    ///
    /// # Panics
    ///
    /// When others have not for long.
    pub fn flush_or_stay(&mut self, lost: u32) {
        wait_until("the kernel completes", SOON, || {
            self.xsk.wake().expect("the interface is up");
            self.xsk.recycle();
            let mut tx = self.xsk.tx();
            tx.pending() == 0 && tx.in_flight() <= lost
        });
    }

    /// All that was sent has been completed, no chunk is missing or held, every
    /// frame that the program redirected is in a counter, and the kernel put no
    /// nonsense on a ring and saw none.
    ///
    /// # Panics
    ///
    /// When that is not so.
    #[track_caller]
    pub fn assert_settled(&mut self) {
        self.assert_settled_but(Provoked::default());
    }

    /// As [`assert_settled`](Self::assert_settled), but for what the case brought
    /// about, which there must be.
    ///
    /// # Panics
    ///
    /// When that is not so.
    #[track_caller]
    pub fn assert_settled_but(&mut self, provoked: Provoked) {
        self.flush();
        let kernel = self.statistics();
        let audit = self.umem.audit();
        let redirected = self.steering.redirected();
        let violations = self.xsk.violations();
        let (rx, tx) = self.xsk.split();
        let (received, sent) = (rx.counters(), tx.counters());

        assert!(audit.is_balanced(), "{audit:?}");
        let out = (audit.held(), audit.parts, audit.transmit, audit.quarantined);
        assert_eq!(out, (0, 0, 0, 0), "{audit:?}");
        assert_eq!(violations, provoked.violations, "{:?}", self.xsk);
        assert_eq!(kernel.tx_invalid_descs, 0, "{kernel:?}");
        assert_eq!(
            redirected,
            received.frames + provoked.elsewhere + kernel.rx_dropped + kernel.rx_ring_full,
            "frames are missing: {received:?}, {kernel:?}"
        );
        let (completed, lost) = (sent.completed, sent.dropped_by_kernel);
        assert_eq!((sent.frames, 0), (completed, lost), "{sent:?}");
    }
}

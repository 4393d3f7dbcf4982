//! The loops that are measured, each with the other side of its rings.
//!
//! What is counted is a function that is never inlined, so that it can be named
//! to valgrind. The loops stand beside each other in one program on purpose: a
//! receive or a transmit with a single call site is inlined there, which no real
//! program has, and costs a fifth less.

use std::hint::black_box;

use wharf::{
    Application, Batch, Checksums, ChunkSize, InterfaceId, Outbox, RingCapacity, SimulatedNic,
    SimulatedWorker, Umem, UmemConfig, Xsk, XskConfig,
};

pub(crate) const RING: u32 = 2048;
/// The batches that loops are counted with.
pub(crate) const BATCHES: [u32; 5] = [1, 8, 32, 64, 256];

const CHUNKS: u32 = 8192;
/// Bytes of a received frame, and of one that the application makes.
pub(crate) const LEN: u32 = 64;
/// Bytes of a chunk that is not aligned.
const UNALIGNED_CHUNK: u32 = 3000;

/// A loop and the other side of its rings.
pub(crate) trait Loop {
    /// The kernel's side: makes work for a batch. It is not measured.
    fn serve(&mut self, batch: u32);
    /// Our side: what is measured. Returns the number of frames handled.
    fn cycle(&mut self, batch: u32) -> u32;
}

/// A loop by its name.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// The function that is counted.
    pub(crate) function: &'static str,
    /// Whether it handles frames; otherwise a round is what is counted.
    pub(crate) has_frames: bool,
    /// Makes it, for batches of a size.
    pub(crate) make: fn(u32) -> Box<dyn Loop>,
}

impl Kind {
    /// The batch sizes it is counted with.
    pub(crate) fn batches(&self) -> impl Iterator<Item = u32> + use<> {
        let count = if self.has_frames { BATCHES.len() } else { 1 };
        BATCHES.into_iter().take(count)
    }

    pub(crate) const fn per_frame(
        name: &'static str,
        function: &'static str,
        make: fn(u32) -> Box<dyn Loop>,
    ) -> Self {
        Self {
            name,
            function,
            has_frames: true,
            make,
        }
    }
}

pub(crate) const OWNED: Kind = Kind::per_frame("owned", "owned_cycle", |_| {
    Box::new(OneXsk::new(Serve::Both, owned_cycle))
});

pub(crate) const FORWARD: Kind =
    Kind::per_frame("forward", "forward_cycle", |_| Box::new(TwoXsks::new()));

pub(crate) const OUTBOX: Kind = Kind::per_frame("outbox", "outbox_round", |batch| {
    Box::new(Forwarder::new(batch, outbox_round))
});

pub(crate) const DROPPED: Kind = Kind::per_frame("dropped", "dropped_cycle", |_| {
    Box::new(OneXsk::new(Serve::Receive, dropped_cycle))
});

pub(crate) const TOUCHED: Kind = Kind::per_frame("touched", "touched_cycle", |_| {
    Box::new(OneXsk::new(Serve::Both, touched_cycle))
});

pub(crate) const MADE: Kind = Kind::per_frame("made", "made_cycle", |_| {
    Box::new(OneXsk::new(Serve::Send, made_cycle))
});

pub(crate) const TAGGED: Kind = Kind::per_frame("tagged", "tagged_cycle", |_| {
    Box::new(OneXsk::new(Serve::Both, tagged_cycle))
});

pub(crate) const RETURNING: Kind = Kind::per_frame("returning", "returning_cycle", |_| {
    Box::new(Returning(OneXsk::new(Serve::Send, returning_cycle)))
});

pub(crate) const FINISHING: Kind = Kind::per_frame("finishing", "owned_cycle", |_| {
    Box::new(OneXsk::finishing(Serve::Both, owned_cycle))
});

pub(crate) const UNALIGNED: Kind = Kind::per_frame("unaligned", "owned_cycle", |_| {
    Box::new(OneXsk::unaligned(Serve::Both, owned_cycle))
});

pub(crate) const EMPTY: Kind = Kind {
    name: "empty",
    function: "empty_round",
    has_frames: false,
    make: |_| Box::new(Forwarder::new(0, empty_round)),
};

/// Receives, transmits, and recycles.
#[inline(never)]
fn owned_cycle(_: &Umem, xsk: &mut Xsk, batch: u32) -> u32 {
    xsk.recycle();
    let mut frames = 0;
    let (mut rx, mut tx) = xsk.split();
    for frame in rx.receive(batch) {
        frames += u32::from(tx.transmit(black_box(frame)).is_ok());
    }
    xsk.wake().expect("a simulated xsk has nothing to wake");
    frames
}

/// As [`owned_cycle`], with the frames' bytes changed.
#[inline(never)]
fn touched_cycle(_: &Umem, xsk: &mut Xsk, batch: u32) -> u32 {
    xsk.recycle();
    let mut frames = 0;
    let (mut rx, mut tx) = xsk.split();
    for mut frame in rx.receive(batch) {
        frame.swap_mac_addresses();
        frames += u32::from(tx.transmit(frame).is_ok());
    }
    xsk.wake().expect("a simulated xsk has nothing to wake");
    frames
}

/// Receives and drops.
#[inline(never)]
fn dropped_cycle(_: &Umem, xsk: &mut Xsk, batch: u32) -> u32 {
    xsk.recycle();
    let mut frames = 0;
    for frame in xsk.receive(batch) {
        drop(black_box(frame));
        frames += 1;
    }
    frames
}

/// Transmits frames that the application makes.
#[inline(never)]
fn made_cycle(umem: &Umem, xsk: &mut Xsk, batch: u32) -> u32 {
    xsk.recycle();
    let mut frames = 0;
    for _ in 0..batch {
        let mut frame = umem.allocate().expect("most chunks are free");
        frame.grow_back(LEN).expect("a chunk has room");
        frames += u32::from(xsk.transmit(black_box(frame)).is_ok());
    }
    xsk.wake().expect("a simulated xsk has nothing to wake");
    frames
}

/// As [`owned_cycle`], with a cookie reported for each frame.
#[inline(never)]
fn tagged_cycle(_: &Umem, xsk: &mut Xsk, batch: u32) -> u32 {
    xsk.recycle();
    for completion in xsk.completions() {
        black_box(completion.cookie);
    }
    let mut frames = 0;
    let (mut rx, mut tx) = xsk.split();
    for frame in rx.receive(batch) {
        let cookie = u64::from(frames);
        frames += u32::from(tx.transmit_tagged(black_box(frame), cookie).is_ok());
    }
    xsk.wake().expect("a simulated xsk has nothing to wake");
    frames
}

/// Sends again what comes back, and what is received, which is only the first batch.
#[inline(never)]
fn returning_cycle(_: &Umem, xsk: &mut Xsk, batch: u32) -> u32 {
    xsk.recycle();
    let mut frames = 0;
    let completions = xsk.completion_queue();
    for completion in completions.completions() {
        if let Some(frame) = completion.frame {
            frames += u32::from(xsk.transmit_returning(black_box(frame), 1).is_ok());
        }
    }
    if frames < batch {
        let (mut rx, mut tx) = xsk.split();
        for frame in rx.receive(batch - frames) {
            frames += u32::from(tx.transmit_returning(frame, 1).is_ok());
        }
    }
    xsk.wake().expect("a simulated xsk has nothing to wake");
    frames
}

/// From one xsk to the other, as a worker's round over two queues does it.
#[inline(never)]
fn forward_cycle(from: &mut Xsk, to: &mut Xsk, batch: u32) -> u32 {
    from.recycle();
    to.recycle();
    let mut frames = 0;
    for frame in from.receive(batch) {
        frames += u32::from(to.transmit(black_box(frame)).is_ok());
    }
    from.wake().expect("a simulated xsk has nothing to wake");
    to.wake().expect("a simulated xsk has nothing to wake");
    frames
}

/// From one xsk to the other, by an application.
#[inline(never)]
fn outbox_round(worker: &mut SimulatedWorker<Forward>) -> bool {
    worker.round()
}

/// The same round when no frame has come. The two would be one function if they
/// were the same code.
#[inline(never)]
fn empty_round(worker: &mut SimulatedWorker<Forward>) -> bool {
    black_box(worker.round())
}

/// What the kernel's side does for a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Serve {
    Receive,
    Send,
    Both,
}

/// The loops over one xsk.
struct OneXsk {
    xsk: Xsk,
    nic: SimulatedNic,
    umem: Umem,
    serve: Serve,
    cycle: fn(&Umem, &mut Xsk, u32) -> u32,
}

impl OneXsk {
    fn new(serve: Serve, cycle: fn(&Umem, &mut Xsk, u32) -> u32) -> Self {
        Self::on(UmemConfig::new(CHUNKS), Checksums::Leave, serve, cycle)
    }

    /// Looks at each frame whether its checksum is undone.
    fn finishing(serve: Serve, cycle: fn(&Umem, &mut Xsk, u32) -> u32) -> Self {
        Self::on(UmemConfig::new(CHUNKS), Checksums::Finish, serve, cycle)
    }

    fn unaligned(serve: Serve, cycle: fn(&Umem, &mut Xsk, u32) -> u32) -> Self {
        let mut config = UmemConfig::new(CHUNKS);
        config.chunk_size = ChunkSize::unaligned(UNALIGNED_CHUNK).expect("a size the kernel takes");
        Self::on(config, Checksums::Leave, serve, cycle)
    }

    fn on(
        umem: UmemConfig,
        checksums: Checksums,
        serve: Serve,
        cycle: fn(&Umem, &mut Xsk, u32) -> u32,
    ) -> Self {
        let umem = Umem::new(&umem).expect("memory for a UMEM");
        let config = XskConfig {
            checksums,
            ..config(0)
        };
        let (xsk, nic) = Xsk::simulated(&umem, &config).expect("memory for rings");
        Self {
            xsk,
            nic,
            umem,
            serve,
            cycle,
        }
    }
}

impl Loop for OneXsk {
    fn serve(&mut self, batch: u32) {
        for _ in 0..batch {
            if self.serve != Serve::Receive {
                self.nic.transmitted_blank();
            }
            if self.serve != Serve::Send {
                self.nic.deliver_blank(LEN);
            }
        }
    }

    fn cycle(&mut self, batch: u32) -> u32 {
        (self.cycle)(&self.umem, &mut self.xsk, batch)
    }
}

/// A loop whose frames come back, so that the NIC delivers a batch once.
struct Returning(OneXsk);

impl Loop for Returning {
    fn serve(&mut self, batch: u32) {
        self.0.serve(batch);
        if self.0.xsk.rx_counters().frames == 0 {
            for _ in 0..batch {
                self.0.nic.deliver_blank(LEN);
            }
        }
    }

    fn cycle(&mut self, batch: u32) -> u32 {
        self.0.cycle(batch)
    }
}

/// The loop over two xsks of a UMEM.
struct TwoXsks {
    from: Xsk,
    from_nic: SimulatedNic,
    to: Xsk,
    to_nic: SimulatedNic,
}

impl TwoXsks {
    fn new() -> Self {
        let umem = Umem::new(&UmemConfig::new(CHUNKS)).expect("memory for a UMEM");
        let (from, from_nic) = simulated(&umem, 0);
        let (to, to_nic) = simulated(&umem, 1);
        Self {
            from,
            from_nic,
            to,
            to_nic,
        }
    }
}

impl Loop for TwoXsks {
    fn serve(&mut self, batch: u32) {
        for _ in 0..batch {
            self.to_nic.transmitted_blank();
            self.from_nic.deliver_blank(LEN);
        }
    }

    fn cycle(&mut self, batch: u32) -> u32 {
        forward_cycle(&mut self.from, &mut self.to, batch)
    }
}

/// Sends what comes in on one interface out on the other.
struct Forward;

impl Application for Forward {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        let InterfaceId(from) = batch.interface();
        for frame in batch {
            out.send(frame, InterfaceId(1 - from));
        }
    }
}

/// The rounds of a worker over two xsks of a UMEM.
struct Forwarder {
    worker: SimulatedWorker<Forward>,
    nics: Vec<SimulatedNic>,
    /// The batch, or 0 for rounds in which nothing happens.
    frames: u32,
    /// Frames that the worker is known to have sent, when it sent all.
    sent: u32,
    round: fn(&mut SimulatedWorker<Forward>) -> bool,
}

impl Forwarder {
    fn new(frames: u32, round: fn(&mut SimulatedWorker<Forward>) -> bool) -> Self {
        let umem = Umem::new(&UmemConfig::new(CHUNKS)).expect("memory for a UMEM");
        let (worker, nics) = SimulatedWorker::new(&umem, &[config(0), config(1)], Forward)
            .expect("memory for rings");
        Self {
            worker: worker.batch_size(frames),
            nics,
            frames,
            sent: 0,
            round,
        }
    }
}

impl Loop for Forwarder {
    fn serve(&mut self, _: u32) {
        for _ in 0..self.sent {
            let sent = self.nics[1].transmitted_blank();
            assert!(sent.is_some(), "the worker sends all it gets");
        }
        for _ in 0..self.frames {
            self.nics[0].deliver_blank(LEN);
        }
        self.sent = self.frames;
    }

    fn cycle(&mut self, _: u32) -> u32 {
        let progress = (self.round)(&mut self.worker);
        assert_eq!(
            progress,
            self.frames > 0,
            "a round with frames is none without"
        );
        self.frames
    }
}

fn config(interface: usize) -> XskConfig {
    let mut config = XskConfig::new(RingCapacity::new(RING).expect("a power of two"));
    config.interface = InterfaceId(interface);
    config
}

fn simulated(umem: &Umem, interface: usize) -> (Xsk, SimulatedNic) {
    Xsk::simulated(umem, &config(interface)).expect("memory for rings")
}

//! A queue of an interface with its xsk: where frames cross the kernel boundary.
//!
//! A [`Xsk`] has two halves, so that frames from the receiving half's
//! [`Batch`] can go to the sending half of the same queue. Both belong to the
//! thread of their [`Umem`]. Closing a half writes off the chunks that
//! the kernel still has of it: they are not used again until the UMEM goes,
//! or until the kernel gives them back to another xsk of the queue.
//!
//! A queue of the interface may have several xsks, each a [`Xsk`] here: see
//! [`Xsk::share`].

mod assembly;
mod bind;
mod bind_report;
mod chunks;
mod config;
mod error;
#[cfg(feature = "fault-injection")]
mod fault_injection;
mod fit;
mod group;
pub(crate) mod panic_gate;
pub(crate) mod ring;
mod rings;
mod rx;
mod share;
mod simulated;
mod socket;
mod tx;
mod wake;

#[cfg(test)]
mod chunks_tests;
#[cfg(test)]
mod layouts;
#[cfg(test)]
mod shared_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unaligned_tests;
#[cfg(test)]
mod wrap_tests;

use std::os::fd::OwnedFd;
use std::rc::Rc;

pub use bind_report::BindReport;
pub use config::{Mode, MultiBuffer, XskConfig};
pub use error::XskError;
#[cfg(feature = "fault-injection")]
pub use fault_injection::{LeakedMapping, TxDescriptor};
pub(crate) use fit::needs_several_chunks;
pub(crate) use rings::{Rings, remap_completion, remap_fill};
pub use rx::{Batch, RxCounters, XskRx};
pub use simulated::SimulatedNic;
pub(crate) use socket::check_kernel;
pub use tx::{TransmitError, TxCounters, XskTx};
pub use wake::WakeError;

use crate::kernel::CopyMode;
use crate::kernel::QueueIndex;
use crate::kernel::XskIndex;
use crate::memory::ledger::{QueueId, XskId, XskRecords};
use crate::memory::{self, Umem};
use crate::xsk::ring::{RxRing, TxRing};
use crate::{Error, Frame};
use assembly::Assembly;
use chunks::MOST_CHUNKS_COPY;
use group::{CompletionSide, FillSide};
use share::Origin;

/// A queue of an interface and the xsk bound to it, or one of several.
///
/// ```no_run
/// use wharf::{Attach, Interface, Xsk, XskConfig, QueueIndex, RingCapacity};
/// use wharf::{Steering, SteeringConfig, Umem, UmemConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let interface = Interface::by_name("eth0")?;
/// let mut steering = Steering::attach(&interface, Attach::Auto, 1, &SteeringConfig::default())?;
/// let umem = Umem::new(&UmemConfig::new(4096))?;
/// let config = XskConfig::new(RingCapacity::new(1024)?);
/// let (mut queue, report) = Xsk::bind(&umem, &interface, QueueIndex::new(0)?, &config)?;
/// println!("got {}", report.got.label());
/// steering.insert(0, queue.socket().expect("a bound queue has a socket"))?;
///
/// loop {
///     let (rx, tx) = queue.halves();
///     for mut frame in rx.receive(64) {
///         frame.swap_mac_addresses();
///         // Dropped here, back into the pool, if the ring is full.
///         let _ = tx.transmit(frame);
///     }
///     queue.recycle();
///     queue.wake()?;
/// }
/// # }
/// ```
///
/// # An XDP program of your own
///
/// The queue gets what an XDP program redirects to its [`socket`](Self::socket).
/// [`Steering`](crate::Steering) brings a program; yours does as well, loaded and
/// attached by any library, with the socket in its XSKMAP. With aya:
///
/// ```no_run
/// use aya::{Ebpf, maps::XskMap, programs::Xdp, programs::XdpMode};
/// # use wharf::{Interface, Xsk, XskConfig, QueueIndex, RingCapacity, Umem, UmemConfig};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let umem = Umem::new(&UmemConfig::new(4096))?;
/// # let config = XskConfig::new(RingCapacity::new(1024)?);
///
/// let mut ebpf = Ebpf::load_file("mine.bpf.o")?;
/// let program: &mut Xdp = ebpf.program_mut("mine").ok_or("it is in there")?.try_into()?;
/// program.load()?;
/// program.attach("eth0", XdpMode::Driver)?;
/// let interface = Interface::by_name("eth0")?;
/// let (queue, _) = Xsk::bind(&umem, &interface, QueueIndex::new(0)?, &config)?;
/// let mut xsks = XskMap::try_from(ebpf.map_mut("xsks").ok_or("it is in there")?)?;
/// xsks.set(0, queue.socket().expect("a bound queue has a socket"), 0)?;
/// # Ok(())
/// # }
/// ```
///
/// - **In this order**: attach, which resets the queues of many NICs; bind; put the
///   socket into its slot, as frames for one that is not bound are lost. At
///   the end drop the program, then the queue, then the UMEM. A closed socket
///   leaves its slot by itself.
/// - **Redirect by `rx_queue_index`**: a socket takes the frames of the queue it is
///   bound to. Give `bpf_redirect_map` the flag `XDP_PASS`, its verdict for an
///   empty slot (Linux 5.3); without, frames are lost before and after.
/// - **Frames in several chunks** come through a program in the section `xdp.frags`
///   (Linux 5.18); with another one, native mode limits the MTU.
/// - **Name the mode**: the kernel's default is generic wherever native fails.
/// - **Accounting**: [`RxCounters::frames`] is what came, and
///   [`KernelStatistics`](crate::KernelStatistics) what the socket refused. A frame
///   redirected to a socket of another queue is in no counter, so let the
///   program count its redirects if the sum matters.
/// - **What it knows of a frame** it can hand on in front of it:
///   [`Frame::metadata`].
///
/// `engine/examples/own_program.rs` is the whole of it. An
/// [`Engine`](crate::Engine) always brings its own program.
pub struct Xsk {
    rx: XskRx,
    tx: XskTx,
    /// What further xsks of the queue start from; `None` for a simulated one.
    origin: Option<Rc<Origin>>,
}

/// What a queue is made of: the xsk's own rings and name, and what it shares.
struct XskParts {
    seat: XskRecords,
    xsk: XskIndex,
    rx: RxRing,
    tx: TxRing,
    fill: Rc<FillSide>,
    completion: Rc<CompletionSide>,
}

impl Xsk {
    /// A queue on rings in plain memory, and the other side of them: a NIC and
    /// kernel to test code that uses queues against, without privileges.
    ///
    /// # Errors
    ///
    /// [`Error::Umem`] when there is no memory for the rings, and [`Error::Xsk`]
    /// when 255 xsks have shared the UMEM.
    pub fn simulated(umem: &Umem, config: &XskConfig) -> Result<(Self, SimulatedNic), Error> {
        let member = umem.shared().join().ok_or(XskError::TooManyQueues)?;
        let (rings, nic) = simulated::connect(umem, member, config)?;
        let queue = QueueIndex::new(0).expect("zero is a queue");
        let mut queue = Self::assemble(umem.shared(), member, rings, queue, config);
        queue.rx.top_up();
        if config.multi_buffer == MultiBuffer::Always {
            queue.tx.most_chunks = MOST_CHUNKS_COPY;
        }
        Ok((queue, nic))
    }

    /// The first xsk of a queue.
    fn assemble(
        umem: &Rc<memory::UmemState>,
        member: XskId,
        rings: Rings,
        queue: QueueIndex,
        config: &XskConfig,
    ) -> Self {
        let group = QueueId::of_first(member);
        let limit = config.chunk_limit.unwrap_or(u32::MAX);
        let floor = config.fill_floor.min(limit / 2);
        let parts = XskParts {
            seat: XskRecords::new(group, member),
            xsk: XskIndex(0),
            rx: rings.rx,
            tx: rings.tx,
            fill: Rc::new(FillSide::new(umem, group, rings.fill, limit, floor)),
            completion: Rc::new(CompletionSide::new(umem, group, rings.completion)),
        };
        Self::join(umem, parts, queue, config)
    }

    /// An xsk among those of its queue.
    fn join(
        umem: &Rc<memory::UmemState>,
        parts: XskParts,
        queue: QueueIndex,
        config: &XskConfig,
    ) -> Self {
        parts.fill.join(parts.xsk);
        let returned = parts.completion.join(parts.xsk, parts.seat.member);
        Self {
            rx: XskRx {
                umem: Rc::clone(umem),
                seat: parts.seat,
                fill: parts.fill,
                ring: parts.rx,
                socket: None,
                interface: config.interface,
                queue,
                xsk: parts.xsk,
                geometry: umem.geometry,
                returned: 0,
                uncounted: 0,
                assembly: Assembly::Idle,
                mode: CopyMode::Copy,
                counters: RxCounters::default(),
            },
            tx: XskTx {
                umem: Rc::clone(umem),
                seat: parts.seat,
                ring: parts.tx,
                completion: parts.completion,
                returned,
                socket: None,
                interface: config.interface,
                xsk: parts.xsk,
                mode: CopyMode::Copy,
                sends: true,
                most_chunks: 1,
                geometry: umem.geometry,
                given: 0,
                given_parts: 0,
                counters: TxCounters::default(),
            },
            origin: None,
        }
    }

    fn set_socket(&mut self, socket: &Rc<OwnedFd>, mode: CopyMode) {
        self.rx.fill.set_socket(self.rx.xsk, socket);
        self.rx.socket = Some(Rc::clone(socket));
        self.rx.mode = mode;
        self.tx.completion.set_socket(self.tx.xsk, socket);
        self.tx.socket = Some(Rc::clone(socket));
        self.tx.mode = mode;
    }

    /// See [`XskRx::receive`].
    pub fn receive(&mut self, max: u32) -> Batch<'_> {
        self.rx.receive(max)
    }

    /// See [`XskTx::transmit`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn transmit(&mut self, frame: Frame) -> Result<(), TransmitError> {
        self.tx.transmit(frame)
    }

    /// Takes back the chunks that the kernel and other threads are done with,
    /// and lends the kernel new ones to receive into.
    pub fn recycle(&mut self) {
        self.tx.complete();
        self.rx.top_up();
    }

    /// See [`XskTx::publish`].
    pub fn publish(&mut self) {
        self.tx.publish();
    }

    /// See [`XskTx::wake`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn wake(&mut self) -> Result<(), WakeError> {
        self.tx.wake()
    }

    /// Both halves at once, to send from inside a batch.
    pub fn halves(&mut self) -> (&mut XskRx, &mut XskTx) {
        (&mut self.rx, &mut self.tx)
    }

    /// Both halves for good.
    #[must_use]
    pub fn into_halves(self) -> (XskRx, XskTx) {
        (self.rx, self.tx)
    }

    /// Ring indices and entries from the kernel that failed a check.
    #[must_use]
    pub fn violations(&self) -> u64 {
        violations(&self.rx, &self.tx)
    }

    /// See [`XskRx::socket`].
    ///
    /// It also goes into the XSKMAP of an [XDP program of your
    /// own](Self#an-xdp-program-of-your-own).
    #[must_use]
    pub fn socket(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.rx.socket()
    }
}

/// Ring indices and entries from the kernel that failed a check.
pub(crate) fn violations(rx: &XskRx, tx: &XskTx) -> u64 {
    rx.faults() + rx.counters.invalid + tx.faults() + tx.counters.invalid
}

impl std::fmt::Debug for Xsk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Xsk")
            .field("rx", &self.rx)
            .field("tx", &self.tx)
            .finish_non_exhaustive()
    }
}

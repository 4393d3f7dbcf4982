//! An xsk: a receiving and a sending half on a NIC queue.

use std::os::fd::BorrowedFd;
use std::rc::Rc;

use super::batch::Batch;
use super::completions::{CompletionQueue, Completions};
use super::config::XskConfig;
use super::counters::{RxCounters, TxCounters};
use super::error::XskErrorKind;
use super::limits::{XskLimits, XskUsage};
use super::queue_state::Membership;
use super::ring::{RxRing, TxRing};
use super::rx::{RxHalf, XskRx};
use super::send_error::{TransmitError, WakeError};
use super::tx::{SendLimits, TxHalf, XskTx};
use crate::kernel::{CopyMode, InterfaceId, InterfaceIndex, QueueIndex, XskIndex};
#[cfg(test)]
use crate::memory::ledger::XskId;
use crate::memory::{Frame, Limits, LimitsError};

/// An AF_XDP socket on a NIC queue, or one of several there: it receives frames and
/// sends them. [`NicQueue::bind`](crate::NicQueue::bind) and
/// [`NicQueue::share`](crate::NicQueue::share) make one, whole.
///
/// Its two halves are borrowed as views, [`rx`](Self::rx), [`tx`](Self::tx) or both
/// at once, [`split`](Self::split), so that frames from a batch can be sent on the
/// same xsk. They belong to the thread of their [`Umem`](crate::Umem). Dropping the xsk writes
/// off the chunks that the kernel still has of it: they are not used again until
/// the UMEM goes, or until the kernel returns them to another xsk of the queue.
///
/// ```no_run
/// use wharf::{Attach, Interface, NicQueue, QueueIndex, RingCapacity, Steering};
/// use wharf::{SteeringConfig, Umem, UmemConfig, XskConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let interface = Interface::by_name("eth0")?;
/// let mut steering = Steering::attach(&interface, Attach::Auto, 1, &SteeringConfig::default())?;
/// let umem = Umem::new(&UmemConfig::new(4096))?;
/// let config = XskConfig::new(RingCapacity::new(1024)?);
/// let queue = NicQueue::new(&umem, &interface, QueueIndex::new(0)?);
/// let (mut xsk, report) = queue.bind(&config)?;
/// println!("got {}", report.got.label());
/// steering.insert(&xsk)?;
///
/// loop {
///     let (mut rx, mut tx) = xsk.split();
///     for mut frame in rx.receive(64) {
///         frame.swap_mac_addresses();
///         // Dropped here, back into the pool, if the ring is full.
///         let _ = tx.transmit(frame);
///     }
///     xsk.recycle();
///     xsk.wake()?;
/// }
/// # }
/// ```
///
/// # An XDP program of your own
///
/// The xsk gets what an XDP program redirects to its [`socket`](Self::socket).
/// [`Steering`](crate::Steering) brings a program; yours does as well, loaded and
/// attached by any library, with the socket in its XSKMAP. With aya:
///
/// ```no_run
/// use aya::{Ebpf, maps::XskMap, programs::Xdp, programs::XdpMode};
/// # use wharf::{Interface, NicQueue, QueueIndex, RingCapacity, Umem, UmemConfig, XskConfig};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let umem = Umem::new(&UmemConfig::new(4096))?;
/// # let config = XskConfig::new(RingCapacity::new(1024)?);
///
/// let mut ebpf = Ebpf::load_file("mine.bpf.o")?;
/// let program: &mut Xdp = ebpf.program_mut("mine").ok_or("it is in there")?.try_into()?;
/// program.load()?;
/// program.attach("eth0", XdpMode::Driver)?;
/// let interface = Interface::by_name("eth0")?;
/// let (xsk, _) = NicQueue::new(&umem, &interface, QueueIndex::new(0)?).bind(&config)?;
/// let mut xsks = XskMap::try_from(ebpf.map_mut("xsks").ok_or("it is in there")?)?;
/// xsks.set(0, xsk.socket().expect("a bound xsk has a socket"), 0)?;
/// # Ok(())
/// # }
/// ```
///
/// - **In this order**: attach, which resets the queues of many NICs; bind; put the
///   socket into its slot, as frames for one that is not bound are lost. At
///   the end drop the program, then the xsk, then the UMEM. A closed socket
///   leaves its slot by itself.
/// - **Redirect by `rx_queue_index`**: a socket takes the frames of the queue it is
///   bound to. Pass `bpf_redirect_map` the flag `XDP_PASS`, its verdict for an
///   empty slot (Linux 5.3); without, frames are lost before and after.
/// - **Frames in several chunks** come through a program in the section `xdp.frags`
///   (Linux 5.18); with another one, native mode limits the MTU.
/// - **Name the mode**: the kernel's default is generic wherever native fails.
/// - **Accounting**: [`RxCounters::frames`] is what came, and
///   [`KernelStatistics`](crate::KernelStatistics) what the socket refused. A frame
///   redirected to a socket of another queue is in no counter, so let the
///   program count its redirects if the sum matters.
/// - **What it knows of a frame** it can write in front of it:
///   [`Frame::metadata`].
///
/// `engine/examples/own_program.rs` is the whole of it. An
/// [`Engine`](crate::Engine) always brings its own program.
///
/// # Exchanging
///
/// An xsk is one value: exchanging two with [`std::mem::swap`] exchanges which
/// variable stands for which, and so does exchanging two views. There is no way to
/// part the halves of an xsk:
///
/// ```compile_fail,E0308
/// # use wharf::{RingCapacity, Umem, UmemConfig, Xsk, XskConfig};
/// # let umem = Umem::new(&UmemConfig::new(64)).unwrap();
/// # let config = XskConfig::new(RingCapacity::new(64).unwrap());
/// # let (mut a, _) = Xsk::simulated(&umem, &config).unwrap();
/// # let (mut b, _) = Xsk::simulated(&umem, &config).unwrap();
/// std::mem::swap(&mut a.rx(), &mut b.tx());
/// ```
///
/// A half is borrowed once at a time, and not beyond its xsk:
///
/// ```compile_fail,E0499
/// # fn twice(xsk: &mut wharf::Xsk) {
/// let (mut first, mut second) = (xsk.tx(), xsk.tx());
/// std::mem::swap(&mut first, &mut second);
/// # }
/// ```
///
/// ```compile_fail,E0505
/// # fn beyond(mut xsk: wharf::Xsk) {
/// let mut tx = xsk.tx();
/// drop(xsk);
/// tx.publish();
/// # }
/// ```
///
/// ```compile_fail,E0499
/// # fn two_batches(xsk: &mut wharf::Xsk) {
/// let batch = xsk.receive(64);
/// let another = xsk.receive(64);
/// drop(batch);
/// # }
/// ```
pub struct Xsk {
    rx: RxHalf,
    tx: TxHalf,
    bound_to: Option<InterfaceIndex>,
}

/// What an xsk is made with.
pub(super) struct XskParts {
    pub(super) member: Rc<Membership>,
    pub(super) rx: RxRing,
    pub(super) tx: TxRing,
    /// The interface in the socket's network namespace. None for a simulated xsk.
    pub(super) bound_to: Option<InterfaceIndex>,
    pub(super) queue: QueueIndex,
    pub(super) mode: CopyMode,
    pub(super) limits: SendLimits,
}

impl Xsk {
    pub(super) fn new(parts: XskParts, config: &XskConfig) -> Result<Self, XskErrorKind> {
        let XskParts {
            member,
            rx,
            tx,
            bound_to,
            queue,
            mode,
            limits,
        } = parts;
        let interface = config.interface;
        let own = member.queue().in_chunks(&config.limits);
        let own = own.map_err(XskErrorKind::Limits)?;
        member.set_own_limits(&own);
        let mut tx = TxHalf::new(&member, tx, interface, mode, limits);
        tx.limit_in_transmit(own.in_transmit);
        Ok(Self {
            rx: RxHalf::new(&member, rx, (interface, queue), mode, config.checksums),
            tx,
            bound_to,
        })
    }

    /// The receiving half.
    pub fn rx(&mut self) -> XskRx<'_> {
        XskRx::new(&mut self.rx)
    }

    /// The sending half.
    pub fn tx(&mut self) -> XskTx<'_> {
        XskTx::new(&mut self.tx)
    }

    /// Both halves at once, to send from inside a batch.
    pub fn split(&mut self) -> (XskRx<'_>, XskTx<'_>) {
        (XskRx::new(&mut self.rx), XskTx::new(&mut self.tx))
    }

    /// Both halves for good, for whoever keeps them apart: a worker.
    pub(crate) fn into_halves(self) -> (RxHalf, TxHalf) {
        (self.rx, self.tx)
    }

    /// See [`XskRx::receive`].
    #[inline]
    pub fn receive(&mut self, max: u32) -> Batch<'_> {
        self.rx.receive(max)
    }

    /// See [`XskTx::transmit`].
    ///
    /// # Errors
    ///
    /// As there.
    #[inline(always)]
    pub fn transmit(&mut self, frame: Frame) -> Result<(), TransmitError> {
        self.tx.transmit(frame)
    }

    /// See [`XskTx::transmit_tagged`].
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn transmit_tagged(&mut self, frame: Frame, cookie: u64) -> Result<(), TransmitError> {
        self.tx.transmit_tagged(frame, cookie)
    }

    /// See [`XskTx::transmit_returning`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn transmit_returning(&mut self, frame: Frame, cookie: u64) -> Result<(), TransmitError> {
        self.tx.transmit_returning(frame, cookie)
    }

    /// See [`XskTx::completions`].
    #[must_use]
    #[inline]
    pub fn completions(&self) -> Completions<'_> {
        Completions::new(self.tx.completions())
    }

    /// See [`XskTx::completion_queue`].
    #[must_use]
    pub fn completion_queue(&self) -> CompletionQueue {
        self.tx.completion_queue()
    }

    /// See [`XskTx::outstanding`].
    #[must_use]
    pub fn outstanding(&self) -> u32 {
        self.tx.outstanding()
    }

    /// Takes back the chunks that the kernel and other threads are done with,
    /// and posts new ones for the kernel to receive into.
    #[inline]
    pub fn recycle(&mut self) {
        self.tx.complete_and_post();
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
    #[inline]
    pub fn wake(&mut self) -> Result<(), WakeError> {
        self.tx.wake()
    }

    /// Changes the limits. `chunks` and `floor` are those of the queue, whichever of its
    /// xsks sets them; the others are this xsk's. What is beyond a lower limit already
    /// comes back as frames do. No system call.
    ///
    /// # Errors
    ///
    /// [`LimitsError`] if they contradict each other, or the UMEM and the other queues
    /// leave too little for them. Nothing has changed then.
    pub fn set_limits(&mut self, limits: &Limits) -> Result<(), LimitsError> {
        let (rx, tx) = (&mut self.rx, &mut self.tx);
        rx.set_limits(limits, tx)
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> XskLimits {
        self.rx.limits(&self.tx)
    }

    /// What is used of the [limits](Self::limits).
    #[must_use]
    pub fn usage(&self) -> XskUsage {
        self.rx.usage(&self.tx)
    }

    /// Frames handed to the kernel that have not come back.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.tx.in_flight()
    }

    /// What the receiving half counted so far.
    #[must_use]
    pub fn rx_counters(&self) -> RxCounters {
        self.rx.counters()
    }

    /// What the sending half counted so far.
    #[must_use]
    pub fn tx_counters(&self) -> TxCounters {
        self.tx.counters()
    }

    /// Ring indices and entries from the kernel that failed a check.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.rx.violations() + self.tx.violations()
    }

    /// The interface, by the caller's name for it.
    #[must_use]
    pub fn interface(&self) -> InterfaceId {
        self.rx.interface()
    }

    /// The kernel's number for the interface it is bound to. None for a simulated xsk.
    pub(crate) fn bound_to(&self) -> Option<InterfaceIndex> {
        self.bound_to
    }

    /// The index of the queue.
    #[must_use]
    pub fn queue(&self) -> QueueIndex {
        self.rx.queue()
    }

    /// Which of the queue's xsks it is.
    #[must_use]
    pub fn index(&self) -> XskIndex {
        self.rx.xsk()
    }

    /// The socket, to wait for frames on. `None` for a simulated xsk.
    ///
    /// Waiting on it with `poll(2)` in copy mode also sends what is in the TX
    /// ring, and swallows errors that report lost frames: [wake](Self::wake) the
    /// kernel until nothing is pending before.
    ///
    /// It also goes into the XSKMAP of an [XDP program of your
    /// own](Self#an-xdp-program-of-your-own).
    #[must_use]
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.rx.socket()
    }

    /// Its number in the ledger.
    #[cfg(test)]
    pub(super) fn id(&self) -> XskId {
        self.tx.member.records().xsk
    }

    /// As if so many frames had been received, sent and completed before.
    #[cfg(test)]
    pub(super) fn count_as_forwarded(&mut self, frames: u64) {
        self.rx.receiving.count_as_received(frames);
        self.tx.sent += frames;
        let xsk = self.tx.member.records().xsk;
        (self.tx.transmitter.umem().ledger).count_as_completed(xsk, frames);
        self.tx.member.queue().count_as_posted_and_returned(frames);
    }

    /// Chunks of its queue that are posted and have not come back.
    #[cfg(test)]
    pub(super) fn with_kernel(&self) -> u64 {
        self.tx.member.queue().with_kernel()
    }
}

impl std::fmt::Debug for Xsk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Xsk")
            .field("rx", &self.rx)
            .field("tx", &self.tx)
            .finish_non_exhaustive()
    }
}

//! A queue of an interface with its xsk: where frames cross the kernel boundary.
//!
//! A [`Queue`] has two halves, so that frames from the receiving half's
//! [`Batch`] can go to the sending half of the same queue. Both belong to the
//! thread of their [`Umem`]. Closing a half writes off the chunks that
//! the kernel still has of it: they are not used again until the UMEM goes.

mod rx;
mod simulated;
mod tx;

#[cfg(test)]
mod tests;

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub use rx::{Batch, QueueRx, RxCounters};
pub use simulated::SimulatedNic;
pub use tx::{QueueTx, TransmitError, TxCounters, WakeError};

use crate::bind_report::{BindReport, CopyMode};
use crate::config::{Mode, QueueIndex, RingCapacity};
use crate::interface::Interface;
use crate::interface_id::InterfaceId;
use crate::umem::ledger::{Member, Owner};
use crate::umem::{self, Umem};
use crate::xsk::{BindFailure, FRAME_OVERHEAD, Rings, Xsk, XskError};
use crate::{Error, Frame};

/// How a queue is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueConfig {
    /// Entries of each of the four rings.
    pub ring_size: RingCapacity,
    /// Zero copy or copy. Queues that share a UMEM share the mode of the first.
    pub mode: Mode,
    /// Chunks that may be charged to the queue: lent to the kernel, held by the
    /// application, in transmit. `None` is no limit but the UMEM.
    pub chunk_limit: Option<u32>,
    /// Chunks that stay with the kernel to receive into, whatever the
    /// application holds.
    pub fill_floor: u32,
    /// How long to wait for a queue that is busy, or for locked memory: a socket
    /// that closes holds its queue and its memory for some 50 ms.
    pub bind_patience: Duration,
    /// The caller's name for the interface, which batches carry.
    pub interface: InterfaceId,
}

impl QueueConfig {
    /// Rings of `ring_size`, mode [`Mode::Auto`], no limit, a floor of an eighth
    /// of the ring, three seconds of patience.
    #[must_use]
    pub fn new(ring_size: RingCapacity) -> Self {
        Self {
            ring_size,
            mode: Mode::Auto,
            chunk_limit: None,
            fill_floor: ring_size.get() / 8,
            bind_patience: Duration::from_secs(3),
            interface: InterfaceId(0),
        }
    }
}

/// A queue of an interface and the xsk bound to it.
///
/// ```no_run
/// use wharf::{Interface, Queue, QueueConfig, QueueIndex, RingCapacity, Steering, Attach};
/// use wharf::{Umem, UmemConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let interface = Interface::by_name("eth0")?;
/// let mut steering = Steering::attach(&interface, Attach::Auto, 1, &SteeringConfig::default())?;
/// let umem = Umem::new(&UmemConfig::new(4096))?;
/// let config = QueueConfig::new(RingCapacity::new(1024)?);
/// let (mut queue, report) = Queue::bind(&umem, &interface, QueueIndex::new(0)?, &config)?;
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
#[derive(Debug)]
pub struct Queue {
    rx: QueueRx,
    tx: QueueTx,
}

impl Queue {
    /// Binds an xsk to a queue of an interface, its fill ring filled.
    ///
    /// The first queue of a UMEM registers it with the kernel, which pins the
    /// memory; the others share the registration and the mode. Blocks for up to
    /// [`QueueConfig::bind_patience`] while the queue is busy.
    ///
    /// Attach the XDP program first, and drop the queue after it is detached:
    /// many drivers reset the NIC when programs come and go.
    ///
    /// # Errors
    ///
    /// [`Error::Interface`] when the interface cannot be looked at,
    /// [`Error::Xsk`] when it is down, has no such queue, has too large an MTU,
    /// or the kernel refuses.
    pub fn bind(
        umem: &Umem,
        interface: &Interface,
        queue: QueueIndex,
        config: &QueueConfig,
    ) -> Result<(Self, BindReport), Error> {
        let sends = check(interface, queue, umem)?;
        let bind = |mode| Self::bind_in(umem, interface, queue, config, mode);
        let shares = umem.shared().registrant().is_some();
        let (mut bound, mut report) = match config.mode {
            Mode::ZeroCopy => bind(CopyMode::ZeroCopy)?,
            Mode::Copy => bind(CopyMode::Copy)?,
            Mode::Auto => match bind(CopyMode::ZeroCopy) {
                Err(XskError::NoZeroCopy { reason, .. }) if !shares => {
                    let (bound, mut report) = bind(CopyMode::Copy)?;
                    report.fallback = Some(reason);
                    (bound, report)
                }
                bound => bound?,
            },
        };
        bound.tx.sends = sends;
        match (config.mode, report.got) {
            (Mode::Auto, CopyMode::Copy) if shares => {
                report.fallback = Some("it shares a UMEM with a queue in copy mode".to_owned());
            }
            (Mode::ZeroCopy, CopyMode::Copy) | (Mode::Copy, CopyMode::ZeroCopy) => {
                return Err(XskError::SharedMode {
                    interface: report.interface,
                    queue,
                    got: report.got,
                }
                .into());
            }
            _ => {}
        }
        Ok((bound, report))
    }

    fn bind_in(
        umem: &Umem,
        interface: &Interface,
        queue: QueueIndex,
        config: &QueueConfig,
        mode: CopyMode,
    ) -> Result<(Self, BindReport), XskError> {
        let umem = umem.shared();
        let deadline = Instant::now() + config.bind_patience;
        let (xsk, rings) = Xsk::open(umem, config.ring_size, deadline)?;
        let (tx_budget, send_buffer_bytes) = (xsk.tx_budget, xsk.send_buffer_bytes);
        let member = umem.join().ok_or(XskError::TooManyQueues)?;
        let mut bound = Self::assemble(umem, member, rings, queue, config);
        // Drivers take the fill ring as it is at the bind: i40e and ice may
        // never come back for more.
        bound.rx.top_up();
        match xsk.bind(umem, interface, queue, mode, deadline) {
            Ok((socket, got)) => {
                bound.set_socket(&socket, got);
                let report = BindReport {
                    interface: interface.name().to_owned(),
                    id: config.interface,
                    driver: interface.driver(),
                    queue,
                    requested: config.mode,
                    got,
                    fallback: None,
                    tx_budget,
                    send_buffer_bytes,
                };
                Ok((bound, report))
            }
            Err(BindFailure::Unbound(error)) => {
                // A bind that fails has undone what it did before it returns,
                // so the kernel has nothing of this ring.
                umem.take_back_all(member);
                umem.unjoin(member);
                Err(error)
            }
            // The driver may write to lent chunks until the socket is torn down,
            // so they are written off as the queue drops.
            Err(BindFailure::Bound(error)) => Err(error),
        }
    }

    /// A queue on rings in plain memory, and the other side of them: a NIC and
    /// kernel to test code that uses queues against, without privileges.
    ///
    /// # Errors
    ///
    /// [`Error::Umem`] when there is no memory for the rings, and [`Error::Xsk`]
    /// when 255 queues have shared the UMEM.
    pub fn simulated(umem: &Umem, config: &QueueConfig) -> Result<(Self, SimulatedNic), Error> {
        let member = umem.shared().join().ok_or(XskError::TooManyQueues)?;
        let (rings, nic) = simulated::connect(umem, member, config.ring_size)?;
        let queue = QueueIndex::new(0).expect("zero is a queue");
        let mut queue = Self::assemble(umem.shared(), member, rings, queue, config);
        queue.rx.top_up();
        Ok((queue, nic))
    }

    fn assemble(
        umem: &Rc<umem::Shared>,
        member: Member,
        rings: Rings,
        queue: QueueIndex,
        config: &QueueConfig,
    ) -> Self {
        let limit = config.chunk_limit.unwrap_or(u32::MAX);
        Self {
            rx: QueueRx {
                umem: Rc::clone(umem),
                member,
                fill: rings.fill,
                ring: rings.rx,
                socket: None,
                interface: config.interface,
                queue,
                geometry: umem.geometry,
                lent: 0,
                quarantined: 0,
                mode: CopyMode::Copy,
                limit,
                floor: config.fill_floor.min(limit / 2),
                counters: RxCounters::default(),
            },
            tx: QueueTx {
                umem: Rc::clone(umem),
                member,
                ring: rings.tx,
                completion: rings.completion,
                socket: None,
                interface: config.interface,
                mode: CopyMode::Copy,
                sends: true,
                geometry: umem.geometry,
                counters: TxCounters::default(),
            },
        }
    }

    fn set_socket(&mut self, socket: &Rc<OwnedFd>, mode: CopyMode) {
        self.rx.socket = Some(Rc::clone(socket));
        self.rx.mode = mode;
        self.tx.socket = Some(Rc::clone(socket));
        self.tx.mode = mode;
    }

    /// See [`QueueRx::receive`].
    pub fn receive(&mut self, max: u32) -> Batch<'_> {
        self.rx.receive(max)
    }

    /// See [`QueueTx::transmit`].
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

    /// See [`QueueTx::wake`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn wake(&mut self) -> Result<(), WakeError> {
        self.tx.wake()
    }

    /// Both halves at once, to send from inside a batch.
    pub fn halves(&mut self) -> (&mut QueueRx, &mut QueueTx) {
        (&mut self.rx, &mut self.tx)
    }

    /// Both halves for good.
    #[must_use]
    pub fn into_halves(self) -> (QueueRx, QueueTx) {
        (self.rx, self.tx)
    }

    /// Ring indices and entries from the kernel that failed a check.
    #[must_use]
    pub fn violations(&self) -> u64 {
        violations(&self.rx, &self.tx)
    }

    /// See [`QueueRx::socket`].
    #[must_use]
    pub fn socket(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.rx.socket()
    }
}

/// Ring indices and entries from the kernel that failed a check.
pub(crate) fn violations(rx: &QueueRx, tx: &QueueTx) -> u64 {
    rx.faults() + rx.counters.invalid + tx.faults() + tx.counters.invalid
}

/// Checks what the kernel would get wrong or say unclearly. Gives whether the
/// queue can send.
fn check(interface: &Interface, queue: QueueIndex, umem: &Umem) -> Result<bool, Error> {
    let name = || interface.name().to_owned();
    if !interface.is_up()? {
        return Err(XskError::InterfaceDown { interface: name() }.into());
    }
    let counts = interface.queue_counts()?;
    let queues = counts.bindable();
    if queue.get() >= queues {
        return Err(XskError::NoSuchQueue {
            interface: name(),
            queue: queue.get(),
            queues,
        }
        .into());
    }
    let mtu = interface.mtu()?;
    let frame = mtu.saturating_add(FRAME_OVERHEAD);
    let chunk = umem.chunk_size();
    let usable = chunk - crate::config::XDP_PACKET_HEADROOM;
    if frame > usable {
        return Err(XskError::MtuTooLarge {
            interface: name(),
            mtu,
            frame,
            chunk,
            usable,
        }
        .into());
    }
    Ok(queue.get() < counts.tx)
}

impl Drop for QueueRx {
    fn drop(&mut self) {
        self.umem.strand(self.member, Owner::Fill);
    }
}

impl Drop for QueueTx {
    fn drop(&mut self) {
        self.umem.strand(self.member, Owner::Transmit);
    }
}

//! A NIC queue, and the xsks that are bound to it.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::time::Instant;

use super::bind_report::BindReport;
use super::checksums::ChecksumsReport;
use super::chunks::most_chunks_copy;
use super::config::{Mode, XskConfig};
use super::error::{XskError, XskErrorKind};
use super::fit;
use super::limits::XskLimits;
use super::panic_gate;
use super::queue_state::{QueueState, extent};
use super::socket::{self, BindFailure, Registration, Socket};
use super::target::Target;
use super::tx::SendLimits;
use super::xsk::{Xsk, XskParts};
use crate::kernel::interface::Interface;
use crate::kernel::{CopyMode, QueueIndex};
use crate::memory::Umem;

/// A queue of an interface, for xsks that receive into a UMEM and send from it.
///
/// The kernel has one fill and one completion ring per queue. The first xsk,
/// [bound](Self::bind), brings them with it; others [share](Self::share) them. Two
/// values for the same queue, UMEM and interface are the same queue to the kernel:
/// clone one, to have the queue in several variables.
///
/// ```no_run
/// use wharf::{Interface, NicQueue, QueueIndex, RingCapacity, Umem, UmemConfig, XskConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let umem = Umem::new(&UmemConfig::new(4096))?;
/// let queue = NicQueue::new(&umem, &Interface::by_name("eth0")?, QueueIndex::new(0)?);
/// let config = XskConfig {
///     xsks: 2,
///     ..XskConfig::new(RingCapacity::new(1024)?)
/// };
/// let (first, report) = queue.bind(&config)?;
/// let (second, _) = queue.share()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct NicQueue {
    umem: Umem,
    interface: Interface,
    index: QueueIndex,
    bound: Rc<RefCell<Option<Bound>>>,
}

/// What to do where the interface's MTU does not fit.
#[derive(Clone, Copy)]
pub(crate) enum MtuCheck {
    Refuse,
    /// As the other queues of the UMEM, whose frames may be too long by now as well.
    AsOthers,
}

/// What the first xsk was bound with.
struct Bound {
    state: Weak<QueueState>,
    config: XskConfig,
    report: BindReport,
    limits: SendLimits,
}

impl NicQueue {
    /// The queue `index` of `interface`, for xsks on `umem`. No system call.
    #[must_use]
    pub fn new(umem: &Umem, interface: &Interface, index: QueueIndex) -> Self {
        Self {
            umem: umem.clone(),
            interface: interface.clone(),
            index,
            bound: Rc::default(),
        }
    }

    /// The interface.
    #[must_use]
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// The index on the interface.
    #[must_use]
    pub fn index(&self) -> QueueIndex {
        self.index
    }

    /// Binds the first xsk of the queue, its fill ring filled.
    ///
    /// The first xsk of a UMEM registers it with the kernel, which pins the
    /// memory; the others share the registration and the mode. Blocks for up to
    /// [`XskConfig::bind_patience`] while the queue is busy.
    ///
    /// Attach the XDP program first, and drop the xsk after it is detached:
    /// many drivers reset the NIC when programs come and go.
    ///
    /// # Errors
    ///
    /// [`XskError`] when the interface cannot be looked at, is down, has no such
    /// queue or has too large an MTU, the [limits](XskConfig::limits) do not fit, the UMEM is bound to the queue already, or the
    /// kernel refuses.
    pub fn bind(&self, config: &XskConfig) -> Result<(Xsk, BindReport), XskError> {
        self.bind_for(config, MtuCheck::Refuse, true)
    }

    /// Like [`bind`](Self::bind), with `mtu` as the others of the UMEM or not. It gets no
    /// chunks to receive into unless it `receives`.
    pub(crate) fn bind_for(
        &self,
        config: &XskConfig,
        mtu: MtuCheck,
        receives: bool,
    ) -> Result<(Xsk, BindReport), XskError> {
        let bound = self.try_bind(config, mtu, receives);
        bound.map_err(|kind| self.error(kind))
    }

    /// Like [`bind`](Self::bind), to a UMEM that others are bound to, for frames that are
    /// only sent, in copy mode. If those others have zero copy, the UMEM is registered,
    /// and pinned, once more, because sockets that share a registration share the mode.
    pub(crate) fn bind_to_send_copies(
        &self,
        config: &XskConfig,
    ) -> Result<(Xsk, BindReport), XskError> {
        self.try_bind_to_send_copies(config)
            .map_err(|kind| self.error(kind))
    }

    fn try_bind_to_send_copies(
        &self,
        config: &XskConfig,
    ) -> Result<(Xsk, BindReport), XskErrorKind> {
        let registrants = self.umem.shared().registrants();
        let inherited = registrants.first().map(|first| socket::mode_of(first));
        if inherited.transpose()? != Some(CopyMode::ZeroCopy) {
            return self.try_bind(config, MtuCheck::AsOthers, false);
        }
        let sends = self.check()?;
        let target = Target {
            interface: &self.interface,
            queue: self.index,
            mode: CopyMode::Copy,
            multi_buffer: self.umem.shared().takes_multi_buffer(),
        };
        let (xsk, bound) = self.bind_to(&target, Registration::Own, (false, sends), config)?;
        Ok((xsk, bound.report))
    }

    /// Binds one more xsk to the queue, with an RX and a TX ring of its own, so that
    /// rules may separate its frames from those of others.
    ///
    /// The fill and the completion ring are those of the queue, and so are the
    /// limit on chunks and the floor: [`Xsk::recycle`] on any of
    /// the xsks serves all. What its application may hold and send is the first's until
    /// it is [set](Xsk::set_limits). The xsks are equals, may be dropped in any order, and
    /// take the mode of the first. Their number is the lowest that is free.
    ///
    /// Which frames it gets is for the XDP program to say; take its socket out of
    /// [`Steering`](crate::Steering) before it is dropped while others stay, as
    /// what arrives meanwhile is lost with its chunk until the last of them goes.
    /// Before Linux 6.12 the socket that was bound first stays open until then.
    /// In generic XDP, kernels before 6.1.164 and 6.12.28 race when frames of one
    /// queue are received on two CPUs for xsks that share a fill ring
    /// (CVE-2025-37920).
    ///
    /// # Errors
    ///
    /// [`XskError`] when the interface cannot be looked at or is down, the queue has
    /// no xsk or as many as it was [bound for](XskConfig::xsks), or the kernel
    /// refuses.
    pub fn share(&self) -> Result<(Xsk, BindReport), XskError> {
        self.try_share().map_err(|kind| self.error(kind))
    }

    fn error(&self, kind: XskErrorKind) -> XskError {
        kind.at(self.interface.name(), self.index)
    }

    fn try_bind(
        &self,
        config: &XskConfig,
        mtu: MtuCheck,
        receives: bool,
    ) -> Result<(Xsk, BindReport), XskErrorKind> {
        let sends = self.check()?;
        let limits = extent(self.umem.shared(), config.shared_entries());
        let limits = config.limits.in_chunks(&limits);
        limits.map_err(XskErrorKind::Limits)?;
        let inherited = match self.umem.shared().registrants().first() {
            Some(registrant) => Some(socket::mode_of(registrant)?),
            None => None,
        };
        let shares = inherited.is_some();
        let multi_buffer = match mtu {
            MtuCheck::AsOthers if shares => self.umem.shared().takes_multi_buffer(),
            _ => fit::decide(&self.umem, &self.interface, config.multi_buffer, shares)?,
        };
        let bind = |mode| {
            let target = Target {
                interface: &self.interface,
                queue: self.index,
                mode,
                multi_buffer,
            };
            self.bind_to(&target, Registration::Shared, (receives, sends), config)
        };
        let (xsk, mut bound) = match bind(first_mode(config.mode, inherited)) {
            Err(XskErrorKind::NoZeroCopy { reason, .. })
                if config.mode == Mode::Auto && !shares =>
            {
                let (xsk, mut bound) = bind(CopyMode::Copy)?;
                bound.report.fallback = Some(reason);
                (xsk, bound)
            }
            bound => bound?,
        };
        match (config.mode, bound.report.got) {
            (Mode::Auto, CopyMode::Copy) if shares => {
                let reason = "it shares a UMEM with a queue in copy mode";
                bound.report.fallback = Some(reason.to_owned());
            }
            (Mode::ZeroCopy, got @ CopyMode::Copy) | (Mode::Copy, got @ CopyMode::ZeroCopy) => {
                return Err(XskErrorKind::SharedMode { got });
            }
            _ => {}
        }
        let report = bound.report.clone();
        *self.bound.borrow_mut() = Some(bound);
        Ok((xsk, report))
    }

    fn bind_to(
        &self,
        target: &Target<'_>,
        registration: Registration,
        (receives, sends): (bool, bool),
        config: &XskConfig,
    ) -> Result<(Xsk, Bound), XskErrorKind> {
        let Target {
            interface,
            queue,
            mode,
            multi_buffer,
        } = *target;
        panic_gate::check(interface, mode, config.known_panics)?;
        let checksums = ChecksumsReport::of(config.checksums, interface);
        let config = XskConfig {
            checksums: checksums.map_err(XskErrorKind::Interface)?.decision(),
            ..*config
        };
        if mode == CopyMode::ZeroCopy {
            fit::check_zero_copy(&self.umem, interface, multi_buffer)?;
        }
        let umem = self.umem.shared();
        let deadline = Instant::now() + config.bind_patience;
        let (socket, rings) = Socket::open(
            umem,
            interface,
            registration,
            config.ring_size,
            config.shared_entries(),
            deadline,
        )?;
        let (tx_budget, send_buffer_bytes) = (socket.tx_budget, socket.send_buffer_bytes);
        let id = umem.new_xsk().ok_or(XskErrorKind::TooManyXsks)?;
        let (fill, completion) = (rings.fill, rings.completion);
        let state = match QueueState::new(umem, id, fill, completion, &config, receives) {
            Ok(state) => state,
            Err(error) => {
                umem.forget_xsk(id);
                return Err(XskErrorKind::Limits(error));
            }
        };
        // Drivers take the fill ring as it is at the bind: i40e and ice may
        // never come back for more.
        umem.collect_returns();
        state.post();
        let (fd, got) = match socket.bind(umem, target, deadline) {
            Ok(bound) => bound,
            Err(BindFailure::Unbound(kind)) => {
                // A bind that fails has undone what it did before it returns,
                // so the kernel has nothing of this ring.
                umem.take_back_all(state.id());
                umem.forget_xsk(id);
                return Err(kind);
            }
            // The driver may write to posted chunks until the socket is torn down,
            // so they are written off as the queue drops.
            Err(BindFailure::Bound(kind)) => return Err(kind),
        };
        umem.set_multi_buffer(multi_buffer);
        let driver = interface.driver();
        let most_chunks = match (multi_buffer, got) {
            (false, _) => 1,
            (true, CopyMode::Copy) => most_chunks_copy(driver.as_deref(), &umem.geometry),
            (true, CopyMode::ZeroCopy) => fit::chunks_in_zero_copy(interface),
        };
        let limits = SendLimits { sends, most_chunks };
        let member = state.join(id, Some(fd), &config);
        let report = BindReport {
            interface: interface.name().to_owned(),
            id: config.interface,
            driver,
            queue,
            xsk: member.index(),
            requested: config.mode,
            got,
            fallback: None,
            multi_buffer,
            checksums: config.checksums,
            tx_budget,
            send_buffer_bytes,
            limits: XskLimits::default(),
        };
        let parts = XskParts {
            member,
            rx: rings.rx,
            tx: rings.tx,
            bound_to: Some(interface.index()),
            queue,
            mode: got,
            limits,
        };
        let xsk = Xsk::new(parts, &config)?;
        let report = BindReport {
            limits: xsk.limits(),
            ..report
        };
        let bound = Bound {
            state: Rc::downgrade(&state),
            config,
            report,
            limits,
        };
        Ok((xsk, bound))
    }

    fn try_share(&self) -> Result<(Xsk, BindReport), XskErrorKind> {
        let bound = self.bound.borrow();
        let bound = bound.as_ref().ok_or(XskErrorKind::NotBound)?;
        let state = bound.state.upgrade().ok_or(XskErrorKind::NotBound)?;
        let first = state.any_socket().ok_or(XskErrorKind::NotBound)?;
        let config = &bound.config;
        if !self.interface.is_up().map_err(XskErrorKind::Interface)? {
            return Err(XskErrorKind::InterfaceDown);
        }
        check_room(&state, config)?;
        let umem = self.umem.shared();
        let (socket, (rx, tx)) = Socket::open_sharer(umem, &first, config.ring_size)?;
        let (tx_budget, send_buffer_bytes) = (socket.tx_budget, socket.send_buffer_bytes);
        let fd = socket.bind_sharer(umem, &self.interface, self.index)?;
        let id = umem.new_xsk().ok_or(XskErrorKind::TooManyXsks)?;
        let member = state.join(id, Some(fd), config);
        let report = BindReport {
            xsk: member.index(),
            tx_budget,
            send_buffer_bytes,
            ..bound.report.clone()
        };
        let parts = XskParts {
            member,
            rx,
            tx,
            bound_to: Some(self.interface.index()),
            queue: self.index,
            mode: bound.report.got,
            limits: bound.limits,
        };
        let xsk = Xsk::new(parts, config)?;
        let report = BindReport {
            limits: xsk.limits(),
            ..report
        };
        Ok((xsk, report))
    }

    /// Checks what the kernel would get wrong or say unclearly. Returns whether the
    /// queue can send.
    fn check(&self) -> Result<bool, XskErrorKind> {
        let interface = &self.interface;
        let umem = self.umem.shared();
        if umem.is_bound_to(interface.index().get(), self.index) {
            return Err(XskErrorKind::BoundAlready);
        }
        interface.check_frames().map_err(XskErrorKind::Interface)?;
        if !interface.is_up().map_err(XskErrorKind::Interface)? {
            return Err(XskErrorKind::InterfaceDown);
        }
        interface.check_queues().map_err(XskErrorKind::Interface)?;
        let counts = interface.queue_counts().map_err(XskErrorKind::Interface)?;
        let queues = counts.bindable();
        if self.index.get() >= queues {
            return Err(XskErrorKind::NoSuchQueue { queues });
        }
        Ok(self.index.get() < counts.tx)
    }
}

impl std::fmt::Debug for NicQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NicQueue")
            .field("interface", &self.interface)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

/// Checks that the queue was bound for one more xsk.
pub(super) fn check_room(state: &QueueState, config: &XskConfig) -> Result<(), XskErrorKind> {
    let xsks = config.xsks.max(1);
    if state.xsks() < usize::from(xsks) {
        Ok(())
    } else {
        Err(XskErrorKind::NoMoreXsks { xsks })
    }
}

/// The mode to bind in first, and to check for: that of the UMEM's other queues,
/// if there are any, whatever is asked for.
fn first_mode(asked: Mode, inherited: Option<CopyMode>) -> CopyMode {
    inherited.unwrap_or(match asked {
        Mode::Copy => CopyMode::Copy,
        Mode::ZeroCopy | Mode::Auto => CopyMode::ZeroCopy,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_that_shares_a_umem_is_checked_for_the_mode_it_gets() {
        for asked in [Mode::Auto, Mode::ZeroCopy, Mode::Copy] {
            for got in [CopyMode::ZeroCopy, CopyMode::Copy] {
                assert_eq!(first_mode(asked, Some(got)), got);
            }
        }
        assert_eq!(first_mode(Mode::Auto, None), CopyMode::ZeroCopy);
        assert_eq!(first_mode(Mode::Copy, None), CopyMode::Copy);
    }
}

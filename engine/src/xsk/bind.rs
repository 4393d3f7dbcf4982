//! Binding the first xsk of a queue.

use std::rc::Rc;
use std::time::Instant;

use super::chunks::most_chunks_copy;
use super::error::XskError;
use super::fit;
use super::panic_gate;
use super::share::Origin;
use super::socket::{self, BindFailure, Socket, Target};
use super::{Xsk, XskConfig};
use crate::Error;
use crate::kernel::CopyMode;
use crate::kernel::QueueIndex;
use crate::kernel::interface::Interface;
use crate::memory::Umem;
use crate::xsk::BindReport;
use crate::xsk::Mode;

impl Xsk {
    /// Binds an xsk to a queue of an interface, its fill ring filled.
    ///
    /// The first queue of a UMEM registers it with the kernel, which pins the
    /// memory; the others share the registration and the mode. Blocks for up to
    /// [`XskConfig::bind_patience`] while the queue is busy.
    ///
    /// Attach the XDP program first, and drop the queue after it is detached:
    /// many drivers reset the NIC when programs come and go.
    ///
    /// # Errors
    ///
    /// [`Error::Interface`] when the interface cannot be looked at,
    /// [`Error::Socket`] when it is down, has no such queue, has too large an MTU,
    /// the UMEM is bound to it already, or the kernel refuses.
    pub fn bind(
        umem: &Umem,
        interface: &Interface,
        queue: QueueIndex,
        config: &XskConfig,
    ) -> Result<(Self, BindReport), Error> {
        let sends = check(interface, queue, umem)?;
        let inherited = match umem.shared().registrants().first() {
            Some(registrant) => Some(socket::mode_of(registrant)?),
            None => None,
        };
        let shares = inherited.is_some();
        let multi_buffer = fit::decide(umem, interface, config.multi_buffer, shares)?;
        let bind = |mode| {
            let target = Target {
                interface,
                queue,
                mode,
                multi_buffer,
            };
            Self::bind_to(umem, &target, config)
        };
        let (mut bound, mut report) = match bind(first_mode(config.mode, inherited)) {
            Err(XskError::NoZeroCopy { reason, .. }) if config.mode == Mode::Auto && !shares => {
                let (bound, mut report) = bind(CopyMode::Copy)?;
                report.fallback = Some(reason);
                (bound, report)
            }
            bound => bound?,
        };
        bound.tx.sends = sends;
        let result = match (config.mode, report.got) {
            (Mode::Auto, CopyMode::Copy) if shares => {
                report.fallback = Some("it shares a UMEM with a queue in copy mode".to_owned());
                Ok(())
            }
            (Mode::ZeroCopy, CopyMode::Copy) | (Mode::Copy, CopyMode::ZeroCopy) => {
                Err(XskError::SharedMode {
                    interface: report.interface.clone(),
                    queue,
                    got: report.got,
                })
            }
            _ => Ok(()),
        };
        result?;
        bound.origin = Some(Rc::new(Origin {
            interface: interface.clone(),
            config: *config,
            report: report.clone(),
        }));
        Ok((bound, report))
    }

    fn bind_to(
        umem: &Umem,
        target: &Target<'_>,
        config: &XskConfig,
    ) -> Result<(Self, BindReport), XskError> {
        let Target {
            interface,
            queue,
            mode,
            multi_buffer,
        } = *target;
        panic_gate::check(interface, mode, config.known_panics)?;
        if mode == CopyMode::ZeroCopy {
            fit::check_zero_copy(umem, interface, queue, multi_buffer)?;
        }
        let umem = umem.shared();
        let deadline = Instant::now() + config.bind_patience;
        let (xsk, rings) = Socket::open(umem, config.ring_size, config.shared_entries(), deadline)?;
        let (tx_budget, send_buffer_bytes) = (xsk.tx_budget, xsk.send_buffer_bytes);
        let member = umem.join().ok_or(XskError::TooManyQueues)?;
        let mut bound = Self::assemble(umem, member, rings, queue, config);
        // Drivers take the fill ring as it is at the bind: i40e and ice may
        // never come back for more.
        bound.rx.top_up();
        match xsk.bind(umem, target, deadline) {
            Ok((socket, got)) => {
                umem.set_multi_buffer(multi_buffer);
                let driver = interface.driver();
                bound.set_socket(&socket, got);
                bound.tx.most_chunks = match (multi_buffer, got) {
                    (false, _) => 1,
                    (true, CopyMode::Copy) => most_chunks_copy(driver.as_deref(), &umem.geometry),
                    (true, CopyMode::ZeroCopy) => fit::chunks_in_zero_copy(interface),
                };
                let report = BindReport {
                    interface: interface.name().to_owned(),
                    id: config.interface,
                    driver,
                    queue,
                    xsk: bound.rx.xsk,
                    requested: config.mode,
                    got,
                    fallback: None,
                    multi_buffer,
                    tx_budget,
                    send_buffer_bytes,
                };
                Ok((bound, report))
            }
            Err(BindFailure::Unbound(error)) => {
                // A bind that fails has undone what it did before it returns,
                // so the kernel has nothing of this ring.
                umem.take_back_all(bound.rx.seat.group);
                umem.unjoin(member);
                Err(error)
            }
            // The driver may write to lent chunks until the socket is torn down,
            // so they are written off as the queue drops.
            Err(BindFailure::Bound(error)) => Err(error),
        }
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

/// Checks what the kernel would get wrong or say unclearly. Gives whether the
/// queue can send.
fn check(interface: &Interface, queue: QueueIndex, umem: &Umem) -> Result<bool, Error> {
    let name = || interface.name().to_owned();
    if umem.shared().is_bound_to(interface.index().get(), queue) {
        return Err(XskError::BoundAlready {
            interface: name(),
            queue,
        }
        .into());
    }
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
    Ok(queue.get() < counts.tx)
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

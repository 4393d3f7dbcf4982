//! Binds a worker's queues to its UMEM: all of them at the start, and those that appear
//! later one by one.

use super::plan::WorkerPlan;
use super::settings::Settings;
use crate::kernel::QueueIndex;
use crate::kernel::interface::Interface;
use crate::kernel::interface_id::InterfaceId;
use crate::memory::Umem;
use crate::runtime::Error;
use crate::runtime::chunk_shares::chunk_share;
use crate::xsk::{BindReport, MultiBuffer, NicQueue, Xsk, XskConfig, XskError, XskErrorKind};
use crate::xsk::{Mode, needs_several_chunks};

/// Xsks with what each of them got.
pub(super) type Bound = Vec<(Xsk, BindReport)>;

/// Binds queues to one UMEM, with what all of them share.
pub(super) struct Binder {
    umem: Umem,
    config: XskConfig,
    interfaces: Vec<Interface>,
    /// The RX queues that each interface has; others receive nothing.
    pub(super) rx_queues: Vec<u32>,
}

impl Binder {
    /// Binds the queues of `plan` to a fresh UMEM. Queues that share it share the mode,
    /// so where one cannot have zero copy, all get copy.
    pub(super) fn bind_all(
        config: &Settings,
        interfaces: &[Interface],
        plan: &WorkerPlan,
    ) -> Result<(Self, Bound), Error> {
        let bind_all = |mode| {
            let binder = Self::new(config, interfaces, mode)?;
            let bound = binder.bind_plan(plan)?;
            Ok((binder, bound))
        };
        match bind_all(config.xsk.mode) {
            Err(Error::Xsk(error)) if config.xsk.mode == Mode::Auto => {
                let XskErrorKind::NoZeroCopy { reason, .. } = error.kind() else {
                    return Err(error.into());
                };
                let interface = error.interface();
                let (binder, mut bound) = bind_all(Mode::Copy)?;
                for (_, report) in &mut bound {
                    report.requested = Mode::Auto;
                    report.fallback = Some(format!(
                        "queues share a UMEM, and on `{interface}` {reason}"
                    ));
                }
                Ok((binder, bound))
            }
            bound => bound,
        }
    }

    fn new(config: &Settings, interfaces: &[Interface], mode: Mode) -> Result<Self, Error> {
        let umem = Umem::new(&config.umem)?;
        let counts = interfaces.iter().map(Interface::queue_counts);
        let rx_queues = counts.map(|counts| counts.map(|counts| counts.rx));
        Ok(Self {
            config: XskConfig {
                mode,
                multi_buffer: multi_buffer(config, interfaces, &umem)?,
                xsks: config.steering.xsks_per_queue,
                ..config.xsk
            },
            interfaces: interfaces.to_vec(),
            rx_queues: rx_queues.collect::<Result<_, _>>()?,
            umem,
        })
    }

    fn bind_plan(&self, plan: &WorkerPlan) -> Result<Bound, Error> {
        let receiving = plan.queues.iter();
        let receiving = receiving.filter(|(id, queue)| self.receives(*id, *queue));
        let queues = u32::try_from(receiving.count()).expect("a worker has few queues");
        let share = chunk_share(&self.umem, queues);
        let mut bound = Bound::new();
        for &(id, queue) in &plan.queues {
            let limit = if self.receives(id, queue) { share } else { 0 };
            bound.extend(self.bind(id, queue, limit, NicQueue::bind)?);
        }
        Ok(bound)
    }

    /// Binds all xsks of a queue that appeared, which may have `chunk_limit` chunks.
    pub(super) fn bind_more(
        &self,
        id: InterfaceId,
        queue: QueueIndex,
        chunk_limit: u32,
    ) -> Result<Bound, XskError> {
        self.bind(id, queue, chunk_limit, NicQueue::bind_as_others)
    }

    fn bind(
        &self,
        InterfaceId(id): InterfaceId,
        queue: QueueIndex,
        chunk_limit: u32,
        first: impl Fn(&NicQueue, &XskConfig) -> Result<(Xsk, BindReport), XskError>,
    ) -> Result<Bound, XskError> {
        let config = XskConfig {
            chunk_limit: Some(chunk_limit),
            interface: InterfaceId(id),
            ..self.config
        };
        let queue = NicQueue::new(&self.umem, &self.interfaces[id], queue);
        let mut bound = vec![first(&queue, &config)?];
        for _ in 1..config.xsks {
            bound.push(queue.share()?);
        }
        Ok(bound)
    }

    fn receives(&self, InterfaceId(id): InterfaceId, queue: QueueIndex) -> bool {
        queue.get() < self.rx_queues[id]
    }

    pub(super) fn umem(&self) -> &Umem {
        &self.umem
    }

    pub(super) fn interface_name(&self, InterfaceId(id): InterfaceId) -> &str {
        self.interfaces[id].name()
    }
}

/// What all queues ask for: those that share a UMEM do as the first, so where
/// the frames of one interface need several chunks, all take such.
fn multi_buffer(
    config: &Settings,
    interfaces: &[Interface],
    umem: &Umem,
) -> Result<MultiBuffer, Error> {
    if config.xsk.multi_buffer != MultiBuffer::Auto {
        return Ok(config.xsk.multi_buffer);
    }
    for interface in interfaces {
        if needs_several_chunks(interface, umem)? {
            return Ok(MultiBuffer::Always);
        }
    }
    Ok(MultiBuffer::Auto)
}

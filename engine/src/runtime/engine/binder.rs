//! Binds a worker's queues to its UMEM: all of them at the start, and those that appear
//! later one by one.

use std::sync::Arc;

use super::plan::WorkerPlan;
use super::settings::Settings;
use crate::kernel::QueueIndex;
use crate::kernel::interface::Interface;
use crate::kernel::interface_id::InterfaceId;
use crate::memory::{Limits, Umem};
use crate::runtime::Error;
use crate::runtime::passes::Passes;
use crate::steering::Passage;
use crate::xsk::{
    BindReport, Checksums, MultiBuffer, NicQueue, Xsk, XskConfig, XskError, XskErrorKind,
};
use crate::xsk::{Mode, MtuCheck, needs_several_chunks};

/// Xsks with what each of them got.
pub(super) type Bound = Vec<(Xsk, BindReport)>;

/// Binds queues to one UMEM, with what all of them share.
pub(super) struct Binder {
    umem: Umem,
    config: XskConfig,
    interfaces: Vec<Interface>,
    /// The limits of each interface's xsks.
    limits: Vec<Limits>,
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
        umem.set_an_eighth_aside();
        let counts = interfaces.iter().map(Interface::queue_counts);
        let rx_queues = counts.map(|counts| counts.map(|counts| counts.rx));
        Ok(Self {
            config: XskConfig {
                mode,
                multi_buffer: multi_buffer(config, interfaces, &umem)?,
                xsks: config.steering.xsks_per_queue,
                ..config.xsk
            },
            limits: vec![config.xsk.limits; interfaces.len()],
            interfaces: interfaces.to_vec(),
            rx_queues: rx_queues.collect::<Result<_, _>>()?,
            umem,
        })
    }

    fn bind_plan(&self, plan: &WorkerPlan) -> Result<Bound, Error> {
        let receiving = plan.queues.iter();
        let receiving = receiving.filter(|(id, queue)| self.receives(*id, *queue));
        let queues = u32::try_from(receiving.count()).expect("a worker has few queues");
        self.umem.expect_queues(queues);
        let mut bound = Bound::new();
        for &(id, queue) in &plan.queues {
            bound.extend(self.bind(id, queue, MtuCheck::Refuse)?);
        }
        Ok(bound)
    }

    /// Binds an xsk to each of `passages`, in the order of the interfaces, on the queue
    /// of the worker's number.
    pub(super) fn bind_passes(
        &self,
        passages: &[Arc<Passage>],
        worker: usize,
    ) -> Result<Passes, Error> {
        let queue = u32::try_from(worker).unwrap_or(u32::MAX);
        let queue = QueueIndex::new(queue)?;
        let mut bound = Vec::new();
        for (id, passage) in passages.iter().enumerate() {
            let config = XskConfig {
                limits: Limits::default(),
                xsks: 1,
                checksums: Checksums::Leave,
                interface: InterfaceId(id),
                ..self.config
            };
            let queue = NicQueue::new(&self.umem, passage.sending(), queue);
            let (xsk, _) = queue.bind_to_send_copies(&config)?;
            bound.push((passage.receiving().to_owned(), xsk));
        }
        Ok(Passes::new(bound))
    }

    /// Binds all xsks of a queue that appeared.
    pub(super) fn bind_more(&self, id: InterfaceId, queue: QueueIndex) -> Result<Bound, XskError> {
        self.bind(id, queue, MtuCheck::AsOthers)
    }

    fn bind(&self, id: InterfaceId, index: QueueIndex, mtu: MtuCheck) -> Result<Bound, XskError> {
        let config = XskConfig {
            interface: id,
            limits: self.limits[id.0],
            ..self.config
        };
        let queue = NicQueue::new(&self.umem, &self.interfaces[id.0], index);
        let mut bound = vec![queue.bind_for(&config, mtu, self.receives(id, index))?];
        for _ in 1..config.xsks {
            bound.push(queue.share()?);
        }
        Ok(bound)
    }

    /// Binds queues that appear with these limits: on one interface, or on all.
    pub(super) fn set_limits(&mut self, interface: Option<InterfaceId>, limits: Limits) {
        match interface {
            Some(InterfaceId(id)) => self.limits[id] = limits,
            None => self.limits.fill(limits),
        }
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

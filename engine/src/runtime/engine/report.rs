//! What a started engine really got.

use super::management::ManagementReport;
use crate::kernel::interface::Interface;
use crate::kernel::interface_id::InterfaceId;
use crate::memory::{Limits, MemoryReport};
use crate::runtime::Error;
use crate::runtime::application::WorkerContext;
use crate::steering::{AttachReport, Steering};
use crate::xsk::{BindReport, ChecksumsReport};

/// What an engine got: see [`Engine::report`](crate::Engine::report).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct EngineReport {
    /// One entry per interface, in the builder's order.
    pub interfaces: Vec<InterfaceReport>,
    /// One entry per worker.
    pub workers: Vec<WorkerReport>,
    /// CPUs without a worker, if the queues are fewer than the CPUs.
    pub unused_cpus: Option<UnusedCpus>,
    /// The limits that were asked for; [`BindReport::limits`] has those in force.
    pub limits: Limits,
    /// Bytes that this process may pin, as asked for.
    pub memory_limit: Option<u64>,
}

/// CPUs that were asked for, or that this process may use, and have no worker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnusedCpus {
    /// Their numbers.
    pub cpus: Vec<usize>,
    /// The interface with too few queues: each worker needs one of its own to send on,
    /// and one to receive from on some interface.
    pub interface: String,
    /// The queues of that interface that are in use.
    pub queues: u32,
}

/// An interface of an engine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InterfaceReport {
    /// Its number.
    pub id: InterfaceId,
    /// Its name.
    pub name: String,
    /// The kernel's index of it.
    pub index: u32,
    /// The driver, where it says.
    pub driver: Option<String>,
    /// The MTU in bytes.
    pub mtu: u32,
    /// Queues driven, from 0.
    pub queues: u32,
    /// How the XDP program was attached.
    pub attach: AttachReport,
    /// Whether management traffic stays with the kernel, and why.
    pub management: ManagementReport,
    /// Whether received frames get the checksums that their senders left to hardware,
    /// and why.
    pub checksums: ChecksumsReport,
    /// The helper interface by which frames are [passed](crate::Outbox::pass) to its stack;
    /// `None` if the engine was not [asked for it](crate::EngineBuilder::passing).
    pub passage: Option<String>,
}

impl InterfaceReport {
    pub(super) fn new(
        id: InterfaceId,
        interface: &Interface,
        queues: u32,
        steering: &Steering,
        management: ManagementReport,
        checksums: ChecksumsReport,
    ) -> Result<Self, Error> {
        Ok(Self {
            id,
            name: interface.name().to_owned(),
            index: interface.index().get(),
            driver: interface.driver(),
            mtu: interface.mtu()?,
            queues,
            attach: steering.report().clone(),
            management,
            checksums,
            passage: None,
        })
    }
}

/// A worker of an engine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerReport {
    /// Its number, from 0.
    pub worker: usize,
    /// The CPU it is pinned to; `None` when it could not be pinned.
    pub cpu: Option<usize>,
    /// Chunks of its UMEM.
    pub chunks: u32,
    /// The size of a chunk in bytes.
    pub chunk_size: u32,
    /// Whether the chunks are unaligned.
    pub unaligned_chunks: bool,
    /// The memory of its UMEM: its bytes, pages and NUMA node, and why they are not what
    /// they might be.
    pub memory: MemoryReport,
    /// Its queues, and what each of them got.
    pub queues: Vec<BindReport>,
}

impl WorkerReport {
    pub(super) fn new(context: &WorkerContext) -> Self {
        let (chunks, chunk_size) = (context.umem.chunks(), context.umem.chunk_size());
        Self {
            worker: context.worker,
            cpu: context.cpu,
            chunks,
            chunk_size,
            unaligned_chunks: context.umem.is_unaligned(),
            memory: context.umem.memory().clone(),
            queues: context.queues.clone(),
        }
    }
}

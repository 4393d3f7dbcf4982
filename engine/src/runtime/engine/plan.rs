//! Which worker drives which queues, on which CPU.
//!
//! Queue `q` of every interface goes to worker `q % workers`, and there are at
//! most as many workers as the interface with the fewest queues has: so every
//! worker has a queue of each interface to send on.

use core_affinity::CoreId;

use super::settings::Settings;
use crate::kernel::QueueIndex;
use crate::kernel::interface::Interface;
use crate::kernel::interface_id::InterfaceId;
use crate::runtime::Error;

/// What one worker drives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WorkerPlan {
    pub(super) worker: usize,
    /// The CPU to pin to; `None` where the system lists none.
    pub(super) cpu: Option<usize>,
    pub(super) queues: Vec<(InterfaceId, QueueIndex)>,
}

/// The queues of `interface` to drive.
pub(super) fn queue_count(config: &Settings, interface: &Interface) -> Result<u32, Error> {
    let queues = interface.queue_counts()?.rx.max(1);
    match config.queues {
        Some(asked) if asked > queues => Err(Error::TooFewQueues {
            interface: interface.name().to_owned(),
            asked,
            queues,
        }),
        Some(asked) => Ok(asked),
        None => Ok(queues),
    }
}

/// Slots for the program: for all queues that the interface may come to have, so that
/// each is counted by itself and can be driven.
pub(super) fn slots(interface: &Interface) -> Result<u32, Error> {
    let queues = interface.queue_counts()?;
    Ok(queues.rx_allocated.min(MOST_SLOTS).max(queues.rx).max(1))
}

/// Slots for queues that an interface does not have yet: 40 bytes per slot and CPU.
const MOST_SLOTS: u32 = 1024;

/// A plan for each worker.
pub(super) fn workers(
    config: &Settings,
    interfaces: &[Interface],
) -> Result<Vec<WorkerPlan>, Error> {
    let queues: Vec<_> = interfaces
        .iter()
        .map(|interface| queue_count(config, interface))
        .collect::<Result<_, _>>()?;
    let plans = distribute(&queues, &cpus(config)?);
    for plan in &plans {
        let queues = u32::try_from(plan.queues.len()).unwrap_or(u32::MAX);
        config.check_queues(queues)?;
    }
    Ok(plans)
}

fn distribute(queues: &[u32], cpus: &[usize]) -> Vec<WorkerPlan> {
    let fewest = queues.iter().min().map_or(0, |&queues| queues as usize);
    let count = fewest.min(cpus.len().max(1));
    let mut plans: Vec<_> = (0..count)
        .map(|worker| WorkerPlan {
            worker,
            cpu: cpus.get(worker).copied(),
            queues: Vec::new(),
        })
        .collect();
    for (id, &queues) in queues.iter().enumerate() {
        for queue in 0..queues {
            // Counts above 65536 have been refused; the kernel has fewer yet.
            let Ok(index) = QueueIndex::new(queue) else {
                break;
            };
            plans[queue as usize % count]
                .queues
                .push((InterfaceId(id), index));
        }
    }
    plans
}

/// The CPUs to pin workers to.
fn cpus(config: &Settings) -> Result<Vec<usize>, Error> {
    let usable: Vec<_> = core_affinity::get_core_ids()
        .unwrap_or_default()
        .into_iter()
        .map(|CoreId { id }| id)
        .collect();
    let Some(asked) = &config.cpus else {
        return Ok(usable);
    };
    match asked
        .iter()
        .enumerate()
        .find(|(_, cpu)| !usable.contains(cpu))
    {
        Some((worker, &cpu)) => Err(Error::Cpu {
            worker,
            cpu,
            usable: usable
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        }),
        None => Ok(asked.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(plan: &WorkerPlan) -> Vec<(usize, u32)> {
        let queues = plan.queues.iter();
        queues
            .map(|(InterfaceId(id), queue)| (*id, queue.get()))
            .collect()
    }

    #[test]
    fn every_worker_has_a_queue_of_each_interface() {
        let plans = distribute(&[4, 2], &[0, 1, 2, 3]);

        assert_eq!(plans.len(), 2);
        assert_eq!(places(&plans[0]), [(0, 0), (0, 2), (1, 0)]);
        assert_eq!(places(&plans[1]), [(0, 1), (0, 3), (1, 1)]);
    }

    #[test]
    fn queues_share_workers_when_cpus_are_few() {
        let plans = distribute(&[4], &[7]);

        assert_eq!(plans.len(), 1);
        assert_eq!(plans[0].cpu, Some(7));
        assert_eq!(places(&plans[0]).len(), 4);
    }
}

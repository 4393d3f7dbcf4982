//! Which worker drives which queues, on which CPU.
//!
//! Queue `q` of every interface goes to worker `q % workers`. Any worker must be able to
//! send on any interface, and a queue can only be bound by one UMEM, so by one worker:
//! there are at most as many workers as the interface with the fewest TX queues has of
//! them. Where an interface has fewer RX queues than that, workers drive queues of it
//! that only send.

use core_affinity::CoreId;

use super::report::UnusedCpus;
use super::settings::Settings;
use crate::kernel::QueueIndex;
use crate::kernel::interface::{Interface, InterfaceQueues};
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

/// The queues of an interface that are to be driven: those below each number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Driven {
    pub(super) rx: u32,
    pub(super) tx: u32,
}

/// Who drives what.
pub(super) struct Plan {
    pub(super) workers: Vec<WorkerPlan>,
    /// The queues of each interface for which it was made.
    pub(super) queues: Vec<InterfaceQueues>,
    pub(super) unused_cpus: Option<UnusedCpus>,
}

/// The queues of `interface` to drive, of those that it has.
pub(super) fn driven(
    config: &Settings,
    interface: &Interface,
    queues: InterfaceQueues,
) -> Result<Driven, Error> {
    let (rx, tx) = (queues.rx.max(1), queues.tx.max(1));
    match config.queues {
        Some(asked) if asked > rx => Err(Error::TooFewQueues {
            interface: interface.name().to_owned(),
            asked,
            queues: rx,
        }),
        Some(asked) => Ok(Driven {
            rx: asked,
            tx: tx.min(asked),
        }),
        None => Ok(Driven { rx, tx }),
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

/// A plan for the interfaces as they are now.
pub(super) fn make(config: &Settings, interfaces: &[Interface]) -> Result<Plan, Error> {
    let queues = interfaces.iter().map(Interface::queue_counts);
    let queues = queues.collect::<Result<Vec<_>, _>>()?;
    let all = interfaces.iter().zip(&queues);
    let all = all.map(|(interface, &queues)| driven(config, interface, queues));
    let (all, cpus) = (all.collect::<Result<Vec<_>, _>>()?, cpus(config)?);
    let workers = distribute(&all, &cpus);
    for plan in &workers {
        let queues = u32::try_from(plan.queues.len()).unwrap_or(u32::MAX);
        config.check_queues(queues)?;
    }
    let unused_cpus = cpus.get(workers.len()..).and_then(|cpus| {
        let (limiting, queues) = limiting(&all)?;
        (!cpus.is_empty()).then(|| UnusedCpus {
            cpus: cpus.to_vec(),
            interface: interfaces[limiting].name().to_owned(),
            queues,
        })
    });
    Ok(Plan {
        workers,
        queues,
        unused_cpus,
    })
}

/// The interface that allows the fewest workers, and how many.
fn limiting(queues: &[Driven]) -> Option<(usize, u32)> {
    let receivers = queues.iter().map(|queues| queues.rx).max()?;
    let limits = queues.iter().map(|queues| queues.tx.min(receivers));
    limits.enumerate().min_by_key(|(_, limit)| *limit)
}

/// The worker of a queue, one of `workers`.
pub(super) fn worker_of(queue: u32, workers: usize) -> usize {
    queue as usize % workers
}

fn distribute(queues: &[Driven], cpus: &[usize]) -> Vec<WorkerPlan> {
    let senders = queues.iter().map(|queues| queues.tx).min().unwrap_or(0);
    let receivers = queues.iter().map(|queues| queues.rx).max().unwrap_or(0);
    let count = (senders.min(receivers) as usize).clamp(1, cpus.len().max(1));
    let mut plans: Vec<_> = (0..count)
        .map(|worker| WorkerPlan {
            worker,
            cpu: cpus.get(worker).copied(),
            queues: Vec::new(),
        })
        .collect();
    let workers = u32::try_from(count).unwrap_or(u32::MAX);
    for (id, queues) in queues.iter().enumerate() {
        for queue in 0..queues.rx.max(workers) {
            // Counts above 65536 have been refused; the kernel has fewer yet.
            let Ok(index) = QueueIndex::new(queue) else {
                break;
            };
            plans[worker_of(queue, count)]
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

    fn queues(rx: u32, tx: u32) -> Driven {
        Driven { rx, tx }
    }

    #[test]
    fn every_worker_has_a_queue_of_each_interface() {
        let plans = distribute(&[queues(4, 4), queues(2, 2)], &[0, 1, 2, 3]);

        assert_eq!(plans.len(), 2);
        assert_eq!(places(&plans[0]), [(0, 0), (0, 2), (1, 0)]);
        assert_eq!(places(&plans[1]), [(0, 1), (0, 3), (1, 1)]);
    }

    #[test]
    fn interface_that_allows_the_fewest_workers_is_named() {
        assert_eq!(limiting(&[queues(4, 4), queues(2, 2)]), Some((1, 2)));
        assert_eq!(limiting(&[queues(4, 1), queues(4, 4)]), Some((0, 1)));
        assert_eq!(limiting(&[queues(1, 4), queues(1, 4)]), Some((0, 1)));
        assert_eq!(limiting(&[]), None);
    }

    #[test]
    fn queues_share_workers_when_cpus_are_few() {
        let plans = distribute(&[queues(4, 4)], &[7]);

        assert_eq!(plans.len(), 1);
        assert_eq!(plans[0].cpu, Some(7));
        assert_eq!(places(&plans[0]).len(), 4);
    }

    #[test]
    fn any_worker_can_send_on_any_interface_and_every_queue_has_one() {
        for (rx_a, tx_a) in [(1, 1), (4, 1), (1, 4), (2, 1), (4, 4), (3, 2)] {
            for (rx_b, tx_b) in [(1, 1), (4, 1), (1, 4), (8, 2)] {
                for cpus in 1..5 {
                    let all = [queues(rx_a, tx_a), queues(rx_b, tx_b)];
                    let cpus: Vec<_> = (0..cpus).collect();

                    let plans = distribute(&all, &cpus);

                    let mut driven: Vec<_> = plans.iter().flat_map(places).collect();
                    for (id, of) in all.iter().enumerate() {
                        for plan in &plans {
                            let sends = |&(on, queue)| on == id && queue < of.tx;
                            assert!(places(plan).iter().any(sends), "{all:?} {plans:?}");
                        }
                        assert!((0..of.rx).all(|queue| driven.contains(&(id, queue))));
                        let bindable = of.rx.max(of.tx);
                        assert!(
                            driven
                                .iter()
                                .all(|&(on, queue)| on != id || queue < bindable)
                        );
                    }
                    driven.sort_unstable();
                    assert!(driven.is_sorted_by(|one, next| one < next), "bound once");
                }
            }
        }
    }

    #[test]
    fn workers_send_on_queues_that_receive_nothing_where_others_are_few() {
        let plans = distribute(&[queues(4, 4), queues(1, 4)], &[0, 1]);

        assert_eq!(places(&plans[1]), [(0, 1), (0, 3), (1, 1)]);
    }
}

//! Threads that frames are detached to: they keep some for a while, drop some, and give
//! the others back.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread::JoinHandle;

use wharf::{DetachedFrame, Waker};

use super::content::is_whole;
use super::random::Random;
use super::tally::{Tally, count};

/// The threads, and the frames that are with them.
pub struct Far {
    threads: Vec<(SyncSender<DetachedFrame>, JoinHandle<()>)>,
    back: Receiver<DetachedFrame>,
    next: usize,
}

/// Frames that may wait for a thread.
const WAITING: usize = 256;
/// Frames that a thread keeps at most.
const KEPT: usize = 128;

impl Far {
    pub fn new(threads: usize, seed: u64, waker: &Waker, tally: &Arc<Tally>) -> Self {
        let (sender, back) = channel();
        let start = |stream| {
            let (to, from) = sync_channel(WAITING);
            let random = Random::new(seed, stream);
            let (sender, waker, tally) = (sender.clone(), waker.clone(), Arc::clone(tally));
            let thread = std::thread::spawn(move || run(&from, &sender, random, &waker, &tally));
            (to, thread)
        };
        Self {
            threads: (100..).take(threads).map(start).collect(),
            back,
            next: 0,
        }
    }

    /// Hands a frame to the next thread, or drops it if that has as many as it takes, or
    /// has ended: frames still arrive while an engine ends.
    pub fn take(&mut self, frame: DetachedFrame) {
        self.next += 1;
        let next = self.next.checked_rem(self.threads.len());
        if let Some((thread, _)) = next.and_then(|next| self.threads.get(next))
            && let Err(TrySendError::Full(frame)) = thread.try_send(frame)
        {
            drop(frame);
        }
    }

    /// A frame that came back.
    pub fn back(&self) -> Option<DetachedFrame> {
        self.back.try_recv().ok()
    }

    /// Ends the threads, which drop what they have.
    pub fn end(&mut self) {
        for (to, thread) in self.threads.drain(..) {
            drop(to);
            // A thread that panicked has been said to.
            let _ = thread.join();
        }
        while self.back().is_some() {}
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(
    from: &Receiver<DetachedFrame>,
    back: &Sender<DetachedFrame>,
    mut random: Random,
    waker: &Waker,
    tally: &Tally,
) {
    let mut kept: Vec<DetachedFrame> = Vec::new();
    for frame in from {
        kept.push(frame);
        while kept.len() > KEPT || random.percent(45) {
            let Some(last) = u32::try_from(kept.len()).ok().filter(|len| *len > 0) else {
                break;
            };
            let frame = kept.swap_remove(random.below(last) as usize);
            if !is_whole(&frame) {
                count(&tally.corrupt);
            }
            if random.percent(50) {
                drop(frame);
            } else if back.send(frame).is_ok() {
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use wharf::{RingCapacity, SimulatedWorker, Umem, UmemConfig, XskConfig};

    use super::*;

    struct Idle;

    impl wharf::Application for Idle {
        fn receive(&mut self, _: wharf::Batch<'_>, _: &mut wharf::Outbox<'_>) {}
    }

    #[test]
    fn frames_that_come_after_the_end_are_dropped() {
        let umem = Umem::new(&UmemConfig::new(256)).expect("memory");
        let config = XskConfig::new(RingCapacity::new(64).expect("a power of two"));
        let mut far = None;
        let made = SimulatedWorker::new_with(&umem, &[config], |context| {
            far = Some(Far::new(2, u64::MAX, &context.waker(), &Arc::default()));
            Idle
        });
        let (_worker, _nics) = made.expect("an xsk");
        let mut far = far.expect("it was made");

        far.end();
        far.take(umem.allocate().expect("a chunk").detach());

        assert!(umem.audit().is_balanced());
        assert_eq!(umem.audit().held(), 0);
    }
}

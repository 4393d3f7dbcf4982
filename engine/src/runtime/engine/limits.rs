//! Limits that change while an engine runs: each worker changes those of its xsks,
//! between two rounds.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::engine::Engine;
use super::worker_requests::{Limit, Request};
use crate::kernel::interface_id::InterfaceId;
use crate::memory::{Limits, LimitsError};

/// How long to wait for workers. One that does not answer is busy in its application, and
/// changes the limits when that returns.
const PATIENCE: Duration = Duration::from_secs(1);

impl Engine {
    /// Changes the limits of all queues and their xsks, those that appear later included.
    /// Waits until the workers have done so, for a second at the most. What is beyond a
    /// lower limit already comes back as frames do.
    ///
    /// # Errors
    ///
    /// [`LimitsError`] if they contradict each other, or a worker's UMEM does not suffice
    /// for them. Nothing has changed on that worker then.
    pub fn set_limits(&self, limits: Limits) -> Result<(), LimitsError> {
        self.limit(None, limits)
    }

    /// As [`set_limits`](Self::set_limits), on one interface.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn set_interface_limits(
        &self,
        interface: InterfaceId,
        limits: Limits,
    ) -> Result<(), LimitsError> {
        self.limit(Some(interface), limits)
    }

    fn limit(&self, interface: Option<InterfaceId>, limits: Limits) -> Result<(), LimitsError> {
        let (reply, replies) = channel();
        let mut awaited = 0;
        for (worker, running) in self.workers.iter().enumerate() {
            let request = Limit {
                interface,
                limits,
                reply: reply.clone(),
            };
            running
                .requests
                .send(Request::Limit(request), worker, &self.shutdown);
            // An application that asks for itself is answered after it has returned.
            awaited += usize::from(!running.is_this_thread());
        }
        drop(reply);
        let deadline = Instant::now() + PATIENCE;
        for _ in 0..awaited {
            let left = deadline.saturating_duration_since(Instant::now());
            match replies.recv_timeout(left) {
                Ok(answer) => answer?,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(())
    }
}

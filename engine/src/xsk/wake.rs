//! Waking the kernel, so that it takes what is in the TX ring.
//!
//! What was sent is read off the rings, never off `sendto`'s return value, which
//! says 0 for a drained ring, for a descriptor that the kernel refused, and (to
//! 6.12) for a full completion ring. Two of its errors mean something: `EBUSY`
//! says, in copy mode, that the kernel took exactly one frame and dropped it
//! (`__xsk_generic_xmit` in `net/xdp/xsk.c`), and `ENXIO` or `ENETDOWN` that the
//! interface is gone or down.

use super::send_error::WakeError;
use super::tx::TxHalf;
use crate::kernel::CopyMode;
use crate::kernel::sys::socket;

/// What the kernel says when it is woken, in copy mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// It took all there was, or stopped behind a descriptor that it refused. A full
    /// completion ring does not occur: what is in flight fits it.
    Done,
    /// It dropped one frame, and stopped behind it.
    Dropped,
    /// It stopped before a frame.
    Later,
}

/// How long to go on waking a kernel that need not show what it did.
///
/// Before Linux 6.17 it shows what it took from the TX ring late, mostly when it
/// has taken all. A descriptor that it refuses, at which it stops (since 6.6), it may
/// not even complete (before 6.12.114, 6.18.44 and 7.2).
struct Patience {
    /// Calls without visible progress since the last that had some.
    stalled: u32,
    /// Descriptors that it can still have taken without showing it: each that it
    /// refuses or drops is one, so an answer that does not end ends all the same.
    unseen: u32,
}

impl Patience {
    fn new(pending: u32) -> Self {
        Self {
            stalled: 0,
            unseen: pending,
        }
    }

    /// Notes one call, and returns whether another may get further.
    fn after(&mut self, answer: Answer, progress: bool) -> bool {
        match answer {
            _ if progress => self.stalled = 0,
            // With more in the ring, that was a refusal.
            Answer::Done if self.unseen > 0 => self.unseen -= 1,
            Answer::Dropped if self.unseen > 0 => {
                self.unseen -= 1;
                self.stalled = 0;
            }
            _ => self.stalled += 1,
        }
        self.stalled < 2
    }
}

impl TxHalf {
    /// See [`XskTx::wake`](super::XskTx::wake).
    #[inline]
    pub(crate) fn wake(&mut self) -> Result<(), WakeError> {
        if self.is_known_empty() {
            return Ok(());
        }
        self.publish_and_wake()
    }

    /// Whether nothing was sent that the kernel is not known to have taken: then there is
    /// nothing to wake it for.
    #[inline]
    pub(crate) fn is_known_empty(&self) -> bool {
        self.ring.is_known_empty()
    }

    #[inline(never)]
    fn publish_and_wake(&mut self) -> Result<(), WakeError> {
        self.publish();
        if self.ring.pending() > 0 && self.ring.wants_wakeup() {
            self.kick_until_stalled()?;
        }
        Ok(())
    }

    /// Wakes the kernel although it does not ask, if it has frames to take: in
    /// case the request was missed.
    pub(crate) fn wake_regardless(&mut self) -> Result<(), WakeError> {
        self.publish();
        self.kick_until_stalled()
    }

    /// Makes system calls while frames are pending and the kernel takes them.
    fn kick_until_stalled(&mut self) -> Result<(), WakeError> {
        let mut progress = self.progress();
        let mut patience = Patience::new(self.ring.pending());
        while self.ring.pending() > 0 {
            let answer = self.kick()?;
            if self.mode == CopyMode::ZeroCopy {
                // The driver goes on by itself.
                break;
            }
            let now = self.progress();
            if !patience.after(answer, now != progress) {
                break;
            }
            progress = now;
        }
        Ok(())
    }

    /// Changes whenever the kernel has visibly taken or finished a frame. Before
    /// Linux 6.17 it publishes its consumer index late, but completes in time.
    fn progress(&mut self) -> (u32, u32) {
        (
            self.ring.pending(),
            self.member.queue().completions_available(),
        )
    }

    /// One system call.
    fn kick(&mut self) -> Result<Answer, WakeError> {
        let Some(socket) = self.socket() else {
            return Ok(Answer::Later);
        };
        let answer = socket::kick_tx(socket);
        self.counters.wakeups += 1;
        let Err(error) = answer else {
            return Ok(Answer::Done);
        };
        match (error.raw_os_error(), self.mode) {
            (Some(libc::EBUSY), CopyMode::Copy) => {
                self.counters.dropped_by_kernel += 1;
                Ok(Answer::Dropped)
            }
            // Out of budget, send buffer or memory, or a busy driver: what is
            // left stays in the ring.
            (
                Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS | libc::ENOMEM | libc::EOVERFLOW),
                _,
            ) => Ok(Answer::Later),
            (Some(libc::ENETDOWN), _) => Err(WakeError::Down),
            (Some(libc::ENXIO | libc::EBADF), _) => Err(WakeError::Gone),
            _ => Err(WakeError::Other(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls made while `answer` says what the kernel answers and whether it shows
    /// that it did something, 1000 at most.
    fn calls(pending: u32, answer: impl Fn(u32) -> (Answer, bool)) -> u32 {
        let mut patience = Patience::new(pending);
        let is_last = |call: &u32| {
            let (answer, progress) = answer(*call);
            !patience.after(answer, progress)
        };
        (1..1000).find(is_last).unwrap_or(1000)
    }

    #[test]
    fn refusals_that_do_not_show_are_got_past() {
        let refuses_in_silence = |_| (Answer::Done, false);

        // One call each, and two in which it does nothing at all.
        assert_eq!(calls(100, refuses_in_silence), 102);
    }

    #[test]
    fn kernel_that_takes_no_more_is_asked_twice() {
        let full = |_| (Answer::Later, false);
        let full_after_ten = |call| (Answer::Later, call <= 10);

        assert_eq!(calls(100, full), 2);
        assert_eq!(calls(100, full_after_ten), 12);
    }

    #[test]
    fn drops_that_do_not_show_are_got_past_and_end() {
        let drops_in_silence = |_| (Answer::Dropped, false);
        let drops_and_stops = |call: u32| match call.is_multiple_of(2) {
            true => (Answer::Dropped, false),
            false => (Answer::Later, false),
        };

        // A frame each, and two that cannot have been there.
        assert_eq!(calls(100, drops_in_silence), 102);
        assert_eq!(calls(100, drops_and_stops), 202);
    }

    #[test]
    fn progress_makes_up_for_one_call_without() {
        let every_second = |call: u32| (Answer::Later, call.is_multiple_of(2));

        assert_eq!(calls(100, every_second), 1000, "no end");
    }
}

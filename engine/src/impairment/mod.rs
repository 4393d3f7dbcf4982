//! Impairments: delay, loss, duplication and all else that a bad line does to frames,
//! as `tc netem` does it, for traffic that goes around queueing disciplines.
//!
//! An [`Impairment`] is the words. What becomes of each frame is decided as in the
//! kernel's `sch_netem` (net/sched/sch_netem.c, Linux 6.18), in this order:
//!
//! 1. It is duplicated, or not; and it is lost, or not. A frame of which both is said is
//!    sent once.
//! 2. One of its bits is flipped, or none.
//! 3. If as many frames are held as the limit allows, it is dropped.
//! 4. Its copy, if there is one, is lost, changed and dropped as frames are, but never
//!    duplicated.
//! 5. It is sent at once, where `reorder` says so, or else after its delay. With a rate,
//!    it follows the frame before it, and takes its time on the line.
//!
//! Held frames leave in the order of their times, not of their arrival, so a jitter
//! without a rate reorders frames as it does in the kernel; with a rate it does not.
//! Frames of the same time keep their order.
//!
//! [`Impairments`] are those of the two directions of a wire, to be changed while it
//! runs, and [`ImpairedWire`] is the application that forwards.

mod copying;
mod distribution;
mod impairments;
mod loss;
mod model;
mod parse;
mod percent;
mod queue;
mod random;
mod settings;
#[cfg(test)]
mod tests;
mod units;
mod wire;

pub use distribution::Distribution;
pub use impairments::{ImpairmentCounts, Impairments, TooManyHeld, capacity, chunks_for};
pub use percent::Percent;
pub use settings::Impairment;
pub use wire::ImpairedWire;

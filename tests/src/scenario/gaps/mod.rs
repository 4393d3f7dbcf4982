//! What the kernel's own suite leaves untested, and Wharf must stand: interfaces
//! that go, rings that fill up, descriptors that are wrong, queues that are
//! closed at the worst time. The table in `tests/README.md` says which gap is
//! proven where, here or by an engine or a command as a whole.
//!
//! ```text
//!   interface    deleted, down and up, in several network namespaces
//!   close        frames in flight, mappings that leak, SIGKILL
//!   pressure     full rings, a full send buffer, frames the kernel loses
//!   descriptors  odd addresses, bad metadata, queues beyond the last
//!   sharing      several queues, several xsks on one, other programs
//! ```

mod close;
mod descriptors;
mod interface;
mod pressure;
mod restart;
mod sharing;
mod stall;

use std::time::{Duration, Instant};

pub use close::*;
pub use descriptors::*;
pub use interface::*;
pub use pressure::*;
pub use restart::*;
pub use sharing::*;

use wharf::UmemConfig;

use super::{End, EndConfig, Medium, Side, Track, Usual, exchange, frames_of};

/// How long a call may take that must not wait for anything.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Both ends of a track, as usual.
fn ends(track: &Track) -> (End, End) {
    let bind = |side| End::bind(track, side);
    (bind(Side::Near), bind(Side::Far))
}

/// A usual end, with so much memory that a second queue can be bound after what
/// the first had is written off.
fn roomy(track: &Track) -> EndConfig {
    let mut config = EndConfig::new(track);
    config.umem = UmemConfig::new(4096);
    config
}

/// Frames still go from end to end, and all is settled afterwards.
#[track_caller]
fn assert_usable(track: &Track, near: &mut End, far: &mut End) {
    exchange(&mut Usual, near, far, &frames_of(track, 300, 64));
    near.assert_settled();
    far.assert_settled();
}

/// Hands the kernel frames, without telling it.
fn give(near: &mut End, frames: &[Vec<u8>]) {
    for bytes in frames {
        let frame = near.make(bytes);
        near.transmit(frame);
    }
}

/// What `call` gives, which it does at once.
#[track_caller]
fn at_once<T>(what: &str, call: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = call();
    let elapsed = started.elapsed();
    assert!(elapsed < AT_ONCE, "{what} took {elapsed:?}");
    result
}

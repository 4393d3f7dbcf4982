//! The kernel's own AF_XDP scenarios, against Wharf: the 36 cases of
//! `tools/testing/selftests/bpf/xskxceiver.c` (Linux 6.12; `prog_tests/test_xsk.c`
//! from 6.18 on) under their names, in our own code.
//!
//! ```text
//!   medium    what connects the two ends, and in which mode they run
//!   end       queue 0 of an interface, its program and its UMEM
//!   own       an XDP program of the test's own
//!   exchange  frames from one end to the other, looked at one by one
//!   gaps      what that suite leaves untested, under names of our own
//!   place     frames in places of a test's choice
//!   damaged   what becomes of frames whose descriptors were damaged
//! ```
//!
//! Each scenario is a function of the [`Medium`] it runs over, so that the same
//! code runs on a veth pair (`tests/tests/scenarios`) and in a guest whose NICs
//! do zero copy (`tests/guest/scenarios.rs`).

mod damaged;
mod descriptors;
mod end;
mod exchange;
mod gaps;
mod medium;
mod multi_buffer;
mod own;
mod place;
mod poll;
mod programs;
mod refused;
mod rings;
mod sharing;
mod statistics;
mod torn;
mod traffic;
mod unaligned;

pub use damaged::Damaged;
pub use descriptors::*;
pub use end::{End, EndConfig, Provoked, Redirects, ends};
pub use exchange::{Steps, Usual, WINDOW, exchange, frames_of};
pub use gaps::*;
pub use medium::{Medium, Side, Track, TrackOptions};
pub use multi_buffer::*;
pub use own::{Object, Outcome, OwnProgram};
pub use place::{Chunks, put, put_across};
pub use poll::*;
pub use programs::*;
pub use refused::*;
pub use rings::*;
pub use sharing::*;
pub use statistics::*;
pub use torn::*;
pub use traffic::*;
pub use unaligned::*;

/// Makes a test of each scenario for one medium: `MODULE::NAME`.
#[macro_export]
macro_rules! scenarios {
    ($module:ident: $medium:ident => $($name:ident),+ $(,)?) => {
        mod $module {
            $(
                #[test]
                fn $name() {
                    wharf_tests::scenario::$name(wharf_tests::scenario::Medium::$medium);
                }
            )+
        }
    };
}

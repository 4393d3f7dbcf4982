//! What the cases share: Wharf on a real kernel, seen from outside.
//!
//! ```text
//!   binary    where the `wharf` command is
//!   forward   `wharf forward` as a process on a wire, and its last JSON line
//!   control   a directory of control sockets, and `wharf steer` with it
//!   control_group  a limit of memory or of threads for a program
//!   machine   what an interface must be like before and after, and the kernel's version
//!   occupant  an XDP program of somebody else
//!   conversation  TCP between kernels, tried with bounds
//!   account   frames in = frames out + drops, and chunks in = chunks out
//!   traffic   frames that nobody answers, and a thread that sends them
//!   waiting   bounded waits
//!   forbidden  system calls that are refused
//!   scenario  the kernel's own AF_XDP scenarios, over any medium
//! ```
//!
//! Every case makes network namespaces of its own, so cases do not meet and
//! nothing outside is touched. Without privileges a case says that it is
//! skipped, or fails where `WHARF_TESTS_REQUIRED` is `1`.

mod account;
mod binary;
mod control;
mod control_group;
mod conversation;
mod forbidden;
mod forward;
mod machine;
mod occupant;
mod traffic;
mod waiting;

pub mod scenario;

pub use account::{assert_all_home, assert_balanced, assert_conserved, assert_nothing_dropped};
pub use binary::{keep_sockets_apart, wharf, wharf_in};
pub use control::ControlDirectory;
pub use control_group::ControlGroup;
pub use conversation::{Connection, connect, listen, reach};
pub use forbidden::forbid;
pub use forward::{Forward, Report, SOON, error_and_mark, last_line, number, single_line};
pub use machine::{InterfaceState, assert_no_program, is_older_than, state_of};
pub use occupant::{Occupant, Place};
pub use traffic::{Stream, quiet_flow, send_within, unanswered};
pub use waiting::{eventually, wait_until};

/// Makes a test of each function, once with the XDP program in the driver and
/// once behind it: `native::name` and `generic::name`.
#[macro_export]
macro_rules! in_both_modes {
    ($($name:ident),+ $(,)?) => {
        mod native {
            $(
                #[test]
                fn $name() {
                    super::$name(wharf::Attach::Native);
                }
            )+
        }
        mod generic {
            $(
                #[test]
                fn $name() {
                    super::$name(wharf::Attach::Generic);
                }
            )+
        }
    };
}

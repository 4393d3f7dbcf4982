//! What the machine allows this process, and what the kernel means when it refuses.
//!
//! A system call that fails for want of something returns a number and no more: not
//! which limit, whose it is, how high, or how to raise it. Errors of the floors above
//! ask here for the words ([`explain_refusal`]), so that they are the same everywhere.

mod control_group;
mod forbidden;
mod kernel_call;
mod memory;
mod refusal;

pub use kernel_call::KernelCall;
pub use memory::{MemoryGroup, tightest_memory_group};
pub(crate) use memory::{address_space, available_memory};
pub use refusal::explain_refusal;

//! What an XDP program decides about a frame.

/// What the program decides about a frame.
/// Source: `enum xdp_action` in `include/uapi/linux/bpf.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// `XDP_ABORTED`: dropped because of an error.
    Aborted,
    /// `XDP_DROP`.
    Drop,
    /// `XDP_PASS`: goes to the kernel's stack.
    Pass,
    /// `XDP_TX`: goes back out of the interface.
    Transmit,
    /// `XDP_REDIRECT`: goes to the xsk of the queue.
    Redirect,
    /// None of the above.
    Other(u32),
}

impl From<u32> for Verdict {
    fn from(action: u32) -> Self {
        match action {
            0 => Self::Aborted,
            1 => Self::Drop,
            2 => Self::Pass,
            3 => Self::Transmit,
            4 => Self::Redirect,
            other => Self::Other(other),
        }
    }
}

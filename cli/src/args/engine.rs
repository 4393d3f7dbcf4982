//! The engine's settings on the command line.

use clap::{Args, Parser, ValueEnum};
use wharf::{Copybreak, EngineBuilder, SteeringConfig, UmemConfig};

use super::copybreak::copybreak;
use super::limit::LimitArg;
use super::number::{CpuList, Watchdog, watchdog, whole, within};

/// The engine's settings.
#[derive(Args, Debug)]
#[command(next_help_heading = "Engine")]
pub struct EngineArgs {
    /// Use queues 0 to N-1 of each interface [default: all]
    #[arg(long, value_name = "N", value_parser = whole::<u32>, allow_negative_numbers = true)]
    pub queues: Option<u32>,
    /// Open N xsks on each queue; the rule `redirect:1 udp` selects the second
    #[arg(long, hide_short_help = true, value_name = "N", value_parser = within::<u8>(1..=u8::MAX.into()), default_value_t = SteeringConfig::default().xsks_per_queue, allow_negative_numbers = true)]
    pub xsks_per_queue: u8,
    /// Choose how frames reach user space
    #[arg(long, hide_short_help = true, value_enum, default_value_t)]
    pub mode: ModeArg,
    /// Choose whether a frame may take several chunks, as with a large MTU
    #[arg(long, hide_short_help = true, value_enum, default_value_t)]
    pub multi_buffer: MultiBufferArg,
    /// Choose where the XDP program runs
    #[arg(long, hide_short_help = true, value_enum, default_value_t)]
    pub attach: AttachArg,
    /// Set the chunks of packet memory per worker; each holds a frame, or part of one
    /// [default: 16384, or what --impair needs]
    #[arg(long, hide_short_help = true, value_name = "CHUNKS", value_parser = whole::<u32>, allow_negative_numbers = true)]
    pub frames: Option<u32>,
    /// Set the size of a chunk, 2048 or 4096; a frame may use all but 256 bytes of it
    #[arg(long, hide_short_help = true, value_name = "BYTES", value_parser = whole::<u32>, default_value_t = UmemConfig::DEFAULT_CHUNK_SIZE, allow_negative_numbers = true)]
    pub chunk_size: u32,
    /// Lay chunks out across page borders
    ///
    /// This allows any --chunk-size from 2048 to 4096. Zero copy then needs --huge-pages.
    #[arg(long, hide_short_help = true)]
    pub unaligned_chunks: bool,
    /// Put packet memory on huge pages
    ///
    /// Reserve them beforehand with `sysctl vm.nr_hugepages=N`. Each worker takes whole
    /// pages. Without a value, it is `require`.
    #[arg(long, hide_short_help = true, value_enum, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_value = "never", default_missing_value = "require")]
    pub huge_pages: HugePagesArg,
    /// Copy frames below so many bytes out of packet memory if they are held, or `off` [default: off]
    ///
    /// A forwarder holds frames only for --impair. A copy takes no chunk.
    #[arg(long, hide_short_help = true, value_name = "BYTES", value_parser = copybreak, allow_negative_numbers = true)]
    pub copybreak: Option<Copybreak>,
    /// Limit packet memory, in frames or bytes, e.g. held=1024,transmit=8MiB
    ///
    /// `chunks` of each queue, in all; `floor`, those of them that stay with the kernel to
    /// receive into; `held` by the application; in `transmit`; `policy` for frames beyond
    /// (drop-newest, backpressure or copy-out); `memory` of all workers together. Separate them by
    /// commas, or repeat the option.
    #[arg(long = "limit", hide_short_help = true, value_name = "LIMIT=AMOUNT", value_delimiter = ',', value_parser = str::parse::<LimitArg>)]
    pub limits: Vec<LimitArg>,
    /// Set the entries of each ring, a power of two from 64
    #[arg(long, hide_short_help = true, value_name = "ENTRIES", value_parser = whole::<u32>, default_value_t = EngineBuilder::DEFAULT_RING_SIZE, allow_negative_numbers = true)]
    pub ring_size: u32,
    /// Take at most this many frames from a queue at a time
    #[arg(long, hide_short_help = true, value_name = "FRAMES", value_parser = whole::<u32>, default_value_t = EngineBuilder::DEFAULT_BATCH_SIZE, allow_negative_numbers = true)]
    pub batch: u32,
    /// Run workers on these CPUs, e.g. 0-3,6 [default: all]
    ///
    /// One worker runs on each. The default is those that this process may use.
    #[arg(long, value_name = "LIST", allow_negative_numbers = true)]
    pub cpus: Option<CpuList>,
    /// Choose what a worker does while there is no traffic
    #[arg(long, hide_short_help = true, value_enum, default_value_t)]
    pub wait: WaitArg,
    /// Choose what to do when an interface is set down
    #[arg(long, hide_short_help = true, value_enum, default_value_t)]
    pub on_link_down: OnLinkDownArg,
    /// Report it when no sent frame came back for this many seconds, or `off`
    ///
    /// Frames that are sent come back when the driver, and whoever they went to, are done
    /// with them. The kernel is woken once more before.
    #[arg(long, hide_short_help = true, value_name = "SECONDS", default_value = "5", value_parser = watchdog, allow_negative_numbers = true)]
    pub tx_watchdog: Watchdog,
    /// Run even on a kernel known to panic
    ///
    /// Linux 6.16 and 6.17 do, on frames sent in copy mode to a stack on the same machine.
    #[arg(long, hide_short_help = true)]
    pub risk_kernel_panic: bool,
}

/// The defaults of the options above.
impl Default for EngineArgs {
    fn default() -> Self {
        #[derive(Parser)]
        struct NoOptions {
            #[command(flatten)]
            engine: EngineArgs,
        }
        NoOptions::parse_from(["wharf"]).engine
    }
}

/// [`wharf::Mode`] on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// Use zero copy where possible, else copy; the start says which and why
    #[default]
    Auto,
    /// Have the NIC read and write packet memory itself; fail where it cannot
    ZeroCopy,
    /// Have the kernel copy each frame
    Copy,
}

impl From<ModeArg> for wharf::Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Auto => Self::Auto,
            ModeArg::ZeroCopy => Self::ZeroCopy,
            ModeArg::Copy => Self::Copy,
        }
    }
}

/// [`wharf::Pages`] on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum HugePagesArg {
    /// Use the usual pages
    #[default]
    Never,
    /// Use huge pages if there are enough; the start says why not
    Prefer,
    /// Fail where there are too few
    Require,
}

impl From<HugePagesArg> for wharf::Pages {
    fn from(huge_pages: HugePagesArg) -> Self {
        match huge_pages {
            HugePagesArg::Never => Self::Base,
            HugePagesArg::Prefer => Self::PreferHuge,
            HugePagesArg::Require => Self::Huge,
        }
    }
}

/// [`wharf::MultiBuffer`] on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum MultiBufferArg {
    /// Allow it where an interface's MTU does not fit a chunk
    #[default]
    Auto,
    /// Allow it whatever the MTU
    Always,
    /// Refuse an MTU that does not fit a chunk
    Never,
}

impl From<MultiBufferArg> for wharf::MultiBuffer {
    fn from(multi_buffer: MultiBufferArg) -> Self {
        match multi_buffer {
            MultiBufferArg::Auto => Self::Auto,
            MultiBufferArg::Always => Self::Always,
            MultiBufferArg::Never => Self::Never,
        }
    }
}

/// [`wharf::Attach`] on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum AttachArg {
    /// Run natively where possible, else generically; the start says which and why
    #[default]
    Auto,
    /// Run in the driver; fail where it cannot
    Native,
    /// Run behind the driver: works everywhere, but slower
    Generic,
}

impl From<AttachArg> for wharf::Attach {
    fn from(attach: AttachArg) -> Self {
        match attach {
            AttachArg::Auto => Self::Auto,
            AttachArg::Native => Self::Native,
            AttachArg::Generic => Self::Generic,
        }
    }
}

/// [`wharf::Wait`] on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum WaitArg {
    /// Spin briefly, then sleep: fast under load, almost free when idle
    #[default]
    Adaptive,
    /// Never sleep: the lowest latency, one whole CPU per worker
    Spin,
    /// Sleep at once: the least CPU
    Poll,
}

impl From<WaitArg> for wharf::Wait {
    fn from(wait: WaitArg) -> Self {
        match wait {
            WaitArg::Adaptive => Self::Adaptive,
            WaitArg::Spin => Self::Spin,
            WaitArg::Poll => Self::Poll,
        }
    }
}

/// [`wharf::OnLinkDown`] on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OnLinkDownArg {
    /// Go on: drop and count frames to it until it is up again
    #[default]
    Wait,
    /// End with an error
    End,
}

impl From<OnLinkDownArg> for wharf::OnLinkDown {
    fn from(on_link_down: OnLinkDownArg) -> Self {
        match on_link_down {
            OnLinkDownArg::Wait => Self::Wait,
            OnLinkDownArg::End => Self::End,
        }
    }
}

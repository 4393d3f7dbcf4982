//! What the engine can be told on the command line.

use clap::{Args, ValueEnum};
use wharf::{EngineBuilder, UmemConfig};

/// What the engine is told.
#[derive(Args, Debug)]
#[command(next_help_heading = "Engine")]
pub struct EngineArgs {
    /// Take queues 0 to N-1 of each interface [default: all of them]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub queues: Option<u32>,
    /// Xsks for each queue, which rules tell apart: `redirect:1 udp` goes to
    /// the second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..), default_value_t = 1, allow_negative_numbers = true)]
    pub xsks_per_queue: u8,
    /// How frames reach user space
    #[arg(long, value_enum, default_value_t)]
    pub mode: ModeArg,
    /// Whether frames may lie in several chunks, as those of a large MTU do
    #[arg(long, value_enum, default_value_t)]
    pub multi_buffer: MultiBufferArg,
    /// Where the XDP program runs
    #[arg(long, value_enum, default_value_t)]
    pub attach: AttachArg,
    /// Chunks of packet memory per worker; each holds one frame, or a part of one
    #[arg(long, value_name = "CHUNKS", default_value_t = EngineBuilder::DEFAULT_FRAMES, allow_negative_numbers = true)]
    pub frames: u32,
    /// Bytes of a chunk, 2048 or 4096, of which a frame has all but 256
    #[arg(long, value_name = "BYTES", default_value_t = UmemConfig::DEFAULT_CHUNK_SIZE, allow_negative_numbers = true)]
    pub chunk_size: u32,
    /// Lay chunks back to back across pages, so that --chunk-size may be any
    /// number from 2048 to 4096; zero copy then takes --huge-pages
    #[arg(long)]
    pub unaligned_chunks: bool,
    /// Make packet memory of huge pages, reserved before with
    /// `sysctl vm.nr_hugepages=N`; each worker takes whole ones
    #[arg(long)]
    pub huge_pages: bool,
    /// Entries of each ring, a power of two from 64
    #[arg(long, value_name = "ENTRIES", default_value_t = EngineBuilder::DEFAULT_RING_SIZE, allow_negative_numbers = true)]
    pub ring_size: u32,
    /// Most frames taken from a queue at a time
    #[arg(long, value_name = "FRAMES", default_value_t = EngineBuilder::DEFAULT_BATCH_SIZE, allow_negative_numbers = true)]
    pub batch: u32,
    /// CPUs for the workers, one worker each, e.g. 0,1 [default: those this
    /// process may use]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub cpus: Vec<usize>,
    /// What a worker does without traffic
    #[arg(long, value_enum, default_value_t)]
    pub wait: WaitArg,
    /// Run even where this kernel is known to panic: Linux 6.16 and 6.17, on
    /// frames sent in copy mode to a stack on the same machine
    #[arg(long)]
    pub risk_kernel_panic: bool,
}

impl Default for EngineArgs {
    fn default() -> Self {
        Self {
            queues: None,
            xsks_per_queue: 1,
            mode: ModeArg::default(),
            multi_buffer: MultiBufferArg::default(),
            attach: AttachArg::default(),
            frames: EngineBuilder::DEFAULT_FRAMES,
            chunk_size: UmemConfig::DEFAULT_CHUNK_SIZE,
            unaligned_chunks: false,
            huge_pages: false,
            ring_size: EngineBuilder::DEFAULT_RING_SIZE,
            batch: EngineBuilder::DEFAULT_BATCH_SIZE,
            cpus: Vec::new(),
            wait: WaitArg::default(),
            risk_kernel_panic: false,
        }
    }
}

/// [`wharf::Mode`] on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// Zero copy where it can be had, else copy; says which and why
    #[default]
    Auto,
    /// The NIC reads and writes packet memory itself, or an error says why not
    ZeroCopy,
    /// The kernel copies
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

/// [`wharf::MultiBuffer`] on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum MultiBufferArg {
    /// Where an interface's MTU does not fit a chunk
    #[default]
    Auto,
    /// Always, whatever the MTU
    Always,
    /// Never: an MTU that does not fit a chunk is an error
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
    /// Native where it can be had, else generic; says which and why
    #[default]
    Auto,
    /// In the driver, or an error says why not
    Native,
    /// Behind the driver: works everywhere, slower
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
    /// Spins shortly, then sleeps: fast under load, idle costs next to nothing
    #[default]
    Adaptive,
    /// Never sleeps: the lowest latency, one whole CPU per worker
    Spin,
    /// Sleeps at once: the least CPU
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

//! What connects the two ends of a scenario: a veth pair of the test's own, or
//! two NICs of the guest it runs in.

use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
use std::process::Command;

use wharf::{Attach, CopyMode, Mode};
use wharf_testbed::{Entered, MacAddress, Pair, Testbed, UdpFlow, require_privileges};

use crate::{SOON, unanswered};

/// Where the program runs and how frames travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A veth pair, the program in the driver, copy mode.
    Native,
    /// A veth pair, the program behind the driver, copy mode.
    Generic,
    /// Two virtio NICs of a guest, zero copy.
    ZeroCopy,
}

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that sends, where only one does.
    Near,
    /// The one that receives.
    Far,
}

/// What a track is to be like.
#[derive(Clone, Copy, Debug)]
pub struct TrackOptions {
    /// Queues of each interface of a veth pair.
    pub queues: u32,
    /// The MTU of both interfaces.
    pub mtu: u32,
}

/// Two interfaces, wired to each other.
#[derive(Debug)]
pub struct Track {
    medium: Medium,
    /// `None` in a guest, whose interfaces are there already.
    pair: Option<Pair>,
}

impl Medium {
    /// A veth pair, with the program where `attach` says.
    ///
    /// # Panics
    ///
    /// When that is left open.
    #[must_use]
    pub fn veth(attach: Attach) -> Self {
        match attach {
            Attach::Native => Self::Native,
            Attach::Generic => Self::Generic,
            other => panic!("a case says where its program is, not {other:?}"),
        }
    }

    /// Where the program is attached.
    #[must_use]
    pub fn attach(self) -> Attach {
        match self {
            Self::Native | Self::ZeroCopy => Attach::Native,
            Self::Generic => Attach::Generic,
        }
    }

    /// How a queue is bound.
    #[must_use]
    pub fn mode(self) -> Mode {
        match self {
            Self::Native | Self::Generic => Mode::Copy,
            Self::ZeroCopy => Mode::ZeroCopy,
        }
    }

    /// What the kernel must then say of the socket.
    #[must_use]
    pub fn copy_mode(self) -> CopyMode {
        match self {
            Self::Native | Self::Generic => CopyMode::Copy,
            Self::ZeroCopy => CopyMode::ZeroCopy,
        }
    }
}

impl Default for TrackOptions {
    fn default() -> Self {
        Self {
            queues: 1,
            mtu: 1500,
        }
    }
}

impl Track {
    /// Two interfaces with one queue and an MTU of 1500. `None` says that the
    /// case is skipped.
    ///
    /// The calling thread stays on one CPU if the program is behind the driver.
    #[must_use]
    pub fn new(medium: Medium) -> Option<Self> {
        Self::with(medium, TrackOptions::default())
    }

    /// As [`new`](Self::new), otherwise made.
    ///
    /// # Panics
    ///
    /// When there is no veth pair to be had, or zero copy is asked for outside
    /// of a guest.
    #[must_use]
    pub fn with(medium: Medium, options: TrackOptions) -> Option<Self> {
        let pair = match medium {
            Medium::ZeroCopy => {
                assert!(
                    std::env::var_os(GUEST).is_some(),
                    "this takes over eth0 and eth1: only tests/guest/run.sh runs it, in a guest"
                );
                let track = Self { medium, pair: None };
                for side in [Side::Near, Side::Far] {
                    track.set_link(side, &["mtu", &options.mtu.to_string()]);
                }
                return Some(track);
            }
            Medium::Native | Medium::Generic => {
                if !require_privileges() {
                    return None;
                }
                if medium == Medium::Generic {
                    stay_on_one_cpu();
                }
                let pair = Testbed::options().queues(options.queues).mtu(options.mtu);
                Some(pair.pair().expect("a pair"))
            }
        };
        Some(Self { medium, pair })
    }

    /// A track whose interfaces another process has made, and at whose near or far
    /// end this one was started.
    #[must_use]
    pub fn inherited(medium: Medium) -> Self {
        Self { medium, pair: None }
    }

    /// The medium.
    #[must_use]
    pub fn medium(&self) -> Medium {
        self.medium
    }

    /// The veth pair; `None` in a guest.
    #[must_use]
    pub fn pair(&self) -> Option<&Pair> {
        self.pair.as_ref()
    }

    /// Moves the calling thread to where the interface of `side` is, until the
    /// guard is dropped.
    ///
    /// # Panics
    ///
    /// When the host is gone.
    #[must_use]
    pub fn enter(&self, side: Side) -> Option<Entered> {
        let pair = self.pair.as_ref()?;
        let host = match side {
            Side::Near => pair.client(),
            Side::Far => pair.server(),
        };
        Some(host.enter().expect("the host lives"))
    }

    /// Sets the interface of `side` down.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    pub fn set_down(&self, side: Side) {
        match self.wire(side) {
            Some(interface) => interface.set_down().expect("it can be set down"),
            None => self.set_link(side, &["down"]),
        }
    }

    /// Sets the interface of `side` up, and waits until it carries frames.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    pub fn set_up(&self, side: Side) {
        match self.wire(side) {
            Some(interface) => {
                interface.set_up().expect("it can be set up");
                interface.wait_for_carrier(SOON).expect("both are up");
            }
            None => self.set_link(side, &["up"]),
        }
    }

    fn wire(&self, side: Side) -> Option<&wharf_testbed::Interface> {
        let pair = self.pair.as_ref()?;
        Some(match side {
            Side::Near => pair.client_interface(),
            Side::Far => pair.server_interface(),
        })
    }

    /// In a guest, which has `ip`.
    fn set_link(&self, side: Side, what: &[&str]) {
        let mut command = Command::new("ip");
        command
            .args(["link", "set", self.interface(side)])
            .args(what);
        let status = command.status().expect("the guest has it");
        assert!(status.success(), "{command:?}: {status}");
    }

    /// The name of the interface of `side`, where that is.
    #[must_use]
    pub fn interface(&self, side: Side) -> &'static str {
        match (self.medium, side) {
            (Medium::ZeroCopy, Side::Far) => "eth1",
            _ => "eth0",
        }
    }

    /// A flow from `port` of the near to the far end that no stack answers.
    #[must_use]
    pub fn flow(&self, port: u16) -> UdpFlow {
        let Some(pair) = &self.pair else {
            let address = |last| std::net::SocketAddrV4::new([10, 77, 0, last].into(), port);
            // To all, as the NICs filter what is for others.
            let everybody = MacAddress([0xff; 6]);
            return UdpFlow::v4(address(1), address(2))
                .macs(MacAddress([0x52, 0x54, 0, 0, 0, 0]), everybody);
        };
        unanswered(pair.udp_flow(port, 4433))
    }
}

/// Set by `tests/guest/run.sh` inside the guest.
const GUEST: &str = "WHARF_GUEST";

/// Keeps the calling thread on the CPU it is on. A veth without NAPI puts frames
/// into the backlog of the sender's CPU (`netif_rx` in `net/core/dev.c`), so those
/// sent after the thread has moved to another may overtake the ones before, if
/// the first CPU is busy.
fn stay_on_one_cpu() {
    let mut cpus = CpuSet::new();
    cpus.set(sched_getcpu());
    sched_setaffinity(None, &cpus).expect("it runs there already");
}

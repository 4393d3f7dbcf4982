//! An end of a wire: a queue in zero copy, so that a case is zero copy all the
//! way, and frames between two of them.
//!
//! What connects the NICs outside the guest loses none and keeps their order,
//! and no more are in flight than every ring holds.

use std::time::Instant;

use wharf::{
    Amount, Attach, CopyMode, Frame, Interface, Limits, Mode, NicQueue, QueueIndex, RingCapacity,
    Steering, SteeringConfig, Umem, UmemConfig, Xsk, XskConfig,
};
use wharf_testbed::{FlowChecker, MacAddress, UdpFlow};
use wharf_tests::wait_until;

use crate::LIMIT;

/// Entries of every ring, and twice that many chunks in every UMEM.
pub const RING: u32 = 256;
/// Frames between the sender's and the receiver's rings.
const IN_FLIGHT: usize = 128;

/// Queue 0 of an interface in zero copy. The program drops first.
pub struct End {
    steering: Steering,
    pub queue: Xsk,
    umem: Umem,
}

impl End {
    pub fn bind(name: &str) -> Self {
        let umem = Umem::new(&UmemConfig::new(2 * RING)).expect("there is memory");
        let interface = Interface::by_name(name).expect("the guest has it");
        let mut steering =
            Steering::attach(&interface, Attach::Native, 1, &SteeringConfig::default())
                .expect("it attaches");
        let config = XskConfig {
            mode: Mode::ZeroCopy,
            limits: Limits {
                chunks: Some(Amount::Frames(RING)),
                ..Limits::default()
            },
            ..XskConfig::new(RingCapacity::new(RING).expect("a power of two"))
        };
        let index = QueueIndex::new(0).expect("small");
        let bound = NicQueue::new(&umem, steering.interface(), index).bind(&config);
        let (queue, report) = bound.expect("it binds");
        assert_eq!(report.got, CopyMode::ZeroCopy, "{report:?}");
        steering.insert(&queue).expect("there is a slot");
        Self {
            steering,
            queue,
            umem,
        }
    }

    pub fn transmit(&mut self, bytes: &[u8]) {
        let mut frame = self.umem.allocate().expect("few are in flight");
        let len = u32::try_from(bytes.len()).expect("a frame is short");
        let room = frame.grow_back(len).expect("a chunk holds a frame");
        room.copy_from_slice(bytes);
        self.queue.transmit(frame).expect("few are in flight");
    }

    /// All that was sent has been completed, and no chunk is missing.
    pub fn assert_settled(&mut self) {
        wait_until("the driver completes", LIMIT, || {
            self.queue.wake().expect("the interface is up");
            self.queue.recycle();
            self.queue.tx().in_flight() == 0
        });
        let audit = self.umem.audit();
        assert!(audit.is_balanced(), "{audit:?}");
        assert_eq!((audit.held(), audit.transmit, audit.quarantined), (0, 0, 0));
        assert_eq!(self.queue.violations(), 0);
        let rx = self.queue.rx();
        let kernel = rx.kernel_statistics().expect("the socket is open");
        assert_eq!(kernel.tx_invalid_descs, 0);
        let counts = self.steering.counts(0).expect("there is a slot");
        assert_eq!(counts.redirected, rx.counters().frames, "{kernel:?}");
    }
}

/// Frames of all lengths from the shortest that Ethernet knows to the longest.
pub fn frames(flow: UdpFlow, count: u64) -> Vec<Vec<u8>> {
    let one = |sequence: u64| {
        let payload = 18 + usize::try_from(sequence * 37 % 1455).expect("short");
        flow.sequenced(1, payload, sequence..sequence + 1)
    };
    (0..count).flat_map(one).collect()
}

pub fn flow() -> UdpFlow {
    let address = |last| std::net::SocketAddrV4::new([10, 77, 0, last].into(), 4000);
    UdpFlow::v4(address(1), address(2)).macs(
        MacAddress([0x52, 0x54, 0, 0, 0, 0]),
        // To all, as the NICs filter what is for others.
        MacAddress([0xff; 6]),
    )
}

/// Sends every frame from one end and takes them at the other, and gives what
/// arrived. Each is looked at on the way.
pub fn carry(
    from: &mut End,
    to: &mut End,
    sent: &[Vec<u8>],
    mut look: impl FnMut(&Frame),
) -> FlowChecker {
    let mut checker = FlowChecker::new();
    checker.expect(1, sent.len() as u64);
    let (mut next, mut arrived) = (0, 0);
    let deadline = Instant::now() + LIMIT;
    while arrived < sent.len() {
        assert!(
            Instant::now() < deadline,
            "{next} sent, {arrived} arrived: {from:?}, {to:?}"
        );
        while next < sent.len() && next - arrived < IN_FLIGHT {
            from.transmit(&sent[next]);
            next += 1;
        }
        from.queue.wake().expect("the interface is up");
        from.queue.recycle();
        for frame in to.queue.receive(64) {
            checker.observe_frame(&frame);
            look(&frame);
            arrived += 1;
        }
        to.queue.recycle();
    }
    checker
}

impl std::fmt::Debug for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?}", self.queue, self.umem.audit())
    }
}

//! Unaligned chunks with zero copy, on virtio_net, in a guest of
//! `tests/guest/run.sh`, which wires eth0 to eth1: on huge pages they work, on the
//! usual ones they are refused before the kernel loses them.
//!
//! It takes over these interfaces by name, so it refuses to run anywhere else.

use std::time::{Duration, Instant};

use wharf::{
    Attach, ChunkSize, CopyMode, Interface, Mode, Pages, Queue, QueueConfig, QueueIndex,
    RingCapacity, Steering, SteeringConfig, Umem, UmemConfig,
};
use wharf_testbed::{FlowChecker, HugePages, MacAddress, UdpFlow};
use wharf_tests::wait_until;

/// Entries of every ring, and four times that many chunks in every UMEM.
const RING: u32 = 256;
/// How long anything may take; software emulation is slow.
const LIMIT: Duration = Duration::from_secs(40);
/// Frames on their way at once: what connects the NICs drops what finds no room.
const IN_FLIGHT: u64 = 32;

const PAGE: usize = 4096;

fn require_guest() {
    assert!(
        std::env::var_os("WHARF_GUEST").is_some(),
        "this takes over eth0 and eth1: only tests/guest/run.sh runs it, in a guest"
    );
}

fn umem(bytes: u32, pages: Pages) -> Umem {
    let config = UmemConfig {
        chunk_size: ChunkSize::unaligned(bytes).expect("a chunk size"),
        pages,
        ..UmemConfig::new(4 * RING)
    };
    Umem::new(&config).expect("there is memory")
}

fn attach(name: &str) -> Steering {
    let interface = Interface::by_name(name).expect("the guest has it");
    let config = SteeringConfig::default();
    Steering::attach(&interface, Attach::Native, 1, &config).expect("it attaches")
}

fn config(mode: Mode) -> QueueConfig {
    QueueConfig {
        mode,
        chunk_limit: Some(2 * RING),
        ..QueueConfig::new(RingCapacity::new(RING).expect("a power of two"))
    }
}

/// The end of a wire. The program drops first.
struct End {
    _steering: Steering,
    queue: Queue,
    umem: Umem,
    /// Frames with bytes on two pages.
    across: u32,
}

impl End {
    fn bind(name: &str, umem: Umem) -> Self {
        let mut steering = attach(name);
        let index = QueueIndex::new(0).expect("small");
        let config = config(Mode::ZeroCopy);
        let bound = Queue::bind(&umem, steering.interface(), index, &config);
        let (queue, report) = bound.expect("it binds");
        assert_eq!(report.got, CopyMode::ZeroCopy, "{report:?}");
        let socket = queue.socket().expect("a bound queue has a socket");
        steering.insert(0, socket).expect("there is a slot");
        Self {
            _steering: steering,
            queue,
            umem,
            across: 0,
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        let across = bytes.as_ptr().addr() % PAGE + bytes.len() > PAGE;
        self.across += u32::from(across);
    }

    /// All that was sent has been completed, and no chunk is missing.
    fn assert_settled(&mut self) {
        wait_until("the driver completes", LIMIT, || {
            self.queue.wake().expect("the interface is up");
            self.queue.recycle();
            self.queue.halves().1.in_flight() == 0
        });
        let audit = self.umem.audit();
        assert!(audit.is_balanced(), "{audit:?}");
        assert_eq!((audit.held(), audit.transmit, audit.quarantined), (0, 0, 0));
        assert_eq!(self.queue.violations(), 0);
        let (rx, _) = self.queue.halves();
        let kernel = rx.kernel_statistics().expect("the socket is open");
        assert_eq!(kernel.tx_invalid_descs, 0);
    }
}

#[test]
fn chunks_across_pages_carry_frames_in_zero_copy_on_huge_pages() {
    require_guest();
    let _pages = HugePages::reserve(4 + 4).expect("a guest has memory");
    for bytes in [3000, 4001] {
        let mut one = End::bind("eth0", umem(bytes, Pages::Huge));
        let mut two = End::bind("eth1", umem(bytes, Pages::Huge));
        let address = |last| std::net::SocketAddrV4::new([10, 77, 0, last].into(), 4000);
        let near = MacAddress([0x52, 0x54, 0, 0, 0, 0]);
        let flow = UdpFlow::v4(address(1), address(2)).macs(near, MacAddress([0xff; 6]));
        let count = 3000;
        let mut checker = FlowChecker::new();
        checker.expect(1, count);
        let (mut next, mut arrived) = (0, 0);
        let deadline = Instant::now() + LIMIT;

        while arrived < count {
            assert!(Instant::now() < deadline, "{next} sent, {arrived} arrived");
            while next < count && next - arrived < IN_FLIGHT {
                let payload = 18 + usize::try_from(next * 37 % 1455).expect("short");
                let sent = flow.sequenced(1, payload, next..next + 1);
                for bytes in sent {
                    let mut frame = one.umem.allocate().expect("few are in flight");
                    let len = u32::try_from(bytes.len()).expect("a frame is short");
                    // Up to the end of its chunk, now and then.
                    let front = frame.tailroom() - len;
                    frame.grow_back(front).expect("room");
                    frame.grow_back(len).expect("room").copy_from_slice(&bytes);
                    frame.shrink_front(front).expect("as long as that");
                    one.note(&frame);
                    one.queue.transmit(frame).expect("few are in flight");
                }
                next += 1;
            }
            one.queue.wake().expect("the interface is up");
            one.queue.recycle();
            let frames: Vec<_> = two.queue.receive(64).collect();
            for frame in frames {
                two.note(&frame);
                checker.observe_frame(&frame);
                arrived += 1;
            }
            two.queue.recycle();
        }

        assert!(checker.report(1).is_perfect(), "{}", checker.report(1));
        assert!(one.across > 100, "{bytes}: {} were sent across", one.across);
        assert!(two.across > 100, "{bytes}: {} came across", two.across);
        one.assert_settled();
        two.assert_settled();
    }
}

#[test]
fn chunks_across_usual_pages_are_refused_in_zero_copy_and_copied_if_that_will_do() {
    require_guest();
    let steering = attach("eth0");
    let index = QueueIndex::new(0).expect("small");
    let bind = |mode| {
        let umem = umem(3000, Pages::Base);
        Queue::bind(&umem, steering.interface(), index, &config(mode))
    };

    let refused = bind(Mode::ZeroCopy).expect_err("they need not be neighbours");
    let (_queue, report) = bind(Mode::Auto).expect("copy mode takes them");

    assert!(refused.to_string().contains("--huge-pages"), "{refused}");
    assert_eq!(report.got, CopyMode::Copy);
    let fallback = report.fallback.expect("it says why");
    assert!(fallback.contains("lie across pages"), "{fallback}");
}

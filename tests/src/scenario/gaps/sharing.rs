//! Several queues, several xsks on one, and other programs under load.

use wharf::{
    Action, Amount, Expression, Interface, Limits, NicQueue, QueueIndex, Rule, RuleSet, Steering,
    SteeringConfig, Umem, UmemConfig, Xsk, XskConfig, XskIndex,
};
use wharf_testbed::FlowChecker;

use super::{End, EndConfig, Medium, Side, Track, ends, exchange, frames_of, give};
use crate::scenario::{Steps, TrackOptions};
use crate::{SOON, wait_until};

/// Queues of each interface.
const QUEUES: u32 = 4;

/// All queues of one interface, with one UMEM.
struct Side4 {
    steering: Steering,
    queues: Vec<Xsk>,
    umem: Umem,
}

impl Side4 {
    fn bind(track: &Track, side: Side) -> Self {
        let _inside = track.enter(side);
        let interface = Interface::by_name(track.interface(side)).expect("it exists");
        let attach = track.medium().attach();
        let steering = SteeringConfig::default();
        let mut steering =
            Steering::attach(&interface, attach, QUEUES, &steering).expect("it attaches");
        let umem = Umem::new(&UmemConfig::new(4096)).expect("there is memory");
        let config = XskConfig {
            limits: Limits {
                chunks: Some(Amount::Frames(768)),
                ..Limits::default()
            },
            ..EndConfig::new(track).queue
        };
        let bind = |index| {
            let at = QueueIndex::new(index).expect("small");
            let bound = NicQueue::new(&umem, steering.interface(), at).bind(&config);
            let (queue, _) = bound.expect("it binds");
            steering.insert(&queue).expect("there is a slot");
            queue
        };
        Self {
            queues: (0..QUEUES).map(bind).collect(),
            umem,
            steering,
        }
    }
}

/// Frames sent from each queue arrive on one queue of the other end, none is lost,
/// and the program counts them where they are received. Natively that queue has
/// the same number; generic mode on veth shifts them (0 and 1 to 0, 2 to 1, 3 to 2
/// on 6.18), which nobody may depend on.
///
/// # Panics
///
/// When it does not hold.
pub fn every_queue_arrives(medium: Medium) {
    let options = TrackOptions {
        queues: QUEUES,
        ..TrackOptions::default()
    };
    let Some(track) = Track::with(medium, options) else {
        return;
    };
    let mut near = Side4::bind(&track, Side::Near);
    let mut far = Side4::bind(&track, Side::Far);
    // What arrived where: by receiving, then by sending queue.
    let mut matrix = [[0_u64; QUEUES as usize]; QUEUES as usize];
    let mut checker = FlowChecker::new();

    for round in 0..10 {
        for (number, queue) in (0_u32..).zip(&mut near.queues) {
            let flow = track
                .flow(4000)
                .sequenced(number, 64, round * 25..(round + 1) * 25);
            for bytes in flow {
                let mut frame = near.umem.allocate().expect("few are under way");
                let len = u32::try_from(bytes.len()).expect("short");
                let room = frame.grow_back(len).expect("a chunk holds it");
                room.copy_from_slice(&bytes);
                queue.transmit(frame).expect("there is room");
            }
        }
        let mut arrived = 0;
        wait_until("a round arrives", SOON, || {
            for queue in &mut near.queues {
                queue.wake().expect("the interface is up");
                queue.recycle();
            }
            for (queue, row) in far.queues.iter_mut().zip(&mut matrix) {
                for frame in queue.receive(64) {
                    let before = checker.clone();
                    checker.observe_frame(&frame);
                    let from = (0..QUEUES).find(|flow| {
                        checker.report(*flow).received != before.report(*flow).received
                    });
                    row[from.expect("it is one of ours") as usize] += 1;
                    arrived += 1;
                }
                queue.recycle();
            }
            arrived == 100
        });
    }

    println!("{medium:?}: received by queue, of each sending queue: {matrix:?}");
    for flow in 0..QUEUES {
        checker.expect(flow, 250);
        let report = checker.report(flow);
        assert!(report.is_perfect(), "queue {flow}: {report}");
        let from = flow as usize;
        let places = matrix.iter().filter(|row| row[from] > 0).count();
        assert_eq!(places, 1, "a queue's frames stay together: {matrix:?}");
        if medium == Medium::Native {
            assert_eq!(matrix[from][from], 250, "{matrix:?}");
        }
    }
    for ((number, queue), row) in (0_u32..).zip(&mut far.queues).zip(matrix) {
        let redirected = far.steering.counts(number).expect("a slot").redirected;
        assert_eq!(redirected, row.iter().sum::<u64>(), "queue {number}");
        assert_eq!(queue.rx().counters().frames, redirected);
        assert_eq!(queue.violations(), 0);
    }
    for side in [&mut near, &mut far] {
        wait_until("all is completed", SOON, || {
            side.queues.iter_mut().for_each(Xsk::recycle);
            side.queues
                .iter_mut()
                .all(|queue| queue.tx().in_flight() == 0)
        });
        crate::assert_all_home(&side.umem);
    }
}

/// Entries of the rings of the xsks that share a queue.
const RING: u32 = 256;

/// Two xsks share a queue, and one of them never takes its frames: its ring runs
/// full, what comes then is counted as such, and the other one, which alone lends
/// chunks, gets all of its own. No chunk is lost between them.
///
/// # Panics
///
/// When it does not hold.
pub fn same_queue_with_skewed_fill(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let mut config = EndConfig::new(&track);
    config.umem = UmemConfig::new(2048);
    config.queue.ring_size = wharf::RingCapacity::new(RING).expect("a power of two");
    config.queue.xsks = 2;
    // More than one ring holds, so that a full one leaves some for the other.
    config.queue.limits.chunks = Some(Amount::Frames(3 * RING));
    let mut near = End::bind(&track, Side::Near);
    let mut far = End::bind_with(&track, Side::Far, &config);
    let mut busy = {
        let _inside = track.enter(Side::Far);
        far.nic_queue.share().expect("the kernel shares").0
    };
    let frames = frames_of(&track, 1000, 64);
    let (idle, to_busy) = frames.split_at(600);

    let mut arrived = 0;
    let mut aimed_at = 0;
    for (many, few) in idle.chunks(60).zip(to_busy.chunks(40)) {
        far.steering.insert(&far.xsk).expect("there is a slot");
        give(&mut near, many);
        near.flush();
        // A NIC has completed what is still on its way to the other end.
        aimed_at += many.len() as u64;
        wait_until("all have met the program", SOON, || {
            let counts = far.steering.counts(0).expect("there is a slot");
            counts.redirected == aimed_at
        });
        aimed_at += few.len() as u64;
        let aimed = far.steering.insert_as(XskIndex(0), &busy);
        aimed.expect("there is a slot");
        give(&mut near, few);
        near.flush();
        let mut taken = Vec::new();
        wait_until("the busy one gets its own", SOON, || {
            // Nobody else lends any.
            busy.recycle();
            taken.extend(busy.receive(64).map(|frame| frame.to_vec()));
            taken.len() >= few.len()
        });
        assert!(taken == few, "those, in their order");
        arrived += taken.len() as u64;
    }

    let rx = busy.rx();
    let served = rx.kernel_statistics().expect("the socket is open");
    assert_eq!(
        (served.rx_dropped, served.rx_ring_full),
        (0, 0),
        "{served:?}"
    );
    let starved = far.statistics();
    let late: Vec<_> = far
        .xsk
        .receive(2 * RING)
        .map(|frame| frame.to_vec())
        .collect();
    assert!(
        late == idle[..RING as usize],
        "the first that came, in order"
    );
    assert_eq!(
        starved.rx_dropped + starved.rx_ring_full,
        600 - u64::from(RING),
        "{starved:?}"
    );
    let redirected = far.steering.counts(0).expect("there is a slot").redirected;
    assert_eq!(redirected, 600 + arrived);
    assert_eq!((far.xsk.violations(), busy.violations()), (0, 0));
    crate::assert_all_home(&far.umem);
    drop(busy);
    far.steering.insert(&far.xsk).expect("there is a slot");
    exchange(&mut super::Usual, &mut near, &mut far, &frames[..300]);
    near.assert_settled();
}

/// Puts another program in place every so often.
struct Swap {
    rules: [RuleSet; 2],
    rounds: usize,
    swapped: usize,
}

impl Steps for Swap {
    fn wait(&mut self, far: &mut End) {
        self.rounds += 1;
        if self.rounds.is_multiple_of(8) {
            let rules = &self.rules[self.swapped % 2];
            far.steering.replace(rules).expect("it is replaced");
            self.swapped += 1;
        }
    }
}

/// The program is swapped for one with other rules, and back, while frames are on
/// their way: each arrives, once and in order.
///
/// # Panics
///
/// When it does not hold.
pub fn program_swapped_under_load(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let (mut near, mut far) = ends(&track);
    let to = |port| Expression::udp() & Expression::dst_port(port);
    let drop_other = Rule::new(Action::Drop, to(9));
    let mut swap = Swap {
        rules: [RuleSet::only([drop_other]), RuleSet::everything()],
        rounds: 0,
        swapped: 0,
    };
    swap.rules[0].default = Action::REDIRECT;

    exchange(&mut swap, &mut near, &mut far, &frames_of(&track, 4096, 64));

    println!("{medium:?}: swapped {} times", swap.swapped);
    assert!(swap.swapped >= 4, "{} times", swap.swapped);
    near.assert_settled();
    far.assert_settled();
}

//! Each pair of ours that can be exchanged or joined, one by one.

use std::mem::{forget, swap};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

use wharf::{
    AppendError, Application, Batch, Frame, Interest, InterfaceId, Outbox, Outcome, RingCapacity,
    SimulatedNic, SimulatedWorker, TransmitError, Umem, UmemConfig, WatchToken, WorkerContext, Xsk,
    XskConfig,
};

const RING: u32 = 64;

fn umem() -> Umem {
    Umem::new(&UmemConfig::new(512)).expect("memory for a UMEM")
}

fn config(xsks: u8) -> XskConfig {
    XskConfig {
        xsks,
        ..XskConfig::new(RingCapacity::new(RING).expect("a power of two"))
    }
}

fn queue(umem: &Umem) -> (Xsk, SimulatedNic) {
    Xsk::simulated(umem, &config(2)).expect("a simulated xsk")
}

fn made(umem: &Umem, bytes: &[u8]) -> Frame {
    let mut frame = umem.allocate().expect("a free chunk");
    let len = u32::try_from(bytes.len()).expect("few bytes");
    frame.grow_back(len).expect("room").copy_from_slice(bytes);
    frame
}

#[track_caller]
fn assert_whole(umem: &Umem, xsks: &[&Xsk]) {
    let audit = umem.audit();
    assert!(audit.is_balanced(), "{audit:?}");
    let violations: Vec<_> = xsks.iter().map(|xsk| xsk.violations()).collect();
    assert!(violations.iter().all(|count| *count == 0), "{violations:?}");
}

/// Issue 8: the sending halves of two queues exchanged, an xsk added to one, and the
/// first xsk of the other dropped.
#[test]
fn exchanged_sending_views_leave_the_queues_what_they_were() {
    let umem = umem();
    let (mut a, mut nic_a) = queue(&umem);
    let (mut b, mut nic_b) = queue(&umem);

    {
        let (mut tx_a, mut tx_b) = (a.tx(), b.tx());
        swap(&mut tx_a, &mut tx_b);
        tx_a.transmit(made(&umem, b"by b")).expect("an empty ring");
        tx_a.publish();
    }
    let (mut a_2, mut nic_a_2) = nic_a.share().expect("one more xsk");
    let (b_2, _nic_b_2) = nic_b.share().expect("one more xsk");

    assert_eq!(nic_a.transmitted(), None);
    assert_eq!((a.tx().complete(), a_2.tx().complete()), (0, 0));
    assert_eq!((b.in_flight(), b.tx().pending()), (1, 1));
    // Chunks are not used again while the kernel has them.
    let free: Vec<_> = std::iter::from_fn(|| umem.allocate()).collect();
    assert!(!free.is_empty());
    drop(free);
    drop(a);
    assert_eq!(nic_b.transmitted().as_deref(), Some(&b"by b"[..]));
    assert_eq!(a_2.tx().complete(), 0);
    assert_eq!((b.tx().complete(), b.in_flight()), (1, 0));
    a_2.transmit(made(&umem, b"by a")).expect("an empty ring");
    a_2.publish();
    assert_eq!(nic_a_2.transmitted().as_deref(), Some(&b"by a"[..]));
    assert_eq!(a_2.tx().complete(), 1);
    assert_whole(&umem, &[&a_2, &b, &b_2]);
}

#[test]
fn exchanged_receiving_views_receive_each_others_frames() {
    let umem = umem();
    let (mut a, mut nic_a) = queue(&umem);
    let (mut b, mut nic_b) = queue(&umem);
    assert!(nic_a.deliver(b"for a") && nic_b.deliver(b"for b"));

    {
        let (mut rx_a, mut rx_b) = (a.rx(), b.rx());
        swap(&mut rx_a, &mut rx_b);
        let frame = rx_a.receive(8).next().expect("delivered");
        assert_eq!(&*frame, b"for b");
        rx_b.top_up();
    }

    assert_eq!(&*a.receive(8).next().expect("delivered"), b"for a");
    assert_eq!((a.rx().discarded(), b.rx().discarded()), (1, 1));
    assert_whole(&umem, &[&a, &b]);
}

#[test]
fn views_of_one_xsk_and_another_forward() {
    let umem = umem();
    let (mut a, mut nic_a) = queue(&umem);
    let (mut b, mut nic_b) = queue(&umem);
    assert!(nic_a.deliver(b"from a") && nic_b.deliver(b"from b"));

    let (mut rx_a, mut tx_a) = a.split();
    let (mut rx_b, mut tx_b) = b.split();
    swap(&mut tx_a, &mut tx_b);
    for frame in rx_a.receive(8) {
        tx_a.transmit(frame).expect("room");
    }
    for frame in rx_b.receive(8) {
        tx_b.transmit(frame).expect("room");
    }

    a.publish();
    b.publish();
    assert_eq!(nic_b.transmitted().as_deref(), Some(&b"from a"[..]));
    assert_eq!(nic_a.transmitted().as_deref(), Some(&b"from b"[..]));
    assert_eq!((a.tx().complete(), b.tx().complete()), (1, 1));
    assert_whole(&umem, &[&a, &b]);
}

#[test]
fn exchanged_batches_are_each_their_own_xsks() {
    let umems = [umem(), umem()];
    let (mut a, mut nic_a) = queue(&umems[0]);
    let (mut b, mut nic_b) = queue(&umems[1]);
    for byte in 0..8 {
        assert!(nic_a.deliver(&[byte, 0]) && nic_b.deliver(&[byte, 1]));
    }

    let (mut of_a, mut of_b) = (a.receive(6), b.receive(8));
    swap(&mut of_a, &mut of_b);
    let taken: Vec<_> = of_a.by_ref().take(3).collect();
    assert_eq!((of_a.len(), of_b.len()), (5, 6));
    swap(&mut of_a, &mut of_b);
    assert_eq!(&*of_a.next().expect("delivered"), [0, 0]);
    drop(of_a);
    forget(of_b);

    let bytes: Vec<_> = taken.iter().map(|frame| (frame[0], frame[1])).collect();
    assert_eq!(bytes, [(0, 1), (1, 1), (2, 1)]);
    let left: Vec<_> = b.receive(RING).map(|frame| frame[0]).collect();
    assert_eq!(left, [3, 4, 5, 6, 7], "behind the forgotten batch");
    assert_eq!(a.receive(RING).count(), 7);
    drop(taken);
    assert_whole(&umems[0], &[&a]);
    assert_whole(&umems[1], &[&b]);
}

#[test]
fn exchanged_xsks_are_the_other_variable() {
    let umems = [umem(), umem()];
    let (mut a, mut nic_a) = queue(&umems[0]);
    let (mut b, mut nic_b) = queue(&umems[1]);
    assert!(nic_a.deliver(b"for a"));

    swap(&mut a, &mut b);

    assert_eq!(a.receive(8).count(), 0);
    let frame = b.receive(8).next().expect("delivered");
    let refused = a.transmit(frame).expect_err("of another UMEM");
    assert!(matches!(refused, TransmitError::ForeignUmem(_)));
    b.transmit(refused.into_frame()).expect("its own");
    b.publish();
    drop(a);
    assert_eq!(nic_b.transmitted(), None);
    assert_eq!(nic_a.transmitted().as_deref(), Some(&b"for a"[..]));
    assert_eq!(b.tx().complete(), 1);
    assert_whole(&umems[0], &[&b]);
    assert_whole(&umems[1], &[]);
}

#[test]
fn exchanged_nics_keep_their_queues() {
    let umems = [umem(), umem()];
    let (mut a, mut nic_a) = queue(&umems[0]);
    let (b, mut nic_b) = queue(&umems[1]);

    swap(&mut nic_a, &mut nic_b);
    let (mut b_2, _) = nic_a.share().expect("one more xsk of b's queue");

    let refused = b_2.transmit(made(&umems[0], b"of a"));
    assert!(matches!(refused, Err(TransmitError::ForeignUmem(_))));
    assert!(nic_b.deliver(b"for a"));
    assert_eq!(&*a.receive(8).next().expect("delivered"), b"for a");
    drop(b);
    drop(b_2);
    assert!(nic_a.share().is_err(), "b's queue is gone");
    assert!(nic_b.share().is_ok());
    assert_whole(&umems[0], &[&a]);
    assert_whole(&umems[1], &[]);
}

#[test]
fn exchanged_frames_go_home_to_their_own_umem() {
    let umems = [umem(), umem()];
    let mut a = made(&umems[0], b"a");
    let mut b = made(&umems[1], b"b");

    swap(&mut a, &mut b);
    let refused = a.append(b).expect_err("of another UMEM");
    assert!(matches!(refused, AppendError::ForeignUmem(_)));
    let b = refused.into_frame().detach();
    let b = umems[1].attach(b).expect_err("of another UMEM");
    let b = umems[0].attach(b).expect("its own");

    let made_of = |umem: &Umem| umem.audit().made;
    assert_eq!(umems.each_ref().map(made_of), [1, 1]);
    drop(a);
    assert_eq!(umems.each_ref().map(made_of), [1, 0]);
    drop(b);
    assert_eq!(umems.each_ref().map(made_of), [0, 0]);
    umems.iter().for_each(|umem| assert_whole(umem, &[]));
}

#[test]
fn exchanged_umems_leave_frames_and_xsks_theirs() {
    let (mut one, mut other) = (umem(), umem());
    let (mut xsk, _nic) = queue(&one);
    let frame = made(&one, b"of the first");

    swap(&mut one, &mut other);
    drop(other);

    let foreign = xsk.transmit(made(&one, b"of the second"));
    assert!(matches!(foreign, Err(TransmitError::ForeignUmem(_))));
    drop(foreign);
    xsk.transmit(frame).expect("its own");
    drop(xsk);
    assert_whole(&one, &[]);
}

/// Sends what comes back where it came from.
struct Reflect;

impl Application for Reflect {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        batch.for_each(|frame| out.send_back(frame));
    }
}

#[test]
fn exchanged_workers_serve_their_own_xsks() {
    let umems = [umem(), umem()];
    let worker = |umem| SimulatedWorker::new(umem, &[config(1)], Reflect).expect("an xsk");
    let (mut a, mut nics_a) = worker(&umems[0]);
    let (mut b, _nics_b) = worker(&umems[1]);

    swap(&mut a, &mut b);
    assert!(nics_a[0].deliver(b"for a"));

    assert!(!a.round());
    assert!(b.round());
    assert_eq!(nics_a[0].transmitted().as_deref(), Some(&b"for a"[..]));
    assert!(b.round());
    assert!(a.finish().is_conserved());
    assert!(b.finish().is_conserved());
}

/// Runs another worker inside a batch of its own, and sends that one's frames.
struct Nested {
    inside: Umem,
}

impl Application for Nested {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        /// Sends each frame through the outer outbox first.
        struct Through<'o, 'a>(&'o mut Outbox<'a>);
        impl Application for Through<'_, '_> {
            fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
                for frame in batch {
                    let refused = self.0.try_send(frame, InterfaceId(0));
                    let frame = refused.expect_err("of another UMEM").into_frame();
                    out.send_back(frame);
                }
            }
        }
        for frame in batch {
            let through = Through(out);
            let (mut worker, mut nics) =
                SimulatedWorker::new(&self.inside, &[config(1)], through).expect("an xsk");
            assert!(nics[0].deliver(&frame));
            assert!(worker.round());
            assert_eq!(nics[0].transmitted().as_deref(), Some(&*frame));
            assert!(worker.finish().is_conserved());
            out.send_back(frame);
        }
    }
}

#[test]
fn outbox_refuses_the_frames_of_a_worker_inside_its_application() {
    let umems = [umem(), umem()];
    let inside = umems[1].clone();
    let (mut worker, mut nics) =
        SimulatedWorker::new(&umems[0], &[config(1)], Nested { inside }).expect("an xsk");
    assert!(nics[0].deliver(b"outside"));

    assert!(worker.round());

    assert_eq!(nics[0].transmitted().as_deref(), Some(&b"outside"[..]));
    assert!(worker.round());
    assert!(worker.finish().is_conserved());
    umems.iter().for_each(|umem| assert_whole(umem, &[]));
}

/// Counts what it is called for, and unwatches what it is told.
#[derive(Default)]
struct Calls {
    woken: u32,
    ticks: u32,
    ready: u32,
    unwatch: Option<WatchToken>,
}

impl Application for Calls {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        batch.for_each(drop);
    }

    fn tick(&mut self, _: Instant, _: &mut Outbox<'_>) {
        self.ticks += 1;
    }

    fn woken(&mut self, out: &mut Outbox<'_>) {
        self.woken += 1;
        if let Some(token) = self.unwatch.take() {
            assert!(!out.unwatch(token), "it is another worker's");
        }
    }

    fn ready(&mut self, _: WatchToken, _: &mut Outbox<'_>) {
        self.ready += 1;
    }
}

#[test]
fn exchanged_contexts_reach_the_worker_they_are_of() {
    let umems = [umem(), umem()];
    let worker = |umem| {
        let (worker, _nics) =
            SimulatedWorker::new(umem, &[config(1)], Calls::default()).expect("an xsk");
        worker
    };
    let (mut a, mut b) = (worker(&umems[0]), worker(&umems[1]));
    let (mut of_a, mut of_b) = (a.context().clone(), b.context().clone());
    let (own, _peer) = UnixStream::pair().expect("a pair");
    let watch = |context: &WorkerContext| context.watch(&own, Interest::Writable);
    let tokens = [&of_a, &of_b].map(|context| watch(context).expect("a socket"));
    assert_ne!(tokens[0], tokens[1]);
    b.application().unwatch = Some(tokens[0]);

    swap(&mut of_a, &mut of_b);
    of_a.waker().wake();
    of_a.tick_at(of_a.now());
    a.round();
    b.round();

    let calls = |worker: &mut SimulatedWorker<Calls>| {
        let calls = worker.application();
        (calls.woken, calls.ticks, calls.ready)
    };
    assert_eq!(calls(&mut a), (0, 0, 1));
    assert_eq!(calls(&mut b), (1, 1, 1));
    let waker = of_b.waker();
    assert!(a.finish().is_conserved());
    waker.wake();
    assert!(b.finish().is_conserved());
}

#[test]
fn panic_in_a_batch_ends_the_batch_and_nothing_else() {
    let umem = umem();
    let (mut xsk, mut nic) = queue(&umem);
    assert!((0..4).all(|byte| nic.deliver(&[byte])));

    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let (mut rx, mut tx) = xsk.split();
        for frame in rx.receive(4) {
            if frame[0] == 2 {
                resume_unwind(Box::new("in a batch"));
            }
            tx.transmit(frame).expect("an empty ring");
        }
    }));

    assert!(panicked.is_err());
    assert_eq!(&*xsk.receive(4).next().expect("the last"), [3]);
    xsk.publish();
    assert_eq!(nic.transmitted().as_deref(), Some(&[0][..]));
    assert_eq!(nic.transmitted().as_deref(), Some(&[1][..]));
    assert_eq!((xsk.tx().complete(), xsk.in_flight()), (2, 0));
    assert_whole(&umem, &[&xsk]);
}

#[test]
fn forgotten_xsk_keeps_its_chunks_and_takes_no_others() {
    let umem = umem();
    let (mut a, mut nic) = queue(&umem);
    let (mut b, mut nic_b) = nic.share().expect("one more xsk");
    assert!(nic.deliver(b"for a") && nic_b.deliver(b"for b"));
    a.transmit(made(&umem, b"never sent"))
        .expect("an empty ring");
    forget(a.receive(8));

    forget(a);

    assert_eq!(nic.transmitted(), None, "not published");
    let frame = b.receive(8).next().expect("delivered");
    b.transmit(frame).expect("an empty ring");
    b.publish();
    assert_eq!(nic_b.transmitted().as_deref(), Some(&b"for b"[..]));
    assert_eq!(b.tx().complete(), 1);
    assert_whole(&umem, &[&b]);
    assert_eq!(umem.audit().transmit, 1);
}

#[test]
fn frame_is_the_last_that_holds_everything() {
    let umem = umem();
    let (mut xsk, mut nic) = queue(&umem);
    assert!(nic.deliver(b"outlives them"));
    let mut frames: Vec<_> = xsk.receive(8).collect();
    frames.push(made(&umem, b"and so does this"));
    let detached = made(&umem, b"far away").detach();

    drop(umem);
    drop(nic);
    drop(xsk);

    assert_eq!(&*frames[0], b"outlives them");
    frames[1].grow_back(8).expect("room").fill(9);
    drop(frames);
    let far = std::thread::spawn(move || assert_eq!(&*detached, b"far away"));
    far.join().expect("no panic");
}

#[test]
fn exchanged_completions_are_each_others_and_are_read_once() {
    let umem = umem();
    let (mut a, mut nic_a) = queue(&umem);
    let (mut b, mut nic_b) = queue(&umem);
    a.transmit_tagged(made(&umem, b"by a"), 1).expect("room");
    b.transmit_returning(made(&umem, b"by b"), 2).expect("room");
    a.publish();
    b.publish();
    assert!(nic_a.transmitted().is_some() && nic_b.transmitted().is_some());
    a.recycle();
    b.recycle();

    let (mut of_a, mut of_b) = (a.completion_queue(), b.completion_queue());
    swap(&mut of_a, &mut of_b);
    let (mut one, mut other) = (of_a.completions(), of_b.completions());
    swap(&mut one, &mut other);
    assert_eq!(one.next().map(|it| it.cookie), Some(1));
    let back = other.next().expect("by b");

    assert!(a.completions().is_empty() && b.completions().is_empty());
    drop((a, b, of_a, of_b, nic_a, nic_b));
    assert_eq!(back.frame.as_deref(), Some(&b"by b"[..]));
    drop(back);
    let audit = umem.audit();
    assert!(audit.is_balanced(), "{audit:?}");
}

#[test]
fn completions_may_be_read_while_others_come_and_frames_are_sent() {
    let umem = umem();
    let (mut xsk, mut nic) = queue(&umem);
    let completions = xsk.completion_queue();
    for cookie in 0..4 {
        xsk.transmit_returning(made(&umem, b"again"), cookie)
            .expect("room");
    }
    xsk.publish();
    assert!(nic.transmitted().is_some());
    xsk.recycle();

    let mut cookies = Vec::new();
    for completion in completions.completions() {
        cookies.push(completion.cookie);
        if cookies.len() < 4 {
            let frame = completion.frame.expect("it returns");
            xsk.transmit_returning(frame, 9).expect("room");
            xsk.publish();
            assert!(nic.transmitted().is_some());
            xsk.recycle();
        }
    }

    assert_eq!(cookies, [0, 1, 2, 3]);
    assert_eq!(xsk.outstanding(), 3);
    assert_whole(&umem, &[&xsk]);
}

#[test]
fn completions_outlive_their_xsk_and_all_else() {
    let umem = umem();
    let (mut xsk, nic) = queue(&umem);
    let completions = xsk.completion_queue();
    xsk.transmit_tagged(made(&umem, b"in the ring"), 1)
        .expect("room");
    xsk.publish();
    xsk.transmit_returning(made(&umem, b"never published"), 2)
        .expect("room");

    drop(umem);
    drop(nic);
    drop(xsk);

    let read: Vec<_> = completions.completions().collect();
    let cookies: Vec<_> = read.iter().map(|it| (it.cookie, it.outcome)).collect();
    assert_eq!(cookies, [(2, Outcome::Aborted), (1, Outcome::Aborted)]);
    assert_eq!(read[0].frame.as_deref(), Some(&b"never published"[..]));
    assert!(read[1].frame.is_none(), "the kernel may have it");
}

#[test]
fn forgotten_xsk_reports_nothing_more() {
    let umem = umem();
    let (mut xsk, mut nic) = queue(&umem);
    let (mut other, _other_nic) = nic.share().expect("one more xsk");
    let completions = xsk.completion_queue();
    xsk.transmit_tagged(made(&umem, b"sent"), 1).expect("room");
    xsk.publish();

    forget(xsk);

    assert!(completions.completions().is_empty());
    assert_eq!(completions.completions().outstanding(), 1);
    // The kernel is done with it all the same, and the other xsk hears of it.
    assert!(nic.transmitted().is_some());
    other.recycle();
    assert_eq!(completions.completions().count(), 1);
    assert_whole(&umem, &[&other]);
}

//! Copies of frames, exchanged with frames, sent by whatever xsk, forgotten, and left
//! behind by what they were copied from.

use std::mem::{forget, swap};

use wharf::{
    Application, Batch, Copybreak, DropReason, Frame, InterfaceId, Outbox, RingCapacity,
    SimulatedNic, SimulatedWorker, TransmitError, Umem, UmemConfig, Xsk, XskConfig,
};

const CHUNKS: u32 = 512;

fn umem() -> Umem {
    Umem::new(&UmemConfig {
        copybreak: Copybreak::Below(256),
        ..UmemConfig::new(CHUNKS)
    })
    .expect("memory for a UMEM")
}

fn queue(umem: &Umem) -> (Xsk, SimulatedNic) {
    let config = XskConfig::new(RingCapacity::new(64).expect("a power of two"));
    Xsk::simulated(umem, &config).expect("a simulated xsk")
}

#[track_caller]
fn received(xsk: &mut Xsk) -> Frame {
    xsk.receive(1).next().expect("delivered")
}

#[track_caller]
fn assert_whole(umem: &Umem, xsks: &[&Xsk]) {
    let audit = umem.audit();
    assert!(audit.is_balanced(), "{audit:?}");
    assert!(xsks.iter().all(|xsk| xsk.violations() == 0));
}

#[test]
fn copy_is_sent_by_any_xsk_of_its_umem_and_by_no_other() {
    let umems = [umem(), umem()];
    let (mut a, mut nic_a) = queue(&umems[0]);
    let (mut b, mut nic_b) = queue(&umems[0]);
    let (mut foreign, _nic) = queue(&umems[1]);
    assert!(nic_a.deliver(b"for a"));

    let copy = received(&mut a).hold();
    let refused = foreign.transmit(copy).expect_err("of another UMEM");
    assert!(matches!(refused, TransmitError::ForeignUmem(_)));
    b.transmit(refused.into_frame()).expect("of its UMEM");
    b.publish();

    assert_eq!(nic_b.transmitted().as_deref(), Some(&b"for a"[..]));
    assert_eq!(b.tx().complete(), 1);
    let counters = b.tx().counters();
    assert_eq!((counters.copied_in, counters.made), (1, 0));
    assert_eq!((a.rx().copied_out(), b.rx().copied_out()), (1, 0));
    assert_eq!((a.rx().discarded(), b.rx().discarded()), (0, 0));
    let audit = umems[0].audit();
    assert_eq!((audit.application, audit.copies.application), (0, 0));
    assert_whole(&umems[0], &[&a, &b]);
    assert_whole(&umems[1], &[&foreign]);
}

#[test]
fn dropped_copy_is_dropped_by_the_application_that_received_the_frame() {
    let umem = umem();
    let (mut xsk, mut nic) = queue(&umem);
    assert!((0..3).all(|byte| nic.deliver(&[byte])));

    let [first, second, third] = [(); 3].map(|()| received(&mut xsk));
    drop(first.hold());
    let far = second.detach();
    drop(third);
    assert_eq!(xsk.rx().discarded(), 2);
    std::thread::spawn(move || drop(far))
        .join()
        .expect("no panic");

    assert_eq!(umem.audit().held(), 0);
    assert_eq!(xsk.rx().discarded(), 3);
    // The copies are charged to nobody's chunks.
    assert_eq!(xsk.rx().charged(), umem.audit().fill);
    assert_whole(&umem, &[&xsk]);
}

#[test]
fn exchanged_copies_and_frames_go_where_they_came_from() {
    let umems = [umem(), umem()];
    let mut frames = umems.each_ref().map(|umem| {
        let mut frame = umem.allocate().expect("a free chunk");
        frame
            .grow_back(9)
            .expect("room")
            .copy_from_slice(b"a chunk's");
        frame
    });
    let mut copies = umems.each_ref().map(|umem| {
        let mut frame = umem.allocate().expect("a free chunk");
        frame
            .grow_back(9)
            .expect("room")
            .copy_from_slice(b"in a copy");
        frame.hold()
    });

    swap(&mut frames[0], &mut copies[1]);
    let [one, other] = &mut copies;
    swap(one, other);

    assert_eq!(
        (&*frames[0], &*copies[0]),
        (&b"in a copy"[..], &b"a chunk's"[..])
    );
    let audits = umems.each_ref().map(Umem::audit);
    assert!(audits.iter().all(|audit| audit.application == 1));
    assert!(audits.iter().all(|audit| audit.copies.application == 1));
    drop(frames);
    drop(copies);
    let audits = umems.each_ref().map(Umem::audit);
    assert!(audits.iter().all(|audit| audit.pool == CHUNKS));
    assert!(audits.iter().all(|audit| audit.copies.application == 0));
    umems.iter().for_each(|umem| assert_whole(umem, &[]));
}

#[test]
fn forgotten_copy_keeps_its_own_chunk_and_nothing_of_the_umem() {
    let umem = umem();
    for _ in 0..CHUNKS {
        let mut frame = umem.allocate().expect("the chunk is free each time");
        frame.grow_back(60).expect("room").fill(1);
        forget(frame.hold());
    }

    let audit = umem.audit();
    assert_eq!((audit.pool, audit.copies.application), (CHUNKS, CHUNKS));
    // Those in small chunks are used up, those in large ones are not.
    let mut frame = umem.allocate().expect("a free chunk");
    frame.grow_back(60).expect("room");
    assert_eq!(frame.hold().len(), 60);
    assert_whole(&umem, &[]);
}

#[test]
fn copies_outlive_everything_and_are_no_others() {
    let umem = umem();
    let (mut xsk, mut nic) = queue(&umem);
    assert!(nic.deliver(b"outlives them") && nic.deliver(b"far away"));
    let copy = received(&mut xsk).hold();
    let detached = received(&mut xsk).detach();

    drop(umem);
    drop(nic);
    drop(xsk);
    // Where the first was, perhaps.
    let other = self::umem();
    let (mut xsk, _nic) = queue(&other);

    assert_eq!(&*copy, b"outlives them");
    let refused = xsk.transmit(copy).expect_err("its UMEM is gone");
    assert!(matches!(refused, TransmitError::ForeignUmem(_)));
    let detached = other.attach(detached).expect_err("its UMEM is gone");
    let far = std::thread::spawn(move || assert_eq!(&*detached, b"far away"));
    far.join().expect("no panic");
    drop(refused);
    assert_whole(&other, &[&xsk]);
}

#[test]
fn copy_is_returned_where_no_chunk_is_free_and_sent_once_one_is() {
    let umem = umem();
    let (mut xsk, mut nic) = queue(&umem);
    assert!(nic.deliver(b"wait"));
    let mut copy = received(&mut xsk).hold();
    let mut all: Vec<_> = std::iter::from_fn(|| umem.allocate()).collect();

    for _ in 0..3 {
        let refused = xsk.transmit(copy).expect_err("no chunk is free");
        assert!(matches!(refused, TransmitError::NoChunk(_)), "{refused}");
        copy = refused.into_frame();
        assert_eq!(&*copy, b"wait");
    }
    drop(all.pop());
    xsk.transmit(copy).expect("one is");
    xsk.publish();

    assert_eq!(nic.transmitted().as_deref(), Some(&b"wait"[..]));
    drop(all);
    assert_whole(&umem, &[&xsk]);
}

#[test]
fn copy_comes_back_in_the_chunk_that_it_was_sent_from() {
    let umem = umem();
    let (mut xsk, mut nic) = queue(&umem);
    assert!(nic.deliver(b"tagged") && nic.deliver(b"again"));
    let [tagged, again] = [(); 2].map(|()| received(&mut xsk).hold());

    xsk.tx().transmit_tagged(tagged, 7).expect("an empty ring");
    xsk.tx().transmit_returning(again, 8).expect("room");
    xsk.publish();
    let sent = [(); 2].map(|()| nic.transmitted());
    xsk.tx().complete();
    let mut completions: Vec<_> = xsk.completions().collect();

    assert_eq!(sent, [Some(b"tagged".to_vec()), Some(b"again".to_vec())]);
    let cookies: Vec<_> = completions.iter().map(|one| one.cookie).collect();
    assert_eq!(cookies, [7, 8]);
    let frame = completions.remove(1).frame.expect("it comes back");
    assert_eq!(&*frame, b"again");
    let audit = umem.audit();
    assert_eq!((audit.application, audit.copies.application), (1, 0));
    drop(frame);
    assert_whole(&umem, &[&xsk]);
}

/// Holds what comes, and sends it back when there are `wanted` frames.
struct Holding {
    held: Vec<Frame>,
    wanted: usize,
}

impl Application for Holding {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        self.held.extend(batch.map(Frame::hold));
        if self.held.len() >= self.wanted {
            for frame in self.held.drain(..) {
                out.send(frame, InterfaceId(0));
            }
        }
    }
}

#[test]
fn queue_that_has_all_chunks_leaves_some_for_copies() {
    // The rings could take every chunk.
    let umem = Umem::new(&UmemConfig {
        copybreak: Copybreak::Below(256),
        ..UmemConfig::new(64)
    });
    let umem = umem.expect("memory for a UMEM");
    let config = XskConfig::new(RingCapacity::new(64).expect("a power of two"));
    let holding = Holding {
        held: Vec::new(),
        wanted: 16,
    };
    let (mut worker, mut nics) = SimulatedWorker::new(&umem, &[config], holding).expect("an xsk");
    for round in 0..50 {
        for byte in 0..16 {
            assert!(nics[0].deliver(&[byte, round]), "the NIC has chunks");
            worker.round();
        }
        for byte in 0..16 {
            assert_eq!(nics[0].transmitted(), Some(vec![byte, round]));
        }
    }

    worker.round();
    let summary = worker.finish();

    assert!(summary.is_conserved(), "{summary}");
    assert_eq!(summary.stats.totals().drops.total(), 0, "{summary}");
}

#[test]
fn copy_that_cannot_be_sent_is_counted_and_conserved() {
    let umem = umem();
    let config = XskConfig::new(RingCapacity::new(64).expect("a power of two"));
    let holding = Holding {
        held: Vec::new(),
        wanted: 2,
    };
    let (mut worker, mut nics) = SimulatedWorker::new(&umem, &[config], holding).expect("an xsk");
    assert!(nics[0].deliver(b"one"));
    worker.round();
    let all: Vec<_> = std::iter::from_fn(|| umem.allocate()).collect();
    assert!(nics[0].deliver(b"two"));
    // The application's own frames have all others, so that one chunk is free.
    worker.round();
    drop(all);
    let summary = worker.finish();

    assert!(summary.is_conserved(), "{summary}");
    let drops = summary.stats.totals().drops;
    assert_eq!(drops.get(DropReason::TxNoChunk), 1, "{summary}");
}

//! Frames that are copied out of their UMEM are frames like any other.

use super::{Audit, CopyAudit, Copybreak, Frame, Umem, UmemConfig, UmemConfigError};
use crate::kernel::ChunkSize;

const BREAK: u32 = 256;

fn config(frames: u32) -> UmemConfig {
    UmemConfig {
        copybreak: Copybreak::Below(BREAK),
        ..UmemConfig::new(frames)
    }
}

fn umem(frames: u32) -> Umem {
    Umem::new(&config(frames)).expect("a small UMEM")
}

fn frame(umem: &Umem, bytes: &[u8]) -> Frame {
    let mut frame = umem.allocate().expect("a free chunk");
    let len = u32::try_from(bytes.len()).expect("short");
    frame.grow_back(len).expect("room").copy_from_slice(bytes);
    frame
}

/// A frame of `len` bytes that count up, `piece` in each chunk.
fn long(umem: &Umem, len: usize, piece: usize) -> Frame {
    let bytes = counting(len);
    let mut pieces = bytes.chunks(piece).map(|bytes| frame(umem, bytes));
    let mut front = pieces.next().expect("it has bytes");
    pieces.for_each(|end| front.append(end).expect("of the same UMEM"));
    front
}

fn counting(len: usize) -> Vec<u8> {
    (0..len).map(|at| at.to_le_bytes()[0]).collect()
}

fn bytes(frame: &Frame) -> Vec<u8> {
    frame.segments().flatten().copied().collect()
}

/// Frames in the UMEM's chunks, and copies.
fn held(umem: &Umem) -> (u32, u32) {
    let audit = umem.audit();
    assert!(audit.is_balanced(), "{audit:?}");
    (audit.application, audit.copies.application)
}

#[test]
fn small_frame_that_is_held_frees_its_chunk_and_a_larger_one_stays() {
    let umem = umem(4);
    let small = frame(&umem, &[7; BREAK as usize - 1]);
    let larger = frame(&umem, &[8; BREAK as usize]);
    let empty = umem.allocate().expect("a free chunk");

    let kept = [small, larger, empty].map(Frame::hold);

    assert_eq!(held(&umem), (2, 1));
    assert_eq!(umem.audit().pool, 2);
    assert_eq!(*kept[0], [7; 255]);
    assert_eq!(*kept[1], [8; 256]);
    drop(kept);
    assert_eq!(held(&umem), (0, 0));
}

#[test]
fn nothing_is_copied_or_mapped_where_the_copybreak_is_off() {
    let umem = Umem::new(&UmemConfig {
        copybreak: Copybreak::Off,
        ..UmemConfig::new(2)
    });
    let umem = umem.expect("a small UMEM");

    let kept = frame(&umem, b"x").hold();

    assert_eq!(held(&umem), (1, 0));
    assert_eq!(umem.audit().copies, CopyAudit::default());
    drop(kept);
}

#[test]
fn copybreak_beyond_a_chunk_is_refused_and_one_of_a_chunk_is_not() {
    let with = |bytes| {
        Umem::new(&UmemConfig {
            copybreak: Copybreak::Below(bytes),
            ..UmemConfig::new(2)
        })
    };

    let umem = with(4096).expect("as long as a chunk");
    let kept = frame(&umem, &[1; 3840]).hold();
    assert_eq!(held(&umem), (0, 1));
    drop(kept);
    let none = with(0).expect("it copies nothing");
    assert_eq!(frame(&none, b"x").hold().len(), 1);
    assert_eq!(none.audit().copies, CopyAudit::default());
    let error = with(4097).expect_err("longer than a chunk");
    assert!(error.to_string().contains("4097"), "{error}");
    assert!(matches!(
        error,
        super::UmemError::Config(UmemConfigError::Copybreak { chunk: 4096, .. })
    ));
}

#[test]
fn copy_has_the_headroom_the_metadata_and_the_room_of_the_frame() {
    for size in [ChunkSize::new(2048), ChunkSize::unaligned(3001)] {
        let umem = Umem::new(&UmemConfig {
            chunk_size: size.expect("a chunk size"),
            headroom: 64,
            ..config(3)
        });
        let umem = umem.expect("a small UMEM");
        let mut original = frame(&umem, b"metadatapacket");
        original.shrink_front(8).expect("as many");
        let room = original.tailroom();

        let mut copy = original.hold();

        assert_eq!(held(&umem), (0, 1));
        assert_eq!(copy.headroom(), 256 + 64 + 8);
        assert_eq!(copy.metadata(8), Some(&b"metadata"[..]));
        assert!(copy.tailroom() < room, "it lies in a small chunk");
        assert!(copy.grow_back(room).is_err());
        assert!(
            copy.ensure_tailroom(room + 1).is_err(),
            "a frame has no more"
        );
        copy.ensure_tailroom(room).expect("as the frame had");
        copy.grow_back(room).expect("the room that it had").fill(1);
        assert_eq!((copy.len(), copy.tailroom()), (6 + room as usize, 0));
        assert!(copy.starts_with(b"packet"));
        assert_eq!(copy.metadata(8), Some(&b"metadata"[..]));
        assert_eq!(held(&umem), (0, 1));
        assert!(copy.grow_back(1).is_err(), "a frame has no more");
        copy.grow_front(256 + 64 + 8).expect("all the headroom");
        assert!(copy.grow_front(1).is_err());
    }
}

#[test]
fn frame_that_begins_far_behind_fits_a_small_chunk() {
    let umem = umem(2);
    let mut original = frame(&umem, &counting(3000));
    original.shrink_front(2900).expect("as many");

    let copy = original.hold();

    assert_eq!(held(&umem), (0, 1));
    assert_eq!(*copy, counting(3000)[2900..]);
    assert_eq!(copy.headroom(), 256);
}

#[test]
fn frame_in_several_chunks_is_copied_whole() {
    for piece in [100, 2000, 3840] {
        let umem = umem(128);
        let original = long(&umem, 9000, piece);
        let chunks = original.chunks();

        let copy = original.hold();
        assert_eq!(held(&umem), (1, 0), "it is not small");
        let copy = copy.copy_out().expect("there is room");

        assert_eq!(held(&umem), (0, 1));
        assert_eq!((umem.audit().pool, umem.audit().parts), (128, 0));
        assert_eq!(umem.audit().copies.parts, chunks - 1);
        assert_eq!(bytes(&copy), counting(9000));
        let back = copy.copy_in(umem.shared()).expect("there are chunks");
        assert_eq!(held(&umem), (1, 0));
        assert_eq!((back.chunks(), umem.audit().parts), (chunks, chunks - 1));
        assert_eq!(bytes(&back), counting(9000));
        let copy = back.copy_out().expect("there is room");
        drop(copy);
        assert_eq!(held(&umem), (0, 0));
        assert_eq!(umem.audit().copies.parts, 0);
    }
}

#[test]
fn copies_are_bounded_and_what_does_not_fit_stays() {
    let umem = Umem::new(&UmemConfig {
        copies: Some(2),
        ..config(16)
    });
    let umem = umem.expect("a small UMEM");

    // Two in small chunks, and two in large ones.
    let kept: Vec<_> = (0..5).map(|n| frame(&umem, &[n; 60]).hold()).collect();
    assert_eq!(held(&umem), (1, 4));
    assert_eq!(umem.audit().copies.total, 4);
    let long = long(&umem, 9000, 3000).copy_out();
    assert!(long.is_err(), "there are no three chunks");
    assert_eq!(held(&umem), (2, 4));
    for (n, frame) in (0..).zip(&kept) {
        assert_eq!(**frame, [n; 60]);
    }
    drop(kept);
    assert_eq!(held(&umem), (1, 0));

    let none = Umem::new(&UmemConfig {
        copies: Some(0),
        ..config(16)
    });
    let none = none.expect("a small UMEM");
    let kept = frame(&none, b"x").hold();
    assert_eq!(held(&none), (1, 0), "none at all");
    drop(kept);
}

#[test]
fn detached_copy_comes_back_from_another_thread() {
    let umem = umem(4);
    let detached = [b'a', b'b'].map(|byte| frame(&umem, &[byte]).detach());
    assert_eq!(umem.audit().pool, 4, "no chunk is taken");
    assert_eq!(umem.audit().copies.detached, 2);

    let far = std::thread::spawn(move || {
        let [one, other] = detached;
        assert_eq!(*one, *b"a");
        drop(one);
        other
    });
    let other = umem.attach(far.join().expect("no panic")).expect("its own");

    assert_eq!(*other, *b"b");
    let audit = umem.audit();
    assert!(audit.is_balanced(), "{audit:?}");
    assert_eq!((audit.copies.detached, audit.copies.application), (0, 1));
    let elsewhere = self::umem(1);
    let foreign = elsewhere.attach(other.detach()).expect_err("another's");
    assert_eq!(*foreign, *b"b");
}

#[test]
fn detached_copies_that_come_back_free_chunks_as_others_do() {
    let umem = Umem::new(&UmemConfig {
        copies: Some(1),
        ..config(8)
    });
    let umem = umem.expect("a small UMEM");
    let long = long(&umem, 7000, 3840);
    for round in 0..100 {
        let detached = frame(&umem, &[round]).detach();
        assert_eq!(*detached, [round]);
        std::thread::spawn(move || drop(detached))
            .join()
            .expect("no panic");
        assert_eq!(held(&umem), (1, 0), "in round {round}");
    }
    drop(long);
}

#[test]
fn copy_outlives_its_umem_and_is_none_of_another() {
    let first = umem(4);
    let [mut one, other] = [b"one", b"two"].map(|text| frame(&first, text).hold());
    let large = frame(&first, &[3; 3000]).copy_out().expect("there is room");
    let detached = frame(&first, b"four").detach();

    drop(first);
    let second = umem(4);

    one.append(other).expect("both are in small chunks");
    assert_eq!(bytes(&one), b"onetwo");
    let refused = one.append(large).expect_err("it has nothing to go to");
    assert_eq!(*refused.into_frame(), [3; 3000]);
    assert!(one.grow_back(1000).is_err());
    let foreign = one.append(frame(&second, b"x").hold());
    assert!(matches!(foreign, Err(super::AppendError::ForeignUmem(_))));
    let detached = second.attach(detached).expect_err("another UMEM");
    assert_eq!(*detached, *b"four");
    drop((one, detached));
    let copy = frame(&second, b"five").hold();
    std::mem::forget(copy);
    assert!(second.audit().is_balanced());
}

#[test]
fn copies_and_others_become_one_frame() {
    let umem = umem(16);
    let others = self::umem(16);
    let make = |text: &[u8], is_copy: bool| {
        let frame = frame(&umem, text);
        if is_copy { frame.hold() } else { frame }
    };
    for (front_is_copy, end_is_copy) in [(false, true), (true, false), (true, true)] {
        let mut front = make(b"front, ", front_is_copy);
        let mut middle = make(b"middle, ", end_is_copy);
        middle
            .append(make(b"end", !end_is_copy))
            .expect("of the same UMEM");

        front.append(middle).expect("of the same UMEM");

        assert_eq!(bytes(&front), b"front, middle, end");
        let audit = umem.audit();
        assert!(audit.is_balanced(), "{audit:?}");
        assert_eq!(audit.application + audit.copies.application, 1);
        assert_eq!(audit.parts + audit.copies.parts, 2);
        front.ensure_tailroom(3000).expect("a large chunk");
        front.grow_back(3000).expect("a large chunk").fill(1);
        let foreign = frame(&others, b"x").hold();
        let refused = front.append(foreign).expect_err("of another UMEM");
        assert!(matches!(refused, super::AppendError::ForeignUmem(_)));
        front.shrink_back(3003 + 8).expect("as many");
        assert_eq!(bytes(&front), b"front, ");
        drop(front);
        assert_eq!(held(&umem), (0, 0));
    }
}

#[test]
fn copy_is_not_appended_where_no_chunk_is_free() {
    let umem = umem(1);
    let copy = frame(&umem, b"copy").hold();
    let mut front = frame(&umem, b"front");

    let refused = front.append(copy).expect_err("there is no chunk");

    assert!(matches!(refused, super::AppendError::NoChunk(_)));
    assert_eq!(*refused.into_frame(), *b"copy");
    assert_eq!(*front, *b"front");
}

#[test]
fn copies_that_wait_have_chunks_that_are_not_posted() {
    let umem = umem(16);
    assert_eq!(umem.shared().postable_chunks(), 16);

    let mut kept: Vec<_> = (0..2).map(|_| frame(&umem, b"x").hold()).collect();
    assert_eq!(umem.shared().postable_chunks(), 14);
    kept.extend((0..8).map(|_| frame(&umem, b"x").hold()));
    assert_eq!(umem.shared().postable_chunks(), 12, "a quarter is the most");
    kept.clear();
    assert_eq!(umem.shared().postable_chunks(), 16);
}

#[test]
fn copy_counts_as_what_the_frame_was() {
    let umem = umem(4);
    let kept = frame(&umem, b"made").hold();

    assert!(kept.is_made());
    let audit = umem.audit();
    assert_eq!((audit.made, audit.copies.made, audit.held()), (0, 1, 0));
    assert_ne!(audit, Audit::default());
}

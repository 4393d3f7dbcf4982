//! A UMEM's chunks are conserved whatever an application does with its frames.

use proptest::prelude::*;

use super::{Audit, Umem, UmemConfig, UmemConfigError, UmemError, pinned_bytes};
use crate::memory::frame::{DetachedFrame, Frame};

fn umem(frames: u32) -> Umem {
    Umem::new(&UmemConfig::new(frames)).expect("a small UMEM")
}

#[test]
fn dropped_frame_returns_to_pool() {
    let umem = umem(2);
    let frame = umem.allocate().expect("a free chunk");
    assert_eq!(umem.audit().application, 1);

    drop(frame);

    let audit = umem.audit();
    assert_eq!((audit.pool, audit.application), (2, 0));
    assert!(audit.is_balanced());
}

#[test]
fn pool_runs_empty_and_recovers() {
    let umem = umem(2);
    let first = umem.allocate();
    let second = umem.allocate();
    assert!(first.is_some() && second.is_some());

    assert!(umem.allocate().is_none());
    drop(first);
    assert!(umem.allocate().is_some());
}

#[test]
fn frame_grows_into_its_chunk_and_not_beyond() {
    let umem = umem(1);
    let mut frame = umem.allocate().expect("a free chunk");
    let room = frame.tailroom();
    assert_eq!((frame.headroom(), room), (256, umem.chunk_size() - 256));

    frame.grow_back(room).expect("all the tailroom").fill(7);
    frame.grow_front(256).expect("all the headroom").fill(9);

    assert_eq!(frame.len(), umem.chunk_size() as usize);
    assert_eq!((frame[0], frame[256]), (9, 7));
    assert!(frame.grow_back(1).is_err());
    assert!(frame.grow_front(1).is_err());
    assert!(frame.shrink_back(umem.chunk_size() + 1).is_err());
    frame.shrink_front(256).expect("shorter");
    assert_eq!(frame[0], 7);
}

#[test]
fn grown_bytes_do_not_show_what_was_there() {
    let umem = umem(1);
    let mut frame = umem.allocate().expect("a free chunk");
    frame.grow_back(100).expect("room").fill(0xaa);
    drop(frame);

    let mut frame = umem.allocate().expect("the same chunk");
    let grown = frame.grow_back(100).expect("room");

    assert!(grown.iter().all(|&byte| byte == 0));
}

#[test]
fn detached_frame_comes_home_from_another_thread() {
    let umem = umem(1);
    let mut frame = umem.allocate().expect("a free chunk");
    frame.grow_back(3).expect("room").copy_from_slice(b"abc");
    let detached = frame.detach();
    assert_eq!(umem.audit().detached, 1);

    let read = std::thread::spawn(move || detached.to_vec()).join();

    assert_eq!(read.expect("no panic"), b"abc");
    assert_eq!(umem.audit().pool, 1);
}

#[test]
fn detached_frame_outlives_its_umem() {
    let umem = umem(4);
    let mut frame = umem.allocate().expect("a free chunk");
    frame.grow_back(3).expect("room").copy_from_slice(b"abc");
    let detached = frame.detach();

    drop(umem);

    assert_eq!(&*detached, b"abc");
}

#[test]
fn detached_frame_is_attached_to_its_own_umem_only() {
    let (here, there) = (umem(1), umem(1));
    let detached = here.allocate().expect("a free chunk").detach();

    let detached = there.attach(detached).expect_err("another UMEM");
    let frame = here.attach(detached).expect("its own UMEM");

    assert_eq!(here.audit().application, 1);
    drop(frame);
    assert_eq!(here.audit().pool, 1);
}

#[test]
fn memory_limit_is_named_and_counted_for_the_whole_process() {
    let first = umem(16);
    let limit = pinned_bytes();
    let config = UmemConfig {
        memory_limit: Some(0),
        ..UmemConfig::new(16)
    };

    let error = Umem::new(&config).expect_err("no byte is allowed");

    let UmemError::MemoryLimit {
        request, in_use, ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(request, 16 * u64::from(first.chunk_size()));
    assert!(limit > 0 && in_use > 0, "the first UMEM is counted");
}

#[test]
fn umem_of_no_or_too_many_frames_is_refused() {
    let none = Umem::new(&UmemConfig::new(0)).expect_err("no frames");
    assert!(matches!(none, UmemError::Config(UmemConfigError::Empty)));
    let many = Umem::new(&UmemConfig::new(u32::MAX)).expect_err("16 TiB");
    assert!(matches!(
        many,
        UmemError::Config(UmemConfigError::TooManyFrames { .. })
    ));
}

#[derive(Clone, Debug)]
enum Operation {
    Allocate,
    Drop(usize),
    Detach(usize),
    Attach(usize),
    DropDetached(usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        3 => Just(Operation::Allocate),
        1 => any::<usize>().prop_map(Operation::Drop),
        1 => any::<usize>().prop_map(Operation::Detach),
        1 => any::<usize>().prop_map(Operation::Attach),
        1 => any::<usize>().prop_map(Operation::DropDetached),
    ]
}

/// Removes one of `items`, chosen by `which`.
fn pick<T>(items: &mut Vec<T>, which: usize) -> Option<T> {
    (!items.is_empty()).then(|| items.swap_remove(which % items.len()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chunks_are_conserved(operations in prop::collection::vec(operation(), 1..200)) {
        const FRAMES: u32 = 8;
        let umem = umem(FRAMES);
        let mut frames: Vec<Frame> = Vec::new();
        let mut detached: Vec<DetachedFrame> = Vec::new();

        for operation in operations {
            match operation {
                Operation::Allocate => {
                    let held = frames.len() + detached.len();
                    let frame = umem.allocate();
                    prop_assert_eq!(frame.is_some(), held < FRAMES as usize);
                    frames.extend(frame);
                }
                Operation::Drop(which) => drop(pick(&mut frames, which)),
                Operation::Detach(which) => {
                    detached.extend(pick(&mut frames, which).map(Frame::detach));
                }
                Operation::Attach(which) => {
                    if let Some(frame) = pick(&mut detached, which) {
                        frames.push(umem.attach(frame).expect("its own UMEM"));
                    }
                }
                Operation::DropDetached(which) => drop(pick(&mut detached, which)),
            }
            let audit = umem.audit();
            let expected = Audit {
                application: u32::try_from(frames.len()).expect("few"),
                detached: u32::try_from(detached.len()).expect("few"),
                made: u32::try_from(frames.len() + detached.len()).expect("few"),
                pool: FRAMES - u32::try_from(frames.len() + detached.len()).expect("few"),
                pooled: audit.pool,
                total: FRAMES,
                ..Audit::default()
            };
            prop_assert_eq!(audit, expected);
            prop_assert!(audit.is_balanced());
        }
        // Every frame is a chunk of its own: what is written stays.
        for (number, frame) in (0..).zip(&mut frames) {
            let len = u32::try_from(frame.len()).expect("short");
            frame.shrink_back(len).expect("its own length");
            frame.grow_back(1).expect("room")[0] = number;
        }
        for (number, frame) in (0..).zip(&frames) {
            prop_assert_eq!(frame[0], number);
        }
    }
}

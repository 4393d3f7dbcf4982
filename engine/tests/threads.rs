//! Frames and threads: detached frames on many of them, returned in any order, whatever
//! became of what they came from meanwhile; and what the compiler says of a frame that is
//! not detached.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::{env, fs};

use wharf::{Copybreak, DetachedFrame, Frame, RingCapacity, Umem, UmemConfig, Xsk, XskConfig};

const THREADS: usize = 8;
const CHUNKS: u32 = 512;

/// A UMEM that copies some of the frames below.
fn umem(copybreak: Copybreak) -> Umem {
    Umem::new(&UmemConfig {
        copybreak,
        copies: Some(100),
        ..UmemConfig::new(CHUNKS)
    })
    .expect("memory for a UMEM")
}

/// A frame of some length, in one chunk or in three, whose bytes are all its number's.
fn numbered(umem: &Umem, number: u32) -> Option<Frame> {
    let piece = || {
        let mut frame = umem.allocate()?;
        let len = 1 + number * 37 % 1000;
        frame.grow_back(len).expect("room").fill(byte(number));
        Some(frame)
    };
    let mut frame = piece()?;
    if number.is_multiple_of(5) {
        for _ in 0..2 {
            frame.append(piece()?).expect("of the same UMEM");
        }
    }
    Some(frame)
}

fn byte(number: u32) -> u8 {
    number.to_le_bytes()[0]
}

fn assert_whole(number: u32, frame: &DetachedFrame) {
    let mut bytes = frame.segments().flatten();
    assert!(bytes.all(|found| *found == byte(number)), "frame {number}");
}

type Numbered = (u32, DetachedFrame);

/// Threads that keep some frames, and drop or return the others in another order than
/// they came in.
fn threads(done: &Sender<Numbered>) -> (Vec<Sender<Numbered>>, Vec<JoinHandle<()>>) {
    (0..THREADS)
        .map(|_| {
            let (to, frames) = channel::<Numbered>();
            let done = done.clone();
            (to, thread::spawn(move || keep(&frames, &done)))
        })
        .unzip()
}

fn keep(frames: &Receiver<Numbered>, done: &Sender<Numbered>) {
    let mut kept = Vec::new();
    for (round, (number, mut frame)) in frames.iter().enumerate() {
        assert_whole(number, &frame);
        frame
            .segments_mut()
            .for_each(|segment| segment.fill(byte(number)));
        kept.push((number, frame));
        if kept.len() > 12 {
            let place = round * 7 % kept.len();
            let (number, frame) = kept.swap_remove(place);
            assert_whole(number, &frame);
            if round % 3 == 0 {
                drop(frame);
            } else {
                // Nobody may listen any more.
                let _ = done.send((number, frame));
            }
        }
    }
    for (number, frame) in kept.iter().rev() {
        assert_whole(*number, frame);
    }
}

#[test]
fn frames_come_back_from_many_threads_in_any_order() {
    for copybreak in [
        Copybreak::Off,
        Copybreak::Below(600),
        Copybreak::Below(4096),
    ] {
        let umem = umem(copybreak);
        let (done, back) = channel();
        let (to, joined) = threads(&done);
        drop(done);
        let mut attached = 0;
        for number in 0..20_000 {
            let Some(frame) = numbered(&umem, number) else {
                // All chunks are away.
                thread::yield_now();
                continue;
            };
            let place = number as usize * 31 % THREADS;
            to[place]
                .send((number, frame.detach()))
                .expect("it listens");
            for (number, frame) in back.try_iter() {
                assert_whole(number, &frame);
                drop(umem.attach(frame).expect("its own"));
                attached += 1;
            }
        }
        drop(to);
        for thread in joined {
            thread.join().expect("each frame is as it was");
        }
        drop(back);

        let audit = umem.audit();
        assert!(audit.is_balanced(), "{audit:?}");
        assert_eq!(audit.pool, CHUNKS, "{audit:?}");
        assert_eq!(audit.copies.pool, audit.copies.total, "{audit:?}");
        assert_eq!(audit.copies.total > 0, copybreak != Copybreak::Off);
        assert!(attached > 0);
    }
}

#[test]
fn frames_on_threads_outlive_their_umem() {
    let umem = umem(Copybreak::Below(600));
    let (done, back) = channel();
    let (to, joined) = threads(&done);
    drop(done);
    for number in 0..150 {
        if let Some(frame) = numbered(&umem, number) {
            let place = number as usize % THREADS;
            to[place]
                .send((number, frame.detach()))
                .expect("it listens");
        }
    }

    drop(umem);

    let other = self::umem(Copybreak::Off);
    drop(to);
    for (number, frame) in &back {
        assert_whole(number, &frame);
        let frame = other.attach(frame).expect_err("its UMEM is gone");
        assert_whole(number, &frame);
    }
    for thread in joined {
        thread.join().expect("each frame is as it was");
    }
    assert_eq!(other.audit().pool, CHUNKS);
}

#[test]
fn frame_that_was_on_another_thread_is_sent_from_the_chunk_that_it_came_in() {
    let umem = umem(Copybreak::Below(100));
    let config = XskConfig::new(RingCapacity::new(64).expect("a power of two"));
    let (mut xsk, mut nic) = Xsk::simulated(&umem, &config).expect("a simulated xsk");
    assert!(nic.deliver(&[7; 100]));
    let frame = xsk.receive(1).next().expect("delivered");
    let place = frame.as_ptr().addr();

    let detached = frame.detach();
    let far = thread::spawn(move || {
        assert_eq!(detached.as_ptr().addr(), place);
        detached
    });
    let frame = umem.attach(far.join().expect("no panic")).expect("its own");

    assert_eq!(frame.as_ptr().addr(), place);
    xsk.transmit(frame).expect("an empty ring");
    xsk.publish();
    assert_eq!(nic.transmitted(), Some(vec![7; 100]));
    assert_eq!(xsk.tx().complete(), 1);
    assert_eq!(
        (xsk.tx().counters().copied_in, xsk.rx().copied_out()),
        (0, 0)
    );
    let audit = umem.audit();
    assert!(audit.is_balanced(), "{audit:?}");
    assert_eq!(audit.copies.total, 0, "nothing was copied");
}

#[test]
fn error_for_sending_a_frame_to_a_thread_names_detach() {
    let moved = "pub fn f(frame: wharf::Frame) { std::thread::spawn(move || drop(frame)); }";
    let shared =
        "pub fn f(frame: &wharf::Frame) { std::thread::scope(|s| { s.spawn(|| frame.len()); }); }";
    let kept = "pub fn f(frames: Vec<wharf::Frame>) -> impl Send { frames }";
    for source in [moved, shared, kept] {
        let error = compile(source).expect_err("it does not compile");

        let first = error.lines().next().unwrap_or_default();
        assert!(first.contains("CallDetachToSendTheFrame"), "{error}");
        assert!(first.contains("between threads safely"), "{error}");
    }
    let detached = "pub fn f(frame: wharf::Frame) { let frame = frame.detach(); std::thread::spawn(move || drop(frame)); }";
    compile(detached).expect("a detached frame travels");
}

/// Compiles a library with the compiler and the library that this test was made with.
fn compile(source: &str) -> Result<(), String> {
    let this = env::current_exe().expect("a path");
    let deps = this.parent().expect("in a folder");
    let out = env::temp_dir().join(format!("wharf-threads-{}", std::process::id()));
    fs::create_dir_all(&out).expect("a folder");
    let file = out.join("source.rs");
    fs::write(&file, source).expect("a file");
    let mut library = std::ffi::OsString::from("wharf=");
    library.push(newest_library(deps));
    let mut search = std::ffi::OsString::from("dependency=");
    search.push(deps);
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler)
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "lib",
            "--emit",
            "metadata",
        ])
        .arg("--out-dir")
        .arg(&out)
        .arg("--extern")
        .arg(library)
        .arg("-L")
        .arg(search)
        .arg(&file)
        .output()
        .expect("a compiler");
    fs::remove_dir_all(&out).expect("it was ours");
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn newest_library(deps: &Path) -> PathBuf {
    let files = fs::read_dir(deps).expect("a folder").flatten();
    let libraries = files.filter(|file| {
        let name = file.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libwharf-") && name.ends_with(".rlib")
    });
    let newest = libraries.max_by_key(|file| file.metadata().and_then(|data| data.modified()).ok());
    newest.expect("cargo has built it").path()
}

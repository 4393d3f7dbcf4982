//! Chunks that lie across pages, chunks on huge pages and chunks with headroom, on
//! a real kernel: frames of all lengths between queues and packet sockets, both
//! ways.

use std::collections::BTreeSet;
use std::ops::{Deref, DerefMut};
use std::thread;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wharf::{
    Amount, Attach, ChunkSize, Frame, Interface, Limits, Pages, RingCapacity, Umem, UmemConfig,
    XskConfig,
};
use wharf_testbed::{
    FlowChecker, HugePages, PacketSocket, SERVER_IPV4, Testbed, require_privileges, require_program,
};
use wharf_tests::scenario::{End, EndConfig, Medium, Side, Track, TrackOptions};
use wharf_tests::{Forward, SOON, in_both_modes, wait_until};

in_both_modes! {
    frames_of_all_lengths_are_received_from_chunks_across_pages,
    frames_of_all_lengths_are_sent_from_chunks_across_pages,
    frames_of_9000_bytes_travel_in_several_chunks_across_pages,
    frames_travel_in_huge_pages_both_ways,
    received_frames_have_the_headroom_that_was_asked_for,
    frames_published_are_sent_by_poll,
    forwarder_with_unaligned_chunks_in_huge_pages_loses_nothing,
}

/// The least there are, so that they wrap.
const RING: u32 = 64;
/// Chunks, so many that frames lie at all places of a page.
const CHUNKS: u32 = 512;
/// An even size, an odd one, and one that is a whole page after all.
const SIZES: [u32; 3] = [3000, 4001, 4096];

const PAGE: usize = 4096;
const HUGE_PAGE: usize = 2 << 20;
/// Ethernet, IPv4 and UDP.
const HEADERS: usize = 42;
/// The shortest payload that is told apart, and what a link adds to nothing.
const SHORTEST: usize = 60 - HEADERS;

fn unaligned(bytes: u32) -> UmemConfig {
    UmemConfig {
        chunk_size: ChunkSize::unaligned(bytes).expect("a chunk size"),
        ..UmemConfig::new(CHUNKS)
    }
}

/// An end, and where its frames lay.
struct Noted {
    end: End,
    /// Frames with bytes on two pages.
    across: usize,
    /// The huge pages that frames were on, if they are such.
    huge: BTreeSet<usize>,
}

impl Deref for Noted {
    type Target = End;

    fn deref(&self) -> &End {
        &self.end
    }
}

impl DerefMut for Noted {
    fn deref_mut(&mut self) -> &mut End {
        &mut self.end
    }
}

impl Noted {
    fn bind(track: &Track, side: Side, layout: &UmemConfig) -> Self {
        let umem = Umem::new(layout).expect("there is memory");
        Self::bind_to(track, side, layout, umem)
    }

    fn bind_to(track: &Track, side: Side, layout: &UmemConfig, umem: Umem) -> Self {
        let usual = EndConfig::new(track);
        let config = EndConfig {
            umem: *layout,
            queue: XskConfig {
                ring_size: RingCapacity::new(RING).expect("a power of two"),
                limits: Limits {
                    chunks: Some(Amount::Frames(CHUNKS / 2)),
                    ..Limits::default()
                },
                ..usual.queue
            },
            ..usual
        };
        let end = End::bind_to(track, side, &config, umem);
        let mtu = {
            let _inside = track.enter(side);
            let interface = Interface::by_name(track.interface(side)).expect("it exists");
            interface.mtu().expect("it exists")
        };
        let longest = mtu + 18;
        assert_eq!(end.report.multi_buffer, longest > end.umem.receivable());
        Self {
            end,
            across: 0,
            huge: BTreeSet::new(),
        }
    }

    /// A frame of `bytes`, which begins `earlier` than frames do, in chunks of up
    /// to `piece` bytes.
    fn make(&mut self, bytes: &[u8], earlier: u32, piece: usize) -> Frame {
        let mut whole: Option<Frame> = None;
        for part in bytes.chunks(piece) {
            let mut frame = self.allocate();
            let len = u32::try_from(part.len()).expect("short");
            let front = earlier.min(len);
            frame.grow_front(front).expect("headroom");
            frame.grow_back(len - front).expect("room");
            frame.copy_from_slice(part);
            self.note(&frame);
            match &mut whole {
                None => whole = Some(frame),
                Some(whole) => whole.append(frame).expect("a sensible end"),
            }
        }
        whole.expect("some bytes")
    }

    fn note(&mut self, bytes: &[u8]) {
        // Regions begin with a page.
        let start = bytes.as_ptr().addr();
        self.across += usize::from(start % PAGE + bytes.len() > PAGE);
        let last = start + bytes.len() - 1;
        self.huge.extend([start / HUGE_PAGE, last / HUGE_PAGE]);
    }

    /// Takes what has come, for as long as there is something.
    fn take(&mut self, received: &mut Vec<Vec<u8>>) {
        self.xsk.recycle();
        let frames: Vec<Frame> = self.xsk.receive(RING).collect();
        for frame in frames {
            assert_eq!(
                frame.headroom(),
                self.umem.chunk_size() - self.umem.receivable()
            );
            frame.segments().for_each(|segment| self.note(segment));
            received.push(frame.segments().flatten().copied().collect());
        }
    }

    /// Has `sent` sent from a packet socket, by bursts that fit the rings, and gives
    /// what came.
    fn receive_all(&mut self, sender: &PacketSocket, sent: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut received = Vec::new();
        for (number, burst) in sent.chunks(8).enumerate() {
            let deadline = Instant::now() + SOON;
            sender.send_batch(burst).expect("the link takes them");
            while received.len() < number * 8 + burst.len() {
                assert!(Instant::now() < deadline, "{} came", received.len());
                self.take(&mut received);
                thread::yield_now();
            }
        }
        received
    }
}

/// A track and its veth pair. `None` says that the case is skipped.
fn track(attach: Attach, mtu: u32) -> Option<Track> {
    Track::with(Medium::veth(attach), TrackOptions { mtu, queues: 1 })
}

/// A track whose MTU is the largest that fits a chunk, and its longest frame.
fn fitting_track(attach: Attach, layout: &UmemConfig) -> Option<(Track, usize)> {
    let receivable = layout.chunk_size.receivable() - layout.headroom;
    let longest = usize::try_from(receivable).expect("few bytes");
    track(attach, receivable - 18).map(|track| (track, longest - 4))
}

fn socket(track: &Track, side: Side) -> PacketSocket {
    let pair = track.pair().expect("a veth pair");
    let interface = match side {
        Side::Near => pair.client_interface(),
        Side::Far => pair.server_interface(),
    };
    PacketSocket::open(interface).expect("a socket")
}

/// Frames of every `step`-th length up to `longest`, in no order of length, so that
/// neighbours in the rings differ.
fn some_frames(track: &Track, longest: usize, step: usize) -> Vec<Vec<u8>> {
    let flow = track.flow(4000);
    let lengths: Vec<usize> = (SHORTEST..=longest - HEADERS).collect();
    let count = lengths.len().div_ceil(step);
    let one = |sequence: usize| {
        // 7919 is a prime, so every place comes once.
        let length = lengths[sequence * step * 7919 % lengths.len()];
        let sequence = u64::try_from(sequence).expect("few");
        flow.sequenced(1, length, sequence..sequence + 1)
    };
    (0..count).flat_map(one).collect()
}

/// They are the same, and by their own checksums.
#[track_caller]
fn assert_same(received: &[Vec<u8>], sent: &[Vec<u8>]) {
    for (place, (found, frame)) in received.iter().zip(sent).enumerate() {
        let (there, here) = (frame.len(), found.len());
        assert!(found == frame, "frame {place} of {there} bytes has {here}");
    }
    let mut checker = FlowChecker::new();
    checker.expect(1, u64::try_from(sent.len()).expect("few"));
    for frame in received {
        checker.observe_frame(frame);
    }
    assert!(checker.total().is_perfect(), "{:?}", checker.total());
    assert_eq!(received.len(), sent.len());
}

fn frames_of_all_lengths_are_received_from_chunks_across_pages(attach: Attach) {
    for size in SIZES {
        let layout = unaligned(size);
        let Some((track, longest)) = fitting_track(attach, &layout) else {
            return;
        };
        let mut server = Noted::bind(&track, Side::Far, &layout);
        let sender = socket(&track, Side::Near);
        let sent = some_frames(&track, longest, 1);
        assert!(sent.iter().any(|frame| frame.len() == longest));

        let received = server.receive_all(&sender, &sent);

        assert_same(&received, &sent);
        assert_eq!(server.across > 100, size != 4096, "{}", server.across);
        server.assert_settled();
    }
}

fn frames_of_all_lengths_are_sent_from_chunks_across_pages(attach: Attach) {
    for size in SIZES {
        let layout = unaligned(size);
        let Some((track, longest)) = fitting_track(attach, &layout) else {
            return;
        };
        let mut receiver = socket(&track, Side::Far);
        let mut client = Noted::bind(&track, Side::Near, &layout);
        let made = some_frames(&track, longest, 3);
        let mut received = Vec::new();

        for burst in made.chunks(50) {
            for (place, bytes) in burst.iter().enumerate() {
                // From the first byte of the chunk on, from an odd one, from where
                // received frames are.
                let earlier = [256, 255, 0, 101][place % 4];
                let frame = client.make(bytes, earlier, bytes.len());
                client.transmit(frame);
            }
            client.flush();
            let some = receiver.receive_count(burst.len(), SOON);
            received.extend(some.expect("it is up"));
        }

        assert_same(&received, &made);
        assert_eq!(client.across > 100, size != 4096, "{}", client.across);
        client.assert_settled();
    }
}

fn frames_of_9000_bytes_travel_in_several_chunks_across_pages(attach: Attach) {
    const LONGEST: usize = 9014;
    for size in SIZES {
        let Some(track) = track(attach, 9000) else {
            return;
        };
        let layout = unaligned(size);
        let mut client = Noted::bind(&track, Side::Near, &layout);
        let mut server = Noted::bind(&track, Side::Far, &layout);
        let sent = some_frames(&track, LONGEST, 17);
        let piece = usize::try_from(client.umem.receivable()).expect("few bytes");
        let mut received = Vec::new();

        for (number, bytes) in sent.iter().enumerate() {
            let frame = client.make(bytes, 0, [piece, 777][number % 2]);
            client.transmit(frame);
            client.xsk.wake().expect("the interface is up");
            let deadline = Instant::now() + SOON;
            while received.len() <= number {
                assert!(Instant::now() < deadline, "{} came", received.len());
                server.take(&mut received);
            }
        }

        assert!(sent.iter().any(|frame| frame.len() > 3 * piece.min(2900)));
        assert_same(&received, &sent);
        for end in [&client, &server] {
            assert_eq!(end.across > 100, size != 4096, "{}", end.across);
        }
        client.assert_settled();
        server.assert_settled();
    }
}

fn frames_travel_in_huge_pages_both_ways(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let Some(_pages) = HugePages::reserve(2) else {
        return;
    };
    let aligned = UmemConfig::new(CHUNKS);
    for layout in [aligned, unaligned(4001), unaligned(3000)] {
        let layout = UmemConfig {
            pages: Pages::Huge,
            frames: 2 * CHUNKS,
            ..layout
        };
        let umem = Umem::new(&layout).expect("there are two pages");
        assert_eq!((umem.memory().bytes, umem.chunks()), (4 << 20, 1024));
        // So that the queue has the chunks around the border of the two.
        let border = HUGE_PAGE / umem.chunk_size() as usize;
        let hoard: Vec<_> = (0..border - 32).map_while(|_| umem.allocate()).collect();
        let Some((track, longest)) = fitting_track(attach, &layout) else {
            return;
        };
        let mut receiver = socket(&track, Side::Near);
        let sender = socket(&track, Side::Near);
        let mut server = Noted::bind_to(&track, Side::Far, &layout, umem);
        let sent = some_frames(&track, longest, 11);

        let received = server.receive_all(&sender, &sent);
        let mut back = Vec::new();
        for burst in sent.chunks(50) {
            for bytes in burst {
                let frame = server.make(bytes, 1, bytes.len());
                server.transmit(frame);
            }
            server.flush();
            let some = receiver.receive_count(burst.len(), SOON);
            back.extend(some.expect("it is up"));
        }

        assert_same(&received, &sent);
        assert_same(&back, &sent);
        assert_eq!(server.huge.len(), 2, "{:?}", server.huge);
        drop(hoard);
        server.assert_settled();
    }
}

fn received_frames_have_the_headroom_that_was_asked_for(attach: Attach) {
    // The last is the most that the kernel takes.
    for (size, headroom) in [(4096, 128), (4001, 77), (3000, 1500), (3000, 3000 - 704)] {
        let layout = UmemConfig {
            headroom,
            ..unaligned(size)
        };
        let Some((track, longest)) = fitting_track(attach, &layout) else {
            return;
        };
        let mut socket = socket(&track, Side::Near);
        let mut server = Noted::bind(&track, Side::Far, &layout);
        let sent = some_frames(&track, longest, 23);

        // `take` sees to the place of each.
        let received = server.receive_all(&socket, &sent);
        let pushed = received[0].clone();
        let mut frame = server.make(&pushed[14..], 0, pushed.len());
        frame
            .grow_front(14)
            .expect("headroom")
            .copy_from_slice(&pushed[..14]);
        assert_eq!(frame.headroom(), 256 + headroom - 14);
        server.transmit(frame);
        server.flush();

        assert_same(&received, &sent);
        let back = socket.receive_count(1, SOON).expect("it is up");
        assert_eq!(back, [pushed]);
        server.assert_settled();
    }
}

fn frames_published_are_sent_by_poll(attach: Attach) {
    let layout = unaligned(3000);
    let Some((track, longest)) = fitting_track(attach, &layout) else {
        return;
    };
    let mut receiver = socket(&track, Side::Far);
    let mut client = Noted::bind(&track, Side::Near, &layout);
    let made = some_frames(&track, longest, 100);
    assert!(made.len() < 64);
    let one = |bytes: &Vec<u8>| client.make(bytes, 0, bytes.len());
    let frames: Vec<Frame> = made.iter().map(one).collect();
    for frame in frames {
        client.xsk.transmit(frame).expect("an empty TX ring");
    }
    let woken = client.xsk.tx().counters().wakeups;

    client.xsk.publish();
    assert_eq!(client.xsk.tx().in_flight() as usize, made.len());
    wait_until("poll sends", SOON, || {
        let socket = client.xsk.socket().expect("a bound queue has a socket");
        let mut sockets = [PollFd::new(&socket, PollFlags::IN)];
        poll(&mut sockets, Some(&Timespec::default())).expect("it is open");
        client.xsk.recycle();
        client.xsk.tx().in_flight() == 0
    });

    let received = receiver.receive_count(made.len(), SOON).expect("it is up");
    assert_same(&received, &made);
    assert_eq!(client.xsk.tx().counters().wakeups, woken);
    client.assert_settled();
}

fn forwarder_with_unaligned_chunks_in_huge_pages_loses_nothing(attach: Attach) {
    if !require_privileges() || !require_program("ping") {
        return;
    }
    let Some(_pages) = HugePages::reserve(4) else {
        return;
    };
    let wire = Testbed::wire().expect("a wire");
    let layout = ["--unaligned-chunks", "--chunk-size", "3001", "--huge-pages"];
    let options = [&layout[..], &["--frames", "2048", "--cpus", "0"]].concat();
    let forward = Forward::start(&wire, attach, &options);

    let mut ping = wire.client().command("ping");
    let server = SERVER_IPV4.to_string();
    ping.args(["-f", "-q", "-c", "2000", "-s", "1400", &server]);
    let said = ping.run_checked(SOON).expect("every ping is answered");

    assert!(said.contains("2000 received, 0% packet loss"), "{said}");
    let report = forward.stop();
    report.assert_nothing_dropped();
    let worker = &report.summary["setup"]["workers"][0];
    assert_eq!(worker["chunks"], 2048, "{worker}");
    assert_eq!(worker["chunk_size_bytes"], 3001, "{worker}");
    assert_eq!(worker["unaligned_chunks"], true, "{worker}");
    assert_eq!(worker["huge_pages"], true, "{worker}");
    assert_eq!(worker["memory_bytes"], 6 << 20, "{worker}");
}

#[test]
fn huge_pages_that_are_taken_are_counted_in_the_error() {
    if !require_privileges() {
        return;
    }
    let Some(_pages) = HugePages::reserve(1) else {
        return;
    };
    let config = UmemConfig {
        pages: Pages::Huge,
        ..UmemConfig::new(512)
    };
    let first = Umem::new(&config).expect("there is one page");

    let error = Umem::new(&config).expect_err("and no other");

    let text = error.to_string();
    for needle in [
        "takes 1 huge page(s) of 2048 KiB, and 0 are free",
        "vm.nr_hugepages=2",
    ] {
        assert!(text.contains(needle), "{text}");
    }
    drop(first);
    assert!(Umem::new(&config).is_ok(), "the page came back");
}

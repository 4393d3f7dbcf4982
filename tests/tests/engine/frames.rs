//! What an application does with frames: sends them back, makes them, lets them
//! travel.

use super::*;

in_both_modes! {
    reflected_datagrams_come_back_to_the_kernels_own_socket,
    application_sends_frames_of_its_own_making,
}

fn reflected_datagrams_come_back_to_the_kernels_own_socket(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, attach);
    let engine = builder.start(|_| Reflect).expect("it starts");
    let socket = pair
        .client()
        .run(|| UdpSocket::bind("0.0.0.0:4000").expect("the port is free"));
    socket.connect((SERVER_IPV4, 7)).expect("a route");
    socket.set_read_timeout(Some(SOON)).expect("a bound");

    for sequence in 0..1000 {
        let length = 16 + usize::try_from(sequence).expect("small") % 1400;
        let sent = SequencedPayload { flow: 1, sequence }.to_bytes(length);
        socket.send(&sent).expect("the kernel sends");
        let mut returned = [0; 2000];
        let len = socket.recv(&mut returned).expect("it comes back");
        assert_eq!(returned[..len], sent, "datagram {sequence}");
    }

    let summary = stop(engine);
    assert_nothing_dropped(&summary);
    summary.outcome.as_ref().expect("it was asked to stop");
    let totals = summary.stats.totals();
    assert_eq!(
        (totals.frames_in, totals.rx_frames, totals.tx_frames),
        (1000, 1000, 1000)
    );
    assert_eq!(totals.rx_bytes, totals.tx_bytes);
    assert_no_program(pair.server_interface());
}

#[test]
fn application_can_make_frames_even_if_the_rings_could_hold_every_chunk() {
    struct Beacon {
        left_to_send: u32,
    }

    impl Application for Beacon {
        fn receive(&mut self, _: Batch<'_>, _: &mut Outbox<'_>) {}

        fn idle(&mut self, out: &mut Outbox<'_>) -> Idle {
            while self.left_to_send > 0
                && let Some(mut frame) = out.allocate()
            {
                frame.grow_back(60).expect("a chunk has room").fill(0xff);
                out.send(frame, InterfaceId(1));
                self.left_to_send -= 1;
            }
            Idle::Sleep
        }
    }

    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let (_inside, builder) = on_wire(&wire, Attach::Auto);
    let ring_size = RingCapacity::new(1024).expect("a power of two");

    let engine = builder
        .ring_size(ring_size)
        .frames(1024)
        .start(|_| Beacon { left_to_send: 100 })
        .expect("it starts");
    wait_until("100 frames are made", SOON, || {
        engine.stats().totals().frames_made == 100
    });

    let summary = stop(engine);
    assert_conserved(&summary);
    assert_eq!(summary.stats.totals().tx_frames, 100);
}

/// Sends numbered frames when there is nothing else to do.
struct Make {
    flow: wharf_testbed::UdpFlow,
    next: u64,
}

impl Application for Make {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        batch.for_each(drop);
    }

    fn idle(&mut self, out: &mut Outbox<'_>) -> Idle {
        if self.next == 300 {
            return Idle::Sleep;
        }
        let payload = SequencedPayload {
            flow: 7,
            sequence: self.next,
        }
        .to_bytes(300);
        let bytes = self.flow.frame(&payload);
        let len = u32::try_from(bytes.len()).expect("a frame is short");
        if let Some(mut frame) = out.allocate() {
            frame
                .grow_back(len)
                .expect("a chunk holds a frame")
                .copy_from_slice(&bytes);
            out.send(frame, InterfaceId(0));
            self.next += 1;
        }
        Idle::Again
    }
}

fn application_sends_frames_of_its_own_making(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let mut receiver = PacketSocket::open(pair.client_interface()).expect("a socket");
    let (_inside, builder) = on_server(&pair, attach);
    let flow = unanswered(pair.udp_flow(4000, 4433).reversed());
    let engine = builder
        .start(move |_| Make { flow, next: 0 })
        .expect("it starts");

    let frames = receiver
        .receive_count(300, SOON)
        .expect("the interface stays");

    for (sequence, frame) in frames.iter().enumerate() {
        let parsed = UdpFrame::parse(frame).expect("checksums hold");
        let payload = SequencedPayload::verify(&parsed.payload).expect("intact");
        assert_eq!(payload.sequence, sequence as u64, "in order");
    }
    assert_eq!(frames.len(), 300);
    let summary = stop(engine);
    assert_nothing_dropped(&summary);
    let totals = summary.stats.totals();
    assert_eq!((totals.frames_made, totals.tx_frames), (300, 300));
}

/// Sends every frame to another thread.
struct Travel(std::sync::mpsc::Sender<wharf::DetachedFrame>);

impl Application for Travel {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        for frame in batch {
            self.0.send(frame.detach()).expect("the test listens");
        }
    }
}

#[test]
fn frames_on_another_thread_are_held_when_the_engine_stops_and_outlive_it() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, Attach::Auto);
    let (travel, arrivals) = std::sync::mpsc::channel();
    let engine = builder
        .start(move |_| Travel(travel.clone()))
        .expect("it starts");
    let sender = PacketSocket::sender(pair.client_interface()).expect("a socket");
    let sent: Vec<_> = pair.udp_flow(4000, 4433).sequenced(1, 64, 0..100).collect();

    sender.send_batch(&sent).expect("the link takes them");
    let arrive = |_| arrivals.recv_timeout(SOON).expect("it arrives");
    let mut frames: Vec<_> = (0..100).map(arrive).collect();
    drop(frames.drain(..40));
    let summary = stop(engine);

    assert_conserved(&summary);
    assert_eq!(summary.audits[0].detached, 60);
    let totals = summary.stats.totals();
    assert_eq!(totals.frames_in, 100);
    assert_eq!(totals.drops.get(DropReason::Application), 40);
    for (frame, bytes) in frames.iter().zip(&sent[40..]) {
        assert_eq!(frame[..], bytes[..], "the memory is still there");
    }
}

/// Sends each frame to one of several threads, and what they return back where it came
/// from.
struct Distribute {
    threads: Vec<std::sync::mpsc::Sender<wharf::DetachedFrame>>,
    returned: std::sync::mpsc::Receiver<wharf::DetachedFrame>,
}

impl Application for Distribute {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        for (place, frame) in batch.enumerate() {
            let thread = &self.threads[place % self.threads.len()];
            thread.send(frame.detach()).expect("it listens");
        }
    }

    fn woken(&mut self, out: &mut Outbox<'_>) {
        for detached in self.returned.try_iter() {
            let mut frame = out.umem().attach(detached).expect("its own");
            frame.swap_mac_addresses();
            out.send(frame, InterfaceId(0));
        }
    }
}

/// Returns frames in another order than they came in, and keeps every eighth, until
/// nothing more comes.
fn shuffle(
    frames: &std::sync::mpsc::Receiver<wharf::DetachedFrame>,
    returned: &std::sync::mpsc::Sender<wharf::DetachedFrame>,
    waker: &wharf::Waker,
) -> Vec<wharf::DetachedFrame> {
    let (mut kept, mut waiting) = (Vec::new(), Vec::new());
    loop {
        match frames.recv_timeout(Duration::from_millis(1)) {
            Ok(frame) if (kept.len() + 1) * 8 <= waiting.len() => kept.push(frame),
            Ok(frame) => waiting.push(frame),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                for frame in waiting.drain(..).rev() {
                    // The engine may have stopped.
                    let _ = returned.send(frame);
                }
                waker.wake();
            }
            Err(_) => {
                kept.append(&mut waiting);
                return kept;
            }
        }
    }
}

#[test]
fn frames_on_many_threads_come_back_and_outlive_a_stopped_engine() {
    if !require_privileges() {
        return;
    }
    for copybreak in [wharf::Copybreak::Off, wharf::Copybreak::Below(4096)] {
        let pair = Testbed::pair().expect("a pair");
        let mut receiver = PacketSocket::open(pair.client_interface()).expect("a socket");
        let (_inside, builder) = on_server(&pair, Attach::Auto);
        let (handles, joined) = std::sync::mpsc::channel();
        let engine = builder
            .queues(1)
            .copybreak(copybreak)
            .start(move |context| {
                let (done, returned) = std::sync::mpsc::channel();
                let threads = (0..6).map(|_| {
                    let (to, frames) = std::sync::mpsc::channel();
                    let (done, waker) = (done.clone(), context.waker());
                    let thread = std::thread::spawn(move || shuffle(&frames, &done, &waker));
                    handles.send(thread).expect("the test listens");
                    to
                });
                Distribute {
                    threads: threads.collect(),
                    returned,
                }
            })
            .expect("it starts");
        let sender = PacketSocket::sender(pair.client_interface()).expect("a socket");
        let flow = unanswered(pair.udp_flow(4000, 4433));

        for round in 0..10 {
            let sent: Vec<_> = flow
                .sequenced(1, 200, round * 100..(round + 1) * 100)
                .collect();
            sender.send_batch(&sent).expect("the link takes them");
            wait_for_frames_in(&engine, (round + 1) * 100);
        }
        wait_until("most frames come back", SOON, || {
            engine.stats().totals().tx_frames > 500
        });
        let returned = receiver
            .receive_count(500, SOON)
            .expect("the interface stays");
        let summary = stop(engine);

        assert_conserved(&summary);
        for frame in &returned {
            let parsed = UdpFrame::parse(frame).expect("checksums hold");
            SequencedPayload::verify(&parsed.payload).expect("intact");
        }
        let totals = summary.stats.totals();
        match copybreak {
            wharf::Copybreak::Off => assert_eq!(totals.frames_copied_out, 0),
            _ => {
                assert_eq!(totals.frames_copied_out, 1000);
                assert_eq!(totals.frames_copied_in, totals.tx_frames);
            }
        }
        let kept: Vec<_> = joined
            .iter()
            .flat_map(|thread: std::thread::JoinHandle<Vec<_>>| thread.join().expect("no panic"))
            .collect();
        for frame in &kept {
            let parsed = UdpFrame::parse(frame).expect("the memory is still there");
            SequencedPayload::verify(&parsed.payload).expect("intact");
        }
    }
}

//! Senders over simulated xsks: every message is reported once, whatever becomes of it.

use std::collections::BTreeMap;
use std::time::Instant;

use super::*;
use crate::kernel::{InterfaceId, RingCapacity};
use crate::memory::{Umem, UmemConfig};
use crate::runtime::{Application, Idle, Outbox, SimulatedWorker};
use crate::xsk::{Batch, Completions, MultiBuffer, SimulatedNic, Xsk, XskConfig};

const HEADERS: [u8; 14] = [2; 14];
const RING: u32 = 64;

type Sender = MessageSender<[u8; 14], FromBytes<Vec<u8>>>;

fn umem() -> Umem {
    Umem::new(&UmemConfig::new(512)).expect("memory for a UMEM")
}

fn config(multi_buffer: MultiBuffer) -> XskConfig {
    XskConfig {
        multi_buffer,
        ..XskConfig::new(RingCapacity::new(RING).expect("a power of two"))
    }
}

fn xsk(umem: &Umem) -> (Xsk, SimulatedNic) {
    Xsk::simulated(umem, &config(MultiBuffer::Never)).expect("a simulated xsk")
}

fn scatter(number: u64, len: usize, frame_bytes: u32) -> Scatter<[u8; 14], FromBytes<Vec<u8>>> {
    let layout = Layout::new(frame_bytes, 14).expect("room for payload");
    let byte = u8::try_from(number).expect("small");
    let message_len = u32::try_from(len).expect("small");
    Scatter::new(
        number,
        message_len,
        &layout,
        HEADERS,
        FromBytes(vec![byte; len]),
    )
    .expect("the headers fit")
}

/// Sends until nothing goes on, and has the NIC complete `at_once` frames a round.
/// Returns the numbers of the messages that the frames were of.
fn run(
    sender: &mut Sender,
    umem: &Umem,
    xsk: &mut Xsk,
    nic: &mut SimulatedNic,
    at_once: usize,
) -> Vec<u64> {
    let mut order = Vec::new();
    loop {
        sender.advance(umem, &mut xsk.tx(), u32::MAX);
        xsk.publish();
        let sent: Vec<_> = std::iter::from_fn(|| nic.transmitted())
            .take(at_once)
            .collect();
        if sent.is_empty() {
            return order;
        }
        order.extend(sent.iter().map(|bytes| u64::from(bytes[14 + 15])));
        xsk.tx().complete();
        for completion in xsk.tx().completions() {
            sender.completed(completion).expect("of a message");
        }
    }
}

fn ended(sender: &mut Sender) -> Vec<(u64, SendOutcome)> {
    let ended = std::iter::from_fn(|| sender.take_ended());
    ended.map(|sent| (sent.cookie, sent.outcome)).collect()
}

#[test]
fn every_message_is_reported_once_when_all_its_frames_are_done() {
    let umem = umem();
    let (mut xsk, mut nic) = xsk(&umem);
    let mut sender = Sender::new(SenderConfig::default());
    for (number, len) in [(1, 0), (2, 100), (3, 200_000), (4, 1476), (5, 100_000)] {
        let scatter = scatter(number, len, 1514);
        sender
            .submit(number * 10, scatter, Returning::No)
            .expect("a new cookie");
    }

    sender.advance(&umem, &mut xsk.tx(), 2);
    xsk.publish();
    assert_eq!(ended(&mut sender), [], "none is complete");
    assert_eq!((sender.outstanding(), sender.in_flight()), (5, 2));
    run(&mut sender, &umem, &mut xsk, &mut nic, 7);

    let mut reported = ended(&mut sender);
    reported.sort_unstable_by_key(|(cookie, _)| *cookie);
    let expected: Vec<_> = (1..6)
        .map(|number| (number * 10, SendOutcome::Sent))
        .collect();
    assert_eq!(reported, expected);
    assert_eq!((sender.outstanding(), sender.in_flight()), (0, 0));
    assert_eq!(ended(&mut sender), []);
    assert!(umem.audit().is_balanced());
}

#[test]
fn so_many_messages_as_configured_take_turns() {
    let umem = umem();
    let (mut xsk, mut nic) = xsk(&umem);
    let mut sender = Sender::new(SenderConfig {
        side_by_side: 2,
        turn: 3,
        ..SenderConfig::default()
    });
    for number in 1..4 {
        let scatter = scatter(number, 7 * 1476, 1514);
        sender
            .submit(number, scatter, Returning::No)
            .expect("a new cookie");
    }

    let order = run(&mut sender, &umem, &mut xsk, &mut nic, 64);

    assert_eq!(
        order,
        [
            1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2, 1, 2, 3, 3, 3, 3, 3, 3, 3
        ]
    );
}

#[test]
fn frames_in_flight_are_limited() {
    let umem = umem();
    let (mut xsk, mut nic) = xsk(&umem);
    let mut sender = Sender::new(SenderConfig {
        most_in_flight: 5,
        ..SenderConfig::default()
    });
    sender
        .submit(1, scatter(1, 100_000, 1514), Returning::No)
        .expect("new");

    assert_eq!(sender.advance(&umem, &mut xsk.tx(), 3), 3);
    assert_eq!(sender.advance(&umem, &mut xsk.tx(), u32::MAX), 2);
    assert_eq!(sender.advance(&umem, &mut xsk.tx(), u32::MAX), 0);
    run(&mut sender, &umem, &mut xsk, &mut nic, 1);
    assert_eq!(ended(&mut sender), [(1, SendOutcome::Sent)]);
}

#[test]
fn returned_message_is_whole_and_is_sent_again_in_the_same_frames() {
    let umem = umem();
    let (mut xsk, mut nic) = xsk(&umem);
    let mut sender = Sender::new(SenderConfig::default());
    sender
        .submit(1, scatter(1, 50_000, 1514), Returning::Yes)
        .expect("new");
    run(&mut sender, &umem, &mut xsk, &mut nic, 9);
    let first = sender.take_ended().expect("sent");

    let message = first.message.expect("all frames came back");
    assert_eq!((message.number(), message.len()), (1, 50_000));
    assert_eq!(message.segments().map(<[u8]>::len).sum::<usize>(), 50_000);
    assert!(message.segments().flatten().all(|byte| *byte == 1));
    let again = Scatter::of_message(2, message, HEADERS).expect("the headers fit again");
    sender
        .submit(1, again, Returning::No)
        .expect("it was reported");
    let order = run(&mut sender, &umem, &mut xsk, &mut nic, 64);

    assert_eq!(order, [2; 34]);
    let second = sender.take_ended().expect("sent");
    assert!(second.message.is_none());
    assert!(umem.audit().is_balanced());
    assert_eq!(umem.audit().application, 0);
}

#[test]
fn cookie_of_an_outstanding_message_is_refused_with_the_message() {
    let umem = umem();
    let (mut xsk, mut nic) = xsk(&umem);
    let mut sender = Sender::new(SenderConfig::default());
    sender
        .submit(7, scatter(1, 10, 1514), Returning::No)
        .expect("new");

    let refused = sender.submit(7, scatter(2, 10, 1514), Returning::No);

    let refused = refused.expect_err("it is outstanding");
    assert_eq!((refused.cookie, refused.scatter.number()), (7, 2));
    assert!(refused.to_string().contains("cookie 7 is outstanding"));
    run(&mut sender, &umem, &mut xsk, &mut nic, 64);
    assert_eq!(sender.outstanding(), 1);
    assert_eq!(ended(&mut sender), [(7, SendOutcome::Sent)]);
    sender
        .submit(7, refused.scatter, Returning::No)
        .expect("it was reported");
}

#[test]
fn completion_of_something_else_comes_back() {
    let umem = umem();
    let (mut xsk, mut nic) = xsk(&umem);
    let mut sender = Sender::new(SenderConfig::default());
    let mut frame = umem.allocate().expect("a free chunk");
    frame.grow_back(60).expect("room");
    xsk.transmit_tagged(frame, 99).expect("room");
    xsk.publish();
    assert!(nic.transmitted().is_some());
    xsk.tx().complete();

    let completion = xsk.completions().next().expect("it is done with");
    let foreign = sender.completed(completion).expect_err("not of a message");
    assert_eq!(foreign.cookie, 99);
    // A message of that name, none of whose frames was sent.
    sender
        .submit(99, scatter(1, 10, 1514), Returning::No)
        .expect("new");
    assert!(sender.completed(foreign).is_err());
    assert_eq!(sender.outstanding(), 1);
}

#[test]
fn message_that_the_xsk_refuses_is_reported_and_the_others_are_sent() {
    let umem = umem();
    let (mut xsk, mut nic) = xsk(&umem);
    let mut sender = Sender::new(SenderConfig::default());
    sender
        .submit(1, scatter(1, 3000, 1514), Returning::No)
        .expect("new");
    sender
        .submit(2, scatter(2, 30_000, 9014), Returning::No)
        .expect("new");
    sender
        .submit(3, scatter(3, 3000, 1514), Returning::No)
        .expect("new");

    run(&mut sender, &umem, &mut xsk, &mut nic, 64);

    let mut reported = ended(&mut sender);
    reported.sort_unstable_by_key(|(cookie, _)| *cookie);
    assert_eq!(
        reported,
        [
            (1, SendOutcome::Sent),
            (2, SendOutcome::Refused),
            (3, SendOutcome::Sent)
        ]
    );
}

#[test]
fn messages_are_reported_as_aborted_when_the_xsk_goes() {
    let umem = umem();
    let (mut xsk, nic) = xsk(&umem);
    let mut sender = Sender::new(SenderConfig::default());
    let completions = xsk.tx().completion_queue();
    for number in 1..4 {
        let scatter = scatter(number, 60_000, 1514);
        sender.submit(number, scatter, Returning::No).expect("new");
    }
    assert!(sender.advance(&umem, &mut xsk.tx(), u32::MAX) > 0);
    xsk.publish();

    drop((xsk, nic));
    for completion in completions.completions() {
        sender.completed(completion).expect("of a message");
    }
    assert_eq!(ended(&mut sender), [], "there are frames to be sent");
    sender.abandon();

    let reported: BTreeMap<_, _> = ended(&mut sender).into_iter().collect();
    assert_eq!(reported.len(), 3);
    assert!(
        reported
            .values()
            .all(|outcome| *outcome == SendOutcome::Aborted)
    );
    assert_eq!((sender.outstanding(), sender.in_flight()), (0, 0));
}

/// Answers every message with one of its own, in the same frames.
struct Echo {
    messages: Reassembler<[u8; 1]>,
    replies: Sender,
    sent: u64,
}

impl Application for Echo {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        let interface = batch.interface();
        for frame in batch {
            let peer = [frame[0]];
            if let Reception::Complete(message) =
                self.messages.receive(frame, 14, peer, Instant::now())
            {
                let number = message.number();
                let reply =
                    Scatter::of_message(number, message, HEADERS).expect("the same headers");
                self.replies
                    .submit(number, reply, Returning::No)
                    .expect("new");
            }
        }
        let umem = out.umem().clone();
        self.replies
            .advance(&umem, &mut ToInterface::new(out, interface), u32::MAX);
    }

    fn completed(&mut self, completions: Completions<'_>, _: &mut Outbox<'_>) {
        for completion in completions {
            self.replies.completed(completion).expect("of a message");
        }
        while let Some(ended) = self.replies.take_ended() {
            assert_eq!(ended.outcome, SendOutcome::Sent);
            self.sent += 1;
        }
    }

    fn idle(&mut self, out: &mut Outbox<'_>) -> Idle {
        let umem = out.umem().clone();
        let sent =
            self.replies
                .advance(&umem, &mut ToInterface::new(out, InterfaceId(0)), u32::MAX);
        if sent > 0 { Idle::Again } else { Idle::Sleep }
    }
}

#[test]
fn application_answers_messages_through_its_outbox() {
    let (near, far) = (umem(), umem());
    let echo = Echo {
        messages: Reassembler::new(ReassemblyConfig::default()),
        replies: Sender::new(SenderConfig::default()),
        sent: 0,
    };
    let (mut worker, mut nics) =
        SimulatedWorker::new(&near, &[config(MultiBuffer::Never)], echo).expect("an xsk");
    let mut answers = Reassembler::new(ReassemblyConfig::default());
    let mut whole = Vec::new();
    let mut deliver = |worker: &mut SimulatedWorker<Echo>, bytes: Option<&[u8]>| {
        if let Some(bytes) = bytes {
            assert!(nics[0].deliver(bytes));
        }
        worker.round();
        while let Some(bytes) = nics[0].transmitted() {
            let mut frame = far.allocate().expect("a free chunk");
            let len = u32::try_from(bytes.len()).expect("short");
            frame.grow_back(len).expect("room").copy_from_slice(&bytes);
            if let Reception::Complete(message) = answers.receive(frame, 14, (), Instant::now()) {
                whole.push((message.number(), message.len()));
            }
        }
    };
    for number in 1..6 {
        let mut request = scatter(number, 20_000, 1514);
        while let Some(frame) = request.next_frame(&far).expect("a free chunk") {
            let bytes = frame.to_vec();
            drop(frame);
            deliver(&mut worker, Some(&bytes));
        }
    }
    for _ in 0..20 {
        deliver(&mut worker, None);
    }

    assert_eq!(
        whole,
        [
            (1, 20_000),
            (2, 20_000),
            (3, 20_000),
            (4, 20_000),
            (5, 20_000)
        ]
    );
    assert_eq!(worker.application().sent, 5);
    let summary = worker.finish();
    assert!(summary.is_conserved(), "{summary:?}");
}

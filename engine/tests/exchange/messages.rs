//! Messages, reassemblers and what scatters, exchanged while they are half way.

use std::mem::{forget, swap};
use std::time::Instant;

use wharf::message::{
    FromBytes, Layout, Message, MessageSender, Reassembler, ReassemblyConfig, Reception, Returning,
    Scatter, SendOutcome, SenderConfig,
};
use wharf::{RingCapacity, Umem, UmemConfig, Xsk, XskConfig};

const HEADERS: [u8; 14] = [2; 14];

fn umem() -> Umem {
    Umem::new(&UmemConfig::new(64)).expect("memory for a UMEM")
}

fn scatter(number: u64, byte: u8) -> Scatter<[u8; 14], FromBytes<Vec<u8>>> {
    let layout = Layout::new(1514, 14).expect("room for payload");
    let payload = FromBytes(vec![byte; 4000]);
    Scatter::new(number, 4000, &layout, HEADERS, payload).expect("the headers fit")
}

fn reassembler() -> Reassembler<()> {
    Reassembler::new(ReassemblyConfig::default())
}

/// Takes the rest of a message.
fn take(
    umem: &Umem,
    scatter: &mut Scatter<[u8; 14], FromBytes<Vec<u8>>>,
    reassembler: &mut Reassembler<()>,
) -> Option<Message<()>> {
    let mut message = None;
    while let Some(frame) = scatter.next_frame(umem).expect("free chunks") {
        if let Reception::Complete(whole) = reassembler.receive(frame, 14, (), Instant::now()) {
            message = Some(whole);
        }
    }
    message
}

fn only(message: &Message<()>) -> Vec<u8> {
    let mut bytes: Vec<u8> = message.segments().flatten().copied().collect();
    assert_eq!(bytes.len(), 4000);
    bytes.dedup();
    bytes
}

#[test]
fn exchanged_scatters_and_reassemblers_go_on_as_each_other() {
    let umem = umem();
    let (mut a, mut b) = (scatter(1, 0xaa), scatter(2, 0xbb));
    let (mut to_a, mut to_b) = (reassembler(), reassembler());
    for (from, to) in [(&mut a, &mut to_a), (&mut b, &mut to_b)] {
        let frame = from.next_frame(&umem).expect("a free chunk").expect("more");
        assert!(matches!(
            to.receive(frame, 14, (), Instant::now()),
            Reception::Held
        ));
    }

    swap(&mut a, &mut b);
    swap(&mut to_a, &mut to_b);

    let of_b = take(&umem, &mut a, &mut to_a).expect("whole");
    let of_a = take(&umem, &mut b, &mut to_b).expect("whole");
    assert_eq!((of_a.number(), only(&of_a)), (1, vec![0xaa]));
    assert_eq!((of_b.number(), only(&of_b)), (2, vec![0xbb]));
    drop((of_a, of_b));
    assert_eq!(umem.audit().pool, 64);
}

#[test]
fn exchanged_messages_and_segments_are_each_others() {
    let umem = umem();
    let mut to = reassembler();
    let mut a = take(&umem, &mut scatter(1, 0xaa), &mut to).expect("whole");
    let mut b = take(&umem, &mut scatter(2, 0xbb), &mut to).expect("whole");

    {
        let mut of_a: Vec<_> = a.segments_mut().collect();
        let mut of_b: Vec<_> = b.segments_mut().collect();
        swap(&mut of_a[0], &mut of_b[0]);
        of_a[0].fill(0xcc);
    }
    assert_eq!((only(&a), only(&b)), (vec![0xaa], vec![0xcc, 0xbb]));
    swap(&mut a, &mut b);

    assert_eq!((a.number(), b.number()), (2, 1));
    drop((a, b));
    assert_eq!(umem.audit().pool, 64);
}

#[test]
fn forgotten_messages_keep_their_memory_and_nothing_else() {
    let umem = umem();
    let mut to = reassembler();
    let mut half = scatter(2, 0xbb);
    let frame = half.next_frame(&umem).expect("a free chunk").expect("more");
    let _ = to.receive(frame, 14, (), Instant::now());
    let message = take(&umem, &mut scatter(1, 0xaa), &mut to).expect("whole");
    let detached = take(&umem, &mut scatter(3, 0xcc), &mut to)
        .expect("whole")
        .detach();

    forget((message, detached, half, to));

    let audit = umem.audit();
    assert!(audit.is_balanced(), "{audit:?}");
    assert_eq!((audit.application, audit.detached, audit.pool), (4, 3, 57));
}

#[test]
fn exchanged_senders_report_their_own_messages_and_return_the_others() {
    // More than the fill ring takes.
    let umem = Umem::new(&UmemConfig::new(256)).expect("memory for a UMEM");
    let config = XskConfig::new(RingCapacity::new(64).expect("a power of two"));
    let (mut xsk, mut nic) = Xsk::simulated(&umem, &config).expect("a simulated xsk");
    let sender = || MessageSender::new(SenderConfig::default());
    let (mut a, mut b) = (sender(), sender());
    a.submit(1, scatter(1, 0xaa), Returning::No).expect("new");
    b.submit(2, scatter(2, 0xbb), Returning::No).expect("new");
    assert_eq!(a.advance(&umem, &mut xsk.tx(), 2), 2);

    swap(&mut a, &mut b);
    a.advance(&umem, &mut xsk.tx(), u32::MAX);
    b.advance(&umem, &mut xsk.tx(), u32::MAX);
    xsk.publish();
    while nic.transmitted().is_some() {}
    xsk.tx().complete();
    for completion in xsk.completions() {
        if let Err(other) = a.completed(completion) {
            b.completed(other).expect("of one of the two");
        }
    }

    for (sender, cookie) in [(&mut a, 2), (&mut b, 1)] {
        let sent = sender.take_ended().expect("it is done with");
        assert_eq!((sent.cookie, sent.outcome), (cookie, SendOutcome::Sent));
        assert_eq!(sender.outstanding(), 0);
    }
    forget((a, b));
    assert!(umem.audit().is_balanced());
}

//! What the ledger lets happen to a chunk, and what it calls a violation.

use super::*;

const A: XskId = XskId(0);
const B: XskId = XskId(1);
/// A second xsk of A's queue.
const A2: XskId = XskId(2);
const QUEUE_A: QueueId = QueueId(0);
const QUEUE_B: QueueId = QueueId(1);

fn seat(member: XskId) -> XskRecords {
    XskRecords::new(if member == B { QUEUE_B } else { QUEUE_A }, member)
}

fn lend(ledger: &Ledger, chunk: u32, group: QueueId) {
    ledger.lend(chunk, group);
    ledger.charge(group, 1);
}

fn owners(ledger: &Ledger) -> Vec<Owner> {
    ledger.owners().map(|(owner, _)| owner).collect()
}

#[test]
fn chunk_the_kernel_never_had_is_a_violation() {
    let ledger = Ledger::new(2);

    assert!(ledger.receive(0, &seat(A)).is_err());
    assert_eq!(ledger.complete(1, QUEUE_A), Err(Violation));
    assert!(ledger.receive(2, &seat(A)).is_err(), "beyond the UMEM");
}

#[test]
fn chunk_named_twice_is_received_once() {
    let ledger = Ledger::new(1);
    lend(&ledger, 0, QUEUE_A);

    assert!(ledger.receive(0, &seat(A)).is_ok());
    assert!(ledger.receive(0, &seat(A2)).is_err());
}

#[test]
fn chunk_of_another_queue_is_a_violation() {
    let ledger = Ledger::new(1);
    lend(&ledger, 0, QUEUE_A);

    assert!(ledger.receive(0, &seat(B)).is_err());
    let claim = ledger.receive(0, &seat(A)).expect("lent to A");
    ledger.transmit(&claim, &seat(B));
    assert_eq!(ledger.complete(0, QUEUE_A), Err(Violation));
    assert_eq!(ledger.complete(0, QUEUE_B), Ok(B));
}

#[test]
fn charge_stays_with_the_receiving_queue_until_the_pool_has_the_chunk() {
    let ledger = Ledger::new(2);
    lend(&ledger, 0, QUEUE_A);
    let claim = ledger.receive(0, &seat(A)).expect("lent to A");
    ledger.transmit(&claim, &seat(B));
    assert_eq!((ledger.charged(QUEUE_A), ledger.charged(QUEUE_B)), (1, 0));

    ledger.complete(0, QUEUE_B).expect("sent by B");
    assert_eq!((ledger.charged(QUEUE_A), ledger.charged(QUEUE_B)), (0, 0));

    let claim = ledger.allocate(1);
    assert!(ledger.transmit(&claim, &seat(B)), "made, not received");
    assert_eq!((ledger.charged(QUEUE_A), ledger.charged(QUEUE_B)), (0, 1));
}

#[test]
fn completion_names_the_xsk_that_sent_among_those_of_the_queue() {
    let ledger = Ledger::new(2);
    let claims = [ledger.allocate(0), ledger.allocate(1)];
    ledger.transmit(&claims[0], &seat(A));
    ledger.transmit(&claims[1], &seat(A2));

    assert_eq!(ledger.complete(1, QUEUE_A), Ok(A2));
    assert_eq!(ledger.complete(0, QUEUE_A), Ok(A));
}

#[test]
fn dropped_frame_counts_for_the_xsk_that_received_it() {
    let ledger = Ledger::new(1);
    lend(&ledger, 0, QUEUE_A);
    let claim = ledger.receive(0, &seat(A2)).expect("lent to the queue");
    ledger.detach(&claim);
    let claim = ledger.attach(0);

    ledger.count_discard(&claim);
    ledger.recycle(&claim);

    assert_eq!((ledger.discarded(A), ledger.discarded(A2)), (0, 1));
    assert_eq!(ledger.charged(QUEUE_A), 0);
}

#[test]
fn closing_strands_what_the_kernel_has_of_that_queue_only() {
    let ledger = Ledger::new(3);
    lend(&ledger, 0, QUEUE_A);
    lend(&ledger, 1, QUEUE_B);
    let claim = ledger.allocate(2);
    ledger.transmit(&claim, &seat(A));

    ledger.close_fill(QUEUE_A, Owner::Stranded, |_| ());
    ledger.close_transmit(A);

    let expected = [Owner::Stranded, Owner::Fill, Owner::Stranded];
    assert_eq!(owners(&ledger), expected);
}

#[test]
fn stranded_frame_comes_home_on_its_queues_completion_ring_once() {
    let ledger = Ledger::new(2);
    let claims = [ledger.allocate(0), ledger.allocate(1)];
    ledger.transmit(&claims[0], &seat(A));
    ledger.transmit(&claims[1], &seat(A2));

    ledger.close_transmit(A);

    assert_eq!(owners(&ledger), [Owner::Stranded, Owner::Transmit]);
    assert_eq!(ledger.complete(0, QUEUE_A), Err(Violation));
    assert_eq!(ledger.complete_stranded(0, QUEUE_B), Err(Violation));
    assert_eq!(ledger.complete_stranded(0, QUEUE_A), Ok(()));
    assert_eq!(ledger.complete_stranded(0, QUEUE_A), Err(Violation));
    assert_eq!(owners(&ledger), [Owner::Pool, Owner::Transmit]);
    assert_eq!(ledger.charged(QUEUE_A), 1, "what the other xsk sends");
}

#[test]
fn chunk_stranded_in_a_fill_ring_never_comes_home() {
    let ledger = Ledger::new(1);
    lend(&ledger, 0, QUEUE_A);

    ledger.close_fill(QUEUE_A, Owner::Stranded, |_| ());

    assert_eq!(ledger.complete_stranded(0, QUEUE_A), Err(Violation));
}

#[test]
#[should_panic(expected = "moves only from the owner")]
fn our_own_mistake_panics() {
    let ledger = Ledger::new(1);
    let claim = ledger.allocate(0);
    ledger.recycle(&claim);

    ledger.recycle(&claim);
}

//! What the ledger lets happen to a chunk, and what it calls a violation.

use super::*;

const A: XskId = XskId(0);
const B: XskId = XskId(1);
/// A second xsk of A's queue.
const A2: XskId = XskId(2);
const QUEUE_A: QueueId = QueueId(0);
const QUEUE_B: QueueId = QueueId(1);

fn records(xsk: XskId) -> XskRecords {
    XskRecords::new(if xsk == B { QUEUE_B } else { QUEUE_A }, xsk)
}

fn post(ledger: &Ledger, chunk: u32, queue: QueueId) {
    ledger.post(chunk, Record::posted(queue));
    ledger.charge(queue, 1);
}

fn owners(ledger: &Ledger) -> Vec<Owner> {
    ledger.owners().map(|(owner, _)| owner).collect()
}

#[test]
fn chunk_the_kernel_never_had_is_a_violation() {
    let ledger = Ledger::new(2);

    assert!(ledger.receive(0, &records(A)).is_err());
    assert_eq!(ledger.complete(1, QUEUE_A), Err(Violation));
    assert!(ledger.receive(2, &records(A)).is_err(), "beyond the UMEM");
}

#[test]
fn chunk_named_twice_is_received_once() {
    let ledger = Ledger::new(1);
    post(&ledger, 0, QUEUE_A);

    assert!(ledger.receive(0, &records(A)).is_ok());
    assert!(ledger.receive(0, &records(A2)).is_err());
}

#[test]
fn chunk_of_another_queue_is_a_violation() {
    let ledger = Ledger::new(1);
    post(&ledger, 0, QUEUE_A);

    assert!(ledger.receive(0, &records(B)).is_err());
    let claim = ledger.receive(0, &records(A)).expect("posted to A");
    ledger.transmit(&claim, &records(B));
    assert_eq!(ledger.complete(0, QUEUE_A), Err(Violation));
    assert_eq!(ledger.complete(0, QUEUE_B).map(Record::xsk), Ok(B));
}

#[test]
fn charge_stays_with_the_receiving_queue_until_the_pool_has_the_chunk() {
    let ledger = Ledger::new(2);
    post(&ledger, 0, QUEUE_A);
    let claim = ledger.receive(0, &records(A)).expect("posted to A");
    ledger.transmit(&claim, &records(B));
    assert_eq!((ledger.charged(QUEUE_A), ledger.charged(QUEUE_B)), (1, 0));

    ledger.complete(0, QUEUE_B).expect("sent by B");
    assert_eq!((ledger.charged(QUEUE_A), ledger.charged(QUEUE_B)), (0, 0));

    let claim = ledger.allocate(1);
    assert!(
        ledger.transmit(&claim, &records(B)).is_made(),
        "not received"
    );
    assert_eq!((ledger.charged(QUEUE_A), ledger.charged(QUEUE_B)), (0, 1));
}

#[test]
fn completion_names_the_xsk_that_sent_among_those_of_the_queue() {
    let ledger = Ledger::new(2);
    let claims = [ledger.allocate(0), ledger.allocate(1)];
    ledger.transmit(&claims[0], &records(A));
    ledger.transmit(&claims[1], &records(A2));

    assert_eq!(ledger.complete(1, QUEUE_A).map(Record::xsk), Ok(A2));
    assert_eq!(ledger.complete(0, QUEUE_A).map(Record::xsk), Ok(A));
}

#[test]
fn dropped_frame_counts_for_the_xsk_that_received_it() {
    let ledger = Ledger::new(1);
    post(&ledger, 0, QUEUE_A);
    let claim = ledger
        .receive(0, &records(A2))
        .expect("posted to the queue");
    ledger.detach(&claim);
    let claim = ledger.attach(0);

    ledger.discard(&claim);

    assert_eq!((ledger.discarded(A), ledger.discarded(A2)), (0, 1));
    assert_eq!(ledger.charged(QUEUE_A), 0);
}

#[test]
fn closing_strands_what_the_kernel_has_of_that_queue_only() {
    let ledger = Ledger::new(3);
    post(&ledger, 0, QUEUE_A);
    post(&ledger, 1, QUEUE_B);
    let claim = ledger.allocate(2);
    ledger.transmit(&claim, &records(A));

    ledger.close_fill(QUEUE_A, Owner::Stranded, |_| ());
    ledger.close_transmit(A, |_, _| ());

    let expected = [Owner::Stranded, Owner::Fill, Owner::Stranded];
    assert_eq!(owners(&ledger), expected);
}

#[test]
fn stranded_frame_comes_home_on_its_queues_completion_ring_once() {
    let ledger = Ledger::new(2);
    let claims = [ledger.allocate(0), ledger.allocate(1)];
    ledger.transmit(&claims[0], &records(A));
    ledger.transmit(&claims[1], &records(A2));

    ledger.close_transmit(A, |_, _| ());

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
    post(&ledger, 0, QUEUE_A);

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

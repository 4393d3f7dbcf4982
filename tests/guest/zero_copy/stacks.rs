//! `wharf forward` between two kernel stacks, which find each other by ARP
//! through it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};

use sha2::{Digest, Sha256};
use wharf_tests::{listen, reach};

use crate::LIMIT;
use crate::wire::{GuestWire, assert_zero_copy};

const NEAR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

fn addressed() -> GuestWire {
    let wire = GuestWire::new();
    let give = |interface: wharf_testbed::Interface, address: Ipv4Addr| {
        interface.add_address(address, 24).expect("it is free");
    };
    give(wire.near_nic(), NEAR);
    give(wire.far_nic(), FAR);
    wire
}

#[test]
fn echoes_from_the_shortest_to_the_longest_cross() {
    let wire = addressed();
    let forward = wire.forward();

    // Frames of 42 bytes, of 60, of a usual length, and of a whole MTU.
    for length in ["0", "18", "56", "1472"] {
        let mut ping = wire.near.command("/bin/busybox");
        ping.args(["ping", "-c", "20", "-i", "0.01", "-W", "10", "-s", length]);
        ping.arg(FAR.to_string());
        let said = ping.run_checked(LIMIT).expect("busybox has it");
        assert!(
            said.contains("20 packets received, 0% packet loss"),
            "{said}"
        );
        assert!(!said.contains("DUP!"), "{said}");
    }
    let report = forward.stop();

    assert_zero_copy(&report.summary);
    report.assert_nothing_dropped();
    // Requests and replies, and at least one question for an address.
    assert!(report.total("frames_in") >= 4 * 2 * 20 + 2);
}

#[test]
fn tcp_crosses_intact_both_ways_at_once() {
    let wire = addressed();
    let forward = wire.forward();
    let listener = listen(&wire.far, FAR, 4433);

    let address = listener.local_addr().expect("it listens");
    let near = reach(&wire.near, address, LIMIT).expect("it answers");
    let (far, _) = listener.accept().expect("the kernel has connected them");
    let (there, back) = (data(1), data(2));
    let [at_near, at_far] = std::thread::scope(|scope| {
        for (stream, bytes) in [(&near, &there), (&far, &back)] {
            scope.spawn(move || send(stream, bytes));
        }
        [&near, &far]
            .map(|stream| scope.spawn(move || digest_of_all(stream)))
            .map(|reader| reader.join().expect("it reads to the end"))
    });
    let report = forward.stop();

    assert_eq!(at_far, (LENGTH as u64, Sha256::digest(&there).into()));
    assert_eq!(at_near, (LENGTH as u64, Sha256::digest(&back).into()));
    assert_zero_copy(&report.summary);
    report.assert_conserved();
    assert!(report.total("rx_bytes") > 2 * LENGTH as u64);
}

/// Bytes each way.
const LENGTH: usize = 2 << 20;

/// Bytes that do not repeat within a segment, nor from one to the next.
fn data(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(LENGTH).collect()
}

fn send(mut stream: &TcpStream, bytes: &[u8]) {
    stream.set_write_timeout(Some(LIMIT)).expect("above zero");
    stream.write_all(bytes).expect("the other end reads");
    stream.shutdown(Shutdown::Write).expect("it is connected");
}

fn digest_of_all(mut stream: &TcpStream) -> (u64, [u8; 32]) {
    stream.set_read_timeout(Some(LIMIT)).expect("above zero");
    let (mut digest, mut count, mut buffer) = (Sha256::new(), 0, [0; 16_384]);
    loop {
        let read = stream.read(&mut buffer).expect("the other end writes");
        if read == 0 {
            return (count, digest.finalize().into());
        }
        digest.update(&buffer[..read]);
        count += read as u64;
    }
}

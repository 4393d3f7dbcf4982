//! An application on a veth that answers datagrams in place.

use std::net::UdpSocket;
use std::time::Duration;

use wharf::{Application, Attach, Batch, Checksums, Engine, Frame, Outbox};
use wharf_testbed::{Pair, SERVER_IPV4, Switch, Testbed, require_privileges};
use wharf_tests::{SOON, in_both_modes, wait_until};

use super::{asking, network};

in_both_modes! {
    answer_made_in_place_is_right,
    checksums_left_as_asked_are_wrong_at_the_client,
}

/// Answers every datagram with its own bytes.
struct Echo;

impl Application for Echo {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        for mut frame in batch {
            frame.swap_mac_addresses();
            // UDP and IPv4 checksums stay right when both ends trade places.
            swap(&mut frame, 26, 30, 4);
            swap(&mut frame, 34, 36, 2);
            out.send_back(frame);
        }
    }
}

fn swap(frame: &mut Frame, one: usize, other: usize, len: usize) {
    for place in 0..len {
        frame.swap(one + place, other + place);
    }
}

/// An engine that answers on the server, and a client whose stack leaves checksums
/// undone.
fn answering(attach: Attach, checksums: Checksums) -> Option<(Pair, Engine, UdpSocket)> {
    if !require_privileges() {
        return None;
    }
    let pair = Testbed::options().offloads(Switch::On).pair();
    let pair = pair.expect("a pair");
    let engine = {
        let _inside = pair.server().enter().expect("the host lives");
        let builder = Engine::builder().interface("eth0").attach(attach);
        let rules = "udp dst port 7001".parse().expect("a rule");
        let builder = builder.rules(rules).frames(4096).checksums(checksums);
        builder.start(|_| Echo).expect("it starts")
    };
    let client = asking(pair.client(), SERVER_IPV4.into());
    Some((pair, engine, client))
}

fn answer_made_in_place_is_right(attach: Attach) {
    let Some((pair, engine, client)) = answering(attach, Checksums::Auto) else {
        return;
    };
    let checksums = engine.report().interfaces[0].checksums.clone();

    for length in [3, 500, 1400] {
        client.send(&vec![9; length]).expect("there is a route");
        let mut bytes = [0; 2000];
        assert_eq!(client.recv(&mut bytes).expect("an answer"), length);
    }

    assert_eq!(network::checksum_errors(pair.client()), []);
    assert!(checksums.are_finished(), "{checksums}");
    let said = checksums.to_string();
    assert!(said.ends_with("`eth0` is virtual (veth)"), "{said}");
    assert!(engine.stop().is_conserved());
}

fn checksums_left_as_asked_are_wrong_at_the_client(attach: Attach) {
    let Some((pair, engine, client)) = answering(attach, Checksums::Leave) else {
        return;
    };

    for _ in 0..3 {
        client.send(b"anybody?").expect("there is a route");
    }

    wait_until("the client finds them wrong", SOON, || {
        network::counter(pair.client(), "UdpInCsumErrors") == 3
    });
    client
        .set_read_timeout(Some(Duration::from_millis(10)))
        .expect("above zero");
    assert!(client.recv(&mut [0; 100]).is_err(), "none is let through");
    assert!(!engine.report().interfaces[0].checksums.are_finished());
    assert!(engine.stop().is_conserved());
}

//! `engine/examples/answer_or_pass.rs`: its application, between two stacks.

#[expect(dead_code, reason = "its main function is not called")]
#[path = "../../../engine/examples/answer_or_pass.rs"]
mod answer_or_pass;

use answer_or_pass::Answerer;
use wharf_testbed::{Neighbours, SERVER_IPV4, Testbed, require_privileges};
use wharf_tests::{SOON, connect, listen};

use super::*;

in_both_modes! {
    one_address_is_answered_for_and_the_host_has_all_else,
}

fn one_address_is_answered_for_and_the_host_has_all_else(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::options().neighbours(Neighbours::Resolved).pair();
    let pair = pair.expect("a pair");
    let (_inside, builder) = on_server(&pair, attach);
    let answerer = Answerer {
        mac: [2, 0x77, 0x68, 0x72, 0x66, 9],
        address: [10, 77, 0, 9].into(),
    };
    let engine = builder.start(move |_| answerer.clone()).expect("it starts");
    let ping = |address: &str| {
        let mut command = pair.client().command("ping");
        let command = command.args(["-q", "-c", "20", "-i", "0.002", address]);
        command.run_checked(SOON).expect("it is answered")
    };

    let (ours, the_hosts) = (ping("10.77.0.9"), ping(&SERVER_IPV4.to_string()));

    for said in [ours, the_hosts] {
        assert!(said.contains(" 20 received"), "{said}");
    }
    let listener = listen(pair.server(), SERVER_IPV4, 80);
    let mut connection = connect(pair.client(), &listener, SOON).expect("it connects");
    assert!(connection.works(SOON));
    let summary = engine.stop();
    assert_conserved(&summary);
    let totals = summary.stats.totals();
    assert_eq!(totals.drops.total(), 0, "{totals:?}");
    assert_eq!(totals.tx_frames, 21, "one of them of ARP");
}

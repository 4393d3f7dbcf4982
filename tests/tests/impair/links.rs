//! Impaired links of the testbed.

use std::time::Duration;

use wharf_testbed::{
    FlowChecker, Host, Link, LinkEnd, PacketSocket, SERVER_IPV4, Switch, Testbed,
    require_privileges, require_program,
};
use wharf_tests::{SOON, unanswered, wait_until};

#[test]
fn pings_take_the_delay_of_the_link_and_no_more_once_it_is_cleared() {
    if !require_privileges() || !require_program("ping") {
        return;
    }
    let pair = Testbed::options().impairable(Switch::On).pair();
    let pair = pair.expect("a pair with a line between");
    let ping = || {
        let mut ping = pair.client().command("ping");
        ping.args(["-c", "3", "-i", "0.05", "-W", "3", &SERVER_IPV4.to_string()]);
        let said = ping.run_checked(SOON).expect("every ping is answered");
        let times = said.split("time=").skip(1);
        let times = times.map(|after| after.split_whitespace().next()?.parse::<f64>().ok());
        times.collect::<Option<Vec<_>>>().expect("times")
    };
    assert_eq!(ping().len(), 3, "it forwards from the start");

    pair.link().impair("delay 40ms").expect("good words");
    let delayed = ping();
    let one_way = pair.link().impair_from(LinkEnd::Far, "delay 1s").map(|()| {
        pair.link()
            .impair_from(LinkEnd::Far, "delay 20ms")
            .map(|()| ping())
    });
    pair.link().clear_impairment().expect("it is impairable");
    assert_eq!(ping().len(), 3);

    assert!(delayed.iter().all(|time| *time >= 80.0), "{delayed:?}");
    let one_way = one_way.and_then(|times| times).expect("good words");
    assert!(one_way.iter().all(|time| *time >= 60.0), "{one_way:?}");
}

#[test]
fn link_loses_what_it_is_told_to_and_counts_it() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::options().impairable(Switch::On).pair();
    let pair = pair.expect("a pair with a line between");
    pair.link()
        .impair_from(LinkEnd::Near, "loss 20% seed 3")
        .expect("good words");
    let mut receiver = PacketSocket::open_promiscuous(pair.server_interface()).expect("a socket");
    let sender = PacketSocket::sender(pair.client_interface()).expect("a socket");
    let flow = unanswered(pair.udp_flow(4000, 4433));

    let frames: Vec<_> = flow.sequenced(1, 100, 0..1000).collect();
    for burst in frames.chunks(64) {
        sender.send_batch(burst).expect("the link takes them");
        std::thread::sleep(Duration::from_millis(1));
    }

    let mut checker = FlowChecker::new();
    checker.expect(1, 1000);
    wait_until("all have arrived or are lost", SOON, || {
        while let Some(frame) = receiver
            .receive(Duration::from_millis(50))
            .expect("it reads")
        {
            checker.observe_frame(&frame);
        }
        let lost = pair.link().impaired(LinkEnd::Near).expect("it counts").lost;
        checker.report(1).lost == lost && lost > 0
    });
    let report = checker.report(1);
    assert!((100..300).contains(&report.lost), "{report}");
    assert_eq!(report.reordered, 0, "{report}");
}

#[test]
fn wrong_words_and_plain_links_are_refused() {
    if !require_privileges() {
        return;
    }
    let (one, other) = (
        Host::new("one").expect("a host"),
        Host::new("other").expect("a host"),
    );
    let plain = Link::between(&one, &other).create().expect("a link");
    let impairable = Link::between(&one, &other).impairable().create();
    let impairable = impairable.expect("a link");

    let of_plain = plain.impair("delay 1ms").expect_err("it is plain");
    let wrong = impairable.impair("delay -1ms").expect_err("a wrong word");
    let large = impairable
        .impair("delay 1s limit 1000000")
        .expect_err("too many");

    assert!(
        of_plain.to_string().contains("create it with `impairable`"),
        "{of_plain}"
    );
    assert!(
        wrong.to_string().contains("column 7: -1ms is negative"),
        "{wrong}"
    );
    assert!(large.to_string().contains("say `limit "), "{large}");
}

#[test]
fn impairable_link_leaves_nothing_behind() {
    if !require_privileges() {
        return;
    }
    let (one, other) = (
        Host::new("one").expect("a host"),
        Host::new("other").expect("a host"),
    );
    let link = Link::between(&one, &other)
        .impairable()
        .create()
        .expect("a link");
    link.impair("delay 100s").expect("good words");
    let sender = PacketSocket::sender(link.near()).expect("a socket");
    sender.send(&[0xff; 60]).expect("the link takes it");
    wait_until("it is held", SOON, || {
        link.impaired(LinkEnd::Near).expect("it counts").held == 1
    });

    drop(link);

    assert_eq!(one.interface_names().expect("names"), ["lo"]);
    assert_eq!(other.interface_names().expect("names"), ["lo"]);
}

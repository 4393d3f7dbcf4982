//! Frames that are forwarded with a cookie each.

use wharf::{Attach, Engine};
use wharf_testbed::Testbed;
use wharf_tests::{Stream, assert_balanced, in_both_modes, quiet_flow, wait_until};

use super::*;

in_both_modes! {
    every_cookie_is_reported_once_under_traffic,
    every_cookie_is_reported_once_though_the_interface_goes_down_and_up,
    every_cookie_is_reported_once_though_the_interface_is_deleted,
}

/// Forwards with a cookie for each frame, of which few are ever different; every fourth
/// is to come back, and is sent once more.
struct Cross {
    sent: u64,
    log: Log,
}

impl Application for Cross {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        let to = InterfaceId(1 - batch.interface().0);
        for frame in batch {
            self.sent += 1;
            let cookie = self.sent % 100;
            let is_sent = if self.sent.is_multiple_of(4) {
                out.try_send_returning(frame, cookie, to).is_ok()
            } else {
                out.send_tagged(frame, cookie, to)
            };
            if is_sent {
                self.log.note_sent(cookie);
            }
        }
    }

    fn completed(&mut self, mut completions: Completions<'_>, out: &mut Outbox<'_>) {
        let to = completions.interface();
        // Some are left for the next round.
        let most = completions.len().min(48);
        let peeked: Vec<_> = completions.peek_all().take(most).collect();
        for expected in peeked {
            let Some(completion) = completions.next() else {
                unreachable!("it was there")
            };
            assert_eq!((completion.cookie, completion.outcome), expected);
            let mut counts = self.log.lock();
            *counts.reported.entry(completion.cookie).or_default() += 1;
            if let Some(frame) = completion.frame
                && out.try_send_tagged(frame, completion.cookie, to).is_ok()
            {
                *counts.sent.entry(completion.cookie).or_default() += 1;
            }
        }
    }
}

fn under_traffic(attach: Attach, happen: impl FnOnce(&wharf_testbed::Wire, &Log)) {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let inside = wire.forwarder().enter().expect("the host lives");
    let log = Log::default();
    let engine = Engine::builder()
        .interface("left")
        .interface("right")
        .frames(8192)
        .attach(attach)
        .promiscuous()
        .start({
            let log = log.clone();
            move |_| Cross {
                sent: 0,
                log: log.clone(),
            }
        })
        .expect("it starts");
    let stream = Stream::start(wire.client_interface(), quiet_flow(&wire, 4000), 50_000);
    wait_for_traffic(&log);
    happen(&wire, &log);
    drop(stream);
    let summary = engine.stop();
    drop(inside);

    log.assert_complete();
    assert_balanced(&summary);
}

fn wait_for_traffic(log: &Log) {
    let before = log.reported();
    wait_until("completions come", SOON, || log.reported() > before + 5000);
}

fn every_cookie_is_reported_once_under_traffic(attach: Attach) {
    under_traffic(attach, |_, log| wait_for_traffic(log));
}

fn every_cookie_is_reported_once_though_the_interface_goes_down_and_up(attach: Attach) {
    under_traffic(attach, |wire, log| {
        for _ in 0..3 {
            wire.right().set_down().expect("it can be");
            wire.right().set_up().expect("it can be");
            wait_for_traffic(log);
        }
        wire.right().set_down().expect("it can be");
    });
}

fn every_cookie_is_reported_once_though_the_interface_is_deleted(attach: Attach) {
    under_traffic(attach, |wire, _| {
        wire.server_link().delete().expect("it can be");
    });
}

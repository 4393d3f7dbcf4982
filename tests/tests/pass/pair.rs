//! The helper pair: what an operator sees of it, and what becomes of it.

use std::time::Duration;

use wharf::{DropReason, Error, Idle, InterfaceId};
use wharf_testbed::{Host, PacketSocket, Testbed, require_privileges};
use wharf_tests::{SOON, assert_balanced, assert_no_program, wait_until};

use super::*;

fn names(host: &Host) -> Vec<String> {
    host.interface_names().expect("the host lives")
}

#[test]
fn helper_is_there_while_the_engine_runs_and_says_whose_it_is() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let before = names(pair.server());
    let (_inside, builder) = on_server(&pair, Attach::Auto);

    let engine = builder.start(|_| PassAll::default()).expect("it starts");

    let helper = engine.report().interfaces[0].passage.clone();
    assert_eq!(helper.as_deref(), Some("wharf0"));
    let mut command = pair.server().command("ip");
    let shown = command.args(["-d", "link", "show", "dev", "wharf0"]);
    let shown = shown.run_checked(SOON).expect("it is there");
    let alias = format!("alias process {} passes frames to eth0", std::process::id());
    assert!(shown.contains(&alias), "{shown}");
    assert!(
        shown.contains("NOARP") && shown.contains("mtu 65535"),
        "{shown}"
    );
    drop(engine);
    assert_eq!(names(pair.server()), before);
}

#[test]
fn engines_side_by_side_have_helpers_of_their_own() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let _inside = wire.forwarder().enter().expect("the host lives");
    let start = |name| {
        let builder = Engine::builder().interface(name).frames(8192).passing();
        builder.start(|_| PassAll::default()).expect("it starts")
    };
    let helper = |engine: &Engine| engine.report().interfaces[0].passage.clone();

    let (left, right) = (start("left"), start("right"));

    assert_ne!(helper(&left), helper(&right));
    let mut tap = PacketSocket::open(wire.left()).expect("a socket");
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    drop(right);
    sender.send(&[0x5a; 60]).expect("the link takes it");
    assert!(tap.receive(SOON).expect("it lives").is_some());
    stop(left, 1);
}

/// Passes frames of its own making for ever.
struct PassForEver;

impl Application for PassForEver {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        batch.for_each(drop);
    }

    fn idle(&mut self, out: &mut Outbox<'_>) -> Idle {
        for _ in 0..16 {
            let Some(mut frame) = out.allocate() else {
                break;
            };
            frame.grow_back(60).expect("a chunk has room").fill(0xa5);
            out.pass_to(frame, InterfaceId(0));
        }
        Idle::Again
    }
}

fn passed(engine: &Engine) -> u64 {
    engine.stats().totals().frames_passed_by_application
}

fn dropped(engine: &Engine, reason: DropReason) -> u64 {
    engine.stats().totals().drops.get(reason)
}

#[test]
fn frames_for_an_interface_that_is_down_are_dropped_until_it_is_up() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, Attach::Auto);
    let engine = builder.start(|_| PassForEver).expect("it starts");
    wait_until("frames are passed", SOON, || passed(&engine) > 1000);

    pair.server_interface().set_down().expect("it is there");
    wait_until("frames are dropped", SOON, || {
        dropped(&engine, DropReason::PassLinkDown) > 1000
    });
    let before = passed(&engine);
    pair.server_interface().set_up().expect("it is there");
    wait_until("frames are passed again", SOON, || {
        passed(&engine) > before + 1000
    });

    assert_balanced(&engine.stop());
}

#[test]
fn frames_are_dropped_and_counted_while_the_helper_is_down() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, Attach::Auto);
    let engine = builder.start(|_| PassForEver).expect("it starts");
    wait_until("frames are passed", SOON, || passed(&engine) > 1000);
    let helper = pair.server().interface("wharf0").expect("it is there");

    helper.set_down().expect("it is there");
    wait_until("the kernel drops them", SOON, || {
        dropped(&engine, DropReason::PassKernel) > 1000
    });
    helper.set_up().expect("it is there");
    let before = passed(&engine);
    wait_until("frames are passed again", SOON, || {
        passed(&engine) > before + 1000
    });

    assert_balanced(&engine.stop());
}

#[test]
fn helper_that_is_deleted_ends_the_engine_by_its_name() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, Attach::Auto);
    let engine = builder.start(|_| PassForEver).expect("it starts");
    let helper = pair.server().interface("wharf0").expect("it is there");

    helper.delete().expect("it is there");
    wait_until("the engine ends", SOON, || !engine.wait(Duration::ZERO));

    let summary = engine.stop();
    let error = summary.outcome.as_ref().expect_err("it cannot go on");
    let error = error.to_string();
    assert!(error.contains("`wharf0` was deleted"), "{error}");
    assert_balanced(&summary);
    assert_no_program(pair.server_interface());
}

#[test]
fn interface_that_is_renamed_is_passed_to_and_one_that_is_deleted_takes_the_helper_along() {
    if !require_privileges() {
        return;
    }
    let mut pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, Attach::Auto);
    let engine = builder.start(|_| PassAll::default()).expect("it starts");
    let server = pair.link_mut().far_mut();
    server
        .rename("eth9")
        .expect("this kernel renames what is up");
    let mut tap = PacketSocket::open(pair.server_interface()).expect("a socket");
    let sender = PacketSocket::sender(pair.client_interface()).expect("a socket");

    let frames = unanswered_frames(&pair, 10);
    sender.send_batch(&frames).expect("the link takes them");
    assert_eq!(tap.receive_count(10, SOON).expect("it lives"), frames);

    pair.link().delete().expect("it is there");
    wait_until("the engine ends", SOON, || !engine.wait(Duration::ZERO));
    let summary = engine.stop();
    assert!(matches!(summary.outcome, Err(Error::InterfaceLost { .. })));
    assert_balanced(&summary);
    assert_eq!(names(pair.server()), ["lo"]);
}

/// What the case below starts and kills: the test binary once more.
const VICTIM: &str = "WHARF_PASS_VICTIM";

#[test]
fn process_that_is_killed_leaves_no_helper() {
    if !require_privileges() {
        return;
    }
    if std::env::var_os(VICTIM).is_some() {
        let builder = Engine::builder().interface("eth0").frames(8192).passing();
        let engine = builder.start(|_| PassForEver).expect("it starts");
        let _ = engine.wait(Duration::from_secs(60));
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let before = names(pair.server());
    let program = std::env::current_exe().expect("it runs");
    let mut command = pair.server().command(program.to_str().expect("it is text"));
    let arguments = ["--exact", "pair::process_that_is_killed_leaves_no_helper"];
    let victim = command.args(arguments).env(VICTIM, "1").spawn();
    let victim = victim.expect("it starts");
    wait_until("the helper is there", SOON, || {
        names(pair.server()) != before
    });

    victim.stop(libc::SIGKILL, SOON).expect("it ends");

    wait_until("the helper has gone", SOON, || {
        names(pair.server()) == before
    });
    assert_no_program(pair.server_interface());
}

//! The XDP program against the reference, rule by rule, on a real kernel.

use std::os::fd::AsFd;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::interface::testing::in_private_network;
use crate::rules::{Action, Expression, Rule, RuleSet, XskIndex, samples};

const XSKS: u8 = 3;

fn config(rules: RuleSet) -> SteeringConfig {
    SteeringConfig {
        xsks_per_queue: XSKS,
        ..SteeringConfig::new(rules)
    }
}

/// With xsks that there are.
fn within_reach(mut rules: RuleSet) -> RuleSet {
    let reach = |action: &mut Action| {
        if let Action::Redirect(XskIndex(xsk)) = action {
            *xsk %= XSKS;
        }
    };
    reach(&mut rules.default);
    rules
        .rules
        .iter_mut()
        .for_each(|rule| reach(&mut rule.action));
    rules
}

/// The program decides about `frames` as the reference does, and counts so.
fn assert_agrees(rules: &RuleSet, frames: &[Vec<u8>], program: Frames) -> u32 {
    let lo = Interface::by_name("lo").expect("every namespace has one");
    let config = config(rules.clone());
    let attached = Steering::attach_with(&lo, Attach::Generic, 1, &config, &[program]);
    let mut steering = attached.expect("the verifier accepts it");
    let xsk = super::tests::receiving_xsk();
    // The second slot stays empty.
    for slot in [0, 2] {
        let inserted = steering.insert_xsk(0, XskIndex(slot), xsk.as_fd());
        inserted.expect("there is a slot");
    }
    let mut hits = steering.hits().expect("it is read");
    let mut counts = steering.counts(0).expect("it is read");
    let mut compared = 0;
    // The kernel runs nothing on less than an Ethernet header.
    for frame in frames.iter().filter(|frame| frame.len() >= 14) {
        let decision = rules.decide(frame);

        let verdict = steering.test_run(0, frame).expect("it runs");

        let expected = match decision.action {
            Action::Drop => {
                counts.dropped += 1;
                Verdict::Drop
            }
            Action::Pass => {
                counts.passed += 1;
                Verdict::Pass
            }
            Action::Redirect(XskIndex(1)) => {
                counts.passed_no_xsk += 1;
                Verdict::Pass
            }
            Action::Redirect(_) => {
                counts.redirected += 1;
                Verdict::Redirect
            }
        };
        match decision.rule {
            Some(rule) => hits.rules[rule] += 1,
            None => hits.default += 1,
        }
        assert_eq!(verdict, expected, "{rules:?}\n{frame:02x?}");
        let now = steering.hits().expect("it is read");
        assert_eq!(now, hits, "{rules:?}\n{frame:02x?}");
        assert_eq!(steering.counts(0).expect("it is read"), counts);
        compared += 1;
    }
    compared
}

fn compare_random(program: Frames, cases: u32) {
    in_private_network(move || {
        let mut runner = TestRunner::new(Config {
            cases,
            max_global_rejects: 100_000,
            failure_persistence: None,
            ..Config::default()
        });
        let compared = std::cell::Cell::new(0);
        let frames = proptest::collection::vec(samples::frame(), 80);
        runner
            .run(&(samples::rule_set(), frames), |(rules, frames)| {
                let rules = within_reach(rules);
                // Rules that never match are refused, which is tested elsewhere.
                prop_assume!(Steering::check(&rules, XSKS).is_ok());
                let agreed = assert_agrees(&rules, &frames, program);
                compared.set(compared.get() + agreed);
                Ok(())
            })
            .expect("program and reference agree");
        println!("{} frames compared", compared.get());
        assert!(compared.get() >= cases * 60, "few frames are too short");
    });
}

#[test]
fn program_decides_as_the_reference_does() {
    compare_random(Frames::Any, 120);
}

#[test]
fn program_for_one_buffer_decides_as_the_reference_does() {
    compare_random(Frames::OneBuffer, 60);
}

#[test]
fn program_that_copies_decides_as_the_reference_does() {
    in_private_network(|| {
        // Capabilities belong to a thread, and this one is ours.
        for capability in [
            caps::Capability::CAP_PERFMON,
            caps::Capability::CAP_SYS_ADMIN,
        ] {
            caps::drop(None, caps::CapSet::Effective, capability).expect("it is held");
        }
        assert!(!crate::privileges::can_read_frames_in_place());
        let mut runner = TestRunner::new(Config {
            cases: 20,
            max_global_rejects: 100_000,
            failure_persistence: None,
            ..Config::default()
        });
        let frames = proptest::collection::vec(samples::frame(), 40);
        runner
            .run(&(samples::rule_set(), frames), |(rules, frames)| {
                let rules = within_reach(rules);
                prop_assume!(Steering::check(&rules, XSKS).is_ok());
                assert_agrees(&rules, &frames, Frames::OneBuffer);
                Ok(())
            })
            .expect("program and reference agree");
    });
}

#[test]
fn every_clause_of_a_full_list_is_found() {
    in_private_network(|| {
        let rules = RuleSet::only((0..256).map(|port| Rule::from(Expression::dst_port(port + 1))));
        let frames: Vec<Vec<u8>> = (0..=257_u16)
            .map(|port| {
                let mut frame = vec![0; 12];
                frame.extend([0x08, 0x00, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0]);
                frame.extend([10, 0, 0, 1, 10, 0, 0, 2, 0, 9]);
                frame.extend(port.to_be_bytes());
                frame.extend([0, 8, 0, 0]);
                frame
            })
            .collect();

        let compared = assert_agrees(&rules, &frames, Frames::OneBuffer);

        assert_eq!(compared, 258);
    });
}

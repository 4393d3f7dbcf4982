//! Random expressions over random frames: where Wharf decides, libpcap says the
//! same; where it does not decide, the frame gives it a reason.

use std::collections::BTreeMap;

use fastrand::Rng;
use wharf::{Action, DecidedBy, Expression, Primitive, Rule, RuleSet, Side, Truth, XskIndex};
use wharf_oracle::account::{Account, hex};
use wharf_oracle::libpcap::{Completions, Libpcap, Optimizer};
use wharf_oracle::look::look;
use wharf_oracle::packet::{Packet, Rendered};
use wharf_oracle::shape::Shape;
use wharf_oracle::translate::Beside;
use wharf_oracle::{expressions, generate, seed, translate};

/// A frame with all that libpcap is asked about it.
struct Sample {
    packet: Packet,
    rendered: Rendered,
    /// The frame itself, for tags.
    frame: Completions,
    twin: Completions,
}

impl Sample {
    fn random(rng: &mut Rng) -> Self {
        let packet = generate::packet(rng);
        let rendered = packet.render();
        Self {
            frame: Completions::of(&rendered.frame, rendered.frame.len()),
            twin: Completions::of(&rendered.twin, rendered.twin_visible),
            packet,
            rendered,
        }
    }

    /// libpcap's verdict on the twin, tags asked of the frame. A tag that is cut
    /// off may be anything.
    fn verdict(&self, libpcap: &mut Libpcap, expression: &Expression) -> Option<bool> {
        let text = |libpcap: &mut Libpcap, unknown| {
            translate::for_twin(expression, &mut |asked| match asked {
                Beside::Tag(which, ids) => libpcap
                    .verdict(&translate::tag(which, ids), &self.frame)
                    .unwrap_or(unknown),
                Beside::Extension(number) => self.packet.has_extension(number),
            })
        };
        let (one, other) = (text(libpcap, false), text(libpcap, true));
        let verdict = libpcap.verdict(&one, &self.twin);
        if one == other || libpcap.verdict(&other, &self.twin) == verdict {
            verdict
        } else {
            None
        }
    }

    /// Why there may be no answer.
    fn reason(&self, expression: &Expression) -> Option<Shape> {
        let shape = self.rendered.shape;
        shape.hides(expression).then_some(shape)
    }

    fn describe(&self, expression: &Expression) -> String {
        format!(
            "expression: {expression:?}\nframe: {}\ntwin: {}\npacket: {:?}",
            hex(&self.rendered.frame),
            hex(&self.rendered.twin),
            self.packet
        )
    }
}

#[test]
fn decided_verdicts_are_those_of_libpcap_on_the_twin() {
    let mut rng = seed(1);
    let mut libpcap = Libpcap::new(Optimizer::Off);
    let mut account = Account::default();

    for _ in 0..60 {
        let samples: Vec<Sample> = (0..150).map(|_| Sample::random(&mut rng)).collect();
        for _ in 0..40 {
            let expression = expressions::expression(&mut rng);
            for sample in &samples {
                let verdict = sample.verdict(&mut libpcap, &expression);
                let wharf = expression.matches(&sample.rendered.frame);
                account.enter(wharf, verdict, sample.reason(&expression), || {
                    sample.describe(&expression)
                });
            }
            libpcap.forget();
        }
    }

    account.close("expressions on twins", 250_000, 12);
}

#[test]
fn every_question_and_its_opposite_get_libpcaps_answer() {
    let mut rng = seed(2);
    let mut libpcap = Libpcap::new(Optimizer::Off);
    let mut account = Account::default();
    let mut answers: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    let mut shapes: BTreeMap<Shape, u64> = BTreeMap::new();

    for _ in 0..2_500 {
        let sample = Sample::random(&mut rng);
        *shapes.entry(sample.rendered.shape).or_default() += 1;
        for _ in 0..40 {
            let primitive = expressions::primitive(&mut rng);
            let mut expression = Expression::from(primitive);
            if rng.bool() {
                expression = !expression;
            }
            let verdict = sample.verdict(&mut libpcap, &expression);
            let wharf = expression.matches(&sample.rendered.frame);
            account.enter(wharf, verdict, sample.reason(&expression), || {
                sample.describe(&expression)
            });
            // libpcap does not ask whether a header makes sense; Wharf does.
            if sample.rendered.shape.hides_all_or_none() && sample.reason(&expression).is_some() {
                assert_eq!(wharf, Truth::Undecided, "{}", sample.describe(&expression));
            }
            let seen = answers.entry(kind(&primitive)).or_default();
            match Expression::from(primitive).matches(&sample.rendered.frame) {
                Truth::True => seen[1] += 1,
                Truth::False => seen[0] += 1,
                Truth::Undecided => {}
            }
        }
    }

    account.close("single questions on twins", 80_000, 20);
    println!("answers by question, false and true: {answers:?}\nframes by shape: {shapes:?}");
    assert_eq!(answers.len(), 17, "a kind of question never came up");
    for (question, [no, yes]) in answers {
        assert!(no >= 20 && yes >= 20, "{question}: {no} false, {yes} true");
    }
    assert_eq!(shapes.len(), 9, "a shape of frame never came up");
}

#[test]
fn frames_as_they_are_get_libpcaps_answer_tags_and_damage_and_all() {
    let mut rng = seed(3);
    let mut libpcap = Libpcap::new(Optimizer::Off);
    let mut account = Account::default();

    for _ in 0..50 {
        let frames: Vec<_> = (0..100).map(|_| damaged(&mut rng)).collect();
        for _ in 0..40 {
            let expression = expressions::expression(&mut rng);
            let text = translate::for_frame(&expression);
            for (frame, shape) in &frames {
                let look = look(frame);
                if look.extension_headers && translate::looks_behind_ipv6(&expression) {
                    continue; // compared on twins
                }
                let completions = Completions::of(frame, look.visible);
                let verdict = libpcap.verdict(&text, &completions);
                let wharf = expression.matches(frame);
                let reason = match shape {
                    Some(shape) => shape.hides(&expression).then(|| format!("{shape:?}")),
                    None => Some("damaged".to_owned()),
                };
                account.enter(wharf, verdict, reason, || {
                    format!("expression: {expression:?}\nframe: {}", hex(frame))
                });
            }
            libpcap.forget();
        }
    }

    account.close("expressions on frames as they are", 100_000, 15);
}

#[test]
fn cut_upper_header_leaves_undecided_only_what_libpcap_cannot_read() {
    let mut rng = seed(4);
    let mut libpcap = Libpcap::new(Optimizer::Off);
    let (mut undecided, mut decided) = (0, 0);

    while undecided < 2_000 {
        let sample = Sample::random(&mut rng);
        if sample.rendered.shape != Shape::UpperCut {
            continue;
        }
        for _ in 0..40 {
            let primitive = expressions::primitive(&mut rng);
            let expression = Expression::from(primitive);
            if expression.matches(&sample.rendered.frame) != Truth::Undecided {
                decided += 1;
                continue;
            }
            undecided += 1;
            // Both ports are read together: the first is not there before the
            // second is.
            let together = match primitive {
                Primitive::Port(Side::Source, _) => 2,
                _ => 0,
            };
            let seen = &sample.rendered.twin[..sample.rendered.twin_visible - together];
            for asked in [expression.clone(), !expression.clone()] {
                let text = translate::for_twin(&asked, &mut |_| false);
                assert!(
                    !libpcap.matches(&text, seen),
                    "undecided, but libpcap reads it\n{}",
                    sample.describe(&expression)
                );
            }
        }
    }

    println!("questions about a cut upper header: {undecided} undecided, {decided} decided");
}

#[test]
fn first_rule_that_libpcap_matches_is_the_one_that_decides() {
    let mut rng = seed(5);
    let mut libpcap = Libpcap::new(Optimizer::Off);
    let mut by_rule = BTreeMap::new();

    for _ in 0..150 {
        let rules: Vec<Rule> = (0..rng.u8(1..6))
            .map(|index| {
                let actions = [
                    Action::Pass,
                    Action::Drop,
                    Action::Redirect(XskIndex(index)),
                ];
                let action = actions[rng.usize(0..3)];
                Rule::new(action, expressions::expression(&mut rng))
            })
            .collect();
        let rules = RuleSet::only(rules);
        for _ in 0..40 {
            let sample = Sample::random(&mut rng);
            if sample.rendered.shape != Shape::Whole {
                continue;
            }
            let first = rules
                .rules
                .iter()
                .position(|rule| sample.verdict(&mut libpcap, &rule.expression) == Some(true));
            let decision = rules.decide(&sample.rendered.frame);
            assert_eq!(
                decision.by,
                first.map_or(DecidedBy::Default, DecidedBy::Rule),
                "{rules:?}\n{:?}",
                sample.packet
            );
            assert_eq!(
                decision.action,
                first.map_or(Action::Pass, |index| rules.rules[index].action)
            );
            *by_rule.entry(first).or_insert(0_u64) += 1;
        }
        libpcap.forget();
    }

    println!("rule sets, frames by the rule that decided: {by_rule:?}");
    assert!(by_rule.values().sum::<u64>() > 3_000);
    assert!(by_rule.len() == 6, "a rule never decided");
}

/// A frame of which every third has some bytes overwritten; then its shape is
/// not known.
fn damaged(rng: &mut Rng) -> (Vec<u8>, Option<Shape>) {
    let rendered = generate::packet(rng).render();
    let mut frame = rendered.frame;
    if rng.u8(0..3) > 0 {
        return (frame, Some(rendered.shape));
    }
    for _ in 0..rng.u8(1..4) {
        let end = frame.len().min(70);
        let at = rng.usize(0..end);
        frame[at] ^= 1 << rng.u8(0..8);
    }
    (frame, None)
}

fn kind(primitive: &Primitive) -> String {
    let text = format!("{primitive:?}");
    // `Port(Source, ..` and `Port(Destination, ..` are two.
    let end = text.find([' ', ',']).unwrap_or(text.len());
    let end = match primitive {
        Primitive::Vlan(..)
        | Primitive::Ether(..)
        | Primitive::ArpAddress(..)
        | Primitive::Port(..)
        | Primitive::Address(..)
        | Primitive::IcmpType(..) => end,
        _ => text.find('(').unwrap_or(text.len()),
    };
    text[..end].to_owned()
}

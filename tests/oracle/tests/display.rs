//! The text that Wharf prints is tcpdump's: libpcap takes it as it is, and finds
//! the same frames.

use fastrand::Rng;
use wharf::{Expression, Primitive, TcpFlags, Truth, VlanId, VlanTag};
use wharf_oracle::account::{Account, hex};
use wharf_oracle::libpcap::{Completions, Libpcap, Optimizer};
use wharf_oracle::look::look;
use wharf_oracle::packet::Rendered;
use wharf_oracle::shape::Shape;
use wharf_oracle::words::{is_contradiction, mean_the_same};
use wharf_oracle::{expressions, generate, pools, seed};

#[test]
fn printed_expression_is_the_same_filter_to_libpcap() {
    let mut rng = seed(6);
    let mut libpcap = Libpcap::new(Optimizer::Off);
    let mut account = Account::default();

    for _ in 0..40 {
        let frames: Vec<_> = (0..120)
            .map(|_| generate::packet(&mut rng).render())
            .collect();
        for _ in 0..30 {
            let expression = expressions::plain_expression(&mut rng);
            let text = expression.to_string();
            let refused = refused(&expression, &text);
            for rendered in &frames {
                let look = look(&rendered.frame);
                if look.tags > 0 || !mean_the_same(&expression, &look) {
                    continue;
                }
                let completions = Completions::of(&rendered.frame, look.visible);
                let verdict = libpcap.verdict(&text, &completions);
                let hidden = rendered.shape.hides(&expression);
                assert!(!refused || verdict != Some(true), "libpcap finds {text}");
                account.enter(
                    expression.matches(&rendered.frame),
                    verdict,
                    hidden.then_some(rendered.shape),
                    || format!("expression: {text}\nframe: {}", hex(&rendered.frame)),
                );
            }
            libpcap.forget();
        }
    }

    account.close("printed expressions", 50_000, 15);
}

/// tcpdump's `vlan` moves all that is behind it in the text. So the text means
/// the same where the tag is asked for first, and there is one.
#[test]
fn printed_vlan_and_what_is_behind_it_is_the_same_filter_to_libpcap() {
    let mut rng = seed(7);
    let mut libpcap = Libpcap::new(Optimizer::Off);
    let mut account = Account::default();

    for _ in 0..30 {
        let frames: Vec<_> = (0..80).map(|_| with_one_tag(&mut rng)).collect();
        for _ in 0..20 {
            let id = VlanId::new(pools::one(&mut rng, &pools::VLANS)).expect("12 bits");
            let id = rng.bool().then_some(id);
            let inner = expressions::plain_expression(&mut rng);
            let expression =
                Expression::from(Primitive::Vlan(VlanTag::Outer, id.map(Into::into))).and(inner);
            let text = expression.to_string();
            let refused = refused(&expression, &text);
            for rendered in &frames {
                let look = look(&rendered.frame);
                if rendered.shape == Shape::TagCut || !mean_the_same(&expression, &look) {
                    continue;
                }
                let completions = Completions::of(&rendered.frame, look.visible);
                let verdict = libpcap.verdict(&text, &completions);
                let hidden = rendered.shape.hides(&expression);
                assert!(!refused || verdict != Some(true), "libpcap finds {text}");
                let wharf = expression.matches(&rendered.frame);
                account.enter(wharf, verdict, hidden.then_some(rendered.shape), || {
                    format!("expression: {text}\nframe: {}", hex(&rendered.frame))
                });
            }
        }
        libpcap.forget();
    }

    account.close("printed expressions behind a tag", 20_000, 15);
}

#[test]
fn printed_flags_keep_their_meaning() {
    let flags = TcpFlags::Equal {
        mask: 0x12,
        value: 0x02,
    };
    let expression = Expression::from(Primitive::TcpFlags(flags));
    let mut syn = [0; 54];
    syn[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
    syn[17] = 40;
    syn[23] = 6;
    let mut libpcap = Libpcap::new(Optimizer::Off);

    for value in 0..=u8::MAX {
        syn[47] = value;
        let found = libpcap.matches(&expression.to_string(), &syn);
        assert_eq!(found, value & 0x12 == 0x02);
        assert_eq!(expression.matches(&syn) == Truth::True, found);
    }
}

fn with_one_tag(rng: &mut Rng) -> Rendered {
    let mut packet = generate::packet(rng);
    packet.tags.truncate(1);
    if packet.tags.is_empty() {
        packet.tags.push((0x8100, pools::one(rng, &pools::VLANS)));
    }
    packet.render()
}

/// The text parses to the tree it is of, unless it contradicts itself: what no
/// frame can be is refused.
fn refused(expression: &Expression, text: &str) -> bool {
    match text.parse::<Expression>() {
        Ok(parsed) => {
            assert_eq!(parsed, *expression, "{text}");
            false
        }
        Err(error) => {
            assert!(is_contradiction(&error), "{text}: {error}");
            true
        }
    }
}

//! Real traffic, as tcpdump captured it: every frame with the expressions that
//! rules are made of, as tcpdump is asked them, and with random ones.

use wharf::{Expression, Truth};
use wharf_oracle::account::{Account, hex};
use wharf_oracle::fixtures::{Asked, Fixture};
use wharf_oracle::libpcap::{Completions, Libpcap, Optimizer};
use wharf_oracle::look::look;
use wharf_oracle::translate::{for_frame, looks_behind_ipv6};
use wharf_oracle::{expressions, seed};

#[test]
fn captured_frames_match_where_tcpdump_finds_them() {
    let mut libpcap = Libpcap::new(Optimizer::On);
    let (mut pairs, mut matched) = (0, 0);

    for asked in Asked::all() {
        let expression: Expression = asked
            .wharf
            .parse()
            .unwrap_or_else(|error| panic!("{}: {error}", asked.wharf));
        for fixture in Fixture::all() {
            let text = fixture.tcpdump_text(&asked);
            for (number, frame) in fixture.frames.iter().enumerate() {
                let found = libpcap.matches(&text, frame);
                let wharf = expression.matches(frame);
                assert_eq!(
                    wharf == Truth::True,
                    found,
                    "{} frame {number}: Wharf {wharf:?} on {}, tcpdump {found} on {text}",
                    fixture.name,
                    asked.wharf
                );
                pairs += 1;
                matched += u32::from(found);
            }
        }
    }

    println!("captured frames: {pairs} pairs agree, {matched} match");
    assert!(pairs > 20_000 && matched > 2_000);
}

#[test]
fn random_expressions_on_captured_frames_get_libpcaps_answer() {
    let mut rng = seed(8);
    let mut libpcap = Libpcap::new(Optimizer::Off);
    let mut account = Account::default();
    let fixtures = Fixture::all();

    for _ in 0..150 {
        let expression = expressions::expression(&mut rng);
        let text = for_frame(&expression);
        for frame in fixtures.iter().flat_map(|fixture| &fixture.frames) {
            let look = look(frame);
            if look.extension_headers && looks_behind_ipv6(&expression) {
                continue; // compared on twins
            }
            let completions = Completions::of(frame, look.visible);
            let verdict = libpcap.verdict(&text, &completions);
            let reason = is_later_fragment(frame, look.tags).then_some("later fragment");
            account.enter(expression.matches(frame), verdict, reason, || {
                format!("expression: {expression:?}\nframe: {}", hex(frame))
            });
        }
        libpcap.forget();
    }

    account.close("random expressions on captured frames", 30_000, 5);
}

/// Of IPv4.
fn is_later_fragment(frame: &[u8], tags: usize) -> bool {
    let at = 12 + 4 * tags;
    frame[at..at + 2] == [8, 0] && (frame[at + 8] & 0x1f, frame[at + 9]) != (0, 0)
}

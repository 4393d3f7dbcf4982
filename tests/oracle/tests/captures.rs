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

/// What people write for tcpdump, and behind ` => ` how tcpdump is asked it where its
/// word means something else.
const WORDS: &[&str] = &[
    "ether src 02:00:00:00:00:0a",
    "ether host 02:00:00:00:00:0a",
    "ether src or dst 02:00:00:00:00:0b",
    "broadcast",
    "ether broadcast",
    "multicast",
    "ether multicast",
    "ip multicast",
    "ip6 multicast",
    "less 60",
    "less 100",
    "greater 100",
    "greater 1000",
    "len > 98",
    "len >= 98",
    "len < 98",
    "len <= 98",
    "len = 98",
    "len != 98",
    "igmp",
    "vrrp",
    "esp",
    "ah => ip proto 51 or ip6 protochain 51",
    "pim",
    "ip proto ospf => ip proto 89",
    "arp host 10.1.0.1",
    "arp src host 10.1.0.1",
    "arp dst host 10.1.0.1",
    "arp net 10.1.0.0/24",
    "arp src or dst net 10.0.0.0/8",
    "not arp host 10.1.0.1",
];

#[test]
fn words_that_people_write_find_what_tcpdump_finds() {
    let mut libpcap = Libpcap::new(Optimizer::On);
    let mut matched = 0;

    for word in WORDS {
        let (wharf, tcpdump) = word.split_once(" => ").unwrap_or((word, word));
        let expression: Expression = wharf.parse().expect(wharf);
        let asked = Asked {
            wharf: wharf.to_owned(),
            tcpdump: tcpdump.to_owned(),
        };
        for fixture in Fixture::all() {
            let text = fixture.tcpdump_text(&asked);
            for (number, frame) in fixture.frames.iter().enumerate() {
                let found = libpcap.matches(&text, frame);
                let answer = expression.matches(frame);
                assert_eq!(
                    answer == Truth::True,
                    found,
                    "{} frame {number}: Wharf {answer:?} on {wharf}, tcpdump {found} on {text}",
                    fixture.name
                );
                matched += u32::from(found);
            }
        }
    }

    println!("words that people write: {matched} match");
    assert!(matched > 1_000);
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

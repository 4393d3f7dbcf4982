//! What parses to what, and what errors say where.

use proptest::prelude::*;

use super::ParseError;
use crate::rules::{
    Action, Expression, Flow, IcmpVersion, MacAddress, Ports, Prefix, Primitive, Rule, RuleSet,
    Side, TcpFlags, VlanId, VlanTag, XskIndex,
};

fn parsed(text: &str) -> Expression {
    match text.parse() {
        Ok(expression) => expression,
        Err(error) => panic!("{text}: {error}"),
    }
}

fn refused(text: &str) -> ParseError {
    match text.parse::<Expression>() {
        Ok(expression) => panic!("{text}: {expression:?}"),
        Err(error) => error,
    }
}

fn net(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

fn either(on: impl Fn(Side) -> Primitive) -> Expression {
    Expression::from(on(Side::Source)) | on(Side::Destination)
}

#[test]
fn words_stand_for_primitives() {
    let vlan = |tag, id| Primitive::Vlan(tag, Some(VlanId::new(id).expect("12 bits")));
    let ports = Ports::range(1000, 2000).expect("in order");
    let cases: &[(&str, Expression)] = &[
        ("ip", Expression::ip()),
        ("ip6", Expression::ip6()),
        ("arp", Primitive::EtherType(0x0806).into()),
        ("rarp", Primitive::EtherType(0x8035).into()),
        ("tcp", Expression::tcp()),
        ("udp", Expression::udp()),
        ("sctp", Primitive::Protocol(132).into()),
        ("icmp", Expression::ip() & Primitive::Protocol(1)),
        ("icmp6", Expression::ip6() & Primitive::Protocol(58)),
        ("vlan", Expression::vlan()),
        ("vlan 4095", vlan(VlanTag::Outer, 4095).into()),
        ("inner vlan 7", vlan(VlanTag::Inner, 7).into()),
        ("fragment", Primitive::LaterFragment.into()),
        ("ether proto 0x88cc", Primitive::EtherType(0x88cc).into()),
        ("ether proto \\arp", Primitive::EtherType(0x0806).into()),
        (
            "ether dst ff:ff:ff:ff:ff:ff",
            Primitive::EtherDestination(MacAddress([255; 6])).into(),
        ),
        (
            "ether dst host 2-0-0-0-0-1f",
            Primitive::EtherDestination(MacAddress([2, 0, 0, 0, 0, 31])).into(),
        ),
        ("proto 47", Primitive::Protocol(47).into()),
        ("proto \\udp", Expression::udp()),
        ("ip proto gre", Expression::ip() & Primitive::Protocol(47)),
        ("src host 10.0.0.1", Expression::src_net(net("10.0.0.1"))),
        ("dst fd00::1", Expression::dst_net(net("fd00::1"))),
        ("src 10.0.0.0/8", Expression::src_net(net("10.0.0.0/8"))),
        (
            "net 10.1",
            either(|side| Primitive::Address(side, net("10.1.0.0/16"))),
        ),
        (
            "net 10.0.0.0 mask 255.0.0.0",
            either(|side| Primitive::Address(side, net("10.0.0.0/8"))),
        ),
        (
            "ip src net 10/8",
            Expression::ip() & Expression::src_net(net("10.0.0.0/8")),
        ),
        (
            "src and dst host ::1",
            Expression::src_net(net("::1")) & Expression::dst_net(net("::1")),
        ),
        (
            "dst or src port 53",
            either(|side| Primitive::Port(side, Ports::one(53))),
        ),
        (
            "dst portrange 1000-2000",
            Primitive::Port(Side::Destination, ports).into(),
        ),
        (
            "udp dst port 4433",
            Expression::udp() & Expression::dst_port(4433),
        ),
        (
            "tcp port 80",
            Expression::tcp() & either(|side| Primitive::Port(side, Ports::one(80))),
        ),
    ];

    for (text, expected) in cases {
        assert_eq!(parsed(text), *expected, "{text}");
    }
}

#[test]
fn flags_and_types_are_read_from_headers() {
    let any = |mask| Expression::from(Primitive::TcpFlags(TcpFlags::Any(mask)));
    let equal =
        |mask, value| Expression::from(Primitive::TcpFlags(TcpFlags::Equal { mask, value }));
    let icmp = |version, number| Expression::from(Primitive::IcmpType(version, number));
    let cases: &[(&str, Expression)] = &[
        ("tcp[tcpflags] & tcp-syn != 0", any(2)),
        ("tcp[13]&0x12!=0", any(18)),
        ("tcp[tcpflags] != 0", any(255)),
        ("tcp[tcpflags] == tcp-syn", equal(255, 2)),
        (
            "tcp[tcpflags] & (tcp-syn|tcp-ack) = (tcp-ack | 2)",
            equal(18, 18),
        ),
        ("tcp[13] & tcp-rst == 0", equal(4, 0)),
        ("tcp[13] & 6 != 2", Expression::tcp() & !equal(6, 2)),
        ("icmp[icmptype] = icmp-echo", icmp(IcmpVersion::V4, 8)),
        ("icmp[0] == 200", icmp(IcmpVersion::V4, 200)),
        (
            "icmp6[icmp6type] = icmp6-neighborsolicit",
            icmp(IcmpVersion::V6, 135),
        ),
        (
            "icmp6[0] != 135",
            Expression::ip6() & Primitive::Protocol(58) & !icmp(IcmpVersion::V6, 135),
        ),
    ];

    for (text, expected) in cases {
        assert_eq!(parsed(text), *expected, "{text}");
    }
}

#[test]
fn and_and_or_bind_alike_and_not_binds_tightest() {
    let (tcp, udp, arp) = (Expression::tcp, Expression::udp, || parsed("arp"));
    let cases: &[(&str, Expression)] = &[
        ("arp or tcp and vlan", (arp() | tcp()) & Expression::vlan()),
        ("tcp && vlan || arp", tcp() & Expression::vlan() | arp()),
        (
            "arp or (tcp and vlan)",
            arp() | (tcp() & Expression::vlan()),
        ),
        ("not tcp and udp", !tcp() & udp()),
        ("!(tcp or udp)", !(tcp() | udp())),
        ("not not tcp", !!tcp()),
        ("not udp dst port 5", !(udp() & Expression::dst_port(5))),
        (
            "((tcp)) or (udp or arp)",
            Expression::Or(vec![tcp(), udp(), arp()]),
        ),
    ];

    for (text, expected) in cases {
        assert_eq!(parsed(text), *expected, "{text}");
    }
}

#[test]
fn bare_values_take_over_what_came_before_the_last() {
    let cases = [
        ("dst port 22 or 80", "dst port 22 or dst port 80"),
        (
            "tcp port 22 or 80 or not 53",
            "tcp port 22 or tcp port 80 or not tcp port 53",
        ),
        (
            "host 10.0.0.1 or 10.0.0.2",
            "host 10.0.0.1 or host 10.0.0.2",
        ),
        ("udp and port (53 or 67)", "udp and (port 53 or port 67)"),
        (
            "tcp and host 10.0.0.1 and (10.0.0.2 or 10.0.0.3)",
            "tcp and host 10.0.0.1 and (host 10.0.0.2 or host 10.0.0.3)",
        ),
        (
            "src 10.0.0.1 or 10.1.0.0/16",
            "src host 10.0.0.1 or src net 10.1.0.0/16",
        ),
        (
            "flow tcp 10.0.0.1:1 > 10.0.0.2:2",
            "tcp and src host 10.0.0.1 and src port 1 and dst host 10.0.0.2 and dst port 2",
        ),
        (
            "flow udp [fd00::1]:1 > [fd00::2]:2 or arp",
            "(udp and src host fd00::1 and src port 1 and dst host fd00::2 and dst port 2) or arp",
        ),
    ];

    for (text, expected) in cases {
        assert_eq!(parsed(text), parsed(expected), "{text}");
    }
}

/// A text, the word that is wrong (empty for its end), and the message's end.
const ERRORS: &[(&str, &str, &str)] = &[
    ("", "", "but there is no text"),
    ("  ", "", "but there is no text"),
    (
        "tpc port 80",
        "tpc",
        "unknown word `tpc`: did you mean `tcp`?",
    ),
    (
        "tcp dport 80",
        "dport",
        "the end, not `dport`: did you mean `dst port`?",
    ),
    (
        "frobnicate",
        "frobnicate",
        "unknown word `frobnicate`: expected what to match, such as `udp dst port 53` or `host 10.0.0.1`",
    ),
    (
        "udp dst port 70000",
        "70000",
        "port 70000 is out of range: give 0 to 65535",
    ),
    (
        "udp dst port 99999999999999999999",
        "99999999999999999999",
        "is out of range: give 0 to 65535",
    ),
    (
        "port http",
        "http",
        "`http` is no port number: service names are not looked up, give the number",
    ),
    (
        "port 010",
        "010",
        "which is octal in tcpdump: give 10 or 0x...",
    ),
    ("port 80-90", "80-90", "write `portrange 80-90`"),
    (
        "portrange 20-10",
        "20-10",
        "ports 20-10 are the wrong way round: give 10-20",
    ),
    (
        "vlan 5000",
        "5000",
        "VLAN id 5000 is out of range: give 0 to 4095",
    ),
    ("inner tcp", "tcp", "expected `vlan`, not `tcp`"),
    (
        "net 10.0.0.0/33",
        "10.0.0.0/33",
        "prefix length 33 is out of range: give 0 to 32",
    ),
    (
        "src net fd00::/129",
        "fd00::/129",
        "prefix length 129 is out of range: give 0 to 128",
    ),
    (
        "net 10.0.0.1/8",
        "10.0.0.1/8",
        "the address has bits set behind its /8: give 10.0.0.0/8",
    ),
    (
        "net 10.0.0.0 mask 255.0.255.0",
        "255.0.255.0",
        "or write `net 10.0.0.0/LENGTH`",
    ),
    (
        "host 10.0.0.256",
        "10.0.0.256",
        "is no IP address: give one such as 10.0.0.1 or fd00::1",
    ),
    (
        "host example.com",
        "example.com",
        "names are not looked up, give the address",
    ),
    (
        "host 10.0.0.0/8",
        "10.0.0.0/8",
        "`host` takes one address: write `net 10.0.0.0/8`",
    ),
    (
        "ip host fd00::1",
        "fd00::1",
        "is IPv6, but `ip` comes before it: leave out `ip`",
    ),
    ("tcp host 10.0.0.1", "host", "write `and host`"),
    ("ip port 5", "port", "write `and port`"),
    (
        "tcp dst 80",
        "80",
        "expected `port` or `portrange`, not `80`",
    ),
    ("arp host 10.0.0.1", "host", "write `arp` alone"),
    ("ip[9] == 6", "[", "can be looked into"),
    ("tcp and", "", "after `and`, but the text ends"),
    ("tcp and or udp", "or", "not `or`"),
    ("or udp", "or", "not `or`"),
    ("not", "", "after `not`, but the text ends"),
    (
        "dst port",
        "",
        "expected a port number after `port`, but the text ends",
    ),
    (
        "src",
        "",
        "expected an address, `host`, `net`, `port` or `portrange` after `src`, but the text ends",
    ),
    ("(tcp or udp", "(", "`(` is not closed: add `)`"),
    ("(tcp 5", "5", "expected `and`, `or` or `)`, not `5`"),
    (
        "tcp)",
        ")",
        "`)` closes nothing: remove it, or open with `(`",
    ),
    ("()", ")", "not `)`"),
    (
        "tcp udp",
        "udp",
        "expected `and`, `or` or the end, not `udp`",
    ),
    (
        "10.0.0.1",
        "10.0.0.1",
        "write `host 10.0.0.1`, `net 10.0.0.1` or `port 10.0.0.1`",
    ),
    (
        "vlan 5 or 6",
        "6",
        "`6` of what? write `host 6`, `net 6` or `port 6`",
    ),
    (
        "proto grr",
        "grr",
        "unknown protocol `grr`: did you mean `gre`?",
    ),
    (
        "proto 256",
        "256",
        "protocol 256 is out of range: give 0 to 255",
    ),
    (
        "ether proto ipx",
        "ipx",
        "unknown EtherType `ipx`: did you mean `ip`?",
    ),
    (
        "ether proto 0x10000",
        "0x10000",
        "EtherType 0x10000 is out of range: give 0 to 65535",
    ),
    (
        "ether src 2:0:0:0:0:1",
        "src",
        "expected `proto` or `dst` after `ether`, not `src`",
    ),
    (
        "ether dst 2:0:0:0:0",
        "2:0:0:0:0",
        "give six bytes such as 02:00:00:00:00:01",
    ),
    (
        "tcp[12] & 1 != 0",
        "12",
        "expected `tcpflags` or 13, not `12`",
    ),
    (
        "tcp[tcpflags] & tcp-sin != 0",
        "tcp-sin",
        "did you mean `tcp-fin`?",
    ),
    (
        "tcp[tcpflags] & tcp-syn|tcp-ack != 0",
        "|",
        "as in `(tcp-syn|tcp-ack)`",
    ),
    (
        "tcp[tcpflags] > 1",
        ">",
        "expected `=`, `==` or `!=`, not `>`",
    ),
    (
        "tcp[13] == 2|16",
        "|",
        "or parentheses around flags as in `(tcp-syn|tcp-ack)`",
    ),
    (
        "tcp | udp",
        "|",
        "expected `||`, or parentheses around flags as in `(tcp-syn|tcp-ack)`",
    ),
    (
        "flow icmp 10.0.0.1:1 > 10.0.0.2:2",
        "icmp",
        "expected `tcp`, `udp` or `sctp`, not `icmp`",
    ),
    (
        "flow tcp 10.0.0.1 > 10.0.0.2:2",
        "10.0.0.1",
        "give one such as 10.0.0.1:80 or [fd00::1]:80",
    ),
    (
        "flow tcp 10.0.0.1:1 10.0.0.2:2",
        "10.0.0.2:2",
        "expected `>`, not `10.0.0.2:2`",
    ),
    (
        "flow tcp 10.0.0.1:1 > [::1]:2",
        "::1",
        "give two of one version",
    ),
    ("tcp and udp", "udp", "`tcp` and `udp` exclude each other"),
    (
        "ip and vlan and src host fd00::1",
        "fd00::1",
        "`ip` and `src host fd00::1` exclude each other",
    ),
    (
        "arp and port 80",
        "80",
        "`arp` and `src port 80` exclude each other",
    ),
    (
        "udp and tcp[13] & 2 != 0",
        "tcp",
        "`udp` and `tcp[tcpflags] & tcp-syn != 0` exclude each other",
    ),
    (
        "dst port 1 and 2",
        "2",
        "`dst port 1` and `dst port 2` exclude each other",
    ),
    (
        "src net 10.0.0.0/8 and src host 11.0.0.1",
        "11.0.0.1",
        "exclude each other",
    ),
    (
        "vlan 1 and vlan 2",
        "2",
        "exclude each other (the second tag is `inner vlan 2`)",
    ),
    (
        "not tcp and vlan and tcp",
        "tcp",
        "`not tcp` and `tcp` exclude each other",
    ),
    (
        "fragment and udp port 53",
        "53",
        "(a later fragment has no header to read it from)",
    ),
    (
        "ether proto 5",
        "5",
        "is never true: EtherTypes are 1536 (0x600) or more",
    ),
    (
        "tcp[13] & 2 == 1",
        "tcp",
        "the value has bits that the mask has not",
    ),
];

#[test]
fn errors_point_at_the_word_and_say_what_to_do() {
    for (text, word, message) in ERRORS {
        let error = refused(text);
        let line = error.to_string();
        assert!(line.ends_with(message), "{text}: {line}");
        assert!(!line.contains('\n'), "{text}: {line}");
        assert_eq!(error.word(), *word, "{text}: {line}");
        assert_eq!(error.line(), None);
        // The last of several: no text above has its wrong word before it, but
        // the contradictions.
        let column = if word.is_empty() {
            text.trim_end().len()
        } else {
            text.rfind(word).expect("in it")
        };
        if !["tcp and udp", "udp and tcp[13] & 2 != 0"].contains(text)
            && text.matches(word).count() == 1
        {
            assert_eq!(error.column(), column + 1, "{text}: {line}");
        }
    }
}

#[test]
fn contradiction_is_at_the_second_word() {
    assert_eq!(refused("tcp and udp").column(), 9);
    assert_eq!(refused("not tcp and vlan and tcp").column(), 22);
    assert!(
        "tcp and udp or arp".parse::<Expression>().is_ok(),
        "arp can be"
    );
}

#[test]
fn mark_stands_under_the_word() {
    assert_eq!(
        refused("udp dst port 70000").marked(),
        "udp dst port 70000\n             ^^^^^"
    );
    assert_eq!(refused("tcp and").marked(), "tcp and\n       ^");
    assert_eq!(refused("tcp\tand\tü").marked(), "tcp and ü\n        ^");

    let long = format!(
        "{}tpc or {}",
        "tcp or ".repeat(1000),
        "udp or ".repeat(1000)
    );
    let marked = refused(&long).marked();
    let (shown, mark) = marked.split_once('\n').expect("two lines");
    let at = mark.find('^').expect("a mark");
    assert_eq!(&shown[at..at + 3], "tpc");
    assert!(shown.len() <= 82, "{shown}");
}

#[test]
fn nesting_is_bounded_and_length_is_not() {
    let deep = 100_000;
    for text in [
        "(".repeat(deep),
        "not ".repeat(deep) + "tcp",
        "!".repeat(deep) + "tcp",
        "(".repeat(deep) + "tcp" + &")".repeat(deep),
        "port (1 or ".repeat(deep),
    ] {
        let error = text.parse::<Expression>().expect_err("too deep");
        assert!(
            error.to_string().contains("more than 100 levels"),
            "{error}"
        );
        assert!(error.to_string().len() < 200);
    }
    let word = "x"
        .repeat(1_000_000)
        .parse::<Expression>()
        .expect_err("no word");
    assert!(word.to_string().len() < 200, "{word}");
    assert!(word.marked().len() < 200);

    let nested = "not ".repeat(50) + &"(".repeat(50) + "tcp" + &")".repeat(50);
    assert!(nested.parse::<Expression>().is_ok());
    let long = "tcp or ".repeat(deep) + "udp";
    assert!(long.parse::<Expression>().is_ok());
}

#[test]
fn rule_is_an_action_and_an_expression() {
    let rule = |text: &str| text.parse::<Rule>();
    let expected = |action| Rule {
        action,
        expression: Expression::udp(),
    };

    assert_eq!(rule("udp"), Ok(expected(Action::REDIRECT)));
    assert_eq!(rule("redirect udp"), Ok(expected(Action::REDIRECT)));
    assert_eq!(
        rule("redirect:3 udp"),
        Ok(expected(Action::Redirect(XskIndex(3))))
    );
    assert_eq!(rule("pass udp"), Ok(expected(Action::Pass)));
    assert_eq!(rule("drop udp"), Ok(expected(Action::Drop)));
    for (text, word, message) in [
        (
            "redirect:256 udp",
            "redirect:256",
            "xsk 256 is out of range: give 0 to 255",
        ),
        ("drop", "", "after `drop`, but the text ends"),
        (
            "drp udp",
            "drp",
            "unknown action `drp`: did you mean `drop`?",
        ),
        (
            "drop pass udp",
            "pass",
            "unknown word `pass`: expected what to match, such as `udp dst port 53` or `host 10.0.0.1`",
        ),
    ] {
        let error = rule(text).expect_err(text);
        assert!(error.to_string().ends_with(message), "{text}: {error}");
        assert_eq!(error.word(), word);
    }
}

#[test]
fn rule_set_is_a_rule_a_line_with_comments_and_a_default() {
    let text = "# DNS and SSH\n\n  redirect:1 udp port 53 # and so on\r\n\tdefault drop\npass tcp port 22\n";

    let rules: RuleSet = text.parse().expect("fine");

    assert_eq!(rules.rules.len(), 2);
    assert_eq!(rules.rules[1], "pass tcp port 22".parse().expect("fine"));
    assert_eq!(rules.default, Action::Drop);
    assert_eq!("# nothing\n".parse(), Ok(RuleSet::everything()));
    assert_eq!("udp".parse(), Ok(RuleSet::only([Expression::udp().into()])));
}

#[test]
fn rule_set_errors_name_the_line() {
    for (text, line, word, message) in [
        ("udp\n\ntcp and (", 3, "", "but the text ends"),
        (
            "udp\ndefault redirect\ndefault pass",
            3,
            "default",
            "`default` is given twice: line 2 has it already",
        ),
        (
            "default reject",
            1,
            "reject",
            "unknown action `reject`: expected `redirect`, `redirect:N`, `pass` or `drop`",
        ),
        ("default passs", 1, "passs", "did you mean `pass`?"),
        ("default", 1, "", "after `default`, but the text ends"),
        ("default drop udp", 1, "udp", "expected the end, not `udp`"),
        (
            "arp\nudp and # tcp",
            2,
            "",
            "after `and`, but the text ends",
        ),
        ("arp\ntcp and udp", 2, "udp", "exclude each other"),
    ] {
        let error = text.parse::<RuleSet>().expect_err(text);
        assert!(
            error
                .to_string()
                .starts_with(&format!("line {line}, column ")),
            "{error}"
        );
        assert!(error.to_string().ends_with(message), "{error}");
        assert_eq!((error.line(), error.word()), (Some(line), word));
    }
}

#[test]
fn flows_prefixes_and_addresses_parse_alone() {
    let flow = Flow {
        protocol: 17,
        source: "[::1]:5".parse().expect("an end"),
        destination: "[fd00::2]:65535".parse().expect("an end"),
    };

    assert_eq!("udp [::1]:5 > [fd00::2]:65535".parse(), Ok(flow));
    assert!("udp [::1]:5 > [::2]:6 and".parse::<Flow>().is_err());
    assert!(
        "udp [::1%3]:5 > [::2]:6".parse::<Flow>().is_err(),
        "no zones on the wire"
    );
    assert_eq!(
        " 10.0.0.0/8 ".parse(),
        Prefix::new([10, 0, 0, 0].into(), 8).map_err(|_| unreachable!())
    );
    assert!("10.0.0.0/8 x".parse::<Prefix>().is_err());
    assert_eq!(
        "02:00:00:00:00:0a".parse(),
        Ok(MacAddress([2, 0, 0, 0, 0, 10]))
    );
    assert!("02:00:00:00:00:0a:0b".parse::<MacAddress>().is_err());
    assert!("02:00:00:+0:00:0a".parse::<MacAddress>().is_err());
    assert_eq!("redirect:7".parse(), Ok(Action::Redirect(XskIndex(7))));
}

proptest! {
    #[test]
    fn no_text_panics_and_every_error_has_its_place(
        words in proptest::collection::vec(
            prop_oneof![
                4 => proptest::sample::select(&[
                    "tcp", "udp", "ip", "ip6", "icmp", "vlan", "inner", "ether", "proto", "src",
                    "dst", "host", "net", "port", "portrange", "flow", "and", "or", "not", "(",
                    ")", "[", "]", "&", "|", "=", "!=", ">", "mask", "10.0.0.1", "10/8", "fd00::1",
                    "80", "1-2", "tcpflags", "tcp-syn", "default", "pass", "#", "\n", "fragment",
                ][..]).prop_map(str::to_owned),
                1 => "\\PC{0,6}",
            ],
            0..14,
        ),
        glue in proptest::sample::select(&[" ", "", "\t"][..]),
    ) {
        let text = words.join(glue);

        let results = [
            text.parse::<Expression>().err(),
            text.parse::<Rule>().err(),
            text.parse::<RuleSet>().err(),
            text.parse::<Flow>().err(),
            text.parse::<Prefix>().err(),
            text.parse::<MacAddress>().err(),
        ];

        for error in results.into_iter().flatten() {
            prop_assert_eq!(error.to_string().lines().count(), 1);
            prop_assert_eq!(error.marked().lines().count(), 2);
            prop_assert!(text.contains(error.word()));
            prop_assert!(error.column() <= text.chars().count() + 1);
        }
    }
}

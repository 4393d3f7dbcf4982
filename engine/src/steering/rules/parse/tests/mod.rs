//! What parses to what, and what errors say where.

mod errors;

use proptest::prelude::*;

use crate::kernel::XskIndex;
use crate::steering::rules::{
    Action, Expression, Flow, IcmpVersion, MacAddress, Ports, Prefix, Primitive, Rule, RuleSet,
    Side, TcpFlags, VlanId, VlanIds, VlanTag,
};

fn parsed(text: &str) -> Expression {
    match text.parse() {
        Ok(expression) => expression,
        Err(error) => panic!("{text}: {error}"),
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
    let vlan = |tag, id| Primitive::Vlan(tag, Some(VlanId::new(id).expect("12 bits").into()));
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
            Primitive::Ether(Side::Destination, MacAddress([255; 6])).into(),
        ),
        (
            "ether dst host 2-0-0-0-0-1f",
            Primitive::Ether(Side::Destination, MacAddress([2, 0, 0, 0, 0, 31])).into(),
        ),
        (
            "vlan 100-200",
            Primitive::Vlan(
                VlanTag::Outer,
                VlanIds::range(
                    VlanId::new(100).expect("12 bits"),
                    VlanId::new(200).expect("12 bits"),
                )
                .ok(),
            )
            .into(),
        ),
        (
            "ether src 2:0:0:0:0:1",
            Primitive::Ether(Side::Source, MacAddress([2, 0, 0, 0, 0, 1])).into(),
        ),
        (
            "ether host 2:0:0:0:0:1",
            either(|side| Primitive::Ether(side, MacAddress([2, 0, 0, 0, 0, 1]))),
        ),
        (
            "ether src or dst 2:0:0:0:0:1 or 2:0:0:0:0:2",
            either(|side| Primitive::Ether(side, MacAddress([2, 0, 0, 0, 0, 1])))
                | either(|side| Primitive::Ether(side, MacAddress([2, 0, 0, 0, 0, 2]))),
        ),
        (
            "broadcast",
            Primitive::Ether(Side::Destination, MacAddress::BROADCAST).into(),
        ),
        (
            "ether broadcast",
            Primitive::Ether(Side::Destination, MacAddress::BROADCAST).into(),
        ),
        ("multicast", Primitive::EtherMulticast.into()),
        ("ether multicast", Primitive::EtherMulticast.into()),
        (
            "ip multicast",
            Expression::ip() & Expression::dst_net(net("224.0.0.0/3")),
        ),
        (
            "ip6 multicast",
            Expression::ip6() & Expression::dst_net(net("ff00::/8")),
        ),
        ("less 100", Primitive::AtMostBytes(100).into()),
        ("greater 1000", Primitive::AtLeastBytes(1000).into()),
        ("len > 100", Primitive::AtLeastBytes(101).into()),
        ("len>=100", Primitive::AtLeastBytes(100).into()),
        ("len < 100", Primitive::AtMostBytes(99).into()),
        ("len <= 100", Primitive::AtMostBytes(100).into()),
        (
            "len = 100",
            Expression::from(Primitive::AtLeastBytes(100)) & Primitive::AtMostBytes(100),
        ),
        (
            "len != 100",
            Expression::from(Primitive::AtMostBytes(99)) | Primitive::AtLeastBytes(101),
        ),
        (
            "arp host 10.0.0.1",
            either(|side| Primitive::ArpAddress(side, net("10.0.0.1"))),
        ),
        (
            "arp src 10.0.0.1",
            Primitive::ArpAddress(Side::Source, net("10.0.0.1")).into(),
        ),
        (
            "arp dst net 10/8",
            Primitive::ArpAddress(Side::Destination, net("10.0.0.0/8")).into(),
        ),
        ("igmp", Expression::ip() & Primitive::Protocol(2)),
        ("vrrp", Expression::ip() & Primitive::Protocol(112)),
        ("esp", Primitive::Protocol(50).into()),
        ("proto ah", Primitive::Protocol(51).into()),
        ("pim", Primitive::Protocol(103).into()),
        ("proto ospf", Primitive::Protocol(89).into()),
        ("ip6 proto 44", Expression::ip6() & Primitive::Protocol(44)),
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
            "xsk 256 is out of range: use 0 to 255",
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
            "default hold",
            1,
            "hold",
            "unknown action `hold`: expected `redirect`, `redirect:N`, `pass` or `drop`",
        ),
        ("default passs", 1, "passs", "did you mean `pass`?"),
        ("default reject", 1, "reject", "did you mean `drop`?"),
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
    fn no_text_panics_and_every_error_has_its_column(
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

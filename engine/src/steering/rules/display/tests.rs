//! Text parses back.

use proptest::prelude::*;

use crate::steering::rules::clause::{Unexpanded, alternatives};
use crate::steering::rules::{Expression, MacAddress, RuleSet, samples};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(768))]

    #[test]
    fn expression_parses_back_unless_it_contradicts_itself(
        expression in samples::expression(),
    ) {
        let text = expression.to_string();
        match text.parse::<Expression>() {
            Ok(parsed) => prop_assert_eq!(parsed, expression, "{}", text),
            Err(error) => {
                let expansion = alternatives(&expression, usize::MAX);
                let contradicts = matches!(expansion, Err(Unexpanded::NeverHolds(_)));
                prop_assert!(contradicts, "{}: {}", text, error);
            }
        }
    }

    #[test]
    fn rule_set_parses_back_unless_it_contradicts_itself(rules in samples::rule_set()) {
        let text = rules.to_string();
        match text.parse::<RuleSet>() {
            Ok(parsed) => prop_assert_eq!(parsed, rules, "{}", text),
            Err(error) => {
                let line = error.line().expect("a rule set has lines");
                let expansion = alternatives(&rules.rules[line - 1].expression, usize::MAX);
                let contradicts = matches!(expansion, Err(Unexpanded::NeverHolds(_)));
                prop_assert!(contradicts, "{}: {}", text, error);
            }
        }
    }

    #[test]
    fn values_parse_back(
        mac in any::<[u8; 6]>(),
        flow in samples::flow(),
        action in samples::action(),
        prefix in samples::prefix(),
    ) {
        prop_assert_eq!(MacAddress(mac).to_string().parse(), Ok(MacAddress(mac)));
        prop_assert_eq!(flow.to_string().parse(), Ok(flow));
        prop_assert_eq!(action.to_string().parse(), Ok(action));
        prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
        let expression = Expression::from(flow);
        prop_assert_eq!(expression.to_string(), format!("flow {flow}"));
        prop_assert_eq!(expression.to_string().parse(), Ok(expression));
    }
}

#[test]
fn text_is_as_tcpdump_has_it() {
    for text in [
        "tcp",
        "icmp6 and not icmp6[icmp6type] == icmp6-echo",
        "udp dst port 4433",
        "not tcp port 22",
        "host 10.0.0.1 or net fd00::/8 or arp",
        "vlan 5 and inner vlan and udp src portrange 1000-2000",
        "(udp port 53 and not src net 10.0.0.0/8) or tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn",
        "ether proto 0x88cc or ether dst 01:80:c2:00:00:0e or proto 47 or fragment",
        "not (tcp or udp)",
        "ether host 02:00:00:00:00:01 or ether src 02:00:00:00:00:02 or ether multicast",
        "less 100 and not greater 60",
        "vlan 100-200 and not inner vlan 1-2",
        "arp host 10.0.0.1 or arp src net 10.0.0.0/8 or arp dst host 10.0.0.2",
        "igmp or vrrp or esp or ah or pim",
        "flow tcp 10.0.0.1:1 > 10.0.0.2:2 or flow udp [fd00::1]:1 > [fd00::2]:2",
    ] {
        let expression: Expression = text.parse().expect(text);

        assert_eq!(expression.to_string(), text);
    }
}

#[test]
fn rule_set_is_a_line_a_rule_and_the_default() {
    let text = "redirect udp\nredirect:2 tcp\ndrop arp\nundecided drop\ndefault pass";

    let rules: RuleSet = text.parse().expect("fine");

    assert_eq!(rules.to_string(), text);
    assert_eq!(RuleSet::everything().to_string(), "default redirect");
}

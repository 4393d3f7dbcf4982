//! What is refused, at which word, and in which words.

use crate::steering::rules::{Expression, ParseError};

fn refused(text: &str) -> ParseError {
    match text.parse::<Expression>() {
        Ok(expression) => panic!("{text}: {expression:?}"),
        Err(error) => error,
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
        "port 70000 is out of range: use 0 to 65535",
    ),
    (
        "udp dst port 99999999999999999999",
        "99999999999999999999",
        "is out of range: use 0 to 65535",
    ),
    (
        "port http",
        "http",
        "`http` is no port number: service names are not looked up, use 80",
    ),
    (
        "port 010",
        "010",
        "which is octal in tcpdump: use 10 or 0x...",
    ),
    ("port 80-90", "80-90", "write `portrange 80-90`"),
    (
        "portrange 20-10",
        "20-10",
        "ports 20-10 are the wrong way round: use 10-20",
    ),
    (
        "vlan 5000",
        "5000",
        "VLAN id 5000 is out of range: use 0 to 4095",
    ),
    ("inner tcp", "tcp", "expected `vlan`, not `tcp`"),
    (
        "net 10.0.0.0/33",
        "10.0.0.0/33",
        "prefix length 33 is out of range: use 0 to 32",
    ),
    (
        "src net fd00::/129",
        "fd00::/129",
        "prefix length 129 is out of range: use 0 to 128",
    ),
    (
        "net 10.0.0.1/8",
        "10.0.0.1/8",
        "the address has bits set behind its /8: use 10.0.0.0/8",
    ),
    (
        "net 10.0.0.0 mask 255.0.255.0",
        "255.0.255.0",
        "or write `net 10.0.0.0/LENGTH`",
    ),
    (
        "host 10.0.0.256",
        "10.0.0.256",
        "is no IP address: use one such as 10.0.0.1 or fd00::1",
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
    ("rarp host 10.0.0.1", "host", "write `rarp` alone"),
    ("arp port 5", "port", "write `port` alone"),
    (
        "arp host fd00::1",
        "fd00::1",
        "IPv6 asks with `icmp6[icmp6type] == icmp6-neighborsolicit`",
    ),
    (
        "arp and src host 10.0.0.1",
        "10.0.0.1",
        "(an address in ARP is `arp src host 10.0.0.1`)",
    ),
    (
        "ip[9] == 6",
        "[",
        "can be looked into: write `proto` and the protocol",
    ),
    ("ip[8] < 5", "[", "and look at the rest in the application"),
    (
        "ip[6:2] & 0x1fff != 0",
        "[",
        "write `fragment` for fragments after the first",
    ),
    (
        "udp[8:4] == 0xffffffff",
        "[",
        "and look at the rest in the application",
    ),
    (
        "ether[12:2] == 0x800",
        "[",
        "write `ether proto` and the EtherType",
    ),
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
        "`10.0.0.1` of what? write `host 10.0.0.1`",
    ),
    ("10.0.0.0/8", "10.0.0.0/8", "write `net 10.0.0.0/8`"),
    ("10.1", "10.1", "write `net 10.1`"),
    ("fe80::1", "fe80::1", "write `host fe80::1`"),
    (
        "02:00:00:00:00:0a",
        "02:00:00:00:00:0a",
        "write `ether host 02:00:00:00:00:0a`",
    ),
    ("53", "53", "write `port 53`"),
    ("1-5", "1-5", "write `portrange 1-5`"),
    (
        "vlan 5 or 6",
        "6",
        "`6` of what? write `vlan 6`, or a range such as `vlan 100-200`",
    ),
    (
        "vlan 200-100",
        "200-100",
        "VLAN ids 200-100 are the wrong way round: use 100-200",
    ),
    ("vlan 5,6,7", "5,6,7", "`vlan 5 or vlan 6 or vlan 7`"),
    (
        "port 80,443",
        "80,443",
        "a list is written with `or`: `80 or 443`",
    ),
    (
        "dst port > 1024",
        ">",
        "a range, such as `portrange 1024-65535`",
    ),
    (
        "port domain",
        "domain",
        "service names are not looked up, use 53",
    ),
    (
        "port xyzzy",
        "xyzzy",
        "service names are not looked up, give the number",
    ),
    ("proto grr", "grr", "unknown protocol `grr`: use its number"),
    (
        "proto 256",
        "256",
        "protocol 256 is out of range: use 0 to 255",
    ),
    (
        "ether proto ipx",
        "ipx",
        "unknown EtherType `ipx`: use its number",
    ),
    (
        "ether proto 0x10000",
        "0x10000",
        "EtherType 0x10000 is out of range: use 0 to 65535",
    ),
    (
        "ether type 5",
        "type",
        "expected `proto`, `src`, `dst`, `host`, `multicast` or `broadcast` after `ether`, not `type`",
    ),
    (
        "ether net 2:0:0:0:0:0/24",
        "net",
        "write `ether host` and the address",
    ),
    (
        "ether src 10.0.0.1",
        "10.0.0.1",
        "use six bytes such as 02:00:00:00:00:01",
    ),
    ("ether src and", "and", "expected a MAC address, not `and`"),
    (
        "ip broadcast",
        "broadcast",
        "such as 255.255.255.255, or `ether broadcast`",
    ),
    ("ip6 broadcast", "broadcast", "write `ip6 multicast`"),
    (
        "ip6 flow label 5",
        "flow",
        "match by addresses, protocol or ports",
    ),
    (
        "less",
        "",
        "expected a frame length in bytes after `less`, but the text ends",
    ),
    (
        "greater 65535",
        "65535",
        "frame length 65535 is out of range: use 0 to 65534",
    ),
    (
        "len < 0",
        "0",
        "no frame is shorter than 0 bytes: use 1 or more",
    ),
    (
        "len & 1 == 0",
        "&",
        "expected `<`, `<=`, `>`, `>=`, `=` or `!=`, not `&`",
    ),
    (
        "less 60 and greater 61",
        "61",
        "`less 60` and `greater 61` exclude each other",
    ),
    (
        "ether dst 2:0:0:0:0:1 and multicast",
        "multicast",
        "and `ether multicast` exclude each other",
    ),
    (
        "vxlan",
        "vxlan",
        "write `udp dst port 4789` for all of VXLAN",
    ),
    (
        "udp or geneve",
        "geneve",
        "write `udp dst port 6081` for all of Geneve",
    ),
    (
        "mpls 100",
        "mpls",
        "write `ether proto 0x8847` for all of MPLS",
    ),
    (
        "pppoes 7",
        "pppoes",
        "write `ether proto 0x8864` for all sessions",
    ),
    ("gre", "gre", "write `proto gre` for all of GRE"),
    ("ip ttl 1", "ttl", "match by addresses, protocol or ports"),
    ("dscp 46", "dscp", "match by addresses, protocol or ports"),
    (
        "stp",
        "stp",
        "write `ether dst 01:80:c2:00:00:00` for spanning tree",
    ),
    ("llc", "llc", "as in `ether dst 01:80:c2:00:00:14`"),
    (
        "inbound",
        "inbound",
        "rules see only frames that come in: leave it out",
    ),
    (
        "ip6 protochain 6",
        "protochain",
        "which looks behind the extension headers of IPv6",
    ),
    (
        "ether dst 2:0:0:0:0",
        "2:0:0:0:0",
        "use six bytes such as 02:00:00:00:00:01",
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
        "use one such as 10.0.0.1:80 or [fd00::1]:80",
    ),
    (
        "flow tcp 10.0.0.1:1 10.0.0.2:2",
        "10.0.0.2:2",
        "expected `>`, not `10.0.0.2:2`",
    ),
    (
        "flow tcp 10.0.0.1:1 > [::1]:2",
        "::1",
        "use two of one version",
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
fn and_and_or_by_turns_are_bounded_too() {
    let turns = |turns: usize| format!("{}udp", "tcp and ip or ".repeat(turns));

    let error = refused(&turns(100_000));
    let shallow: Expression = turns(49).parse().expect("98 levels");

    assert!(
        error.to_string().contains("more than 100 levels"),
        "{error}"
    );
    assert_eq!(shallow.to_string().parse(), Ok(shallow));
}

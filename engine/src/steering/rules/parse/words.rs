//! The words of the language that several files of the parser ask for.

/// Words that start a primitive or join them, to suggest from.
pub(super) const WORDS: &[&str] = &[
    "tcp",
    "udp",
    "sctp",
    "ip",
    "ip6",
    "arp",
    "rarp",
    "icmp",
    "icmp6",
    "igmp",
    "igrp",
    "esp",
    "ah",
    "pim",
    "vrrp",
    "carp",
    "less",
    "greater",
    "len",
    "broadcast",
    "multicast",
    "vlan",
    "inner",
    "fragment",
    "ether",
    "proto",
    "src",
    "dst",
    "host",
    "net",
    "port",
    "portrange",
    "flow",
    "not",
    "and",
    "or",
];

/// Words for a side: sender or receiver.
pub(super) const DIRECTIONS: &[&str] = &["src", "dst"];

/// Words that say what kind of value follows.
pub(super) const KINDS: &[&str] = &["host", "net", "port", "portrange"];

/// What is expected where a primitive starts.
pub(super) const PRIMITIVE: &str = "what to match, such as `udp dst port 53` or `host 10.0.0.1`";

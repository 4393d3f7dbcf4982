//! Words of tcpdump and of other filters that are none of this language, and what to
//! write instead.

/// What to write instead of `word`, as the end of a message.
pub(super) fn instead_of(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let (_, remedy) = WORDS
        .iter()
        .find(|(words, _)| words.contains(&word.as_str()))?;
    Some(remedy)
}

/// What to write instead of bytes at `offset` of the header `header`.
pub(super) fn instead_of_bytes(header: &str, offset: &str) -> String {
    let remedy = match (header, offset) {
        ("ip", "0" | "2") => "match its length with `less` and `greater`",
        ("ip", "6" | "7") => "write `fragment` for fragments after the first",
        ("ip", "9") | ("ip6", "6") => "write `proto` and the protocol",
        ("ip", "12") | ("ip6", "8") => "write `src host` or `src net` and the address",
        ("ip", "16") | ("ip6", "24") => "write `dst host` or `dst net` and the address",
        ("ether", "0") => "write `ether dst` and the address, or `ether multicast`",
        ("ether", "6") => "write `ether src` and the address",
        ("ether", "12") => "write `ether proto` and the EtherType",
        ("udp" | "sctp", "0") => "write `src port` and the port",
        ("udp" | "sctp", "2") => "write `dst port` and the port",
        ("udp", "4") => "match the frame's length with `less` and `greater`",
        ("arp" | "rarp", "14") => "write `arp src host` and the address",
        ("arp" | "rarp", "24") => "write `arp dst host` and the address",
        _ => {
            "match by addresses, protocol, ports or length, and look at the rest in the application"
        }
    };
    format!(
        "only `tcp[tcpflags]`, `icmp[icmptype]` and `icmp6[icmp6type]` can be looked into: {remedy}"
    )
}

/// Words, and what to write instead of them.
const WORDS: &[(&[&str], &str)] = &[
    (
        &["mpls"],
        "labels are not looked at: write `ether proto 0x8847` for all of MPLS",
    ),
    (
        &["pppoes"],
        "what is in PPPoE is not looked at: write `ether proto 0x8864` for all sessions",
    ),
    (
        &["pppoed"],
        "write `ether proto 0x8863` for the discovery of PPPoE",
    ),
    (
        &["pppoe"],
        "what is in PPPoE is not looked at: write `ether proto 0x8864`, and `ether proto 0x8863` for its discovery",
    ),
    (
        &["vxlan"],
        "what is in a tunnel is not looked at: write `udp dst port 4789` for all of VXLAN",
    ),
    (
        &["geneve"],
        "what is in a tunnel is not looked at: write `udp dst port 6081` for all of Geneve",
    ),
    (
        &["gtp"],
        "what is in a tunnel is not looked at: write `udp dst port 2152` for all of GTP-U",
    ),
    (
        &["gre", "nvgre"],
        "what is in a tunnel is not looked at: write `proto gre` for all of GRE",
    ),
    (
        &["ipip"],
        "what is in a tunnel is not looked at: write `ip proto 4` for all of IP in IP",
    ),
    (&["ospf"], "write `proto ospf`"),
    (&["eigrp"], "write `proto 88`"),
    (&["l2tp"], "write `proto 115`, or `udp port 1701`"),
    (&["lldp"], "write `ether proto 0x88cc`"),
    (
        &["ptp"],
        "write `ether proto 0x88f7`, or `udp portrange 319-320`",
    ),
    (&["wol"], "write `ether proto 0x0842`"),
    (&["eapol"], "write `ether proto 0x888e`"),
    (&["macsec"], "write `ether proto 0x88e5`"),
    (&["lacp"], "write `ether proto 0x8809`"),
    (
        &["qinq", "svlan"],
        "write `vlan` for the first tag and `inner vlan` for the second",
    ),
    (&["cvlan"], "write `inner vlan` for the second tag"),
    (
        &[
            "bgp", "dns", "domain", "dhcp", "http", "https", "ntp", "ssh", "snmp", "tftp", "bfd",
        ],
        "name the port, as in `port 53`",
    ),
    (
        &["stp"],
        "LLC is not looked at: write `ether dst 01:80:c2:00:00:00` for spanning tree",
    ),
    (
        &[
            "llc", "ipx", "netbeui", "iso", "clnp", "esis", "es-is", "isis", "is-is", "snap",
        ],
        "LLC is not looked at: match by address, as in `ether dst 01:80:c2:00:00:14`",
    ),
    (&["atalk"], "write `ether proto 0x809b`"),
    (&["aarp"], "write `ether proto 0x80f3`"),
    (&["decnet"], "write `ether proto 0x6003`"),
    (&["lat"], "write `ether proto 0x6004`"),
    (&["moprc"], "write `ether proto 0x6002`"),
    (&["mopdl"], "write `ether proto 0x6001`"),
    (
        &["inbound"],
        "rules see only frames that come in: leave it out",
    ),
    (
        &["outbound"],
        "rules see only frames that come in: match these where they come in",
    ),
    (
        &[
            "on", "ifname", "iif", "iifname", "oif", "oifname", "ifindex",
        ],
        "rules are the same on all interfaces: match by address or VLAN",
    ),
    (
        &["protochain"],
        "write `proto`, which looks behind the extension headers of IPv6",
    ),
    (
        &["gateway"],
        "write `ether host MAC and not host ADDRESS` with the gateway's two addresses",
    ),
    (
        &[
            "ttl",
            "hoplimit",
            "hlim",
            "dscp",
            "tos",
            "dsfield",
            "ecn",
            "id",
            "flowlabel",
            "label",
        ],
        "it is not looked at: match by addresses, protocol or ports",
    ),
    (
        &["mss", "window", "seq", "ack", "option", "options"],
        "it is not looked at: match by ports and `tcp[tcpflags]`",
    ),
    (&["syn"], "write `tcp[tcpflags] & tcp-syn != 0`"),
    (&["fin"], "write `tcp[tcpflags] & tcp-fin != 0`"),
    (&["rst"], "write `tcp[tcpflags] & tcp-rst != 0`"),
    (
        &["frag", "fragments", "ipfrag"],
        "write `fragment` for fragments after the first",
    ),
    (&["ip4"], "write `ip`"),
    (
        &["link", "fddi", "tr", "wlan", "mac"],
        "write `ether`, with `src`, `dst`, `host` or `proto`",
    ),
    (
        &[
            "type", "subtype", "dir", "addr1", "addr2", "addr3", "addr4", "vpi", "vci", "lane",
            "oam", "ppp", "slip",
        ],
        "frames are Ethernet's: match by `ether`, addresses, protocol or ports",
    ),
    (
        &["all", "any"],
        "set the default action for all other frames, as in `default drop`",
    ),
    (
        &["random", "rnd"],
        "rules decide by what is in a frame: sample in the application",
    ),
];

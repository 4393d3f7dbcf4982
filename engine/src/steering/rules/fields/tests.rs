//! Each field of frames whole, cut, and malformed.

use super::*;

/// Ethernet, IPv4, UDP 1 > 2, and eight bytes that are its payload.
const UDP: &str = "020000000002 020000000001 0800 \
    45000024 00000000 40110000 0a000001 0a000002 0001000200100000 0000000000000000";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).expect("two digits"))
        .collect()
}

fn ipv6(next_header: u8, payload: &str) -> Vec<u8> {
    let payload = bytes(payload);
    let mut frame = bytes("020000000002 020000000001 86dd 60000000");
    frame.extend(u16::try_from(payload.len()).expect("short").to_be_bytes());
    frame.extend([next_header, 64]);
    frame.extend([0xfd; 32]);
    frame.extend(payload);
    frame
}

#[test]
fn plain_udp_frame_has_addresses_and_ports() {
    let fields = Fields::of(&bytes(UDP));

    assert_eq!(
        fields.ether_destination,
        Field::Is(MacAddress([2, 0, 0, 0, 0, 2]))
    );
    assert_eq!(fields.outer_vlan, Field::Absent);
    assert_eq!(fields.ether_type, Field::Is(0x0800));
    assert_eq!(fields.source, Field::Is(IpAddr::from([10, 0, 0, 1])));
    assert_eq!(fields.destination, Field::Is(IpAddr::from([10, 0, 0, 2])));
    assert_eq!(fields.protocol, Field::Is(17));
    assert_eq!(fields.later_fragment, Field::Is(false));
    assert_eq!(fields.source_port, Field::Is(1));
    assert_eq!(fields.destination_port, Field::Is(2));
    assert_eq!(fields.tcp_flags, Field::Absent);
    assert_eq!(fields.icmp_type_v4, Field::Absent);
}

#[test]
fn every_cut_leaves_what_is_before_it() {
    let frame = bytes(UDP);

    for cut in 0..frame.len() {
        let fields = Fields::of(&frame[..cut]);
        assert_eq!(fields.ether_type == Field::Undecided, cut < 14, "{cut}");
        assert_eq!(fields.source == Field::Undecided, cut < 34, "{cut}");
        assert_eq!(fields.source_port == Field::Undecided, cut < 38, "{cut}");
        assert_eq!(fields.tcp_flags == Field::Undecided, cut < 34, "{cut}");
    }
}

#[test]
fn two_tags_are_looked_through_and_a_third_is_not() {
    let mut frame = bytes(UDP);
    let tagged = |frame: &mut Vec<u8>, tag: &str| {
        frame.splice(12..12, bytes(tag));
    };
    tagged(&mut frame, "8100 e007");
    tagged(&mut frame, "88a8 0008");

    let two = Fields::of(&frame);
    tagged(&mut frame, "9100 0009");
    let three = Fields::of(&frame);

    assert_eq!(two.outer_vlan, Field::from(VlanId::new(8).ok()));
    assert_eq!(two.inner_vlan, Field::from(VlanId::new(7).ok()));
    assert_eq!(two.destination_port, Field::Is(2));
    assert_eq!(three.inner_vlan, Field::from(VlanId::new(8).ok()));
    assert_eq!(three.ether_type, Field::Is(0x8100));
    assert_eq!(three.destination_port, Field::Absent);
}

#[test]
fn tag_that_is_cut_off_leaves_all_behind_it_undecided() {
    let fields = Fields::of(&bytes("020000000002 020000000001 8100 0007 08"));

    assert_eq!(
        fields,
        Fields {
            frame_bytes: Field::Is(17),
            ether_source: Field::Is(MacAddress([2, 0, 0, 0, 0, 1])),
            ether_destination: Field::Is(MacAddress([2, 0, 0, 0, 0, 2])),
            ether_multicast: Field::Is(false),
            unread: Some(Unread::VlanTag),
            ..Fields::UNDECIDED
        }
    );
}

#[test]
fn length_field_is_no_ether_type() {
    let fields = Fields::of(&bytes("020000000002 020000000001 05ff 4500"));

    assert_eq!(fields.ether_type, Field::Absent);
    assert_eq!(fields.protocol, Field::Absent);
}

#[test]
fn malformed_ipv4_headers_leave_ip_undecided() {
    // Version 5, IHL 4, total length 19 below the header's.
    for (at, value) in [(14, 0x55), (14, 0x44), (17, 19)] {
        let mut frame = bytes(UDP);
        frame[at] = value;
        let fields = Fields::of(&frame);
        assert_eq!(fields.ether_type, Field::Is(0x0800));
        assert_eq!(fields.source, Field::Undecided);
        assert_eq!(fields.protocol, Field::Undecided);
        assert_eq!(fields.later_fragment, Field::Undecided);
        assert_eq!(fields.icmp_type_v6, Field::Undecided);
    }
}

#[test]
fn padding_behind_the_ip_packet_holds_no_ports() {
    let mut frame = bytes(UDP);
    frame[17] = 23;

    let fields = Fields::of(&frame);

    assert_eq!(fields.protocol, Field::Is(17));
    assert_eq!(fields.source_port, Field::Undecided);
}

#[test]
fn ipv4_options_are_skipped() {
    let mut frame = bytes(UDP);
    frame[14] = 0x46;
    frame.splice(34..34, [1, 1, 1, 0]);

    assert_eq!(Fields::of(&frame).destination_port, Field::Is(2));
}

#[test]
fn later_fragment_has_a_protocol_and_undecided_ports() {
    let mut frame = bytes(UDP);
    frame[21] = 1;

    let fields = Fields::of(&frame);

    assert_eq!(fields.later_fragment, Field::Is(true));
    assert_eq!(fields.protocol, Field::Is(17));
    assert_eq!(fields.source_port, Field::Undecided);
    assert_eq!(fields.tcp_flags, Field::Absent, "UDP has none");
}

#[test]
fn ipv6_extension_headers_are_walked_up_to_four() {
    let option = |next: &str| format!("{next}00000000000000");
    let four = option("3c")
        + &option("2b")
        + &option("33")
        + "1104000000000000 \
        0000000000000000 0000000000000000";
    let udp = "0001000200080000";

    let walked = Fields::of(&ipv6(0, &format!("{four}{udp}")));
    let too_many = Fields::of(&ipv6(0, &format!("{}{four}{udp}", option("00"))));

    assert_eq!(walked.protocol, Field::Is(17));
    assert_eq!(walked.later_fragment, Field::Is(false));
    assert_eq!(walked.destination_port, Field::Is(2));
    assert_eq!(too_many.protocol, Field::Undecided);
    assert_eq!(too_many.later_fragment, Field::Undecided);
    assert_eq!(too_many.tcp_flags, Field::Undecided);
    assert!(matches!(too_many.source, Field::Is(_)));
}

#[test]
fn later_ipv6_fragment_names_its_protocol_unless_that_is_an_extension() {
    let udp = Fields::of(&ipv6(44, "1100000800000001 0001000200080000"));
    let options = Fields::of(&ipv6(44, "3c00000800000001 1100000000000000"));
    let first = Fields::of(&ipv6(44, "1100000100000001 0001000200080000"));

    assert_eq!(
        (udp.later_fragment, udp.protocol),
        (Field::Is(true), Field::Is(17))
    );
    assert_eq!(udp.source_port, Field::Undecided);
    assert_eq!(options.later_fragment, Field::Is(true));
    assert_eq!(options.protocol, Field::Undecided);
    assert_eq!(first.later_fragment, Field::Is(false));
    assert_eq!(first.source_port, Field::Is(1));
}

#[test]
fn icmp_types_belong_to_their_ip_version() {
    let v6 = Fields::of(&ipv6(58, "8700"));
    let v4_in_v6 = Fields::of(&ipv6(1, "0800"));
    let esp = Fields::of(&ipv6(50, "0001000200030004"));

    assert_eq!(
        (v6.icmp_type_v4, v6.icmp_type_v6),
        (Field::Absent, Field::Is(0x87))
    );
    assert_eq!(v4_in_v6.icmp_type_v4, Field::Absent);
    assert_eq!(v4_in_v6.icmp_type_v6, Field::Absent);
    assert_eq!(
        (esp.protocol, esp.source_port),
        (Field::Is(50), Field::Absent)
    );
}

#[test]
fn jumbogram_has_addresses_only() {
    let mut frame = ipv6(0, "1100c20400010000 0001000200080000");
    frame[18..20].copy_from_slice(&[0, 0]);

    let fields = Fields::of(&frame);

    assert!(matches!(fields.source, Field::Is(_)));
    assert_eq!(fields.protocol, Field::Undecided);
}

#[test]
fn frames_have_both_addresses_and_a_length() {
    let fields = Fields::of(&bytes(UDP));

    assert_eq!(fields.frame_bytes, Field::Is(50));
    assert_eq!(
        fields.ether_source,
        Field::Is(MacAddress([2, 0, 0, 0, 0, 1]))
    );
    assert_eq!(fields.ether_multicast, Field::Is(false));
    assert_eq!(fields.arp_source, Field::Absent);
    let long = Fields::of_first(&bytes(UDP), 100_000);
    assert_eq!(long.frame_bytes, Field::Is(u16::MAX));
    let short = Fields::of(&[1; 13]);
    assert_eq!(short.frame_bytes, Field::Is(13), "that much is known");
    assert_eq!(short.ether_multicast, Field::Undecided);
    assert_eq!(Fields::of(&[1; 14]).ether_multicast, Field::Is(true));
}

#[test]
fn arp_has_two_addresses_as_far_as_it_is_there() {
    let arp = bytes(
        "ffffffffffff 020000000001 0806 0001080006040001 \
         020000000001 0a000001 000000000000 0a000002",
    );

    let whole = Fields::of(&arp);
    let asked_cut = Fields::of(&arp[..41]);
    let both_cut = Fields::of(&arp[..31]);

    assert_eq!(whole.arp_source, Field::Is([10, 0, 0, 1].into()));
    assert_eq!(whole.arp_destination, Field::Is([10, 0, 0, 2].into()));
    assert_eq!((whole.source, whole.unread), (Field::Absent, None));
    assert_eq!(asked_cut.arp_source, whole.arp_source);
    assert_eq!(asked_cut.arp_destination, Field::Undecided);
    assert_eq!(both_cut.arp_source, Field::Undecided);
    assert_eq!(both_cut.unread, Some(Unread::Arp));
}

#[test]
fn extension_headers_on_the_way_are_known_if_the_chain_is() {
    // Hop-by-hop, authentication, UDP.
    let chain = "3300000000000000 110100000000000000000000 0001000200080000";

    let whole = Fields::of(&ipv6(0, chain));
    let cut = Fields::of(&ipv6(0, &chain[..29]));
    let plain = Fields::of(&ipv6(17, "0001000200080000"));
    let ipv4 = Fields::of(&bytes(&UDP.replace("40110000", "40330000")));

    assert_eq!(whole.extensions, Field::Is(0b1001));
    assert_eq!(whole.destination_port, Field::Is(2));
    assert_eq!(cut.extensions, Field::Undecided);
    assert_eq!(plain.extensions, Field::Is(0));
    assert_eq!(ipv4.extensions, Field::Is(0b1000), "its protocol is one");
    assert_eq!(Fields::of(&[0; 14]).extensions, Field::Absent);
}

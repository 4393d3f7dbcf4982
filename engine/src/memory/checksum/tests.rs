//! Every checksum of every kind of frame is found and finished, and nothing else is
//! touched.

use proptest::prelude::*;

use super::samples::{Sample, VERSIONS, Version, ethernet, geneve, gre, sum, summed_gre, vxlan};
use super::*;

const PAYLOAD: &[u8] = b"an odd number of bytes.";

/// Finishes a frame that lies in pieces of `piece` bytes, the first with `head` bytes
/// of headers.
fn finish_in(frame: &mut [u8], piece: usize) -> Option<ChecksumProtocol> {
    let total = u32::try_from(frame.len()).expect("short");
    let segments = || frame.chunks(piece);
    let found = find(frame, total, segments);
    assert!(found.is_none() || !is_plainly_done(frame), "{frame:x?}");
    let undone = found?;
    let (field, value) = (undone.field(), undone.value(segments()));
    frame[field..field + value.bytes().len()].copy_from_slice(value.bytes());
    Some(undone.protocol())
}

fn finish(frame: &mut [u8]) -> Option<ChecksumProtocol> {
    finish_in(frame, usize::MAX)
}

/// The frame that is right stays, and each of its checksums is finished if it is left
/// undone, whatever pieces the frame lies in.
fn assert_finished(what: &str, frame: &Sample) {
    let mut bytes = frame.bytes.clone();
    assert_eq!(finish(&mut bytes), None, "{what}");
    assert_eq!(bytes, frame.bytes, "{what}");
    assert!(!frame.undone.is_empty(), "{what}");
    for (index, (_, _, protocol)) in frame.undone.iter().enumerate() {
        for piece in [usize::MAX, 1, 7, 64] {
            let mut bytes = frame.left_undone(index);
            assert_eq!(
                finish_in(&mut bytes, piece),
                Some(*protocol),
                "{what}, {index}"
            );
            assert_eq!(bytes, frame.bytes, "{what}, {index}");
        }
    }
}

fn framed(version: Version, packet: Sample) -> Sample {
    ethernet(version.ether_type(), packet)
}

/// A packet of each transport.
fn packets(version: Version) -> [Sample; 3] {
    [
        version.tcp(PAYLOAD),
        version.udp(53, Sample::default().before(PAYLOAD)),
        version.sctp(b"chunks in words."),
    ]
}

#[test]
fn transports_are_finished() {
    for version in VERSIONS {
        for packet in packets(version) {
            assert_finished("plain", &framed(version, packet.clone()));
            assert_finished("padded", &framed(version, packet).before(&[0; 9]));
        }
    }
}

#[test]
fn plain_frames_take_one_look() {
    for version in VERSIONS {
        let frame = framed(version, version.tcp(PAYLOAD));
        assert!(is_plainly_done(&frame.bytes));
        assert!(!is_plainly_done(&frame.left_undone(0)));
        let cut = &frame.left_undone(0)[..40];
        assert!(!is_plainly_done(cut), "who knows");
    }
    assert!(is_plainly_done(&[0; 60]), "spanning tree and such");
    assert!(is_plainly_done(
        &ethernet(0x0806, Sample::default().before(&[0; 46])).bytes
    ));
}

#[test]
fn what_is_behind_tags_and_labels_is_finished() {
    for version in VERSIONS {
        let [high, low] = version.ether_type().to_be_bytes();
        let packet = version.tcp(PAYLOAD);
        for (what, kind, header) in [
            ("a tag", 0x8100, vec![0, 5, high, low]),
            ("two", 0x88a8, vec![0, 5, 0x81, 0, 0, 6, high, low]),
            (
                "three",
                0x9100,
                vec![0, 5, 0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, high, low],
            ),
            ("labels", 0x8847, vec![0, 0, 0x10, 64, 0, 0, 0x21, 64]),
        ] {
            assert_finished(what, &ethernet(kind, packet.clone().behind(&header)));
        }
        let ppp = if version == Version::V4 { 0x21 } else { 0x57 };
        let session = [0x11, 0, 0, 1, 0, 9, 0, ppp];
        assert_finished("PPPoE", &ethernet(0x8864, packet.behind(&session)));
    }
}

#[test]
fn what_is_behind_extension_headers_is_finished() {
    let hop = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let fragment = |next: u8| [next, 0, 0, 0, 1, 2, 3, 4];
    let arrived = [[6, 2, 2, 0, 0, 0, 0, 0].as_slice(), &[9; 16]].concat();
    for (what, first, extensions) in [
        ("hop by hop", 0, hop(6).to_vec()),
        ("destination options", 60, hop(6).to_vec()),
        ("whole fragment", 44, fragment(6).to_vec()),
        ("all", 0, [hop(60), hop(44), fragment(6)].concat()),
        ("route that is done", 43, arrived),
    ] {
        let packet = Version::tcp_behind(first, &extensions, PAYLOAD);
        assert_finished(what, &framed(Version::V6, packet));
    }
}

#[test]
fn final_destination_is_the_one_of_the_pseudo_header() {
    // The packet is on its way: the destination of the header is the first stop.
    let segments = |last: &[u8]| {
        let stop = [0x55; 16];
        [&[6, 4, 4, 1, 1, 0, 0, 0], last, &stop].concat()
    };
    let source_route = |last: &[u8]| [&[6, 4, 0, 1, 0, 0, 0, 0], &[0x55; 16][..], last].concat();
    for route in [&segments as &dyn Fn(&[u8]) -> Vec<u8>, &source_route] {
        let plain = Version::V6.tcp(PAYLOAD);
        let last = plain.bytes[24..40].to_vec();
        let packet = Version::tcp_behind(43, &route(&last), PAYLOAD);
        let mut frame = framed(Version::V6, packet);
        frame.bytes[14 + 24..14 + 40].fill(0x55);

        assert_finished("route", &frame);
    }
}

#[test]
fn what_is_in_ip_is_finished() {
    for outer in VERSIONS {
        for inner in VERSIONS {
            for packet in packets(inner) {
                let in_ip = outer.ip(inner.protocol(), packet.clone());
                assert_finished("IP in IP", &framed(outer, in_ip));
                for (key, sequence) in [(false, false), (true, false), (false, true), (true, true)]
                {
                    let kind = inner.ether_type();
                    let in_gre = outer.ip(47, gre(kind, key, sequence, packet.clone()));
                    assert_finished("GRE", &framed(outer, in_gre));
                    let frame = framed(inner, packet.clone());
                    let bridged = outer.ip(47, gre(0x6558, key, sequence, frame));
                    assert_finished("Ethernet in GRE", &framed(outer, bridged));
                }
                let frame = framed(inner, packet);
                let in_ip = outer.ip(97, frame.clone().behind(&[0x30, 0]));
                assert_finished("EtherIP", &framed(outer, in_ip));
                let mirrored = gre(0x88be, false, true, frame.clone().behind(&[7; 8]));
                assert_finished("ERSPAN II", &framed(outer, outer.ip(47, mirrored)));
                let mirrored = gre(0x22eb, false, true, frame.behind(&[6; 12]));
                assert_finished("ERSPAN III", &framed(outer, outer.ip(47, mirrored)));
            }
        }
    }
}

#[test]
fn what_is_in_gre_with_a_checksum_is_finished_and_so_is_that() {
    for outer in VERSIONS {
        for packet in [
            Version::V4.tcp(PAYLOAD),
            Version::V4.udp(5, Sample::default()),
        ] {
            let in_gre = outer.ip(47, summed_gre(0x0800, packet));
            assert_finished("GRE", &framed(outer, in_gre));
        }
    }
}

/// Tunnels in UDP around a packet.
fn in_udp(inner: Version, packet: &Sample) -> Vec<(&'static str, Sample)> {
    let frame = || framed(inner, packet.clone());
    let len = u16::try_from(packet.bytes.len()).expect("short");
    let gtp = |flags: u8, more: &[u8]| {
        let more_len = u16::try_from(more.len()).expect("short");
        let [high, low] = (len + more_len).to_be_bytes();
        let header = [&[flags, 0xff, high, low, 0, 0, 0, 9], more].concat();
        packet.clone().behind(&header)
    };
    let gpe = if inner == Version::V4 { 1 } else { 2 };
    vec![
        ("VXLAN", vxlan(frame())),
        (
            "VXLAN with a policy",
            frame().behind(&[0x88, 8, 1, 2, 0, 0, 42, 0]),
        ),
        (
            "VXLAN-GPE",
            packet.clone().behind(&[0xc, 0, 0, gpe, 0, 0, 42, 0]),
        ),
        (
            "VXLAN-GPE, Ethernet",
            frame().behind(&[0xc, 0, 0, 3, 0, 0, 42, 0]),
        ),
        ("Geneve", geneve(0x6558, 0, frame())),
        ("Geneve with options", geneve(0x6558, 3, frame())),
        ("Geneve, 8 words", geneve(0x6558, 8, frame())),
        ("Geneve, IP", geneve(inner.ether_type(), 1, packet.clone())),
        ("GTP-U", gtp(0x30, &[])),
        (
            "GTP-U with extensions",
            gtp(0x34, &[0, 0, 0, 0x85, 1, 2, 3, 0]),
        ),
        ("GUE", packet.clone().behind(&[0, inner.protocol(), 0, 0])),
        ("IP", packet.clone()),
    ]
}

#[test]
fn what_is_in_udp_is_finished_on_any_port() {
    for outer in VERSIONS {
        for inner in VERSIONS {
            for packet in packets(inner) {
                for (what, tunnel) in in_udp(inner, &packet) {
                    let unsummed = outer.unsummed_udp(8472, tunnel.clone());
                    assert_finished(what, &framed(outer, unsummed));
                    if packet.undone[0].2 == ChecksumProtocol::Sctp {
                        continue; // Never undone in another checksum.
                    }
                    assert_finished(what, &framed(outer, outer.udp(8472, tunnel)));
                }
                let kind = inner.ether_type();
                let in_gre = outer.unsummed_udp(4754, gre(kind, true, false, packet.clone()));
                assert_finished("GRE in UDP", &framed(outer, in_gre));
                let labelled = packet.behind(&[0, 0, 0x21, 64]);
                let in_mpls = outer.unsummed_udp(6635, labelled);
                assert_finished("MPLS in UDP", &framed(outer, in_mpls));
            }
        }
    }
}

#[test]
fn tunnels_in_tunnels_are_finished() {
    for version in VERSIONS {
        let packet = version.tcp(PAYLOAD);
        let once = framed(version, version.udp(4789, vxlan(framed(version, packet))));
        let twice = version.ip(47, summed_gre(0x6558, once));
        let frame = framed(
            version,
            version.udp(6081, geneve(version.ether_type(), 2, twice)),
        );
        assert_eq!(frame.undone.len(), 4);

        assert_finished("four checksums", &frame);
    }
}

/// One in 65,536 tunnels has an outer checksum that is right and looks undone; it would
/// be the same for every packet of that length of a flow.
#[test]
fn outer_checksum_that_only_looks_undone_stays() {
    let with = |inner: u16| {
        let packet = Version::V4.udp(inner, Sample::default().before(PAYLOAD));
        framed(
            Version::V4,
            Version::V4.udp(4789, vxlan(framed(Version::V4, packet))),
        )
    };
    // The outer MAC addresses are not covered, the inner ones are: choose two bytes
    // of them so that the outer checksum is the pseudo-header's sum.
    let mut frame = with(7);
    let field = 14 + 20 + 6;
    let [(outer, undone, _), _] = &frame.undone[..] else {
        panic!("two checksums")
    };
    assert_eq!(*outer, field);
    let free = 14 + 20 + 8 + 8;
    let found = u16::from_be_bytes([frame.bytes[field], frame.bytes[field + 1]]);
    let wanted = u16::from_be_bytes([undone[0], undone[1]]);
    let was = u16::from_be_bytes([frame.bytes[free], frame.bytes[free + 1]]);
    // In ones' complement: the sum grows by as much as the checksum shrinks.
    let change = sum(&[
        found.to_be_bytes(),
        (!wanted).to_be_bytes(),
        was.to_be_bytes(),
    ]
    .concat());
    frame.bytes[free..free + 2].copy_from_slice(&change.to_be_bytes());
    frame.bytes[field..field + 2].copy_from_slice(&wanted.to_be_bytes());

    let mut right = frame.bytes.clone();
    finish(&mut right);
    assert_eq!(
        right, frame.bytes,
        "finishing what is right changes nothing"
    );
    let mut undone = frame.left_undone(1);
    assert_eq!(finish(&mut undone), Some(ChecksumProtocol::Udp));
    assert_eq!(undone, frame.bytes);
}

/// A checksum that is right and the pseudo-header's sum at once is what finishing makes
/// of it.
#[test]
fn right_checksum_that_looks_undone_stays() {
    for version in VERSIONS {
        let mut frame = framed(version, version.udp(9, Sample::default().before(&[0, 0])));
        let (field, undone, _) = frame.undone[0].clone();
        let found = u16::from_be_bytes([frame.bytes[field], frame.bytes[field + 1]]);
        let wanted = u16::from_be_bytes([undone[0], undone[1]]);
        let payload = sum(&[found.to_be_bytes(), (!wanted).to_be_bytes()].concat());
        let at = frame.bytes.len() - 2;
        frame.bytes[at..].copy_from_slice(&payload.to_be_bytes());
        frame.bytes[field..field + 2].copy_from_slice(&wanted.to_be_bytes());

        let mut bytes = frame.bytes.clone();
        assert_eq!(finish(&mut bytes), Some(ChecksumProtocol::Udp));

        assert_eq!(bytes, frame.bytes);
    }
}

/// Somebody's data in a datagram, such as a mirrored packet that was sent undone.
#[test]
fn packet_that_is_data_stays() {
    let mut inner = framed(Version::V4, Version::V4.tcp(PAYLOAD));
    inner.bytes = inner.left_undone(0);
    for (what, frame) in [
        ("UDP", Version::V4.udp(4789, vxlan(inner.clone()))),
        ("GRE", Version::V4.ip(47, summed_gre(0x6558, inner))),
    ] {
        let frame = framed(Version::V4, frame);
        let mut bytes = frame.bytes.clone();
        assert_eq!(finish(&mut bytes), None, "{what}");
        // What is undone is the outer one then.
        let mut bytes = frame.left_undone(0);
        assert!(finish(&mut bytes).is_some(), "{what}");
        assert_eq!(bytes, frame.bytes, "{what}");
    }
}

#[test]
fn what_is_no_whole_packet_stays() {
    let undone = |frame: &Sample| frame.left_undone(0);
    let v4 = framed(Version::V4, Version::V4.tcp(PAYLOAD));
    let mut fragment = undone(&v4);
    fragment[20] |= 0x20;
    let mut last = undone(&v4);
    last[21] = 3;
    let mut short_header = undone(&v4);
    short_header[14] = 0x44;
    let v6 = |first, extensions: &[u8]| {
        undone(&framed(
            Version::V6,
            Version::tcp_behind(first, extensions, PAYLOAD),
        ))
    };
    for (what, mut frame) in [
        ("first fragment", fragment),
        ("last fragment", last),
        ("short header", short_header),
        ("fragment of IPv6", v6(44, &[6, 0, 0, 1, 0, 0, 0, 0])),
        (
            "authenticated",
            v6(
                51,
                &[
                    6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
                ],
            ),
        ),
        ("unknown route", v6(43, &[6, 0, 3, 1, 0, 0, 0, 0])),
    ] {
        let before = frame.clone();
        assert_eq!(finish(&mut frame), None, "{what}");
        assert_eq!(frame, before, "{what}");
    }
}

#[test]
fn frame_cut_anywhere_stays() {
    for frame in [
        framed(Version::V4, Version::V4.tcp(PAYLOAD)),
        framed(
            Version::V6,
            Version::V6.unsummed_udp(1, vxlan(framed(Version::V6, Version::V6.tcp(PAYLOAD)))),
        ),
        framed(Version::V6, Version::V6.sctp(PAYLOAD)),
    ] {
        let whole = frame.left_undone(0);
        for len in 0..whole.len() {
            let mut bytes = whole[..len].to_vec();
            assert_eq!(finish(&mut bytes), None, "{len} bytes");
        }
    }
}

#[test]
fn nesting_is_bounded() {
    let mut packet = Version::V4.tcp(PAYLOAD);
    for _ in 0..40 {
        packet = Version::V4.ip(4, packet);
    }
    let frame = framed(Version::V4, packet);

    assert_eq!(finish(&mut frame.left_undone(0)), None);

    let mut tagged = Version::V4.tcp(PAYLOAD);
    for _ in 0..1000 {
        tagged = tagged.behind(&[0, 1, 0x81, 0]);
    }
    assert_eq!(finish(&mut ethernet(0x8100, tagged).left_undone(0)), None);
    let hops = [0, 0, 1, 4, 0, 0, 0, 0].repeat(100);
    let packet = Version::tcp_behind(0, &hops, PAYLOAD);
    assert_eq!(
        finish(&mut framed(Version::V6, packet).left_undone(0)),
        None
    );
}

/// A tunnel around a packet.
fn tunnelled(kind: u8, outer: Version, inner: Version, packet: Sample) -> Sample {
    let mut udp = in_udp(inner, &packet);
    match usize::from(kind) {
        0 => outer.ip(inner.protocol(), packet),
        1 => outer.ip(47, gre(inner.ether_type(), true, true, packet)),
        2 => outer.ip(47, summed_gre(0x6558, framed(inner, packet))),
        kind if kind % 2 == 0 => outer.udp(4789, udp.swap_remove(kind % udp.len()).1),
        kind => outer.unsummed_udp(4789, udp.swap_remove(kind % udp.len()).1),
    }
}

fn version() -> impl Strategy<Value = Version> {
    prop::sample::select(&VERSIONS)
}

prop_compose! {
    /// A frame of up to four tunnels in each other.
    fn any_frame()(
        payload: Vec<u8>,
        first in version(),
        is_tcp: bool,
        tunnels in prop::collection::vec((0_u8..40, version()), 0..4),
    ) -> Sample {
        let mut packet = if is_tcp {
            first.tcp(&payload)
        } else {
            first.udp(9, Sample::default().before(&payload))
        };
        let mut inner = first;
        for (kind, outer) in tunnels {
            packet = tunnelled(kind, outer, inner, packet);
            inner = outer;
        }
        framed(inner, packet)
    }
}

proptest! {
    #[test]
    fn any_checksum_of_any_frame_is_finished(frame in any_frame(), which: prop::sample::Index, piece in 1_usize..200) {
        let index = which.index(frame.undone.len());
        let mut bytes = frame.left_undone(index);
        prop_assert_eq!(finish_in(&mut bytes, piece), Some(frame.undone[index].2));
        prop_assert_eq!(&bytes, &frame.bytes);
    }

    #[test]
    fn damaged_frames_cost_nothing_but_their_own_bytes(
        frame in any_frame(),
        which: prop::sample::Index,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        len: prop::sample::Index,
    ) {
        let mut bytes = frame.left_undone(which.index(frame.undone.len()));
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes.truncate(len.index(bytes.len()) + 1);
        let before = bytes.clone();
        finish(&mut bytes);
        let changed = bytes.iter().zip(&before).filter(|(now, before)| now != before);
        prop_assert!(changed.count() <= 4);
    }

    #[test]
    fn any_bytes_are_looked_at_without_harm(mut bytes: Vec<u8>) {
        finish(&mut bytes);
    }
}

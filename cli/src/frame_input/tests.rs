//! Captures of all kinds, whole and broken, and frames in digits.

use std::io::Write;

use super::*;

const FRAME: [u8; 16] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1];

#[derive(Clone, Copy)]
enum Order {
    Big,
    Little,
}

impl Order {
    fn word(self, number: u32) -> [u8; 4] {
        match self {
            Self::Big => number.to_be_bytes(),
            Self::Little => number.to_le_bytes(),
        }
    }

    fn half(self, number: u16) -> [u8; 2] {
        match self {
            Self::Big => number.to_be_bytes(),
            Self::Little => number.to_le_bytes(),
        }
    }
}

/// A classic capture of [`FRAME`] twice, the second one cut to 14 of 64 bytes.
fn classic(order: Order, magic: u32, link: u32) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(order.word(magic));
    file.extend(order.half(2));
    file.extend(order.half(4));
    for number in [0, 0, 65535, link] {
        file.extend(order.word(number));
    }
    for (captured, on_wire) in [(16, 16), (14, 64)] {
        for number in [1, 2, captured, on_wire] {
            file.extend(order.word(number));
        }
        file.extend(&FRAME[..usize::try_from(captured).expect("short")]);
    }
    file
}

fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let length = order.word(u32::try_from(body.len() + 12).expect("short"));
    [&order.word(kind)[..], &length, body, &length].concat()
}

/// The same in pcapng: an enhanced and a simple packet, and blocks that say nothing.
fn next_generation(order: Order, link: u16) -> Vec<u8> {
    let words = |numbers: &[u32]| -> Vec<u8> {
        numbers
            .iter()
            .flat_map(|number| order.word(*number))
            .collect()
    };
    let mut section = words(&[0x1a2b_3c4d]);
    section.extend(order.half(1));
    section.extend(order.half(0));
    section.extend([0xff; 8]);
    let mut interface = order.half(link).to_vec();
    interface.extend(order.half(0));
    interface.extend(order.word(14));
    let mut enhanced = words(&[0, 0, 0, 16, 16]);
    enhanced.extend(FRAME);
    let mut simple = words(&[64]);
    simple.extend(&FRAME[..14]);
    simple.extend([0; 2]);
    [
        block(order, 0x0a0d_0d0a, &section),
        block(order, 1, &interface),
        block(order, 0xbad, &[0; 8]),
        block(order, 6, &enhanced),
        block(order, 3, &simple),
    ]
    .concat()
}

fn read(bytes: &[u8]) -> (Vec<Captured>, Result<(), Failure>) {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("wharf-frames-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut file = File::create(&path).expect("a temporary file");
    file.write_all(bytes).expect("there is room");
    let mut found = Vec::new();
    let opened = Frames::open(&[path.to_str().expect("text").to_owned()]);
    std::fs::remove_file(&path).expect("it is there");
    let mut frames = match opened {
        Ok(frames) => frames,
        Err(failure) => return (found, Err(failure)),
    };
    loop {
        match frames.next() {
            Ok(Some(frame)) => found.push(frame),
            Ok(None) => return (found, Ok(())),
            Err(failure) => return (found, Err(failure)),
        }
    }
}

fn expected() -> Vec<Captured> {
    let frame = |captured: usize, frame_bytes| Captured {
        bytes: FRAME[..captured].to_vec(),
        frame_bytes,
    };
    vec![frame(16, 16), frame(14, 64)]
}

#[test]
fn capture_is_read_whatever_its_format() {
    for order in [Order::Big, Order::Little] {
        for magic in [0xa1b2_c3d4, 0xa1b2_3c4d] {
            assert_eq!(read(&classic(order, magic, 1)), (expected(), Ok(())));
        }
        assert_eq!(read(&next_generation(order, 1)), (expected(), Ok(())));
        let twice = [next_generation(order, 1), next_generation(order, 1)].concat();
        assert_eq!(read(&twice), ([expected(), expected()].concat(), Ok(())));
    }
}

#[test]
fn capture_of_another_link_type_is_one_error_with_the_remedy() {
    for file in [
        classic(Order::Little, 0xa1b2_c3d4, 113),
        next_generation(Order::Big, 113),
    ] {
        let (frames, outcome) = read(&file);

        assert!(frames.is_empty());
        let failure = outcome.expect_err("not Ethernet").to_string();
        assert!(failure.contains("link type 113"), "{failure}");
        assert!(failure.contains("tcpdump -i"), "{failure}");
    }
}

#[test]
fn frames_before_the_end_of_a_cut_capture_are_read() {
    let file = classic(Order::Little, 0xa1b2_c3d4, 1);
    for cut in [1, 14, 20] {
        let (frames, outcome) = read(&file[..file.len() - cut]);

        assert_eq!(frames, expected()[..1]);
        let failure = outcome.expect_err("it is cut").to_string();
        assert!(failure.contains("middle of a frame"), "{failure}");
    }
    let (frames, outcome) = read(&file[..24]);
    assert_eq!((frames.len(), outcome), (0, Ok(())), "no frame is none");
}

#[test]
fn file_that_is_no_capture_is_an_error() {
    for (bytes, reason) in [(&b""[..], "empty"), (b"#!/bin/sh\n", "neither a pcap nor")] {
        let (_, outcome) = read(bytes);

        let failure = outcome.expect_err("no capture").to_string();
        assert!(failure.contains(reason), "{failure}");
    }
    let missing = Frames::open(&["/nonexistent.pcap".to_owned()]);
    let failure = missing.err().expect("no file").to_string();
    assert!(
        failure.contains("no file \"/nonexistent.pcap\""),
        "{failure}"
    );
}

#[test]
fn frame_in_digits_may_have_signs_between_its_bytes() {
    for text in [
        "0200ff",
        "02 00 FF",
        "02:00:ff",
        "02-00-ff",
        "0x0200ff",
        " 0200.ff\n",
    ] {
        assert_eq!(hexadecimal(text), Ok(vec![2, 0, 255]), "{text}");
    }
    for text in ["", "020", "0 2", "02 0g", "eth0"] {
        assert!(hexadecimal(text).is_err(), "{text}");
    }
}

//! Captures of real traffic, and how many of their frames each expression finds:
//! as many as tcpdump's own filter found (`tests/fixtures/counts.txt`, written by
//! `make.sh` beside it).

use std::fs;
use std::path::Path;

use wharf::{Expression, Truth};

#[test]
fn expressions_find_as_many_captured_frames_as_tcpdump() {
    let counts = read("counts.txt");
    let counts = String::from_utf8(counts).expect("counts.txt is text");
    let mut lines = counts.lines().skip(1);
    let names = lines.next().expect("counts.txt names the captures");
    let captures: Vec<Vec<Vec<u8>>> = names
        .trim_start_matches('#')
        .split_whitespace()
        .map(|name| frames(&read(&format!("{name}.pcap"))))
        .collect();

    let mut asked = 0;
    for line in lines {
        let (counted, text) = line.split_once(" : ").expect("counts, then the expression");
        let expression: Expression = text
            .parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        let found: Vec<String> = captures
            .iter()
            .map(|frames| found(&expression, frames).to_string())
            .collect();
        assert_eq!(found.join(" "), counted.trim(), "{text} in {names}");
        asked += 1;
    }

    assert!(captures.iter().map(Vec::len).sum::<usize>() > 200);
    assert!(asked > 60, "only {asked} expressions");
}

fn found(expression: &Expression, frames: &[Vec<u8>]) -> usize {
    frames
        .iter()
        .filter(|frame| expression.matches(frame) == Truth::True)
        .count()
}

/// The frames of a capture in tcpdump's classic format, little-endian, Ethernet.
fn frames(capture: &[u8]) -> Vec<Vec<u8>> {
    let (header, mut records) = capture.split_at(24);
    assert_eq!(
        header[..4],
        [0xd4, 0xc3, 0xb2, 0xa1],
        "little-endian, microseconds"
    );
    assert_eq!(header[20..], [1, 0, 0, 0], "Ethernet");
    let mut frames = Vec::new();
    while let Some((record, rest)) = records.split_at_checked(16) {
        let (captured, original) = (&record[8..12], &record[12..]);
        assert_eq!(captured, original, "frames are whole");
        let length = captured.try_into().map(u32::from_le_bytes);
        let length = length.expect("four bytes") as usize;
        frames.push(rest[..length].to_vec());
        records = &rest[length..];
    }
    frames
}

fn read(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()))
}

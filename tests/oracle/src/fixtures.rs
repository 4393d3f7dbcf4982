//! The captures in `tests/fixtures`, read by libpcap, with the expressions that
//! rules are made of.

use std::fs;
use std::path::{Path, PathBuf};

use pcap::Capture;

/// A capture.
pub struct Fixture {
    /// The file's name without its extension.
    pub name: &'static str,
    /// Its frames, whole.
    pub frames: Vec<Vec<u8>>,
}

/// An expression of `expressions.txt`.
pub struct Asked {
    /// For Wharf.
    pub wharf: String,
    /// For tcpdump, behind as many tags as the capture has.
    pub tcpdump: String,
}

impl Fixture {
    /// All of them.
    ///
    /// # Panics
    ///
    /// When one cannot be read.
    #[must_use]
    pub fn all() -> Vec<Self> {
        NAMES.map(Self::read).into()
    }

    fn read(name: &'static str) -> Self {
        let path = folder().join(format!("{name}.pcap"));
        let mut capture = Capture::from_file(&path)
            .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
        let mut frames = Vec::new();
        while let Ok(packet) = capture.next_packet() {
            assert_eq!(packet.header.caplen, packet.header.len, "{name} is cut");
            frames.push(packet.data.to_vec());
        }
        Self { name, frames }
    }

    /// What tcpdump is asked to find the same in this capture: `make.sh` does it
    /// the same way.
    #[must_use]
    pub fn tcpdump_text(&self, asked: &Asked) -> String {
        let text = &asked.tcpdump;
        if text.starts_with("vlan") || text.starts_with("not vlan") {
            return text.clone();
        }
        match self.name {
            "vlan" => format!("vlan and ({text})"),
            "qinq" => format!("vlan and vlan and ({text})"),
            _ => text.clone(),
        }
    }
}

impl Asked {
    /// All of them.
    ///
    /// # Panics
    ///
    /// When the file cannot be read.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let text = fs::read_to_string(folder().join("expressions.txt"))
            .expect("tests/fixtures/expressions.txt is there");
        text.lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| {
                let (wharf, tcpdump) = line.split_once(" => ").unwrap_or((line, line));
                Self {
                    wharf: wharf.to_owned(),
                    tcpdump: tcpdump.to_owned(),
                }
            })
            .collect()
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

const NAMES: [&str; 8] = [
    "tcp",
    "udp",
    "icmp",
    "arp",
    "fragments",
    "extensions",
    "vlan",
    "qinq",
];

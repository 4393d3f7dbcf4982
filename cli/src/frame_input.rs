//! Frames to ask rules about: from a capture, or written as hexadecimal digits.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use pcap_parser::traits::PcapReaderIterator;
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};

use crate::exit::Failure;

/// A frame as far as it was captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// From its Ethernet header on.
    pub bytes: Vec<u8>,
    /// The length that it had on the wire.
    pub frame_bytes: usize,
}

/// One frame, or those of a capture, one after the other.
pub enum Frames {
    One(Option<Captured>),
    Capture(Box<Capture>),
}

impl Frames {
    /// Opens what `words` say: the name of a capture, `-` for one on standard input, or
    /// a frame in hexadecimal digits.
    pub fn open(words: &[String]) -> Result<Self, Failure> {
        if let [word] = words {
            let path = Path::new(word);
            if word == "-" || path.exists() {
                return Ok(Self::Capture(Box::new(Capture::open(path)?)));
            }
        }
        let text = words.join(" ");
        match hexadecimal(&text) {
            Ok(bytes) => Ok(Self::One(Some(Captured {
                frame_bytes: bytes.len(),
                bytes,
            }))),
            Err(reason) => Err(Failure::Usage(format!(
                "there is no file {text:?}, and it is no frame either: {reason}"
            ))),
        }
    }

    /// The next frame; `None` after the last.
    pub fn next(&mut self) -> Result<Option<Captured>, Failure> {
        match self {
            Self::One(frame) => Ok(frame.take()),
            Self::Capture(capture) => capture.next(),
        }
    }
}

/// Two digits a byte; blanks, colons, dashes and dots may stand between bytes.
fn hexadecimal(text: &str) -> Result<Vec<u8>, String> {
    let text = text.trim();
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let mut bytes = Vec::new();
    let mut first = None;
    for c in digits.chars() {
        let Some(digit) = c.to_digit(16) else {
            let is_between = c.is_whitespace() || matches!(c, ':' | '-' | '.');
            if !is_between {
                return Err(format!("{c:?} is no hexadecimal digit"));
            }
            if first.is_some() {
                return Err("a byte has two hexadecimal digits".to_owned());
            }
            continue;
        };
        let digit = u8::try_from(digit).expect("below 16");
        match first.take() {
            None => first = Some(digit),
            Some(high) => bytes.push(high << 4 | digit),
        }
    }
    if first.is_some() {
        return Err("a byte has two hexadecimal digits".to_owned());
    }
    if bytes.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(bytes)
}

/// The frames of a pcap or pcapng file.
pub struct Capture {
    name: String,
    reader: Box<dyn PcapReaderIterator + Send>,
    /// The link types of the interfaces, of which a pcap file has one.
    links: Vec<Link>,
    capacity: usize,
    is_over: bool,
}

#[derive(Clone, Copy)]
struct Link {
    kind: Linktype,
    /// Bytes kept of a frame; 0 for all.
    kept: usize,
}

/// What is in a block.
enum Found {
    Nothing,
    Frame { interface: usize, frame: Captured },
}

impl Capture {
    fn open(path: &Path) -> Result<Self, Failure> {
        let is_standard_input = path.as_os_str() == "-";
        let name = if is_standard_input {
            "standard input".to_owned()
        } else {
            path.display().to_string()
        };
        let cannot =
            |reason: &dyn fmt::Display| Failure::Usage(format!("cannot read {name}: {reason}"));
        let source: Box<dyn Read + Send> = if is_standard_input {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path).map_err(|error| cannot(&error))?)
        };
        let reader = create_reader(CAPACITY, Filled(source)).map_err(|error| match error {
            PcapError::Eof => cannot(&"it is empty"),
            PcapError::ReadError => cannot(&"it cannot be read"),
            _ => cannot(&"it is neither a pcap nor a pcapng capture"),
        })?;
        Ok(Self {
            name,
            reader,
            links: Vec::new(),
            capacity: CAPACITY,
            is_over: false,
        })
    }

    fn next(&mut self) -> Result<Option<Captured>, Failure> {
        while !self.is_over {
            let Some((consumed, found)) = self.block()? else {
                return Ok(None);
            };
            self.reader.consume(consumed);
            if let Found::Frame { interface, frame } = found {
                self.check_link(interface)?;
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// The next block and its length.
    fn block(&mut self) -> Result<Option<(usize, Found)>, Failure> {
        enum Want {
            More,
            Room,
        }
        loop {
            let want = match self.reader.next() {
                Ok((consumed, block)) => {
                    return Ok(Some((consumed, found(block, &mut self.links))));
                }
                Err(PcapError::Eof) => {
                    self.is_over = true;
                    return Ok(None);
                }
                Err(PcapError::Incomplete(_)) => Want::More,
                Err(PcapError::BufferTooSmall) if self.capacity < CAPACITY_MAX => Want::Room,
                Err(PcapError::UnexpectedEof) => {
                    return Err(self.broken("it ends in the middle of a frame"));
                }
                Err(PcapError::ReadError) => return Err(self.broken("it cannot be read on")),
                Err(_) => return Err(self.broken("it is damaged")),
            };
            if matches!(want, Want::Room) {
                self.capacity *= 2;
                self.reader.grow(self.capacity);
            }
            if self.reader.refill().is_err() {
                return Err(self.broken("it cannot be read on"));
            }
        }
    }

    /// The frames before were good.
    fn broken(&mut self, reason: &str) -> Failure {
        self.is_over = true;
        Failure::Run(format!("the capture {}: {reason}", self.name))
    }

    fn check_link(&self, interface: usize) -> Result<(), Failure> {
        match self.links.get(interface).map(|link| link.kind) {
            Some(Linktype::ETHERNET) => Ok(()),
            Some(kind) => Err(Failure::Usage(format!(
                "{} has frames of link type {} ({kind}), but rules ask Ethernet frames: capture on one Ethernet interface, as `tcpdump -i eth0 -w FILE` does",
                self.name, kind.0
            ))),
            None => Err(Failure::Run(format!(
                "the capture {}: a frame is of an interface that it does not describe",
                self.name
            ))),
        }
    }
}

fn found(block: PcapBlockOwned<'_>, links: &mut Vec<Link>) -> Found {
    let frame = |interface: usize, data: &[u8], captured: u32, on_wire: u32| {
        let bytes = &data[..size(captured).min(data.len())];
        Found::Frame {
            interface,
            frame: Captured {
                bytes: bytes.to_vec(),
                frame_bytes: size(on_wire).max(bytes.len()),
            },
        }
    };
    match block {
        PcapBlockOwned::LegacyHeader(header) => {
            // The upper bits say what follows a frame's bytes.
            let kind = Linktype(header.network.0 & 0x03ff_ffff);
            *links = vec![Link { kind, kept: 0 }];
        }
        PcapBlockOwned::Legacy(packet) => {
            return frame(0, packet.data, packet.caplen, packet.origlen);
        }
        // Interfaces are counted within a section.
        PcapBlockOwned::NG(Block::SectionHeader(_)) => links.clear(),
        PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => links.push(Link {
            kind: interface.linktype,
            kept: size(interface.snaplen),
        }),
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            let interface = size(packet.if_id);
            return frame(interface, packet.data, packet.caplen, packet.origlen);
        }
        PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
            // It does not say how much it has: all, or what the interface keeps.
            let kept = links.first().map_or(0, |link| link.kept);
            let captured = if kept == 0 {
                packet.origlen
            } else {
                packet.origlen.min(u32::try_from(kept).unwrap_or(u32::MAX))
            };
            return frame(0, packet.data, captured, packet.origlen);
        }
        PcapBlockOwned::NG(_) => {}
    }
    Found::Nothing
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Fills what it is given, as the parser looks for the header in what it reads first,
/// and a pipe may hold less.
struct Filled<R>(R);

impl<R: Read> Read for Filled<R> {
    fn read(&mut self, mut space: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while !space.is_empty() {
            match self.0.read(space) {
                Ok(0) => break,
                Ok(count) => {
                    filled += count;
                    space = &mut space[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

/// Bytes read at once; a block must fit.
const CAPACITY: usize = 256 << 10;

/// The longest block. Frames have at most some hundred thousand bytes.
const CAPACITY_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests;

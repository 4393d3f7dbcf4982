//! libpcap: its compiler, its filter machine, and its verdict on a frame whose
//! end is not known.

use std::collections::HashMap;

use pcap::{BpfProgram, Capture, Dead, Linktype};

/// Whether its optimizer runs over the filter, as it does for tcpdump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Optimizer {
    /// It does.
    On,
    /// It does not.
    Off,
}

/// libpcap for Ethernet frames, with the filters compiled so far.
pub struct Libpcap {
    handle: Capture<Dead>,
    optimizer: Optimizer,
    compiled: HashMap<String, Option<BpfProgram>>,
}

impl Libpcap {
    /// libpcap with no filter yet.
    ///
    /// # Panics
    ///
    /// When libpcap has no memory left.
    #[must_use]
    pub fn new(optimizer: Optimizer) -> Self {
        Self {
            handle: Capture::dead(Linktype::ETHERNET).expect("libpcap opens a dead handle"),
            optimizer,
            compiled: HashMap::new(),
        }
    }

    /// Whether the filter takes the frame.
    ///
    /// # Panics
    ///
    /// When libpcap does not take the text.
    pub fn matches(&mut self, text: &str, frame: &[u8]) -> bool {
        self.filter(text)
            .is_some_and(|program| program.filter(frame))
    }

    /// The verdict whatever is behind the bytes that count. Nothing when it
    /// depends on that.
    ///
    /// # Panics
    ///
    /// When libpcap does not take the text.
    pub fn verdict(&mut self, text: &str, frame: &Completions) -> Option<bool> {
        let Some(program) = self.filter(text) else {
            return Some(false);
        };
        let verdict = program.filter(&frame.0[0]);
        frame.0[1..]
            .iter()
            .all(|other| program.filter(other) == verdict)
            .then_some(verdict)
    }

    fn filter(&mut self, text: &str) -> Option<&BpfProgram> {
        if !self.compiled.contains_key(text) {
            let compiled = self.compile(text).unwrap_or_else(|error| {
                panic!("libpcap does not take this filter: {error}\n{text}")
            });
            self.compiled.insert(text.to_owned(), compiled);
        }
        self.compiled[text].as_ref()
    }

    /// Forgets the filters, which are one a text and stay.
    pub fn forget(&mut self) {
        self.compiled.clear();
    }

    fn compile(&self, text: &str) -> Result<Option<BpfProgram>, pcap::Error> {
        match self.handle.compile(text, self.optimizer == Optimizer::On) {
            Ok(program) => Ok(Some(program)),
            // The optimizer saw through a contradiction: a filter for nothing.
            Err(pcap::Error::PcapError(error)) if error.contains("rejects all packets") => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A frame of which only the first bytes count, with several things behind them.
///
/// A filter that reads behind the frame's end is given up by libpcap as "no
/// match", whether there is a `not` in it or none. So it is given more than it
/// can read, and what it says may not depend on that.
pub struct Completions(Vec<Vec<u8>>);

impl Completions {
    /// Of `frame`, the first `visible` bytes.
    #[must_use]
    pub fn of(frame: &[u8], visible: usize) -> Self {
        let visible = visible.min(frame.len());
        let known = &frame[..visible];
        let mut all: Vec<Vec<u8>> = TAILS.iter().map(|tail| [known, tail].concat()).collect();
        if visible < frame.len() {
            // With what really stands there: padding.
            all.push([frame, &TAILS[0]].concat());
        }
        Self(all)
    }
}

/// What may stand behind the end: nothing set, all set, two kinds of both, and
/// ports, flags, types and next headers that are asked for. Longer than any
/// header that is read.
const TAILS: [[u8; 192]; 6] = [
    [0; 192],
    [0xff; 192],
    pattern(0x9e37_79b9),
    pattern(0x85eb_ca6b),
    [6; 192],
    ports(),
];

const fn pattern(mut state: u32) -> [u8; 192] {
    let mut bytes = [0; 192];
    let mut at = 0;
    while at < 192 {
        // xorshift32
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        bytes[at] = state.to_be_bytes()[0];
        at += 1;
    }
    bytes
}

/// Port 22 at every even place.
const fn ports() -> [u8; 192] {
    let mut bytes = [0; 192];
    let mut at = 1;
    while at < 192 {
        bytes[at] = 22;
        at += 2;
    }
    bytes
}

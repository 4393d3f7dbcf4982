//! What finishing a checksum costs, and looking whether there is one to finish:
//! beside the same with `etherparse`, and with a sum word by word.
//!
//! `cargo bench -p wharf-xdp --bench checksum` prints nanoseconds, and instructions where
//! valgrind is installed.

#[path = "cycle/count.rs"]
mod count;

use std::hint::black_box;
use std::time::Instant;

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use wharf::{Frame, Umem, UmemConfig};

/// Where the TCP checksum of a frame of IPv4 without options is.
const FIELD: usize = 14 + 20 + 16;
const ROUNDS: usize = 101;
const CALLS: u32 = 1000;

/// A frame, and what is done to it.
type Work = fn(&mut Frame);

#[inline(never)]
fn finish(frame: &mut Frame) {
    black_box(frame.finish_checksum());
}

/// Finishes the checksum if it is undone.
#[inline(never)]
fn by_etherparse(frame: &mut Frame) {
    if let Some(sum) = etherparse_finds(frame) {
        frame[FIELD..FIELD + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

fn etherparse_finds(frame: &[u8]) -> Option<u16> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let (NetSlice::Ipv4(ip), TransportSlice::Tcp(tcp)) = (packet.net?, packet.transport?) else {
        return None;
    };
    let header = ip.header();
    let len = u64::try_from(tcp.slice().len()).ok()?;
    let addresses = [header.source(), header.destination()];
    let words = addresses.iter().flat_map(|address| address.chunks(2));
    let words = words.map(|word| u64::from(u16::from_be_bytes([word[0], word[1]])));
    let pseudo = words.sum::<u64>() + 6 + len;
    let is_undone = u64::from(tcp.checksum()) == (pseudo & 0xffff) + (pseudo >> 16);
    let sum = is_undone.then(|| tcp.calc_checksum_ipv4(header.source(), header.destination()))?;
    sum.ok()
}

/// Sums up all from the TCP header on, two bytes at a time.
#[inline(never)]
fn word_by_word(frame: &mut Frame) {
    let words = frame[34..].chunks(2);
    let mut sum: u64 = words
        .map(|word| u64::from(word[0]) << 8 | word.get(1).copied().map_or(0, u64::from))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let sum = !u16::try_from(sum).expect("folded");
    frame[FIELD..FIELD + 2].copy_from_slice(&sum.to_be_bytes());
}

struct Case {
    name: &'static str,
    function: &'static str,
    work: Work,
    bytes: fn() -> Vec<u8>,
    /// Whether the checksum is undone before each call.
    undone: bool,
}

const CASES: [Case; 9] = [
    Case::new("not IP: look", "finish", finish, arp, false),
    Case::new("finished TCP: look", "finish", finish, tcp, false),
    Case::new(
        "finished TCP: look (etherparse)",
        "by_etherparse",
        by_etherparse,
        tcp,
        false,
    ),
    Case::new("UDP without a tunnel: look", "finish", finish, udp, false),
    Case::new(
        "finished TCP in VXLAN: look",
        "finish",
        finish,
        vxlan,
        false,
    ),
    Case::new(
        "undone TCP, 1,480 bytes: finish",
        "finish",
        finish,
        tcp,
        true,
    ),
    Case::new(
        "undone TCP (etherparse)",
        "by_etherparse",
        by_etherparse,
        tcp,
        true,
    ),
    Case::new(
        "undone TCP, the sum alone (word by word)",
        "word_by_word",
        word_by_word,
        tcp,
        true,
    ),
    Case::new(
        "undone TCP, 60 bytes: finish",
        "finish",
        finish,
        short_tcp,
        true,
    ),
];

impl Case {
    const fn new(
        name: &'static str,
        function: &'static str,
        work: Work,
        bytes: fn() -> Vec<u8>,
        undone: bool,
    ) -> Self {
        Self {
            name,
            function,
            work,
            bytes,
            undone,
        }
    }

    /// A function that does it once.
    fn run(&self, umem: &Umem) -> impl FnMut() -> u32 + use<> {
        let bytes = (self.bytes)();
        let mut frame = umem.allocate().expect("a free chunk");
        let len = u32::try_from(bytes.len()).expect("short");
        frame
            .grow_back(len)
            .expect("it fits")
            .copy_from_slice(&bytes);
        let pseudo = u64::from(len) - 34 + 6 + 4 * 0x0a00 + 3;
        let pseudo = u16::try_from((pseudo & 0xffff) + (pseudo >> 16)).expect("folded");
        let (work, undone) = (self.work, self.undone);
        move || {
            if undone {
                frame[FIELD..FIELD + 2].copy_from_slice(&pseudo.to_be_bytes());
            }
            work(black_box(&mut frame));
            1
        }
    }
}

/// From and to 10.0.10.0 and such, so that the words of the addresses are 0x0a00 each,
/// and 3 in all.
fn tcp_of(len: usize) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 10, 1], [10, 0, 10, 2], 64);
    let builder = builder.tcp(1, 2, 3, 4);
    let mut bytes = Vec::new();
    builder
        .write(&mut bytes, &vec![0xa5; len - 20])
        .expect("memory");
    bytes
}

fn tcp() -> Vec<u8> {
    tcp_of(1480)
}

fn short_tcp() -> Vec<u8> {
    tcp_of(60)
}

fn udp() -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 10, 1], [10, 0, 10, 2], 64);
    let mut bytes = Vec::new();
    builder
        .udp(1, 53)
        .write(&mut bytes, &[0xa5; 100])
        .expect("memory");
    bytes
}

fn vxlan() -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 10, 1], [10, 0, 10, 2], 64);
    let payload = [&[8, 0, 0, 0, 0, 0, 42, 0][..], &tcp_of(1000)].concat();
    let mut bytes = Vec::new();
    builder
        .udp(1, 4789)
        .write(&mut bytes, &payload)
        .expect("memory");
    bytes
}

fn arp() -> Vec<u8> {
    let mut bytes = vec![0; 60];
    bytes[12..14].copy_from_slice(&[8, 6]);
    bytes
}

fn nanos(mut call: impl FnMut() -> u32) -> f64 {
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            (0..CALLS).for_each(|_| assert_eq!(black_box(call()), 1));
            started.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}

fn main() {
    let umem = Umem::new(&UmemConfig::new(16)).expect("memory for a UMEM");
    if let Ok(name) = std::env::var(count::LOOP) {
        let case = CASES.iter().find(|case| case.name == name);
        count::run_counted(case.expect("a case").run(&umem), 1);
        return;
    }
    println!("{:<44}{:>14}{:>10}", "", "instructions", "ns");
    for case in &CASES {
        let pattern = format!("*checksum::{}*", case.function);
        let instructions = count::instructions_per_batch(&pattern, case.name);
        let instructions = instructions.map_or_else(|error| error, |count| format!("{count:.0}"));
        let nanos = nanos(case.run(&umem));
        println!("{:<44}{instructions:>14}{nanos:>10.1}", case.name);
    }
}

//! Answers ARP requests and pings for an address that no interface has, and passes all
//! else to the kernel's stack, which works as if nothing was there.
//!
//! ```text
//! sudo cargo run -p wharf-xdp --example answer_or_pass -- eth0 10.0.0.9
//! ```
//!
//! Ping 10.0.0.9 from a neighbour, and use the host's own addresses meanwhile, until
//! Ctrl-C, which undoes it all.

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;

use wharf::{Application, Batch, Engine, Error, Frame, Outbox};

/// Answers for one address.
#[derive(Clone)]
pub struct Answerer {
    /// Of what it answers with.
    pub mac: [u8; 6],
    /// What it answers for.
    pub address: Ipv4Addr,
}

impl Application for Answerer {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        for mut frame in batch {
            if self.answer(&mut frame) {
                out.send_back(frame);
            } else {
                out.pass(frame);
            }
        }
    }
}

impl Answerer {
    /// Makes the answer in place; `false` if the frame is not for us.
    fn answer(&self, frame: &mut Frame) -> bool {
        let address = self.address.octets();
        let asks_for_us = |place: usize| frame.get(place..place + 4) == Some(&address[..]);
        match frame.get(12..14) {
            // An ARP request for us: the answer is from us, to the one who asked.
            Some([0x08, 0x06]) if asks_for_us(38) && frame.get(20..22) == Some(&[0, 1]) => {
                frame[21] = 2;
                frame.copy_within(22..32, 32);
                frame[22..28].copy_from_slice(&self.mac);
                frame[28..32].copy_from_slice(&address);
            }
            // An echo request to us, without IP options.
            Some([0x08, 0x00]) if asks_for_us(30) && is_echo_request(frame) => {
                let (source, destination) = frame[26..34].split_at_mut(4);
                source.swap_with_slice(destination);
                frame[34] = 0;
                // The type was 8 in the upper half of a word: the sum grows by as much.
                let sum = u16::from_be_bytes([frame[36], frame[37]]);
                let (sum, carry) = sum.overflowing_add(0x0800);
                let sum = (sum + u16::from(carry)).to_be_bytes();
                frame[36..38].copy_from_slice(&sum);
            }
            _ => return false,
        }
        frame.swap_mac_addresses();
        // ARP requests were to all.
        frame[6..12].copy_from_slice(&self.mac);
        true
    }
}

fn is_echo_request(frame: &Frame) -> bool {
    frame.len() >= 42 && frame[14] == 0x45 && frame[23] == 1 && frame[34] == 8
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [interface, address] = &arguments[..] else {
        eprintln!("usage: answer_or_pass INTERFACE ADDRESS");
        return ExitCode::from(2);
    };
    let Ok(address) = address.parse() else {
        eprintln!("`{address}` is no IPv4 address");
        return ExitCode::from(2);
    };
    match run(interface, address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(interface: &str, address: Ipv4Addr) -> Result<(), Error> {
    // Locally administered, so nobody else has it.
    let answerer = Answerer {
        mac: [2, 0x77, 0x68, 0x72, 0x66, 9],
        address,
    };
    let engine = Engine::builder()
        .interface(interface)
        .promiscuous()
        .passing()
        .start(move |_| answerer.clone())?;
    while engine.wait(Duration::from_secs(1)) {
        let totals = engine.stats().totals();
        println!(
            "{} answered, {} passed, {} dropped",
            totals.tx_frames,
            totals.frames_passed_by_application,
            totals.drops.total()
        );
    }
    engine.stop().outcome
}

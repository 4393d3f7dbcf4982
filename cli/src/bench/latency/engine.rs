//! The server that is an engine.

use std::time::Duration;

use wharf::{Application, Batch, Engine, EngineReport, Frame, Outbox, RuleSet, Wait};

use super::client::PORT;
use crate::bench::testbed::Bed;
use crate::exit::Failure;
use crate::privileges;

/// An engine on the server that answers datagrams. Everything else stays with the
/// kernel, so that addresses are resolved.
pub struct EngineServer(Engine);

impl EngineServer {
    pub fn start(bed: &Bed, wait: Wait, cpu: usize) -> Result<Self, Failure> {
        let rules: RuleSet = format!("redirect udp dst port {PORT}\ndefault pass\n")
            .parse()
            .expect("rules that the cases below read as well");
        let builder = Engine::builder()
            .interface(bed.interface())
            .rules(rules)
            .wait(wait)
            .cpus([cpu]);
        bed.on_server(|| {
            let engine = builder.start(|_| Echo).map_err(privileges::explain)?;
            Ok(Self(engine))
        })
    }

    pub fn report(&self) -> &EngineReport {
        self.0.report()
    }

    /// Of its worker.
    pub fn cpu_time(&self) -> Duration {
        let workers = self.0.stats().workers;
        workers.iter().map(|worker| worker.cpu_time).sum()
    }

    pub fn stop(self) -> Result<(), Failure> {
        Ok(self.0.stop().outcome?)
    }
}

/// Sends frames back where they came from.
struct Echo;

impl Application for Echo {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        for mut frame in batch {
            turn(&mut frame);
            out.send_back(frame);
        }
    }
}

/// Exchanges the two ends of a UDP frame in its Ethernet, IPv4 and UDP headers. Their
/// checksums stay right: sums do not ask for an order.
fn turn(frame: &mut Frame) {
    frame.swap_mac_addresses();
    exchange(frame);
}

fn exchange(bytes: &mut [u8]) {
    let Some(headers) = bytes.first_chunk_mut::<HEADERS>() else {
        return;
    };
    for (from, to, len) in [(26, 30, 4), (34, 36, 2)] {
        for place in 0..len {
            headers.swap(from + place, to + place);
        }
    }
}

/// Ethernet, IPv4 without options, UDP.
const HEADERS: usize = 14 + 20 + 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_exchanged_and_nothing_else() {
        let mut bytes: Vec<u8> = (0..50).collect();

        exchange(&mut bytes);

        assert_eq!(bytes[26..34], [30, 31, 32, 33, 26, 27, 28, 29]);
        assert_eq!(bytes[34..38], [36, 37, 34, 35]);
        assert!(
            (0..26)
                .chain(38..50)
                .all(|place| usize::from(bytes[place]) == place)
        );
    }

    #[test]
    fn short_frame_is_left_as_it_is() {
        let mut bytes = [1; HEADERS - 1];

        exchange(&mut bytes);

        assert_eq!(bytes, [1; HEADERS - 1]);
    }
}

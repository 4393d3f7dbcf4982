//! The engine's counters over HTTP in Prometheus' text format.
//!
//! ```text
//!  scraper ──► server ──► answer ──► recorder ◄── engine
//!                              └───► scrapes ◄── session
//! ```
//!
//! Everybody who reaches the address may connect, so nothing grows with what they
//! do: clients, the bytes of a request and its time are bounded.

mod answer;
mod scrapes;
mod server;

use std::io::ErrorKind;
use std::net::SocketAddr;

use metrics_exporter_prometheus::PrometheusBuilder;
use wharf::{KernelCall, explain_refusal};

use crate::exit::Failure;
pub use scrapes::Scrapes;
use scrapes::scrapes;
use server::Server;

/// Serves the metrics at `http://<address>/metrics` from a thread of its own
/// until the process ends.
///
/// Has to come before the engine starts: its counters go to the recorder that
/// is installed at that moment. What is asked of the run comes in the scrapes returned.
pub fn serve(address: SocketAddr) -> Result<Scrapes, Failure> {
    let server = Server::bind(address).map_err(|error| {
        let remedy = match error.kind() {
            ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable | ErrorKind::PermissionDenied => {
                "; choose another --metrics address"
            }
            _ => "",
        };
        let cause = explain_refusal(&error, KernelCall::Other);
        Failure::Run(format!(
            "cannot serve metrics at {address}: {cause}{remedy}"
        ))
    })?;
    let cannot = |error: &dyn std::fmt::Display| {
        Failure::Run(format!("cannot serve metrics at {address}: {error}"))
    };
    let recorder = PrometheusBuilder::new()
        .install_recorder()
        .map_err(|error| cannot(&error))?;
    let (asker, scrapes) = scrapes();
    let render = move || {
        // It only matters to histograms, which keep each value until then.
        recorder.run_upkeep();
        recorder.render() + &asker.ask()
    };
    server.start(render).map_err(|error| cannot(&error))?;
    Ok(scrapes)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn address_in_use_is_a_run_failure_that_names_it() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("a bound listener");

        let failure = serve(address).map(drop).expect_err("the port is taken");

        assert!(matches!(&failure, Failure::Run(text) if text.contains(&address.to_string())));
    }
}

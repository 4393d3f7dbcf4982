//! The engine's counters over HTTP in Prometheus' text format.

use std::net::SocketAddr;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder};

use crate::exit::Failure;

/// Serves the metrics at `http://<address>/metrics` from a thread of its own
/// until the process ends.
///
/// Has to come before the engine starts: its counters go to the recorder that
/// is installed at that moment.
pub fn serve(address: SocketAddr) -> Result<(), Failure> {
    PrometheusBuilder::new()
        .with_http_listener(address)
        .install()
        .map_err(|error| Failure::Run(describe(address, &error)))
}

fn describe(address: SocketAddr, error: &BuildError) -> String {
    match error {
        BuildError::FailedToCreateHTTPListener(cause) => {
            format!("cannot serve metrics at {address}: {cause}; choose another --metrics address")
        }
        other => format!("cannot serve metrics at {address}: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn address_in_use_is_a_run_failure_that_names_it() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("a bound listener");

        let failure = serve(address).expect_err("the port is taken");

        assert!(matches!(&failure, Failure::Run(text) if text.contains(&address.to_string())));
    }
}

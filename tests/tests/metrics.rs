//! The counters that the engine gives to the `metrics` crate are those of its
//! summary. In a test binary of its own, as a process has one recorder.

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use wharf::{Application, Batch, DropReason, Engine, InterfaceId, Outbox};
use wharf_testbed::{Pacer, PacketSocket, Testbed, require_privileges};
use wharf_tests::{SOON, assert_conserved, quiet_flow, wait_until};

/// Sends two of three frames across and drops the third.
#[derive(Default)]
struct SomeAcross(u64);

impl Application for SomeAcross {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        for frame in batch {
            self.0 += 1;
            if !self.0.is_multiple_of(3) {
                out.send(frame, InterfaceId(1));
            }
        }
    }
}

/// A counter as the recorder has it.
struct Counted {
    name: String,
    labels: Vec<(String, String)>,
    value: u64,
}

/// What the counter with these labels says; `None` when there is no such one.
fn counter(counters: &[Counted], name: &str, labels: &[(&str, &str)]) -> Option<u64> {
    let has = |counted: &Counted, label: &(&str, &str)| {
        let mut found = counted.labels.iter();
        found.any(|(key, value)| (key.as_str(), value.as_str()) == *label)
    };
    let mut found = counters
        .iter()
        .filter(|counted| counted.name == name && labels.iter().all(|label| has(counted, label)));
    let value = found.next()?.value;
    assert!(found.next().is_none(), "{name} is there twice");
    Some(value)
}

fn read(snapshotter: &Snapshotter) -> Vec<Counted> {
    let metrics = snapshotter.snapshot().into_vec().into_iter();
    let counters = metrics.filter_map(|(metric, _, _, value)| {
        let DebugValue::Counter(value) = value else {
            return None;
        };
        let labels = metric.key().labels();
        Some(Counted {
            name: metric.key().name().to_owned(),
            labels: labels
                .map(|label| (label.key().to_owned(), label.value().to_owned()))
                .collect(),
            value,
        })
    });
    counters.collect()
}

#[test]
fn metrics_equal_the_summary_by_interface_and_queue() {
    if !require_privileges() {
        return;
    }
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder
        .install()
        .expect("the first recorder of this process");
    let wire = Testbed::options().queues(2).wire().expect("a wire");
    let _inside = wire.forwarder().enter().expect("the host lives");
    let engine = Engine::builder()
        .interface("left")
        .interface("right")
        .start(|_| SomeAcross::default())
        .expect("it starts");
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    let frames = (0..32).flat_map(|port| quiet_flow(&wire, 4000 + port).sequenced(1, 64, 0..30));
    let frames: Vec<_> = frames.collect();

    sender
        .send_paced(&mut Pacer::per_second(10_000), frames)
        .expect("the link takes them");
    wait_until("all came in", SOON, || {
        engine.stats().totals().frames_in == 960
    });
    let summary = engine.stop();

    assert_conserved(&summary);
    let counters = read(&snapshotter);
    let mut received = 0;
    for xsk in &summary.stats.xsks {
        let interface = ["left", "right"][xsk.interface.0];
        let index = xsk.queue.to_string();
        let labels = [("interface", interface), ("queue", index.as_str())];
        let value = |name| {
            counter(&counters, name, &labels).unwrap_or_else(|| panic!("no {name} of {labels:?}"))
        };
        assert_eq!(
            value("wharf_rx_frames_total"),
            xsk.counters.rx_frames,
            "{labels:?}"
        );
        assert_eq!(
            value("wharf_rx_bytes_total"),
            xsk.counters.rx_bytes,
            "{labels:?}"
        );
        assert_eq!(
            value("wharf_tx_frames_total"),
            xsk.counters.tx_frames,
            "{labels:?}"
        );
        assert_eq!(
            value("wharf_tx_bytes_total"),
            xsk.counters.tx_bytes,
            "{labels:?}"
        );
        assert_eq!(
            value("wharf_tx_wakeups_total"),
            xsk.counters.tx_wakeups,
            "{labels:?}"
        );
        for reason in DropReason::ALL {
            let [interface, queue_label] = labels;
            let labels = [interface, queue_label, ("reason", reason.label())];
            let dropped = counter(&counters, "wharf_drops_total", &labels);
            // Known only when the workers, which report to the recorder, are gone.
            let reported =
                (reason != DropReason::RxUndelivered).then(|| xsk.counters.drops.get(reason));
            assert_eq!(dropped, reported, "{labels:?}");
        }
        received += xsk.counters.rx_frames;
    }
    assert_eq!(received, 960, "and there was something to count");
    let dropped = summary.stats.totals().drops.get(DropReason::Application);
    assert!(dropped > 300, "{dropped} were dropped");
}

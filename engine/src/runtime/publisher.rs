//! A worker's counters on their way out: to whoever asks the engine, and to the
//! `metrics` recorder that the program installed.
//!
//! The worker counts in plain integers of its own. Every 50 ms, and before it
//! sleeps, it publishes them: never per frame, and never waiting for a reader.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::{Counter, Unit, counter, describe_counter};

use crate::runtime::counters::Counters;
use crate::runtime::drops::DropReason;
use crate::runtime::guard::guarded;
use crate::runtime::stats::{WorkerStats, XskStats};

/// The last published counters of one worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkerCounters {
    pub(crate) worker: WorkerStats,
    pub(crate) xsks: Vec<XskStats>,
}

/// The counters that a worker writes, and the engine reads.
pub(crate) type SharedCounters = Arc<Mutex<WorkerCounters>>;

/// The labels of the counters of one xsk. The label `xsk` is there only
/// where queues have several, so that the usual series keep their names.
pub(crate) struct Labels {
    pub(crate) interface: String,
    pub(crate) queue: u32,
    pub(crate) xsk: Option<u8>,
}

impl Labels {
    fn pairs(self) -> Vec<(&'static str, String)> {
        let mut pairs = vec![
            ("interface", self.interface),
            ("queue", self.queue.to_string()),
        ];
        pairs.extend(self.xsk.map(|xsk| ("xsk", xsk.to_string())));
        pairs
    }
}

/// Publishes a worker's counters.
pub(crate) struct Publisher {
    shared: SharedCounters,
    xsks: Vec<XskMetrics>,
    due: Instant,
}

/// Time between two publications.
const INTERVAL: Duration = Duration::from_millis(50);

impl Publisher {
    /// A publisher for xsks.
    ///
    /// # Errors
    ///
    /// What a panic of the recorder said.
    pub(crate) fn new(shared: SharedCounters, xsks: Vec<Labels>) -> Result<Self, String> {
        Ok(Self {
            shared,
            xsks: guarded(|| xsks.into_iter().map(XskMetrics::new).collect())?,
            due: Instant::now(),
        })
    }

    /// Publishes the counters of more xsks, too, behind the others.
    ///
    /// # Errors
    ///
    /// What a panic of the recorder said.
    pub(crate) fn add(&mut self, xsks: Vec<Labels>) -> Result<(), String> {
        let added: Vec<_> = guarded(|| xsks.into_iter().map(XskMetrics::new).collect())?;
        self.xsks.extend(added);
        Ok(())
    }

    /// Whether it is time to publish.
    pub(crate) fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    /// Publishes. A reader that holds the lock at this moment reads these counters
    /// next time; the `metrics` recorder always gets them.
    ///
    /// # Errors
    ///
    /// What a panic of the recorder said. It gets nothing more.
    pub(crate) fn publish(&mut self, counters: WorkerCounters) -> Result<(), String> {
        let recorded = self.record(&counters);
        if let Ok(mut shared) = self.shared.try_lock() {
            *shared = counters;
        }
        self.due = Instant::now() + INTERVAL;
        recorded
    }

    fn record(&mut self, counters: &WorkerCounters) -> Result<(), String> {
        let mut xsks = std::mem::take(&mut self.xsks);
        // A panic drops the recorder's counters, inside the guard: that is the
        // recorder's code, too.
        self.xsks = guarded(move || {
            for (metrics, stats) in xsks.iter_mut().zip(&counters.xsks) {
                metrics.record(&stats.counters);
            }
            xsks
        })?;
        Ok(())
    }

    /// Time until the next publication is due.
    pub(crate) fn due_in(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }

    /// Publishes the last counters, waiting for the reader.
    ///
    /// # Errors
    ///
    /// What a panic of the recorder said.
    pub(crate) fn publish_last(mut self, counters: WorkerCounters) -> Result<(), String> {
        let recorded = self.record(&counters);
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = counters;
        recorded.and(guarded(|| drop(self.xsks)))
    }
}

/// Which of an xsk's counts a counter reports.
type Value = fn(&Counters) -> u64;

/// The counters of one xsk at the recorder.
struct XskMetrics {
    counters: Vec<(Reported, Value)>,
    drops: Vec<(Reported, DropReason)>,
}

/// A counter of the recorder, and its value.
struct Reported {
    counter: Counter,
    value: u64,
}

impl Reported {
    fn new(counter: Counter) -> Self {
        Self { counter, value: 0 }
    }

    /// Raises the counter to `value`. The engine's count may fall for a moment (a
    /// frame that the kernel dropped is taken off those it sent before it has come
    /// back); the recorder's never does.
    fn raise_to(&mut self, value: u64) {
        if value > self.value {
            self.counter.increment(value - self.value);
            self.value = value;
        }
    }
}

/// Name, unit, description and value of each counter of an xsk.
const XSK_COUNTERS: [(&str, Unit, &str, Value); 18] = [
    (
        "wharf_rx_frames_total",
        Unit::Count,
        "Frames received",
        |s| s.rx_frames,
    ),
    ("wharf_rx_bytes_total", Unit::Bytes, "Bytes received", |s| {
        s.rx_bytes
    }),
    (
        "wharf_rx_held_back_total",
        Unit::Count,
        "Frames that had to wait because the application held too many",
        |s| s.rx_held_back,
    ),
    (
        "wharf_rx_copied_out_total",
        Unit::Count,
        "Frames that were copied because the application held too many",
        |s| s.rx_copied_out,
    ),
    (
        "wharf_limit_reached_total",
        Unit::Count,
        "Times that the application held as many frames as a limit allows",
        |s| s.limit_reached,
    ),
    (
        "wharf_tx_frames_total",
        Unit::Count,
        "Frames sent and completed",
        |s| s.tx_frames,
    ),
    (
        "wharf_tx_bytes_total",
        Unit::Bytes,
        "Bytes handed to the kernel to send",
        |s| s.tx_bytes,
    ),
    (
        "wharf_frames_passed_by_application_total",
        Unit::Count,
        "Frames that the application passed to the kernel's stack",
        |s| s.frames_passed_by_application,
    ),
    (
        "wharf_frames_copied_out_total",
        Unit::Count,
        "Received frames that were copied out of the packet memory, as they stay",
        |s| s.frames_copied_out,
    ),
    (
        "wharf_frames_not_copied_total",
        Unit::Count,
        "Received frames that were to be copied out, with no room for more copies",
        |s| s.frames_not_copied,
    ),
    (
        "wharf_frames_copied_in_total",
        Unit::Count,
        "Copied frames that were copied into the packet memory to be sent",
        |s| s.frames_copied_in,
    ),
    (
        "wharf_tx_wakeups_total",
        Unit::Count,
        "System calls that woke the TX side",
        |s| s.tx_wakeups,
    ),
    (
        "wharf_kernel_rx_dropped_total",
        Unit::Count,
        "XDP_STATISTICS rx_dropped",
        |s| s.kernel.rx_dropped,
    ),
    (
        "wharf_kernel_rx_ring_full_total",
        Unit::Count,
        "XDP_STATISTICS rx_ring_full",
        |s| s.kernel.rx_ring_full,
    ),
    (
        "wharf_kernel_rx_fill_ring_empty_total",
        Unit::Count,
        "XDP_STATISTICS rx_fill_ring_empty_descs",
        |s| s.kernel.rx_fill_ring_empty_descs,
    ),
    (
        "wharf_kernel_rx_invalid_total",
        Unit::Count,
        "XDP_STATISTICS rx_invalid_descs",
        |s| s.kernel.rx_invalid_descs,
    ),
    (
        "wharf_kernel_tx_invalid_total",
        Unit::Count,
        "XDP_STATISTICS tx_invalid_descs",
        |s| s.kernel.tx_invalid_descs,
    ),
    (
        "wharf_kernel_tx_ring_empty_total",
        Unit::Count,
        "XDP_STATISTICS tx_ring_empty_descs",
        |s| s.kernel.tx_ring_empty_descs,
    ),
];

const DROPS_COUNTER: &str = "wharf_drops_total";

impl XskMetrics {
    fn new(labels: Labels) -> Self {
        let labels = labels.pairs();
        let counters = XSK_COUNTERS
            .into_iter()
            .map(|(name, unit, description, value)| {
                describe_counter!(name, unit, description);
                (Reported::new(counter!(name, &labels)), value)
            })
            .collect();
        describe_counter!(DROPS_COUNTER, Unit::Count, "Frames lost, by reason");
        let drops = DropReason::ALL
            .into_iter()
            // Known only when the workers are gone.
            .filter(|reason| *reason != DropReason::RxUndelivered)
            .map(|reason| {
                let mut labels = labels.clone();
                labels.push(("reason", reason.label().to_owned()));
                (Reported::new(counter!(DROPS_COUNTER, &labels)), reason)
            })
            .collect();
        Self { counters, drops }
    }

    fn record(&mut self, counters: &Counters) {
        for (counter, value) in &mut self.counters {
            counter.raise_to(value(counters));
        }
        for (counter, reason) in &mut self.drops {
            counter.raise_to(counters.drops.get(*reason));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use metrics::{
        CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
        with_local_recorder,
    };

    use super::*;

    /// Where a recorder panics.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Breaks {
        Registration,
        Increment,
        Drop,
    }

    /// A payload that panics when it is dropped.
    struct Again;

    impl std::ops::Drop for Again {
        fn drop(&mut self) {
            panic!("the payload is dropped");
        }
    }

    struct Broken(Breaks);

    impl CounterFn for Broken {
        fn increment(&self, _: u64) {
            if self.0 == Breaks::Increment {
                panic_any(Again);
            }
        }

        fn absolute(&self, _: u64) {}
    }

    impl std::ops::Drop for Broken {
        fn drop(&mut self) {
            // One at a time, as a second while the first unwinds aborts.
            if self.0 == Breaks::Drop && !std::thread::panicking() {
                panic_any(Again);
            }
        }
    }

    impl Recorder for Broken {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            if self.0 == Breaks::Registration {
                panic_any(Again);
            }
            Counter::from_arc(Arc::new(Self(self.0)))
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    fn labels() -> Labels {
        Labels {
            interface: "eth0".to_owned(),
            queue: 0,
            xsk: None,
        }
    }

    fn counted(rx_frames: u64) -> WorkerCounters {
        WorkerCounters {
            xsks: vec![XskStats {
                counters: Counters {
                    rx_frames,
                    ..Counters::default()
                },
                ..XskStats::default()
            }],
            ..WorkerCounters::default()
        }
    }

    #[test]
    fn recorder_that_panics_keeps_no_counters_from_the_engine() {
        for (breaks, outcomes) in [
            (Breaks::Increment, [false, true]),
            (Breaks::Drop, [true, false]),
        ] {
            // The recorder itself is dropped by nobody.
            let recorder = std::mem::ManuallyDrop::new(Broken(breaks));
            let shared = SharedCounters::default();
            with_local_recorder(&*recorder, || {
                let publisher = Publisher::new(Arc::clone(&shared), vec![labels()]);
                let mut publisher = publisher.expect("it registers");

                let first = publisher.publish(counted(3));
                let last = publisher.publish_last(counted(5));

                assert_eq!([first.is_ok(), last.is_ok()], outcomes);
            });
            assert_eq!(
                shared.lock().expect("no panic").xsks[0].counters.rx_frames,
                5
            );
        }
    }

    #[test]
    fn recorder_that_panics_at_registration_is_an_error() {
        let recorder = Broken(Breaks::Registration);

        let publisher = with_local_recorder(&recorder, || {
            Publisher::new(SharedCounters::default(), vec![labels()])
        });

        assert!(publisher.is_err());
    }

    #[test]
    fn label_xsk_is_there_only_where_a_queue_has_several() {
        let keys = |xsk| -> Vec<_> {
            let labels = Labels {
                interface: "eth0".to_owned(),
                queue: 3,
                xsk,
            };
            labels.pairs()
        };
        let pair = |key, value: &str| (key, value.to_owned());

        let usual = [pair("interface", "eth0"), pair("queue", "3")];
        assert_eq!(keys(None), usual);
        let [interface, queue] = usual;
        assert_eq!(keys(Some(0)), [interface, queue, pair("xsk", "0")]);
    }
}

//! What happened to an interface while the engine ran.

use serde::Serialize;
use wharf::{Event, EventKind};

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InterfaceEvent {
    /// Since the engine started.
    pub elapsed_seconds: f64,
    /// The interface's name at that time.
    pub interface: String,
    /// What happened, as a label.
    pub event: &'static str,
    #[serde(flatten)]
    pub details: Details,
    /// The event as a sentence.
    #[serde(skip)]
    pub sentence: String,
}

/// What there is to know beside the label.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Details {
    None {},
    Mtu {
        mtu_bytes_before: u32,
        mtu_bytes: u32,
        /// Where that is less than the MTU allows.
        longest_received_bytes: Option<u32>,
    },
    Name {
        interface_before: String,
    },
    Queues {
        rx_queues_before: u32,
        rx_queues: u32,
        tx_queues_before: u32,
        tx_queues: u32,
        /// Where frames on new queues went to the kernel, past the rules.
        seconds_past_rules: Option<f64>,
    },
    Served {
        queue: u32,
        worker: usize,
    },
    NotServed {
        queue: u32,
        reason: String,
    },
    Failed {
        reason: String,
    },
    CannotSend {
        worker: usize,
    },
    Transmit {
        queue: u32,
        xsk: u8,
        worker: usize,
        /// For so long nothing came back.
        seconds: f64,
        in_flight: u32,
        pending: u32,
        tx_invalid_descs: u64,
        tx_ring_empty_descs: u64,
    },
}

impl InterfaceEvent {
    /// The view of the engine's own event.
    pub fn of(event: &Event) -> Self {
        Self {
            elapsed_seconds: event.at.as_secs_f64(),
            interface: event.name.clone(),
            event: event.kind.label(),
            details: Details::of(&event.kind),
            sentence: event.to_string(),
        }
    }
}

impl Details {
    fn of(kind: &EventKind) -> Self {
        match kind {
            EventKind::MtuChanged {
                before,
                after,
                longest_received,
            } => Self::Mtu {
                mtu_bytes_before: *before,
                mtu_bytes: *after,
                longest_received_bytes: *longest_received,
            },
            EventKind::Renamed { before, .. } => Self::Name {
                interface_before: before.clone(),
            },
            EventKind::QueuesChanged {
                before,
                after,
                past_rules,
            } => Self::Queues {
                rx_queues_before: before.rx,
                rx_queues: after.rx,
                tx_queues_before: before.tx,
                tx_queues: after.tx,
                seconds_past_rules: past_rules.map(|time| time.as_secs_f64()),
            },
            EventKind::QueueServed { queue, worker } => Self::Served {
                queue: *queue,
                worker: *worker,
            },
            EventKind::QueueNotServed { queue, reason } => Self::NotServed {
                queue: *queue,
                reason: reason.clone(),
            },
            EventKind::RulesNotRenewed { reason } => Self::Failed {
                reason: reason.clone(),
            },
            EventKind::WorkerCannotSend { worker } => Self::CannotSend { worker: *worker },
            EventKind::TransmitStalled {
                worker,
                after,
                stall,
            }
            | EventKind::TransmitResumed {
                worker,
                after,
                stall,
            } => Self::Transmit {
                queue: stall.queue,
                xsk: stall.xsk,
                worker: *worker,
                seconds: after.as_secs_f64(),
                in_flight: stall.in_flight,
                pending: stall.pending,
                tx_invalid_descs: stall.kernel.tx_invalid_descs,
                tx_ring_empty_descs: stall.kernel.tx_ring_empty_descs,
            },
            // Those of links have nothing else, and those that are still to come
            // have their sentence.
            _ => Self::None {},
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The MTU of `eth0` was raised.
    pub fn event() -> InterfaceEvent {
        let details = Details::of(&EventKind::MtuChanged {
            before: 1500,
            after: 9000,
            longest_received: Some(3840),
        });
        InterfaceEvent {
            elapsed_seconds: 1.5,
            interface: "eth0".to_owned(),
            event: "mtu_changed",
            details,
            sentence: "the MTU of interface `eth0` changed".to_owned(),
        }
    }

    fn json(kind: &EventKind) -> serde_json::Value {
        serde_json::to_value(Details::of(kind)).expect("plain values")
    }

    #[test]
    fn every_kind_has_its_details() {
        let renamed = json(&EventKind::Renamed {
            before: "eth0".into(),
            after: "lan".into(),
        });
        let served = json(&EventKind::QueueServed {
            queue: 3,
            worker: 1,
        });
        let not_served = json(&EventKind::QueueNotServed {
            queue: 3,
            reason: "no chunks are left".into(),
        });

        let not_renewed = json(&EventKind::RulesNotRenewed {
            reason: "refused".into(),
        });

        assert_eq!(not_renewed, serde_json::json!({"reason": "refused"}));
        assert_eq!(json(&EventKind::LinkDown), serde_json::json!({}));
        assert_eq!(renamed, serde_json::json!({"interface_before": "eth0"}));
        assert_eq!(served, serde_json::json!({"queue": 3, "worker": 1}));
        assert_eq!(
            not_served,
            serde_json::json!({"queue": 3, "reason": "no chunks are left"})
        );
    }
}

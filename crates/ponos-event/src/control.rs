//! What steers workers while they run, as data: pauses and limits of queues, and messages that are cancelled, as records of the stream
//! `ponos.control`.
//!
//! `ponos` writes and reads it; `schemas/control/` has the same as JSON Schema. The form is only ever extended: readers ignore records and
//! fields that they don't know.

use super::Timestamp;
use crate::topology::{Binding, Exchange, Queue, Topology};
use serde::{Deserialize, Serialize};

/// The stream of records, and the fanout exchange that leads to it: who may write to the exchange may steer workers.
pub const CONTROL: &str = "ponos.control";
/// The type of a record with a [`Change`].
pub const CONTROL_CHANGED: &str = "ponos.control.changed";
/// The type of a record with a [`Cancellation`].
pub const CONTROL_CANCELLED: &str = "ponos.control.cancelled";
/// The type of a record that says nothing: the first of a stream, so that it has an end that readers can find.
pub const CONTROL_OPENED: &str = "ponos.control.opened";

/// The most bytes that the stream keeps; the oldest segments go then.
const KEPT: i64 = 20_000_000;
/// The bytes of a segment.
const SEGMENT: i64 = 1_000_000;

/// The stream and its exchange, as they are declared.
pub fn topology() -> Topology {
    let stream = Queue::classic(CONTROL)
        .with("x-queue-type", "stream")
        .with("x-max-length-bytes", KEPT)
        .with("x-stream-max-segment-size-bytes", SEGMENT);
    Topology {
        exchanges: vec![Exchange::fanout(CONTROL)],
        queues: vec![stream],
        bindings: vec![Binding::queue(CONTROL, CONTROL, "")],
        ..Topology::default()
    }
}

/// One change (`schemas/control/control-changed.json`). The last one of a key counts, until its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The service whose queue it is: the first part of its name.
    pub service: String,
    /// What it is about.
    pub key: Key,
    /// What holds from now on; `None`: nothing any more.
    pub value: Option<Setting>,
    /// Until when; then it is as if it had not been said.
    pub until: Timestamp,
    /// Who said it.
    pub by: String,
    /// Why, for people; may be empty.
    pub why: String,
    /// The place in the stream of the record that this one repeats: it counts as if it stood there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folded_from: Option<u64>,
}

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Key {
    /// Whether a queue is paused.
    Pause {
        /// The queue, by its full name.
        queue: String,
    },
    /// How much of a queue is worked on at a time.
    Limit {
        /// The queue, by its full name.
        queue: String,
    },
}

/// What holds. For a pause it is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// How many tasks of the queue run at a time in each process; never more than its policy has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// How many begin in any stretch of time in each process; never more than its policy has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<ControlRate>,
}

/// At most so many tasks begun in any stretch of so many milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlRate {
    /// At least 1.
    pub tasks: u32,
    /// At least 1.
    pub per_ms: u64,
}

/// Messages of a service that are cancelled, by their ids (`schemas/control/control-cancelled.json`). Nothing takes it back, so the order of
/// such records does not matter, nor how often one is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancellation {
    /// The service in whose queues they are.
    pub service: String,
    /// In this one of its queues alone, by its full name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Those with this name of an event or task alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Their ids.
    pub ids: Vec<String>,
    /// Until when; what comes later is handled.
    pub until: Timestamp,
    /// Who cancelled them.
    pub by: String,
    /// Why, for people; may be empty.
    pub why: String,
    /// Whether it repeats what stands in the stream before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub folded: bool,
}

impl Key {
    /// The queue that it is about.
    pub fn queue(&self) -> &str {
        match self {
            Self::Pause { queue } | Self::Limit { queue } => queue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_change_is_read_as_it_was_written() {
        let limit = json!({
            "service": "shop", "key": { "what": "limit", "queue": "shop.order.made" },
            "value": { "concurrency": 2, "rate": { "tasks": 10, "per_ms": 1000 } },
            "until": "2026-12-01T09:00:00.000Z", "by": "alice", "why": "slow database",
        });
        let resume = json!({
            "service": "shop", "key": { "what": "pause", "queue": "shop.order.made" }, "value": null,
            "until": "2026-12-01T09:00:00.000Z", "by": "alice", "why": "", "folded_from": 7,
        });
        for written in [limit, resume] {
            let change: Change = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(serde_json::to_value(&change).unwrap(), written);
        }
    }

    #[test]
    fn a_cancellation_is_read_as_it_was_written() {
        let all = json!({
            "service": "shop", "ids": ["1", "2"], "until": "2026-12-09T10:00:00.000Z", "by": "alice", "why": "sent twice",
        });
        let some = json!({
            "service": "shop", "queue": "shop.order.made", "name": "order.parcel.made", "ids": ["1"],
            "until": "2026-12-09T10:00:00.000Z", "by": "alice", "why": "", "folded": true,
        });
        for written in [all, some] {
            let cancellation: Cancellation = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(serde_json::to_value(&cancellation).unwrap(), written);
        }
    }

    #[test]
    fn what_a_later_version_adds_does_no_harm() {
        let more = r#"{"service":"s","key":{"what":"pause","queue":"s.q","more":1},"value":{"more":1},"until":"2026-12-01T09:00:00Z","by":"","why":"","more":1}"#;
        assert!(serde_json::from_str::<Change>(more).unwrap().value.is_some());
        let unknown = more.replace("pause", "colour");
        assert!(serde_json::from_str::<Change>(&unknown).is_err(), "its reader leaves it out");
    }
}

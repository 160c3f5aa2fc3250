//! What workers say of themselves, as data: what came of their deliveries, and what they declare that they handle.
//!
//! `ponos` writes it, `ponos-observer` reads it; `schemas/` has the same as JSON Schema. The forms are only ever extended:
//! readers ignore fields that they don't know, and take an outcome that they don't know for [`ReportedOutcome::Other`].

use super::Timestamp;
use crate::topology::{Exchange, Topology};
use serde::{Deserialize, Serialize};

/// The topic exchange that reports and declarations go to.
pub const REPORTS: &str = "ponos.reports";
/// The type of a message with a [`Report`]; its routing key is `<queue>.<outcome>`.
pub const DELIVERIES_REPORTED: &str = "ponos.deliveries.reported";
/// The type of a message with a [`Declaration`]; its routing key is `<service>.declared`.
pub const HANDLERS_DECLARED: &str = "ponos.handlers.declared";
/// The type of the event by which an observer says that something was not handled in time.
pub const HANDLING_MISSED: &str = "ponos.handling.missed";

/// The exchange of reports, as it is declared.
pub fn topology() -> Topology {
    Topology { exchanges: vec![Exchange::topic(REPORTS)], ..Topology::default() }
}

/// What came of some deliveries of one queue that ended alike (`schemas/reports/deliveries-reported.json`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Who reports.
    #[serde(flatten)]
    pub by: Instance,
    /// The queue, by its full name.
    pub queue: String,
    /// How all of them ended.
    pub outcome: ReportedOutcome,
    /// In the order in which they ended; 100 at most.
    pub deliveries: Vec<ReportedDelivery>,
}

/// A running worker, and how much it has said so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The service's name.
    pub service: String,
    /// Tells this run of a worker from all others.
    pub instance: String,
    /// Counts the messages of this run from 1, reports and declarations together: who misses a number missed a message.
    pub sequence: u64,
    /// How many deliveries of this run were not reported so far, for want of room or of a connection.
    pub dropped: u64,
    /// How many deliveries of this run ended before this was said, and are reported after it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waiting: u64,
}

/// How deliveries ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportedOutcome {
    /// The handler is done, and what it published is confirmed.
    Done,
    /// The inbox knew it: it was done before.
    AlreadyHandled,
    /// There was nothing to do.
    Skipped,
    /// The attempt failed; there will be another one.
    Retried,
    /// The handler wants to be asked again later.
    Snoozed,
    /// Given back to its queue.
    Released,
    /// Sent to the dead letters.
    Dead,
    /// Somebody cancelled it.
    Cancelled,
    /// One that this reader does not know.
    #[serde(other)]
    Other,
}

/// What came of one delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedDelivery {
    /// The id of its event or task.
    pub id: String,
    /// Its type.
    pub name: String,
    /// The name or pattern of the handler that took it; none if it reached none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    /// Which attempt this was, from 1.
    pub attempt: u32,
    /// When it was begun, by the worker's clock.
    pub began_at: Timestamp,
    /// When it ended, by the worker's clock.
    pub ended_at: Timestamp,
    /// Why it ended so, for people; 500 characters at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it comes again, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// The correlation id that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The id of the event that it follows from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// The trace that it belongs to: 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// What its handler published when it was done; 20 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<Published>,
    /// How many more it published.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unlisted: u64,
}

/// Something that a handler published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Its id.
    pub id: String,
    /// Its type.
    pub name: String,
    /// The queue that it goes to, if it is a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Whether it is sent later: by then it comes from whoever kept it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub later: bool,
}

/// What a service declares that it handles (`schemas/reports/handlers-declared.json`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Declaration {
    /// Who declares.
    #[serde(flatten)]
    pub by: Instance,
    /// Whether it runs.
    pub state: DeclaredState,
    /// When this run began, by the worker's clock.
    pub since: Timestamp,
    /// A worker that runs declares this again before so much time is over.
    pub repeats_ms: u64,
    /// Its handlers. The first of a queue whose pattern matches takes an event.
    pub handlers: Vec<DeclaredHandler>,
    /// The names of the events that it may publish.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publishes: Vec<String>,
}

/// Whether who declares does run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeclaredState {
    /// It runs.
    Running,
    /// It has ended in order, and has reported all that it was to report.
    Stopped,
    /// Its queues were declared, and it does not run: it may be started when something waits in them.
    Declared,
}

/// A handler of a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeclaredHandler {
    /// Its queue, by its full name.
    pub queue: String,
    /// The name or pattern that it was registered under.
    pub handler: String,
    /// Whether it takes tasks of the service, and not events.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tasks: bool,
    /// Within what time it means to be done with each event; none if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<u64>,
}

impl ReportedOutcome {
    /// The word that stands in routing keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::AlreadyHandled => "already-handled",
            Self::Skipped => "skipped",
            Self::Retried => "retried",
            Self::Snoozed => "snoozed",
            Self::Released => "released",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Other => "other",
        }
    }

    /// Whether nothing more is to be done.
    pub fn is_handled(self) -> bool {
        matches!(self, Self::Done | Self::AlreadyHandled | Self::Skipped | Self::Cancelled)
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let written = json!({
            "service": "docker", "instance": "a", "sequence": 2, "dropped": 0,
            "queue": "docker.time.one-day.passed", "outcome": "already-handled",
            "deliveries": [{
                "id": "1", "name": "time.one-day.passed", "attempt": 1,
                "began_at": "2026-12-01T09:00:00.000Z", "ended_at": "2026-12-01T09:00:00.004Z",
                "published": [{ "id": "2", "name": "docker.images.cleanup", "queue": "docker.docker.images.cleanup" }],
            }],
        });
        let report: Report = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(report.outcome, ReportedOutcome::AlreadyHandled);
        assert_eq!(report.by.sequence, 2);
        assert_eq!(serde_json::to_value(&report).unwrap(), written);
    }

    #[test]
    fn what_a_later_version_adds_does_no_harm() {
        let text = r#"{"service":"s","instance":"a","sequence":1,"dropped":0,"queue":"s.q","outcome":"postponed","deliveries":[],"more":[1]}"#;
        let report: Report = serde_json::from_str(text).unwrap();
        assert_eq!(report.outcome, ReportedOutcome::Other);
    }

    #[test]
    fn the_word_of_an_outcome_is_the_one_that_is_written() {
        for outcome in [
            ReportedOutcome::Done,
            ReportedOutcome::AlreadyHandled,
            ReportedOutcome::Skipped,
            ReportedOutcome::Retried,
            ReportedOutcome::Snoozed,
            ReportedOutcome::Released,
            ReportedOutcome::Dead,
            ReportedOutcome::Cancelled,
        ] {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
        }
    }
}

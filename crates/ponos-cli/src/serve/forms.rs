//! The forms of requests and answers.

use ponos::{
    event::{HeaderValue, Timestamp},
    worker::{Context, Ended, LONGEST_RETRY, Outcome},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::time::Duration;
use utoipa::ToSchema;

use crate::{
    http::problem::{BodyFault, Problem},
    span,
};
use hyper::StatusCode;

/// The most bytes of a reason, as in the header of a dead letter.
const REASON: usize = 4_000;

/// A delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Delivery {
    /// Names the delivery when it is settled or extended.
    pub(super) token: String,
    /// The queue that it is from.
    pub(super) queue: String,
    /// Which attempt this is, from 1.
    pub(super) attempt: u32,
    /// How many attempts there are in all.
    pub(super) attempts: u32,
    /// Until when it must be settled; after it, this attempt has failed.
    #[schema(value_type = String, format = DateTime)]
    pub(super) deadline: Timestamp,
    /// When the first attempt began.
    #[schema(value_type = String, format = DateTime)]
    pub(super) first_seen: Timestamp,
    /// Which all events that follow from one cause share.
    pub(super) correlation_id: String,
    /// The id of the event that this one follows from.
    pub(super) causation_id: Option<String>,
    /// The event: CloudEvents 1.0 in structured mode, with `data`.
    #[schema(value_type = Object)]
    pub(super) event: Value,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum OutcomeKind {
    /// It is done, and what it publishes is sent.
    Done,
    /// Another attempt later, by the queue's policy, or after `after`.
    Retry,
    /// The same attempt again after `after`; none is spent.
    Snooze,
    /// Back to the queue, for any replica; no attempt is spent.
    Release,
    /// To the dead letters, for `reason`.
    Dead,
    /// There was nothing to do.
    Skip,
}

impl OutcomeKind {
    /// Each of them.
    pub(super) const ALL: [Self; 6] =
        [Self::Done, Self::Retry, Self::Snooze, Self::Release, Self::Dead, Self::Skip];

    /// As a request has it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry => "retry",
            Self::Snooze => "snooze",
            Self::Release => "release",
            Self::Dead => "dead",
            Self::Skip => "skip",
        }
    }
}

/// The outcome of a delivery.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OutcomeRequest {
    pub(super) outcome: OutcomeKind,
    /// How long until the next attempt, such as `10m`; with `retry` and `snooze`.
    pub(super) after: Option<String>,
    /// Why, for people; with `retry`, `snooze` and `dead`. Cut after 4,000 bytes.
    pub(super) reason: Option<String>,
    /// What is published with it; with `done`.
    #[serde(default)]
    pub(super) publish: Vec<Publishing>,
}

/// An event or a task to be published. One of `event` and `task`; at most one of `at` and `in`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Publishing {
    /// The event's name.
    pub(super) event: Option<String>,
    /// The name of a task of this service.
    pub(super) task: Option<String>,
    /// The payload: any JSON.
    #[serde(default)]
    pub(super) data: Value,
    /// Its id derives from this key: published again, it has the same one.
    pub(super) key: Option<String>,
    /// Sent at this instant, by the clock.
    pub(super) at: Option<String>,
    /// Sent so long after it is accepted, such as `10m`.
    #[serde(rename = "in")]
    pub(super) delay: Option<String>,
    /// Its id; not with a delivery, whose messages have ids of their own.
    pub(super) id: Option<String>,
    /// What it is about; not with a delivery, and not later.
    pub(super) subject: Option<String>,
    /// Which all events that follow from one cause share; not with a delivery, which has one.
    pub(super) correlation_id: Option<String>,
}

/// How a delivery ended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Settled {
    /// `done`, `handled-already`, `skipped`, `retried`, `snoozed`, `released`, `cancelled` or `dead`. Other than the outcome says
    /// where that could not be carried out, with the reason.
    pub(super) ended: &'static str,
    /// When the next attempt is due.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) due: Option<Timestamp>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// A request for more time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExtendRequest {
    /// How long from now, such as `30s`.
    pub(super) by: String,
}

/// Until when a delivery must be settled now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Extended {
    #[schema(value_type = String, format = DateTime)]
    pub(super) deadline: Timestamp,
}

/// What was published.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct Published {
    /// Its id; of what is sent later, the clock makes one.
    pub(super) id: Option<String>,
    /// The name under which the clock keeps what is sent later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// When that is due.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) due: Option<Timestamp>,
}

/// What this service takes and publishes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ServiceContracts {
    pub(super) service: String,
    /// The queues, in the order of `ponos.toml`.
    pub(super) queues: Vec<QueueContracts>,
    /// The JSON Schemas of the events that may be published, by name.
    #[schema(value_type = Object)]
    pub(super) events: Value,
    /// The JSON Schemas of the tasks that may be published, by name.
    #[schema(value_type = Object)]
    pub(super) tasks: Value,
}

/// What a queue takes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QueueContracts {
    pub(super) queue: String,
    /// The JSON Schemas by name or pattern.
    #[schema(value_type = Object)]
    pub(super) takes: Value,
    /// How many attempts there are in all.
    pub(super) attempts: u32,
    /// How long one may take, in seconds.
    pub(super) timeout_seconds: f64,
    /// How many deliveries programs may have at a time.
    pub(super) concurrency: usize,
}

/// Reads a body.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut text = serde_json::Deserializer::from_slice(body);
    let no_json = |error: &serde_json::Error| {
        Problem::new(StatusCode::BAD_REQUEST, "syntax", format!("the body is not valid JSON: {error}"))
    };
    let read = serde_path_to_error::deserialize(&mut text).map_err(|error| {
        if !error.inner().is_data() {
            return no_json(error.inner());
        }
        let path = error.path().to_string();
        let words = path.replace('[', ".").replace(']', "");
        let words = words.split('.').filter(|word| !word.is_empty());
        let pointer: String = words.map(|word| format!("/{word}")).collect();
        Problem::of_body(vec![BodyFault::new(pointer, error.inner().to_string())])
    })?;
    text.end().map_err(|error| no_json(&error))?;
    Ok(read)
}

/// A length, or the fault at this pointer.
pub(super) fn length(pointer: &str, text: Option<&str>) -> Result<Option<Duration>, BodyFault> {
    text.map(span::duration).transpose().map_err(|what| BodyFault::new(pointer, what))
}

/// A reason without secrets, and cut: it is kept, logged and sent on.
fn bounded(reason: &str) -> String {
    // cut first, half a password could no longer be told from other words
    let mut reason = ponos::redact::redact(reason).into_owned();
    if reason.len() > REASON {
        reason.truncate(reason.floor_char_boundary(REASON - '…'.len_utf8()));
        reason.push('…');
    }
    reason
}

impl OutcomeRequest {
    /// The outcome for the worker, or what is wrong.
    pub(super) fn outcome(&self) -> Result<Outcome, Vec<BodyFault>> {
        let mut faults = Vec::new();
        let mut wrong = |pointer: &str, what: &str| faults.push(BodyFault::new(pointer, what));
        use OutcomeKind as Kind;
        let kind = self.outcome;
        if self.after.is_some() && !matches!(kind, Kind::Retry | Kind::Snooze) {
            wrong("/after", "only retry and snooze have it");
        }
        if self.reason.is_some() && !matches!(kind, Kind::Retry | Kind::Snooze | Kind::Dead) {
            wrong("/reason", "only retry, snooze and dead have it");
        }
        if !self.publish.is_empty() && kind != Kind::Done {
            wrong("/publish", "only what is done publishes");
        }
        if kind == Kind::Snooze && self.after.is_none() {
            wrong("/after", "snooze needs it, such as \"10m\"");
        }
        let reason = self.reason.as_deref().filter(|reason| !reason.trim().is_empty()).map(bounded);
        if kind == Kind::Dead && reason.is_none() {
            wrong("/reason", "dead needs it: people read it beside the dead letter");
        }
        let after = match length("/after", self.after.as_deref()) {
            Ok(after) => after,
            Err(fault) => {
                faults.push(fault);
                None
            }
        };
        if after.is_some_and(|after| after > LONGEST_RETRY) {
            faults.push(BodyFault::new("/after", "it is longer than 7 days"));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(match kind {
            Kind::Done => Outcome::Done,
            Kind::Retry => Outcome::Retry { after, reason },
            Kind::Snooze => Outcome::Snooze { after: after.unwrap_or_default(), reason },
            Kind::Release => Outcome::Release,
            Kind::Dead => Outcome::dead(reason.unwrap_or_default()),
            Kind::Skip => Outcome::Skip,
        })
    }
}

impl Settled {
    pub(super) fn of(ended: &Ended) -> Self {
        let (ended, due, reason) = match ended {
            Ended::Done => ("done", None, None),
            Ended::HandledAlready => ("handled-already", None, None),
            Ended::Skipped(why) => ("skipped", None, Some(why.clone())),
            Ended::Early { due } => ("snoozed", Some(*due), None),
            Ended::Retried { due, reason, .. } => ("retried", Some(*due), Some(reason.clone())),
            Ended::Snoozed { due, reason } => ("snoozed", Some(*due), Some(reason.clone())),
            Ended::Dead(death) => ("dead", None, Some(death.reason.clone())),
            Ended::Cancelled(why) => ("cancelled", None, Some(why.clone())),
            Ended::Released(why) => ("released", None, Some(why.clone())),
            _ => ("released", None, None),
        };
        Self { ended, due, reason }
    }
}

/// An event in CloudEvents' JSON format 1.0. `data` is a JSON value: the worker refuses others.
pub(super) fn structured(context: &Context) -> Value {
    let event = context.event();
    let mut object = Map::new();
    for (name, value) in event.attributes() {
        let value = match value {
            HeaderValue::Text(text) => Value::from(text),
            HeaderValue::Int(number) => Value::from(number),
            HeaderValue::Bool(truth) => Value::from(truth),
            HeaderValue::Time(time) => Value::from(time.to_string()),
            _ => continue,
        };
        object.insert(name, value);
    }
    object.entry("specversion").or_insert_with(|| "1.0".into());
    let traceparent = context.traceparent();
    let trace = [traceparent.as_deref(), context.tracestate(), context.baggage()];
    for (name, value) in ["traceparent", "tracestate", "baggage"].into_iter().zip(trace) {
        if let Some(value) = value {
            object.insert(name.to_owned(), value.into());
        }
    }
    if let Ok(data) = serde_json::from_slice::<Value>(&event.data) {
        object.insert("datacontenttype".to_owned(), "application/json".into());
        object.insert("data".to_owned(), data);
    }
    object.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_between_characters_and_no_half_of_a_password_is_left() {
        let outcome = |reason: &str| {
            let request = serde_json::json!({"outcome": "dead", "reason": reason}).to_string();
            match read::<OutcomeRequest>(request.as_bytes()).map(|request| request.outcome()) {
                Ok(Ok(Outcome::Dead { reason })) => reason,
                other => panic!("{other:?}"),
            }
        };
        let cut = outcome(&"ä".repeat(1 << 20));
        assert!(cut.len() <= REASON && cut.len() > REASON - 4 && cut.ends_with("ä…"), "{}", cut.len());
        assert_eq!(outcome(&"x".repeat(REASON)), "x".repeat(REASON));
        let long = format!("{} amqp://me:hunter2hunter2@host is away", "x".repeat(REASON - 20));
        assert!(!outcome(&long).contains("hunter"), "{}", outcome(&long));
    }
}

//! From rows of the record to the events that they confirm.

use super::site::Site;
use crate::{
    engine::{Coalesced, Outcome, RecordRow, Revision, occurrence_event},
    schedule::Schedule,
    service::Command,
};
use ponos::event::Event;
use serde_json::{Map, Value};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Revisions kept built. When there are more, all are forgotten and built again as they are needed.
const KEPT: usize = 4096;

/// A revision with its schedule; `None` for one that the clock does not know any more.
pub(super) type Built = Option<Arc<(Revision, Schedule)>>;

/// Built schedules by name and revision, shared by all feeds.
#[derive(Debug, Default)]
pub(super) struct Events(Mutex<HashMap<(Arc<str>, u32), Built>>);

impl Site {
    /// The definition that a row refers to.
    pub(super) async fn definition(&self, row: &RecordRow) -> Built {
        let key = (row.row.schedule.clone(), row.row.revision);
        if let Some(known) = self.events.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return known.clone();
        }
        let (name, number) = key.clone();
        let kept = self.ask(|reply| Command::Revision(name, number, reply)).await.ok()?;
        let built = kept.and_then(|revision| {
            let schedule = revision.build().ok()?;
            Some(Arc::new((revision, schedule)))
        });
        let mut kept = self.events.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, built.clone());
        built
    }
}

/// The event that a confirmed row stands for, with when it was sent and how late; `None` for other outcomes.
pub(super) fn event(
    clock: &str,
    row: &RecordRow,
    (revision, schedule): &(Revision, Schedule),
) -> Option<Value> {
    let Outcome::Confirmed { sent_at, lateness, .. } = row.row.outcome else { return None };
    let stands_for = Coalesced { first: row.row.first, last: row.row.last, count: row.row.count };
    let mut event = occurrence_event(clock, revision.era(), schedule, stands_for);
    event.recorded_time = Some(sent_at);
    let mut object = structured(&event);
    object.insert("khronoslatenessms".into(), lateness.into());
    Some(Value::Object(object))
}

/// CloudEvents' structured mode: the JSON format 1.0.
pub(crate) fn structured(event: &Event) -> Map<String, Value> {
    let mut object = Map::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            object.insert(name.into(), value.into());
        }
    };
    put("specversion", Some("1.0".into()));
    put("id", Some(event.id.to_string()));
    put("source", Some(event.source.clone()));
    put("type", Some(event.name.to_string()));
    put("subject", event.subject.clone());
    put("time", event.time_text());
    put("expirytime", event.expiry_time_text());
    put("recordedtime", event.recorded_time_text());
    put("correlationid", event.correlation_id.clone());
    put("causationid", event.causation_id.clone());
    put("traceparent", event.traceparent.clone());
    put("tracestate", event.tracestate.clone());
    put("dataschema", event.data_schema.clone());
    put("datacontenttype", Some("application/json".into()));
    if let Ok(data) = serde_json::from_slice::<Value>(&event.data) {
        object.insert("data".into(), data);
    }
    object
}

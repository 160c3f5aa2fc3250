//! From rows of the record to the events that they confirm.

use super::{problem::Problem, site::Site};
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

/// Revisions kept built, …
const KEPT: usize = 4096;
/// … and bytes of their definitions. When there are more, all are forgotten and built again as they are needed.
const BYTES: usize = 4 << 20;

/// A revision with its schedule; `None` for one that the clock does not know any more.
pub(super) type Built = Option<Arc<(Revision, Schedule)>>;

/// Built schedules by name and revision, shared by all feeds.
#[derive(Debug, Default)]
pub(super) struct Events(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    built: HashMap<(Arc<str>, u32), Built>,
    bytes: usize,
}

impl Kept {
    fn keep(&mut self, key: (Arc<str>, u32), built: Built) {
        let bytes = built.as_deref().map_or(0, |(revision, _)| revision.definition.bytes());
        if self.built.len() >= KEPT || self.bytes + bytes > BYTES {
            self.built.clear();
            self.bytes = 0;
        }
        // Two feeds may have asked for it at once.
        if self.built.insert(key, built).is_none() {
            self.bytes += bytes;
        }
    }
}

impl Site {
    /// The definition that a row refers to.
    ///
    /// # Errors
    /// Nobody can say at present.
    pub(super) async fn definition(&self, row: &RecordRow) -> Result<Built, Problem> {
        let key = (row.row.schedule.clone(), row.row.revision);
        if let Some(known) = self.events.0.lock().unwrap_or_else(PoisonError::into_inner).built.get(&key) {
            return Ok(known.clone());
        }
        let (name, number) = key.clone();
        let kept = self.ask(|reply| Command::Revision(name, number, reply)).await?;
        let built = kept.and_then(|revision| {
            let schedule = revision.build().ok()?;
            Some(Arc::new((revision, schedule)))
        });
        self.events.0.lock().unwrap_or_else(PoisonError::into_inner).keep(key, built.clone());
        Ok(built)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::Era,
        schedule::{Definition, Packed},
    };
    use ponos::event::Timestamp;

    fn built(name: &str, bytes: usize) -> Built {
        let definition = Definition {
            name: name.into(),
            every: Some("1 minute".into()),
            data: Some(serde_json::json!({ "text": "x".repeat(bytes) })),
            ..Definition::default()
        };
        let revision = Era::first(1, Timestamp::EPOCH).of(Packed::kept(&definition));
        let schedule = revision.build().unwrap();
        Some(Arc::new((revision, schedule)))
    }

    #[test]
    fn what_is_kept_built_is_bounded_in_number_and_in_bytes() {
        let (mut kept, small, large) = (Kept::default(), built("small", 0), built("large", 60_000));
        let most = |kept: &mut Kept, one: &Built| {
            let keep = |number| {
                kept.keep(("name".into(), number), one.clone());
                kept.built.len()
            };
            (0..10_000).map(keep).max()
        };
        assert_eq!(most(&mut kept, &small), Some(KEPT));
        kept = Kept::default();
        assert_eq!(most(&mut kept, &large), Some(BYTES / 60_100));
        assert!(kept.bytes <= BYTES);
    }
}

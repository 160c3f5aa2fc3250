//! From rows of the record to the events that they confirm.

use super::{OpsError, RunningClock};
use crate::{
    clock_loop::Command,
    engine::{Coalesced, Outcome, RecordRow, Revision, time_event},
    schedule::Schedule,
};
use ponos::event::{Event, HeaderValue};
use serde_json::{Map, Value};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Revisions kept built, …
const KEPT: usize = 4096;
/// … and bytes of their definitions. When there are more, all are forgotten and built again as they are needed.
const BYTES: usize = 4 << 20;

/// A revision with its schedule; `None` for one that the clock does not know any more.
pub(super) type Built = Option<Arc<(Revision, Schedule)>>;

/// Built schedules by name and revision, shared by all feeds.
#[derive(Debug, Default)]
pub(super) struct DefinitionCache(Mutex<Kept>);

impl DefinitionCache {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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

impl RunningClock {
    /// The definition of a schedule that has this number.
    ///
    /// # Errors
    /// [`OpsError::Unavailable`].
    pub(super) async fn definition(&self, schedule: Arc<str>, number: u32) -> Result<Built, OpsError> {
        let key = (schedule, number);
        if let Some(known) = self.definitions.lock().built.get(&key) {
            return Ok(known.clone());
        }
        let (name, number) = key.clone();
        let kept = self.ask(|reply| Command::Revision(name, number, reply)).await?;
        let built = kept.and_then(|revision| {
            let schedule = revision.build().ok()?;
            Some(Arc::new((revision, schedule)))
        });
        self.definitions.lock().keep(key, built.clone());
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
    let mut event = time_event(clock, &row.row.kind, revision.era(), schedule, stands_for);
    event.recorded_time = Some(sent_at);
    let mut object = structured(&event);
    object.insert("khronoslatenessms".into(), lateness.into());
    Some(Value::Object(object))
}

/// CloudEvents' structured mode: the JSON format 1.0.
pub(crate) fn structured(event: &Event) -> Map<String, Value> {
    let mut object: Map<String, Value> =
        event.attributes().filter_map(|(name, value)| Some((name, scalar(value)?))).collect();
    for (name, value) in [("traceparent", &event.traceparent), ("tracestate", &event.tracestate)] {
        if let Some(value) = value {
            object.insert(name.into(), value.as_str().into());
        }
    }
    object.insert("datacontenttype".into(), "application/json".into());
    if let Ok(data) = serde_json::from_slice::<Value>(&event.data) {
        object.insert("data".into(), data);
    }
    object
}

/// The value of an attribute; CloudEvents has no lists, tables and fractions.
fn scalar(value: HeaderValue) -> Option<Value> {
    match value {
        HeaderValue::Text(text) => Some(text.into()),
        HeaderValue::Int(number) => Some(number.into()),
        HeaderValue::Bool(truth) => Some(truth.into()),
        HeaderValue::Time(time) => Some(time.to_string().into()),
        _ => None,
    }
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

//! A delayed event as it is asked for.

use super::{ClockError, written};
use crate::{
    client::ClientError,
    declared::{Checked, Declared, MessageKind},
    event::{Event, Timestamp},
    inbox::{Due, Held},
    names::{NamesEvent, NamesTask},
    topology::worker::TASKS,
    traces::{SHORT_BAGGAGE, baggage},
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// An event for everybody, or a task of the client's service, that the clock sends later. It comes from the clock: its `source`
/// is the clock's, its id one that the clock makes, its `time` when it was due.
#[derive(Debug, Clone)]
#[must_use = "put it with ClockClient::put_event"]
pub struct DelayedEvent {
    kind: MessageKind,
    event: String,
    data: Result<Value, String>,
    item: Map<String, Value>,
    headers: Map<String, Value>,
}

impl DelayedEvent {
    /// An event with this data, which the client declares that it publishes.
    pub fn event<T: Serialize>(name: impl NamesEvent<T>, data: &T) -> Self {
        Self::new(MessageKind::Event, name.text().to_owned(), data)
    }

    /// A task of the client's service with this data, which the client declares that it sends. One whose queue is not there when it
    /// is due is parked by the clock, and not lost.
    pub fn task<T: Serialize>(name: impl NamesTask<T>, data: &T) -> Self {
        Self::new(MessageKind::Task, name.text().to_owned(), data)
    }

    fn new(kind: MessageKind, event: String, data: &impl Serialize) -> Self {
        let data = serde_json::to_value(data).map_err(|why| why.to_string());
        Self { kind, event, data, item: Map::new(), headers: Map::new() }
    }

    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.item.insert(key.to_owned(), value.into());
        self
    }

    /// Its name: 1 to 128 of `a-z`, `0-9` and inner `.`, `_`, `-`. Under it it is seen, moved and cancelled, and put again it is
    /// changed. The clock makes one if it has none.
    pub fn named(self, name: impl Into<String>) -> Self {
        self.with("name", name.into())
    }

    /// Due at this instant.
    pub fn at(mut self, when: Timestamp) -> Self {
        self.item.remove("in");
        self.with("at", when.to_string())
    }

    /// Due so long after the clock took it, in whole milliseconds.
    pub fn after(mut self, delay: Duration) -> Self {
        self.item.remove("at");
        self.with("in", length(delay))
    }

    /// The correlation id, which all events that follow from one cause share.
    pub fn correlation(self, id: impl Into<String>) -> Self {
        self.with("correlation_id", id.into())
    }

    /// A header of its own: a text, a whole number, true or false.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// So long after its due time it is of no use any more.
    pub fn expires(self, after: Duration) -> Self {
        self.with("expires", length(after))
    }

    /// Sent up to so much after its due time, by an offset that its name decides.
    pub fn jitter(self, most: Duration) -> Self {
        self.with("jitter", length(most))
    }

    /// Where nobody is bound it is parked by the clock instead of dropped; a task always is.
    pub fn park_unrouted(self) -> Self {
        self.with("unrouted", "park")
    }

    /// Refused if its time is gone when it is put; otherwise it is sent at once then.
    pub fn refuse_past(self) -> Self {
        self.with("past", "refuse")
    }

    /// As the clock reads it, checked against what the service declares.
    pub(crate) fn item(self, declared: &Declared) -> Result<Value, ClockError> {
        let Self { kind, event, data, mut item, headers } = self;
        let data = data.map_err(|why| {
            ClockError::Unwritable(format!("the data of '{event}' can't be written as JSON: {why}"))
        })?;
        let checked = declared.check(kind, &event, &data);
        let Checked { name, .. } = checked.map_err(ClientError::from)?;
        if kind == MessageKind::Task {
            item.insert("to".to_owned(), json!({ "task": declared.queue(&name) }));
        }
        if !headers.is_empty() {
            item.insert("headers".to_owned(), headers.into());
        }
        item.insert("event".to_owned(), event.into());
        item.insert("data".to_owned(), data);
        Ok(item.into())
    }
}

/// What a handler holds for later, as the clock reads it. The name is made by the clock, of the command's id.
pub(crate) fn item_of(held: &Held, due: Due) -> Result<Value, ClockError> {
    let unreadable = |why: String| ClockError::Unwritable(format!("{} can't be read: {why}", held.id));
    let event = Event::from_message(&held.message).map_err(|why| unreadable(why.to_string()))?;
    let mut item = Map::new();
    item.insert("event".to_owned(), event.name.as_str().into());
    item.insert(
        "data".to_owned(),
        serde_json::from_slice(&event.data).map_err(|why| unreadable(why.to_string()))?,
    );
    match due {
        Due::At(when) => item.insert("at".to_owned(), when.to_string().into()),
        Due::In(delay) => item.insert("in".to_owned(), length(delay).into()),
        Due::Timeout(_) => return Err(unreadable("the clock keeps no timeouts of sagas".into())),
        Due::Quiet(_) => {
            return Err(unreadable("the clock keeps nothing that waits until it is quiet".into()));
        }
    };
    if let Some(id) = &event.correlation_id {
        item.insert("correlation_id".to_owned(), id.as_str().into());
    }
    // more of it would be beyond what the clock takes of headers
    if let Some(baggage) = baggage(&event).filter(|text| text.len() <= SHORT_BAGGAGE) {
        item.insert("headers".to_owned(), json!({ "baggage": baggage }));
    }
    if &*held.exchange == TASKS {
        item.insert("to".to_owned(), json!({ "task": held.message.routing_key }));
    }
    written(&item)
}

/// A length as the clock reads one: whole milliseconds, never less than was asked for, and 1 at least.
fn length(duration: Duration) -> String {
    format!("{} ms", duration.as_nanos().div_ceil(1_000_000).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_never_shorter_than_was_asked_for_and_never_nothing() {
        let shown = [0, 1, 999_999, 1_000_000, 1_000_001, 600_000_000_000]
            .map(|nanos| length(Duration::from_nanos(nanos)));
        assert_eq!(shown, ["1 ms", "1 ms", "1 ms", "1 ms", "2 ms", "600000 ms"]);
    }
}

//! The clock, asked by message: schedules and delayed events are put, listed, cancelled and triggered by commands to the exchange
//! `khronos.commands`, each of which is answered. `docs/commands.md` of the clock has the contract, and its operator says who
//! may send what.
//!
//! A command that got no answer is sent again under its id, by which the clock does it once.

mod answers;
mod asking;
mod command;
mod delayed;
mod error;

pub use answers::{
    BatchOutcome, DelayedPage, DelayedState, EventOutcome, ItemOutcome, ScheduleOutcome, SchedulePage,
    ScheduleState, Triggered,
};
pub use command::Command;
pub use delayed::DelayedEvent;
pub use error::{ClockError, Problem, ProblemError};

pub(crate) use asking::{Ask, ask};
pub(crate) use delayed::item_of;

use super::Client;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// Asks the clock in the name of a client's broker user. Each method makes a [`Command`], which is sent when it is awaited.
///
/// ```no_run
/// # use ponos::{Client, client::DelayedEvent, prelude::*};
/// # use serde_json::{Value, json};
/// # use std::time::Duration;
/// # async fn example(client: Client) -> Result<(), Failure> {
/// let clock = client.clock();
/// let reminder = DelayedEvent::event("order.reminder.due", &json!({ "order": 7 }))
///     .named("reminder-7")
///     .after(Duration::from_secs(600));
/// let put = clock.put_event(reminder).await?;
/// tracing::info!("it comes at {:?} as {:?}", put.due_at, put.event_id);
/// clock.cancel_event("reminder-7").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ClockClient(pub(super) Client);

impl ClockClient {
    /// Puts a delayed event, or changes the one of its name.
    pub fn put_event(&self, event: DelayedEvent) -> Command<EventOutcome> {
        let item = event.item(&self.0.0.declared);
        self.checked("event.put", item.map(|item| json!({ "item": item })))
    }

    /// Puts several delayed events; `atomic`: all of them or none. What became of each stands in the answer, in their order.
    pub fn put_events(
        &self,
        events: impl IntoIterator<Item = DelayedEvent>,
        atomic: bool,
    ) -> Command<BatchOutcome<EventOutcome>> {
        let items: Result<Vec<Value>, _> =
            events.into_iter().map(|event| event.item(&self.0.0.declared)).collect();
        self.checked("events.put", items.map(|items| json!({ "items": items, "atomic": atomic })))
    }

    /// One delayed event, with its content.
    pub fn event(&self, name: &str) -> Command<DelayedState> {
        self.command("event.get", json!({ "name": name }))
    }

    /// A page of the delayed events that are pending and whose names begin so.
    pub fn events(&self, prefix: &str) -> Command<DelayedPage> {
        self.list("event.list", prefix)
    }

    /// Cancels a delayed event: it is never sent. One that is gone already is no error; one that was sent, or may have been, is a
    /// problem (409).
    pub fn cancel_event(&self, name: &str) -> Command<()> {
        self.command("event.delete", json!({ "name": name }))
    }

    /// Has a delayed event sent now instead of when it is due. One that was sent within the last hour is not sent again.
    pub fn send_event_now(&self, name: &str) -> Command<EventOutcome> {
        self.command("event.send-now", json!({ "name": name }))
    }

    /// Puts a schedule, or changes the one of its name: the keys of a `[[schedule]]`, its `name` among them.
    pub fn put_schedule(&self, definition: &impl Serialize) -> Command<ScheduleOutcome> {
        self.checked(
            "schedule.put",
            written(definition).map(|definition| json!({ "definition": definition })),
        )
    }

    /// One schedule as it runs.
    pub fn schedule(&self, name: &str) -> Command<ScheduleState> {
        self.command("schedule.get", json!({ "name": name }))
    }

    /// A page of the schedules whose names begin so.
    pub fn schedules(&self, prefix: &str) -> Command<SchedulePage> {
        self.list("schedule.list", prefix)
    }

    /// Deletes a schedule. One that is gone already is no error.
    pub fn delete_schedule(&self, name: &str) -> Command<()> {
        self.command("schedule.delete", json!({ "name": name }))
    }

    /// Has an event of a schedule sent now, once for each id of a command.
    pub fn trigger(&self, schedule: &str) -> Command<Triggered> {
        self.command("schedule.trigger", json!({ "name": schedule }))
    }

    /// Any command by its name, such as `schedule.preview`, with this body: what the methods above don't have.
    pub fn command<A: DeserializeOwned + Send>(&self, kind: &'static str, body: Value) -> Command<A> {
        self.checked(kind, Ok(body))
    }

    fn list<A: DeserializeOwned + Send>(&self, kind: &'static str, prefix: &str) -> Command<A> {
        let body = if prefix.is_empty() { json!({}) } else { json!({ "prefix": prefix }) };
        self.command(kind, body)
    }

    fn checked<A: DeserializeOwned + Send>(
        &self,
        kind: &'static str,
        body: Result<Value, ClockError>,
    ) -> Command<A> {
        Command::new(self.0.clone(), kind, body)
    }
}

fn written(value: &impl Serialize) -> Result<Value, ClockError> {
    serde_json::to_value(value)
        .map_err(|why| ClockError::Unwritable(format!("it can't be written as JSON: {why}")))
}

//! A command until it is awaited.

use super::{
    super::{Client, ClientError},
    Ask, ClockError, ask,
};
use crate::declared::random_id;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{fmt, future::IntoFuture, marker::PhantomData, time::Duration};
use uuid::Uuid;

/// A command to the clock, which is sent when it is awaited; `A` is what its answer says.
#[must_use = "it is sent when it is awaited"]
pub struct Command<A> {
    client: Client,
    kind: &'static str,
    body: Result<Value, ClockError>,
    id: Option<String>,
    traceparent: Option<String>,
    limit: Duration,
    answer: PhantomData<fn() -> A>,
}

impl<A: DeserializeOwned + Send> Command<A> {
    pub(super) fn new(client: Client, kind: &'static str, body: Result<Value, ClockError>) -> Self {
        let limit = client.0.limits.answer;
        Self { client, kind, body, id: None, traceparent: None, limit, answer: PhantomData }
    }

    /// Its id (`message_id`), at most 255 bytes; random if neither this nor [`Command::key`] is set. The same command again under the same id is done once
    /// within 24 hours, and gets the same answer; another command under it is refused.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Derives its id from the service, from what the command is and is about (the event's name of what is put later), and from
    /// this key: at most once for a key, within the 24 hours that the clock remembers it. A web handler that is called again
    /// for the same order puts nothing twice, gets the same answer, and a delay does not begin again. The command has to be the
    /// same each time: another one under the key is refused, with the code `message-id-used`, and the first one stands.
    ///
    /// ```no_run
    /// # use ponos::{Client, client::DelayedEvent, prelude::*};
    /// # use serde_json::json;
    /// # use std::time::Duration;
    /// # async fn example(client: Client) -> Result<(), Failure> {
    /// let reminder = DelayedEvent::event("order.reminder.due", &json!({ "order": 7 }));
    /// client.clock().put_event(reminder.after(Duration::from_secs(600))).key("order-7").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn key(mut self, key: impl AsRef<str>) -> Self {
        let about = self.body.as_ref().map_or("", about);
        let source = &self.client.0.declared.source;
        let text = format!("ponos:{source}\n{} {about}\n{}", self.kind, key.as_ref());
        self.id = Some(Uuid::new_v5(&Uuid::NAMESPACE_URL, text.as_bytes()).to_string());
        self
    }

    /// Only if this revision is there, of its creation and itself: `17.3`, as
    /// [`EventOutcome::tag`](super::EventOutcome::tag) has it. For what puts or deletes.
    pub fn if_revision(self, tag: impl Into<String>) -> Self {
        self.set("if_revision", tag.into().into())
    }

    /// Only if there is none of its name. For what puts.
    pub fn if_absent(self) -> Self {
        self.set("if_absent", true.into())
    }

    /// At most so many, 1 to 1,000. For what lists.
    pub fn limit(self, limit: u32) -> Self {
        self.set("limit", limit.into())
    }

    /// Where to go on: `next` of the page before. For what lists.
    pub fn page(self, page: impl Into<String>) -> Self {
        self.set("page", page.into().into())
    }

    /// Another key of its body, such as `state` of `schedule.list`.
    pub fn set(mut self, key: &str, value: Value) -> Self {
        if let Ok(Value::Object(body)) = &mut self.body {
            body.insert(key.to_owned(), value);
        }
        self
    }

    /// The sender's trace context: the clock's log lines have it.
    pub fn trace(mut self, traceparent: impl Into<String>) -> Self {
        self.traceparent = Some(traceparent.into());
        self
    }

    /// Another time limit than [`ClientLimits::answer`](super::super::ClientLimits::answer), with all its attempts.
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    async fn send(self) -> Result<A, ClockError> {
        let Self { client, kind, body, id, traceparent, limit, .. } = self;
        let id = id.unwrap_or_else(|| random_id().into());
        if id.is_empty() || id.len() > 255 {
            return Err(ClockError::Unwritable("an id of a command has 1 to 255 bytes".to_owned()));
        }
        let body = serde_json::to_vec(&body?).map_err(|why| ClockError::Unwritable(why.to_string()))?;
        let requester = client.requester().ok_or(ClientError::Closed)?;
        let _place = client.place(kind, body.len())?;
        let said = ask(&requester, &Ask { kind, id, body, traceparent }, limit).await?;
        serde_json::from_value(said).map_err(|why| ClockError::Unreadable { kind, why: why.to_string() })
    }
}

/// What a command is about: the event or the schedule that is put, else what is named.
fn about(body: &Value) -> &str {
    let places = ["/item/event", "/definition/name", "/name"];
    places.into_iter().find_map(|place| body.pointer(place)?.as_str()).unwrap_or_default()
}

impl<A: DeserializeOwned + Send + 'static> IntoFuture for Command<A> {
    type Output = Result<A, ClockError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl<A> fmt::Debug for Command<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command").field("kind", &self.kind).field("id", &self.id).finish_non_exhaustive()
    }
}

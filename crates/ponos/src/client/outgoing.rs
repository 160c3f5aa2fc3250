//! One message of a client, until it is awaited.

use super::{Client, ClientError};
use crate::{
    declared::{Checked, Priority, keyed_id, random_id},
    event::{Event, EventId, EventName, HeaderValue, Headers, Timestamp},
    inbox::{Due, Held},
    once::{Claim, Once, Resolved, Sent, needs_outbox, needs_postgres},
    outgoing_head::header_fault,
    worker::{PublishError, due_time},
};
use futures_util::future::BoxFuture;
use std::{future::IntoFuture, time::Duration};

/// The way of a message to the broker, whose confirm is awaited.
#[derive(Debug)]
pub struct Confirmed;

/// An event or a task on its way: sent when it is awaited, which gives its id once the broker has confirmed it
/// ([`Confirmed`]), or once it is written to the outbox. Names and data were checked when it was made; what is wrong is said
/// when it is awaited.
#[derive(Debug)]
#[must_use = "it is sent when it is awaited"]
pub struct Outgoing<'a, Way = Confirmed> {
    pub(super) client: &'a Client,
    pub(super) way: Way,
    checked: Result<Checked, PublishError>,
    /// What else is wrong with it.
    fault: Option<String>,
    id: Option<EventId>,
    key: Option<String>,
    once: Option<Once>,
    subject: Option<String>,
    correlation_id: Option<String>,
    causation_id: Option<String>,
    traceparent: Option<String>,
    tracestate: Option<String>,
    expiry_time: Option<Timestamp>,
    headers: Headers,
    priority: Priority,
    limit: Duration,
}

impl<'a, Way> Outgoing<'a, Way> {
    pub(super) fn new(client: &'a Client, checked: Result<Checked, PublishError>, way: Way) -> Self {
        Self {
            limit: client.0.limits.timeout,
            client,
            way,
            checked,
            fault: None,
            id: None,
            key: None,
            once: None,
            subject: None,
            correlation_id: None,
            causation_id: None,
            traceparent: None,
            tracestate: None,
            expiry_time: None,
            headers: Headers::default(),
            priority: Priority::default(),
        }
    }

    /// Its id, at most 255 bytes; a random UUID if neither this nor [`Outgoing::key`] is set. Whoever has an inbox handles an id
    /// once.
    pub fn id(mut self, id: &str) -> Self {
        match id.parse() {
            Ok(id) => self.id = Some(id),
            Err(why) => self.fault = Some(format!("its id: {why}")),
        }
        self
    }

    /// Derives its id from source, name and this key: what is published again under one key has the same id. See
    /// [`keyed_id`].
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sends it once in a period, not again until it is done, or once it has been quiet: see [`Once`]. [`Outgoing::send`] says whether
    /// it is sent.
    pub fn once(mut self, once: Once) -> Self {
        self.once = Some(once);
        self
    }

    /// The subject: what it is about.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// The correlation id, which all events that follow from one cause share, such as the id of a web request.
    pub fn correlation(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// The id of the event that it follows from.
    pub fn causation(mut self, id: impl Into<String>) -> Self {
        self.causation_id = Some(id.into());
        self
    }

    /// The sender's trace context (`traceparent` of <https://www.w3.org/TR/trace-context/>), with its `tracestate` if it has one.
    pub fn trace(mut self, traceparent: impl Into<String>, tracestate: Option<String>) -> Self {
        self.traceparent = Some(traceparent.into());
        self.tracestate = tracestate;
        self
    }

    /// After this instant it is of no use any more, and skipped.
    pub fn expires(mut self, at: Timestamp) -> Self {
        self.expiry_time = Some(at);
        self
    }

    /// A header of its own. Names that begin as CloudEvents attributes, or as those of the broker and the retries, are refused.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<HeaderValue>) -> Self {
        let name = name.into();
        match header_fault(&name) {
            Some(fault) => self.fault = Some(fault),
            None => self.headers.set(name, value),
        }
        self
    }

    /// How urgent it is among those that wait in its queue: see [`Priority`].
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// The message, to be sent when it is due.
    pub(super) fn made(self, due: Option<Due>) -> Result<Made<Way>, ClientError> {
        let checked = self.checked?;
        if let Some(what) = self.fault {
            return Err(ClientError::Attribute { name: checked.name.to_string(), what });
        }
        let declared = &self.client.0.declared;
        let now = self.client.0.clock.now();
        let time = due_time(now, due, &checked.name)?;
        let times = (time, self.client.remembered());
        let once = self.once.map(|once| once.resolve(&declared.service, &checked, times)).transpose()?;
        let Checked { kind, name, body } = checked;
        let own = match (self.id, self.key) {
            (Some(id), _) => Some(id),
            (None, Some(key)) => Some(keyed_id(&declared.source, &name, &key)),
            (None, None) => None,
        };
        let (id, claim, due) = match (once, own) {
            (Some(Resolved::Per(_)), Some(_)) => {
                let what = "Once::per makes its id; leave out its id and key".into();
                return Err(ClientError::Attribute { name: name.to_string(), what });
            }
            (Some(Resolved::Per(id)), None) => (id.into(), None, due),
            (Some(Resolved::Debounce(_)), _) if due.is_some() => {
                let what = "Once::debounce says when it is sent; leave out at and after".into();
                return Err(ClientError::Attribute { name: name.to_string(), what });
            }
            (Some(Resolved::Debounce(quiet)), own) => {
                (own.unwrap_or_else(random_id), None, Some(Due::Quiet(quiet)))
            }
            (Some(Resolved::UntilDone(claim)), own) => {
                // nobody can have done it before it is due
                let until_due = Duration::from_millis(u64::try_from(time.since(now)).unwrap_or(0));
                let claim = Claim { at_most: claim.at_most.saturating_add(until_due), ..claim };
                (own.unwrap_or_else(random_id), Some(claim), due)
            }
            (None, own) => (own.unwrap_or_else(random_id), None, due),
        };
        let mut event = Event::new(id, declared.source.clone(), name.clone(), body);
        event.time = Some(due_time(now, due, &event.name)?);
        event.subject = self.subject;
        event.correlation_id = self.correlation_id;
        event.causation_id = self.causation_id;
        event.traceparent = self.traceparent;
        event.tracestate = self.tracestate;
        event.expiry_time = self.expiry_time;
        event.extensions = self.headers;
        let mut held = declared.held(kind, event, (due, None))?;
        held.message.properties.priority = self.priority.property();
        Ok(Made { name, held, claim, way: self.way })
    }
}

/// A message that is ready to be sent.
pub(super) struct Made<Way> {
    pub(super) name: EventName,
    pub(super) held: Held,
    /// What is to be claimed before.
    pub(super) claim: Option<Claim>,
    pub(super) way: Way,
}

impl<'a> Outgoing<'a> {
    /// Another time limit than [`ClientLimits::timeout`](super::ClientLimits::timeout).
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sends it, as awaiting it does; answers whether it was sent, which [`Once`] decides.
    ///
    /// # Errors
    /// [`ClientError`]. [`Once::until_done`] and [`Once::debounce`] are refused: their rows are those of [`Client::task_in`].
    pub async fn send(self) -> Result<Sent, ClientError> {
        let (client, limit) = (self.client, self.limit);
        let Made { name, held, claim, way: Confirmed } = self.made(None)?;
        let remedy = "send it by task_in, of a client with that as its outbox";
        if claim.is_some() {
            return Err(needs_postgres(&name, remedy).into());
        }
        if held.due.is_some() {
            return Err(needs_outbox(&name, remedy).into());
        }
        client.send(name.as_str(), held, limit).await.map(Sent::New)
    }
}

impl<'a> IntoFuture for Outgoing<'a> {
    type Output = Result<EventId, ClientError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async { self.send().await.map(Sent::into_id) })
    }
}

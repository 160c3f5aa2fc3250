//! Messages that a handler publishes: checked at once, held until it is done, with ids that derive from its event.

use super::{Context, group::GroupDraft, limits::Limits, service::Service, trace::DeliveryTrace};
use crate::{
    clock::millis,
    declared::{Checked, MessageKind, Priority},
    event::{Event, EventName, InvalidName, SpanContext, Timestamp},
    inbox::{Due, Held, Quiet},
    schema::PublishRefused,
    traces::{baggage, sending_span},
};
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// Why a message can't be published. Nothing of it was held or sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The name is not a valid event name.
    #[error("'{0}' is not a valid name: {1}")]
    Name(String, #[source] InvalidName),
    /// The name is not a valid task name.
    #[error("'{0}' is not a valid task name: {1}")]
    Task(String, #[source] InvalidName),
    /// It is not declared by this service, or does not fit its schema.
    #[error("{0}")]
    Refused(#[from] PublishRefused),
    /// A [hook](super::Worker::outgoing) refused it: its name, and why.
    #[error("'{0}' was not sent: a hook for what goes out refused it: {1}")]
    Withheld(String, String),
    /// The payload can't be written as JSON.
    #[error("the payload of '{0}' can't be written as JSON: {1}")]
    Payload(String, #[source] serde_json::Error),
    /// The handler would hold more than [`Limits`] allow; `send_now` streams instead.
    #[error(
        "this handler holds {count} messages of {bytes} bytes; the limits are {most} messages and {most_bytes} bytes: send some with send_now before, or split the task"
    )]
    Full {
        /// Messages held, this one included.
        count: usize,
        /// The bytes of their bodies together.
        bytes: usize,
        /// The most messages.
        most: usize,
        /// The most bytes.
        most_bytes: usize,
    },
    /// What was said of it by [`Once`](crate::Once) can't be.
    #[error("'{name}' was not sent: {what}")]
    Once {
        /// The event's or task's name.
        name: String,
        /// Why, and what to do.
        what: String,
    },
    /// A group can't be as it was described: [`Context::group`](super::Context::group).
    #[error("the group '{name}' can't be: {what}")]
    Group {
        /// The group's name.
        name: String,
        /// Why, and what to do.
        what: String,
    },
    /// A saga can't be as it was described: [`Context::saga`](super::Context::saga).
    #[error("the saga '{name}' can't be: {what}")]
    Saga {
        /// The saga's name.
        name: String,
        /// Why, and what to do.
        what: String,
    },
    /// The row of [`Once::until_done`](crate::Once::until_done) could not be written: return the error from the handler.
    #[error("{0}")]
    Inbox(#[from] crate::inbox::InboxError),
    /// It is due after 2099, where all arithmetic ends.
    #[error("'{0}' is due after 2099, where all arithmetic ends")]
    TooLate(String),
    /// The handler has ended: a message held now would never be sent.
    #[error("the handler of this context has ended; publish before it returns")]
    Ended,
    /// The broker did not confirm it (`send_now` only).
    #[error("'{0}' was not confirmed: {1}")]
    Unconfirmed(String, #[source] super::confirming_publisher::FlushError),
}

/// UUIDv5 of the URL namespace and `urn:ponos:published`.
pub(crate) const NAMESPACE: Uuid = Uuid::from_u128(0x5fab_3062_464c_55e1_80e2_6065_fcc2_f8c2);

/// Where a publishing comes from.
#[derive(Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) parent: &'a Event,
    pub(crate) queue: &'a str,
    pub(crate) handler: &'a str,
    /// Published by the final handler, whose messages differ from the handler's own.
    pub(crate) is_last: bool,
    /// Published by the run of a batch as a whole: what stands for its items in ids.
    pub(crate) batch: Option<&'a str>,
    /// Of the delivery, where traces are recorded.
    pub(crate) trace: Option<&'a DeliveryTrace>,
}

/// What tells a publishing from others of the same name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PublishKey<'a> {
    Given(&'a str),
    Number(u64),
    /// Its id itself, which derives from other things.
    Id(Uuid),
}

impl Origin<'_> {
    /// The id (see ADR 0012).
    pub(crate) fn id(&self, name: &str, key: PublishKey<'_>) -> Uuid {
        let (mark, key) = match key {
            PublishKey::Given(key) => ('=', key.to_owned()),
            PublishKey::Number(number) => ('#', number.to_string()),
            PublishKey::Id(id) => return id,
        };
        self.uuid(name, &format!("{mark}{key}"))
    }

    /// The id of a group, which no message has: `group` is not the name of one.
    pub(crate) fn group(&self, name: &str) -> Uuid {
        self.uuid("group", name)
    }

    fn uuid(&self, name: &str, key: &str) -> Uuid {
        let Self { parent, queue, handler, is_last, batch, .. } = self;
        let parent = batch.unwrap_or(parent.id.as_str());
        let last = if *is_last { "!last" } else { "" };
        let text = format!("{parent}\n{queue}\n{handler}{last}\n{name}\n{key}");
        Uuid::new_v5(&NAMESPACE, text.as_bytes())
    }

    /// The trace context of what is sent under this id.
    pub(crate) fn traceparent(&self, id: Uuid) -> Option<String> {
        match self.trace {
            Some(trace) => Some(trace.context().with_span(sending_span(id)).to_string()),
            None => self.parent.traceparent.as_deref().map(|parent| continue_trace(parent, id)),
        }
    }

    /// The message, checked against what the service declares.
    pub(crate) fn message(
        &self,
        context: &Context,
        (kind, name): (MessageKind, &str),
        key: (PublishKey<'_>, Option<Due>, Priority),
        payload: &impl Serialize,
    ) -> Result<Held, PublishError> {
        let checked = context.inner().service.declared.check(kind, name, payload)?;
        self.message_of(context, checked, key)
    }

    /// The message of what was checked.
    pub(crate) fn message_of(
        &self,
        context: &Context,
        Checked { kind, name, body }: Checked,
        (key, due, priority): (PublishKey<'_>, Option<Due>, Priority),
    ) -> Result<Held, PublishError> {
        let service: &Service = &context.inner().service;
        let declared = &service.declared;
        let uuid = self.id(name.as_str(), key);
        let mut event = Event::new(uuid.into(), declared.source.clone(), name, body);
        event.time = Some(due_time(service.clock.now(), due, &event.name)?);
        event.correlation_id =
            Some(self.parent.correlation_id.clone().unwrap_or_else(|| self.parent.id.to_string()));
        event.causation_id = Some(self.parent.id.to_string());
        event.traceparent = self.traceparent(uuid);
        if self.trace.is_none_or(DeliveryTrace::is_of_its_sender) {
            event.tracestate = self.parent.tracestate.clone();
        }
        if let Some(baggage) = baggage(self.parent) {
            event.extensions.set("baggage", baggage);
        }
        let mut held = declared.held(kind, event, (due, Some(context)))?;
        held.message.properties.priority = priority.property();
        Ok(held)
    }
}

/// The time of an event: what is sent later happens then, so that nobody takes it for an old one.
pub(crate) fn due_time(
    now: Timestamp,
    due: Option<Due>,
    name: &EventName,
) -> Result<Timestamp, PublishError> {
    let time = match due {
        None => now,
        Some(Due::At(when)) => when,
        Some(Due::In(delay) | Due::Timeout(delay) | Due::Quiet(Quiet { quiet: delay, .. })) => {
            Timestamp::from_millis(now.millis().saturating_add(millis(delay)))
        }
    };
    if time < Timestamp::HORIZON { Ok(time) } else { Err(PublishError::TooLate(name.to_string())) }
}

/// Continues the sender's trace: same trace and flags, a span of the message's own. A text that is not a trace context
/// passes unchanged.
fn continue_trace(parent: &str, id: Uuid) -> String {
    let context = SpanContext::parse(parent).map(|sender| sender.with_span(sending_span(id)).to_string());
    context.unwrap_or_else(|| parent.to_owned())
}

/// The messages that a handler holds so far.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    held: Vec<Held>,
    bytes: usize,
    numbered: u64,
    groups: Vec<GroupDraft>,
    ended: bool,
    /// With those of the same batch, whose limits are those of one handler.
    total: Option<Total>,
}

/// Messages and bytes that several buffers hold together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Total(Arc<Mutex<(usize, usize)>>);

impl Buffer {
    /// One of several that have the limits of one.
    pub(crate) fn with(total: &Total) -> Self {
        Self { total: Some(total.clone()), ..Self::default() }
    }

    /// Whether it has the limits of several together.
    #[cfg(feature = "postgres")]
    pub(crate) fn is_of_several(&self) -> bool {
        self.total.is_some()
    }

    /// The number of the next publishing without a key.
    pub(crate) fn number(&mut self) -> u64 {
        self.numbered += 1;
        self.numbered
    }

    /// Whether the handler has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Holds one more.
    pub(crate) fn hold(&mut self, held: Held, limits: &Limits) -> Result<(), PublishError> {
        if self.ended {
            return Err(PublishError::Ended);
        }
        let mut total =
            self.total.as_ref().map(|total| total.0.lock().unwrap_or_else(PoisonError::into_inner));
        let (count, bytes) = total.as_deref().copied().unwrap_or((self.held.len(), self.bytes));
        let (count, bytes) = (count + 1, bytes + held.message.body.len());
        if count > limits.held || bytes > limits.held_bytes {
            let (most, most_bytes) = (limits.held, limits.held_bytes);
            return Err(PublishError::Full { count, bytes, most, most_bytes });
        }
        if let Some(total) = &mut total {
            **total = (count, bytes);
        }
        self.bytes = bytes;
        self.held.push(held);
        Ok(())
    }

    /// The groups that the handler has begun so far.
    pub(crate) fn groups(&mut self) -> &mut Vec<GroupDraft> {
        &mut self.groups
    }

    /// Takes everything held; nothing can be held any more.
    pub(crate) fn end(&mut self) -> Vec<Held> {
        self.ended = true;
        std::mem::take(&mut self.held)
    }
}

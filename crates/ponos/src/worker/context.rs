//! What a handler knows about its task, and how it publishes.

use super::{
    around::Values,
    blocking::BlockingWork,
    held::{Buffer, Origin, PublishError, PublishKey},
    plan::Route,
    reply::ReplyAddress,
    service::{NoState, Service},
    signal::Signal,
    trace::DeliveryTrace,
};
use crate::{
    declared::{MessageKind, Priority},
    event::{Event, EventId, Timestamp},
    inbox::{Due, Held},
    names::{NamesEvent, NamesTask},
    traces::baggage,
};
use serde::Serialize;
use std::{
    borrow::Cow,
    fmt, slice,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// The context of one run of a handler. Clones belong to the same run.
#[derive(Clone)]
pub struct Context(Arc<ContextInner>);

pub(crate) struct ContextInner {
    pub(crate) service: Arc<Service>,
    pub(crate) queue: Arc<str>,
    pub(crate) route: Arc<Route>,
    pub(crate) event: Arc<Event>,
    /// From 1.
    pub(crate) attempt: u32,
    pub(crate) first_seen: Timestamp,
    pub(crate) deadline: Instant,
    pub(crate) cancelled: Signal,
    /// Its work on other threads.
    pub(crate) blocking: BlockingWork,
    /// Why the last attempt failed; for the final handler.
    pub(crate) failure: Option<String>,
    pub(crate) span: tracing::Span,
    pub(crate) trace: Option<Arc<DeliveryTrace>>,
    /// Of the run of a batch: what the ids of its messages derive from, instead of an event's id.
    pub(crate) batch: Option<Arc<str>>,
    #[cfg(feature = "postgres")]
    pub(crate) transaction: Option<crate::inbox::postgres::Transaction>,
    pub(crate) buffer: Mutex<Buffer>,
    /// Left by layers.
    pub(crate) values: Mutex<Values>,
    pub(crate) reply_to: Option<ReplyAddress>,
}

impl Context {
    pub(crate) fn new(inner: ContextInner) -> Self {
        Self(Arc::new(inner))
    }

    /// The event or task as it came, with all its attributes and headers. Of a [batch](super::Batch): the first of its items, as
    /// everything here; [`Batch::context`](super::Batch::context) is that of each.
    pub fn event(&self) -> &Event {
        &self.0.event
    }

    /// The event's id, the same at each attempt.
    pub fn id(&self) -> &EventId {
        &self.0.event.id
    }

    /// The correlation id, which all events that follow from one cause share: the event's own, else its id.
    pub fn correlation_id(&self) -> &str {
        self.0.event.correlation_id.as_deref().unwrap_or(self.0.event.id.as_str())
    }

    /// The id of the event that this one follows from, if any.
    pub fn causation_id(&self) -> Option<&str> {
        self.0.event.causation_id.as_deref()
    }

    /// Which attempt this is, from 1. A redelivery after a crash or a release is the same attempt.
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// How many attempts there are in all.
    pub fn attempts(&self) -> u32 {
        self.0.route.policy.attempts
    }

    /// When the first attempt began.
    pub fn first_seen(&self) -> Timestamp {
        self.0.first_seen
    }

    /// When this attempt is cancelled, on tokio's clock.
    pub fn deadline(&self) -> Instant {
        self.0.deadline
    }

    /// The time on the worker's clock; tests move it by hand.
    pub fn now(&self) -> Timestamp {
        self.0.service.clock.now()
    }

    /// Whether the task should stop: its timeout has passed, the worker stops now, or somebody
    /// [cancelled](crate::client::ControlClient::cancel) it, and it is dropped in 5 s unless it has ended by then. A run of a batch is
    /// not dropped for one of its items.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.is_raised()
    }

    /// Resolves when [`Context::is_cancelled`] becomes true: for work on other threads, and for what is to be put in order while a
    /// cancelled task has its 5 s. The handler's own future is dropped anyway.
    pub async fn cancelled(&self) {
        self.0.cancelled.raised().await;
    }

    /// In the final handler: why the last attempt failed; elsewhere `None`.
    pub fn failure(&self) -> Option<&str> {
        self.0.failure.as_deref()
    }

    /// The task's span, for work that is spawned elsewhere.
    pub fn span(&self) -> &tracing::Span {
        &self.0.span
    }

    /// The `traceparent` for what the handler asks of others, such as an HTTP service: of this run's own span where
    /// [traces](super::Worker::traces) are recorded, else as it came.
    pub fn traceparent(&self) -> Option<String> {
        self.trace_context().map(Cow::into_owned)
    }

    /// The `tracestate` that goes with [`Context::traceparent`]: as it came, unless this run is in a trace of its own.
    pub fn tracestate(&self) -> Option<&str> {
        let is_of_its_sender = self.0.trace.as_deref().is_none_or(DeliveryTrace::is_of_its_sender);
        self.0.event.tracestate.as_deref().filter(|_| is_of_its_sender)
    }

    /// The `baggage` for what the handler asks of others: as it came, where it can be passed on (up to 8 KiB,
    /// <https://www.w3.org/TR/baggage/>).
    pub fn baggage(&self) -> Option<&str> {
        baggage(&self.0.event)
    }

    pub(crate) fn trace_context(&self) -> Option<Cow<'_, str>> {
        match &self.0.trace {
            Some(trace) => Some(trace.context().to_string().into()),
            None => self.0.event.traceparent.as_deref().map(Cow::Borrowed),
        }
    }

    /// The value of type `S` that was given to [`Worker::state`](super::Worker::state). A missing value is found only when the
    /// handler runs; as third argument ([`State`](super::State)) it is found at the start.
    ///
    /// # Errors
    /// [`NoState`] when none was given.
    pub fn state<S: Send + Sync + 'static>(&self) -> Result<Arc<S>, NoState> {
        self.0.service.state()
    }

    /// Publishes a task for this service: checked now, sent when the handler is done.
    ///
    /// # Errors
    /// [`PublishError`]; then nothing is held of it.
    pub fn task<T: Serialize>(&self, name: impl NamesTask<T>, payload: &T) -> Result<(), PublishError> {
        self.hold((MessageKind::Task, name.text()), None, (None, Priority::Normal), payload)
    }

    /// Publishes an event for everybody: checked now, sent when the handler is done.
    ///
    /// # Errors
    /// [`PublishError`]; then nothing is held of it.
    pub fn publish<T: Serialize>(&self, name: impl NamesEvent<T>, payload: &T) -> Result<(), PublishError> {
        self.hold((MessageKind::Event, name.text()), None, (None, Priority::Normal), payload)
    }

    /// Publishes a task for this service at an instant: checked now, accepted when the handler is done, and not sent before.
    ///
    /// With an inbox on Postgres it is a row of the outbox that commits with the handler's writes. Otherwise the clock `khronos`
    /// keeps it: the handler is done once the clock has answered, under an id by which a handler that runs again puts nothing
    /// twice; what is sent then comes from the clock. An instant that is past means at once.
    ///
    /// # Errors
    /// [`PublishError`]; then nothing is held of it.
    pub fn task_at<T: Serialize>(
        &self,
        when: Timestamp,
        name: impl NamesTask<T>,
        payload: &T,
    ) -> Result<(), PublishError> {
        self.hold((MessageKind::Task, name.text()), None, (Some(Due::At(when)), Priority::Normal), payload)
    }

    /// As [`Context::task_at`], so long after it is accepted: by the clock of the database, or by `khronos`'.
    ///
    /// # Errors
    /// [`PublishError`]; then nothing is held of it.
    pub fn task_in<T: Serialize>(
        &self,
        delay: Duration,
        name: impl NamesTask<T>,
        payload: &T,
    ) -> Result<(), PublishError> {
        self.hold((MessageKind::Task, name.text()), None, (Some(Due::In(delay)), Priority::Normal), payload)
    }

    /// Publishes an event for everybody at an instant: see [`Context::task_at`].
    ///
    /// # Errors
    /// [`PublishError`]; then nothing is held of it.
    pub fn publish_at<T: Serialize>(
        &self,
        when: Timestamp,
        name: impl NamesEvent<T>,
        payload: &T,
    ) -> Result<(), PublishError> {
        self.hold((MessageKind::Event, name.text()), None, (Some(Due::At(when)), Priority::Normal), payload)
    }

    /// Publishes an event for everybody so long after it is accepted: see [`Context::task_in`].
    ///
    /// # Errors
    /// [`PublishError`]; then nothing is held of it.
    pub fn publish_in<T: Serialize>(
        &self,
        delay: Duration,
        name: impl NamesEvent<T>,
        payload: &T,
    ) -> Result<(), PublishError> {
        self.hold((MessageKind::Event, name.text()), None, (Some(Due::In(delay)), Priority::Normal), payload)
    }

    /// As [`Context::task`], with a key: `keyed(key).task(name, payload)`. See [`Context::keyed`].
    ///
    /// # Errors
    /// [`PublishError`]; then nothing is held of it.
    pub fn task_keyed<T: Serialize>(
        &self,
        name: impl NamesTask<T>,
        key: &str,
        payload: &T,
    ) -> Result<(), PublishError> {
        self.keyed(key).task(name, payload)
    }

    /// As [`Context::publish`], with a key: see [`Context::keyed`].
    ///
    /// # Errors
    /// [`PublishError`]; then nothing is held of it.
    pub fn publish_keyed<T: Serialize>(
        &self,
        name: impl NamesEvent<T>,
        key: &str,
        payload: &T,
    ) -> Result<(), PublishError> {
        self.keyed(key).publish(name, payload)
    }

    /// Sends an event now and waits for its confirm, for streams too long to be held. It stays sent even if the handler
    /// fails; when the handler runs again, ids repeat.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn send_now<T: Serialize>(
        &self,
        name: impl NamesEvent<T>,
        payload: &T,
    ) -> Result<(), PublishError> {
        self.send((MessageKind::Event, name.text()), payload).await
    }

    /// Sends a task for this service now and waits for its confirm.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn send_task_now<T: Serialize>(
        &self,
        name: impl NamesTask<T>,
        payload: &T,
    ) -> Result<(), PublishError> {
        self.send((MessageKind::Task, name.text()), payload).await
    }

    /// The transaction of this run: the handler's writes, the inbox row and the messages it publishes commit together.
    /// `None` unless the worker's inbox is on Postgres.
    #[cfg(feature = "postgres")]
    pub fn transaction(&self) -> Option<&crate::inbox::postgres::Transaction> {
        self.0.transaction.as_ref()
    }

    /// Without a key, its number tells it from others.
    pub(super) fn hold(
        &self,
        what: (MessageKind, &str),
        key: Option<PublishKey<'_>>,
        (due, priority): (Option<Due>, Priority),
        payload: &impl Serialize,
    ) -> Result<(), PublishError> {
        let key = key.unwrap_or_else(|| PublishKey::Number(self.buffer().number()));
        // the buffer is free meanwhile, for the hooks have this context
        let held = self.origin().message(self, what, (key, due, priority), payload)?;
        self.buffer().hold(held, &self.0.service.limits)
    }

    async fn send(&self, what: (MessageKind, &str), payload: &impl Serialize) -> Result<(), PublishError> {
        let number = {
            let mut buffer = self.buffer();
            if buffer.has_ended() {
                return Err(PublishError::Ended);
            }
            buffer.number()
        };
        let key = (PublishKey::Number(number), None, Priority::Normal);
        let held = self.origin().message(self, what, key, payload)?;
        let Some(publisher) = self.0.service.publisher.get() else { return Err(PublishError::Ended) };
        let trace =
            self.0.trace.as_deref().map(|trace| (trace, trace.sending(slice::from_ref(&held), false)));
        let sent = publisher.publish(vec![held], self.0.service.limits.flush).await;
        if let (Some((trace, spans)), Ok(())) = (trace, &sent) {
            trace.sent(spans);
        }
        sent.map_err(|why| PublishError::Unconfirmed(what.1.to_owned(), why))
    }

    pub(super) fn origin(&self) -> Origin<'_> {
        Origin {
            parent: &self.0.event,
            queue: &self.0.queue,
            handler: &self.0.route.pattern,
            is_last: self.0.failure.is_some(),
            batch: self.0.batch.as_deref(),
            trace: self.0.trace.as_deref(),
        }
    }

    /// Nothing can be held any more; all that was.
    pub(crate) fn end(&self) -> Vec<Held> {
        self.buffer().end()
    }

    pub(crate) fn inner(&self) -> &ContextInner {
        &self.0
    }

    /// The messages held; locked by one at a time, and never across an await.
    pub(super) fn buffer(&self) -> MutexGuard<'_, Buffer> {
        self.0.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("queue", &self.0.queue)
            .field("name", &self.0.event.name)
            .field("id", &self.0.event.id)
            .field("attempt", &self.0.attempt)
            .finish_non_exhaustive()
    }
}

//! Publishing under a key of the handler's own, or with a priority.

use super::{Context, PublishError, held::PublishKey};
use crate::{
    declared::{MessageKind, Priority},
    event::Timestamp,
    inbox::Due,
    names::{NamesEvent, NamesTask},
};
use serde::Serialize;
use std::time::Duration;

/// What a handler publishes under a key, or with a priority, now or later: see [`Context::keyed`] and [`Context::priority`].
#[derive(Debug, Clone, Copy)]
#[must_use = "it publishes nothing by itself"]
pub struct Keyed<'a> {
    context: &'a Context,
    key: Option<&'a str>,
    priority: Priority,
}

impl Context {
    /// Publishes under a key: the ids of messages derive from the event that is handled, from their names and from this key,
    /// instead of the order of publishing. A handler that publishes in another order when it runs again, or leaves something
    /// out, still gives each message the same id: the clock and whoever has an inbox take it once. Use a key once for each
    /// name; of two messages of one name and key, the clock takes the first alone.
    ///
    /// ```
    /// # use ponos::prelude::*;
    /// # use std::{collections::HashSet, time::Duration};
    /// async fn placed(customers: HashSet<String>, context: Context) -> HandlerResult {
    ///     for customer in &customers {
    ///         context.keyed(customer).task_in(Duration::from_secs(86_400), "orders.reminder.send", customer)?;
    ///     }
    ///     Ok(Done)
    /// }
    /// ```
    pub fn keyed<'a>(&'a self, key: &'a str) -> Keyed<'a> {
        Keyed { context: self, key: Some(key), priority: Priority::Normal }
    }

    /// Publishes with a priority: `context.priority(Priority::High).task(name, payload)`. The message keeps it through retries
    /// and through the dead letters; what the clock sends later has none.
    pub fn priority(&self, priority: Priority) -> Keyed<'_> {
        Keyed { context: self, key: None, priority }
    }
}

impl<'a> Keyed<'a> {
    /// The same with a priority: see [`Context::priority`].
    pub fn priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    /// The same under a key: see [`Context::keyed`].
    pub fn keyed(self, key: &'a str) -> Self {
        Self { key: Some(key), ..self }
    }

    /// As [`Context::task`].
    ///
    /// # Errors
    /// [`PublishError`]; then nothing is held of it.
    pub fn task<T: Serialize>(self, name: impl NamesTask<T>, payload: &T) -> Result<(), PublishError> {
        self.hold((MessageKind::Task, name.text()), None, payload)
    }

    /// As [`Context::task_at`].
    ///
    /// # Errors
    /// [`PublishError`]; then nothing is held of it.
    pub fn task_at<T: Serialize>(
        self,
        when: Timestamp,
        name: impl NamesTask<T>,
        payload: &T,
    ) -> Result<(), PublishError> {
        self.hold((MessageKind::Task, name.text()), Some(Due::At(when)), payload)
    }

    /// As [`Context::task_in`].
    ///
    /// # Errors
    /// [`PublishError`]; then nothing is held of it.
    pub fn task_in<T: Serialize>(
        self,
        delay: Duration,
        name: impl NamesTask<T>,
        payload: &T,
    ) -> Result<(), PublishError> {
        self.hold((MessageKind::Task, name.text()), Some(Due::In(delay)), payload)
    }

    /// As [`Context::publish`].
    ///
    /// # Errors
    /// [`PublishError`]; then nothing is held of it.
    pub fn publish<T: Serialize>(self, name: impl NamesEvent<T>, payload: &T) -> Result<(), PublishError> {
        self.hold((MessageKind::Event, name.text()), None, payload)
    }

    /// As [`Context::publish_at`].
    ///
    /// # Errors
    /// [`PublishError`]; then nothing is held of it.
    pub fn publish_at<T: Serialize>(
        self,
        when: Timestamp,
        name: impl NamesEvent<T>,
        payload: &T,
    ) -> Result<(), PublishError> {
        self.hold((MessageKind::Event, name.text()), Some(Due::At(when)), payload)
    }

    /// As [`Context::publish_in`].
    ///
    /// # Errors
    /// [`PublishError`]; then nothing is held of it.
    pub fn publish_in<T: Serialize>(
        self,
        delay: Duration,
        name: impl NamesEvent<T>,
        payload: &T,
    ) -> Result<(), PublishError> {
        self.hold((MessageKind::Event, name.text()), Some(Due::In(delay)), payload)
    }

    fn hold(
        self,
        what: (MessageKind, &str),
        due: Option<Due>,
        payload: &impl Serialize,
    ) -> Result<(), PublishError> {
        let Self { context, key, priority } = self;
        context.hold(what, key.map(PublishKey::Given), (due, priority), payload)
    }
}

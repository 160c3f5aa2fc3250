//! The inbox and the outbox in Postgres. A handler's writes, the row that records its message, and the messages that it
//! publishes commit together or not at all. For any number of replicas.
//!
//! A row is inserted when the handler begins and commits when it is done. A second delivery inserts the same row, which
//! makes it wait for the first one's transaction. A run that ends without a commit (a panic, a timeout, a lost connection)
//! is rolled back when its connection ends.
//!
//! A message whose attempt failed waits for the next one as a row of the outbox, too.
//!
//! [`Transaction`] is the handler's handle; [`Relay`] publishes the outbox; [`Waiting`] shows and changes what waits in it;
//! [`ddl`] is the schema, for roles without permission to create it.

mod batch;
mod encoding;
mod errors;
mod group;
mod outbox;
mod quiet;
mod relay;
mod retries;
mod saga;
mod schema;
mod store;
mod tied;
mod transaction;
mod unique;
mod waiting;

pub(crate) use group::MemberEnd;
pub use outbox::OutboxStatus;
pub use relay::Relay;
pub use schema::ddl;
pub(crate) use tied::is_tied;
pub use transaction::{Guard, Transaction};
pub use waiting::{
    Waiting, WaitingChange, WaitingCount, WaitingFilter, WaitingKind, WaitingMessage, WaitingPage,
    WaitingPlace,
};

pub(crate) use retries::KeptRetry;
pub(crate) use saga::{SagaChange, SagaPlace, SagaRow};
pub(super) use store::{Store, TransactionRun};

use super::{Backend, Held, Inbox, InboxError};
use crate::broker::Publisher;
use sqlx::PgConnection;
use std::{sync::Arc, time::Duration};

/// How a Postgres inbox is opened.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// The service whose outbox this is: a relay publishes only its own service's.
    pub service: Arc<str>,
    /// The Postgres schema of the tables, created if it is missing (`ponos`). Lower-case letters, digits and `_`.
    pub schema: String,
    /// Connections for handlers (20). Each running handler holds one, and so does each delivery that waits for another of the
    /// same id. The relay and pruning take two more.
    pub connections: u32,
    /// Whether a message waits here for its next attempt, where it can be seen and moved ([`Inbox::waiting`]), and not on the broker
    /// (true). A relay must run when it is due: false for workers that are started only while something waits in their queues.
    pub keeps_retries: bool,
    /// How long connecting, or waiting for a free connection, may take (10 s).
    pub connect_timeout: Duration,
    /// How long one statement of the inbox may take, apart from waiting for another delivery (20 s).
    pub call_timeout: Duration,
}

impl PostgresOptions {
    /// The defaults, for this service.
    pub fn new(service: impl Into<Arc<str>>) -> Self {
        Self {
            service: service.into(),
            schema: "ponos".into(),
            connections: 20,
            keeps_retries: true,
            connect_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(20),
        }
    }
}

impl Inbox {
    /// An inbox in Postgres (`postgres://user:password@host:5432/database`), in the database of the handler's own writes. Creates
    /// its tables if they are missing.
    ///
    /// # Errors
    /// [`Unavailable`](super::InboxErrorClass::Unavailable) if the server does not answer in time,
    /// [`Refused`](super::InboxErrorClass::Refused) for a wrong URL, user, password or database, and for missing tables
    /// that the role may not create.
    pub async fn postgres(url: &str, options: PostgresOptions) -> Result<Self, InboxError> {
        Ok(Self::new(Backend::Postgres(Arc::new(Store::open(url, options).await?))))
    }

    /// The relay that publishes the outbox; `None` for an inbox without one. Run one in each worker process.
    pub fn relay(&self, publisher: Publisher) -> Option<Relay> {
        match &self.kind {
            Backend::Postgres(store) => Some(Relay::new(store.clone(), publisher)),
            _ => None,
        }
    }

    /// Whose outbox it has; `None` for an inbox without one.
    pub(crate) fn outbox_of(&self) -> Option<&str> {
        match &self.kind {
            Backend::Postgres(store) => Some(&store.service),
            _ => None,
        }
    }

    /// Inserts a message into the outbox by this connection, in whose transaction it commits. Nothing for an inbox without one.
    pub(crate) async fn enqueue(&self, connection: &mut PgConnection, held: Held) -> Result<(), InboxError> {
        match &self.kind {
            Backend::Postgres(store) => {
                let put = outbox::put(connection, store, std::slice::from_ref(&held));
                store.call("writing to the outbox", put).await?;
                // it may commit at any moment; a look in vain costs little, and the next one comes within a second
                store.put.notify_one();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Has a message wait here for its next attempt; false if this inbox keeps none, or not this one.
    ///
    /// # Errors
    /// As [`InboxErrorClass`](super::InboxErrorClass); it may wait here all the same.
    pub(crate) async fn keep_retry(&self, retry: &KeptRetry<'_>) -> Result<bool, InboxError> {
        match &self.kind {
            Backend::Postgres(store) if store.keeps_retries => retries::keep(store, retry).await,
            _ => Ok(false),
        }
    }

    /// What waits in the outbox of its service and fits the filter: to be listed, hurried, moved or dropped.
    ///
    /// ```no_run
    /// # use ponos::inbox::{Inbox, InboxError, postgres::WaitingFilter};
    /// # async fn hurry(inbox: Inbox) -> Result<(), InboxError> {
    /// let filter = WaitingFilter { reason: Some("connection refused".into()), ..WaitingFilter::default() };
    /// let waiting = inbox.waiting(filter)?;
    /// for one in waiting.list(None, 100).await?.messages {
    ///     println!("{} of {:?} at {:?}: attempt {:?}", one.id, one.name, one.due, one.attempt);
    /// }
    /// let change = waiting.run_now().await?;
    /// println!("{} are tried now, {} are under way already", change.changed, change.under_way);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Refused`](super::InboxErrorClass::Refused) for an inbox without an outbox, and for a filter that is not valid.
    pub fn waiting(&self, filter: WaitingFilter) -> Result<Waiting, InboxError> {
        match &self.kind {
            Backend::Postgres(store) => Waiting::new(store.clone(), filter),
            _ => Err(InboxError::refused(
                "only an inbox on Postgres knows what waits",
                "open one with Inbox::postgres: elsewhere retries wait in queues of the broker, where nobody can look without taking them",
            )),
        }
    }

    /// The state of the outbox; `None` for an inbox without one.
    ///
    /// # Errors
    /// As [`InboxErrorClass`](super::InboxErrorClass).
    pub async fn outbox(&self) -> Result<Option<OutboxStatus>, InboxError> {
        match &self.kind {
            Backend::Postgres(store) => outbox::status(store).await.map(Some),
            _ => Ok(None),
        }
    }
}

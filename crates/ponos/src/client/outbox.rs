//! Events and tasks that commit with their caller's own writes: rows of the service's outbox in Postgres.
//!
//! Invariant: a row is written by the caller's connection alone, so that it commits, or is rolled back, with what else that
//! does. It is sent by a relay: that of the service's workers, whose inbox is on the same database and schema, or
//! [`Client::relay`].

use super::{Client, ClientError, Connect, Outgoing, outgoing::Made};
use crate::{
    declared::MessageKind,
    event::{EventId, Timestamp},
    inbox::{
        Due, Inbox,
        postgres::{Waiting, WaitingFilter},
    },
    names::{NamesEvent, NamesTask},
    once::Sent,
    shutdown::Shutdown,
    topology::Topology,
};
use futures_util::future::BoxFuture;
use serde::Serialize;
use sqlx::PgConnection;
use std::{future::IntoFuture, time::Duration};

/// The way of a message through the outbox: a row that commits with the caller's transaction.
#[derive(Debug)]
pub struct Outbox<'a> {
    connection: &'a mut PgConnection,
    due: Option<Due>,
}

/// Why an inbox is not this service's outbox.
pub(super) fn outbox_fault(inbox: &Inbox, service: &str) -> Option<String> {
    match inbox.outbox_of() {
        None if inbox.is_none() => None,
        None => Some("outbox: this inbox has no outbox; give it one on Postgres (Inbox::postgres)".into()),
        Some(of) => (of != service).then(|| {
            format!("outbox: it is that of '{of}', and the client is one of '{service}': name that in PostgresOptions")
        }),
    }
}

impl Connect {
    /// Writes what is published in transactions to this inbox's outbox, which is on Postgres ([`Inbox::postgres`]) and of the
    /// same service.
    pub fn outbox(mut self, inbox: &Inbox) -> Self {
        self.inbox = inbox.clone();
        self
    }
}

impl Client {
    /// A task that commits with a transaction of yours (`&mut transaction`): when it is awaited, a row of the outbox is written;
    /// it is sent soon after the commit, and never without. It needs [`Connect::outbox`].
    ///
    /// ```no_run
    /// # use ponos::{Client, prelude::*};
    /// # use serde_json::json;
    /// # async fn order(client: Client, pool: sqlx::PgPool) -> Result<(), Failure> {
    /// let mut transaction = pool.begin().await?;
    /// sqlx::query("insert into orders values (7)").execute(&mut *transaction).await?;
    /// client.task_in(&mut transaction, "orders.label.print", &json!({ "order": 7 })).await?;
    /// transaction.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn task_in<'a, T: Serialize>(
        &'a self,
        transaction: &'a mut PgConnection,
        name: impl NamesTask<T>,
        payload: &T,
    ) -> Outgoing<'a, Outbox<'a>> {
        self.in_transaction(transaction, (MessageKind::Task, name.text()), payload)
    }

    /// An event that commits with a transaction of yours: see [`Client::task_in`].
    pub fn publish_in<'a, T: Serialize>(
        &'a self,
        transaction: &'a mut PgConnection,
        name: impl NamesEvent<T>,
        payload: &T,
    ) -> Outgoing<'a, Outbox<'a>> {
        self.in_transaction(transaction, (MessageKind::Event, name.text()), payload)
    }

    fn in_transaction<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        (kind, name): (MessageKind, &str),
        payload: &impl Serialize,
    ) -> Outgoing<'a, Outbox<'a>> {
        Outgoing::new(self, self.0.declared.check(kind, name, payload), Outbox { connection, due: None })
    }

    /// What waits in the outbox and fits the filter, retries of the service's workers included: to be listed, hurried
    /// ([`Waiting::run_now`]), moved or dropped. It needs [`Connect::outbox`].
    ///
    /// # Errors
    /// [`ClientError::Invalid`] for a client without an outbox, [`ClientError::Outbox`] for a filter that is not valid.
    pub fn waiting(&self, filter: WaitingFilter) -> Result<Waiting, ClientError> {
        let inbox = &self.0.inbox;
        inbox.outbox_of().ok_or_else(no_outbox)?;
        Ok(inbox.waiting(filter)?)
    }

    /// Sends what the outbox holds, until the shutdown: for a service that has no worker on the same database and schema. Any
    /// number of programs may do so; they take turns. What can't be sent stays, and is tried again. Retries are left to the
    /// workers whose they are.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] for a client without an outbox.
    pub async fn relay(&self, shutdown: &Shutdown) -> Result<(), ClientError> {
        let publisher = self.0.transport.publisher(Topology::default());
        let relay = self.0.inbox.relay(publisher).ok_or_else(no_outbox)?;
        Box::pin(relay.sends_only().run(shutdown)).await;
        Ok(())
    }
}

fn no_outbox() -> ClientError {
    ClientError::Invalid(vec![
        "it has no outbox: say Connect::outbox with an inbox on Postgres before it is awaited".into(),
    ])
}

impl<'a> Outgoing<'a, Outbox<'a>> {
    /// Not sent before this instant. One that is past means at once.
    pub fn at(mut self, when: Timestamp) -> Self {
        self.way.due = Some(Due::At(when));
        self
    }

    /// Not sent before so long after now, by the clock of the database.
    pub fn after(mut self, delay: Duration) -> Self {
        self.way.due = Some(Due::In(delay));
        self
    }

    /// Writes its row, as awaiting it does; answers whether it did, which [`Once`](crate::Once) decides.
    ///
    /// # Errors
    /// [`ClientError`]; then roll the transaction back.
    pub async fn send(self) -> Result<Sent, ClientError> {
        let (client, due) = (self.client, self.way.due);
        let Made { name, mut held, claim, way: Outbox { connection, .. } } = self.made(due)?;
        let inbox = &client.0.inbox;
        inbox.outbox_of().ok_or_else(no_outbox)?;
        let (bytes, most) = (held.message.body.len(), client.0.limits.body);
        if bytes > most {
            return Err(ClientError::TooLarge { name: name.to_string(), bytes, most });
        }
        let id = held.id.clone();
        if let Some(claim) = claim {
            if let Some(existing) = inbox.claim(connection, &name, &claim, &id).await? {
                return Ok(Sent::Existing(existing));
            }
            held = held.claiming(&claim);
        }
        inbox.enqueue(connection, held).await?;
        Ok(Sent::New(id))
    }
}

impl<'a> IntoFuture for Outgoing<'a, Outbox<'a>> {
    type Output = Result<EventId, ClientError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async { self.send().await.map(Sent::into_id) })
    }
}

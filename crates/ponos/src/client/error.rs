//! Why a client could not do what it was asked for.

use crate::{
    broker::LinkError,
    event::EventId,
    inbox::InboxError,
    worker::{FlushError, PublishError},
};
use std::time::Duration;

/// Why a client could not do what it was asked for. `Display` says what happened, to what, and what to do, without secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Its description is wrong; a sentence for each fault.
    #[error("the client can't be used: {}", .0.join("; "))]
    Invalid(Vec<String>),
    /// The broker refuses it; a person must change something before it can work.
    #[error("the client is not connected: {0}")]
    Broker(#[from] LinkError),
    /// The broker did not answer in time.
    #[error("the client is not connected: there was no answer within {} s: {why}", limit.as_secs_f64())]
    Unreachable {
        /// The time limit.
        limit: Duration,
        /// Why, as far as is known.
        why: String,
    },
    /// It is not declared by this client, its name is not valid, or its data don't keep the contract. Nothing was sent.
    #[error("{0}")]
    Unfit(#[from] PublishError),
    /// An attribute or a header of it can't be sent. Nothing was sent.
    #[error("'{name}' was not sent: {what}")]
    Attribute {
        /// The event's or task's name.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// Its body is longer than workers read. Nothing was sent.
    #[error(
        "'{name}' was not sent: its data have {bytes} bytes, and {most} are the most; send where they can be fetched from instead"
    )]
    TooLarge {
        /// The event's or task's name.
        name: String,
        /// Its body's bytes.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// Too much waits for the broker already. Nothing was sent.
    #[error(
        "'{name}' was not sent: {most} messages, or {most_bytes} bytes, wait for their confirms already; try again later, or raise ClientLimits"
    )]
    Full {
        /// The event's or task's name.
        name: String,
        /// The most messages.
        most: usize,
        /// The most bytes.
        most_bytes: usize,
    },
    /// There was no connection within the time limit. Nothing was sent.
    #[error("'{name}' was not sent: there was no connection to the broker within {} s: {why}", limit.as_secs_f64())]
    NoConnection {
        /// The event's or task's name.
        name: String,
        /// The time limit.
        limit: Duration,
        /// Why.
        why: String,
    },
    /// It was sent, and no confirm came within the time limit: it may have arrived or not. Sent again under this id it is
    /// handled once by whoever has an inbox.
    #[error("'{name}' ({id}) was not confirmed within {} s, and may have arrived or not: {why}; send it again under this id", limit.as_secs_f64())]
    Unconfirmed {
        /// The event's or task's name.
        name: String,
        /// Its id.
        id: EventId,
        /// The time limit.
        limit: Duration,
        /// Why.
        why: String,
    },
    /// There is no queue for this task: no worker that handles it has ever run on this vhost. It was not kept.
    #[error(
        "'{name}' was not sent: no queue '{queue}' is bound to the exchange 'tasks'; start the worker that handles it first, or correct the names"
    )]
    Unrouted {
        /// The task's name.
        name: String,
        /// The queue that it was to go to.
        queue: String,
    },
    /// The broker did not take it.
    #[error("'{name}' was not sent: {why}")]
    Refused {
        /// The event's or task's name.
        name: String,
        /// Why.
        why: FlushError,
    },
    /// The outbox could not be written, so that its transaction is to be rolled back, and nothing was sent; or what waits in it could
    /// not be chosen so.
    #[error("the outbox does not take it: {0}")]
    Outbox(#[from] InboxError),
    /// The client was closed.
    #[error("the client is closed; make another one")]
    Closed,
    /// When it was closed, this many messages were still without their confirm, and may have arrived or not.
    #[error(
        "the client was closed while {0} of its messages were not confirmed; they may have arrived or not"
    )]
    Unflushed(usize),
}

impl ClientError {
    /// Whether the message may have arrived all the same: it is to be sent again under the same id, if at all.
    pub fn may_have_arrived(&self) -> bool {
        matches!(self, Self::Unconfirmed { .. } | Self::Unflushed(_))
    }

    pub(super) fn refused(name: &str, why: FlushError) -> Self {
        let name = name.to_owned();
        match why {
            FlushError::Unroutable { key, .. } => Self::Unrouted { name, queue: key },
            FlushError::Closed => Self::Closed,
            why => Self::Refused { name, why },
        }
    }
}

//! Why dead letters could not be read, requeued or discarded.

use crate::{broker::LinkError, client::ClientError, inbox::InboxError};

/// Why dead letters could not be read, requeued or discarded. `Display` says what happened, to what, and what to do. What was done
/// before it stays done; the other letters are where they were, and the same call can be made again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeadError {
    /// A condition of the filter can't hold for any letter.
    #[error("no dead letter can be chosen so: {0}")]
    Filter(String),
    /// There is no such queue.
    #[error(
        "there is no queue '{queue}'; name the whole work queue: SERVICE.NAME, such as docker.time.one-day.passed"
    )]
    Missing {
        /// The queue that was looked for.
        queue: String,
    },
    /// The broker refuses it; a person must change something before it can work.
    #[error("{0}")]
    Broker(#[from] LinkError),
    /// There was no connection within half a minute.
    #[error("the broker did not answer in time; try again")]
    Unanswered,
    /// The connection was lost while letters were read.
    #[error("the connection to the broker was lost; try again")]
    Lost,
    /// The connection was lost before it was certain that letters are removed.
    #[error("the connection was lost at the end: removed letters may still be there; list them again")]
    Unfinished,
    /// A letter is larger than a frame of this connection, and whatever lies behind it can't be reached.
    #[error(
        "a letter in '{queue}' can't be read, nor what lies behind it: {what}; raise frame_max, of the URL if that names one, else of \
         the broker (frame_max = 262144 in rabbitmq.conf, then restart it), and try again"
    )]
    Unreadable {
        /// Where it lies.
        queue: String,
        /// What the broker, or its client, says.
        what: String,
    },
    /// The inbox can't forget a letter, which was not requeued.
    #[error("stopped requeueing: {0}")]
    Inbox(#[from] InboxError),
    /// A letter was not confirmed: it may be in its queue, and among the dead letters too.
    #[error("stopped requeueing: {0}")]
    Client(#[from] ClientError),
}

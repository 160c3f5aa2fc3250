//! The state of a handle's connection, and why it can't be used.

use std::{fmt, time::Duration};
use tokio::{sync::watch, time::timeout};

/// The state of the connection, for this handle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Not usable; connecting is tried without end.
    Down {
        /// How many attempts failed since it was last up.
        attempts: u32,
        /// Why the last one failed; `None` before the first has ended.
        error: Option<LinkError>,
    },
    /// Usable.
    Up {
        /// Counts connections; deliveries of an older generation can't be settled any more.
        generation: u64,
        /// Which host of the broker, such as `RabbitMQ at localhost:5672`, and the address in brackets where the host's name has
        /// several (lapin keeps the version to itself).
        broker: String,
        /// The user of the connection, which `user_id` must equal.
        user: Option<String>,
    },
    /// Connected, but the broker accepts no messages (memory or disk alarm).
    Blocked {
        /// The broker's reason.
        reason: String,
    },
    /// The handle was closed. A consumer's last settlements have arrived; if they are lost with the connection, it stays
    /// [`Link::Down`], and the channel that tells of it ends.
    Closed,
}

impl Link {
    /// Waits for at most `limit` until a handle is closed: take its `link()`, drop the handle, and wait here, so that its pending
    /// settlements are written and the connection is closed in order.
    ///
    /// # Errors
    /// [`Unclosed`]: not everything may have arrived.
    pub async fn closed(mut link: watch::Receiver<Self>, limit: Duration) -> Result<(), Unclosed> {
        match timeout(limit, link.wait_for(|link| *link == Self::Closed)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Unclosed::Lost),
            Err(_) => Err(Unclosed::Late),
        }
    }
}

/// Why a dropped handle did not reach [`Link::Closed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unclosed {
    /// It ended with its connection lost.
    #[error("the connection was lost before the handle was closed")]
    Lost,
    /// It had not ended within the limit.
    #[error("the handle was not closed in time")]
    Late,
}

/// Why a connection could not be made or kept. `Display` says what happened, to what, and what to do, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkError {
    /// The class, by which callers decide.
    pub class: LinkErrorClass,
    /// What happened, and to what.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// Classes of [`LinkError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkErrorClass {
    /// The broker can't be reached (refused, timeout, name not found), or the connection was lost: worth trying again.
    Unreachable,
    /// Wrong user or password.
    AccessRefused,
    /// The vhost does not exist, or the user may not enter it.
    Vhost,
    /// Something exists with other arguments (406).
    Inequivalent,
    /// A delivery stayed unsettled longer than the broker allows, and it closed the channel: unsettled deliveries come again.
    Overdue,
    /// A message's headers are larger than a frame, so that it can't be read: the broker added its own to headers that filled one. It
    /// comes again until its queue's delivery limit moves it to the dead letters.
    TooLarge,
    /// The user may not do this (403, 405).
    Forbidden,
    /// The thing does not exist (404).
    Missing,
    /// TLS failed: a certificate, or plain text spoken to a TLS port or the other way round.
    Tls,
    /// The URL or the TLS files can't be used.
    Configuration,
}

impl LinkErrorClass {
    /// Whether a person must change something before it can work.
    pub fn needs_a_person(self) -> bool {
        !matches!(self, Self::Unreachable | Self::Overdue | Self::TooLarge)
    }
}

/// Arguments that a policy can set instead of the declaration.
const BY_POLICY: [&str; 11] = [
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-delivery-limit",
    "x-max-length",
    "x-max-length-bytes",
    "x-overflow",
    "x-expires",
    "x-queue-mode",
    "alternate-exchange",
];

impl LinkError {
    /// The error for an `object` (`queue 'q'`) that exists with another `argument`.
    pub(super) fn inequivalent(object: &str, argument: &str, ours: &str, theirs: &str) -> Self {
        let what = format!("the {object} exists with another '{argument}': we want {ours}, it has {theirs}");
        let version = "use a new name (such as one with a version at its end) and let the old one drain, or delete it, or declare it as it is";
        let remedy = if BY_POLICY.contains(&argument) {
            format!(
                "what is declared can't be changed: {version}; as an argument that a policy can set, it is better left out of declarations"
            )
        } else {
            format!("what is declared can't be changed, not by a policy either: {version}")
        };
        Self { class: LinkErrorClass::Inequivalent, what, remedy }
    }
}

impl LinkError {
    /// The error for an object of a topology that does not exist.
    pub(super) fn missing(thing: &str, name: &str, passive: bool) -> Self {
        let (what, remedy) = match passive {
            true => (
                format!("there is no {thing} '{name}', and this service declares nothing itself"),
                format!("have the {thing} declared by a user with configure permission, or correct the name"),
            ),
            false => (
                format!("the {thing} '{name}' no longer exists"),
                format!(
                    "it is declared again; find out who deleted the {thing}: its bindings may have to be made again"
                ),
            ),
        };
        Self { class: LinkErrorClass::Missing, what, remedy }
    }

    /// The error for looking up a queue without a name.
    pub(super) fn nameless() -> Self {
        Self {
            class: LinkErrorClass::Configuration,
            what: "a queue without a name can't be looked up: the broker names it when it is declared".into(),
            remedy: "name the queue, or don't make the topology passive".into(),
        }
    }
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl std::error::Error for LinkError {}

/// The handle is closed: its task has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the broker handle is closed")]
pub struct Closed;

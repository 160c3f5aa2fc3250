//! How often something is done for one key: once in a period, not again until it is done, or once it has been quiet.
//!
//! No lock is held anywhere. What is sent in a period has one id, by which an inbox takes it once; what is to be done before it may
//! be sent again has a row in the sender's own database, and what waits until it is quiet is such a row. ADRs 0047 and 0050 have the
//! reasons.
//!
//! Absent: who remembers that, which is the inbox's.

mod canonical;

use crate::{
    clock::millis,
    declared::{Checked, MessageKind},
    event::{EventId, EventName, Timestamp},
    inbox::Quiet,
    worker::PublishError,
};
use std::{fmt::Display, time::Duration};
use uuid::Uuid;

/// UUIDv5 of the URL namespace and `urn:ponos:once`.
const NAMESPACE: Uuid = Uuid::from_u128(0x7824_bf21_4aa7_5e6f_8f66_d1f9_724e_3722);
/// The longest key in bytes: an index limits the length of what it holds.
const KEY: usize = 512;
/// The shortest period.
const SHORTEST: Duration = Duration::from_secs(1);
/// How long what is never done keeps others from being sent, unless it is said.
const AT_MOST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The most that may be said.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// How many times as long as it is to be quiet something waits at most, unless it is said.
const STEADY: u32 = 10;

/// How often something is done for one key. See [`Once::per`], [`Once::until_done`] and [`Once::debounce`].
///
/// ```
/// # use ponos::{Once, prelude::*};
/// # use serde_json::json;
/// # use std::time::Duration;
/// async fn changed(order: u64, context: Context) -> HandlerResult {
///     // however often an order changes: one invoice of it an hour
///     let hourly = Once::per(Duration::from_secs(3600)).key(order);
///     context.once(hourly).task("orders.invoice.print", &json!({ "order": order })).await?;
///     Ok(Done)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "give it to what is sent"]
pub struct Once {
    often: Often,
    key: Option<String>,
    at_most: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Often {
    Per(Duration),
    UntilDone,
    Debounce(Duration),
}

/// The answer of what sends [`Once`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// It is sent, under this id; of [`Once::debounce`]: unless another one takes its place.
    New(EventId),
    /// It is not sent: that of this id is not done yet ([`Once::until_done`]).
    Existing(EventId),
}

impl Sent {
    /// The id of what was sent now, or before.
    pub fn id(&self) -> &EventId {
        match self {
            Self::New(id) | Self::Existing(id) => id,
        }
    }

    pub(crate) fn into_id(self) -> EventId {
        match self {
            Self::New(id) | Self::Existing(id) => id,
        }
    }

    /// Whether it is sent now.
    pub fn is_new(&self) -> bool {
        matches!(self, Self::New(_))
    }
}

impl Once {
    /// At most once in each period, of whole milliseconds, 1 s at least: all that is sent of a key in a period has one id
    /// ([`once_id`]), and an inbox takes an id once. Copies may lie in the queue; one that failed for good is not done, and a later
    /// copy runs. The periods are fixed: of an hour, each begins with the hour in UTC, and two that are sent on both sides of its
    /// beginning are both done. The instant is the sender's; of what is sent later, when it is due.
    ///
    /// Whoever handles it needs an inbox that remembers for longer than the period. That of the sender, 7 days where it has none,
    /// bounds it.
    pub fn per(period: Duration) -> Self {
        Self { often: Often::Per(period), key: None, at_most: None }
    }

    /// Not again until it is done: while a task of that key is waiting, at work or to be tried again, no other one is sent
    /// ([`Sent::Existing`]). Done, skipped and dead ones leave the way free.
    ///
    /// It is for tasks, and needs an inbox on Postgres: a row is written in the sender's transaction, and taken away in that of the
    /// task's own handler. Who sends the same key at the same time waits for the other's commit or rollback. A task that ends by no
    /// handler (purged, expired in its queue) leaves its row until [`Once::at_most`] is over.
    pub fn until_done() -> Self {
        Self { often: Often::UntilDone, key: None, at_most: None }
    }

    /// The last one, once it has been quiet for so long: what is sent waits, and the next one of its key takes its place and begins the
    /// wait anew. So of all that follow each other within `quiet` one is sent, with the data and the id of the last, `quiet` after it.
    /// Of a steady stream one is sent at the latest [`Once::at_most`] after the first: 10 times `quiet`, unless that is said. `quiet`
    /// is 1 s at least, in whole milliseconds, by the clock of the database.
    ///
    /// It needs an inbox on Postgres, in whose outbox it waits ([`Inbox::waiting`](crate::inbox::Inbox::waiting)). One that a handler
    /// sends takes the place of another when the handler commits. While one is being sent, the next one of its key waits until that is
    /// confirmed, and is sent after it.
    ///
    /// ```
    /// # use ponos::{Once, prelude::*};
    /// # use std::time::Duration;
    /// async fn changed(item: u64, context: Context) -> HandlerResult {
    ///     // once nobody has changed it for 10 s, and at the latest a minute after the first change
    ///     let quiet = Once::debounce(Duration::from_secs(10)).at_most(Duration::from_secs(60));
    ///     context.once(quiet.key(item)).task("shop.index.update", &item).await?;
    ///     Ok(Done)
    /// }
    /// ```
    pub fn debounce(quiet: Duration) -> Self {
        Self { often: Often::Debounce(quiet), key: None, at_most: None }
    }

    /// What it is once of, with service and name; at most 512 bytes. By default the SHA-256 of all its data ([`payload_key`]).
    pub fn key(self, key: impl Display) -> Self {
        Self { key: Some(key.to_string()), ..self }
    }

    /// Of [`Once::until_done`]: after this time (by default 7 days, at most 366) another one is sent, whatever became of this one. Of
    /// what is sent later it begins when that is due. Of [`Once::debounce`]: so long after the first one of a stream it is sent, though
    /// others follow (by default 10 times the time that it is to be quiet; at least that once).
    pub fn at_most(self, time: Duration) -> Self {
        Self { at_most: Some(time), ..self }
    }

    /// What follows from it for a message of this service at this instant, where the inbox remembers for so long.
    pub(crate) fn resolve(
        &self,
        service: &str,
        checked: &Checked,
        (at, remembered): (Timestamp, Duration),
    ) -> Result<Resolved, PublishError> {
        let refuse = |what: String| PublishError::Once { name: checked.name.to_string(), what };
        if let Some(fault) = self.fault(checked.kind, remembered) {
            return Err(refuse(fault));
        }
        let key = match &self.key {
            Some(key) => key.clone(),
            None => {
                let data = serde_json::from_slice(&checked.body);
                payload_key(&data.map_err(|why| PublishError::Payload(checked.name.to_string(), why))?)
            }
        };
        Ok(match self.often {
            Often::Per(period) => Resolved::Per(uuid(service, &checked.name, &key, (period, at))),
            Often::UntilDone => Resolved::UntilDone(Claim { key, at_most: self.at_most.unwrap_or(AT_MOST) }),
            Often::Debounce(quiet) => Resolved::Debounce(Quiet {
                key: Uuid::new_v5(&NAMESPACE, format!("{}\n{key}", checked.name).as_bytes()),
                quiet,
                at_most: self.at_most.unwrap_or(quiet.saturating_mul(STEADY).min(LONGEST)),
            }),
        })
    }

    fn fault(&self, kind: MessageKind, remembered: Duration) -> Option<String> {
        if let Some(key) = self.key.as_ref().filter(|key| key.is_empty() || key.len() > KEY) {
            return Some(format!("the key of its Once has {} bytes, and 1 to {KEY} are allowed", key.len()));
        }
        let days = |time: Duration| time.as_secs_f64() / 86_400.0;
        match (self.often, self.at_most) {
            (Often::Per(period), _) if period < SHORTEST => {
                Some(format!("Once::per has a period of {period:?}, and 1 s is the shortest"))
            }
            (Often::Per(period), _) if period > remembered => Some(format!(
                "Once::per has a period of {} days, and an inbox remembers what was done for {} days: take a shorter one, or Inbox::with_retention",
                days(period),
                days(remembered)
            )),
            (Often::Per(_), Some(_)) => Some(
                "Once::at_most goes with Once::until_done and Once::debounce; a period ends by itself".into(),
            ),
            (Often::UntilDone, _) if kind == MessageKind::Event => Some(
                "Once::until_done is for tasks: an event has any number of handlers, and is never done"
                    .into(),
            ),
            (Often::UntilDone, Some(time)) if time < SHORTEST || time > LONGEST => {
                Some(format!("Once::at_most is {time:?}, and 1 s to {} days are allowed", days(LONGEST)))
            }
            (Often::Debounce(quiet), _) if quiet < SHORTEST || quiet > LONGEST => Some(format!(
                "Once::debounce waits until it is quiet for {quiet:?}, and 1 s to {} days are allowed",
                days(LONGEST)
            )),
            (Often::Debounce(quiet), Some(time)) if time < quiet || time > LONGEST => Some(format!(
                "Once::at_most is {time:?}, and of Once::debounce({quiet:?}) that time to {} days are allowed",
                days(LONGEST)
            )),
            _ => None,
        }
    }
}

/// What follows from [`Once`] for one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// It has this id.
    Per(Uuid),
    /// It is sent if this can be claimed.
    UntilDone(Claim),
    /// It waits in the outbox.
    Debounce(Quiet),
}

/// A key of which one task at a time is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "it is refused without"))]
pub(crate) struct Claim {
    pub(crate) key: String,
    pub(crate) at_most: Duration,
}

/// Why what is [`Once::until_done`] can't be sent this way.
pub(crate) fn needs_postgres(name: &EventName, remedy: &str) -> PublishError {
    without_a_row("Once::until_done keeps a row in the sender's transaction", name, remedy)
}

/// Why what is [`Once::debounce`] can't be sent this way.
pub(crate) fn needs_outbox(name: &EventName, remedy: &str) -> PublishError {
    without_a_row("Once::debounce keeps a row in the sender's outbox", name, remedy)
}

fn without_a_row(keeps: &str, name: &EventName, remedy: &str) -> PublishError {
    let what = format!("{keeps}, which takes an inbox on Postgres (Inbox::postgres): {remedy}");
    PublishError::Once { name: name.to_string(), what }
}

/// The id of what is sent [`Once::per`] period at this instant: UUIDv5, in the namespace
/// `7824bf21-4aa7-5e6f-8f66-d1f9724e3722`, of the UTF-8 text `service ⏎ name ⏎ key ⏎ number`, where `⏎` is one line feed and the
/// number is that of the period: milliseconds since 1970 in UTC, divided by those of the period and rounded down.
///
/// ```
/// use std::time::Duration;
/// let at = "2026-12-01T09:59:59.999Z".parse().unwrap();
/// let name = "orders.invoice.print".parse().unwrap();
/// let id = ponos::once_id("orders", &name, "7", Duration::from_secs(3600), at);
/// // python3 -c 'import uuid; print(uuid.uuid5(uuid.UUID("7824bf21-4aa7-5e6f-8f66-d1f9724e3722"),
/// //             "orders\norders.invoice.print\n7\n%d" % (1796119199999 // 3600000)))'
/// assert_eq!(id.as_str(), "dff034a6-fe8b-5f98-bcdb-55732970020e");
/// ```
pub fn once_id(service: &str, name: &EventName, key: &str, period: Duration, at: Timestamp) -> EventId {
    uuid(service, name, key, (period, at)).into()
}

fn uuid(service: &str, name: &EventName, key: &str, (period, at): (Duration, Timestamp)) -> Uuid {
    let number = at.millis().div_euclid(millis(period).max(1));
    Uuid::new_v5(&NAMESPACE, format!("{service}\n{name}\n{key}\n{number}").as_bytes())
}

/// The key of data without one: the SHA-256, in lower-case hexadecimal digits, of their canonical JSON. That is RFC 8785 (no spaces,
/// names of an object in the order of their UTF-16 units, numbers as JavaScript writes them), but that integers keep all their
/// digits beyond 2⁵³, where JavaScript rounds them.
pub fn payload_key(data: &serde_json::Value) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(canonical::written(data).as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;

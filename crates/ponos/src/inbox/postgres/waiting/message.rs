//! One message that waits, as it is shown.

use super::WaitingKind;
use crate::{
    event::{Message, Timestamp},
    inbox::postgres::encoding,
};
use sqlx::{Row, postgres::PgRow};

/// A message that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitingMessage {
    /// Its id.
    pub id: String,
    /// The event's or task's name; `None` in a row of an earlier version.
    pub name: Option<String>,
    /// What it waits for.
    pub kind: WaitingKind,
    /// The queue that it goes to, if it is a task or a retry.
    pub queue: Option<String>,
    /// Since when it waits.
    pub since: Timestamp,
    /// When it is due; `None` for at once.
    pub due: Option<Timestamp>,
    /// Of a retry: which attempt the next one is.
    pub attempt: Option<i64>,
    /// Of a retry: why it waits.
    pub reason: Option<String>,
    /// How often it could not be sent, since it was last moved.
    pub failures: u32,
    /// Why it could not be sent the last time.
    pub last_error: Option<String>,
    /// It is no longer tried: it could not be sent for about an hour.
    pub is_parked: bool,
    /// The bytes of its body.
    pub bytes: u64,
    /// The exchange to which it is published.
    pub exchange: String,
    /// The message itself, without its body in a list; the error says why it can't be read.
    pub message: Result<Message, String>,
}

/// Some messages that wait, and where to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitingPage {
    /// What is due first comes first.
    pub messages: Vec<WaitingMessage>,
    /// Where to go on; `None` at the end.
    pub next: Option<WaitingPlace>,
}

/// Behind a message of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingPlace {
    /// As the database writes it: to the microsecond, or an infinity.
    pub(super) next_try: String,
    pub(super) seq: i64,
}

/// Reads a row.
pub(super) fn of_row(row: PgRow) -> Result<(WaitingPlace, WaitingMessage), sqlx::Error> {
    let (head, body): (String, Vec<u8>) = (row.try_get("head")?, row.try_get("body")?);
    let message = encoding::message(&head, body).map_err(|error| error.to_string());
    let (kind, bytes, attempts): (String, i64, i32) =
        (row.try_get("kind")?, row.try_get("bytes")?, row.try_get("attempts")?);
    let instant = |column| -> Result<Option<Timestamp>, sqlx::Error> {
        Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_millis))
    };
    let kind = WaitingKind::of(&kind);
    let attempt = message.as_ref().ok().and_then(|message| message.headers.int("retry-attempt"));
    let waiting = WaitingMessage {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        queue: row.try_get("queue")?,
        since: instant("at")?.unwrap_or_default(),
        due: instant("due")?,
        attempt: attempt.filter(|_| kind == WaitingKind::Retry),
        reason: row.try_get("reason")?,
        failures: attempts.unsigned_abs(),
        last_error: row.try_get("last_error")?,
        is_parked: row.try_get("parked")?,
        bytes: bytes.unsigned_abs(),
        exchange: row.try_get("exchange")?,
        kind,
        message,
    };
    Ok((WaitingPlace { next_try: row.try_get("place")?, seq: row.try_get("seq")? }, waiting))
}

//! Makes the messages of retries and dead letters, and reads attempts from headers. Pure.
//!
//! Invariant: id, properties and body stay what they were; an attempt is counted in our own headers alone.

mod smaller;

pub(crate) use smaller::{is_own_header, smaller};

use super::{
    LONGEST_RETRY,
    ended::{DeadKind, Death},
};
use crate::{
    broker::resent,
    clock::millis,
    event::{Event, HeaderValue, Headers, Message, Timestamp},
    topology::worker::{RETURN, rung},
};
use std::time::Duration;

/// The longest `retry-reason`, in bytes.
const REASON: usize = 1_000;
/// The longest `dead-reason`, in bytes.
const DEAD_REASON: usize = 4_000;
/// The header of a dead letter that says why.
const DEAD_KIND: &str = "dead-kind";
/// How much clocks may differ before a due time counts as malformed.
const SLACK: Duration = Duration::from_secs(3600);
/// The headers that only a retry has: a message that is requeued from the dead letters starts without them.
const OF_A_RETRY: [&str; 8] = [
    "retry-due",
    "retry-attempt",
    "retry-first-seen",
    "retry-reason",
    "retry-waits",
    "retry-waits-since",
    ALONE,
    UNAVAILABLE,
];
/// The header of what failed in a batch: it is handled by itself from then on.
const ALONE: &str = "retry-alone";
/// The header of what was put off because something that it needs was unavailable.
const UNAVAILABLE: &str = "retry-unavailable";

/// The attempt that a message is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// From 1.
    pub(crate) number: u32,
    /// When the first began.
    pub(crate) first_seen: Timestamp,
    /// When this one is due, if it was put off.
    pub(crate) due: Option<Timestamp>,
    /// Why the last one failed, or this one was put off.
    pub(crate) failure: Option<String>,
    /// How often this one was put off without being spent.
    pub(crate) waits: Option<Waits>,
    /// It is in no batch with others any more.
    pub(crate) alone: bool,
    /// It was put off because something that it needs was unavailable.
    pub(crate) unavailable: bool,
}

/// How often an attempt was released, snoozed, or waited for what was unavailable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waits {
    /// From 1.
    pub(crate) count: u64,
    /// When it first was.
    pub(crate) since: Timestamp,
}

impl Attempt {
    /// The first attempt, now.
    pub(crate) fn first(now: Timestamp) -> Self {
        Self {
            number: 1,
            first_seen: now,
            due: None,
            failure: None,
            waits: None,
            alone: false,
            unavailable: false,
        }
    }

    /// The next attempt, due at `due`, because of `failure`.
    pub(crate) fn next(&self, due: Timestamp, failure: String) -> Self {
        Self {
            number: self.number.saturating_add(1),
            first_seen: self.first_seen,
            due: Some(due),
            failure: Some(failure),
            waits: None,
            alone: self.alone,
            unavailable: false,
        }
    }

    /// The same attempt, put off at `now` once more.
    pub(crate) fn put_off(&self, now: Timestamp) -> Waits {
        let before = self.waits.unwrap_or(Waits { count: 0, since: now });
        // a time that is yet to come would put it off for ever
        Waits { count: before.count.saturating_add(1), since: before.since.min(now) }
    }

    /// Reads the attempt from the headers of a message that comes at `now`.
    ///
    /// # Errors
    /// A death that names the header which is of the wrong type or not valid.
    pub(crate) fn read(headers: &Headers, now: Timestamp) -> Result<Self, Death> {
        let Some(number) = headers.get("retry-attempt") else {
            let due = instant(headers, "retry-due")?;
            return Ok(Self { due: sane(due, now)?, ..Self::first(now) });
        };
        let HeaderValue::Int(number) = number else {
            return Err(wrong("retry-attempt", "an integer", number));
        };
        let number = u32::try_from(*number).ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| malformed("header retry-attempt is not a number from 1 up"))?;
        Ok(Self {
            number,
            first_seen: instant(headers, "retry-first-seen")?.unwrap_or(now),
            due: sane(instant(headers, "retry-due")?, now)?,
            failure: headers.text("retry-reason").map(str::to_owned),
            waits: waits(headers)?,
            alone: headers.get(ALONE).is_some(),
            unavailable: headers.get(UNAVAILABLE).is_some(),
        })
    }

    /// How long it must still wait, when that is worth a way around the ladder: a second or more.
    pub(crate) fn early(&self, now: Timestamp) -> Option<Timestamp> {
        self.due.filter(|due| due.since(now) >= 1_000)
    }
}

impl Waits {
    /// How long a message waits that was released this often: on the shortest rungs first, then longer.
    pub(crate) fn released(self) -> Duration {
        Duration::from_secs(match self.count {
            0..=10 => 1,
            11..=50 => 5,
            _ => 30,
        })
    }

    /// How long a message waits to which something was unavailable this often.
    pub(crate) fn unavailable(self) -> Duration {
        Duration::from_secs(match self.count {
            0..=1 => 1,
            2 => 5,
            _ => 30,
        })
    }
}

fn waits(headers: &Headers) -> Result<Option<Waits>, Death> {
    let Some(since) = instant(headers, "retry-waits-since")? else { return Ok(None) };
    let count = match headers.get("retry-waits") {
        None => 0,
        Some(HeaderValue::Int(count)) => u64::try_from(*count).unwrap_or(0),
        Some(other) => return Err(wrong("retry-waits", "an integer", other)),
    };
    Ok(Some(Waits { count, since }))
}

fn malformed(what: impl Into<String>) -> Death {
    Death::new(DeadKind::Malformed, what)
}

fn wrong(name: &str, expected: &str, value: &HeaderValue) -> Death {
    let found = match value {
        HeaderValue::Text(text) => format!("the text '{}'", cut(text.clone(), 80)),
        HeaderValue::Int(number) => format!("the integer {number}"),
        _ => "of another type".into(),
    };
    malformed(format!("header {name} is {found}; expected {expected}"))
}

fn instant(headers: &Headers, name: &str) -> Result<Option<Timestamp>, Death> {
    match headers.get(name) {
        None => Ok(None),
        Some(HeaderValue::Time(instant)) => Ok(Some(*instant)),
        Some(HeaderValue::Text(text)) => match text.parse() {
            Ok(instant) => Ok(Some(instant)),
            Err(error) => Err(malformed(format!("header {name}: {error}"))),
        },
        Some(other) => Err(wrong(name, "an RFC 3339 text", other)),
    }
}

/// Refuses a due time beyond the longest wait, with which the message would go around for ever.
fn sane(due: Option<Timestamp>, now: Timestamp) -> Result<Option<Timestamp>, Death> {
    match due {
        Some(due) if due.since(now) > millis(LONGEST_RETRY + SLACK) => {
            Err(malformed(format!("header retry-due is {due}; a retry waits for at most 7 days")))
        }
        due => Ok(due),
    }
}

/// The exchange to publish to so that a message due at `due` comes back in time: the longest rung that fits. Below the
/// shortest one the nearer of that and the way back itself: else what is to wait a second, less some jitter, would not
/// wait at all.
pub(crate) fn exchange(due: Timestamp, now: Timestamp) -> &'static str {
    let remaining = u64::try_from(due.since(now)).unwrap_or(0);
    let remaining = Duration::from_millis(remaining);
    let shortest = Duration::from_secs(1);
    let rounded = if remaining * 2 < shortest { remaining } else { remaining.max(shortest) };
    rung(rounded).unwrap_or(RETURN)
}

/// The message for the attempt `next`, to be published with the queue's name as key.
pub(crate) fn retry_message(message: Message, queue: &str, event: &Event, next: &Attempt) -> Message {
    let mut message = resent(message, queue, Some(event.id.as_str()));
    let headers = &mut message.headers;
    headers.set("retry-attempt", i64::from(next.number));
    headers.set("retry-first-seen", next.first_seen.to_string());
    if let Some(due) = next.due {
        headers.set("retry-due", due.to_string());
    }
    if let Some(failure) = &next.failure {
        headers.set("retry-reason", cut(failure.clone(), REASON));
    }
    if next.alone {
        headers.set(ALONE, 1);
    }
    match next.waits {
        Some(Waits { count, since }) => {
            headers.set("retry-waits", i64::try_from(count).unwrap_or(i64::MAX));
            headers.set("retry-waits-since", since.to_string());
        }
        None => {
            headers.remove("retry-waits");
            headers.remove("retry-waits-since");
        }
    }
    match next.unavailable {
        true => headers.set(UNAVAILABLE, 1),
        false => _ = headers.remove(UNAVAILABLE),
    }
    message
}

/// Whether a message is in no batch with others, because it failed before.
pub(crate) fn comes_alone(headers: &Headers) -> bool {
    headers.get(ALONE).is_some() || headers.int("retry-attempt").is_some_and(|number| number > 1)
}

/// The message as it came, to be published with the queue's name as key.
pub(crate) fn unread(message: Message, queue: &str) -> Message {
    resent(message, queue, None)
}

/// The dead letter, to be published with the queue's name as key.
pub(crate) fn dead(
    message: Message,
    queue: &str,
    event: Option<&Event>,
    (death, attempt, now): (&Death, &Attempt, Timestamp),
) -> Message {
    let mut message = resent(message, queue, event.map(|event| event.id.as_str()));
    let headers = &mut message.headers;
    for name in OF_A_RETRY {
        headers.remove(name);
    }
    headers.set(DEAD_KIND, death.kind.as_str());
    headers.set("dead-reason", cut(death.reason.clone(), DEAD_REASON));
    headers.set("dead-queue", queue);
    headers.set("dead-at", now.to_string());
    headers.set("dead-attempt", i64::from(attempt.number));
    headers.set("dead-first-seen", attempt.first_seen.to_string());
    message
}

/// Cuts a text to at most `most` bytes, between characters.
fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let mut end = most - '…'.len_utf8();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;

//! The history that dead-lettering writes into a message: `x-death` and its companions, as `rabbit_dead_letter` 3.10.

use super::queue::Stored;
use ponos_event::{HeaderValue, Headers, Message, Timestamp};

/// Why a message left its queue for the dead-letter exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Rejected,
    Expired,
    MaxLen,
    DeliveryLimit,
}

impl Reason {
    fn text(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::MaxLen => "maxlen",
            Self::DeliveryLimit => "delivery_limit",
        }
    }
}

/// The message as it goes to the dead-letter exchange: with `key` if the queue names one, without its expiration (it
/// would expire again), and with one more death at the head of `x-death`.
pub(super) fn dead_letter(
    stored: &Stored,
    queue: &str,
    reason: Reason,
    key: Option<&str>,
    now: u64,
) -> Message {
    let mut message = Message::clone(&stored.message);
    let mut death: Headers = [
        ("reason", HeaderValue::from(reason.text())),
        ("queue", HeaderValue::from(queue)),
        (
            "time",
            HeaderValue::Time(Timestamp::from_millis(i64::try_from(now / 1000 * 1000).unwrap_or(i64::MAX))),
        ),
        ("exchange", HeaderValue::from(&*stored.exchange)),
        ("routing-keys", HeaderValue::List(vec![HeaderValue::Text(message.routing_key.clone())])),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    if let Some(expiration) = message.properties.expiration.take() {
        death.set("original-expiration", expiration.to_string());
    }
    let mut deaths = match message.headers.get("x-death") {
        Some(HeaderValue::List(deaths)) => deaths.clone(),
        _ => {
            message.headers.set("x-first-death-reason", reason.text());
            message.headers.set("x-first-death-queue", queue);
            message.headers.set("x-first-death-exchange", &*stored.exchange);
            Vec::new()
        }
    };
    let same = deaths.iter().position(|earlier| {
        death_field_is(earlier, "queue", queue) && death_field_is(earlier, "reason", reason.text())
    });
    let death = match same.map(|at| deaths.remove(at)) {
        Some(HeaderValue::Table(mut earlier)) => {
            let count = earlier.int("count").unwrap_or(0).saturating_add(1);
            earlier.set("count", count);
            earlier
        }
        _ => {
            death.set("count", 1);
            death
        }
    };
    deaths.insert(0, HeaderValue::Table(death));
    message.headers.set("x-death", HeaderValue::List(deaths));
    if let Some(key) = key {
        message.routing_key = key.to_owned();
    }
    message
}

/// Whether bringing `message` into `queue` would close a cycle that turns by itself: it died there before, and nobody
/// rejected it since. Such a letter is dropped.
pub(super) fn closes_a_cycle(message: &Message, queue: &str) -> bool {
    let Some(HeaderValue::List(deaths)) = message.headers.get("x-death") else { return false };
    let Some(at) = deaths.iter().position(|death| death_field_is(death, "queue", queue)) else {
        return false;
    };
    !deaths[..=at].iter().any(|death| death_field_is(death, "reason", "rejected"))
}

fn death_field_is(death: &HeaderValue, field: &str, expected: &str) -> bool {
    matches!(death, HeaderValue::Table(table) if table.text(field) == Some(expected))
}

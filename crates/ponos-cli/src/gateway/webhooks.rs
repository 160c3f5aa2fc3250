//! Signed webhooks: Standard Webhooks and GitHub's. The signature is checked over the bytes of the body as they came, before
//! anything in it is read.
//!
//! What was accepted is remembered for a while, so that a webhook that is sent twice is answered and not published again. GitHub
//! signs neither the delivery's id nor its event, so whoever saw a delivery can send it under other ones. Bounds: how much is remembered, and how many signatures are looked at.

use super::{
    access,
    keys::Keys,
    reading::{Plain, malformed, of_webhook},
    settings::{Webhook, WebhookScheme},
};
use crate::{
    http::problem::{BodyFault, Problem},
    trouble::Trouble,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use hyper::{HeaderMap, StatusCode};
use ponos::event::{Event, EventId, EventName, Timestamp, from_json};
use ponos_http::Rate;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How far from now the time of a webhook may be, in milliseconds: Standard Webhooks say five minutes.
const TOLERANCE: i64 = 5 * 60 * 1_000;
/// Signatures of one webhook that are looked at.
const SIGNATURES: usize = 16;
/// Accepted webhooks of one name that are remembered.
const REMEMBERED: usize = 10_000;

/// One of them, ready to be used.
pub(super) struct WebhookRoute {
    of: Webhook,
    keys: Keys,
    /// `source` of its events.
    source: String,
    rate: Option<Arc<Rate>>,
    accepted: Mutex<Accepted>,
}

/// What was accepted, by the digest of what was signed.
#[derive(Default)]
struct Accepted {
    ids: HashMap<[u8; 32], EventId>,
    order: VecDeque<[u8; 32]>,
}

/// A webhook whose signature is right.
#[derive(Debug)]
pub(super) enum Verified {
    /// It is to be published.
    New(Box<Event>, Signed),
    /// It was accepted before, under this id.
    Repeated(EventId),
    /// GitHub tries whether somebody is there.
    Ping,
}

/// What makes a webhook the same as another, in short: its id, and what was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signed([u8; 32]);

impl WebhookRoute {
    /// With its keys, which are read now.
    ///
    /// # Errors
    /// A key can't be read.
    pub(super) fn new(webhook: &Webhook, service: &str, a_second: Option<u32>) -> Result<Self, Trouble> {
        Ok(Self {
            keys: Keys::read(webhook)?,
            source: format!("/{service}/webhooks/{}", webhook.name),
            rate: access::rate(a_second),
            of: webhook.clone(),
            accepted: Mutex::default(),
        })
    }

    /// Checks who signed it, and makes an event of it.
    ///
    /// # Errors
    /// 400 for what is no webhook of this scheme, 401 for a signature that is wrong or old, 422 for an event that is not configured.
    pub(super) fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Verified, Problem> {
        let (id, signed) = match self.of.scheme {
            WebhookScheme::Standard => self.standard(headers, body, now)?,
            WebhookScheme::GitHub => self.github(headers, body)?,
        };
        if let Some(id) = self.accepted().ids.get(&signed.0) {
            return Ok(Verified::Repeated(id.clone()));
        }
        let data: Value = from_json(body).map_err(|why| {
            malformed(vec![BodyFault::new("", format!("the body is not valid JSON: {why}"))])
        })?;
        let kind = match self.of.scheme {
            WebhookScheme::Standard => data.get("type").and_then(Value::as_str),
            WebhookScheme::GitHub => Some(text(headers, "x-github-event")?),
        };
        let event = kind.and_then(|kind| self.of.events.get(kind)).or(self.of.event.as_ref());
        match (event, kind) {
            (Some(event), _) => Ok(Verified::New(Box::new(self.event(id, event, body)), signed)),
            (None, Some("ping")) if self.of.scheme == WebhookScheme::GitHub => Ok(Verified::Ping),
            (None, kind) => Err(self.unmapped(kind)),
        }
    }

    /// Takes one event from the rate.
    ///
    /// # Errors
    /// 429.
    pub(super) fn take_one(&self) -> Result<(), Problem> {
        access::take(self.rate.as_deref(), 1)
    }

    /// Remembers that this was accepted.
    pub(super) fn remember(&self, Signed(signed): Signed, id: EventId) {
        let mut accepted = self.accepted();
        if accepted.ids.insert(signed, id).is_none() {
            accepted.order.push_back(signed);
        }
        if accepted.order.len() > REMEMBERED
            && let Some(oldest) = accepted.order.pop_front()
        {
            accepted.ids.remove(&oldest);
        }
    }

    fn event(&self, id: EventId, event: &EventName, body: &[u8]) -> Event {
        of_webhook(id, Plain { event, source: &self.source }, body)
    }

    fn unmapped(&self, kind: Option<&str>) -> Problem {
        let what = match kind {
            Some(kind) => format!(
                "'{}' is none of the events of the webhook '{}': add it to events in [[gateway.webhooks]], or set event for all others",
                ponos::text::shown(kind),
                self.of.name
            ),
            None => {
                format!("the body has no text type, and the webhook '{}' has no event for all", self.of.name)
            }
        };
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unmapped", what)
    }

    /// By the specification of Standard Webhooks.
    fn standard(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(EventId, Signed), Problem> {
        let id = text(headers, "webhook-id")?;
        let at = text(headers, "webhook-timestamp")?;
        let seconds: i64 =
            at.parse().map_err(|_| bad("the header webhook-timestamp is not a number of seconds"))?;
        let given = text(headers, "webhook-signature")?;
        let signatures = given.split(' ').filter_map(|one| one.strip_prefix("v1,")).take(SIGNATURES);
        let signatures: Vec<Vec<u8>> =
            signatures.filter_map(|one| BASE64_STANDARD.decode(one).ok()).collect();
        let parts: [&[u8]; 5] = [id.as_bytes(), b".", at.as_bytes(), b".", body];
        if !self.keys.verify(&parts, &signatures) {
            return Err(wrong());
        }
        let age = now.millis().saturating_sub(seconds.saturating_mul(1_000));
        if !(-TOLERANCE..=TOLERANCE).contains(&age) {
            let what = "the webhook was signed more than five minutes before or after now: send it anew, or set the clock right";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "old-signature", what));
        }
        Ok((event_id(id)?, Signed::of(&parts)))
    }

    /// By GitHub's documentation: a delivery is what its id says. Two deliveries may have the same body, byte for byte, so a body
    /// that was seen under another id is a webhook of its own.
    fn github(&self, headers: &HeaderMap, body: &[u8]) -> Result<(EventId, Signed), Problem> {
        let kind = text(headers, "content-type").unwrap_or_default();
        if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
            let what = "set the content type of the webhook to application/json at GitHub";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", what));
        }
        let id = text(headers, "x-github-delivery")?;
        // not signed, but it says what is published
        text(headers, "x-github-event")?;
        let signature = text(headers, "x-hub-signature-256")?.strip_prefix("sha256=").and_then(from_hex);
        if !signature.is_some_and(|signature| self.keys.verify(&[body], &[signature])) {
            return Err(wrong());
        }
        Ok((event_id(id)?, Signed::of(&[id.as_bytes(), b"\n", body])))
    }

    fn accepted(&self) -> MutexGuard<'_, Accepted> {
        // nothing is left half done that matters
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Signed {
    fn of(parts: &[&[u8]]) -> Self {
        let mut digest = Sha256::new();
        parts.iter().for_each(|part| digest.update(part));
        Self(digest.finalize().into())
    }
}

/// The value of a header that is there once.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Problem> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty());
    value
        .filter(|_| values.next().is_none())
        .ok_or_else(|| bad(&format!("the header {name} must be there, once")))
}

fn event_id(text: &str) -> Result<EventId, Problem> {
    text.parse().map_err(|why| bad(&format!("the webhook's id can't be that of an event: {why}")))
}

fn bad(what: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "no-webhook", what)
}

fn wrong() -> Problem {
    let what =
        "the signature is not that of any key of this webhook, or something on the way changed the body";
    Problem::new(StatusCode::UNAUTHORIZED, "wrong-signature", what)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

#[cfg(test)]
mod tests;

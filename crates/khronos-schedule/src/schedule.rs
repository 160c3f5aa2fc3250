//! A valid schedule: what to publish when, and what to do about what could not be sent in time.

use super::timing::Timing;
use ponos_event::{EventName, Timestamp};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, sync::Arc};

/// A schedule, built once from a [`Definition`](super::Definition) and valid from then on.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Unique; also the key of its history.
    pub name: Arc<str>,
    /// What is published.
    pub event: EventName,
    /// When.
    pub timing: Timing,
    /// What happens to occurrences that could not be sent in time.
    pub catch_up: CatchUp,
    /// Occurrences are settled as skipped.
    pub paused: bool,
    /// Milliseconds after the due time at which the event expires.
    pub expires: Option<i64>,
    /// What a return (nobody is bound) means.
    pub unrouted: Unrouted,
    /// How often what the broker refused is sent again.
    pub resends: ResendPolicy,
    /// For one-shots whose due time is gone when first seen.
    pub past: Past,
    /// The operator's own payload.
    pub data: Option<serde_json::Value>,
    /// The number of its creation at run time; 0: it comes from a file.
    pub creation: u64,
}

impl Schedule {
    /// How it behaves.
    pub(super) fn delivery_policy(&self) -> DeliveryPolicy {
        let Self { catch_up, paused, expires, unrouted, resends, past, .. } = *self;
        DeliveryPolicy { catch_up, paused, expires, unrouted, resends, past }
    }

    /// What stands for it in the ids of its events: its name; `name@n` if it was created at run time.
    pub fn id_name(&self) -> Cow<'_, str> {
        id_name(&self.name, self.creation)
    }

    /// The same with a `limit`, where there is one without `from`, counted since this instant (exclusive): the moment
    /// at which the timing took effect.
    #[must_use]
    pub fn counting_since(self, since: Timestamp) -> Self {
        if !self.timing.is_counted_since_creation() {
            return self;
        }
        Self { timing: self.timing.counting_since(since), ..self }
    }
}

/// What stands for a schedule in the ids of its events, given the number of its creation: 0 for a file's. No name has an `@`.
pub fn id_name(name: &str, creation: u64) -> Cow<'_, str> {
    match creation {
        0 => name.into(),
        number => format!("{name}@{number}").into(),
    }
}

/// How a schedule behaves, apart from what it is due for and when. See [`Schedule`] for the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct DeliveryPolicy {
    pub catch_up: CatchUp,
    pub paused: bool,
    pub expires: Option<i64>,
    pub unrouted: Unrouted,
    pub resends: ResendPolicy,
    pub past: Past,
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            catch_up: CatchUp::default(),
            paused: false,
            expires: None,
            unrouted: Unrouted::Ignore,
            resends: ResendPolicy::default(),
            past: Past::Refuse,
        }
    }
}

/// Catch-up: one policy for restart, failover, suspend, clock step and broker outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatchUp {
    /// What is sent for missed occurrences.
    pub policy: Policy,
    /// Milliseconds past the send time up to which an occurrence is not yet missed.
    pub grace: i64,
    /// Milliseconds past the due time beyond which a missed occurrence is skipped.
    pub within: Option<i64>,
    /// With [`Policy::All`]: how many are sent singly.
    pub most: u32,
}

impl Default for CatchUp {
    /// The latest, after 30 s, without an end.
    fn default() -> Self {
        Self { policy: Policy::Latest, grace: 30_000, within: None, most: 1000 }
    }
}

/// What is sent for missed occurrences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// One event that stands for all.
    Latest,
    /// Each, oldest first.
    All,
    /// Nothing.
    None,
}

/// What a return (nobody is bound) means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unrouted {
    /// Counted, no error.
    Ignore,
    /// Parked until somebody releases it.
    Park,
}

/// How often what the broker refused is sent again; the configuration's where this says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResendPolicy {
    /// How many resends after the first sending, at most 100.
    pub most: Option<u8>,
    /// Milliseconds from the first refusal to the last resend, at most a day.
    pub within: Option<i64>,
}

/// What happens to a one-shot whose due time is gone when it is first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Past {
    /// Sent at once.
    Send,
    /// Refused.
    Refuse,
}

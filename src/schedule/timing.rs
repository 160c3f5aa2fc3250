//! A valid schedule and its arithmetic.

use super::{Definition, Fault};
use ponos::event::{EventName, Timestamp};
use std::sync::Arc;

/// A schedule, built once from a [`Definition`] and valid from then on.
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
    /// For one-shots whose due time is gone when first seen.
    pub past: Past,
    /// The operator's own payload.
    pub data: Option<serde_json::Value>,
}

/// Catch-up: one policy for restart, failover, suspend, clock step and broker outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// What is sent for missed occurrences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// One event that stands for all.
    Latest,
    /// Each, oldest first.
    All,
    /// Nothing.
    None,
}

/// What a return (nobody is bound) means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unrouted {
    /// Counted, no error.
    Ignore,
    /// Parked until somebody releases it.
    Park,
}

/// What happens to a one-shot whose due time is gone when it is first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// Sent at once.
    Send,
    /// Refused.
    Refuse,
}

/// When a schedule is due, bounds included.
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {}

/// An instant as the schedule's people read it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Local {
    /// `2026-12-01T09:00:00` (with `.123` where there are milliseconds).
    pub time: String,
    /// `+01:00`.
    pub offset: String,
    /// The IANA name.
    pub zone: &'static str,
    /// 1 in the second pass of a repeated hour, else 0.
    pub fold: u8,
}

impl Schedule {
    /// Builds a schedule; all faults at once.
    ///
    /// # Errors
    /// Every [`Fault`] of the definition.
    pub fn build(definition: &Definition) -> Result<Self, Vec<Fault>> {
        let _ = definition;
        Err(Vec::new())
    }
}

impl Timing {
    /// The first due time after `t` (exclusive), within the bounds and the horizon.
    pub fn after(&self, t: Timestamp) -> Option<Timestamp> {
        let _ = t;
        None
    }

    /// The last due time before `t` (exclusive), within the bounds, 1970 at the earliest.
    pub fn before(&self, t: Timestamp) -> Option<Timestamp> {
        let _ = t;
        None
    }

    /// How many due times lie in (after, through].
    pub fn count(&self, after: Timestamp, through: Timestamp) -> u64 {
        let _ = (after, through);
        0
    }

    /// Whether there is at most one occurrence (`at`).
    pub fn is_one_shot(&self) -> bool {
        false
    }

    /// The instant as people in the schedule's zone read it.
    pub fn local(&self, t: Timestamp) -> Option<Local> {
        let _ = t;
        None
    }
}

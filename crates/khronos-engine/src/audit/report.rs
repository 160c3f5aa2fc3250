//! What an audit found.

use ponos_event::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The record against the arithmetic over (from, to].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Report {
    /// Exclusive; the later of what was asked for and what the record still knows.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub from: Timestamp,
    /// Inclusive; the earlier of what was asked for and W.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub to: Timestamp,
    /// Rows of the record that were read.
    pub rows: u64,
    /// All schedules together.
    pub totals: Tally,
    /// By schedule name.
    pub schedules: Vec<ScheduleReport>,
    /// What limits the finding: definitions and rows that are no longer kept.
    pub notes: Vec<String>,
    /// The last due time that is in a hole.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub last_hole: Option<Timestamp>,
    /// What became of delayed events; none where a single schedule was asked for, or the clock keeps none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delayed: Option<DelayedReport>,
}

/// What is said of delayed events since their store was made, against what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DelayedReport {
    /// Events that were taken.
    pub accepted: u64,
    /// Of these, ended: sent, or given up on.
    pub settled: u64,
    /// Of these, taken back.
    pub cancelled: u64,
    /// Of these, still to be sent.
    pub pending: u64,
    /// Events that are there. While the clock runs others come and go meanwhile.
    pub counted: u64,
    /// Whether what was taken is settled, cancelled or pending.
    pub is_balanced: bool,
    /// Events that should be there, and are not.
    pub missing: u64,
    /// Events that are there, and should not be.
    pub surplus: u64,
    /// Why they could not be counted: then all of this is zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// One schedule of a [`Report`], all its revisions together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScheduleReport {
    /// Its name.
    pub schedule: String,
    /// The counts.
    #[serde(flatten)]
    pub tally: Tally,
    /// Examples of what is missing, oldest first; `tally.holes` counts all.
    pub missing: Vec<Finding>,
    /// Examples of what should not be there; `tally.surplus` counts all.
    pub extra: Vec<Finding>,
}

/// Occurrences by how they ended. `expected` is the sum of all down to `holes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tally {
    /// What the arithmetic calls for.
    pub expected: u64,
    /// Confirmed as events of their own.
    pub confirmed: u64,
    /// Stood for by a confirmed coalesced event.
    pub coalesced: u64,
    /// Skipped, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Dropped by a person.
    pub dropped: u64,
    /// Parked.
    pub parked: u64,
    /// Still to be sent.
    pub pending: u64,
    /// Settled, but a crash took the details.
    pub details_lost: u64,
    /// In time that the clock was set back over.
    pub clock_set_back: u64,
    /// Nothing is known of them.
    pub holes: u64,
    /// Rows that no occurrence calls for, that count wrongly, or that contradict another row.
    pub surplus: u64,
    /// Rows that say again what an earlier row said: sent twice under one id after a crash.
    pub resent: u64,
    /// Occurrences in rows whose definition is no longer kept.
    pub unverifiable: u64,
}

/// A run of occurrences that is missing, or a row that should not be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Finding {
    /// The revision.
    pub revision: u32,
    /// The first due time.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub first: Timestamp,
    /// The last due time.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub last: Timestamp,
    /// How many.
    pub count: u64,
    /// The row, if it is one.
    pub sequence: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl Report {
    /// Whether record and arithmetic agree, and what is said of delayed events with what is there.
    pub fn agrees(&self) -> bool {
        let delayed = self.delayed.as_ref().is_none_or(DelayedReport::agrees);
        self.totals.holes == 0 && self.totals.surplus == 0 && delayed
    }
}

impl DelayedReport {
    /// Whether what is there is what should be.
    pub fn agrees(&self) -> bool {
        self.is_balanced && self.missing == 0 && self.surplus == 0 && self.unreadable.is_none()
    }
}

impl Tally {
    /// All skipped, whatever the reason.
    pub fn all_skipped(&self) -> u64 {
        self.skipped.values().sum()
    }

    pub(super) fn add(&mut self, other: &Self) {
        let Self {
            expected,
            confirmed,
            coalesced,
            skipped,
            dropped,
            parked,
            pending,
            details_lost,
            clock_set_back,
            holes,
            surplus,
            resent,
            unverifiable,
        } = other;
        self.expected += expected;
        self.confirmed += confirmed;
        self.coalesced += coalesced;
        for (reason, count) in skipped {
            *self.skipped.entry(reason.clone()).or_default() += count;
        }
        self.dropped += dropped;
        self.parked += parked;
        self.pending += pending;
        self.details_lost += details_lost;
        self.clock_set_back += clock_set_back;
        self.holes += holes;
        self.surplus += surplus;
        self.resent += resent;
        self.unverifiable += unverifiable;
    }
}

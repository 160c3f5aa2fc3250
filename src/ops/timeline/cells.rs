//! What of due times lies in one column of a timeline, by what became of them.

use super::columns::Columns;
use crate::engine::{Outcome, Row, SkipReason, audit::skip_word};
use ponos::event::{EventKind, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The due times of one column, by what became of them: what there is none of is left out. An event that stands for several counts at
/// each of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct TimelineCell {
    /// Which column, from 0.
    pub column: usize,
    /// Sent in time, or when a command asked for it.
    #[serde(skip_serializing_if = "is_zero")]
    pub sent: u64,
    /// Sent late.
    #[serde(skip_serializing_if = "is_zero")]
    pub late: u64,
    /// How late the latest of them was, in milliseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub latest_ms: u64,
    /// Not sent, on purpose, by reason: `paused`, `missed`, `too-old`, `past` or `removed`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, u64>)]
    pub skipped: BTreeMap<&'static str, u64>,
    /// Given up on, and neither released nor dropped since, as far as the rows of this answer say it.
    #[serde(skip_serializing_if = "is_zero")]
    pub parked: u64,
    /// Parked, and then dropped.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped: u64,
    /// Due, and neither settled nor given up on: handed over and not answered yet, caught up with, or held back: by a pause, a ceiling, a
    /// broker that is away. Nothing of a schedule whose definition is paused: that is skipped.
    #[serde(skip_serializing_if = "is_zero")]
    pub waiting: u64,
    /// Still to come, by the definitions: also while everything is paused.
    #[serde(skip_serializing_if = "is_zero")]
    pub coming: u64,
}

// By reference: so it is called for each field that is written.
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What became of a due time, or will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DueFate {
    Sent,
    Late { by: u64 },
    Skipped(SkipReason),
    Parked,
    Dropped,
    Waiting,
    Coming,
}

impl DueFate {
    /// That of a row's due times, those sent more than `late` milliseconds after their time being late. None of rows that only say
    /// that something is not known.
    pub(super) fn of(row: &Row, late: i64) -> Option<Self> {
        Some(match &row.outcome {
            Outcome::Confirmed { sent_at, lateness, .. } => {
                // The event has the last due time: those that it stands for besides have waited longer.
                let by = match row.count {
                    ..=1 => *lateness,
                    _ => sent_at.since(row.first).max(*lateness),
                };
                match row.kind {
                    EventKind::Occurrence if by > late => Self::Late { by: by.unsigned_abs() },
                    _ => Self::Sent,
                }
            }
            Outcome::Skipped(reason) => Self::Skipped(*reason),
            Outcome::Parked(_) => Self::Parked,
            Outcome::Dropped | Outcome::DroppedAtLimit => Self::Dropped,
            Outcome::DetailsLost | Outcome::ClockSetBack => return None,
        })
    }
}

/// Columns that have something, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cells(BTreeMap<usize, TimelineCell>);

impl Cells {
    pub(super) fn add(&mut self, column: usize, fate: DueFate, count: u64) {
        let cell = self.0.entry(column).or_insert_with(|| TimelineCell { column, ..TimelineCell::default() });
        let counted = match fate {
            DueFate::Sent => &mut cell.sent,
            DueFate::Late { by } => {
                cell.latest_ms = cell.latest_ms.max(by);
                &mut cell.late
            }
            DueFate::Skipped(reason) => cell.skipped.entry(skip_word(reason)).or_default(),
            DueFate::Parked => &mut cell.parked,
            DueFate::Dropped => &mut cell.dropped,
            DueFate::Waiting => &mut cell.waiting,
            DueFate::Coming => &mut cell.coming,
        };
        *counted = counted.saturating_add(count);
    }

    /// Adds due times that came evenly.
    pub(super) fn spread(
        &mut self,
        columns: Columns,
        span: (Timestamp, Timestamp),
        count: u64,
        fate: DueFate,
    ) {
        for (column, count) in columns.spread(span, count) {
            // The first of a run has waited longest.
            let passed = columns.bounds(column).0.since(span.0).max(0).unsigned_abs();
            let fate = match fate {
                DueFate::Late { by } => DueFate::Late { by: by.saturating_sub(passed) },
                other => other,
            };
            self.add(column, fate, count);
        }
    }

    /// By column, ascending.
    pub(super) fn into_list(self) -> Vec<TimelineCell> {
        self.0.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn row(count: u64, outcome: Outcome) -> Row {
        Row {
            at: at(9_000),
            schedule: "a".into(),
            revision: 1,
            first: at(1_000),
            last: at(4_000),
            count,
            outcome,
            kind: EventKind::Occurrence,
            creation: 0,
            queue: None,
        }
    }

    fn confirmed(lateness: i64) -> Outcome {
        Outcome::Confirmed { sent_at: at(4_000 + lateness), lateness, returned: false }
    }

    #[test]
    fn what_is_sent_later_than_it_may_be_is_late_and_what_was_asked_for_never_is() {
        let trigger = EventKind::Trigger("x".parse().unwrap());
        for (row, fate) in [
            (row(1, confirmed(1_000)), Some(DueFate::Sent)),
            (row(1, confirmed(1_001)), Some(DueFate::Late { by: 1_001 })),
            (row(1, confirmed(-5)), Some(DueFate::Sent)),
            (row(4, confirmed(5)), Some(DueFate::Late { by: 3_005 })),
            (Row { kind: trigger, ..row(1, confirmed(9_000)) }, Some(DueFate::Sent)),
            (row(2, Outcome::Skipped(SkipReason::TooOld)), Some(DueFate::Skipped(SkipReason::TooOld))),
            (row(2, Outcome::Parked("full".into())), Some(DueFate::Parked)),
            (row(2, Outcome::Dropped), Some(DueFate::Dropped)),
            (row(2, Outcome::DroppedAtLimit), Some(DueFate::Dropped)),
            (row(0, Outcome::DetailsLost), None),
            (row(0, Outcome::ClockSetBack), None),
        ] {
            assert_eq!(DueFate::of(&row, 1_000), fate, "{row:?}");
        }
    }

    #[test]
    fn of_a_run_that_was_late_each_column_says_how_late_its_own_were() {
        let (columns, mut cells) = (Columns::new(at(0), at(4_000), 4), Cells::default());
        cells.spread(columns, (at(500), at(2_500)), 5, DueFate::Late { by: 9_000 });
        let found: Vec<_> = cells.into_list().iter().map(|c| (c.column, c.late, c.latest_ms)).collect();
        assert_eq!(found, [(0, 1, 9_000), (1, 2, 8_500), (2, 2, 7_500)]);
    }

    #[test]
    fn a_cell_counts_by_what_became_of_it_and_shows_nothing_that_there_is_none_of() {
        let (columns, mut cells) = (Columns::new(at(0), at(4_000), 4), Cells::default());
        let whole = (at(0), at(3_999));
        cells.spread(columns, whole, 4_000, DueFate::Coming);
        for fate in [
            DueFate::Sent,
            DueFate::Late { by: 70 },
            DueFate::Late { by: 50 },
            DueFate::Parked,
            DueFate::Dropped,
        ] {
            cells.add(2, fate, 1);
        }
        for reason in [SkipReason::Paused, SkipReason::Missed, SkipReason::Paused] {
            cells.add(2, DueFate::Skipped(reason), 2);
        }
        cells.add(1, DueFate::Waiting, 7);
        let shown = serde_json::to_value(cells.into_list()).unwrap();
        let expected = serde_json::json!([
            { "column": 0, "coming": 1000 },
            { "column": 1, "waiting": 7, "coming": 1000 },
            {
                "column": 2, "sent": 1, "late": 2, "latest_ms": 70, "skipped": { "missed": 2, "paused": 4 }, "parked": 1,
                "dropped": 1, "coming": 1000
            },
            { "column": 3, "coming": 1000 },
        ]);
        assert_eq!(shown, expected);
    }
}

//! What of a schedule is there already: sent, or still to be sent. All else is missing.

use super::runs::Ranges;
use crate::{
    clock_loop::Command,
    engine::{Covered, Outcome, Row},
    ops::{BackfillAsked, OpsError, RunningClock, run_blocking},
};
use ponos::event::{EventKind, Timestamp};
use std::sync::Arc;

/// Rows that are read at once.
const PAGE: usize = 10_000;

/// What was sent of a schedule, or is to be.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) ranges: Ranges,
    /// Since when the record knows it; none: since ever.
    pub(super) since: Option<Timestamp>,
}

/// Whose rows count: of this schedule in this creation, to all or to this queue.
#[derive(Debug, Clone)]
struct Wanted {
    name: Arc<str>,
    creation: u64,
    queue: Option<Arc<str>>,
    /// How long after its due time something of it may be sent.
    jitter: i64,
}

/// What is covered, and what the record says was sent, whatever the revision, or may have been, for its details are lost. What was
/// covered and is not any more stands in the record: so that is read after it.
pub(super) async fn sent(
    clock: &RunningClock,
    covered: &Covered,
    asked: &BackfillAsked,
) -> Result<Sent, OpsError> {
    let revision = &covered.status.revision;
    let wanted = Wanted {
        name: revision.name().into(),
        creation: revision.definition.creation(),
        queue: asked.queue.as_deref().map(Arc::from),
        jitter: revision.timing().jitter(),
    };
    // What was sent lately may not be written yet.
    let written = clock.ask(Command::Write).await?;
    written.map_err(|why| OpsError::Unavailable(format!("the record can't be completed: {why}")))?;
    let (mut read, mut since, mut ranges) = (0, None, covered.ranges.clone());
    loop {
        let page = clock.record.read(read, PAGE).await?;
        let (Some(first), Some(last)) = (page.rows.first(), page.rows.last()) else { break };
        // Numbers count from 1: what is before the first row was trimmed.
        if read == 0 && first.sequence > 1 {
            since = Some(first.row.at);
        }
        read = last.sequence;
        let wanted = wanted.clone();
        ranges = run_blocking(move || {
            ranges.extend(page.rows.iter().filter_map(|entry| wanted.of(&entry.row)));
            // A row for each would be a lot of a schedule that is often due.
            Ranges::new(ranges).into_inner()
        })
        .await?;
    }
    Ok(Sent { ranges: Ranges::new(ranges), since })
}

impl Wanted {
    /// The due times that a row has as sent.
    fn of(&self, row: &Row) -> Option<(Timestamp, Timestamp)> {
        // By send times, of whatever was sent then.
        if row.outcome == Outcome::DetailsLost {
            return Some((row.first.plus(-self.jitter), row.last));
        }
        let is_its = row.schedule == self.name && row.creation == self.creation;
        let is_of_its_occurrences = matches!(row.kind, EventKind::Occurrence | EventKind::Backfill(_));
        let arrived = row.queue.is_none() || row.queue == self.queue;
        // What reached nobody is missing everywhere.
        let is_sent = matches!(row.outcome, Outcome::Confirmed { returned: false, .. });
        (is_its && is_of_its_occurrences && arrived && is_sent).then_some((row.first, row.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::SkipReason;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn row(schedule: &str, outcome: Outcome) -> Row {
        Row {
            at: at(9),
            schedule: schedule.into(),
            revision: 1,
            first: at(1),
            last: at(3),
            count: 3,
            outcome,
            kind: EventKind::Occurrence,
            creation: 5,
            queue: None,
        }
    }

    const CONFIRMED: Outcome = Outcome::Confirmed { sent_at: Timestamp::EPOCH, lateness: 1, returned: false };

    fn of(queue: Option<&str>) -> Wanted {
        Wanted { name: "a".into(), creation: 5, queue: queue.map(Arc::from), jitter: 0 }
    }

    #[test]
    fn what_is_skipped_dropped_or_triggered_or_reached_nobody_is_missing() {
        let (wanted, covered) = (of(None), Some((at(1), at(3))));
        assert_eq!(wanted.of(&row("a", CONFIRMED)), covered);
        let all = Row { creation: 0, ..row("*", Outcome::DetailsLost) };
        assert_eq!(wanted.of(&all), covered);
        assert_eq!(Wanted { jitter: 2, ..wanted.clone() }.of(&all), Some((at(-1), at(3))));
        let backfill = EventKind::Backfill("x".parse().unwrap());
        assert_eq!(wanted.of(&Row { kind: backfill, ..row("a", CONFIRMED) }), covered);
        let trigger = EventKind::Trigger("x".parse().unwrap());
        assert_eq!(wanted.of(&Row { kind: trigger, ..row("a", CONFIRMED) }), None);
        assert_eq!(wanted.of(&row("b", CONFIRMED)), None);
        for outcome in [
            Outcome::Confirmed { sent_at: at(4), lateness: 1, returned: true },
            Outcome::Skipped(SkipReason::Paused),
            Outcome::Dropped,
            Outcome::DroppedAtLimit,
            Outcome::Parked("full".into()),
            Outcome::ClockSetBack,
        ] {
            assert_eq!(wanted.of(&row("a", outcome)), None);
        }
    }

    #[test]
    fn what_another_one_of_its_name_or_one_queue_alone_was_sent_is_missing() {
        let covered = Some((at(1), at(3)));
        assert_eq!(of(None).of(&Row { creation: 4, ..row("a", CONFIRMED) }), None, "a former creation");
        let kind = EventKind::Backfill("x".parse().unwrap());
        let side = Row { queue: Some("side".into()), kind, ..row("a", CONFIRMED) };
        assert_eq!(of(None).of(&side), None);
        assert_eq!(of(Some("other")).of(&side), None);
        assert_eq!(of(Some("side")).of(&side), covered);
        assert_eq!(of(Some("side")).of(&row("a", CONFIRMED)), covered, "it was sent to all");
    }
}

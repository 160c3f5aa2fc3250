//! What is coming of a schedule, and what of it is due and still waits: counted by its timing.

use super::{
    cells::{Cells, DueFate},
    columns::Columns,
};
use crate::{
    clock_loop::Command,
    engine::ScheduleStatus,
    ops::{OpsError, RunningClock, forecast::is_sent},
    schedule::Timing,
};
use ponos::event::Timestamp;
use std::sync::Arc;

/// Steps of the count of one answer, at most: some 40 ms. Only what several timings of one schedule may share is counted step by step.
pub(super) const STEPS: u64 = 200_000;

/// Due times of one timing.
#[derive(Debug)]
pub(super) struct DueTimes {
    timing: Timing,
    /// After this instant …
    after: Timestamp,
    /// … through this one.
    through: Timestamp,
    fate: DueFate,
}

/// What of a schedule is to be counted in these columns.
pub(super) async fn of_schedule(
    clock: &RunningClock,
    status: &ScheduleStatus,
    columns: Columns,
    now: Timestamp,
) -> Result<Vec<DueTimes>, OpsError> {
    let timing = status.revision.timing();
    let mut due = Vec::new();
    for span in &status.outstanding {
        let timing = match span.revision == status.revision.number {
            true => timing.clone(),
            false => {
                let (name, number): (Arc<str>, u32) = (status.revision.name().into(), span.revision);
                let kept = clock.ask(move |reply| Command::Revision(name, number, reply)).await?;
                let Some(kept) = kept else { continue };
                kept.timing()
            }
        };
        let span = span.closed(&timing, now);
        due.push(DueTimes { timing, after: span.after, through: span.through, fate: DueFate::Waiting });
    }
    if is_sent(status) {
        due.push(DueTimes { timing, after: now, through: columns.to.plus(-1), fate: DueFate::Coming });
    }
    Ok(due)
}

impl DueTimes {
    /// Adds how many lie in which column; whether the steps sufficed.
    pub(super) fn count(&self, columns: Columns, cells: &mut Cells, steps: &mut u64) -> bool {
        let after = self.after.max(columns.from.plus(-1));
        let through = self.through.min(columns.to.plus(-1));
        if after >= through {
            return true;
        }
        if let Some(few) = few(&self.timing, after, through, columns.count) {
            for due in few {
                if let Some(column) = columns.of(due) {
                    cells.add(column, self.fate, 1);
                }
            }
            return true;
        }
        let first = columns.of(after.plus(1)).unwrap_or(columns.count);
        for column in first..columns.count {
            let (start, end) = columns.bounds(column);
            let (after, through) = (start.plus(-1).max(after), end.plus(-1).min(through));
            if after >= through {
                break;
            }
            match self.timing.count_within(after, through, steps) {
                Some(0) => {}
                Some(count) => cells.add(column, self.fate, count),
                None => return false,
            }
        }
        true
    }
}

/// The due times, if there are at most so many: to look for them one by one costs less than to count in each column.
fn few(timing: &Timing, after: Timestamp, through: Timestamp, most: usize) -> Option<Vec<Timestamp>> {
    let next = |at: &Timestamp| timing.after(*at).filter(|due| *due <= through);
    let found: Vec<_> = std::iter::successors(next(&after), next).take(most + 1).collect();
    (found.len() <= most).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ops::timeline::cells::TimelineCell,
        schedule::{Definition, Packed, TimingDefinition},
    };

    const MINUTE: i64 = 60_000;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_millis(minute * MINUTE)
    }

    fn due(definition: Definition, after: i64, through: i64) -> DueTimes {
        let named = Definition { name: "a".into(), event: Some("a.b.c".into()), ..definition };
        let timing = Packed::build(&named).unwrap().timing();
        DueTimes { timing, after: at(after), through: at(through), fate: DueFate::Coming }
    }

    fn every(length: &str) -> Definition {
        Definition { every: Some(length.into()), ..Definition::default() }
    }

    fn counted(due: &DueTimes, columns: Columns) -> Vec<(usize, u64)> {
        let (mut cells, mut steps) = (Cells::default(), STEPS);
        assert!(due.count(columns, &mut cells, &mut steps));
        cells.into_list().iter().map(|cell: &TimelineCell| (cell.column, cell.coming)).collect()
    }

    #[test]
    fn what_is_rare_and_what_is_often_due_is_counted_alike() {
        let columns = Columns::new(at(0), at(60), 6);
        // What is due as a column begins is of it, and what is due at the end of the span is beyond it.
        assert_eq!(counted(&due(every("20 minutes"), -1, 60), columns), [(0, 1), (2, 1), (4, 1)]);
        assert_eq!(
            counted(&due(every("1 minute"), -1, 60), columns),
            (0..6).map(|c| (c, 10)).collect::<Vec<_>>()
        );
        // Not what is due as the span that is counted begins.
        assert_eq!(counted(&due(every("1 minute"), 25, 41), columns), [(2, 4), (3, 10), (4, 2)]);
        assert_eq!(counted(&due(every("20 minutes"), 20, 40), columns), [(4, 1)]);
        for (after, through) in [(60, 90), (-20, -1), (30, 30), (40, 20)] {
            assert_eq!(counted(&due(every("1 minute"), after, through), columns), [], "{after} {through}");
        }
    }

    #[test]
    fn a_union_that_is_dear_to_count_is_given_up_and_others_go_on() {
        let cron = |cron: &str| TimingDefinition { cron: Some(cron.into()), ..TimingDefinition::default() };
        let timings = Some(vec![cron("0-58 * * * * *"), cron("1-59 * * * * *")]);
        let dear = due(Definition { timings, ..Definition::default() }, -1, 40_000);
        let columns = Columns::new(at(0), at(40_000), 400);
        let (mut cells, mut steps) = (Cells::default(), STEPS);
        assert!(!dear.count(columns, &mut cells, &mut steps));
        assert!(due(every("1 second"), -1, 40_000).count(columns, &mut cells, &mut steps));
    }
}

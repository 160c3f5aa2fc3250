//! What is coming of a schedule, and what of it is due and still waits: counted by its timing.

use super::{
    cells::{Cells, DueFate},
    columns::Columns,
    past::Settled,
};
use crate::{
    clock_loop::Command,
    engine::{Revision, ScheduleStatus},
    ops::{OpsError, RunningClock, forecast::is_sent},
    schedule::Timing,
};
use ponos::event::Timestamp;
use std::{collections::BTreeMap, sync::Arc};

/// What the count of one answer may still cost.
#[derive(Debug)]
pub(super) struct Steps {
    /// Instants that are walked because several timings of one schedule may share them: some 40 ms.
    shared: u64,
    /// Looks into single timings, for one due time or one column. A page of 100 schedules in 400 columns needs 80,000.
    looks: u64,
}

impl Default for Steps {
    fn default() -> Self {
        Self { shared: 200_000, looks: 400_000 }
    }
}

impl Steps {
    /// Looks into so many timings; whether there was enough left.
    fn look(&mut self, timings: u64) -> bool {
        let left = self.looks.checked_sub(timings);
        self.looks = left.unwrap_or(self.looks);
        left.is_some()
    }
}

/// Due times of one timing.
#[derive(Debug)]
pub(super) struct DueTimes {
    timing: Timing,
    /// How many timings that is.
    timings: u64,
    revision: u32,
    /// After this instant …
    after: Timestamp,
    /// … through this one.
    through: Timestamp,
    fate: DueFate,
}

/// What of a schedule is to be counted.
#[derive(Debug)]
pub(super) struct ToCount {
    pub(super) timing: Timing,
    pub(super) due: Vec<DueTimes>,
    /// Nothing is left out.
    pub(super) is_all: bool,
}

/// The revisions before the present one of which something waits, without those that are not kept any more. `left`: how many may still
/// be asked for.
pub(super) async fn earlier_revisions(
    clock: &RunningClock,
    status: &ScheduleStatus,
    left: &mut usize,
) -> Result<Vec<Revision>, OpsError> {
    let numbers = status.outstanding.iter().map(|span| span.revision);
    let mut numbers: Vec<u32> = numbers.filter(|number| *number != status.revision.number).collect();
    numbers.dedup();
    numbers.truncate(*left);
    *left = left.saturating_sub(numbers.len());
    let mut kept = Vec::with_capacity(numbers.len());
    for number in numbers {
        let name: Arc<str> = status.revision.name().into();
        kept.extend(clock.ask(move |reply| Command::Revision(name, number, reply)).await?);
    }
    Ok(kept)
}

/// What of a schedule is to be counted in these columns, as things are at `now`: what is to be sent by then waits, wherever it stands,
/// and the rest is coming.
pub(super) fn of_schedule(
    status: &ScheduleStatus,
    earlier: &[Revision],
    columns: Columns,
    now: Timestamp,
) -> ToCount {
    let Revision { number, effective_from, .. } = status.revision;
    let timing = status.revision.timing();
    // What jitter holds back is coming.
    let by = timing.due_by(now);
    let timings = timings_of(&status.revision);
    let own = |after, through, fate| {
        let timing = timing.clone();
        DueTimes { timing, timings, revision: number, after, through, fate }
    };
    let (mut due, mut is_all) = (Vec::new(), true);
    for span in &status.outstanding {
        if span.revision == number {
            let span = span.closed(&timing, by);
            due.push(own(span.after, span.through.min(by), DueFate::Waiting));
        } else if let Some(earlier) = earlier.iter().find(|earlier| earlier.number == span.revision) {
            let (timing, timings, revision) = (earlier.timing(), timings_of(earlier), earlier.number);
            let span = span.closed(&timing, now);
            let (after, through) = (span.after, span.through.min(now));
            due.push(DueTimes { timing, timings, revision, after, through, fate: DueFate::Waiting });
        } else {
            is_all = false;
        }
    }
    let spans = due.iter().filter(|due| due.revision == number).map(|due| (due.after, due.through));
    let spans: Vec<(Timestamp, Timestamp)> = spans.collect();
    let spanned = spans.iter().map(|(_, through)| *through).max().unwrap_or(Timestamp::EPOCH.plus(-1));
    let stands_alone = |at: &Timestamp| !spans.iter().any(|(after, through)| after < at && at <= through);
    if let Some(at) = status.in_flight.filter(|at| *at <= by).filter(stands_alone) {
        due.push(own(at.plus(-1), at, DueFate::Waiting));
    }
    if is_sent(status) {
        // While nothing is handed over it stands there.
        if let Some(next) = status.next.filter(|next| *next <= by) {
            due.push(own(next.plus(-1).max(spanned), by, DueFate::Waiting));
        }
        due.push(own(by.max(effective_from), columns.to.plus(-1), DueFate::Coming));
    }
    ToCount { timing, due, is_all }
}

fn timings_of(revision: &Revision) -> u64 {
    let timings = revision.definition.definition().timings.as_ref().map_or(1, Vec::len);
    u64::try_from(timings).unwrap_or(u64::MAX)
}

impl DueTimes {
    /// Adds how many lie in which column, without those that have a row by now; whether the steps sufficed.
    pub(super) fn count(
        &self,
        columns: Columns,
        cells: &mut Cells,
        settled: &Settled,
        steps: &mut Steps,
    ) -> bool {
        let (mut found, mut is_all) = (BTreeMap::<usize, u64>::new(), true);
        for (column, count) in self.by_column(columns, steps) {
            match count {
                Some(count) => *found.entry(column).or_default() += count,
                None => is_all = false,
            }
        }
        if self.after < self.through {
            let decided = settled.range((self.revision, self.after.plus(1))..=(self.revision, self.through));
            for ((_, last), (first, count)) in decided {
                for (column, count) in columns.spread((*first, *last), *count) {
                    found.entry(column).and_modify(|found| *found = found.saturating_sub(count));
                }
            }
        }
        for (column, count) in found.into_iter().filter(|(_, count)| *count > 0) {
            cells.add(column, self.fate, count);
        }
        is_all
    }

    /// How many lie in which column. `None` stands at the end where the steps did not suffice.
    fn by_column(&self, columns: Columns, steps: &mut Steps) -> Vec<(usize, Option<u64>)> {
        let after = self.after.max(columns.from.plus(-1));
        let through = self.through.min(columns.to.plus(-1));
        if after >= through {
            return Vec::new();
        }
        if let Some(few) = self.few((after, through), columns, steps) {
            return few;
        }
        let mut found = Vec::new();
        let first = columns.of(after.plus(1)).unwrap_or(columns.count);
        for column in first..columns.count {
            let (start, end) = columns.bounds(column);
            let (after, through) = (start.plus(-1).max(after), end.plus(-1).min(through));
            if after >= through {
                break;
            }
            let count = match steps.look(self.timings) {
                true => self.timing.count_within(after, through, &mut steps.shared),
                false => None,
            };
            found.push((column, count));
            if count.is_none() {
                break;
            }
        }
        found
    }

    /// The columns of the due times, if there are no more than columns: to look for them one by one costs less than to count in each.
    fn few(
        &self,
        (after, through): (Timestamp, Timestamp),
        columns: Columns,
        steps: &mut Steps,
    ) -> Option<Vec<(usize, Option<u64>)>> {
        let (mut found, mut last) = (Vec::new(), after);
        while found.len() <= columns.count && steps.look(self.timings) {
            match self.timing.after(last).filter(|due| *due <= through) {
                Some(due) => {
                    found.push((columns.of(due)?, Some(1)));
                    last = due;
                }
                None => return Some(found),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{Era, Sent},
        ops::timeline::cells::TimelineCell,
        schedule::{Definition, Packed, TimingDefinition},
    };

    const MINUTE: i64 = 60_000;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_millis(minute * MINUTE)
    }

    fn due(definition: Definition, after: i64, through: i64) -> DueTimes {
        let timings = definition.timings.as_ref().map_or(1, |all| all.len() as u64);
        let named = Definition { name: "a".into(), event: Some("a.b.c".into()), ..definition };
        let timing = Packed::build(&named).unwrap().timing();
        DueTimes {
            timing,
            timings,
            revision: 1,
            after: at(after),
            through: at(through),
            fate: DueFate::Coming,
        }
    }

    fn every(length: &str) -> Definition {
        Definition { every: Some(length.into()), ..Definition::default() }
    }

    fn counted(due: &DueTimes, columns: Columns) -> Vec<(usize, u64)> {
        let (mut cells, mut steps) = (Cells::default(), Steps::default());
        assert!(due.count(columns, &mut cells, &Settled::new(), &mut steps));
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
    fn many_timings_in_many_columns_are_given_up_before_they_cost_seconds() {
        let cron = |minute: i64| TimingDefinition {
            cron: Some(format!("{minute} 0 * * *")),
            ..TimingDefinition::default()
        };
        let many = due(
            Definition { timings: Some((0..14).map(cron).collect()), ..Definition::default() },
            -1,
            40_000,
        );
        let columns = Columns::new(at(0), at(40_000), 400);
        let mut steps = Steps::default();
        let all: Vec<bool> = (0..100)
            .map(|_| many.count(columns, &mut Cells::default(), &Settled::new(), &mut steps))
            .collect();
        assert_eq!((all.first(), all.last()), (Some(&true), Some(&false)));
    }

    #[test]
    fn what_jitter_holds_back_is_coming_until_it_is_to_be_sent() {
        let definition =
            Definition { name: "a".into(), jitter: Some("30 minutes".into()), ..every("1 hour") };
        let revision = Era::first(1, at(0)).of(Packed::kept(&definition));
        let (due, send) = (at(60), revision.timing().send_time(at(60)));
        assert!(send > due.plus(1), "{send}");
        let status = ScheduleStatus {
            revision,
            next: Some(due),
            in_flight: None,
            outstanding: vec![],
            sent: Sent::default(),
            refused: None,
            paused: None,
            finished: false,
        };
        let columns = Columns::new(at(0), at(120), 1);
        for (now, waiting, coming) in [(due, 0, 1), (send.plus(-1), 0, 1), (send, 1, 0)] {
            let mut cells = Cells::default();
            for due in of_schedule(&status, &[], columns, now).due {
                assert!(due.count(columns, &mut cells, &Settled::new(), &mut Steps::default()));
            }
            let found: Vec<_> = cells.into_list().iter().map(|cell| (cell.waiting, cell.coming)).collect();
            assert_eq!(found, [(waiting, coming)], "{now}");
        }
    }

    #[test]
    fn what_has_a_row_by_now_is_not_counted_again() {
        let columns = Columns::new(at(0), at(60), 6);
        let due = due(every("1 minute"), 9, 29);
        let (mut cells, mut steps) = (Cells::default(), Steps::default());
        // A single one, a run, one of another revision, and one that lies before.
        let rows = [
            ((1, at(12)), (at(12), 1)),
            ((1, at(25)), (at(21), 5)),
            ((2, at(13)), (at(13), 1)),
            ((1, at(9)), (at(9), 1)),
        ];
        assert!(due.count(columns, &mut cells, &rows.into(), &mut steps));
        let left: Vec<_> = cells.into_list().iter().map(|cell| (cell.column, cell.coming)).collect();
        assert_eq!(left, [(1, 9), (2, 5)]);
    }

    #[test]
    fn a_union_that_is_dear_to_count_is_given_up_and_others_go_on() {
        let cron = |cron: &str| TimingDefinition { cron: Some(cron.into()), ..TimingDefinition::default() };
        let timings = Some(vec![cron("0-58 * * * * *"), cron("1-59 * * * * *")]);
        let dear = due(Definition { timings, ..Definition::default() }, -1, 40_000);
        let columns = Columns::new(at(0), at(40_000), 400);
        let (mut cells, mut steps) = (Cells::default(), Steps::default());
        assert!(!dear.count(columns, &mut cells, &Settled::new(), &mut steps));
        assert!(due(every("1 second"), -1, 40_000).count(columns, &mut cells, &Settled::new(), &mut steps));
    }
}

//! What the record has of a span of time. It is read backwards from where its rows were decided, and so many rows at most for one
//! answer: what was not read is said. Rows stand in the order in which they were decided, and what is due is decided afterwards, but for
//! one-shots that are removed before they are due; where a clock was set back, rows of the time that came twice may be left out. Of
//! several rows of one due time within an answer, the newest counts.

use super::{
    cells::{Cells, DueFate},
    columns::Columns,
};
use crate::{
    engine::Row,
    ops::{OpsError, RecordReader, history::row_at, record::DISORDER, run_blocking, views::outcome_word},
    position::Position,
    store::Page,
};
use ponos::event::{EventKind, Timestamp};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};
use utoipa::ToSchema;

/// Rows read at once.
const PAGE: u64 = 5_000;
/// Rows looked through for one answer, at most.
const LOOKED_THROUGH: u64 = 20_000;
/// Columns that runs are spread over. After the page of rows that exceeds them the answer ends: a row as long as the span costs as much
/// as hundreds of single ones.
const TOUCHED: usize = 1_000_000;
/// Rows that were decided after the end of a span and are looked through for it, at most: some of what was due in it was late.
const LATER: u64 = 10_000;
/// Spans of which nothing is known, at most.
const UNKNOWN: usize = 100;

/// What the record has.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    pub(super) all: Cells,
    pub(super) by_name: HashMap<Arc<str>, Lane>,
    pub(super) unknown: Vec<UnknownSpan>,
    pub(super) record: RecordPart,
    /// Due times of which a row was counted.
    seen: HashSet<RowKey>,
    touched: usize,
}

/// A due time, or a run: name, creation, revision, first, last and kind.
type RowKey = (Arc<str>, u64, u32, Timestamp, Timestamp, EventKind);

/// What the record has of one schedule.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Which creation of the name: what an earlier one of the same name did is none of it.
    creation: u64,
    pub(super) cells: Cells,
    pub(super) settled: Settled,
}

/// Runs of occurrences that have a row: by revision and last due time, the first due time and how many.
pub(super) type Settled = BTreeMap<(u32, Timestamp), (Timestamp, u64)>;

/// What a page of rows was.
struct LookedAt {
    oldest: Option<Timestamp>,
    newest: Option<Timestamp>,
}

/// A span of time of which the record does not know what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UnknownSpan {
    /// Its first instant.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Its last one.
    #[schema(value_type = String, format = DateTime)]
    pub through: Timestamp,
    /// `details-lost`: a crash came before it was written; `clock-set-back`.
    pub outcome: String,
}

/// Which part of the record was looked through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct RecordPart {
    /// Where to go on, as `before`, for there is more than is looked through for one answer; null: all of the span was.
    #[schema(value_type = Option<String>)]
    pub earlier: Option<Position>,
    /// What was decided before this instant was not looked at: because of that, or because the record begins there. Null: nothing is
    /// missing, unless the clock was set back: of the time that came twice, rows may be missing without a word.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// What was decided after this instant is not counted. Null: nothing is missing.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub through: Option<Timestamp>,
}

/// What is looked for.
pub(super) struct RecordAsked {
    pub(super) columns: Columns,
    /// What is sent more than so many milliseconds after its time is late.
    pub(super) late: i64,
    pub(super) before: Option<Position>,
    /// Schedules of which there are lanes, and which creation of each name.
    pub(super) names: Vec<(Arc<str>, u64)>,
    pub(super) now: Timestamp,
}

/// Reads the record, from the end or `before` on. Arithmetic under way holds `place` also when nobody waits for it any more.
pub(super) async fn read(
    record: &RecordReader,
    wanted: RecordAsked,
    place: &(impl Clone + Send + 'static),
) -> Result<Recorded, OpsError> {
    let RecordAsked { columns, late, before, names, now } = wanted;
    let bounds = record.read(0, 1).await?;
    let mut past = Recorded {
        by_name: names
            .into_iter()
            .map(|(name, creation)| (name, Lane { creation, ..Lane::default() }))
            .collect(),
        ..Recorded::default()
    };
    // What is due after now is not decided yet.
    if columns.from > now {
        return Ok(past);
    }
    let begun = bounds.rows.first().map(|row| row.row.at).filter(|_| bounds.first > 1);
    let end = bounds.last.saturating_add(1);
    let begin = match row_at("before", before, bounds.record)? {
        Some(row) => row,
        None if columns.to > now => end,
        None => record.decided_after(&bounds, columns.to).await?.saturating_add(LATER),
    };
    let mut before = begin.min(end);
    let mut budget = LOOKED_THROUGH;
    while before > bounds.first {
        if budget == 0 {
            past.record.earlier = Some(Position::new(bounds.record, before));
            break;
        }
        let after = before.saturating_sub(PAGE + 1);
        let page = record.read(after, PAGE as usize).await?;
        let (held, until) = (place.clone(), before);
        let taken = run_blocking(move || {
            let looked_at = past.take_page(&page, until, columns, late);
            drop(held);
            (past, looked_at)
        });
        let (taken, looked_at) = taken.await?;
        past = taken;
        if begin < end && past.record.through.is_none() {
            past.record.through = looked_at.newest;
        }
        // What lies before was decided before the span, so it was due before it.
        let Some(oldest) = looked_at.oldest.filter(|oldest| *oldest >= columns.from.plus(-DISORDER)) else {
            break;
        };
        past.record.since = Some(oldest);
        before = after + 1;
        budget = if past.touched > TOUCHED { 0 } else { budget.saturating_sub(PAGE) };
    }
    if past.record.earlier.is_none() {
        past.record.since = begun.filter(|begun| *begun > columns.from);
    }
    Ok(past)
}

impl Recorded {
    /// The newest first: what became of a due time at last has the last row of it.
    fn take_page(&mut self, page: &Page, before: u64, columns: Columns, late: i64) -> LookedAt {
        let rows: Vec<&Row> =
            page.rows.iter().filter(|row| row.sequence < before).map(|row| &row.row).collect();
        rows.iter().rev().for_each(|row| self.take(row, columns, late));
        LookedAt { oldest: rows.first().map(|row| row.at), newest: rows.last().map(|row| row.at) }
    }

    fn take(&mut self, row: &Row, columns: Columns, late: i64) {
        if row.first >= columns.to || row.last < columns.from {
            return;
        }
        let Some(fate) = DueFate::of(row, late) else {
            if self.unknown.len() < UNKNOWN {
                let outcome = outcome_word(&row.outcome).to_owned();
                self.unknown.push(UnknownSpan { from: row.first, through: row.last, outcome });
            }
            return;
        };
        let key = (row.schedule.clone(), row.creation, row.revision, row.first, row.last, row.kind.clone());
        if !self.seen.insert(key) {
            return;
        }
        let span = (row.first, row.last);
        self.touched += columns.touched(span).len();
        self.all.spread(columns, span, row.count, fate);
        let lane = self.by_name.get_mut(&row.schedule).filter(|lane| lane.creation == row.creation);
        if let Some(lane) = lane {
            lane.cells.spread(columns, span, row.count, fate);
            if row.kind == EventKind::Occurrence {
                lane.settled.insert((row.revision, row.last), (row.first, row.count));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Outcome, RecordRow};
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    const SECOND: i64 = 1_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * SECOND)
    }

    fn row(second: i64, outcome: Outcome) -> Row {
        Row {
            at: at(second),
            schedule: if second % 2 == 0 { "even" } else { "odd" }.into(),
            revision: 1,
            first: at(second),
            last: at(second),
            count: 1,
            outcome,
            kind: EventKind::Occurrence,
            creation: 0,
            queue: None,
        }
    }

    fn sent(second: i64) -> Row {
        row(second, Outcome::Confirmed { sent_at: at(second), lateness: 0, returned: false })
    }

    /// A record of these rows, of which the first has this number; and how many were read.
    fn record(first: u64, rows: Vec<Row>) -> (RecordReader, Arc<AtomicUsize>) {
        let rows: Vec<RecordRow> =
            (first..).zip(rows).map(|(sequence, row)| RecordRow { sequence, row }).collect();
        let last = rows.last().map_or(first - 1, |row| row.sequence);
        let (rows, read) = (Arc::new(Mutex::new(rows)), Arc::new(AtomicUsize::new(0)));
        let counted = read.clone();
        let reader = RecordReader::new(move |after, most| {
            let rows: Vec<RecordRow> =
                rows.lock().unwrap().iter().filter(|row| row.sequence > after).take(most).cloned().collect();
            counted.fetch_add(rows.len(), Ordering::SeqCst);
            async move { Ok(Page { rows, first, last, record: 7 }) }
        });
        (reader, read)
    }

    fn wanted(from: i64, to: i64, now: i64) -> RecordAsked {
        let columns = Columns::new(at(from), at(to), 10);
        RecordAsked {
            columns,
            late: SECOND,
            before: None,
            names: vec![("even".into(), 0), ("none".into(), 0)],
            now: at(now),
        }
    }

    async fn read(record: &RecordReader, wanted: RecordAsked) -> Result<Recorded, OpsError> {
        super::read(record, wanted, &()).await
    }

    /// How many were sent, in all and of `even`.
    fn counted(past: Recorded) -> (u64, u64) {
        let sum = |cells: Cells| cells.into_list().iter().map(|cell| cell.sent).sum();
        let (all, mut by_name) = (past.all, past.by_name);
        (sum(all), by_name.remove("even").map_or(0, |lane| sum(lane.cells)))
    }

    #[tokio::test]
    async fn the_rows_of_a_span_are_counted_of_all_and_of_those_that_are_wanted() {
        let (record, _) = record(1, (0..1_000).map(sent).collect());
        let past = read(&record, wanted(100, 200, 1_000)).await.unwrap();
        assert_eq!(past.record, RecordPart::default());
        assert_eq!(past.by_name.len(), 2, "also of which there is nothing");
        assert_eq!(counted(past), (100, 50));
        let past = read(&record, wanted(2_000, 3_000, 1_000)).await.unwrap();
        assert_eq!((past.record.clone(), counted(past)), (RecordPart::default(), (0, 0)));
    }

    #[tokio::test]
    async fn a_long_record_is_looked_through_in_parts_and_nothing_is_counted_twice() {
        let (record, seen) = record(1, (0..50_000).map(sent).collect());
        let (mut before, mut parts) = (None, Vec::new());
        loop {
            let past = read(&record, RecordAsked { before, ..wanted(10_000, 50_000, 50_000) }).await.unwrap();
            let RecordPart { earlier, since, through } = past.record;
            parts.push((counted(past).0, since, through));
            before = earlier;
            if before.is_none() {
                break;
            }
        }
        // A page more is read to see that there is nothing before.
        let (newer, older) = (Some(at(30_000)), Some(at(10_000)));
        let ends = [None, Some(at(29_999)), Some(at(9_999))];
        assert_eq!(parts, [(20_000, newer, ends[0]), (20_000, older, ends[1]), (0, None, ends[2])]);
        assert!(seen.load(Ordering::SeqCst) < 45_100, "{seen:?}");
    }

    #[tokio::test]
    async fn of_a_span_that_is_long_gone_what_came_much_later_is_not_read() {
        let late = Row { at: at(18_000), revision: 2, ..sent(1_500) };
        let mut rows: Vec<Row> = (0..19_000).map(sent).collect();
        rows.insert(18_000, late);
        let (record, seen) = record(1, rows);
        let past = read(&record, wanted(1_000, 2_000, 19_000)).await.unwrap();
        // Ten thousand rows and no more: it was decided later.
        assert_eq!(past.record.through, Some(at(12_000)));
        assert_eq!(counted(past), (1_000, 500));
        assert!(seen.load(Ordering::SeqCst) < 15_100, "{seen:?}");
        let past = read(&record, wanted(1_000, 14_000, 19_000)).await.unwrap();
        assert_eq!((past.record.through, counted(past).0), (None, 13_001));
    }

    #[tokio::test]
    async fn where_the_record_begins_is_said_and_so_is_a_position_of_another_one() {
        let (record, _) = record(501, (500..1_000).map(sent).collect());
        let past = read(&record, wanted(0, 1_000, 1_000)).await.unwrap();
        let since = Some(at(500));
        assert_eq!(past.record, RecordPart { since, ..RecordPart::default() });
        let past = read(&record, wanted(600, 1_000, 1_000)).await.unwrap();
        assert_eq!(past.record, RecordPart::default(), "all that was decided since then is there");
        let other = Some(Position::new(8, 600));
        let refused = read(&record, RecordAsked { before: other, ..wanted(0, 1_000, 1_000) }).await;
        assert!(matches!(refused, Err(OpsError::Parameter(fault)) if fault.name == "before"));
    }

    #[tokio::test]
    async fn of_several_rows_of_one_due_time_the_last_one_counts() {
        let parked = |second| row(second, Outcome::Parked("full".into()));
        let trigger = Row { kind: EventKind::Trigger("x".parse().unwrap()), ..sent(6) };
        let rows = vec![parked(2), parked(4), parked(2), sent(6), sent(6), trigger, sent(2)];
        let past = read(&record(1, rows).0, wanted(0, 10, 100)).await.unwrap();
        let cells: Vec<_> =
            past.all.clone().into_list().iter().map(|c| (c.column, c.sent, c.parked)).collect();
        assert_eq!(cells, [(2, 1, 0), (4, 0, 1), (6, 2, 0)]);
        assert_eq!(past.by_name["even"].cells, past.all);
        let settled: Vec<_> = past.by_name["even"].settled.keys().map(|(_, last)| *last).collect();
        assert_eq!(settled, [at(2), at(4), at(6)], "what a command asked for settles nothing");
    }

    #[tokio::test]
    async fn what_another_schedule_of_the_same_name_did_is_none_of_its_lane() {
        let other = Row { creation: 3, ..sent(4) };
        let past = read(&record(1, vec![other, sent(6)]).0, wanted(0, 10, 100)).await.unwrap();
        assert_eq!(counted(past), (2, 1));
    }

    #[tokio::test]
    async fn rows_that_reach_into_many_columns_end_an_answer_early() {
        let long = |second| Row { first: at(0), count: 60, ..sent(second) };
        let columns = Columns::new(at(0), at(4_000), 400);
        let all = RecordAsked { columns, ..wanted(0, 4_000, 20_000) };
        let past = read(&record(1, (3_990..13_990).map(long).collect()).0, all).await.unwrap();
        assert_eq!(past.record.earlier, Some(Position::new(7, 5_001)));
    }

    #[tokio::test]
    async fn what_is_not_known_is_said_by_its_span_and_is_no_count() {
        let lost = Row { count: 0, first: at(3), last: at(7), ..row(10, Outcome::DetailsLost) };
        let back = Row { count: 0, first: at(400), last: at(900), ..row(11, Outcome::ClockSetBack) };
        let (record, _) = record(1, vec![lost, back]);
        let past = read(&record, wanted(0, 100, 100)).await.unwrap();
        let unknown = UnknownSpan { from: at(3), through: at(7), outcome: "details-lost".into() };
        assert_eq!(past.unknown, [unknown]);
        assert_eq!(counted(past), (0, 0));
    }
}

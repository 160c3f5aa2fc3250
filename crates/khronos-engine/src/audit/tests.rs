//! The audit against records made by hand and at random.

mod creations;
mod paged;
mod random;

use super::*;
use crate::{Coalesced, OneShot, Outcome, Parked, Row, SkipReason, Span};
use khronos_schedule::{Definition, Packed};

/// Due at every multiple of so many milliseconds: an arithmetic that shares nothing with the real one.
struct Every(i64);

impl Arithmetic for Every {
    fn after(&self, t: Timestamp) -> Option<Timestamp> {
        Some(at((t.millis().div_euclid(self.0) + 1) * self.0))
    }
    fn before(&self, t: Timestamp) -> Option<Timestamp> {
        Some(at((t.millis() - 1).div_euclid(self.0) * self.0))
    }
    fn count(&self, after: Timestamp, through: Timestamp) -> u64 {
        let count = through.millis().div_euclid(self.0) - after.millis().div_euclid(self.0);
        u64::try_from(count).unwrap_or(0)
    }
}

/// Due once.
struct Once(i64);

impl Arithmetic for Once {
    fn after(&self, t: Timestamp) -> Option<Timestamp> {
        (t.millis() < self.0).then_some(at(self.0))
    }
    fn before(&self, t: Timestamp) -> Option<Timestamp> {
        (t.millis() > self.0).then_some(at(self.0))
    }
    fn count(&self, after: Timestamp, through: Timestamp) -> u64 {
        u64::from(after.millis() < self.0 && self.0 <= through.millis())
    }
    fn is_one_shot(&self) -> bool {
        true
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn revision(number: u32, from: i64, ended: Option<i64>) -> Revision {
    Revision {
        number,
        definition: Packed::kept(&Definition { name: "beat".into(), ..Definition::default() }),
        effective_from: at(from),
        counts_from: at(from),
        opens: at(from),
        previous: None,
        ended: ended.map(at),
        set_backs: 0,
    }
}

/// A clock with one schedule, created at 0, settled through 1000.
fn snapshot() -> Snapshot {
    Snapshot { settled: Some(at(1000)), revisions: vec![revision(1, 0, None)], ..Snapshot::default() }
}

const CONFIRMED: Outcome = Outcome::Confirmed { sent_at: at_const(0), lateness: 0, returned: false };

const fn at_const(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn row(first: i64, last: i64, count: u64, outcome: Outcome) -> Row {
    Row {
        at: at(last),
        schedule: "beat".into(),
        revision: 1,
        first: at(first),
        last: at(last),
        count,
        outcome,
        kind: EventKind::Occurrence,
        creation: 0,
        queue: None,
    }
}

fn numbered(rows: Vec<Row>) -> Vec<RecordRow> {
    (1..).zip(rows).map(|(sequence, row)| RecordRow { sequence, row }).collect()
}

fn every(period: i64, snapshot: &Snapshot, rows: &[RecordRow]) -> Report {
    let mut auditor = Auditor::with(u64::MAX, None, None, move |_| Ok(Box::new(Every(period))));
    auditor.keep_all(snapshot);
    rows.iter().for_each(|row| auditor.row(row).unwrap());
    auditor.report()
}

/// Due every 100 from 100 through 1000: ten occurrences.
fn hundreds(rows: Vec<Row>) -> Report {
    every(100, &snapshot(), &numbered(rows))
}

fn singles(range: std::ops::RangeInclusive<i64>) -> Vec<Row> {
    range.map(|k| row(k * 100, k * 100, 1, CONFIRMED)).collect()
}

#[test]
fn a_complete_record_agrees() {
    let report = hundreds(singles(1..=10));
    assert!(report.agrees(), "{report:?}");
    assert_eq!((report.totals.expected, report.totals.confirmed), (10, 10));
}

#[test]
fn a_missing_occurrence_is_a_hole_with_its_due_time() {
    let mut rows = singles(1..=10);
    rows.remove(4);
    let report = hundreds(rows);
    assert_eq!((report.totals.holes, report.totals.surplus), (1, 0));
    let hole = &report.schedules[0].missing[0];
    assert_eq!((hole.first, hole.last, hole.count), (at(500), at(500), 1));
    assert_eq!(report.last_hole, Some(at(500)));
}

#[test]
fn nothing_recorded_at_all_is_one_hole() {
    let report = hundreds(vec![]);
    assert_eq!(report.totals.holes, 10);
    assert_eq!(report.schedules[0].missing.len(), 1);
}

#[test]
fn each_outcome_accounts_for_its_occurrences() {
    let mut rows = singles(1..=2);
    rows.push(row(300, 500, 3, CONFIRMED));
    rows.push(row(600, 700, 2, Outcome::Skipped(SkipReason::Paused)));
    rows.push(row(800, 800, 1, Outcome::Parked("refused".into())));
    rows.push(row(900, 900, 1, Outcome::Parked("refused".into())));
    rows.push(row(900, 900, 1, Outcome::Dropped));
    rows.push(row(1000, 1000, 1, Outcome::DetailsLost));
    let report = hundreds(rows);
    assert!(report.agrees(), "{report:?}");
    let totals = &report.totals;
    assert_eq!((totals.confirmed, totals.coalesced, totals.parked, totals.dropped), (2, 3, 1, 1));
    assert_eq!((totals.skipped["paused"], totals.details_lost), (2, 1));
    let sum = totals.confirmed
        + totals.coalesced
        + totals.all_skipped()
        + totals.dropped
        + totals.parked
        + totals.pending
        + totals.details_lost
        + totals.clock_set_back
        + totals.holes;
    assert_eq!(sum, totals.expected);
}

#[test]
fn a_row_of_all_schedules_covers_from_its_first_through_its_last_instant() {
    let mut rows = singles(1..=7);
    rows.push(Row { schedule: "*".into(), revision: 0, count: 0, ..row(701, 900, 0, Outcome::DetailsLost) });
    rows.push(Row {
        schedule: "*".into(),
        revision: 0,
        count: 0,
        ..row(1000, 1000, 0, Outcome::ClockSetBack)
    });
    let report = hundreds(rows);
    assert!(report.agrees(), "{report:?}");
    assert_eq!((report.totals.details_lost, report.totals.clock_set_back), (2, 1));
}

#[test]
fn what_is_parked_released_and_confirmed_is_confirmed() {
    let mut rows = singles(1..=9);
    rows.push(row(1000, 1000, 1, Outcome::Parked("refused".into())));
    rows.push(row(1000, 1000, 1, CONFIRMED));
    let report = hundreds(rows);
    assert!(report.agrees());
    assert_eq!((report.totals.confirmed, report.totals.parked), (10, 0));
}

#[test]
fn what_is_outstanding_is_no_hole() {
    let mut snapshot = snapshot();
    let span = Span { revision: 1, after: at(800), through: at(900), handed: at(800), coalesced: None };
    snapshot.spans.push(("beat".into(), span));
    let stands_for = Coalesced { first: at(1000), last: at(1000), count: 1 };
    let parked = Parked {
        schedule: "beat".into(),
        revision: 1,
        stands_for,
        reason: String::new(),
        at: at(0),
        released: true,
        singly: true,
        refused: 0,
        retry_at: None,
        kind: EventKind::Occurrence,
    };
    snapshot.parked.push((1, parked));
    let report = every(100, &snapshot, &numbered(singles(1..=8)));
    assert!(report.agrees(), "{report:?}");
    assert_eq!((report.totals.pending, report.totals.parked), (1, 1));
}

#[test]
fn a_row_that_nothing_calls_for_is_a_surplus() {
    let cases = [
        ("not due", row(550, 550, 1, CONFIRMED)),
        ("ends between", row(500, 650, 2, CONFIRMED)),
        ("backwards", row(600, 500, 2, CONFIRMED)),
        ("before it existed", row(-100, -100, 1, CONFIRMED)),
        ("unknown revision", Row { revision: 7, ..row(500, 500, 1, CONFIRMED) }),
        ("of all", Row { schedule: "*".into(), revision: 0, ..row(500, 500, 1, CONFIRMED) }),
    ];
    for (name, stray) in cases {
        let mut rows = singles(1..=10);
        let before = stray.last < at(0);
        rows.push(stray);
        let report = hundreds(rows);
        assert_eq!(
            (report.totals.holes, report.totals.surplus),
            (0, u64::from(!before)),
            "{name}: {report:?}"
        );
    }
}

#[test]
fn a_count_that_differs_from_the_arithmetic_is_a_surplus() {
    for count in [2, 4] {
        let mut rows = singles(1..=7);
        rows.push(row(800, 1000, count, CONFIRMED));
        let report = hundreds(rows);
        assert_eq!((report.totals.holes, report.totals.surplus), (0, 1));
        assert!(report.schedules[0].extra[0].what.contains("the schedule calls for 3"), "{report:?}");
    }
}

#[test]
fn the_same_row_twice_is_counted_as_resent_and_agrees() {
    let mut rows = singles(1..=7);
    rows.extend(singles(6..=7));
    rows.push(row(800, 1000, 3, CONFIRMED));
    rows.push(row(800, 1000, 3, CONFIRMED));
    let report = hundreds(rows);
    assert!(report.agrees(), "{report:?}");
    assert_eq!(report.totals.resent, 3);
}

#[test]
fn one_due_time_confirmed_plain_and_coalesced_is_a_surplus() {
    for swapped in [false, true] {
        let mut rows = singles(1..=8);
        let coalesced = row(800, 1000, 3, CONFIRMED);
        rows.insert(if swapped { 0 } else { 8 }, coalesced);
        assert_eq!(hundreds(rows).totals.surplus, 1);
    }
    let mut rows = singles(1..=6);
    rows.push(row(700, 900, 3, CONFIRMED));
    rows.push(row(800, 1000, 3, CONFIRMED));
    assert_eq!(hundreds(rows).totals.surplus, 1);
}

#[test]
fn each_revision_is_held_to_its_own_time() {
    let mut snapshot = snapshot();
    snapshot.revisions = vec![revision(1, 0, Some(500)), revision(2, 500, None)];
    let mut rows = singles(1..=5);
    rows.extend(singles(6..=10).into_iter().map(|row| Row { revision: 2, ..row }));
    assert!(every(100, &snapshot, &numbered(rows.clone())).agrees());
    rows[4].revision = 2;
    let report = every(100, &snapshot, &numbered(rows));
    assert_eq!((report.totals.holes, report.totals.surplus), (1, 1), "{report:?}");
}

#[test]
fn rows_of_a_forgotten_definition_are_unverifiable_and_no_fault() {
    let mut snapshot = snapshot();
    snapshot.revisions = vec![revision(2, 500, None)];
    let mut rows = singles(1..=5);
    rows.extend(singles(6..=10).into_iter().map(|row| Row { revision: 2, ..row }));
    rows.push(Row { schedule: "gone".into(), ..row(100, 100, 1, CONFIRMED) });
    let report = every(100, &snapshot, &numbered(rows));
    assert!(report.agrees(), "{report:?}");
    assert_eq!((report.totals.unverifiable, report.totals.confirmed), (6, 5));
    assert_eq!(report.notes.len(), 2);
}

#[test]
fn a_trimmed_record_is_audited_from_its_first_row_on() {
    let mut snapshot = snapshot();
    snapshot.settled = Some(at(1_000_000));
    let mut rows: Vec<RecordRow> =
        numbered((501..=1000).map(|k| row(k * 1000, k * 1000, 1, CONFIRMED)).collect());
    rows.iter_mut().for_each(|row| row.sequence += 500);
    let report = every(1000, &snapshot, &rows);
    assert!(report.agrees(), "{report:?}");
    assert_eq!(report.from, at(501_000 + WRITE_BEHIND));
    snapshot.last_sequence = 1000;
    let nothing = every(1000, &snapshot, &[]);
    assert!(nothing.agrees() && nothing.totals.expected == 0, "{nothing:?}");
}

#[test]
fn bounds_exclude_their_first_and_include_their_last_instant() {
    let mut auditor =
        Auditor::with(u64::MAX, Some(at(300)), Some(at(500)), move |_| Ok(Box::new(Every(100))));
    auditor.keep_all(&snapshot());
    numbered(singles(1..=10)).iter().for_each(|row| auditor.row(row).unwrap());
    let report = auditor.report();
    assert!(report.agrees());
    assert_eq!((report.totals.expected, report.totals.confirmed), (2, 2));
}

#[test]
fn a_one_shot_is_owed_until_a_row_or_its_pending_entry_accounts_for_it() {
    let audit = |snapshot: &Snapshot, rows: Vec<Row>| {
        let mut auditor = Auditor::with(u64::MAX, None, None, move |_| Ok(Box::new(Once(300))));
        auditor.keep_all(snapshot);
        numbered(rows).iter().for_each(|row| auditor.row(row).unwrap());
        auditor.report().totals
    };
    let mut created_late = snapshot();
    created_late.revisions = vec![revision(1, 400, None)];
    for mut snapshot in [snapshot(), created_late] {
        assert_eq!(audit(&snapshot, vec![]).holes, 1);
        assert_eq!(audit(&snapshot, vec![row(300, 300, 1, CONFIRMED)]).confirmed, 1);
        assert_eq!(audit(&snapshot, vec![row(300, 300, 1, Outcome::Skipped(SkipReason::Past))]).holes, 0);
        snapshot.one_shots.push(("beat".into(), OneShot { revision: 1, due: at(300) }));
        assert_eq!((audit(&snapshot, vec![]).holes, audit(&snapshot, vec![]).pending), (0, 1));
    }
}

fn defined(definition: Definition, from: &str, settled: &str) -> Snapshot {
    let from: Timestamp = from.parse().unwrap();
    let definition = Packed::kept(&definition);
    let revision = Revision { definition, effective_from: from, opens: from, ..revision(1, 0, None) };
    Snapshot { settled: settled.parse().ok(), revisions: vec![revision], ..Snapshot::default() }
}

fn confirmed_at(dues: &[&str]) -> Vec<RecordRow> {
    let rows = dues.iter().map(|due| {
        let due: Timestamp = due.parse().unwrap();
        row(due.millis(), due.millis(), 1, CONFIRMED)
    });
    numbered(rows.collect())
}

#[test]
fn days_with_a_clock_change_are_audited_by_the_real_arithmetic() {
    let definition = Definition {
        name: "beat".into(),
        event: Some("shop.day.begun".into()),
        cron: Some("30 2 * * *".into()),
        time_zone: Some("Europe/Paris".into()),
        ..Definition::default()
    };
    // The gap (once, at the first instant after it) and the repeated hour (once, in its first pass).
    let cases = [
        (
            "2026-03-27T12:00:00Z",
            "2026-03-30T12:00:00Z",
            ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
            "2026-03-29T01:30:00Z",
        ),
        (
            "2026-10-23T12:00:00Z",
            "2026-10-26T12:00:00Z",
            ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
            "2026-10-25T01:30:00Z",
        ),
    ];
    for (from, settled, dues, wrong) in cases {
        let snapshot = defined(definition.clone(), from, settled);
        let whole = audit(&snapshot, &confirmed_at(&dues), None, None).unwrap();
        assert!(whole.agrees(), "{whole:?}");
        assert_eq!(whole.totals.expected, 3);
        let shifted = audit(&snapshot, &confirmed_at(&[dues[0], wrong, dues[2]]), None, None).unwrap();
        assert_eq!((shifted.totals.holes, shifted.totals.surplus), (1, 1), "{shifted:?}");
        assert_eq!(shifted.last_hole, dues[1].parse().ok());
    }
}

#[test]
fn a_definition_that_this_version_does_not_understand_is_noted() {
    let definition =
        Definition { name: "beat".into(), cron: Some("nonsense".into()), ..Definition::default() };
    let snapshot = defined(definition, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    let report = audit(&snapshot, &confirmed_at(&["2026-01-01T01:00:00Z"]), None, None).unwrap();
    assert!(report.agrees() && report.totals.unverifiable == 1, "{report:?}");
    assert!(report.notes[0].contains("can't be evaluated"), "{report:?}");
}

//! Rows of what was created at run time, under a name that was used before.

use super::*;
use khronos_schedule::{Created, DoorKind};

fn created(creation: u64, number: u32, (from, ended): (i64, Option<i64>)) -> Revision {
    let created = Created { number: creation, owner: "ann".into(), door: DoorKind::Http };
    let revision = revision(number, from, ended);
    Revision { definition: revision.definition.created_as(Some(created)), ..revision }
}

fn of(creation: u64, revision: u32, due: i64) -> Row {
    Row { creation, revision, ..row(due, due, 1, CONFIRMED) }
}

fn audited(revisions: Vec<Revision>, rows: Vec<Row>) -> Report {
    let revisions = Snapshot { settled: Some(at(1000)), revisions, ..Snapshot::default() };
    every(100, &revisions, &numbered(rows))
}

/// Its revisions count from 1 again, for nothing of the former one is kept; the record is.
#[test]
fn rows_of_a_former_creation_are_no_surplus_of_what_has_its_name() {
    let rows: Vec<Row> = (1..=5).map(|due| of(5, 7, due * 100)).collect();
    let its_own = (6..=10).map(|due| of(9, 1, due * 100));
    let rows: Vec<Row> = rows.into_iter().chain(its_own).collect();
    let report = audited(vec![created(9, 1, (550, None))], rows);
    assert!(report.agrees(), "{report:?}");
    assert_eq!((report.totals.confirmed, report.totals.unverifiable), (5, 5));
    assert!(report.notes[0].contains("revision 7 is no longer kept"), "{:?}", report.notes);
}

#[test]
fn a_row_of_a_revision_that_the_creation_never_had_is_a_surplus() {
    let mut rows: Vec<Row> = (6..=10).map(|due| of(9, 1, due * 100)).collect();
    rows.push(of(9, 2, 1000));
    let report = audited(vec![created(9, 1, (550, None))], rows);
    assert_eq!((report.totals.holes, report.totals.surplus), (0, 1));
    assert!(report.schedules[0].extra[0].what.contains("no such revision"));
}

/// Something is parked of the first, so it is kept; the second is forgotten.
#[test]
fn of_one_that_ended_a_later_revision_may_be_forgotten_before_an_earlier_one() {
    let mut rows: Vec<Row> = (1..=5).map(|due| of(5, 1, due * 100)).collect();
    rows.push(of(5, 2, 600));
    let report = audited(vec![created(5, 1, (0, Some(550)))], rows);
    assert!(report.agrees() && report.totals.unverifiable == 1, "{report:?}");
}

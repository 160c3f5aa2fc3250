//! Audits of a clock that runs: what is kept comes in pages, and rows come while it does.

use super::*;

/// An audit of a running clock whose record had so many rows when it began.
fn since(known: u64, revisions: Vec<Revision>, rows: &[RecordRow]) -> Report {
    let mut auditor = Auditor::with(known, None, None, move |_| Ok(Box::new(Every(100))));
    for revision in revisions {
        auditor.keep(KeptPage { settled: at(1000), revisions: vec![revision], ..KeptPage::default() });
    }
    rows.iter().for_each(|row| auditor.row(row).unwrap());
    auditor.report()
}

#[test]
fn rows_recorded_since_about_definitions_that_were_not_seen_wait_for_the_next_audit() {
    // An edit ended the revision; then the same definition returned, and what was due meanwhile was sent.
    let ended = || vec![revision(1, 0, Some(500))];
    let rows = numbered(singles(1..=7));
    assert_eq!(since(5, ended(), &rows).totals.surplus, 0);
    assert_eq!(since(7, ended(), &rows).totals.surplus, 2, "what was there before has to fit");
    // A second revision, and another schedule, for an instant that is gone.
    let second = Row { revision: 2, ..row(600, 600, 1, CONFIRMED) };
    let other = Row { schedule: "other".into(), ..row(600, 600, 1, Outcome::Skipped(SkipReason::Past)) };
    let rows = numbered([singles(1..=10), vec![second, other]].concat());
    let report = since(10, vec![revision(1, 0, None)], &rows);
    assert!(report.agrees() && report.notes.is_empty(), "{report:?}");
    assert_eq!(since(12, vec![revision(1, 0, None)], &rows).totals.surplus, 1);
}

#[test]
fn pages_are_audited_up_to_the_lowest_mark_of_all() {
    let mut auditor = Auditor::with(0, None, None, move |_| Ok(Box::new(Every(100))));
    for (settled, revisions) in [(1000, vec![revision(1, 0, Some(500))]), (700, vec![revision(2, 500, None)])]
    {
        auditor.keep(KeptPage { settled: at(settled), revisions, ..KeptPage::default() });
    }
    let second = |k: i64| Row { revision: 2, ..row(k * 100, k * 100, 1, CONFIRMED) };
    let rows = numbered([singles(1..=5), vec![second(6), second(7)]].concat());
    rows.iter().for_each(|row| auditor.row(row).unwrap());
    let report = auditor.report();
    assert!(report.agrees() && report.to == at(700), "{report:?}");
    assert_eq!(report.totals.confirmed, 7);
}

#[test]
fn where_the_clock_was_set_back_what_one_event_stood_for_may_come_singly() {
    let set_back = Row { schedule: "*".into(), revision: 0, ..row(301, 500, 0, Outcome::ClockSetBack) };
    let rows = [vec![row(100, 500, 5, CONFIRMED), set_back], singles(4..=10)].concat();
    let report = hundreds(rows.clone());
    assert!(report.agrees(), "{report:?}");
    assert_eq!((report.totals.confirmed, report.totals.coalesced), (7, 3));
    let without = rows.into_iter().filter(|row| row.outcome != Outcome::ClockSetBack).collect();
    assert_eq!(hundreds(without).totals.surplus, 2);
    // Below the reading from which the clock went on nothing comes again.
    let set_back = Row { schedule: "*".into(), revision: 0, ..row(301, 500, 0, Outcome::ClockSetBack) };
    let rows = [vec![row(100, 500, 5, CONFIRMED), set_back], singles(3..=10)].concat();
    assert_eq!(hundreds(rows).totals.surplus, 1);
}

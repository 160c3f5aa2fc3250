//! Random records, each with one row taken away.

use super::*;
use proptest::prelude::*;

/// Runs of occurrences with how each ended, in the order in which they come due.
fn runs() -> impl Strategy<Value = Vec<(u64, Outcome)>> {
    let outcome = prop_oneof![
        6 => Just(CONFIRMED),
        1 => Just(Outcome::Skipped(SkipReason::Missed)),
        1 => Just(Outcome::Skipped(SkipReason::Paused)),
        1 => Just(Outcome::Parked("refused".into())),
        1 => Just(Outcome::Dropped),
        1 => Just(Outcome::DetailsLost),
    ];
    prop::collection::vec((prop_oneof![3 => Just(1_u64), 1 => 2_u64..6], outcome), 1..60)
}

/// Rows of events that are no occurrences, due at any time: how they ended, and where they stand in the record.
fn others() -> impl Strategy<Value = Vec<(Row, prop::sample::Index)>> {
    let command = || "a".parse().unwrap();
    let kind = prop_oneof![
        Just(EventKind::Trigger(command())),
        Just(EventKind::Backfill(command())),
        Just(EventKind::Delayed),
    ];
    let outcome =
        prop_oneof![Just(CONFIRMED), Just(Outcome::Parked("refused".into())), Just(Outcome::Dropped)];
    let other = (0_i64..100_000, kind, outcome, any::<prop::sample::Index>());
    let other = other.prop_map(|(due, kind, outcome, at)| (Row { kind, ..row(due, due, 1, outcome) }, at));
    prop::collection::vec(other, 0..20)
}

proptest! {
    #[test]
    fn events_that_are_no_occurrences_change_nothing(
        runs in runs(),
        others in others(),
        removed in any::<prop::sample::Index>(),
    ) {
        let (mut rows, mut due) = (Vec::new(), 0);
        for (count, outcome) in runs {
            let last = due + i64::try_from(count).unwrap() * 100;
            rows.push(row(due + 100, last, count, outcome));
            due = last;
        }
        // A hole that they might fill.
        let hole = rows.remove(removed.index(rows.len()));
        let snapshot = Snapshot { settled: Some(at(due)), ..snapshot() };
        let without = every(100, &snapshot, &numbered(rows.clone()));
        prop_assert_eq!(without.totals.holes, hole.count);
        let all = rows.len() + others.len();
        rows.push(Row { kind: EventKind::Trigger("hole".parse().unwrap()), ..hole });
        for (other, place) in others {
            rows.insert(place.index(rows.len()), other);
        }
        let with = every(100, &snapshot, &numbered(rows));
        prop_assert_eq!(with.rows, all as u64 + 1);
        prop_assert_eq!(Report { rows: without.rows, ..with }, without);
    }

    #[test]
    fn removing_any_row_from_a_record_leaves_exactly_its_hole(
        runs in runs(),
        period in 1_i64..5000,
        swaps in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..4), 0..20),
        removed in any::<prop::sample::Index>(),
    ) {
        let (mut rows, mut due) = (Vec::new(), 0);
        for (count, outcome) in runs {
            let last = due + i64::try_from(count).unwrap() * period;
            rows.push(row(due + period, last, count, outcome));
            due = last;
        }
        let mut snapshot = snapshot();
        snapshot.settled = Some(at(due));
        // What is confirmed is written behind the rest: rows stand a little out of order.
        for (index, ahead) in swaps {
            let from = index.index(rows.len());
            let to = (from + ahead).min(rows.len() - 1);
            rows.swap(from, to);
        }
        let whole = every(period, &snapshot, &numbered(rows.clone()));
        prop_assert!(whole.agrees(), "{:?}", whole);
        let row = rows.remove(removed.index(rows.len()));
        let report = every(period, &snapshot, &numbered(rows));
        prop_assert_eq!((report.totals.holes, report.totals.surplus), (row.count, 0));
        let missing = &report.schedules[0].missing;
        prop_assert_eq!(missing.len(), 1);
        prop_assert_eq!((missing[0].first, missing[0].last), (row.first, row.last));
    }
}

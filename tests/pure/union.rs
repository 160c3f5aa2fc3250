//! Several timings in one schedule, and limits: what they call for, against a naive count, and what is refused.

use crate::support::{at, build, definition};
use khronos::schedule::{Definition, DstDefinition, Fault, FaultCode, Packed, Timing, TimingDefinition};
use ponos::event::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn every(text: &str) -> TimingDefinition {
    TimingDefinition { every: Some(text.into()), ..TimingDefinition::default() }
}

fn cron(text: &str) -> TimingDefinition {
    TimingDefinition { cron: Some(text.into()), ..TimingDefinition::default() }
}

fn once(text: &str) -> TimingDefinition {
    TimingDefinition { at: Some(text.into()), ..TimingDefinition::default() }
}

fn several(timings: &[TimingDefinition], zone: &str) -> Definition {
    Definition { timings: Some(timings.to_vec()), time_zone: Some(zone.into()), ..definition() }
}

fn list(timing: &Timing, after: &str, most: usize) -> Vec<String> {
    let mut due = at(after);
    let all = std::iter::from_fn(|| {
        due = timing.after(due)?;
        Some(due.to_string().replace(".000Z", "Z"))
    });
    all.take(most).collect()
}

#[test]
fn each_instant_comes_once_whatever_calls_for_it() {
    let timings = [cron("0 9 * * MON-FRI"), every("4h"), once("2026-12-24T09:00")];
    let union = build(several(&timings, "Europe/Paris")).unwrap();
    assert_eq!(
        list(&union, "2026-12-24T04:00:00Z", 4),
        ["2026-12-24T08:00:00Z", "2026-12-24T12:00:00Z", "2026-12-24T16:00:00Z", "2026-12-24T20:00:00Z"],
        "09:00 in Paris is 08:00 in UTC, which all three call for"
    );
    assert_eq!(union.count(at("2026-12-24T07:59:59Z"), at("2026-12-24T08:00:00Z")), 1);
    let summer = list(&union, "2026-07-01T04:00:00Z", 2);
    assert_eq!(summer, ["2026-07-01T07:00:00Z", "2026-07-01T08:00:00Z"]);
    let local = union.local(at("2026-07-01T07:00:00Z")).unwrap();
    assert_eq!((&*local.time, local.zone.name()), ("2026-07-01T09:00:00", "Europe/Paris"));
}

#[test]
fn each_timing_may_have_a_zone_and_choices_of_its_own() {
    let tokyo = TimingDefinition { time_zone: Some("Asia/Tokyo".into()), ..cron("0 9 * * *") };
    let gap = DstDefinition { gap: Some("skip".into()), fold: None };
    let berlin = TimingDefinition { dst: Some(gap), ..cron("30 2 * * *") };
    let union = build(several(&[tokyo, berlin], "Europe/Berlin")).unwrap();
    assert_eq!(
        list(&union, "2026-03-28T00:00:00Z", 4),
        ["2026-03-28T01:30:00Z", "2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z", "2026-03-30T00:30:00Z"]
    );
    assert_eq!(union.local(at("2026-03-29T00:00:00Z")).unwrap().zone.name(), "Europe/Berlin");
    let phased = TimingDefinition { phase: Some("6h".into()), ..every("1 day") };
    let anchored = TimingDefinition { anchor: Some("2026-01-01T01:00:00Z".into()), ..every("7h") };
    let union = build(several(&[phased, anchored], "UTC")).unwrap();
    assert_eq!(list(&union, "2026-01-01T00:00:00Z", 2), ["2026-01-01T01:00:00Z", "2026-01-01T06:00:00Z"]);
}

#[test]
fn a_union_is_the_same_in_any_order_and_spelling() {
    let union = |timings: &[TimingDefinition]| build(several(timings, "UTC")).unwrap();
    assert_eq!(
        union(&[every("4h"), cron("0 9 * * MON-FRI")]),
        union(&[cron("0 9 * * 1-5"), every("240m"), every("4h")])
    );
    assert_ne!(union(&[every("4h"), cron("0 9 * * *")]), union(&[every("4h"), cron("0 9 * * MON-FRI")]));
    let alone = build(Definition { every: Some("4h".into()), ..definition() }).unwrap();
    assert_eq!(union(&[every("4h")]), alone, "one alone is as good as written without the list");
    assert!(union(&[once("2026-12-24T09:00")]).is_one_shot());
    assert!(!union(&[once("2026-12-24T09:00"), once("2026-12-25T09:00")]).is_one_shot());
}

#[test]
fn bounds_hold_for_all_of_a_union() {
    let timings = [every("1h"), cron("30 * * * *")];
    let bounded = Definition {
        from: Some("2026-01-01T00:30:00Z".into()),
        until: Some("2026-01-01T02:00:00Z".into()),
        ..several(&timings, "UTC")
    };
    let all = ["2026-01-01T00:30:00Z", "2026-01-01T01:00:00Z", "2026-01-01T01:30:00Z"];
    assert_eq!(list(&build(bounded.clone()).unwrap(), "1970-01-01T00:00:00Z", 9), all);
    let limited = build(Definition { limit: Some(2), ..bounded }).unwrap();
    assert_eq!(list(&limited, "1970-01-01T00:00:00Z", 9), all[..2]);
}

#[test]
fn the_shortest_interval_of_a_union_is_that_between_any_two() {
    let shortest = |timings: &[TimingDefinition]| build(several(timings, "UTC")).unwrap().shortest_interval();
    assert_eq!(shortest(&[cron("0 9 * * *"), every("4h")]), Some(3_600_000));
    assert_eq!(shortest(&[every("2h"), every("3h")]), Some(3_600_000));
    assert_eq!(shortest(&[once("2026-12-24T09:00"), once("2026-12-24T09:05")]), Some(300_000));
}

#[test]
fn counting_dense_unions_over_years_is_exact() {
    let span = |union: &Timing| union.count(at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
    let elapsed = build(several(&[every("200ms"), every("300ms")], "UTC")).unwrap();
    // Of each 600 ms four: 0, 200, 300, 400.
    assert_eq!(span(&elapsed), 365 * 86_400_000 / 600 * 4);
    let crons = build(several(&[cron("*/2 * * * * *"), cron("0 0 9 * * *"), cron("1 0 9 * * *")], "UTC"));
    assert_eq!(span(&crons.unwrap()), 365 * (43_200 + 1));
}

#[test]
fn what_is_wrong_with_a_union_says_with_which_of_its_timings() {
    for (timings, path) in [
        (vec![every("4h"), cron("0 25 * * *")], "timings.1.cron"),
        (vec![every("4h"), cron("0 0 30 2 *")], "timings.1.cron"),
        (vec![TimingDefinition { phase: Some("1h".into()), ..cron("0 9 * * *") }], "timings.0.phase"),
        (vec![TimingDefinition { cron: Some("0 9 * * *".into()), ..every("4h") }], "timings.0.cron"),
        (vec![TimingDefinition::default(), every("4h")], "timings.0.every"),
        (vec![TimingDefinition { time_zone: Some("Nowhere".into()), ..every("4h") }], "timings.0.time_zone"),
        (Vec::new(), "timings"),
        (vec![every("4h"); 33], "timings"),
    ] {
        let faults = build(several(&timings, "UTC")).unwrap_err();
        assert_eq!(faults.iter().map(Fault::path).collect::<Vec<_>>(), [path]);
    }
    for (key, change) in [
        ("every", Definition { every: Some("1h".into()), ..several(&[every("4h")], "UTC") }),
        ("phase", Definition { phase: Some("1h".into()), ..several(&[every("4h")], "UTC") }),
        ("limit", Definition { limit: Some(1), ..several(&[once("2026-12-24T09:00")], "UTC") }),
        ("limit", Definition { limit: Some(0), ..several(&[every("4h")], "UTC") }),
        (
            "timings",
            Definition {
                until: Some("1971-01-01T00:00Z".into()),
                ..several(&[once("2026-12-24T09:00"), once("2026-12-24T10:00")], "UTC")
            },
        ),
    ] {
        assert_eq!(build(change).unwrap_err()[0].path(), key);
    }
}

#[test]
fn a_limit_counts_from_from_else_from_when_the_timing_took_effect() {
    let limited = Definition { every: Some("1h".into()), limit: Some(3), ..definition() };
    let open = build(limited.clone()).unwrap();
    assert!(open.is_counted_since_creation());
    let since = open.clone().counting_since(at("2026-01-01T00:00:00Z"));
    let all = ["2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z", "2026-01-01T03:00:00Z"];
    assert_eq!(list(&since, "2026-01-01T00:00:00Z", 9), all, "what is due at that instant came before");
    assert_eq!(since, open, "from when it counts is no part of what is written");
    assert_eq!(since.before(Timestamp::HORIZON), Some(at(all[2])));
    let from = build(Definition { from: Some("2026-01-01T01:00:00Z".into()), ..limited.clone() }).unwrap();
    assert!(!from.is_counted_since_creation());
    assert_eq!(list(&from, "1970-01-01T00:00:00Z", 9), all, "from is inclusive");
    let later = from.counting_since(at("2026-06-01T00:00:00Z"));
    assert_eq!(list(&later, "1970-01-01T00:00:00Z", 9), all, "from decides, whenever it took effect");
    // Where until comes first, it ends there; where the limit is never reached, nothing changes.
    let until = Definition { until: Some("2026-01-01T02:00:00Z".into()), ..limited.clone() };
    let until = build(until).unwrap().counting_since(at("2026-01-01T00:00:00Z"));
    assert_eq!(list(&until, "2026-01-01T00:00:00Z", 9), all[..1]);
    let many = build(Definition { limit: Some(u32::MAX), ..limited }).unwrap();
    let many = many.counting_since(at("2026-01-01T00:00:00Z"));
    assert_eq!(many.before(Timestamp::HORIZON), Some(at("2099-12-31T23:00:00Z")));
}

#[test]
fn a_limit_that_takes_too_long_to_count_is_refused_and_what_was_accepted_is_kept() {
    let seconds = [cron("0-58 * * * * *"), cron("1-59 * * * * *")];
    let thrice = [every("100ms"), every("300ms"), every("700ms")];
    let many: Vec<_> = (0..32).map(|n| cron(&format!("{n}-59 * * * * *"))).collect();
    let years = [cron("0-58 * * * * * 2090-2099"), cron("1-59 * * * * * 2090-2099")];
    for timings in [&seconds[..], &thrice, &many, &years] {
        for from in [None, Some("1970-01-01T00:00:00Z".to_owned())] {
            let definition = Definition { limit: Some(u32::MAX), from, ..several(timings, "UTC") };
            let found = build(definition).unwrap_err();
            assert_eq!((found[0].path().as_str(), found[0].code), ("limit", FaultCode::OutOfRange));
        }
    }
    // However far away the first ones are, and however many come between two days.
    for timings in [&seconds[..], &thrice, &many, &years] {
        let few = Definition { limit: Some(200), ..several(timings, "UTC") };
        let few = build(few).unwrap().counting_since(at("2026-01-01T00:00:00Z"));
        assert_eq!(list(&few, "2026-01-01T00:00:00Z", 1_000).len(), 200);
    }
    // One rule alone is counted by arithmetic.
    let single = Definition { limit: Some(u32::MAX), ..several(&seconds[..1], "UTC") };
    assert!(build(single).is_ok());
    // What an earlier version accepted still runs.
    let accepted = Definition { limit: Some(60_000), ..several(&seconds, "UTC") };
    assert!(build(accepted.clone()).is_err());
    let since = at("2026-01-01T00:00:00Z");
    let kept = Packed::kept(&accepted).timing().counting_since(since);
    assert_eq!(kept.before(Timestamp::HORIZON), kept.nth(since, 60_000));
}

fn member() -> impl Strategy<Value = TimingDefinition> {
    const ZONES: [&str; 5] =
        ["UTC", "Europe/Paris", "Australia/Lord_Howe", "America/New_York", "Pacific/Apia"];
    let elapsed =
        (prop_oneof![Just("m"), Just("h")], 7..60u32).prop_map(|(unit, n)| every(&format!("{n} {unit}")));
    let calendar = (prop_oneof![Just("days"), Just("weeks"), Just("months")], 1..4u32)
        .prop_map(|(unit, n)| every(&format!("{n} {unit}")));
    let fixed = (0..60u32, 0..24u32, prop_oneof![Just("*"), Just("1-5"), Just("SUN")])
        .prop_map(|(minute, hour, days)| cron(&format!("{minute} {hour} * * {days}")));
    let wild = (2..30u32).prop_map(|step| cron(&format!("*/{step} * * * *")));
    let single =
        (0..4_102_444_800i64).prop_map(|second| once(&Timestamp::from_millis(second * 1000).to_string()));
    (prop_oneof![elapsed, calendar, fixed, wild, single], proptest::sample::select(&ZONES[..]))
        .prop_map(|(timing, zone)| TimingDefinition { time_zone: Some(zone.into()), ..timing })
}

/// All due times in (from, through], one by one.
fn walk(timing: &Timing, from: Timestamp, through: Timestamp) -> BTreeSet<Timestamp> {
    let next = |at: &Timestamp| timing.after(*at).filter(|due| *due <= through);
    std::iter::successors(next(&from), next).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_union_is_what_its_members_are_together(
        members in proptest::collection::vec(member(), 1..5),
        start in 0..4_102_000_000_000i64,
        days in 1..12i64,
        limit in proptest::option::of(1..40u32),
    ) {
        let union = build(Definition { limit, ..several(&members, "Europe/Paris") });
        // A single `at` has no limit.
        let Ok(union) = union else { return Ok(()) };
        let (from, through) = (Timestamp::from_millis(start), Timestamp::from_millis(start + days * 86_400_000));
        let union = union.counting_since(from);
        let mut expected = BTreeSet::new();
        for member in &members {
            let TimingDefinition { every, cron, at, time_zone, .. } = member.clone();
            let alone = build(Definition { every, cron, at, time_zone, ..definition() }).unwrap();
            expected.extend(walk(&alone, from, through));
        }
        let all = expected.len();
        if let Some(limit) = limit {
            expected = expected.into_iter().take(limit as usize).collect();
        }
        prop_assert_eq!(&walk(&union, from, through), &expected);
        prop_assert_eq!(union.count(from, through), expected.len() as u64);
        let mut backwards = BTreeSet::new();
        let mut at = through.plus(1);
        while let Some(due) = union.before(at).filter(|due| *due > from) {
            prop_assert_eq!(union.after(due.plus(-1)), Some(due));
            prop_assert!(union.after(due).is_none_or(|next| next >= at || at > through));
            backwards.insert(due);
            at = due;
        }
        prop_assert_eq!(&backwards, &expected);
        if limit.is_some_and(|limit| all > limit as usize) {
            prop_assert_eq!(union.before(Timestamp::HORIZON), expected.last().copied());
        }
        for (n, due) in expected.iter().enumerate().step_by(expected.len() / 8 + 1) {
            prop_assert_eq!(union.nth(from, n as u64 + 1), Some(*due));
        }
    }
}

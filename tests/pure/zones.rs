//! Every change of the clocks of every zone, 1970 to 2099, once: what the timings make of it, against a naive oracle that
//! goes through the local time minute by minute and knows nothing but when the offset changes (from an independent copy
//! of the database). And the odd ones by name.

use crate::independent::{self, HORIZON};
use khronos::schedule::{Definition, DstDefinition, Schedule, Timing};
use ponos::event::Timestamp;
use std::collections::{BTreeSet, HashSet};

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;
/// A larger jump corrects the calendar: nothing is caught up, nothing suppressed.
const CORRECTION: i64 = 3 * HOUR;

const GAPS: [&str; 3] = ["after", "shift", "skip"];
const FOLDS: [&str; 3] = ["first", "last", "both"];

/// A change of the clocks, in seconds: at `at` the offset goes from `before` to `after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Change {
    at: i64,
    before: i64,
    after: i64,
}

fn changes(zone: &str) -> Vec<Change> {
    let pairs = independent::offsets(zone);
    pairs.windows(2).map(|pair| Change { at: pair[1].0, before: pair[0].1, after: pair[1].1 }).collect()
}

impl Change {
    fn size(&self) -> i64 {
        self.after - self.before
    }

    /// The first local time that is skipped or repeated.
    fn low(&self) -> i64 {
        self.at + self.before.min(self.after)
    }

    /// The seconds before and after the change that are looked at: no other change is that near.
    fn window(&self) -> (i64, i64) {
        let reach = HOUR + self.size().abs().min(CORRECTION);
        (self.at - reach, (self.at + reach).min(HORIZON - 1))
    }

    /// The instants at which the wall clock shows one of these local minutes, as the choices have it.
    fn resolve(&self, matches: impl Fn(i64) -> bool, gap: &str, fold: &str) -> BTreeSet<i64> {
        let (start, end) = self.window();
        let low = (start + self.before.min(self.after) - CORRECTION).div_euclid(MINUTE);
        let high = (end + self.before.max(self.after) + CORRECTION).div_euclid(MINUTE);
        let corrects = self.size().abs() > CORRECTION;
        let mut found = BTreeSet::new();
        for minute in (low..=high).filter(|minute| matches(minute.rem_euclid(DAY / MINUTE))) {
            let local = minute * MINUTE;
            let first = Some(local - self.before).filter(|&at| at < self.at);
            let second = Some(local - self.after).filter(|&at| at >= self.at);
            match (first, second) {
                (Some(first), Some(second)) if corrects || fold == "both" => found.extend([first, second]),
                (Some(first), Some(_)) if fold == "first" => found.extend([first]),
                (Some(_), Some(second)) => found.extend([second]),
                (None, None) if corrects || gap == "skip" => {}
                (None, None) if gap == "shift" => found.extend([local - self.before]),
                (None, None) => found.extend([self.at]),
                (one, other) => found.extend(one.or(other)),
            }
        }
        found.retain(|at| (start..=end).contains(at) && *at >= 0);
        found
    }
}

fn build(fill: impl FnOnce(&mut Definition), zone: &str, dst: Option<(&str, &str)>) -> Timing {
    let mut definition =
        Definition { name: "case".into(), event: Some("test.case.passed".into()), ..Definition::default() };
    fill(&mut definition);
    definition.time_zone = Some(zone.into());
    definition.dst = dst.map(|(gap, fold)| DstDefinition { gap: Some(gap.into()), fold: Some(fold.into()) });
    Schedule::build(&definition).unwrap_or_else(|faults| panic!("{definition:?}: {faults:?}")).timing
}

fn millis(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1000)
}

/// Forwards, backwards and counted, the timing has these instants around the change.
fn compare(timing: &Timing, change: &Change, expected: &BTreeSet<i64>, what: &str) {
    let (start, end) = change.window();
    let (from, through) = (millis(start.max(0)).plus(-1), millis(end));
    let mut forwards = Vec::new();
    let mut at = from;
    while let Some(next) = timing.after(at).filter(|next| *next <= through) {
        forwards.push(next);
        at = next;
    }
    let expected: Vec<Timestamp> = expected.iter().map(|second| millis(*second)).collect();
    assert_eq!(forwards, expected, "{what} at {change:?}");
    let mut backwards = Vec::new();
    let mut at = through.plus(1);
    while let Some(previous) = timing.before(at).filter(|previous| *previous > from) {
        backwards.push(previous);
        at = previous;
    }
    backwards.reverse();
    assert_eq!(backwards, expected, "{what} at {change:?}, backwards");
    assert_eq!(timing.count(from, through), expected.len() as u64, "{what} at {change:?}, counted");
}

/// What is tried at a change; `turn` goes through the choices.
fn check(zone: &str, change: &Change, wild: &[(Timing, i64)], choices: impl Iterator<Item = usize>) {
    for (timing, step) in wild {
        let expected = change.resolve(|minute| minute % step == 0, "skip", "both");
        compare(timing, change, &expected, &format!("*/{step} {zone}"));
    }
    // The middle of what is skipped or repeated, and its very first minute.
    let of_day = |local: i64| local.div_euclid(MINUTE).rem_euclid(DAY / MINUTE);
    let middle = of_day(change.low() + change.size().abs() / 2);
    let first = of_day(change.low() + MINUTE - 1);
    for choice in choices {
        let (gap, fold) = (GAPS[choice % 3], FOLDS[choice / 3 % 3]);
        let dst = Some((gap, fold));
        let cron = format!("{} {} * * *", middle % 60, middle / 60);
        let timing = build(|d| d.cron = Some(cron.clone()), zone, dst);
        let expected = change.resolve(|minute| minute == middle, gap, fold);
        compare(&timing, change, &expected, &format!("{cron} {zone} {dst:?}"));

        let hour = middle / 60;
        let hours = [(hour + 23) % 24, hour, (hour + 1) % 24];
        let cron = format!("5-59/25 {},{},{} * * *", hours[0], hours[1], hours[2]);
        let timing = build(|d| d.cron = Some(cron.clone()), zone, dst);
        let matches = |minute: i64| hours.contains(&(minute / 60)) && [5, 30, 55].contains(&(minute % 60));
        compare(&timing, change, &change.resolve(matches, gap, fold), &format!("{cron} {zone} {dst:?}"));

        let phase = format!("{:02}:{:02}", first / 60, first % 60);
        let daily = |d: &mut Definition| (d.every, d.phase) = (Some("1 day".into()), Some(phase.clone()));
        let timing = build(daily, zone, dst);
        let expected = change.resolve(|minute| minute == first, gap, fold);
        compare(&timing, change, &expected, &format!("every day at {phase} {zone} {dst:?}"));
    }
}

#[test]
fn every_change_of_every_zone_is_crossed_as_a_naive_walk_has_it() {
    // Each change with two of the nine choices in turn; with TEST_SCALE=3 and more with all of them.
    let scale: usize = std::env::var("TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1);
    let (mut clocks, mut crossed) = (HashSet::new(), 0);
    for name in independent::names() {
        let all = changes(name);
        let wild =
            [20, 1].map(|step| (build(|d| d.cron = Some(format!("*/{step} * * * *")), name, None), step));
        // Each minute is a lot: at a few changes of each zone.
        for (turn, change) in all.iter().enumerate().filter(|(_, change)| is_alike_in_both(name, change)) {
            let wild = if turn % 16 == 0 { &wild[..] } else { &wild[..1] };
            let choices = if scale < 3 { turn * 2..turn * 2 + 2 } else { 0..9 };
            check(name, change, wild, choices.map(|choice| choice % 9));
            crossed += 1;
        }
        clocks.insert(all);
    }
    let zones = independent::names().len();
    println!("{crossed} changes of {} clocks of {zones} zones", clocks.len());
    assert!(zones > 590 && crossed > 50_000, "{zones} zones, {crossed} changes");
}

/// Before 2000, what later releases of the database corrected is not in ours; no clock starts there.
fn is_alike_in_both(zone: &str, change: &Change) -> bool {
    const CORRECTED: [&str; 5] =
        ["America/Tijuana", "America/Ensenada", "America/Santa_Isabel", "America/Bogota", "Asia/Tehran"];
    const AND: [&str; 2] = ["Mexico/BajaNorte", "Iran"];
    change.at >= 946_684_800 || !(CORRECTED.contains(&zone) || AND.contains(&zone))
}

fn days(timing: &Timing, from: &str, most: usize) -> Vec<String> {
    let mut at: Timestamp = from.parse().unwrap();
    let next = || {
        at = timing.after(at)?;
        timing.local(at).map(|local| format!("{}{}", local.time, local.offset))
    };
    std::iter::from_fn(next).take(most).collect()
}

#[test]
fn cuba_keeps_its_summer_time_over_the_winter_of_2026() {
    for zone in ["America/Havana", "Cuba"] {
        let daily = build(|d| d.every = Some("1 day".into()), zone, None);
        for (from, right) in [
            ("2026-10-31T12:00:00Z", "2026-11-01T00:00:00-04:00"),
            ("2026-11-01T12:00:00Z", "2026-11-02T00:00:00-04:00"),
            ("2027-01-01T12:00:00Z", "2027-01-02T00:00:00-04:00"),
            ("2027-03-14T12:00:00Z", "2027-03-15T00:00:00-04:00"),
            ("2027-11-07T12:00:00Z", "2027-11-08T00:00:00-05:00"),
        ] {
            assert_eq!(days(&daily, from, 1), [right], "{zone}");
        }
    }
}

#[test]
fn lord_howe_moves_its_clocks_by_thirty_minutes() {
    let zone = "Australia/Lord_Howe";
    let all = changes(zone);
    assert!(
        all.iter()
            .filter(|change| change.at > 1_000_000_000)
            .all(|change| change.size().abs() == 30 * MINUTE)
    );
    // 02:00 → 02:30 in October, and back from 02:00 to 01:30 in April.
    let daily = build(|d| (d.every, d.phase) = (Some("1 day".into()), Some("02:15".into())), zone, None);
    assert_eq!(
        days(&daily, "2026-10-02T15:00:00Z", 3),
        ["2026-10-03T02:15:00+10:30", "2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"]
    );
    let both = build(|d| d.cron = Some("45 1 * * *".into()), zone, Some(("after", "both")));
    assert_eq!(
        days(&both, "2026-04-04T00:00:00Z", 3),
        ["2026-04-05T01:45:00+11:00", "2026-04-05T01:45:00+10:30", "2026-04-06T01:45:00+10:30"]
    );
    let wild = build(|d| d.cron = Some("*/30 * * * *".into()), zone, None);
    assert_eq!(
        days(&wild, "2026-10-03T15:00:00Z", 3),
        ["2026-10-04T02:30:00+11:00", "2026-10-04T03:00:00+11:00", "2026-10-04T03:30:00+11:00"]
    );
}

#[test]
fn apia_had_no_thirtieth_of_december_2011() {
    let zone = "Pacific/Apia";
    let expected = ["2011-12-29T09:00:00-10:00", "2011-12-31T09:00:00+14:00", "2012-01-01T09:00:00+14:00"];
    for gap in GAPS {
        let daily = |d: &mut Definition| (d.every, d.phase) = (Some("1 day".into()), Some("09:00".into()));
        assert_eq!(days(&build(daily, zone, Some((gap, "first"))), "2011-12-29T00:00:00Z", 3), expected);
        let cron = build(|d| d.cron = Some("0 9 * * *".into()), zone, Some((gap, "first")));
        assert_eq!(days(&cron, "2011-12-29T00:00:00Z", 3), expected);
    }
    // The 30th of each month, and each Friday: neither is made up for.
    let thirtieth = build(|d| d.cron = Some("0 9 30 * *".into()), zone, None);
    assert_eq!(
        days(&thirtieth, "2011-11-30T00:00:00Z", 2),
        ["2011-11-30T09:00:00-10:00", "2012-01-30T09:00:00+14:00"]
    );
    let fridays = build(|d| d.cron = Some("0 9 * * FRI".into()), zone, None);
    assert_eq!(
        days(&fridays, "2011-12-23T00:00:00Z", 2),
        ["2011-12-23T09:00:00-10:00", "2012-01-06T09:00:00+14:00"]
    );
    // At the corrected day's edge: the last minute before, the first after.
    let wild = build(|d| d.cron = Some("*/30 * * * *".into()), zone, None);
    assert_eq!(
        days(&wild, "2011-12-30T09:00:00Z", 2),
        ["2011-12-29T23:30:00-10:00", "2011-12-31T00:00:00+14:00"]
    );
}

#[test]
fn days_that_begin_at_one_are_not_lost_where_clocks_change_at_midnight() {
    for (zone, from, expected) in [
        (
            "America/Sao_Paulo",
            "2018-11-03T12:00:00Z",
            ["2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"],
        ),
        (
            "America/Havana",
            "2026-03-07T12:00:00Z",
            ["2026-03-08T01:00:00-04:00", "2026-03-09T00:00:00-04:00"],
        ),
        ("Asia/Beirut", "2026-03-28T12:00:00Z", ["2026-03-29T01:00:00+03:00", "2026-03-30T00:00:00+03:00"]),
        ("Africa/Cairo", "2026-04-23T12:00:00Z", ["2026-04-24T01:00:00+03:00", "2026-04-25T00:00:00+03:00"]),
        (
            "America/Asuncion",
            "2023-09-30T12:00:00Z",
            ["2023-10-01T01:00:00-03:00", "2023-10-02T00:00:00-03:00"],
        ),
    ] {
        let daily = build(|d| d.every = Some("1 day".into()), zone, None);
        assert_eq!(days(&daily, from, 2), expected);
        let cron = build(|d| d.cron = Some("@daily".into()), zone, None);
        assert_eq!(days(&cron, from, 2), expected);
        let skipped = build(|d| d.cron = Some("@daily".into()), zone, Some(("skip", "first")));
        assert_eq!(days(&skipped, from, 1), expected[1..]);
    }
    // Back at midnight: 23:30 comes twice on the evening before, midnight itself once.
    let evening = build(|d| d.cron = Some("30 23 * * *".into()), "Asia/Beirut", Some(("after", "both")));
    assert_eq!(
        days(&evening, "2026-10-24T12:00:00Z", 3),
        ["2026-10-24T23:30:00+03:00", "2026-10-24T23:30:00+02:00", "2026-10-25T23:30:00+02:00"]
    );
    let midnight = build(|d| d.cron = Some("@daily".into()), "Asia/Beirut", None);
    assert_eq!(
        days(&midnight, "2026-10-23T22:00:00Z", 2),
        ["2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+02:00"]
    );
}

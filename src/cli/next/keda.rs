//! `khronos next --keda`: cron triggers by which KEDA starts workers before a schedule is due, as values of the chart ponos-worker.
//!
//! KEDA's cron knows minutes, hours, days, months and weekdays, and no calendars, seconds or last days of a month. So they are made
//! from what is due in the year to come, and start a worker on days in vain rather than miss one.

use crate::schedule::Timing;
use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, TimeDelta, Timelike};
use ponos::event::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// How far ahead is looked, in days.
const AHEAD: i64 = 366;
const DAY: i64 = 86_400_000;
const MINUTE: i64 = 60_000;
/// Occurrences that are looked at, at most.
const MOST: usize = 10_000;
/// Triggers of one schedule, at most.
const TRIGGERS: usize = 24;
/// For how many minutes the worker is kept after the event was sent: what waits in the queue keeps it from then on.
const STAY: i64 = 5;
/// The longest start before, in milliseconds.
pub(super) const LONGEST: i64 = DAY;

/// A cron trigger of KEDA: workers are there from `start` to `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trigger {
    pub(super) start: String,
    pub(super) end: String,
}

/// The triggers of what is due after `from`, each begun so many milliseconds before; and until when they hold.
///
/// # Errors
/// Why KEDA's cron can't say it.
pub(super) fn triggers(
    timing: &Timing,
    from: Timestamp,
    before: i64,
) -> Result<(Vec<Trigger>, Timestamp), String> {
    let until = from.plus(AHEAD * DAY).min(Timestamp::HORIZON);
    let due = std::iter::successors(timing.after(from), |due| timing.after(*due));
    let due: Vec<Timestamp> = due.take_while(|due| *due <= until).take(MOST).collect();
    let lead = (before + MINUTE - 1) / MINUTE;
    let stay = STAY + (timing.jitter() + MINUTE - 1) / MINUTE;
    if due.windows(2).any(|two| two[1].since(two[0]) <= (lead + stay) * MINUTE) {
        return Err(format!(
            "it is due again within {} minutes, so that a worker would hardly ever leave: let one stay (scale.min: 1)",
            lead + stay
        ));
    }
    // by the minute of the day at which it starts, and for how many minutes it stays: the days on which it starts
    let mut groups: BTreeMap<(i64, i64), BTreeSet<NaiveDate>> = BTreeMap::new();
    for due in &due {
        let Some(local) = timing.local(*due) else { continue };
        let Ok(wall) = NaiveDateTime::parse_from_str(&local.time, "%Y-%m-%dT%H:%M:%S%.f") else { continue };
        let into = i64::from(wall.second() > 0 || wall.nanosecond() > 0);
        let start = wall - TimeDelta::minutes(lead);
        let minute = i64::from(start.hour() * 60 + start.minute());
        groups.entry((minute, lead + into + stay)).or_default().insert(start.date());
    }
    let mut written: Vec<Written> = Vec::new();
    for ((minute, length), dates) in &groups {
        for (start_days, end_days) in days(dates, (minute + length).div_euclid(24 * 60)) {
            let end = (minute + length).rem_euclid(24 * 60);
            let new = Written {
                start: (minute % 60, start_days),
                end: (end % 60, end_days),
                hours: vec![(minute / 60, end / 60)],
            };
            // what differs in the hour alone is one trigger, unless it is over midnight
            let same = |one: &&mut Written| {
                (&one.start, &one.end) == (&new.start, &new.end) && new.start.1 == new.end.1
            };
            match written.iter_mut().find(same) {
                Some(one) => one.hours.extend(new.hours),
                None => written.push(new),
            }
        }
    }
    if written.len() > TRIGGERS {
        return Err(format!(
            "it is due at times that only {} cron triggers could say, and {TRIGGERS} are the most: let a worker stay (scale.min: 1)",
            written.len()
        ));
    }
    Ok((written.iter().map(Written::trigger).collect(), until))
}

/// A trigger before it is text: minutes with days, and the hours that go with each other.
struct Written {
    start: (i64, String),
    end: (i64, String),
    hours: Vec<(i64, i64)>,
}

impl Written {
    fn trigger(&self) -> Trigger {
        let hours = |of: fn(&(i64, i64)) -> i64| list(self.hours.iter().map(of), 24);
        let expression = |(minute, days): &(i64, String), hours: String| format!("{minute} {hours} {days}");
        Trigger {
            start: expression(&self.start, hours(|(start, _)| *start)),
            end: expression(&self.end, hours(|(_, end)| *end)),
        }
    }
}

/// The days on which it starts, and those on which it ends `later` days after: `day month weekday` each, in as many pairs as needed.
/// By weekday, unless that would start a worker on half as many days again.
fn days(starts: &BTreeSet<NaiveDate>, later: i64) -> Vec<(String, String)> {
    let later = Days::new(later.try_into().unwrap_or(0));
    let weekdays: BTreeSet<i64> = starts.iter().map(|date| weekday(*date)).collect();
    if let (Some(first), Some(last)) = (starts.first(), starts.last()) {
        let such = first
            .iter_days()
            .take_while(|date| date <= last)
            .filter(|date| weekdays.contains(&weekday(*date)));
        if starts.len() >= 8 && such.count() * 2 <= starts.len() * 3 {
            let ends = starts.iter().map(|date| weekday(*date + later)).collect::<BTreeSet<_>>();
            let on = |days: BTreeSet<i64>| format!("* * {}", list(days.into_iter(), 7));
            return vec![(on(weekdays), on(ends))];
        }
    }
    // by day of the month, those of the same months together
    let mut months: BTreeMap<(u32, u32), BTreeSet<(u32, u32)>> = BTreeMap::new();
    for start in starts {
        let end = *start + later;
        months.entry((start.day(), end.day())).or_default().insert((start.month(), end.month()));
    }
    let on =
        |day: u32, months: BTreeSet<u32>| format!("{day} {} *", list(months.into_iter().map(i64::from), 12));
    let pairs = months.into_iter().map(|((start, end), months)| {
        let (starts, ends) = months.into_iter().unzip();
        (on(start, starts), on(end, ends))
    });
    pairs.collect()
}

/// 0 is Sunday.
fn weekday(date: NaiveDate) -> i64 {
    date.weekday().num_days_from_sunday().into()
}

/// `*` for all that there are, else `1-5,8`.
fn list(numbers: impl Iterator<Item = i64>, all: usize) -> String {
    let numbers: BTreeSet<i64> = numbers.collect();
    if numbers.len() == all {
        return "*".to_owned();
    }
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let range = |(first, last): &(i64, i64)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::CalendarStore;

    fn made(cron: &str, zone: &str, before: &str) -> Result<Vec<(String, String)>, String> {
        let timing = Timing::from_cron_with(cron, Some(zone), &CalendarStore::default()).unwrap();
        let before = crate::schedule::parse_length(before, LONGEST, "--keda").unwrap();
        let (triggers, _) = triggers(&timing, "2026-11-30T12:00:00Z".parse().unwrap(), before)?;
        Ok(triggers.into_iter().map(|one| (one.start, one.end)).collect())
    }

    #[track_caller]
    fn pairs(cron: &str, zone: &str, before: &str, expected: &[(&str, &str)]) {
        let found = made(cron, zone, before).unwrap();
        let found: Vec<_> = found.iter().map(|(start, end)| (start.as_str(), end.as_str())).collect();
        assert_eq!(found, expected, "{cron}");
    }

    #[test]
    fn a_trigger_starts_before_and_ends_after_in_the_schedules_own_zone() {
        pairs("0 9 * * 1-5", "Europe/Paris", "5m", &[("55 8 * * 1-5", "5 9 * * 1-5")]);
        pairs("30 4 * * *", "UTC", "90s", &[("28 4 * * *", "35 4 * * *")]);
        pairs("0 8,12,20 * * *", "UTC", "10m", &[("50 7,11,19 * * *", "5 8,12,20 * * *")]);
        pairs("15 9 1 * *", "UTC", "10m", &[("5 9 1 * *", "20 9 1 * *")]);
        pairs("0 9 24 12 *", "UTC", "10m", &[("50 8 24 12 *", "5 9 24 12 *")]);
    }

    #[test]
    fn what_begins_the_day_before_starts_on_the_day_before() {
        pairs("0 0 * * 1", "Asia/Tokyo", "5m", &[("55 23 * * 0", "5 0 * * 1")]);
        pairs("59 23 * * 6", "UTC", "5m", &[("54 23 * * 6", "4 0 * * 0")]);
        pairs(
            "0 0 1 * *",
            "UTC",
            "5m",
            &[
                ("55 23 28 2 *", "5 0 1 3 *"),
                ("55 23 30 4,6,9,11 *", "5 0 1 5,7,10,12 *"),
                ("55 23 31 1,3,5,7,8,10,12 *", "5 0 1 1,2,4,6,8,9,11 *"),
            ],
        );
    }

    #[test]
    fn every_occurrence_of_the_year_lies_within_a_trigger() {
        for (expression, zone) in [
            ("0 9 * * 1-5", "America/New_York"),
            ("30 2 * * *", "Europe/Berlin"),
            ("5 0 1,15 * *", "UTC"),
            ("0 6 L * *", "UTC"),
            ("0 22 29 2,12 *", "UTC"),
        ] {
            let timing = Timing::from_cron_with(expression, Some(zone), &CalendarStore::default()).unwrap();
            let from = "2026-11-30T12:00:00Z".parse().unwrap();
            let (found, until) = triggers(&timing, from, 10 * MINUTE).unwrap();
            let read =
                |text: &str| Timing::from_cron_with(text, Some(zone), &CalendarStore::default()).unwrap();
            let found: Vec<_> = found.iter().map(|one| (read(&one.start), read(&one.end))).collect();
            let mut due = timing.after(from).filter(|due| *due <= until);
            assert!(due.is_some());
            while let Some(at) = due {
                // as KEDA decides it: the next end comes before the next start
                let is_there = found.iter().any(|(start, end)| match (start.after(at), end.after(at)) {
                    (Some(start), Some(end)) => end < start,
                    _ => false,
                });
                assert!(is_there, "{expression}: nobody is there at {at}");
                due = timing.after(at).filter(|due| *due <= until);
            }
        }
    }

    #[test]
    fn what_is_due_too_often_for_a_worker_to_leave_is_refused() {
        for often in ["*/10 * * * *", "0,9 3 * * *"] {
            let why = made(often, "UTC", "5m").unwrap_err();
            assert!(why.contains("within 10 minutes") && why.contains("scale.min: 1"), "{why}");
        }
        assert!(made("0,11 3 * * *", "UTC", "5m").is_ok());
    }
}

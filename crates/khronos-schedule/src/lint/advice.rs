//! What is valid and yet seldom meant: warnings of `check`, each under the key that it is about. Errors are `build`'s.

use crate::{
    cron::Cron,
    definition::{
        Definition,
        instant::{self, Written},
        spelling::{self, Reading},
        timing_keys::TimingKeys,
    },
    fault::{Fault, FaultCode, Flaw, shown},
    schedule::{Past, Schedule},
    timing::{Timing, gaps::wall_text, run_out::CalendarEnd},
    zone::local_times::{Place, place},
};
use ponos_event::{
    Timestamp,
    duration::{Amount, WrittenDuration},
};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// How far ahead changes of the clocks are looked for: the next spring of either hemisphere.
const AHEAD: i64 = 400 * DAY;
/// How many intervals are looked at to see how often a schedule is due.
const INTERVALS: usize = 32;
/// From this factor on, what a name says and how often it is due are two things.
const APART: f64 = 1.7;

/// Words in names that say how often.
const WORDS: [(&str, i64); 10] = [
    ("minutely", 60_000),
    ("hourly", HOUR),
    ("daily", DAY),
    ("nightly", DAY),
    ("weekly", 7 * DAY),
    ("fortnightly", 14 * DAY),
    ("monthly", 30 * DAY),
    ("quarterly", 91 * DAY),
    ("yearly", 365 * DAY),
    ("annual", 365 * DAY),
];

/// What should be looked at again in a schedule that was built from `definition`, as seen at `now`.
pub(crate) fn advice(definition: &Definition, schedule: &Schedule, now: Timestamp) -> Vec<Fault> {
    let mut found = of_timing(TimingKeys::from(definition), &schedule.timing, now);
    for (index, part) in definition.timings.iter().flatten().enumerate() {
        let zone = schedule.timing.zone_named(part.time_zone.as_deref());
        let keys = TimingKeys::from(part);
        let Some(rule) = keys.rule(Some(&zone), &mut Vec::new()) else { continue };
        let Timing { days, bounds, .. } = schedule.timing.clone();
        let timing = Timing { rule, zone, read_in: None, days, bounds, jitter: None };
        let of_part = of_timing(keys, &timing, now).into_iter();
        let part = u8::try_from(index).ok();
        found.extend(of_part.map(|fault| Fault { part, ..fault }));
    }
    found.extend(misleading(definition, schedule, now));
    let ends = run_out(definition, &schedule.timing, now);
    // Whatever is due only on the days of a calendar is over with it.
    if !ends.iter().any(|fault| fault.key == "only") {
        found.extend(over(definition, schedule, now));
    }
    found.extend(ends);
    found.iter_mut().for_each(|fault| fault.code = FaultCode::SeldomMeant);
    found
}

/// Nothing of it is due any more.
fn over(definition: &Definition, schedule: &Schedule, now: Timestamp) -> Option<Fault> {
    let timing = &schedule.timing;
    if timing.after(now).is_some() {
        return None;
    }
    let last = timing.before(now.plus(1))?;
    let local = timing.local(last)?;
    let when = format!("{} {}", local.time.replace('T', " "), local.zone.name());
    if timing.is_one_shot() {
        let what =
            format!("it was due at {when}, which is past: a clock that first sees it now does not send it");
        let help = "remove it if it has been sent; past = \"send\" has a new clock send it at once";
        let key = if definition.at.is_some() { "at" } else { "timings" };
        return (schedule.past == Past::Refuse).then(|| Flaw::whole(what).help(help).of(key));
    }
    let bound = definition.until.as_deref().and_then(|text| instant::bound(text, Some(timing.zone())).ok());
    let given = [
        ("until", bound.is_some_and(|until| until <= now)),
        ("limit", definition.limit.is_some()),
        ("cron", definition.cron.is_some()),
        ("every", definition.every.is_some()),
    ];
    let key = given.into_iter().find(|(_, given)| *given).map_or("timings", |(key, _)| key);
    let what = format!("it will never fire again: it was last due at {when}");
    Some(Flaw::whole(what).help("remove it, or change when it ends").of(key))
}

/// Calendars whose last day is past, or will be when the schedule is next due.
fn run_out(definition: &Definition, timing: &Timing, now: Timestamp) -> Vec<Fault> {
    let next = timing.after(now).unwrap_or(now);
    let past = timing.calendar_ends().into_iter().filter(|one| one.end <= next);
    let fault = |one: CalendarEnd| {
        let (key, list) = match one.excluded {
            true => ("exclude", &definition.exclude),
            false => ("only", &definition.only),
        };
        let item = list.iter().flatten().position(|name| **name == *one.calendar);
        let flaw = Flaw::whole(if one.end <= now { one.to_string() } else { one.coming() });
        let flaw = flaw.help("add the coming days to it");
        match item {
            Some(item) => flaw.of_item(key, item),
            None => flaw.of(key),
        }
    };
    past.map(fault).collect()
}

/// What is to be said of one timing, under its keys.
fn of_timing(keys: TimingKeys<'_>, timing: &Timing, now: Timestamp) -> Vec<Fault> {
    let mut found = Vec::new();
    if let Some(text) = keys.cron
        && let Ok(cron) = Cron::parse(text)
    {
        found.extend(cron.remarks(text).into_iter().map(|flaw| flaw.of("cron")));
    }
    found.extend(gap(keys, timing, now));
    found
}

/// A local time that the next changes of the clocks skip. Who chose `dst` knows.
fn gap(keys: TimingKeys<'_>, timing: &Timing, now: Timestamp) -> Option<Fault> {
    if keys.dst.is_some_and(|dst| dst.gap.is_some()) || keys.given().next().is_none() {
        return None;
    }
    if let Some(text) = keys.at {
        let Ok(Written::Local(local)) = instant::read(text) else { return None };
        let Place::Gap { after, .. } = place(timing.zone(), local) else { return None };
        let due = timing.local(Timestamp::from_millis(after))?.time.replace('T', " ");
        let (local, zone) = (wall_text(local), timing.zone().name());
        let what = format!("{local} does not exist in {zone}: it is due at {due}, after the gap");
        return Some(Flaw::whole(what).help(CHOICE).of("at"));
    }
    let key = if keys.cron.is_some() { "cron" } else { "every" };
    let skipped = timing.gaps(now, now.plus(AHEAD), 1).pop()?;
    let gone = format!("{} does not exist in {}", skipped.local, skipped.zone.name());
    Some(match &skipped.instead {
        Some(instead) => {
            let what = format!("{gone}: it is due at {instead} then, after the gap");
            Flaw::whole(what).help(CHOICE).of(key)
        }
        None => {
            let help = "a minute and an hour that do not begin with '*' are caught up after the gap";
            Flaw::whole(format!("{gone}: nothing is due that day")).help(help).of(key)
        }
    })
}

const CHOICE: &str = "another time avoids it; dst = { gap = \"after\" } says that it is intended, \"shift\" and \"skip\" choose otherwise";

/// A name, or an event's name, that says another interval than the timing's.
fn misleading(definition: &Definition, schedule: &Schedule, now: Timestamp) -> Vec<Fault> {
    let name = said_by_name(&definition.name).map(|said| ("name", definition.name.as_str(), said));
    let event = definition.event.as_deref();
    let event = event.and_then(|event| said_by_event(event).map(|said| ("event", event, said)));
    if name.is_none() && event.is_none() {
        return Vec::new();
    }
    let Some(usual) = usual_interval(&schedule.timing, now) else { return Vec::new() };
    let flaw = |(key, text, (said, millis)): (&'static str, &str, (String, i64))| {
        let factor = usual as f64 / millis as f64;
        let apart = !(1.0 / APART..=APART).contains(&factor);
        apart.then(|| {
            let what = format!("'{}' says {said}, but it is due about {}", shown(text), often(usual));
            Flaw::whole(what).help("rename it, or change its timing").of(key)
        })
    };
    name.into_iter().chain(event).filter_map(flaw).collect()
}

/// The middle one of the next intervals.
fn usual_interval(timing: &Timing, now: Timestamp) -> Option<i64> {
    let mut at = timing.after(now)?;
    let mut intervals = Vec::with_capacity(INTERVALS);
    while intervals.len() < INTERVALS
        && let Some(next) = timing.after(at)
    {
        intervals.push(next.since(at));
        at = next;
    }
    intervals.sort_unstable();
    intervals.get(intervals.len() / 2).copied()
}

fn said_by_name(name: &str) -> Option<(String, i64)> {
    let word = name.split(['.', '-', '_']).find_map(said_by_word);
    let bare = name.replace('_', "-");
    let bare = bare.strip_prefix("every-").unwrap_or(&bare);
    word.or_else(|| [bare.to_owned(), format!("one-{bare}")].iter().find_map(|text| spelt(text)))
}

fn said_by_event(event: &str) -> Option<(String, i64)> {
    let spelt = event.strip_prefix("time.").and_then(|rest| rest.strip_suffix(".passed")).and_then(spelt);
    spelt.or_else(|| event.split('.').find_map(said_by_word))
}

fn said_by_word(word: &str) -> Option<(String, i64)> {
    let word = if word == "annually" { "annual" } else { word };
    WORDS.iter().find(|(known, _)| *known == word).map(|&(known, millis)| (known.to_owned(), millis))
}

/// `five-minutes`, as a duration in words.
fn spelt(text: &str) -> Option<(String, i64)> {
    let Reading::Duration(duration) = spelling::read(&format!("time.{text}.passed")) else { return None };
    Some((format!("every {duration}"), about(&duration)?))
}

fn about(duration: &WrittenDuration) -> Option<i64> {
    let days = |days: u64, each: i64| i64::try_from(days).ok()?.checked_mul(each);
    match duration.amount()? {
        Amount::Elapsed(millis) => i64::try_from(millis).ok(),
        Amount::Days(n) => days(n, DAY),
        Amount::Months(n) => days(n, DAY * 365 / 12),
    }
}

/// An interval in words: `every day`, `every 2.5 hours`.
fn often(millis: i64) -> String {
    let units = [
        (365 * DAY, "year"),
        (28 * DAY, "month"),
        (7 * DAY, "week"),
        (DAY, "day"),
        (HOUR, "hour"),
        (60_000, "minute"),
        (1000, "second"),
    ];
    let (size, unit) = units.into_iter().find(|(size, _)| millis >= *size).unwrap_or((1, "millisecond"));
    let size = if unit == "month" { DAY * 365 / 12 } else { size };
    let tenths = (millis * 10 + size / 2) / size;
    match (tenths / 10, tenths % 10) {
        (1, 0) => format!("every {unit}"),
        (n, 0) => format!("every {n} {unit}s"),
        (n, tenth) => format!("every {n}.{tenth} {unit}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a schedule at the end of November 2026, each with its key.
    fn said(keys: serde_json::Value) -> Vec<String> {
        let mut all = serde_json::json!({ "name": "a", "event": "a.b.started" });
        all.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        let definition: Definition = serde_json::from_value(all).unwrap();
        let schedule = Schedule::build(&definition).unwrap();
        let now = instant::bound("2026-11-21T07:30:00Z", None).unwrap();
        let found = advice(&definition, &schedule, now);
        found.into_iter().map(|fault| format!("{}: {}", fault.path(), fault.what)).collect()
    }

    #[test]
    fn local_times_in_the_coming_gap_are_told_with_what_happens_to_them() {
        let paris = |keys: &str| {
            let mut keys: serde_json::Value = serde_json::from_str(keys).unwrap();
            keys["time_zone"] = "Europe/Paris".into();
            said(keys)
        };
        let gone = "2027-03-28 02:30 does not exist in Europe/Paris: ";
        let due = format!("{gone}it is due at 03:00 then, after the gap");
        assert_eq!(paris(r#"{"cron":"30 2 * * *"}"#), [format!("cron: {due}")]);
        assert_eq!(paris(r#"{"every":"1 day","phase":"02:30"}"#), [format!("every: {due}")]);
        assert_eq!(
            paris(r#"{"cron":"*/15 2 * * *"}"#)[0].split(": ").last(),
            Some("nothing is due that day")
        );
        assert_eq!(
            paris(r#"{"at":"2027-03-28T02:30"}"#),
            [format!("at: {gone}it is due at 2027-03-28 03:00:00, after the gap")]
        );
        let both = r#"{"timings":[{"cron":"0 9 * * *"},{"cron":"30 2 * * *"}]}"#;
        assert_eq!(paris(both), [format!("timings.1.cron: {due}")]);
        for right in [
            r#"{"cron":"30 3 * * *"}"#,
            r#"{"cron":"*/15 * * * *"}"#,
            r#"{"cron":"30 2 * * 1-5"}"#,
            r#"{"cron":"30 2 * * *","dst":{"gap":"after"}}"#,
            r#"{"cron":"30 2 * * *","until":"2027-01-01T00:00"}"#,
            r#"{"every":"30 minutes"}"#,
            r#"{"at":"2027-03-28T03:30"}"#,
        ] {
            assert_eq!(paris(right), [""; 0], "{right}");
        }
    }

    #[test]
    fn what_is_over_is_told_with_its_last_time() {
        let over = "it will never fire again: it was last due at";
        for (keys, right) in [
            (
                r#"{"at":"2026-11-20T09:00","time_zone":"Europe/Paris"}"#,
                "at: it was due at 2026-11-20 09:00:00 Europe/Paris, which is past: a clock that first sees it now does not send it".to_owned(),
            ),
            (
                r#"{"every":"1 day","until":"2026-11-01T00:00:00Z"}"#,
                format!("until: {over} 2026-10-31 00:00:00 UTC"),
            ),
            (r#"{"cron":"0 0 9 1 1 ? 2025"}"#, format!("cron: {over} 2025-01-01 09:00:00 UTC")),
            (
                r#"{"every":"1 hour","from":"2026-11-01T00:00:00Z","limit":3}"#,
                format!("limit: {over} 2026-11-01 02:00:00 UTC"),
            ),
            (
                r#"{"timings":[{"at":"2026-01-01T00:00:00Z"},{"cron":"0 0 0 1 1 ? 2020"}]}"#,
                format!("timings: {over} 2026-01-01 00:00:00 UTC"),
            ),
        ] {
            assert_eq!(said(serde_json::from_str(keys).unwrap()), [right], "{keys}");
        }
        for keys in [
            r#"{"at":"2026-11-20T09:00:00Z","past":"send"}"#,
            r#"{"at":"2026-11-22T09:00:00Z"}"#,
            r#"{"every":"1 day","until":"2026-11-23T00:00:00Z"}"#,
            r#"{"cron":"0 0 9 1 1 ? 2027"}"#,
            r#"{"every":"1 hour","limit":1}"#,
            r#"{"timings":[{"at":"2026-01-01T00:00:00Z"},{"every":"1 day"}]}"#,
        ] {
            assert_eq!(said(serde_json::from_str(keys).unwrap()), [""; 0], "{keys}");
        }
    }

    #[test]
    fn names_that_say_another_interval_are_told() {
        for (keys, what) in [
            (
                r#"{"name":"hourly","cron":"0 0 * * *"}"#,
                "name: 'hourly' says hourly, but it is due about every day",
            ),
            (r#"{"name":"daily-report","every":"1 hour"}"#, "due about every hour"),
            (r#"{"name":"report_weekly","cron":"0 0 * * 1,4"}"#, "about every 4 days"),
            (r#"{"name":"every-5-minutes","cron":"*/15 * * * *"}"#, "says every 5 minutes"),
            (r#"{"name":"every-hour","every":"1 day"}"#, "says every 1 hour"),
            (r#"{"event":"time.one-hour.passed","cron":"0 0 * * *"}"#, "event: 'time.one-hour.passed' says"),
            (r#"{"event":"report.monthly.requested","cron":"0 0 1 */3 *"}"#, "event: "),
            (r#"{"name":"yearly","cron":"0 0 1 * *"}"#, "about every month"),
        ] {
            let found = said(serde_json::from_str(keys).unwrap());
            assert!(matches!(&found[..], [one] if one.contains(what)), "{keys}: {found:?}");
        }
        for keys in [
            r#"{"name":"daily-report","cron":"0 9 * * MON-FRI"}"#,
            r#"{"name":"hourly","cron":"0 9-17 * * MON-FRI"}"#,
            r#"{"name":"monthly","every":"1 month"}"#,
            r#"{"name":"one-day","every":"1 day"}"#,
            r#"{"name":"quarterly","cron":"0 0 1 */3 *"}"#,
            r#"{"name":"weekly","at":"2027-01-01T00:00:00Z"}"#,
            r#"{"name":"day-in-new-york","every":"1 day"}"#,
            r#"{"event":"hr.hourly-rate.changed","cron":"0 9 * * *"}"#,
        ] {
            assert_eq!(said(serde_json::from_str(keys).unwrap()), [""; 0], "{keys}");
        }
    }
}

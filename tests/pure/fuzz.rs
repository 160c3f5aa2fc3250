//! Every parser that meets outside input, against inputs that are almost right: no panic, no endless search, and faults
//! that point into what was given. A seeded loop: what it finds, it finds again. TEST_SCALE=10 makes it ten times as long.
#![allow(clippy::disallowed_methods, reason = "that nothing runs away is measured")]

mod mutate;

use khronos::{
    diagnostic::{Diagnostics, Text},
    position::Position,
    schedule::{
        Calendars, Definition, FaultCode, Schedule, Timing, Zone, calendar, file, near_miss, parse_instant,
        parse_length,
    },
};
use mutate::Mutator;
use ponos::event::Timestamp;
use std::time::{Duration, Instant};

/// Far beyond what any input takes (a millisecond or so), far below an endless search; for a machine that does other things.
const RUN_AWAY: Duration = Duration::from_secs(5);

fn rounds(base: usize) -> usize {
    base * std::env::var("TEST_SCALE").ok().and_then(|scale| scale.parse::<usize>().ok()).unwrap_or(1)
}

/// Gives mutated inputs to `target`, and says with which one it failed.
fn fuzz(seed: u64, base: usize, corpus: Vec<String>, target: impl Fn(&str) + std::panic::RefUnwindSafe) {
    let mut mutator = Mutator::new(seed, corpus);
    for round in 0..rounds(base) {
        let input = mutator.next_input();
        let timed = || {
            let begin = Instant::now();
            let outcome = std::panic::catch_unwind(|| target(&input));
            assert!(outcome.is_ok(), "seed {seed}, round {round}: it panics on {input:?}");
            begin.elapsed()
        };
        // Once more if the machine stood still meanwhile.
        assert!(
            timed() < RUN_AWAY || timed() < RUN_AWAY,
            "seed {seed}, round {round}: too long for {input:?}"
        );
    }
}

/// Builds it; what is refused has faults that fit the text of the key that is tried, what is accepted can be asked.
fn build(key: &'static str, text: &str, definition: Definition) {
    let named = Definition { name: "fuzz".into(), event: Some("a.b.started".into()), ..definition };
    match Schedule::build(&named) {
        Ok(schedule) => ask(&schedule.timing),
        Err(faults) => {
            assert!(!faults.is_empty());
            for fault in faults {
                assert!(!fault.what.is_empty() && fault.what.chars().count() < 400, "{fault:?}");
                assert!(fault.help.as_ref().is_none_or(|help| help.chars().count() < 400), "{fault:?}");
                let fits = fault.at.clone().is_none_or(|at| text.get(at).is_some());
                assert!(fault.key != key || fits, "{fault:?}");
            }
        }
    }
}

/// A few steps there and back, and what people are shown.
fn ask(timing: &Timing) {
    let start = Timestamp::from_millis(1_790_000_000_123);
    let mut at = start;
    for step in 1..=3 {
        let Some(next) = timing.after(at) else { break };
        assert!(next > at);
        assert_eq!(timing.count(start, next), step);
        assert_eq!(timing.before(next.plus(1)), Some(next));
        assert!(timing.local(next).is_some());
        at = next;
    }
    timing.gaps(start, start.plus(400 * 86_400_000), 2);
    assert!(!timing.describe().is_empty());
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn expressions() -> Vec<String> {
    let expression = |line: &str| {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        case["expr"].as_str().unwrap().to_owned()
    };
    let cases =
        [include_str!("../conformance/cron_next.jsonl"), include_str!("../conformance/cron_reject.jsonl")];
    cases.into_iter().flat_map(|file| file.lines().map(expression)).collect()
}

#[test]
fn cron_expressions() {
    let zones = ["UTC", "Europe/Paris", "Australia/Lord_Howe", "Pacific/Apia"];
    fuzz(1, 400_000, expressions(), |text| {
        let zone = zones[text.len() % zones.len()];
        let definition =
            Definition { cron: Some(text.into()), time_zone: Some(zone.into()), ..Definition::default() };
        build("cron", text, definition);
    });
}

#[test]
fn durations_and_phases() {
    let corpus = "1h\n90s\n1 day\n2 weeks\n1 month\n1 year 6 months\n100ms\n1h 30m\nPT1H30M\nP1D\nP2W\nP1Y6M\nPT0.1S\n\
                  14 days 09:00\n09:00\n2 months 14 days\n1 fortnight\nM\n24 Hours\nPT1.5S\n99999999999999999999s";
    fuzz(2, 400_000, lines(corpus), |text| {
        build("every", text, Definition { every: Some(text.into()), ..Definition::default() });
        let (every, phase) = (Some("1 year".into()), Some(text.into()));
        build("phase", text, Definition { every, phase, ..Definition::default() });
        let most = 1 << 40;
        assert!(parse_length(text, most, "length").map_or(true, |length| (1..=most).contains(&length)));
    });
}

#[test]
fn instants_and_zones() {
    let corpus = "2026-12-01T09:00:00Z\n2026-12-01T09:00\n2026-12-01 09:00:00.123+01:00\n2027-03-28T02:30\n\
                  1970-01-01T00:00:00Z\n2099-12-31T23:59:59.999Z\n2026-02-29T00:00Z\n2011-12-30T12:00\n2026-12-01T09:00:00-23:59\n\
                  2100-12-31T23:43:59-23:59";
    fuzz(3, 400_000, lines(corpus), |text| {
        if let Ok(at) = parse_instant(text, Some("Europe/Paris"), "from", None) {
            assert!(at.to_utc().is_some(), "{at}");
            assert_eq!(parse_instant(&at.to_string(), None, "from", None), Ok(at));
        }
        let definition = Definition {
            at: Some(text.into()),
            time_zone: Some("Pacific/Apia".into()),
            ..Definition::default()
        };
        build("at", text, definition);
        let (every, anchor) = (Some("1 month".into()), Some(text.into()));
        let zone = Some("Europe/Paris".into());
        build("anchor", text, Definition { every, anchor, time_zone: zone, ..Definition::default() });
    });
    fuzz(4, 2_000, lines("Europe/Paris\nAmerica/New_York\nUTC\nEtc/GMT+1\nAsia/Calcutta"), |text| {
        let definition =
            Definition { every: Some("1 day".into()), time_zone: Some(text.into()), ..Definition::default() };
        build("time_zone", text, definition);
    });
}

#[test]
fn positions() {
    let corpus = "r000000009c1f22ab.42\nrffffffffffffffff.18446744073709551615\n0\n42\n18446744073709551615";
    fuzz(9, 400_000, lines(corpus), |text| match text.parse::<Position>() {
        Ok(position) => assert_eq!(position.to_string().parse(), Ok(position)),
        Err(wrong) => assert!(wrong.to_string().chars().count() < 400),
    });
}

#[test]
fn names_and_events() {
    let corpus =
        "time.one-day.passed\ntime.one-hundred-twenty-seconds.passed\na.b.started\ntime.4-hours.passed";
    fuzz(5, 100_000, lines(corpus), |text| {
        near_miss::suspicious(text);
        let definition = Definition {
            name: text.into(),
            event: Some(text.into()),
            every: Some("1 day".into()),
            ..Definition::default()
        };
        if let Err(faults) = Schedule::build(&definition) {
            assert!(faults.iter().all(|fault| fault.at.clone().is_none_or(|at| text.get(at).is_some())));
        }
    });
}

#[test]
fn schedule_files() {
    let examples = include_str!("../../schedules/examples.toml");
    let live: Vec<&str> = examples.lines().filter(|line| !line.starts_with("##")).collect();
    let live: Vec<&str> = live.iter().map(|line| line.strip_prefix("# ").unwrap_or(line)).collect();
    let mut corpus: Vec<String> = live.join("\n").split("\n\n").map(str::to_owned).collect();
    corpus.extend(include_str!("../../schedules/standard.toml").split("\n\n").map(str::to_owned));
    let now = Timestamp::from_millis(1_790_000_000_000);
    fuzz(6, 40_000, corpus, |text| {
        let (entries, found) = file::advised(&Text::new("fuzz.toml", text), &Calendars::default(), Some(now));
        placed(text, &found);
        entries.iter().for_each(|entry| ask(&entry.schedule.timing));
    });
}

#[test]
fn schedules_as_json() {
    let examples = include_str!("../../schedules/standard.toml");
    let (entries, _) = file::parse(&Text::new("standard.toml", examples), &Calendars::default());
    let mut corpus: Vec<String> =
        entries.iter().map(|entry| serde_json::to_string(&entry.definition).unwrap()).collect();
    corpus.push(r#"{"name":"a","event":"a.b.c","timings":[{"cron":"0 9 * * 1-5","time_zone":"Europe/Paris"},{"at":"2026-12-01T09:00"}],"dst":{"gap":"skip"},"limit":3}"#.to_owned());
    corpus.push(r#"{"name":"b","every":"90s","catch_up":{"most":5,"grace":"0"},"data":{"a":[1e3,-0.5,null,"\u00e9"],"b":{"c":true}},"exclude":["x"]}"#.to_owned());
    let now = Timestamp::from_millis(1_790_000_000_000);
    fuzz(9, 60_000, corpus, |text| match file::from_json(text.as_bytes(), &Calendars::default(), now) {
        Ok(entry) => {
            // What is accepted is accepted again as it is kept, and means the same.
            let kept = serde_json::to_vec(&entry.definition).unwrap();
            let again = file::from_json(&kept, &Calendars::default(), now).unwrap();
            assert_eq!((again.definition, again.schedule), (entry.definition, entry.schedule.clone()));
            ask(&entry.schedule.timing);
        }
        Err(faults) => {
            assert!(!faults.list.is_empty() && !faults.to_string().is_empty());
            let Ok(whole) = serde_json::from_str::<serde_json::Value>(text) else { return };
            // Of two equal keys this reader takes the other one.
            if faults.list.iter().any(|fault| fault.code == FaultCode::DuplicateKey) {
                return;
            }
            for pointer in faults.list.iter().map(|fault| fault.pointer.as_str()) {
                // Of a key that is missing, what it belongs to.
                let above = pointer.rsplit_once('/').map_or("", |(above, _)| above);
                assert!(whole.pointer(pointer).or(whole.pointer(above)).is_some(), "{pointer} in {text}");
            }
        }
    });
}

/// Every finding lies within the text.
fn placed(text: &str, found: &Diagnostics) {
    for diagnostic in found.list() {
        assert!(diagnostic.line.is_none_or(|line| line <= text.lines().count() + 1), "{diagnostic:?}");
        let shown = diagnostic.source_line.as_deref().unwrap_or_default();
        assert!(shown.get(diagnostic.underline.clone()).is_some(), "{diagnostic:?}");
    }
}

#[test]
fn calendar_files() {
    let table = include_str!("../../calendars/holidays-fr.toml");
    let small = "dates = [\"2026-12-24/2027-01-02\"]\nyearly = [\"02-29\"]\nweekdays = [\"SAT\", \"SUN\"]\n";
    fuzz(7, 20_000, vec![table.to_owned(), small.to_owned()], |text| {
        if let Err(found) = calendar::parse(&Text::new("fuzz.toml", text), false) {
            placed(text, &found);
        }
    });
    let ics = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nX-WR-TIMEZONE:Europe/Paris\r\nBEGIN:VEVENT\r\nUID:1\r\n\
               DTSTAMP:20260101T000000Z\r\nDTSTART;VALUE=DATE:20261224\r\nDTEND;VALUE=DATE:20270103\r\n\
               RRULE:FREQ=MONTHLY;INTERVAL=2;COUNT=5;BYDAY=-1FR\r\nEXDATE;VALUE=DATE:20270129\r\nSUMMARY:a\r\n b\r\n\
               END:VEVENT\r\nBEGIN:VEVENT\r\nUID:2\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260105T090000Z\r\nDURATION:PT1H\r\n\
               RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;UNTIL=20500101T000000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let lines: Vec<&str> = ics.split_inclusive("\r\n").collect();
    let mut corpus = vec![ics.to_owned(), lines[..12].concat() + "END:VCALENDAR\r\n"];
    corpus.extend(["DAILY", "WEEKLY", "YEARLY"].map(|rule| ics.replace("MONTHLY", rule)));
    // Whatever a file is said to hold: cancelled and moved occurrences, zones, several calendars.
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/ics");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    corpus.extend(files.iter().map(|file| std::fs::read_to_string(file).unwrap()));
    corpus.push(OWN_ZONE.to_owned());
    fuzz(8, 20_000, corpus, |text| {
        match calendar::parse(&Text::new("fuzz.ics", text), true) {
            Ok((calendar, found)) => {
                placed(text, &found);
                assert!(calendar.days_in(&Zone::UTC).len() < 60_000);
            }
            Err(found) => placed(text, &found),
        }
        // With a byte too few, it is not UTF-8 any more.
        let mut bytes = text.as_bytes().to_vec();
        assert_eq!(calendar::ics::decoded(bytes.clone()).replace('\n', "\r"), text.replace('\n', "\r"));
        bytes.drain(bytes.len() / 2..(bytes.len() / 2 + 1).min(bytes.len()));
        let decoded = calendar::ics::decoded(bytes);
        assert!(decoded.len() <= 3 * text.len());
    });
}

/// A zone by its own rules, and an event with every property that says something about days.
const OWN_ZONE: &str = "BEGIN:VCALENDAR\r\nBEGIN:VTIMEZONE\r\nTZID:Office \u{e9}\r\nBEGIN:DAYLIGHT\r\nTZOFFSETFROM:-0500\r\nTZOFFSETTO:-0400\r\n\
    DTSTART:20070311T020000\r\nRRULE:FREQ=YEARLY;BYDAY=2SU;BYMONTH=3\r\nEND:DAYLIGHT\r\nBEGIN:STANDARD\r\nTZOFFSETFROM:-0400\r\n\
    TZOFFSETTO:-0500\r\nDTSTART:20071104T020000\r\nRDATE:20081102T020000\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\n\
    UID:1\r\nDTSTART;TZID=Office \u{e9}:20260105T200000\r\nDURATION:P1DT2H\r\nRRULE:FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=1,-1\r\n\
    EXRULE:FREQ=YEARLY;BYYEARDAY=40;BYHOUR=20\r\nRDATE;VALUE=PERIOD:20260201T000000Z/PT5H,20260301T000000/20260302T000000\r\n\
    EXDATE:20260106T010000Z\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:1\r\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260203T010000Z\r\n\
    DTSTART:20260204T010000Z\r\nSEQUENCE:2\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

//! What people write who come from other systems, or by mistake: each is refused with its place, what is allowed, and the
//! right form where it can be guessed; and however long it is, at once.
#![allow(clippy::disallowed_methods, reason = "how long it takes is what is tested")]

use khronos::schedule::{Definition, Fault, Schedule};
use std::{
    ops::Range,
    time::{Duration, Instant},
};

fn refused(definition: Definition) -> Fault {
    let definition = Definition { name: "a".into(), event: Some("a.b.started".into()), ..definition };
    let mut faults = Schedule::build(&definition).expect_err("it is refused");
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

fn cron(text: &str) -> Fault {
    refused(Definition { cron: Some(text.into()), ..Definition::default() })
}

/// Expression, the part that is pointed at (all of it where none is), what is said of it, the remedy.
const CRON: &[(&str, &str, &str, &str)] = &[
    // Quartz
    ("0 9 ? ? *", "?", "'?' is not allowed here in the month field", "'*' means any value"),
    ("0 0 12 ? * FRI#L", "#L", "'#L' is not '#' and a number from 1 to 5", "write 'FRIL'"),
    ("0 0 12 * * MON 1900", "1900", "1900 is out of range in the year field: 1970-2099", ""),
    ("0 0 0 1 1 ? 2100", "2100", "2100 is out of range in the year field: 1970-2099", ""),
    ("0 9 * * L", "L", "'L' needs a weekday before it", "'5L' for the last Friday"),
    // Go's cron
    ("@every 5m", "", "'@every' is not a shorthand here", "write every = \"5m\" instead of cron"),
    ("@every 1h30m", "", "'@every'", "every = \"1h30m\""),
    (
        "TZ=Europe/Paris 0 9 * * *",
        "",
        "the time zone is a key of its own",
        "time_zone = \"Europe/Paris\" and cron = \"0 9 * * *\"",
    ),
    ("CRON_TZ=UTC 0 9 * * *", "", "the time zone is a key", "time_zone = \"UTC\""),
    // crontab
    ("@reboot", "", "'@reboot' is not a shorthand here", "belongs in the service"),
    ("@hour", "", "is not one of '@yearly'", "did you mean '@hourly'?"),
    ("hourly", "", "1 field found", "write '@hourly'"),
    ("@quarterly", "", "'@quarterly' is not a shorthand here", "write '0 0 1 */3 *'"),
    ("0 9 * * 1-5 root", "root", "'root' is not a field", "give only the times here: '0 9 * * 1-5'"),
    ("0 9 * * 1-5 /usr/bin/backup --all", "/usr/bin/backup --all", "is not a field", "'0 9 * * 1-5'"),
    ("0 9 * * *  # daily", "# daily", "'# daily' is not a field", "'0 9 * * *'"),
    ("\"0 9 * * *\"", "", "there are quotes within", "leave the inner ones away"),
    // Jenkins, OpenBSD
    ("H/15 * * * *", "H", "'H' is not a value of the minute field; 0-59 is allowed", "jitter = \"10m\""),
    ("~ * * * *", "~", "'~' is not a value of the minute field", "jitter"),
    ("0~30 * * * *", "0~30", "'0~30' is not a value of the minute field", "jitter"),
    // EventBridge
    ("rate(5 minutes)", "", "'rate(...)' is EventBridge's", "write every = \"5 minutes\""),
    ("rate(1 day)", "", "EventBridge's", "write every = \"1 day\""),
    ("cron(0 12 * * ? *)", "", "'cron(...)' is EventBridge's, with a year", "write '0 12 * * ?'"),
    ("cron(0 12 ? * 2-6 2027)", "", "EventBridge's", "write '0 0 12 ? * MON-FRI 2027': there 1 is Sunday"),
    ("cron(0 25 * * ? *)", "", "EventBridge's", "minute hour day-of-month"),
    (
        "15 10 ? * 6L 2026-2028",
        "",
        "this is EventBridge's form, with a year in the sixth field",
        "write '0 15 10 ? * FRIL 2026-2028': there 1 is Sunday",
    ),
    ("0 12 * * ? *", "", "EventBridge's form", "write '0 12 * * ?'"),
    ("0 18 ? * MON-FRI *", "", "EventBridge's form", "write '0 18 ? * MON-FRI'"),
    ("0 8 ? * 2#1 2027,2029", "", "EventBridge's form", "write '0 0 8 ? * MON#1 2027,2029'"),
    ("at(2026-12-01T09:00:00)", "", "EventBridge's", "at = \"2026-12-01T09:00:00\""),
    // systemd, iCalendar, ISO 8601, words
    ("Mon..Fri 09:00", "", "a calendar event of systemd", "'0 9 * * MON-FRI'"),
    ("*-*-* 09:00:00", "", "a calendar event of systemd", "minute hour"),
    ("RRULE:FREQ=DAILY", "", "a recurrence rule of iCalendar", "minute hour"),
    ("R/2026-01-01T00:00:00Z/PT1H", "", "a repeating interval of ISO 8601", "every = \"PT1H\""),
    ("R5/PT1H", "", "ISO 8601", "every = \"PT1H\""),
    ("PT1H", "", "this is a duration", "write every = \"PT1H\""),
    ("5m", "", "this is a duration", "write every = \"5m\""),
    ("every 5 min", "", "a sentence", "write every = \"5 min\""),
    ("every day", "", "a sentence", "write every = \"1 day\""),
    ("every day at 9 in the morning", "", "a sentence", "every = \"5 minutes\""),
    ("09:30", "", "a time of day", "write '30 9 * * *'"),
    ("2026-12-01T09:00", "", "an instant", "at = \"2026-12-01T09:00\""),
    // values
    ("60 * * * *", "60", "60 is out of range in the minute field: 0-59", "write '0'"),
    ("0 24 * * *", "24", "24 is out of range in the hour field: 0-23", "midnight is 0"),
    ("0 9 0 * *", "0", "0 is out of range in the day-of-month field: 1-31", "'1' is the first day"),
    ("0 9 32 * *", "32", "32 is out of range in the day-of-month field: 1-31", "'L' is the last day"),
    ("0 9 * 0 *", "0", "0 is out of range in the month field: 1-12 or JAN-DEC", "'1' is January"),
    ("0 9 * 13 *", "13", "13 is out of range in the month field", ""),
    ("* * * * 8", "8", "8 is out of range in the day-of-week field: 0-7", "'0' or '7' Sunday"),
    ("0 9 * * MONDAY", "MONDAY", "'MONDAY' is not a value of the day-of-week field", "write 'MON'"),
    ("0 9 1 JANUARY *", "JANUARY", "is not a value of the month field", "write 'JAN'"),
    (
        "0 9 1-7,FRI * *",
        "FRI",
        "'FRI' is not a value of the day-of-month field",
        "belongs in the day-of-week field",
    ),
    ("0 9 * FRI *", "FRI", "'FRI' is not a value of the month field", "belongs in the day-of-week field"),
    ("0 9 * * JAN", "JAN", "'JAN' is not a value of the day-of-week field", "belongs in the month field"),
    ("0 9:30 * * *", "9:30", "'9:30' is not a value of the hour field", "'30 9 * * *'"),
    ("0 9 * * 1;5", "1;5", "'1;5' is not a value of the day-of-week field", "commas"),
    ("１ * * * *", "１", "is not allowed in a cron expression", "printable ASCII"),
    // ranges, steps, lists
    ("5-1 * * * *", "5-1", "the range '5-1' runs backwards in the minute field", "write '5-59,0-1'"),
    ("0 22-2 * * *", "22-2", "runs backwards in the hour field", "write '22-23,0-2'"),
    ("0 22-2/2 * * *", "22-2", "runs backwards in the hour field", "write '22,0,2'"),
    ("0 0 * 11-2/2 *", "11-2", "runs backwards in the month field", "write '11,1'"),
    ("* * * * MON-SUN", "MON-SUN", "runs backwards in the day-of-week field", "write '1-7'"),
    ("0 9 * * FRI-MON", "FRI-MON", "runs backwards", "write '5-6,0-1'"),
    ("0 0 * * 7-3", "7-3", "runs backwards in the day-of-week field", "write '0-3'"),
    ("0 0 * * 7-3/2", "7-3", "runs backwards in the day-of-week field", "write '0-3/2'"),
    ("0 0 * * 7-0", "7-0", "runs backwards in the day-of-week field", "write '0'"),
    ("50-40/3 * * * *", "50-40", "runs backwards in the minute field", "write '50-59/3,2-40/3'"),
    ("*/0 * * * *", "0", "the step in the minute field is '0'; a number from 1", "as in '*/5'"),
    ("*/5/2 * * * *", "5/2", "the step in the minute field is '5/2'", "an item has one step"),
    ("/5 * * * *", "/", "a value is missing in the minute field; 0-59 is allowed", ""),
    ("0,30, 9 * * *", " ", "an item is missing beside a comma in the minute field", "a list has no spaces"),
    ("0 9 L-31 * *", "L-31", "'L-31' is not 'L-' and a number of days from 1 to 30", ""),
    ("0 9 * * FRI#6", "#6", "'#6' is not '#' and a number from 1 to 5", "'FRI#2'"),
    // fields, dates
    ("", "", "the expression is empty; five fields are needed", "as in '0 9 * * 1-5'"),
    ("0 9 * *", "", "4 fields found; 5 are allowed", "as in"),
    ("0 0 0 1 1 ? 2027 9", "9", "8 fields found", ""),
    ("0 0 31 2 *", "31 2 *", "it never fires", "no year has such a date"),
    ("0 0 0 30 2 ? 2027", "30 2 ? 2027", "it never fires", "no year has such a date"),
];

#[test]
fn mistakes_in_cron_are_answered_with_place_reason_and_remedy() {
    for &(text, part, what, help) in CRON {
        let fault = cron(text);
        assert_eq!(fault.key, "cron");
        assert!(fault.what.contains(what), "{text}: {fault:?}");
        assert!(fault.help.as_deref().unwrap_or_default().contains(help), "{text}: {fault:?}");
        let mut at = fault.at.clone().unwrap_or(0..0);
        // An empty place is before the character at which something is missing.
        at.end = if part.is_empty() { at.end } else { at.end.max(at.start + 1) };
        assert_eq!(&text[at], part, "{text}: {fault:?}");
    }
}

#[test]
fn mistakes_in_durations_and_instants_are_answered_too() {
    let every = |text: &str| refused(Definition { every: Some(text.into()), ..Definition::default() });
    for (text, what, help) in [
        ("*/5 * * * *", "'*/5' found where a number is needed", "write cron = \"*/5 * * * *\""),
        ("daily", "'daily' found", "write '1 day'"),
        ("day", "'day' found", "write '1 day'"),
        ("1 day at 09:00", "'at' found", "phase = \"09:00\""),
        ("every 5m", "'every' found", "leave this word away"),
        ("5", "a unit is missing", "90s"),
        ("1.5h", "numbers are whole", "90m"),
        ("5 M", "'M' is not a unit", "'m' for minutes"),
        ("1 mon", "'mon' is not a unit", "did you mean 'month'?"),
        ("1 mons", "'mons' is not a unit", "did you mean 'months'?"),
        ("3 mth", "'mth' is not a unit", "did you mean 'month'?"),
        ("3 Mths", "'Mths' is not a unit", "did you mean 'months'?"),
        ("3 mnt", "'mnt' is not a unit", "did you mean 'minute' or 'month'?"),
        ("2 wek", "'wek' is not a unit", "did you mean 'week'?"),
        ("3 menths", "'menths' is not a unit", "did you mean 'months'?"),
        ("3 minu", "'minu' is not a unit", "did you mean 'minute'?"),
        ("10ms", "from 100 ms to 100 years are allowed", ""),
        ("1 day 12h", "mixes units that have no common length", "use one kind"),
    ] {
        let fault = every(text);
        assert!(fault.what.contains(what), "{text}: {fault:?}");
        assert!(fault.help.as_deref().unwrap_or_default().contains(help), "{text}: {fault:?}");
    }
    let at = |text: &str| refused(Definition { at: Some(text.into()), ..Definition::default() });
    let date = at("2026-12-01").help;
    assert_eq!(date.unwrap(), "write '2026-12-01T00:00Z', or '2026-12-01T00:00' with time_zone");
    for (text, what) in [
        ("tomorrow", "a year of four digits"),
        ("01/12/2026 09:00", "a year of four digits"),
        ("1796115600", "'-'"),
        ("2026-12-01", "a date without a time"),
        ("2026-13-01T09:00Z", "there is no date 2026-13-01"),
        ("2026-12-01T24:00Z", "24 is out of range"),
        ("2026-12-01T09:00", "no time zone is given"),
        ("2026-12-01T09:00 Europe/Paris", "an offset such as"),
        ("2026-12-01T09:00:00.0001Z", "finer than a millisecond"),
        ("2100-01-01T00:00Z", "1970"),
    ] {
        assert!(at(text).what.contains(what), "{text}: {:?}", at(text));
    }
}

/// The expressions that a help shows: what stands in quotes and has fields, and values of keys.
fn shown(help: &str) -> Vec<Definition> {
    let mut found = Vec::new();
    for (index, text) in help.split('\'').enumerate() {
        if index % 2 == 1 && (text.split(' ').count() >= 5 || text.starts_with('@')) {
            found.push(Definition { cron: Some(text.into()), ..Definition::default() });
        }
    }
    let value = |key: &str| {
        let (_, rest) = help.split_once(&format!("{key} = \""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    let (every, cron, at, time_zone) = (value("every"), value("cron"), value("at"), value("time_zone"));
    if every.is_some() || cron.is_some() || at.is_some() {
        found.push(Definition { every, cron, at, time_zone, ..Definition::default() });
    }
    found
}

/// The expression with the part at which a fault points replaced by what its help says to write.
fn mended(text: &str, fault: &Fault) -> Option<(String, Range<usize>)> {
    let (_, rest) = fault.help.as_deref()?.split_once("write '")?;
    let (right, _) = rest.split_once('\'')?;
    let at = fault.at.clone()?;
    // The help of a backward range with a step stands for both.
    let step =
        text[at.end..].strip_prefix('/').map_or(0, |rest| 1 + rest.find([',', ' ']).unwrap_or(rest.len()));
    let end = if right.contains([',', '/']) { at.end + step } else { at.end };
    let mended = format!("{}{right}{}", &text[..at.start], &text[end..]);
    (!right.contains(' ')).then(|| (mended, at.start..at.start + right.len()))
}

#[test]
fn every_expression_that_a_help_shows_can_be_read() {
    let mut texts: Vec<String> = CRON.iter().map(|row| row.0.to_owned()).collect();
    // Ranges that run backwards, in each field, with and without steps.
    let fields = [(0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 7), (1970, 2099)];
    for (field, (low, high)) in fields.into_iter().enumerate() {
        for first in low..=high {
            for last in [low, low + 1, (first + low) / 2, first - 1]
                .into_iter()
                .filter(|last| (low..first).contains(last))
            {
                for step in ["", "/1", "/2", "/7", "/9999"] {
                    let mut all = ["0", "0", "0", "*", "*", "*", "*"].map(str::to_owned);
                    all[field] = format!("{first}-{last}{step}");
                    texts.push(all.join(" "));
                }
            }
        }
    }
    // The same mistakes with values that are wrong as well, and with the borders of what is allowed.
    for value in ["0", "1", "25", "60", "99", "9:75", "24:00", "99:99", "9:30"] {
        texts.push(format!("0 {value} * * *"));
        texts.push(format!("cron(0 {value} * * ? *)"));
        texts.push(format!("0 {value} ? * 2-6 2027"));
        texts.push(format!("TZ=Nowhere {value} 9 * * *"));
        texts.push(format!("TZ=UTC 0 {value} * * *"));
        texts.push(format!("0 {value} * * * root"));
    }
    for weekday in ["1", "7", "0", "8", "1-7", "6-1", "2,4", "6L", "L", "2#1", "*/2", "2/2", "1-5/2", "22"] {
        texts.push(format!("cron(0 9 ? * {weekday} *)"));
        texts.push(format!("0 9 ? * {weekday} *"));
    }
    for length in
        ["1ms", "10 ms", "200 years", "1 day 12h", "1 hour", "0s", "day", "fortnight", "P1D", "PT0.01S"]
    {
        texts.extend([format!("@every {length}"), format!("rate({length})"), format!("every {length}")]);
        texts.extend([format!("R/{length}"), format!("R/2026-01-01T00:00:00Z/{length}"), length.to_owned()]);
    }
    for at in [
        "2026-12-01",
        "2026-12-01T09:00",
        "2026-12-01T09:00:00Z",
        "tomorrow",
        "2026-13-01T09:00",
        "24:00",
        "07:05",
    ] {
        texts.extend([format!("at({at})"), at.to_owned()]);
    }
    // And all of the table with a slip of the hand at each place.
    for (text, ..) in CRON {
        for (at, c) in text.char_indices() {
            for other in ["", "0", "7", "9", "-", ",", "/", "*", "?", "L", "#", ":", " ", "A"] {
                texts.push(format!("{}{other}{}", &text[..at], &text[at + c.len_utf8()..]));
            }
        }
    }
    let (mut helps, mut mendings) = (0, 0);
    for text in &texts {
        let definition = Definition { cron: Some(text.clone()), ..Definition::default() };
        let definition = Definition { name: "a".into(), event: Some("a.b.started".into()), ..definition };
        let Err(faults) = Schedule::build(&definition) else { continue };
        for fault in &faults {
            for right in shown(fault.help.as_deref().unwrap_or_default()) {
                let right = Definition { name: "a".into(), event: Some("a.b.started".into()), ..right };
                let built = Schedule::build(&right);
                assert!(built.is_ok(), "{text}: {:?}: {built:?}", fault.help);
                helps += 1;
            }
            if let Some((right, at)) = mended(text, fault).filter(|_| fault.what.contains("backwards")) {
                let built = Schedule::build(&Definition { cron: Some(right.clone()), ..definition.clone() });
                // What else is wrong with it is another matter.
                let elsewhere = built.as_ref().err().is_some_and(|faults| {
                    let ours = |fault: &Fault| {
                        fault.at.as_ref().is_some_and(|other| other.start < at.end && at.start < other.end)
                    };
                    !faults.iter().any(ours)
                });
                assert!(built.is_ok() || elsewhere, "{text}: {:?}: {right}: {built:?}", fault.help);
                mendings += 1;
            }
        }
    }
    assert!(helps > 100 && mendings > 1000, "{helps} expressions, {mendings} ranges");
}

#[test]
fn however_long_it_is_a_fault_is_found_at_once() {
    let usual = Definition { cron: Some("*/5 8-17 * * MON-FRI".into()), ..Definition::default() };
    let timed = |definition: &Definition| {
        let start = Instant::now();
        let _ = std::hint::black_box(Schedule::build(definition));
        start.elapsed()
    };
    let long = 100_000;
    let mut texts: Vec<String> = CRON.iter().map(|row| row.0.to_owned()).collect();
    texts.extend(
        ["*", ",", "1,", "0-59/", "L", "#", "?", " ", "* ", "@", "(", "é", "every ", "9", "A/", "MON-"]
            .map(|s| s.repeat(long)),
    );
    texts.extend(
        [",", "0-59,", "*/1,", "0-59/1,"].map(|item| format!("{}* * * * *", item.repeat(1000 / item.len()))),
    );
    for text in &texts {
        let all = [
            Definition { cron: Some(text.clone()), ..Definition::default() },
            Definition { every: Some(text.clone()), ..Definition::default() },
            Definition { at: Some(text.clone()), ..Definition::default() },
            Definition { every: Some("1h".into()), time_zone: Some(text.clone()), ..Definition::default() },
            Definition { every: Some("1 day".into()), phase: Some(text.clone()), ..Definition::default() },
        ];
        for definition in all {
            let definition = Definition { name: "a".into(), event: Some("a.b.started".into()), ..definition };
            // How fast the machine is, what is usual tells, in turn with this one; and of both the quickest counts, for the machine
            // may have other things to do.
            let (mut this, mut other) = (Duration::MAX, Duration::MAX);
            let at_once = Duration::from_millis(1);
            for _ in 0..15 {
                (this, other) = (this.min(timed(&definition)), other.min(timed(&usual)));
                if this < at_once {
                    break;
                }
            }
            let start: String = text.chars().take(20).collect();
            assert!(
                this < at_once || this < 100 * other,
                "{start}…: {this:?}, and {other:?} of what is usual"
            );
        }
    }
}

//! `RRULE` as written (RFC 5545 §3.3.10): its parts, each read and within its bounds. What they mean for dates stands in
//! `expansion`.

use crate::{
    diagnostic::nearest,
    fault::{Flaw, shown},
};

/// How often, from short to long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Frequency {
    Secondly,
    Minutely,
    Hourly,
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

/// A rule, understood. An empty list is a part that is absent.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) frequency: Frequency,
    pub(super) interval: i64,
    pub(super) count: Option<usize>,
    /// The last moment, inclusive; as written, and where it stands in the rule.
    pub(super) until: Option<(String, usize)>,
    pub(super) months: Vec<i32>,
    pub(super) week_numbers: Vec<i32>,
    pub(super) year_days: Vec<i32>,
    pub(super) month_days: Vec<i32>,
    /// Which one of the month or year, from its end if below zero, 0 for every one; and the weekday from Monday, 0.
    pub(super) weekdays: Vec<(i32, i32)>,
    pub(super) hours: Vec<i32>,
    pub(super) minutes: Vec<i32>,
    pub(super) seconds: Vec<i32>,
    pub(super) positions: Vec<i32>,
    /// From Monday, 0.
    pub(super) week_start: i32,
}

const FREQUENCIES: [(&str, Frequency); 7] = [
    ("SECONDLY", Frequency::Secondly),
    ("MINUTELY", Frequency::Minutely),
    ("HOURLY", Frequency::Hourly),
    ("DAILY", Frequency::Daily),
    ("WEEKLY", Frequency::Weekly),
    ("MONTHLY", Frequency::Monthly),
    ("YEARLY", Frequency::Yearly),
];
const WEEKDAYS: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
const PARTS: [&str; 14] = [
    "FREQ",
    "INTERVAL",
    "COUNT",
    "UNTIL",
    "BYMONTH",
    "BYWEEKNO",
    "BYYEARDAY",
    "BYMONTHDAY",
    "BYDAY",
    "BYHOUR",
    "BYMINUTE",
    "BYSECOND",
    "BYSETPOS",
    "WKST",
];

impl Rule {
    /// Reads `FREQ=YEARLY;…`.
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        if !text.contains('=') {
            let what = format!("'{}' is not a rule of iCalendar 2.0", shown(text));
            return Err(Flaw::whole(what).help("export the calendar as iCalendar 2.0, or write FREQ=YEARLY"));
        }
        let mut rule = Self {
            frequency: Frequency::Yearly,
            interval: 1,
            count: None,
            until: None,
            months: Vec::new(),
            week_numbers: Vec::new(),
            year_days: Vec::new(),
            month_days: Vec::new(),
            weekdays: Vec::new(),
            hours: Vec::new(),
            minutes: Vec::new(),
            seconds: Vec::new(),
            positions: Vec::new(),
            week_start: 0,
        };
        let (mut at, mut seen) = (0, Vec::new());
        for part in text.split(';') {
            let here = at..at + part.len();
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value_at = at + part.len() - value.len();
            at += part.len() + 1;
            let name = name.trim().to_ascii_uppercase();
            // Google and others end a rule with a semicolon.
            if part.trim().is_empty() || name.starts_with("X-") {
                continue;
            }
            if let Err((what, help)) = rule.read(&name, value.trim(), value_at) {
                return Err(Flaw::part(here, what).help(help));
            }
            if seen.contains(&name) {
                return Err(Flaw::part(here, format!("{name} is given twice")).help("leave one away"));
            }
            seen.push(name);
        }
        match rule.conflict(&seen) {
            None => Ok(rule),
            Some((what, help)) => Err(Flaw::part(0..text.len(), what).help(help)),
        }
    }

    fn read(&mut self, name: &str, value: &str, at: usize) -> Result<(), (String, String)> {
        let odd = |allowed: &str| {
            (format!("{name}: '{}' is not understood", shown(value)), format!("allowed are {allowed}"))
        };
        let signed = |most: i32, allowed: &str| {
            numbers(value, |n| n != 0 && n.abs() <= most).ok_or_else(|| odd(allowed))
        };
        let plain = |from: i32, to: i32| {
            numbers(value, |n| (from..=to).contains(&n))
                .ok_or_else(|| odd(&format!("numbers from {from} to {to}")))
        };
        match name {
            "FREQ" => {
                let known = FREQUENCIES.iter().find(|(word, _)| value.eq_ignore_ascii_case(word));
                self.frequency = known.ok_or_else(|| odd("YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY"))?.1;
            }
            "INTERVAL" => {
                let interval = value.parse().ok().filter(|n: &i64| (1..=1_000_000_000).contains(n));
                self.interval = interval.ok_or_else(|| odd("whole numbers from 1 on"))?;
            }
            // Some libraries write -1 where the number is not limited.
            "COUNT" if value == "-1" => {}
            "COUNT" => {
                let count = value.parse().ok().filter(|n: &usize| *n > 0);
                self.count = Some(count.ok_or_else(|| odd("whole numbers from 1 on"))?);
            }
            "UNTIL" => self.until = Some((value.to_owned(), at)),
            "BYMONTH" => self.months = plain(1, 12)?,
            "BYWEEKNO" => self.week_numbers = signed(53, "1 to 53, or -1 to -53 from the year's end")?,
            "BYYEARDAY" => self.year_days = signed(366, "1 to 366, or -1 to -366 from the year's end")?,
            "BYMONTHDAY" => self.month_days = signed(31, "1 to 31, or -1 to -31 from the month's end")?,
            "BYDAY" => {
                let all = value.split(',').map(nth_weekday).collect::<Option<_>>();
                self.weekdays = all.ok_or_else(|| odd("MO to SU, or with a number as in 2MO or -1FR"))?;
            }
            "BYHOUR" => self.hours = plain(0, 23)?,
            "BYMINUTE" => self.minutes = plain(0, 59)?,
            "BYSECOND" => self.seconds = plain(0, 60)?,
            "BYSETPOS" => self.positions = signed(366, "1 to 366, or -1 to -366 from the end")?,
            "WKST" => {
                let weekday = nth_weekday(value).filter(|(nth, _)| *nth == 0);
                self.week_start = weekday.ok_or_else(|| odd("MO to SU"))?.1;
            }
            "RSCALE" if value.eq_ignore_ascii_case("GREGORIAN") => {}
            "SKIP" if value.eq_ignore_ascii_case("OMIT") => {}
            "RSCALE" | "SKIP" => {
                let help = "list the days with RDATE instead: only the Gregorian calendar is computed here";
                return Err((format!("{name}={} is not supported", shown(value)), help.to_owned()));
            }
            _ => {
                let help = match nearest(name, PARTS) {
                    Some(part) => format!("did you mean '{part}'?"),
                    None => "remove this part if it does not change the days; or list the days with RDATE"
                        .to_owned(),
                };
                return Err((format!("'{}' in a recurrence rule is not understood", shown(name)), help));
            }
        }
        Ok(())
    }

    /// What the standard says must not stand together, for it has no meaning.
    fn conflict(&self, seen: &[String]) -> Option<(&'static str, &'static str)> {
        use Frequency::{Daily, Monthly, Weekly, Yearly};
        let ordinals = self.weekdays.iter().any(|(nth, _)| *nth != 0);
        let others = [&self.months, &self.week_numbers, &self.year_days, &self.month_days];
        let times = [&self.hours, &self.minutes, &self.seconds];
        let alone = others.iter().chain(&times).all(|list| list.is_empty()) && self.weekdays.is_empty();
        if !seen.iter().any(|name| name == "FREQ") {
            Some(("the recurrence rule has no FREQ", "begin it with FREQ=YEARLY, MONTHLY, WEEKLY or DAILY"))
        } else if self.count.is_some() && self.until.is_some() {
            Some(("COUNT and UNTIL are both given", "keep the one that is meant"))
        } else if self.frequency == Weekly && !self.month_days.is_empty() {
            Some(("BYMONTHDAY is not allowed with FREQ=WEEKLY", "write FREQ=MONTHLY or FREQ=DAILY"))
        } else if matches!(self.frequency, Daily | Weekly | Monthly) && !self.year_days.is_empty() {
            Some(("BYYEARDAY is allowed only with FREQ=YEARLY or less than a day", "write FREQ=YEARLY"))
        } else if self.frequency != Yearly && !self.week_numbers.is_empty() {
            Some(("BYWEEKNO is allowed only with FREQ=YEARLY", "write FREQ=YEARLY"))
        } else if ordinals && self.frequency < Monthly {
            let what = "a number before a day of the week is allowed only with FREQ=MONTHLY or YEARLY";
            Some((what, "leave the number away, or write FREQ=MONTHLY"))
        } else if ordinals && !self.week_numbers.is_empty() {
            let what = "a number before a day of the week is not allowed with BYWEEKNO";
            Some((what, "leave the number away: a week has each day once"))
        } else if !self.positions.is_empty() && alone {
            Some(("BYSETPOS selects from another BY-part, and there is none", "add one, as in BYDAY=MO,TU"))
        } else {
            None
        }
    }
}

fn numbers(text: &str, within: impl Fn(i32) -> bool) -> Option<Vec<i32>> {
    text.split(',').map(|part| part.trim().parse().ok().filter(|n| within(*n))).collect()
}

/// Reads `MO`, `4TH` or `-1MO`.
fn nth_weekday(text: &str) -> Option<(i32, i32)> {
    let text = text.trim();
    let (nth, name) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let weekday = (0..).zip(WEEKDAYS).find(|(_, word)| word.eq_ignore_ascii_case(name))?.0;
    let within = |n: &i32| (1..=53).contains(&n.abs());
    let nth = if nth.is_empty() { 0 } else { nth.parse().ok().filter(within)? };
    Some((nth, weekday))
}

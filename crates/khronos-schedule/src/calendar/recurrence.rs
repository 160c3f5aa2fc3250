//! `RRULE` of RFC 5545 §3.3.10, as far as days off need it: YEARLY, MONTHLY, WEEKLY and DAILY with INTERVAL, COUNT, UNTIL,
//! BYMONTH, BYMONTHDAY, BYDAY and WKST. Everything else is refused.

use crate::fault::{Flaw, shown};
use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, Weekday};

/// No rule is followed beyond this year.
const LAST_YEAR: i32 = 2100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frequency {
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

/// A rule, understood.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    frequency: Frequency,
    interval: u32,
    count: Option<u32>,
    /// The last moment, inclusive; as written, and where its text stands.
    pub(super) until: Option<(String, usize)>,
    months: Vec<u32>,
    /// 1 to 31, or from the month's end -1 to -31.
    month_days: Vec<i32>,
    /// With which one of the month (or year), from its end if below zero; 0 for every one.
    weekdays: Vec<(i32, Weekday)>,
    week_start: Weekday,
}

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("MO", Weekday::Mon),
    ("TU", Weekday::Tue),
    ("WE", Weekday::Wed),
    ("TH", Weekday::Thu),
    ("FR", Weekday::Fri),
    ("SA", Weekday::Sat),
    ("SU", Weekday::Sun),
];

impl Rule {
    /// Reads `FREQ=YEARLY;…`.
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        let mut rule = Self {
            frequency: Frequency::Yearly,
            interval: 1,
            count: None,
            until: None,
            months: Vec::new(),
            month_days: Vec::new(),
            weekdays: Vec::new(),
            week_start: Weekday::Mon,
        };
        let (mut at, mut seen) = (0, Vec::new());
        for part in text.split(';') {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name = name.to_ascii_uppercase();
            let value_at = at + part.len() - value.len();
            rule.read(&name, value, value_at).map_err(|what| Flaw::part(at..at + part.len(), what))?;
            if seen.contains(&name) {
                return Err(Flaw::part(at..at + part.len(), format!("{name} is given twice")));
            }
            seen.push(name);
            at += part.len() + 1;
        }
        rule.check(&seen).map_or(Ok(rule), |what| Err(Flaw::part(0..text.len(), what)))
    }

    fn read(&mut self, name: &str, value: &str, at: usize) -> Result<(), String> {
        let odd = || format!("{name}: '{}' is not understood", shown(value));
        match name {
            "FREQ" => {
                self.frequency = match value.to_ascii_uppercase().as_str() {
                    "DAILY" => Frequency::Daily,
                    "WEEKLY" => Frequency::Weekly,
                    "MONTHLY" => Frequency::Monthly,
                    "YEARLY" => Frequency::Yearly,
                    _ => return Err(odd()),
                }
            }
            "INTERVAL" => {
                self.interval = value.parse().ok().filter(|n| (1..=1000).contains(n)).ok_or_else(odd)?;
            }
            "COUNT" => self.count = Some(value.parse().ok().filter(|n| *n > 0).ok_or_else(odd)?),
            "UNTIL" => self.until = Some((value.to_owned(), at)),
            "BYMONTH" => self.months = list(value, |n| (1..=12).contains(&n).then_some(n)).ok_or_else(odd)?,
            "BYMONTHDAY" => {
                let within = |n: i32| (1..=31).contains(&n.abs()).then_some(n);
                self.month_days = list(value, within).ok_or_else(odd)?;
            }
            "BYDAY" => {
                self.weekdays = value.split(',').map(nth_weekday).collect::<Option<_>>().ok_or_else(odd)?;
            }
            "WKST" => match nth_weekday(value) {
                Some((0, weekday)) => self.week_start = weekday,
                _ => return Err(odd()),
            },
            _ => return Err(format!("'{}' in a recurrence rule is not understood", shown(name))),
        }
        Ok(())
    }

    fn check(&self, seen: &[String]) -> Option<&'static str> {
        let ordinals = self.weekdays.iter().any(|(nth, _)| *nth != 0);
        if !seen.iter().any(|name| name == "FREQ") {
            Some("the recurrence rule has no FREQ")
        } else if self.count.is_some() && self.until.is_some() {
            Some("COUNT and UNTIL are both given")
        } else if self.frequency == Frequency::Weekly && !self.month_days.is_empty() {
            Some("BYMONTHDAY is not allowed with FREQ=WEEKLY")
        } else if ordinals && matches!(self.frequency, Frequency::Weekly | Frequency::Daily) {
            Some("a number before a day of the week is allowed only with FREQ=MONTHLY or YEARLY")
        } else if ordinals && !self.month_days.is_empty() {
            Some("a number before a day of the week is not allowed with BYMONTHDAY")
        } else {
            None
        }
    }

    /// The days from `start` on, ascending, at most `most`; `until` is the last moment, with `start`'s time of day.
    /// `None` where `start` itself is none of them, which leaves open what is meant.
    pub(super) fn days(
        &self,
        start: NaiveDateTime,
        until: Option<NaiveDateTime>,
        most: usize,
    ) -> Option<Vec<NaiveDate>> {
        let first = start.date();
        let mut found = Vec::new();
        let most = self.count.map_or(most, |count| most.min(count as usize));
        let mut period = match self.frequency {
            Frequency::Daily => first,
            Frequency::Weekly => first - Days::new(since(first.weekday(), self.week_start).into()),
            Frequency::Monthly => first.with_day(1)?,
            Frequency::Yearly => first.with_ordinal(1)?,
        };
        while period.year() <= LAST_YEAR && found.len() < most {
            for day in self.in_period(period, first) {
                let late = until.is_some_and(|until| day.and_time(start.time()) > until);
                if day >= first && !late && found.len() < most {
                    found.push(day);
                }
            }
            if until.is_some_and(|until| period > until.date()) {
                break;
            }
            period = match self.frequency {
                Frequency::Daily => period + Days::new(self.interval.into()),
                Frequency::Weekly => period + Days::new(7 * u64::from(self.interval)),
                Frequency::Monthly => period + chrono::Months::new(self.interval),
                Frequency::Yearly => period + chrono::Months::new(12 * self.interval),
            };
        }
        (found.first() == Some(&first)).then_some(found)
    }

    /// The days of the period that begins with `period`, ascending.
    fn in_period(&self, period: NaiveDate, first: NaiveDate) -> Vec<NaiveDate> {
        let in_months = |day: &NaiveDate| self.months.is_empty() || self.months.contains(&day.month());
        let weekday_only = self.month_days.is_empty() && !self.weekdays.is_empty();
        match self.frequency {
            Frequency::Daily => {
                let limited = self.month_days.is_empty() || self.is_month_day(period);
                let kept = limited && self.is_weekday(period) && in_months(&period);
                if kept { vec![period] } else { Vec::new() }
            }
            Frequency::Weekly => {
                let own = [(0, first.weekday())];
                let wanted = if self.weekdays.is_empty() { &own[..] } else { &self.weekdays };
                let week = period.iter_days().take(7);
                week.filter(|day| wanted.iter().any(|one| one.1 == day.weekday())).filter(in_months).collect()
            }
            Frequency::Monthly => {
                if in_months(&period) {
                    self.in_month(period, first)
                } else {
                    Vec::new()
                }
            }
            Frequency::Yearly if weekday_only && self.months.is_empty() => {
                let year: Vec<_> = period.iter_days().take_while(|day| day.year() == period.year()).collect();
                self.nth_of(&year)
            }
            Frequency::Yearly => {
                let own = self.months.is_empty() && self.month_days.is_empty();
                let months = (1..=12).filter(|month| match own {
                    true => *month == first.month(),
                    false => self.months.is_empty() || self.months.contains(month),
                });
                months
                    .filter_map(|month| period.with_month(month))
                    .flat_map(|month| self.in_month(month, first))
                    .collect()
            }
        }
    }

    /// The days of the month that begins with `start`.
    fn in_month(&self, start: NaiveDate, first: NaiveDate) -> Vec<NaiveDate> {
        let month: Vec<_> = start.iter_days().take_while(|day| day.month() == start.month()).collect();
        if !self.month_days.is_empty() {
            let wanted = |day: &&NaiveDate| self.is_month_day(**day) && self.is_weekday(**day);
            month.iter().filter(wanted).copied().collect()
        } else if !self.weekdays.is_empty() {
            self.nth_of(&month)
        } else {
            month.into_iter().filter(|day| day.day() == first.day()).collect()
        }
    }

    /// What BYDAY selects of these days: a month, or a year.
    fn nth_of(&self, days: &[NaiveDate]) -> Vec<NaiveDate> {
        let wanted = |day: &&NaiveDate| {
            let same = |other: &&NaiveDate| other.weekday() == day.weekday();
            let from_start = days.iter().filter(same).filter(|other| other <= day).count() as i32;
            let from_end = days.iter().filter(same).filter(|other| other >= day).count() as i32;
            self.weekdays.iter().any(|&(nth, weekday)| {
                weekday == day.weekday() && (nth == 0 || nth == from_start || nth == -from_end)
            })
        };
        days.iter().filter(wanted).copied().collect()
    }

    fn is_weekday(&self, day: NaiveDate) -> bool {
        self.weekdays.is_empty() || self.weekdays.iter().any(|one| one.1 == day.weekday())
    }

    fn is_month_day(&self, day: NaiveDate) -> bool {
        let last = i32::from(day.num_days_in_month());
        let from_start = day.day() as i32;
        self.month_days.iter().any(|&n| n == from_start || n == from_start - last - 1)
    }
}

/// How many days after `start` of the week `day` comes.
fn since(day: Weekday, start: Weekday) -> u8 {
    ((day.num_days_from_monday() + 7 - start.num_days_from_monday()) % 7) as u8
}

fn list<T: TryFrom<i32>>(text: &str, within: impl Fn(T) -> Option<T>) -> Option<Vec<T>> {
    let number = |part: &str| within(T::try_from(part.parse::<i32>().ok()?).ok()?);
    text.split(',').map(number).collect()
}

/// Reads `MO`, `4TH` or `-1MO`.
fn nth_weekday(text: &str) -> Option<(i32, Weekday)> {
    let (nth, name) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let name = name.to_ascii_uppercase();
    let weekday = WEEKDAYS.iter().find(|(word, _)| *word == name)?.1;
    let nth =
        if nth.is_empty() { 0 } else { nth.parse().ok().filter(|n: &i32| (1..=53).contains(&n.abs()))? };
    Some((nth, weekday))
}

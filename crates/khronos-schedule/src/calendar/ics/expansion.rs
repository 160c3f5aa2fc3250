//! A rule and its start → the local times at which it recurs (RFC 5545 §3.3.10). Times on the wall are seconds since
//! 1970-01-01T00:00 there; no zone is known here. What a rule may cost is bounded: each day or period that is looked at
//! is a step of the file's [`Steps`].

use super::rule::{Frequency, Rule};
use crate::months::LAST_DAY;
use chrono::{Datelike, NaiveDate};

/// Seconds of a day.
pub(super) const DAY: i64 = 86_400;
/// No rule is followed beyond this: two days after the table of days, since local time runs ahead.
const END: i64 = (LAST_DAY as i64 + 2) * DAY;
/// Days and periods that the rules of a file may look at: some seconds at most.
const MOST_STEPS: u32 = 20_000_000;

/// How many steps the rules of a file may still take.
#[derive(Debug)]
pub(super) struct Steps(u32);

/// A file's rules are too long.
#[derive(Debug)]
pub(super) struct TooLong;

impl Steps {
    pub(super) fn new() -> Self {
        Self(MOST_STEPS)
    }

    /// How many were taken.
    pub(super) fn taken(&self) -> usize {
        usize::try_from(MOST_STEPS - self.0).unwrap_or(usize::MAX)
    }

    pub(super) fn take(&mut self, steps: usize) -> Result<(), TooLong> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.0.checked_sub(steps));
        self.0 = left.ok_or(TooLong)?;
        Ok(())
    }
}

/// The times of a rule.
#[derive(Debug)]
pub(super) struct Times {
    /// Ascending; the start is the first of them, unless the rule ended before it.
    pub(super) all: Vec<i64>,
    /// Whether the start is one by the rule itself.
    pub(super) in_step: bool,
}

/// The rule with what its start adds to it.
struct Expansion<'a> {
    rule: &'a Rule,
    months: Vec<i32>,
    month_days: Vec<i32>,
    weekdays: Vec<(i32, i32)>,
    /// Seconds of the day at which it happens; for frequencies of less than a day, of the hour or minute.
    times: Vec<i64>,
    start: NaiveDate,
}

/// The date of a day's number.
pub(super) fn date(day: i64) -> NaiveDate {
    let days = chrono::TimeDelta::days(day.clamp(-800_000, 3_000_000));
    NaiveDate::default().checked_add_signed(days).unwrap_or_default()
}

/// The number of a date's day.
pub(super) fn number(date: NaiveDate) -> i64 {
    (date - NaiveDate::default()).num_days()
}

fn first_of(year: i64, month: i64) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, u32::try_from(month).ok()?, 1)
}

/// How many days after the week's first one the day comes.
fn since_week_start(date: NaiveDate, week_start: i32) -> i32 {
    (date.weekday().num_days_from_monday() as i32 - week_start).rem_euclid(7)
}

impl Rule {
    /// The times from `start` on, those before `wanted` left out where they need not be counted; `until` is the last
    /// moment.
    pub(super) fn times(
        &self,
        start: i64,
        until: Option<i64>,
        wanted: i64,
        steps: &mut Steps,
    ) -> Result<Times, TooLong> {
        let end = until.unwrap_or(END).min(END);
        let mut found = Times { all: Vec::new(), in_step: false };
        if until.is_some_and(|until| until < start) {
            found.in_step = true;
            return Ok(found);
        }
        found.all.push(start);
        let most = self.count.unwrap_or(usize::MAX);
        let expansion = Expansion::new(self, start);
        let first = if self.count.is_some() { start } else { start.max(wanted) };
        let mut period = expansion.period_of(start, first);
        if period > 0
            && let Some(begin) = expansion.begin(start, 0)
        {
            found.in_step = expansion.within(begin, steps)?.contains(&start);
        }
        while found.all.len() < most {
            let Some(begin) = expansion.begin(start, period).filter(|begin| *begin <= end) else { break };
            for time in expansion.within(begin, steps)? {
                found.in_step |= time == start;
                if time > start && time <= end && found.all.len() < most {
                    found.all.push(time);
                }
            }
            period = expansion.after(start, period, begin);
        }
        Ok(found)
    }
}

impl<'a> Expansion<'a> {
    fn new(rule: &'a Rule, start: i64) -> Self {
        let day = date(start.div_euclid(DAY));
        let (mut months, mut month_days) = (rule.months.clone(), rule.month_days.clone());
        let mut weekdays = rule.weekdays.clone();
        let no_days = rule.year_days.is_empty() && month_days.is_empty() && weekdays.is_empty();
        let own_weekday = (0, day.weekday().num_days_from_monday() as i32);
        match rule.frequency {
            Frequency::Yearly if no_days && !rule.week_numbers.is_empty() => weekdays.push(own_weekday),
            Frequency::Yearly if no_days => {
                month_days.push(day.day() as i32);
                if months.is_empty() {
                    months.push(day.month() as i32);
                }
            }
            Frequency::Monthly if no_days => month_days.push(day.day() as i32),
            Frequency::Weekly if no_days => weekdays.push(own_weekday),
            _ => {}
        }
        let own = start.rem_euclid(DAY);
        let or = |list: &[i32], own: i64| match list {
            [] => vec![own],
            list => list.iter().map(|n| i64::from(*n)).collect(),
        };
        let (hours, minutes, seconds) =
            (or(&rule.hours, own / 3600), or(&rule.minutes, own / 60 % 60), or(&rule.seconds, own % 60));
        let (hours, minutes, seconds) = match rule.frequency {
            Frequency::Secondly => (vec![0], vec![0], vec![0]),
            Frequency::Minutely => (vec![0], vec![0], seconds),
            Frequency::Hourly => (vec![0], minutes, seconds),
            _ => (hours, minutes, seconds),
        };
        let mut times: Vec<i64> = Vec::new();
        for hour in &hours {
            for minute in &minutes {
                // A leap second is the one before it.
                times.extend(seconds.iter().map(|second| hour * 3600 + minute * 60 + second.min(&59)));
            }
        }
        times.sort_unstable();
        times.dedup();
        Self { rule, months, month_days, weekdays, times, start: day }
    }

    /// Seconds of a frequency that is shorter than a day.
    fn unit(&self) -> i64 {
        match self.rule.frequency {
            Frequency::Secondly => 1,
            Frequency::Minutely => 60,
            Frequency::Hourly => 3600,
            _ => DAY,
        }
    }

    /// The number of the last period that does not begin after `time`, from 0 for the start's own.
    fn period_of(&self, start: i64, time: i64) -> i64 {
        let (day, interval) = (date(time.div_euclid(DAY)), self.rule.interval);
        let distance = match self.rule.frequency {
            Frequency::Yearly => i64::from(day.year()) - i64::from(self.start.year()),
            Frequency::Monthly => month_of(day) - month_of(self.start),
            Frequency::Weekly => (self.week_of(day) - self.week_of(self.start)) / 7,
            _ => time.div_euclid(self.unit()) - start.div_euclid(self.unit()),
        };
        (distance / interval).max(0)
    }

    fn week_of(&self, day: NaiveDate) -> i64 {
        number(day) - i64::from(since_week_start(day, self.rule.week_start))
    }

    /// The first moment of that period.
    fn begin(&self, start: i64, period: i64) -> Option<i64> {
        let units = period.checked_mul(self.rule.interval)?;
        match self.rule.frequency {
            Frequency::Yearly => {
                first_of(i64::from(self.start.year()) + units, 1).map(|day| number(day) * DAY)
            }
            Frequency::Monthly => {
                let month = month_of(self.start) + units;
                let first = first_of(month.div_euclid(12), month.rem_euclid(12) + 1)?;
                Some(number(first) * DAY)
            }
            Frequency::Weekly => (self.week_of(self.start) + units.checked_mul(7)?).checked_mul(DAY),
            _ => units.checked_mul(self.unit())?.checked_add(start.div_euclid(self.unit()) * self.unit()),
        }
    }

    /// The next period that may hold something.
    fn after(&self, start: i64, period: i64, begin: i64) -> i64 {
        let next = period + 1;
        let unit = self.unit();
        if unit == DAY {
            return next;
        }
        // Days and hours that the rule leaves out are passed over at once.
        let from = |moment: i64| {
            let units = moment.div_euclid(unit) - start.div_euclid(unit);
            units.div_euclid(self.rule.interval) + i64::from(units.rem_euclid(self.rule.interval) != 0)
        };
        if !self.is_wanted(date(begin.div_euclid(DAY))) {
            return next.max(from((begin.div_euclid(DAY) + 1) * DAY));
        }
        let hour = begin.rem_euclid(DAY) / 3600;
        if !within(&self.rule.hours, hour) {
            return next.max(from((begin.div_euclid(3600) + 1) * 3600));
        }
        next
    }

    /// The times of the period that begins with `begin`, ascending.
    fn within(&self, begin: i64, steps: &mut Steps) -> Result<Vec<i64>, TooLong> {
        let first = date(begin.div_euclid(DAY));
        let bases = if self.unit() < DAY {
            steps.take(1)?;
            let fits = self.is_wanted(first)
                && within(&self.rule.hours, begin.rem_euclid(DAY) / 3600)
                && (self.unit() > 60 || within(&self.rule.minutes, begin.rem_euclid(3600) / 60))
                && (self.unit() > 1 || within(&self.rule.seconds, begin.rem_euclid(60)));
            if fits { vec![begin] } else { Vec::new() }
        } else {
            let days = self.candidates(first);
            steps.take(days.len() + 1)?;
            days.into_iter().filter(|day| self.is_wanted(*day)).map(|day| number(day) * DAY).collect()
        };
        steps.take(bases.len().saturating_mul(self.times.len()))?;
        let times = |base: &i64| self.times.iter().map(|time| base + time).collect::<Vec<_>>();
        let all: Vec<i64> = bases.iter().flat_map(times).collect();
        if self.rule.positions.is_empty() {
            return Ok(all);
        }
        let place = |n: &i32| match *n {
            n if n > 0 => all.get(n as usize - 1),
            n => all.len().checked_sub(n.unsigned_abs() as usize).and_then(|at| all.get(at)),
        };
        let mut chosen: Vec<i64> = self.rule.positions.iter().filter_map(place).copied().collect();
        chosen.sort_unstable();
        chosen.dedup();
        Ok(chosen)
    }

    /// The days of the period that may be wanted, ascending.
    fn candidates(&self, first: NaiveDate) -> Vec<NaiveDate> {
        let months: Vec<i64> = match self.rule.frequency {
            Frequency::Daily => return vec![first],
            Frequency::Weekly => {
                let named = |day: &NaiveDate| {
                    let weekday = day.weekday().num_days_from_monday() as i32;
                    self.weekdays.iter().any(|one| one.1 == weekday)
                };
                return first.iter_days().take(7).filter(named).collect();
            }
            Frequency::Monthly => vec![month_of(first)],
            _ if self.months.is_empty() => (0..12).map(|month| month_of(first) + month).collect(),
            _ => {
                let mut months: Vec<i64> =
                    self.months.iter().map(|month| month_of(first) + i64::from(*month) - 1).collect();
                months.sort_unstable();
                months.dedup();
                months
            }
        };
        let starts =
            months.into_iter().filter_map(|month| first_of(month.div_euclid(12), month.rem_euclid(12) + 1));
        if self.month_days.is_empty() {
            return starts
                .flat_map(|start| start.iter_days().take(usize::from(start.num_days_in_month())))
                .collect();
        }
        let of_month = |start: NaiveDate| {
            let last = i32::from(start.num_days_in_month());
            let days = self.month_days.iter().map(move |n| if *n > 0 { *n } else { last + 1 + n });
            let mut days: Vec<_> = days.filter_map(|day| start.with_day(u32::try_from(day).ok()?)).collect();
            days.sort_unstable();
            days.dedup();
            days
        };
        starts.flat_map(of_month).collect()
    }

    /// Whether every part that speaks of days names this one.
    fn is_wanted(&self, day: NaiveDate) -> bool {
        let (year, month) = (i32::from(day.leap_year()) + 365, i32::from(day.num_days_in_month()));
        within(&self.months, i64::from(day.month()))
            && among(&self.month_days, day.day() as i32, month)
            && among(&self.rule.year_days, day.ordinal() as i32, year)
            && (self.rule.week_numbers.is_empty() || self.is_of_week(day))
            && (self.weekdays.is_empty() || self.is_weekday(day, year, month))
    }

    fn is_of_week(&self, day: NaiveDate) -> bool {
        // A week belongs to the year in which four of its days lie; so its fourth day does.
        let fourth = date(self.week_of(day) + 3);
        let (at, year) = (fourth.ordinal0() as i32, i32::from(fourth.leap_year()) + 365);
        let (week, more) = (at / 7 + 1, (year - 1 - at) / 7);
        among(&self.rule.week_numbers, week, week + more)
    }

    fn is_weekday(&self, day: NaiveDate, year: i32, month: i32) -> bool {
        let weekday = day.weekday().num_days_from_monday() as i32;
        // In a year if no months are named; else in the month.
        let in_year = self.rule.frequency == Frequency::Yearly && self.months.is_empty();
        let (at, length) = if in_year { (day.ordinal0() as i32, year) } else { (day.day0() as i32, month) };
        let (nth, more) = (at / 7 + 1, (length - 1 - at) / 7);
        self.weekdays
            .iter()
            .any(|&(wanted, name)| name == weekday && (wanted == 0 || wanted == nth || wanted == -1 - more))
    }
}

/// Months since the year 0.
fn month_of(day: NaiveDate) -> i64 {
    i64::from(day.year()) * 12 + i64::from(day.month0())
}

fn within(list: &[i32], value: i64) -> bool {
    list.is_empty() || list.iter().any(|n| i64::from(*n) == value)
}

/// Whether the list is empty, or names `value` of `1..=last`: from the start, or from the end if below zero.
fn among(list: &[i32], value: i32, last: i32) -> bool {
    list.is_empty() || list.iter().any(|n| *n == value || *n == value - last - 1)
}

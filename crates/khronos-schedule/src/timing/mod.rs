//! When a schedule is due: one value for all rules, bounds included.

pub(super) mod bounds;
pub(super) mod day_rules;
pub(super) mod difference;
pub(super) mod ending;
pub(super) mod every;
pub mod explain;
pub(super) mod gaps;
pub(super) mod jitter;
pub(super) mod on_days;
pub(super) mod rule;
pub(super) mod run_out;
pub(super) mod steps;
pub(super) mod union;
mod zones;

use self::{
    bounds::Bounds,
    day_rules::DayRules,
    every::Period,
    jitter::Jitter,
    rule::Rule,
    steps::{Steps, UsedUp},
    union::Union,
};
use super::{months::DAY, zone::Zone};
use ponos_event::Timestamp;
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// When a schedule is due, bounds included. Two timings are equal when they have the same occurrences by
/// construction: `60m` equals `1h`, and a cron expression its respelling.
#[derive(Clone, Serialize, Deserialize)]
pub struct Timing {
    pub(crate) rule: Rule,
    /// Not part of the serialised form, as `days` are not: it is shared by many.
    #[serde(skip)]
    pub(crate) zone: Zone,
    /// Further zones that the definition names, where none of the due times needs them any more: instants were read in them.
    #[serde(skip)]
    pub(crate) read_in: Option<Box<[Zone]>>,
    /// The days to be kept, where there are rules about them: shared by all that have the same. They are not part of
    /// the serialised form, which is for memory only ([`Packed`](super::Packed) holds them beside it).
    #[serde(skip)]
    pub(crate) days: Option<Arc<DayRules>>,
    /// The bounds; few schedules have any.
    pub(crate) bounds: Option<Box<Bounds>>,
    /// How far send times lie behind due times.
    pub(crate) jitter: Option<Box<Jitter>>,
}

/// An instant as the schedule's people read it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Local {
    /// `2026-12-01T09:00:00` (with `.123` where there are milliseconds).
    pub time: String,
    /// `+01:00`.
    pub offset: String,
    /// The zone.
    pub zone: Zone,
    /// 1 in the second pass of a repeated hour, else 0.
    pub fold: u8,
}

impl Local {
    /// The instant on the wall clock of this zone; `None` before 1970 and after the horizon.
    pub fn of(zone: &Zone, t: Timestamp) -> Option<Self> {
        if !(Timestamp::EPOCH..Timestamp::HORIZON).contains(&t) {
            return None;
        }
        let segments = zone.segments();
        let index = zone.segment_at(t.millis());
        let here = segments.get(index)?;
        let local = t.millis() + here.offset;
        // The second pass: the clock was put back at this span's start, and has not caught up yet.
        let before = index.checked_sub(1).and_then(|before| segments.get(before));
        let fold = before.is_some_and(|before| local < here.start + before.offset);
        // The wall clock reads as if it were UTC's.
        let mut time = Timestamp::from_millis(local).to_string();
        time.truncate(if local % 1000 == 0 { "2026-12-01T09:00:00".len() } else { time.len() - "Z".len() });
        Some(Local { time, offset: offset_text(here.offset), zone: zone.clone(), fold: fold.into() })
    }
}

impl Timing {
    /// Not due at all.
    pub(crate) const NEVER: Self = Self {
        rule: Rule::At(Timestamp::HORIZON),
        zone: Zone::UTC,
        read_in: None,
        days: None,
        bounds: None,
        jitter: None,
    };

    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds.as_deref().copied().unwrap_or_default()
    }

    pub(crate) fn days(&self) -> Option<&DayRules> {
        self.days.as_deref()
    }

    /// The same as if there were no rules about days.
    pub(crate) fn on_every_day(&self) -> Self {
        Self { days: None, ..self.clone() }
    }

    /// The first due time after `t` (exclusive), within the bounds and the horizon, 1970 at the earliest.
    pub fn after(&self, t: Timestamp) -> Option<Timestamp> {
        let bounds = self.bounds();
        let from = t.plus(1).max(bounds.from).millis();
        if from >= bounds.end.millis() {
            return None;
        }
        let due = self.rule.next(&self.zone, self.days(), from);
        due.map(Timestamp::from_millis).filter(|&due| due < bounds.end)
    }

    /// The last due time before `t` (exclusive), within the bounds and the horizon, 1970 at the earliest.
    pub fn before(&self, t: Timestamp) -> Option<Timestamp> {
        let bounds = self.bounds();
        let until = t.min(bounds.end).millis();
        if until <= bounds.from.millis() {
            return None;
        }
        let due = self.rule.previous(&self.zone, self.days(), until);
        due.map(Timestamp::from_millis).filter(|&due| due >= bounds.from)
    }

    /// How many due times lie in (after, through]. Counted by the day, not one by one; of a union, what more than one
    /// of its timings may call for is walked.
    pub fn count(&self, after: Timestamp, through: Timestamp) -> u64 {
        let bounds = self.bounds();
        let from = after.plus(1).max(bounds.from).millis();
        let until = through.plus(1).min(bounds.end).millis();
        self.rule.count(&self.zone, self.days(), from, until)
    }

    /// The same, where `steps` suffice for what is walked; an instant of a union takes one for each of its timings. `None`
    /// where they are used up; those that were taken are gone either way.
    pub fn count_within(&self, after: Timestamp, through: Timestamp, steps: &mut u64) -> Option<u64> {
        let bounds = self.bounds();
        let from = after.plus(1).max(bounds.from).millis();
        let until = through.plus(1).min(bounds.end).millis();
        let mut left = Steps::new(*steps);
        let counted = self.rule.count_to(&self.zone, self.days(), (from, until), u64::MAX, &mut left);
        *steps = left.left();
        counted.ok()
    }

    /// The `n`-th due time after `t` (exclusive); `None` if there are fewer, or for `n` = 0.
    pub fn nth(&self, t: Timestamp, n: u64) -> Option<Timestamp> {
        // No steps are too many.
        self.nth_within(t, n, &mut { Steps::UNLIMITED }).ok().flatten()
    }

    fn nth_within(&self, t: Timestamp, n: u64, steps: &mut Steps) -> Result<Option<Timestamp>, UsedUp> {
        let Some(mut left) = n.checked_sub(1) else { return Ok(None) };
        let (mut low, mut span, bounds) = (t.max(Timestamp::EPOCH.plus(-1)), DAY, self.bounds());
        // Ever longer steps forward, then ever shorter ones: what is passed is counted once.
        while span > 0 && left > 16 {
            let high = low.plus(span);
            let (from, until) = (low.plus(1).max(bounds.from), high.plus(1).min(bounds.end));
            let span_of = (from.millis(), until.millis());
            let passed = self.rule.count_to(&self.zone, self.days(), span_of, left, steps)?;
            if passed <= left {
                (low, left) = (high, left - passed);
                if low >= Timestamp::HORIZON {
                    return Ok(None);
                }
                span *= 2;
            } else {
                span /= 4;
            }
        }
        Ok((0..left).try_fold(low, |at, _| self.after(at)).and_then(|at| self.after(at)))
    }

    /// The same with `limit`, where there is one without `from`, counting the due times after `since` (exclusive). It
    /// has no end by its limit before this is said.
    #[must_use]
    pub fn counting_since(mut self, since: Timestamp) -> Self {
        // No steps are too many.
        let _ = self.count_since(since, &mut { Steps::UNLIMITED });
        self
    }

    /// The same within so many steps; it has no end by its limit where these are used up.
    pub(crate) fn count_since(&mut self, since: Timestamp, steps: &mut Steps) -> Result<(), UsedUp> {
        let Some(bounds) = self.bounds.take() else { return Ok(()) };
        self.bounds = Some(Box::new(bounds.open()));
        let Some(limit) = bounds.limit else { return Ok(()) };
        if let Some(last) = self.nth_within(limit.start(since), limit.most.into(), steps)? {
            self.bounds = Some(Box::new(bounds.ending(last)));
        }
        Ok(())
    }

    /// Whether its end depends on since when it is counted: `limit` without `from`.
    pub fn is_counted_since_creation(&self) -> bool {
        self.bounds.as_deref().is_some_and(|bounds| bounds.limit.is_some_and(|limit| limit.from.is_none()))
    }

    /// When the occurrence of this due time is to be sent: then, plus the jitter's offset. Where a change of the clocks
    /// (or several timings in one) bring the next due time nearer than the shortest interval, still before that: so
    /// that send times have the order of due times, and each lies before the next due time.
    pub fn send_time(&self, due: Timestamp) -> Timestamp {
        let Some(jitter) = &self.jitter else { return due };
        let send = due.plus(jitter.offset(due));
        self.after(due).map_or(send, |next| send.min(next.plus(-1)))
    }

    /// From send times to due times: due times up to the instant given back, and no others, are to be sent at or before
    /// `t`.
    pub fn due_by(&self, t: Timestamp) -> Timestamp {
        if self.jitter.is_none() {
            return t;
        }
        // An earlier one is sent before the last one is due.
        self.before(t.plus(1)).filter(|last| self.send_time(*last) > t).map_or(t, |last| last.plus(-1))
    }

    /// The bound of send-time offsets, in milliseconds; 0 without jitter.
    pub fn jitter(&self) -> i64 {
        self.jitter.as_ref().map_or(0, |jitter| jitter.most())
    }

    /// Whether both have the same due times, whenever they are sent.
    pub fn is_due_as(&self, other: &Self) -> bool {
        self.rule.same(&self.zone, self.days.is_some(), &other.rule, &other.zone)
            && self.bounds() == other.bounds()
            && self.days == other.days
    }

    /// The same with the rules about days that `other` has, where both do the same from `since` on, and no limit counts what
    /// lies behind.
    pub(crate) fn with_past_days_of(mut self, other: &Self, since: Timestamp) -> Self {
        let day = i32::try_from(since.millis().div_euclid(DAY)).unwrap_or(i32::MIN);
        if let (Some(ours), Some(theirs)) = (self.days(), &other.days)
            && ours.is_same_from(theirs, day.saturating_sub(1))
            && self.bounds().limit.is_none()
        {
            self.days = Some(Arc::clone(theirs));
        }
        self
    }

    /// Whether there is at most one occurrence (`at`).
    pub fn is_one_shot(&self) -> bool {
        matches!(self.rule, Rule::At(_))
    }

    /// A lower bound of the milliseconds between two occurrences, changes of the clocks aside; `None` for a one-shot.
    /// Exact for elapsed time and for what happens several times a day; of a union, as found among its first two
    /// thousand occurrences from 2026 on.
    pub fn shortest_interval(&self) -> Option<i64> {
        self.rule.shortest(self.days())
    }

    /// The shortest interval, if it is below `least` milliseconds.
    pub fn interval_below(&self, least: i64) -> Option<i64> {
        // Two instants of a grid are a whole step of it apart at least: most unions need not be walked.
        if self.rule.grid() >= least {
            return None;
        }
        self.rule.shortest(self.days()).filter(|&shortest| shortest < least)
    }

    /// The most occurrences on one day, changes of the clocks and what is moved to another day aside.
    pub fn most_a_day(&self) -> u64 {
        self.rule.most_a_day()
    }

    /// The zone in which it is read.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The instant as people in the schedule's zone read it; `None` before 1970 and after the horizon.
    pub fn local(&self, t: Timestamp) -> Option<Local> {
        Local::of(&self.zone, t)
    }

    /// In a few words, for people: `every 4 hours`, `at 2026-12-01T09:00:00 Europe/Paris`.
    pub fn describe(&self) -> String {
        let days = self.days().map(DayRules::describe).unwrap_or_default();
        format!("{}{days}", self.describe_every_day())
    }

    fn describe_every_day(&self) -> String {
        let zone = self.zone.name();
        match &self.rule {
            Rule::Union(union) => several(union),
            Rule::At(at) => match self.local(*at) {
                Some(local) => format!("once, at {} {zone}", local.time),
                None => format!("once, at {at}"),
            },
            Rule::Elapsed(elapsed) => format!("every {}", elapsed_text(elapsed.step())),
            Rule::Calendar(calendar, _) => {
                let time = clock_text(calendar.time());
                match (calendar.unit, calendar.step()) {
                    (Period::Days, 1) => format!("every day at {time} {zone}"),
                    (Period::Days, days) if days % 7 == 0 => {
                        format!("every {} at {time} {zone}", plural(days / 7, "week"))
                    }
                    (Period::Days, days) => format!("every {} at {time} {zone}", plural(days, "day")),
                    (Period::Months { day }, months) => {
                        let (n, unit) =
                            if months % 12 == 0 { (months / 12, "year") } else { (months, "month") };
                        format!("every {} on day {} at {time} {zone}", plural(n, unit), day + 1)
                    }
                }
            }
            Rule::Cron(..) => format!("by a cron expression, {zone}"),
        }
    }
}

impl PartialEq for Timing {
    fn eq(&self, other: &Self) -> bool {
        self.is_due_as(other) && self.jitter == other.jitter
    }
}

impl fmt::Debug for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timing")
            .field("rule", &self.rule)
            .field("zone", &self.zone)
            .field("days", &self.days)
            .field("bounds", &self.bounds)
            .field("jitter", &self.jitter)
            .finish()
    }
}

/// All of them, one after the other.
fn several(union: &Union) -> String {
    let each = union.members().iter().map(|member| {
        Timing {
            rule: member.rule.clone(),
            zone: member.zone.clone(),
            read_in: None,
            days: None,
            bounds: None,
            jitter: None,
        }
        .describe()
    });
    each.collect::<Vec<_>>().join("; ")
}

fn offset_text(offset: i64) -> String {
    let (sign, seconds) = (if offset < 0 { '-' } else { '+' }, offset.abs() / 1000);
    let parts = [seconds / 3600, seconds / 60 % 60, seconds % 60];
    let shown = if parts[2] == 0 { &parts[..2] } else { &parts[..] };
    let mut text = String::with_capacity(9);
    text.push(sign);
    for (place, number) in shown.iter().enumerate() {
        if place > 0 {
            text.push(':');
        }
        let digits = [number / 10, number % 10].map(|digit| u8::try_from(digit).unwrap_or_default());
        text.extend(digits.map(|digit| char::from(b'0' + digit)));
    }
    text
}

fn clock_text(millis: i32) -> String {
    let seconds = millis / 1000;
    let text = format!("{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
    match (seconds % 60, millis % 1000) {
        (0, 0) => text,
        (second, 0) => format!("{text}:{second:02}"),
        (second, milli) => format!("{text}:{second:02}.{milli:03}"),
    }
}

fn plural(n: i32, unit: &str) -> String {
    if n == 1 { unit.to_owned() } else { format!("{n} {unit}s") }
}

fn elapsed_text(millis: i64) -> String {
    let units = [(3_600_000, "hour"), (60_000, "minute"), (1000, "second"), (1, "millisecond")];
    let (size, unit) = units.into_iter().find(|(size, _)| millis % size == 0).unwrap_or((1, "millisecond"));
    let n = millis / size;
    if n == 1 { unit.to_owned() } else { format!("{n} {unit}s") }
}

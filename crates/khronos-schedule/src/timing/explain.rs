//! Why an occurrence is when it is, or is not at all: each time that a timing names, followed through its calendars
//! and the changes of the clocks. A function of the timing, for people; the engine asks `after` and `before` only.

use super::{
    Timing,
    day_rules::{DayRules, is_weekend},
    on_days::{day_of, start_of},
    rule::Rule,
};
use crate::zone::{
    Zone,
    dst::{CORRECTION, Dst, Fold, Gap},
    local_times::{LocalTimes, Place, place},
};
use chrono::DateTime;
use ponos_event::Timestamp;
use serde::{Serialize, Serializer};
use std::{fmt, sync::Arc};

/// A time on a wall clock: milliseconds since 1970-01-01T00:00 there. Shown as `2026-12-01T09:00:00`, with
/// milliseconds where there are any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub i64);

/// One time that a timing names, and what became of it. Several with one `due` are one occurrence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Explained {
    /// The time on the wall clock that it names.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub named: WallTime,
    /// The zone of that wall clock: the timing's, or that of one of several.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub zone: Zone,
    /// What its calendars made of the day.
    pub day: DayFate,
    /// What a change of the clocks made of the time, once the day was settled.
    pub clock: ClockFate,
    /// The instant at which it is due; `None` where it is left out.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub due: Option<Timestamp>,
    /// The due time; where it is left out, the instant at which it would have been.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub about: Timestamp,
}

/// What the calendars made of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DayFate {
    /// It is one of the days to be kept.
    Kept,
    /// It is left out.
    LeftOut {
        /// Why.
        because: Vec<Cause>,
    },
    /// It happens on another day.
    Moved {
        /// The time on the wall clock to which it was moved.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        to: WallTime,
        /// Why.
        because: Vec<Cause>,
    },
    /// It is left out, since there is no business day within 366 days to move it to.
    Stranded {
        /// Why it had to be moved.
        because: Vec<Cause>,
    },
}

/// Why a day is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// It lies in this calendar of `exclude`.
    ExcludedBy(Arc<str>),
    /// It does not lie in this calendar of `only`.
    NotIn(Arc<str>),
    /// It is a Saturday or a Sunday, and no `only` says which days are business days.
    Weekend,
}

/// What a change of the clocks made of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ClockFate {
    /// Nothing: it comes once.
    Usual,
    /// The clock skips it, and `dst.gap` says to what instant it goes (none: it does not happen).
    Gap,
    /// It comes twice; this is the first pass.
    FirstPass,
    /// It comes twice; this is the second pass.
    SecondPass,
    /// A correction of the calendar left it out.
    Nowhere,
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = if self.0 % 1000 == 0 { "%Y-%m-%dT%H:%M:%S" } else { "%Y-%m-%dT%H:%M:%S%.3f" };
        match DateTime::from_timestamp_millis(self.0) {
            Some(time) => write!(f, "{}", time.naive_utc().format(form)),
            None => write!(f, "{} ms", self.0),
        }
    }
}

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExcludedBy(calendar) => write!(f, "excluded by {calendar}"),
            Self::NotIn(calendar) => write!(f, "not in {calendar}"),
            Self::Weekend => f.write_str("a weekend"),
        }
    }
}

/// How far the clocks of two zones are apart at most, and then some: 26 hours.
const WIDEST: i64 = 26 * 3_600_000;

impl Timing {
    /// Follows every time that the timing names and that is due in (after, through], or would be were it not left out;
    /// of each single timing in the order of the times as they are named, of several in that of `about`. The different due
    /// times among them are those that [`after`](Self::after) gives.
    pub fn explain(&self, after: Timestamp, through: Timestamp) -> Explaining<'_> {
        self.explain_some(after, through, usize::MAX)
    }

    /// The same of the first times alone, at most so many: as many are named as a timing names in a year, and yet none of
    /// them may be due in the span.
    pub fn explain_some(&self, after: Timestamp, through: Timestamp, most: usize) -> Explaining<'_> {
        let bounds = self.bounds();
        let from = after.plus(1).max(bounds.from).millis();
        let until = through.plus(1).min(bounds.end).millis();
        let part = |rule, zone| Part { rule, zone, days: self.days(), from, until };
        let parts: Vec<_> = match &self.rule {
            Rule::Union(union) => union.members().iter().map(|one| part(&one.rule, &one.zone)).collect(),
            rule => vec![part(rule, &self.zone)],
        };
        let streams = parts.into_iter().map(|part| Stream {
            next: part.first_named(),
            end: part.last_named(),
            waiting: Vec::new(),
            part,
        });
        Explaining { streams: streams.collect(), left: most, is_cut: false }
    }
}

/// The times that a timing names, one after the other.
#[derive(Debug)]
pub struct Explaining<'a> {
    streams: Vec<Stream<'a>>,
    /// How many may still be followed.
    left: usize,
    is_cut: bool,
}

impl Explaining<'_> {
    /// Whether more were named than might be followed.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }
}

impl Iterator for Explaining<'_> {
    type Item = Explained;

    fn next(&mut self) -> Option<Explained> {
        for stream in &mut self.streams {
            while stream.waiting.is_empty()
                && let Some(named) = stream.named()
            {
                let Some(left) = self.left.checked_sub(1) else {
                    self.is_cut = true;
                    return None;
                };
                self.left = left;
                stream.next = named.checked_add(1);
                stream.waiting = stream.part.follow(named);
            }
        }
        let heads = self.streams.iter_mut().filter_map(|stream| Some((stream.waiting.last()?.about, stream)));
        heads.min_by_key(|(about, _)| *about)?.1.waiting.pop()
    }
}

/// The times of one rule.
#[derive(Debug)]
struct Stream<'a> {
    part: Part<'a>,
    /// No time before this one was not followed yet; `None` at the end.
    next: Option<i64>,
    /// No time from this one on is of interest.
    end: i64,
    /// What became of one time, last pass first.
    waiting: Vec<Explained>,
}

impl Stream<'_> {
    fn named(&self) -> Option<i64> {
        self.part.named_from(self.next?).filter(|&named| named < self.end)
    }
}

/// One rule, and the span in which its due times are wanted.
#[derive(Debug, Clone, Copy)]
struct Part<'a> {
    rule: &'a Rule,
    zone: &'a Zone,
    days: Option<&'a DayRules>,
    from: i64,
    until: i64,
}

impl Part<'_> {
    /// No time before this one can be due at `from` or later: what is named earlier is moved there at most.
    fn first_named(&self) -> Option<i64> {
        match self.rule {
            Rule::At(at) => return Some(at.millis()),
            Rule::Elapsed(_) => return Some(self.from),
            _ => {}
        }
        let low = self.from.saturating_sub(WIDEST);
        let moved = self.days.and_then(|rules| {
            let target = rules.kept.next(day_of(low)?)?;
            Some(start_of(rules.sources(target).0))
        });
        Some(moved.map_or(low, |moved| moved.min(low)))
    }

    /// No time from this one on can be due before `until`.
    fn last_named(&self) -> i64 {
        match self.rule {
            Rule::At(_) => return i64::MAX,
            Rule::Elapsed(_) => return self.until,
            _ => {}
        }
        let high = self.until.saturating_add(WIDEST);
        let moved = self.days.and_then(|rules| {
            let target = rules.kept.previous(day_of(high)?)?;
            Some(start_of(rules.sources(target).1 + 1))
        });
        moved.map_or(high, |moved| moved.max(high))
    }

    /// The first time named at or after that one: on the wall, or for elapsed time and a single instant, in UTC.
    fn named_from(&self, from: i64) -> Option<i64> {
        match self.rule {
            Rule::At(at) => Some(at.millis()).filter(|&at| at >= from),
            Rule::Elapsed(elapsed) => Some(elapsed.next(from)),
            Rule::Calendar(calendar, _) => calendar.next(from),
            Rule::Cron(cron, _) => cron.next(from),
            // Its members are parts of their own.
            Rule::Union(_) => None,
        }
    }

    /// What became of one time, last pass first; nothing where it is due elsewhere, or not a time at all.
    fn follow(&self, named: i64) -> Vec<Explained> {
        let within = |at: i64| (self.from..self.until).contains(&at);
        let zone = self.zone;
        let (local, dst) = match self.rule {
            Rule::Calendar(_, dst) | Rule::Cron(_, dst) => (named, *dst),
            _ => {
                let offset = zone.segments().get(zone.segment_at(named)).map_or(0, |segment| segment.offset);
                (named + offset, Dst::default())
            }
        };
        let (day, moved) = fate(self.days, local);
        let one = |clock, due: Option<i64>, about: i64| Explained {
            named: WallTime(local),
            zone: zone.clone(),
            day: day.clone(),
            clock,
            due: due.map(Timestamp::from_millis),
            about: Timestamp::from_millis(about),
        };
        let by_instant = matches!(self.rule, Rule::At(_) | Rule::Elapsed(_));
        // With every real instant that matches, what the clock skips was never meant.
        let missed = |local| match place(zone, local) {
            Place::Once(at) | Place::Twice(at, _) => Some(at),
            Place::Gap { after, .. } => (dst != Dst::REAL).then_some(after),
            Place::Nowhere => nowhere(zone, local).filter(|_| dst != Dst::REAL),
        };
        let Some(moved) = moved else {
            let about = if by_instant { Some(named) } else { missed(local) };
            let about = about.filter(|&about| within(about));
            return about.map(|about| one(ClockFate::Usual, None, about)).into_iter().collect();
        };
        let passes = match by_instant && moved == local {
            true => vec![(ClockFate::Usual, Some(named))],
            false => passes(zone, dst, moved),
        };
        let shown = passes.into_iter().rev().filter_map(|(clock, due)| {
            let about = due.or_else(|| missed(moved)).filter(|&about| within(about))?;
            Some(one(clock, due, about))
        });
        shown.collect()
    }
}

/// What becomes of the day of a local time, and the local time on the day on which it happens.
fn fate(rules: Option<&DayRules>, local: i64) -> (DayFate, Option<i64>) {
    let (Some(rules), Some(day)) = (rules, day_of(local)) else { return (DayFate::Kept, Some(local)) };
    if rules.kept.contains(day) {
        return (DayFate::Kept, Some(local));
    }
    let because = causes(rules, day);
    match (rules.target(day), rules.shift) {
        (Some(target), _) => {
            let to = local + start_of(target) - start_of(day);
            (DayFate::Moved { to: WallTime(to), because }, Some(to))
        }
        (None, Some(_)) => (DayFate::Stranded { because }, None),
        (None, None) => (DayFate::LeftOut { because }, None),
    }
}

fn causes(rules: &DayRules, day: i32) -> Vec<Cause> {
    let excluded = rules.exclude.iter().filter(|one| one.days.contains(day));
    let missing = rules.only.iter().filter(|one| !one.days.contains(day));
    let mut causes: Vec<_> = excluded.map(|one| Cause::ExcludedBy(Arc::clone(&one.name))).collect();
    causes.extend(missing.map(|one| Cause::NotIn(Arc::clone(&one.name))));
    if rules.spares_weekends() && is_weekend(day) {
        causes.push(Cause::Weekend);
    }
    causes
}

/// The instants of a local time, and by way of which change of the clocks.
fn passes(zone: &Zone, dst: Dst, local: i64) -> Vec<(ClockFate, Option<i64>)> {
    match (place(zone, local), dst.gap) {
        (Place::Once(at), _) => vec![(ClockFate::Usual, Some(at))],
        (Place::Twice(first, second), _) => {
            let both = second - first > CORRECTION || dst.fold == Fold::Both;
            let (one, other) = (dst.fold != Fold::Last || both, dst.fold == Fold::Last || both);
            let one = one.then_some((ClockFate::FirstPass, Some(first)));
            let other = other.then_some((ClockFate::SecondPass, Some(second)));
            one.into_iter().chain(other).collect()
        }
        (Place::Gap { after, .. }, Gap::After) => vec![(ClockFate::Gap, Some(after))],
        (Place::Gap { shifted, .. }, Gap::Shift) => vec![(ClockFate::Gap, Some(shifted))],
        (Place::Gap { .. }, Gap::Skip) => vec![(ClockFate::Gap, None)],
        (Place::Nowhere, _) => vec![(ClockFate::Nowhere, None)],
    }
}

/// About which instant a local time would be that a correction of the calendar left out.
fn nowhere(zone: &Zone, local: i64) -> Option<i64> {
    let about = local.saturating_sub(zone.segments().get(zone.segment_at(local.max(0)))?.offset);
    (0..Timestamp::HORIZON.millis()).contains(&about).then_some(about)
}

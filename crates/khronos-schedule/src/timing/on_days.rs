//! Occurrences on the days that a schedule keeps. For times on the wall, a set of local times is made into another
//! one, whose members lie on kept days only: how the clocks change stays the business of `local_times`, and knows nothing of
//! days. Elapsed time has no wall clock to be moved on: each instant is kept or left out by its local date.

use super::{day_rules::DayRules, every::Elapsed};
use crate::{
    months::DAY,
    zone::{
        Zone,
        dst::Dst,
        local_times::{self, LocalTimes, Place, place},
    },
};
use ponos_event::Timestamp;

/// As [`local_times::next`], on the days that the rules keep.
pub(crate) fn next<W: LocalTimes>(
    set: &W,
    zone: &Zone,
    dst: Dst,
    days: Option<&DayRules>,
    from: i64,
) -> Option<i64> {
    match days {
        None => local_times::next(set, zone, dst, from),
        Some(rules) => local_times::next(&OnDays { times: set, rules }, zone, dst, from),
    }
}

/// As [`local_times::previous`], on the days that the rules keep.
pub(crate) fn previous<W: LocalTimes>(
    set: &W,
    zone: &Zone,
    dst: Dst,
    days: Option<&DayRules>,
    until: i64,
) -> Option<i64> {
    match days {
        None => local_times::previous(set, zone, dst, until),
        Some(rules) => local_times::previous(&OnDays { times: set, rules }, zone, dst, until),
    }
}

/// As [`local_times::count`], on the days that the rules keep.
pub(crate) fn count<W: LocalTimes>(
    set: &W,
    zone: &Zone,
    dst: Dst,
    days: Option<&DayRules>,
    from: i64,
    until: i64,
) -> u64 {
    match days {
        None => local_times::count(set, zone, dst, from, until),
        Some(rules) => local_times::count(&OnDays { times: set, rules }, zone, dst, from, until),
    }
}

/// Where a single instant goes: its time on the wall clock, on the day that the rules give.
pub(crate) fn at(at: i64, zone: &Zone, days: Option<&DayRules>) -> Option<i64> {
    let Some(rules) = days else { return Some(at) };
    let local = at + zone.segments().get(zone.segment_at(at))?.offset;
    let day = day_of(local)?;
    let target = rules.target(day)?;
    if target == day {
        return Some(at);
    }
    match place(zone, local + start_of(target) - start_of(day)) {
        Place::Once(at) | Place::Twice(at, _) | Place::Gap { after: at, .. } => Some(at),
        Place::Nowhere => None,
    }
}

/// The local times of a set, left out or moved as the rules say.
pub(crate) struct OnDays<'a, W> {
    pub(crate) times: &'a W,
    pub(crate) rules: &'a DayRules,
}

pub(crate) fn day_of(local: i64) -> Option<i32> {
    i32::try_from(local.div_euclid(DAY)).ok()
}

/// Midnight.
pub(crate) fn start_of(day: i32) -> i64 {
    i64::from(day) * DAY
}

impl<W: LocalTimes> LocalTimes for OnDays<'_, W> {
    fn next(&self, from: i64) -> Option<i64> {
        let kept = &self.rules.kept;
        let today = day_of(from)?;
        let mut day = kept.next(today)?;
        // Times of the day at or after this one.
        let mut time = if day == today { from - start_of(today) } else { 0 };
        loop {
            let (first, last) = self.rules.sources(day);
            let source = day_of(self.times.next(start_of(first))?)?;
            if source <= last {
                let found = self.times.next(start_of(source) + time);
                if let Some(local) = found.filter(|&local| local < start_of(source + 1)) {
                    return Some(local + start_of(day) - start_of(source));
                }
                day = kept.next(day + 1)?;
            } else {
                // Nothing comes here before that source. It goes to its target, or, if that is too far, nowhere;
                // then the next kept day is the one to look at.
                day = self.rules.target(source).filter(|&at| at > day).or_else(|| kept.next(source))?;
            }
            time = 0;
        }
    }

    fn previous(&self, until: i64) -> Option<i64> {
        let kept = &self.rules.kept;
        let today = day_of(until - 1)?;
        let mut day = kept.previous(today)?;
        // Times of the day before this one.
        let mut time = if day == today { until - start_of(today) } else { DAY };
        loop {
            let (first, last) = self.rules.sources(day);
            let source = day_of(self.times.previous(start_of(last + 1))?)?;
            if source >= first {
                let found = self.times.previous(start_of(source) + time);
                if let Some(local) = found.filter(|&local| local >= start_of(source)) {
                    return Some(local + start_of(day) - start_of(source));
                }
                day = kept.previous(day - 1)?;
            } else {
                day = self.rules.target(source).filter(|&at| at < day).or_else(|| kept.previous(source))?;
            }
            time = DAY;
        }
    }

    fn count(&self, from: i64, until: i64) -> u64 {
        let (Some(mut day), Some(last)) = (day_of(from), day_of(until - 1)) else { return 0 };
        let kept = &self.rules.kept;
        let mut total = 0;
        // A run of kept days at a time; what is moved lands on its first or last day.
        while let Some(start) = kept.next(day).filter(|&start| start <= last) {
            let end = kept.next_absent(start).map_or(last + 1, |end| end.min(last + 1));
            let ends = [Some(start), (end - 1 > start).then_some(end - 1)];
            for at in ends.into_iter().flatten() {
                let (first, last) = self.rules.sources(at);
                if (first, last) != (at, at) {
                    let clip = |bound: i64| (bound - start_of(at)).clamp(0, DAY);
                    total += self.moved(first, last, clip(from), clip(until));
                    total -= self.times.count(from.max(start_of(at)), until.min(start_of(at + 1)));
                }
            }
            total += self.times.count(from.max(start_of(start)), until.min(start_of(end)));
            day = end;
        }
        total
    }
}

impl<W: LocalTimes> OnDays<'_, W> {
    /// How many times of the day in `[low, high)` the days from `first` through `last` have between them: those of any
    /// one day, since all days that have any have the same.
    fn moved(&self, first: i32, last: i32, low: i64, high: i64) -> u64 {
        let source = self.times.next(start_of(first)).and_then(day_of).filter(|&source| source <= last);
        source.map_or(0, |source| self.times.count(start_of(source) + low, start_of(source) + high))
    }
}

/// The first instant of `elapsed` at or after `from` (not before the epoch) on a kept day.
pub(crate) fn next_elapsed(
    elapsed: Elapsed,
    zone: &Zone,
    days: Option<&DayRules>,
    mut from: i64,
) -> Option<i64> {
    let Some(rules) = days else { return Some(elapsed.next(from)) };
    let segments = zone.segments();
    loop {
        let at = elapsed.next(from);
        if at >= Timestamp::HORIZON.millis() {
            return None;
        }
        let index = zone.segment_at(at);
        let offset = segments.get(index)?.offset;
        let day = day_of(at + offset)?;
        if rules.kept.contains(day) {
            return Some(at);
        }
        let kept = rules.kept.next(day).map_or(i64::MAX, |kept| start_of(kept) - offset);
        // Beyond the span's end another offset may give the old date again.
        from = segments.get(index + 1).map_or(kept, |next| kept.min(next.start));
    }
}

/// The last instant of `elapsed` before `until` on a kept day, at the epoch or after it.
pub(crate) fn previous_elapsed(
    elapsed: Elapsed,
    zone: &Zone,
    days: Option<&DayRules>,
    mut until: i64,
) -> Option<i64> {
    let Some(rules) = days else { return Some(elapsed.previous(until)) };
    let segments = zone.segments();
    loop {
        let at = elapsed.previous(until);
        if at < 0 {
            return None;
        }
        let segment = segments.get(zone.segment_at(at))?;
        let day = day_of(at + segment.offset)?;
        if rules.kept.contains(day) {
            return Some(at);
        }
        let kept = rules.kept.previous(day).map_or(i64::MIN, |kept| start_of(kept + 1) - segment.offset);
        until = kept.max(segment.start);
    }
}

/// How many instants of `elapsed` in `[from, until)` lie on kept days.
pub(crate) fn count_elapsed(
    elapsed: Elapsed,
    zone: &Zone,
    days: Option<&DayRules>,
    from: i64,
    until: i64,
) -> u64 {
    let Some(rules) = days else { return elapsed.count(from, until) };
    let segments = zone.segments();
    let mut total = 0;
    for index in zone.segment_at(from)..segments.len() {
        let Some(segment) = segments.get(index).filter(|segment| segment.start < until) else { break };
        let low = from.max(segment.start) + segment.offset;
        let high = segments.get(index + 1).map_or(until, |next| until.min(next.start)) + segment.offset;
        let (Some(mut day), Some(last)) = (day_of(low), day_of(high - 1)) else { break };
        while let Some(start) = rules.kept.next(day).filter(|&start| start <= last) {
            let end = rules.kept.next_absent(start).unwrap_or(last + 1);
            let (first, behind) = (low.max(start_of(start)), high.min(start_of(end)));
            total += elapsed.count(first - segment.offset, behind - segment.offset);
            day = end;
        }
    }
    total
}

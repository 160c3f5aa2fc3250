//! The events of one UID → the days and instants that they cover: which of several versions counts, and which occurrences
//! are cancelled or moved (RFC 5545 §3.8.4.4, §3.8.7.4; RFC 5546 §2.1.5, §3.2.5).

use super::{
    clock::Clock,
    event::{Event, Exception, Extent, Instance, Taking},
    expansion::{DAY, Steps},
    moment::{Frame, Moment},
    refusal::Refusal,
};
use crate::{
    calendar::Days,
    months::{FIRST_DAY, LAST_DAY},
};
use std::collections::{BTreeMap, BTreeSet};

/// Days that all events of a file may cover, one by one, and instants.
const MOST_DAYS: usize = 2_000_000;

/// What the events cover.
#[derive(Debug)]
pub(super) struct Covered {
    pub(super) days: Days,
    /// Seconds since 1970 in UTC: from the first, to before the second.
    pub(super) spans: Vec<(i64, i64)>,
    room: usize,
    pub(super) remarks: Vec<Refusal>,
}

/// The occurrences of a series: when each is by the rule, and when and how long it takes place.
type Occurrences = BTreeMap<i64, (i64, Extent)>;

impl Covered {
    pub(super) fn none() -> Self {
        Self { days: Days::none(), spans: Vec::new(), room: MOST_DAYS, remarks: Vec::new() }
    }

    /// How many days and instants were added, one by one.
    pub(super) fn taken(&self) -> usize {
        MOST_DAYS - self.room
    }

    /// Adds the events of one UID.
    pub(super) fn add(&mut self, events: Vec<Event<'_>>, steps: &mut Steps) -> Result<(), Refusal> {
        let (instances, series): (Vec<_>, Vec<_>) =
            events.into_iter().partition(|event| event.instance.is_some());
        let known = !series.is_empty();
        let series = self.newest(series);
        if known && series.iter().all(|event| event.taking.is_none()) {
            return Ok(());
        }
        let excepted: usize = series
            .iter()
            .filter_map(|event| event.taking.as_ref())
            .map(|taking| taking.except.len() + 1)
            .sum();
        // Each change is compared with each version of the series, and with what those leave out.
        if let Some(first) = instances.first() {
            let compared = instances.len().saturating_mul(excepted);
            steps.take(compared).map_err(|_| too_many(first))?;
        }
        let mut changes: BTreeMap<(i64, bool), Event<'_>> = BTreeMap::new();
        for event in
            instances.into_iter().filter(|event| !series.iter().any(|series| left_out_by(series, event)))
        {
            let Some(Instance { at, and_future }) = &event.instance else { continue };
            let key = (at.wall, *and_future);
            let is_newer = |old: &Event<'_>| (event.sequence, event.stamp) >= (old.sequence, old.stamp);
            if changes.get(&key).is_none_or(is_newer) {
                changes.insert(key, event);
            }
        }
        for event in &series {
            let Some(taking) = &event.taking else { continue };
            let mut occurrences = self.occurrences(event, taking, steps)?;
            for change in changes.values().filter(|change| is_of_future(change)) {
                steps.take(occurrences.len()).map_err(|_| too_many(change))?;
                carry_on(&mut occurrences, taking, change);
            }
            for change in changes.values().filter(|change| !is_of_future(change)) {
                if let Some(exception) = exception(change, &taking.start) {
                    remove(&mut occurrences, exception);
                }
            }
            self.cover(event, &taking.start, &occurrences)?;
        }
        for change in changes.values() {
            let Some(taking) = &change.taking else { continue };
            let carried_on = is_of_future(change) && !taking.recurs() && !series.is_empty();
            if !carried_on {
                let own = self.occurrences(change, taking, steps)?;
                self.cover(change, &taking.start, &own)?;
            }
        }
        Ok(())
    }

    /// Of several events with one UID, those with the highest SEQUENCE; of these the newest, if all say when they were
    /// written.
    fn newest<'a>(&mut self, mut events: Vec<Event<'a>>) -> Vec<Event<'a>> {
        let highest = events.iter().map(|event| event.sequence).max().unwrap_or(0);
        events.retain(|event| event.sequence == highest);
        if events.iter().any(|event| event.stamp.is_none()) {
            return events;
        }
        let newest = events.iter().map(|event| event.stamp).max().flatten();
        let (kept, old): (Vec<_>, Vec<_>) = events.into_iter().partition(|event| event.stamp == newest);
        for event in old.iter().filter(|event| event.taking.is_some()) {
            let what =
                "UID: this event is left out: another one with its UID and SEQUENCE has a later DTSTAMP";
            let help = "give each event a UID of its own, if these are two";
            self.remarks.push(Refusal::new(event.place.clone(), what).help(help));
        }
        kept
    }

    fn occurrences(
        &mut self,
        event: &Event<'_>,
        taking: &Taking<'_>,
        steps: &mut Steps,
    ) -> Result<Occurrences, Refusal> {
        let start = taking.start.wall;
        let length = match taking.extent {
            Extent::Exact(seconds) => seconds,
            Extent::Nominal(length) => length.days * DAY + length.seconds,
        };
        // With a day more, since the clocks of the world are not one.
        let wanted = (i64::from(FIRST_DAY) - 2) * DAY - length;
        let mut walls = BTreeSet::from([start]);
        let mut in_step = taking.rules.is_empty();
        for (index, one) in taking.rules.iter().enumerate() {
            let times = one.rule.times(start, one.until, wanted, steps).map_err(|_| one.line.too_long())?;
            if index == 0 && times.all.is_empty() {
                walls.clear();
            }
            in_step |= times.in_step;
            walls.extend(times.all);
        }
        if !in_step {
            let what = "DTSTART is not one of the days of its own RRULE; it counts as the first all the same";
            let help = "begin with the first day that the rule names";
            self.remarks.push(Refusal::new(event.place.clone(), what).help(help));
        }
        let mut occurrences: Occurrences =
            walls.into_iter().map(|wall| (wall, (wall, taking.extent))).collect();
        for (wall, extent) in &taking.more {
            occurrences.insert(*wall, (*wall, extent.unwrap_or(taking.extent)));
        }
        for one in &taking.except_by {
            let times = one.rule.times(start, one.until, wanted, steps).map_err(|_| one.line.too_long())?;
            times.all.iter().filter(|wall| **wall != start || times.in_step).for_each(|wall| {
                occurrences.remove(wall);
            });
        }
        taking.except.iter().for_each(|exception| remove(&mut occurrences, *exception));
        Ok(occurrences)
    }

    fn cover(&mut self, event: &Event<'_>, start: &Moment, occurrences: &Occurrences) -> Result<(), Refusal> {
        for (wall, extent) in occurrences.values() {
            let added = match &start.frame {
                Frame::Zoned(clock) => self.cover_instants(clock, *wall, *extent),
                Frame::Date(_) | Frame::Floating => self.cover_days(*wall, *extent),
            };
            if added.is_none() {
                let what = "the events of this calendar cover more days than any calendar has";
                let help = "give its rules an UNTIL, or split it into several calendars";
                return Err(Refusal::new(event.place.clone(), what).help(help));
            }
        }
        Ok(())
    }

    fn cover_days(&mut self, wall: i64, extent: Extent) -> Option<()> {
        let length = match extent {
            Extent::Exact(seconds) => seconds,
            Extent::Nominal(length) => length.days * DAY + length.seconds,
        };
        // The end itself is not part of the event; one that ends where it starts is on that day all the same.
        let last = (wall + length - 1).max(wall).div_euclid(DAY).min(i64::from(LAST_DAY) - 1);
        let first = wall.div_euclid(DAY).max(i64::from(FIRST_DAY));
        for day in first..=last {
            self.room = self.room.checked_sub(1)?;
            self.days.insert(i32::try_from(day).ok()?);
        }
        Some(())
    }

    fn cover_instants(&mut self, clock: &Clock, wall: i64, extent: Extent) -> Option<()> {
        let from = clock.instant(wall);
        let to = match extent {
            Extent::Exact(seconds) => from + seconds,
            Extent::Nominal(length) => clock.instant(wall + length.days * DAY) + length.seconds,
        };
        let span = (from.max(0), to.max(from + 1));
        if span.1 > 0 && span.0 < i64::from(LAST_DAY) * DAY {
            self.room = self.room.checked_sub(1)?;
            self.spans.push(span);
        }
        Some(())
    }
}

fn too_many(event: &Event<'_>) -> Refusal {
    let what = "RECURRENCE-ID: the occurrences of this event are changed too often to be followed";
    Refusal::new(event.place.clone(), what).help("split the calendar into several")
}

fn is_of_future(event: &Event<'_>) -> bool {
    event.instance.as_ref().is_some_and(|instance| instance.and_future)
}

/// The moment of a series for which the event stands.
fn exception(change: &Event<'_>, start: &Moment) -> Option<Exception> {
    let instance = change.instance.as_ref()?;
    Some(Exception::new(&instance.at, start, change.calendar.as_ref()))
}

/// Whether a later version of the series leaves out the occurrence for which the event stands.
fn left_out_by(series: &Event<'_>, change: &Event<'_>) -> bool {
    let newer = series.sequence > change.sequence;
    let (Some(taking), true) = (&series.taking, newer) else { return false };
    let moment = exception(change, &taking.start);
    moment.is_some_and(|moment| taking.except.iter().any(|except| except.is_same(&moment)))
}

/// Takes out what is at this moment, or on this day.
fn remove(occurrences: &mut Occurrences, exception: Exception) {
    if exception.is_date {
        on_day(occurrences, exception).iter().for_each(|wall| {
            occurrences.remove(wall);
        });
    } else {
        occurrences.remove(&exception.wall);
    }
}

/// What is on the day as written; else on the one that it is in the zone of the event.
fn on_day(occurrences: &Occurrences, exception: Exception) -> Vec<i64> {
    let of = |wall: i64| {
        let day = wall.div_euclid(DAY) * DAY;
        occurrences.range(day..day + DAY).map(|(wall, _)| *wall).collect::<Vec<_>>()
    };
    let written = of(exception.written);
    if written.is_empty() { of(exception.wall) } else { written }
}

/// Moves, or cancels, what is at this moment and after it (RANGE=THISANDFUTURE).
fn carry_on(occurrences: &mut Occurrences, series: &Taking<'_>, change: &Event<'_>) {
    let Some(exception) = exception(change, &series.start) else { return };
    let from = match on_day(occurrences, exception).first() {
        Some(first) if exception.is_date => *first,
        _ => exception.wall,
    };
    let following: Vec<i64> = occurrences.range(from..).map(|(wall, _)| *wall).collect();
    for wall in following {
        match &change.taking {
            // With rules of its own it stands for itself.
            Some(taking) if !taking.recurs() => {
                let moved = taking.start.beside(&series.start, change.calendar.as_ref()) - from;
                occurrences.insert(wall, (wall + moved, taking.extent));
            }
            _ => {
                occurrences.remove(&wall);
            }
        }
    }
}

//! One `VEVENT` → the days that it covers.

use super::{Unfolded, shown};
use crate::{
    calendar::recurrence::Rule,
    fault::Flaw,
    months::{FIRST_DAY, LAST_DAY},
    zone::Zone,
};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use icalendar::parser::{Component, Property};
use ponos_event::duration::{Amount, WrittenDuration};
use std::{collections::BTreeSet, ops::Range};

/// A fault, and where in the file it is.
type Fault = (Range<usize>, Flaw);

/// Properties that say nothing about the days; so do all that begin with `X-`.
const HARMLESS: [&str; 23] = [
    "UID",
    "DTSTAMP",
    "CREATED",
    "LAST-MODIFIED",
    "SEQUENCE",
    "SUMMARY",
    "DESCRIPTION",
    "COMMENT",
    "LOCATION",
    "GEO",
    "CLASS",
    "PRIORITY",
    "TRANSP",
    "URL",
    "ORGANIZER",
    "ATTENDEE",
    "CATEGORIES",
    "CONTACT",
    "ATTACH",
    "RELATED-TO",
    "RESOURCES",
    "COLOR",
    "IMAGE",
];

/// A date, or a date with a time of day; local.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Moment {
    date: NaiveDate,
    time: Option<NaiveTime>,
}

impl Moment {
    fn at(self) -> NaiveDateTime {
        self.date.and_time(self.time.unwrap_or_default())
    }
}

#[derive(Default)]
struct Event {
    start: Option<Moment>,
    end: Option<Moment>,
    length: Option<Amount>,
    rule: Option<Rule>,
    more: Vec<Moment>,
    less: Vec<Moment>,
}

/// The days that an event covers, none if it is cancelled. `room` is how many days may still be covered.
pub(super) fn days(
    unfolded: &Unfolded,
    component: &Component<'_>,
    zone: Option<&Zone>,
    room: &mut usize,
) -> Result<Vec<i32>, Fault> {
    let here = || unfolded.place(component.name.as_str());
    let is = |property: &Property<'_>, name: &str| property.name.as_str().eq_ignore_ascii_case(name);
    let cancelled = |property: &Property<'_>| {
        is(property, "STATUS") && property.val.as_str().eq_ignore_ascii_case("CANCELLED")
    };
    if component.properties.iter().any(cancelled) {
        return Ok(Vec::new());
    }
    if let Some(odd) = component.components.iter().find(|c| !c.name.as_str().eq_ignore_ascii_case("VALARM")) {
        let what = format!("'{}' is not understood in an event", shown(odd.name.as_str()));
        return Err((unfolded.place(odd.name.as_str()), Flaw::whole(what)));
    }
    let mut event = Event::default();
    let mut until = None;
    for property in &component.properties {
        read(unfolded, property, zone, &mut event)?;
        if is(property, "RRULE") {
            until = event.rule.as_ref().and_then(|rule| rule.until.clone()).map(|until| (property, until));
        }
    }
    let start = event.start.ok_or_else(|| (here(), Flaw::whole("this event has no DTSTART")))?;
    let whole_days = |moment: &Moment| moment.time.is_none() == start.time.is_none();
    if !event.end.iter().chain(&event.more).all(whole_days) {
        let what = "DTSTART is a date and DTEND or RDATE has a time, or the other way round";
        return Err((here(), Flaw::whole(what)));
    }
    if let Some(odd) = event.less.iter().find(|less| less.time.is_some() && less.time != start.time) {
        let what =
            format!("EXDATE {} is not at the time of day of DTSTART: it would exclude nothing", odd.at());
        return Err((here(), Flaw::whole(what)));
    }
    let extra = extra_days(&event, start).map_err(|flaw| (here(), flaw))?;
    let until = match until {
        None => None,
        Some((property, (text, at))) => {
            let value = property.val.as_str();
            let place = unfolded.within(value, at..at + text.len());
            Some(last_moment(&text, start, zone).map_err(|flaw| (place, flaw))?)
        }
    };
    let mut starts: BTreeSet<NaiveDate> = match &event.rule {
        None => BTreeSet::from([start.date]),
        Some(rule) => rule
            .days(start.at(), until, *room + 1)
            .ok_or_else(|| (here(), Flaw::whole("DTSTART is not one of the days of its own RRULE")))?
            .into_iter()
            .collect(),
    };
    starts.extend(event.more.iter().map(|moment| moment.date));
    event.less.iter().for_each(|moment| {
        starts.remove(&moment.date);
    });
    let covered = starts.len().saturating_mul(extra as usize + 1);
    *room = room.checked_sub(covered).ok_or_else(|| {
        (here(), Flaw::whole("the events of this calendar cover more days than any calendar has"))
    })?;
    let number = |date: NaiveDate| (date - NaiveDate::default()).num_days();
    let table = i64::from(FIRST_DAY)..i64::from(LAST_DAY);
    let all = starts.into_iter().flat_map(|date| (0..=extra).map(move |extra| number(date) + extra));
    Ok(all.filter(|day| table.contains(day)).map(|day| day as i32).collect())
}

fn read(
    unfolded: &Unfolded,
    property: &Property<'_>,
    zone: Option<&Zone>,
    event: &mut Event,
) -> Result<(), Fault> {
    let (written, value) = (property.name.as_str(), property.val.as_str());
    let name = written.to_ascii_uppercase();
    let found = |flaw: Flaw| {
        let fault = flaw.clone().of("");
        let at = fault.at.map_or_else(|| unfolded.place(value), |at| unfolded.within(value, at));
        let flaw = Flaw::whole(format!("{name}: {}", fault.what));
        (at, fault.help.into_iter().fold(flaw, Flaw::help))
    };
    let twice = |given: bool| match given {
        true => Err((unfolded.place(written), Flaw::whole(format!("{name} is given twice")))),
        false => Ok(()),
    };
    match name.as_str() {
        "DTSTART" => {
            twice(event.start.is_some())?;
            event.start = Some(moment(value, zone).map_err(found)?);
        }
        "DTEND" => {
            twice(event.end.is_some() || event.length.is_some())?;
            event.end = Some(moment(value, zone).map_err(found)?);
        }
        "DURATION" => {
            twice(event.end.is_some() || event.length.is_some())?;
            let amount = WrittenDuration::parse(value).map_err(|error| found(error.into()))?.amount();
            let odd = || found(Flaw::whole(format!("'{}' mixes days with hours or less", shown(value))));
            event.length = Some(amount.ok_or_else(odd)?);
        }
        "RRULE" => {
            twice(event.rule.is_some())?;
            event.rule = Some(Rule::parse(value).map_err(found)?);
        }
        "RDATE" | "EXDATE" => {
            for part in value.split(',') {
                let at = moment(part, zone).map_err(found)?;
                if name == "RDATE" { event.more.push(at) } else { event.less.push(at) }
            }
        }
        "STATUS" => {}
        _ if HARMLESS.contains(&name.as_str()) || name.starts_with("X-") => {}
        _ => {
            let what = format!("'{}' is not understood in an event, and might change its days", shown(&name));
            return Err((unfolded.place(written), Flaw::whole(what)));
        }
    }
    Ok(())
}

/// How many days it covers beyond its first one.
fn extra_days(event: &Event, start: Moment) -> Result<i64, Flaw> {
    let end = match (event.end, event.length) {
        (Some(end), _) => end.at(),
        (None, None) => return Ok(0),
        (None, Some(Amount::Days(days))) => start.at() + TimeDelta::days(days.min(36_525) as i64),
        (None, Some(Amount::Elapsed(millis))) if start.time.is_some() => {
            start.at() + TimeDelta::milliseconds(millis.min(36_525 * 86_400_000) as i64)
        }
        (None, Some(_)) => {
            return Err(Flaw::whole(
                "DURATION has a unit that does not fit DTSTART: days, or hours for a time",
            ));
        }
    };
    if end < start.at() {
        return Err(Flaw::whole("the event ends before it starts"));
    }
    // The end itself is not part of the event; one that ends where it starts is on that day all the same.
    let last = (end - TimeDelta::milliseconds(1)).max(start.at()).date();
    Ok((last - start.date).num_days())
}

/// The last moment of a rule (UNTIL), as a local one; a date means all of it.
fn last_moment(text: &str, start: Moment, zone: Option<&Zone>) -> Result<NaiveDateTime, Flaw> {
    // Days off often say UNTIL=20301231T000000Z beside a date: its date is what counts.
    let plain = if start.time.is_none() { text.trim_end_matches(['Z', 'z']) } else { text };
    let until = moment(plain, zone)?;
    Ok(match until.time {
        Some(_) if start.time.is_some() => until.at(),
        _ => until.date.and_time(NaiveTime::MIN) + TimeDelta::milliseconds(86_399_999),
    })
}

/// Reads `20261225` or `20261225T090000`, and with `zone` also `20261225T090000Z`.
fn moment(text: &str, zone: Option<&Zone>) -> Result<Moment, Flaw> {
    let odd = || Flaw::whole(format!("'{}' is not an iCalendar date or time", shown(text)));
    let usual = |moment: Moment| {
        let year = moment.date.year();
        let what = format!("'{}' is not between 1600 and 2100", shown(text));
        if (1600..=2100).contains(&year) { Ok(moment) } else { Err(Flaw::whole(what)) }
    };
    if text.len() == 8 {
        let date = NaiveDate::parse_from_str(text, "%Y%m%d").map_err(|_| odd())?;
        return usual(Moment { date, time: None });
    }
    let (local, utc) = match text.strip_suffix(['Z', 'z']) {
        Some(local) => (local, true),
        None => (text, false),
    };
    if local.len() != 15 {
        return Err(odd());
    }
    let mut at = NaiveDateTime::parse_from_str(local, "%Y%m%dT%H%M%S").map_err(|_| odd())?;
    if utc {
        let Some(zone) = zone else {
            let what = format!("'{}' is a time in UTC: which day that is depends on the place", shown(text));
            let help = "write a date, or a local time without Z; or give the calendar an X-WR-TIMEZONE";
            return Err(Flaw::whole(what).help(help));
        };
        let millis = at.and_utc().timestamp_millis();
        let offset = zone.segments().get(zone.segment_at(millis)).map_or(0, |segment| segment.offset);
        at = DateTime::from_timestamp_millis(millis + offset).ok_or_else(odd)?.naive_utc();
    }
    usual(Moment { date: at.date(), time: Some(at.time()) })
}

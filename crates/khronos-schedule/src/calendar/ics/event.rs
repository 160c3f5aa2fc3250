//! One `VEVENT` as written: its start and length, what it recurs by, and which one it is (RFC 5545 §3.6.1).

use super::{
    clock::Clock,
    component::Component,
    expansion::{DAY, Steps},
    line::Line,
    moment::{self, Frame, Length, Moment},
    refusal::Refusal,
    rule::Rule,
    zones::Zones,
};
use crate::fault::shown;
use std::ops::Range;

/// Which occurrence of a series an event stands for.
#[derive(Debug, Clone)]
pub(super) struct Instance {
    pub(super) at: Moment,
    /// This one and all that follow.
    pub(super) and_future: bool,
}

/// How long it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Extent {
    /// Seconds between two instants (DTEND): they stay the same when the clocks change.
    Exact(i64),
    /// Days and seconds on the wall.
    Nominal(Length),
}

/// A rule with its end, as the event's clock shows it.
#[derive(Debug, Clone)]
pub(super) struct Recurrence<'a> {
    pub(super) line: &'a Line<'a>,
    pub(super) rule: Rule,
    pub(super) until: Option<i64>,
}

/// What is known of an event that takes place.
#[derive(Debug, Clone)]
pub(super) struct Taking<'a> {
    pub(super) start: Moment,
    pub(super) extent: Extent,
    pub(super) rules: Vec<Recurrence<'a>>,
    pub(super) except_by: Vec<Recurrence<'a>>,
    pub(super) more: Vec<(i64, Option<Extent>)>,
    /// As the event's clock shows it, and as written.
    pub(super) except: Vec<Exception>,
}

/// A moment at which it does not take place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exception {
    pub(super) wall: i64,
    pub(super) written: i64,
    pub(super) is_date: bool,
}

impl Taking<'_> {
    /// Whether it says itself when it takes place again.
    pub(super) fn recurs(&self) -> bool {
        !self.rules.is_empty() || !self.more.is_empty()
    }
}

impl Exception {
    /// Whether both mean one occurrence.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let day = |wall: i64| wall.div_euclid(DAY);
        let of_day = [self.wall, self.written]
            .iter()
            .any(|wall| [day(other.wall), day(other.written)].contains(&day(*wall)));
        self.wall == other.wall || (self.is_date || other.is_date) && of_day
    }

    pub(super) fn new(moment: &Moment, start: &Moment, calendar: Option<&Clock>) -> Self {
        let is_date = moment.is_date() || start.is_date();
        Self { wall: moment.beside(start, calendar), written: moment.wall, is_date }
    }
}

/// An event.
#[derive(Debug, Clone)]
pub(super) struct Event<'a> {
    pub(super) place: Range<usize>,
    pub(super) uid: &'a str,
    pub(super) sequence: u64,
    /// When it was written: DTSTAMP.
    pub(super) stamp: Option<&'a str>,
    pub(super) instance: Option<Instance>,
    /// `None` where it is cancelled.
    pub(super) taking: Option<Taking<'a>>,
    /// The zone of its calendar.
    pub(super) calendar: Option<Clock>,
}

/// Properties without which an event has no time at all.
const OF_TIME: [&str; 5] = ["DTSTART", "DTEND", "DURATION", "RRULE", "RDATE"];

/// Reads one; `cancelled`: all of its calendar is. What is seldom meant is added to `remarks`.
pub(super) fn read<'a>(
    component: &'a Component<'a>,
    zones: &Zones<'a>,
    cancelled: bool,
    steps: &mut Steps,
    remarks: &mut Vec<Refusal>,
) -> Result<Event<'a>, Refusal> {
    let mut reader = Reader { zones, steps, remarks };
    let text =
        |name: &str| component.line(name).map(|line| line.value.trim()).filter(|text| !text.is_empty());
    let instance = match component.line("RECURRENCE-ID") {
        None => None,
        Some(line) => {
            let and_future =
                line.parameter("RANGE").is_some_and(|range| range.eq_ignore_ascii_case("THISANDFUTURE"));
            Some(Instance { at: reader.moment(line, line.value)?, and_future })
        }
    };
    let cancelled =
        cancelled || text("STATUS").is_some_and(|status| status.eq_ignore_ascii_case("CANCELLED"));
    let undated = instance.is_none() && OF_TIME.iter().all(|name| component.line(name).is_none());
    if undated && !cancelled {
        let help = "add its first day, as in DTSTART;VALUE=DATE:20261225, or remove it";
        reader.remarks.push(Refusal::of(component, "this event has no DTSTART, and so no days").help(help));
    }
    let taking = if cancelled || undated { None } else { Some(reader.taking(component, instance.as_ref())?) };
    Ok(Event {
        place: component.place(),
        uid: text("UID").unwrap_or_default(),
        sequence: text("SEQUENCE").and_then(|text| text.parse().ok()).unwrap_or(0),
        stamp: text("DTSTAMP"),
        instance,
        taking,
        calendar: zones.calendar().cloned(),
    })
}

struct Reader<'z, 'a> {
    zones: &'z Zones<'a>,
    steps: &'z mut Steps,
    remarks: &'z mut Vec<Refusal>,
}

impl<'a> Reader<'_, 'a> {
    fn moment(&mut self, line: &Line<'a>, text: &str) -> Result<Moment, Refusal> {
        moment::read(line, text, |zone, is_date| {
            let Some(zone) = zone.filter(|zone| !zone.is_empty()) else { return Ok(Frame::Floating) };
            match self.zones.clock(zone, self.steps)? {
                Some(clock) => Ok(Frame::Zoned(clock)),
                None => {
                    if !is_date && self.zones.is_first_asked(zone) {
                        let name = line.name.to_ascii_uppercase();
                        let zone_shown = shown(zone);
                        let known = match self.zones.folder_without(zone) {
                            Some(folder) => format!("there is no zone '{zone_shown}' in {folder}"),
                            None => format!("nothing is known of the zone '{zone_shown}'"),
                        };
                        let what = format!("{name}: {known}: its times are read as written");
                        let help =
                            "write a name of IANA, as in TZID=Europe/Paris; or give its rules in a VTIMEZONE";
                        self.remarks.push(line.out_of_place(what).help(help));
                    }
                    Ok(Frame::Floating)
                }
            }
        })
    }

    fn taking(
        &mut self,
        component: &'a Component<'a>,
        instance: Option<&Instance>,
    ) -> Result<Taking<'a>, Refusal> {
        let start = match (once(component, "DTSTART")?, instance) {
            (Some(line), _) => self.moment(line, line.value)?,
            (None, Some(instance)) => instance.at.clone(),
            (None, None) => {
                let help = "add its first day, as in DTSTART;VALUE=DATE:20261225";
                return Err(Refusal::of(component, "this event has no DTSTART").help(help));
            }
        };
        let mut taking = Taking {
            extent: self.extent(component, &start)?,
            start,
            rules: Vec::new(),
            except_by: Vec::new(),
            more: Vec::new(),
            except: Vec::new(),
        };
        // One occurrence does not recur, though some programs copy the rules of its series to it.
        let recurs = instance.is_none_or(|instance| instance.and_future);
        for line in component.lines.iter().filter(|_| recurs) {
            let empty = line.value.trim().is_empty();
            match &*line.name.to_ascii_uppercase() {
                "RRULE" if !empty => taking.rules.push(self.recurrence(line, &taking.start)?),
                "EXRULE" if !empty => taking.except_by.push(self.recurrence(line, &taking.start)?),
                "RDATE" if !empty => {
                    for part in line.value.split(',') {
                        let more = self.more(line, part, &taking.start)?;
                        taking.more.push(more);
                    }
                }
                "EXDATE" if !empty => {
                    for part in line.value.split([',', ';']) {
                        let moment = self.moment(line, part)?;
                        taking.except.push(Exception::new(&moment, &taking.start, self.zones.calendar()));
                    }
                }
                _ => {}
            }
        }
        Ok(taking)
    }

    fn extent(&mut self, component: &'a Component<'a>, start: &Moment) -> Result<Extent, Refusal> {
        match (once(component, "DTEND")?, once(component, "DURATION")?) {
            // Some programs write PT0S beside any end.
            (Some(_), Some(line)) if length(line, line.value)? != Length::default() => {
                let what = "DTEND and DURATION are both given";
                Err(line.out_of_place(what).help("keep the one that is meant"))
            }
            (Some(line), _) => {
                let end = self.moment(line, line.value)?;
                self.until(line, start, &end)
            }
            (None, Some(line)) => length(line, line.value).map(Extent::Nominal),
            (None, None) => Ok(Extent::Nominal(Length::default())),
        }
    }

    fn until(&self, line: &Line<'a>, start: &Moment, end: &Moment) -> Result<Extent, Refusal> {
        let (extent, seconds) = match (start.instant(), end.instant()) {
            (Some(from), Some(to)) => (Extent::Exact(to - from), to - from),
            _ => {
                let seconds = end.beside(start, self.zones.calendar()) - start.wall;
                (Extent::Nominal(Length { days: 0, seconds }), seconds)
            }
        };
        if seconds < 0 {
            let name = line.name.to_ascii_uppercase();
            let help = "write an end that is after DTSTART (the day after the last one for whole days), or leave it out";
            return Err(line.refused(format!("{name}: the event ends before it starts")).help(help));
        }
        Ok(extent)
    }

    /// A further occurrence; a period has an end of its own.
    fn more(
        &mut self,
        line: &Line<'a>,
        part: &str,
        start: &Moment,
    ) -> Result<(i64, Option<Extent>), Refusal> {
        let (first, end) = match part.split_once('/') {
            Some((first, end)) => (first, Some(end)),
            None => (part, None),
        };
        let moment = self.moment(line, first)?;
        let extent = match end {
            None => None,
            Some(end) if end.trim_start().starts_with(['P', 'p', '+', '-']) => {
                Some(Extent::Nominal(length(line, end)?))
            }
            Some(end) => {
                let end = self.moment(line, end)?;
                Some(self.until(line, &moment, &end)?)
            }
        };
        let mut wall = moment.beside(start, self.zones.calendar());
        if extent.is_none() && (moment.is_date() || start.is_date()) {
            // At the event's own time of day.
            wall = wall.div_euclid(DAY) * DAY + start.wall.rem_euclid(DAY);
        }
        Ok((wall, extent))
    }

    fn recurrence(&mut self, line: &'a Line<'a>, start: &Moment) -> Result<Recurrence<'a>, Refusal> {
        let rule = Rule::parse(line.value).map_err(|flaw| line.flawed(flaw))?;
        let until = match &rule.until {
            None => None,
            Some((text, _)) => {
                let moment = moment::read(line, text, |_, _| Ok(Frame::Floating))?;
                let wall = moment.beside(start, self.zones.calendar());
                // All of the day.
                Some(if moment.is_date() { wall + DAY - 1 } else { wall })
            }
        };
        Ok(Recurrence { line, rule, until })
    }
}

/// The property, which an event has once.
fn once<'a>(component: &'a Component<'a>, name: &str) -> Result<Option<&'a Line<'a>>, Refusal> {
    let first = component.line(name);
    let differs = |line: &&Line<'a>| line.is(name) && first.is_some_and(|first| first.value != line.value);
    match component.lines.iter().find(differs) {
        Some(second) => {
            Err(second.out_of_place(format!("{name} is given twice")).help("keep the one that is meant"))
        }
        None => Ok(first),
    }
}

fn length(line: &Line<'_>, text: &str) -> Result<Length, Refusal> {
    Length::parse(text).ok_or_else(|| {
        let (name, text) = (line.name.to_ascii_uppercase(), text.trim());
        let help = "write days and hours as in P1D, PT2H30M or P1DT12H, not below zero";
        line.refused(format!("{name}: '{}' is not the length of an event", shown(text))).help(help)
    })
}

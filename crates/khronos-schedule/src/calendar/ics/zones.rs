//! `TZID` → a clock: a zone of IANA by its name, in the many ways in which programs write it; the file's own rules
//! (`VTIMEZONE`, RFC 5545 §3.6.5); a zone of Windows. What none of them names is not a zone, and its times are read as
//! they are written. The rules of IANA's zones are those of the zone data that the calendar is read with.

use super::{
    clock::Clock,
    component::Component,
    expansion::Steps,
    line::Line,
    moment::{self, Frame},
    refusal::Refusal,
    rule::Rule,
};
use crate::{
    fault::shown,
    zone::{Zone, data::ZoneData, windows},
};
use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
};

/// Parts of the world in which the cities of a name are looked for.
const REGIONS: [&str; 8] =
    ["Europe", "America", "Asia", "Africa", "Australia", "Pacific", "Atlantic", "Indian"];
/// Bytes of the longest name that is looked at.
const LONGEST: usize = 200;
/// Changes of the clock that one `VTIMEZONE` may list.
const MOST_CHANGES: usize = 10_000;

/// The zones of one calendar.
#[derive(Debug)]
pub(super) struct Zones<'a> {
    data: ZoneData,
    own: HashMap<&'a str, &'a Component<'a>>,
    found: RefCell<HashMap<&'a str, Option<Clock>>>,
    /// Names of no zone that were said to be none.
    unknown: RefCell<BTreeSet<&'a str>>,
    /// Where times in UTC lie that stand beside dates: `X-WR-TIMEZONE`.
    calendar: Option<Clock>,
}

impl<'a> Zones<'a> {
    /// The zones that this calendar has.
    pub(super) fn of(calendar: &'a Component<'a>, data: &ZoneData) -> Self {
        let own = calendar.parts.iter().filter(|part| part.is("VTIMEZONE"));
        let own = own.filter_map(|zone| Some((zone.line("TZID")?.value, zone))).collect();
        let named = calendar.line("X-WR-TIMEZONE").and_then(|line| by_name(line.value, data));
        Self {
            data: data.clone(),
            own,
            found: RefCell::default(),
            unknown: RefCell::default(),
            calendar: named,
        }
    }

    /// The clock of the calendar as a whole, where it names one.
    pub(super) fn calendar(&self) -> Option<&Clock> {
        self.calendar.as_ref()
    }

    /// Whether this name of no zone has not been asked for before.
    pub(super) fn is_first_asked(&self, name: &'a str) -> bool {
        self.unknown.borrow_mut().insert(name)
    }

    /// The folder of zone data in which there is no zone of this name, though IANA has one.
    pub(super) fn folder_without(&self, name: &str) -> Option<&str> {
        self.data.folder_without(name.trim())
    }

    /// The clock of this name; `None` where nobody knows it.
    pub(super) fn clock(&self, name: &'a str, steps: &mut Steps) -> Result<Option<Clock>, Refusal> {
        if let Some(known) = self.found.borrow().get(name) {
            return Ok(known.clone());
        }
        let own = self.own.get(name);
        let exact = |name: &str| self.data.named(name.trim()).map(|zone| Clock::of(&zone));
        let clock = match (exact(name), own) {
            // Its data is newer than what a file carries along.
            (Some(clock), _) => Some(clock),
            (None, Some(own)) => match own.line("X-LIC-LOCATION").and_then(|line| exact(line.value)) {
                Some(clock) => Some(clock),
                None => described(own, steps)?.or_else(|| by_name(name, &self.data)),
            },
            (None, None) => by_name(name, &self.data),
        };
        self.found.borrow_mut().insert(name, clock.clone());
        Ok(clock)
    }
}

/// `Europe/Paris`, in any case, and behind a path: `/freeassociation.sourceforge.net/Europe/Paris`.
fn iana(text: &str, data: &ZoneData) -> Option<Zone> {
    let text = text.trim();
    let parse = |name: &str| data.named(name);
    // A name has three parts at most: 'America/Argentina/Buenos_Aires'.
    let starts = text.rmatch_indices('/').map(|(at, _)| &text[at + 1..]).take(3);
    let whole = parse(text).or_else(|| parse(&in_title_case(text)));
    whole.or_else(|| starts.filter(|rest| rest.contains('/')).find_map(parse))
}

/// `america/new_york` → `America/New_York`.
fn in_title_case(text: &str) -> String {
    let mut first = true;
    let letter = |c: char| {
        let written = if first { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        first = matches!(c, '/' | '_' | '-');
        written
    };
    text.chars().map(letter).collect()
}

/// A zone by one of the names that programs give: IANA's, one of Windows, `(UTC-05:00) Eastern Time (US & Canada)`,
/// `(GMT+01:00) Amsterdam, Berlin`, `GMT+0200`.
fn by_name(text: &str, data: &ZoneData) -> Option<Clock> {
    let text = text.trim();
    if text.len() > LONGEST {
        return None;
    }
    if let Some(zone) = iana(text, data) {
        return Some(Clock::of(&zone));
    }
    let of_place = |place: &str| data.named(place).map(|zone| Clock::of(&zone));
    if let Some(clock) = windows::place(text).and_then(of_place) {
        return Some(clock);
    }
    if ["z", "coordinated universal time", "tzone://microsoft/utc"].contains(&&*text.to_ascii_lowercase()) {
        return Some(Clock::utc());
    }
    let (offset, rest) = match text.strip_prefix('(') {
        Some(rest) => rest.split_once(')')?,
        None => (text, ""),
    };
    let words = rest.split(['(', ';']).next().unwrap_or_default().trim();
    let city = |city: &str| {
        let name = city.trim().replace(' ', "_");
        REGIONS.iter().find_map(|region| of_place(&format!("{region}/{name}")))
    };
    let named =
        || windows::place(words).and_then(of_place).or_else(|| words.split([',', '/']).find_map(city));
    if let Some(clock) = (!words.is_empty()).then(named).flatten() {
        return Some(clock);
    }
    let upper = offset.trim().to_ascii_uppercase();
    let digits = ["UTC", "GMT"].iter().find_map(|name| upper.strip_prefix(name)).unwrap_or(&upper).trim();
    match digits {
        "" if upper.is_empty() => None,
        "" => Some(Clock::utc()),
        digits => offset_of(digits).map(Clock::fixed),
    }
}

/// The seconds of `+0100`, `-05:30`, `+01.00`, `+2` or `-003000`.
fn offset_of(text: &str) -> Option<i64> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let digits: String = rest.chars().filter(|c| !matches!(c, ':' | '.')).collect();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| digits.get(from..to)?.parse::<i64>().ok();
    let (hours, minutes, seconds) = match digits.len() {
        1 | 2 => (number(0, digits.len())?, 0, 0),
        3 => (number(0, 1)?, number(1, 3)?, 0),
        4 => (number(0, 2)?, number(2, 4)?, 0),
        6 => (number(0, 2)?, number(2, 4)?, number(4, 6)?),
        _ => return None,
    };
    let within = hours <= 24 && minutes < 60 && seconds < 60;
    within.then_some(sign * (hours * 3600 + minutes * 60 + seconds))
}

/// A clock by the rules that the file gives; `None` if it gives none.
fn described(zone: &Component<'_>, steps: &mut Steps) -> Result<Option<Clock>, Refusal> {
    // The offset before the first change of all, by when that is.
    let (mut first, mut changes) = (None, Vec::new());
    for part in zone.parts.iter().filter(|part| part.is("STANDARD") || part.is("DAYLIGHT")) {
        let offset = |name: &str| {
            let help =
                "each STANDARD and DAYLIGHT of a VTIMEZONE has TZOFFSETFROM and TZOFFSETTO, as in +0100";
            let line = part.line(name).ok_or_else(|| {
                Refusal::of(part, format!("this part of the zone has no {name}")).help(help)
            })?;
            let odd = || line.refused(format!("{name}: '{}' is not an offset", shown(line.value))).help(help);
            offset_of(line.value.trim()).ok_or_else(odd)
        };
        let (from, to) = (offset("TZOFFSETFROM")?, offset("TZOFFSETTO")?);
        let help = "give it the first local time at which it holds, as in DTSTART:19701025T030000";
        let start = part
            .line("DTSTART")
            .ok_or_else(|| Refusal::of(part, "this part of the zone has no DTSTART").help(help))?;
        let start = moment::read(start, start.value, |_, _| Ok(Frame::Floating))?.wall;
        let mut onsets = vec![start];
        for line in &part.lines {
            match line {
                line if line.is("RRULE") => onsets.extend(recurring(line, start, from, steps)?),
                line if line.is("RDATE") => {
                    for text in line.value.split(',') {
                        onsets.push(moment::read(line, text, |_, _| Ok(Frame::Floating))?.wall);
                    }
                }
                _ => {}
            }
        }
        first = first.into_iter().chain(onsets.iter().map(|wall| (wall - from, from))).min();
        changes.extend(onsets.into_iter().map(|wall| (wall - from, to)));
        if changes.len() > MOST_CHANGES {
            let what = "this zone changes its clocks more often than any zone does";
            return Err(Refusal::of(part, what).help("name a zone of IANA with TZID, as in Europe/Paris"));
        }
    }
    Ok(first.map(|(_, offset)| Clock::changing(offset, changes)))
}

/// The onsets of a rule; its UNTIL is in UTC.
fn recurring(line: &Line<'_>, start: i64, from: i64, steps: &mut Steps) -> Result<Vec<i64>, Refusal> {
    if line.value.trim().is_empty() {
        return Ok(Vec::new());
    }
    let rule = Rule::parse(line.value).map_err(|flaw| line.flawed(flaw))?;
    let until = match &rule.until {
        None => None,
        Some((text, _)) => {
            let until = moment::read(line, text, |_, _| Ok(Frame::Floating))?;
            Some(if matches!(until.frame, Frame::Zoned(_)) { until.wall + from } else { until.wall })
        }
    };
    let all = rule.times(start, until, i64::MIN / 4, steps).map_err(|_| line.too_long())?;
    Ok(all.all)
}

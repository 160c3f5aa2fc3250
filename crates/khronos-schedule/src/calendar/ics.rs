//! A calendar in the iCalendar form (RFC 5545): every `VEVENT` gives the local dates that it covers. The crate
//! `icalendar` takes the text apart; what it means for days, and where it stands, is decided here. A property that
//! might change the days and is not understood is refused, never skipped.

mod event;
mod unfolded;

use self::unfolded::Unfolded;
use super::Days;
use crate::{
    diagnostic::{Diagnostics, Text},
    fault::shown,
    zone::Zone,
};
use icalendar::parser::{Component, read_calendar_simple};

/// Components within components; the parser of the crate goes down as deep as the text does.
const DEEPEST: usize = 4;
/// Days that all events of a file may cover, one by one.
const MOST_DAYS: usize = 2_000_000;

/// Properties of the whole calendar that say nothing about days; so do all that begin with `X-`.
const HARMLESS: [&str; 14] = [
    "VERSION",
    "PRODID",
    "CALSCALE",
    "METHOD",
    "NAME",
    "DESCRIPTION",
    "UID",
    "LAST-MODIFIED",
    "URL",
    "CATEGORIES",
    "REFRESH-INTERVAL",
    "SOURCE",
    "COLOR",
    "IMAGE",
];

/// The days that the events of the text cover; what is wrong is added to `faults`.
pub(super) fn parse(text: &Text<'_>, faults: &mut Diagnostics) -> Days {
    let mut days = Days::none();
    let unfolded = Unfolded::new(text.as_str());
    let help = "each line is NAME:VALUE, between BEGIN:VCALENDAR and END:VCALENDAR";
    if let Some((at, what)) = unfolded.malformed(DEEPEST) {
        faults.push(text.error(at, what).help(help));
        return days;
    }
    let roots = match read_calendar_simple(&unfolded.text) {
        Ok(roots) => roots,
        Err(error) => {
            let at = unfolded.line_of(error.input);
            faults.push(text.error(at, "this is not iCalendar text from here on").help(help));
            return days;
        }
    };
    let mut room = MOST_DAYS;
    for root in &roots {
        if !root.name.as_str().eq_ignore_ascii_case("VCALENDAR") {
            let what = format!("'{}' found where VCALENDAR is expected", shown(root.name.as_str()));
            faults.push(text.error(unfolded.place(root.name.as_str()), what));
            continue;
        }
        let zone = calendar_zone(text, &unfolded, root, faults);
        for component in &root.components {
            let name = component.name.as_str();
            match name.to_ascii_uppercase().as_str() {
                "VEVENT" => match event::days(&unfolded, component, zone.as_ref(), &mut room) {
                    Ok(covered) => covered.into_iter().for_each(|day| days.insert(day)),
                    Err((at, flaw)) => {
                        let fault = flaw.of("");
                        faults.push(text.error(at, fault.what).maybe_help(fault.help));
                    }
                },
                "VTIMEZONE" => {}
                _ if name.starts_with("X-") => {}
                _ => {
                    let what =
                        format!("'{}' is not supported: only events (VEVENT) define days", shown(name));
                    faults.push(text.error(unfolded.place(name), what).help("remove it from this calendar"));
                }
            }
        }
    }
    days
}

/// The zone in which times in UTC are read; the other properties are looked through on the way.
fn calendar_zone(
    text: &Text<'_>,
    unfolded: &Unfolded,
    calendar: &Component<'_>,
    faults: &mut Diagnostics,
) -> Option<Zone> {
    let mut zone = None;
    for property in &calendar.properties {
        let (name, value) = (property.name.as_str().to_ascii_uppercase(), property.val.as_str());
        let known = HARMLESS.contains(&name.as_str()) || name.starts_with("X-");
        let usual = match name.as_str() {
            "CALSCALE" => value.eq_ignore_ascii_case("GREGORIAN"),
            "METHOD" => value.eq_ignore_ascii_case("PUBLISH") || value.eq_ignore_ascii_case("REQUEST"),
            _ => true,
        };
        if name == "X-WR-TIMEZONE" {
            match Zone::parse(value.trim()) {
                Ok(found) => zone = Some(found),
                Err(flaw) => {
                    let fault = flaw.of("");
                    faults.push(text.error(unfolded.place(value), fault.what).maybe_help(fault.help));
                }
            }
        } else if !(known && usual) {
            let what = format!("'{}:{}' is not understood in a calendar", shown(&name), shown(value));
            faults.push(text.error(unfolded.place(property.name.as_str()), what));
        }
    }
    zone
}

#[cfg(test)]
mod tests;

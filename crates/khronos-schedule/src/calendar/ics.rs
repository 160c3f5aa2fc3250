//! A calendar in the iCalendar form (RFC 5545): every `VEVENT` gives the days that it covers. What says something about
//! days and is not understood is refused, at its place and with what to do; what says nothing about them is passed over.
//!
//! The way of a text: `decoded` makes it of bytes, `unfolded` and `line` take it apart, `component` puts together what
//! may say something about days, `event` reads an event (`rule`, `moment`, `zones`), and `series` takes those of one UID
//! together (`expansion`).

mod clock;
mod component;
mod decoded;
mod event;
mod expansion;
mod line;
mod moment;
mod refusal;
mod rule;
mod series;
mod unfolded;
mod zones;

pub use self::decoded::decoded;

use self::{
    component::Component, event::Event, expansion::Steps, refusal::Refusal, series::Covered,
    unfolded::Unfolded, zones::Zones,
};
use super::Calendar;
use crate::{
    FaultCode,
    diagnostic::{Diagnostics, Text},
    fault::shown,
    zone::data::ZoneData,
};
use std::collections::BTreeMap;

/// Messages between calendars that say nothing certain about days.
const NO_CALENDARS: [&str; 3] = ["COUNTER", "DECLINECOUNTER", "REFRESH"];

/// What the events of the text cover, in zones as this data has them; what is wrong, or seldom meant, is added to
/// `faults`.
pub(super) fn parse(text: &Text<'_>, zones: &ZoneData, faults: &mut Diagnostics) -> Calendar {
    let unfolded = Unfolded::new(text.as_str());
    let refuse = |refusal: Refusal| {
        text.error(refusal.at, refusal.what).code(FaultCode::InvalidValue).maybe_help(refusal.help)
    };
    let roots = match component::tree(&unfolded) {
        Ok(roots) => roots,
        Err(refusal) => {
            faults.push(refuse(refusal));
            return Calendar::default();
        }
    };
    let (mut steps, mut covered) = (Steps::new(), Covered::none());
    let (mut named, mut unnamed): (BTreeMap<&str, Vec<Event<'_>>>, Vec<Event<'_>>) = Default::default();
    let mut reader = Reader { zones, steps: &mut steps, remarks: Vec::new() };
    for root in &roots {
        for event in reader.events(root) {
            match event {
                Ok(event) if event.uid.is_empty() => unnamed.push(event),
                Ok(event) => named.entry(event.uid).or_default().push(event),
                Err(refusal) => faults.push(refuse(refusal)),
            }
        }
    }
    let remarks = reader.remarks;
    if named.is_empty() && unnamed.is_empty() && faults.errors() == 0 {
        let what = "this calendar has no events, and so no days";
        let help = "only events (VEVENT) define days: put one into it, or remove it";
        faults.push(text.error(0..0, what).code(FaultCode::SeldomMeant).help(help).warning());
    }
    for events in named.into_values().chain(unnamed.into_iter().map(|event| vec![event])) {
        if let Err(refusal) = covered.add(events, &mut steps) {
            faults.push(refuse(refusal));
        }
    }
    for remark in remarks.into_iter().chain(std::mem::take(&mut covered.remarks)) {
        faults.push(refuse(remark).warning());
    }
    let taken = steps.taken().saturating_add(covered.taken());
    Calendar::new(covered.days, covered.spans, taken)
}

struct Reader<'s> {
    zones: &'s ZoneData,
    steps: &'s mut Steps,
    /// What is valid and seldom meant.
    remarks: Vec<Refusal>,
}

impl Reader<'_> {
    /// The events of a calendar, or of an event that stands alone.
    fn events<'a>(&mut self, root: &'a Component<'a>) -> Vec<Result<Event<'a>, Refusal>> {
        let zones = Zones::of(root, self.zones);
        if root.is("VEVENT") {
            return vec![event::read(root, &zones, false, self.steps, &mut self.remarks)];
        }
        if root.is("VCARD") {
            let what = "VCARD: this file holds contacts, not a calendar";
            return vec![Err(
                Refusal::of(root, what).help("export the calendar instead, in the form of iCalendar")
            )];
        }
        let method = root.line("METHOD").map(|line| (line, line.value.trim().to_ascii_uppercase()));
        if let Some((line, method)) = &method
            && NO_CALENDARS.contains(&&**method)
        {
            let what = format!("METHOD:{} is a message about a calendar, not a calendar", shown(method));
            return vec![Err(line.refused(what).help("export the calendar itself"))];
        }
        let cancelled = method.is_some_and(|(_, method)| method == "CANCEL");
        let events = root.parts.iter().filter(|part| part.is("VEVENT"));
        events.map(|part| event::read(part, &zones, cancelled, self.steps, &mut self.remarks)).collect()
    }
}

#[cfg(test)]
mod tests;

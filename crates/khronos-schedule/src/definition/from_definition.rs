//! Definition → timing: which instants, between which bounds.

use super::{
    Definition, TimingDefinition, bounds_keys, calendars::MOST_CALENDARS, day_keys, timing_keys::TimingKeys,
};
use crate::{
    calendar_store::CalendarStore,
    fault::{Fault, FaultCode, Flaw, shown},
    timing::{
        Timing,
        jitter::Jitter,
        rule::Rule,
        steps::Steps,
        union::{Member, Union},
    },
    zone::{Zone, rules::ZoneId, store::ZoneStore},
};
use ponos_event::Timestamp;
use std::collections::BTreeMap;

/// The most timings in one schedule.
pub(crate) const MOST_TIMINGS: usize = MOST_CALENDARS;

/// From when on a `limit` without `from` is counted to see whether it can be: 2026-01-01T00:00:00Z.
const COUNTED_FROM: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// On which occasion a definition is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// It is new, and may be a stranger's: its `limit` is counted in a bounded number of steps.
    New,
    /// It was accepted before, and its calendars, or the rules of its zones, are others since: these may leave nothing of it.
    Anew,
    /// The same, and it is as it was then.
    Kept,
}

impl Occasion {
    fn steps(self) -> Steps {
        match self {
            Self::New | Self::Anew => Steps::OF_A_DEFINITION,
            Self::Kept => Steps::UNLIMITED,
        }
    }
}

/// Builds the timing; `None` if any fault was added.
pub(crate) fn timing(
    definition: &Definition,
    calendars: &CalendarStore,
    occasion: Occasion,
    faults: &mut Vec<Fault>,
) -> Option<Timing> {
    let before = faults.len();
    let zones = Zones { ids: definition.zones.as_ref(), store: calendars.zones() };
    let own = zones.read(definition.time_zone.as_deref(), faults);
    let (zone, mut named) = (own.as_ref(), Vec::new());
    let keys = TimingKeys::from(definition);
    let days = day_keys::day_rules(definition, calendars, faults);
    let rule = match &definition.timings {
        None => keys.rule(zone, faults),
        Some(timings) => {
            for key in keys.given() {
                let what = format!("'{key}' and 'timings' are both given");
                let help = format!("move '{key}' into one of the timings, as in {{ {key} = ... }}");
                faults.push(Flaw::whole(what).code(FaultCode::Conflict).help(help).of(key));
            }
            several(timings, zone, days.is_some(), &zones, &mut named, faults)
        }
    };
    let bounds = bounds_keys::bounds(definition, zone, faults);
    let zone = own.unwrap_or_default();
    let mut timing = Timing { rule: rule?, zone, read_in: None, days, bounds, jitter: None };
    timing.keep_zones(named);
    if timing.rule.is_elapsed() && timing.days().is_some_and(|days| days.shift.is_some()) {
        let what = "'move' is not allowed: hours and less are elapsed time, which has no time of day to keep";
        let flaw = Flaw::whole(what).code(FaultCode::Conflict);
        faults.push(flaw.help("every = \"1 day\" and cron follow the wall clock").of("move"));
    }
    if definition.limit.is_some() && timing.is_one_shot() {
        let flaw = Flaw::whole("'limit' is not allowed with 'at', which happens once");
        faults.push(flaw.code(FaultCode::Conflict).of("limit"));
    }
    let jitter = definition.jitter.as_deref();
    match jitter.map(|text| Jitter::read(text, &definition.name, timing.shortest_interval())).transpose() {
        Ok(jitter) => timing.jitter = jitter.map(Box::new),
        Err(fault) => faults.push(fault),
    }
    if faults.len() > before {
        return None;
    }
    if timing.after(Timestamp::EPOCH.plus(-1)).is_none() {
        let bounded = definition.from.is_some() || definition.until.is_some();
        let key = if definition.timings.is_some() { "timings" } else { key(&timing.rule) };
        match timing.on_every_day().after(Timestamp::EPOCH.plus(-1)) {
            // There may be days again.
            Some(_) if occasion != Occasion::New => return Some(timing),
            Some(_) => faults.push(no_day(definition)),
            None => faults.push(never(&timing.rule, bounded).of(key)),
        }
        return None;
    }
    // Without 'from' it counts since the schedule takes effect, which is not known here.
    let since_creation = timing.is_counted_since_creation();
    let mut counted = timing.clone();
    if counted.count_since(COUNTED_FROM, &mut occasion.steps()).is_err() {
        faults.push(countless(definition.limit.unwrap_or_default()));
        return None;
    }
    Some(if since_creation { timing } else { counted })
}

/// Several timings whose instants have to be walked one by one, up to a limit that is too far away.
fn countless(limit: u32) -> Fault {
    let what = format!("{limit} occurrences of several timings are too many to be counted one by one");
    let flaw = Flaw::whole(what).code(FaultCode::OutOfRange);
    flaw.help("write a lower limit, or 'until'; or make one timing of them").of("limit")
}

fn no_day(definition: &Definition) -> Fault {
    let keys = [("only", definition.only.is_some()), ("exclude", definition.exclude.is_some())];
    let key = keys.into_iter().find(|(_, given)| *given).map_or("move", |(key, _)| key);
    Flaw::whole("it never fires: none of its occurrences falls on a day that is left")
        .code(FaultCode::NeverFires)
        .of(key)
}

/// Where zones are read from: the rules that the definition names by id, else those of the data that is in use.
struct Zones<'a> {
    ids: Option<&'a BTreeMap<String, ZoneId>>,
    store: &'a ZoneStore,
}

impl Zones<'_> {
    fn read(&self, name: Option<&str>, faults: &mut Vec<Fault>) -> Option<Zone> {
        let name = name?;
        let zone = match self.ids.and_then(|ids| ids.get(name)) {
            None => self.store.current(name),
            Some(id) => self.store.kept(name, *id).ok_or_else(|| {
                Flaw::whole(format!("the rules of the time zone '{}' are not known here", shown(name)))
                    .code(FaultCode::UnknownTimeZone)
            }),
        };
        // Some zone, so that local times are not blamed for having none.
        Some(zone.unwrap_or_else(|flaw| {
            faults.push(flaw.of("time_zone"));
            Zone::UTC
        }))
    }
}

/// Several timings as one; what is wrong with one of them says with which. Their zones go into `named`.
fn several(
    timings: &[TimingDefinition],
    zone: Option<&Zone>,
    by_days: bool,
    zones: &Zones<'_>,
    named: &mut Vec<Zone>,
    faults: &mut Vec<Fault>,
) -> Option<Rule> {
    if timings.is_empty() || timings.len() > MOST_TIMINGS {
        let what = format!("{} timings; 1 to {MOST_TIMINGS} are allowed", timings.len());
        let help = "as in timings = [{ cron = \"0 9 * * MON-FRI\" }, { every = \"4h\" }]";
        let flaw = Flaw::whole(what).code(FaultCode::OutOfRange).help(help);
        faults.push(flaw.expected(format!("1 to {MOST_TIMINGS} timings")).of("timings"));
        return None;
    }
    let mut members = Vec::with_capacity(timings.len());
    for (index, written) in timings.iter().enumerate() {
        let mut found = Vec::new();
        let own = zones.read(written.time_zone.as_deref(), &mut found).or(zone.cloned());
        let rule = TimingKeys::from(written).rule(own.as_ref(), &mut found).filter(|_| found.is_empty());
        if let Some(rule) = rule {
            let zone = own.unwrap_or_default();
            if rule.next(&zone, None, 0).is_none() {
                found.push(never(&rule, false).of(key(&rule)));
            }
            named.push(zone.clone());
            members.push(Member { rule, zone });
        }
        let part = u8::try_from(index).ok();
        faults.extend(found.into_iter().map(|fault| Fault { part, ..fault }));
    }
    let union = Union::new(members, by_days);
    match union.members() {
        // One alone that needs no zone of its own is as good as written without the list.
        [Member { rule: rule @ (Rule::At(_) | Rule::Elapsed(_)), .. }] if !by_days => Some(rule.clone()),
        [Member { rule, zone: own }] if own.same_clock(zone.unwrap_or(&Zone::UTC)) => Some(rule.clone()),
        _ => Some(Rule::Union(Box::new(union))),
    }
}

fn key(rule: &Rule) -> &'static str {
    match rule {
        Rule::At(_) => "at",
        Rule::Cron(..) => "cron",
        Rule::Elapsed(_) | Rule::Calendar(..) => "every",
        Rule::Union(_) => "timings",
    }
}

fn never(rule: &Rule, bounded: bool) -> Flaw {
    let span = if bounded { "within from and until" } else { "between 1970 and the end of 2099" };
    let flaw = Flaw::whole(format!("it never fires {span}")).code(FaultCode::NeverFires);
    match rule {
        Rule::Cron(..) if !bounded => flaw.help("no year has such a date in these months"),
        _ => flaw,
    }
}

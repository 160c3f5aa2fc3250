//! Definition → timing: `every`, `cron` or `at` with zone, phase, anchor, bounds and the choices about DST.

use super::{
    cron::Cron,
    day_rules::DayRules,
    definition::{Definition, Fault, Flaw, shown},
    dst::{Dst, Fold},
    duration::{Amount, Duration, Unit},
    every::{Calendar, Elapsed, Period},
    instant::{self, Written},
    months::{DAY, FIRST_YEAR, month_of, start_of},
    phase::Phase,
    timing::{Bounds, Kind, Rare, Timing},
    zone::Zone,
};
use ponos::event::Timestamp;

/// The shortest `every`, in milliseconds.
const SHORTEST: u64 = 100;
/// The longest `every`: a hundred years, in milliseconds, days and months.
const LONGEST: (u64, u64, u64) = (36_525 * 86_400_000, 36_525, 1200);
/// 1970-01-05, the Monday that weeks are counted from.
const MONDAY: i32 = 4;

/// The timing; faults are added, and with any of them there is none.
pub(super) fn timing(definition: &Definition, faults: &mut Vec<Fault>) -> Option<Timing> {
    let before = faults.len();
    let zone = match definition.time_zone.as_deref().map(Zone::parse) {
        None => None,
        Some(Ok(zone)) => Some(zone),
        Some(Err(flaw)) => {
            faults.push(flaw.of("time_zone"));
            // Some zone, so that local times are not blamed for having none.
            Some(Zone::UTC)
        }
    };
    let dst = definition.dst.as_ref().map(|dst| Dst::read(dst, faults));
    let kind = match (&definition.every, &definition.cron, &definition.at) {
        (Some(text), None, None) => every(definition, text, zone, dst, faults),
        (None, Some(text), None) => cron(text, dst, faults),
        (None, None, Some(text)) => at(text, zone, dst, faults),
        (None, None, None) => {
            let what = "one of 'every', 'cron' and 'at' is needed";
            faults.push(Flaw::whole(what).help("as in every = \"1 hour\"").of("every"));
            None
        }
        (every, _, at) => {
            let key = if at.is_some() { "at" } else { "cron" };
            let other = if every.is_some() { "every" } else { "cron" };
            let what =
                format!("'{key}' and '{other}' are both given; a schedule has one of every, cron and at");
            faults.push(Flaw::whole(what).help("make it two schedules").of(key));
            None
        }
    };
    if definition.every.is_none() {
        for (key, value) in [("phase", &definition.phase), ("anchor", &definition.anchor)] {
            if value.is_some() {
                faults.push(Flaw::whole(format!("'{key}' stands with 'every' only")).of(key));
            }
        }
    }
    let bounds = bounds(definition, zone, faults);
    let days = DayRules::read(definition, faults);
    let kind = kind?;
    if matches!(kind, Kind::Elapsed(_)) && days.as_deref().is_some_and(|days| days.shift.is_some()) {
        let what = "'move' is refused: hours and less are elapsed time, which has no time of day to be kept";
        faults.push(Flaw::whole(what).help("every = \"1 day\" and cron follow the wall clock").of("move"));
    }
    if faults.len() > before {
        return None;
    }
    let rare = (bounds.is_some() || days.is_some())
        .then(|| Box::new(Rare { bounds: bounds.unwrap_or_default(), days }));
    let timing = Timing { kind, zone: zone.unwrap_or(Zone::UTC), rare };
    if timing.after(Timestamp::from_millis(-1)).is_none() {
        faults.push(never(definition, &timing));
        return None;
    }
    Some(timing)
}

fn never(definition: &Definition, timing: &Timing) -> Fault {
    let all_days =
        Timing { rare: Some(Box::new(Rare { bounds: timing.bounds(), days: None })), ..timing.clone() };
    if timing.days().is_some() && all_days.after(Timestamp::from_millis(-1)).is_some() {
        let key = [("only", definition.only.is_some()), ("exclude", definition.exclude.is_some())];
        let key = key.into_iter().find(|(_, given)| *given).map_or("move", |(key, _)| key);
        let what = "it never fires: none of its occurrences falls on a day that is left";
        return Flaw::whole(what).help("khronos next shows what its calendars leave out").of(key);
    }
    let key = match timing.kind {
        Kind::At(_) => "at",
        Kind::Cron(..) => "cron",
        Kind::Elapsed(_) | Kind::Calendar(..) => "every",
    };
    let bounded = definition.from.is_some() || definition.until.is_some();
    let span = if bounded { "within from and until" } else { "between 1970 and the end of 2099" };
    let what = format!("it never fires {span}");
    let flaw = Flaw::whole(what);
    match timing.kind {
        Kind::Cron(..) if !bounded => flaw.help("no year has such a date in these months").of(key),
        _ => flaw.of(key),
    }
}

fn bounds(definition: &Definition, zone: Option<Zone>, faults: &mut Vec<Fault>) -> Option<Bounds> {
    let mut read = |key, text: Option<&str>| match instant::bound(text?, zone) {
        Ok(instant) => Some(instant),
        Err(flaw) => {
            faults.push(flaw.of(key));
            None
        }
    };
    let (from, until) =
        (read("from", definition.from.as_deref()), read("until", definition.until.as_deref()));
    if let (Some(from), Some(until)) = (from, until)
        && from >= until
    {
        let what = format!("'until' ({until}) is not after 'from' ({from})");
        faults.push(Flaw::whole(what).of("until"));
    }
    let bounds = Bounds {
        from: from.unwrap_or(Timestamp::EPOCH).max(Timestamp::EPOCH),
        until: until.unwrap_or(Timestamp::HORIZON).min(Timestamp::HORIZON),
    };
    (from.is_some() || until.is_some()).then_some(bounds)
}

fn at(text: &str, zone: Option<Zone>, dst: Option<Dst>, faults: &mut Vec<Fault>) -> Option<Kind> {
    if dst.is_some_and(|dst| dst.fold == Fold::Both) {
        let what = "'both' is refused with 'at': it happens once";
        faults.push(Flaw::whole(what).help("'first' and 'last' are allowed").of("dst.fold"));
    }
    let instant = instant::read(text).and_then(|written| match written {
        Written::Instant(_) if dst.is_some() => {
            faults.push(
                Flaw::whole("'dst' is refused: 'at' has an offset, so nothing is left to choose").of("dst"),
            );
            Ok(Timestamp::EPOCH)
        }
        Written::Instant(instant) => Ok(instant),
        Written::Local(local) => instant::in_zone(text, local, zone, dst.unwrap_or_default()),
    });
    match instant {
        Ok(instant) if (Timestamp::EPOCH..Timestamp::HORIZON).contains(&instant) => Some(Kind::At(instant)),
        Ok(_) => {
            faults.push(Flaw::whole("it is not between 1970 and the end of 2099").of("at"));
            None
        }
        Err(flaw) => {
            faults.push(flaw.of("at"));
            None
        }
    }
}

fn cron(text: &str, dst: Option<Dst>, faults: &mut Vec<Fault>) -> Option<Kind> {
    let cron = match Cron::parse(text) {
        Ok(cron) => cron,
        Err(flaw) => {
            faults.push(flaw.of("cron"));
            return None;
        }
    };
    if !cron.is_wild() {
        return Some(Kind::Cron(cron, dst.unwrap_or_default()));
    }
    if dst.is_some() {
        let what = "'dst' is refused: an expression whose seconds, minute or hour begins with '*' \
                    stands for every real instant that matches";
        faults.push(Flaw::whole(what).help("leave 'dst' out, or write '0-59' or '0-23' for '*'").of("dst"));
    }
    Some(Kind::Cron(cron, Dst::REAL))
}

fn every(
    definition: &Definition,
    text: &str,
    zone: Option<Zone>,
    dst: Option<Dst>,
    faults: &mut Vec<Fault>,
) -> Option<Kind> {
    let duration = match Duration::parse(text) {
        Ok(duration) => duration,
        Err(flaw) => {
            faults.push(flaw.of("every"));
            return None;
        }
    };
    let Some(amount) = duration.amount() else {
        let flaw = Flaw::whole(format!("{duration} mixes units that have no common length"));
        let help = "milliseconds to hours are elapsed time, days and weeks, months and years the calendar's: use one kind";
        faults.push(flaw.help(help).of("every"));
        return None;
    };
    let (n, most) = match amount {
        Amount::Elapsed(millis) => (millis, LONGEST.0),
        Amount::Days(days) => (days, LONGEST.1),
        Amount::Months(months) => (months, LONGEST.2),
    };
    if n > most || matches!(amount, Amount::Elapsed(millis) if millis < SHORTEST) {
        let what = format!("{duration}; from {SHORTEST} ms to 100 years are allowed");
        faults.push(Flaw::whole(what).of("every"));
        return None;
    }
    let phase = match definition.phase.as_deref().map(Phase::parse).transpose() {
        Ok(phase) => phase.unwrap_or_default(),
        Err(flaw) => {
            faults.push(flaw.of("phase"));
            return None;
        }
    };
    let anchor = definition.anchor.as_deref();
    match amount {
        Amount::Elapsed(step) => {
            if dst.is_some() {
                let what = "'dst' is refused: hours and less are elapsed time, which no clock change touches";
                faults.push(Flaw::whole(what).help("every = \"1 day\" follows the wall clock").of("dst"));
            }
            elapsed(anchor, phase, step, zone, faults)
        }
        Amount::Days(_) | Amount::Months(_) => {
            let calendar = calendar(anchor, phase, &duration, amount, zone, faults)?;
            Some(Kind::Calendar(calendar, dst.unwrap_or_default()))
        }
    }
}

fn elapsed(
    anchor: Option<&str>,
    phase: Phase,
    step: u64,
    zone: Option<Zone>,
    faults: &mut Vec<Fault>,
) -> Option<Kind> {
    let step = i64::try_from(step).ok()?;
    if phase.months > 0 || phase.days > 0 || phase.time >= step {
        let what = "the phase of an elapsed 'every' is shorter than it, in hours or less";
        faults.push(Flaw::whole(what).of("phase"));
    }
    let base = match anchor.map(|text| instant::bound(text, zone)).transpose() {
        Ok(anchor) => anchor.map_or(0, Timestamp::millis),
        Err(flaw) => {
            faults.push(flaw.of("anchor"));
            0
        }
    };
    Some(Kind::Elapsed(Elapsed::new(base + phase.time, step)))
}

fn calendar(
    anchor: Option<&str>,
    phase: Phase,
    duration: &Duration,
    amount: Amount,
    zone: Option<Zone>,
    faults: &mut Vec<Fault>,
) -> Option<Calendar> {
    let anchor = match anchor.map(|text| wall_clock(text, zone)).transpose() {
        Ok(anchor) => anchor,
        Err(flaw) => {
            faults.push(flaw.of("anchor"));
            return None;
        }
    };
    let time = anchor.map_or(0, |local| local.rem_euclid(DAY)) + phase.time;
    let (carry, time) = (i32::try_from(time / DAY).ok()?, i32::try_from(time % DAY).ok()?);
    let day = anchor.and_then(|local| i32::try_from(local.div_euclid(DAY)).ok());
    let mut refuse = |what: &str, help: &str| {
        faults.push(Flaw::whole(what).help(help).of("phase"));
        None
    };
    match amount {
        Amount::Days(step) => {
            let step = i32::try_from(step).ok()?;
            if phase.months > 0 || phase.days >= step {
                return refuse(
                    "the phase is not shorter than 'every'",
                    "as in phase = \"9h\", or \"2 days 09:00\"",
                );
            }
            let weeks = duration.parts().iter().all(|part| part.1 == Unit::Week);
            let start = day.unwrap_or(if weeks { MONDAY } else { 0 });
            Some(Calendar::new(Period::Days, step, start + phase.days + carry, time))
        }
        Amount::Months(step) => {
            let step = i32::try_from(step).ok()?;
            if phase.months >= step {
                return refuse("the phase is not shorter than 'every'", "as in phase = \"14 days 09:00\"");
            }
            let month = day.map_or((1970 - FIRST_YEAR) * 12, month_of);
            let of_month = day.map_or(0, |day| day - start_of(month)) + phase.days + carry;
            match u8::try_from(of_month) {
                Ok(day @ 0..=30) => {
                    let base = month - (1970 - FIRST_YEAR) * 12 + phase.months;
                    Some(Calendar::new(Period::Months { day }, step, base, time))
                }
                _ => refuse(
                    "the days of the phase go beyond a month: 0 to 30 are counted from the first (or the anchor's day)",
                    "use months too, as in '2 months 14 days' with every = \"1 year\"",
                ),
            }
        }
        Amount::Elapsed(_) => None,
    }
}

/// The anchor of a calendar `every`, as a time on the zone's wall clock.
fn wall_clock(text: &str, zone: Option<Zone>) -> Result<i64, Flaw> {
    match (instant::read(text)?, zone) {
        (Written::Local(local), Some(_)) => Ok(local),
        // Refused for want of a zone.
        (Written::Local(local), None) => {
            instant::in_zone(text, local, None, Dst::default()).map(|at| at.millis())
        }
        (Written::Instant(instant), zone) => {
            let (zone, millis) = (zone.unwrap_or(Zone::UTC), instant.millis());
            if !(0..Timestamp::HORIZON.millis()).contains(&millis) {
                return Err(Flaw::whole(format!("'{}' is not between 1970 and 2099", shown(text))));
            }
            let offset = zone.segments().get(zone.segment_at(millis)).map_or(0, |segment| segment.offset);
            Ok(millis + offset)
        }
    }
}

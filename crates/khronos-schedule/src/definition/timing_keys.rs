//! `every`, `cron` or `at` with zone, phase, anchor and the choices about DST → a rule.

use super::{
    Definition, DstDefinition, TimingDefinition, foreign_cron,
    instant::{self, Written},
    phase::Phase,
};
use crate::{
    cron::Cron,
    duration,
    fault::{Fault, FaultCode, Flaw, choice, shown},
    months::{DAY, FIRST_YEAR, month_of, start_of},
    timing::{
        every::{Calendar, Elapsed, Period},
        rule::Rule,
    },
    zone::{
        Zone,
        dst::{Dst, Fold, Gap},
    },
};
use ponos_event::{
    Timestamp,
    duration::{Amount, TimeUnit, WrittenDuration},
};

/// 1970-01-05, the Monday that weeks are counted from.
const MONDAY: i32 = 4;

/// The keys that say when: a schedule's own, or those of one of its `timings`.
#[derive(Clone, Copy)]
pub(crate) struct TimingKeys<'a> {
    every: Option<&'a str>,
    pub(crate) cron: Option<&'a str>,
    pub(crate) at: Option<&'a str>,
    phase: Option<&'a str>,
    anchor: Option<&'a str>,
    pub(crate) dst: Option<&'a DstDefinition>,
}

macro_rules! timing_keys_from {
    ($($definition:ty),*) => {$(
        impl<'a> From<&'a $definition> for TimingKeys<'a> {
            fn from(written: &'a $definition) -> Self {
                Self {
                    every: written.every.as_deref(),
                    cron: written.cron.as_deref(),
                    at: written.at.as_deref(),
                    phase: written.phase.as_deref(),
                    anchor: written.anchor.as_deref(),
                    dst: written.dst.as_ref(),
                }
            }
        }
    )*};
}

timing_keys_from!(Definition, TimingDefinition);

impl TimingKeys<'_> {
    /// The keys that are given.
    pub(crate) fn given(&self) -> impl Iterator<Item = &'static str> {
        let Self { every, cron, at, phase, anchor, dst } = self;
        let given = [
            ("every", every.is_some()),
            ("cron", cron.is_some()),
            ("at", at.is_some()),
            ("phase", phase.is_some()),
            ("anchor", anchor.is_some()),
            ("dst", dst.is_some()),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(key, _)| key)
    }

    /// What they mean; faults are added, and with any of them the answer is of no use.
    pub(crate) fn rule(self, zone: Option<&Zone>, faults: &mut Vec<Fault>) -> Option<Rule> {
        let dst = self.dst.map(|dst| clock_changes(dst, faults));
        if self.every.is_none() {
            for (key, value) in [("phase", self.phase), ("anchor", self.anchor)] {
                if value.is_some() {
                    let what = format!("'{key}' is allowed only with 'every'");
                    faults.push(Flaw::whole(what).code(FaultCode::Conflict).of(key));
                }
            }
        }
        match (self.every, self.cron, self.at) {
            (Some(text), None, None) => every(self, text, zone, dst, faults),
            (None, Some(text), None) => cron(text, dst, faults),
            (None, None, Some(text)) => at(text, zone, dst, faults),
            (None, None, None) => {
                let what = "one of 'every', 'cron' and 'at' is needed";
                let flaw = Flaw::whole(what).code(FaultCode::MissingKey);
                faults.push(flaw.help("as in every = \"1 hour\"").of("every"));
                None
            }
            (every, _, at) => {
                let key = if at.is_some() { "at" } else { "cron" };
                let other = if every.is_some() { "every" } else { "cron" };
                let what = format!(
                    "'{key}' and '{other}' are both given; each timing has one of every, cron and at"
                );
                let help = format!("for both write timings = [{{ {other} = ... }}, {{ {key} = ... }}]");
                faults.push(Flaw::whole(what).code(FaultCode::Conflict).help(help).of(key));
                None
            }
        }
    }
}

/// Reads `dst = { gap = …, fold = … }`; a misspelt choice is added to `faults`.
fn clock_changes(definition: &DstDefinition, faults: &mut Vec<Fault>) -> Dst {
    let mut dst = Dst::default();
    match definition.gap.as_deref() {
        None | Some("after") => {}
        Some("shift") => dst.gap = Gap::Shift,
        Some("skip") => dst.gap = Gap::Skip,
        Some(other) => faults.push(choice(other, &["after", "shift", "skip"]).of("dst.gap")),
    }
    match definition.fold.as_deref() {
        None | Some("first") => {}
        Some("last") => dst.fold = Fold::Last,
        Some("both") => dst.fold = Fold::Both,
        Some(other) => faults.push(choice(other, &["first", "last", "both"]).of("dst.fold")),
    }
    dst
}

fn at(text: &str, zone: Option<&Zone>, dst: Option<Dst>, faults: &mut Vec<Fault>) -> Option<Rule> {
    if dst.is_some_and(|dst| dst.fold == Fold::Both) {
        let what = "'both' is not allowed with 'at', which happens once";
        let flaw = Flaw::whole(what).code(FaultCode::Conflict);
        faults.push(flaw.help("'first' and 'last' are allowed").of("dst.fold"));
    }
    let instant = instant::read(text).and_then(|written| match written {
        Written::Instant(_) if dst.is_some() => {
            faults.push(
                Flaw::whole("'dst' is not allowed: 'at' has an offset, so there is nothing to choose")
                    .code(FaultCode::Conflict)
                    .of("dst"),
            );
            Ok(Timestamp::EPOCH)
        }
        Written::Instant(instant) => Ok(instant),
        Written::Local(local) => instant::in_zone(text, local, zone, dst.unwrap_or_default()),
    });
    match instant {
        Ok(instant) if (Timestamp::EPOCH..Timestamp::HORIZON).contains(&instant) => Some(Rule::At(instant)),
        Ok(_) => {
            let flaw = Flaw::whole("it is not between 1970 and the end of 2099");
            faults.push(flaw.code(FaultCode::OutOfRange).of("at"));
            None
        }
        Err(flaw) => {
            faults.push(flaw.of("at"));
            None
        }
    }
}

fn cron(text: &str, dst: Option<Dst>, faults: &mut Vec<Fault>) -> Option<Rule> {
    let cron = match foreign_cron::parse(text) {
        Ok(cron) => cron,
        Err(flaw) => {
            faults.push(flaw.of("cron"));
            return None;
        }
    };
    if !cron.is_wild() {
        return Some(Rule::Cron(cron, dst.unwrap_or_default()));
    }
    if dst.is_some() {
        let what = "'dst' is not allowed: an expression whose seconds, minute or hour begins with '*' \
                    stands for every real instant that matches";
        let flaw = Flaw::whole(what).code(FaultCode::Conflict);
        faults.push(flaw.help("leave 'dst' out, or write '0-59' or '0-23' for '*'").of("dst"));
    }
    Some(Rule::Cron(cron, Dst::REAL))
}

fn every(
    keys: TimingKeys<'_>,
    text: &str,
    zone: Option<&Zone>,
    dst: Option<Dst>,
    faults: &mut Vec<Fault>,
) -> Option<Rule> {
    let (duration, amount) = match duration::every(text).map_err(|flaw| or_cron(text, flaw)) {
        Ok(read) => read,
        Err(flaw) => {
            faults.push(flaw.of("every"));
            return None;
        }
    };
    let phase = match keys.phase.map(Phase::parse).transpose() {
        Ok(phase) => phase.unwrap_or_default(),
        Err(flaw) => {
            faults.push(flaw.of("phase"));
            return None;
        }
    };
    let anchor = keys.anchor;
    match amount {
        Amount::Elapsed(step) => {
            if dst.is_some() {
                let what =
                    "'dst' is not allowed: hours and less are elapsed time, which no clock change touches";
                let flaw = Flaw::whole(what).code(FaultCode::Conflict);
                faults.push(flaw.help("every = \"1 day\" follows the wall clock").of("dst"));
            }
            elapsed(anchor, phase, step, zone, faults)
        }
        Amount::Days(_) | Amount::Months(_) => {
            let calendar = calendar(anchor, phase, &duration, amount, zone, faults)?;
            Some(Rule::Calendar(calendar, dst.unwrap_or_default()))
        }
    }
}

/// Where an expression stands as a duration, the remedy is another key.
fn or_cron(text: &str, flaw: Flaw) -> Flaw {
    match text.split_ascii_whitespace().count() >= 5 && Cron::reads(text) {
        true => flaw.help(format!("this is a cron expression: write cron = \"{}\"", text.trim_ascii())),
        false => flaw,
    }
}

fn elapsed(
    anchor: Option<&str>,
    phase: Phase,
    step: u64,
    zone: Option<&Zone>,
    faults: &mut Vec<Fault>,
) -> Option<Rule> {
    let step = i64::try_from(step).ok()?;
    if phase.months > 0 || phase.days > 0 || phase.time >= step {
        let what = "the phase of an elapsed 'every' is shorter than it, in hours or less";
        faults.push(Flaw::whole(what).code(FaultCode::Conflict).of("phase"));
    }
    let base = match anchor.map(|text| instant::bound(text, zone)).transpose() {
        Ok(anchor) => anchor.map_or(0, Timestamp::millis),
        Err(flaw) => {
            faults.push(flaw.of("anchor"));
            0
        }
    };
    Some(Rule::Elapsed(Elapsed::new(base + phase.time, step)))
}

fn calendar(
    anchor: Option<&str>,
    phase: Phase,
    duration: &WrittenDuration,
    amount: Amount,
    zone: Option<&Zone>,
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
        faults.push(Flaw::whole(what).code(FaultCode::Conflict).help(help).of("phase"));
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
            let weeks = duration.parts().iter().all(|part| part.1 == TimeUnit::Week);
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
fn wall_clock(text: &str, zone: Option<&Zone>) -> Result<i64, Flaw> {
    match (instant::read(text)?, zone) {
        (Written::Local(local), Some(_)) => Ok(local),
        // Refused for want of a zone.
        (Written::Local(local), None) => {
            instant::in_zone(text, local, None, Dst::default()).map(|at| at.millis())
        }
        (Written::Instant(instant), zone) => {
            let (zone, millis) = (zone.unwrap_or(&Zone::UTC), instant.millis());
            if !(0..Timestamp::HORIZON.millis()).contains(&millis) {
                let what = format!("'{}' is not between 1970 and 2099", shown(text));
                return Err(Flaw::whole(what).code(FaultCode::OutOfRange));
            }
            let offset = zone.segments().get(zone.segment_at(millis)).map_or(0, |segment| segment.offset);
            Ok(millis + offset)
        }
    }
}

//! `phase`: how far an `every` is moved from its anchor.

use super::instant;
use crate::{
    fault::{FaultCode, Flaw},
    months::DAY,
};
use ponos_event::duration::{TimeUnit, WrittenDuration};

/// `phase`: a duration, whose last part may be a time of day: `9h`, `14 days 09:00`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Phase {
    pub(crate) months: i32,
    pub(crate) days: i32,
    /// Milliseconds; below a day where there are days or months.
    pub(crate) time: i64,
}

impl Phase {
    /// Reads a phase. Zero is allowed: it is the first share when many schedules are spread over a span.
    pub(crate) fn parse(text: &str) -> Result<Self, Flaw> {
        let trimmed = text.trim_ascii_end();
        let split = trimmed.rfind(|c: char| c.is_ascii_whitespace()).map_or(0, |at| at + 1);
        let (lengths, clock) = match trimmed[split..].contains(':') {
            true => (&trimmed[..split], Some(&trimmed[split..])),
            false => (trimmed, None),
        };
        let mut phase = Self::default();
        if let Some(clock) = clock {
            phase.time = instant::time_of_day(clock).map_err(|flaw| flaw.shifted(split))?;
        }
        if lengths.trim_ascii().is_empty() && clock.is_some() {
            return Ok(phase);
        }
        let beyond = || Flaw::whole("the phase is out of bounds").code(FaultCode::OutOfRange);
        for &(n, unit) in WrittenDuration::parse_distance(lengths)?.parts() {
            let n = i32::try_from(n).ok();
            let of = |each: i32| n.and_then(|n| n.checked_mul(each)).ok_or_else(beyond);
            match unit {
                TimeUnit::Year => phase.months = phase.months.checked_add(of(12)?).ok_or_else(beyond)?,
                TimeUnit::Month => phase.months = phase.months.checked_add(of(1)?).ok_or_else(beyond)?,
                TimeUnit::Week => phase.days = phase.days.checked_add(of(7)?).ok_or_else(beyond)?,
                TimeUnit::Day => phase.days = phase.days.checked_add(of(1)?).ok_or_else(beyond)?,
                _ if clock.is_some() => {
                    return Err(Flaw::whole("a time of day and hours or less are both given"));
                }
                TimeUnit::Hour => phase.time += i64::from(of(1)?) * 3_600_000,
                TimeUnit::Minute => phase.time += i64::from(of(1)?) * 60_000,
                TimeUnit::Second => phase.time += i64::from(of(1)?) * 1000,
                TimeUnit::Millisecond => phase.time += i64::from(of(1)?),
            }
        }
        if phase.time >= DAY && (phase.days > 0 || phase.months > 0) {
            return Err(Flaw::whole(
                "beside days, the rest of the phase is a time of day: less than 24 hours",
            ));
        }
        Ok(phase)
    }
}

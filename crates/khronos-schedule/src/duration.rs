//! Durations in schedules: read as everywhere else (`ponos_event::duration`), within what a schedule allows.

use super::fault::{Fault, FaultCode, Flaw, shown};
use ponos_event::duration::{Amount, DurationError, WrittenDuration};

impl From<DurationError> for Flaw {
    fn from(error: DurationError) -> Self {
        let DurationError { at, what, help } = error;
        let flaw = match at {
            Some(at) => Self::part(at, what),
            None => Self::whole(what),
        };
        match help {
            Some(help) => flaw.help(help),
            None => flaw,
        }
    }
}

/// Reads a length of time as given on a command line, in milliseconds: weeks to milliseconds, a day having 24 hours.
///
/// # Errors
/// A [`Fault`] under `key`, also where it is longer than `most` milliseconds.
pub fn parse_length(text: &str, most: i64, key: &'static str) -> Result<i64, Fault> {
    let length = WrittenDuration::parse(text).and_then(|duration| duration.millis());
    let length = length.map_err(|error| Flaw::from(error).of(key))?;
    if length > most {
        let what = format!("'{}' is too long; {} days at most", shown(text), most / 86_400_000);
        return Err(Flaw::whole(what).code(FaultCode::OutOfRange).of(key));
    }
    Ok(length)
}

/// The shortest `every`, in milliseconds.
const SHORTEST: u64 = 100;
/// The longest `every`: a hundred years, in milliseconds, days and months.
const LONGEST: (u64, u64, u64) = (36_525 * 86_400_000, 36_525, 1200);
/// Reads a duration as `every` has it: units of one kind, from 100 ms to 100 years.
pub(super) fn every(text: &str) -> Result<(WrittenDuration, Amount), Flaw> {
    let duration = WrittenDuration::parse(text)?;
    let Some(amount) = duration.amount() else {
        let flaw = Flaw::whole(format!("{duration} mixes units that have no common length"));
        let help = "milliseconds to hours are elapsed time, days and weeks, months and years the calendar's: use one kind";
        return Err(flaw.help(help));
    };
    let (n, most) = match amount {
        Amount::Elapsed(millis) => (millis, LONGEST.0),
        Amount::Days(days) => (days, LONGEST.1),
        Amount::Months(months) => (months, LONGEST.2),
    };
    if n > most || matches!(amount, Amount::Elapsed(millis) if millis < SHORTEST) {
        let what = format!("{duration}; from {SHORTEST} ms to 100 years are allowed");
        return Err(Flaw::whole(what).code(FaultCode::OutOfRange));
    }
    Ok((duration, amount))
}

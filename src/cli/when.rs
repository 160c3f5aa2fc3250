//! Instants as people read them.

use super::{exit::Exit, report};
use crate::{
    clock,
    ops::next::weekday_of,
    schedule::{
        CalendarStore, Fault, FaultCode, Local, Timing, parse_instant, parse_instant_with, parse_length,
    },
};
use ponos::event::Timestamp;

/// The flag that gives local times their zone, of verbs that have it.
pub(super) const ZONE: &str = "--time-zone";

/// What `--from` says, a local time read in `zone`, which is given by `flag`; now, if it is left out.
pub(super) fn start(
    from: Option<&str>,
    zone: Option<&str>,
    flag: Option<&'static str>,
    store: &CalendarStore,
) -> Result<Timestamp, Exit> {
    match from {
        None => Ok(clock::now()),
        Some(text) => parse_instant_with(text, zone, "--from", flag, store.zones())
            .map_err(|fault| report::refuse("--from", text, &fault)),
    }
}

/// What a flag, or an argument, of this name says: an instant, or a local time in the zone that another flag gives.
pub(super) fn instant(
    name: &'static str,
    text: &str,
    (zone, flag): (Option<&str>, &'static str),
    store: &CalendarStore,
) -> Result<Timestamp, Exit> {
    parse_instant_with(text, zone, name, Some(flag), store.zones()).map_err(|fault| match fault.key {
        "time_zone" => report::refuse(flag, zone.unwrap_or_default(), &fault),
        _ => report::refuse(name, text, &fault),
    })
}

/// Whether a text is a local time: as an instant it lacks a zone.
pub(super) fn is_local(text: &str) -> bool {
    let read = parse_instant(text, None, "", None);
    read.is_err_and(|fault| fault.code == FaultCode::NoTimeZone)
}

/// Refuses a zone that there is not, given by this flag.
pub(super) fn check_zone(zone: Option<&str>, flag: &'static str, store: &CalendarStore) -> Result<(), Exit> {
    let Some(zone) = zone else { return Ok(()) };
    let of_zone = Timing::from_every_with("1 day", Some(zone), store);
    of_zone.map(drop).map_err(|fault| report::refuse(flag, zone, &fault))
}

/// Where a span of `length` (`--for`) after `from` ends: it is at most `most` milliseconds long, and ends where schedules do.
pub(super) fn end(from: Timestamp, length: &str, most: i64) -> Result<Timestamp, Exit> {
    let refuse = |fault| report::refuse("--for", length, &fault);
    let end = from.plus(parse_length(length, most, "--for").map_err(refuse)?);
    if end > Timestamp::HORIZON {
        let (what, help) = (
            format!(
                "{length} after {from} ends at {end}, and no schedule is due from {} on",
                Timestamp::HORIZON
            ),
            Some("take a shorter span, or an earlier --from".to_owned()),
        );
        return Err(refuse(Fault {
            code: FaultCode::OutOfRange,
            key: "--for",
            part: None,
            below: None,
            at: None,
            what,
            expected: None,
            help,
        }));
    }
    Ok(end)
}

/// `Mon 2026-11-23 09:00:00`.
pub(super) fn local(local: &Local) -> String {
    format!("{} {}", weekday_of(local.time.get(..10).unwrap_or_default()), local.time.replace('T', " "))
}

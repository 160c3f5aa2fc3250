//! Instants as people read them.

use super::{exit::Exit, report};
use crate::{
    clock,
    ops::next::weekday_of,
    schedule::{CalendarStore, Fault, FaultCode, Local, parse_instant_with, parse_length},
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

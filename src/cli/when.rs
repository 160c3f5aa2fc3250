//! Instants as people read them.

use super::{exit::Exit, report};
use crate::{
    clock,
    schedule::{Local, parse_instant},
};
use chrono::{Datelike, NaiveDate};
use ponos::event::Timestamp;

/// The flag that gives local times their zone, of verbs that have it.
pub(super) const ZONE: &str = "--time-zone";

/// What `--from` says, a local time read in `zone`, which is given by `flag`; now, if it is left out.
pub(super) fn start(
    from: Option<&str>,
    zone: Option<&str>,
    flag: Option<&'static str>,
) -> Result<Timestamp, Exit> {
    match from {
        None => Ok(clock::now()),
        Some(text) => {
            parse_instant(text, zone, "--from", flag).map_err(|fault| report::refuse("--from", text, &fault))
        }
    }
}

/// `Mon`, of a date such as `2026-11-23`.
pub(super) fn weekday_of(date: &str) -> String {
    date.parse::<NaiveDate>().map_or_else(|_| String::new(), |date| date.weekday().to_string())
}

/// `Mon 2026-11-23 09:00:00`.
pub(super) fn local(local: &Local) -> String {
    format!("{} {}", weekday_of(local.time.get(..10).unwrap_or_default()), local.time.replace('T', " "))
}

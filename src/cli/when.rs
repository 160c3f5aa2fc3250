//! Instants as people read them.

use crate::schedule::Local;
use chrono::{Datelike, NaiveDate};

/// `Mon`, of a date such as `2026-11-23`.
pub(super) fn weekday_of(date: &str) -> String {
    date.parse::<NaiveDate>().map_or_else(|_| String::new(), |date| date.weekday().to_string())
}

/// `Mon 2026-11-23 09:00:00`.
pub(super) fn local(local: &Local) -> String {
    format!("{} {}", weekday_of(local.time.get(..10).unwrap_or_default()), local.time.replace('T', " "))
}

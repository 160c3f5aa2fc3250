//! Instants as people read them.

use crate::schedule::Local;
use chrono::{Datelike, NaiveDate};

/// `Mon`, of a local time.
pub(super) fn weekday(local: &Local) -> String {
    let date = local.time.get(..10).and_then(|date| date.parse::<NaiveDate>().ok());
    date.map_or_else(String::new, |date| date.weekday().to_string())
}

/// `Mon 2026-11-23 09:00:00`.
pub(super) fn local(local: &Local) -> String {
    format!("{} {}", weekday(local), local.time.replace('T', " "))
}

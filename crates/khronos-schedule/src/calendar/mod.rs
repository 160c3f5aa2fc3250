//! Named sets of days: holidays, business days, weeks of maintenance. `table` reads the TOML form, `ics` the iCalendar
//! form; both end as [`Days`], which is all that timings know of them. Pure; `sources.rs` reads the folder.
//!
//! A calendar has no time zone: each schedule reads its days on the wall calendar of its own zone.

mod date;
mod days;
pub mod ics;
mod recurrence;
pub mod table;

pub use days::{CalendarId, Days};

use super::diagnostic::{Diagnostics, Text};

/// Understands a calendar file: the days, or all that is wrong with it. `is_ics` says in which form it is.
///
/// # Errors
/// Every fault, at its place.
pub fn parse(text: &Text<'_>, is_ics: bool) -> Result<Days, Diagnostics> {
    let mut faults = Diagnostics::default();
    let days = if is_ics { ics::parse(text, &mut faults) } else { table::parse(text, &mut faults) };
    faults.sort();
    if faults.errors() == 0 { Ok(days) } else { Err(faults) }
}

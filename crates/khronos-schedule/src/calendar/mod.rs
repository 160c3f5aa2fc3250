//! Named sets of days: holidays, business days, weeks of maintenance. `table` reads the TOML form, `ics` the iCalendar
//! form; both end as a [`Calendar`], and that in a zone as [`Days`], which are all that timings know of them. Pure;
//! `sources.rs` reads the folder.
//!
//! A calendar has no time zone: each schedule reads its days on the wall calendar of its own zone.

#[allow(clippy::module_inception)] // A type's name is its file's name.
mod calendar;
mod date;
mod days;
pub mod ics;
pub mod table;

pub use calendar::Calendar;
pub use days::{CalendarId, Days};

use super::diagnostic::{Diagnostics, Text};

/// Understands a calendar file: what it says and what was seldom meant, or all that is wrong with it. `is_ics` says in
/// which form it is.
///
/// # Errors
/// Every fault, at its place.
pub fn parse(text: &Text<'_>, is_ics: bool) -> Result<(Calendar, Diagnostics), Diagnostics> {
    let mut faults = Diagnostics::default();
    let calendar =
        if is_ics { ics::parse(text, &mut faults) } else { table::parse(text, &mut faults).into() };
    faults.sort();
    if faults.errors() == 0 { Ok((calendar, faults)) } else { Err(faults) }
}

//! Named sets of days: holidays, business days, weeks of maintenance. `table` reads the TOML form, `ics` the iCalendar
//! form; both end as a [`Calendar`], and that in a zone as [`Days`], which are all that timings know of them. Pure;
//! `sources.rs` reads the folder.
//!
//! A calendar has no time zone: each schedule reads its days on the wall calendar of its own zone. When a time with a
//! zone is (in the iCalendar form), the zone data says that is in use when the file is read.

#[allow(clippy::module_inception)] // A type's name is its file's name.
mod calendar;
mod date;
mod days;
pub mod ics;
pub mod table;
mod written;

pub use calendar::Calendar;
pub use days::{CalendarId, Days};
pub use written::{CalendarForm, CalendarText, CalendarTextId};

use super::{
    diagnostic::{Diagnostics, Text},
    zone::data::ZoneData,
};

/// Understands a calendar file: what it says and what was seldom meant, or all that is wrong with it. `is_ics` says in
/// which form it is. The zones that it names are those of the bundled data.
///
/// # Errors
/// Every fault, at its place.
pub fn parse(text: &Text<'_>, is_ics: bool) -> Result<(Calendar, Diagnostics), Diagnostics> {
    parse_with(text, is_ics, &ZoneData::bundled())
}

/// The same with the zones of this data.
///
/// # Errors
/// As [`parse`].
pub fn parse_with(
    text: &Text<'_>,
    is_ics: bool,
    zones: &ZoneData,
) -> Result<(Calendar, Diagnostics), Diagnostics> {
    let mut faults = Diagnostics::default();
    let calendar =
        if is_ics { ics::parse(text, zones, &mut faults) } else { table::parse(text, &mut faults).into() };
    faults.sort();
    if faults.errors() == 0 { Ok((calendar, faults)) } else { Err(faults) }
}

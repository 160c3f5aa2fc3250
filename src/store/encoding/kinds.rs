//! What kind of entry a key is of.

use super::{CALENDAR, MESSAGE, ONE_SHOT, PARKED, REVISION, SPAN, ZONE};

/// Whether a key stands among the definitions or behind them: all that they refer to stands before.
pub(in super::super) fn is_of_definitions(key: &[u8]) -> bool {
    key.first().is_some_and(|kind| *kind >= REVISION)
}

/// Whether a key is that of the rules of a zone.
pub(in super::super) fn is_of_zones(key: &[u8]) -> bool {
    key.first() == Some(&ZONE)
}

/// Which table of a database a key lies in, where each kind that there are many of has one of its own.
pub(in super::super) fn table(key: &[u8]) -> &'static str {
    match key.first() {
        Some(&(CALENDAR | ZONE)) => "content",
        Some(&REVISION) => "revision",
        Some(&SPAN) => "span",
        Some(&ONE_SHOT) => "one_shot",
        Some(&PARKED) => "parked",
        Some(&MESSAGE) => "message",
        _ => "entry",
    }
}

//! What kind of entry a key is of.

use super::{
    CALENDAR, CHANGE, CREATED_CALENDAR, MESSAGE, ONE_SHOT, OPERATION, PARKED, PAUSES, REVISION, ROWS, SPAN,
    TRIGGER, Unreadable, ZONE, name, name_and_number,
};
use std::sync::Arc;

/// What rows of the record are called where entries are counted.
pub(in super::super) const RECORD: &str = "record";
/// The same of the log of changes.
pub(in super::super) const CHANGES: &str = "changes";

/// What kind of entry a key is of, in words.
pub(in super::super) fn what(key: &[u8]) -> &'static str {
    match key.first() {
        Some(&CALENDAR) => "days of calendars",
        Some(&ZONE) => "rules of zones",
        Some(&PAUSES) => "pauses",
        Some(&REVISION) => "definitions",
        Some(&CREATED_CALENDAR) => "calendars",
        Some(&CHANGE) => CHANGES,
        Some(&MESSAGE) => "answers",
        Some(&ONE_SHOT) => "one-shots",
        Some(&PARKED) => "parked",
        Some(&ROWS) => RECORD,
        Some(&SPAN) => "outstanding",
        Some(&TRIGGER) => "triggers",
        Some(&OPERATION) => "operations",
        _ => "others",
    }
}

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

/// What a key is about, of those kinds that an engine is made of ahead.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum About {
    /// A calendar, or the rules of a zone.
    Content,
    /// The schedule, and the revision's number.
    Revision(Arc<str>, u32),
    /// The schedule.
    OneShot(Arc<str>),
    /// All else.
    Other,
}

pub(in super::super) fn about(key: &[u8]) -> Result<About, Unreadable> {
    Ok(match key.split_first() {
        Some((&(CALENDAR | ZONE), _)) => About::Content,
        Some((&REVISION, rest)) => {
            let (name, number) = name_and_number(rest)?;
            About::Revision(name, number)
        }
        Some((&ONE_SHOT, rest)) => About::OneShot(name(rest)?),
        _ => About::Other,
    })
}

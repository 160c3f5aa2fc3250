//! Other objects than schedules, read as strictly: the bodies of messages, in which definitions lie.

use super::{
    super::{field_fault::FieldFaults, pointer::Path},
    JsonWalk,
};
use crate::toml_tree::Key;
use serde_json::{Map, Value, value::RawValue};

/// Another object than a schedule, as it is to be read.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// What it is, in words.
    pub what: &'a str,
    /// The table of its keys.
    pub keys: &'a [Key],
    /// Keys whose values are left as they are written, for they are held to rules of their own.
    pub apart: &'a [&'a str],
    /// How long its text may be, in bytes.
    pub longest: usize,
}

/// The values of an [`Envelope`]: those that were read, and those that were left as they are written.
pub type Opened<'a> = (Map<String, Value>, Vec<(String, &'a RawValue)>);

/// Understands another object by the table of its keys, as strictly as a schedule.
///
/// # Errors
/// All that is wrong with it, but for what is left as it is written.
pub fn object_from_json<'a>(text: &'a [u8], envelope: &Envelope<'_>) -> Result<Opened<'a>, FieldFaults> {
    let Envelope { what, keys, apart, longest } = *envelope;
    let mut walk = JsonWalk { whole: Some(format!(" in {what}")), ..JsonWalk::default() };
    let opened = walk.top(text, what, longest).map(|raw| {
        let entries = walk.entries(&Path::Whole, raw);
        let (left, entries) = entries.into_iter().partition(|(key, _)| apart.contains(&&**key));
        (walk.object(&Path::Whole, entries, keys, 1), left)
    });
    opened.filter(|_| walk.faults.list.is_empty()).ok_or(walk.faults)
}

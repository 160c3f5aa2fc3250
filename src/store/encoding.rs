//! Keys and values as they lie in the tree. One prefix byte per kind, then the key's parts so that byte order is the
//! order of names and numbers. Values are postcard; a definition is JSON inside of it, because it leaves out what is
//! absent and carries any payload.

// The paths are said, for the targets of fuzzing include this file alone.
#[path = "encoding/rows.rs"]
mod rows;

pub(super) use rows::{Beside, read_rows, row_value, rows_value};

#[path = "encoding/kinds.rs"]
mod kinds;

pub(super) use kinds::{About, CHANGES, RECORD, about, is_of_definitions, is_of_zones, table, what};

#[path = "encoding/run_time.rs"]
mod run_time;

pub(super) use run_time::{
    change_key, change_number, created_calendar_key, created_calendar_value, has_set_backs, message_key,
    named_pauses_key, operation_key, pauses_value, trigger_key,
};
use run_time::{message, read_created_calendar, read_pauses, read_trigger_key};

use super::meta::Meta;
use crate::{
    engine::{
        Answered, ChangeEntry, CreatedCalendar, Era, MessageKey, OneShot, Operation, Parked, Pauses,
        Revision, Row, Span, TriggerKey,
    },
    schedule::{CalendarId, CalendarStore, Created, Days, Definition, Packed, ZoneData, ZoneId, ZoneRules},
};
use ponos::event::{CommandId, EventKind, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::sync::Arc;

/// The key of the [`Meta`](super::meta::Meta).
pub(super) const META: &[u8] = b"!";
/// Sorts before the revisions, so that a read in key order meets a revision's calendars first.
const CALENDAR: u8 = b'c';
/// As a calendar.
const ZONE: u8 = b'Z';
/// What is kept of pauses: of all schedules under this alone, and of a name with it.
const PAUSES: u8 = b'P';
const REVISION: u8 = b'd';
/// Calendars that were created at run time, by name.
const CREATED_CALENDAR: u8 = b'k';
/// The log of changes.
const CHANGE: u8 = b'l';
/// Messages that were answered.
const MESSAGE: u8 = b'm';
const ONE_SHOT: u8 = b'o';
const PARKED: u8 = b'p';
const ROWS: u8 = b'r';
const SPAN: u8 = b's';
/// By schedule and command, when what it triggered is due.
const TRIGGER: u8 = b't';
/// By its id.
const OPERATION: u8 = b'u';
/// In between.
const BETWEEN: char = '\n';

/// One entry of the tree, read.
#[derive(Debug)]
pub(super) enum Entry {
    Meta(Vec<u8>),
    Calendar(CalendarId, Arc<Days>),
    CreatedCalendar(Arc<CreatedCalendar>),
    Zone(Arc<ZoneRules>),
    Revision(Revision, References),
    Span(Arc<str>, Span),
    OneShot(Arc<str>, OneShot),
    Parked(u64, Parked),
    Trigger(TriggerKey, Timestamp),
    Operation(CommandId, Operation),
    /// Of everything, or of a name.
    Pauses(Option<Arc<str>>, Pauses),
    /// A change of the log, by its number.
    Change(u64),
    Message(MessageKey, Answered),
    /// The first row's number, and the rows.
    Rows(u64, Vec<Row>),
}

/// The key of what is kept under the id of its content.
pub(super) type ContentKey = [u8; 17];

/// What a revision refers to, as far as it does not say so itself: a million of them take no room of their own.
#[derive(Debug, PartialEq)]
pub(super) struct References {
    /// The keys of the calendars and zones that a definition names which is not understood.
    named: Vec<ContentKey>,
    /// An earlier version wrote it, without the rules of its zones.
    pub(super) without_rules: bool,
}

impl References {
    /// The keys of the calendars and zones that the revision was accepted with.
    pub(super) fn keys(&self, revision: &Revision) -> impl Iterator<Item = ContentKey> {
        let calendars = revision.definition.calendars().map(|(id, _)| calendar_key(id));
        let zones = revision.definition.zone_rules().map(|rules| zone_key(rules.id()));
        calendars.chain(zones).chain(self.named.iter().copied())
    }
}

/// What does not read as what was written.
#[derive(Debug)]
pub(super) struct Unreadable(pub(super) String);

#[derive(Serialize, Deserialize)]
struct KeptRevision {
    definition: Vec<u8>,
    effective_from: Timestamp,
    opens: Timestamp,
    previous: Option<Timestamp>,
    ended: Option<Timestamp>,
    // Absent from most, and from older stores, what follows: `counts_from`, where it differs from `effective_from`;
    // `set_backs`, where it is not 0. Before what is there, all is. Older versions may have written behind it that a command
    // had put it.
}

pub(super) fn revision_key(schedule: &str, number: u32) -> Vec<u8> {
    named(REVISION, schedule, number)
}

pub(super) fn span_key(schedule: &str, number: u32) -> Vec<u8> {
    named(SPAN, schedule, number)
}

pub(super) fn one_shot_key(schedule: &str) -> Vec<u8> {
    [&[ONE_SHOT], schedule.as_bytes()].concat()
}

pub(super) fn parked_key(number: u64) -> Vec<u8> {
    numbered(PARKED, number)
}

pub(super) fn pauses_key() -> Vec<u8> {
    vec![PAUSES]
}

/// The key of the block whose first row has this number.
pub(super) fn rows_key(first: u64) -> Vec<u8> {
    numbered(ROWS, first)
}

/// The number of the first row of the block that has this key.
pub(super) fn rows_number(key: &[u8]) -> Result<u64, Unreadable> {
    number(key.strip_prefix(&[ROWS]).unwrap_or_default())
}

pub(super) fn calendar_key(id: CalendarId) -> ContentKey {
    content_key(CALENDAR, id.as_bytes())
}

pub(super) fn zone_key(id: ZoneId) -> ContentKey {
    content_key(ZONE, id.as_bytes())
}

fn content_key(kind: u8, id: &[u8; 16]) -> ContentKey {
    let mut key = [kind; 17];
    key[1..].copy_from_slice(id);
    key
}

/// `definition` is the revision's own, unpacked.
pub(super) fn revision_value(revision: &Revision, definition: &Definition) -> Result<Vec<u8>, Unreadable> {
    let definition = serde_json::to_vec(definition).map_err(|error| unwritable(&error))?;
    let Revision { effective_from, counts_from, opens, previous, ended, set_backs, .. } = *revision;
    let mut bytes = value(&KeptRevision { definition, effective_from, opens, previous, ended })?;
    if counts_from != effective_from || set_backs > 0 {
        bytes.extend(value(&counts_from)?);
    }
    if set_backs > 0 {
        bytes.extend(value(&set_backs)?);
    }
    Ok(bytes)
}

pub(super) fn value<T: Serialize>(content: &T) -> Result<Vec<u8>, Unreadable> {
    postcard::to_stdvec(content).map_err(|error| unwritable(&error))
}

/// How often its first event was refused, and when it is sent again by itself: what older versions know nothing of.
pub(super) fn retries(parked: &Parked) -> Option<(u8, Option<Timestamp>)> {
    Some((parked.refused, parked.retry_at)).filter(|retries| *retries != (0, None))
}

/// Whether it is sent singly follows where it is; nothing does in older stores, where it was so for a count of 1. Behind
/// that its retries, where there are any; and last its kind, where a command asked for it.
pub(super) fn parked_value(parked: &Parked) -> Result<Vec<u8>, Unreadable> {
    let mut bytes = value(parked)?;
    let (retries, asked_for) = (retries(parked), parked.is_asked_for());
    if parked.singly || retries.is_some() || asked_for {
        bytes.extend(value(&parked.singly)?);
    }
    if retries.is_some() || asked_for {
        bytes.extend(value(&retries.unwrap_or((0, None)))?);
    }
    if asked_for {
        bytes.extend(value(&parked.kind)?);
    }
    Ok(bytes)
}

fn read_parked(bytes: &[u8]) -> Result<Parked, Unreadable> {
    let (parked, rest): (Parked, _) =
        postcard::take_from_bytes(bytes).map_err(|error| Unreadable(error.to_string()))?;
    let (singly, rest) = next_or(rest, parked.stands_for.count == 1)?;
    let ((refused, retry_at), rest) = next_or(rest, (0, None))?;
    let (kind, rest) = next_or(rest, EventKind::Occurrence)?;
    used_up(rest)?;
    Ok(Parked { singly, refused, retry_at, kind, ..parked })
}

/// Older versions wait behind what was refused: how often that was, and until when, stands at the end.
const NEVER_REFUSED: (u8, Timestamp) = (0, Timestamp::EPOCH);

pub(super) fn span_value(span: &Span) -> Result<Vec<u8>, Unreadable> {
    value(&(span, NEVER_REFUSED))
}

fn read_span(bytes: &[u8]) -> Result<Span, Unreadable> {
    read::<(Span, (u8, Timestamp))>(bytes).map(|(span, _)| span)
}

/// In which form a store is written. First in every form, so that it can be read before what follows is understood.
pub(super) fn read_form(meta: &[u8]) -> Result<u32, Unreadable> {
    postcard::take_from_bytes(meta).map(|(form, _)| form).map_err(|error| Unreadable(error.to_string()))
}

/// Older stores end where R follows, or the number of set-backs, or creations, or what holds them: as if there were none.
pub(super) fn read_meta(bytes: &[u8]) -> Result<Meta, Unreadable> {
    const NONE: [u8; 6] = [0; 6];
    let first = read(bytes);
    let ends = (1..=NONE.len()).map(|absent| [bytes, &NONE[..absent]].concat());
    first.or_else(|error| ends.flat_map(|bytes| read(&bytes)).next().ok_or(error))
}

/// Ends where older versions expect it to end, while there is nothing that they would not know.
pub(super) fn meta_value(meta: &Meta) -> Result<Vec<u8>, Unreadable> {
    let mut bytes = value(meta)?;
    if meta.made_at.is_some() {
        return Ok(bytes);
    }
    bytes.pop();
    let later = (meta.created, meta.trimmed_changes, meta.last_change);
    if later == (0, 0, 0) {
        bytes.truncate(bytes.len() - 3);
        if meta.set_backs == 0 {
            bytes.pop();
        }
    }
    Ok(bytes)
}

/// Reads a value; all of it has to be used up.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    let read = postcard::take_from_bytes(bytes);
    let (content, rest) = read.map_err(|error| Unreadable(error.to_string()))?;
    used_up(rest).map(|()| content)
}

/// Reads what a value begins with.
pub(super) fn first<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), Unreadable> {
    postcard::take_from_bytes(bytes).map_err(|error| Unreadable(error.to_string()))
}

/// Reads the next value, where there is one.
fn next_or<T: DeserializeOwned>(bytes: &[u8], absent: T) -> Result<(T, &[u8]), Unreadable> {
    match bytes {
        [] => Ok((absent, bytes)),
        _ => postcard::take_from_bytes(bytes).map_err(|error| Unreadable(error.to_string())),
    }
}

fn used_up(rest: &[u8]) -> Result<(), Unreadable> {
    if rest.is_empty() { Ok(()) } else { Err(Unreadable(format!("{} bytes too many", rest.len()))) }
}

/// Reads one entry. The days of calendars go into `calendars`, and those of definitions come from there.
pub(super) fn entry(key: &[u8], bytes: &[u8], calendars: &CalendarStore) -> Result<Entry, Unreadable> {
    let (kind, rest) = key.split_first().ok_or_else(|| Unreadable("an empty key".into()))?;
    Ok(match *kind {
        _ if key == META => Entry::Meta(bytes.to_vec()),
        CALENDAR => {
            let id = rest.try_into().map(CalendarId::from_bytes).ok();
            match Days::from_bytes(bytes).map(|days| calendars.insert(days)) {
                Some((found, days)) if Some(found) == id => Entry::Calendar(found, days),
                _ => return Err(Unreadable("a calendar does not match its key".into())),
            }
        }
        ZONE => {
            let id = rest.try_into().map(ZoneId::from_bytes).ok();
            let rules = calendars.zones().insert(bytes.to_vec()).ok();
            let rules = rules.filter(|rules| Some(rules.id()) == id);
            Entry::Zone(rules.ok_or_else(|| Unreadable("a time zone does not match its key".into()))?)
        }
        REVISION => {
            let (schedule, number) = name_and_number(rest)?;
            let (kept, rest): (KeptRevision, _) =
                postcard::take_from_bytes(bytes).map_err(|error| Unreadable(error.to_string()))?;
            let (definition, without_rules) = definition(&kept.definition)?;
            if *definition.name != *schedule {
                return Err(Unreadable(format!("the definition of {schedule} is that of another")));
            }
            let packed = Packed::kept_with(&definition, calendars);
            let mut named = Vec::new();
            if !packed.is_understood() {
                named.extend(definition.calendars.iter().flatten().map(|(_, id)| calendar_key(*id)));
                named.extend(definition.zones.iter().flatten().map(|(_, id)| zone_key(*id)));
            }
            let references = References { named, without_rules };
            let KeptRevision { effective_from, opens, previous, ended, .. } = kept;
            let (counts_from, rest) = next_or(rest, effective_from)?;
            let (set_backs, rest) = next_or(rest, 0)?;
            let (put, rest) = next_or(rest, false)?;
            used_up(rest)?;
            let era = Era { number, effective_from, counts_from, opens, previous, set_backs };
            // As no version did that was released: its ids have no number.
            let packed = match put && !packed.is_created() {
                true => packed.created_as(Some(Created::default())),
                false => packed,
            };
            let revision = Revision { ended, ..era.of(packed) };
            Entry::Revision(revision, references)
        }
        SPAN => Entry::Span(name_and_number(rest)?.0, read_span(bytes)?),
        ONE_SHOT => Entry::OneShot(name(rest)?, read(bytes)?),
        PAUSES if rest.is_empty() => Entry::Pauses(None, read_pauses(bytes)?),
        PAUSES => Entry::Pauses(Some(name(rest)?), read_pauses(bytes)?),
        CREATED_CALENDAR => Entry::CreatedCalendar(read_created_calendar(name(rest)?, bytes, calendars)?),
        CHANGE => {
            read::<ChangeEntry>(bytes)?;
            Entry::Change(number(rest)?)
        }
        MESSAGE => Entry::Message(message(rest)?, read(bytes)?),
        PARKED => Entry::Parked(number(rest)?, read_parked(bytes)?),
        OPERATION => Entry::Operation(name(rest)?.parse().map_err(Unreadable)?, read(bytes)?),
        TRIGGER => Entry::Trigger(read_trigger_key(rest)?, read(bytes)?),
        ROWS => Entry::Rows(number(rest)?, read_rows(bytes)?),
        _ => return Err(Unreadable(format!("an entry of unknown kind {kind}"))),
    })
}

/// A definition, and whether an earlier version wrote it: then its zones have the rules of the bundled data, which that
/// version had too.
fn definition(bytes: &[u8]) -> Result<(Definition, bool), Unreadable> {
    let mut definition: Definition =
        serde_json::from_slice(bytes).map_err(|error| Unreadable(error.to_string()))?;
    let before = definition.zones.is_some();
    if !before {
        definition.pin_zones(&ZoneData::bundled());
    }
    let without_rules = !before && definition.zones.is_some();
    Ok((definition, without_rules))
}

/// The value of a revision that an earlier version wrote, with the ids of the rules of its zones.
pub(super) fn with_rules(bytes: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let (kept, rest): (KeptRevision, _) =
        postcard::take_from_bytes(bytes).map_err(|error| Unreadable(error.to_string()))?;
    let (definition, _) = definition(&kept.definition)?;
    let definition = serde_json::to_vec(&definition).map_err(|error| unwritable(&error))?;
    let mut bytes = value(&KeptRevision { definition, ..kept })?;
    bytes.extend_from_slice(rest);
    Ok(bytes)
}

fn numbered(kind: u8, number: u64) -> Vec<u8> {
    [&[kind][..], &number.to_be_bytes()].concat()
}

/// A zero byte, lower than any in a name, keeps the order of names where one begins with another.
fn named(kind: u8, schedule: &str, number: u32) -> Vec<u8> {
    [&[kind][..], schedule.as_bytes(), &[0], &number.to_be_bytes()].concat()
}

fn number(bytes: &[u8]) -> Result<u64, Unreadable> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| Unreadable("a key of wrong length".into()))
}

fn name(bytes: &[u8]) -> Result<Arc<str>, Unreadable> {
    std::str::from_utf8(bytes).map(Arc::from).map_err(|_| Unreadable("a name is not text".into()))
}

fn name_and_number(bytes: &[u8]) -> Result<(Arc<str>, u32), Unreadable> {
    match bytes.split_last_chunk::<4>() {
        Some(([schedule @ .., 0], number)) => Ok((name(schedule)?, u32::from_be_bytes(*number))),
        _ => Err(Unreadable("a key of wrong form".into())),
    }
}

fn unwritable(error: &dyn std::fmt::Display) -> Unreadable {
    Unreadable(format!("can't be encoded: {error}"))
}

//! Keys of what is done at run time: pauses by name, triggers, operations, messages, changes, calendars. And what is kept of
//! pauses, and of calendars.

use super::{
    BETWEEN, CHANGE, CREATED_CALENDAR, MESSAGE, OPERATION, PAUSES, TRIGGER, Unreadable, first, name, next_or,
    number, numbered, read, used_up, value,
};
use crate::{
    engine::{CreatedCalendar, MessageKey, Pauses, SkippedPause, TriggerKey},
    schedule::{CalendarStore, CalendarText, Created},
};
use ponos::event::{CommandId, Timestamp};
use std::sync::Arc;

/// By each skipped time, how often the clock had been set back when it ended; and where it was set back to.
type SetBacks = (Vec<u32>, Vec<(u32, Timestamp)>);

/// Whether something is to be kept that older versions know nothing of: that the clock was set back in a pause or since.
pub(in super::super) fn has_set_backs(pauses: &Pauses) -> bool {
    let was_set_back = |one: &SkippedPause| one.set_backs != one.reached.set_backs;
    !pauses.set_backs.is_empty() || pauses.skipped.iter().any(was_set_back)
}

/// That follows where it is so.
pub(in super::super) fn pauses_value(pauses: &Pauses) -> Result<Vec<u8>, Unreadable> {
    let mut bytes = value(pauses)?;
    if has_set_backs(pauses) {
        let ended: Vec<u32> = pauses.skipped.iter().map(|one| one.set_backs).collect();
        bytes.extend(value(&(ended, &pauses.set_backs))?);
    }
    Ok(bytes)
}

pub(super) fn read_pauses(bytes: &[u8]) -> Result<Pauses, Unreadable> {
    let (mut pauses, rest): (Pauses, _) = first(bytes)?;
    let as_they_began = pauses.skipped.iter().map(|one| one.reached.set_backs).collect();
    let ((ended, set_backs), rest): (SetBacks, _) = next_or(rest, (as_they_began, Vec::new()))?;
    used_up(rest)?;
    if ended.len() != pauses.skipped.len() {
        return Err(Unreadable("it has another number of ends than of pauses".into()));
    }
    pauses.skipped.iter_mut().zip(ended).for_each(|(one, ended)| one.set_backs = ended);
    Ok(Pauses { set_backs, ..pauses })
}

pub(in super::super) fn named_pauses_key(schedule: &str) -> Vec<u8> {
    [&[PAUSES], schedule.as_bytes()].concat()
}

pub(in super::super) fn operation_key(id: &CommandId) -> Vec<u8> {
    [&[OPERATION], id.as_str().as_bytes()].concat()
}

/// The creation, and the owner's name with its length, stand before what may be of any length.
pub(in super::super) fn trigger_key(key: &TriggerKey) -> Vec<u8> {
    let TriggerKey { schedule, command, creation, owner } = key;
    let length = u16::try_from(owner.len()).unwrap_or(u16::MAX).to_be_bytes();
    let rest = format!("{schedule}{BETWEEN}{command}");
    [&[TRIGGER][..], &creation.to_be_bytes(), &length, owner.as_bytes(), rest.as_bytes()].concat()
}

pub(super) fn read_trigger_key(bytes: &[u8]) -> Result<TriggerKey, Unreadable> {
    let wrong = || Unreadable("the key of a trigger is of wrong form".into());
    let (creation, rest) = bytes.split_first_chunk().ok_or_else(wrong)?;
    let (length, rest) = rest.split_first_chunk().ok_or_else(wrong)?;
    let (owner, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into()).ok_or_else(wrong)?;
    let rest = std::str::from_utf8(rest).map_err(|_| wrong())?;
    let (schedule, command) = rest.split_once(BETWEEN).ok_or_else(wrong)?;
    let command = command.parse().map_err(Unreadable)?;
    let creation = u64::from_be_bytes(*creation);
    Ok(TriggerKey { schedule: schedule.into(), command, creation, owner: name(owner)? })
}

pub(in super::super) fn change_key(number: u64) -> Vec<u8> {
    numbered(CHANGE, number)
}

/// The number of the change that has this key.
pub(in super::super) fn change_number(key: &[u8]) -> Result<u64, Unreadable> {
    number(key.strip_prefix(&[CHANGE]).unwrap_or_default())
}

/// Ids of messages may hold any character: so it says how long the owner's name is.
pub(in super::super) fn message_key((owner, id): &MessageKey) -> Vec<u8> {
    let length = u16::try_from(owner.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[MESSAGE][..], &length, owner.as_bytes(), id.as_bytes()].concat()
}

pub(super) fn message(key: &[u8]) -> Result<MessageKey, Unreadable> {
    let parts = key
        .split_first_chunk()
        .and_then(|(length, rest)| rest.split_at_checked(u16::from_be_bytes(*length).into()));
    let (owner, id) = parts.ok_or_else(|| Unreadable("a key of wrong form".into()))?;
    Ok((name(owner)?, name(id)?))
}

pub(in super::super) fn created_calendar_key(calendar: &str) -> Vec<u8> {
    [&[CREATED_CALENDAR], calendar.as_bytes()].concat()
}

/// Its text; what that says is read from it again.
pub(in super::super) fn created_calendar_value(calendar: &CreatedCalendar) -> Result<Vec<u8>, Unreadable> {
    let CreatedCalendar { created, revision, since, text, .. } = calendar;
    value(&(created, revision, since, text))
}

/// One that this version does not understand is kept all the same.
pub(super) fn read_created_calendar(
    name: Arc<str>,
    bytes: &[u8],
    calendars: &CalendarStore,
) -> Result<Arc<CreatedCalendar>, Unreadable> {
    let (created, revision, since, text): (Created, u32, Timestamp, CalendarText) = read(bytes)?;
    let calendar = text.read(&name, &calendars.zones().data()).ok().map(|(calendar, _)| calendar);
    Ok(Arc::new(CreatedCalendar { name, created, revision, since, text, calendar }))
}

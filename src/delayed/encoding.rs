//! Keys and values as they lie in the tables. Byte order of keys is the order of times, names and numbers. Values are postcard;
//! what is published lies behind, as it came. That they are what was written, the store says.

use super::meta::{FORM, Meta};
use crate::engine::{
    MessageKey, Outcome,
    delayed::{
        ContentDigest, DelayedContent, DelayedEvent, DelayedHead, DelayedKey, DelayedRow, DueEvent,
        OwnerShare, ParkedEvent,
    },
};
use ponos::event::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::sync::Arc;

/// What does not read as what was written.
#[derive(Debug)]
pub(super) struct Unreadable(pub(super) String);

/// The key of the [`Meta`].
pub(super) const META: &[u8] = b"!";
/// The key of how many bytes the log of changes takes, beside it: a store that does not say has counted none yet.
pub(super) const CHANGES_BYTES: &[u8] = b"changes-bytes";
/// The key of what was begun to be made of a copy that is held, likewise.
pub(super) const OF_COPY: &[u8] = b"of-copy";

/// An event without its content and its place.
#[derive(Serialize, Deserialize)]
struct KeptHead<'a> {
    /// Milliseconds that its jitter, or another attempt, puts off.
    put_off: i64,
    creation: u64,
    revision: u32,
    owner: &'a str,
    event: &'a str,
    #[serde(borrow)]
    queue: Option<&'a str>,
    is_named: bool,
    refused: u8,
    at: Timestamp,
    digest: ContentDigest,
}

/// What is published, but for its data: these follow, to the end.
#[derive(Serialize, Deserialize)]
struct KeptContent<'a> {
    #[serde(borrow)]
    content_type: Option<&'a str>,
    headers: &'a str,
    #[serde(borrow)]
    correlation_id: Option<&'a str>,
    expires: Option<i64>,
    parks_unrouted: bool,
}

#[derive(Serialize, Deserialize)]
struct KeptRow<'a> {
    at: Timestamp,
    name: &'a str,
    creation: u64,
    revision: u32,
    due: Timestamp,
    owner: &'a str,
    event: &'a str,
    #[serde(borrow)]
    queue: Option<&'a str>,
    outcome: Outcome,
    /// What was published follows.
    has_content: bool,
}

#[derive(Serialize, Deserialize)]
struct KeptParked<'a> {
    reason: &'a str,
    since: Timestamp,
    released: bool,
    send: Timestamp,
    name: &'a str,
}

/// What is parked follows.
#[derive(Serialize, Deserialize)]
struct KeptShare {
    pending: u64,
    answers: u64,
}

/// A time, so that earlier ones come first.
pub(super) fn time(at: Timestamp) -> [u8; 8] {
    (at.millis() ^ i64::MIN).to_be_bytes()
}

pub(super) fn read_time(bytes: &[u8]) -> Result<Timestamp, Unreadable> {
    let millis = bytes.try_into().map(i64::from_be_bytes).map_err(|_| unreadable("a time"))?;
    Ok(Timestamp::from_millis(millis ^ i64::MIN))
}

/// Of what is known by a time and something else.
pub(super) fn timed(at: Timestamp, rest: &[u8]) -> Vec<u8> {
    [&time(at), rest].concat()
}

/// The time of such a key, and the rest.
pub(super) fn read_timed(key: &[u8]) -> Result<(Timestamp, &[u8]), Unreadable> {
    let (at, rest) = key.split_at_checked(8).ok_or_else(|| unreadable("the key of an event"))?;
    Ok((read_time(at)?, rest))
}

pub(super) fn place(key: &DelayedKey) -> Vec<u8> {
    timed(key.send, key.name.as_bytes())
}

pub(super) fn read_place(key: &[u8]) -> Result<DelayedKey, Unreadable> {
    let (send, name) = read_timed(key)?;
    Ok(DelayedKey { send, name: read_name(name)? })
}

pub(super) fn read_name(name: &[u8]) -> Result<Arc<str>, Unreadable> {
    std::str::from_utf8(name).map(Into::into).map_err(|_| unreadable("a name"))
}

pub(super) fn number(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

pub(super) fn read_number(key: &[u8]) -> Result<u64, Unreadable> {
    key.try_into().map(u64::from_be_bytes).map_err(|_| unreadable("a number"))
}

/// The owner's length, the owner, the id.
pub(super) fn message_key((owner, id): &MessageKey) -> Vec<u8> {
    let length = u16::try_from(owner.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&length, owner.as_bytes(), id.as_bytes()].concat()
}

/// The owner in such a key.
pub(super) fn message_owner(key: &[u8]) -> Result<&[u8], Unreadable> {
    let owner = key.split_at_checked(2).and_then(|(length, rest)| {
        let length = length.try_into().map(u16::from_be_bytes).ok()?;
        rest.get(..usize::from(length))
    });
    owner.ok_or_else(|| unreadable("the key of a message"))
}

/// An event without its content and its place.
pub(super) fn head(head: &DelayedHead) -> Result<Vec<u8>, Unreadable> {
    value(&kept_head(head))
}

/// What is published.
pub(super) fn content(content: &DelayedContent) -> Result<Vec<u8>, Unreadable> {
    with_content(Vec::new(), content)
}

/// Both, one behind the other.
pub(super) fn event(DelayedEvent { head, content }: &DelayedEvent) -> Result<Vec<u8>, Unreadable> {
    with_content(self::head(head)?, content)
}

pub(super) fn read_event(key: &[u8], bytes: &[u8]) -> Result<DelayedEvent, Unreadable> {
    let (head, rest) = split_head(read_place(key)?, bytes)?;
    Ok(DelayedEvent { head, content: read_content(rest)? })
}

/// As much of it as is known of what is due soon.
pub(super) fn read_due(key: &[u8], bytes: &[u8]) -> Result<DueEvent, Unreadable> {
    let key = read_place(key)?;
    let (kept, _) = begin::<KeptHead<'_>>(bytes)?;
    let due = key.send.plus(kept.put_off.saturating_neg());
    let KeptHead { creation, revision, refused, event, queue, .. } = kept;
    let topic = queue.is_none().then(|| event.into());
    Ok(DueEvent { key, due, creation, revision, refused, is_parked: false, topic })
}

/// The event without its content.
pub(super) fn read_head(key: &[u8], bytes: &[u8]) -> Result<DelayedHead, Unreadable> {
    Ok(split_head(read_place(key)?, bytes)?.0)
}

/// The two parts of an event: without its content, and what is published.
pub(super) fn split_event(bytes: &[u8]) -> Result<(&[u8], &[u8]), Unreadable> {
    let (_, content) = begin::<KeptHead<'_>>(bytes)?;
    Ok(bytes.split_at(bytes.len() - content.len()))
}

pub(super) fn row(row: &DelayedRow) -> Result<Vec<u8>, Unreadable> {
    let DelayedRow { at, name, creation, revision, due, owner, event, queue, outcome, content } = row;
    let bytes = value(&KeptRow {
        at: *at,
        name,
        creation: *creation,
        revision: *revision,
        due: *due,
        owner,
        event,
        queue: queue.as_deref(),
        outcome: outcome.clone(),
        has_content: content.is_some(),
    })?;
    match content {
        Some(content) => with_content(bytes, content),
        None => Ok(bytes),
    }
}

pub(super) fn read_row(bytes: &[u8]) -> Result<DelayedRow, Unreadable> {
    let (row, rest) = begin::<KeptRow<'_>>(bytes)?;
    let content = match row.has_content {
        true => Some(read_content(rest)?),
        false if rest.is_empty() => None,
        false => return Err(unreadable("a row")),
    };
    Ok(DelayedRow {
        at: row.at,
        name: row.name.into(),
        creation: row.creation,
        revision: row.revision,
        due: row.due,
        owner: row.owner.into(),
        event: row.event.into(),
        queue: row.queue.map(Into::into),
        outcome: row.outcome,
        content,
    })
}

/// When a row was recorded.
pub(super) fn row_time(bytes: &[u8]) -> Result<Timestamp, Unreadable> {
    Ok(begin::<Timestamp>(bytes)?.0)
}

pub(super) fn parked(parked: &ParkedEvent) -> Result<Vec<u8>, Unreadable> {
    let ParkedEvent { event, reason, since, released } = parked;
    let DelayedKey { send, name } = &event.head.key;
    let mut bytes = value(&KeptParked { reason, since: *since, released: *released, send: *send, name })?;
    bytes.extend(self::event(event)?);
    Ok(bytes)
}

pub(super) fn read_parked(bytes: &[u8]) -> Result<ParkedEvent, Unreadable> {
    let (kept, rest) = begin::<KeptParked<'_>>(bytes)?;
    let (head, rest) = split_head(DelayedKey { send: kept.send, name: kept.name.into() }, rest)?;
    let event = DelayedEvent { head, content: read_content(rest)? };
    Ok(ParkedEvent { event, reason: kept.reason.into(), since: kept.since, released: kept.released })
}

pub(super) fn share(OwnerShare { pending, parked, answers }: &OwnerShare) -> Result<Vec<u8>, Unreadable> {
    let mut bytes = value(&KeptShare { pending: *pending, answers: *answers })?;
    bytes.extend(value(parked)?);
    Ok(bytes)
}

/// One of the first form says nothing of what is parked.
pub(super) fn read_share(bytes: &[u8]) -> Result<OwnerShare, Unreadable> {
    let (KeptShare { pending, answers }, rest) = begin(bytes)?;
    let parked = if rest.is_empty() { 0 } else { read(rest)? };
    Ok(OwnerShare { pending, parked, answers })
}

/// In which form a store is written. First in every form, so that it can be read before what follows is understood.
pub(super) fn read_form(meta: &[u8]) -> Result<u32, Unreadable> {
    Ok(begin::<u32>(meta)?.0)
}

/// What the store says of itself; a newer form by its number.
pub(super) fn read_meta(bytes: &[u8]) -> Result<Result<Meta, u32>, Unreadable> {
    let form = read_form(bytes)?;
    if form > FORM { Ok(Err(form)) } else { read(bytes).map(Ok) }
}

pub(super) fn value<T: Serialize>(content: &T) -> Result<Vec<u8>, Unreadable> {
    postcard::to_stdvec(content).map_err(|error| Unreadable(format!("something can't be written ({error})")))
}

/// A value to its end.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(unreadable("a value")),
    }
}

/// A value, and what is behind it.
fn begin<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<(T, &'a [u8]), Unreadable> {
    postcard::take_from_bytes(bytes).map_err(|_| unreadable("a value"))
}

fn kept_head(head: &DelayedHead) -> KeptHead<'_> {
    KeptHead {
        put_off: head.key.send.since(head.due),
        creation: head.creation,
        revision: head.revision,
        owner: &head.owner,
        event: &head.event,
        queue: head.queue.as_deref(),
        is_named: head.is_named,
        refused: head.refused,
        at: head.at,
        digest: head.digest,
    }
}

fn split_head(key: DelayedKey, bytes: &[u8]) -> Result<(DelayedHead, &[u8]), Unreadable> {
    let (kept, rest) = begin::<KeptHead<'_>>(bytes)?;
    let head = DelayedHead {
        due: key.send.plus(kept.put_off.saturating_neg()),
        key,
        creation: kept.creation,
        revision: kept.revision,
        owner: kept.owner.into(),
        event: kept.event.into(),
        queue: kept.queue.map(Into::into),
        is_named: kept.is_named,
        refused: kept.refused,
        at: kept.at,
        digest: kept.digest,
    };
    Ok((head, rest))
}

fn with_content(mut bytes: Vec<u8>, content: &DelayedContent) -> Result<Vec<u8>, Unreadable> {
    let DelayedContent { data, content_type, headers, correlation_id, expires, parks_unrouted } = content;
    bytes.extend(value(&KeptContent {
        content_type: content_type.as_deref(),
        headers,
        correlation_id: correlation_id.as_deref(),
        expires: *expires,
        parks_unrouted: *parks_unrouted,
    })?);
    bytes.extend_from_slice(data);
    Ok(bytes)
}

pub(super) fn read_content(bytes: &[u8]) -> Result<DelayedContent, Unreadable> {
    let (kept, data) = begin::<KeptContent<'_>>(bytes)?;
    Ok(DelayedContent {
        data: data.into(),
        content_type: kept.content_type.map(Into::into),
        headers: kept.headers.into(),
        correlation_id: kept.correlation_id.map(Into::into),
        expires: kept.expires,
        parks_unrouted: kept.parks_unrouted,
    })
}

fn unreadable(what: &str) -> Unreadable {
    Unreadable(format!("{what} in its database does not read as what was written"))
}

//! An item: JSON text → a delayed event, or all that is wrong with it, each at its JSON pointer. Pure: the time, and what names are
//! made of, are arguments. As strict as a schedule is read; data are kept byte for byte.
//!
//! Absent: whether the caller may, and what there is already.

mod content;
mod form;
#[cfg(test)]
mod tests;

use super::NamesOf;
use crate::{
    engine::delayed::{ContentDigest, DelayedContent, DelayedEvent, DelayedHead, DelayedKey, PastDue},
    ops::message::Asked,
    schedule::{
        FaultCode,
        file::{Envelope, FieldFault, FieldFaults, LONGEST_JSON, object_from_json},
        is_name, jitter_offset,
        toml_tree::{Key, Kind},
    },
};
use form::Form;
use ponos::event::{EventName, Timestamp};
use serde::Deserialize;

/// The longest text of an item: the largest data in base64, and room for the rest.
pub(crate) const LONGEST_ITEM: usize = LONGEST_JSON;
/// The longest delay: to the end of all arithmetic, and no further; in milliseconds.
const LONGEST_DELAY: i64 = Timestamp::HORIZON.millis();
/// The longest jitter, in milliseconds: a day.
const LONGEST_JITTER: i64 = 86_400_000;
/// Bytes of a queue's name: its dead letters have four more.
const LONGEST_QUEUE: usize = 251;

/// What is left as it is written.
const APART: [&str; 2] = ["data", "headers"];

const KEYS: &[Key] = &[
    ("name", Kind::Text),
    ("event", Kind::Text),
    ("at", Kind::Text),
    ("in", Kind::Duration),
    ("data", Kind::Payload),
    ("data_base64", Kind::Text),
    ("datacontenttype", Kind::Text),
    ("headers", Kind::Payload),
    ("correlation_id", Kind::Text),
    ("expires", Kind::Duration),
    ("unrouted", Kind::Text),
    ("jitter", Kind::Duration),
    ("past", Kind::Text),
    ("to", Kind::Table(&[("task", Kind::Text)])),
];

/// An item as it is understood. Whose it is, which creation and which revision, is said when it is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DelayedItem {
    /// The event.
    pub(crate) event: Box<DelayedEvent>,
    /// What becomes of it where its time is gone.
    pub(crate) past: PastDue,
    /// Milliseconds: its send time is less than so much behind its due time.
    pub(crate) jitter: i64,
    /// Its name was made here.
    pub(crate) is_name_made: bool,
}

/// An item that can't be used.
#[derive(Debug)]
pub(crate) struct UnreadItem {
    /// Its name, as far as it says one.
    pub(crate) name: Option<String>,
    /// All that is wrong with it.
    pub(crate) faults: FieldFaults,
}

/// When it is due, as it is asked for.
#[derive(Debug, Clone, Copy)]
enum When {
    At(Timestamp),
    In(i64),
}

impl DelayedItem {
    /// Understands an item at this place of its request, which is to have the name that is given, if one is; a delay begins
    /// now.
    ///
    /// # Errors
    /// [`UnreadItem`].
    pub(crate) fn read(
        text: &[u8],
        given: Option<&str>,
        (names, index): (&NamesOf, usize),
        now: Timestamp,
    ) -> Result<Self, UnreadItem> {
        let envelope = Envelope { what: "a delayed event", keys: KEYS, apart: &APART, longest: LONGEST_ITEM };
        let (values, written) = object_from_json(text, &envelope).map_err(|faults| UnreadItem {
            name: given.map(str::to_owned).or_else(|| name_of(text)),
            faults,
        })?;
        let mut form = Form::new(values);
        let name = form.name(given);
        let is_name_made = name.is_none() && !form.has("name");
        let queue = form.queue();
        let event = form.event(queue.is_some());
        let when = form.when(now);
        let jitter = form.duration("jitter", LONGEST_JITTER);
        let expires = form.duration("expires", LONGEST_DELAY);
        if let (Some(jitter), Some(expires)) = (jitter, expires)
            && expires < jitter
        {
            let what = format!("{expires} ms after the due time is too soon for a jitter of {jitter} ms");
            form.refuse("expires", FaultCode::Conflict, what, "it would have expired before it is sent");
        }
        let parks_unrouted = form.parks_unrouted(queue.is_some());
        let past = match form.word("past", &["send", "refuse"]).as_deref() {
            Some("refuse") => PastDue::Refuse,
            _ => PastDue::Send,
        };
        let content = DelayedContent { expires, parks_unrouted, ..content::read(&mut form, &written) };
        let said = name.or_else(|| is_name_made.then(|| names.name(index)));
        let faults = form.faults;
        let (Some(name), Some(event), Some((when, due)), true) = (&said, event, when, faults.list.is_empty())
        else {
            return Err(UnreadItem { name: said, faults });
        };
        let jitter = jitter.unwrap_or(0);
        let digest = digest(&event, queue.as_deref(), (when, jitter), &content);
        let send = due.plus(jitter_offset(name, due, jitter));
        let head = DelayedHead {
            key: DelayedKey { send, name: name.as_str().into() },
            due,
            creation: 0,
            revision: 0,
            owner: "".into(),
            event: event.as_str().into(),
            queue: queue.map(Into::into),
            is_named: !is_name_made || names.are_known(),
            refused: 0,
            at: now,
            digest,
        };
        let event = Box::new(DelayedEvent { head, content });
        Ok(Self { event, past, jitter, is_name_made })
    }
}

/// Of all that is asked for of an event but its baggage: of a delay the delay, and not the instant.
fn digest(
    event: &EventName,
    queue: Option<&str>,
    (when, jitter): (When, i64),
    content: &DelayedContent,
) -> ContentDigest {
    let DelayedContent { data, content_type, headers, correlation_id, expires, parks_unrouted } = content;
    let (word, millis) = match when {
        When::At(at) => ("at", at.millis()),
        When::In(delay) => ("in", delay),
    };
    let asked = Asked::default()
        .part(event.as_str().as_bytes())
        .maybe(queue)
        .part(word.as_bytes())
        .part(&millis.to_be_bytes())
        .part(&jitter.to_be_bytes())
        .part(data)
        .maybe(content_type.as_deref())
        .headers(headers)
        .maybe(correlation_id.as_deref())
        .part(&expires.unwrap_or(-1).to_be_bytes())
        .part(&[u8::from(*parks_unrouted)]);
    let mut digest = ContentDigest::default();
    digest.iter_mut().zip(asked.digest()).for_each(|(byte, of)| *byte = of);
    digest
}

/// The name that a text says, which can't be used otherwise.
pub(super) fn name_of(text: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    serde_json::from_slice::<Named>(text).ok().map(|named| named.name).filter(|name| is_name(name))
}

//! CloudEvents attributes in a table of headers, and the [`Event`] that they make. Values move into the event; the names stay
//! where they are, and by them the values go back again: the table is then what it was.

use super::{
    DecodeError, Event,
    written::{Which, Written},
};
use crate::{EventId, EventName, HeaderValue, Headers, Timestamp};
use std::{borrow::Cow, collections::HashSet, fmt::Display, str::FromStr};

/// The prefix that is written.
pub(super) const PREFIX: &str = "cloudEvents_";

/// All prefixes that are read; where an attribute stands under several, the earlier prefix counts.
pub(super) const PREFIXES: [&str; 3] = [PREFIX, "cloudEvents:", "ce-"];

/// Up to so many extensions are searched for a name one by one. A frame of a stranger can hold tens of thousands.
const MANY: usize = 64;

/// The attributes that an event has fields for.
#[derive(Debug, Clone, Copy)]
enum Field {
    SpecVersion,
    Id,
    Source,
    Type,
    Subject,
    Time,
    ExpiryTime,
    RecordedTime,
    CorrelationId,
    CausationId,
    DataSchema,
    TraceParent,
    TraceState,
}

/// Their names, in the same order.
pub(super) const NAMES: [&str; 13] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "expirytime",
    "recordedtime",
    "correlationid",
    "causationid",
    "dataschema",
    "traceparent",
    "tracestate",
];

impl Field {
    fn name(self) -> &'static str {
        NAMES[self as usize]
    }
}

/// A message's headers, sorted into what an event has fields for and its extensions. The broker's own (`x-…`) are neither.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a> {
    /// By [`Field`]: the rank of the header (see [`rank`]), and its value.
    fields: [Option<(usize, &'a mut HeaderValue)>; NAMES.len()],
    extensions: Vec<Extension<'a>>,
}

#[derive(Debug)]
struct Extension<'a> {
    rank: usize,
    header: &'a Cow<'static, str>,
    value: &'a mut HeaderValue,
}

/// Which of several headers for one thing counts: the one of the lowest rank. 0 for a header that is no attribute, then in the
/// order of [`PREFIXES`]; beside it the name of the attribute.
fn rank(header: &str) -> (usize, &str) {
    let attribute = |(at, prefix): (usize, &&str)| Some((at + 1, header.strip_prefix(prefix)?));
    PREFIXES.iter().enumerate().find_map(attribute).unwrap_or((0, header))
}

impl<'a> Attributes<'a> {
    pub(super) fn of(headers: &'a mut Headers) -> Self {
        let mut attributes = Self::default();
        for (header, value) in headers.entries_mut() {
            let (rank, name) = rank(header);
            let field = NAMES.iter().position(|known| *known == name);
            match field.filter(|field| rank > 0 || is_trace(*field)) {
                // the hop's own says more than the attribute of the one who made the event, if it says anything
                Some(_) if rank == 0 && !matches!(value, HeaderValue::Text(_)) => {}
                Some(field) => {
                    let known = &mut attributes.fields[field];
                    if known.as_ref().is_none_or(|(before, _)| rank < *before) {
                        *known = Some((rank, value));
                    }
                }
                None if rank == 0 && name.starts_with("x-") => {}
                None => attributes.extensions.push(Extension { rank, header, value }),
            }
        }
        attributes
    }

    /// Moves the values into the event of that payload. On an error all is where it was.
    pub(super) fn into_event(mut self, data: Vec<u8>) -> Result<Event, DecodeError> {
        match self.text(Field::SpecVersion)? {
            Some("1.0") => {}
            Some(version) => return Err(malformed(Field::SpecVersion, version, "expected 1.0")),
            None => return Err(missing(Field::SpecVersion)),
        }
        let mut written = Written::default();
        self.text(Field::Subject)?;
        let time = self.instant(Field::Time, Which::Time, &mut written)?;
        let expiry_time = self.instant(Field::ExpiryTime, Which::Expiry, &mut written)?;
        let recorded_time = self.instant(Field::RecordedTime, Which::Recorded, &mut written)?;
        for field in [Field::CorrelationId, Field::CausationId, Field::DataSchema] {
            self.text(field)?;
        }
        let id: EventId = self.parsed(Field::Id)?;
        self.required(Field::Source)?;
        let name: EventName = self.parsed(Field::Type)?;
        // nothing fails any more
        let source = self.moved(Field::Source).unwrap_or_default();
        Ok(Event {
            subject: self.moved(Field::Subject),
            time,
            expiry_time,
            recorded_time,
            correlation_id: self.moved(Field::CorrelationId),
            causation_id: self.moved(Field::CausationId),
            traceparent: self.moved(Field::TraceParent),
            tracestate: self.moved(Field::TraceState),
            data_schema: self.moved(Field::DataSchema),
            extensions: Headers::of_distinct(self.extensions().map(|(name, value)| (name, moved(value)))),
            written,
            ..Event::new(id, source, name, data)
        })
    }

    /// Puts back what [`Self::into_event`] took out.
    pub(super) fn put_back(mut self, event: &Event) {
        for (field, text) in [
            (Field::Source, Some(&event.source)),
            (Field::Subject, event.subject.as_ref()),
            (Field::CorrelationId, event.correlation_id.as_ref()),
            (Field::CausationId, event.causation_id.as_ref()),
            (Field::DataSchema, event.data_schema.as_ref()),
            (Field::TraceParent, event.traceparent.as_ref()),
            (Field::TraceState, event.tracestate.as_ref()),
        ] {
            if let (Some((_, HeaderValue::Text(empty))), Some(text)) =
                (&mut self.fields[field as usize], text)
            {
                empty.clone_from(text);
            }
        }
        // they stand in the same order, unless somebody changed the event
        let mut owned = event.extensions.iter();
        for (name, value) in self.extensions() {
            let next = owned.next().filter(|(known, _)| *known == name).map(|(_, own)| own);
            if let Some(own) = next.or_else(|| event.extensions.get(&name)) {
                value.clone_from(own);
            }
        }
    }

    /// By the names that they have in an event: first the headers that are no attributes, then the attributes by rank; of
    /// several for one name the first.
    fn extensions(&mut self) -> impl Iterator<Item = (Cow<'static, str>, &'a mut HeaderValue)> {
        let mut all = std::mem::take(&mut self.extensions);
        all.sort_by_key(|extension| extension.rank);
        let mut named: Vec<(Cow<'static, str>, &'a mut HeaderValue)> = Vec::with_capacity(all.len());
        let mut known = (all.len() > MANY).then(|| HashSet::with_capacity(all.len()));
        for Extension { rank: at, header, value } in all {
            let name = if at <= 1 { header.clone() } else { format!("{PREFIX}{}", rank(header).1).into() };
            let is_first = match &mut known {
                Some(known) => known.insert(name.clone()),
                None => !named.iter().any(|(known, _)| *known == name),
            };
            if is_first {
                named.push((name, value));
            }
        }
        named.into_iter()
    }

    fn value(&self, field: Field) -> Option<&HeaderValue> {
        self.fields[field as usize].as_ref().map(|(_, value)| &**value)
    }

    fn moved(&mut self, field: Field) -> Option<String> {
        match &mut self.fields[field as usize] {
            Some((_, HeaderValue::Text(text))) => Some(std::mem::take(text)),
            _ => None,
        }
    }

    fn text(&self, field: Field) -> Result<Option<&str>, DecodeError> {
        match self.value(field) {
            None => Ok(None),
            Some(HeaderValue::Text(text)) if text.is_empty() => {
                Err(malformed(field, "", "it must not be empty"))
            }
            Some(HeaderValue::Text(text)) => Ok(Some(text)),
            Some(other) => Err(wrong_type(field, other, "text")),
        }
    }

    fn required(&self, field: Field) -> Result<&str, DecodeError> {
        self.text(field)?.ok_or_else(|| missing(field))
    }

    fn parsed<T: FromStr<Err: Display>>(&self, field: Field) -> Result<T, DecodeError> {
        let text = self.required(field)?;
        text.parse().map_err(|error| malformed(field, text, error))
    }

    fn instant(
        &self,
        field: Field,
        which: Which,
        written: &mut Written,
    ) -> Result<Option<Timestamp>, DecodeError> {
        match self.value(field) {
            None => Ok(None),
            // what an AMQP 1.0 sender writes as a native timestamp
            Some(HeaderValue::Time(instant)) if instant.has_text() => Ok(Some(*instant)),
            Some(HeaderValue::Time(instant)) => Err(malformed(
                field,
                &instant.to_string(),
                "it is not within the years 0 to 9999 of RFC 3339",
            )),
            Some(HeaderValue::Text(text)) => match Timestamp::floored(text) {
                Ok(instant) => {
                    written.keep(which, text, instant);
                    Ok(Some(instant))
                }
                Err(error) => Err(malformed(field, text, error)),
            },
            Some(other) => Err(wrong_type(field, other, "an RFC 3339 text")),
        }
    }
}

/// Whether a header of the field's bare name belongs to it, as one with a prefix does.
fn is_trace(field: usize) -> bool {
    field == Field::TraceParent as usize || field == Field::TraceState as usize
}

/// The value, of which only what can be copied at once is left.
fn moved(value: &mut HeaderValue) -> HeaderValue {
    match value {
        HeaderValue::Text(text) => HeaderValue::Text(std::mem::take(text)),
        HeaderValue::Bytes(bytes) => HeaderValue::Bytes(std::mem::take(bytes)),
        HeaderValue::List(values) => HeaderValue::List(std::mem::take(values)),
        HeaderValue::Table(headers) => HeaderValue::Table(std::mem::take(headers)),
        HeaderValue::Int(_)
        | HeaderValue::Float(_)
        | HeaderValue::Bool(_)
        | HeaderValue::Time(_)
        | HeaderValue::Null => value.clone(),
    }
}

fn malformed(field: Field, text: &str, why: impl Display) -> DecodeError {
    let shown: String = text.chars().take(80).collect();
    DecodeError(format!("attribute {} is malformed ('{shown}'): {why}", field.name()))
}

fn wrong_type(field: Field, value: &HeaderValue, expected: &str) -> DecodeError {
    let found = match value {
        HeaderValue::Text(_) => "text",
        HeaderValue::Int(_) => "an integer",
        HeaderValue::Float(_) => "a floating point number",
        HeaderValue::Bool(_) => "a truth value",
        HeaderValue::Time(_) => "a timestamp",
        HeaderValue::Bytes(_) => "bytes that are not UTF-8",
        HeaderValue::List(_) => "a list",
        HeaderValue::Table(_) => "a table",
        HeaderValue::Null => "null",
    };
    DecodeError(format!("attribute {} is {found}; expected {expected}", field.name()))
}

fn missing(field: Field) -> DecodeError {
    DecodeError(format!("attribute {} is missing", field.name()))
}

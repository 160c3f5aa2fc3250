//! A message as AMQP 0-9-1 knows it, independent of any client library.

use super::Timestamp;
use std::borrow::Cow;

/// A message to publish or a delivered one: routing key, properties, headers, body.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Message {
    /// At most 255 bytes.
    pub routing_key: String,
    /// The basic properties that this project uses.
    pub properties: Properties,
    /// The headers table, in the order written.
    pub headers: Headers,
    /// The payload.
    pub body: Vec<u8>,
}

/// The basic properties of AMQP 0-9-1 that this project reads or writes; the others stay unset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Properties {
    /// A media type, `application/json` for our events.
    pub content_type: Option<String>,
    /// The body's encoding (`gzip`); unset means plain.
    pub content_encoding: Option<String>,
    /// Delivery mode 2: survives a broker's restart in a durable queue.
    pub persistent: bool,
    /// Priority, 0 to 9.
    pub priority: Option<u8>,
    /// Correlates messages that belong together.
    pub correlation_id: Option<String>,
    /// A queue for the answer.
    pub reply_to: Option<String>,
    /// Time to live in milliseconds.
    pub expiration: Option<u64>,
    /// The event's id.
    pub message_id: Option<String>,
    /// Whole seconds on the wire (AMQP has no finer timestamp).
    pub timestamp: Option<Timestamp>,
    /// The event's name.
    pub kind: Option<String>,
    /// The user that the connection was opened with; the broker refuses any other.
    pub user_id: Option<String>,
    /// The publishing application.
    pub app_id: Option<String>,
}

/// A headers table. Names are unique; the order is kept.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Headers(Vec<(Cow<'static, str>, HeaderValue)>);

/// A value in a headers table.
#[derive(Debug, Clone, PartialEq)]
pub enum HeaderValue {
    /// A long string that is UTF-8.
    Text(String),
    /// Any integer.
    Int(i64),
    /// A floating point number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A timestamp in whole seconds.
    Time(Timestamp),
    /// Bytes, or a long string that is not UTF-8.
    Bytes(Vec<u8>),
    /// A list, as in `x-death`.
    List(Vec<HeaderValue>),
    /// A table within the table.
    Table(Headers),
    /// No value.
    Null,
}

impl Headers {
    /// The deepest nesting of tables and lists, the headers themselves included, because code that reads them recurses. A
    /// message with deeper ones is not published; in a delivered one, deeper values are left out.
    pub const DEEPEST: usize = 32;

    /// An empty table with room for `entries`.
    pub fn with_capacity(entries: usize) -> Self {
        Self(Vec::with_capacity(entries))
    }

    /// A table of entries whose names are known to differ: nothing is searched.
    pub fn of_distinct(entries: impl IntoIterator<Item = (Cow<'static, str>, HeaderValue)>) -> Self {
        Self(entries.into_iter().collect())
    }

    /// The value under `name`.
    pub fn get(&self, name: &str) -> Option<&HeaderValue> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The value under `name` if it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(HeaderValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The value under `name` if it is a number.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(HeaderValue::Int(number)) => Some(*number),
            _ => None,
        }
    }

    /// Sets `name`, replacing its old value.
    pub fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<HeaderValue>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(key, _)| *key == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Adds an entry whose name is known to be absent: nothing is searched and no name copied.
    pub(super) fn append(&mut self, name: &'static str, value: HeaderValue) {
        debug_assert!(self.get(name).is_none());
        self.0.push((Cow::Borrowed(name), value));
    }

    /// Removes `name`; returns whether it was present.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.retain(|key| key != name);
        self.0.len() != before
    }

    /// Keeps only the entries for whose names `keep` returns true.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|(key, _)| keep(key));
    }

    /// All entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &HeaderValue)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value))
    }

    /// All entries in order, to change the values.
    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = (&Cow<'static, str>, &mut HeaderValue)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// Whether nothing is nested deeper than [`Headers::DEEPEST`].
    pub fn are_shallow(&self) -> bool {
        fn table(headers: &Headers, levels: usize) -> bool {
            levels > 0 && headers.0.iter().all(|(_, value)| within(value, levels - 1))
        }
        fn within(value: &HeaderValue, levels: usize) -> bool {
            match value {
                HeaderValue::Table(headers) => table(headers, levels),
                HeaderValue::List(values) => {
                    levels > 0 && values.iter().all(|value| within(value, levels - 1))
                }
                _ => true,
            }
        }
        table(self, Self::DEEPEST)
    }

    /// Whether the table has no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl IntoIterator for Headers {
    type Item = (Cow<'static, str>, HeaderValue);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<N: Into<Cow<'static, str>>> FromIterator<(N, HeaderValue)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, HeaderValue)>>(entries: I) -> Self {
        let mut headers = Self::default();
        for (name, value) in entries {
            headers.set(name, value);
        }
        headers
    }
}

impl From<&str> for HeaderValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for HeaderValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for HeaderValue {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for HeaderValue {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

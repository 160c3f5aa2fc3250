//! One span. It is written as it goes over the wire from the beginning, so that what waits is at most some KiB in one piece.

use super::otlp::{self, Attribute, span};
use crate::event::SpanContext;

/// The most bytes of a text in it.
const LONGEST: usize = 1024;
/// The bytes of most spans are fewer.
const USUAL: usize = 1024;
const ERROR: u64 = 2;

/// What it is in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// A request that was answered.
    Server = 2,
    /// A request to somebody else, such as the settling of a delivery.
    Client = 3,
    /// A message that was sent.
    Producer = 4,
    /// A message that was received.
    Consumer = 5,
}

/// A span that has begun. Instants are nanoseconds since 1970; texts beyond 1 KiB are cut.
#[derive(Debug, Clone)]
pub struct Span(Vec<u8>);

impl Span {
    /// Begins it: in this context, below this span of the same trace, if there is one.
    pub fn begin(context: SpanContext, parent: Option<u64>, kind: SpanKind, name: &str, begun: u64) -> Self {
        let mut wire = Vec::with_capacity(USUAL);
        otlp::bytes(&mut wire, span::TRACE_ID, &context.trace_id.to_be_bytes());
        otlp::bytes(&mut wire, span::SPAN_ID, &context.span_id.to_be_bytes());
        if let Some(parent) = parent {
            otlp::bytes(&mut wire, span::PARENT, &parent.to_be_bytes());
        }
        otlp::bytes(&mut wire, span::NAME, cut(name).as_bytes());
        otlp::number(&mut wire, span::KIND, kind as u64);
        otlp::fixed64(&mut wire, span::BEGIN, begun);
        otlp::fixed32(&mut wire, span::FLAGS, context.flags.into());
        Self(wire)
    }

    fn with(mut self, name: &str, value: &Attribute<'_>) -> Self {
        otlp::attribute(&mut self.0, span::ATTRIBUTES, name, value);
        self
    }

    /// With an attribute that is a text.
    #[must_use]
    pub fn text(self, name: &str, value: &str) -> Self {
        self.with(name, &Attribute::Text(cut(value)))
    }

    /// With an attribute that is a number.
    #[must_use]
    pub fn number(self, name: &str, value: i64) -> Self {
        self.with(name, &Attribute::Number(value))
    }

    /// With an attribute that is true or false.
    #[must_use]
    pub fn truth(self, name: &str, value: bool) -> Self {
        self.with(name, &Attribute::Truth(value))
    }

    /// With a link to a span of another trace.
    #[must_use]
    pub fn linked_to(mut self, other: SpanContext) -> Self {
        otlp::message(&mut self.0, span::LINKS, |wire| {
            otlp::bytes(wire, span::LINK_TRACE_ID, &other.trace_id.to_be_bytes());
            otlp::bytes(wire, span::LINK_SPAN_ID, &other.span_id.to_be_bytes());
            otlp::fixed32(wire, span::LINK_FLAGS, other.flags.into());
        });
        self
    }

    /// What it stands for failed: a word for the kind of error, and why, which shows no secret.
    #[must_use]
    pub fn failed(mut self, kind: &str, why: &str) -> Self {
        otlp::message(&mut self.0, span::STATUS, |wire| {
            otlp::bytes(wire, span::STATUS_MESSAGE, cut(why).as_bytes());
            otlp::number(wire, span::STATUS_CODE, ERROR);
        });
        self.text(super::names::ERROR_TYPE, kind)
    }

    /// Ends it: as it goes over the wire.
    pub(super) fn end(mut self, at: u64) -> Vec<u8> {
        otlp::fixed64(&mut self.0, span::END, at);
        self.0
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_small_whatever_is_said() {
        let context = SpanContext::new(1, 2, true);
        let long = "ä".repeat(100_000);
        let span = Span::begin(context, None, SpanKind::Producer, &long, 0);
        let wire = span.text("a", &long).failed("b", &long).end(1);
        assert!(wire.len() < 4 * LONGEST, "{}", wire.len());
    }
}

//! The spans of the clock: one for each event, from its handing over to its confirm. Its trace is the event's id.
//!
//! What is sent again, because no answer came, has one span all the same: that of the sending which was confirmed. Bounded by what
//! is in flight, for each that is handed over is answered once.

use crate::clock;
use ponos::{
    broker::{PublishOutcome, Publishing, Settlement},
    event::{HeaderValue, Sampling, SpanContext},
    traces::{Span, SpanKind, Traces, names},
};
use std::collections::HashMap;

/// Milliseconds between send time and handover, in an event's headers.
pub(crate) const LATENESS: &str = "khronos-lateness-ms";

/// Where the clock's traces are recorded, and which.
#[derive(Debug, Clone, Default)]
pub struct Tracing {
    /// Nowhere, if there is no collector.
    pub traces: Option<Traces>,
    /// What events say of their traces, to all who follow.
    pub sampling: Sampling,
}

/// What is handed over and not answered.
#[derive(Debug, Default)]
pub(crate) struct OpenSpans {
    tracing: Tracing,
    open: HashMap<u64, Span>,
}

impl OpenSpans {
    pub(crate) fn new(tracing: Tracing) -> Self {
        Self { tracing, open: HashMap::new() }
    }

    /// Which traces are recorded.
    pub(crate) fn sampling(&self) -> Sampling {
        self.tracing.sampling
    }

    /// All of these are handed over now; with the span that a token's event follows from, if it follows from one.
    pub(crate) fn begin(&mut self, all: &[Publishing], parent: impl Fn(u64) -> Option<u64>) {
        if self.tracing.traces.is_none() {
            return;
        }
        let now = clock::unix_nanos();
        self.open.extend(all.iter().filter_map(|one| Some((one.token, span(one, parent(one.token), now)?))));
    }

    /// These were answered: what is confirmed is recorded.
    pub(crate) fn end(&mut self, all: &[Settlement]) {
        let Some(traces) = self.tracing.traces.as_ref().filter(|_| !self.open.is_empty()) else { return };
        let now = clock::unix_nanos();
        for Settlement { token, outcome } in all {
            let Some(span) = self.open.remove(token) else { continue };
            match outcome {
                PublishOutcome::Confirmed { returned: false } => traces.record(span, now),
                PublishOutcome::Confirmed { returned: true } => {
                    traces.record(span.truth(names::REACHED_NOBODY, true), now);
                }
                // It is sent again, or parked: then it is sent when it is released.
                PublishOutcome::Nacked
                | PublishOutcome::Refused(_)
                | PublishOutcome::Missing(_)
                | PublishOutcome::Lost => {}
            }
        }
    }
}

/// `None` for what is not recorded.
fn span(publishing: &Publishing, parent: Option<u64>, now: u64) -> Option<Span> {
    let Publishing { exchange, message, .. } = publishing;
    let (headers, properties) = (&message.headers, &message.properties);
    let context = SpanContext::parse(headers.text("traceparent")?).filter(|context| context.is_sampled())?;
    let (key, event) = (message.routing_key.as_str(), properties.kind.as_deref().unwrap_or_default());
    let bytes = i64::try_from(message.body.len()).unwrap_or(i64::MAX);
    let mut span = Span::begin(context, parent, SpanKind::Producer, &format!("send {event}"), now)
        .text(names::SYSTEM, names::RABBITMQ)
        .text(names::OPERATION, "send")
        .text(names::OPERATION_TYPE, "send")
        .text(names::DESTINATION, &format!("{exchange}:{key}"))
        .text(names::ROUTING_KEY, key)
        .text(names::EVENT_TYPE, event)
        .number(names::BODY_SIZE, bytes);
    for (name, value) in [
        (names::MESSAGE_ID, properties.message_id.as_deref()),
        (names::CONVERSATION_ID, properties.correlation_id.as_deref()),
        (names::EVENT_SUBJECT, headers.text("cloudEvents_subject")),
    ] {
        if let Some(value) = value {
            span = span.text(name, value);
        }
    }
    match headers.get(LATENESS) {
        Some(HeaderValue::Int(late)) => Some(span.number(names::LATENESS, *late)),
        _ => Some(span),
    }
}

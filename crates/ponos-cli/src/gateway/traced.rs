//! The spans of what a request publishes: one for each event, below the span of the request's sender, from its publishing to the
//! last confirm. Events go on with the context of their own span.

use super::publisher::Outcome;
use ponos::{
    clock::Clock,
    event::Event,
    topology::worker::EVENTS,
    traces::{Span, SpanKind, Traces, names},
};

/// Spans that have begun, one for each event; none of a trace that is not sampled.
pub(super) struct Sendings<'a> {
    traces: &'a Traces,
    spans: Vec<Option<Span>>,
}

impl<'a> Sendings<'a> {
    /// These events are about to be published.
    pub(super) fn begin(traces: &'a Traces, events: &mut [Event]) -> Self {
        let now = Clock::system().unix_nanos();
        let spans = events.iter_mut().map(|event| span(traces, event, now)).collect();
        Self { traces, spans }
    }

    /// So they ended.
    pub(super) fn end(self, outcomes: &[Outcome]) {
        let now = Clock::system().unix_nanos();
        for (span, outcome) in self.spans.into_iter().zip(outcomes) {
            let Some(span) = span else { continue };
            let span = match outcome {
                Outcome::Accepted { received: true } => span,
                Outcome::Accepted { received: false } => span.truth(names::REACHED_NOBODY, true),
                Outcome::Not(problem) => span.failed(problem.code(), "it was not accepted"),
            };
            self.traces.record(span, now);
        }
    }
}

fn span(traces: &Traces, event: &mut Event, now: u64) -> Option<Span> {
    let place = traces.receive(event, "gateway");
    event.traceparent = Some(place.context.to_string());
    let name = event.name.as_str();
    place.context.is_sampled().then(|| {
        place
            .begin(SpanKind::Producer, &format!("send {name}"), now)
            .text(names::SYSTEM, names::RABBITMQ)
            .text(names::OPERATION, "send")
            .text(names::OPERATION_TYPE, "send")
            .text(names::DESTINATION, &format!("{EVENTS}:{name}"))
            .text(names::ROUTING_KEY, name)
            .text(names::MESSAGE_ID, event.id.as_str())
            .text(names::EVENT_TYPE, name)
            .number(names::BODY_SIZE, i64::try_from(event.data.len()).unwrap_or(i64::MAX))
    })
}

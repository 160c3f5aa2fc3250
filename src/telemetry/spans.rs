//! The spans of the clock: one for each event, from its handing over to its confirm. Its trace is the event's id.
//!
//! What is sent again, because no answer came, has one span all the same: that of the sending which was confirmed. Bounded by what
//! is in flight, for each that is handed over is answered once. A span is written where its event is handed over, on the clock's loop:
//! only if it is recorded and there is room for it, in one piece of memory; later what it tells of would be gone.
//!
//! The span of what somebody triggered is linked to that in which he asked. That is kept in memory alone, and of the last ones: an event
//! is the same whoever asked for it, and after a restart it is sent again without.

use crate::clock;
use ponos::{
    broker::{PublishOutcome, Publishing, Settlement},
    event::{HeaderValue, Sampling, SpanContext},
    traces::{Span, SpanKind, Traces, names},
};
use std::collections::{HashMap, VecDeque};

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

/// So many links are kept: of what waits for the broker longer than it takes to ask for as many there is none.
const LINKS: usize = 1_000;

/// What is handed over and not answered.
#[derive(Debug, Default)]
pub(crate) struct OpenSpans {
    tracing: Tracing,
    /// To which spans those of events are linked, by their traces, …
    links: HashMap<u128, SpanContext>,
    /// … the oldest of them first.
    linked: VecDeque<u128>,
    /// `None`: there was no room for it.
    open: HashMap<u64, Option<Span>>,
}

impl OpenSpans {
    pub(crate) fn new(tracing: Tracing) -> Self {
        Self { tracing, ..Self::default() }
    }

    /// Which traces are recorded.
    pub(crate) fn sampling(&self) -> Sampling {
        self.tracing.sampling
    }

    /// The span of this event, which was not handed over yet, is linked to that one; where it is asked for again, to the first.
    pub(crate) fn link(&mut self, event: &str, to: SpanContext) {
        let Some(trace) = event_trace(event).filter(|_| self.tracing.traces.is_some()) else { return };
        if self.links.contains_key(&trace) {
            return;
        }
        if self.linked.len() >= LINKS
            && let Some(oldest) = self.linked.pop_front()
        {
            self.links.remove(&oldest);
        }
        self.links.insert(trace, to);
        self.linked.push_back(trace);
    }

    /// All of these are handed over now; with the span that a token's event follows from, if it follows from one.
    pub(crate) fn begin(&mut self, all: &[Publishing], parent: impl Fn(u64) -> Option<u64>) {
        let Some(traces) = &self.tracing.traces else { return };
        let (now, has_room) = (clock::unix_nanos(), traces.has_room());
        self.open.extend(all.iter().filter_map(|one| {
            let context = recorded(one)?;
            let link = if self.links.is_empty() { None } else { self.links.get(&context.trace_id) };
            let span = || {
                let span = span(one, (context, parent(one.token)), now);
                match link {
                    Some(to) => span.linked_to(*to),
                    None => span,
                }
            };
            Some((one.token, has_room.then(span)))
        }));
    }

    /// These were answered: what is confirmed is recorded.
    pub(crate) fn end(&mut self, all: &[Settlement]) {
        let Some(traces) = self.tracing.traces.as_ref().filter(|_| !self.open.is_empty()) else { return };
        let now = clock::unix_nanos();
        for Settlement { token, outcome } in all {
            let Some(span) = self.open.remove(token) else { continue };
            match outcome {
                PublishOutcome::Confirmed { returned } => match span {
                    Some(span) if *returned => traces.record(span.truth(names::REACHED_NOBODY, true), now),
                    Some(span) => traces.record(span, now),
                    None => traces.pass_over(),
                },
                // It is sent again, or parked: then it is sent when it is released.
                PublishOutcome::Nacked
                | PublishOutcome::Refused(_)
                | PublishOutcome::Missing(_)
                | PublishOutcome::Lost => {}
            }
        }
    }
}

/// The trace of a clock's event: its id.
fn event_trace(id: &str) -> Option<u128> {
    let hex: String = id.chars().filter(|digit| *digit != '-').collect();
    u128::from_str_radix(&hex, 16).ok()
}

/// The context of an event whose trace is recorded.
fn recorded(publishing: &Publishing) -> Option<SpanContext> {
    let said = publishing.message.headers.text("traceparent")?;
    SpanContext::parse(said).filter(|context| context.is_sampled())
}

fn span(publishing: &Publishing, (context, parent): (SpanContext, Option<u64>), now: u64) -> Span {
    let Publishing { exchange, message, .. } = publishing;
    let (headers, properties) = (&message.headers, &message.properties);
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
        Some(HeaderValue::Int(late)) => span.number(names::LATENESS, *late),
        _ => span,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponos::{event::Message, prometheus_client::registry::Registry, traces::Collector};

    fn publishing(token: u64, flags: &str) -> Publishing {
        let mut message = Message::default();
        let context = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
        message.headers.set("traceparent", context);
        Publishing { token, lane: 0, exchange: "events".into(), message }
    }

    fn full(traces: &Traces) -> String {
        let mut registry = Registry::default();
        traces.register(&mut registry, "spans");
        let text = ponos::metrics::expose(&registry, None).unwrap().text;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("spans_total{outcome=\"dropped\",reason=\"full\"} "));
        line.unwrap().to_owned()
    }

    #[test]
    fn what_finds_no_room_is_not_written_and_counted_once_it_is_confirmed() {
        let collector = Collector::at("http://127.0.0.1:1/v1/traces").unwrap();
        let (traces, _export) = collector.open("khronos").unwrap();
        let tracing = Tracing { traces: Some(traces.clone()), sampling: Sampling::ALL };
        let mut spans = OpenSpans::new(tracing);
        spans.begin(&[publishing(1, "00"), publishing(2, "01")], |_| None);
        assert_eq!(
            (spans.open.len(), spans.open[&2].is_some()),
            (1, true),
            "of one that is not recorded nothing is noted"
        );
        while traces.has_room() {
            traces.record(spans.open[&2].clone().unwrap(), 1);
        }
        spans.begin(&[publishing(3, "01"), publishing(4, "01")], |_| None);
        assert!(spans.open[&3].is_none() && spans.open[&4].is_none());
        spans.end(&answered(3, PublishOutcome::Lost));
        assert_eq!(full(&traces), "0", "it is sent again");
        spans.end(&answered(4, PublishOutcome::Confirmed { returned: false }));
        assert_eq!((full(&traces).as_str(), spans.open.len()), ("1", 1));
    }

    #[test]
    fn what_was_triggered_is_linked_to_where_it_was_asked_for_first_and_the_last_thousand_are_known() {
        let (traces, _export) =
            Collector::at("http://127.0.0.1:1/v1/traces").unwrap().open("khronos").unwrap();
        let mut spans = OpenSpans::new(Tracing { traces: Some(traces), sampling: Sampling::ALL });
        // That of `publishing`.
        let event = "0af76519-16cd-43dd-8448-eb211c80319c";
        let [first, again] = [7, 8].map(|trace| SpanContext::new(trace << 100, 9, true));
        spans.link(event, first);
        spans.link(event, again);
        let mut sent = |token| {
            spans.begin(&[publishing(token, "01")], |_| None);
            format!("{:?}", spans.open[&token])
        };
        let shows = |sent: &str, context: SpanContext| {
            let bytes = format!("{:?}", context.trace_id.to_be_bytes());
            sent.contains(bytes.trim_matches(['[', ']']))
        };
        // As often as it is sent.
        for token in [1, 2] {
            let sent = sent(token);
            assert!(shows(&sent, first) && !shows(&sent, again), "{sent}");
        }
        for other in 0..LINKS {
            spans.link(&format!("{other:032x}"), again);
        }
        assert_eq!((spans.links.len(), spans.linked.len()), (LINKS, LINKS));
        spans.begin(&[publishing(3, "01")], |_| None);
        assert!(!shows(&format!("{:?}", spans.open[&3]), first));
        // Where nothing is recorded nothing is kept.
        let mut spans = OpenSpans::default();
        spans.link(event, first);
        assert!(spans.links.is_empty());
    }

    fn answered(token: u64, outcome: PublishOutcome) -> [Settlement; 1] {
        [Settlement { token, outcome }]
    }
}

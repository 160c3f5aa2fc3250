//! The spans of one delivery: it is received, processed, what it published is sent, and it is settled.
//!
//! Of a trace that is not sampled nothing is recorded; its context is passed on all the same.

use super::{ended::Ended, queue_context::QueueContext};
use crate::{
    broker::Settle,
    event::{Event, SpanContext},
    inbox::Held,
    traces::{Span, SpanKind, SpanPlace, Traces, names, new_span},
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// The trace of one delivery.
pub(crate) struct DeliveryTrace {
    traces: Traces,
    queue: Arc<str>,
    place: SpanPlace,
    began: Instant,
    /// The same in nanoseconds since 1970: all that is measured is measured from here.
    began_at: u64,
    /// The span of its processing, until that ends.
    process: Mutex<Option<Span>>,
}

impl DeliveryTrace {
    /// Of a delivery that began then; `None` where no traces are recorded.
    pub(super) fn begin(queue: &QueueContext, event: &Event, began: Instant) -> Option<Arc<Self>> {
        let traces = queue.service.traces.clone()?;
        let queue_name = Arc::clone(&queue.plan.name);
        let place = traces.receive(event, &queue_name);
        let began_at = queue.service.clock.unix_nanos().saturating_sub(nanos(began.elapsed()));
        Some(Arc::new(Self { traces, queue: queue_name, place, began, began_at, process: Mutex::default() }))
    }

    /// The context of its processing.
    pub(crate) fn context(&self) -> SpanContext {
        self.place.context
    }

    /// Whether it goes on in the trace of its sender.
    pub(crate) fn is_of_its_sender(&self) -> bool {
        self.place.parent.is_some()
    }

    /// It was received, `came` long ago, and is processed from now on.
    pub(super) fn received(&self, (exchange, key): (&str, &str), event: &Event, came: Option<Instant>) {
        if !self.context().is_sampled() {
            return;
        }
        let destination = format!("{exchange}:{key}:{}", self.queue);
        let about = |span: Span, operation: &str| {
            named(span, operation, operation)
                .text(names::DESTINATION, &destination)
                .text(names::ROUTING_KEY, key)
                .text(names::MESSAGE_ID, event.id.as_str())
        };
        if let Some(came) = came {
            let name = format!("receive {}", self.queue);
            let context = self.context().with_span(new_span());
            let waited = SpanPlace { context, ..self.place }.begin(SpanKind::Consumer, &name, self.at(came));
            self.traces.record(about(waited, "receive"), self.began_at);
        }
        let name = format!("process {}", self.queue);
        let span = self.place.begin(SpanKind::Consumer, &name, self.began_at);
        let conversation = event.correlation_id.as_deref().unwrap_or(event.id.as_str());
        let span = about(span, "process")
            .text(names::CONVERSATION_ID, conversation)
            .text(names::EVENT_TYPE, event.name.as_str())
            .number(names::BODY_SIZE, i64::try_from(event.data.len()).unwrap_or(i64::MAX));
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(span);
    }

    /// Its processing ended so.
    pub(super) fn ended(&self, attempt: u32, ended: &Ended) {
        let span = self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(span) = span else { return };
        let (outcome, failed) = match ended {
            Ended::Done => ("done", None),
            Ended::HandledAlready => ("already-handled", None),
            Ended::Skipped(_) => ("skipped", None),
            Ended::Early { .. } => ("early", None),
            Ended::Retried { reason, .. } => ("retried", Some(("failed", reason))),
            Ended::Snoozed { .. } => ("snoozed", None),
            Ended::Released(_) => ("released", None),
            Ended::Cancelled(_) => ("cancelled", None),
            Ended::Dead(death) => ("dead", Some((death.kind.as_str(), &death.reason))),
        };
        let span = span.text(names::OUTCOME, outcome).number(names::ATTEMPT, attempt.into());
        let span = match failed {
            Some((kind, why)) => span.failed(kind, why),
            None => span,
        };
        self.traces.record(span, self.at(Instant::now()));
    }

    /// It is settled, which began then.
    pub(super) fn settled(&self, how: Settle, since: Instant) {
        if !self.context().is_sampled() {
            return;
        }
        let operation = match how {
            Settle::Ack => "ack",
            Settle::Release => "nack",
            Settle::Reject | Settle::Dead => "reject",
        };
        let name = format!("{operation} {}", self.queue);
        let span = self.below(new_span(), SpanKind::Client, &name, self.at(since));
        let span = named(span, operation, "settle").text(names::DESTINATION, &self.queue);
        self.traces.record(span, self.at(Instant::now()));
    }

    /// Begins the spans of what is sent from now on, or, if it is only kept to be sent later, created. Their ids are those that the
    /// messages say.
    pub(crate) fn sending(&self, all: &[Held], is_kept: bool) -> Vec<Span> {
        if !self.context().is_sampled() {
            return Vec::new();
        }
        let (begun, operation) = (self.at(Instant::now()), if is_kept { "create" } else { "send" });
        let span = |held: &Held| {
            let message = &held.message;
            let context = message.headers.text("traceparent").and_then(SpanContext::parse)?;
            let event = message.properties.kind.as_deref().unwrap_or(&message.routing_key);
            let name = format!("{operation} {event}");
            let span = self.below(context.span_id, SpanKind::Producer, &name, begun);
            let destination = format!("{}:{}", held.exchange, message.routing_key);
            let bytes = i64::try_from(message.body.len()).unwrap_or(i64::MAX);
            Some(
                named(span, operation, operation)
                    .text(names::DESTINATION, &destination)
                    .text(names::ROUTING_KEY, &message.routing_key)
                    .text(names::MESSAGE_ID, held.id.as_str())
                    .text(names::EVENT_TYPE, event)
                    .number(names::BODY_SIZE, bytes),
            )
        };
        all.iter().filter_map(span).collect()
    }

    /// All of these were confirmed.
    pub(crate) fn sent(&self, spans: Vec<Span>) {
        let now = self.at(Instant::now());
        spans.into_iter().for_each(|span| self.traces.record(span, now));
    }

    /// A span below that of its processing.
    fn below(&self, span_id: u64, kind: SpanKind, name: &str, begun: u64) -> Span {
        let context = self.context();
        Span::begin(context.with_span(span_id), Some(context.span_id), kind, name, begun)
    }

    fn at(&self, instant: Instant) -> u64 {
        match instant.checked_duration_since(self.began) {
            Some(since) => self.began_at.saturating_add(nanos(since)),
            None => self.began_at.saturating_sub(nanos(self.began - instant)),
        }
    }
}

impl fmt::Debug for DeliveryTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryTrace").field("place", &self.place).finish_non_exhaustive()
    }
}

fn named(span: Span, operation: &str, kind: &str) -> Span {
    span.text(names::SYSTEM, names::RABBITMQ)
        .text(names::OPERATION, operation)
        .text(names::OPERATION_TYPE, kind)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

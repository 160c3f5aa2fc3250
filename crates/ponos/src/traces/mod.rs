//! Traces by OpenTelemetry: spans, and what sends them to a collector by OTLP over HTTP, in protobuf.
//!
//! A [`Collector`] says where spans go and which traces are recorded. Opened, it is [`Traces`], in which spans are recorded, and an
//! [`Export`], which sends them. Recording never waits: between the two is a bounded queue, and what finds no room in it is dropped
//! and counted. Workers record by themselves ([`Worker::traces`](crate::worker::Worker::traces)). Absent: spans of other code, which
//! has OpenTelemetry's own SDK: a handler hands it [`Context::traceparent`](crate::worker::Context::traceparent).

mod client;
mod collector;
mod counts;
mod export;
pub mod names;
mod otlp;
mod span;

pub use collector::{Collector, CollectorError};
pub use export::Export;
pub use span::{Span, SpanKind};

use crate::event::{Event, Sampling, SpanContext};
pub(crate) use counts::SpanCounts;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use tokio::sync::mpsc::{self, error::TrySendError};
use uuid::Uuid;

/// Spans that wait to be sent: some megabytes.
const QUEUE: usize = 8192;
/// Of the ids of traces that begin with an event whose sender has none: UUIDv5 of the URL namespace and `urn:ponos:trace`.
const NAMESPACE: Uuid = Uuid::from_u128(0xa4d3_8672_61a2_5ff5_baeb_fb48_cead_8005);
/// The most bytes of `baggage` that are passed on: what <https://www.w3.org/TR/baggage/#limits> asks everybody to keep.
pub const BAGGAGE: usize = 8192;
/// The most bytes of it for what is sent later, whose headers the clock bounds, and in a request to an HTTP service: some servers take
/// no longer line than 8,190 bytes.
pub const SHORT_BAGGAGE: usize = BAGGAGE / 2;

/// Where spans are recorded. Clones share it.
#[derive(Debug, Clone)]
pub struct Traces(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    spans: mpsc::Sender<Vec<u8>>,
    counts: Arc<SpanCounts>,
    sampling: Sampling,
    are_linked: bool,
}

impl Traces {
    fn new(sampling: Sampling, are_linked: bool, counts: Arc<SpanCounts>) -> (Self, mpsc::Receiver<Vec<u8>>) {
        let (spans, queue) = mpsc::channel(QUEUE);
        (Self(Arc::new(Shared { spans, counts, sampling, are_linked })), queue)
    }

    /// Whether a span that is recorded now would find room. Where there is none it need not be made, and is
    /// [passed over](Self::pass_over).
    pub fn has_room(&self) -> bool {
        self.0.spans.capacity() > 0
    }

    /// Counts a span that was not made, for want of room.
    pub fn pass_over(&self) {
        self.0.counts.full.inc();
    }

    /// Records a span of a trace that is sampled, ended at this instant (nanoseconds since 1970). Never waits.
    pub fn record(&self, span: Span, ended: u64) {
        let Shared { spans, counts, .. } = &*self.0;
        match spans.try_send(span.end(ended)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => drop(counts.full.inc()),
            Err(TrySendError::Closed(_)) => drop(counts.stopped.inc()),
        }
    }

    /// In which trace is recorded what `receiver` does about this event, by a span of its own: in the sender's, or a new one if the
    /// sender has none; the same each time that it comes. Where traces are [linked](Collector::linked) always a new one, with the
    /// sender's span as its link; it is recorded if the sender's is, and the share asked for has it.
    pub fn receive(&self, event: &Event, receiver: &str) -> SpanPlace {
        let sender = event.traceparent.as_deref().and_then(SpanContext::parse);
        let sampling = self.0.sampling;
        let span_id = new_span();
        match sender {
            Some(sender) if self.0.are_linked => {
                let trace_id = derived(event, receiver);
                let is_sampled = sender.is_sampled() && sampling.includes(trace_id);
                let context = SpanContext::new(trace_id, span_id, is_sampled);
                SpanPlace { context, parent: None, link: Some(sender) }
            }
            Some(sender) => {
                SpanPlace { context: sender.with_span(span_id), parent: Some(sender.span_id), link: None }
            }
            None => {
                let trace_id = derived(event, "");
                let context = SpanContext::new(trace_id, span_id, sampling.includes(trace_id));
                SpanPlace { context, parent: None, link: None }
            }
        }
    }

    /// The same for an event that `sender` passes on by one span, which is the same one whenever the event comes again: so it has the
    /// same headers then.
    pub fn pass_on(&self, event: &Event, sender: &str) -> SpanPlace {
        let place = self.receive(event, sender);
        let span_id = derived(event, &format!("{sender}\nspan")) as u64;
        SpanPlace { context: place.context.with_span(span_id.max(1)), ..place }
    }

    /// Has what becomes of spans shown, under this name.
    pub fn register(&self, registry: &mut Registry, name: &str) {
        self.0.counts.register(registry, name);
    }

    fn counts(&self) -> Arc<SpanCounts> {
        Arc::clone(&self.0.counts)
    }
}

/// The place of a span in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanPlace {
    /// The span itself.
    pub context: SpanContext,
    /// The span of the same trace that it follows from.
    pub parent: Option<u64>,
    /// The span of another trace that it follows from.
    pub link: Option<SpanContext>,
}

impl SpanPlace {
    /// Begins the span.
    pub fn begin(&self, kind: SpanKind, name: &str, begun: u64) -> Span {
        let span = Span::begin(self.context, self.parent, kind, name, begun);
        self.link.into_iter().fold(span, Span::linked_to)
    }
}

/// An id that is the same whenever this event comes.
fn derived(event: &Event, of: &str) -> u128 {
    let text = format!("{}\n{}\n{of}", event.source, event.id);
    Uuid::new_v5(&NAMESPACE, text.as_bytes()).as_u128()
}

/// The `baggage` of an event, where it [can be passed on](is_baggage).
pub fn baggage(event: &Event) -> Option<&str> {
    event.extensions.text("baggage").filter(|text| is_baggage(text))
}

/// Whether a text is passed on as `baggage`: up to [`BAGGAGE`] bytes of those that it is made of
/// (<https://www.w3.org/TR/baggage/#definition>), so that it fits into a header of HTTP, a variable and JSON as it is.
pub fn is_baggage(text: &str) -> bool {
    let is_right = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    (1..=BAGGAGE).contains(&text.len()) && text.bytes().all(is_right)
}

/// A random id of a span.
pub fn new_span() -> u64 {
    fastrand::u64(1..)
}

/// The id of the span in which a message is sent: the same whenever the message is made again.
#[cfg(feature = "worker")]
pub(crate) fn sending_span(id: Uuid) -> u64 {
    ((id.as_u128() >> 64) as u64).max(1)
}

#[cfg(test)]
mod tests;

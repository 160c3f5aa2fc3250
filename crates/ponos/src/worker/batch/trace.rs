//! The span of a batch's run: in a trace of its own, with links to the spans of its items, which are in those of their senders.

use crate::{
    event::SpanContext,
    traces::{Span, SpanKind, Traces, names, new_span},
    worker::queue_context::QueueContext,
};

/// The most items that are linked.
const LINKED: usize = 100;

/// The span of a run, until that ends.
#[derive(Debug)]
pub(crate) struct BatchTrace {
    traces: Traces,
    span: Span,
}

impl BatchTrace {
    /// Of a run of so many items that begins now; `None` where no traces are recorded, and if none of these is.
    pub(crate) fn begin(
        queue: &QueueContext,
        count: usize,
        items: impl Iterator<Item = SpanContext>,
    ) -> Option<Self> {
        let traces = queue.service.traces.clone()?;
        let linked: Vec<SpanContext> = items.filter(|item| item.is_sampled()).take(LINKED).collect();
        if linked.is_empty() {
            return None;
        }
        let context = SpanContext::new(fastrand::u128(1..), new_span(), true);
        let name = format!("process {}", queue.plan.name);
        let begun = queue.service.clock.unix_nanos();
        let span = Span::begin(context, None, SpanKind::Consumer, &name, begun)
            .text(names::SYSTEM, names::RABBITMQ)
            .text(names::OPERATION, "process")
            .text(names::OPERATION_TYPE, "process")
            .text(names::DESTINATION, &queue.plan.name)
            .number(names::BATCH_COUNT, i64::try_from(count).unwrap_or(i64::MAX));
        Some(Self { traces, span: linked.into_iter().fold(span, Span::linked_to) })
    }

    /// The run has ended; why it failed, if it did.
    pub(crate) fn ended(self, queue: &QueueContext, failed: Option<&str>) {
        let Self { traces, span } = self;
        let span = match failed {
            Some(why) => span.failed("failed", why),
            None => span,
        };
        traces.record(span, queue.service.clock.unix_nanos());
    }
}

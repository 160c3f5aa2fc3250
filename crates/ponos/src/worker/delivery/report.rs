//! The one place where the end of a delivery is logged, counted and reported to the observer.

use super::InProgress;
use crate::{
    event::{Event, SpanContext},
    traces::new_span,
    worker::{
        Context,
        ended::{Ended, Observed},
        queue_context::QueueContext,
    },
};
use std::{sync::Arc, time::Duration};
use tracing::{Span, field::Empty, info_span};

/// `process <queue>`, by the names of OpenTelemetry's messaging conventions.
///
/// `trace_id` and `span_id` are there if the event has a trace context, or traces are recorded: its trace, and a span of this
/// delivery's own in it.
pub(super) fn span(task: &InProgress<'_>, event: &Event) -> Span {
    let InProgress { queue, exchange, message, .. } = task;
    let (queue, key) = (&queue.plan.name, &message.routing_key);
    info_span!(
        "process",
        "otel.name" = %format_args!("process {queue}"),
        "otel.kind" = "consumer",
        "messaging.system" = "rabbitmq",
        "messaging.operation.name" = "process",
        "messaging.operation.type" = "process",
        "messaging.destination.name" = %format_args!("{exchange}:{key}:{queue}"),
        "messaging.rabbitmq.destination.routing_key" = %key,
        "messaging.message.id" = %event.id,
        "messaging.message.conversation_id" = event.correlation_id.as_deref().unwrap_or(event.id.as_str()),
        traceparent = event.traceparent.as_deref(),
        trace_id = context(task, event).map(|context| format!("{:032x}", context.trace_id)).as_deref(),
        span_id = context(task, event).map(|context| format!("{:016x}", context.span_id)).as_deref(),
        // before it was checked
        attempt = event.extensions.int("retry-attempt").filter(|attempt| *attempt >= 1).unwrap_or(1),
        "error.type" = Empty,
    )
}

/// The context of this delivery's own span: the one that is recorded, or, where none are, another one in the sender's trace.
fn context(task: &InProgress<'_>, event: &Event) -> Option<SpanContext> {
    let drawn = || Some(SpanContext::parse(event.traceparent.as_deref()?)?.with_span(new_span()));
    task.trace.as_ref().map(|trace| trace.context()).or_else(drawn)
}

/// Logs and reports that a handler blocked its thread beyond its timeout.
pub(super) fn blocked(queue: &QueueContext, context: &Context, held: Duration) {
    let (name, event) = (&queue.plan.name, context.event());
    let timeout = context.inner().route.policy.timeout;
    context.span().in_scope(|| {
        tracing::error!(
            queue = %name, name = %event.name, id = %event.id, ?held, ?timeout,
            "the handler blocked its thread beyond its timeout, so it could not be cancelled and held up other tasks; await instead of blocking, or give such work to ctx.blocking"
        );
    });
    if let Some(observer) = &queue.service.observer {
        let (queue, id, name) = (Arc::clone(name), event.id.clone(), event.name.clone());
        observer(&Observed::Blocked { queue, id, name, held, timeout });
    }
}

/// Logs, counts and reports how a delivery ended; `void`: its connection was lost, and it comes again.
pub(super) fn report(task: InProgress<'_>, ended: Ended, void: bool) {
    let queue = task.queue;
    queue.report.count(&ended, void, task.id());
    if let Some(metrics) = &queue.plan.metrics {
        let handler = task.route.as_ref().and_then(|route| route.metrics.as_ref());
        metrics.ended(handler, &ended, void);
    }
    if void {
        let _span = task.span.enter();
        tracing::debug!(queue = %queue.plan.name, id = task.event.as_ref().map(|event| event.id.as_str()), "its connection was lost before it could be settled; it will be delivered again");
    }
    task.span.in_scope(|| log(&task, &ended));
    if let Some(trace) = &task.trace {
        trace.ended(task.attempt.number, &ended);
    }
    if let Some(observer) = &queue.service.observer {
        observer(&Observed::Ended {
            queue: queue.plan.name.clone(),
            id: task.event.as_ref().map(|event| event.id.clone()),
            name: task.event.as_ref().map(|event| event.name.clone()),
            attempt: task.attempt.number,
            ended,
            took: task.began.elapsed(),
        });
    }
}

/// One line for each end.
macro_rules! end {
    ($level:ident, $task:expr, $took:expr, $($rest:tt)*) => {
        tracing::$level!(
            "messaging.system" = "rabbitmq",
            "messaging.operation.name" = "process",
            "messaging.process.duration" = $took,
            "messaging.message.id" = $task.id(),
            queue = %$task.queue.plan.name,
            name = $task.name(),
            attempt = $task.attempt.number,
            $($rest)*
        )
    };
}

fn log(task: &InProgress<'_>, ended: &Ended) {
    match ended {
        Ended::Retried { .. } => {
            task.span.record("error.type", "failed");
        }
        Ended::Dead(death) => {
            task.span.record("error.type", death.kind.as_str());
        }
        _ => {}
    }
    let took = || task.began.elapsed().as_secs_f64();
    match ended {
        Ended::Done => end!(debug, task, took(), "done"),
        Ended::HandledAlready => end!(debug, task, took(), "already handled"),
        Ended::Skipped(why) => end!(debug, task, took(), reason = why, "skipped"),
        Ended::Early { due } => end!(debug, task, took(), %due, "not due yet"),
        Ended::Retried { attempt, due, reason } => {
            end!(warn, task, took(), "error.type" = "failed", reason, next = attempt, %due, "failed; it will be tried again")
        }
        Ended::Snoozed { due, reason } => end!(info, task, took(), reason, %due, "put off"),
        // that was said once
        Ended::Released(why) if task.queue.breaker.status().is_some() => {
            end!(debug, task, took(), reason = why, "released")
        }
        Ended::Released(why) => end!(info, task, took(), reason = why, "released"),
        Ended::Dead(death) => {
            end!(
                error,
                task,
                took(),
                "error.type" = death.kind.as_str(),
                reason = death.reason,
                "dead-lettered"
            )
        }
    }
}

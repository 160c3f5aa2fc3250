//! The one place where the end of a delivery is logged, counted and reported to the observer.

use super::InProgress;
use crate::{
    clock::millis,
    event::{
        Event, SpanContext, TraceParent,
        reports::{Published, ReportedDelivery, ReportedOutcome},
    },
    inbox::Held,
    text::shortened,
    topology::worker::TASKS,
    traces::new_span,
    worker::{
        Context,
        ended::{Death, Ended, Observed},
        queue_context::QueueContext,
        reply::is_reply,
    },
};
use std::{sync::Arc, time::Duration};
use tracing::{Span, field::Empty, info_span};

/// The most characters of a reason that is reported.
const REASON: usize = 500;
/// The most messages that are reported one by one of what a handler published.
const LISTED: usize = 20;

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

fn senders_trace(event: &Event) -> Option<TraceParent<'_>> {
    event.traceparent.as_deref().and_then(TraceParent::parse)
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
pub(super) fn report(task: &InProgress<'_>, ended: Ended, void: bool) {
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
    task.span.in_scope(|| log(task, &ended));
    if let Some(trace) = &task.trace {
        trace.ended(task.attempt.number, &ended);
    }
    if let Some(reporter) = queue.service.reporter.get() {
        reporter.ended(&queue.plan.name, || reported(task, &ended));
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

/// What is reported of an end; `None` of what nothing has come of yet, and of what has no id.
fn reported(task: &InProgress<'_>, ended: &Ended) -> Option<(ReportedOutcome, ReportedDelivery)> {
    let (outcome, reason, due_at) = match ended {
        Ended::Done => (ReportedOutcome::Done, None, None),
        Ended::HandledAlready => (ReportedOutcome::AlreadyHandled, None, None),
        Ended::Skipped(why) => (ReportedOutcome::Skipped, Some(why.clone()), None),
        Ended::Early { .. } => return None,
        Ended::Retried { due, reason, .. } => (ReportedOutcome::Retried, Some(reason.clone()), Some(*due)),
        Ended::Snoozed { due, reason } => (ReportedOutcome::Snoozed, Some(reason.clone()), Some(*due)),
        Ended::Released(why) => (ReportedOutcome::Released, Some(why.clone()), None),
        Ended::Dead(Death { kind, reason }) => {
            (ReportedOutcome::Dead, Some(format!("{kind}: {reason}")), None)
        }
        Ended::Cancelled(why) => (ReportedOutcome::Cancelled, Some(why.clone()), None),
    };
    let event = task.event.as_ref();
    let ended_at = task.queue.service.clock.now();
    let (published, unlisted) = match ended {
        Ended::Done => (task.published.clone(), task.unlisted),
        _ => (Vec::new(), 0),
    };
    let delivery = ReportedDelivery {
        id: task.id()?.to_owned(),
        name: task.name().unwrap_or_default().to_owned(),
        handler: task.route.as_ref().map(|route| route.pattern.to_string()),
        attempt: task.attempt.number,
        began_at: ended_at.plus(-millis(task.began.elapsed())),
        ended_at,
        reason: reason.map(|reason| shortened(&reason, REASON)),
        due_at,
        correlation_id: event.and_then(|event| event.correlation_id.clone()),
        causation_id: event.and_then(|event| event.causation_id.clone()),
        trace_id: event.and_then(|event| senders_trace(event)).map(|trace| trace.trace_id.to_owned()),
        published,
        unlisted,
    };
    Some((outcome, delivery))
}

/// Notes what a handler that is done published, if that is reported.
pub(super) fn note_published(task: &mut InProgress<'_>, held: &[Held]) {
    if held.is_empty() || task.queue.service.reporter.get().is_none() {
        return;
    }
    let published = |held: &Held| Published {
        id: held.id.to_string(),
        name: held.message.properties.kind.clone().unwrap_or_default(),
        queue: (*held.exchange == *TASKS).then(|| held.message.routing_key.clone()),
        later: held.due.is_some(),
    };
    // an answer is no event
    let events = held.iter().filter(|held| !is_reply(&held.exchange));
    task.unlisted = events.clone().count().saturating_sub(LISTED) as u64;
    task.published = events.take(LISTED).map(published).collect();
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
        Ended::Cancelled(why) => end!(info, task, took(), reason = why, "cancelled by hand"),
        // that was said once
        Ended::Released(why) if task.queue.circuit.is_open() => {
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

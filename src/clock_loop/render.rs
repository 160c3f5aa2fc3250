//! From a handover to the message that is published. Rendered late, so that what waits stays small; or ahead, while there is
//! nothing else to do, as far as it is known what comes next.

use crate::{
    engine::{Handover, Prepared, time_event},
    telemetry::{EVENT_SPAN, LATENESS},
};
use ponos::{
    broker::Publishing,
    event::{EventKind, HeaderValue, OccurrenceId, RECORDED_TIME, Sampling, Timestamp, TraceParent},
};
use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::Arc,
};
use tracing::{Span, field::Empty, info, info_span};

/// Occurrences skipped since the schedule's last event.
const SKIPPED: &str = "khronos-skipped";

/// Of which clock events are, to which exchange they go, and which of their traces are recorded.
pub(super) type To<'a> = (&'a str, &'a Arc<str>, Sampling);

/// The message for `handover`. What may differ between two sendings of one id travels in headers.
pub(super) fn publishing((clock, exchange, sampling): To<'_>, handover: &Handover) -> Publishing {
    let Handover { token, era, schedule, kind, stands_for, sent_at, lateness, skipped, .. } = handover;
    let mut event = time_event(clock, kind, *era, schedule, *stands_for);
    event.recorded_time = Some(*sent_at);
    event.traceparent = Some(traceparent(event.id.as_str(), sampling));
    event.extensions.set(LATENESS, HeaderValue::Int(*lateness));
    if *skipped > 0 {
        event.extensions.set(SKIPPED, skips(*skipped));
    }
    let mut message = event.into_message();
    let exchange = match &handover.queue {
        // The default exchange has each queue under its name.
        Some(queue) => {
            message.routing_key = queue.to_string();
            Arc::from("")
        }
        None => exchange.clone(),
    };
    Publishing { token: *token, lane: lane(&schedule.name), exchange, message }
}

/// The same, taken from the messages rendered ahead if possible: only what differs between two sendings is set again.
pub(super) fn ready(to: To<'_>, handover: &Handover, rendered: &mut Prepared<Publishing>) -> Publishing {
    let Some(mut ready) = handover.prepared.and_then(|number| rendered.take(number)) else {
        return publishing(to, handover);
    };
    ready.token = handover.token;
    let headers = &mut ready.message.headers;
    headers.set(RECORDED_TIME, handover.sent_at.to_string());
    headers.set(LATENESS, HeaderValue::Int(handover.lateness));
    match handover.skipped {
        0 => drop(headers.remove(SKIPPED)),
        skipped => headers.set(SKIPPED, skips(skipped)),
    }
    ready
}

fn skips(count: u64) -> HeaderValue {
    HeaderValue::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

/// A schedule keeps to one lane, so that its events keep their order.
pub(super) fn lane(schedule: &str) -> u32 {
    // With fixed keys: the same lane in every process.
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(schedule);
    (hash >> 32) as u32
}

/// The span of an occurrence's event, around the lines of the log that are about it alone: with the ids of its trace context.
/// `schedule` is what stands for its schedule in its id.
pub(super) fn span(clock: &str, schedule: &str, due: Timestamp) -> Span {
    span_of(clock, schedule, due, &EventKind::Occurrence)
}

fn span_of(clock: &str, schedule: &str, due: Timestamp, kind: &EventKind) -> Span {
    let span = info_span!(target: EVENT_SPAN, "event", trace_id = Empty, span_id = Empty);
    if !span.is_disabled() {
        let id = OccurrenceId { clock, schedule, due, kind }.id();
        let context = traceparent(id.as_str(), Sampling::ALL);
        if let Some(TraceParent { trace_id, parent_id, .. }) = TraceParent::parse(&context) {
            span.record("trace_id", trace_id).record("span_id", parent_id);
        }
    }
    span
}

/// Logs that an event was sent.
pub(super) fn log_sent(clock: &str, handover: &Handover) {
    let Handover { schedule, kind, stands_for, lateness, .. } = handover;
    span_of(clock, &schedule.id_name(), stands_for.last, kind).in_scope(|| {
        info!(
            target: "khronos::events",
            event = %schedule.event,
            due = %stands_for.last,
            lateness_ms = lateness,
            coalesced = stands_for.count - 1,
            "sent"
        );
    });
}

/// W3C trace context: the trace is the event's id, so that what is sent again belongs to the same trace; and so it is with whether
/// that is recorded.
pub(super) fn traceparent(id: &str, sampling: Sampling) -> String {
    let hex = || id.chars().filter(|digit| *digit != '-');
    let mut text = String::with_capacity("00-".len() + 32 + "-".len() + 16 + "-01".len());
    text.push_str("00-");
    text.extend(hex());
    text.push('-');
    text.extend(hex().rev().take(16));
    let trace_id = || {
        let digits = hex().filter_map(|digit| digit.to_digit(16));
        digits.fold(0, |number: u128, digit| number << 4 | u128::from(digit))
    };
    let is_sampled = sampling == Sampling::ALL || sampling.includes(trace_id());
    text.push_str(if is_sampled { "-01" } else { "-00" });
    text
}

#[cfg(test)]
mod tests {
    use super::Sampling;

    #[test]
    fn the_trace_context_derives_from_the_id() {
        let traceparent =
            |ratio| super::traceparent("6f992030-8ff1-57e8-8522-1fc0093e28d6", Sampling::of(ratio).unwrap());
        assert_eq!(traceparent(1.0), "00-6f9920308ff157e885221fc0093e28d6-6d82e3900cf12258-01");
        // of its last 56 bits, 0x221fc0093e28d6, the share is 0.1333
        for (ratio, end) in [(0.0, "-00"), (0.85, "-00"), (0.87, "-01")] {
            assert!(traceparent(ratio).ends_with(end), "{ratio}");
        }
    }
}

//! The handler itself: within its time, its panics caught, and what it left behind on other threads waited for.

use super::{PutOff, Verdict, hold::Hold, report};
use crate::{
    inbox::Entry,
    redact::redact,
    worker::{
        Context, HandlerResult, Outcome,
        ended::{DeadKind, Death},
        handler::Shared,
        queue_context::QueueContext,
    },
};
use futures_util::FutureExt;
use serde_json::Value;
use std::{any::Any, borrow::Cow, panic::AssertUnwindSafe, sync::Arc};
use tokio::time::sleep_until;
use tracing::Instrument;

/// How a run ended.
pub(super) enum Run {
    Returned(HandlerResult),
    /// Serde's words.
    Unfit(String),
    TimedOut,
    Panicked(String),
    Stopped,
}

/// Runs the route's handler.
pub(super) async fn handler(
    queue: &QueueContext,
    context: &Context,
    payload: Value,
    entry: Entry,
) -> Verdict {
    let run = run(queue, &context.inner().route.handler, context, payload).await;
    let held = context.end();
    match run {
        Run::Returned(Ok(Outcome::Done)) => Verdict::Done(held, entry),
        Run::Returned(Ok(Outcome::Skip)) => {
            Verdict::Skip("its handler found nothing to do".into(), Some(entry))
        }
        other => {
            entry.abandon().boxed().await;
            match other {
                Run::Returned(Ok(Outcome::Release)) => Verdict::PutOff(PutOff::Released),
                Run::Returned(Ok(Outcome::Snooze { after, reason })) => {
                    let reason = reason.unwrap_or_else(|| "its handler put it off".into());
                    let reason = redacted(reason);
                    Verdict::PutOff(PutOff::Snoozed(after, reason))
                }
                Run::Returned(Ok(Outcome::Dead { reason })) => {
                    Death::new(DeadKind::Refused, redacted(reason)).into()
                }
                Run::Returned(Ok(Outcome::Retry { after, reason })) => {
                    let reason = reason.unwrap_or_else(|| "its handler asked for another attempt".into());
                    Verdict::Failed { after, reason: redacted(reason) }
                }
                Run::Unfit(error) => Death::new(DeadKind::Schema, unfit(&error)).into(),
                Run::Stopped => Verdict::Stopped,
                // what it stood on may have been taken away already: cancelled is not failed
                _ if queue.stop.is_raised() => Verdict::Stopped,
                failed => {
                    let name = match &failed {
                        Run::Returned(Err(failure)) => failure.unavailable_name().map(str::to_owned),
                        _ => None,
                    };
                    let reason = failure(failed, context);
                    match name {
                        Some(name) => Verdict::Unavailable { name, reason },
                        None => Verdict::Failed { after: None, reason },
                    }
                }
            }
        }
    }
}

/// Runs the route's final handler; its failure in words.
pub(super) async fn last(
    queue: &QueueContext,
    handler: &Shared,
    context: &Context,
    payload: Value,
) -> Result<(), Run> {
    match run(queue, handler, context, payload).await {
        Run::Returned(Ok(_)) => Ok(()),
        failed => Err(failed),
    }
}

/// Why it failed, in words and without secrets.
pub(super) fn failure(run: Run, context: &Context) -> String {
    redacted(match run {
        Run::Returned(Ok(outcome)) => format!("{outcome:?}"),
        Run::Returned(Err(failure)) => failure.to_string(),
        Run::Unfit(error) => unfit(&error),
        Run::TimedOut => {
            format!(
                "timed out: it ran for longer than {} s",
                context.inner().route.policy.timeout.as_secs_f64()
            )
        }
        Run::Panicked(message) => format!("panicked: {message}"),
        Run::Stopped => "the worker stopped".into(),
    })
}

/// What a handler says goes to the log and into headers: a client's error shows the URL that it could not reach.
fn redacted(reason: String) -> String {
    match redact(&reason) {
        Cow::Borrowed(_) => reason,
        Cow::Owned(redacted) => redacted,
    }
}

fn unfit(error: &str) -> String {
    format!("the payload keeps the contract, but its type can't be read from it: {error}")
}

async fn run(queue: &QueueContext, handler: &Shared, context: &Context, payload: Value) -> Run {
    let own = (Arc::clone(handler), context.clone());
    // within the future, so that a handler that panics before it has made its own is caught as well
    let body = async move {
        let (handler, context) = own;
        match handler.run(payload, context) {
            Ok(body) => Run::Returned(body.await),
            Err(error) => Run::Unfit(error.to_string()),
        }
    };
    let mut hold = Hold::new(context.inner().route.policy.timeout);
    let body = AssertUnwindSafe(body).catch_unwind().instrument(context.span().clone());
    let body = hold.watch(body);
    let run = tokio::select! {
        biased;
        ended = body => ended.unwrap_or_else(|panic| Run::Panicked(words(panic.as_ref()))),
        () = sleep_until(context.deadline()) => Run::TimedOut,
        () = queue.stop.raised() => Run::Stopped,
    };
    if let Some(held) = hold.beyond() {
        report::blocked(queue, context, held);
    }
    context.inner().cancelled.raise();
    if context.inner().blocking.is_busy() {
        context.inner().blocking.idle(queue, context).boxed().await;
    }
    run
}

/// What a panic said, without secrets.
pub(in crate::worker) fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.map_or_else(|| "(without words)".into(), redacted)
}

//! Runs handlers with the layers around them: limits their time, catches their panics, and waits for their work on other threads.
//!
//! The final handler runs before a message goes to the dead letters, once for each time that the message dies: it has an
//! entry of its own in the inbox, and with that a transaction of its own. A requeued message may die again, and then it runs
//! again.

use super::{
    InProgress, PutOff, Verdict,
    commit::{NotDone, begin_entry, commit},
    decode::payload_unchecked,
    report, tied,
};
use crate::{
    clock::Stopwatch,
    event::Event,
    inbox::{Entry, InboxKey},
    redact::redact,
    worker::{
        Context, HandlerResult, Outcome,
        around::{Next, Unfit},
        ended::{DeadKind, Death},
        handler::ErasedHandler,
        plan::Route,
        queue_context::QueueContext,
    },
};
use futures_util::{FutureExt, future::BoxFuture};
use serde_json::Value;
use std::{
    any::Any,
    borrow::Cow,
    future::{Future, poll_fn},
    panic::AssertUnwindSafe,
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep_until};
use tracing::Instrument;

/// How long a cancelled task may go on.
const GRACE: Duration = Duration::from_secs(5);
/// Shorter blocking may be due to a busy machine.
const BLOCKED: Duration = Duration::from_millis(100);

/// How a run ended.
enum RunResult {
    Returned(HandlerResult),
    Unfit(Unfit),
    TimedOut,
    Panicked(String),
    Stopped,
    /// Somebody cancelled it; who, and why.
    Cancelled(String),
}

/// Runs the route's handler, whose future `begin` makes.
pub(super) async fn run_handler(
    queue: &QueueContext,
    context: &Context,
    begin: impl FnOnce(Context) -> Begun + Send,
    entry: Entry,
) -> Verdict {
    let route = &context.inner().route;
    let measured = route.metrics.as_ref().map(|metrics| (metrics, Instant::now()));
    let run = run(queue, context, begin).await;
    if let Some((metrics, began)) = measured {
        metrics.ran(context.trace_context().as_deref(), began.elapsed());
    }
    let held = context.end();
    match run {
        RunResult::Returned(Ok(Outcome::Done)) => Verdict::Done(held, tied::begin_groups(entry, context)),
        RunResult::Returned(Ok(Outcome::Skip)) => {
            let entry = tied::unclaim(entry, &held);
            Verdict::Skip("its handler found nothing to do".into(), Some(entry))
        }
        other => {
            entry.abandon().boxed().instrument(context.span().clone()).await;
            match other {
                RunResult::Returned(Ok(Outcome::Release)) => Verdict::PutOff(PutOff::Released),
                RunResult::Returned(Ok(Outcome::Snooze { after, reason })) => {
                    let reason = reason.unwrap_or_else(|| "its handler put it off, without a reason".into());
                    let reason = redacted(reason);
                    Verdict::PutOff(PutOff::Snoozed(after, reason))
                }
                RunResult::Returned(Ok(Outcome::Dead { reason })) => {
                    Death::new(DeadKind::Refused, redacted(reason)).into()
                }
                RunResult::Returned(Ok(Outcome::Retry { after, reason })) => {
                    let reason = reason
                        .unwrap_or_else(|| "its handler asked for another attempt, without a reason".into());
                    Verdict::Failed { after, reason: redacted(reason) }
                }
                RunResult::Unfit(unfit) => Death::new(DeadKind::Schema, unfit.to_string()).into(),
                RunResult::Stopped => Verdict::Stopped,
                RunResult::Cancelled(why) => Verdict::Cancelled(why),
                // what it stood on may have been taken away already: cancelled is not failed
                _ if queue.stop.is_raised() => Verdict::Stopped,
                failed => {
                    let name = match &failed {
                        RunResult::Returned(Err(failure)) => {
                            failure.unavailable_name().map(|name| redacted(name.to_owned()))
                        }
                        _ => None,
                    };
                    let timed_out = matches!(failed, RunResult::TimedOut);
                    let reason = failure(failed, context);
                    match name {
                        Some(name) => Verdict::Unavailable { name, reason },
                        None if timed_out => Verdict::TimedOut(reason),
                        None => Verdict::Failed { after: None, reason },
                    }
                }
            }
        }
    }
}

/// Runs the final handler, if there is one for such an end; returns the reason for the dead letter. `or_dead`: the handler
/// returned [`Outcome::Dead`].
pub(super) async fn run_final_handler(
    task: &mut InProgress<'_>,
    reason: String,
    or_dead: bool,
) -> Result<String, NotDone> {
    let (Some(event), Some(route)) = (task.event.clone(), task.route.clone()) else { return Ok(reason) };
    let Some(last) = route.last.as_ref().filter(|last| last.or_dead || !or_dead) else { return Ok(reason) };
    let Some(entry) = begin_last_entry(task, &route, &event).await? else { return Ok(reason) };
    let context = task.context(&route, &event, Some(&entry), Some(reason.clone()));
    let run = run_last_handler(task.queue, &last.handler, &context, payload_unchecked(&event)).await;
    let held = context.end();
    match run {
        Ok(()) => match commit(task, held, tied::begin_groups(entry, &context)).await {
            Err(NotDone::Lasting(why)) => Ok(format!("{reason}; its final handler: {why}")),
            hindered => hindered.map(|()| reason),
        },
        Err(failed) => {
            entry.abandon().boxed().instrument(context.span().clone()).await;
            if matches!(failed, RunResult::Stopped) {
                return Err(NotDone::Stopped);
            }
            let why = failure(failed, &context);
            Ok(format!("{reason}; its final handler failed too: {why}"))
        }
    }
}

/// Begins the final handler's entry; `None`: it ran before.
async fn begin_last_entry(
    task: &InProgress<'_>,
    route: &Route,
    event: &Event,
) -> Result<Option<Entry>, NotDone> {
    if task.queue.service.inbox.is_none() {
        return Ok(Some(Entry::none()));
    }
    let times = event.extensions.int("requeued-count").unwrap_or(0);
    // no pattern has a `!`
    let handler = format!("{}!last{times}", route.pattern);
    let key = InboxKey::of(Arc::clone(&task.queue.plan.name), handler, event);
    match begin_entry(task, &key).boxed().await {
        Ok(entry) => Ok(Some(entry)),
        Err(Verdict::HandledAlready) => Ok(None),
        Err(Verdict::Release(why)) => Err(NotDone::Passing(why)),
        Err(_) => Err(NotDone::Stopped),
    }
}

/// Runs the route's final handler.
async fn run_last_handler(
    queue: &QueueContext,
    handler: &ErasedHandler,
    context: &Context,
    payload: Value,
) -> Result<(), RunResult> {
    match run(queue, context, begin_with(handler, payload)).await {
        RunResult::Returned(Ok(_)) => Ok(()),
        failed => Err(failed),
    }
}

/// Why a run failed, for people and without secrets.
fn failure(run: RunResult, context: &Context) -> String {
    redacted(match run {
        RunResult::Returned(Ok(outcome)) => format!("{outcome:?}"),
        RunResult::Returned(Err(failure)) => failure.to_string(),
        RunResult::Unfit(unfit) => unfit.to_string(),
        RunResult::TimedOut => {
            format!(
                "timed out: it ran for longer than {} s",
                context.inner().route.policy.timeout.as_secs_f64()
            )
        }
        RunResult::Panicked(message) => format!("panicked: {message}"),
        RunResult::Stopped => "the worker stopped".into(),
        RunResult::Cancelled(why) => why,
    })
}

/// Hides secrets in a handler's text, which goes to the log and into headers: a client's error may show a URL.
pub(super) fn redacted(reason: String) -> String {
    match redact(&reason) {
        Cow::Borrowed(_) => reason,
        Cow::Owned(redacted) => redacted,
    }
}

/// The future of a handler; the error is serde's message, when the payload can't be read as its type.
pub(super) type Begun = Result<BoxFuture<'static, HandlerResult>, serde_json::Error>;

/// Begins this handler with this payload, in the layers of its route.
pub(super) fn begin_with(
    handler: &ErasedHandler,
    payload: Value,
) -> impl FnOnce(Context) -> Begun + Send + use<> {
    let handler = handler.clone();
    move |context| match context.inner().route.layers.is_empty() {
        true => handler.run(payload, context),
        false => Ok(Next::outermost(handler, payload, context).run().boxed()),
    }
}

async fn run(
    queue: &QueueContext,
    context: &Context,
    begin: impl FnOnce(Context) -> Begun + Send,
) -> RunResult {
    let own = context.clone();
    // within the future, so that a handler that panics before it has made its own is caught as well
    let body = async move {
        match begin(own) {
            Ok(body) => {
                let result = body.await;
                // where the layers left it so
                let unfit = result.as_ref().err().and_then(Unfit::of);
                unfit.map_or_else(|| RunResult::Returned(result), RunResult::Unfit)
            }
            Err(error) => RunResult::Unfit(Unfit(error.to_string())),
        }
    };
    let mut watch = ThreadWatch::new(context.inner().route.policy.timeout);
    let body = AssertUnwindSafe(body).catch_unwind().instrument(context.span().clone());
    let run = {
        let mut body = pin!(watch.watch(body));
        let run = tokio::select! {
            biased;
            ended = &mut body => Ok(ended),
            () = sleep_until(context.deadline()) => Err(RunResult::TimedOut),
            ended = queue.stop.woken(|| interrupted(queue, context)) => Err(ended),
        };
        match run {
            Ok(ended) => returned(ended),
            Err(RunResult::Cancelled(why)) => within_grace(queue, context, body, why).boxed().await,
            Err(ended) => ended,
        }
    };
    if let Some(held) = watch.beyond() {
        report::blocked(queue, context, held);
    }
    context.inner().cancelled.raise();
    if context.inner().blocking.is_busy() {
        context.inner().blocking.idle(queue, context).boxed().await;
    }
    run
}

type Ran = Result<RunResult, Box<dyn Any + Send>>;

fn returned(ended: Ran) -> RunResult {
    ended.unwrap_or_else(|panic| RunResult::Panicked(panic_message(panic.as_ref())))
}

/// Why a run must end before its time: the worker stops, or its message is cancelled. A final handler and a batch are not ended by that.
fn interrupted(queue: &QueueContext, context: &Context) -> Option<RunResult> {
    if queue.stop.is_raised() {
        return Some(RunResult::Stopped);
    }
    let inner = context.inner();
    if !inner.route.policy.cancellable || inner.failure.is_some() || inner.batch.is_some() {
        return None;
    }
    queue.cancelled(context.event()).map(|said| RunResult::Cancelled(said.to_string()))
}

/// A cancelled run, which is told so: what is done by the end of the grace counts as done, and all else is cancelled.
async fn within_grace(
    queue: &QueueContext,
    context: &Context,
    body: impl Future<Output = Ran> + Send,
    why: String,
) -> RunResult {
    context.inner().cancelled.raise();
    let end = context.deadline().min(Instant::now() + GRACE);
    let ended = tokio::select! {
        biased;
        ended = body => returned(ended),
        () = sleep_until(end) => RunResult::TimedOut,
        () = queue.stop.raised() => RunResult::Stopped,
    };
    match ended {
        RunResult::Stopped | RunResult::Returned(Ok(Outcome::Done | Outcome::Skip)) => ended,
        _ => RunResult::Cancelled(why),
    }
}

/// The message of a panic, without secrets.
pub(in crate::worker) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.map_or_else(|| "(no message)".into(), redacted)
}

/// Measures how long a handler blocks its thread at a time. One that blocks can't be cancelled, and holds up other tasks.
#[derive(Debug)]
struct ThreadWatch {
    began: Stopwatch,
    timeout: Duration,
    longest: Option<Duration>,
}

impl ThreadWatch {
    /// From now on.
    fn new(timeout: Duration) -> Self {
        Self { began: Stopwatch::start(), timeout, longest: None }
    }

    /// The same future, watched.
    async fn watch<F: Future>(&mut self, body: F) -> F::Output {
        let mut body = pin!(body);
        poll_fn(|context| {
            let poll = Stopwatch::start();
            let polled = body.as_mut().poll(context);
            let held = poll.elapsed();
            if held >= BLOCKED && self.began.elapsed() > self.timeout {
                self.longest = self.longest.max(Some(held));
            }
            polled
        })
        .await
    }

    /// The longest that it kept its thread at a time, of what went beyond the timeout.
    fn beyond(&self) -> Option<Duration> {
        self.longest
    }
}

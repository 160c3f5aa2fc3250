//! One delivery, from decoding to settling: [`steps`] lists the steps in order. Each step goes on to the next, or ends the
//! delivery with a [`Verdict`], which `endings` carries out.
//!
//! Invariant: a delivery ends in exactly one settlement, by [`process`], and nothing is acked before everything that follows
//! from it is confirmed. Absent: which deliveries are taken in and when, which is the queue loop's.

mod batch;
mod checks;
mod commit;
mod decode;
mod endings;
mod hold_and_retry;
#[cfg(feature = "postgres")]
mod kept_retry;
mod report;
mod run;
mod tied;

pub(super) use batch::{Unsettled, process_batch};
pub(super) use checks::{is_new, needs_to_be_alone};
pub(super) use endings::release_queued;
pub(super) use run::panic_message;

use super::{
    Context,
    circuit::{Place, Ticket},
    context::ContextInner,
    ended::{Death, Ended},
    plan::Route,
    queue_context::QueueContext,
    reply::ReplyAddress,
    retry::Attempt,
    trace::DeliveryTrace,
};
use crate::{
    broker::{Delivery, DeliveryTag, Settle},
    compression,
    event::{Event, Message, Timestamp, reports::Published},
    inbox::{Entry, Held, InboxKey},
};
use decode::Claimed;
use futures_util::FutureExt;
use hold_and_retry::{keeps_place, wait_until_available};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tracing::{Instrument, Span};

/// A delivery in progress, with what is known about it so far.
struct InProgress<'a> {
    queue: &'a QueueContext,
    /// Among those that are at work.
    place: Place<'a>,
    tag: DeliveryTag,
    exchange: String,
    /// How often it came back unsettled.
    count: u64,
    message: Message,
    /// Its texts and its payload are in the event.
    moved_out: bool,
    event: Option<Arc<Event>>,
    /// The id and name that it claims, if it can't be decoded.
    claimed: Claimed,
    route: Option<Arc<Route>>,
    attempt: Attempt,
    /// `own_releases` has it: if it comes back, that is not counted as a crash.
    noted: bool,
    /// Its handler ran to an end, other than unavailable or stopped.
    answered: bool,
    /// What its handler published, if that is reported, and how much more.
    published: Vec<Published>,
    unlisted: u64,
    began: Instant,
    /// When it came, if that is measured.
    came: Option<Instant>,
    /// Once it is decoded.
    span: Span,
    /// The same for its trace, where traces are recorded.
    trace: Option<Arc<DeliveryTrace>>,
}

/// The decision about a delivery.
enum Verdict {
    /// The handler is done.
    Done(Vec<Held>, Entry),
    /// The inbox recorded it before.
    HandledAlready,
    /// Nothing to do; the entry, if there is one, is recorded.
    Skip(String, Option<Entry>),
    /// Not due yet.
    Early(Timestamp),
    /// The attempt failed or asks for another one, `after` this time if it says so.
    Failed { after: Option<Duration>, reason: String },
    /// The same attempt again, through no fault of the message.
    PutOff(PutOff),
    /// The same attempt again: something that its handler needs is unavailable.
    Unavailable { name: String, reason: String },
    /// The attempt failed: its handler ran out of its time.
    TimedOut(String),
    /// Back to the queue: an obstacle that is not the message's fault.
    Release(String),
    /// The same, once publishing may succeed again.
    Hindered(String),
    /// The worker stops.
    Stopped,
    /// To the dead letters.
    Dead(Death),
    /// Somebody cancelled it; who, and why.
    Cancelled(String),
}

/// Why an attempt is put off.
enum PutOff {
    /// Its handler gave it back.
    Released,
    /// Its handler wants to be asked again after this time, for that reason.
    Snoozed(Duration, String),
    /// Something that it needs is unavailable, for that reason.
    Unavailable(String),
}

impl From<Death> for Verdict {
    fn from(death: Death) -> Self {
        Self::Dead(death)
    }
}

/// Processes one delivery to its end, and reports that.
pub(super) fn process(
    queue: &QueueContext,
    (delivery, came): (Delivery, Option<Instant>),
    ticket: Ticket,
) -> impl Future<Output = ()> + Send + '_ {
    // out here, so that the future has no room for the delivery as well
    let task = InProgress::new(queue, delivery, ticket, came);
    run_to_verdict(task)
}

async fn run_to_verdict(mut task: InProgress<'_>) {
    let verdict = loop {
        match steps(&mut task).await {
            Ok(Verdict::Unavailable { reason, .. }) if keeps_place(task.queue) => {
                let waited = wait_until_available(&mut task, reason).boxed().await;
                let Err(verdict) = waited else { continue };
                break verdict;
            }
            Ok(verdict) | Err(verdict) => break verdict,
        }
    };
    finish(&mut task, verdict).await;
}

/// Carries the verdict out, reports the end, and settles the delivery.
async fn finish(task: &mut InProgress<'_>, verdict: Verdict) {
    let queue = task.queue;
    if let Verdict::Done(held, _) = &verdict {
        report::note_published(task, held);
    }
    let (ended, how) = match verdict {
        // the most frequent end; the others are long futures, and each delivery's would have room for them
        Verdict::Done(held, entry) if held.is_empty() && entry.is_none() => endings::acked(Ended::Done),
        verdict => {
            let span = task.span.clone();
            endings::carry_out(task, verdict).boxed().instrument(span).await
        }
    };
    let void = queue.is_void(task.tag);
    task.account(how, void);
    // before it: who sees the queue empty may rely on having been told
    report::report(task, ended, void);
    // an error: the consumer is gone, and the delivery comes again and meets the inbox
    let settling = task.trace.as_ref().filter(|_| !void).map(|trace| (Instant::now(), trace));
    let _ = queue.settler.settle(task.tag, how).await;
    if let Some((since, trace)) = settling {
        trace.settled(how, since);
    }
    if task.answered {
        queue.measure(task.began.elapsed());
    }
}

/// What is known of a delivery that may run.
struct Valid<'a> {
    event: Arc<Event>,
    route: &'a Arc<Route>,
    payload: Value,
}

/// The steps that look at the delivery alone.
fn validate<'a>(task: &mut InProgress<'a>, now: Timestamp) -> Result<Valid<'a>, Verdict> {
    let queue = task.queue;
    task.attempt = Attempt::first(now);
    let limits = &queue.service.limits;
    let event = match decode::decode(&mut task.message, limits) {
        Ok(event) => event,
        Err(death) => {
            // before it is taken to the dead letters
            task.claimed = decode::claimed(&mut task.message, limits);
            return Err(death.into());
        }
    };
    // what is compressed is read as a copy
    task.moved_out = compression::encoding(&task.message).is_none();
    task.event = Some(Arc::clone(&event));
    if task.trace.is_none() {
        task.trace = DeliveryTrace::begin(queue, &event, task.began);
        if let Some(trace) = &task.trace {
            trace.received((&task.exchange, &task.message.routing_key), &event, task.came);
        }
    }
    task.span = report::span(task, &event);
    if let Some(metrics) = &queue.plan.metrics {
        metrics.received(&event, task.count, now);
    }
    let route = decode::route(&queue.plan, &event)?;
    task.route = Some(Arc::clone(route));
    checks::expect_next(queue, route, &event);
    let malformed = match Attempt::read(&event.extensions, now) {
        Ok(attempt) => {
            task.attempt = attempt;
            None
        }
        Err(death) => Some(death),
    };
    checks::end_too_old(&route.policy, &event, &task.attempt, now)?;
    if let Some(death) = malformed {
        return Err(death.into());
    }
    if let Some(said) = queue.cancelled(&event) {
        return Err(Verdict::Cancelled(said.to_string()));
    }
    if let Some(due) = task.attempt.early(now) {
        return Err(Verdict::Early(due));
    }
    if task.count > 0 && !task.noted {
        checks::check_poison(task.count.saturating_sub(queue.own_releases.count(event.id.as_str())))?;
        // if this process sees it again, it did not end of it
        task.noted = true;
        queue.own_releases.note(event.id.as_str());
    }
    let payload = decode::payload(&route.contract, &event)?;
    Ok(Valid { event, route, payload })
}

async fn steps(task: &mut InProgress<'_>) -> Result<Verdict, Verdict> {
    let queue = task.queue;
    let now = queue.service.clock.now();
    let Valid { event, route, payload } = validate(task, now)?;
    let entry = if queue.service.inbox.is_none() {
        Entry::none()
    } else {
        let key = InboxKey::of(Arc::clone(&queue.plan.name), Arc::clone(&route.pattern), &event);
        tied::tie(commit::begin_entry(task, &key).boxed().await?, &event)
    };
    if let Err(overtaken) = checks::take_latest(queue, &route.policy, &event, now) {
        return Ok(Verdict::Skip(overtaken, Some(entry)));
    }
    let context = task.context(route, &event, Some(&entry), None);
    let verdict = run::run_handler(queue, &context, run::begin_with(&route.handler, payload), entry).await;
    task.answered =
        !matches!(verdict, Verdict::Unavailable { .. } | Verdict::Stopped | Verdict::Cancelled(_));
    tell_circuit(queue, (task.place.ticket(), &task.span), &verdict);
    Ok(verdict)
}

/// Tells the circuit what a run says of the things that its handler needs.
fn tell_circuit(queue: &QueueContext, (ticket, span): (Ticket, &Span), verdict: &Verdict) {
    let circuit = &queue.circuit;
    let (what, at_once) = match verdict {
        // it says nothing
        Verdict::Stopped | Verdict::Cancelled(_) => return,
        // of a single active consumer the one task waits in its place, and nothing can begin before it
        Verdict::Unavailable { name, reason } => {
            (Some((name.as_str(), reason.as_str())), queue.plan.policy.exclusive)
        }
        Verdict::TimedOut(reason) => (circuit.of_timeouts().map(|name| (name, reason.as_str())), false),
        _ => (None, false),
    };
    match what {
        Some((name, reason)) => _ = span.in_scope(|| circuit.unavailable(ticket, (name, reason), at_once)),
        None => circuit.answered(ticket),
    }
}

impl<'a> InProgress<'a> {
    fn new(queue: &'a QueueContext, delivery: Delivery, ticket: Ticket, came: Option<Instant>) -> Self {
        let count = delivery.delivery_count().unwrap_or(0);
        let Delivery { message, exchange, tag, .. } = delivery;
        let (event, route, attempt) = (None, None, Attempt::first(Timestamp::EPOCH));
        let claimed = Claimed::default();
        let (noted, answered) = (false, false);
        let (began, span) = (Instant::now(), Span::none());
        let place = Place::new(&queue.circuit, ticket);
        Self {
            queue,
            place,
            tag,
            exchange,
            count,
            message,
            moved_out: false,
            event,
            claimed,
            route,
            attempt,
            noted,
            answered,
            published: Vec::new(),
            unlisted: 0,
            began,
            came,
            span,
            trace: None,
        }
    }

    /// The context of one run.
    fn context(
        &self,
        route: &Arc<Route>,
        event: &Arc<Event>,
        entry: Option<&Entry>,
        failure: Option<String>,
    ) -> Context {
        Context::new(self.context_inner(route, event, entry, failure))
    }

    #[cfg_attr(not(feature = "postgres"), allow(unused_variables))]
    fn context_inner(
        &self,
        route: &Arc<Route>,
        event: &Arc<Event>,
        entry: Option<&Entry>,
        failure: Option<String>,
    ) -> ContextInner {
        ContextInner {
            service: Arc::clone(&self.queue.service),
            queue: Arc::clone(&self.queue.plan.name),
            route: Arc::clone(route),
            event: Arc::clone(event),
            attempt: self.attempt.number,
            first_seen: self.attempt.first_seen,
            deadline: Instant::now() + route.policy.timeout,
            cancelled: super::signal::Signal::default(),
            blocking: super::blocking::BlockingWork::default(),
            failure,
            span: self.span.clone(),
            trace: self.trace.clone(),
            batch: None,
            #[cfg(feature = "postgres")]
            transaction: entry.and_then(Entry::transaction),
            buffer: std::sync::Mutex::default(),
            values: std::sync::Mutex::default(),
            reply_to: ReplyAddress::of(&self.message.properties),
        }
    }

    /// Notes that it comes back without a crash, or forgets it once it is settled for good.
    fn account(&mut self, how: Settle, void: bool) {
        let Some(event) = self.event.as_ref().filter(|_| void || self.noted) else { return };
        if void && !self.noted {
            self.queue.own_releases.note(event.id.as_str());
        } else if !void && how == Settle::Ack {
            self.queue.own_releases.forget(event.id.as_str());
        }
    }

    /// Its id, decoded or claimed.
    fn id(&self) -> Option<&str> {
        self.event.as_ref().map(|event| event.id.as_str()).or(self.claimed.id.as_deref())
    }

    /// Its name, decoded or claimed.
    fn name(&self) -> Option<&str> {
        self.event.as_ref().map(|event| event.name.as_str()).or(self.claimed.name.as_deref())
    }

    /// Whether the message was not taken yet.
    fn has_message(&self) -> bool {
        !self.message.headers.is_empty() || !self.message.body.is_empty()
    }

    /// Puts back what decoding moved out: the message is as it came.
    fn restore(&mut self) {
        if std::mem::take(&mut self.moved_out)
            && let Some(event) = &self.event
        {
            event.put_back(&mut self.message);
        }
    }

    /// Takes the message as it came, for republishing.
    fn taken(&mut self) -> Message {
        self.restore();
        std::mem::take(&mut self.message)
    }
}

//! One batch, from decoding its deliveries to settling each.
//!
//! Each delivery is decoded and checked by itself, and ends by itself if that fails. The others are looked up in the inbox together,
//! run together, and what comes of them is committed together. Then each of them ends as a single delivery does, with a verdict of
//! its own; so retries, dead letters, reports, metrics and the settlement are those of single ones.

mod ran;
mod unsettled;

pub(in crate::worker) use unsettled::Unsettled;

use super::{
    InProgress, Valid, Verdict,
    commit::ask_inbox,
    finish,
    run::{Begun, panic_message, run_handler},
    tell_circuit, validate,
};
use crate::{
    event::Event,
    inbox::{BegunAll, Entry, InboxKey},
    worker::{
        Context,
        around::Unfit,
        batch::{Arrived, BatchPlan, BatchTrace, Item, Marks},
        circuit::{Place, Ticket},
        context::ContextInner,
        ended::{DeadKind, Death},
        held::{Buffer, NAMESPACE, Total},
        plan::Route,
        queue_context::QueueContext,
    },
};
use futures_util::{FutureExt, future, future::BoxFuture};
use ran::Ran;
use std::{
    collections::{HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
};
use uuid::Uuid;

/// A delivery that may run.
struct BatchItem<'a> {
    task: InProgress<'a>,
    event: Arc<Event>,
    route: &'a Arc<Route>,
    value: Item,
}

impl BatchItem<'_> {
    fn key(&self) -> InboxKey {
        InboxKey::of(Arc::clone(&self.task.queue.plan.name), Arc::clone(&self.route.pattern), &self.event)
    }
}

/// Deliveries, and how they end.
type Ends<'a> = Vec<(InProgress<'a>, Verdict)>;

/// Processes a batch of deliveries to the end of each.
pub(in crate::worker) async fn process_batch(
    queue: &QueueContext,
    plan: &BatchPlan,
    deliveries: Vec<Arrived>,
    ticket: Ticket,
    unsettled: &Unsettled,
) {
    let place = Place::new(&queue.circuit, ticket);
    let (mut items, mut ends) = (Vec::with_capacity(deliveries.len()), Ends::new());
    for (delivery, came) in deliveries {
        // the place is the batch's
        let mut task = InProgress::new(queue, delivery, Ticket::NONE, came);
        match read(&mut task, plan) {
            Ok((event, route, value)) => items.push(BatchItem { task, event, route, value }),
            Err(verdict) => ends.push((task, verdict)),
        }
    }
    let together = async {
        let ends = run_together(queue, plan, &place, items).boxed().await;
        end_all(ends, unsettled).await;
    };
    tokio::join!(end_all(ends, unsettled), together);
}

/// The steps of one delivery by itself.
fn read<'a>(
    task: &mut InProgress<'a>,
    plan: &BatchPlan,
) -> Result<(Arc<Event>, &'a Arc<Route>, Item), Verdict> {
    let now = task.queue.service.clock.now();
    let Valid { event, route, payload } = validate(task, now)?;
    // an author's code
    match catch_unwind(AssertUnwindSafe(|| plan.handler.read(payload))) {
        Ok(Ok(value)) => Ok((event, route, value)),
        Ok(Err(error)) => Err(Death::new(DeadKind::Schema, Unfit(error.to_string()).to_string()).into()),
        Err(panic) => {
            let reason = format!("panicked: {}", panic_message(panic.as_ref()));
            Err(Verdict::Failed { after: None, reason })
        }
    }
}

/// Ends each of them, all at a time: most of those that are not done wait for a confirm.
async fn end_all<'a>(ends: Ends<'a>, unsettled: &'a Unsettled) {
    let ends: Vec<BoxFuture<'a, ()>> = ends.into_iter().map(|end| end_one(end, unsettled).boxed()).collect();
    future::join_all(ends).await;
}

async fn end_one((mut task, verdict): (InProgress<'_>, Verdict), unsettled: &Unsettled) {
    finish(&mut task, verdict).await;
    unsettled.settled(task.queue, task.tag);
}

/// Runs what the inbox does not know; returns how each of them ends.
async fn run_together<'a>(
    queue: &'a QueueContext,
    plan: &BatchPlan,
    place: &Place<'_>,
    items: Vec<BatchItem<'a>>,
) -> Ends<'a> {
    let mut ends = Ends::new();
    let mut twice = Vec::new();
    let (items, entry) = match begin_entries(queue, items, &mut twice, &mut ends).await {
        Some(begun) => begun,
        None => return ends,
    };
    let mut handled: HashSet<InboxKey> = HashSet::new();
    if !items.is_empty() {
        let keys: Vec<InboxKey> = items.iter().map(BatchItem::key).collect();
        let ran = run(queue, plan, place, items, entry).await;
        let is_handled = |verdict: &Verdict| matches!(verdict, Verdict::Done(..) | Verdict::Skip(..));
        handled
            .extend(ran.iter().zip(keys).filter(|((_, verdict), _)| is_handled(verdict)).map(|(_, key)| key));
        ends.extend(ran);
    }
    for (task, key, is_known) in twice {
        ends.push(match is_known || handled.contains(&key) {
            true => (task, Verdict::HandledAlready),
            false => {
                (task, Verdict::Release("another delivery of it, in the same batch, did not succeed".into()))
            }
        });
    }
    ends
}

/// A delivery whose key another one of the batch has, and whether the inbox knew that.
type Twice<'a> = (InProgress<'a>, InboxKey, bool);

/// Asks the inbox for all of them; what it knows ends. `None`: it could not be asked, and all end.
async fn begin_entries<'a>(
    queue: &QueueContext,
    items: Vec<BatchItem<'a>>,
    twice: &mut Vec<Twice<'a>>,
    ends: &mut Ends<'a>,
) -> Option<(Vec<BatchItem<'a>>, Entry)> {
    let inbox = &queue.service.inbox;
    if inbox.is_none() || items.is_empty() {
        return Some((items, Entry::none()));
    }
    let (mut keys, mut first_of_key, mut seen) = (Vec::new(), Vec::new(), HashMap::new());
    let mut again = Vec::new();
    for item in items {
        let key = item.key();
        if let Some(index) = seen.get(&key) {
            again.push((item.task, key, *index));
            continue;
        }
        seen.insert(key.clone(), keys.len());
        keys.push(key);
        first_of_key.push(item);
    }
    let first = first_of_key.first()?;
    let begun = ask_inbox(&first.task, || inbox.begin_all(&keys)).boxed().await;
    let BegunAll { handled, entry } = match begun {
        Ok(begun) => begun,
        Err(verdict) => {
            let tasks = first_of_key.into_iter().map(|item| item.task);
            let tasks = tasks.chain(again.into_iter().map(|(task, ..)| task));
            ends.extend(tasks.map(|task| (task, verdict.again())));
            return None;
        }
    };
    twice.extend(again.into_iter().map(|(task, key, index)| (task, key, handled.get(index) == Some(&true))));
    let mut items = Vec::with_capacity(first_of_key.len());
    for (item, is_handled) in first_of_key.into_iter().zip(handled) {
        if is_handled { ends.push((item.task, Verdict::HandledAlready)) } else { items.push(item) }
    }
    Some((items, entry.unwrap_or_else(Entry::none)))
}

/// Runs the handler, and commits what comes of it; returns how each of them ends, in their order.
async fn run<'a>(
    queue: &'a QueueContext,
    plan: &BatchPlan,
    place: &Place<'_>,
    items: Vec<BatchItem<'a>>,
    entry: Entry,
) -> Ends<'a> {
    let Some(first) = items.first() else { return Ends::new() };
    let total = Total::default();
    let context = Context::new(ContextInner {
        batch: Some(id(&items)),
        span: span(queue, items.len()),
        ..context_inner(first, &entry, &total)
    });
    let each = items.iter().map(|item| Context::new(context_inner(item, &entry, &total)));
    let contexts: Vec<Context> = each.collect();
    let linked = items.iter().filter_map(|item| item.task.trace.as_ref()).map(|trace| trace.context());
    let trace = BatchTrace::begin(queue, items.len(), linked);
    let (mut tasks, mut values) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
    for item in items {
        let key = item.key();
        tasks.push((item.task, key));
        values.push(item.value);
    }
    let marks = Marks::of(tasks.len());
    let begin = {
        let (handler, contexts, marks) = (plan.handler.clone(), contexts.clone(), marks.clone());
        move |context: Context| -> Begun { Ok(handler.run((values, contexts), marks, context)) }
    };
    let verdict = run_handler(queue, &context, begin, entry).await;
    if let Some(trace) = trace {
        trace.ended(queue, verdict.failure());
    }
    tell_circuit(queue, (place.ticket(), context.span()), &verdict);
    let mut published = Vec::with_capacity(contexts.len());
    for context in &contexts {
        context.inner().cancelled.raise();
        if context.inner().blocking.is_busy() {
            context.inner().blocking.idle(queue, context).boxed().await;
        }
        published.push(context.end());
    }
    let (held, entry, skipped) = match verdict {
        Verdict::Done(held, entry) => (held, entry, None),
        Verdict::Skip(why, Some(entry)) => {
            published.iter_mut().for_each(Vec::clear);
            (Vec::new(), entry, Some(why))
        }
        verdict => {
            let each = tasks.into_iter().zip(marks.ends());
            return each.map(|((task, _), mark)| (task, verdict.of_item(mark))).collect();
        }
    };
    Ran { tasks, contexts, marks: marks.ends(), published, held, entry, skipped }.commit(&context).await
}

/// The context of an item; all of a batch have the limits of one handler.
fn context_inner(item: &BatchItem<'_>, entry: &Entry, total: &Total) -> ContextInner {
    let mut inner = item.task.context_inner(item.route, &item.event, Some(entry), None);
    inner.buffer = Mutex::new(Buffer::with(total));
    inner
}

/// What stands for all of these in the ids of what their run publishes: the same for the same items, in whatever order.
fn id(items: &[BatchItem<'_>]) -> Arc<str> {
    let mut ids: Vec<&str> = items.iter().map(|item| item.event.id.as_str()).collect();
    ids.sort_unstable();
    format!("batch {}", Uuid::new_v5(&NAMESPACE, ids.join("\n").as_bytes())).into()
}

/// `process <queue>`, of a whole batch; those of its items are `report::span`.
fn span(queue: &QueueContext, count: usize) -> tracing::Span {
    let queue = &queue.plan.name;
    tracing::info_span!(
        "process batch",
        "otel.name" = %format_args!("process {queue}"),
        "otel.kind" = "consumer",
        "messaging.system" = "rabbitmq",
        "messaging.operation.name" = "process",
        "messaging.operation.type" = "process",
        "messaging.destination.name" = %queue,
        "messaging.batch.message_count" = count,
    )
}

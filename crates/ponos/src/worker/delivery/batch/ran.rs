//! What came of a batch's run that ended well: committed for those of its items that did not fail.

use super::Ends;
use crate::{
    inbox::{Entry, Held, InboxKey},
    traces::Span,
    worker::{
        Context,
        batch::ItemEnd,
        delivery::{
            InProgress, PutOff, Verdict,
            commit::{NotDone, commit},
            report,
            run::redacted,
            tied,
        },
        ended::{DeadKind, Death},
    },
};
use futures_util::FutureExt;
use std::{collections::HashSet, slice};
use tracing::Instrument;

/// What came of a run that ended well.
pub(super) struct Ran<'a> {
    /// The items, at least one.
    pub(super) tasks: Vec<(InProgress<'a>, InboxKey)>,
    /// Theirs.
    pub(super) contexts: Vec<Context>,
    /// What the handler said of each of them.
    pub(super) marks: Vec<Option<ItemEnd>>,
    /// What was published by each of them …
    pub(super) published: Vec<Vec<Held>>,
    /// … and by the run as a whole.
    pub(super) held: Vec<Held>,
    pub(super) entry: Entry,
    /// Why there was nothing to do, if so.
    pub(super) skipped: Option<String>,
}

impl<'a> Ran<'a> {
    /// Commits it; returns how each item ends, in their order.
    pub(super) async fn commit(self, context: &Context) -> Ends<'a> {
        let Self { mut tasks, contexts, marks, published, mut held, mut entry, skipped } = self;
        let is_kept = context.inner().service.inbox.takes_publishes();
        // it continues the trace of the first, even if that one failed
        let of_run = tasks.first().map(|(first, _)| sending(first, &held, is_kept)).unwrap_or_default();
        let mut failed = HashSet::new();
        let mut spans: Vec<Vec<Span>> = Vec::with_capacity(tasks.len());
        let mut first_done = None;
        for (index, ((task, key), mut published)) in tasks.iter_mut().zip(published).enumerate() {
            if marks.get(index).is_some_and(Option::is_some) {
                failed.insert(key.clone());
                spans.push(Vec::new());
                continue;
            }
            spans.push(sending(task, &published, is_kept));
            if first_done.is_none() {
                first_done = Some(index);
                published.append(&mut held);
            }
            if let Some(event) = &task.event {
                entry = tied::tie(entry, event);
            }
            if let Some(context) = contexts.get(index).filter(|_| skipped.is_none()) {
                entry = tied::begin_groups(entry, context);
            }
            report::note_published(task, &published);
            held.append(&mut published);
        }
        if let Some(of_first) = spans.first_mut() {
            of_first.extend(of_run);
        }
        let verdict = match first_done.and_then(|first| tasks.get_mut(first)) {
            // nothing of a run counts in which all of them failed
            None => {
                entry.abandon().boxed().await;
                Verdict::Stopped
            }
            Some((task, _)) => {
                entry.leave_out(&failed);
                of_commit(commit_as(task, held, entry, context).await, skipped)
            }
        };
        let is_done = matches!(verdict, Verdict::Done(..) | Verdict::Skip(..));
        let ends = tasks.into_iter().zip(marks).zip(spans).map(|(((task, _), mark), spans)| {
            if let Some(trace) = task.trace.as_ref().filter(|_| is_done) {
                trace.sent(spans);
            }
            (task, verdict.of_item(mark))
        });
        ends.collect()
    }
}

/// Commits in the name of this item.
async fn commit_as(
    task: &mut InProgress<'_>,
    held: Vec<Held>,
    entry: Entry,
    context: &Context,
) -> Result<(), NotDone> {
    if held.is_empty() && entry.is_none() {
        return Ok(());
    }
    // what is sent has its spans, in the traces of the items
    let trace = task.trace.take();
    let committed = commit(task, held, entry).boxed().instrument(context.span().clone()).await;
    task.trace = trace;
    committed
}

/// What the commit means for those that did not fail.
fn of_commit(committed: Result<(), NotDone>, skipped: Option<String>) -> Verdict {
    match (committed, skipped) {
        (Ok(()), None) => Verdict::Done(Vec::new(), Entry::none()),
        (Ok(()), Some(why)) => Verdict::Skip(why, None),
        (Err(NotDone::Lasting(reason)), _) => Verdict::Failed { after: None, reason },
        (Err(NotDone::Passing(why)), _) => Verdict::Hindered(why),
        (Err(NotDone::Stopped), _) => Verdict::Stopped,
    }
}

/// The spans of what one item published.
fn sending(task: &InProgress<'_>, published: &[Held], is_kept: bool) -> Vec<Span> {
    let Some(trace) = &task.trace else { return Vec::new() };
    let each = published.iter();
    each.flat_map(|held| trace.sending(slice::from_ref(held), is_kept || held.due.is_some())).collect()
}

impl From<ItemEnd> for Verdict {
    fn from(end: ItemEnd) -> Self {
        match end {
            ItemEnd::Failed(why) => Self::Failed { after: None, reason: redacted(why) },
            ItemEnd::Dead(why) => Death::new(DeadKind::Refused, redacted(why)).into(),
        }
    }
}

impl Verdict {
    /// That of one item, of which the handler may have said another.
    pub(super) fn of_item(&self, said: Option<ItemEnd>) -> Self {
        said.map_or_else(|| self.again(), Self::from)
    }

    /// The same for another one of the batch; what belongs to the run as a whole (messages, the entry) is not in it.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Done(..) => Self::Done(Vec::new(), Entry::none()),
            Self::HandledAlready => Self::HandledAlready,
            Self::Skip(why, _) => Self::Skip(why.clone(), None),
            Self::Early(due) => Self::Early(*due),
            Self::Failed { after, reason } => Self::Failed { after: *after, reason: reason.clone() },
            Self::PutOff(PutOff::Released) => Self::PutOff(PutOff::Released),
            Self::PutOff(PutOff::Snoozed(after, why)) => Self::PutOff(PutOff::Snoozed(*after, why.clone())),
            Self::PutOff(PutOff::Unavailable(why)) => Self::PutOff(PutOff::Unavailable(why.clone())),
            Self::Unavailable { name, reason } => {
                Self::Unavailable { name: name.clone(), reason: reason.clone() }
            }
            Self::TimedOut(reason) => Self::TimedOut(reason.clone()),
            Self::Release(why) => Self::Release(why.clone()),
            Self::Hindered(why) => Self::Hindered(why.clone()),
            Self::Stopped => Self::Stopped,
            Self::Dead(death) => Self::Dead(death.clone()),
            Self::Cancelled(why) => Self::Cancelled(why.clone()),
        }
    }

    /// Why a run failed, if it did.
    pub(super) fn failure(&self) -> Option<&str> {
        match self {
            Self::Failed { reason, .. } | Self::Unavailable { reason, .. } | Self::TimedOut(reason) => {
                Some(reason)
            }
            Self::Dead(death) => Some(&death.reason),
            _ => None,
        }
    }
}

//! The causal tree of an event: who received it, attempt by attempt, what they published, and what came of that.

use crate::{
    answer::{Handling, HandlingState, SeenView},
    expected::due_at,
    observer::Observer,
    services::Taker,
    window::Entry,
};
use ponos_event::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// The most events above the one that is asked for.
const ABOVE: usize = 100;
/// The deepest tree: what reads it may recurse.
const DEEPEST: usize = 50;

/// What is known of an event, or of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Why {
    /// The id that was asked for.
    pub id: String,
    /// What it follows from, the first cause first, as far as that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<SeenView>,
    /// The event; of a trace its events that follow from none that is known.
    pub roots: Vec<Node>,
    /// How many events are left out, because there are too many for one answer.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// Since when is observed: nothing is known of what was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub since: Option<Timestamp>,
    /// When there was a gap last: what was about then may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub interrupted_at: Option<Timestamp>,
    /// Services of which reports were lost, and when that was last seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Vec<String>>))]
    pub lost: Vec<(String, Timestamp)>,
}

/// An event, who handled it, and what followed from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Node {
    /// The event.
    pub event: SeenView,
    /// What was reported of it, in the order of the first reports.
    pub handlings: Vec<Handling>,
    /// Who declares that they handle it, and has reported nothing of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub awaited: Vec<Awaited>,
    /// What followed from it, in the order in which it was heard of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(no_recursion))]
    pub followed: Vec<Node>,
}

/// A handler that has reported nothing of an event that it declares it handles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Awaited {
    /// The service.
    pub service: String,
    /// Its queue.
    pub queue: String,
    /// The name or pattern of the handler.
    pub handler: String,
    /// By when it means to be done, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub due_at: Option<Timestamp>,
    /// What that means.
    pub state: AwaitedState,
}

/// What it means that nothing was reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AwaitedState {
    /// There is time left, or it does not say how much.
    Awaited,
    /// Its time is over.
    Missed,
    /// Its time is over, and a report may have been lost.
    Uncertain,
    /// The service declared it after the event was sent: its queue may not have been there.
    NotYetDeclared,
}

/// The answer for an id, or a trace id.
pub(crate) fn why(observer: &Observer, now: Timestamp, id: &str) -> Option<Why> {
    let window = &observer.window;
    let mut tree = Tree { observer, now, seen: HashSet::new(), left: observer.limits.answer, left_out: 0 };
    let (causes, roots) = match window.get(id) {
        Some(entry) => (causes(observer, entry), tree.node(entry, 0).into_iter().collect()),
        None => {
            let of_trace: Vec<&Entry> = window.of_trace(id).collect();
            let has_cause = |entry: &Entry| {
                let cause = entry.event.causation_id.as_deref().and_then(|cause| window.get(cause));
                cause.is_some_and(|cause| cause.event.trace_id.as_deref() == Some(id))
            };
            let first = of_trace.iter().filter(|entry| !has_cause(entry));
            let mut roots: Vec<Node> = first.filter_map(|entry| tree.node(entry, 0)).collect();
            // a circle has no first one
            roots.extend(of_trace.iter().filter_map(|entry| tree.unless_seen(entry)));
            (Vec::new(), roots)
        }
    };
    if roots.is_empty() {
        return None;
    }
    let lost = observer.services.all().filter_map(|service| Some((service.name.clone(), service.lost_at?)));
    Some(Why {
        id: id.to_owned(),
        causes,
        roots,
        left_out: tree.left_out,
        since: observer.listening.since,
        interrupted_at: observer.listening.interrupted_at,
        lost: lost.collect(),
    })
}

/// What it follows from, the first cause first.
fn causes(observer: &Observer, entry: &Entry) -> Vec<SeenView> {
    let mut seen = HashSet::from([entry.event.id.as_str()]);
    let mut causes = Vec::new();
    let mut cause = entry.event.causation_id.as_deref();
    while let Some(above) = cause.and_then(|id| observer.window.get(id)) {
        if causes.len() >= ABOVE || !seen.insert(&above.event.id) {
            break;
        }
        causes.push(SeenView::of(above));
        cause = above.event.causation_id.as_deref();
    }
    causes.reverse();
    causes
}

struct Tree<'a> {
    observer: &'a Observer,
    now: Timestamp,
    seen: HashSet<&'a str>,
    /// How many there is room for.
    left: usize,
    left_out: u64,
}

impl<'a> Tree<'a> {
    fn unless_seen(&mut self, entry: &'a Entry) -> Option<Node> {
        if self.seen.contains(entry.event.id.as_str()) { None } else { self.node(entry, 0) }
    }

    /// `None` if it stands in the tree already, or there is no room for it.
    fn node(&mut self, entry: &'a Entry, depth: usize) -> Option<Node> {
        if self.seen.contains(entry.event.id.as_str()) {
            return None;
        }
        if self.left == 0 || depth >= DEEPEST {
            self.left_out += 1;
            return None;
        }
        self.left -= 1;
        self.seen.insert(&entry.event.id);
        let children = self.observer.window.children(&entry.event.id);
        let followed = children.filter_map(|child| self.node(child, depth + 1)).collect();
        Some(Node {
            event: SeenView::of(entry),
            handlings: entry.handlings.iter().map(Handling::of).collect(),
            awaited: self.awaited(entry),
            followed,
        })
    }

    fn awaited(&self, entry: &Entry) -> Vec<Awaited> {
        let (services, name) = (&self.observer.services, entry.event.name.as_str());
        let takers = if entry.sent > 0 { services.takers_of(name) } else { Vec::new() };
        let of_task = services.task_takers_of(name).into_iter();
        let of_task = of_task.filter(|taker| entry.queue.as_ref() == Some(&taker.handler.queue));
        let all = takers.into_iter().chain(of_task);
        let silent = all.filter(|taker| entry.by_queue(&taker.handler.queue).is_none());
        silent.map(|taker| self.awaits(entry, taker)).collect()
    }

    fn awaits(&self, entry: &Entry, taker: Taker) -> Awaited {
        let Taker { service, handler, declared_at } = taker;
        let due_at = handler.within_ms.zip(entry.sent_at).map(|(within, sent)| due_at(sent, within));
        let state = match entry.sent_at {
            Some(sent) if sent < declared_at => AwaitedState::NotYetDeclared,
            _ => self.state(&entry.event.id, &handler.queue, due_at),
        };
        Awaited { service, queue: handler.queue, handler: handler.handler, due_at, state }
    }

    fn state(&self, id: &str, queue: &str, due_at: Option<Timestamp>) -> AwaitedState {
        let mut missed = self.observer.missed.iter();
        if missed.any(|miss| miss.event_id == id && miss.queue == queue) {
            return AwaitedState::Missed;
        }
        let mut uncertain = self.observer.uncertain.iter();
        let is_uncertain = uncertain.any(|one| one.event_id == id && one.queue == queue)
            || due_at.is_some_and(|due_at| due_at < self.now);
        if is_uncertain { AwaitedState::Uncertain } else { AwaitedState::Awaited }
    }
}

impl Node {
    /// Whether all that is known of it and of what followed is handled.
    pub fn is_handled(&self) -> bool {
        let own = self.handlings.iter().all(|handling| handling.state == HandlingState::Handled);
        own && self.awaited.is_empty() && self.followed.iter().all(Self::is_handled)
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

//! Events and tasks with what was reported of each: bounded in number, bytes and age; the oldest go first.
//!
//! Invariant: `bytes` is the sum of what the entries are counted with, each id stands once in `order`, and `by_trace` and `children`
//! name entries that are there.

use crate::{limits::Limits, seen::SeenEvent};
use ponos_event::{
    Timestamp,
    reports::{Published, ReportedDelivery, ReportedOutcome},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// What an entry, a handling or an attempt takes besides its texts, roughly.
const EACH: usize = 256;
/// The most handlings that are kept of one event: who took it, through which queue.
const HANDLINGS: usize = 64;
/// The most attempts that are kept of one handling: the first, and the latest.
const ATTEMPTS: usize = 20;

/// What is known of one event or task.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Without its name if only something else names its id.
    pub(crate) event: SeenEvent,
    /// When it was first heard of.
    pub(crate) first_at: Timestamp,
    /// When it was last seen sent: on the bus, or in the report of who published it; none if it was not.
    pub(crate) sent_at: Option<Timestamp>,
    /// How many times it was seen on the bus.
    pub(crate) sent: u64,
    /// The queue that it went to, if it is a task.
    pub(crate) queue: Option<String>,
    pub(crate) handlings: Vec<HandlingEntry>,
    bytes: usize,
}

/// What one queue's handler reported of it.
#[derive(Debug, Clone)]
pub(crate) struct HandlingEntry {
    pub(crate) service: String,
    pub(crate) queue: String,
    pub(crate) handler: Option<String>,
    pub(crate) attempts: Vec<AttemptEntry>,
    /// How many are not kept.
    pub(crate) left_out: u64,
    /// When the latest was heard.
    pub(crate) heard_at: Timestamp,
    /// When it was first reported as handled; what comes after that is a repetition.
    pub(crate) handled_at: Option<Timestamp>,
}

/// One delivery that ended.
#[derive(Debug, Clone)]
pub(crate) struct AttemptEntry {
    pub(crate) attempt: u32,
    pub(crate) outcome: ReportedOutcome,
    pub(crate) began_at: Timestamp,
    pub(crate) ended_at: Timestamp,
    pub(crate) reason: Option<String>,
    pub(crate) due_at: Option<Timestamp>,
}

/// The window.
#[derive(Debug, Default)]
pub(crate) struct Window {
    entries: HashMap<Arc<str>, Entry>,
    /// In the order in which they were first heard of.
    order: VecDeque<Arc<str>>,
    by_trace: HashMap<String, VecDeque<Arc<str>>>,
    /// By the id of what they follow from.
    children: HashMap<String, VecDeque<Arc<str>>>,
    bytes: usize,
    trimmed: u64,
}

impl Window {
    pub(crate) fn get(&self, id: &str) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// All, in the order in which they were first heard of.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.order.iter().filter_map(|id| self.entries.get(id))
    }

    pub(crate) fn of_trace(&self, trace: &str) -> impl Iterator<Item = &Entry> {
        self.by_trace.get(trace).into_iter().flatten().filter_map(|id| self.entries.get(id))
    }

    pub(crate) fn children(&self, id: &str) -> impl Iterator<Item = &Entry> {
        self.children.get(id).into_iter().flatten().filter_map(|id| self.entries.get(id))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is kept at all.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
            && self.order.is_empty()
            && self.by_trace.is_empty()
            && self.children.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many went because of a bound.
    pub(crate) fn trimmed(&self) -> u64 {
        self.trimmed
    }

    /// An event was seen on the bus.
    pub(crate) fn seen(&mut self, now: Timestamp, event: SeenEvent) {
        self.update(now, event, |entry| {
            entry.sent += 1;
            entry.sent_at = Some(now);
        });
    }

    /// Who published it reported it. What is sent later is not sent yet.
    pub(crate) fn published(
        &mut self,
        now: Timestamp,
        by: &str,
        parent: &ReportedDelivery,
        published: &Published,
    ) {
        let event = SeenEvent {
            id: published.id.clone(),
            name: published.name.clone(),
            source: format!("/{by}"),
            correlation_id: Some(parent.correlation_id.clone().unwrap_or_else(|| parent.id.clone())),
            causation_id: Some(parent.id.clone()),
            trace_id: parent.trace_id.clone(),
            ..SeenEvent::default()
        };
        let is_task = published.queue.is_some();
        self.update(now, event, |entry| {
            entry.queue = entry.queue.take().or_else(|| published.queue.clone());
            if is_task && !published.later && entry.sent_at.is_none() {
                entry.sent_at = Some(now);
            }
        });
    }

    /// A delivery of it was reported.
    pub(crate) fn reported(
        &mut self,
        now: Timestamp,
        (service, queue, outcome): (&str, &str, ReportedOutcome),
        delivery: &ReportedDelivery,
    ) {
        let event = SeenEvent {
            id: delivery.id.clone(),
            name: delivery.name.clone(),
            correlation_id: delivery.correlation_id.clone(),
            causation_id: delivery.causation_id.clone(),
            trace_id: delivery.trace_id.clone(),
            ..SeenEvent::default()
        };
        self.update(now, event, |entry| {
            let known = entry.handlings.iter().position(|handling| handling.queue == queue);
            let at = match known {
                Some(at) => at,
                None if entry.handlings.len() >= HANDLINGS => return,
                None => {
                    entry.handlings.push(HandlingEntry {
                        service: service.to_owned(),
                        queue: queue.to_owned(),
                        handler: None,
                        attempts: Vec::new(),
                        left_out: 0,
                        heard_at: now,
                        handled_at: None,
                    });
                    entry.handlings.len() - 1
                }
            };
            let Some(handling) = entry.handlings.get_mut(at) else { return };
            handling.heard(now, outcome, delivery);
        });
    }

    /// Makes or changes an entry: what it did not know is filled in.
    fn update(&mut self, now: Timestamp, event: SeenEvent, change: impl FnOnce(&mut Entry)) {
        let key: Arc<str> = match self.entries.get_key_value(event.id.as_str()) {
            Some((key, _)) => Arc::clone(key),
            None => {
                let key: Arc<str> = event.id.as_str().into();
                self.order.push_back(Arc::clone(&key));
                let entry = Entry {
                    event: SeenEvent { id: event.id.clone(), ..SeenEvent::default() },
                    first_at: now,
                    sent_at: None,
                    sent: 0,
                    queue: None,
                    handlings: Vec::new(),
                    bytes: 0,
                };
                self.entries.insert(Arc::clone(&key), entry);
                key
            }
        };
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let known = (entry.event.causation_id.is_some(), entry.event.trace_id.is_some());
        entry.learn(event);
        change(entry);
        let bytes = entry.size();
        self.bytes = self.bytes + bytes - entry.bytes;
        entry.bytes = bytes;
        let links = (entry.event.causation_id.clone(), entry.event.trace_id.clone());
        if let (false, Some(parent)) = (known.0, links.0) {
            self.children.entry(parent).or_default().push_back(Arc::clone(&key));
        }
        if let (false, Some(trace)) = (known.1, links.1) {
            self.by_trace.entry(trace).or_default().push_back(key);
        }
    }

    /// Lets the oldest go that the bounds have no room for.
    pub(crate) fn trim(&mut self, now: Timestamp, limits: &Limits) {
        while let Some(oldest) = self.order.front() {
            let first_at = self.entries.get(oldest).map(|entry| entry.first_at);
            let is_old = first_at.is_none_or(|first_at| now.since(first_at) > limits.age_ms);
            if !is_old && self.entries.len() <= limits.events && self.bytes <= limits.bytes {
                return;
            }
            let Some(id) = self.order.pop_front() else { return };
            let Some(entry) = self.entries.remove(&id) else { continue };
            self.bytes -= entry.bytes;
            self.trimmed += 1;
            unlink(&mut self.children, entry.event.causation_id.as_deref(), &id);
            unlink(&mut self.by_trace, entry.event.trace_id.as_deref(), &id);
        }
    }
}

/// Takes an id out of the list of a key, and a list that is empty then.
fn unlink(lists: &mut HashMap<String, VecDeque<Arc<str>>>, key: Option<&str>, id: &Arc<str>) {
    let Some(key) = key else { return };
    let Some(list) = lists.get_mut(key) else { return };
    // the oldest goes first, here as there
    if let Some(at) = list.iter().position(|listed| listed == id) {
        list.remove(at);
    }
    if list.is_empty() {
        lists.remove(key);
    }
}

impl Entry {
    /// Fills in what was not known. What was seen on the bus says more than a report.
    fn learn(&mut self, told: SeenEvent) {
        fn fill<T>(known: &mut Option<T>, told: Option<T>) {
            if known.is_none() {
                *known = told;
            }
        }
        let known = &mut self.event;
        for (known, told) in [(&mut known.name, told.name), (&mut known.source, told.source)] {
            if known.is_empty() {
                *known = told;
            }
        }
        fill(&mut known.subject, told.subject);
        fill(&mut known.correlation_id, told.correlation_id);
        fill(&mut known.causation_id, told.causation_id);
        fill(&mut known.trace_id, told.trace_id);
        fill(&mut known.lateness_ms, told.lateness_ms);
        known.is_caught_up |= told.is_caught_up;
    }

    /// The handling by this queue.
    pub(crate) fn by_queue(&self, queue: &str) -> Option<&HandlingEntry> {
        self.handlings.iter().find(|handling| handling.queue == queue)
    }

    fn size(&self) -> usize {
        let event = &self.event;
        let optional =
            [&event.subject, &event.correlation_id, &event.causation_id, &event.trace_id, &self.queue];
        let texts = optional.into_iter().flatten().map(String::len).sum::<usize>();
        let handlings = self.handlings.iter().map(HandlingEntry::size).sum::<usize>();
        // the id stands in several places, and so do what it follows from and its trace
        EACH * 2 + event.id.len() * 2 + event.name.len() + event.source.len() + texts * 2 + handlings
    }
}

impl HandlingEntry {
    fn heard(&mut self, now: Timestamp, outcome: ReportedOutcome, delivery: &ReportedDelivery) {
        self.heard_at = now;
        if self.handler.is_none() {
            self.handler.clone_from(&delivery.handler);
        }
        if outcome.is_handled() && self.handled_at.is_none() {
            self.handled_at = Some(now);
        }
        if self.attempts.len() >= ATTEMPTS {
            self.attempts.remove(1);
            self.left_out += 1;
        }
        self.attempts.push(AttemptEntry {
            attempt: delivery.attempt,
            outcome,
            began_at: delivery.began_at,
            ended_at: delivery.ended_at,
            reason: delivery.reason.clone(),
            due_at: delivery.due_at,
        });
    }

    fn size(&self) -> usize {
        let reasons =
            self.attempts.iter().map(|attempt| EACH / 2 + attempt.reason.as_deref().map_or(0, str::len));
        let handler = self.handler.as_deref().map_or(0, str::len);
        EACH + self.service.len() + self.queue.len() + handler + reasons.sum::<usize>()
    }
}

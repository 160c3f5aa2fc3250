//! Who handles what: per event and handler, what was done of what came; which services run; what reaches nobody.

use crate::{
    answer::HandlingState,
    expected::{Miss, Uncertain, due_at},
    observer::Observer,
    services::{MARGIN_MS, Service, Taker},
    window::Entry,
};
use ponos_event::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How long after it was sent an event may be unreported before a handler that does not say is silent.
const SILENT_MS: u64 = 30_000;

/// Who handles what, as far as the window reaches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Coverage {
    /// When this was so.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// Since when is observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub since: Option<Timestamp>,
    /// Whether it is observed now.
    pub listening: bool,
    /// When there was a gap last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub interrupted_at: Option<Timestamp>,
    /// Each event that was seen, or that a service declares that it publishes or handles, by name.
    pub events: Vec<EventCoverage>,
    /// How many names are left out, because there are too many for one answer.
    pub left_out: u64,
    /// The services that were heard, by name.
    pub services: Vec<ServiceCoverage>,
    /// The latest that was not handled in time, the newest first.
    pub missed: Vec<Miss>,
    /// The latest of which that is uncertain, the newest first.
    pub uncertain: Vec<Uncertain>,
}

/// Who handles the events of one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventCoverage {
    /// The name.
    pub event: String,
    /// How many were seen on the bus.
    pub seen: u64,
    /// When the latest was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub seen_at: Option<Timestamp>,
    /// The services that declare that they publish it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub published_by: Vec<String>,
    /// Whether nobody declares that they handle it, and nobody has reported that they did.
    pub reaches_nobody: bool,
    /// Who handles it, or declares that they do.
    pub handlers: Vec<HandlerCoverage>,
}

/// What a queue's handler did with the events of one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HandlerCoverage {
    /// The service.
    pub service: String,
    /// Its queue.
    pub queue: String,
    /// The name or pattern of the handler.
    pub handler: String,
    /// Whether it declares that it handles them; else it was only heard of by its reports.
    pub declared: bool,
    /// Within how many milliseconds it means to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<u64>,
    /// How many were sent since it was declared: in the window.
    pub due: u64,
    /// How many of these are handled.
    pub handled: u64,
    /// `handled` of `due`, from 0 to 1; none where nothing was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// How many wait for another attempt.
    pub waiting: u64,
    /// How many lie in the dead letters.
    pub dead: u64,
    /// When it last reported something of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub heard_at: Option<Timestamp>,
    /// What 99 of 100 of its deliveries took at most, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<i64>,
    /// The time of the newest event that was due is over, and it has reported nothing of it.
    pub silent: bool,
}

/// What is known of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServiceCoverage {
    /// Its name.
    pub service: String,
    /// Whether it runs.
    pub state: RunState,
    /// How many of its workers do.
    pub workers: usize,
    /// How many handlers it declares.
    pub handlers: usize,
    /// When it was last heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub heard_at: Option<Timestamp>,
    /// When it was last seen that reports of it were lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub lost_at: Option<Timestamp>,
}

/// Whether a service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// At least one of its workers does.
    Running,
    /// Its workers said that they had ended.
    Stopped,
    /// Its last worker fell silent without a word.
    Silent,
    /// Its queues were declared, and no worker of it was heard.
    Declared,
}

/// What was counted of one handler.
#[derive(Default)]
struct Tally {
    due: u64,
    handled: u64,
    waiting: u64,
    dead: u64,
    heard_at: Option<Timestamp>,
    took: Vec<i64>,
    /// Of the newest event whose time is over: whether something was reported.
    newest: Option<(Timestamp, bool)>,
}

/// What was counted of one name.
struct OfName {
    seen: u64,
    seen_at: Option<Timestamp>,
    /// Who declares that they take events of this name, or tasks.
    takers: [Vec<Taker>; 2],
    /// By queue and handler.
    handlers: BTreeMap<(String, String), (String, Tally)>,
}

pub(crate) fn coverage(observer: &Observer, now: Timestamp) -> Coverage {
    let entries = || observer.window.entries().filter(|entry| !entry.event.name.is_empty());
    let mut names: BTreeSet<&str> = entries().map(|entry| entry.event.name.as_str()).collect();
    for service in observer.services.all() {
        let handled = service.handlers().filter(|handler| !is_pattern(&handler.handler));
        let handled = handled.map(|handler| handler.handler.as_str());
        for name in handled.chain(service.publishes()) {
            names.insert(name);
        }
    }
    let left_out = names.len().saturating_sub(observer.limits.answer) as u64;
    // who takes a name is looked for only where it is answered: anybody may make up names
    let answered = names.into_iter().take(observer.limits.answer);
    let mut answered: BTreeMap<&str, OfName> =
        answered.map(|name| (name, OfName::new(observer, name))).collect();
    for entry in entries() {
        if let Some(of_name) = answered.get_mut(entry.event.name.as_str()) {
            of_name.add(entry, now);
        }
    }
    let events = answered.into_iter().map(|(name, of_name)| of_name.coverage(observer, name)).collect();
    let services = observer.services.all().map(|service| ServiceCoverage::of(service, now)).collect();
    Coverage {
        at: now,
        since: observer.listening.since,
        listening: observer.is_up,
        interrupted_at: observer.listening.interrupted_at,
        events,
        left_out,
        services,
        missed: observer.missed.iter().rev().cloned().collect(),
        uncertain: observer.uncertain.iter().rev().cloned().collect(),
    }
}

fn is_pattern(handler: &str) -> bool {
    handler.split('.').any(|word| matches!(word, "*" | "#"))
}

impl OfName {
    fn new(observer: &Observer, name: &str) -> Self {
        let takers = [observer.services.takers_of(name), observer.services.task_takers_of(name)];
        let mut of_name = Self { seen: 0, seen_at: None, handlers: BTreeMap::new(), takers };
        // what was not seen yet is handled, too
        for taker in of_name.takers.concat() {
            of_name.tally(&taker.service, &taker.handler.queue, &taker.handler.handler);
        }
        of_name
    }

    fn add(&mut self, entry: &Entry, now: Timestamp) {
        if entry.sent > 0 {
            self.seen += entry.sent;
            self.seen_at = self.seen_at.max(entry.sent_at);
        }
        let [of_events, of_tasks] = std::mem::take(&mut self.takers);
        if let Some(sent_at) = entry.sent_at {
            let events = of_events.iter().filter(|_| entry.sent > 0);
            let tasks = of_tasks.iter().filter(|taker| entry.queue.as_ref() == Some(&taker.handler.queue));
            for Taker { service, handler, declared_at: _ } in
                events.chain(tasks).filter(|taker| taker.declared_at <= sent_at)
            {
                let handling = entry.by_queue(&handler.queue);
                let tally = self.tally(service, &handler.queue, &handler.handler);
                tally.due += 1;
                tally.handled += u64::from(handling.is_some_and(|handling| handling.handled_at.is_some()));
                let over_at = due_at(sent_at, handler.within_ms.unwrap_or(SILENT_MS)).plus(MARGIN_MS);
                if over_at <= now && tally.newest.is_none_or(|(newest, _)| newest <= sent_at) {
                    tally.newest = Some((sent_at, handling.is_some()));
                }
            }
        }
        self.takers = [of_events, of_tasks];
        for handling in &entry.handlings {
            let handler = handling.handler.as_deref().unwrap_or_default();
            let tally = self.tally(&handling.service, &handling.queue, handler);
            tally.heard_at = tally.heard_at.max(Some(handling.heard_at));
            match HandlingState::of(handling) {
                HandlingState::Handled => {}
                HandlingState::Waiting => tally.waiting += 1,
                HandlingState::Dead => tally.dead += 1,
            }
            let took = handling.attempts.iter();
            tally.took.extend(took.map(|attempt| attempt.ended_at.since(attempt.began_at).max(0)));
        }
    }

    fn tally(&mut self, service: &str, queue: &str, handler: &str) -> &mut Tally {
        let key = (queue.to_owned(), handler.to_owned());
        &mut self.handlers.entry(key).or_insert_with(|| (service.to_owned(), Tally::default())).1
    }

    fn coverage(self, observer: &Observer, name: &str) -> EventCoverage {
        let publishers = observer.services.all();
        let publishers = publishers.filter(|service| service.publishes().any(|published| published == name));
        let published_by = publishers.map(|service| service.name.clone()).collect();
        let handlers: Vec<HandlerCoverage> = self
            .handlers
            .into_iter()
            .map(|((queue, handler), (service, tally))| {
                let declared = observer.services.get(&service).and_then(|service| {
                    service.handlers().find(|known| known.queue == queue && known.handler == handler)
                });
                tally.coverage((service, queue, handler), declared.map(|declared| declared.within_ms))
            })
            .collect();
        EventCoverage {
            event: name.to_owned(),
            seen: self.seen,
            seen_at: self.seen_at,
            published_by,
            reaches_nobody: handlers.is_empty(),
            handlers,
        }
    }
}

impl Tally {
    fn coverage(
        mut self,
        (service, queue, handler): (String, String, String),
        declared: Option<Option<u64>>,
    ) -> HandlerCoverage {
        self.took.sort_unstable();
        let rank = (self.took.len() * 99).div_ceil(100);
        HandlerCoverage {
            service,
            queue,
            handler,
            declared: declared.is_some(),
            within_ms: declared.flatten(),
            due: self.due,
            handled: self.handled,
            share: (self.due > 0).then(|| self.handled as f64 / self.due as f64),
            waiting: self.waiting,
            dead: self.dead,
            heard_at: self.heard_at,
            p99_ms: rank.checked_sub(1).and_then(|at| self.took.get(at)).copied(),
            silent: self.newest.is_some_and(|(_, is_reported)| !is_reported),
        }
    }
}

impl ServiceCoverage {
    fn of(service: &Service, now: Timestamp) -> Self {
        let workers = service.at_work(now);
        let state = match workers {
            0 if service.is_only_declared() => RunState::Declared,
            0 if service.has_vanished(now) => RunState::Silent,
            0 => RunState::Stopped,
            _ => RunState::Running,
        };
        Self {
            service: service.name.clone(),
            state,
            workers,
            handlers: service.handlers().len(),
            heard_at: service.heard_at,
            lost_at: service.lost_at,
        }
    }
}

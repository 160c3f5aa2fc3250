//! What is known of services: what they declare that they handle, and which of their workers run.
//!
//! A run numbers its messages, so that a lost one is seen with the next. A run that is killed says nothing more, and neither does one that
//! has lost its connection for reports alone: it may handle things, unreported, until it is heard again or is forgotten.

use crate::limits::Limits;
use ponos_event::{
    Timestamp,
    reports::{Declaration, DeclaredHandler, DeclaredState, Instance},
    topology::topic_matches,
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// How much later than it should a message may come.
pub(crate) const MARGIN_MS: i64 = 5_000;
/// How often a run declares at least, where it did not say.
pub(crate) const REPEATS_MS: i64 = 600_000;
/// For a run that was not heard for as long, and for twice as long as between two of its words, nobody waits any more.
const GONE_MS: i64 = 60_000;
/// The most names whose takers are remembered.
const REMEMBERED: usize = 10_000;

/// Everything known of one service.
#[derive(Debug, Clone, Default)]
pub(crate) struct Service {
    pub(crate) name: String,
    /// By queue; of a queue as one declaration has them, in its order.
    declared: Vec<Declared>,
    /// What it may publish, and which run said so last.
    publishes: Vec<(String, String)>,
    pub(crate) heard_at: Option<Timestamp>,
    runs: HashMap<String, Run>,
    /// When it was last seen that something was lost of what its runs said.
    pub(crate) lost_at: Option<Timestamp>,
    /// A run of it was there before it was heard here.
    pub(crate) is_older: bool,
}

/// A handler, and which run declared it last.
#[derive(Debug, Clone)]
struct Declared {
    handler: DeclaredHandler,
    by: String,
    /// When it was declared first.
    at: Timestamp,
}

/// One run of a worker.
#[derive(Debug, Clone)]
struct Run {
    began_at: Timestamp,
    heard_at: Timestamp,
    /// When it was last heard with nothing left to say of what had ended before.
    said_at: Option<Timestamp>,
    sequence: u64,
    dropped: u64,
    repeats_ms: i64,
    state: DeclaredState,
}

/// What the runs of a service let one say of something that was to be handled by an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// All that may have handled it were heard since, or said that they had ended.
    All,
    /// At this instant at the latest more is known.
    At(Timestamp),
    /// A run fell silent that may have handled it.
    Silent,
}

/// How long a run that declares so often is not heard before nobody waits for it.
fn silence(repeats_ms: i64) -> i64 {
    repeats_ms.saturating_mul(2).max(GONE_MS).saturating_add(MARGIN_MS)
}

impl Run {
    /// When it should have been heard again at the latest.
    fn overdue_at(&self) -> Timestamp {
        self.heard_at.plus(self.repeats_ms).plus(MARGIN_MS)
    }

    /// Until when it is waited for; nothing of it could be heard before `up_at`.
    fn gone_at(&self, up_at: Timestamp) -> Timestamp {
        self.heard_at.max(up_at).plus(silence(self.repeats_ms))
    }

    fn is_at_work(&self, now: Timestamp) -> bool {
        self.state == DeclaredState::Running && now <= self.overdue_at()
    }
}

/// A handler of a service.
#[derive(Debug, Clone)]
pub(crate) struct Taker {
    pub(crate) service: String,
    pub(crate) handler: DeclaredHandler,
    /// When the handler was declared first.
    pub(crate) declared_at: Timestamp,
}

/// All services.
#[derive(Debug, Default)]
pub(crate) struct Services {
    by_name: BTreeMap<String, Service>,
    /// Who takes events of a name, until somebody declares something else.
    takers: HashMap<String, Arc<[Taker]>>,
    /// How many messages were of services that there was no room for.
    pub(crate) refused: u64,
}

impl Services {
    pub(crate) fn get(&self, name: &str) -> Option<&Service> {
        self.by_name.get(name)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Service> {
        self.by_name.values()
    }

    /// A run said something.
    pub(crate) fn heard(&mut self, now: Timestamp, by: &Instance, limits: &Limits) -> Option<&mut Service> {
        if !self.by_name.contains_key(&by.service) && self.by_name.len() >= limits.services {
            self.refused += 1;
            return None;
        }
        let service = self.by_name.entry(by.service.clone()).or_default();
        service.name.clone_from(&by.service);
        service.heard(now, by, limits);
        Some(service)
    }

    /// It declared something.
    pub(crate) fn declared(&mut self, now: Timestamp, declaration: Declaration, limits: &Limits) {
        let Declaration { by, state, since: _, repeats_ms, handlers, publishes } = declaration;
        let Some(service) = self.heard(now, &by, limits) else { return };
        if let Some(run) = service.runs.get_mut(&by.instance) {
            run.state = state;
            run.repeats_ms = i64::try_from(repeats_ms).unwrap_or(i64::MAX).clamp(1, limits.age_ms);
        }
        let is_news = state != DeclaredState::Stopped
            && service.declares(now, by.instance, (handlers, publishes), limits.of_service);
        if is_news {
            self.takers.clear();
        }
    }

    /// Who takes events of this name.
    pub(crate) fn takers(&mut self, name: &str) -> Arc<[Taker]> {
        if let Some(takers) = self.takers.get(name) {
            return Arc::clone(takers);
        }
        if self.takers.len() >= REMEMBERED {
            self.takers.clear();
        }
        let takers: Arc<[Taker]> = self.takers_of(name).into();
        self.takers.insert(name.to_owned(), Arc::clone(&takers));
        takers
    }

    /// The same without remembering it.
    pub(crate) fn takers_of(&self, name: &str) -> Vec<Taker> {
        self.all().flat_map(|service| service.takers(name)).collect()
    }

    /// Who takes tasks of this name, each from a queue of its own.
    pub(crate) fn task_takers_of(&self, name: &str) -> Vec<Taker> {
        let is_of = |known: &&Declared| known.handler.tasks && known.handler.handler == name;
        let of = |service: &'_ Service| {
            let known = service.declared.iter().filter(is_of);
            known.map(|known| service.taker(known)).collect::<Vec<_>>()
        };
        self.all().flat_map(of).collect()
    }

    /// Forgets what was not heard for long.
    pub(crate) fn trim(&mut self, now: Timestamp, limits: &Limits) {
        let is_old = |heard_at: Timestamp| now.since(heard_at) > limits.age_ms;
        let before = self.by_name.len();
        self.by_name.retain(|_, service| service.heard_at.is_some_and(|heard_at| !is_old(heard_at)));
        let mut is_news = self.by_name.len() < before;
        for service in self.by_name.values_mut() {
            let runs = service.runs.len();
            service.runs.retain(|_, run| !is_old(run.heard_at));
            is_news |= service.runs.len() < runs && service.forget_what_nobody_declares();
        }
        if is_news {
            self.takers.clear();
        }
    }
}

impl Service {
    fn heard(&mut self, now: Timestamp, by: &Instance, limits: &Limits) {
        self.heard_at = Some(now);
        if let Some(run) = self.runs.get_mut(&by.instance) {
            // one that came twice says nothing new
            if by.sequence > run.sequence.saturating_add(1) || by.dropped > run.dropped {
                self.lost_at = Some(now);
            }
            run.sequence = run.sequence.max(by.sequence);
            run.dropped = run.dropped.max(by.dropped);
            run.heard_at = now;
            if by.waiting == 0 {
                run.said_at = Some(now);
            }
            return;
        }
        self.is_older |= by.sequence > 1;
        // what it said before was lost, or said before anybody listened
        if by.dropped > 0 || by.sequence > 1 {
            self.lost_at = Some(now);
        }
        if self.runs.len() >= limits.of_service {
            self.drop_a_run(now);
        }
        let run = Run {
            began_at: now,
            heard_at: now,
            said_at: (by.waiting == 0).then_some(now),
            sequence: by.sequence,
            dropped: by.dropped,
            repeats_ms: REPEATS_MS,
            state: DeclaredState::Running,
        };
        self.runs.insert(by.instance.clone(), run);
    }

    /// Makes room for a run: of one that is over, or else of the one that was heard longest ago, of which something may be lost then.
    fn drop_a_run(&mut self, now: Timestamp) {
        // of those that were heard at the same time the one that began first, and then by name: the map has no order of its own
        let order = |(name, run): &(&String, &Run)| {
            (run.is_at_work(now), run.heard_at, run.began_at, String::clone(name))
        };
        let oldest = self.runs.iter().min_by_key(order);
        let Some((instance, was_at_work)) = oldest.map(|(name, run)| (name.clone(), run.is_at_work(now)))
        else {
            return;
        };
        self.runs.remove(&instance);
        self.declared.retain(|known| known.by != instance);
        self.publishes.retain(|(_, by)| *by != instance);
        if was_at_work {
            self.lost_at = Some(now);
        }
    }

    /// What a run declares replaces what it declared before, and what other runs did of the same queues: programs that share a service
    /// have queues of their own, and versions of a program have the same. Whether that is news.
    fn declares(
        &mut self,
        now: Timestamp,
        by: String,
        (handlers, publishes): (Vec<DeclaredHandler>, Vec<String>),
        most: usize,
    ) -> bool {
        let known = std::mem::take(&mut self.declared);
        let key = |handler: &DeclaredHandler| (handler.queue.clone(), handler.handler.clone());
        let at: HashMap<(String, String), Timestamp> =
            known.iter().map(|known| (key(&known.handler), known.at)).collect();
        let new = handlers.into_iter().take(most).map(|handler| {
            let at = at.get(&key(&handler)).copied().unwrap_or(now);
            Declared { handler, by: by.clone(), at }
        });
        let mut declared: Vec<Declared> = new.collect();
        let queues: HashSet<&str> = declared.iter().map(|new| new.handler.queue.as_str()).collect();
        let others =
            known.iter().filter(|known| known.by != by && !queues.contains(known.handler.queue.as_str()));
        let others: Vec<Declared> = others.take(most - declared.len()).cloned().collect();
        declared.extend(others);
        // stable: what is of one queue stays in its order
        declared.sort_by(|one, other| one.handler.queue.cmp(&other.handler.queue));
        let handlers = |of: &'_ [Declared]| of.iter().map(|one| one.handler.clone()).collect::<Vec<_>>();
        let is_news = handlers(&known) != handlers(&declared);
        self.declared = declared;
        self.publishes.retain(|(name, of)| *of != by && !publishes.contains(name));
        self.publishes.extend(publishes.into_iter().map(|name| (name, by.clone())));
        self.publishes.drain(..self.publishes.len().saturating_sub(most));
        is_news
    }

    /// What only runs declared that are not known any more is forgotten; whether there was such a thing.
    fn forget_what_nobody_declares(&mut self) -> bool {
        let Self { declared, publishes, runs, .. } = self;
        let before = declared.len();
        declared.retain(|known| runs.contains_key(&known.by));
        publishes.retain(|(_, by)| runs.contains_key(by));
        declared.len() < before
    }

    pub(crate) fn handlers(&self) -> impl ExactSizeIterator<Item = &DeclaredHandler> {
        self.declared.iter().map(|known| &known.handler)
    }

    pub(crate) fn publishes(&self) -> impl Iterator<Item = &str> {
        self.publishes.iter().map(|(name, _)| name.as_str())
    }

    fn taker(&self, known: &Declared) -> Taker {
        Taker { service: self.name.clone(), handler: known.handler.clone(), declared_at: known.at }
    }

    /// Those of its handlers that take an event of this name: of each queue the first that matches.
    fn takers(&self, name: &str) -> Vec<Taker> {
        let takes = |known: &&Declared| !known.handler.tasks && topic_matches(&known.handler.handler, name);
        let mut takers: Vec<Taker> =
            self.declared.iter().filter(takes).map(|known| self.taker(known)).collect();
        takers.dedup_by(|later, first| later.handler.queue == first.handler.queue);
        takers
    }

    /// Whether this handler may have been given up: whoever declared it has stopped, and another run has begun since it did and does not
    /// declare it.
    pub(crate) fn may_be_given_up(&self, queue: &str, handler: &str) -> bool {
        let mut declared = self.declared.iter();
        let known = declared.find(|known| known.handler.queue == queue && known.handler.handler == handler);
        let Some((by, run)) = known.and_then(|known| Some((&known.by, self.runs.get(&known.by)?))) else {
            return false;
        };
        let mut others = self.runs.iter().filter(|(other, _)| *other != by);
        run.state == DeclaredState::Stopped
            && others
                .any(|(_, other)| other.state != DeclaredState::Declared && other.began_at >= run.began_at)
    }

    /// The one that takes the tasks of this queue.
    pub(crate) fn task_taker(&self, queue: &str) -> Option<&DeclaredHandler> {
        self.handlers().find(|handler| handler.tasks && handler.queue == queue)
    }

    /// How many of its workers run, as far as is known.
    pub(crate) fn at_work(&self, now: Timestamp) -> usize {
        self.runs.values().filter(|run| run.is_at_work(now)).count()
    }

    /// Whether a run of it fell silent without a word.
    pub(crate) fn has_vanished(&self, now: Timestamp) -> bool {
        self.runs.values().any(|run| run.state == DeclaredState::Running && !run.is_at_work(now))
    }

    /// Whether it was only declared: no worker of it was heard.
    pub(crate) fn is_only_declared(&self) -> bool {
        self.runs.values().all(|run| run.state == DeclaredState::Declared)
    }

    /// By when each of its runs was heard that was there at `up_at`.
    pub(crate) fn known_at(&self, up_at: Timestamp) -> Timestamp {
        let repeats = self.runs.values().map(|run| run.repeats_ms).max().unwrap_or(REPEATS_MS);
        up_at.plus(silence(repeats))
    }

    /// What can be said of something that was to be handled by `due_at`, by who listens since `up_at`.
    pub(crate) fn word(&self, now: Timestamp, due_at: Timestamp, up_at: Timestamp) -> Word {
        let running = self.runs.values().filter(|run| run.state == DeclaredState::Running);
        // who went without a word may be at work still: only its reports may have nowhere to go
        let unknown = running.filter(|run| run.said_at.is_none_or(|at| at < due_at));
        match unknown.map(|run| run.gone_at(up_at)).min() {
            None => Word::All,
            Some(gone_at) if gone_at < now => Word::Silent,
            Some(gone_at) => Word::At(gone_at),
        }
    }
}

//! The deliveries that wait for a program, those that programs have, and what became of them.
//!
//! A delivery is offered by its handler (`offering.rs`), which waits for the outcome. A program that receives it gets a
//! token; whoever has the token settles it, once. What became of a token is known for ten minutes, so that a lost answer can
//! be asked for again. Invariant: of one token one outcome goes to the worker. How the delivery ended comes from the worker's
//! observer, which is called in the delivery's own task, before it is acked.
//!
//! Bounds: no more deliveries are here than the queues have places; the tokens that ended are as many as `fates` keeps.

mod fates;
mod offering;
mod presence;

pub(super) use fates::Fate;
pub(super) use offering::{Terms, WAITING};

use super::metrics::ServeMetrics;
use fates::Fates;
use ponos::worker::{Context, HandlerResult, Observed};
use presence::Presence;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot, watch},
    task,
    time::{Instant, timeout_at},
};

/// What names a delivery to the program that has it.
pub(super) type Token = Arc<str>;

/// All of them. Clones share them.
#[derive(Clone)]
pub(super) struct Deliveries(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// One was offered, or there will be no more.
    came: Notify,
    /// How many programs have.
    held: watch::Sender<usize>,
    /// How long a program may have one, with all extensions.
    longest: Duration,
    metrics: ServeMetrics,
}

#[derive(Default)]
struct State {
    draining: bool,
    waiting: VecDeque<Waiting>,
    held: HashMap<Token, Held>,
    by_task: HashMap<task::Id, Token>,
    fates: Fates,
    presence: Presence,
}

/// One that nobody has yet.
struct Waiting {
    token: Token,
    delivery: Received,
    timeout: Duration,
    deadline: watch::Sender<Option<Instant>>,
    decide: oneshot::Sender<HandlerResult>,
}

/// One that a program has.
struct Held {
    delivery: Received,
    /// The queue that its program asked for, if it asked for one.
    wanted: Option<Arc<str>>,
    since: Instant,
    timeout: Duration,
    deadline: watch::Sender<Option<Instant>>,
    stage: HeldStage,
    fate: watch::Sender<Option<Fate>>,
}

enum HeldStage {
    /// It waits for its outcome.
    Open(oneshot::Sender<HandlerResult>),
    /// It has its outcome, with this digest.
    Settling(u64),
    /// Its time is over.
    Late,
}

/// A delivery as a program receives it.
#[derive(Clone)]
pub(super) struct Received {
    pub(super) queue: Arc<str>,
    pub(super) context: Context,
}

/// Why nothing can be received.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Draining;

/// Why an outcome is not taken.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// Nobody has such a token, or what became of it is long forgotten.
    Unknown,
    /// Its time is over.
    Late,
    /// It was given back, or ended without this program.
    Gone(Fate),
    /// It has another outcome already.
    Other,
}

/// What an outcome meets.
pub(super) enum Settling<'a> {
    /// It is the first.
    Open(Deciding<'a>),
    /// The delivery ended by it before.
    Ended(Fate),
    /// It is being carried out.
    Wait(watch::Receiver<Option<Fate>>),
}

/// The right to decide about one delivery, while what its outcome publishes is checked. Dropped, the delivery is open again.
pub(super) struct Deciding<'a> {
    deliveries: &'a Deliveries,
    token: Token,
    decide: Option<oneshot::Sender<HandlerResult>>,
    pub(super) context: Context,
    fate: watch::Receiver<Option<Fate>>,
}

impl Deliveries {
    /// None yet. `longest` is how long a program may have one, with all extensions, unless its policy gives it longer.
    pub(super) fn new(longest: Duration) -> Self {
        let (state, came, held) = (Mutex::default(), Notify::new(), watch::Sender::new(0));
        let metrics = ServeMetrics::default();
        Self(Arc::new(Shared { state, came, held, longest, metrics }))
    }

    /// What is counted of them.
    pub(super) fn metrics(&self) -> &ServeMetrics {
        &self.0.metrics
    }

    /// The next delivery, of that queue if one is named, and its token and deadline; `None` if none comes within `wait`.
    pub(super) async fn receive(
        &self,
        queue: Option<&str>,
        wait: Duration,
    ) -> Result<Option<(Token, Received, Instant)>, Draining> {
        let (until, _pull) = (Instant::now() + wait, self.0.metrics.pull());
        loop {
            let came = self.0.came.notified();
            tokio::pin!(came);
            // before it is looked, so that nothing comes unseen in between
            came.as_mut().enable();
            if let Some(next) = self.next(queue)? {
                return Ok(Some(next));
            }
            if timeout_at(until, came).await.is_err() {
                self.lock().presence.note(queue);
                return Ok(None);
            }
        }
    }

    fn next(&self, queue: Option<&str>) -> Result<Option<(Token, Received, Instant)>, Draining> {
        let mut state = self.lock();
        if state.draining {
            return Err(Draining);
        }
        state.presence.note(queue);
        let mut wanted = state.waiting.iter();
        let found = wanted.position(|one| queue.is_none_or(|queue| *one.delivery.queue == *queue));
        let Some(next) = found.and_then(|at| state.waiting.remove(at)) else { return Ok(None) };
        let Waiting { token, delivery, timeout, deadline, decide } = next;
        let (since, until) = (Instant::now(), Instant::now() + timeout);
        deadline.send_replace(Some(until));
        let (stage, fate) = (HeldStage::Open(decide), watch::Sender::new(None));
        let wanted = queue.map(Arc::from);
        let held = Held { delivery: delivery.clone(), wanted, since, timeout, deadline, stage, fate };
        state.held.insert(Arc::clone(&token), held);
        self.count(&state);
        Ok(Some((token, delivery, until)))
    }

    /// Lets a program have it until `by` from now, at most as long as any may have one. Returns until when.
    pub(super) fn extend(&self, token: &str, by: Duration) -> Result<Instant, NotTaken> {
        let mut state = self.lock();
        let Some(held) = state.held.get_mut(token) else { return Err(state.why_not(token)) };
        match held.stage {
            HeldStage::Open(_) => {}
            HeldStage::Settling(_) => return Err(NotTaken::Other),
            HeldStage::Late => return Err(NotTaken::Late),
        }
        let most = held.since + held.timeout.max(self.0.longest);
        let now = (*held.deadline.borrow()).unwrap_or(held.since);
        let until = (Instant::now() + by).min(most).max(now);
        held.deadline.send_replace(Some(until));
        Ok(until)
    }

    /// Takes the outcome with this digest for a delivery, or finds what came of it before.
    pub(super) fn decide(&self, token: &str, digest: u64) -> Result<Settling<'_>, NotTaken> {
        let mut state = self.lock();
        let Some(held) = state.held.get_mut(token) else {
            return match state.fates.get(token) {
                Some(fate) if fate.digest == Some(digest) => Ok(Settling::Ended(fate.clone())),
                _ => Err(state.why_not(token)),
            };
        };
        match std::mem::replace(&mut held.stage, HeldStage::Settling(digest)) {
            HeldStage::Open(decide) => {
                let (context, fate) = (held.delivery.context.clone(), held.fate.subscribe());
                let (token, decide) = (Arc::from(token), Some(decide));
                Ok(Settling::Open(Deciding { deliveries: self, token, decide, context, fate }))
            }
            HeldStage::Settling(other) => {
                held.stage = HeldStage::Settling(other);
                if other != digest {
                    return Err(NotTaken::Other);
                }
                Ok(Settling::Wait(held.fate.subscribe()))
            }
            HeldStage::Late => {
                held.stage = HeldStage::Late;
                Err(NotTaken::Late)
            }
        }
    }

    /// Notes how a delivery ended; called by the worker in the delivery's task.
    pub(super) fn note(&self, observed: &Observed) {
        let (Observed::Ended { ended, .. }, Some(id)) = (observed, task::try_id()) else { return };
        let mut state = self.lock();
        let Some(token) = state.by_task.remove(&id) else { return };
        let Some(held) = state.held.remove(&token) else { return };
        let (digest, was_late) = match held.stage {
            HeldStage::Settling(digest) => (Some(digest), false),
            HeldStage::Open(_) => (None, false),
            HeldStage::Late => (None, true),
        };
        if digest.is_some() {
            state.presence.note(held.wanted.as_deref());
        }
        let fate = Fate { digest, ended: ended.clone(), was_late };
        held.fate.send_replace(Some(fate.clone()));
        state.fates.insert(token, fate);
        self.count(&state);
    }

    /// From now on nothing is received.
    pub(super) fn drain(&self) {
        self.lock().draining = true;
        self.0.came.notify_waiters();
    }

    /// Resolves when no program has any.
    pub(super) async fn none_held(&self) {
        // the sender is ours: it can't be gone
        let _ = self.0.held.subscribe().wait_for(|held| *held == 0).await;
    }

    /// How long a program may have a delivery of this policy's timeout.
    pub(super) fn longest(&self, timeout: Duration) -> Duration {
        timeout.max(self.0.longest)
    }

    fn count(&self, state: &State) {
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.0.metrics.waiting.set(whole(state.waiting.len()));
        self.0.metrics.held.set(whole(state.held.len()));
        self.0.held.send_replace(state.held.len());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // nothing is left half done within
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// When a program was last there that takes deliveries of this queue: now, if one has a delivery.
    fn seen(&self, queue: &str) -> Option<Instant> {
        let is_at_work = self.held.values().any(|held| presence::covers(held.wanted.as_deref(), queue));
        if is_at_work { Some(Instant::now()) } else { self.presence.seen(queue) }
    }

    fn why_not(&self, token: &str) -> NotTaken {
        match self.fates.get(token) {
            None => NotTaken::Unknown,
            Some(fate) if fate.digest.is_some() => NotTaken::Other,
            Some(fate) => NotTaken::Gone(fate.clone()),
        }
    }
}

impl Deciding<'_> {
    /// Hands the outcome to the worker.
    pub(super) fn decided(mut self, outcome: HandlerResult) -> watch::Receiver<Option<Fate>> {
        if let Some(decide) = self.decide.take() {
            // an error: the worker stops, and how the delivery ended is noted all the same
            let _ = decide.send(outcome);
        }
        self.fate.clone()
    }
}

impl Drop for Deciding<'_> {
    fn drop(&mut self) {
        let Some(decide) = self.decide.take() else { return };
        let mut state = self.deliveries.lock();
        if let Some(held) = state.held.get_mut(&self.token) {
            held.stage = HeldStage::Open(decide);
            // its deadline may have passed meanwhile
            let deadline = *held.deadline.borrow();
            held.deadline.send_replace(deadline);
        }
    }
}

#[cfg(test)]
mod tests;

//! The circuit of a queue, or of several that share a [`Breaker`] by name: closed while tasks may begin, open while something
//! that they need is unavailable. An open one probes with one task from time to time; after a probe that succeeds, one, two,
//! four … tasks may run, up to all.
//!
//! Invariant: the result of a task that began before the last change of state is ignored. Absent: deliveries, which are the
//! queue loop's.

mod recent;

use super::{breaker::Breaker, plan::QueuePlan};
use recent::Recent;
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// An outage that has lasted for this long is a long one: what is in hand goes back to the queue. Until then it stays, for up to
/// RabbitMQ 4.2 each return counts.
const LONG: Duration = Duration::from_secs(30);

/// A paused queue: something that its tasks need is unavailable. `Display` is a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paused {
    /// The queue.
    pub queue: Arc<str>,
    /// What is unavailable, as [`Failure::unavailable`](super::Failure::unavailable) named it.
    pub name: String,
    /// The reason that the last task gave.
    pub reason: String,
    /// How long it has been paused.
    pub lasts: Duration,
}

impl fmt::Display for Paused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is paused for {} s: {}", self.queue, self.lasts.as_secs(), self.reason)
    }
}

/// The circuit of one queue, or of all that share it.
#[derive(Debug)]
pub(crate) struct Circuit {
    /// `None`: it never opens.
    breaker: Option<Breaker>,
    /// Its queues, for the log.
    queues: String,
    /// How many tasks of all its queues may run when nothing is wrong.
    full: usize,
    /// The round of the state: even while all tasks may pass, so that this is seen without a lock.
    round: AtomicU64,
    /// Whether anything was ever unavailable: until then nothing is counted.
    counts: AtomicBool,
    state: Mutex<CircuitState>,
    changed: Notify,
}

#[derive(Debug)]
struct CircuitState {
    phase: CircuitPhase,
    recent: Recent,
    wait: Duration,
    /// While something is unavailable.
    outage: Option<Outage>,
    /// How many there were.
    outages: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CircuitPhase {
    Closed,
    Open {
        until: Instant,
    },
    /// `width` tasks at a time; 0 for the one probe.
    Probing {
        width: usize,
        at_work: usize,
        answered: usize,
    },
}

#[derive(Debug)]
struct Outage {
    /// From 1.
    number: u64,
    name: String,
    reason: String,
    since: Instant,
}

/// Permission for one task to begin, with the round in which it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// The place of one task that was admitted; free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    circuit: &'a Circuit,
    ticket: Ticket,
}

impl Ticket {
    /// Of what has no place of its own, but is part of something that has.
    pub(crate) const NONE: Self = Self(u64::MAX - 1);
}

impl<'a> Place<'a> {
    pub(crate) fn new(circuit: &'a Circuit, ticket: Ticket) -> Self {
        Self { circuit, ticket }
    }

    pub(crate) fn ticket(&self) -> Ticket {
        self.ticket
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.circuit.ended(self.ticket);
    }
}

/// The circuits of these queues, in their order; those whose breakers have one name share one.
pub(crate) fn circuits(queues: &[QueuePlan]) -> Vec<Arc<Circuit>> {
    fn name(plan: &QueuePlan) -> Option<&str> {
        plan.policy.breaker.as_ref()?.name.as_deref()
    }
    let mut shared: HashMap<&str, Arc<Circuit>> = HashMap::new();
    let each = queues.iter().map(|plan| match name(plan) {
        None => Arc::new(Circuit::of([plan])),
        Some(of) => {
            let all = || Circuit::of(queues.iter().filter(|other| name(other) == Some(of)));
            Arc::clone(shared.entry(of).or_insert_with(|| Arc::new(all())))
        }
    });
    each.collect()
}

impl Circuit {
    /// For all of these queues, which agree on it.
    fn of<'a>(plans: impl IntoIterator<Item = &'a QueuePlan>) -> Self {
        let mut breaker: Option<Breaker> = None;
        let (mut names, mut full) = (Vec::new(), 0_usize);
        for plan in plans {
            breaker.clone_from(&plan.policy.breaker);
            names.push(&*plan.name);
            full = full.saturating_add(plan.policy.slots());
        }
        Self::new(breaker, names.join(", "), full)
    }

    pub(crate) fn new(breaker: Option<Breaker>, queues: String, full: usize) -> Self {
        let state = CircuitState {
            phase: CircuitPhase::Closed,
            recent: Recent::default(),
            wait: Duration::ZERO,
            outage: None,
            outages: 0,
        };
        let (round, counts) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { breaker, queues, full, round, counts, state: Mutex::new(state), changed: Notify::new() }
    }

    /// Whether it opens at all.
    pub(crate) fn is_on(&self) -> bool {
        self.breaker.is_some()
    }

    /// Whether a handler that ran out of its time has found something unavailable; if so, its name for that.
    pub(crate) fn of_timeouts(&self) -> Option<&str> {
        let breaker = self.breaker.as_ref().filter(|breaker| breaker.timeouts)?;
        Some(breaker.name.as_deref().unwrap_or("what its handlers wait for"))
    }

    /// Waits until one more task may begin. The caller makes a [`Place`] of the ticket, or gives it back with
    /// [`Circuit::ended`]. Cancel safe.
    pub(crate) async fn admitted(&self) -> Ticket {
        if let Some(passes) = self.passes() {
            return passes;
        }
        loop {
            let changed = self.changed.notified();
            match self.admit() {
                Ok(ticket) => return ticket,
                Err(Some(until)) => tokio::select! {
                    () = sleep_until(until) => {}
                    () = changed => {}
                },
                Err(None) => changed.await,
            }
        }
    }

    fn passes(&self) -> Option<Ticket> {
        let round = self.round.load(Ordering::Acquire);
        round.is_multiple_of(2).then_some(Ticket(round))
    }

    /// The error says when to try again; `None`: when a running task has ended.
    fn admit(&self) -> Result<Ticket, Option<Instant>> {
        let mut state = self.lock();
        let ticket = Ticket(self.round.load(Ordering::Acquire));
        match &mut state.phase {
            CircuitPhase::Closed => Ok(ticket),
            CircuitPhase::Open { until } if Instant::now() < *until => Err(Some(*until)),
            phase @ CircuitPhase::Open { .. } => {
                *phase = CircuitPhase::Probing { width: 0, at_work: 1, answered: 0 };
                Ok(ticket)
            }
            CircuitPhase::Probing { width, at_work, .. } if *at_work < (*width).max(1) => {
                *at_work += 1;
                Ok(ticket)
            }
            CircuitPhase::Probing { .. } => Err(None),
        }
    }

    /// Whether a task that was admitted may still begin.
    pub(crate) fn is_current(&self, ticket: Ticket) -> bool {
        self.round.load(Ordering::Acquire) == ticket.0
    }

    /// Whether more than one at a time may be taken in.
    pub(crate) fn may_widen(&self) -> bool {
        self.passes().is_some() || matches!(self.lock().phase, CircuitPhase::Probing { width: 2.., .. })
    }

    /// The number of the outage, if there is one and it is a long one.
    pub(crate) fn long_outage(&self) -> Option<u64> {
        if self.passes().is_some() {
            return None;
        }
        let state = self.lock();
        state.outage.as_ref().filter(|outage| outage.since.elapsed() >= LONG).map(|outage| outage.number)
    }

    /// Resolves once there is a long outage other than the one of this number.
    pub(crate) async fn lasts(&self, seen: u64) {
        loop {
            let changed = self.changed.notified();
            let begun = if self.passes().is_some() { None } else { self.begun(seen) };
            match begun {
                Some(since) if since.elapsed() >= LONG => return,
                Some(since) => tokio::select! {
                    () = sleep_until(since + LONG) => {}
                    () = changed => {}
                },
                None => changed.await,
            }
        }
    }

    /// Since when there has been an outage other than the one of this number.
    fn begun(&self, seen: u64) -> Option<Instant> {
        let state = self.lock();
        state.outage.as_ref().filter(|outage| outage.number != seen).map(|outage| outage.since)
    }

    /// Notes that a task could not reach what it needs; `at_once`: that is enough. Returns whether that opens it.
    pub(crate) fn unavailable(&self, ticket: Ticket, (name, reason): (&str, &str), at_once: bool) -> bool {
        let Some(breaker) = &self.breaker else { return false };
        self.counts.store(true, Ordering::Release);
        let mut state = self.lock();
        let (before, now) = (self.round.load(Ordering::Acquire), Instant::now());
        if ticket.0 != before {
            // one more of those that began before
            return false;
        }
        let phase = state.phase;
        let wait = match phase {
            CircuitPhase::Closed => {
                let enough = state.recent.unavailable(now, breaker.in_a_row);
                if !enough && !at_once {
                    return false;
                }
                breaker.first
            }
            CircuitPhase::Open { .. } => return false,
            CircuitPhase::Probing { width: 0, .. } => state.wait.saturating_mul(2).min(breaker.longest),
            // it was there in between
            CircuitPhase::Probing { .. } => breaker.first,
        };
        (state.wait, state.phase) = (wait, CircuitPhase::Open { until: now + wait });
        state.recent.clear();
        let known = state.outage.as_ref().map(|outage| (outage.number, outage.since));
        let (number, since) = match known {
            Some(known) => known,
            None => {
                tracing::warn!(
                    queue = self.queues,
                    name,
                    reason,
                    "the queue is paused, because something that its handlers need is unavailable"
                );
                state.outages += 1;
                (state.outages, now)
            }
        };
        state.outage = Some(Outage { number, name: name.to_owned(), reason: reason.to_owned(), since });
        // odd, and another one than before
        self.round.store((before + 1) | 1, Ordering::Release);
        drop(state);
        self.changed.notify_waiters();
        true
    }

    /// Notes that a task ran and ended in another way, so that what it needs is available.
    pub(crate) fn answered(&self, ticket: Ticket) {
        if !self.counts.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.lock();
        let round = self.round.load(Ordering::Acquire);
        if round != ticket.0 {
            return;
        }
        let CircuitState { phase, recent, outage, .. } = &mut *state;
        let (width, answered) = match phase {
            CircuitPhase::Closed => return recent.answered(Instant::now()),
            CircuitPhase::Open { .. } => return,
            CircuitPhase::Probing { width, answered, .. } => (width, answered),
        };
        *answered += 1;
        if *answered < (*width).max(1) {
            return;
        }
        *width = if *width == 0 { 1 } else { width.saturating_mul(2) };
        *answered = 0;
        let all = *width >= self.full;
        if let Some(Outage { name, since, .. }) = outage.take() {
            let paused = since.elapsed();
            tracing::info!(
                queue = self.queues,
                name,
                ?paused,
                "what the handlers need is available again; the queue goes on"
            );
        }
        if all {
            *phase = CircuitPhase::Closed;
            self.round.store(round + 1, Ordering::Release);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Notes that a task has ended in any way, or did not begin after all.
    pub(crate) fn ended(&self, ticket: Ticket) {
        if ticket.0.is_multiple_of(2) {
            return;
        }
        let mut state = self.lock();
        if self.is_current(ticket)
            && let CircuitPhase::Probing { at_work, .. } = &mut state.phase
        {
            *at_work = at_work.saturating_sub(1);
            drop(state);
            self.changed.notify_waiters();
        }
    }

    /// Whether its queues are paused.
    pub(crate) fn is_open(&self) -> bool {
        self.lock().outage.is_some()
    }

    /// The pause of this queue, one of its own, if it is paused.
    pub(crate) fn status(&self, queue: &Arc<str>) -> Option<Paused> {
        let state = self.lock();
        let Outage { name, reason, since, .. } = state.outage.as_ref()?;
        Some(Paused {
            queue: Arc::clone(queue),
            name: name.clone(),
            reason: reason.clone(),
            lasts: since.elapsed(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, CircuitState> {
        // no change can be left half done
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

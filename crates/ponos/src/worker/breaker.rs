//! The circuit breaker of a queue: pauses it while something that its tasks need is unavailable, and probes with one task
//! from time to time. After a probe that succeeds, one, two, four … tasks may run, up to all.
//!
//! Invariant: the result of a task that began before the last change of state is ignored. Absent: deliveries, which are the
//! queue loop's.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// The wait before the first probe; twice as long each time …
const SHORTEST: Duration = Duration::from_secs(1);
/// … up to this.
const LONGEST: Duration = Duration::from_secs(30);

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

/// The breaker of one queue.
#[derive(Debug)]
pub(crate) struct Breaker {
    queue: Arc<str>,
    /// How many tasks may run when nothing is wrong.
    full: usize,
    /// The round of the state: even while all tasks may pass, so that this is seen without a lock.
    round: AtomicU64,
    /// How often it was paused, each failed probe counted.
    pauses: AtomicU64,
    state: Mutex<BreakerState>,
    changed: Notify,
}

#[derive(Debug)]
struct BreakerState {
    phase: BreakerPhase,
    wait: Duration,
    why: Option<Why>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BreakerPhase {
    Passing,
    Paused {
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
struct Why {
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
    breaker: &'a Breaker,
    ticket: Ticket,
}

impl Ticket {
    /// Of what has no place of its own, but is part of something that has.
    pub(crate) const NONE: Self = Self(u64::MAX - 1);
}

impl<'a> Place<'a> {
    pub(crate) fn new(breaker: &'a Breaker, ticket: Ticket) -> Self {
        Self { breaker, ticket }
    }

    pub(crate) fn ticket(&self) -> Ticket {
        self.ticket
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.breaker.ended(self.ticket);
    }
}

impl Breaker {
    pub(crate) fn new(queue: Arc<str>, full: usize) -> Self {
        let state = BreakerState { phase: BreakerPhase::Passing, wait: SHORTEST, why: None };
        let (round, pauses) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { queue, full, round, pauses, state: Mutex::new(state), changed: Notify::new() }
    }

    /// Waits until one more task may begin. The caller makes a [`Place`] of the ticket, or gives it back with
    /// [`Breaker::ended`]. Cancel safe.
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
            BreakerPhase::Passing => Ok(ticket),
            BreakerPhase::Paused { until } if Instant::now() < *until => Err(Some(*until)),
            phase @ BreakerPhase::Paused { .. } => {
                *phase = BreakerPhase::Probing { width: 0, at_work: 1, answered: 0 };
                Ok(ticket)
            }
            BreakerPhase::Probing { width, at_work, .. } if *at_work < (*width).max(1) => {
                *at_work += 1;
                Ok(ticket)
            }
            BreakerPhase::Probing { .. } => Err(None),
        }
    }

    /// Whether a task that was admitted may still begin.
    pub(crate) fn is_current(&self, ticket: Ticket) -> bool {
        self.round.load(Ordering::Acquire) == ticket.0
    }

    /// Whether more than one at a time may be taken in.
    pub(crate) fn may_widen(&self) -> bool {
        self.passes().is_some() || matches!(self.lock().phase, BreakerPhase::Probing { width: 2.., .. })
    }

    /// How often it was paused so far.
    pub(crate) fn pauses(&self) -> u64 {
        self.pauses.load(Ordering::Acquire)
    }

    /// Resolves once it was paused more than `before` times.
    pub(crate) async fn paused(&self, before: u64) {
        loop {
            let changed = self.changed.notified();
            if self.pauses() > before {
                return;
            }
            changed.await;
        }
    }

    /// Notes that a task could not reach what it needs. Returns whether that pauses the queue.
    pub(crate) fn unavailable(&self, ticket: Ticket, name: &str, reason: &str) -> bool {
        let mut state = self.lock();
        let before = self.round.load(Ordering::Acquire);
        match state.phase {
            BreakerPhase::Passing if ticket.0 == before => state.wait = SHORTEST,
            BreakerPhase::Probing { width, .. } if ticket.0 == before => {
                // it was there in between
                state.wait = if width > 0 { SHORTEST } else { (state.wait * 2).min(LONGEST) };
            }
            // one more of those that began before
            BreakerPhase::Passing | BreakerPhase::Paused { .. } | BreakerPhase::Probing { .. } => {
                return false;
            }
        }
        let until = Instant::now() + state.wait;
        state.phase = BreakerPhase::Paused { until };
        let since = match &state.why {
            Some(why) => why.since,
            None => {
                tracing::warn!(queue = %self.queue, name, reason, "the queue is paused, because something that its handlers need is unavailable");
                Instant::now()
            }
        };
        state.why = Some(Why { name: name.to_owned(), reason: reason.to_owned(), since });
        // odd, and another one than before
        self.round.store((before + 1) | 1, Ordering::Release);
        self.pauses.fetch_add(1, Ordering::Release);
        drop(state);
        self.changed.notify_waiters();
        true
    }

    /// Notes that a task ran and ended in another way, so that what it needs is available.
    pub(crate) fn answered(&self, ticket: Ticket) {
        if self.passes().is_some() {
            return;
        }
        let mut state = self.lock();
        let round = self.round.load(Ordering::Acquire);
        let BreakerPhase::Probing { width, answered, .. } = &mut state.phase else { return };
        if round != ticket.0 {
            return;
        }
        *answered += 1;
        if *answered < (*width).max(1) {
            return;
        }
        *width = if *width == 0 { 1 } else { width.saturating_mul(2) };
        *answered = 0;
        let all = *width >= self.full;
        if let Some(Why { name, since, .. }) = state.why.take() {
            let paused = since.elapsed();
            tracing::info!(queue = %self.queue, name, ?paused, "what the handlers need is available again; the queue goes on");
        }
        if all {
            state.phase = BreakerPhase::Passing;
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
            && let BreakerPhase::Probing { at_work, .. } = &mut state.phase
        {
            *at_work = at_work.saturating_sub(1);
            drop(state);
            self.changed.notify_waiters();
        }
    }

    /// The pause, if the queue is paused.
    pub(crate) fn status(&self) -> Option<Paused> {
        let state = self.lock();
        let Why { name, reason, since } = state.why.as_ref()?;
        Some(Paused {
            queue: Arc::clone(&self.queue),
            name: name.clone(),
            reason: reason.clone(),
            lasts: since.elapsed(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BreakerState> {
        // no change can be left half done
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn breaker(full: usize) -> Breaker {
        Breaker::new("shop.order".into(), full)
    }

    fn begin(breaker: &Breaker) -> Option<Ticket> {
        breaker.admitted().now_or_never()
    }

    #[tokio::test(start_paused = true)]
    async fn one_is_tried_then_one_two_four_and_all() {
        let breaker = breaker(10);
        let first = begin(&breaker).unwrap();
        assert!(breaker.unavailable(first, "api", "api is unavailable"));
        assert_eq!(begin(&breaker), None);
        let probe = breaker.admitted().await;
        assert_eq!(begin(&breaker), None, "one probe");
        breaker.answered(probe);
        breaker.ended(probe);
        assert_eq!(breaker.status(), None);
        for width in [1, 2, 4, 8] {
            let tickets: Vec<Ticket> = std::iter::from_fn(|| begin(&breaker)).take(20).collect();
            assert_eq!(tickets.len(), width);
            assert_eq!(breaker.may_widen(), width >= 2);
            for ticket in tickets {
                breaker.ended(ticket);
                breaker.answered(ticket);
            }
        }
        assert!((0..20).all(|_| begin(&breaker).is_some()), "all may begin");
    }

    #[tokio::test(start_paused = true)]
    async fn probes_come_ever_more_seldom_and_what_began_before_says_nothing() {
        let breaker = breaker(10);
        let began = begin(&breaker).unwrap();
        assert!(breaker.unavailable(began, "api", "no"));
        for wait in [1, 2, 4, 8, 16, 30, 30] {
            assert!(!breaker.unavailable(began, "api", "no"), "it began before");
            breaker.answered(began);
            let paused = Instant::now();
            let probe = breaker.admitted().await;
            assert_eq!(paused.elapsed().as_secs(), wait);
            assert!(breaker.unavailable(probe, "api", "still no"));
            breaker.ended(probe);
        }
        let status = breaker.status().unwrap();
        assert_eq!((status.name.as_str(), status.reason.as_str()), ("api", "still no"));
        assert_eq!(status.lasts.as_secs(), 91);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_says_nothing_is_followed_by_another_at_once() {
        let breaker = breaker(1);
        assert!(breaker.unavailable(Ticket(0), "api", "no"));
        let skipped = breaker.admitted().await;
        breaker.ended(skipped);
        let probe = begin(&breaker).unwrap();
        breaker.answered(probe);
        breaker.ended(probe);
        assert_eq!(breaker.round.load(Ordering::Acquire) % 2, 0, "with one slot a single one is all");
    }

    #[tokio::test(start_paused = true)]
    async fn what_began_before_a_pause_does_not_pause_the_queue_once_more_after_it() {
        let breaker = breaker(1);
        let slow = begin(&breaker).unwrap();
        assert!(breaker.unavailable(begin(&breaker).unwrap(), "api", "no"));
        let probe = breaker.admitted().await;
        breaker.answered(probe);
        breaker.ended(probe);
        assert!(!breaker.unavailable(slow, "api", "no"), "it speaks of what was before");
        assert_eq!(breaker.status(), None);
        assert!(breaker.unavailable(begin(&breaker).unwrap(), "api", "no"), "this one speaks of now");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_learns_of_a_pause() {
        let breaker = breaker(4);
        assert!(breaker.paused(0).now_or_never().is_none());
        let (pauses, ()) = tokio::join!(
            async {
                breaker.paused(0).await;
                breaker.pauses()
            },
            async {
                tokio::task::yield_now().await;
                breaker.unavailable(Ticket(0), "api", "no");
            }
        );
        assert_eq!(pauses, 1);
    }
}

//! How a handler's tasks are retried, how many run at a time, and which are too old. Every default is bounded.

use super::{Batching, Breaker};
use std::time::Duration;

/// How the tasks of a handler run: start with `Policy::default()` or [`Policy::retry`], then set what differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Attempts in all, at least 1 (5).
    pub attempts: u32,
    /// The wait before the next attempt.
    pub backoff: Backoff,
    /// How long one attempt may be released, snoozed, and wait for what is unavailable in all; after that the message goes to the
    /// dead letters (24 h).
    pub max_wait: Duration,
    /// A handler that runs longer is cancelled; that is a failure (30 s).
    pub timeout: Duration,
    /// Of the queue: how many tasks run at the same time in this process (10).
    pub concurrency: usize,
    /// Of the queue: how many deliveries are held unsettled, running ones included.
    pub prefetch: Prefetch,
    /// Of the queue: the most tasks started in a period.
    pub rate: Option<Rate>,
    /// Of the queue: a single active consumer among all replicas, one task at a time, in order.
    pub exclusive: bool,
    /// Of the queue: concurrency and rate are those of all replicas together.
    pub fleet: bool,
    /// Skip events older than this, by the event's time (the due time, for the clock's events).
    pub max_age: Option<Duration>,
    /// Skip an event when one of the same source and subject with a later time was taken before it.
    pub latest_only: bool,
    /// Raise an alarm when the next event is this much later than the last one promised (`next_due_at` in its data).
    pub expect_by_next: Option<Duration>,
    /// Within what time after an event was sent the handler means to be done with it: said by a worker that reports
    /// ([`Worker::reports`](super::Worker::reports)), so that whoever observes can tell what was not handled in time. The worker
    /// itself does nothing by it.
    pub within: Option<Duration>,
    /// Whether a task that is at work may be dropped when somebody [cancels](crate::client::ControlClient::cancel) it.
    pub cancellable: bool,
    /// Of the queue: when it pauses by itself, because something that its tasks need is unavailable. `None`: never.
    pub breaker: Option<Breaker>,
    /// For a [handler of batches](super::Worker::batch), which needs it: how large a batch is, and how long it is gathered.
    pub batch: Option<Batching>,
}

/// The waits between attempts: `first`, then `factor` times longer each time, at most `longest`. Each is drawn between
/// `1 - jitter` of that and the whole, so that messages that failed together do not come back together.
#[derive(Debug, Clone, PartialEq)]
pub struct Backoff {
    /// Before the second attempt; at most `longest` (2 s).
    pub first: Duration,
    /// At least 1 (3).
    pub factor: f64,
    /// No wait is longer; at most [`LONGEST_RETRY`] (1 h).
    pub longest: Duration,
    /// 0 to 1 (0.25).
    pub jitter: f64,
}

/// How many deliveries of a queue are held unsettled, those at work included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Prefetch {
    /// 4 × concurrency to begin with; from then on as many as keep all slots busy for a second, by what the last 1,000 tasks
    /// took (or those of 10 s, if they were 10 × concurrency) whose handler ran: at least 4 × concurrency, 1,000 at most, and as
    /// many as are settled within half of the broker's [`consumer_timeout`](super::Limits::consumer_timeout) even if each takes
    /// its whole time. With a rate or a single active consumer it stays what it is.
    ///
    /// When bodies are large it is less: as many of the largest of the last 10 minutes as make 64 MiB, but never less than
    /// `concurrency`. That is no bound of memory: `concurrency` bodies are held however large they are; what is held already
    /// stays held when a larger body comes; and while the prefetch changes as much again may be out for a while.
    #[default]
    Auto,
    /// This many, at least `concurrency`.
    Fixed(u16),
}

/// At most `tasks` tasks started in any stretch of `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At least 1.
    pub tasks: u32,
    /// Longer than 0.
    pub per: Duration,
}

/// The longest wait between two attempts: 7 days.
pub const LONGEST_RETRY: Duration = Duration::from_secs(7 * 24 * 3600);

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 5,
            backoff: Backoff::default(),
            max_wait: Duration::from_secs(24 * 3600),
            timeout: Duration::from_secs(30),
            concurrency: 10,
            prefetch: Prefetch::Auto,
            rate: None,
            exclusive: false,
            fleet: false,
            max_age: None,
            latest_only: false,
            expect_by_next: None,
            within: None,
            cancellable: true,
            breaker: Some(Breaker::default()),
            batch: None,
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_secs(2), factor: 3.0, longest: Duration::from_secs(3600), jitter: 0.25 }
    }
}

impl Policy {
    /// The default with this many attempts in all; 1 means no retry.
    pub fn retry(attempts: u32) -> Self {
        Self { attempts, ..Self::default() }
    }

    /// The wait before the next attempt.
    #[must_use]
    pub fn backoff(self, backoff: Backoff) -> Self {
        Self { backoff, ..self }
    }

    /// Sets how long one attempt may be released, snoozed, and wait for what is unavailable in all.
    #[must_use]
    pub fn max_wait(self, max_wait: Duration) -> Self {
        Self { max_wait, ..self }
    }

    /// Sets the time after which a handler is cancelled.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets how many tasks run at the same time.
    #[must_use]
    pub fn concurrency(self, concurrency: usize) -> Self {
        Self { concurrency, ..self }
    }

    /// Sets how many deliveries are held unsettled.
    #[must_use]
    pub fn prefetch(self, prefetch: u16) -> Self {
        Self { prefetch: Prefetch::Fixed(prefetch), ..self }
    }

    /// At most `tasks` tasks started in any stretch of `per`.
    #[must_use]
    pub fn rate(self, tasks: u32, per: Duration) -> Self {
        Self { rate: Some(Rate { tasks, per }), ..self }
    }

    /// One task at a time among all replicas, in order.
    #[must_use]
    pub fn exclusive(self) -> Self {
        Self { exclusive: true, ..self }
    }

    /// Concurrency and rate are those of all replicas together: each takes its share, by how many consumers the broker counts at
    /// the queue, asked every [`Limits::replicas`](super::Limits::replicas). A replica has one task at work at least. Of a rate
    /// all replicas together begin as many tasks as it says, in a single stretch at most one more for each replica but one; who joins takes its share before the
    /// others know of it. The prefetch is shared as well.
    #[must_use]
    pub fn fleet(self) -> Self {
        Self { fleet: true, ..self }
    }

    /// Skips events older than `age`.
    #[must_use]
    pub fn max_age(self, age: Duration) -> Self {
        Self { max_age: Some(age), ..self }
    }

    /// Skips events that a later one has overtaken.
    #[must_use]
    pub fn latest_only(self) -> Self {
        Self { latest_only: true, ..self }
    }

    /// Raises an alarm when the next event is late by more than `tolerance`.
    #[must_use]
    pub fn expect_by_next(self, tolerance: Duration) -> Self {
        Self { expect_by_next: Some(tolerance), ..self }
    }

    /// Declares within what time after an event was sent the handler means to be done with it.
    #[must_use]
    pub fn within(self, within: Duration) -> Self {
        Self { within: Some(within), ..self }
    }

    /// Whether a task that is at work may be dropped when somebody [cancels](crate::client::ControlClient::cancel) it: `false` for a
    /// handler that must not be left in the middle. One that waits is dropped all the same, for another attempt as well.
    #[must_use]
    pub fn cancellable(self, cancellable: bool) -> Self {
        Self { cancellable, ..self }
    }

    /// When the queue pauses by itself, because something that its tasks need is unavailable; `None`: never. What was
    /// unavailable to a task spends no attempt either way.
    #[must_use]
    pub fn breaker(self, breaker: impl Into<Option<Breaker>>) -> Self {
        Self { breaker: breaker.into(), ..self }
    }

    /// How many tasks really run at the same time: one if exclusive.
    pub fn slots(&self) -> usize {
        if self.exclusive { 1 } else { self.concurrency.max(1) }
    }

    /// How many deliveries are held unsettled; for [`Prefetch::Auto`] at the start.
    pub fn held(&self) -> u16 {
        match self.prefetch {
            Prefetch::Auto => match self.batch {
                Some(batch) => batch.held(self.slots()),
                None => u16::try_from(self.slots()).unwrap_or(u16::MAX).saturating_mul(4),
            },
            Prefetch::Fixed(prefetch) => prefetch.max(1),
        }
    }

    /// Whether its prefetch is adapted to how large deliveries are, …
    pub(crate) fn adapts_to_size(&self) -> bool {
        self.prefetch == Prefetch::Auto && !self.exclusive && !self.fleet
    }

    /// … and to how long its tasks take, which says nothing of batches.
    pub(crate) fn adapts(&self) -> bool {
        self.adapts_to_size() && self.batch.is_none()
    }

    /// What is wrong with it: the field, its value, and what it must be.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut must = |holds: bool, what: String| {
            if !holds {
                faults.push(what);
            }
        };
        must(self.attempts > 0, "attempts is 0; at least 1".into());
        must(!self.max_wait.is_zero(), "max_wait is 0; what is put off would die at once".into());
        must(self.max_age != Some(Duration::ZERO), "max_age is 0; every event would be skipped".into());
        must(self.within != Some(Duration::ZERO), "within is 0; every event would be too late".into());
        must(!self.timeout.is_zero(), "timeout is 0; a handler needs some time".into());
        must(self.concurrency > 0, "concurrency is 0; at least one task must run".into());
        must(
            self.prefetch != Prefetch::Fixed(0),
            "prefetch is 0, which the broker reads as 'without a limit'".into(),
        );
        must(
            !(self.fleet && self.exclusive),
            "fleet is set, and exclusive too: one replica works at a time, so its limits are those of all; leave out fleet".into(),
        );
        let (held, slots) = (usize::from(self.held()), self.slots());
        must(held >= slots, format!("prefetch is {held}, less than the {slots} tasks that may run at once"));
        if let Some(rate) = self.rate {
            must(
                rate.tasks > 0 && !rate.per.is_zero(),
                "rate allows nothing; it needs at least 1 task, and a time longer than 0".into(),
            );
        }
        let backoff = &self.backoff;
        must(
            backoff.factor >= 1.0 && backoff.factor.is_finite(),
            format!("backoff.factor is {}; at least 1", backoff.factor),
        );
        must(
            (0.0..=1.0).contains(&backoff.jitter),
            format!("backoff.jitter is {}; from 0 to 1", backoff.jitter),
        );
        must(
            backoff.first <= backoff.longest,
            format!(
                "backoff.first is {:?}, longer than backoff.longest, {:?}",
                backoff.first, backoff.longest
            ),
        );
        must(backoff.longest <= LONGEST_RETRY, "backoff.longest is more than 7 days".into());
        faults.extend(self.breaker.iter().flat_map(Breaker::faults));
        faults.extend(self.batch.iter().flat_map(|batch| batch.faults(self)));
        faults
    }
}

impl Backoff {
    /// The wait before attempt `next` (2 is the first that has one); `drawn` is from 0 to 1.
    pub fn wait(&self, next: u32, drawn: f64) -> Duration {
        let exponent = i32::try_from(next.saturating_sub(2)).unwrap_or(i32::MAX);
        let longest = self.longest.as_secs_f64();
        let full = (self.first.as_secs_f64() * self.factor.powi(exponent)).min(longest);
        Duration::try_from_secs_f64(full * (1.0 - self.jitter * drawn)).unwrap_or(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_by_the_factor_up_to_the_longest() {
        let backoff = Backoff { jitter: 0.0, ..Backoff::default() };
        let waits: Vec<u64> = (2..12).map(|next| backoff.wait(next, 0.5).as_secs()).collect();
        assert_eq!(waits, [2, 6, 18, 54, 162, 486, 1458, 3600, 3600, 3600]);
        assert_eq!(backoff.wait(u32::MAX, 0.0), Duration::from_secs(3600));
    }

    #[test]
    fn jitter_only_shortens_and_by_its_share() {
        let backoff = Backoff::default();
        assert_eq!(backoff.wait(2, 0.0), Duration::from_secs(2));
        assert_eq!(backoff.wait(2, 1.0), Duration::from_millis(1500));
    }

    #[test]
    fn what_cannot_be_is_said_in_words() {
        assert_eq!(Policy::default().faults(), Vec::<String>::new());
        let policy = Policy::retry(0).timeout(Duration::ZERO).concurrency(50).prefetch(10);
        let faults = policy.max_wait(Duration::ZERO).max_age(Duration::ZERO).within(Duration::ZERO).faults();
        for (fault, words) in faults.iter().zip([
            "attempts is 0",
            "max_wait is 0",
            "max_age is 0",
            "within is 0",
            "timeout is 0",
        ]) {
            assert!(fault.starts_with(words), "{faults:?}");
            // they stand on a command line, too
            assert!(!fault.contains("::"), "{fault}");
        }
        assert_eq!(faults.len(), 6, "{faults:?}");
        assert!(faults[5].contains("prefetch is 10, less than the 50 tasks"), "{faults:?}");
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let faults_of = |backoff: Backoff| Policy::default().backoff(backoff).faults();
        let faults = faults_of(Backoff { first: hours(2), ..Backoff::default() });
        assert_eq!(faults, ["backoff.first is 7200s, longer than backoff.longest, 3600s"]);
        assert_eq!(faults_of(Backoff { longest: hours(169), ..Backoff::default() }).len(), 1);
        assert_eq!(faults_of(Backoff { factor: f64::NAN, jitter: f64::NAN, ..Backoff::default() }).len(), 2);
    }
}

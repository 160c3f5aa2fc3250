//! What is said of the queues of a worker now.

use super::{Cancelled, CancelledIds, Fold};
use crate::{
    event::{
        Timestamp,
        control::{ControlRate, Setting},
    },
    worker::{Policy, Rate},
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::sync::watch;

/// A queue that somebody paused. `Display` is a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PausedByHand {
    /// The queue.
    pub queue: Arc<str>,
    /// Who paused it.
    pub by: String,
    /// Why; may be empty.
    pub why: String,
    /// When it ends by itself.
    pub until: Timestamp,
}

impl fmt::Display for PausedByHand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { queue, by, why, until } = self;
        write!(f, "{queue} is paused by {by} until {until}")?;
        if why.is_empty() { Ok(()) } else { write!(f, ": {why}") }
    }
}

/// How much of a queue is worked on at a time in each process. It only ever makes less of what the policy of the queue has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limit {
    /// How many tasks run at the same time, at least 1; `None`: as the policy has it.
    pub concurrency: Option<u32>,
    /// The most tasks begun in a period, at least one a minute; `None`: as the policy has it.
    pub rate: Option<Rate>,
}

impl Limit {
    /// What is wrong with it.
    pub(crate) fn fault(&self) -> Option<String> {
        let slowest = |rate: &Rate| rate.per > SLOWEST.saturating_mul(rate.tasks);
        let none = |rate: &Rate| rate.tasks == 0 || rate.per < Duration::from_millis(1);
        match self {
            Self { concurrency: None, rate: None } => Some("a limit needs a concurrency or a rate".into()),
            Self { concurrency: Some(0), .. } => {
                Some("a concurrency of 0 lets nothing run: pause the queue instead".into())
            }
            Self { rate: Some(rate), .. } if none(rate) => {
                Some("a rate needs at least 1 task, and a time of at least 1 ms: pause the queue instead".into())
            }
            Self { rate: Some(rate), .. } if slowest(rate) => Some(
                "a rate of less than one task a minute would hold messages for longer than the broker lets them be held: pause the queue instead"
                    .into(),
            ),
            Self { .. } => None,
        }
    }

    /// How many tasks of a queue of this policy run at a time.
    pub(crate) fn slots(&self, policy: &Policy) -> usize {
        let slots = policy.slots();
        self.concurrency.map_or(slots, |most| slots.min(usize::try_from(most).unwrap_or(slots)).max(1))
    }

    /// The rate as it is kept: one over a long stretch as an equal one, or a little less, over a shorter. Else what is in hand when
    /// its tasks are spent would wait for longer than the broker lets it be held.
    pub(crate) fn pace(&self) -> Option<Rate> {
        let Rate { tasks, per } = self.rate?;
        let parts = per.as_millis().div_ceil(STRETCH.as_millis()).clamp(1, u128::from(tasks.max(1)));
        let parts = u32::try_from(parts).unwrap_or(u32::MAX);
        Some(Rate { tasks: tasks / parts, per: per / parts })
    }

    pub(crate) fn setting(&self) -> Setting {
        let rate = self.rate.map(|Rate { tasks, per }| ControlRate {
            tasks,
            per_ms: u64::try_from(per.as_millis()).unwrap_or(u64::MAX),
        });
        Setting { concurrency: self.concurrency, rate }
    }

    /// What a record says, if that is a limit.
    pub(crate) fn of(setting: &Setting) -> Option<Self> {
        let rate =
            setting.rate.map(|rate| Rate { tasks: rate.tasks, per: Duration::from_millis(rate.per_ms) });
        let limit = Self { concurrency: setting.concurrency, rate };
        limit.fault().is_none().then_some(limit)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        if let Some(concurrency) = self.concurrency {
            write!(f, "concurrency {concurrency}")?;
            between = ", ";
        }
        if let Some(Rate { tasks, per }) = self.rate {
            write!(f, "{between}rate {tasks} in {per:?}")?;
        }
        Ok(())
    }
}

/// The longest time for one task of a rate.
const SLOWEST: Duration = Duration::from_secs(60);
/// The longest stretch over which one is kept.
const STRETCH: Duration = Duration::from_secs(600);

/// What is said of one queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Steered {
    pub(crate) paused: Option<PausedByHand>,
    pub(crate) limit: Option<Limit>,
}

/// What is said of each queue of a worker, and of messages, for whoever obeys.
#[derive(Debug)]
pub(crate) struct Steering {
    queues: Vec<(Arc<str>, watch::Sender<Steered>)>,
    cancelled: Arc<Cancelled>,
}

impl Steering {
    /// Nothing is said of these queues.
    pub(crate) fn new(queues: impl IntoIterator<Item = Arc<str>>) -> Self {
        let queues = queues.into_iter().map(|queue| (queue, watch::Sender::default())).collect();
        Self { queues, cancelled: Arc::default() }
    }

    pub(crate) fn queues(&self) -> impl Iterator<Item = &Arc<str>> {
        self.queues.iter().map(|(queue, _)| queue)
    }

    /// What is said of a queue. Of one that is not the worker's nothing ever is.
    pub(crate) fn of(&self, queue: &str) -> watch::Receiver<Steered> {
        let found = self.queues.iter().find(|(known, _)| **known == *queue);
        found.map_or_else(|| watch::Sender::default().subscribe(), |(_, steered)| steered.subscribe())
    }

    /// The messages that are cancelled.
    pub(crate) fn cancelled(&self) -> &Arc<Cancelled> {
        &self.cancelled
    }

    /// These are cancelled, too.
    pub(super) fn cancel(&self, ids: &CancelledIds, is_repeated: bool, now: Timestamp) {
        if !is_repeated {
            tracing::info!(count = ids.ids.len(), "messages are {}", ids.said);
        }
        self.cancelled.add(ids, now);
    }

    /// Has all obey what holds now, and logs what is new.
    pub(crate) fn steer(&self, fold: &Fold, now: Timestamp) {
        self.cancelled.replace(fold.cancelled(), now);
        for (queue, sender) in &self.queues {
            let steered = fold.steered(queue, now);
            sender.send_if_modified(|before| {
                let is_new = *before != steered;
                if is_new {
                    log(queue, before, &steered);
                    *before = steered;
                }
                is_new
            });
        }
    }
}

fn log(queue: &str, before: &Steered, now: &Steered) {
    match (&before.paused, &now.paused) {
        (was, Some(paused)) if was.as_ref() != Some(paused) => {
            let PausedByHand { by, why, until, .. } = paused;
            tracing::warn!(queue, by, why, %until, "the queue is paused by hand: what is begun ends, and nothing more is begun");
        }
        (Some(_), None) => tracing::info!(queue, "the queue is no longer paused by hand"),
        _ => {}
    }
    match (&before.limit, &now.limit) {
        (was, Some(limit)) if was.as_ref() != Some(limit) => {
            tracing::warn!(queue, %limit, "the queue is limited by hand");
        }
        (Some(_), None) => tracing::info!(queue, "the queue is no longer limited by hand"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_would_stop_the_queue_or_do_nothing_is_refused() {
        let rate = |tasks, secs| Some(Rate { tasks, per: Duration::from_secs(secs) });
        for (concurrency, rate, words) in [
            (None, None, "needs a concurrency or a rate"),
            (Some(0), None, "pause the queue instead"),
            (Some(1), rate(0, 1), "at least 1 task"),
            (None, rate(1, 0), "at least 1 ms"),
            (None, rate(1, 61), "less than one task a minute"),
        ] {
            let fault = Limit { concurrency, rate }.fault().unwrap();
            assert!(fault.contains(words), "{fault}");
        }
        let limit = Limit { concurrency: Some(2), rate: rate(10, 600) };
        assert_eq!(limit.fault(), None);
        assert_eq!(Limit::of(&limit.setting()), Some(limit));
        assert_eq!(limit.to_string(), "concurrency 2, rate 10 in 600s");
        assert_eq!(Limit::of(&Setting::default()), None, "what a stranger wrote");
    }

    #[test]
    fn a_rate_over_a_long_stretch_is_kept_over_shorter_ones_and_never_exceeded() {
        let pace = |tasks, secs| {
            let rate = Some(Rate { tasks, per: Duration::from_secs(secs) });
            let limit = Limit { concurrency: None, rate };
            assert_eq!(limit.fault(), None);
            limit.pace().map(|Rate { tasks, per }| (tasks, per.as_secs()))
        };
        assert_eq!(pace(10, 1), Some((10, 1)));
        assert_eq!(pace(10, 600), Some((10, 600)));
        assert_eq!(pace(100, 3_600), Some((16, 600)), "96 in an hour");
        assert_eq!(pace(5_000, 86_400), Some((34, 600)), "4,896 in a day");
        assert_eq!(pace(11, 660), Some((5, 330)));
        assert_eq!(Limit { concurrency: Some(1), rate: None }.pace(), None);
    }
}

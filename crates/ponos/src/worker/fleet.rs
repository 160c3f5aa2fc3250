//! Limits of all replicas together ([`Policy::fleet`]): each takes its share, by how many consumers the broker counts at its queue.
//!
//! Invariant: of a rate of T in a stretch, n replicas begin as many on average, and at most n - 1 more in any one stretch; of a
//! concurrency they have at most as many tasks at work, or n if that is more. While the number is not known, a replica takes the
//! least. Who joins, or starts, is known of after [`Limits::replicas`](super::Limits::replicas) at the latest. Absent: a store.

use super::{
    Limits, Policy, Rate, liveness::Pulse, plan::QueuePlan, queue_context::QueueContext, wait::Wait,
};
use crate::broker::Link;
use std::{sync::atomic::Ordering, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{sleep, timeout},
};

/// The time limit of one question.
const ANSWER: Duration = Duration::from_secs(5);
/// When it is asked again while consumers subscribe anew.
const SOON: Duration = Duration::from_secs(1);

/// What one replica takes of a queue's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) slots: usize,
    pub(crate) rate: Option<Rate>,
    pub(crate) prefetch: u16,
    /// The most that may be held: what can be begun in time.
    most: u16,
}

impl Share {
    /// Of so many replicas; the least, if that is not known.
    pub(crate) fn of(plan: &QueuePlan, limits: &Limits, replicas: Option<u32>) -> Self {
        let policy = &plan.policy;
        let slots = replicas.map_or(1, |replicas| (policy.slots() / replicas.max(1) as usize).max(1));
        let rate = policy.rate.map(|rate| share_of(rate, replicas.unwrap_or(rate.tasks)));
        // as many for each slot as the whole has, and no more than can be begun in time
        let held = (usize::from(policy.held()) * slots / policy.slots()).max(slots);
        let held = u16::try_from(held).unwrap_or(u16::MAX);
        let slowest = plan.routes.iter().map(|route| route.policy.timeout).max().unwrap_or_default();
        let own = Policy { concurrency: slots, rate, ..policy.clone() };
        let fitting = |held| Wait::fitting(&own, held, slowest, limits.consumer_timeout);
        Self { slots, rate, prefetch: fitting(held), most: fitting(policy.held().max(held)) }
    }

    /// The share that follows this one, which holds no less unless it must. Who holds another number subscribes anew, and with what it
    /// has at work it is counted twice until that is done: replicas that all did so for each other would go on with it.
    fn followed_by(self, next: Self) -> Self {
        Self { prefetch: self.prefetch.min(next.most).max(next.prefetch), ..next }
    }
}

/// Of so many replicas each: as many tasks as are needed, and a stretch that is so much longer that all together keep the rate.
fn share_of(rate: Rate, replicas: u32) -> Rate {
    let (all, replicas) = (rate.tasks.max(1), replicas.max(1));
    let tasks = all.div_ceil(replicas);
    let nanos = (rate.per.as_nanos() * u128::from(replicas) * u128::from(tasks)).div_ceil(u128::from(all));
    Rate { tasks, per: Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)) }
}

/// The share that the loop of a queue keeps to.
#[derive(Debug)]
pub(crate) struct FleetShare {
    replicas: watch::Receiver<Option<u32>>,
    known: Option<u32>,
    now: Share,
    /// The slots beyond the share.
    held_back: Option<OwnedSemaphorePermit>,
}

impl FleetShare {
    /// The least.
    pub(crate) fn new(queue: &QueueContext) -> Self {
        let now = Share::of(&queue.plan, &queue.service.limits, None);
        Self { replicas: queue.pulse.replicas.subscribe(), known: None, now, held_back: None }
    }

    /// What it is now.
    pub(crate) fn now(&self) -> Share {
        self.now
    }

    /// Resolves when another number of replicas is known. Never, once the queue is gone.
    pub(crate) async fn changed(&self) {
        let mut replicas = self.replicas.clone();
        if replicas.wait_for(|replicas| *replicas != self.known).await.is_err() {
            std::future::pending().await
        }
    }

    /// Another share, if there is one since. What it frees of the slots is free at once.
    pub(crate) fn turn(&mut self, queue: &QueueContext) -> Option<Share> {
        let replicas = *self.replicas.borrow();
        if replicas == self.known {
            return None;
        }
        self.known = replicas;
        self.now = self.now.followed_by(Share::of(&queue.plan, &queue.service.limits, replicas));
        let (beyond, held) = (self.beyond(queue), self.held_back());
        if let Some(held_back) = &mut self.held_back {
            drop(held_back.split(held.saturating_sub(beyond)));
        }
        self.note(&queue.pulse);
        Some(self.now)
    }

    /// Keeps of what was taken for one task, beyond its slot, what is beyond the share.
    pub(crate) fn keep(&mut self, queue: &QueueContext, taken: &mut OwnedSemaphorePermit) {
        let wanted = self.beyond(queue).saturating_sub(self.held_back());
        let Some(more) = taken.split(wanted.min(taken.num_permits().saturating_sub(1))) else { return };
        match &mut self.held_back {
            Some(held_back) => held_back.merge(more),
            none => *none = Some(more),
        }
        self.note(&queue.pulse);
    }

    fn beyond(&self, queue: &QueueContext) -> usize {
        queue.plan.policy.slots().saturating_sub(self.now.slots)
    }

    pub(crate) fn held_back(&self) -> usize {
        self.held_back.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    fn note(&self, pulse: &Pulse) {
        pulse.held_back.store(self.held_back(), Ordering::Relaxed);
    }
}

/// Resolves when a share changes; never without one.
pub(crate) async fn changed(share: Option<&FleetShare>) {
    match share {
        Some(share) => share.changed().await,
        None => std::future::pending().await,
    }
}

/// Asks the broker how many replicas there are: when this one begins to consume, and again and again. Ends with the queue.
pub(crate) async fn follow(queue: &QueueContext) {
    let (mut link, mut steered) = (queue.consuming.clone(), queue.steered.clone());
    let (mut is_told, mut is_turning) = (false, false);
    let mut fewer = Fewer::default();
    loop {
        let is_up = matches!(*link.borrow_and_update(), Link::Up { .. });
        let mut wait = queue.service.limits.replicas;
        if steered.borrow_and_update().paused.is_some() {
            // nobody consumes then, and who is the first to do so again would be alone
            queue.pulse.replicas.send_if_modified(|known| known.take().is_some());
        } else if is_turning {
            wait = wait.min(SOON);
        } else if is_up {
            let why = match count(queue).await {
                // this one is about to subscribe again
                Ok(0) => {
                    wait = wait.min(SOON);
                    None
                }
                Ok(replicas) => {
                    let known = *queue.pulse.replicas.borrow();
                    match fewer.believed(known, u32::try_from(replicas).unwrap_or(u32::MAX)) {
                        Some(replicas) => note(queue, replicas),
                        None => wait = wait.min(SOON),
                    }
                    None
                }
                Err(why) => Some(why),
            };
            if let Some(why) = why.filter(|_| !std::mem::replace(&mut is_told, true)) {
                tracing::warn!(queue = %queue.plan.name, why, "the broker does not say how many replicas there are; this one keeps its share, and asks again");
            }
        }
        is_turning = false;
        tokio::select! {
            changed = link.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            // somebody said something by hand: all replicas end their subscriptions, and make new ones
            Ok(()) = steered.changed() => is_turning = true,
            () = sleep(wait) => {}
        }
    }
}

/// That there are fewer replicas is believed once it was said twice in a row: one whose share changes subscribes anew, and is not counted
/// for a moment. Else the others would take its part, subscribe anew, too, and so on.
#[derive(Debug, Default)]
struct Fewer {
    said: Option<u32>,
}

impl Fewer {
    /// How many there are, by what is known and what is said now; `None`: it is to be asked again.
    fn believed(&mut self, known: Option<u32>, now: u32) -> Option<u32> {
        let before = self.said.take();
        if known.is_none_or(|known| now >= known) {
            return Some(now);
        }
        if before.is_none() {
            self.said = Some(now);
        }
        before.map(|before| before.max(now))
    }
}

/// How many consume the queue; the error says why that is not known.
async fn count(queue: &QueueContext) -> Result<u64, String> {
    match timeout(ANSWER, queue.transport.inspect(&queue.plan.name)).await {
        Ok(Ok(Some(state))) => Ok(state.consumers),
        Ok(Ok(None)) => Err("its queue does not exist".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", ANSWER.as_secs())),
    }
}

fn note(queue: &QueueContext, replicas: u32) {
    let is_new = queue.pulse.replicas.send_if_modified(|known| {
        let is_new = *known != Some(replicas);
        *known = Some(replicas);
        is_new
    });
    if is_new {
        let Share { slots, rate, .. } = Share::of(&queue.plan, &queue.service.limits, Some(replicas));
        let rate = rate.map(|Rate { tasks, per }| format!("{tasks} per {per:?}"));
        tracing::info!(queue = %queue.plan.name, replicas, slots, rate, "this replica takes its share of the queue's limits");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::rate::Limiter;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use tokio::time::Instant;

    fn plan(policy: Policy) -> QueuePlan {
        let most_held = policy.held();
        QueuePlan { name: "q".into(), routes: Vec::new(), policy, most_held, batch: None, metrics: None }
    }

    fn share(policy: &Policy, replicas: Option<u32>) -> Share {
        Share::of(&plan(policy.clone()), &Limits::default(), replicas)
    }

    #[test]
    fn a_replica_subscribes_anew_to_hold_more_and_to_hold_less_only_if_it_must() {
        let policy = Policy::default().concurrency(40).fleet();
        let mut now = share(&policy, None);
        let mut prefetch = |replicas| {
            now = now.followed_by(share(&policy, Some(replicas)));
            now.prefetch
        };
        assert_eq!([4, 3, 4, 5, 3, 1, 3].map(&mut prefetch), [40, 52, 52, 52, 52, 160, 160]);
        // ten in a minute, of which a hundred replicas begin one in ten minutes each
        let slow = Policy::default().rate(10, Duration::from_secs(60)).fleet();
        let [alone, of_many] = [1, 100].map(|replicas| share(&slow, Some(replicas)));
        let next = alone.followed_by(of_many);
        assert!(next.prefetch < alone.prefetch && next.prefetch >= of_many.prefetch, "{alone:?} {next:?}");
    }

    #[test]
    fn that_there_are_fewer_is_believed_once_it_is_said_twice() {
        let mut fewer = Fewer::default();
        let mut said = |known, now| fewer.believed(known, now);
        assert_eq!([said(None, 3), said(Some(3), 3), said(Some(3), 5)], [Some(3), Some(3), Some(5)]);
        // one subscribes anew
        assert_eq!([said(Some(5), 4), said(Some(5), 5)], [None, Some(5)]);
        // two are gone, of which one was there a moment ago
        assert_eq!([said(Some(5), 4), said(Some(5), 3)], [None, Some(4)]);
        assert_eq!([said(Some(4), 3), said(Some(4), 3)], [None, Some(3)]);
    }

    #[test]
    fn a_share_of_tasks_is_never_more_than_all_together_may_have_and_one_at_least() {
        let policy = Policy::default().concurrency(40).fleet();
        let shares = [None, Some(0), Some(1), Some(3), Some(40), Some(1_000)];
        let slots = shares.map(|replicas| share(&policy, replicas).slots);
        assert_eq!(slots, [1, 40, 40, 13, 1, 1]);
        let held = shares.map(|replicas| share(&policy, replicas).prefetch);
        assert_eq!(held, [4, 160, 160, 52, 4, 4], "as many for each slot as the whole has");
        assert_eq!(share(&Policy::default().prefetch(10).fleet(), Some(5)).prefetch, 2);
    }

    #[test]
    fn a_share_of_a_rate_is_a_part_of_the_tasks_or_a_longer_stretch() {
        let minute = Duration::from_secs(60);
        let rate = |tasks, replicas| {
            let Rate { tasks, per } = share_of(Rate { tasks, per: minute }, replicas);
            (tasks, per.as_secs())
        };
        assert_eq!(rate(600, 1), (600, 60));
        assert_eq!(rate(600, 3), (200, 60));
        assert_eq!(rate(10, 3), (4, 72));
        assert_eq!(rate(10, 20), (1, 120));
        let unknown = share(&Policy::default().rate(10, minute).fleet(), None);
        assert_eq!(unknown.rate, Some(Rate { tasks: 1, per: minute }));
    }

    #[test]
    fn what_is_held_can_be_begun_within_the_consumer_timeout_however_many_replicas_there_are() {
        let policy = Policy::default().rate(10, Duration::from_secs(60)).fleet();
        for replicas in 1..200 {
            let Share { slots, rate, prefetch, .. } = share(&policy, Some(replicas));
            let Rate { tasks, per } = rate.unwrap();
            let longest = per * u32::from(prefetch).div_ceil(tasks);
            assert!(
                longest < Limits::default().consumer_timeout || usize::from(prefetch) == slots,
                "{replicas}: {longest:?}"
            );
        }
    }

    /// When tasks begin that all wait from the start, of replicas of which so many are there, as they are known at once.
    fn begin_all(rate: Rate, replicas: u32, count: usize) -> Vec<Duration> {
        let begun = Instant::now();
        let mut limiters: Vec<Limiter> =
            (0..replicas).map(|_| Limiter::new(share_of(rate, replicas))).collect();
        let mut next: BTreeMap<(Instant, usize), ()> =
            (0..limiters.len()).map(|at| ((begun, at), ())).collect();
        let mut times = Vec::new();
        while times.len() < count {
            let ((now, at), ()) = next.pop_first().unwrap();
            limiters[at].begin(now);
            times.push(now - begun);
            next.insert((limiters[at].next_of(1, now).unwrap_or(now), at), ());
        }
        times
    }

    #[test]
    fn ten_thousand_at_ten_a_minute_take_a_thousand_minutes_by_any_number_of_replicas() {
        let minute = Duration::from_secs(60);
        for replicas in [1, 2, 3, 7, 10, 11] {
            let times = begin_all(Rate { tasks: 10, per: minute }, replicas, 10_000);
            let longest = times.last().unwrap().as_secs_f64() / 60.0;
            assert!((998.0..=1_000.0).contains(&longest), "{replicas}: {longest}");
        }
    }

    proptest! {
        #[test]
        fn no_stretch_has_more_than_the_rate_and_one_for_each_other_replica(
            tasks in 1_u32..12, millis in 1_u64..1_000, replicas in 1_u32..9, count in 1_usize..100,
        ) {
            let per = Duration::from_millis(millis);
            let times = begin_all(Rate { tasks, per }, replicas, count);
            for (at, first) in times.iter().enumerate() {
                let within = times[at..].iter().filter(|later| **later < *first + per).count();
                prop_assert!(within < (tasks + replicas) as usize, "{} of {} by {}", within, tasks, replicas);
            }
        }
    }
}

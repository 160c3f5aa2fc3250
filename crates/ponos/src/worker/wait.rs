//! How long a delivery may stay unsettled at worst: the broker closes the channel of a consumer that holds one too long.

use super::{Policy, Prefetch, Rate, auto_prefetch};
use crate::control::Limit;
use std::time::Duration;

/// The settings of one queue that this depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait {
    prefetch: u16,
    /// How many tasks run at a time, and how many deliveries one of them has.
    slots: usize,
    size: usize,
    /// How long a batch is gathered.
    window: Duration,
    /// How many stretches of the rate it takes to begin all deliveries held, and how long one is.
    rate: Option<(u32, Duration)>,
}

impl Wait {
    /// From a policy; an automatic prefetch is made as small as the rate needs it, and stays so.
    pub(super) fn cut(policy: &mut Policy, slowest: Duration, most: Duration) -> Self {
        if policy.rate.is_some() && policy.prefetch == Prefetch::Auto {
            policy.prefetch = Prefetch::Fixed(Self::fitting(policy, policy.held(), slowest, most));
        }
        Self::of(policy, policy.held())
    }

    /// The prefetch, or as much less as lets all of it be settled within `most`; but one for each slot, or a whole batch.
    pub(super) fn fitting(policy: &Policy, prefetch: u16, slowest: Duration, most: Duration) -> u16 {
        let mut wait = Self::of(policy, prefetch);
        while usize::from(wait.prefetch) > wait.slots.saturating_mul(wait.size)
            && wait.longest(slowest) >= most
        {
            wait = Self::of(policy, wait.prefetch - 1);
        }
        wait.prefetch
    }

    fn of(policy: &Policy, prefetch: u16) -> Self {
        let stretches = |tasks: u32| u32::from(prefetch).div_ceil(tasks.max(1));
        let rate = policy.rate.map(|rate| (stretches(rate.tasks), rate.per));
        let (size, window) =
            policy.batch.map_or((1, Duration::ZERO), |batch| (batch.size.max(1), batch.window));
        // no batch has more than may begin at once
        let size = policy.rate.map_or(size, |rate| size.min(rate.tasks.max(1) as usize));
        Self { prefetch, slots: policy.slots(), size, window, rate }
    }

    /// The time until the last delivery held has run into its timeout.
    fn longest(self, timeout: Duration) -> Duration {
        let at_once = self.slots.saturating_mul(self.size);
        let rounds = u32::try_from(usize::from(self.prefetch).div_ceil(at_once)).unwrap_or(u32::MAX);
        let rate = self.rate.map_or(Duration::ZERO, |(stretches, per)| per.saturating_mul(stretches));
        timeout.saturating_add(self.window).saturating_mul(rounds).saturating_add(rate)
    }

    /// The most deliveries that [`Prefetch::Auto`](super::Prefetch::Auto) may hold if each task takes `slowest`: half of what the
    /// inequality allows, because nobody asked for it.
    pub(super) fn most(policy: &Policy, slowest: Duration, most: Duration) -> u16 {
        if !policy.adapts() {
            return policy.held();
        }
        let rounds = (most / 2).as_nanos().checked_div(slowest.as_nanos()).unwrap_or(0);
        let in_time = rounds.saturating_mul(policy.slots() as u128);
        auto_prefetch::bound(policy.held(), u16::try_from(in_time).unwrap_or(u16::MAX))
    }

    /// The largest prefetch, up to that of the policy, with which all that is held is settled in time if so few run at a time, and so
    /// few begin in a period.
    pub(super) fn fit(policy: &Policy, limit: &Limit, slowest: Duration, most: Duration) -> u16 {
        let mut limited = policy.clone();
        limited.concurrency = limit.slots(policy);
        let fits = |rate: Option<Rate>| {
            limited.rate = rate;
            let mut wait = Self::of(&limited, policy.held());
            while wait.prefetch > 1 && wait.longest(slowest) >= most {
                wait = Self::of(&limited, wait.prefetch - 1);
            }
            wait.prefetch
        };
        [policy.rate, limit.pace()].map(fits).into_iter().min().unwrap_or(1)
    }

    /// The same where each delivery may be in a batch of its own, by its key.
    pub(super) fn fit_each(policy: &Policy, limit: &Limit, slowest: Duration, most: Duration) -> u16 {
        let window = policy.batch.map_or(Duration::ZERO, |batch| batch.window);
        let each = Policy { batch: None, prefetch: Prefetch::Fixed(policy.held()), ..policy.clone() };
        Self::fit(&each, limit, slowest, most.saturating_sub(window))
    }

    /// The fault, if the inequality does not hold.
    pub(super) fn fault(self, timeout: Duration, most: Duration) -> Option<String> {
        let longest = self.longest(timeout);
        if longest < most {
            return None;
        }
        let Self { prefetch, slots, size, window, rate } = self;
        let (rate, remedy) = match rate {
            Some((stretches, per)) => (
                format!(" + {stretches} stretches of the rate × {per:?}"),
                "take a smaller prefetch or timeout, or the same rate over shorter stretches",
            ),
            None => (String::new(), "take a smaller prefetch or timeout"),
        };
        let rounds = match window {
            Duration::ZERO => {
                format!("ceil(prefetch {prefetch} / concurrency {slots}) × timeout {timeout:?}")
            }
            window => format!(
                "ceil(prefetch {prefetch} / (concurrency {slots} × batches of {size})) × (timeout {timeout:?} + window {window:?})"
            ),
        };
        Some(format!(
            "a delivery may wait too long: {rounds}{rate} = {longest:?}, and the broker closes the channel after {most:?} (consumer_timeout): {remedy}, or set consumer_timeout to what the broker has"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_secs(1_800);

    fn cut(mut policy: Policy) -> (u16, Option<String>) {
        let timeout = policy.timeout;
        let wait = Wait::cut(&mut policy, timeout, MOST);
        (policy.held(), wait.fault(timeout, MOST))
    }

    #[test]
    fn what_adapts_holds_no_more_than_is_settled_in_half_of_the_time() {
        let most = |policy: Policy| {
            let timeout = policy.timeout;
            let mut policy = policy;
            let _ = Wait::cut(&mut policy, timeout, MOST);
            Wait::most(&policy, timeout, MOST)
        };
        let secs = Duration::from_secs;
        assert_eq!(most(Policy::default()), 300, "10 × 900 s / 30 s");
        assert_eq!(most(Policy::default().concurrency(100)), 1_000);
        assert_eq!(most(Policy::default().timeout(secs(300))), 40);
        for stays in [
            Policy::default().rate(1_000, secs(1)),
            Policy::default().prefetch(50),
            Policy::default().exclusive(),
        ] {
            assert_eq!(most(stays.clone()), stays.held());
        }
    }

    #[test]
    fn a_limit_makes_the_prefetch_as_small_as_the_broker_needs_it() {
        let fit = |policy: &Policy, concurrency, rate| {
            Wait::fit(policy, &Limit { concurrency, rate }, policy.timeout, MOST)
        };
        let policy = Policy::default();
        let minute = |tasks| Some(Rate { tasks, per: Duration::from_secs(60) });
        assert_eq!(fit(&policy, Some(2), None), 40, "20 × 30 s");
        assert_eq!(fit(&policy.clone().timeout(Duration::from_secs(600)), Some(2), None), 4, "2 × 600 s");
        assert_eq!(fit(&policy, Some(100), None), 40, "never more than the policy has");
        assert_eq!(fit(&policy, None, minute(1)), 28);
        assert_eq!(fit(&policy, Some(1), minute(1)), 19, "19 × 90 s");
        let hour = Some(Rate { tasks: 100, per: Duration::from_secs(3_600) });
        assert_eq!(fit(&policy, None, hour), 32, "16 in 10 min");
        assert_eq!(fit(&policy.clone().rate(1, Duration::from_secs(60)), None, minute(100)), 28);
        let long = policy.timeout(MOST);
        assert_eq!(fit(&long, Some(1), None), 1, "one has to be");
        let secs = Duration::from_secs;
        let batches = Policy::batch(500, secs(5)).timeout(secs(600));
        assert_eq!(
            fit(&batches, None, minute(10)),
            20,
            "batches of ten, of which two are 2 × (605 s + 60 s)"
        );
        let limit = Limit { concurrency: Some(1), rate: None };
        let keyed = Policy::batch(500, secs(5)).concurrency(4);
        let by_key = Wait::fit_each(&keyed, &limit, keyed.timeout, MOST);
        assert_eq!(by_key, 59, "59 × 30 s + 5 s");
    }

    #[test]
    fn batches_wait_for_their_window_and_keep_room_for_a_whole_one() {
        let secs = Duration::from_secs;
        let batch = || Policy::batch(500, secs(5)).timeout(secs(600));
        assert_eq!(cut(batch()), (1_000, None), "2 × 605 s");
        let (held, fault) = cut(batch().prefetch(1_500));
        let fault = fault.unwrap();
        assert!(
            held == 1_500
                && fault.contains("(concurrency 1 × batches of 500)) × (timeout 600s + window 5s) = 1815s"),
            "{fault}"
        );
        let (held, fault) = cut(Policy::batch(500, secs(5)).rate(500, secs(900)));
        assert_eq!((held, fault), (500, None), "one stretch, and no less than a batch");
    }

    #[test]
    fn a_rate_makes_the_prefetch_small_unless_it_was_asked_for() {
        let minute = Duration::from_secs(60);
        assert_eq!(cut(Policy::default()), (40, None));
        assert_eq!(cut(Policy::default().rate(10, minute)), (40, None));
        // 28 × 60 s + 3 × 30 s is just less than 30 min
        assert_eq!(cut(Policy::default().rate(1, minute)), (28, None));
        let (held, fault) = cut(Policy::default().rate(1, minute).prefetch(40));
        let fault = fault.unwrap();
        assert!(held == 40 && fault.contains("40 stretches of the rate × 60s = 2520s"), "{fault}");
        let (_, fault) = cut(Policy::default().rate(10, minute * 60));
        assert!(fault.unwrap().contains("shorter stretches"), "whatever the prefetch");
    }
}

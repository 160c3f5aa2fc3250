//! The checks before a handler runs: too old, overtaken, expected, or poison.
//!
//! Poison is a message that ends the process that handles it: it must not take other tasks with it, nor go on for ever.

use super::Verdict;
use crate::{
    clock::millis,
    event::{Event, Timestamp},
    worker::{
        Policy,
        ended::{DeadKind, Death},
        plan::Route,
        queue_context::QueueContext,
        retry::Attempt,
    },
};

/// From this many returns on, a message is handled alone.
const ALONE: u64 = 3;
/// After this many, it goes to the dead letters.
const POISON: u64 = 5;

/// Skips an event that is expired or too old. One that became too old while something was unavailable to it is dead: it was to be
/// done, and nobody else says that it was not.
pub(super) fn end_too_old(
    policy: &Policy,
    event: &Event,
    attempt: &Attempt,
    now: Timestamp,
) -> Result<(), Verdict> {
    if let Some(expiry) = event.expiry_time.filter(|expiry| *expiry <= now) {
        return Err(Verdict::Skip(format!("expired: its expirytime is {expiry}"), None));
    }
    let Some(why) = too_old(policy, event, now) else { return Ok(()) };
    if !attempt.unavailable {
        return Err(Verdict::Skip(why, None));
    }
    let reason = attempt.failure.as_deref().unwrap_or("not said");
    Err(Death::new(DeadKind::Unavailable, format!("{why}; what it waited for: {reason}")).into())
}

/// Takes the event unless a later one was taken before it. Called for valid events only: one that never runs must not
/// silence those after it.
pub(super) fn take_latest(
    queue: &QueueContext,
    policy: &Policy,
    event: &Event,
    now: Timestamp,
) -> Result<(), String> {
    if !policy.latest_only {
        return Ok(());
    }
    queue
        .latest
        .take(event, now)
        .map_err(|latest| format!("overtaken: a newer one, of {latest}, was taken before it"))
}

fn too_old(policy: &Policy, event: &Event, now: Timestamp) -> Option<String> {
    let (age, time) = (policy.max_age?, event.time?);
    (now.since(time) > millis(age)).then(|| {
        format!(
            "too old: its time is {time}, and events older than {} s are skipped (Policy::max_age)",
            age.as_secs_f64()
        )
    })
}

/// Notes that an expected event came, and when the next one is due.
pub(super) fn expect_next(queue: &QueueContext, route: &Route, event: &Event) {
    if let Some(tolerance) = route.policy.expect_by_next {
        queue.promises.came(event, queue.service.clock.now(), tolerance);
    }
}

/// Whether no other task of the queue may run beside it.
pub(in crate::worker) fn needs_to_be_alone(count: Option<u64>) -> bool {
    count.is_some_and(|count| count >= ALONE)
}

/// Whether it never came back: then no suspicious message is ahead of it.
pub(in crate::worker) fn is_new(count: Option<u64>) -> bool {
    count.is_none()
}

/// `count`: how many times it came back unsettled, apart from this process's own releases.
pub(super) fn check_poison(count: u64) -> Result<(), Death> {
    if count < POISON {
        return Ok(());
    }
    let reason = format!(
        "it came back {count} times without being settled: the process that handled it ended each time (killed, aborted, out of memory), or handed it back"
    );
    Err(Death::new(DeadKind::Poison, reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_too_old_is_skipped() {
        let at = Timestamp::from_millis;
        let policy = Policy::default();
        let strict = Policy::default().max_age(Duration::from_millis(10));
        for (policy, time, expiry, now, skipped) in [
            (&policy, Some(at(0)), None, at(1_000_000), false),
            (&policy, None, Some(at(10)), at(9), false),
            (&policy, None, Some(at(10)), at(10), true),
            (&strict, Some(at(0)), None, at(10), false),
            (&strict, Some(at(0)), None, at(11), true),
            (&strict, None, None, at(11), false),
        ] {
            let name = "time.one-day.passed".parse().unwrap();
            let mut event = Event::new("1".parse().unwrap(), "/a", name, b"{}".to_vec());
            (event.time, event.expiry_time) = (time, expiry);
            let mut attempt = Attempt::first(now);
            let ended = end_too_old(policy, &event, &attempt, now);
            assert_eq!(matches!(ended, Err(Verdict::Skip(..))), skipped, "{time:?} {expiry:?} {now}");
            attempt.unavailable = true;
            let ended = end_too_old(policy, &event, &attempt, now);
            let dead = matches!(&ended, Err(Verdict::Dead(death)) if death.kind == DeadKind::Unavailable);
            assert_eq!(dead, skipped && expiry.is_none(), "{time:?} {expiry:?} {now}");
        }
    }

    #[test]
    fn what_comes_back_is_handled_alone_and_then_no_more() {
        for (count, new, alone, dead) in [
            (None, true, false, false),
            (Some(1), false, false, false),
            (Some(2), false, false, false),
            (Some(3), false, true, false),
            (Some(4), false, true, false),
            (Some(5), false, true, true),
            (Some(49), false, true, true),
        ] {
            let found = (is_new(count), needs_to_be_alone(count), check_poison(count.unwrap_or(0)).is_err());
            assert_eq!(found, (new, alone, dead), "{count:?}");
        }
    }
}

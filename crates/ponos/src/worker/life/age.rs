//! Too old, overtaken, or awaited.

use super::Verdict;
use crate::{
    clock::millis,
    event::{Event, Timestamp},
    worker::{Policy, plan::Route, queue_context::QueueContext},
};

/// Whether there is still anything to do.
pub(super) fn check(policy: &Policy, event: &Event, now: Timestamp) -> Result<(), Verdict> {
    too_old(policy, event, now).map_or(Ok(()), |why| Err(Verdict::Skip(why, None)))
}

/// Whether a later one was taken before it; if not, it is taken. For what is valid and was not handled alone: what never
/// runs must not silence what comes after it.
pub(super) fn take(
    queue: &QueueContext,
    policy: &Policy,
    event: &Event,
    now: Timestamp,
) -> Result<(), String> {
    if !policy.latest_only {
        return Ok(());
    }
    queue.latest.take(event, now).map_err(|latest| format!("overtaken: one of {latest} was taken before it"))
}

fn too_old(policy: &Policy, event: &Event, now: Timestamp) -> Option<String> {
    if let Some(expiry) = event.expiry_time.filter(|expiry| *expiry <= now) {
        return Some(format!("expired: its expirytime is {expiry}"));
    }
    let (age, time) = (policy.max_age?, event.time?);
    (now.since(time) > millis(age)).then(|| {
        format!("too old: its time is {time}, and after {} s there is nothing to do", age.as_secs_f64())
    })
}

/// Notes that it came, and when the next one will, for a route that waits for it.
pub(super) fn expect(queue: &QueueContext, route: &Route, event: &Event) {
    if let Some(tolerance) = route.policy.expect_by_next {
        queue.promises.came(event, queue.service.clock.now(), tolerance);
    }
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
            assert_eq!(too_old(policy, &event, now).is_some(), skipped, "{time:?} {expiry:?} {now}");
        }
    }
}

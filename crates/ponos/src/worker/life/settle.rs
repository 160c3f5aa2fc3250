//! The end of a life: what follows is confirmed, the inbox told, and only then the delivery settled.

use super::{
    PutOff, Task, Verdict, back,
    finish::{Hindered, finish},
    last,
    pause::{Pauses, Woke},
    send::{self, Unsent},
};
use crate::clock::millis;
use crate::{
    broker::Settle,
    event::{Event, Timestamp},
    topology::worker::DEAD,
    worker::{
        LONGEST_RETRY,
        ended::{DeadKind, Death, Ended},
        retry::{self, Attempt},
    },
};
use std::time::Duration;

/// A snooze is no shorter.
const SHORTEST_SNOOZE: Duration = Duration::from_secs(1);

/// Carries the verdict out, up to the settlement itself: how it ended, and how it is to be settled.
pub(super) async fn settle(task: &mut Task<'_>, verdict: Verdict) -> (Ended, Settle) {
    let hindered = match verdict {
        Verdict::Done(held, entry) => match finish(task, held, entry).await {
            Ok(()) => return acked(Ended::Done),
            Err(hindered) => hindered,
        },
        Verdict::Skip(why, Some(entry)) => match finish(task, Vec::new(), entry).await {
            Ok(()) => return acked(Ended::Skipped(why)),
            Err(hindered) => hindered,
        },
        Verdict::Skip(why, None) => return acked(Ended::Skipped(why)),
        Verdict::HandledAlready => return acked(Ended::HandledAlready),
        Verdict::Early(due) => return early(task, due).await,
        Verdict::Failed { after, reason } => return failed(task, after, reason).await,
        Verdict::PutOff(why) => return put_off(task, why).await,
        Verdict::GiveBack(why) | Verdict::Unavailable { reason: why, .. } => return back(task, why).await,
        Verdict::Stopped => return stopped(task).await,
        Verdict::Dead(death) if death.kind == DeadKind::Refused => return told_dead(task, death).await,
        Verdict::Dead(death) => return dead(task, death).await,
    };
    match hindered {
        Hindered::Lasting(why) => failed(task, None, why).await,
        passing => hindered_for_now(task, passing).await,
    }
}

async fn hindered_for_now(task: &mut Task<'_>, hindered: Hindered) -> (Ended, Settle) {
    match hindered {
        Hindered::Passing(why) | Hindered::Lasting(why) => give_back(task, why).await,
        Hindered::Stopped => stopped(task).await,
    }
}

/// To the ladder, or to the dead letters when the attempts are used up.
async fn failed(task: &mut Task<'_>, after: Option<Duration>, reason: String) -> (Ended, Settle) {
    let (Some(event), Some(route)) = (task.event.clone(), task.route.clone()) else {
        // nothing fails before it is decoded and routed
        return dead(task, Death::new(DeadKind::Malformed, reason)).await;
    };
    let policy = &route.policy;
    if task.attempt.number >= policy.attempts {
        return used_up(task, reason).await;
    }
    let number = task.attempt.number.saturating_add(1);
    let wait = after.unwrap_or_else(|| policy.backoff.wait(number, fastrand::f64())).min(LONGEST_RETRY);
    let now = task.queue.service.clock.now();
    let due = now.plus(millis(wait));
    let next = task.attempt.next(due, reason.clone());
    let ended = Ended::Retried { attempt: number, due, reason };
    resend(task, &event, (&next, due, now), ended).await
}

/// The same attempt later, or to the dead letters when that has gone on for too long.
async fn put_off(task: &mut Task<'_>, why: PutOff) -> (Ended, Settle) {
    let (Some(event), Some(route)) = (task.event.clone(), task.route.clone()) else {
        return back(task, "it was put off before it was read".into()).await;
    };
    let now = task.queue.service.clock.now();
    let waits = task.attempt.put_off(now);
    let reason = match &why {
        PutOff::Released => "its handler gave it back".to_owned(),
        PutOff::Snoozed(_, reason) => reason.clone(),
    };
    let most = route.policy.max_wait;
    let waited = Duration::from_millis(u64::try_from(now.since(waits.since)).unwrap_or(0));
    if waited >= most {
        let kind = if matches!(why, PutOff::Released) { DeadKind::Released } else { DeadKind::Snoozed };
        let reason = format!(
            "attempt {} was put off {} times since {}, and may be for {} s at most (Policy::max_wait); at last: {reason}",
            task.attempt.number,
            waits.count,
            waits.since,
            most.as_secs_f64()
        );
        return dead(task, Death::new(kind, reason)).await;
    }
    let (wait, released) = match why {
        PutOff::Released => (waits.released(), true),
        // at once would be as fast as the broker is
        PutOff::Snoozed(wait, _) => (wait.clamp(SHORTEST_SNOOZE, LONGEST_RETRY), false),
    };
    // the last time is at the end of what it may wait, however much longer it was to be
    let due = now.plus(millis(wait.min((most - waited).max(SHORTEST_SNOOZE))));
    let next =
        Attempt { due: Some(due), failure: Some(reason.clone()), waits: Some(waits), ..task.attempt.clone() };
    let ended = if released { Ended::Released(reason) } else { Ended::Snoozed { due, reason } };
    resend(task, &event, (&next, due, now), ended).await
}

/// By way of the ladder.
async fn resend(
    task: &mut Task<'_>,
    event: &Event,
    (next, due, now): (&Attempt, Timestamp, Timestamp),
    ended: Ended,
) -> (Ended, Settle) {
    let message = retry::again(task.taken(), &task.queue.plan.name, event, next);
    match send::confirmed(task, retry::exchange(due, now), message).await {
        Ok(()) => acked(ended),
        Err(Unsent::TooLarge(message, why)) => {
            task.message = *message;
            let reason = next.failure.as_deref().unwrap_or_default();
            let reason = format!("{reason}; and there can be no other attempt: {why}");
            dead(task, Death::new(DeadKind::TooLarge, reason)).await
        }
        Err(unsent) => not_sent(task, unsent).await,
    }
}

async fn early(task: &mut Task<'_>, due: Timestamp) -> (Ended, Settle) {
    let Some(event) = task.event.clone() else { return acked(Ended::Early { due }) };
    let now = task.queue.service.clock.now();
    let attempt = task.attempt.clone();
    let message = retry::again(task.taken(), &task.queue.plan.name, &event, &attempt);
    match send::confirmed(task, retry::exchange(due, now), message).await {
        Ok(()) => acked(Ended::Early { due }),
        Err(unsent) => not_sent(task, unsent).await,
    }
}

/// The final handler, then the dead letters.
async fn used_up(task: &mut Task<'_>, reason: String) -> (Ended, Settle) {
    match last::word(task, reason, false).await {
        Ok(reason) => dead(task, Death::new(DeadKind::Attempts, reason)).await,
        Err(hindered) => hindered_for_now(task, hindered).await,
    }
}

/// The same where its handler said so.
async fn told_dead(task: &mut Task<'_>, death: Death) -> (Ended, Settle) {
    match last::word(task, death.reason, true).await {
        Ok(reason) => dead(task, Death { reason, ..death }).await,
        Err(hindered) => hindered_for_now(task, hindered).await,
    }
}

async fn dead(task: &mut Task<'_>, death: Death) -> (Ended, Settle) {
    let queue = task.queue;
    let now = queue.service.clock.now();
    let event = task.event.clone();
    let message = task.taken();
    let about = (&death, &task.attempt, now);
    let letter = retry::dead(message, &queue.plan.name, event.as_deref(), about);
    match send::confirmed(task, DEAD, letter).await {
        Ok(()) => acked(Ended::Dead(death)),
        Err(Unsent::Why(why) | Unsent::TooLarge(_, why)) => {
            back(task, format!("{why}; it belongs to the dead letters ({}: {})", death.kind, death.reason))
                .await
        }
        Err(Unsent::Stopped) => stopped(task).await,
    }
}

async fn not_sent(task: &mut Task<'_>, unsent: Unsent) -> (Ended, Settle) {
    match unsent {
        Unsent::Why(why) | Unsent::TooLarge(_, why) => back(task, why).await,
        Unsent::Stopped => stopped(task).await,
    }
}

/// After a pause, when the publishing link is up again or it was held for long enough.
async fn give_back(task: &mut Task<'_>, why: String) -> (Ended, Settle) {
    let queue = task.queue;
    let mut pauses = Pauses::new(queue);
    loop {
        match pauses.next(queue, task.tag).await {
            Woke::Stopped => return stopped(task).await,
            Woke::Time if !queue.can_publish() => {}
            Woke::Time | Woke::Enough | Woke::Void => return back(task, why).await,
        }
    }
}

async fn stopped(task: &mut Task<'_>) -> (Ended, Settle) {
    let queue = task.queue;
    queue.report.left(|| match &task.event {
        Some(event) => {
            format!("{}: {} {}, attempt {}", queue.plan.name, event.name, event.id, task.attempt.number)
        }
        None => format!("{}: a message that was not read yet", queue.plan.name),
    });
    back(task, "the worker stops".into()).await
}

/// For a reason of ours: it is not counted against the message.
async fn back(task: &mut Task<'_>, why: String) -> (Ended, Settle) {
    (Ended::Released(why), back::begun(task).await)
}

pub(super) fn acked(ended: Ended) -> (Ended, Settle) {
    (ended, Settle::Ack)
}

//! Carries out a verdict, before the delivery is settled. One function for each ending:
//!
//! - [`acked`]: done, because everything that follows from it is confirmed;
//! - [`retry()`]: another attempt, as a row of the inbox's database or through the ladder; [`put_off`]: the same attempt;
//!   [`wait_for_due`]: the same, not due yet;
//! - [`dead_letter`], and [`dead_after_final_handler`] if its final handler runs before;
//! - [`release`]: back to the queue, for a reason of ours. [`release_stopped`]: the worker stops;
//!   [`release_once_up`]: after a pause; [`release_queued`]: it was not begun.
//!
//! The broker counts each return like a crash, and a message that came back five times is poison. This process remembers its
//! own returns ([`OwnReleases`]); the next process knows nothing of them. So a message that has come back often already is
//! republished instead ([`republish`]), through `retry.return` and at the same attempt: its count starts again, and it goes
//! behind the waiting ones.
//!
//! [`OwnReleases`]: crate::worker::own_releases::OwnReleases

#[cfg(feature = "postgres")]
use super::kept_retry;
use super::{
    InProgress, PutOff, Verdict,
    checks::needs_to_be_alone,
    commit::{NotDone, Unsent, commit, send_confirmed},
    hold_and_retry::{Failed, Hold, Unmet, hold_and_retry},
    run, tied,
};
use crate::{
    broker::{Delivery, DeliveryTag, Settle},
    clock::millis,
    event::{Event, Message, Timestamp},
    inbox::Held,
    topology::worker::{DEAD, RETURN},
    worker::{
        LONGEST_RETRY,
        ended::{DeadKind, Death, Ended},
        queue_context::QueueContext,
        retry::{self, Attempt},
    },
};
use std::{convert::Infallible, sync::Arc, time::Duration};

/// The shortest snooze.
const SHORTEST_SNOOZE: Duration = Duration::from_secs(1);
/// How long to wait for the confirm of a republished message before it is released after all.
const CONFIRM: Duration = Duration::from_secs(5);

/// Carries the verdict out, up to the settlement itself; returns how it ended, and how it is to be settled.
pub(super) async fn carry_out(task: &mut InProgress<'_>, verdict: Verdict) -> (Ended, Settle) {
    let not_done = match verdict {
        Verdict::Done(held, entry) => match commit(task, held, entry).await {
            Ok(()) => return acked(Ended::Done),
            Err(not_done) => not_done,
        },
        Verdict::Skip(why, Some(entry)) => match commit(task, Vec::new(), entry).await {
            Ok(()) => return acked(Ended::Skipped(why)),
            Err(not_done) => not_done,
        },
        Verdict::Skip(why, None) => return ended_outside(task, Ended::Skipped(why)).await,
        Verdict::HandledAlready => return ended_outside(task, Ended::HandledAlready).await,
        Verdict::Cancelled(why) => return ended_outside(task, Ended::Cancelled(why)).await,
        Verdict::Early(due) => return wait_for_due(task, due).await,
        Verdict::Failed { after, reason } => return retry(task, after, reason).await,
        Verdict::TimedOut(reason) => return retry(task, None, reason).await,
        Verdict::PutOff(why) => return put_off(task, why).await,
        Verdict::Unavailable { reason, .. } => return put_off(task, PutOff::Unavailable(reason)).await,
        Verdict::Release(why) => return release(task, why).await,
        Verdict::Hindered(why) => return release_once_up(task, why).await,
        Verdict::Stopped => return release_stopped(task).await,
        Verdict::Dead(death) if death.kind == DeadKind::Refused => {
            return dead_after_final_handler(task, death).await;
        }
        Verdict::Dead(death) => return dead_letter(task, death).await,
    };
    match not_done {
        NotDone::Lasting(why) => retry(task, None, why).await,
        passing => release_not_done(task, passing).await,
    }
}

/// The delivery is done.
pub(super) fn acked(ended: Ended) -> (Ended, Settle) {
    (ended, Settle::Ack)
}

/// It ended without a transaction of its own: what is tied to it ends now.
async fn ended_outside(task: &mut InProgress<'_>, ended: Ended) -> (Ended, Settle) {
    match tied::end(task, &ended).await {
        Ok(()) => acked(ended),
        Err(Unmet::Stopped) => release_stopped(task).await,
        Err(Unmet::Void(why) | Unmet::Enough(why)) => {
            release(task, format!("what is tied to it could not be ended: {why}")).await
        }
        Err(Unmet::Final(never)) => match never {},
    }
}

/// Sends it to another attempt, or to the dead letters after the last one.
async fn retry(task: &mut InProgress<'_>, after: Option<Duration>, reason: String) -> (Ended, Settle) {
    let (Some(event), Some(route)) = (task.event.clone(), task.route.clone()) else {
        // nothing fails before it is decoded and routed
        return dead_letter(task, Death::new(DeadKind::Malformed, reason)).await;
    };
    let policy = &route.policy;
    if task.attempt.number >= policy.attempts {
        return dead_after_final_handler(task, Death::new(DeadKind::Attempts, reason)).await;
    }
    let number = task.attempt.number.saturating_add(1);
    let wait = after.unwrap_or_else(|| policy.backoff.wait(number, fastrand::f64())).min(LONGEST_RETRY);
    let now = task.queue.service.clock.now();
    let due = now.plus(millis(wait));
    let mut next = task.attempt.next(due, reason.clone());
    next.alone |= task.queue.plan.batch.is_some();
    let ended = Ended::Retried { attempt: number, due, reason };
    send_to_wait(task, &event, (&next, due, now), ended).await
}

/// Sends it to the same attempt later, or to the dead letters when it was put off for too long.
async fn put_off(task: &mut InProgress<'_>, why: PutOff) -> (Ended, Settle) {
    let (Some(event), Some(route)) = (task.event.clone(), task.route.clone()) else {
        return release(task, "it was put off before it was decoded".into()).await;
    };
    let now = task.queue.service.clock.now();
    let waits = task.attempt.put_off(now);
    let reason = match &why {
        PutOff::Released => "its handler gave it back".to_owned(),
        PutOff::Snoozed(_, reason) | PutOff::Unavailable(reason) => reason.clone(),
    };
    let most = route.policy.max_wait;
    let waited = Duration::from_millis(u64::try_from(now.since(waits.since)).unwrap_or(0));
    if waited >= most {
        let kind = match why {
            PutOff::Released => DeadKind::Released,
            PutOff::Snoozed(..) => DeadKind::Snoozed,
            PutOff::Unavailable(_) => DeadKind::Unavailable,
        };
        let reason = format!(
            "attempt {} was put off {} times since {}, longer than the {} s of Policy::max_wait; last reason: {reason}",
            task.attempt.number,
            waits.count,
            waits.since,
            most.as_secs_f64()
        );
        return dead_letter(task, Death::new(kind, reason)).await;
    }
    let (wait, snoozed, unavailable) = match why {
        PutOff::Released => (waits.released(), false, false),
        // at once would be as fast as the broker is
        PutOff::Snoozed(wait, _) => (wait.clamp(SHORTEST_SNOOZE, LONGEST_RETRY), true, false),
        PutOff::Unavailable(_) => (waits.unavailable(), false, true),
    };
    // the last time is at the end of what it may wait, however much longer it was to be
    let due = now.plus(millis(wait.min((most - waited).max(SHORTEST_SNOOZE))));
    let next = Attempt {
        due: Some(due),
        failure: Some(reason.clone()),
        waits: Some(waits),
        unavailable,
        ..task.attempt.clone()
    };
    let ended = if snoozed { Ended::Snoozed { due, reason } } else { Ended::Released(reason) };
    send_to_wait(task, &event, (&next, due, now), ended).await
}

/// Sends it through the ladder once more, because its attempt is not due yet.
async fn wait_for_due(task: &mut InProgress<'_>, due: Timestamp) -> (Ended, Settle) {
    let Some(event) = task.event.clone() else { return acked(Ended::Early { due }) };
    let now = task.queue.service.clock.now();
    let attempt = task.attempt.clone();
    send_to_wait(task, &event, (&attempt, due, now), Ended::Early { due }).await
}

/// Has it wait in the inbox's database, if that can be, or else on the ladder.
async fn send_to_wait(
    task: &mut InProgress<'_>,
    event: &Event,
    (next, due, now): (&Attempt, Timestamp, Timestamp),
    ended: Ended,
) -> (Ended, Settle) {
    let message = retry::retry_message(task.taken(), &task.queue.plan.name, event, next);
    #[cfg(feature = "postgres")]
    if !matches!(ended, Ended::Early { .. })
        && kept_retry::keep(task, event, (next, due, now), &message).await
    {
        return acked(ended);
    }
    match send_confirmed(task, retry::exchange(due, now), message).await {
        Ok(()) => acked(ended),
        Err(Unsent::TooLarge(_, why)) if matches!(ended, Ended::Early { .. }) => release(task, why).await,
        Err(Unsent::TooLarge(message, why)) => {
            task.message = *message;
            let reason = next.failure.as_deref().unwrap_or_default();
            let reason = format!("{reason}; another attempt is impossible: {why}");
            dead_letter(task, Death::new(DeadKind::TooLarge, reason)).await
        }
        Err(Unsent::Why(why)) => release(task, why).await,
        Err(Unsent::Stopped) => release_stopped(task).await,
    }
}

/// Runs the final handler, if there is one for such an end; then sends it to the dead letters.
async fn dead_after_final_handler(task: &mut InProgress<'_>, death: Death) -> (Ended, Settle) {
    let Death { kind, reason } = death;
    match run::run_final_handler(task, reason, kind == DeadKind::Refused).await {
        Ok(reason) => dead_letter(task, Death { kind, reason }).await,
        Err(not_done) => release_not_done(task, not_done).await,
    }
}

/// Sends it to the dead letters.
async fn dead_letter(task: &mut InProgress<'_>, death: Death) -> (Ended, Settle) {
    let queue = task.queue;
    let now = queue.service.clock.now();
    let event = task.event.clone();
    let message = task.taken();
    let about = (&death, &task.attempt, now);
    let letter = retry::dead(message, &queue.plan.name, event.as_deref(), about);
    match send_confirmed(task, DEAD, letter).await {
        Ok(()) => ended_outside(task, Ended::Dead(death)).await,
        Err(Unsent::Why(why) | Unsent::TooLarge(_, why)) => {
            let why = format!("{why}; it belongs to the dead letters ({}: {})", death.kind, death.reason);
            release(task, why).await
        }
        Err(Unsent::Stopped) => release_stopped(task).await,
    }
}

async fn release_not_done(task: &mut InProgress<'_>, not_done: NotDone) -> (Ended, Settle) {
    match not_done {
        NotDone::Passing(why) | NotDone::Lasting(why) => release_once_up(task, why).await,
        NotDone::Stopped => release_stopped(task).await,
    }
}

/// Releases it after a pause: when the publishing link is up again, or it was held for long enough.
async fn release_once_up(task: &mut InProgress<'_>, why: String) -> (Ended, Settle) {
    let queue = task.queue;
    let mut is_first = true;
    let hold = Hold { what: None, even_void: false };
    let up = hold_and_retry(task, hold, || {
        let is_up = !std::mem::take(&mut is_first) && queue.can_publish();
        async move { if is_up { Ok(()) } else { Err(Failed::<Infallible>::Again(String::new())) } }
    });
    match up.await {
        Err(Unmet::Stopped) => release_stopped(task).await,
        Ok(()) | Err(Unmet::Void(_) | Unmet::Enough(_)) => release(task, why).await,
        Err(Unmet::Final(never)) => match never {},
    }
}

/// Releases it because the worker stops; the report lists it.
async fn release_stopped(task: &mut InProgress<'_>) -> (Ended, Settle) {
    let queue = task.queue;
    queue.report.left(|| match &task.event {
        Some(event) => {
            format!("{}: {} {}, attempt {}", queue.plan.name, event.name, event.id, task.attempt.number)
        }
        None => format!("{}: a message that was not decoded yet", queue.plan.name),
    });
    release(task, "the worker is stopping".into()).await
}

/// Releases it for a reason of ours, which is not counted against the message.
async fn release(task: &mut InProgress<'_>, why: String) -> (Ended, Settle) {
    let queue = task.queue;
    let ended = Ended::Released(why);
    let Some(event) = task.event.clone() else { return (ended, Settle::Release) };
    if needs_to_be_alone(Some(task.count)) && task.has_message() && may_publish(queue, task.tag) {
        let message = retry::retry_message(task.taken(), &queue.plan.name, &event, &task.attempt);
        if republish(queue, message).await {
            return acked(ended);
        }
    }
    if !task.noted {
        task.noted = true;
        queue.own_releases.note(event.id.as_str());
    }
    (ended, Settle::Release)
}

/// Gives back a delivery that was not begun. `confirms`: whether the broker has confirmed so far; after a first failure the
/// others would wait in vain.
pub(in crate::worker) async fn release_queued(queue: &QueueContext, delivery: Delivery, confirms: &mut bool) {
    queue.given_back(delivery.message.properties.message_id.as_deref());
    let mut how = Settle::Release;
    if *confirms && needs_to_be_alone(delivery.delivery_count()) && may_publish(queue, delivery.tag) {
        let message = retry::unread(delivery.message, &queue.plan.name);
        *confirms = republish(queue, message).await;
        if *confirms {
            how = Settle::Ack;
        }
    }
    // an error: the consumer has ended, and it goes back without being asked to
    let _ = queue.settler.settle(delivery.tag, how).await;
    queue.pulse.settled();
}

fn may_publish(queue: &QueueContext, tag: DeliveryTag) -> bool {
    queue.can_publish() && !queue.is_void(tag)
}

/// Republishes it through `retry.return`; returns whether that is confirmed.
async fn republish(queue: &QueueContext, message: Message) -> bool {
    let id = message.properties.message_id.as_deref().unwrap_or_default().parse();
    let Ok(id) = id else { return false };
    let held = Held { id, exchange: Arc::from(RETURN), message, due: None };
    match queue.publisher.publish(vec![held], CONFIRM).await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, queue = %queue.plan.name, "the delivery could not be republished; it is released, and its delivery count goes on");
            false
        }
    }
}

//! Retries an action while the slot is held: nothing spins, and nothing is given back that would be redelivered at once.

use super::{InProgress, Verdict};
use crate::worker::{circuit::Place, queue_context::QueueContext};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The first wait; each further one is twice as long, …
const SHORTEST: Duration = Duration::from_secs(1);
/// … up to this.
const LONGEST: Duration = Duration::from_secs(30);
/// The longest that a delivery is held (and never longer than a third of what the broker allows).
const HELD: Duration = Duration::from_secs(600);

/// Why an attempt did not succeed.
pub(super) enum Failed<E> {
    /// Another one may succeed; why this one did not.
    Again(String),
    /// No other one will succeed.
    Final(E),
}

/// Why no attempt succeeded.
pub(super) enum Unmet<E> {
    /// No other attempt would help.
    Final(E),
    /// It was held for long enough; why the last attempt failed.
    Enough(String),
    /// The delivery's channel is gone: it can't be settled any more, and comes again; why the last attempt failed.
    Void(String),
    /// The worker stops now.
    Stopped,
}

/// How a delivery is held.
#[derive(Clone, Copy)]
pub(super) struct Hold {
    /// What is logged, once, when the first attempt fails: what happened.
    pub(super) what: Option<&'static str>,
    /// Whether to go on when the delivery's channel is gone.
    pub(super) even_void: bool,
}

impl Hold {
    /// While the delivery can be settled; `what` says in the log what happened.
    pub(super) fn because(what: &'static str) -> Self {
        Self { what: Some(what), even_void: false }
    }
}

/// How long a delivery may be held for something to come back.
fn longest_held(queue: &QueueContext) -> Duration {
    HELD.min(queue.service.limits.consumer_timeout / 3)
}

/// Makes attempts, with the slot held, until one succeeds: after 1 s, 2 s, 4 s … 30 s.
pub(super) async fn hold_and_retry<T, E, A>(
    task: &InProgress<'_>,
    hold: Hold,
    mut attempt: impl FnMut() -> A,
) -> Result<T, Unmet<E>>
where
    A: Future<Output = Result<T, Failed<E>>>,
{
    let queue = task.queue;
    let (mut wait, until) = (SHORTEST, Instant::now() + longest_held(queue));
    loop {
        let why = match attempt().await {
            Ok(done) => return Ok(done),
            Err(Failed::Final(error)) => return Err(Unmet::Final(error)),
            Err(Failed::Again(why)) => why,
        };
        if let Some(what) = hold.what.filter(|_| wait == SHORTEST) {
            let _span = task.span.enter();
            tracing::warn!(why, queue = %queue.plan.name, id = task.id(), "{what}; the task waits and tries again");
        }
        let end = Instant::now() + wait;
        if end > until {
            return Err(Unmet::Enough(why));
        }
        wait = (wait * 2).min(LONGEST);
        tokio::select! {
            () = sleep_until(end) => {}
            () = queue.stop.raised() => return Err(Unmet::Stopped),
            () = queue.voided(task.tag), if !hold.even_void => return Err(Unmet::Void(why)),
        }
    }
}

/// Whether what finds something unavailable waits in its slot. A single active consumer must keep its order, which a delivery
/// that goes elsewhere loses.
pub(super) fn keeps_place(queue: &QueueContext) -> bool {
    queue.plan.policy.exclusive && queue.circuit.is_on()
}

/// Something that the handler of the one task of a queue needs is unavailable: it waits in its slot, and is itself the probe.
/// `Ok`: try it again; the error is its verdict.
pub(super) async fn wait_until_available(task: &mut InProgress<'_>, reason: String) -> Result<(), Verdict> {
    let queue = task.queue;
    tokio::select! {
        ticket = queue.circuit.admitted() => {
            task.place = Place::new(&queue.circuit, ticket);
            task.restore();
            Ok(())
        }
        // it is not at work, so the grace is not for it
        () = queue.drain.raised() => Err(Verdict::Release(reason)),
        () = queue.voided(task.tag) => Err(Verdict::Release(reason)),
        () = sleep_until(task.began + longest_held(queue)) => Err(Verdict::Release(reason)),
    }
}

//! What a handler needs is not there: the queue is paused before the delivery goes back to it, or it would come again at
//! once.
//!
//! A single active consumer must keep its order, which what goes back may lose: its one task waits in its slot, and is
//! itself what is tried again.

use super::{Task, Verdict, pause};
use crate::worker::breaker::Place;
use tokio::time::sleep_until;

/// Pauses the queue. `Ok`: the task is to be led anew; else what is to become of it.
pub(super) async fn wait(task: &mut Task<'_>, name: &str, reason: String) -> Result<(), Verdict> {
    let queue = task.queue;
    if queue.breaker.unavailable(task.place.ticket(), name, &reason) {
        queue.settler.narrow();
    }
    if !queue.plan.policy.exclusive {
        return Err(Verdict::GiveBack(reason));
    }
    tokio::select! {
        ticket = queue.breaker.admitted() => {
            task.place = Place::new(&queue.breaker, ticket);
            task.restore();
            Ok(())
        }
        // it is not at work, so the grace is not for it
        () = queue.drain.raised() => Err(Verdict::GiveBack(reason)),
        () = queue.voided(task.tag) => Err(Verdict::GiveBack(reason)),
        () = sleep_until(task.began + pause::longest_held(queue)) => Err(Verdict::GiveBack(reason)),
    }
}

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
    let line = task.line;
    if line.breaker.unavailable(task.place.ticket(), name, &reason) {
        line.settler.narrow();
    }
    if !line.stream.policy.exclusive {
        return Err(Verdict::GiveBack(reason));
    }
    tokio::select! {
        ticket = line.breaker.admitted() => {
            task.place = Place::new(&line.breaker, ticket);
            task.restore();
            Ok(())
        }
        // it is not at work, so the grace is not for it
        () = line.drain.raised() => Err(Verdict::GiveBack(reason)),
        () = line.voided(task.tag) => Err(Verdict::GiveBack(reason)),
        () = sleep_until(task.began + pause::longest_held(line)) => Err(Verdict::GiveBack(reason)),
    }
}

//! What goes on beside the loop of a clock that leads, or follows.

use crate::{
    clock_loop::Proof,
    cluster::{Keeper, Role},
    ops::RunningClock,
};
use ponos::{
    broker::Link,
    shutdown::{Shutdown, Stage, Trigger},
};
use tokio::sync::watch;

/// Shows how a follower's connection is, for as long as it is polled.
pub(super) async fn show_link(mut link: watch::Receiver<Link>, shown: &watch::Sender<Link>) {
    loop {
        let now = link.borrow_and_update().clone();
        shown.send_replace(now);
        if link.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Ends a leadership as the lease says: in order while it is given back, at once where it is gone or the process is to stop.
pub(super) async fn end_with(mut role: watch::Receiver<Role>, term: u64, trigger: Trigger, ends: Shutdown) {
    let stopping = ends.reached(Stage::Stopping);
    tokio::pin!(stopping);
    let mut is_draining = false;
    loop {
        let now = *role.borrow_and_update();
        if now.term() != Some(term) {
            break;
        }
        if now == (Role::Draining { term }) && !std::mem::replace(&mut is_draining, true) {
            trigger.advance();
        }
        tokio::select! {
            changed = role.changed() => if changed.is_err() { break },
            () = &mut stopping => break,
        }
    }
    trigger.advance();
    trigger.advance();
}

/// Tells whether the leader gets anything done.
pub(super) async fn prove(keeper: Keeper, mut proof: watch::Receiver<Proof>, clock: RunningClock) {
    let mut confirmed = 0;
    while proof.changed().await.is_ok() {
        let now = *proof.borrow_and_update();
        keeper.note_broker(clock.is_connected());
        if now.confirmed > std::mem::replace(&mut confirmed, now.confirmed) {
            keeper.confirmed();
        }
        keeper.work(now.has_work);
    }
}

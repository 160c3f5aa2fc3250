//! The final handler: the last word before the dead letters.
//!
//! It is told of once for each time that a message dies: it has an entry of its own in the inbox, and with that its own
//! transaction. What is put back from the dead letters may die again, and is told of again.

use super::{
    Task, Verdict,
    finish::{Hindered, finish},
    inbox, run, validate,
};
use crate::{
    event::Event,
    inbox::{Entry, InboxKey},
    worker::plan::Route,
};
use futures_util::FutureExt;
use std::sync::Arc;

/// Runs it, if there is one for such an end, and gives the reason for the dead letter; `or_dead`: its handler wants the
/// message dead.
pub(super) async fn word(task: &mut Task<'_>, reason: String, or_dead: bool) -> Result<String, Hindered> {
    let (Some(event), Some(route)) = (task.event.clone(), task.route.clone()) else { return Ok(reason) };
    let Some(last) = route.last.as_ref().filter(|last| last.or_dead || !or_dead) else { return Ok(reason) };
    let Some(entry) = begin(task, &route, &event).await? else { return Ok(reason) };
    let context = task.context(&route, &event, Some(&entry), Some(reason.clone()));
    let run = run::last(task.queue, &last.handler, &context, validate::again(&event)).await;
    let held = context.end();
    match run {
        Ok(()) => match finish(task, held, entry).await {
            Err(Hindered::Lasting(why)) => Ok(format!("{reason}; its final handler: {why}")),
            hindered => hindered.map(|()| reason),
        },
        Err(failed) => {
            entry.abandon().boxed().await;
            if matches!(failed, run::Run::Stopped) {
                return Err(Hindered::Stopped);
            }
            let why = run::failure(failed, &context);
            Ok(format!("{reason}; its final handler failed too: {why}"))
        }
    }
}

/// `None`: it ran before.
async fn begin(task: &Task<'_>, route: &Route, event: &Event) -> Result<Option<Entry>, Hindered> {
    if task.queue.service.inbox.is_none() {
        return Ok(Some(Entry::none()));
    }
    let times = event.extensions.int("requeued-count").unwrap_or(0);
    // no pattern has a `!`
    let handler = format!("{}!last{times}", route.pattern);
    let key = InboxKey::of(Arc::clone(&task.queue.plan.name), handler, event);
    match inbox::begin(task, &key).boxed().await {
        Ok(entry) => Ok(Some(entry)),
        Err(Verdict::HandledAlready) => Ok(None),
        Err(Verdict::GiveBack(why)) => Err(Hindered::Passing(why)),
        Err(_) => Err(Hindered::Stopped),
    }
}

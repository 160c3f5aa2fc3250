//! What is tied to a message in the database, and ends with it: the key that it has until it is done, and its place in a group. And the
//! groups that begin with it.
//!
//! A handler that is done ends it in its own transaction. Whatever ends otherwise, dead, cancelled or not worth a run, does so here: after what
//! follows from it is confirmed, and before it is acked. If this process ends in between, the message comes again, and ends again.

#[cfg(feature = "postgres")]
use super::hold_and_retry::{Failed, Hold, hold_and_retry};
use super::{InProgress, hold_and_retry::Unmet};
#[cfg(feature = "postgres")]
use crate::inbox::{
    InboxErrorClass,
    postgres::{MemberEnd, is_tied},
};
use crate::{
    event::Event,
    inbox::{Entry, Held},
    worker::{Context, Ended},
};
use std::convert::Infallible;

/// The entry, whose end is that of what is tied to the event as well.
#[cfg_attr(not(feature = "postgres"), allow(unused_mut, unused_variables))]
pub(super) fn tie(mut entry: Entry, event: &Event) -> Entry {
    #[cfg(feature = "postgres")]
    entry.tie(event);
    entry
}

/// The entry, with whose end nothing stays claimed for what its handler held and does not send.
#[cfg_attr(not(feature = "postgres"), allow(unused_mut, unused_variables))]
pub(super) fn unclaim(mut entry: Entry, unsent: &[Held]) -> Entry {
    #[cfg(feature = "postgres")]
    entry.unclaim(unsent);
    entry
}

/// The entry, with whose end the groups begin that its handler made.
#[cfg_attr(not(feature = "postgres"), allow(unused_mut, unused_variables))]
pub(super) fn begin_groups(mut entry: Entry, context: &Context) -> Entry {
    #[cfg(feature = "postgres")]
    entry.begin_groups(std::mem::take(context.buffer().groups()));
    entry
}

/// Ends what is tied to it, for one that ended without an entry.
#[cfg(feature = "postgres")]
pub(super) async fn end(task: &InProgress<'_>, ended: &Ended) -> Result<(), Unmet<Infallible>> {
    let Some(event) = task.event.as_ref().filter(|event| is_tied(event)) else { return Ok(()) };
    let inbox = &task.queue.service.inbox;
    let end = match ended {
        Ended::Dead(_) => MemberEnd::Dead,
        Ended::Cancelled(_) => MemberEnd::Cancelled,
        _ => MemberEnd::Done,
    };
    let hold = Hold::because("what is tied to it could not be ended");
    let ended = hold_and_retry(task, hold, || async move {
        match inbox.end_tied(event, end).await {
            Err(error) if error.class == InboxErrorClass::Refused => {
                // waiting does not help, and it would come back for ever
                tracing::error!(%error, id = task.id(), "what is tied to it stays as it is until its time is over");
                Ok(())
            }
            ended => ended.map_err(|error| Failed::Again(error.to_string())),
        }
    });
    Box::pin(ended).await
}

/// Nothing is.
#[cfg(not(feature = "postgres"))]
#[allow(clippy::unused_async, reason = "as with a database")]
pub(super) async fn end(_: &InProgress<'_>, _: &Ended) -> Result<(), Unmet<Infallible>> {
    Ok(())
}

//! Whether it was handled already.

use super::{
    Task, Verdict,
    pause::{Pauses, Woke},
};
use crate::inbox::{Begun, Entry, InboxKey};

/// The entry to run under. While the inbox can't be asked the slot waits, for what is given back comes again at once.
pub(super) async fn begin(task: &Task<'_>, key: &InboxKey) -> Result<Entry, Verdict> {
    let queue = task.queue;
    let mut pauses = Pauses::new(queue);
    loop {
        let begun = tokio::select! {
            biased;
            begun = queue.service.inbox.begin(key) => begun,
            // nothing has run yet
            () = queue.stop.raised() => return Err(Verdict::Stopped),
        };
        let error = match begun {
            Ok(Begun::Run(entry)) => return Ok(entry),
            Ok(Begun::Handled) => return Err(Verdict::HandledAlready),
            Err(error) => error,
        };
        if pauses.is_first() {
            tracing::warn!(%error, queue = %queue.plan.name, id = %key.id, "the inbox could not be asked; the task waits");
        }
        match pauses.next(queue, task.tag).await {
            Woke::Time => {}
            Woke::Stopped => return Err(Verdict::Stopped),
            Woke::Void => {
                return Err(Verdict::GiveBack(
                    "the connection was lost while the inbox could not be asked".into(),
                ));
            }
            Woke::Enough => return Err(Verdict::GiveBack(format!("the inbox could not be asked: {error}"))),
        }
    }
}

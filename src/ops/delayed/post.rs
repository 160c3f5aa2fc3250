//! An event is put that the server names.

use super::{
    EventOutcome, NamesOf, WantedEvent, WantedEvents,
    change::{EventBatch, change_undecided},
};
use crate::{
    authority::Caller,
    engine::{Expect, Refusal, Verdict, delayed::Found},
    ops::{OpsError, RunningClock},
    schedule::FaultCode,
};
use ponos::event::CommandId;
use std::sync::Arc;

/// How often it is looked what is there: between two looks it is sent, or deleted.
const LOOKS: usize = 3;

/// Puts an event by its item as JSON, whose name is made here where it is left out: of the caller and his key where he gives one, so
/// that the same key again is the same event. Done when that is durable. The same again gives [`Verdict::Unchanged`], with the time
/// that it had, or [`Verdict::Settled`] for an hour after it was sent.
///
/// # Errors
/// As [`change`](super::change::change) and [`EventOutcome::done`]; of another item under the same key,
/// [`Refusal::MessageIdUsed`].
pub async fn post(
    clock: &RunningClock,
    caller: &Caller,
    json: Vec<u8>,
    key: Option<&str>,
) -> Result<EventOutcome, OpsError> {
    let names = match key {
        None => NamesOf::random()?,
        Some(key) => {
            let key: CommandId = key
                .parse()
                .map_err(|what| OpsError::parameter("Idempotency-Key", FaultCode::InvalidValue, what))?;
            NamesOf::Key { owner: caller.owner().clone(), key: key.as_str().into() }
        }
    };
    for _ in 0..LOOKS {
        let wanted = WantedEvent::Put { name: None, json: json.clone(), expect: Expect::Any };
        let wanted = WantedEvents::Each(vec![wanted]);
        let batch = EventBatch { wanted, atomic: false, message: None, names: names.clone() };
        let (undecided, verdict) =
            change_undecided(clock, caller, batch).await?.pop().ok_or(OpsError::Defect)?;
        if !matches!(verdict, Verdict::Refused(Refusal::Exists { .. })) {
            return undecided.decided(verdict, caller).done();
        }
        let name: Arc<str> = undecided.name.as_str().into();
        let found = clock.delayed()?.read(move |reader| reader.find(&[name])).await?.pop();
        let Some(Found::Pending(head)) = found else { continue };
        if head.digest != undecided.digest {
            return Err(OpsError::EventUnchanged { name: undecided.name, refusal: Refusal::MessageIdUsed });
        }
        let verdict = Verdict::Unchanged { creation: head.creation, revision: head.revision };
        let (due, send) = (Some(head.due), Some(head.key.send));
        return Ok(EventOutcome { due, send, ..undecided.decided(verdict, caller) });
    }
    Err(OpsError::Unavailable("nothing changed: the event changes all the time; try again".into()))
}

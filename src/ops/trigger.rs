//! Triggering an event of a schedule: now, beside its occurrences.

use super::{
    OpsError, RunningClock, TriggerDecision,
    message::{Asked, asker},
    permit::permit,
    schedules,
};
use crate::{
    authority::{Caller, Role},
    clock_loop::{Command, TriggerAsked, Unchanged},
    engine::Verdict,
    schedule::{FaultCode, id_name},
};
use ponos::event::{CommandId, EventKind, OccurrenceId};
use std::sync::Arc;
use tracing::{info, warn};

/// Has an event of a schedule sent now, made from its present definition. Done when that is durable: then it is sent until the
/// broker has it. The same key again is answered as before, for 24 hours, and sends nothing more; so is the same message, also
/// where the schedule is another one by then.
///
/// # Errors
/// [`OpsError::Denied`], [`OpsError::NotFound`], [`OpsError::Parameter`], [`OpsError::Unavailable`]: nothing is sent;
/// [`OpsError::Unknown`]: it may be sent.
pub async fn trigger(
    clock: &RunningClock,
    caller: &Caller,
    name: &str,
    key: &str,
    message: Option<String>,
) -> Result<TriggerDecision, OpsError> {
    const WHAT: &str = "trigger a schedule";
    let message = Asked::default().part(b"trigger").part(name.as_bytes()).message(message);
    let before = clock.answered_one(caller, name, message.as_ref()).await?;
    if before.is_none() {
        permit(caller, Role::Operate, WHAT)?;
    }
    let id: CommandId =
        key.parse().map_err(|what| OpsError::parameter("Idempotency-Key", FaultCode::InvalidValue, what))?;
    let (due, creation) = match before {
        Some(Verdict::Triggered { due, creation }) => (due, creation),
        Some(_) => return Err(OpsError::Defect),
        None => {
            schedules::check_name(name)?;
            let (schedule, asker): (Arc<str>, _) = (name.into(), asker(caller, message));
            let asked = TriggerAsked { id: id.clone(), trace: caller.trace() };
            let answer = clock.ask_for(asker, |reply| Command::Trigger(schedule, asked, reply)).await;
            let answer = match answer {
                Ok(Err(Unchanged::Refused(refusal))) => Err(clock.refused(caller, name, refusal).await),
                Ok(answer) => answer.map_err(OpsError::from),
                Err(error) => Err(error),
            };
            let answer = answer.inspect_err(|error| warn!("{caller} asked to {WHAT}: {error}"))?;
            info!("{caller} triggered {name}: {id}");
            (answer.due, answer.creation)
        }
    };
    let (kind, clock) = (EventKind::Trigger(id.clone()), clock.name());
    let id_name = id_name(name, creation);
    let event_id = OccurrenceId { clock: &clock, schedule: &id_name, due, kind: &kind }.id().to_string();
    Ok(TriggerDecision { schedule: name.to_owned(), event_id, due_at: due, command: id.to_string() })
}

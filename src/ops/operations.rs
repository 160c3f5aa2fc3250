//! Operations that take a while: what there is, and ending one.

use super::{Missing, MissingKind, OperationView, OpsError, RunningClock, message::asker, permit::permit};
use crate::{
    authority::{Caller, Role},
    clock_loop::{Command, OperationStatus, Unchanged},
    schedule::FaultCode,
};
use ponos::event::CommandId;
use tracing::info;

/// Characters of an id, at most: it stands in addresses.
const ID: usize = 64;

/// All operations that are known: those that run, and those that ended within a day.
///
/// # Errors
/// [`OpsError::Unavailable`].
pub async fn all(clock: &RunningClock) -> Result<Vec<OperationView>, OpsError> {
    Ok(clock.ask(Command::Operations).await?.into_iter().map(Into::into).collect())
}

/// The operation of this id.
///
/// # Errors
/// [`OpsError::NotFound`], [`OpsError::Unavailable`].
pub async fn get(clock: &RunningClock, asked: &str) -> Result<OperationView, OpsError> {
    Ok(known(clock, asked).await?.into())
}

/// Ends an operation: it sends no more than what is on its way. Done when that is durable; one that has ended stays as it is.
///
/// # Errors
/// [`OpsError::Denied`], [`OpsError::NotFound`]; [`OpsError::Unavailable`]: it goes on; [`OpsError::Unknown`].
pub async fn cancel(clock: &RunningClock, caller: &Caller, asked: &str) -> Result<OperationView, OpsError> {
    permit(caller, Role::Operate, "cancel an operation")?;
    let OperationStatus { id, operation, .. } = known(clock, asked).await?;
    let answer = clock.ask_for(asker(caller, None), |reply| Command::Cancel(id, reply)).await?;
    if let Err(Unchanged::Refused(refusal)) = answer {
        return Err(clock.refused(caller, &operation.schedule, refusal).await);
    }
    let ended = answer?;
    info!("{caller} cancelled the operation {asked}");
    Ok(ended.into())
}

async fn known(clock: &RunningClock, asked: &str) -> Result<OperationStatus, OpsError> {
    let missing = || {
        let what = format!("there is no operation '{asked}'");
        OpsError::NotFound(Missing { kind: MissingKind::Operation, what, suggestion: None })
    };
    let id = id(asked).map_err(|_| missing())?;
    find(clock, &id).await?.ok_or_else(missing)
}

pub(super) async fn find(clock: &RunningClock, id: &CommandId) -> Result<Option<OperationStatus>, OpsError> {
    let id = id.clone();
    clock.ask(|reply| Command::Operation(id, reply)).await
}

/// What an operation may be called.
pub(super) fn id(text: &str) -> Result<CommandId, OpsError> {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || ['-', '_'].contains(&char);
    let wrong = || {
        let what = format!("the key of an operation has 1 to {ID} letters, digits, '-' and '_'");
        OpsError::parameter("Idempotency-Key", FaultCode::InvalidValue, what)
    };
    if text.len() > ID || !text.chars().all(is_plain) {
        return Err(wrong());
    }
    text.parse().map_err(|_| wrong())
}

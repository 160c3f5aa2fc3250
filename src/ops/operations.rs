//! Operations that take a while: what there is, and ending one.

use super::{
    Missing, MissingKind, OperationList, OperationView, OpsError, RunningClock,
    message::asker,
    permit::permit,
    schedules::{mark, marked},
};
use crate::{
    authority::{Caller, Role},
    clock_loop::{Command, OperationStatus, Unchanged},
    schedule::FaultCode,
};
use ponos::event::CommandId;
use serde::Deserialize;
use tracing::info;
use utoipa::IntoParams;

/// Characters of an id, at most: it stands in addresses.
const ID: usize = 64;

/// Operations in one answer, at most.
const MOST: usize = 1_000;

/// Which operations.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct OperationQuery {
    /// At most so many, 1 to 1,000; 100 if left out.
    #[param(minimum = 1, maximum = 1_000)]
    pub limit: Option<usize>,
    /// Where to go on: `next` of the page before.
    pub page: Option<String>,
}

/// A page of the operations that are known, by their ids: those that run, and those that ended within a day.
///
/// # Errors
/// [`OpsError::Parameter`], [`OpsError::Unavailable`].
pub async fn page(clock: &RunningClock, wanted: &OperationQuery) -> Result<OperationList, OpsError> {
    let limit = wanted.limit.unwrap_or(100);
    if !(1..=MOST).contains(&limit) {
        return Err(OpsError::parameter("limit", FaultCode::OutOfRange, format!("1 to {MOST}")));
    }
    let mut after = wanted.page.as_deref().map(|page| marked(page, |text| id(text).ok())).transpose()?;
    let mut operations: Vec<OperationView> = Vec::new();
    while operations.len() <= limit {
        let from = after.take();
        let found = clock.ask(|reply| Command::Operations(from, reply)).await?;
        let Some(last) = found.last() else { break };
        after = Some(last.id.clone());
        operations.extend(found.into_iter().map(OperationView::from));
    }
    let is_more = operations.len() > limit;
    operations.truncate(limit);
    let next = operations.last().filter(|_| is_more).map(|last| mark(&last.id));
    Ok(OperationList { operations, next })
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

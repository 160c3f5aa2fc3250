//! How a running clock is: whether its loop turns, and whether events go out. And reading its schedules again.

use super::{Alive, OpsError, Readiness, RunningClock, message::asker, permit::permit};
use crate::{
    authority::{Caller, Role},
    clock_loop::Command,
};
use std::sync::Arc;
use tracing::{info, warn};

/// Whether the clock's loop turns.
///
/// # Errors
/// [`OpsError::Unavailable`]: it does not.
pub async fn alive(clock: &RunningClock) -> Result<Alive, OpsError> {
    turns(clock).await?;
    let status = clock.status();
    Ok(Alive { status: "alive".into(), clock: status.clock, now: status.now })
}

/// Whether events go out, and if not, why.
pub async fn readiness(clock: &RunningClock) -> Readiness {
    let mut status = clock.status();
    if let Err(error) = turns(clock).await {
        status.reasons.push(error.to_string());
    }
    Readiness { role: clock.role(), ..Readiness::new(status, &clock.zone_data()) }
}

/// Asks the loop something small: an answer proves that it turns, with no clock to compare.
async fn turns(clock: &RunningClock) -> Result<(), OpsError> {
    clock.ask(|reply| Command::Schedule(Arc::from(""), reply)).await.map(drop)
}

/// Reads the schedule files again; what the operator should know of it, such as which schedules were left out because their names
/// exist at run time.
///
/// # Errors
/// [`OpsError::Denied`]; [`OpsError::Refused`]: they are wrong, and nothing changed; [`OpsError::Unavailable`];
/// [`OpsError::Unknown`].
pub async fn reload(clock: &RunningClock, caller: &Caller) -> Result<String, OpsError> {
    let what = "read the schedules again";
    permit(caller, Role::Operate, what)?;
    caller.may_change_everything(what)?;
    let answer = clock
        .ask_for(asker(caller, None), Command::Reload)
        .await
        .and_then(|read| read.map_err(OpsError::Refused));
    match &answer {
        Ok(_) => info!("{caller} had the schedules read again"),
        Err(error) => warn!("{caller} asked to {what}: {error}"),
    }
    answer
}

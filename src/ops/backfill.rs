//! Backfills: what a schedule would have called for in a span of the past is sent, from its present definition.

mod missing;
mod runs;

use super::{
    BackfillAsked, BackfillDecision, Clock, OpsError, RunningClock,
    message::{Asked, asker},
    operations,
    permit::permit,
    run_blocking, schedules,
};
use crate::{
    authority::{Caller, Role},
    clock_loop::{Command, OperationStatus, Unchanged},
    engine::{Coalesced, Covered, Digest, HIGHEST_RATE, Operation},
    schedule::FaultCode,
};
use missing::Sent;
use ponos::event::CommandId;
use runs::{Found, find};
use std::sync::Arc;
use tracing::info;

/// Events a second, where nothing is said.
const RATE: u32 = 10;
/// Bytes of a queue's name, at most.
const QUEUE: usize = 255;

/// Has the occurrences of a span of the past sent, beside all that is due; with `dry_run` it only says how many. Done when that is
/// durable: then it can be watched and cancelled as an operation. The same key again is answered as it is by then, and sends
/// nothing more.
///
/// # Errors
/// [`OpsError::Denied`], [`OpsError::NotFound`], [`OpsError::Invalid`], [`OpsError::Parameter`], [`OpsError::Refused`],
/// [`OpsError::OtherCount`], [`OpsError::Conflict`], [`OpsError::TooMany`], [`OpsError::Unavailable`]: nothing begins; [`OpsError::Unknown`]: it may have
/// begun.
pub async fn backfill(
    clock: &RunningClock,
    caller: &Caller,
    name: &str,
    key: Option<&str>,
    asked: BackfillAsked,
) -> Result<BackfillDecision, OpsError> {
    const WHAT: &str = "backfill a schedule";
    permit(caller, Role::Operate, WHAT)?;
    let id = key.map(operations::id).transpose()?;
    // The same again is answered whatever has become of its schedule.
    if let Some(id) = id.as_ref().filter(|_| !asked.dry_run)
        && let Some(before) = operations::find(clock, id).await?
        && before.operation.digest == digest(caller, name, before.operation.creation, &asked)
    {
        return Ok(as_it_is(before));
    }
    let status = schedules::find(&Clock::from(clock.clone()), name).await?;
    caller.may_change(status.revision.definition.event())?;
    check(caller, &asked)?;
    if id.is_none() && !asked.dry_run {
        let what = "name the operation with a key of your own, so that it can be asked for again and nothing is sent twice";
        return Err(OpsError::parameter("Idempotency-Key", FaultCode::MissingKey, what));
    }
    let digest = digest(caller, name, status.revision.definition.creation(), &asked);
    let id = id.filter(|_| !asked.dry_run);
    if let Some(id) = &id
        && let Some(before) = operations::find(clock, id).await?
    {
        return again(before, digest);
    }
    let (scheduled, queue): (Arc<str>, _) = (name.into(), asked.queue.clone().map(Arc::from));
    let (to, only_missing) = (asked.to, asked.only_missing);
    let covered = clock.ask(|reply| Command::Covered(scheduled, queue, reply)).await?;
    let covered =
        covered.ok_or_else(|| OpsError::Unavailable(format!("{name} was removed: nothing is sent")))?;
    let sent = if only_missing { missing::sent(clock, &covered, &asked).await? } else { Sent::default() };
    // What is still to come comes by itself.
    let span = (asked.from, to.min(covered.comes_from.plus(-1)));
    let timing = covered.status.revision.timing();
    let Found { runs, there } = run_blocking(move || find(&timing, span, &sent.ranges)).await??;
    let decided = BackfillDecision {
        count: runs.iter().map(|run| run.count).sum(),
        first_due_at: runs.first().map(|run| run.first),
        last_due_at: runs.last().map(|run| run.last),
        there,
        comes_from: Some(covered.comes_from).filter(|from| *from <= to),
        recorded_since: sent.since.filter(|since| *since > asked.from),
        operation: None,
    };
    if let Some(expected) = asked.expect_count.filter(|expected| *expected != decided.count) {
        let [found, expected] =
            [decided.count, expected].map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        return Err(OpsError::OtherCount { found, expected });
    }
    match id {
        None => Ok(decided),
        Some(id) => begin(clock, caller, (id, digest), decided, (asked, covered, runs)).await,
    }
}

/// Of all that is asked for, by whom, and of which schedule.
fn digest(caller: &Caller, name: &str, creation: u64, asked: &BackfillAsked) -> Digest {
    let json = serde_json::to_vec(asked).unwrap_or_default();
    let whose = Asked::default().part(b"backfill").part(caller.owner().as_bytes());
    whose.part(name.as_bytes()).part(&creation.to_be_bytes()).json(&json).digest()
}

fn check(caller: &Caller, asked: &BackfillAsked) -> Result<(), OpsError> {
    let BackfillAsked { from, to, rate, queue, .. } = asked;
    if from > to {
        return Err(OpsError::Invalid(format!("from ({from}) is after to ({to})")));
    }
    if rate.is_some_and(|rate| !(1..=HIGHEST_RATE).contains(&rate)) {
        return Err(OpsError::Invalid(format!("rate: 1 to {HIGHEST_RATE} events a second")));
    }
    if let Some(queue) = queue {
        let is_name = (1..=QUEUE).contains(&queue.len()) && !queue.chars().any(char::is_control);
        if !is_name {
            return Err(OpsError::Invalid(format!("queue: the name of a queue, 1 to {QUEUE} bytes")));
        }
        // Whose queue it is no domain says.
        caller.may_change_everything("send events to a queue that is named")?;
    }
    Ok(())
}

/// What is answered where an operation of the key is there.
fn again(before: OperationStatus, digest: Digest) -> Result<BackfillDecision, OpsError> {
    if before.operation.digest != digest {
        let what = format!(
            "nothing is sent: an operation of this key ('{}') was asked for something else within a day; take another key",
            before.id
        );
        return Err(OpsError::Refused(what));
    }
    Ok(as_it_is(before))
}

/// Nothing is decided anew.
fn as_it_is(before: OperationStatus) -> BackfillDecision {
    let Operation { count, first, last, .. } = before.operation;
    BackfillDecision {
        count,
        first_due_at: Some(first),
        last_due_at: Some(last),
        there: 0,
        comes_from: None,
        recorded_since: None,
        operation: Some(before.into()),
    }
}

async fn begin(
    clock: &RunningClock,
    caller: &Caller,
    (id, digest): (CommandId, Digest),
    decided: BackfillDecision,
    (asked, covered, runs): (BackfillAsked, Covered, Vec<Coalesced>),
) -> Result<BackfillDecision, OpsError> {
    if let Some(since) = decided.recorded_since {
        return Err(OpsError::Refused(format!(
            "nothing is sent: the record goes back to {since} only, and what was sent before is not known: ask for what is due from there on; or, without only_missing, for all that was due before"
        )));
    }
    let span = decided.first_due_at.zip(decided.last_due_at);
    let Some((first, last)) = span.filter(|_| decided.count > 0) else {
        let mut what = "nothing is to be sent: no occurrence of that span is missing".to_owned();
        if let Some(from) = decided.comes_from {
            what.push_str(&format!("; what is due from {from} on is still sent by itself"));
        }
        return Err(OpsError::Refused(what));
    };
    let revision = &covered.status.revision;
    let name: Arc<str> = revision.name().into();
    let operation = Operation {
        schedule: name.clone(),
        revision: revision.number,
        creation: revision.definition.creation(),
        by: caller.to_string().into(),
        owner: caller.owner().clone(),
        digest,
        at: covered.at,
        rate: asked.rate.unwrap_or(RATE),
        queue: asked.queue.map(Arc::from),
        count: decided.count,
        first,
        last,
        left: runs,
        sent: 0,
        ended: None,
    };
    let begun = id.clone();
    let answer = clock
        .ask_for(asker(caller, None), |reply| Command::Operate(begun, Box::new(operation), reply))
        .await?;
    if let Err(Unchanged::Refused(refusal)) = answer {
        return Err(clock.refused(caller, &name, refusal).await);
    }
    let begun = answer?;
    // Somebody else may have taken the key at the same moment.
    if begun.operation.digest != digest {
        return again(begun, digest);
    }
    info!("{caller} asked to backfill {name}: {} events, operation {id}", decided.count);
    Ok(BackfillDecision { operation: Some(begun.into()), ..decided })
}

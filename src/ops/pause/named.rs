//! Pausing one schedule by its name, or those that are chosen.

use super::{
    Who, change,
    chosen::{Chosen, choose},
    no_room, paused, resumed, understood,
};
use crate::{
    authority::{Caller, Role},
    clock_loop::{Command, PauseChanged, PauseFor, PauseLength},
    engine::{OnResume, Scope, Verdict},
    ops::{
        ChosenDecision, OpsError, PauseDecision, PauseOneAsked, PauseSomeAsked, ResumeDecision,
        ResumeOneAsked, ResumeSomeAsked, RunningClock, message::Asked, permit::permit, schedules,
    },
};
use serde::Serialize;
use std::{collections::BTreeSet, sync::Arc};
use tokio::time::Instant;
use tracing::info;

/// Names in one command of the loop: one turn of it, which what is due must not wait for.
const TOGETHER: usize = 256;
/// Names that are said in an answer.
const SAID: usize = 100;

/// Has nothing of one schedule handed over from now on. Done when it is durable. `message` is the id of the message that asks for
/// it, where it came as one.
///
/// # Errors
/// [`OpsError::Denied`], [`OpsError::NotFound`], [`OpsError::Invalid`], [`OpsError::Unavailable`]: nothing changed;
/// [`OpsError::Unknown`]: it may have changed.
pub async fn pause_one(
    clock: &RunningClock,
    caller: &Caller,
    name: &str,
    asked: PauseOneAsked,
    message: Option<String>,
) -> Result<PauseDecision, OpsError> {
    const WHAT: &str = "pause a schedule";
    let message = asked_for(b"pause", name, &asked)?.message(message);
    match clock.answered_one(caller, name, message.as_ref()).await? {
        Some(Verdict::Paused { pause, was_paused }) => {
            return Ok(PauseDecision { paused: (&pause).into(), was_paused });
        }
        Some(_) => return Err(OpsError::Defect),
        None => {}
    }
    let scope = one(caller, name, WHAT)?;
    let asked = understood(caller, asked, scope)?;
    let who = Who { caller, of: name, message, whole: false };
    paused(caller, name, change(clock, who, WHAT, |reply| Command::Pause(asked, reply)).await?)
}

/// Has one schedule go on. Done when that is durable. `message` is the id of the message that asks for it, where it came as one.
///
/// # Errors
/// See [`pause_one`].
pub async fn resume_one(
    clock: &RunningClock,
    caller: &Caller,
    name: &str,
    asked: ResumeOneAsked,
    message: Option<String>,
) -> Result<ResumeDecision, OpsError> {
    const WHAT: &str = "resume a schedule";
    let message = asked_for(b"resume", name, &asked)?.message(message);
    match clock.answered_one(caller, name, message.as_ref()).await? {
        Some(Verdict::Resumed { pause, through, how }) => {
            let through = pause.as_ref().map(|_| through);
            return Ok(ResumeDecision {
                was_paused: pause.as_ref().map(Into::into),
                through,
                on_resume: how,
            });
        }
        Some(_) => return Err(OpsError::Defect),
        None => {}
    }
    let (scope, on_resume) = (one(caller, name, WHAT)?, asked.on_resume);
    let who = Who { caller, of: name, message, whole: false };
    let changed = change(clock, who, WHAT, |reply| Command::Resume(scope, on_resume, reply)).await?;
    Ok(resumed(caller, name, changed, on_resume))
}

fn asked_for(what: &[u8], name: &str, asked: &impl Serialize) -> Result<Asked, OpsError> {
    let asked = serde_json::to_vec(asked).map_err(|_| OpsError::Defect)?;
    Ok(Asked::default().part(what).part(name.as_bytes()).part(&asked))
}

/// Whether it is there, and is his to change, is asked when it is done.
fn one(caller: &Caller, name: &str, what: &'static str) -> Result<Scope, OpsError> {
    permit(caller, Role::Operate, what)?;
    schedules::check_name(name)?;
    Ok(Scope::Named([name.into()].into()))
}

/// Has nothing of the schedules that are chosen handed over from now on. Done when it is durable.
///
/// # Errors
/// See [`pause_one`]. Of very many some may be paused: [`OpsError::Partly`].
pub async fn pause_some(
    clock: &RunningClock,
    caller: &Caller,
    asked: PauseSomeAsked,
) -> Result<ChosenDecision, OpsError> {
    const WHAT: &str = "pause schedules";
    permit(caller, Role::Operate, WHAT)?;
    let PauseSomeAsked { filter, by, note, until, length, on_resume, dry_run, expect_count } = asked;
    let asked = PauseOneAsked { by, note, until, length, on_resume };
    let asked = understood(caller, asked, Scope::Named(BTreeSet::new()))?;
    let chosen = choose(clock, caller, filter, |_| true).await?;
    done(clock, (caller, WHAT), chosen, (dry_run, expect_count), Change::Pause(asked)).await
}

/// Has the schedules that are chosen, and are paused by their names, go on. Done when that is durable.
///
/// # Errors
/// See [`pause_some`].
pub async fn resume_some(
    clock: &RunningClock,
    caller: &Caller,
    asked: ResumeSomeAsked,
) -> Result<ChosenDecision, OpsError> {
    const WHAT: &str = "resume schedules";
    permit(caller, Role::Operate, WHAT)?;
    let ResumeSomeAsked { filter, on_resume, dry_run, expect_count } = asked;
    let chosen = choose(clock, caller, filter, |one| one.is_paused).await?;
    done(clock, (caller, WHAT), chosen, (dry_run, expect_count), Change::Resume(on_resume)).await
}

/// What is done to those that are chosen.
enum Change {
    Pause(PauseFor),
    Resume(OnResume),
}

async fn done(
    clock: &RunningClock,
    (caller, what): (&Caller, &'static str),
    chosen: Vec<Chosen>,
    (dry_run, expected): (bool, Option<usize>),
    change: Change,
) -> Result<ChosenDecision, OpsError> {
    let found = chosen.len();
    if let Some(expected) = expected.filter(|expected| *expected != found) {
        return Err(OpsError::OtherCount { found, expected });
    }
    let names: Vec<Arc<str>> = chosen.iter().map(|one| one.name.clone()).collect();
    let were_paused = chosen.iter().filter(|one| one.is_paused).count();
    let said = names.iter().take(SAID).map(ToString::to_string).collect();
    let mut count = found;
    if !dry_run {
        // Each piece is as much work as a request of its own; the first is paid.
        let pieces = u32::try_from(names.len().div_ceil(TOGETHER)).unwrap_or(u32::MAX);
        caller.owe_changes(pieces.saturating_sub(1), Instant::now());
        info!("{caller} asked to {what}: {found}, first {:?}", names.first());
        let (clock, caller) = (clock.clone(), caller.clone());
        // On a task of its own: who asked may go away, or be given up, and what is begun is done to the end.
        let work = piece_by_piece(clock, (caller, what), names, expected.is_some(), change);
        count = tokio::spawn(work).await.map_err(|_| OpsError::Defect)??;
    }
    Ok(ChosenDecision { count, names: said, were_paused, dry_run })
}

/// To how many it was done: some may be gone since they were chosen. `whole`: that is none of them then, as far as they are done
/// together.
async fn piece_by_piece(
    clock: RunningClock,
    (caller, what): (Caller, &'static str),
    names: Vec<Arc<str>>,
    whole: bool,
    mut asked: Change,
) -> Result<usize, OpsError> {
    let (mut count, mut left_out) = (0, Vec::new());
    for (number, together) in names.chunks(TOGETHER).enumerate() {
        let scope = Scope::Named(together.iter().cloned().collect());
        let who = Who { caller: &caller, of: "one of them", message: None, whole };
        let changed = match &asked {
            Change::Pause(asked) => {
                let asked = PauseFor { scope, ..asked.clone() };
                change(&clock, who, what, |reply| Command::Pause(asked, reply)).await
            }
            Change::Resume(how) => {
                change(&clock, who, what, |reply| Command::Resume(scope, *how, reply)).await
            }
        };
        let PauseChanged { after, count: more, left_out: no_more, .. } =
            changed.map_err(|error| match number {
                0 => error,
                _ => OpsError::Partly { done: count, of: names.len(), why: Box::new(error) },
            })?;
        count += more;
        left_out.extend(no_more);
        // All of them end at one instant.
        if let Change::Pause(PauseFor { end: Some((length, _)), .. }) = &mut asked
            && let Some(end) = after.and_then(|pause| pause.until)
        {
            *length = PauseLength::Until(end.at);
        }
    }
    info!("{caller} asked to {what}: done to {count} of {}", names.len());
    if !left_out.is_empty() {
        let why = Box::new(OpsError::Unavailable(no_room(&left_out)));
        return Err(OpsError::Partly { done: count, of: names.len(), why });
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock_loop::Unchanged, ops::tests::unanswered::played};
    use std::time::Duration;

    #[tokio::test]
    async fn what_is_done_to_some_is_not_said_to_have_changed_nothing() {
        let (clock, mut asked) = played(Duration::from_secs(60)).await;
        tokio::spawn(async move {
            let mut answers =
                vec![Err(Unchanged::Invalid("nothing changed: until: it is past".into())), Ok(250)];
            while let Some(Command::By(_, command)) = asked.recv().await {
                let Command::Resume(_, _, reply) = *command else { panic!("{command:?}") };
                let count = answers.pop().unwrap();
                drop(reply.send(count.map(|count| PauseChanged { count, ..PauseChanged::default() })));
            }
        });
        let names = (0..300).map(|number| format!("a-{number:03}").into()).collect();
        let caller = (Caller::operator(), "resume schedules");
        let how = Change::Resume(OnResume::Skip);
        let partly = piece_by_piece(clock, caller, names, false, how).await.unwrap_err();
        let said = partly.to_string();
        assert!(matches!(partly, OpsError::Partly { done: 250, of: 300, .. }), "{said}");
        assert!(said.starts_with("250 of 300 are done, and then: "), "{said}");
    }
}

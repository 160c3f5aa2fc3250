//! Pausing everything, for maintenance, and going on.

use super::{
    OpsError, PauseAsked, PauseDecision, PauseView, ResumeAsked, ResumeDecision, RunningClock, permit::permit,
};
use crate::{
    authority::{Caller, Role},
    clock_loop::{Command, PauseAnswer, PauseChanged, PauseFor, PauseLength, Unchanged},
    schedule::parse_length,
};
use ponos::{event::terminal, redact::redact};
use std::borrow::Cow;
use tokio::sync::oneshot;
use tracing::{info, warn};

/// Characters of a note, and of a name, at most.
const NOTE: usize = 500;
const NAME: usize = 100;
/// The longest `for`: ten years, in milliseconds.
const LONGEST: i64 = 3_653 * 86_400_000;

/// Has the clock hand nothing over from now on. Done when it is durable.
///
/// # Errors
/// [`OpsError::Denied`], [`OpsError::Invalid`], [`OpsError::Unavailable`]: nothing changed, unless that says otherwise.
pub async fn pause(
    clock: &RunningClock,
    caller: &Caller,
    asked: PauseAsked,
) -> Result<PauseDecision, OpsError> {
    may(caller, "pause everything")?;
    of_all(asked.all)?;
    let by = caller.signed(&text("by", &asked.by, NAME)?);
    let note = text("note", &asked.note, NOTE)?;
    let length = match (asked.until, &asked.length) {
        (Some(_), Some(_)) => return Err(invalid("until and for exclude each other: give one")),
        (Some(at), None) => Some(PauseLength::Until(at)),
        (None, Some(length)) => {
            let length = parse_length(length, LONGEST, "for")
                .map_err(|fault| invalid(format!("for: {}", fault.what)))?;
            Some(PauseLength::For(length))
        }
        (None, None) => None,
    };
    let end = match (length, asked.on_resume) {
        (Some(length), Some(on_resume)) => Some((length, on_resume)),
        (None, None) => None,
        (Some(_), None) => {
            let what = "on_resume: say what becomes of what falls due until then, catch-up or skip";
            return Err(invalid(what));
        }
        (None, Some(_)) => {
            let what = "on_resume belongs to until or for; without these, whoever resumes says it";
            return Err(invalid(what));
        }
    };
    let asked = PauseFor { by: by.into(), note: (&*note).into(), end };
    let what = "pause everything";
    let PauseChanged { before, ended, after } =
        change(clock, caller, what, |reply| Command::Pause(asked, reply)).await?;
    match after {
        Some(pause) => {
            info!("{caller} paused everything: {}", PauseView::from(&pause));
            Ok(PauseDecision { paused: (&pause).into(), was_paused: before.is_some() && ended.is_none() })
        }
        // Somebody resumed at the same moment, or it was that short.
        None => Err(OpsError::Unavailable("it has ended already; try again".into())),
    }
}

/// Has the clock go on. Done when that is durable.
///
/// # Errors
/// [`OpsError::Denied`], [`OpsError::Invalid`], [`OpsError::Unavailable`]: nothing changed, unless that says otherwise.
pub async fn resume(
    clock: &RunningClock,
    caller: &Caller,
    asked: ResumeAsked,
) -> Result<ResumeDecision, OpsError> {
    let what = "resume everything";
    may(caller, what)?;
    of_all(asked.all)?;
    let PauseChanged { before, ended, .. } =
        change(clock, caller, what, |reply| Command::Resume(asked.on_resume, reply)).await?;
    // It may have come to its own end at the same moment, which was chosen when it began.
    let on_resume = ended.map_or(asked.on_resume, |end| end.on_resume);
    let through = ended.map(|end| end.at);
    match &before {
        Some(pause) => info!("{caller} resumed everything ({on_resume}): {}", PauseView::from(pause)),
        None => info!("{caller} asked to resume everything: it was not paused"),
    }
    Ok(ResumeDecision { was_paused: before.as_ref().map(Into::into), through, on_resume })
}

fn may(caller: &Caller, what: &'static str) -> Result<(), OpsError> {
    permit(caller, Role::Operate, what)?;
    caller.may_change_everything(what)?;
    Ok(())
}

/// Asks the loop; the log says who asked, also where nothing is known of the outcome.
async fn change(
    clock: &RunningClock,
    caller: &Caller,
    what: &'static str,
    command: impl FnOnce(oneshot::Sender<PauseAnswer>) -> Command,
) -> Result<PauseChanged, OpsError> {
    let answer = clock.ask(command).await.and_then(|answer| {
        answer.map_err(|why| match why {
            Unchanged::Invalid(what) => OpsError::Invalid(what),
            Unchanged::Unavailable(what) => OpsError::Unavailable(what),
        })
    });
    answer.inspect_err(|error| warn!("{caller} asked to {what}: {error}"))
}

fn of_all(all: bool) -> Result<(), OpsError> {
    if all { Ok(()) } else { Err(invalid("all: only everything can be paused: say \"all\": true")) }
}

/// What people are shown in terminals and logs: short, and one line.
/// It is kept, and shown to whoever reads the clock: a secret in it is hidden.
fn text<'a>(key: &str, text: &'a str, most: usize) -> Result<Cow<'a, str>, OpsError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(invalid(format!("{key}: it is empty")));
    }
    if text.chars().count() > most {
        return Err(invalid(format!("{key}: it has more than {most} characters")));
    }
    if terminal::line(text) != text {
        return Err(invalid(format!("{key}: it has characters that a terminal would not show as they are")));
    }
    Ok(redact(text))
}

fn invalid(what: impl Into<String>) -> OpsError {
    OpsError::Invalid(what.into())
}

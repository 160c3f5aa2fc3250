//! Pausing everything, for maintenance, and going on.

use super::{OpsError, PauseAsked, PauseDecision, ResumeAsked, ResumeDecision, RunningClock};
use crate::{
    clock_loop::Command,
    engine::{PauseEnd, PauseRequest},
    schedule::parse_length,
};
use ponos::event::{Timestamp, terminal};
use tokio::sync::oneshot;

/// Characters of a note, and of a name, at most.
const NOTE: usize = 500;
const NAME: usize = 100;
/// The longest `for`: ten years, in milliseconds.
const LONGEST: i64 = 3_653 * 86_400_000;

/// Has the clock hand nothing over from now on. Done when it is durable.
///
/// # Errors
/// [`OpsError::Invalid`], [`OpsError::Unavailable`]: nothing changed, unless that says otherwise.
pub async fn pause(
    clock: &RunningClock,
    asked: PauseAsked,
    now: Timestamp,
) -> Result<PauseDecision, OpsError> {
    of_all(asked.all)?;
    let by = text("by", &asked.by, NAME)?;
    let note = text("note", &asked.note, NOTE)?;
    let until = match (asked.until, &asked.length) {
        (Some(_), Some(_)) => return Err(invalid("until and for exclude each other: give one")),
        (Some(at), None) if at <= now => {
            return Err(invalid(format!("until: {at} is past; it is {now}")));
        }
        (Some(at), None) => Some(at),
        (None, Some(length)) => {
            let length = parse_length(length, LONGEST, "for")
                .map_err(|fault| invalid(format!("for: {}", fault.what)))?;
            Some(now.plus(length))
        }
        (None, None) => None,
    };
    let until = match (until, asked.on_resume) {
        (Some(at), Some(on_resume)) => Some(PauseEnd { at, on_resume }),
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
    let request = PauseRequest { by: by.into(), note: note.into(), until };
    match change(clock, |reply| Command::Pause(request, reply)).await? {
        (before, Some(pause)) => Ok(PauseDecision { paused: (&pause).into(), was_paused: before.is_some() }),
        // Somebody resumed at the same moment.
        (_, None) => Err(OpsError::Unavailable("it was resumed at the same moment; try again".into())),
    }
}

/// Has the clock go on. Done when that is durable.
///
/// # Errors
/// [`OpsError::Invalid`], [`OpsError::Unavailable`]: nothing changed, unless that says otherwise.
pub async fn resume(clock: &RunningClock, asked: ResumeAsked) -> Result<ResumeDecision, OpsError> {
    of_all(asked.all)?;
    let (before, _) = change(clock, |reply| Command::Resume(asked.on_resume, reply)).await?;
    let on_resume = asked.on_resume;
    Ok(ResumeDecision { was_paused: before.as_ref().map(Into::into), on_resume })
}

async fn change<T>(
    clock: &RunningClock,
    command: impl FnOnce(oneshot::Sender<Result<T, String>>) -> Command,
) -> Result<T, OpsError>
where
    Result<T, String>: Send + 'static,
{
    clock.ask(command).await?.map_err(OpsError::Unavailable)
}

fn of_all(all: bool) -> Result<(), OpsError> {
    if all { Ok(()) } else { Err(invalid("all: only everything can be paused: say \"all\": true")) }
}

/// What people are shown in terminals and logs: short, and one line.
fn text<'a>(key: &str, text: &'a str, most: usize) -> Result<&'a str, OpsError> {
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
    Ok(text)
}

fn invalid(what: impl Into<String>) -> OpsError {
    OpsError::Invalid(what.into())
}

//! Pausing everything for maintenance, or some schedules, and going on.

mod chosen;
mod named;

pub use named::{pause_one, pause_some, resume_one, resume_some};

use super::{
    OpsError, PauseAsked, PauseDecision, PauseOneAsked, PauseView, ResumeAsked, ResumeDecision, RunningClock,
    permit::permit,
};
use crate::{
    authority::{Caller, Role},
    clock_loop::{Command, PauseAnswer, PauseChanged, PauseFor, PauseLength, Unchanged},
    engine::{Asker, Message, OnResume, Refusal, Scope},
    schedule::parse_length,
};
use ponos::{event::terminal, redact::redact};
use std::{borrow::Cow, sync::Arc};
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
/// [`OpsError::Denied`], [`OpsError::Invalid`], [`OpsError::Unavailable`]: nothing changed; [`OpsError::Unknown`]: it may have changed.
pub async fn pause(
    clock: &RunningClock,
    caller: &Caller,
    asked: PauseAsked,
) -> Result<PauseDecision, OpsError> {
    may(caller, "pause everything")?;
    of_all(asked.all)?;
    let PauseAsked { all: _, by, note, until, length, on_resume } = asked;
    let asked = PauseOneAsked { by: Some(by), note, until, length, on_resume };
    let asked = understood(caller, asked, Scope::All)?;
    let who = Who { caller, of: "everything", message: None, whole: false };
    let changed = change(clock, who, "pause everything", |reply| Command::Pause(asked, reply)).await?;
    paused(caller, "everything", changed)
}

/// What is answered, and said in the log, of one that is paused.
fn paused(caller: &Caller, what: &str, changed: PauseChanged) -> Result<PauseDecision, OpsError> {
    let PauseChanged { before, ended, after, left_out, .. } = changed;
    if !left_out.is_empty() {
        return Err(OpsError::Unavailable(no_room(&left_out)));
    }
    match after {
        Some(pause) => {
            info!("{caller} paused {what}: {}", PauseView::from(&pause));
            Ok(PauseDecision { paused: (&pause).into(), was_paused: before.is_some() && ended.is_none() })
        }
        // Somebody resumed at the same moment, or it was that short.
        None => Err(OpsError::Unavailable("it has ended already; try again".into())),
    }
}

/// Why these are not paused.
fn no_room(left_out: &[Arc<str>]) -> String {
    let first = left_out.first().map_or("", |name| &**name);
    let and = match left_out.len() {
        0 | 1 => String::new(),
        more => format!(" and {} others", more - 1),
    };
    format!(
        "{first}{and} can't be paused, for it is not settled yet what is skipped of many earlier pauses of it (the broker was away since); try again later"
    )
}

/// What is asked for, of these.
fn understood(caller: &Caller, asked: PauseOneAsked, scope: Scope) -> Result<PauseFor, OpsError> {
    let by = match &asked.by {
        Some(by) => caller.signed(&text("by", by, NAME)?),
        None => caller.to_string(),
    };
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
    Ok(PauseFor { scope, by: by.into(), note: (&*note).into(), end })
}

/// Has the clock go on. Done when that is durable.
///
/// # Errors
/// [`OpsError::Denied`], [`OpsError::Invalid`], [`OpsError::Unavailable`]: nothing changed; [`OpsError::Unknown`]: it may have changed.
pub async fn resume(
    clock: &RunningClock,
    caller: &Caller,
    asked: ResumeAsked,
) -> Result<ResumeDecision, OpsError> {
    let what = "resume everything";
    may(caller, what)?;
    of_all(asked.all)?;
    let on_resume = asked.on_resume;
    let who = Who { caller, of: "everything", message: None, whole: false };
    let changed = change(clock, who, what, |reply| Command::Resume(Scope::All, on_resume, reply)).await?;
    Ok(resumed(caller, "everything", changed, on_resume))
}

/// What is answered, and said in the log, of one that goes on.
fn resumed(caller: &Caller, what: &str, changed: PauseChanged, asked: OnResume) -> ResumeDecision {
    let PauseChanged { before, ended, .. } = changed;
    // It may have come to its own end at the same moment, which was chosen when it began.
    let on_resume = ended.map_or(asked, |end| end.on_resume);
    let through = ended.map(|end| end.at);
    match &before {
        Some(pause) => info!("{caller} resumed {what} ({on_resume}): {}", PauseView::from(pause)),
        None => info!("{caller} asked to resume {what}: it was not paused"),
    }
    ResumeDecision { was_paused: before.as_ref().map(Into::into), through, on_resume }
}

fn may(caller: &Caller, what: &'static str) -> Result<(), OpsError> {
    permit(caller, Role::Operate, what)?;
    caller.may_change_everything(what)?;
    Ok(())
}

/// Who asks, and how.
struct Who<'a> {
    caller: &'a Caller,
    /// What he asks it of, in words.
    of: &'a str,
    message: Option<Message>,
    /// For all or nothing.
    whole: bool,
}

/// Asks the loop; the log says who asked, also where nothing is known of the outcome.
async fn change(
    clock: &RunningClock,
    Who { caller, of, message, whole }: Who<'_>,
    what: &'static str,
    command: impl FnOnce(oneshot::Sender<PauseAnswer>) -> Command,
) -> Result<PauseChanged, OpsError> {
    let asker = Box::new(Asker { message, whole, ..Asker::new(caller.author()) });
    let answer = match clock.ask_for(asker, command).await {
        Ok(Err(Unchanged::Refused(refusal))) => {
            let name = match &refusal {
                Refusal::NotAsCounted { name } => name.to_string(),
                _ => of.to_owned(),
            };
            Err(clock.refused(caller, &name, refusal).await)
        }
        Ok(answer) => answer.map_err(OpsError::from),
        Err(error) => Err(error),
    };
    answer.inspect_err(|error| warn!("{caller} asked to {what}: {error}"))
}

fn of_all(all: bool) -> Result<(), OpsError> {
    if all {
        Ok(())
    } else {
        Err(invalid("all: here only everything can be paused: say \"all\": true, or ask /v1/schedules:pause"))
    }
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

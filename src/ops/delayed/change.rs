//! Changes of delayed events: many at once, or one.

mod outcome;
mod read;

pub use outcome::EventOutcome;

use super::{DelayedPart, NamesOf, WantedEvents, quota::LetIn};
use crate::{
    authority::{Caller, Role},
    clock_loop::{Command, DelayedAsked, NotDecided},
    engine::{Expect, Message, Refusal, Verdict},
    ops::{
        OpsError, RunningClock,
        message::{Asked, check_id},
        run_blocking,
    },
};
pub(super) use outcome::Undecided;
use read::ReadEvent;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tracing::debug;

/// Changes in one request at most.
pub const EVENTS_AT_ONCE: usize = 10_000;
/// How long what was let in counts where no answer came: until then it is decided, and most likely written.
const UNKNOWN: Duration = Duration::from_secs(30);

/// One change that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedEvent {
    /// An event, new or instead of the one of its name.
    Put {
        /// The name that it is to have; its item may say the same, or leave it out.
        name: Option<String>,
        /// The item, as JSON.
        json: Vec<u8>,
        /// What has to be there.
        expect: Expect,
    },
    /// None of this name.
    Delete {
        /// The event.
        name: String,
        /// What has to be there.
        expect: Expect,
    },
}

/// Changes that are asked for at once, at most [`EVENTS_AT_ONCE`]: they are durable together.
#[derive(Debug, Clone)]
pub struct EventBatch {
    /// The changes.
    pub wanted: WantedEvents,
    /// All of them or none.
    pub atomic: bool,
    /// The id of the message that it came as: where the same comes again, it is answered as it was the first time, for
    /// 24 hours. 1 to 255 bytes.
    pub message: Option<String>,
    /// What the names are made of that are left out; of a message, its id.
    pub names: NamesOf,
}

/// Makes the changes that may be made; each has an outcome, in their order. Done when that is durable.
///
/// # Errors
/// [`OpsError::Denied`]; [`OpsError::Parameter`] where the message's id can't be kept; [`OpsError::Invalid`] where there are
/// none, or too many; [`OpsError::OutOfDisk`], [`OpsError::NoRoom`], [`OpsError::TooMany`] and [`OpsError::Unavailable`]: nothing
/// changed; [`OpsError::Unknown`]: it may have changed.
pub async fn change(
    clock: &RunningClock,
    caller: &Caller,
    batch: EventBatch,
) -> Result<Vec<EventOutcome>, OpsError> {
    let changed = change_undecided(clock, caller, batch).await?;
    Ok(changed.into_iter().map(|(one, verdict)| one.decided(verdict, caller)).collect())
}

/// The same, with what is known of each change beside its verdict.
pub(super) async fn change_undecided(
    clock: &RunningClock,
    caller: &Caller,
    batch: EventBatch,
) -> Result<Vec<(Undecided, Verdict)>, OpsError> {
    let part = clock.delayed()?;
    let EventBatch { wanted, atomic, message: id, names } = batch;
    if let Some(id) = &id {
        check_id(id)?;
    }
    let names = match &id {
        Some(id) => NamesOf::Message { owner: caller.owner().clone(), id: id.as_str().into() },
        None => names,
    };
    let split = move || {
        let wanted = wanted.split()?;
        let message = message(id, &wanted, atomic);
        Ok::<_, OpsError>((wanted, message))
    };
    let (wanted, message) = run_blocking(split).await??;
    let count = wanted.len();
    let charged = u32::try_from(count).unwrap_or(u32::MAX);
    let (reading, now) = ((caller.clone(), names), clock.believed_now());
    let read = move || {
        let (caller, names) = reading;
        let of = |(index, one)| ReadEvent::new(one, (&names, index), &caller, now);
        wanted.into_iter().enumerate().map(of).collect::<Vec<_>>()
    };
    if let Some(message) = &message
        && let Some(verdicts) = answered_before(part, caller, message, count).await?
    {
        // It is read once more, which is as much work as it was.
        caller.owe_puts(charged, Instant::now());
        let read = run_blocking(read).await?.into_iter();
        return Ok(read.map(|one| one.undecided).zip(verdicts).collect());
    }
    caller.may(Role::Write, "change delayed events")?;
    caller.take_puts(charged, Instant::now())?;
    let read = run_blocking(read).await?.into_iter();
    let (mut changes, undecided): (Vec<_>, Vec<_>) = read.map(|one| (one.change, one.undecided)).unzip();
    let let_in = part.let_in(caller, &mut changes, message.is_some()).await?;
    let asked = DelayedAsked { by: caller.author(), message, atomic, changes };
    let verdicts = ask(clock, asked, let_in).await?;
    debug!("{caller} asked to change {count} delayed events");
    Ok(undecided.into_iter().zip(verdicts).collect())
}

/// What was answered to this message of so many changes, if it came before; another one of its id is refused.
pub(super) async fn answered_before(
    part: &DelayedPart,
    caller: &Caller,
    message: &Message,
    count: usize,
) -> Result<Option<Vec<Verdict>>, OpsError> {
    let key = (caller.owner().clone(), message.id.clone());
    let before = part.read(move |reader| reader.answers(&[key])).await?.pop().flatten();
    Ok(before.map(|before| match before.digest == message.digest {
        true => before.verdicts,
        false => vec![Verdict::Refused(Refusal::MessageIdUsed); count],
    }))
}

/// Asks the loop. What was let in counts until that is decided, whoever waits for it.
pub(super) async fn ask(
    clock: &RunningClock,
    asked: DelayedAsked,
    let_in: LetIn,
) -> Result<Vec<Verdict>, OpsError> {
    let clock = clock.clone();
    let asking = tokio::spawn(async move {
        let answer = clock.ask_to_change(|reply| Command::ChangeDelayed(asked, reply)).await;
        if matches!(answer, Err(OpsError::Unknown(_)) | Ok(Err(NotDecided::Unknown(_)))) {
            tokio::spawn(async move {
                sleep(UNKNOWN).await;
                drop(let_in);
            });
        }
        answer
    });
    Ok(asking.await.map_err(|_| OpsError::Defect)???)
}

/// All that is asked for, as the message of this id.
fn message(id: Option<String>, wanted: &[WantedEvent], atomic: bool) -> Option<Message> {
    let id = id?;
    let mut asked = Asked::default().part(b"delayed-events").part(&[u8::from(atomic)]);
    for one in wanted {
        asked = match one {
            WantedEvent::Put { name, json, expect } => {
                asked.part(b"put").maybe(name.as_deref()).item(json).expecting(*expect)
            }
            WantedEvent::Delete { name, expect } => {
                asked.part(b"delete").part(name.as_bytes()).expecting(*expect)
            }
        };
    }
    asked.message(Some(id))
}

/// Puts one event, by its item as JSON, which may leave out a `name` that is given. Done when that is durable. `message` is the id of
/// the message that asks for it, where it came as one.
///
/// # Errors
/// As [`change`], and [`EventOutcome::done`].
pub async fn put(
    clock: &RunningClock,
    caller: &Caller,
    (name, json): (Option<&str>, Vec<u8>),
    expect: Expect,
    message: Option<String>,
) -> Result<EventOutcome, OpsError> {
    let wanted = WantedEvent::Put { name: name.map(str::to_owned), json, expect };
    one(clock, caller, wanted, (message, NamesOf::random()?)).await?.done()
}

/// Deletes one event. Done when that is durable; so it is where there was none. Gives [`Verdict::Deleted`] or
/// [`Verdict::GoneAlready`].
///
/// # Errors
/// As [`change`], and [`EventOutcome::done`].
pub async fn delete(
    clock: &RunningClock,
    caller: &Caller,
    name: &str,
    expect: Expect,
    message: Option<String>,
) -> Result<EventOutcome, OpsError> {
    let wanted = WantedEvent::Delete { name: name.to_owned(), expect };
    one(clock, caller, wanted, (message, NamesOf::random()?)).await?.done()
}

/// The only change of a batch.
pub(super) async fn one(
    clock: &RunningClock,
    caller: &Caller,
    wanted: WantedEvent,
    (message, names): (Option<String>, NamesOf),
) -> Result<EventOutcome, OpsError> {
    let batch = EventBatch { wanted: WantedEvents::Each(vec![wanted]), atomic: false, message, names };
    change(clock, caller, batch).await?.pop().ok_or(OpsError::Defect)
}

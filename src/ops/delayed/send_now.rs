//! A delayed event is sent now.

use super::{EventOutcome, change, change::Undecided, read};
use crate::{
    authority::{Caller, Role},
    clock_loop::DelayedAsked,
    engine::{
        Expect, Refusal, Verdict,
        delayed::{DelayedChange, Found, PastDue},
    },
    ops::{
        OpsError, RunningClock,
        message::{Asked, check_id},
    },
};
use std::sync::Arc;
use tokio::time::Instant;

/// How often it is tried where the event changes meanwhile.
const TRIES: usize = 3;

/// Has a pending event sent now, as it is: it is due now, and no jitter applies. Done when that is durable; then it is sent until the
/// broker has it. The same message again is answered as before, for 24 hours. Gives [`Verdict::Changed`]; or [`Verdict::Settled`]
/// where it was sent, or given up, within the hour. With `expect` it is that revision, or nothing is done.
///
/// # Errors
/// [`OpsError::NotFound`]; [`OpsError::Denied`]; [`OpsError::EventUnchanged`], as with [`Refusal::MayHaveBeenSent`];
/// [`OpsError::OutOfDisk`], [`OpsError::TooMany`], [`OpsError::Unavailable`]: nothing changed; [`OpsError::Unknown`]: it may
/// have changed.
pub async fn send_now(
    clock: &RunningClock,
    caller: &Caller,
    name: &str,
    expect: Expect,
    message: Option<String>,
) -> Result<EventOutcome, OpsError> {
    let part = clock.delayed()?;
    let of_name = || Undecided { name: name.to_owned(), ..Undecided::default() };
    if let Some(id) = &message {
        check_id(id)?;
    }
    let mut message = Asked::default().part(b"send-delayed-event-now").part(name.as_bytes()).message(message);
    if let Some(message) = &message
        && let Some(verdict) =
            change::answered_before(part, caller, message, 1).await?.and_then(|mut all| all.pop())
        && !is_stale(&verdict)
    {
        return of_name().decided(verdict, caller).done();
    }
    caller.may(Role::Write, "send delayed events")?;
    caller.take_puts(1, Instant::now())?;
    let asked: Arc<str> = name.into();
    for _ in 0..TRIES {
        let undecided = of_name();
        let (found, event) = read::found(part, &asked).await?;
        let mut event = match (found, event) {
            (Found::Nothing, _) => return Err(read::missing(name)),
            (Found::Settled(stone), _) => {
                if !is_expected(expect, stone.creation, stone.revision) {
                    return undecided.decided(stale(stone.revision), caller).done();
                }
                let verdict =
                    Verdict::Settled { due: stone.due, creation: stone.creation, revision: stone.revision };
                return Ok(undecided.decided(verdict, caller));
            }
            (Found::Pending(_), None) => continue,
            (Found::Pending(_), Some(event)) => event,
        };
        let now = clock.believed_now();
        let head = &mut event.head;
        if !is_expected(expect, head.creation, head.revision) {
            return undecided.decided(stale(head.revision), caller).done();
        }
        let expect = Expect::Revision { creation: head.creation, number: head.revision };
        (head.due, head.key.send, head.refused) = (now, now, 0);
        let mut changes = vec![DelayedChange::Put { event: Box::new(event), expect, past: PastDue::Send }];
        let let_in = part.let_in(caller, &mut changes, message.is_some()).await?;
        // The first answer to a message is kept: what is tried once more is no part of it.
        let asked = DelayedAsked { by: caller.author(), message: message.take(), atomic: false, changes };
        let verdict = change::ask(clock, asked, let_in).await?.pop().ok_or(OpsError::Defect)?;
        if !is_stale(&verdict) {
            return undecided.decided(verdict, caller).done();
        }
    }
    Err(OpsError::Unavailable("nothing changed: the event changes all the time; try again".into()))
}

/// Whether it is what the caller saw.
fn is_expected(expect: Expect, creation: u64, revision: u32) -> bool {
    match expect {
        Expect::Revision { creation: of, number } => (of, number) == (creation, revision),
        Expect::Any | Expect::Present | Expect::Absent => true,
    }
}

fn stale(revision: u32) -> Verdict {
    Verdict::Refused(Refusal::Stale { revision: Some(revision) })
}

/// The event has changed between the look at it and the decision.
fn is_stale(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Refused(Refusal::Stale { .. }))
}

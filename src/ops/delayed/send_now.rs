//! A delayed event is sent now.

use super::{EventOutcome, change, change::Undecided, read};
use crate::{
    authority::{Caller, Role},
    clock_loop::DelayedAsked,
    engine::{
        Expect, Refusal, Verdict,
        delayed::{DelayedChange, Found, PastDue},
    },
    ops::{OpsError, RunningClock},
};
use std::sync::Arc;
use tokio::time::Instant;

/// How often it is tried where the event changes meanwhile.
const TRIES: usize = 3;

/// Has a pending event sent now, as it is: it is due now, and no jitter applies. Done when that is durable; then it is sent until the
/// broker has it. Gives [`Verdict::Changed`]; or [`Verdict::Settled`] where it was sent, or given up, within the hour.
///
/// # Errors
/// [`OpsError::NotFound`]; [`OpsError::Denied`]; [`OpsError::EventUnchanged`], as with [`Refusal::MayHaveBeenSent`];
/// [`OpsError::OutOfDisk`], [`OpsError::TooMany`], [`OpsError::Unavailable`]: nothing changed; [`OpsError::Unknown`]: it may
/// have changed.
pub async fn send_now(clock: &RunningClock, caller: &Caller, name: &str) -> Result<EventOutcome, OpsError> {
    let part = clock.delayed()?;
    caller.may(Role::Write, "send delayed events")?;
    caller.take_puts(1, Instant::now())?;
    let asked: Arc<str> = name.into();
    for _ in 0..TRIES {
        let undecided = Undecided { name: name.to_owned(), ..Undecided::default() };
        let (found, event) = read::found(part, &asked).await?;
        let mut event = match (found, event) {
            (Found::Nothing, _) => return Err(read::missing(name)),
            (Found::Settled(stone), _) => {
                let verdict =
                    Verdict::Settled { due: stone.due, creation: stone.creation, revision: stone.revision };
                return Ok(undecided.decided(verdict, caller));
            }
            (Found::Pending(_), None) => continue,
            (Found::Pending(_), Some(event)) => event,
        };
        let now = clock.believed_now();
        let head = &mut event.head;
        let expect = Expect::Revision { creation: head.creation, number: head.revision };
        (head.due, head.key.send, head.refused) = (now, now, 0);
        let mut changes = vec![DelayedChange::Put { event: Box::new(event), expect, past: PastDue::Send }];
        let let_in = part.let_in(caller, &mut changes, false).await?;
        let asked = DelayedAsked { by: caller.author(), message: None, atomic: false, changes };
        let verdict = change::ask(clock, asked, let_in).await?.pop().ok_or(OpsError::Defect)?;
        if !matches!(verdict, Verdict::Refused(Refusal::Stale { .. })) {
            return undecided.decided(verdict, caller).done();
        }
    }
    Err(OpsError::Unavailable("nothing changed: the event changes all the time; try again".into()))
}

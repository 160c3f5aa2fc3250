//! Changes of schedules at run time: several at once, or one by [`put`](super::put) and [`delete`](super::delete).

mod read;

use super::{
    Coming, OpsError, RunningClock, error::said, judge::Judge, message::Asked, put_view::COUNTED_TOGETHER,
    run_blocking,
};
use crate::{
    authority::{Caller, Denied, Role},
    clock,
    clock_loop::{CHANGES, ChangesAsked, Command},
    engine::{Expect, Message, Refusal, Verdict},
    schedule::{
        Packed,
        file::{FieldFault, FieldFaults, JsonEntry},
        is_name,
    },
    sources::Place,
};
use ponos::text::shortened;
use read::{Named, Read};
pub(super) use read::{kept, told};
use std::time::Duration;
use tokio::time::Instant;
use tracing::{debug, info};

/// One change that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A schedule, new or instead of the one of its name.
    Put {
        /// The name that it is to have, where its definition may leave it out.
        name: Option<String>,
        /// Its definition, as JSON.
        json: Vec<u8>,
        /// What has to be there.
        expect: Expect,
    },
    /// None of this name.
    Delete {
        /// The schedule.
        name: String,
        /// What has to be there.
        expect: Expect,
    },
}

/// Changes that are asked for at once, at most [`CHANGES`]: they are durable together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The changes.
    pub wanted: Vec<Wanted>,
    /// All of them or none.
    pub atomic: bool,
    /// The id of the message that it came as: where the same comes again, it is answered as it was the first time, for
    /// 24 hours. 1 to 255 bytes.
    pub message: Option<String>,
}

/// What became of one change.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The schedule; empty where its definition does not even tell that.
    pub name: String,
    /// What became of it.
    pub verdict: Verdict,
    /// What is wrong with its definition, or has it never be due, where that is why it was refused.
    pub faults: Option<FieldFaults>,
    /// Where a file has it, where that is why it was refused.
    pub place: Option<Place>,
    /// What is valid in its definition, and seldom meant.
    pub remarks: Vec<FieldFault>,
    /// When it is due, where it was put, and that is known.
    pub coming: Option<Coming>,
    /// The rule, where it is refused because it is outside of the caller's domains.
    pub denied: Option<Denied>,
}

impl Outcome {
    /// The verdict, where the change was not refused.
    ///
    /// # Errors
    /// [`OpsError::Definition`], [`OpsError::Unchanged`].
    pub fn done(self) -> Result<(Verdict, Vec<FieldFault>), OpsError> {
        if let Some(denied) = self.denied {
            return Err(denied.into());
        }
        match (self.verdict, self.faults) {
            (Verdict::Refused(Refusal::Invalid { .. }), Some(faults)) => Err(OpsError::Definition(faults)),
            (Verdict::Refused(Refusal::NeverDue), Some(faults)) => {
                Err(OpsError::NeverDue { name: self.name, faults })
            }
            (Verdict::Refused(refusal), _) => {
                Err(OpsError::Unchanged { name: self.name, refusal, place: self.place })
            }
            (verdict, _) => Ok((verdict, self.remarks)),
        }
    }

    /// Why the change was refused, in words.
    pub fn refused(&self) -> Option<String> {
        if let Some(denied) = &self.denied {
            return Some(denied.to_string());
        }
        match (&self.verdict, &self.faults) {
            (Verdict::Refused(Refusal::Invalid { .. } | Refusal::NeverDue), Some(faults)) => {
                Some(faults.to_string())
            }
            (Verdict::Refused(refusal), _) => Some(said(refusal, self.place.as_ref())),
            _ => None,
        }
    }
}

/// Makes the changes that may be made; each has an outcome, in their order. Done when that is durable.
///
/// # Errors
/// [`OpsError::Denied`]; [`OpsError::Parameter`] where the message's id can't be kept; [`OpsError::Invalid`] where there are
/// none, or too many; [`OpsError::TooMany`] and
/// [`OpsError::Unavailable`]: nothing changed; [`OpsError::Unknown`]: it may have changed.
pub async fn change(clock: &RunningClock, caller: &Caller, batch: Batch) -> Result<Vec<Outcome>, OpsError> {
    let count = batch.wanted.len();
    let Batch { wanted, atomic, message: id } = batch;
    let message = message(id, &wanted, atomic);
    let judge = Judge::of(&clock.clone().into());
    if let Some(verdicts) = clock.answered(caller, message.as_ref(), count).await? {
        // It is read once more, which is as much work as it was.
        caller.owe_puts(u32::try_from(count).unwrap_or(u32::MAX), Instant::now());
        let all = wanted.into_iter().zip(verdicts);
        let (caller, mut explained) = (caller.clone(), 0);
        let told = move || {
            all.map(|(one, verdict)| again(one, verdict, (&judge, &caller), &mut explained)).collect()
        };
        return run_blocking(told).await;
    }
    caller.may(Role::Write, "change schedules")?;
    if !(1..=CHANGES).contains(&count) {
        return Err(OpsError::Invalid(format!("{count} changes; 1 to {CHANGES} are allowed at once")));
    }
    caller.take_puts(u32::try_from(count).unwrap_or(u32::MAX), Instant::now())?;
    let outcomes = read_and_change(clock, caller, (wanted, atomic, message), judge).await?;
    match log_line(&outcomes) {
        Some(line) => info!("{caller} changed schedules: {line}"),
        None => debug!("{caller} asked to change {count} schedules: nothing changed"),
    }
    Ok(outcomes)
}

/// Bytes of a name in a line of the log.
const NAME: usize = 200;

/// What the log says of it where something changed; the log of changes has each of them.
fn log_line(outcomes: &[Outcome]) -> Option<String> {
    let word = |outcome: &Outcome| match &outcome.verdict {
        Verdict::Created { .. } => Some("created"),
        Verdict::Changed { .. } => Some("changed"),
        Verdict::Deleted { .. } => Some("deleted"),
        _ => None,
    };
    let first = outcomes.iter().find(|outcome| word(outcome).is_some())?;
    let name = shortened(&first.name, NAME);
    if let [only] = outcomes {
        return Some(format!("{name:?} is {}", word(only).unwrap_or_default()));
    }
    let count = |wanted| outcomes.iter().filter(|outcome| word(outcome) == Some(wanted)).count();
    let refused = outcomes.iter().filter(|outcome| matches!(outcome.verdict, Verdict::Refused(_))).count();
    Some(format!(
        "of {} {} are created, {} changed, {} deleted and {refused} refused; first {name:?}",
        outcomes.len(),
        count("created"),
        count("changed"),
        count("deleted"),
    ))
}

/// The same, of a caller who may do it and was charged for it.
pub(super) async fn change_paid(
    clock: &RunningClock,
    caller: &Caller,
    wanted: Vec<Wanted>,
) -> Result<Vec<Outcome>, OpsError> {
    read_and_change(clock, caller, (wanted, false, None), Judge::of(&clock.clone().into())).await
}

async fn read_and_change(
    clock: &RunningClock,
    caller: &Caller,
    (wanted, atomic, message): (Vec<Wanted>, bool, Option<Message>),
    judge: Judge,
) -> Result<Vec<Outcome>, OpsError> {
    let least = caller.least_interval();
    let reader = judge.clone();
    let read = move || wanted.into_iter().map(|one| Read::new(one, &reader, least)).collect();
    let read: Vec<Read> = run_blocking::<Result<_, _>>(read).await??;
    let (mut changes, mut outcomes, mut entries) = (Vec::new(), Vec::new(), Vec::new());
    for Read { change, outcome, entry } in read {
        changes.push(change);
        outcomes.push(outcome);
        entries.push(entry);
    }
    let asked = ChangesAsked { by: caller.author(), message, atomic, changes };
    let verdicts = clock.ask_to_change(|reply| Command::Change(asked, reply)).await??;
    for (outcome, verdict) in outcomes.iter_mut().zip(verdicts) {
        if !matches!(verdict, Verdict::Refused(Refusal::Invalid { .. })) {
            outcome.faults = None;
        }
        outcome.denied = denied(caller, &verdict);
        outcome.place =
            if verdict == Verdict::Refused(Refusal::FileOwned) { clock.place(&outcome.name) } else { None };
        outcome.verdict = verdict;
    }
    run_blocking(move || {
        explain(&mut outcomes, &entries, &judge);
        outcomes
    })
    .await
}

/// Definitions in one request that would never be due and of which is said why: it takes a while to find out.
const EXPLAINED: usize = 100;

/// Says of what was put when it is due, and of what is never due why.
fn explain(outcomes: &mut [Outcome], entries: &[Option<Box<JsonEntry>>], judge: &Judge) {
    let (now, mut counted, mut explained) = (clock::now(), COUNTED_TOGETHER, 0);
    for (outcome, entry) in outcomes.iter_mut().zip(entries) {
        let Some(entry) = entry else { continue };
        if outcome.verdict != Verdict::Refused(Refusal::NeverDue) {
            let definition = Packed::new(&entry.definition, &entry.schedule);
            outcome.coming = Coming::of(definition, &outcome.verdict, now, &mut counted);
        } else if explained < EXPLAINED {
            explained += 1;
            outcome.faults = judge.never_due(entry, now);
        }
    }
}

/// The outcome of a change whose message came before, and became that then. What is seldom meant in its definition is so still.
fn again(
    wanted: Wanted,
    verdict: Verdict,
    (judge, caller): (&Judge, &Caller),
    explained: &mut usize,
) -> Outcome {
    let name = match &wanted {
        Wanted::Put { name: Some(name), .. } | Wanted::Delete { name, .. } => name.clone(),
        Wanted::Put { json, .. } => serde_json::from_slice::<Named>(json)
            .ok()
            .and_then(|named| named.name?.as_str().map(str::to_owned))
            .filter(|name| is_name(name))
            .unwrap_or_default(),
    };
    let read = Read::new(wanted, judge, Duration::ZERO);
    let (entry, remarks) = read.map_or((None, Vec::new()), |read| (read.entry, read.outcome.remarks));
    let faults = match &verdict {
        Verdict::Refused(Refusal::Invalid { faults }) => told(faults),
        Verdict::Refused(Refusal::NeverDue) if *explained < EXPLAINED => {
            *explained += 1;
            entry.and_then(|entry| judge.never_due(&entry, clock::now()))
        }
        _ => None,
    };
    let denied = denied(caller, &verdict);
    Outcome { name, verdict, faults, place: None, remarks, coming: None, denied }
}

/// The rule by which it is none of his domains, where that is so.
fn denied(caller: &Caller, verdict: &Verdict) -> Option<Denied> {
    match verdict {
        Verdict::Refused(Refusal::OutsideDomains { event }) => caller.may_change(event).err(),
        _ => None,
    }
}

/// The only change of a batch.
pub(super) async fn one(
    clock: &RunningClock,
    caller: &Caller,
    wanted: Wanted,
    message: Option<String>,
) -> Result<(String, Verdict, Vec<FieldFault>), OpsError> {
    let batch = Batch { wanted: vec![wanted], atomic: false, message };
    let outcome = change(clock, caller, batch).await?.pop().ok_or(OpsError::Defect)?;
    let name = outcome.name.clone();
    let (verdict, remarks) = outcome.done()?;
    Ok((name, verdict, remarks))
}

/// All that is asked for, as the message of this id.
fn message(id: Option<String>, wanted: &[Wanted], atomic: bool) -> Option<Message> {
    // Reading much JSON takes a while, and is only of use where there is a message.
    let id = id?;
    let asked = wanted.iter().fold(Asked::default().part(&[u8::from(atomic)]), |asked, one| {
        let (asked, expect) = match one {
            Wanted::Put { name, json, expect } => {
                (asked.part(b"put").maybe(name.as_deref()).json(json), expect)
            }
            Wanted::Delete { name, expect } => (asked.part(b"del").part(name.as_bytes()), expect),
        };
        asked.expecting(*expect)
    });
    asked.message(Some(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_names_the_first_schedule_that_changed_and_counts_the_others() {
        let outcome = |name: &str, verdict| Outcome {
            name: name.into(),
            verdict,
            faults: None,
            place: None,
            remarks: Vec::new(),
            coming: None,
            denied: None,
        };
        let created = Verdict::Created { creation: 1, revision: 1, since: ponos::event::Timestamp::EPOCH };
        let refused = outcome("a", Verdict::Refused(Refusal::NeverDue));
        assert_eq!(log_line(&[refused.clone(), outcome("b", Verdict::GoneAlready)]), None);
        assert_eq!(log_line(&[outcome("a\n", created.clone())]).unwrap(), "\"a\\n\" is created");
        let line = log_line(&[refused, outcome("b", created.clone()), outcome("c", created)]).unwrap();
        assert_eq!(line, "of 3 2 are created, 0 changed, 0 deleted and 1 refused; first \"b\"");
    }
}

//! Changes of schedules at run time: several at once, or one by [`put`](super::put) and [`delete`](super::delete).

use super::{OpsError, RunningClock, error::said, judge::Judge, message::Asked, run_blocking};
use crate::{
    authority::{Caller, Denied, Role},
    clock,
    clock_loop::{CHANGES, ChangesAsked, Command},
    engine::{Expect, Message, Refusal, ScheduleChange, Verdict},
    schedule::{
        FaultCode, Packed,
        file::{FieldFault, FieldFaults, JsonEntry},
        is_name,
    },
    sources::Place,
};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

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
    /// What is wrong with its definition, where that is why it was refused.
    pub faults: Option<FieldFaults>,
    /// Where a file has it, where that is why it was refused.
    pub place: Option<Place>,
    /// What is valid in its definition, and seldom meant.
    pub remarks: Vec<FieldFault>,
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
            (Verdict::Refused(Refusal::Invalid { .. }), Some(faults)) => Some(faults.to_string()),
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
        let all = wanted.into_iter().zip(verdicts);
        let caller = caller.clone();
        let told = move || all.map(|(one, verdict)| again(one, verdict, (&judge, &caller))).collect();
        return run_blocking(told).await;
    }
    caller.may(Role::Write, "change schedules")?;
    if !(1..=CHANGES).contains(&count) {
        return Err(OpsError::Invalid(format!("{count} changes; 1 to {CHANGES} are allowed at once")));
    }
    caller.take_puts(u32::try_from(count).unwrap_or(u32::MAX), Instant::now())?;
    read_and_change(clock, caller, (wanted, atomic, message), judge).await
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
    let read = move || wanted.into_iter().map(|one| Read::new(one, &judge, least)).collect();
    let read: Vec<Read> = run_blocking::<Result<_, _>>(read).await??;
    let (changes, mut outcomes): (Vec<_>, Vec<_>) =
        read.into_iter().map(|one| (one.change, one.outcome)).unzip();
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
    Ok(outcomes)
}

/// The outcome of a change whose message came before, and became that then. What is seldom meant in its definition is so still.
fn again(wanted: Wanted, verdict: Verdict, (judge, caller): (&Judge, &Caller)) -> Outcome {
    let name = match &wanted {
        Wanted::Put { name: Some(name), .. } | Wanted::Delete { name, .. } => name.clone(),
        Wanted::Put { json, .. } => serde_json::from_slice::<Named>(json)
            .ok()
            .and_then(|named| named.name?.as_str().map(str::to_owned))
            .filter(|name| is_name(name))
            .unwrap_or_default(),
    };
    let read = Read::new(wanted, judge, Duration::ZERO);
    let remarks = read.map_or(Vec::new(), |read| read.outcome.remarks);
    let faults = match &verdict {
        Verdict::Refused(Refusal::Invalid { faults }) => told(faults),
        _ => None,
    };
    let denied = denied(caller, &verdict);
    Outcome { name, verdict, faults, place: None, remarks, denied }
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

/// A change as it was read.
struct Read {
    change: ScheduleChange,
    outcome: Outcome,
}

impl Read {
    fn new(wanted: Wanted, judge: &Judge, least: Duration) -> Result<Self, OpsError> {
        let verdict = Verdict::Refused(Refusal::Invalid { faults: "".into() });
        let outcome = |name: &str| Outcome {
            name: name.to_owned(),
            verdict: verdict.clone(),
            faults: None,
            place: None,
            remarks: Vec::new(),
            denied: None,
        };
        Ok(match wanted {
            // What can't be a name is nobody's.
            Wanted::Delete { name, expect } => {
                let name_of = if is_name(&name) { name.as_str() } else { "" }.into();
                Self { outcome: outcome(&name), change: ScheduleChange::Delete { name: name_of, expect } }
            }
            Wanted::Put { name, json, expect } => match read(name.as_deref(), json, judge, least)? {
                Ok(read) => {
                    let definition = Packed::new(&read.definition, &read.schedule);
                    let outcome = Outcome { remarks: read.remarks, ..outcome(&read.definition.name) };
                    Self { outcome, change: ScheduleChange::Put { definition, expect } }
                }
                Err((name, faults)) => {
                    let name = name.unwrap_or_default();
                    let change =
                        ScheduleChange::Invalid { name: name.as_str().into(), faults: kept(&faults) };
                    Self { outcome: Outcome { faults: Some(faults), ..outcome(&name) }, change }
                }
            },
        })
    }
}

/// The name that a definition says of itself.
#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    name: Option<serde_json::Value>,
}

/// A definition as it was read; else its name, as far as there is one, and why it can't be used.
type ReadDefinition = Result<JsonEntry, (Option<String>, FieldFaults)>;

/// Reads a definition that is to have this name, and that comes no more often than the caller may have it.
fn read(
    name: Option<&str>,
    json: Vec<u8>,
    judge: &Judge,
    least: Duration,
) -> Result<ReadDefinition, OpsError> {
    let said = serde_json::from_slice::<Named>(&json).ok().map(|named| named.name);
    let json = match (name, &said) {
        (Some(name), Some(None)) => with_name(&json, name),
        _ => json,
    };
    let read = match judge.read(&json, clock::now()) {
        Ok(read) => read,
        Err(OpsError::Definition(faults)) => {
            let said = said.flatten().and_then(|said| said.as_str().map(str::to_owned));
            return Ok(Err((name.map(str::to_owned).or(said).filter(|name| is_name(name)), faults)));
        }
        Err(error) => return Err(error),
    };
    let mut faults = judge.too_often(&read, least);
    if let Some(name) = name.filter(|name| *name != read.definition.name) {
        faults.add(FieldFault {
            pointer: "/name".into(),
            code: FaultCode::Conflict,
            detail: format!("name: it says '{}' and is to be '{name}'", read.definition.name),
            expected: Some(name.to_owned()),
            suggestion: Some("leave it out, or say the same".into()),
        });
    }
    Ok(match faults.list.is_empty() {
        true => Ok(read),
        false => Err((Some(name.unwrap_or(&read.definition.name).to_owned()), faults)),
    })
}

/// A JSON object with a name in front of what it says.
fn with_name(json: &[u8], name: &str) -> Vec<u8> {
    let Some(brace) = json.iter().position(|byte| *byte == b'{') else { return json.to_vec() };
    let (before, after) = json.split_at(brace + 1);
    let is_empty = after.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}');
    // As a JSON text, whatever it is: that it is no name is said of it then.
    let name = format!("\"name\":{}{}", serde_json::Value::from(name), if is_empty { "" } else { "," });
    [before, name.as_bytes(), after].concat()
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

/// Bytes of what is wrong with a definition that are kept, about.
const FAULTS: usize = 600;

/// What is wrong with a definition, as it is told again: the first of it.
pub(super) fn kept(faults: &FieldFaults) -> Arc<str> {
    let (mut bytes, mut more) = (0, faults.more);
    let mut list = Vec::new();
    for fault in &faults.list {
        bytes += serde_json::to_string(fault).map_or(FAULTS, |fault| fault.len());
        match bytes <= FAULTS {
            true => list.push(fault),
            false => more += 1,
        }
    }
    serde_json::to_string(&(list, more)).unwrap_or_default().into()
}

/// The same, as it was kept; none: nothing is known any more.
pub(super) fn told(kept: &str) -> Option<FieldFaults> {
    let (list, more) = serde_json::from_str(kept).ok()?;
    Some(FieldFaults { list, more }).filter(|faults| !faults.list.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_much_that_is_wrong_as_much_is_told_again_as_is_kept() {
        let fault = |number: usize| FieldFault {
            pointer: format!("/{number}"),
            code: FaultCode::UnknownKey,
            detail: "x".repeat(100),
            expected: None,
            suggestion: None,
        };
        let faults = |count| FieldFaults { list: (0..count).map(fault).collect(), more: 3 };
        assert_eq!(told(&kept(&faults(2))), Some(faults(2)));
        let all = faults(100);
        let again = told(&kept(&all)).unwrap();
        assert!(kept(&all).len() < 2 * FAULTS && again.list.len() > 2);
        assert_eq!((again.list.len() + again.more, &again.list[0]), (103, &all.list[0]));
        assert_eq!((told(""), told("[[],1]")), (None, None));
    }
}

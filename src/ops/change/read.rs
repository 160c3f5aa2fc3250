//! A change as it is read, before the clock's loop decides it: definitions are understood, and what is wrong with them is kept
//! as it is told again where the same message comes again.

use super::{Outcome, Wanted};
use crate::{
    clock,
    engine::{Refusal, ScheduleChange, Verdict},
    ops::{OpsError, judge::Judge},
    schedule::{
        FaultCode, Packed,
        file::{FieldFault, FieldFaults, JsonEntry},
        is_name,
    },
};
use serde::{Deserialize, Deserializer};
use std::{sync::Arc, time::Duration};

/// A change as it was read.
pub(super) struct Read {
    pub(super) change: ScheduleChange,
    pub(super) outcome: Outcome,
    /// A definition that can be used.
    pub(super) entry: Option<Box<JsonEntry>>,
}

impl Read {
    pub(super) fn new(wanted: Wanted, judge: &Judge, least: Duration) -> Result<Self, OpsError> {
        let verdict = Verdict::Refused(Refusal::Invalid { faults: "".into() });
        let outcome = |name: &str| Outcome {
            name: name.to_owned(),
            verdict: verdict.clone(),
            faults: None,
            place: None,
            remarks: Vec::new(),
            coming: None,
            denied: None,
        };
        Ok(match wanted {
            // What can't be a name is nobody's.
            Wanted::Delete { name, expect } => {
                let name_of = if is_name(&name) { name.as_str() } else { "" }.into();
                let change = ScheduleChange::Delete { name: name_of, expect };
                Self { outcome: outcome(&name), change, entry: None }
            }
            Wanted::Put { name, json, expect } => match read(name.as_deref(), json, judge, least)? {
                Ok(read) => {
                    let definition = Packed::new(&read.definition, &read.schedule);
                    let remarks = read.remarks.clone();
                    let outcome = Outcome { remarks, ..outcome(&read.definition.name) };
                    let change = ScheduleChange::Put { definition, expect };
                    Self { outcome, change, entry: Some(Box::new(read)) }
                }
                Err((name, faults)) => {
                    let name = name.unwrap_or_default();
                    let change =
                        ScheduleChange::Invalid { name: name.as_str().into(), faults: kept(&faults) };
                    let outcome = Outcome { faults: Some(faults), ..outcome(&name) };
                    Self { outcome, change, entry: None }
                }
            },
        })
    }
}

/// The name that a definition says of itself.
#[derive(Deserialize)]
pub(super) struct Named {
    /// None: it says none; that it is null is said.
    #[serde(default, deserialize_with = "said_name")]
    pub(super) name: Option<serde_json::Value>,
}

fn said_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(deserializer).map(Some)
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

/// Bytes of what is wrong with a definition that are kept, about.
const FAULTS: usize = 600;

/// What is wrong with a definition, as it is told again: the first of it.
pub(in super::super) fn kept(faults: &FieldFaults) -> Arc<str> {
    let (mut bytes, mut more) = (0, faults.more);
    let mut list = Vec::new();
    for fault in &faults.list {
        bytes += serde_json::to_string(fault).map_or(FAULTS, |fault| fault.len());
        // The first is told in any case, unless it is far longer.
        match bytes <= FAULTS || list.is_empty() && bytes <= 4 * FAULTS {
            true => list.push(fault),
            false => more += 1,
        }
    }
    serde_json::to_string(&(list, more)).unwrap_or_default().into()
}

/// The same, as it was kept; none: nothing is known any more.
pub(in super::super) fn told(kept: &str) -> Option<FieldFaults> {
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

//! One schedule is created or changed at run time.

use super::{
    OpsError, RunningClock,
    change::{Wanted, one},
};
use crate::{
    authority::Caller,
    engine::{Expect, Verdict},
    schedule::file::FieldFault,
};

/// A schedule that is as it is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Put {
    /// The schedule.
    pub name: String,
    /// [`Verdict::Created`], [`Verdict::Changed`] or [`Verdict::Unchanged`].
    pub verdict: Verdict,
    /// What is valid in its definition, and seldom meant.
    pub remarks: Vec<FieldFault>,
}

/// Creates or changes a schedule, by its definition as JSON, which may leave out a `name` that is given. Done when that is
/// durable. `message` is the id of the message that asks for it, where it came as one.
///
/// # Errors
/// [`OpsError::Definition`] with all that is wrong with it; [`OpsError::Unchanged`] where it is refused; and as
/// [`change`](super::change::change).
pub async fn put(
    clock: &RunningClock,
    caller: &Caller,
    (name, json): (Option<&str>, Vec<u8>),
    expect: Expect,
    message: Option<String>,
) -> Result<Put, OpsError> {
    let wanted = Wanted::Put { name: name.map(str::to_owned), json, expect };
    let (name, verdict, remarks) = one(clock, caller, wanted, message).await?;
    Ok(Put { name, verdict, remarks })
}

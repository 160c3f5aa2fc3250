//! One schedule that was created at run time is deleted.

use super::{
    OpsError, RunningClock,
    change::{Wanted, one},
};
use crate::{
    authority::Caller,
    engine::{Expect, Verdict},
};

/// Deletes a schedule. Done when that is durable; so it is where there was none. Gives [`Verdict::Deleted`] or
/// [`Verdict::GoneAlready`]. `message` is the id of the message that asks for it, where it came as one.
///
/// # Errors
/// [`OpsError::Unchanged`] where it is refused; and as [`change`](super::change::change).
pub async fn delete(
    clock: &RunningClock,
    caller: &Caller,
    name: &str,
    expect: Expect,
    message: Option<String>,
) -> Result<Verdict, OpsError> {
    let wanted = Wanted::Delete { name: name.to_owned(), expect };
    one(clock, caller, wanted, message).await.map(|(_, verdict, _)| verdict)
}

//! Why a delayed event was not changed, in words.

use crate::{diagnostic::counted, engine::Refusal, ops::error};

/// Why it was not changed, and what to do.
pub(in crate::ops) fn said_of_event(refusal: &Refusal) -> String {
    match refusal {
        Refusal::OutsideDomains { event } => {
            format!(
                "'{event}' is none of the events, or queues of tasks, that you may change something about"
            )
        }
        Refusal::MayHaveBeenSent { due } => {
            format!("it is due at {due}, and may have been sent already; take another name for another event")
        }
        Refusal::AlreadySettled { due } => format!(
            "it was due at {due}, and that is settled: it was sent, or given up; take another name for another event"
        ),
        Refusal::NeverDue => {
            "its time is past, and past = \"refuse\" refuses that; \"send\" has it sent at once".into()
        }
        Refusal::Invalid { .. } => "what was asked for can't be used".into(),
        Refusal::TooManyDelayedEvents { most } => format!(
            "its owner may have {} pending or parked (delayed_events of his tokens and users), and has as many; delete some, wait until some are sent, or have parked ones released or dropped",
            counted(*most, "delayed event")
        ),
        other => error::said(other, None),
    }
}

//! What became of a change.

use crate::{
    authority::{Caller, Denied},
    engine::{Refusal, Verdict, delayed::ContentDigest},
    ops::{OpsError, change::told},
    schedule::{file::FieldFaults, jitter_offset},
};
use ponos::event::Timestamp;

/// What became of one change.
#[derive(Debug, Clone, PartialEq)]
pub struct EventOutcome {
    /// The event; empty where its item does not even tell that.
    pub name: String,
    /// What became of it.
    pub verdict: Verdict,
    /// What is wrong with its item, where that is why it was refused.
    pub faults: Option<FieldFaults>,
    /// The rule, where it is refused because it is not the caller's to change.
    pub denied: Option<Denied>,
    /// When it is due, of one that is there or was sent lately.
    pub due: Option<Timestamp>,
    /// When it is sent, of one that is there.
    pub send: Option<Timestamp>,
}

/// A change before it is known what became of it.
#[derive(Debug, Clone, Default)]
pub(in crate::ops::delayed) struct Undecided {
    /// As [`EventOutcome::name`].
    pub(in crate::ops::delayed) name: String,
    /// When the event that is put is due, as far as it is known here.
    pub(in crate::ops::delayed) due: Option<Timestamp>,
    /// Milliseconds.
    pub(in crate::ops::delayed) jitter: i64,
    /// All that is wrong with its item.
    pub(in crate::ops::delayed) faults: Option<FieldFaults>,
    /// The rule by which it is not the caller's to change.
    pub(in crate::ops::delayed) denied: Option<Denied>,
    /// Of what was asked for.
    pub(in crate::ops::delayed) digest: ContentDigest,
}

impl EventOutcome {
    /// The same, where the change was not refused.
    ///
    /// # Errors
    /// [`OpsError::Denied`], [`OpsError::Definition`], [`OpsError::EventUnchanged`].
    pub fn done(self) -> Result<Self, OpsError> {
        if let Some(denied) = self.denied {
            return Err(denied.into());
        }
        match (self.verdict, self.faults) {
            (Verdict::Refused(Refusal::Invalid { .. }), Some(faults)) => Err(OpsError::Definition(faults)),
            (Verdict::Refused(refusal), _) => Err(OpsError::EventUnchanged { name: self.name, refusal }),
            (verdict, faults) => Ok(Self { verdict, faults, denied: None, ..self }),
        }
    }
}

impl Undecided {
    /// This became of it, now or when the same was asked for before.
    pub(in crate::ops::delayed) fn decided(self, verdict: Verdict, caller: &Caller) -> EventOutcome {
        let Self { name, due, jitter, faults, denied, digest: _ } = self;
        let (due, is_there) = match &verdict {
            Verdict::Created { since, .. } | Verdict::Changed { since, .. } => (Some(*since), true),
            Verdict::Unchanged { .. } => (due, true),
            Verdict::Settled { due, .. } => (Some(*due), false),
            _ => (None, false),
        };
        let send = due.filter(|_| is_there).map(|due| due.plus(jitter_offset(&name, due, jitter)));
        let faults = match &verdict {
            Verdict::Refused(Refusal::Invalid { faults: kept }) => faults.or_else(|| told(kept)),
            _ => None,
        };
        let denied = match &verdict {
            // What was there may be another thing than what was asked for.
            Verdict::Refused(Refusal::OutsideDomains { event }) => {
                denied.or_else(|| Some(caller.outside(format!("'{event}'"))))
            }
            _ => None,
        };
        EventOutcome { name, verdict, faults, denied, due, send }
    }
}

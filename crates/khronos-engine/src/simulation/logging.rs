//! The log of changes: whatever was answered as changed stands in it once, by whom and by which door, as which message, as it
//! was and as it is; and nothing else does, but for what the clock does by itself.

use super::{calendars, commands::Asked};
use crate::{ChangeKind, Commit, LoggedChange, Message, THE_CLOCK, Verdict};
use std::sync::Arc;

/// By which everybody comes.
pub(super) const DOOR: &str = "sim";

#[derive(Debug, Default)]
pub(super) struct Logging {
    /// Durable, and nobody was told of it yet.
    untold: Vec<LoggedChange>,
}

impl Logging {
    pub(super) fn written(&mut self, commit: &Commit) {
        // Of pauses, triggers and the like nobody is told what changed.
        let of_schedules = [ChangeKind::Created, ChangeKind::Changed, ChangeKind::Deleted];
        let others = commit.changes.iter().filter(|change| of_schedules.contains(&change.what));
        let is_asked_here = |by: &str| by != THE_CLOCK && !calendars::OWNERS.contains(&by);
        self.untold.extend(others.filter(|change| is_asked_here(&change.by)).cloned());
    }

    /// Nobody will be told of what was done before a crash.
    pub(super) fn restart(&mut self) {
        self.untold.clear();
    }

    /// Somebody is told of this change: whether it stands in the log.
    pub(super) fn tell(&mut self, asked: &Asked, message: Option<&Message>, verdict: &Verdict) -> bool {
        let at = self.untold.iter().position(|one| is_it(one, asked, message, verdict));
        at.is_some_and(|at| {
            self.untold.remove(at);
            true
        })
    }

    /// What stands in it though nobody was told of it.
    pub(super) fn untold(&self) -> Option<&LoggedChange> {
        self.untold.first()
    }
}

fn is_it(logged: &LoggedChange, asked: &Asked, message: Option<&Message>, verdict: &Verdict) -> bool {
    let versions = (
        logged.before.as_ref().map(|before| before.revision),
        logged.after.as_ref().map(|after| after.revision),
    );
    let is_what = match *verdict {
        Verdict::Created { creation, revision, .. } => {
            logged.what == ChangeKind::Created
                && logged.creation == creation
                && versions == (None, Some(revision))
        }
        Verdict::Changed { creation, revision, .. } => {
            logged.what == ChangeKind::Changed
                && logged.creation == creation
                && versions == (Some(revision - 1), Some(revision))
        }
        Verdict::Deleted { creation, revision, .. } => {
            logged.what == ChangeKind::Deleted
                && logged.creation == creation
                && versions == (Some(revision), None)
        }
        _ => false,
    };
    let id = message.map(|message| message.id.clone());
    is_what
        && *logged.name == *asked.name
        && (&*logged.by, &*logged.door) == (asked.owner, DOOR)
        && logged.command == id as Option<Arc<str>>
}

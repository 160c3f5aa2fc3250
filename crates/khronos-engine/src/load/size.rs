//! How much a command is, and whose.

use super::Change;
use crate::{ScheduleChange, Scope};
use std::sync::Arc;

impl Change {
    /// How many changes it is, and about how many bytes.
    pub(super) fn size(&self) -> Size {
        match self {
            Self::By(_, change) => change.size(),
            Self::Schedules(request) => Size {
                count: request.changes.len().max(1),
                bytes: request.changes.iter().map(ScheduleChange::bytes).sum(),
            },
            Self::Pause(_, Scope::Named(names), _) | Self::Resume(_, Scope::Named(names), _) => {
                Size { count: names.len(), bytes: 0 }
            }
            Self::Pause(..) | Self::Resume(..) | Self::Trigger(..) | Self::Operate(..) | Self::Cancel(..) => {
                Size { count: 1, bytes: 0 }
            }
        }
    }

    /// What it pauses, or has go on, if it does.
    pub(super) fn paused(&self) -> Option<&Scope> {
        match self {
            Self::Pause(_, scope, _) | Self::Resume(_, scope, _) => Some(scope),
            Self::By(_, change) => change.paused(),
            _ => None,
        }
    }

    /// Whose place it takes.
    pub(super) fn owner(&self) -> Arc<str> {
        match self {
            Self::By(asker, _) => asker.by.owner.clone(),
            Self::Schedules(request) => request.by.owner.clone(),
            // Of these nobody says who asks.
            Self::Pause(..) | Self::Resume(..) => "".into(),
            Self::Trigger(..) | Self::Operate(..) | Self::Cancel(..) => "".into(),
        }
    }
}

/// How much something is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    pub(super) count: usize,
    pub(super) bytes: usize,
}

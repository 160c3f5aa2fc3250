//! What the clock has of a schedule by its name: each revision that is kept, what is outstanding of them, and how it runs.

use crate::{
    clock_loop::Command,
    engine::{OneShot, Parked, Revision, ScheduleStatus, Span},
    ops::{Clock, OpsError, Pages, parked},
};
use ponos::event::{EventKind, Timestamp};
use std::sync::Arc;

/// What is kept of a name.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// By number.
    pub(super) revisions: Vec<Revision>,
    pub(super) spans: Vec<Span>,
    pub(super) one_shots: Vec<OneShot>,
    /// How it runs, if it does.
    pub(super) status: Option<ScheduleStatus>,
}

impl Known {
    pub(super) async fn of(clock: &Clock, name: &str) -> Result<Self, OpsError> {
        let name: Arc<str> = name.into();
        let mut known = match clock {
            Clock::Running(clock) => {
                let asked = Some((name.clone(), 0));
                let page = clock.ask(|reply| Command::Kept(asked, reply)).await?;
                let asked = name.clone();
                let status = clock.ask(|reply| Command::Schedule(asked, reply)).await?;
                Self::from_all(&name, page.revisions, page.spans, page.one_shots, status)
            }
            Clock::Stopped(clock) => {
                let held = &clock.snapshot;
                let of_name = held.revisions.iter().filter(|revision| *revision.name() == *name);
                let (spans, one_shots) = (held.spans.clone(), held.one_shots.clone());
                Self::from_all(&name, of_name.cloned().collect(), spans, one_shots, clock.schedule(&name))
            }
        };
        // What runs may be told without what is outstanding of each revision.
        if let Some(status) = &known.status {
            let more = status.outstanding.iter().filter(|span| !known.spans.contains(span));
            let more: Vec<Span> = more.cloned().collect();
            known.spans.extend(more);
        }
        Ok(known)
    }

    fn from_all(
        name: &str,
        revisions: Vec<Revision>,
        spans: Vec<(Arc<str>, Span)>,
        one_shots: Vec<(Arc<str>, OneShot)>,
        status: Option<ScheduleStatus>,
    ) -> Self {
        let revisions = revisions.into_iter().take_while(|revision| revision.name() == name).collect();
        let spans = spans.into_iter().filter(|(of, _)| **of == *name).map(|(_, span)| span).collect();
        let one_shots = one_shots.into_iter().filter(|(of, _)| **of == *name).map(|(_, one)| one).collect();
        Self { revisions, spans, one_shots, status }
    }

    /// The revision of this number, and of this creation if one is meant.
    pub(super) fn revision(&self, number: u32, creation: Option<u64>) -> Option<&Revision> {
        self.revisions.iter().find(|revision| {
            revision.number == number
                && creation.is_none_or(|creation| creation == revision.definition.creation())
        })
    }

    /// The revision whose occurrences lie about this instant.
    pub(super) fn in_effect(&self, due: Timestamp) -> Option<&Revision> {
        let holds = |revision: &&Revision| {
            revision.effective_from < due && revision.ended.is_none_or(|ended| due <= ended)
        };
        self.revisions.iter().rev().find(holds)
    }
}

/// The parked entry that has this due time of a schedule's revision.
pub(super) async fn parked_of(
    clock: &Clock,
    name: &str,
    revision: u32,
    due: Timestamp,
) -> Result<Option<(u64, Parked, bool)>, OpsError> {
    let mut all = parked::all(clock.clone());
    loop {
        let page = all.next().await?;
        if page.is_empty() {
            return Ok(None);
        }
        let is_its = |(_, parked, _): &(u64, Parked, bool)| {
            *parked.schedule == *name
                && parked.revision == revision
                && parked.kind == EventKind::Occurrence
                && (parked.stands_for.first..=parked.stands_for.last).contains(&due)
        };
        if let Some(found) = page.into_iter().find(is_its) {
            return Ok(Some(found));
        }
    }
}

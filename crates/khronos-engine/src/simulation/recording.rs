//! The record of the simulated clock, which is written behind: what waits to be appended, and whether a crash that keeps
//! some of it from the record is said there.

use crate::{
    Commit, Outcome, Row, Snapshot,
    store::{MemoryStore, Store},
};
use ponos_event::Timestamp;
use std::collections::VecDeque;

#[derive(Default)]
pub(super) struct Recording {
    appending: VecDeque<(Vec<Row>, Timestamp)>,
    /// Of the last write.
    set_backs: u32,
    /// What should not be.
    pub(super) broken: Option<String>,
}

impl Recording {
    pub(super) fn append(&mut self, rows: Vec<Row>, complete: Timestamp) {
        self.appending.push_back((rows, complete));
    }

    /// As the program's queue does: what was given before the clock was set back is complete no further than W.
    pub(super) fn save(&mut self, commit: &Commit) {
        if commit.set_backs > std::mem::replace(&mut self.set_backs, commit.set_backs) {
            self.appending.iter_mut().for_each(|(_, complete)| *complete = commit.settled.min(*complete));
        }
    }

    pub(super) fn is_written(&self) -> bool {
        self.appending.is_empty()
    }

    /// Writes what was given first. Whether there was something.
    pub(super) fn write_one(&mut self, store: &mut MemoryStore) -> bool {
        let Some((rows, complete)) = self.appending.pop_front() else { return false };
        store.append(0, &rows, complete).expect("nothing goes wrong with it");
        true
    }

    /// The process died, and the store was loaded again. What W has passed, and what did not come into the record, is marked
    /// there, behind the row `known`: by send times.
    pub(super) fn restart(&mut self, store: &mut MemoryStore, known: u64, kept: &Snapshot) {
        self.set_backs = kept.set_backs;
        let lost: Vec<Row> =
            std::mem::take(&mut self.appending).into_iter().flat_map(|(rows, _)| rows).collect();
        if lost.is_empty() {
            return;
        }
        let added = store.read(known, usize::MAX).expect("it can be read").rows;
        let mark = added.first().map(|first| &first.row).filter(|row| row.outcome == Outcome::DetailsLost);
        for row in lost {
            let Outcome::Confirmed { sent_at, lateness, .. } = row.outcome else { continue };
            let send = sent_at.plus(-lateness);
            let is_marked = mark.is_some_and(|mark| (mark.first..=mark.last).contains(&send));
            if Some(send) <= kept.settled && !is_marked {
                self.broken.get_or_insert(format!("{row:?} is lost: {mark:?} is all that says so"));
            }
        }
    }
}

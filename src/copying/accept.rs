//! What becomes of what a copy does not know of: due since it was made, and sent by the original, or not. Each time a copy is accepted it
//! becomes another store, so that what is made of it twice is told apart.

use super::delayed_folder;
use crate::{
    delayed::{DelayedBatch, DelayedStep, DelayedStore as _, RedbDelayed, RedbOptions},
    engine::{Commit, Outcome, Reached, SkipReason, SkippedPause, Snapshot},
    store::{SledOptions, SledStore, Store as _, StoreError, seems_held},
};
use ponos::event::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Delayed events that are settled in one write.
const AT_ONCE: usize = 1_000;

/// What a person decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Acceptance {
    /// It is caught up with, as after an outage: what was sent before goes again under the same ids.
    SendAgain,
    /// It is recorded as skipped.
    Skip,
}

/// A decision, as it is asked for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcceptAsked {
    /// What becomes of what was due since the copy was made.
    pub(crate) what: Acceptance,
}

/// What was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Accepted {
    /// The copy is of this instant.
    pub(crate) made_at: Timestamp,
    /// What was decided.
    pub(crate) what: Acceptance,
    /// Delayed events that were recorded as skipped.
    pub(crate) skipped_delayed: u64,
    /// Everything is paused there, as it was when the copy was made: what becomes of schedules is said by whoever ends the pause.
    pub(crate) is_paused: bool,
}

/// How both stores of a copy that is held are opened: as a clock that goes on with it would, for what either keeps is trimmed by the
/// same limits.
#[derive(Debug)]
pub(crate) struct HoldingOptions {
    pub(crate) progress: SledOptions,
    pub(crate) delayed: RedbOptions,
}

/// A store that is held, opened so that nobody else does.
#[derive(Debug)]
pub(crate) struct Holding {
    clock: String,
    made_at: Timestamp,
    pub(super) store: SledStore,
    pub(super) delayed: Option<RedbDelayed>,
}

impl Holding {
    /// Opens what is in a folder; `None` where it is not held.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn open(
        folder: &Path,
        clock: &str,
        HoldingOptions { progress, delayed }: HoldingOptions,
    ) -> Result<Option<Self>, StoreError> {
        // Most are not, and are opened once.
        if seems_held(folder)? != Some(true) {
            return Ok(None);
        }
        let store = SledStore::open(folder, clock, &SledOptions { held: true, ..progress })?;
        // Where the power went in between, the seal did not know yet.
        let Some(made_at) = store.held() else { return Ok(None) };
        let options = RedbOptions { held: store.delayed_id(), ..delayed };
        let delayed =
            delayed_folder(folder)?.map(|folder| RedbDelayed::open(&folder, clock, &options)).transpose()?;
        Ok(Some(Self { clock: clock.to_owned(), made_at, store, delayed }))
    }

    /// Why nothing is sent, and what to do.
    pub(crate) fn why(&self) -> String {
        let Self { clock, made_at, .. } = self;
        format!(
            "held: this store is a copy of the clock '{clock}', made at {made_at}, and does not know what was sent since; nothing is sent before `khronos store accept --send-again` (what was due since goes out, under the ids that it had) or `khronos store accept --skip` (it is recorded as skipped)"
        )
    }

    /// Has it go on: the next clock that starts on it sends.
    ///
    /// # Errors
    /// [`StoreError`]; it is held then, or accepted as was decided: the next opening shows which.
    pub(crate) fn accept(&mut self, what: Acceptance, now: Timestamp) -> Result<Accepted, StoreError> {
        self.store.check_writable().map_err(unknown)?;
        let delayed_skips = self.delayed.as_ref().map_or(Ok(false), RedbDelayed::skips)?;
        if delayed_skips && what == Acceptance::SendAgain {
            return Err(self.store.refusal(SKIPS));
        }
        let snapshot = self.store.load()?;
        let is_paused = snapshot.pauses.paused.is_some();
        let mut accepted = Accepted { made_at: self.made_at, what, skipped_delayed: 0, is_paused };
        let mut commit = None;
        if what == Acceptance::Skip {
            // What was under way when the copy was made goes again, as what schedules call for does.
            let under_way = snapshot.handed.max(snapshot.reached);
            if let Some(delayed) = &mut self.delayed {
                accepted.skipped_delayed = skip_delayed(delayed, under_way, now)?;
            }
            commit = skip(snapshot, now);
        }
        if let Some(delayed) = &mut self.delayed {
            delayed.accept()?;
        }
        // Last: until then all of it is held, and may be done again.
        self.store.accept(commit.as_ref()).map_err(unknown)?;
        Ok(accepted)
    }
}

/// Why what was begun by skipping does not go on otherwise.
const SKIPS: &str = "`khronos store accept --skip` was begun here and did not end: some delayed events are recorded as skipped already; end it with --skip, or restore the backup once more";

/// What a write that failed leaves: its failure may have come when it was there already.
fn unknown(error: StoreError) -> StoreError {
    match error {
        StoreError::Io { path, what } => {
            let what = format!(
                "{what}; it is held as before, or accepted as was decided: restart the clock, which shows which"
            );
            StoreError::Io { path, what: what.into() }
        }
        other => other,
    }
}

/// Settles what is to be sent after the one instant and by the other, a portion in each write.
pub(super) fn skip_delayed(
    store: &mut RedbDelayed,
    after: Option<Timestamp>,
    through: Timestamp,
) -> Result<u64, StoreError> {
    let reader = store.reader();
    let first = after.map_or(Timestamp::from_millis(i64::MIN), |after| after.plus(1));
    let all = first..through.plus(1).max(first);
    let mut skipped = 0;
    loop {
        let due = reader.due(all.clone(), None, AT_ONCE)?;
        if due.is_empty() {
            return Ok(skipped);
        }
        if skipped == 0 {
            store.begin_skipping()?;
        }
        skipped += due.len() as u64;
        let settle = |event: crate::delayed::DueEvent| DelayedStep::Settle {
            key: event.key,
            outcome: Outcome::Skipped(SkipReason::Paused),
            keeps_content: false,
        };
        let steps = due.into_iter().map(settle).collect();
        store.write(0, &DelayedBatch { now: through, steps, lasts: true, ..DelayedBatch::default() })?;
    }
}

/// The write by which what schedules call for until now is skipped: as if all had been paused since the copy was made. What may have
/// been under way then goes again, singly.
fn skip(snapshot: Snapshot, now: Timestamp) -> Option<Commit> {
    let Snapshot { settled, handed, reached, set_backs, pauses, created, .. } = snapshot;
    // Nothing was ever due; or somebody has all of it paused, and says what becomes of it.
    let settled = settled.filter(|_| pauses.paused.is_none())?;
    let handed = handed.unwrap_or(settled);
    let ever = handed.max(reached.unwrap_or(handed));
    let skipped =
        SkippedPause { reached: Reached { lately: ever, ever, set_backs }, through: now, set_backs };
    let mut pauses = pauses;
    pauses.skipped.push(skipped);
    Some(Commit {
        settled,
        handed,
        reached: ever,
        set_backs,
        created,
        pauses: Some(pauses),
        ..Commit::default()
    })
}

//! The audit: the record against the arithmetic, over (from, to]. Pure and streaming: rows come in by number, what is
//! held is runs of occurrences, never single ones.
//!
//! Every due time that a kept definition calls for must be confirmed by itself, stand in a confirmed coalesced event,
//! be skipped, parked, dropped or lost to a crash by a row that says so, or be still outstanding: else it is a *hole*.
//! A row that no occurrence calls for, that counts wrongly, or that contradicts another row is a *surplus*. The same row
//! twice is neither: it was sent again under its id after a crash. Rows of triggers, backfills and delayed events are no
//! occurrences: they fill no hole and are no surplus.
//!
//! Of a clock that runs, definitions and spans come in pages that were taken one after the other, while schedules
//! changed in between. See [`Engine::kept_after`](super::Engine::kept_after) for why they fit together. A row that was
//! recorded since may be about a definition that is in no page: such a row is passed over, for the next audit.
//!
//! Bounds: not before the first row that is kept; not after W, for above it nothing is promised yet. Rows of all
//! schedules (`*`) cover from their first through their last instant, both inclusive.

mod ledger;
mod ranges;
mod report;
mod strays;
#[cfg(test)]
mod tests;

pub use ledger::skip_word;
pub use report::{DelayedReport, Finding, Report, ScheduleReport, Tally};

use super::{KeptPage, Outcome, Parked, RecordRow, Revision, Snapshot};
use ledger::{Arithmetic, Everywhere, Ledger};
use ponos_event::{EventKind, Timestamp};
use std::{collections::BTreeMap, iter::successors, ops::Bound, sync::Arc};

/// Examples kept per schedule and kind.
const EXAMPLES: usize = 10;
/// Notes kept.
const NOTES: usize = 100;
/// Separate runs held at most, about 50 MB.
const PIECES: usize = 500_000;
/// Rows are numbered when they are written, and what is confirmed is written a little later than the rest: this long
/// after the first kept row, nothing that was trimmed can be missing any more.
const WRITE_BEHIND: i64 = 60_000;

/// An audit in progress: give it [what is kept](Self::keep), what is [parked](Self::park), then [rows](Self::row); then
/// ask for the [report](Self::report).
pub struct Auditor {
    lower: Timestamp,
    upper: Timestamp,
    /// W: the lowest of all pages.
    settled: Timestamp,
    /// Rows after this number were recorded since the first page was asked for.
    known: u64,
    arithmetic: ArithmeticOf,
    /// By name and number.
    kept: Vec<Kept>,
    everywhere: Everywhere,
    unverifiable: BTreeMap<Arc<str>, u64>,
    unknown: BTreeMap<Arc<str>, Vec<Finding>>,
    notes: Vec<String>,
    pieces: usize,
    rows: u64,
    last_sequence: u64,
    record_is_empty: bool,
    created: Option<Timestamp>,
    /// Only the schedule of this name; whether a row of it was seen.
    only: Option<Arc<str>>,
    has_rows: bool,
}

/// Makes the arithmetic of a revision; the error says why it can't be evaluated.
type ArithmeticOf = Box<dyn Fn(&Revision) -> Result<Box<dyn Arithmetic>, String> + Send + Sync>;

/// A revision that can be evaluated. Most of a million are quiet: a ledger is opened when there is something to enter.
struct Kept {
    revision: Revision,
    ledger: Option<Box<Ledger>>,
}

/// The record is in too many separate runs to be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record falls into more than {PIECES} separate runs; audit a shorter time with --from and --to")]
pub struct TooFragmented;

impl std::fmt::Debug for Auditor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auditor").field("from", &self.lower).field("to", &self.upper).finish_non_exhaustive()
    }
}

/// Audits rows that are at hand. See [`Auditor`] for rows that come in pages.
///
/// # Errors
/// [`TooFragmented`].
pub fn audit<'a>(
    snapshot: &Snapshot,
    rows: impl IntoIterator<Item = &'a RecordRow>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Result<Report, TooFragmented> {
    let mut auditor = Auditor::of(snapshot, from, to, None);
    rows.into_iter().try_for_each(|row| auditor.row(row))?;
    Ok(auditor.report())
}

impl Kept {
    fn key(&self) -> (&str, u32) {
        (self.revision.name(), self.revision.number)
    }
}

impl Auditor {
    /// Audits (from, to] of a clock that runs; without bounds, all that the record knows. `known` is the number of the
    /// record's last row before the first page was asked for.
    pub fn new(known: u64, from: Option<Timestamp>, to: Option<Timestamp>) -> Self {
        Self::with(known, from, to, |revision| match revision.definition.is_understood() {
            true => Ok(Box::new(revision.timing()) as Box<dyn Arithmetic>),
            false => match revision.build() {
                Ok(schedule) => Ok(Box::new(schedule.timing) as Box<dyn Arithmetic>),
                Err(faults) => Err(faults.into_iter().next().map_or_else(String::new, |fault| fault.what)),
            },
        })
    }

    /// Audits (from, to] of a clock that does not run, with all that it kept; of [one schedule](Self::only), if a name is
    /// given.
    pub fn of(
        snapshot: &Snapshot,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        only: Option<&str>,
    ) -> Self {
        let mut auditor = Self::new(u64::MAX, from, to).only(only);
        auditor.keep_all(snapshot);
        auditor
    }

    fn with(
        known: u64,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        arithmetic: impl Fn(&Revision) -> Result<Box<dyn Arithmetic>, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            lower: from.unwrap_or(Timestamp::EPOCH.plus(-1)),
            upper: to.unwrap_or(Timestamp::HORIZON),
            settled: Timestamp::HORIZON,
            known,
            arithmetic: Box::new(arithmetic),
            kept: Vec::new(),
            everywhere: Everywhere::default(),
            unverifiable: BTreeMap::new(),
            unknown: BTreeMap::new(),
            notes: Vec::new(),
            pieces: 0,
            rows: 0,
            last_sequence: 0,
            record_is_empty: true,
            created: None,
            only: None,
            has_rows: false,
        }
    }

    /// The same of one schedule alone, if a name is given. To be said before the first page.
    #[must_use]
    pub fn only(self, name: Option<&str>) -> Self {
        Self { only: name.map(Into::into), ..self }
    }

    fn leaves_out(&self, name: &str) -> bool {
        self.only.as_deref().is_some_and(|only| only != name)
    }

    fn keep_all(&mut self, snapshot: &Snapshot) {
        self.record_is_empty = snapshot.last_sequence == 0;
        let wanted = |name: &str| !self.leaves_out(name);
        let revisions = snapshot.revisions.iter().filter(|revision| wanted(revision.name()));
        let mut revisions: Vec<_> = revisions.cloned().collect();
        revisions.sort_by(|a, b| (a.name(), a.number).cmp(&(b.name(), b.number)));
        self.keep(KeptPage {
            settled: snapshot.settled.unwrap_or(Timestamp::EPOCH),
            revisions,
            spans: snapshot.spans.iter().filter(|(name, _)| wanted(name)).cloned().collect(),
            one_shots: snapshot.one_shots.iter().filter(|(name, _)| wanted(name)).cloned().collect(),
        });
        self.park(&snapshot.parked);
    }

    /// Takes a page of what is kept in: all pages, in their order, before the first row.
    pub fn keep(&mut self, mut page: KeptPage) {
        page.revisions.retain(|revision| !self.leaves_out(revision.name()));
        self.settled = self.settled.min(page.settled);
        self.upper = self.upper.min(self.settled);
        self.created =
            page.revisions.iter().map(|revision| revision.effective_from).chain(self.created).min();
        for revision in page.revisions {
            match (self.arithmetic)(&revision) {
                Ok(_) => self.kept.push(Kept { revision, ledger: None }),
                Err(what) => self.note(format!(
                    "{} revision {} can't be evaluated by this version: {what}",
                    revision.name(),
                    revision.number
                )),
            }
        }
        for (schedule, span) in page.spans {
            if let Some(ledger) = self.ledger(&schedule, span.revision) {
                ledger.owe((span.after, span.through));
            }
        }
        for (schedule, one_shot) in page.one_shots {
            if let Some(ledger) = self.ledger(&schedule, one_shot.revision) {
                ledger.owe((one_shot.due.plus(-1), one_shot.due));
            }
        }
    }

    /// Takes in what is parked, or a part of it: after all that is kept. Whatever is parked, released or dropped meanwhile
    /// has a row of its own.
    pub fn park(&mut self, entries: &[(u64, Parked)]) {
        for (_, parked) in entries.iter().filter(|(_, parked)| !parked.is_asked_for()) {
            if let Some(ledger) = self.ledger(&parked.schedule, parked.revision) {
                ledger.park((parked.stands_for.first.plus(-1), parked.stands_for.last));
            }
        }
    }

    /// W up to which is audited.
    pub fn settled(&self) -> Timestamp {
        self.settled
    }

    /// When the first of the definitions that were taken in took effect.
    pub fn created(&self) -> Option<Timestamp> {
        self.created
    }

    /// Whether a definition, or a row, of [the one schedule](Self::only) is kept.
    pub fn knows_it(&self) -> bool {
        self.created.is_some() || self.has_rows
    }

    /// Takes the next row in: all rows that are kept, in the order of their numbers, from the first on.
    ///
    /// # Errors
    /// [`TooFragmented`].
    pub fn row(&mut self, entry: &RecordRow) -> Result<(), TooFragmented> {
        let row = &entry.row;
        if self.last_sequence == 0 && entry.sequence > 1 {
            self.lower = self.lower.max(row.at.plus(WRITE_BEHIND));
        } else if self.last_sequence != 0 && entry.sequence != self.last_sequence + 1 {
            self.note(format!(
                "rows {} to {} are not in the record",
                self.last_sequence + 1,
                entry.sequence - 1
            ));
        }
        self.last_sequence = entry.sequence;
        let of_all = &*row.schedule == "*";
        if !of_all && self.leaves_out(&row.schedule) {
            return Ok(());
        }
        self.has_rows |= !of_all;
        self.rows += 1;
        // No occurrence: it fills no hole, and the arithmetic does not call for it.
        if row.kind != EventKind::Occurrence {
            return Ok(());
        }
        // Those of all speak of send times: what they cover may have been due before.
        if row.last <= self.lower || (row.first > self.upper && !of_all) {
            return Ok(());
        }
        if of_all {
            let range = (row.first.plus(-1), row.last);
            match row.outcome {
                Outcome::DetailsLost => self.everywhere.lost.insert(range, |a, b| a >= b),
                Outcome::ClockSetBack => self.everywhere.set_back.insert(range, |a, b| a >= b),
                _ => self.stray(entry, "an outcome that concerns one schedule, for all of them"),
            }
            return Ok(());
        }
        let since = entry.sequence > self.known;
        let set_back: Vec<_> = self.everywhere.set_back.iter().collect();
        let is_of_it = self.is_of_kept(row);
        let Some(ledger) = self.ledger(&row.schedule, row.revision).filter(|_| is_of_it) else {
            if !since {
                self.without_definition(entry);
            }
            return Ok(());
        };
        // Of a revision that had ended when its page was taken, and runs again since.
        if since && !ledger.holds(row.first, row.last) {
            return Ok(());
        }
        let before = ledger.pieces();
        ledger.row(entry, &set_back);
        let pieces = ledger.pieces();
        self.pieces = (self.pieces + pieces).saturating_sub(before);
        if self.pieces > PIECES { Err(TooFragmented) } else { Ok(()) }
    }

    /// The number of the last row taken in; 0 before the first.
    pub fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// What was found so far.
    pub fn report(&self) -> Report {
        let mut schedules = Vec::new();
        let report = self.summary(|schedule| schedules.push(schedule));
        Report { schedules, ..report }
    }

    /// The same without the schedules, of which each is given to `each`: in the order of their names.
    pub fn summary(&self, mut each: impl FnMut(ScheduleReport)) -> Report {
        let mut report = Report { rows: self.rows, notes: self.notes.clone(), ..Report::default() };
        (report.from, report.to) = self.window();
        if self.nothing_kept() {
            report.notes.push("no row of the record is kept any more".into());
        }
        for name in successors(self.next_name(None), |name| self.next_name(Some(name))) {
            let (schedule, hole) = self.schedule(name);
            report.last_hole = report.last_hole.max(hole);
            report.totals.add(&schedule.tally);
            each(schedule);
        }
        // Before the first definition nothing was called for: say since when there was something to find.
        report.from = report.from.max(self.created.unwrap_or(report.from));
        report
    }

    /// At most so many of the schedules, from the first on or after the one that is named.
    pub fn schedules_after(&self, name: Option<&str>, most: usize) -> Vec<ScheduleReport> {
        let names = successors(self.next_name(name), |name| self.next_name(Some(name)));
        names.take(most).map(|name| self.schedule(name).0).collect()
    }

    fn schedule(&self, name: &str) -> (ScheduleReport, Option<Timestamp>) {
        let mut schedule = ScheduleReport { schedule: name.to_owned(), ..ScheduleReport::default() };
        let mut last_hole = None;
        let (window, first) = (self.window(), self.place((name, 0)));
        for kept in self.kept[first..].iter().take_while(|kept| kept.revision.name() == name) {
            let close = |ledger: &Ledger, into| ledger.close(window, self.settled, &self.everywhere, into);
            let hole = match &kept.ledger {
                Some(ledger) => close(ledger, &mut schedule),
                None => self.open(&kept.revision).and_then(|ledger| close(&ledger, &mut schedule)),
            };
            last_hole = last_hole.max(hole);
        }
        schedule.tally.unverifiable = self.unverifiable.get(name).copied().unwrap_or(0);
        let strays = self.unknown.get(name).map_or(&[][..], Vec::as_slice);
        schedule.tally.surplus += strays.len() as u64;
        let room = EXAMPLES.saturating_sub(schedule.extra.len());
        schedule.extra.extend(strays.iter().take(room).cloned());
        (schedule, last_hole)
    }

    /// What is audited.
    fn window(&self) -> (Timestamp, Timestamp) {
        if self.nothing_kept() { (self.upper, self.upper) } else { (self.lower, self.upper) }
    }

    /// A record of which nothing is kept any more proves nothing: there is no first row to begin at.
    fn nothing_kept(&self) -> bool {
        self.last_sequence == 0 && !self.record_is_empty
    }

    /// The first name of all, or after this one.
    fn next_name(&self, after: Option<&str>) -> Option<&str> {
        let at = self.kept.partition_point(|kept| after.is_some_and(|after| kept.revision.name() <= after));
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let unverifiable = self.unverifiable.range::<str, _>((from, Bound::Unbounded)).next();
        let unknown = self.unknown.range::<str, _>((from, Bound::Unbounded)).next();
        let names = [
            self.kept.get(at).map(|kept| kept.revision.name()),
            unverifiable.map(|(name, _)| &**name),
            unknown.map(|(name, _)| &**name),
        ];
        names.into_iter().flatten().min()
    }

    /// Where this revision stands, or would stand.
    fn place(&self, key: (&str, u32)) -> usize {
        self.kept.partition_point(|kept| kept.key() < key)
    }

    fn open(&self, revision: &Revision) -> Option<Box<Ledger>> {
        // What can't be evaluated was left out at the start.
        let arithmetic = (self.arithmetic)(revision).ok()?;
        Some(Box::new(Ledger::new(revision, arithmetic)))
    }

    fn ledger(&mut self, schedule: &str, revision: u32) -> Option<&mut Ledger> {
        let key = (schedule, revision);
        let at = self.place(key);
        let kept = self.kept.get(at).filter(|kept| kept.key() == key)?;
        if kept.ledger.is_none() {
            self.kept[at].ledger = self.open(&kept.revision);
        }
        self.kept[at].ledger.as_deref_mut()
    }
}

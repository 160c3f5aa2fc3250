//! Somebody audits while the simulated clock runs: page by page, whatever happens in between. Of some audits the record is
//! read at the end, when it is complete; of others as soon as the engine has had everything written that was decided
//! before, as the program does.

use super::random::Random;
use crate::{Engine, RecordRow, audit::Auditor, progress::SpanKey};

/// Commands of audits count from here: those that put and remove schedules stay below.
const COMMANDS: u64 = 1 << 32;

pub(super) struct Auditing {
    /// Of its own, so that who reads changes nothing.
    random: Random,
    /// And the last revision seen.
    under_way: Option<(Auditor, Option<SpanKey>)>,
    /// Has all its pages and waits for the record, and for which command.
    waiting: Option<(u64, Auditor)>,
    asked: u64,
    done: Vec<Auditor>,
    /// How many were done, over all.
    pub(super) audits: usize,
    /// What should not be.
    pub(super) broken: Option<String>,
}

impl Auditing {
    pub(super) fn new(seed: u64) -> Self {
        let random = Random::new(seed ^ 0xA5A5_A5A5);
        let (under_way, waiting, asked) = (None, None, COMMANDS);
        Self { random, under_way, waiting, asked, done: Vec::new(), audits: 0, broken: None }
    }

    /// With the process goes who asked it; and what was decided and not written yet is decided anew.
    pub(super) fn restart(&mut self) {
        self.under_way = None;
        self.waiting = None;
        self.done.clear();
    }

    /// Takes another page. `known` is the number of the record's last row. Gives a command, if everything that was decided is
    /// to be written.
    pub(super) fn turn(&mut self, engine: &Engine, known: u64) -> Option<u64> {
        if !self.random.chance(30) || self.waiting.is_some() {
            return None;
        }
        let (mut auditor, after) =
            self.under_way.take().unwrap_or_else(|| (Auditor::new(known, None, None), None));
        let page = engine.kept_after(after.as_ref(), self.random.below(3) as usize + 1);
        let after = page.revisions.last().map(|last| (last.name().into(), last.number));
        auditor.keep(page);
        if after.is_some() {
            self.under_way = Some((auditor, after));
            return None;
        }
        let parked: Vec<_> = engine.parked().iter().map(|(number, one)| (*number, one.clone())).collect();
        auditor.park(&parked);
        if self.random.chance(50) {
            self.done.push(auditor);
            return None;
        }
        self.asked += 1;
        self.waiting = Some((self.asked, auditor));
        Some(self.asked)
    }

    /// Whether the audit under way waits for one of these commands: then it reads the record.
    pub(super) fn is_answered(&self, commands: &[u64]) -> bool {
        self.waiting.as_ref().is_some_and(|(command, _)| commands.contains(command))
    }

    /// The record as it is now has all that the pages speak of.
    pub(super) fn read(&mut self, record: &[RecordRow]) {
        if let Some((_, auditor)) = self.waiting.take() {
            self.compare(auditor, record, "while it runs");
        }
    }

    /// The record is complete: none of the audits may find anything.
    pub(super) fn finish(&mut self, record: &[RecordRow]) {
        for auditor in std::mem::take(&mut self.done) {
            self.compare(auditor, record, "at the end");
        }
    }

    fn compare(&mut self, mut auditor: Auditor, record: &[RecordRow], when: &str) {
        self.audits += 1;
        record.iter().for_each(|row| auditor.row(row).expect("it is no long record"));
        let report = auditor.report();
        if !report.agrees() {
            let one = report.schedules.iter().find(|one| one.tally.holes + one.tally.surplus > 0);
            self.broken.get_or_insert(format!("in pages, {when}, up to {}: {one:?}", report.to));
        }
    }
}

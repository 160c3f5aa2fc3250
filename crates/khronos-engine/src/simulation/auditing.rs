//! Somebody audits while the simulated clock runs: page by page, whatever happens in between. What comes of it is looked at
//! in the end, when the record is complete.

use super::random::Random;
use crate::{Engine, RecordRow, audit::Auditor, progress::SpanKey};

pub(super) struct Auditing {
    /// Of its own, so that who reads changes nothing.
    random: Random,
    /// And the last revision seen.
    under_way: Option<(Auditor, Option<SpanKey>)>,
    done: Vec<Auditor>,
    /// How many were done, over all.
    pub(super) audits: usize,
    /// What should not be.
    pub(super) broken: Option<String>,
}

impl Auditing {
    pub(super) fn new(seed: u64) -> Self {
        let random = Random::new(seed ^ 0xA5A5_A5A5);
        Self { random, under_way: None, done: Vec::new(), audits: 0, broken: None }
    }

    /// With the process goes who asked it; and what was decided and not written yet is decided anew.
    pub(super) fn restart(&mut self) {
        self.under_way = None;
        self.done.clear();
    }

    /// Takes another page. `known` is the number of the record's last row.
    pub(super) fn turn(&mut self, engine: &Engine, known: u64) {
        if !self.random.chance(30) {
            return;
        }
        let (mut auditor, after) =
            self.under_way.take().unwrap_or_else(|| (Auditor::new(known, None, None), None));
        let page = engine.kept_after(after.as_ref(), self.random.below(3) as usize + 1);
        let after = page.revisions.last().map(|last| (last.name().into(), last.number));
        auditor.keep(page);
        if after.is_some() {
            self.under_way = Some((auditor, after));
            return;
        }
        let parked: Vec<_> = engine.parked().iter().map(|(number, one)| (*number, one.clone())).collect();
        auditor.park(&parked);
        self.done.push(auditor);
    }

    /// The record is complete: none of the audits may find anything.
    pub(super) fn finish(&mut self, record: &[RecordRow]) {
        self.audits = self.done.len();
        for mut auditor in self.done.drain(..) {
            record.iter().for_each(|row| auditor.row(row).expect("it is no long record"));
            let report = auditor.report();
            if !report.agrees() {
                let one = report.schedules.iter().find(|one| one.tally.holes + one.tally.surplus > 0);
                self.broken = Some(format!("in pages, up to {}: {one:?}", report.to));
            }
        }
    }
}

//! Occurrences by schedule and outcome, of a bounded number of schedules: beyond it nothing is counted.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// The outcomes that settle something, by the words that the record is shown with.
pub const OUTCOMES: [&str; 5] = ["confirmed", "skipped", "parked", "dropped", "details-lost"];

/// How many occurrences ended how, as [`OUTCOMES`].
pub type OutcomeCounts = [u64; OUTCOMES.len()];

#[derive(Debug)]
pub(super) struct PerSchedule {
    known: HashMap<Arc<str>, Known>,
    /// As many schedules may run; twice as many names are kept, for some may have gone since somebody asked.
    limit: usize,
    /// There were more names than that. Until somebody asks, and fewer schedules run, nothing is counted.
    overrun: bool,
    /// Whether they were shown when somebody asked last.
    pub(super) shown: bool,
}

#[derive(Debug, Default)]
struct Known {
    tally: OutcomeCounts,
    /// It did not run when somebody asked last.
    gone: bool,
}

impl PerSchedule {
    pub(super) fn new(limit: usize) -> Self {
        Self { known: HashMap::new(), limit, overrun: false, shown: true }
    }

    /// Counts so many occurrences.
    pub(super) fn add(&mut self, schedule: &Arc<str>, outcome: usize, count: u64) {
        if self.overrun {
            return;
        }
        if let Some(known) = self.known.get_mut(schedule) {
            known.tally[outcome] += count;
        } else if self.known.len() < self.limit.saturating_mul(2) {
            let mut known = Known::default();
            known.tally[outcome] = count;
            self.known.insert(schedule.clone(), known);
        } else {
            self.stop();
        }
    }

    /// The tallies of these, which ran a moment ago. What does not run for the second time is forgotten: at the first it may
    /// have begun since.
    pub(super) fn of(&mut self, names: &[Arc<str>]) -> Vec<OutcomeCounts> {
        self.overrun = false;
        let runs: HashSet<&Arc<str>> = names.iter().collect();
        self.known.retain(|name, known| {
            let gone = !runs.contains(name);
            !(std::mem::replace(&mut known.gone, gone) && gone)
        });
        names.iter().map(|name| self.known.get(name).map(|known| known.tally).unwrap_or_default()).collect()
    }

    /// Too many run.
    pub(super) fn stop(&mut self) {
        self.known = HashMap::new();
        self.overrun = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> Arc<str> {
        format!("s{number}").into()
    }

    fn confirmed(tallies: &[OutcomeCounts]) -> Vec<u64> {
        tallies.iter().map(|tally| tally[0]).collect()
    }

    #[test]
    fn what_goes_is_forgotten_and_what_stays_goes_on() {
        let mut all = PerSchedule::new(3);
        let names: Vec<_> = (0..3).map(name).collect();
        names.iter().for_each(|name| all.add(name, 0, 2));
        all.add(&names[1], 2, 1);
        assert_eq!(confirmed(&all.of(&names)), [2, 2, 2]);
        assert_eq!(all.of(&names[1..]), [[2, 0, 1, 0, 0], [2, 0, 0, 0, 0]]);
        all.add(&names[1], 0, 1);
        // It began after the others were listed.
        assert_eq!(confirmed(&all.of(&names)), [2, 3, 2]);
        assert_eq!((all.of(&names[1..]).len(), all.of(&names[1..]).len()), (2, 2));
        // It comes back, and begins anew.
        assert_eq!(confirmed(&all.of(&names)), [0, 3, 2]);
    }

    #[test]
    fn names_that_come_and_go_while_nobody_asks_take_no_room() {
        let mut all = PerSchedule::new(3);
        (0..100).for_each(|number| all.add(&name(number), 0, 1));
        assert!(all.known.is_empty() && all.overrun);
        assert_eq!(confirmed(&all.of(&[name(1)])), [0]);
        all.add(&name(1), 0, 1);
        assert_eq!(confirmed(&all.of(&[name(1)])), [1]);
        all.stop();
        all.add(&name(1), 0, 1);
        assert!(all.known.is_empty());
    }
}

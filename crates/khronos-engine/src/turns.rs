//! Whose turn it is among the parked entries: those whose next event is to be handed over at an instant, and those that wait
//! for a write, or for a ceiling, so that one of these holds up nothing of the others.
//!
//! Invariant: an entry has one turn at most.

use super::ceilings::CeilingId;
use ponos_event::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};

#[derive(Debug, Default)]
pub(super) struct Turns {
    /// In the order in which they are handed over.
    at: BTreeSet<(Timestamp, u64)>,
    /// By ticket.
    unwritten: BTreeSet<(u64, u64)>,
    /// By when they had their turn but for the ceiling.
    at_ceilings: BTreeMap<CeilingId, BTreeSet<(Timestamp, u64)>>,
    of: HashMap<u64, Turn>,
}

#[derive(Debug, Clone, Copy)]
enum Turn {
    /// Not before this instant.
    At(Timestamp),
    /// Once the write with this ticket is durable.
    Written(u64),
    /// At this ceiling, since an instant.
    AtCeiling(CeilingId, Timestamp),
}

impl Turns {
    pub(super) fn has(&self, number: u64) -> bool {
        self.of.contains_key(&number)
    }

    /// Its event is handed over not before this instant.
    pub(super) fn set(&mut self, number: u64, at: Timestamp) {
        self.forget(number);
        self.at.insert((at, number));
        self.of.insert(number, Turn::At(at));
    }

    /// Its event is handed over as soon as the write with this ticket is durable.
    pub(super) fn await_write(&mut self, number: u64, ticket: u64) {
        self.forget(number);
        self.unwritten.insert((ticket, number));
        self.of.insert(number, Turn::Written(ticket));
    }

    pub(super) fn forget(&mut self, number: u64) {
        match self.of.remove(&number) {
            Some(Turn::At(at)) => drop(self.at.remove(&(at, number))),
            Some(Turn::Written(ticket)) => drop(self.unwritten.remove(&(ticket, number))),
            Some(Turn::AtCeiling(ceiling, since)) => {
                if let Some(waiting) = self.at_ceilings.get_mut(&ceiling) {
                    waiting.remove(&(since, number));
                }
            }
            None => {}
        }
    }

    /// Its event is handed over once the ceiling lets it, behind those that had their turn before.
    pub(super) fn await_ceiling(&mut self, number: u64, ceiling: CeilingId, since: Timestamp) {
        self.forget(number);
        self.at_ceilings.entry(ceiling).or_default().insert((since, number));
        self.of.insert(number, Turn::AtCeiling(ceiling, since));
    }

    /// The first that waits for a ceiling, and since when.
    pub(super) fn first_at(&self, ceiling: CeilingId) -> Option<(Timestamp, u64)> {
        self.at_ceilings.get(&ceiling)?.first().copied()
    }

    /// How many wait for a ceiling.
    pub(super) fn count_at(&self, ceiling: CeilingId) -> usize {
        self.at_ceilings.get(&ceiling).map_or(0, BTreeSet::len)
    }

    /// Those whose write is durable have their turn.
    pub(super) fn saved(&mut self, is_durable: impl Fn(u64) -> bool) {
        while let Some((_, number)) =
            self.unwritten.first().copied().filter(|(ticket, _)| is_durable(*ticket))
        {
            self.set(number, Timestamp::EPOCH);
        }
    }

    /// Takes the one whose turn it is.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<u64> {
        let (_, number) = self.at.first().copied().filter(|(at, _)| *at <= now)?;
        self.forget(number);
        Some(number)
    }

    /// When the next may be handed over, as far as time alone decides.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.at.first().map(|(at, _)| *at)
    }

    /// Lets what waits for an instant after this one, or at a ceiling since one, wait since then.
    pub(super) fn wake(&mut self, now: Timestamp) {
        while let Some((_, number)) = self.at.last().copied().filter(|(at, _)| *at > now) {
            self.set(number, now);
        }
        // Those at a ceiling go before what comes to it from now on.
        for (ceiling, waiting) in &mut self.at_ceilings {
            for (_, number) in waiting.split_off(&(now.plus(1), 0)) {
                waiting.insert((now, number));
                self.of.insert(number, Turn::AtCeiling(*ceiling, now));
            }
        }
    }
}

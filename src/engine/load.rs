//! Load and reload: from the schedules that run to those now wanted, in pieces.
//!
//! A load of many schedules is as many small loads, one after the other in the order of names: each changes at most
//! `Rules::piece` schedules, at a moment T of its own, in one write; the next begins when that is durable. A crash in
//! between leaves each schedule old or new, never a mixture, and what was on its way is read from the files
//! again. Between two pieces what is due goes out as usual. So neither a write nor a step grows with the number of schedules.

use super::{Notice, Revision, core::Engine, flights::Owner, progress::SpanKey, slot::Slot};
use crate::schedule::Packed;
use ponos::event::Timestamp;
use std::{cmp::Ordering, ops::Bound};

/// Schedules that are compared in one step, for each one that may change.
const COMPARED: usize = 32;
/// A definition that ended is kept this long (30 days, in milliseconds), and longer while something refers to it.
const KEPT: i64 = 30 * 24 * 60 * 60 * 1000;

/// A load under way.
#[derive(Debug)]
pub(super) struct Load {
    /// By rank, what is wanted; `None` behind `next`, and where the schedule is to go.
    wanted: Vec<Option<Packed>>,
    /// The rank that comes next.
    next: usize,
    /// Pieces in which something changed.
    pieces: usize,
    /// Ended revisions up to this one were looked at, whether they can be forgotten.
    looked_at: Option<SpanKey>,
}

impl Engine {
    /// Lays `wanted` beside what runs: a slot for each name of both. A load that is under way is given up for it.
    pub(super) fn begin_load(&mut self, mut wanted: Vec<Packed>) {
        wanted.sort_by(|a, b| a.name_bytes().cmp(b.name_bytes()));
        wanted.dedup_by(|a, b| a.name_bytes() == b.name_bytes());
        let running = self.slots.iter().filter(|slot| slot.runs());
        let added = wanted.len() - common(running, &wanted);
        let total = self.len() + added;
        let (mut slots, mut beside) = (Vec::with_capacity(total), Vec::with_capacity(total));
        let mut wanted = wanted.into_iter().peekable();
        let moved = self.arrange(|slot| {
            while let Some(new) = wanted.next_if(|new| order(slot, new) == Ordering::Greater) {
                slots.push(Slot::vacant(&new));
                beside.push(Some(new));
            }
            beside.push(wanted.next_if(|new| order(slot, new) == Ordering::Equal));
            slots.push(std::mem::replace(slot, Slot::vacant(&slot.definition)));
            slots.len() - 1
        });
        for new in wanted {
            slots.push(Slot::vacant(&new));
            beside.push(Some(new));
        }
        self.put(slots, &moved);
        self.load = Some(Load { wanted: beside, next: 0, pieces: 0, looked_at: None });
    }

    /// Whether the next piece of a load can be taken in now.
    pub(super) fn may_load(&self) -> bool {
        self.load.is_some() && !self.draining && self.is_steady() && self.progress.is_durable(self.loading)
    }

    /// Takes in the next piece.
    pub(super) fn load_piece(&mut self) {
        // After a restart with a clock that is a little behind, more may have been handed over than the clock shows.
        let now = self.now().max(self.highest_handed);
        let Some(mut load) = self.load.take() else { return };
        let mut left = self.rules.piece.max(1);
        let compared = load.next.saturating_add(left.saturating_mul(COMPARED)).min(load.wanted.len());
        while load.next < compared && left > 0 {
            let wanted = load.wanted[load.next].take();
            left -= usize::from(self.change(load.next, wanted, now));
            load.next += 1;
        }
        if self.progress.has_revisions() {
            self.loading = self.progress.next_ticket();
            load.pieces += 1;
        }
        if load.next == load.wanted.len() {
            self.close_ranks();
            self.forget_refusals();
            if load.pieces > 1 {
                self.out.notices.push(Notice::TakenIn { schedules: self.len() });
                load.pieces = 0;
            }
            load = Load { wanted: Vec::new(), next: 0, ..load };
            if self.forget_old(now, left, &mut load.looked_at) {
                return;
            }
        }
        self.load = Some(load);
    }

    /// How many schedules a load under way has looked at, of how many.
    pub fn loading(&self) -> Option<(usize, usize)> {
        let load = self.load.as_ref().filter(|load| !load.wanted.is_empty())?;
        Some((load.next, load.wanted.len()))
    }

    /// Gives the slot of a rank what is wanted of it; whether that was a change.
    fn change(&mut self, rank: usize, wanted: Option<Packed>, now: Timestamp) -> bool {
        let Some(slot) = self.slots.get_mut(rank) else { return false };
        match (slot.runs(), wanted) {
            (true, Some(wanted)) if slot.definition.means_the_same(&wanted) => return false,
            (false, None) => return false,
            (true, wanted) => {
                let vacant = Slot::vacant(&slot.definition);
                let slot = std::mem::replace(slot, vacant);
                let rank = u32::try_from(rank).unwrap_or(u32::MAX);
                self.dequeue(rank, &slot);
                if slot.in_flight().is_some() {
                    self.flights.leave(rank, Owner::Span(slot.name(), slot.number()));
                }
                let until = self.reached(&slot, now);
                let ended = self.retire(&slot, until);
                if let Some(wanted) = wanted {
                    let slot = self.succeed(wanted, &ended, (until, until));
                    self.take_place(rank, slot);
                }
            }
            (false, Some(wanted)) => {
                let slot = self.admit(wanted, now);
                self.take_place(u32::try_from(rank).unwrap_or(u32::MAX), slot);
            }
        }
        true
    }

    fn take_place(&mut self, rank: u32, slot: Slot) {
        self.slots[rank as usize] = slot;
        self.enqueue(rank as usize);
    }

    /// Removes the slots of schedules that are gone.
    fn close_ranks(&mut self) {
        if self.slots.iter().all(Slot::runs) {
            return;
        }
        let mut slots = Vec::with_capacity(self.len());
        let moved = self.arrange(|slot| {
            slots.push(std::mem::replace(slot, Slot::vacant(&slot.definition)));
            slots.len() - 1
        });
        self.put(slots, &moved);
    }

    /// Gives each slot that runs its new rank, by old rank.
    fn arrange(&mut self, mut place: impl FnMut(&mut Slot) -> usize) -> Vec<u32> {
        let ranks = self.slots.iter_mut().map(|slot| if slot.runs() { place(slot) } else { usize::MAX });
        ranks.map(|rank| u32::try_from(rank).unwrap_or(u32::MAX)).collect()
    }

    fn put(&mut self, slots: Vec<Slot>, moved: &[u32]) {
        self.slots = slots;
        self.flights.reassign(|rank| moved.get(rank as usize).copied().unwrap_or(rank));
        self.empty_queues();
        for rank in 0..self.slots.len() {
            self.enqueue(rank);
        }
    }

    /// Forgets revisions that ended long ago and that nothing refers to, at most so many; whether all were looked at.
    fn forget_old(&mut self, now: Timestamp, most: usize, looked_at: &mut Option<SpanKey>) -> bool {
        let referred = |key: &SpanKey| self.backlogs.contains(key) || self.parked.holds(key);
        let old = |revision: &Revision| revision.ended.is_some_and(|ended| now.since(ended) > KEPT);
        let from = looked_at.take().map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.resting.range((from, Bound::Unbounded));
        let found =
            rest.filter(|(key, revision)| old(revision) && !referred(key)).map(|(key, _)| key.clone());
        let keys: Vec<SpanKey> = found.take(most).collect();
        let all = keys.len() < most;
        *looked_at = keys.last().cloned();
        for key in keys {
            self.resting.remove(&key);
            self.progress.forget(key);
        }
        all
    }
}

fn order(slot: &Slot, other: &Packed) -> Ordering {
    slot.definition.name_bytes().cmp(other.name_bytes())
}

/// How many names both have; both are sorted by name.
fn common<'a>(slots: impl Iterator<Item = &'a Slot>, wanted: &[Packed]) -> usize {
    let mut wanted = wanted.iter().peekable();
    slots
        .filter(|slot| {
            while wanted.next_if(|new| order(slot, new) == Ordering::Greater).is_some() {}
            wanted.next_if(|new| order(slot, new) == Ordering::Equal).is_some()
        })
        .count()
}

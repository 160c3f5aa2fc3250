//! Load and reload: from the schedules that run to those now wanted.
//!
//! At the moment T of a load, stored definitions that change or go are evaluated up to T and what is unsettled of them
//! joins the set in the same write; the new ones count from T. So an edit never makes anything missed, and loses nothing.

use super::{
    Era, Notice, Outcome, Revision, SkipReason,
    backlog::{Backlog, State},
    catch_up::single,
    core::{Engine, new_span},
    due_queue::DueQueue,
    faults::{Fault, planted},
    flights::Owner,
    progress::{SpanKey, row},
    slot::Slot,
};
use crate::schedule::{Packed, Past};
use ponos::event::Timestamp;
use std::sync::Arc;

/// A definition that ended is kept this long (30 days, in milliseconds), and longer while something refers to it.
const KEPT: i64 = 30 * 24 * 60 * 60 * 1000;

impl Engine {
    /// Makes `wanted` what runs.
    pub(super) fn reconcile(&mut self, mut wanted: Vec<Packed>) {
        // After a restart with a clock that is a little behind, more may have been handed over than the clock shows.
        let now = self.now().max(self.highest_handed);
        wanted.sort_by(|a, b| a.name_bytes().cmp(b.name_bytes()));
        wanted.dedup_by(|a, b| a.name_bytes() == b.name_bytes());
        let mut old: Vec<Option<Slot>> = std::mem::take(&mut self.slots).into_iter().map(Some).collect();
        let mut moved: Vec<Option<Owner>> = old.iter().map(|_| None).collect();
        let mut slots: Vec<Slot> = Vec::with_capacity(wanted.len());
        for accepted in wanted {
            let rank = u32::try_from(slots.len()).unwrap_or(u32::MAX);
            let found = old.binary_search_by(|slot| {
                slot.as_ref().map_or(std::cmp::Ordering::Less, |s| {
                    s.definition.name_bytes().cmp(accepted.name_bytes())
                })
            });
            let before = found.ok().and_then(|index| old[index].take().map(|slot| (index, slot)));
            slots.push(match before {
                Some((index, slot)) if means_the_same(&slot.definition, &accepted) => {
                    moved[index] = Some(Owner::OnTime(rank));
                    slot
                }
                Some((index, slot)) => {
                    moved[index] = Some(Owner::Span(slot.name(), slot.number()));
                    let until = self.reached(&slot, now);
                    let ended = self.retire(&slot, until);
                    self.succeed(accepted, &ended, (until, until))
                }
                None => self.admit(accepted, now),
            });
        }
        for (index, gone) in old.iter().enumerate() {
            if let Some(slot) = gone {
                moved[index] = Some(Owner::Span(slot.name(), slot.number()));
                self.retire(slot, self.reached(slot, now));
            }
        }
        self.slots = slots;
        if self.progress.has_revisions() {
            self.loading = self.progress.next_ticket();
        }
        self.flights.reassign(|rank| moved[rank as usize].clone().unwrap_or(Owner::OnTime(rank)));
        self.queue = DueQueue::with_capacity(self.slots.len());
        for (rank, slot) in self.slots.iter().enumerate() {
            if let Some(next) = slot.next() {
                self.queue.push(next, u32::try_from(rank).unwrap_or(u32::MAX));
            }
        }
        self.forget_old(now);
    }

    /// Up to where a slot's revision counts at least: what stands in the set is called for already, and after a restart
    /// the clock may be behind what it showed when the revision began.
    fn reached(&self, slot: &Slot, now: Timestamp) -> Timestamp {
        let outstanding = self.backlogs.get(&(slot.name(), slot.number()));
        let outstanding = outstanding.map_or(now, |backlog| backlog.span.through);
        now.max(outstanding).max(slot.era().effective_from)
    }

    /// Ends a slot's revision: what is unsettled of it joins the set.
    fn retire(&mut self, slot: &Slot, now: Timestamp) -> Revision {
        let key = (slot.name(), slot.number());
        let unsettled = slot.in_flight().or(slot.next().filter(|due| *due <= now));
        let one_shot = slot.timing().is_one_shot();
        if one_shot {
            self.progress.one_shot(&key.0, None);
        }
        match unsettled {
            Some(first) if !planted(Fault::EditForgetsTheOld) || slot.in_flight().is_some() => {
                self.outlive(slot, &key, first, now);
            }
            _ => {
                if let Some(due) = slot.next().filter(|_| one_shot) {
                    self.progress.row(row(now, &key, single(due), Outcome::Skipped(SkipReason::Removed)));
                }
            }
        }
        let ended = Revision { ended: Some(now), ..slot.revision() };
        self.progress.revision(&ended);
        self.resting.insert(key, ended.clone());
        ended
    }

    fn outlive(&mut self, slot: &Slot, key: &SpanKey, first: Timestamp, now: Timestamp) {
        let through = slot.timing().before(now.plus(1)).map_or(first, |last| last.max(first));
        if self.extend(key, through) {
            return;
        }
        let (era, Some(schedule)) = (slot.era(), slot.schedule()) else { return };
        let (handed, state) = match slot.in_flight() {
            Some(due) => (due, State::InFlight),
            None => (first.plus(-1), State::Ready),
        };
        let span = new_span(era.number, first.plus(-1), through, handed);
        self.progress.span(key, Some(&span));
        self.backlogs.insert(key.clone(), Backlog { span, era, schedule, state });
    }

    /// The revision that follows on an edit: the old one counted `until`, the new one counts from `now`.
    fn succeed(&mut self, accepted: Packed, ended: &Revision, (until, now): (Timestamp, Timestamp)) -> Slot {
        let last =
            ended.definition.timing().before(until.plus(1)).filter(|last| *last > ended.effective_from);
        let effective_from = if planted(Fault::EditMakesMissed) { ended.effective_from } else { now };
        let era = Era {
            number: ended.number + 1,
            effective_from,
            opens: last.unwrap_or(ended.opens),
            previous: last.or(ended.previous),
        };
        self.begin(era.of(accepted), now)
    }

    /// A name that does not run now: new, or returned.
    fn admit(&mut self, accepted: Packed, now: Timestamp) -> Slot {
        let name: Arc<str> = accepted.name().into();
        let known = self.resting.range((name.clone(), 0)..=(name, u32::MAX)).next_back();
        match known.map(|(_, revision)| revision.clone()) {
            Some(ended) if means_the_same(&ended.definition, &accepted) => self.revive(ended),
            Some(ended) if ended.definition.is_understood() => {
                let until = ended.ended.unwrap_or(now);
                self.succeed(accepted, &ended, (until, now.max(until)))
            }
            unknown => {
                let number = unknown.as_ref().map_or(1, |unknown| unknown.number + 1);
                if let Some(unknown) = unknown.filter(|unknown| unknown.ended.is_none()) {
                    let ended = Revision { ended: Some(now), ..unknown };
                    self.progress.revision(&ended);
                    self.resting.insert((ended.name().into(), ended.number), ended);
                }
                let era = Era { number, effective_from: now, opens: now, previous: None };
                self.begin(era.of(accepted), now)
            }
        }
    }

    /// A name that returns with the same definition continues as if it had never gone.
    fn revive(&mut self, ended: Revision) -> Slot {
        let since = ended.ended.unwrap_or(ended.effective_from);
        let revision = Revision { ended: None, ..ended };
        self.progress.revision(&revision);
        let mut slot = Slot::new(&revision);
        let key = (slot.name(), revision.number);
        self.resting.remove(&key);
        let outstanding = self.backlogs.get(&key).map(|backlog| backlog.span.through);
        let timing = slot.timing();
        let next = timing.after(since.max(outstanding.unwrap_or(since)));
        slot.wait_for(next);
        if let Some(due) = next.filter(|_| timing.is_one_shot()) {
            self.pend_one_shot(&key.0, key.1, due);
        }
        slot
    }

    fn begin(&mut self, mut revision: Revision, now: Timestamp) -> Slot {
        let mut refused = false;
        let timing = revision.definition.timing();
        if timing.is_one_shot()
            && let Some(due) = timing.after(Timestamp::EPOCH.plus(-1))
            // The same due time means the same id: what was called for before is not called for again.
            && !(due <= now && self.was_called_for(revision.name(), due))
        {
            revision.effective_from = revision.effective_from.min(due.plus(-1));
            refused = due <= now && revision.definition.conduct().past == Past::Refuse;
            let key = (revision.name().into(), revision.number);
            if refused {
                self.progress.row(row(now, &key, single(due), Outcome::Skipped(SkipReason::Past)));
                self.out.notices.push(Notice::PastOneShot { schedule: key.0, due });
            } else {
                self.pend_one_shot(&key.0, key.1, due);
            }
        }
        self.progress.revision(&revision);
        let mut slot = Slot::new(&revision);
        slot.wait_for(timing.after(revision.effective_from).filter(|_| !refused));
        slot
    }

    /// Whether an earlier revision of this name had an occurrence at `due`.
    fn was_called_for(&self, name: &str, due: Timestamp) -> bool {
        let name: Arc<str> = name.into();
        let earlier = self.resting.range((name.clone(), 0)..=(name, u32::MAX));
        earlier.map(|(_, revision)| revision).any(|revision| {
            let within = revision.effective_from < due && revision.ended.is_none_or(|ended| due <= ended);
            within && revision.definition.timing().after(due.plus(-1)) == Some(due)
        })
    }

    /// A revision that is kept, whether it runs or rests.
    pub(super) fn revision(&self, key: &SpanKey) -> Option<Revision> {
        let running = self.rank(&key.0).map(|rank| &self.slots[rank]).filter(|slot| slot.number() == key.1);
        running.map(Slot::revision).or_else(|| self.resting.get(key).cloned())
    }

    /// Forgets revisions that ended long ago and that nothing refers to.
    fn forget_old(&mut self, now: Timestamp) {
        let referred = |key: &SpanKey| {
            self.backlogs.contains(key)
                || self.parked.values().any(|p| (&p.schedule, p.revision) == (&key.0, key.1))
        };
        let old = |revision: &Revision| revision.ended.is_some_and(|ended| now.since(ended) > KEPT);
        let keys: Vec<SpanKey> = self
            .resting
            .iter()
            .filter(|(key, r)| old(r) && !referred(key))
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            self.resting.remove(&key);
            self.progress.forget(key);
        }
    }
}

/// Whether two definitions, however they are written, make the same schedule.
fn means_the_same(one: &Packed, other: &Packed) -> bool {
    one == other || one.schedule().is_some_and(|schedule| Some(schedule) == other.schedule())
}

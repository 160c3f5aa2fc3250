//! Load and reload: from the schedules that run to those now wanted.
//!
//! At the moment T of a load, stored definitions that change or go are evaluated up to T and what is unsettled of them
//! joins the set in the same write; the new ones count from T. So an edit never makes anything missed, and loses nothing.

use super::{
    Notice, Outcome, Revision, SkipReason,
    backlog::{Backlog, State},
    catch_up::single,
    core::{Engine, Slot, new_span},
    due_queue::DueQueue,
    faults::{Fault, planted},
    flights::Owner,
    io::Accepted,
    progress::{SpanKey, row},
    start::slot,
};
use crate::schedule::{Past, Schedule};
use ponos::event::Timestamp;
use std::sync::Arc;

/// A definition that ended is kept this long (30 days, in milliseconds), and longer while something refers to it.
const KEPT: i64 = 30 * 24 * 60 * 60 * 1000;

impl Engine {
    /// Makes `wanted` what runs.
    pub(super) fn reconcile(&mut self, mut wanted: Vec<Accepted>) {
        // After a restart with a clock that is a little behind, more may have been handed over than the clock shows.
        let now = self.now().max(self.highest_handed);
        wanted.sort_by(|a, b| a.schedule.name.cmp(&b.schedule.name));
        wanted.dedup_by(|a, b| a.schedule.name == b.schedule.name);
        let mut old: Vec<Option<Slot>> = std::mem::take(&mut self.slots).into_iter().map(Some).collect();
        let mut moved: Vec<Option<Owner>> = old.iter().map(|_| None).collect();
        let mut slots: Vec<Slot> = Vec::with_capacity(wanted.len());
        for accepted in wanted {
            let rank = u32::try_from(slots.len()).unwrap_or(u32::MAX);
            let found = old.binary_search_by(|slot| {
                slot.as_ref()
                    .map_or(std::cmp::Ordering::Less, |s| s.schedule.name.cmp(&accepted.schedule.name))
            });
            let before = found.ok().and_then(|index| old[index].take().map(|slot| (index, slot)));
            slots.push(match before {
                Some((index, slot)) if *slot.schedule == *accepted.schedule => {
                    moved[index] = Some(Owner::OnTime(rank));
                    slot
                }
                Some((index, slot)) => {
                    moved[index] = Some(Owner::Span(slot.schedule.name.clone(), slot.revision.number));
                    let until = self.reached(&slot, now);
                    let ended = self.retire(&slot, until);
                    self.succeed(accepted, &ended, &slot.schedule, (until, until))
                }
                None => self.admit(accepted, now),
            });
        }
        for (index, gone) in old.iter().enumerate() {
            if let Some(slot) = gone {
                moved[index] = Some(Owner::Span(slot.schedule.name.clone(), slot.revision.number));
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
            if let Some(next) = slot.next {
                self.queue.push(next, u32::try_from(rank).unwrap_or(u32::MAX));
            }
        }
        self.forget_old(now);
    }

    /// Up to where a slot's revision counts at least: what stands in the set is called for already, and after a restart
    /// the clock may be behind what it showed when the revision began.
    fn reached(&self, slot: &Slot, now: Timestamp) -> Timestamp {
        let key = (slot.schedule.name.clone(), slot.revision.number);
        let outstanding = self.backlogs.get(&key).map_or(now, |backlog| backlog.span.through);
        now.max(outstanding).max(slot.revision.effective_from)
    }

    /// Ends a slot's revision: what is unsettled of it joins the set.
    fn retire(&mut self, slot: &Slot, now: Timestamp) -> Arc<Revision> {
        let key = (slot.schedule.name.clone(), slot.revision.number);
        let unsettled = slot.in_flight.or(slot.next.filter(|due| *due <= now));
        if slot.schedule.timing.is_one_shot() {
            self.progress.one_shot(&key.0, None);
        }
        match unsettled {
            Some(first) if !planted(Fault::EditForgetsTheOld) || slot.in_flight.is_some() => {
                self.outlive(slot, &key, first, now);
            }
            _ => {
                if let Some(due) = slot.next.filter(|_| slot.schedule.timing.is_one_shot()) {
                    self.progress.row(row(now, &key, single(due), Outcome::Skipped(SkipReason::Removed)));
                }
            }
        }
        self.keep(Revision { ended: Some(now), ..(*slot.revision).clone() })
    }

    fn outlive(&mut self, slot: &Slot, key: &SpanKey, first: Timestamp, now: Timestamp) {
        let through = slot.schedule.timing.before(now.plus(1)).map_or(first, |last| last.max(first));
        let (revision, schedule) = (slot.revision.clone(), slot.schedule.clone());
        if self.extend(key, through) {
            return;
        }
        let (handed, state) = match slot.in_flight {
            Some(due) => (due, State::InFlight),
            None => (first.plus(-1), State::Ready),
        };
        let span = new_span(revision.number, first.plus(-1), through, handed);
        self.progress.span(key, Some(&span));
        self.backlogs.insert(key.clone(), Backlog { span, revision, schedule, state });
    }

    /// The revision that follows on an edit: the old one counted `until`, the new one counts from `now`.
    fn succeed(
        &mut self,
        accepted: Accepted,
        ended: &Revision,
        old: &Schedule,
        (until, now): (Timestamp, Timestamp),
    ) -> Slot {
        let last = old.timing.before(until.plus(1)).filter(|last| *last > ended.effective_from);
        let effective_from = if planted(Fault::EditMakesMissed) { ended.effective_from } else { now };
        self.begin(
            Revision {
                schedule: accepted.schedule.name.clone(),
                number: ended.number + 1,
                definition: accepted.definition,
                effective_from,
                counts_from: if old.timing.is_due_as(&accepted.schedule.timing) {
                    ended.counts_from
                } else {
                    now
                },
                opens: last.unwrap_or(ended.opens),
                previous: last.or(ended.previous),
                ended: None,
            },
            &accepted.schedule,
            now,
        )
    }

    /// A name that does not run now: new, or returned.
    fn admit(&mut self, accepted: Accepted, now: Timestamp) -> Slot {
        let name = accepted.schedule.name.clone();
        let known = self.revisions.range((name.clone(), 0)..=(name.clone(), u32::MAX)).next_back();
        let known = known.map(|(_, revision)| revision.clone());
        let built = known.as_ref().and_then(|revision| revision.build().ok());
        match (known, built) {
            (Some(ended), Some(old)) if old == *accepted.schedule => {
                self.revive(&ended, &accepted.schedule, now)
            }
            (Some(ended), Some(old)) => {
                let until = ended.ended.unwrap_or(now);
                self.succeed(accepted, &ended, &old, (until, now.max(until)))
            }
            (ended, _) => self.begin(
                Revision {
                    schedule: name,
                    number: ended.map_or(1, |ended| ended.number + 1),
                    definition: accepted.definition,
                    effective_from: now,
                    counts_from: now,
                    opens: now,
                    previous: None,
                    ended: None,
                },
                &accepted.schedule,
                now,
            ),
        }
    }

    /// A name that returns with the same definition continues as if it had never gone. W went on meanwhile: what was
    /// due since joins the set in the same write.
    fn revive(&mut self, ended: &Revision, schedule: &Arc<Schedule>, now: Timestamp) -> Slot {
        let since = ended.ended.unwrap_or(ended.effective_from);
        let revision = self.keep(Revision { ended: None, ..ended.clone() });
        let schedule = &counted(schedule, &revision);
        let mut slot = slot(&revision, schedule);
        let key = (revision.schedule.clone(), revision.number);
        let outstanding = self.backlogs.get_mut(&key).map(|backlog| backlog.span.through);
        slot.next = schedule.timing.after(since.max(outstanding.unwrap_or(since)));
        if let Some(first) = slot.next.filter(|due| *due <= now && !schedule.timing.is_one_shot()) {
            self.outlive(&slot, &key, first, now);
            slot.next = schedule.timing.after(now);
        }
        if let Some(due) = slot.next.filter(|_| schedule.timing.is_one_shot()) {
            self.pend_one_shot(&schedule.name, revision.number, due);
        }
        slot
    }

    fn begin(&mut self, mut revision: Revision, schedule: &Arc<Schedule>, now: Timestamp) -> Slot {
        let mut refused = false;
        let schedule = &counted(schedule, &revision);
        if schedule.timing.is_one_shot()
            && let Some(due) = schedule.timing.after(Timestamp::EPOCH.plus(-1))
            // The same due time means the same id: what was called for before is not called for again.
            && !(due <= now && self.was_called_for(&schedule.name, due))
        {
            revision.effective_from = revision.effective_from.min(due.plus(-1));
            refused = due <= now && schedule.past == Past::Refuse;
            if refused {
                let key = (schedule.name.clone(), revision.number);
                self.progress.row(row(now, &key, single(due), Outcome::Skipped(SkipReason::Past)));
                self.out.notices.push(Notice::PastOneShot { schedule: key.0, due });
            } else {
                self.pend_one_shot(&schedule.name, revision.number, due);
            }
        }
        let revision = self.keep(revision);
        let mut slot = slot(&revision, schedule);
        slot.next = schedule.timing.after(revision.effective_from).filter(|_| !refused);
        slot
    }

    /// Whether an earlier revision of this name had an occurrence at `due`.
    fn was_called_for(&self, name: &Arc<str>, due: Timestamp) -> bool {
        let earlier = self.revisions.range((name.clone(), 0)..=(name.clone(), u32::MAX));
        earlier.map(|(_, revision)| revision).any(|revision| {
            let within = revision.effective_from < due && revision.ended.is_none_or(|ended| due <= ended);
            let schedule = revision.build();
            within && schedule.is_ok_and(|old| old.timing.after(due.plus(-1)) == Some(due))
        })
    }

    fn keep(&mut self, revision: Revision) -> Arc<Revision> {
        self.progress.revision(&revision);
        let key = (revision.schedule.clone(), revision.number);
        let revision = Arc::new(revision);
        self.revisions.insert(key, revision.clone());
        revision
    }

    /// Forgets revisions that ended long ago and that nothing refers to.
    fn forget_old(&mut self, now: Timestamp) {
        let referred = |key: &SpanKey| {
            self.backlogs.contains(key)
                || self.parked.values().any(|p| (&p.schedule, p.revision) == (&key.0, key.1))
        };
        let old = |revision: &Revision| revision.ended.is_some_and(|ended| now.since(ended) > KEPT);
        let keys: Vec<SpanKey> = self
            .revisions
            .iter()
            .filter(|(key, r)| old(r) && !referred(key))
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            self.revisions.remove(&key);
            self.progress.forget(key);
        }
    }
}

/// The schedule with its limit counted from where the revision counts.
fn counted(schedule: &Arc<Schedule>, revision: &Revision) -> Arc<Schedule> {
    match schedule.timing.is_counted_since_creation() {
        true => Arc::new((**schedule).clone().counting_since(revision.counts_from)),
        false => schedule.clone(),
    }
}

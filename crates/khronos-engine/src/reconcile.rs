//! What becomes of one schedule when a load changes it.
//!
//! At the moment T of the piece of a load (see `load`), stored definitions that change or go are evaluated up to T and what is unsettled of them
//! joins the set in the same write; the new ones count from T. So an edit never makes anything missed, and loses nothing.

use super::{
    Era, Notice, Outcome, Revision, SkipReason,
    backlog::{Backlog, NOT_FIXED, State},
    catch_up::single,
    core::{Engine, new_span},
    faults::{Fault, planted},
    progress::{SpanKey, row},
    slot::Slot,
};
use khronos_schedule::{Packed, Past};
use ponos_event::Timestamp;
use std::sync::Arc;

impl Engine {
    /// Up to where a slot's revision counts at least: what stands in the set is called for already, and after a restart
    /// the clock may be behind what it showed when the revision began.
    pub(super) fn reached(&self, slot: &Slot, now: Timestamp) -> Timestamp {
        if planted(Fault::EditFromNow) {
            return now;
        }
        let outstanding = self.outstanding.backlogs.get(&(slot.name(), slot.number()));
        let outstanding = outstanding.map(|backlog| backlog.span.through);
        let outstanding = outstanding.filter(|through| *through < Timestamp::HORIZON).unwrap_or(now);
        // A one-shot for an instant that is gone takes effect before the revision that it follows on has ended.
        let earlier = self.resting.before(slot.definition.name(), slot.number()).next_back();
        // Another creation has nothing to do with it.
        let earlier = earlier.filter(|one| one.definition.creation() == slot.definition.creation());
        let earlier = earlier.and_then(|revision| revision.ended).unwrap_or(now);
        now.max(outstanding).max(slot.era().effective_from).max(earlier)
    }

    /// Ends a slot's revision: what is unsettled of it joins the set. What can be taken back of what was created at run time is
    /// not called for any more.
    pub(super) fn retire(&mut self, slot: &Slot, mut now: Timestamp) -> Revision {
        let key = (slot.name(), slot.number());
        if let Some(due) = self.can_be_taken_back(slot) {
            now = now.min(due.plus(-1));
            if slot.next().is_none() {
                self.take_span_back(slot, &key, due);
            }
        }
        self.close_span(&key, now);
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
                    let of = (&key, slot.definition.creation());
                    self.progress.row(row(
                        self.now(),
                        of,
                        single(due),
                        Outcome::Skipped(SkipReason::Removed),
                    ));
                }
            }
        }
        if planted(Fault::ForgetWhatWaitsForItsCeiling) {
            self.forget_at_ceiling(&key);
        }
        let ended = Revision { ended: Some(now), ..slot.revision() };
        self.progress.revision(&ended);
        self.let_rest(ended.clone());
        ended
    }

    /// It was late, and only the set had it.
    fn take_span_back(&mut self, slot: &Slot, key: &SpanKey, due: Timestamp) {
        self.progress.span(key, None);
        self.outstanding.backlogs.remove(key);
        let of = (key, slot.definition.creation());
        self.progress.row(row(self.now(), of, single(due), Outcome::Skipped(SkipReason::Removed)));
    }

    fn outlive(&mut self, slot: &Slot, key: &SpanKey, first: Timestamp, now: Timestamp) {
        let through = slot.timing().before(now.plus(1)).map_or(first, |last| last.max(first));
        if self.extend(key, through) {
            return self.keep_single(key);
        }
        let (era, Some(schedule)) = (slot.era(), slot.schedule()) else { return };
        let (handed, state) = match slot.in_flight() {
            Some(due) => (due, State::InFlight),
            None => (first.plus(-1), State::Ready),
        };
        let handed = self.sent_singly(slot).max(handed);
        let span = new_span(era.number, first.plus(-1), through, handed);
        self.progress.span(key, Some(&span));
        self.outstanding
            .backlogs
            .insert(key.clone(), Backlog { span, era, schedule, state, fixed: NOT_FIXED });
        self.keep_single(key);
    }

    /// Due times up to this one may have been sent singly before the clock was set back: they are not coalesced now.
    pub(super) fn sent_singly(&self, slot: &Slot) -> Timestamp {
        let before = self.progress.sent_before_set_back(slot.set_backs());
        before.map_or(Timestamp::EPOCH.plus(-1), |send| slot.timing().due_by(send))
    }

    /// The revision that follows on an edit: the old one counted until it ended, the new one counts from `now`.
    pub(super) fn succeed(&mut self, accepted: Packed, ended: &Revision, now: Timestamp) -> Slot {
        let until = ended.ended.unwrap_or(now);
        let last =
            ended.definition.timing().before(until.plus(1)).filter(|last| *last > ended.effective_from);
        let effective_from = if planted(Fault::EditMakesMissed) { ended.effective_from } else { now };
        // Other rules of its zone are no reason to count a limit anew.
        let before = ended.definition.timing();
        let same = before.is_due_as(&accepted.timing().with_rules_of(&before));
        let era = Era {
            number: ended.number + 1,
            effective_from,
            counts_from: if same { ended.counts_from } else { now },
            opens: last.unwrap_or(ended.opens),
            previous: last.or(ended.previous),
            set_backs: self.progress.set_backs(),
        };
        self.begin(era.of(accepted), now)
    }

    /// A name that does not run now: new, or returned. What never ran counts from what the clock shows. What was created anew
    /// has nothing to do with what had its name before, but that its revisions count on.
    pub(super) fn admit(&mut self, accepted: Packed) -> Slot {
        let known = self.resting.of(accepted.name()).next_back().cloned();
        let now = known.as_ref().map_or(self.now(), |known| self.moment(known.set_backs));
        match known {
            Some(ended) if ended.definition.creation() != accepted.creation() && ended.ended.is_some() => {
                // A file's has the ids of what files had under its name before.
                let before = self.resting.all_of(accepted.name(), accepted.creation()).next_back();
                let before = before.and_then(|before| Some(before.ended?.max(self.moment(before.set_backs))));
                let (set_backs, now) = (self.progress.set_backs(), before.unwrap_or(self.now()));
                self.begin(Era { set_backs, ..Era::first(ended.number + 1, now) }.of(accepted), now)
            }
            Some(ended) if self.is_as_before(&ended.definition, &accepted) => self.revive(ended),
            Some(ended) if ended.definition.is_understood() => {
                let until = ended.ended.unwrap_or(now);
                self.succeed(accepted, &ended, now.max(until))
            }
            unknown => {
                let number = unknown.as_ref().map_or(1, |unknown| unknown.number + 1);
                if let Some(unknown) = unknown.filter(|unknown| unknown.ended.is_none()) {
                    self.end_unknown(unknown, now);
                }
                let era = Era { set_backs: self.progress.set_backs(), ..Era::first(number, now) };
                self.begin(era.of(accepted), now)
            }
        }
    }

    /// A name that returns with the same definition continues as if it had never gone. W went on meanwhile: what was
    /// due since joins the set in the same write.
    fn revive(&mut self, ended: Revision) -> Slot {
        let since = ended.ended.unwrap_or(ended.effective_from);
        let revision = Revision { ended: None, ..ended };
        self.progress.revision(&revision);
        let mut slot = Slot::new(&revision);
        let key = (slot.name(), revision.number);
        self.resting.remove(&key);
        // Nothing that ended has an open one.
        let outstanding = self.outstanding.backlogs.get(&key).map(|backlog| backlog.span.through);
        let timing = slot.timing();
        let after = since.max(outstanding.unwrap_or(since));
        if let Some(due) = timing.after(after).filter(|_| timing.is_one_shot()) {
            self.pend_one_shot(&key.0, key.1, due);
        }
        let reached = self.owe(&slot, after);
        slot.wait_for(timing.after(reached));
        self.pausing.look_anew();
        slot
    }

    /// What a slot that begins is due for already, after `after` and by now, joins the set: W may have passed it, and a queue
    /// that reaches behind W would take W back. Gives up to where it is done.
    fn owe(&mut self, slot: &Slot, after: Timestamp) -> Timestamp {
        let (timing, now) = (slot.timing(), self.now());
        let first = timing.after(after).filter(|first| *first <= now && !planted(Fault::QueueBehindTheMark));
        let Some(first) = first else { return after };
        let through = timing.before(now.plus(1)).map_or(first, |last| last.max(first));
        let (key, era) = ((slot.name(), slot.number()), slot.era());
        if !self.extend(&key, through)
            && let Some(schedule) = slot.schedule()
        {
            let span = new_span(era.number, after, through, self.sent_singly(slot).max(after));
            self.progress.span(&key, Some(&span));
            let backlog = Backlog { span, era, schedule, state: State::Ready, fixed: NOT_FIXED };
            self.outstanding.backlogs.insert(key.clone(), backlog);
        }
        self.keep_single(&key);
        through
    }

    /// `reached`: what lies before may have been sent.
    fn begin(&mut self, mut revision: Revision, reached: Timestamp) -> Slot {
        let now = self.now();
        let mut refused = false;
        let timing = revision.timing();
        if timing.is_one_shot()
            && let Some(due) = timing.after(Timestamp::EPOCH.plus(-1))
            // The same due time means the same id: what was called for before is not called for again.
            && !(due <= reached && self.was_called_for((revision.name(), revision.definition.creation()), due))
        {
            if due <= revision.effective_from {
                // It counts from where it begins, and not from when an earlier one was wanted for the same instant.
                revision.counts_from = revision.effective_from;
                revision.effective_from = due.plus(-1);
            }
            refused = due <= now && revision.definition.conduct().past == Past::Refuse;
            let key = (revision.name().into(), revision.number);
            if refused {
                let of = (&key, revision.definition.creation());
                self.progress.row(row(now, of, single(due), Outcome::Skipped(SkipReason::Past)));
                self.out.notices.push(Notice::PastOneShot { schedule: key.0, due });
            } else {
                self.pend_one_shot(&key.0, key.1, due);
            }
        }
        self.progress.revision(&revision);
        let mut slot = Slot::new(&revision);
        if !refused {
            let reached = self.owe(&slot, revision.effective_from);
            slot.wait_for(timing.after(reached));
        }
        slot
    }

    /// What does not run because this version does not understand it would run again under another one.
    pub(super) fn end_unknown(&mut self, unknown: Revision, ended: Timestamp) {
        let key = (unknown.name().into(), unknown.number);
        if let Some(due) = self.resting.pending(&unknown) {
            self.progress.one_shot(&key.0, None);
            let of = (&key, unknown.definition.creation());
            self.progress.row(row(self.now(), of, single(due), Outcome::Skipped(SkipReason::Removed)));
        }
        let ended = Revision { ended: Some(ended), ..unknown };
        self.progress.revision(&ended);
        self.let_rest(ended);
    }

    /// The number of the creation of a revision that is kept; 0 for a file's.
    pub(super) fn creation_of(&self, key: &SpanKey) -> u64 {
        self.revision(key).map_or(0, |revision| revision.definition.creation())
    }

    /// A revision that is kept, whether it runs or rests.
    pub fn revision(&self, key: &(Arc<str>, u32)) -> Option<Revision> {
        let running = self.schedules.find(&key.0).map(|id| &self.schedules[id]);
        let running = running.filter(|slot| slot.number() == key.1);
        running.map(Slot::revision).or_else(|| self.resting.get(key).cloned())
    }
}

//! What waits for the rate ceiling of its domain.
//!
//! What is due on time and may not go out yet joins its schedule's span: so it keeps nothing of other domains waiting, W passes
//! it, a restart finds it, and memory holds a span of each schedule at most. Spans and parked entries that have their turn but
//! for the ceiling stand in its queue by their send times, and a new one goes behind them.
//!
//! What is due once, and what is late, is decided at its turn: that is written first, and what was decided so has the next
//! turns of its ceiling. No more of it is under way than goes out together; so what waits behind it is its owner's to take
//! back. Ceilings take turns, one handover each; and at each ceiling schedules and delayed events do, where both wait.
//!
//! Invariant: nothing is skipped or coalesced because it waited here. What is due of a span while nothing else keeps it is
//! marked as handed over, and so is sent singly. What an outage, a stop or a pause made late meanwhile is caught up with by
//! its policy when its turn comes, and what has fallen due by then with it.

use super::{
    backlog::State,
    ceilings::{CeilingId, Ceilings},
    core::Engine,
    faults::{Fault, planted},
    hand_over::AT_ONCE,
    progress::SpanKey,
    slot::Slot,
    slots::SlotId,
};
use khronos_schedule::{CatchUp, Policy, Schedule};
use ponos_event::Timestamp;

/// What the ceiling of a span that is looked at lets it do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lets {
    /// Nothing yet: it was not asked.
    Nothing,
    /// Hand over what is decided.
    HandOver,
    /// That, or have decided what is handed over next.
    Decide,
}

/// How a ceiling is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CeilingUse {
    /// Its domain.
    pub domain: String,
    /// Nanoseconds between two events on average.
    pub interval: i64,
    /// Schedules, and parked entries, that wait for it.
    pub waiting: usize,
    /// Delayed events that wait for it, as far as they are in memory.
    pub delayed: usize,
    /// Since when the first of them does.
    pub since: Option<Timestamp>,
}

impl Engine {
    /// The ceilings, as delayed events are held to them.
    pub fn rate_ceilings(&self) -> &Ceilings {
        &self.ceilings
    }

    /// The same, for handing some over.
    pub fn rate_ceilings_mut(&mut self) -> &mut Ceilings {
        &mut self.ceilings
    }

    /// Says of each ceiling whether something of schedules waits for it, and could go on now but for that.
    pub(super) fn say_what_waits(&mut self) {
        if self.ceilings.is_empty() {
            return;
        }
        let is_free = self.outstanding.has_room();
        let is_free_behind = self.may_go_on_below_ceilings();
        for id in self.ceilings.ids() {
            let waits = is_free_behind && self.is_waited_for(id) || is_free && self.ceilings.is_wanted(id);
            self.ceilings.schedules_wait(id, waits);
        }
    }

    /// How each ceiling is used by what is of schedules, in the order in which they were given.
    pub fn ceilings(&self) -> Vec<CeilingUse> {
        let used = self.ceilings.ids().filter_map(|id| {
            let ceiling = self.ceilings.get(id)?;
            let (backlogs, turns) = (&self.outstanding.backlogs, &self.outstanding.parked.turns);
            let first = [backlogs.first_at(id).map(|(send, _)| send), turns.first_at(id).map(|(at, _)| at)];
            Some(CeilingUse {
                domain: ceiling.domain.clone(),
                interval: ceiling.interval,
                waiting: backlogs.count_at(id) + turns.count_at(id),
                delayed: 0,
                // Where the clock was set back, what is due later may wait.
                since: first.into_iter().flatten().min().map(|since| since.min(self.now())),
            })
        });
        used.collect()
    }

    /// The ceiling that keeps an event of this name from being handed over now: it is reached, or others wait for it.
    pub(super) fn ceiling_over(&self, event: &str) -> Option<CeilingId> {
        if self.ceilings.is_empty() {
            return None;
        }
        self.ceilings.of(event).filter(|id| !self.ceilings.may(*id) || self.is_waited_for(*id))
    }

    /// The same of what is due of a slot.
    pub(super) fn ceiling_over_slot(&self, slot: &Slot) -> Option<CeilingId> {
        if self.ceilings.is_empty() { None } else { self.ceiling_over(slot.definition.event()) }
    }

    /// The same of what can't join its span: that stands in no queue, and would never come to its turn.
    pub(super) fn ceiling_over_what_cannot_join(&self, slot: &Slot) -> Option<CeilingId> {
        self.ceilings.of(slot.definition.event()).filter(|id| !self.ceilings.may(*id))
    }

    fn is_waited_for(&self, id: CeilingId) -> bool {
        let spans = self.outstanding.backlogs.count_at(id) + self.ceilings.decided(id).len();
        spans + self.outstanding.parked.turns.count_at(id) > 0
    }

    /// An event of this name is handed over.
    pub(super) fn count_below_ceiling(&mut self, event: &str) {
        if let Some(id) = self.ceilings.of(event) {
            self.ceilings.take(id);
        }
    }

    /// What is on time and can't join its span waits for its ceiling in a queue that lets others pass.
    pub(super) fn defer_to_ceiling(&mut self, id: SlotId) {
        if let Some(ceiling) = self.ceilings.of(self.schedules[id].definition.event()) {
            self.ceilings.want(ceiling);
        }
        self.schedules.defer(id);
    }

    /// When the next that waits for a ceiling may be handed over, if that is later, or delayed events have let it have its turn.
    pub(super) fn next_below_ceilings(&self) -> Option<Timestamp> {
        let wanted = self.ceilings.ids().filter(|id| self.is_waited_for(*id) || self.ceilings.is_wanted(*id));
        let wait =
            |id| Some(self.ceilings.wait(id)).filter(|wait| *wait > 0 || self.ceilings.is_released(id));
        wanted.filter_map(wait).min().map(|wait| self.now().plus(wait))
    }

    /// Hands over what the ceilings let through, of each in the order of send times: one of each in turn, from behind the one
    /// that had the last turn, for what the publisher has room for is for all of them.
    pub(super) fn hand_over_below_ceilings(&mut self, now: Timestamp) {
        let (mut left, mut rests) = (AT_ONCE, 0);
        let mut ids = self.ceilings.in_turn();
        while let Some(id) = ids.pop_front().filter(|_| rests <= ids.len()) {
            if !self.may_go_on_below_ceilings() {
                return;
            }
            if left == 0 {
                self.more = true;
                return;
            }
            ids.push_back(id);
            if self.has_turn(id, now) {
                self.ceilings.had_turn(id);
                (left, rests) = (left - 1, 0);
            } else {
                rests += 1;
            }
        }
    }

    /// Whether there is room for what waits for a ceiling: with the publisher, and in the next write.
    fn may_go_on_below_ceilings(&mut self) -> bool {
        self.outstanding.has_room_behind() && !self.progress.is_full(self.rules.piece)
    }

    /// The next one that waits for a ceiling has its turn; false if there is none, or it waits on.
    fn has_turn(&mut self, id: CeilingId, now: Timestamp) -> bool {
        if !self.ceilings.may(id) {
            return false;
        }
        if let Some(key) = self.next_decided(id) {
            self.advance_span(&key, now, Lets::Decide);
            self.forget_what_was_decided();
            return true;
        }
        let span = self.outstanding.backlogs.first_at(id).map(|(send, key)| (send, key.clone()));
        match (span, self.outstanding.parked.turns.first_at(id)) {
            (Some((send, key)), entry) if entry.is_none_or(|(since, _)| send <= since) => {
                let decides = self.ceilings.may_decide(id);
                self.advance_span(&key, now, if decides { Lets::Decide } else { Lets::HandOver });
                match self.outstanding.backlogs.get(&key).map(|backlog| backlog.state) {
                    Some(State::AtCeiling(..)) => return false,
                    Some(State::Saving(_)) if decides => self.ceilings.decide(id, key),
                    _ => {}
                }
                true
            }
            (_, Some((_, number))) => {
                self.outstanding.parked.turns.forget(number);
                self.hand_over_entry(number, now, true);
                true
            }
            (_, None) => false,
        }
    }

    /// The first that was decided at its turn and stands in the queue again, now that this is durable.
    fn next_decided(&self, id: CeilingId) -> Option<SpanKey> {
        let stands = |key: &&SpanKey| {
            let backlog = self.outstanding.backlogs.get(key);
            backlog.is_some_and(|backlog| matches!(backlog.state, State::AtCeiling(..)))
        };
        self.ceilings.decided(id).iter().find(stands).cloned()
    }

    /// What was decided at its turn and was handed over, or waits for something else than its turn, keeps nothing back.
    pub(super) fn forget_what_was_decided(&mut self) {
        let backlogs = &self.outstanding.backlogs;
        self.ceilings.keep_decided(|key| {
            let state = backlogs.get(key).map(|backlog| backlog.state);
            matches!(state, Some(State::Ready | State::Saving(_) | State::AtCeiling(..)))
        });
    }

    /// Whether a span waits for its ceiling before what comes next of it is decided: what is due once is its owner's to take
    /// back until then, and what is late has decided with it what falls due meanwhile. But not where its policy might skip it
    /// for having waited.
    pub(super) fn waits_undecided(&self, schedule: &Schedule, first: Timestamp, lets: Lets) -> Option<State> {
        if self.ceilings.is_empty() || lets == Lets::Decide {
            return None;
        }
        let (timing, rules) = (&schedule.timing, &schedule.catch_up);
        let send = timing.send_time(first);
        let is_late = self.now().since(send) > rules.grace;
        if may_skip(rules) || !(timing.is_one_shot() || is_late) {
            return None;
        }
        self.ceilings.of(schedule.event.as_str()).map(|ceiling| State::AtCeiling(ceiling, send))
    }

    /// What a planted fault does to a span that waits.
    pub(super) fn forget_at_ceiling(&mut self, key: &SpanKey) {
        let waits = self.outstanding.backlogs.get(key).map(|backlog| backlog.state);
        if matches!(waits, Some(State::AtCeiling(..))) {
            self.progress.span(key, None);
            self.outstanding.backlogs.remove(key);
        }
    }

    /// What is due by now of a span is sent singly, if nothing of it was late already, however long its ceiling keeps it.
    pub(super) fn keep_single(&mut self, key: &SpanKey) {
        if self.ceilings.is_empty() || !self.may_hand_over() || planted(Fault::CatchUpWithWhatWaits) {
            return;
        }
        let now = self.now();
        let Some(backlog) = self.outstanding.backlogs.get_mut(key) else { return };
        let (span, schedule) = (&mut backlog.span, &backlog.schedule);
        if backlog.state == State::Paused
            || span.is_open()
            || self.ceilings.of(schedule.event.as_str()).is_none()
        {
            return;
        }
        let (timing, rules) = (&schedule.timing, &schedule.catch_up);
        if timing.is_one_shot() && !may_skip(rules) {
            return;
        }
        let fixed = span.coalesced.map_or(span.after, |run| run.last).max(span.handed);
        let is_on_time = |first: &Timestamp| now.since(timing.send_time(*first)) <= rules.grace;
        if timing.after(fixed).filter(|first| *first <= span.through).is_some_and(|first| is_on_time(&first))
        {
            let handed = span.handed.max(span.through.min(timing.due_by(now)));
            if handed > span.handed {
                // A restart that did not know it might send these once more with others.
                let known = std::mem::replace(&mut span.handed, handed);
                let (before, up_to) = backlog.fixed;
                let up_to = if self.progress.is_durable(before) { known } else { up_to };
                backlog.fixed = (self.progress.next_ticket(), up_to);
                self.progress.span(key, Some(span));
                self.progress.urge();
            }
        }
    }
}

/// Whether a policy skips what is late, or later.
fn may_skip(rules: &CatchUp) -> bool {
    rules.policy == Policy::None || rules.within.is_some()
}

//! What waits for the rate ceiling of its domain.
//!
//! What is due on time and may not go out yet joins its schedule's span: so it keeps nothing of other domains waiting, W passes
//! it, a restart finds it, and memory holds a span of each schedule at most. Spans and parked entries that have their turn but
//! for the ceiling stand in its queue by their send times, and a new one goes behind them.
//!
//! Invariant: nothing is skipped or coalesced because it waited here. What is due of a span while nothing else keeps it is
//! marked as handed over, and so is sent singly. What an outage, a stop or a pause made late meanwhile is caught up with by
//! its policy when its turn comes, and what has fallen due by then with it.

use super::{
    backlog::State,
    ceilings::CeilingId,
    core::Engine,
    faults::{Fault, planted},
    hand_over::AT_ONCE,
    progress::SpanKey,
    slot::Slot,
    slots::SlotId,
};
use khronos_schedule::{Policy, Schedule};
use ponos_event::Timestamp;

/// How a ceiling is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CeilingUse {
    /// Its domain.
    pub domain: String,
    /// Nanoseconds between two events on average.
    pub interval: i64,
    /// Schedules, and parked entries, that wait for it.
    pub waiting: usize,
    /// Since when the first of them does.
    pub since: Option<Timestamp>,
}

impl Engine {
    /// How each ceiling is used, in the order in which they were given.
    pub fn ceilings(&self) -> Vec<CeilingUse> {
        let used = self.ceilings.ids().filter_map(|id| {
            let ceiling = self.ceilings.get(id)?;
            let (backlogs, turns) = (&self.outstanding.backlogs, &self.outstanding.parked.turns);
            let first = [backlogs.first_at(id).map(|(send, _)| send), turns.first_at(id).map(|(at, _)| at)];
            Some(CeilingUse {
                domain: ceiling.domain.clone(),
                interval: ceiling.interval,
                waiting: backlogs.count_at(id) + turns.count_at(id),
                since: first.into_iter().flatten().min(),
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

    fn is_waited_for(&self, id: CeilingId) -> bool {
        let spans = self.outstanding.backlogs.count_at(id);
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

    /// When the next that waits for a ceiling may be handed over, if that is later.
    pub(super) fn next_below_ceilings(&self) -> Option<Timestamp> {
        let wanted = self.ceilings.ids().filter(|id| self.is_waited_for(*id) || self.ceilings.is_wanted(*id));
        let waits = wanted.map(|id| self.ceilings.wait(id)).filter(|wait| *wait > 0);
        waits.min().map(|wait| self.now().plus(wait))
    }

    /// Hands over what the ceilings let through, of each in the order of send times.
    pub(super) fn hand_over_below_ceilings(&mut self, now: Timestamp) {
        for id in self.ceilings.ids() {
            let mut left = AT_ONCE;
            while self.ceilings.may(id)
                && self.outstanding.has_room_behind()
                && !self.progress.is_full(self.rules.piece)
            {
                let (span, entry) =
                    (self.outstanding.backlogs.first_at(id), self.outstanding.parked.turns.first_at(id));
                let is_span = match (span, entry) {
                    (Some((send, _)), Some((since, _))) => send <= since,
                    (span, _) => span.is_some(),
                };
                if left == 0 && (span.is_some() || entry.is_some()) {
                    self.more = true;
                    break;
                }
                left = left.saturating_sub(1);
                match (span.map(|(_, key)| key.clone()).filter(|_| is_span), entry) {
                    (Some(key), _) => self.advance_span(&key, now, true),
                    (None, Some((_, number))) => {
                        self.outstanding.parked.turns.forget(number);
                        self.hand_over_entry(number, now, true);
                    }
                    (None, None) => break,
                }
            }
        }
    }

    /// Whether a span that is about to be looked at waits first: what is due once is its owner's to take back as long as nothing
    /// is fixed of it.
    pub(super) fn waits_as_it_is(&self, schedule: &Schedule, key: &SpanKey) -> Option<State> {
        if !schedule.timing.is_one_shot() {
            return None;
        }
        let backlog = self.outstanding.backlogs.get(key).filter(|backlog| backlog.has_more())?;
        let send = schedule.timing.send_time(backlog.span.through);
        let ceiling = self.ceiling_over(schedule.event.as_str()).filter(|_| send <= self.now())?;
        Some(State::AtCeiling(ceiling, send))
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
        if timing.is_one_shot() && rules.policy != Policy::None && rules.within.is_none() {
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

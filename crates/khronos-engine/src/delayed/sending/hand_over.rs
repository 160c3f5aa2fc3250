//! What is handed over, and what becomes of it by the broker's answer.

use super::{
    Sending,
    faults::{Fault, planted},
    io::{DelayedAction, DelayedAnswer, Marks},
};
use crate::{
    Answer, CeilingId, Ceilings, Outcome,
    delayed::{DelayedStep, DueEvent},
    settle::refusal,
};
use ponos_event::Timestamp;
use std::collections::BTreeSet;

/// Milliseconds in which nothing is handed over, after something got no answer: the link may be down, and not known to be yet.
const REST: i64 = 100;

impl Sending {
    /// Hands over what is due, at or below H, as far as the rate ceilings let it through; and asks that H is raised beyond what is
    /// due next.
    pub(super) fn hand_over(
        &mut self,
        marks: Marks,
        ceilings: &mut Ceilings,
        actions: &mut Vec<DelayedAction>,
    ) {
        if !self.link_up || self.draining {
            return ceilings.no_delayed_wait();
        }
        let until = match planted(Fault::HandOverAboveH) {
            true => marks.now,
            false => marks.now.min(marks.handed),
        };
        let deciding = self.deciding.as_ref().filter(|_| !planted(Fault::HandOverWhatIsJudged));
        let until = deciding.map_or(until, |deciding| until.min(deciding.until()));
        let rests = self.rests_until(marks.now).is_some();
        let mut events = Vec::new();
        while !rests
            && self.has_room()
            && let Some(event) =
                self.again_due(marks.now, until, ceilings).or_else(|| self.next_due(until, ceilings))
        {
            let token = self.number();
            self.in_flight.insert(token, event.clone());
            events.push((token, event));
        }
        if !events.is_empty() {
            actions.push(DelayedAction::Publish(events));
        }
        let is_free = !rests && self.has_room();
        let waiting = self.firsts().filter(|(_, first)| is_free && *first <= until).map(|(id, _)| id);
        let waiting: BTreeSet<CeilingId> = waiting.collect();
        for id in ceilings.ids() {
            ceilings.delayed_wait(id, waiting.contains(&id));
        }
        self.reserve(marks, actions);
    }

    /// The first that is due, of what is pending and of what was released: by send time, so that neither waits behind all of the other.
    fn next_due(&mut self, until: Timestamp, ceilings: &mut Ceilings) -> Option<DueEvent> {
        let released = self.parked.first_due(until, ceilings);
        let is_first = |send: Timestamp| {
            let pending = self.window.first_due(until, ceilings);
            pending.is_none_or(|(key, _)| send <= key.send)
        };
        match released.is_some_and(is_first) {
            true => self.parked.pop_due(until, ceilings),
            false => self.window.pop_due(until, ceilings),
        }
    }

    /// Before H is used up: else what is due next waits for the disk each time.
    fn reserve(&self, marks: Marks, actions: &mut Vec<DelayedAction>) {
        let margin = self.rules.lead / 2;
        // What waits for its ceiling below H needs no more of it.
        let firsts = self.firsts().map(|(_, send)| send).filter(|send| *send > marks.handed);
        let next = self.first_due().into_iter().chain(firsts).min().map(|send| send.max(marks.now));
        let next = next.filter(|send| send.plus(-self.rules.lead) <= marks.now).map(|send| send.plus(margin));
        if let Some(send) = next.filter(|send| *send > marks.handed) {
            actions.push(DelayedAction::Reserve(send));
        }
    }

    /// A clock that was set back: what was refused is sent again after as long as was decided.
    pub(super) fn see(&mut self, now: Timestamp) {
        let before = self.now.replace(now).filter(|before| *before > now);
        if let Some(before) = before {
            let back = now.since(before);
            let refused = std::mem::take(&mut self.refused).into_iter();
            self.refused = refused.map(|((at, key), event)| ((at.plus(back), key), event)).collect();
        }
    }

    /// The first that was refused, if it is its time again. Since the clock was set back it may lie above what that shows: then it
    /// is due once more, as all that lies there; and what counts for a ceiling waits for that once more.
    fn again_due(&mut self, now: Timestamp, until: Timestamp, ceilings: &Ceilings) -> Option<DueEvent> {
        loop {
            let first = self.refused.first_entry().filter(|first| first.key().0 <= now)?;
            let event = first.remove();
            if event.key.send <= until && event.topic.is_none() {
                return Some(event);
            }
            self.window.again(event, &self.rules, ceilings);
        }
    }

    /// The broker answered.
    pub(super) fn settled(&mut self, marks: Marks, ceilings: &Ceilings, answers: Vec<DelayedAnswer>) {
        for DelayedAnswer { token, answer, sent_at, unrouted } in answers {
            let Some(event) = self.in_flight.remove(&token) else { continue };
            let outcome = match (refusal(|| unrouted, &answer), answer) {
                // A person looks at what was released anyway.
                (Some((reason, _)), _) if event.is_parked => Outcome::Parked(reason),
                (Some((reason, can_help)), _) => match self.again_at(marks.now, &event, can_help) {
                    Some(at) => {
                        let event = DueEvent { refused: event.refused + 1, ..event };
                        if !planted(Fault::ForgetWhatWasRefused) {
                            self.refused.insert((at, event.key.clone()), event);
                        }
                        continue;
                    }
                    None => Outcome::Parked(reason),
                },
                // It is due again, as it was.
                (None, Answer::Lost) if !planted(Fault::SettleWhatIsLost) => {
                    self.lost_at = Some(marks.now);
                    match event.is_parked {
                        true => self.parked.again(event, ceilings),
                        false => self.window.again(event, &self.rules, ceilings),
                    }
                    continue;
                }
                (None, Answer::Confirmed { returned }) => {
                    Outcome::Confirmed { sent_at, lateness: sent_at.since(event.key.send).max(0), returned }
                }
                (None, Answer::Lost | Answer::Refused(_)) => Outcome::Dropped,
            };
            let keeps_content = self.rules.keeps_content;
            self.next.batch.lasts |= keeps_content;
            let DueEvent { key, creation, .. } = event;
            self.next.batch.steps.push(if event.is_parked {
                self.parked.settled(creation, &outcome);
                DelayedStep::Unpark { creation, outcome, keeps_content }
            } else {
                if matches!(outcome, Outcome::Parked(_)) {
                    self.parked.parked();
                }
                self.window.gone(key.clone());
                DelayedStep::Settle { key, outcome, keeps_content }
            });
        }
    }

    /// When a refused event is sent again; `None`: it is given up on.
    fn again_at(&self, now: Timestamp, event: &DueEvent, can_help: bool) -> Option<Timestamp> {
        // Others have the other half of what may be in memory. What is refused beyond is parked at once.
        let has_room = can_help && self.refused.len() < self.rules.most.div_ceil(2);
        let wait = self.rules.resends.wait(event.refused.saturating_add(1)).filter(|_| has_room)?;
        Some(now.plus(wait))
    }

    /// A clock that was set back shows less than when it was lost.
    pub(super) fn rests_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.lost_at.filter(|at| (0..REST).contains(&now.since(*at))).map(|at| at.plus(REST))
    }
}

//! Parked events: what the broker refused, or what reached nobody where somebody must be bound.
//!
//! Neighbouring occurrences of one revision that are parked for one reason are one entry: so what stands still for long
//! stays small. What was refused is sent again by itself: of each schedule the first event of the oldest entry, and of what commands
//! asked for beside it the same, a few times and backed off. Accepted, the rest of its run follows singly, in order. Given up, it stays for a person, who has it sent
//! again or drops it. Nothing waits for it: the next occurrence goes out on time.
//!
//! Invariants: what is parked goes down with the write that lets W pass it. A release is durable before anything of it is
//! handed over; of what is being sent nothing is dropped, for it may be on its way; nor of what W has not passed, for a
//! restart may send it. At most eight entries of a schedule are sent again by themselves, and eight that were asked for; at most
//! [`Rules::parked`](super::Rules::parked) wait for a person: beyond, the schedule that has most loses its oldest.

use super::{
    Answer, Coalesced, Notice, Outcome, Parked, Resends, Row,
    core::Engine,
    hand_over::AT_ONCE,
    in_flight::{Owner, Sending},
    pausing::Rest,
    progress::{SpanKey, row},
    settle::{LOST, refusal},
};
use khronos_schedule::Unrouted;
use ponos_event::{EventKind, Timestamp};
use std::sync::Arc;

/// The alarm begins at this part of the limit.
const ALARM: usize = 10;

#[cfg(test)]
mod tests;

impl Engine {
    /// Parks an event that is given up on for now: because of `reason`, and whether sending it again can help.
    pub(super) fn park(&mut self, key: &SpanKey, stands_for: Coalesced, (reason, again): (String, bool)) {
        let outcome = Outcome::Parked(reason.clone());
        self.progress.row(row(self.now(), (key, self.creation_of(key)), stands_for, outcome));
        let joined = self.join_parked(key, stands_for, &reason, again);
        let number = joined.unwrap_or_else(|| self.add_parked(key, stands_for, &reason, again));
        self.write_parked(number);
        if again {
            self.note_refusal(key, &reason, number);
        }
        if joined.is_some() {
            return;
        }
        let is_tried = self.outstanding.parked.get(number).is_some_and(|parked| parked.retry_at.is_some());
        if is_tried {
            self.leave_surplus(number, stands_for.last);
        } else {
            self.say_parked(number, stands_for.last);
        }
    }

    /// Of too many entries that are sent again by themselves in the line of this one, one is left to people.
    fn leave_surplus(&mut self, number: u64, due: Timestamp) {
        if let Some(surplus) = self.outstanding.parked.surplus(number) {
            self.outstanding.parked.leave(surplus);
            self.write_parked(surplus);
            let first = self.outstanding.parked.get(surplus).map(|parked| parked.first().last);
            self.say_parked(surplus, first.unwrap_or(due));
        }
    }

    fn add_parked(&mut self, key: &SpanKey, stands_for: Coalesced, reason: &str, again: bool) -> u64 {
        let (now, refused) = (self.now(), u8::from(again));
        let retry_at = self.resends(key).wait(refused).filter(|_| again).map(|wait| now.plus(wait));
        self.outstanding.parked.add(Parked {
            schedule: key.0.clone(),
            revision: key.1,
            stands_for,
            reason: reason.to_owned(),
            at: now,
            released: false,
            singly: stands_for.count == 1,
            refused,
            retry_at,
            kind: EventKind::Occurrence,
        })
    }

    /// Joins the entry of the revision that comes before it, if this is the next after it and the reason is the same. What
    /// can be tried does not join a run that waits for a person, unless that came shortly before: else nothing of a slow
    /// schedule would ever be tried again.
    fn join_parked(&mut self, key: &SpanKey, one: Coalesced, reason: &str, again: bool) -> Option<u64> {
        let number = self.outstanding.parked.last_before(key, one.last).filter(|_| one.count == 1)?;
        let before = self.outstanding.parked.get(number);
        let before = before.filter(|parked| parked.singly && !parked.released && parked.reason == reason)?;
        let last = before.stands_for.last;
        let resends = self.resends(key);
        let waits = before.retry_at.is_none() && again && resends.count > 0;
        if waits && one.last.since(last) > resends.over {
            return None;
        }
        let next = self.revision(key)?.timing().after(last);
        if next != Some(one.last) {
            return None;
        }
        self.outstanding.parked.extend(number, one.last);
        Some(number)
    }

    /// How often, and over how long, what is refused of a revision is sent again.
    fn resends(&self, key: &SpanKey) -> Resends {
        let policy = self.revision(key).map(|revision| revision.definition.conduct().resends);
        self.rules.resends.with(policy.unwrap_or_default())
    }

    /// At the start, where the clock was set back: an instant at which something is sent again may lie far ahead of it.
    pub(super) fn retry_sooner(&mut self) {
        let now = self.now();
        let retried: Vec<u64> = self.outstanding.parked.retried().collect();
        for number in retried {
            let Some(parked) = self.outstanding.parked.get(number) else { continue };
            let wait = self.resends(&(parked.schedule.clone(), parked.revision)).wait(parked.refused);
            let latest = now.plus(wait.unwrap_or_default());
            if parked.retry_at.is_some_and(|at| at > latest) {
                self.outstanding.parked.retry(number, latest);
            }
        }
    }

    fn write_parked(&mut self, number: u64) {
        self.progress.parked(number, self.outstanding.parked.get(number));
    }

    fn say_parked(&mut self, number: u64, due: Timestamp) {
        if let Some(Parked { schedule, reason, .. }) = self.outstanding.parked.get(number).cloned() {
            let creation = self
                .outstanding
                .parked
                .get(number)
                .map_or(0, |parked| self.creation_of(&(parked.schedule.clone(), parked.revision)));
            self.out.parked.note(Notice::Parked { number, schedule, creation, due, reason, others: 0 });
        }
    }

    /// Where too many wait for a person, some go for good: of the schedule that has most the oldest.
    pub(super) fn make_room(&mut self) {
        let most = self.rules.parked.max(1);
        let count = self.outstanding.parked.waiting();
        let alarmed = count >= most.div_ceil(ALARM);
        if alarmed && !self.outstanding.parked.alarmed {
            self.out.notices.push(Notice::ManyParked { count, most });
        }
        self.outstanding.parked.alarmed = alarmed;
        while self.outstanding.parked.waiting() > most {
            let mut first = self.outstanding.parked.first_waiting();
            let Some(number) = first.find(|number| self.is_droppable(*number)) else { return };
            drop(first);
            if let Some(Parked { schedule, stands_for, .. }) = self.drop_one(number, Outcome::DroppedAtLimit)
            {
                self.out.dropped.note(Notice::DroppedAtLimit { number, schedule, stands_for, others: 0 });
            }
        }
    }

    pub(super) fn drop_one(&mut self, number: u64, outcome: Outcome) -> Option<Parked> {
        let parked = self.outstanding.parked.remove(number)?;
        self.forget_entry(number, &parked.kind);
        self.progress.parked(number, None);
        let key = (parked.schedule.clone(), parked.revision);
        let kind = parked.kind.clone();
        let creation = self.creation_of(&key);
        self.progress.row(Row { kind, ..row(self.now(), (&key, creation), parked.stands_for, outcome) });
        Some(parked)
    }

    /// What was asked for counts no longer as waiting.
    fn forget_entry(&mut self, number: u64, kind: &EventKind) {
        self.operations.forget_entry(number, kind);
        self.triggers.forget_entry(number);
    }

    /// Has them sent again, once that is durable. What is being sent already stays so.
    pub(super) fn release(&mut self, numbers: &[u64]) {
        let ticket = self.progress.next_ticket();
        for number in numbers {
            if self.outstanding.parked.get(*number).is_some() && !self.is_being_sent(*number) {
                self.outstanding.parked.release(*number, ticket);
                self.write_parked(*number);
                self.progress.urge();
            }
        }
    }

    /// Drops them for ever, but for those that are being sent, or may be by a restart.
    pub(super) fn drop_parked(&mut self, numbers: &[u64]) {
        for number in numbers {
            if self.is_droppable(*number) {
                self.drop_one(*number, Outcome::Dropped);
                self.progress.urge();
            }
        }
    }

    /// Whether something of a parked entry is on its way, or may be soon: so it is neither dropped nor released.
    pub fn is_being_sent(&self, number: u64) -> bool {
        self.outstanding.parked.is_being_sent(number)
            || self.outstanding.stands_in_span(number) && !self.is_at_rest(number)
    }

    /// Whether the schedule of a parked entry is paused by its name. A span in which it stands passes over it then as soon as
    /// it goes on, also if the entry is released meanwhile; but not if it is gone.
    fn is_at_rest(&self, number: u64) -> bool {
        self.outstanding.parked.get(number).is_some_and(|parked| self.pausing.is_paused(&parked.schedule))
    }

    /// Whether a parked entry can be dropped: nothing of it is being sent, and the write that drops it has W above it, so that
    /// no restart sends it. What lies ahead since the clock was set back comes again in any case.
    pub fn is_droppable(&self, number: u64) -> bool {
        let Some(parked) = self.outstanding.parked.get(number) else { return true };
        if self.outstanding.is_being_sent(number) {
            return false;
        }
        if parked.is_asked_for() {
            return true;
        }
        let Some(revision) = self.revision(&(parked.schedule.clone(), parked.revision)) else { return true };
        let timing = revision.timing();
        let is_passed = parked.stands_for.last.plus(timing.jitter()) <= self.settled();
        is_passed || timing.is_one_shot() || timing.send_time(parked.first().last) > self.now()
    }

    pub(super) fn hand_over_parked(&mut self, now: Timestamp) {
        let mut left = AT_ONCE;
        while self.outstanding.has_room_behind() {
            if left == 0 {
                self.more = true;
                return;
            }
            left -= 1;
            let Some(number) = self.outstanding.parked.next_turn(now) else { return };
            self.hand_over_entry(number, now, false);
        }
    }

    /// Has the turn of an entry. `is_let`: its ceiling lets it hand one over.
    pub(super) fn hand_over_entry(&mut self, number: u64, now: Timestamp, is_let: bool) {
        let Some(parked) = self.outstanding.parked.get(number) else { return };
        let asked_for = parked.is_asked_for();
        // What somebody asks for is sent though its schedule is paused.
        match self.pausing.rest_of(&parked.schedule, &self.progress).filter(|_| !asked_for) {
            Some(Rest::Paused) => {
                self.outstanding.parked.pause(number);
                return;
            }
            Some(Rest::Until(ticket)) => {
                self.outstanding.parked.await_write(number, ticket);
                return;
            }
            None => {}
        }
        // One that rests stands still for as long as that may be: so its pause was asked for first.
        if self.outstanding.stands_in_span(number) {
            self.outstanding.parked.delay(number, now.plus(LOST));
            return;
        }
        let key = (parked.schedule.clone(), parked.revision);
        let stands_for = parked.first();
        let revision = self.revision(&key);
        let schedule = revision.as_ref().and_then(|revision| revision.build().ok());
        match revision.zip(schedule) {
            // Parked before the clock was set back.
            Some((_, schedule)) if !asked_for && schedule.timing.send_time(stands_for.last) > now => {
                let at = schedule.timing.send_time(stands_for.last);
                self.outstanding.parked.set_aside(number, at);
            }
            Some((_, schedule))
                if !asked_for && !self.is_reserved(schedule.timing.send_time(stands_for.last)) =>
            {
                let ticket = self.progress.next_ticket();
                self.outstanding.parked.await_write(number, ticket);
            }
            Some((_, schedule))
                if !is_let && let Some(ceiling) = self.ceiling_over(schedule.event.as_str()) =>
            {
                self.outstanding.parked.turns.await_ceiling(number, ceiling, now);
            }
            Some((revision, schedule)) => {
                self.outstanding.parked.handed_over(number);
                let (owner, schedule) = (Owner::Parked(number), Arc::new(schedule));
                self.dispatch(owner, revision.era(), schedule, stands_for, now, None);
            }
            None => {
                // It can't be sent: so it can be dropped.
                self.outstanding.parked.leave(number);
                self.write_parked(number);
                let reason = "its definition is not kept any more".to_owned();
                self.out.notices.push(Notice::Unreadable { schedule: key.0, reason });
            }
        }
    }

    pub(super) fn settle_parked(&mut self, number: u64, sending: &Sending, answer: Answer) {
        self.outstanding.parked.answered(number, answer == Answer::Lost);
        let Some(parked) = self.outstanding.parked.get(number) else { return };
        let key = (parked.schedule.clone(), parked.revision);
        if answer == Answer::Lost {
            let at = self.now().plus(LOST);
            return self.outstanding.parked.delay(number, at);
        }
        let revision = self.revision(&key);
        let unrouted = || match &revision {
            // To a queue of its own that is not there.
            _ if self.operations.queue(&sending.kind).is_some() => Unrouted::Park,
            Some(revision) => revision.definition.conduct().unrouted,
            None => Unrouted::Ignore,
        };
        let Some(refused) = refusal(unrouted, &answer) else {
            self.confirmed(&key, sending, answer == Answer::Confirmed { returned: true }, false);
            self.note_backfilled(&sending.kind);
            let next = revision.and_then(|revision| revision.timing().after(sending.stands_for.last));
            return self.follow_on(number, sending, next);
        };
        if self.operations.is_cancelled(&sending.kind) {
            drop(self.drop_one(number, Outcome::Dropped));
            return;
        }
        self.refuse_again(number, &key, sending, refused);
    }

    /// The first event of an entry is refused again: it waits longer, or it is given up. What a person released is parked again.
    fn refuse_again(
        &mut self,
        number: u64,
        key: &SpanKey,
        sending: &Sending,
        (reason, again): (String, bool),
    ) {
        let now = self.now();
        let Some(parked) = self.outstanding.parked.get_mut(number) else { return };
        parked.refused = parked.refused.saturating_add(u8::from(again));
        // What a command asked for is released from its birth: then no person did it.
        let is_new = parked.is_asked_for() && parked.reason.is_empty();
        parked.reason.clone_from(&reason);
        let (released, refused, kind) = (parked.released && !is_new, parked.refused, parked.kind.clone());
        if parked.released {
            parked.at = now;
            let outcome = Outcome::Parked(reason.clone());
            self.progress.row(Row { kind, ..row(now, (key, sending.creation), sending.stands_for, outcome) });
        }
        parked.released = false;
        match self.resends(key).wait(refused).filter(|_| again && !released) {
            Some(wait) => {
                self.outstanding.parked.retry(number, now.plus(wait));
                if is_new {
                    self.leave_surplus(number, sending.stands_for.last);
                }
            }
            None => {
                self.outstanding.parked.leave(number);
                self.say_parked(number, sending.stands_for.last);
            }
        }
        self.write_parked(number);
        if again {
            self.note_refusal(key, &reason, number);
        }
    }

    /// The first event of an entry is settled: the next of its run follows, or it is gone.
    fn follow_on(&mut self, number: u64, sending: &Sending, next: Option<Timestamp>) {
        let parked = self.outstanding.parked.get_mut(number).filter(|parked| {
            parked.singly && sending.stands_for.last < parked.stands_for.last && parked.stands_for.count > 1
        });
        match parked.zip(next) {
            Some((parked, next)) => {
                parked.refused = 0;
                let released = parked.released;
                self.outstanding.parked.shorten(number, next);
                match released {
                    // What is durable is that the whole run was released.
                    true => self.outstanding.parked.delay(number, Timestamp::EPOCH),
                    false => self.outstanding.parked.retry(number, self.now()),
                }
                self.write_parked(number);
            }
            None => {
                if let Some(parked) = self.outstanding.parked.remove(number) {
                    self.forget_entry(number, &parked.kind);
                }
                self.progress.parked(number, None);
            }
        }
    }
}

//! Parked events: what the broker refused, or what reached nobody where somebody must be bound.
//!
//! Neighbouring occurrences of one revision that are parked for one reason are one entry: so what stands still for long
//! stays small. What was refused is sent again by itself: of each schedule the first event of the oldest entry, a few times
//! and backed off. Accepted, the rest of its run follows singly, in order. Given up, it stays for a person, who has it sent
//! again or drops it. Nothing waits for it: the next occurrence goes out on time.
//!
//! Invariants: what is parked goes down with the write that lets W pass it. A release is durable before anything of it is
//! handed over; of what is being sent nothing is dropped, for it may be on its way. At most eight entries of a schedule
//! are sent again by themselves, and there are at most [`Rules::parked`](super::Rules::parked) in all.

use super::{
    Answer, Coalesced, Notice, Outcome, Parked,
    core::Engine,
    in_flight::{Owner, Sending},
    progress::{SpanKey, row},
    settle::{LOST, refusal},
};
use khronos_schedule::Unrouted;
use ponos_event::Timestamp;
use std::sync::Arc;

/// The alarm begins at this part of the limit.
const ALARM: usize = 10;

#[cfg(test)]
mod tests;

impl Engine {
    /// Parks an event that is given up on for now: because of `reason`, and whether sending it again can help.
    pub(super) fn park(&mut self, key: &SpanKey, stands_for: Coalesced, (reason, again): (String, bool)) {
        let now = self.now();
        self.progress.row(row(now, key, stands_for, Outcome::Parked(reason.clone())));
        if let Some(number) = self.join_parked(key, stands_for, &reason) {
            return self.write_parked(number);
        }
        self.make_room();
        let refused = u8::from(again);
        let retry_at = self.retry_wait(key, refused).filter(|_| again).map(|wait| now.plus(wait));
        let number = self.outstanding.parked.add(Parked {
            schedule: key.0.clone(),
            revision: key.1,
            stands_for,
            reason: reason.clone(),
            at: now,
            released: false,
            singly: stands_for.count == 1,
            refused,
            retry_at,
        });
        self.write_parked(number);
        if retry_at.is_none() {
            self.say_parked(number, stands_for.last, reason);
        } else if let Some(surplus) = self.outstanding.parked.surplus(&key.0) {
            self.outstanding.parked.leave(surplus);
            self.write_parked(surplus);
        }
    }

    /// Joins the entry of the revision that comes before it, if this is the next after it and the reason is the same.
    fn join_parked(&mut self, key: &SpanKey, one: Coalesced, reason: &str) -> Option<u64> {
        let number = self.outstanding.parked.last_before(key, one.last).filter(|_| one.count == 1)?;
        let before = self.outstanding.parked.get(number);
        let before = before.filter(|parked| parked.singly && !parked.released && parked.reason == reason)?;
        let next = self.revision(key)?.timing().after(before.stands_for.last);
        if next != Some(one.last) {
            return None;
        }
        self.outstanding.parked.extend(number, one.last);
        Some(number)
    }

    /// How long what was refused so often waits until it is sent again; `None`: it is given up.
    fn retry_wait(&self, key: &SpanKey, refused: u8) -> Option<i64> {
        let policy = self.revision(key).map(|revision| revision.definition.conduct().resends);
        self.rules.resends.with(policy.unwrap_or_default()).wait(refused)
    }

    fn write_parked(&mut self, number: u64) {
        self.progress.parked(number, self.outstanding.parked.get(number));
    }

    fn say_parked(&mut self, number: u64, due: Timestamp, reason: String) {
        if let Some(parked) = self.outstanding.parked.get(number) {
            self.out.notices.push(Notice::Parked { number, schedule: parked.schedule.clone(), due, reason });
        }
    }

    /// Where there are too many, the oldest goes for good.
    fn make_room(&mut self) {
        let most = self.rules.parked.max(1);
        let count = self.outstanding.parked.entries().len() + 1;
        let alarmed = count >= most.div_ceil(ALARM);
        if alarmed && !self.outstanding.parked.alarmed {
            self.out.notices.push(Notice::ManyParked { count, most });
        }
        self.outstanding.parked.alarmed = alarmed;
        if count <= most {
            return;
        }
        if let Some(number) = self.outstanding.oldest_parked()
            && let Some(parked) = self.drop_one(number, Outcome::DroppedAtLimit)
        {
            let Parked { schedule, stands_for, .. } = parked;
            self.out.notices.push(Notice::DroppedAtLimit { number, schedule, stands_for });
        }
    }

    fn drop_one(&mut self, number: u64, outcome: Outcome) -> Option<Parked> {
        let parked = self.outstanding.parked.remove(number)?;
        self.progress.parked(number, None);
        let key = (parked.schedule.clone(), parked.revision);
        self.progress.row(row(self.now(), &key, parked.stands_for, outcome));
        Some(parked)
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

    /// Drops them for ever, but for those that are being sent.
    pub(super) fn drop_parked(&mut self, numbers: &[u64]) {
        for number in numbers {
            if !self.is_being_sent(*number) {
                self.drop_one(*number, Outcome::Dropped);
                self.progress.urge();
            }
        }
    }

    /// Whether something of a parked entry is on its way, or may be soon: so it is neither dropped nor released.
    pub fn is_being_sent(&self, number: u64) -> bool {
        self.outstanding.is_being_sent(number)
    }

    pub(super) fn hand_over_parked(&mut self, now: Timestamp) {
        while self.outstanding.has_room_behind() {
            let is_durable = |ticket| self.progress.is_durable(ticket);
            let Some(number) = self.outstanding.parked.next_turn(now, is_durable) else { return };
            if self.outstanding.stands_in_span(number) {
                self.outstanding.parked.await_turn(number, now.plus(LOST), 0);
                continue;
            }
            let Some(parked) = self.outstanding.parked.get(number) else { continue };
            let key = (parked.schedule.clone(), parked.revision);
            let stands_for = parked.first();
            let revision = self.revision(&key);
            let schedule = revision.as_ref().and_then(|revision| revision.build().ok());
            match revision.zip(schedule) {
                // Parked before the clock was set back.
                Some((_, schedule)) if schedule.timing.send_time(stands_for.last) > now => {
                    let at = schedule.timing.send_time(stands_for.last);
                    self.outstanding.parked.await_turn(number, at, 0);
                }
                Some((_, schedule)) if !self.is_reserved(schedule.timing.send_time(stands_for.last)) => {
                    let ticket = self.progress.next_ticket();
                    self.outstanding.parked.await_turn(number, now, ticket);
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
    }

    pub(super) fn settle_parked(&mut self, number: u64, sending: &Sending, answer: Answer) {
        self.outstanding.parked.answered(number);
        let Some(parked) = self.outstanding.parked.get(number) else { return };
        let key = (parked.schedule.clone(), parked.revision);
        if let Answer::Refused(reason) = &answer {
            self.note_refusal(&key, reason);
        }
        if answer == Answer::Lost {
            let at = self.now().plus(LOST);
            return self.outstanding.parked.await_turn(number, at, 0);
        }
        let revision = self.revision(&key);
        let unrouted = || match &revision {
            Some(revision) => revision.definition.conduct().unrouted,
            None => Unrouted::Ignore,
        };
        let Some(refused) = refusal(unrouted, &answer) else {
            self.confirmed(&key, sending, answer == Answer::Confirmed { returned: true }, false);
            let next = revision.and_then(|revision| revision.timing().after(sending.stands_for.last));
            return self.follow_on(number, sending, next);
        };
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
        parked.reason.clone_from(&reason);
        parked.refused = parked.refused.saturating_add(u8::from(again));
        let (released, refused) = (parked.released, parked.refused);
        if released {
            parked.at = now;
            self.progress.row(row(now, key, sending.stands_for, Outcome::Parked(reason.clone())));
        }
        match self.retry_wait(key, refused).filter(|_| again && !released) {
            Some(wait) => self.outstanding.parked.retry(number, now.plus(wait)),
            None => {
                self.outstanding.parked.leave(number);
                self.say_parked(number, sending.stands_for.last, reason);
            }
        }
        self.write_parked(number);
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
                    true => self.outstanding.parked.await_turn(number, Timestamp::EPOCH, 0),
                    false => self.outstanding.parked.retry(number, self.now()),
                }
                self.write_parked(number);
            }
            None => {
                self.outstanding.parked.remove(number);
                self.progress.parked(number, None);
            }
        }
    }
}

//! Parked events: what was given up on, kept until a person has it sent again or drops it.
//!
//! Neighbouring occurrences of one revision that are parked for one reason are one entry: so what stands still for long
//! stays small. Invariants: a release is durable before anything of it is handed over; of an entry that is released
//! nothing is dropped, for it may be on its way; what is refused again, or reaches nobody where somebody must be bound,
//! is parked again; there are at most [`Rules::parked`](super::Rules::parked) entries.

use super::{
    Answer, Coalesced, Notice, Outcome, Parked,
    catch_up::single,
    core::Engine,
    in_flight::{Owner, Sending},
    progress::{SpanKey, row},
    settle::{LOST, refusal},
};
use khronos_schedule::Unrouted;
use ponos_event::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    sync::Arc,
};

/// The alarm begins at this part of the limit.
const ALARM: usize = 10;

#[cfg(test)]
mod tests;

#[derive(Debug, Default)]
pub(super) struct ParkedSet {
    entries: BTreeMap<u64, Parked>,
    /// Of each revision: its newest entry, which neighbours join (0 where that is gone), and how many it has.
    of: HashMap<SpanKey, (u64, usize)>,
    /// Released, in the order in which they are handed over.
    released: BTreeSet<Release>,
    last: u64,
    /// How many events all entries are.
    events: u64,
    /// The limit is near, and that was said.
    alarmed: bool,
}

/// An entry whose next event is to be handed over.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Release {
    /// Not before this instant …
    at: Timestamp,
    /// … and once the write with this ticket is durable.
    ticket: u64,
    number: u64,
}

impl ParkedSet {
    /// As it was kept.
    pub(super) fn new(kept: Vec<(u64, Parked)>) -> Self {
        let mut set = Self { last: kept.last().map_or(0, |(number, _)| *number), ..Self::default() };
        for (number, parked) in kept {
            if parked.released {
                set.released.insert(Release { number, ticket: 0, at: Timestamp::EPOCH });
            }
            set.put(number, parked);
        }
        set
    }

    pub(super) fn entries(&self) -> &BTreeMap<u64, Parked> {
        &self.entries
    }

    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Whether something of this revision is parked.
    pub(super) fn holds(&self, key: &SpanKey) -> bool {
        self.of.contains_key(key)
    }

    fn put(&mut self, number: u64, parked: Parked) {
        self.events += parked.events();
        let of = self.of.entry((parked.schedule.clone(), parked.revision)).or_default();
        *of = (number, of.1 + 1);
        self.entries.insert(number, parked);
    }

    fn remove(&mut self, number: u64) -> Option<Parked> {
        let parked = self.entries.remove(&number)?;
        self.events -= parked.events();
        if let Entry::Occupied(mut of) = self.of.entry((parked.schedule.clone(), parked.revision)) {
            let (newest, count) = *of.get();
            match count {
                0 | 1 => drop(of.remove()),
                _ => drop(of.insert((if newest == number { 0 } else { newest }, count - 1))),
            }
        }
        Some(parked)
    }

    /// Lets what waits for an instant after this one wait for it no longer: the clock was set back to it.
    pub(super) fn wake(&mut self, now: Timestamp) {
        while self.released.last().is_some_and(|release| release.at > now)
            && let Some(release) = self.released.pop_last()
        {
            self.released.insert(Release { at: now, ..release });
        }
    }

    /// When the next that was released may be handed over, as far as time alone decides.
    pub(super) fn next_release(&self) -> Option<Timestamp> {
        self.released.first().map(|release| release.at)
    }
}

impl Parked {
    /// How many events it is.
    pub fn events(&self) -> u64 {
        if self.singly { self.stands_for.count } else { 1 }
    }

    /// What its next event stands for.
    fn first(&self) -> Coalesced {
        if self.singly { single(self.stands_for.first) } else { self.stands_for }
    }
}

impl Engine {
    /// Gives up on an event for now.
    pub(super) fn park(&mut self, key: &SpanKey, stands_for: Coalesced, reason: String) {
        let now = self.now();
        self.progress.row(row(now, key, stands_for, Outcome::Parked(reason.clone())));
        let number = match self.join_parked(key, stands_for, &reason) {
            Some(number) => number,
            None => {
                self.make_room();
                self.outstanding.parked.last += 1;
                let (schedule, reason) = (key.0.clone(), reason.clone());
                let (revision, singly) = (key.1, stands_for.count == 1);
                let parked =
                    Parked { schedule, revision, stands_for, reason, at: now, released: false, singly };
                self.outstanding.parked.put(self.outstanding.parked.last, parked);
                self.outstanding.parked.last
            }
        };
        self.progress.parked(number, self.outstanding.parked.entries.get(&number));
        let (schedule, due) = (key.0.clone(), stands_for.last);
        self.out.notices.push(Notice::Parked { number, schedule, due, reason });
    }

    /// Joins the newest entry of the revision, if this is the next after it and the reason is the same.
    fn join_parked(&mut self, key: &SpanKey, one: Coalesced, reason: &str) -> Option<u64> {
        let (number, _) = *self.outstanding.parked.of.get(key).filter(|_| one.count == 1)?;
        let before = self.outstanding.parked.entries.get(&number).filter(|parked| {
            parked.singly && !parked.released && parked.reason == reason && parked.stands_for.last < one.last
        })?;
        let next = self.revision(key)?.timing().after(before.stands_for.last);
        if next != Some(one.last) {
            return None;
        }
        let parked = self.outstanding.parked.entries.get_mut(&number)?;
        parked.stands_for.last = one.last;
        parked.stands_for.count += 1;
        self.outstanding.parked.events += 1;
        Some(number)
    }

    /// Where there are too many, the oldest goes for good.
    fn make_room(&mut self) {
        let most = self.rules.parked.max(1);
        let count = self.outstanding.parked.entries.len() + 1;
        let alarmed = count >= most.div_ceil(ALARM);
        if alarmed && !self.outstanding.parked.alarmed {
            self.out.notices.push(Notice::ManyParked { count, most });
        }
        self.outstanding.parked.alarmed = alarmed;
        if count <= most {
            return;
        }
        let oldest = self
            .outstanding
            .parked
            .entries
            .iter()
            .find(|(_, parked)| !parked.released)
            .map(|(number, _)| *number);
        if let Some(number) = oldest
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

    /// Has them sent again, once that is durable. What is released already is being sent, and stays so.
    pub(super) fn release(&mut self, numbers: &[u64]) {
        let ticket = self.progress.next_ticket();
        for number in numbers {
            if let Some(parked) =
                self.outstanding.parked.entries.get_mut(number).filter(|parked| !parked.released)
            {
                parked.released = true;
                self.progress.parked(*number, Some(parked));
                self.outstanding.parked.released.insert(Release {
                    number: *number,
                    ticket,
                    at: Timestamp::EPOCH,
                });
            }
        }
    }

    /// Drops them for ever, but for those that are being sent.
    pub(super) fn drop_parked(&mut self, numbers: &[u64]) {
        for number in numbers {
            let parked = self.outstanding.parked.entries.get(number);
            if parked.is_some_and(|parked| !parked.released) {
                self.drop_one(*number, Outcome::Dropped);
            }
        }
    }

    pub(super) fn hand_over_released(&mut self, now: Timestamp) {
        while self.outstanding.has_room_behind() {
            let ready = |release: &&Release| self.progress.is_durable(release.ticket) && release.at <= now;
            if self.outstanding.parked.released.first().filter(ready).is_none() {
                return;
            }
            let Some(Release { number, .. }) = self.outstanding.parked.released.pop_first() else { return };
            let Some(parked) = self.outstanding.parked.entries.get(&number) else { continue };
            let key = (parked.schedule.clone(), parked.revision);
            let stands_for = parked.first();
            let revision = self.revision(&key);
            let schedule = revision.as_ref().and_then(|revision| revision.build().ok());
            match revision.zip(schedule) {
                // Parked before the clock was set back.
                Some((_, schedule)) if schedule.timing.send_time(stands_for.last) > now => {
                    let at = schedule.timing.send_time(stands_for.last);
                    self.outstanding.parked.released.insert(Release { at, ticket: 0, number });
                }
                Some((_, schedule)) if !self.is_reserved(schedule.timing.send_time(stands_for.last)) => {
                    let ticket = self.progress.next_ticket();
                    self.outstanding.parked.released.insert(Release { at: now, ticket, number });
                }
                Some((revision, schedule)) => {
                    let (owner, schedule) = (Owner::Parked(number), Arc::new(schedule));
                    self.dispatch(owner, revision.era(), schedule, stands_for, now, None);
                }
                None => {
                    // It can't be sent: so it can be dropped.
                    self.keep_parked(number);
                    let reason = "its definition is not kept any more".to_owned();
                    self.out.notices.push(Notice::Unreadable { schedule: key.0, reason });
                }
            }
        }
    }

    /// Parks a released entry again; for a reason of its own if there is one.
    fn keep_parked(&mut self, number: u64) {
        if let Some(parked) = self.outstanding.parked.entries.get_mut(&number) {
            parked.released = false;
            self.progress.parked(number, Some(parked));
        }
    }

    pub(super) fn settle_parked(&mut self, number: u64, sending: &Sending, answer: Answer) {
        let now = self.now();
        let Some(parked) = self.outstanding.parked.entries.get_mut(&number) else { return };
        let key = (parked.schedule.clone(), parked.revision);
        if let Answer::Refused(reason) = &answer {
            self.note_refusal(&key, reason);
        }
        if answer == Answer::Lost {
            let at = now.plus(LOST);
            self.outstanding.parked.released.insert(Release { number, ticket: 0, at });
            return;
        }
        let revision = self.revision(&key);
        let unrouted = || match &revision {
            Some(revision) => revision.definition.conduct().unrouted,
            None => Unrouted::Ignore,
        };
        let Some((reason, _)) = refusal(unrouted, &answer) else {
            self.confirmed(&key, sending, answer == Answer::Confirmed { returned: true }, false);
            let next = revision.and_then(|revision| revision.timing().after(sending.stands_for.last));
            return self.settled_of(number, sending, next);
        };
        if let Some(parked) = self.outstanding.parked.entries.get_mut(&number) {
            parked.reason.clone_from(&reason);
            parked.at = now;
        }
        self.keep_parked(number);
        self.progress.row(row(now, &key, sending.stands_for, Outcome::Parked(reason.clone())));
        let (schedule, due) = (key.0, sending.stands_for.last);
        self.out.notices.push(Notice::Parked { number, schedule, due, reason });
    }

    /// The first event of an entry is settled: the next of its run follows, or it is gone.
    fn settled_of(&mut self, number: u64, sending: &Sending, next: Option<Timestamp>) {
        let rest = self.outstanding.parked.entries.get_mut(&number).filter(|parked| {
            parked.singly && sending.stands_for.last < parked.stands_for.last && parked.stands_for.count > 1
        });
        match rest.zip(next) {
            Some((parked, next)) => {
                parked.stands_for.first = next;
                parked.stands_for.count -= 1;
                self.outstanding.parked.events -= 1;
                self.progress.parked(number, Some(parked));
                // What is durable is that the whole run was released.
                let again = Release { number, ticket: 0, at: Timestamp::EPOCH };
                self.outstanding.parked.released.insert(again);
            }
            None => {
                self.outstanding.parked.remove(number);
                self.progress.parked(number, None);
            }
        }
    }
}

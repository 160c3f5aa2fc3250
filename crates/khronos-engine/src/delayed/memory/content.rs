//! What lies in the memory, and what a batch makes of it.

use crate::{
    Answered, ChangeEntry, MessageKey, Outcome,
    delayed::{
        ANSWERS_KEPT, Balance, DelayedBatch, DelayedEvent, DelayedKey, DelayedLimits, DelayedRow,
        DelayedSnapshot, DelayedStep, OwnerShare, PORTION, ParkedEvent, TOMBSTONES_KEPT, Tombstone,
    },
};
use ponos_event::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    pub(super) term: u64,
    pub(super) writes: u64,
    created: u64,
    pub(super) balance: Balance,
    pub(super) pending: BTreeMap<DelayedKey, DelayedEvent>,
    /// When each is to be sent.
    pub(super) names: BTreeMap<Arc<str>, Timestamp>,
    pub(super) parked: BTreeMap<u64, ParkedEvent>,
    pub(super) tombstones: BTreeMap<Arc<str>, Tombstone>,
    tombstone_ages: BTreeSet<(Timestamp, Arc<str>)>,
    pub(super) messages: BTreeMap<MessageKey, Answered>,
    message_ages: BTreeSet<(Timestamp, MessageKey)>,
    owners: BTreeMap<Arc<str>, OwnerShare>,
    pub(super) rows: VecDeque<DelayedRow>,
    pub(super) last_row: u64,
    pub(super) changes: VecDeque<ChangeEntry>,
    /// About how many bytes they take.
    changes_bytes: u64,
    pub(super) last_change: u64,
}

impl Content {
    pub(super) fn snapshot(&self) -> DelayedSnapshot {
        DelayedSnapshot {
            created: self.created,
            balance: self.balance,
            last_row: self.last_row,
            owners: self.owners.iter().map(|(owner, share)| (owner.clone(), *share)).collect(),
        }
    }

    /// The pending event of this name.
    pub(super) fn named(&self, name: &Arc<str>) -> Option<&DelayedEvent> {
        let send = *self.names.get(name)?;
        self.pending.get(&DelayedKey { send, name: name.clone() })
    }

    pub(super) fn apply(&mut self, batch: &DelayedBatch, limits: &DelayedLimits) {
        self.writes += 1;
        self.created = self.created.max(batch.created);
        let (rows, tombstones) = (self.last_row, self.tombstones.len());
        for step in &batch.steps {
            self.step(step, batch.now);
        }
        for (key, answered) in &batch.messages {
            self.forget_message(key);
            self.share(&key.0).answers += weight(answered);
            self.message_ages.insert((answered.at, key.clone()));
            self.messages.insert(key.clone(), answered.clone());
        }
        self.changes.extend(batch.changes.iter().cloned());
        self.changes_bytes += batch.changes.iter().map(|change| change.bytes() as u64).sum::<u64>();
        self.last_change += batch.changes.len() as u64;

        let rows = usize::try_from(self.last_row - rows).unwrap_or(usize::MAX);
        self.trim_rows(batch.now, limits, rows.saturating_add(PORTION));
        self.trim_changes(batch.now, limits, batch.changes.len() + PORTION);
        let tombstones = self.tombstones.len().saturating_sub(tombstones) + PORTION;
        self.trim_tombstones(batch.now, limits, tombstones);
        self.trim_messages(batch.now, batch.messages.len() + PORTION);
    }

    fn step(&mut self, step: &DelayedStep, now: Timestamp) {
        match step {
            DelayedStep::Put(event) => self.put(event),
            DelayedStep::Cancel(name) => {
                let send = self.names.get(name).copied();
                let key = send.map(|send| DelayedKey { send, name: name.clone() });
                if key.and_then(|key| self.take(&key)).is_some() {
                    self.balance.cancelled += 1;
                }
            }
            DelayedStep::Settle { key, outcome, keeps_content } => {
                let Some(event) = self.take(key) else { return };
                self.balance.settled += 1;
                if event.head.is_named {
                    self.bury(&event, now);
                }
                self.end(event, now, outcome, *keeps_content);
            }
            DelayedStep::Release(creation) => {
                if let Some(parked) = self.parked.get_mut(creation) {
                    parked.released = true;
                }
            }
            DelayedStep::Unpark { creation, outcome, keeps_content } => {
                if let Some(parked) = self.parked.remove(creation) {
                    let owner = parked.event.head.owner.clone();
                    self.share(&owner).parked -= 1;
                    self.end(parked.event, now, outcome, *keeps_content);
                    self.leave(&owner);
                }
            }
        }
    }

    fn put(&mut self, event: &DelayedEvent) {
        let head = &event.head;
        self.created = self.created.max(head.creation);
        match self.names.get(&head.key.name) {
            Some(send) => drop(self.take(&DelayedKey { send: *send, name: head.key.name.clone() })),
            None => self.balance.accepted += 1,
        }
        self.names.insert(head.key.name.clone(), head.key.send);
        self.share(&head.owner).pending += 1;
        self.balance.pending += 1;
        self.pending.insert(head.key.clone(), event.clone());
    }

    /// Takes one away that is pending.
    fn take(&mut self, key: &DelayedKey) -> Option<DelayedEvent> {
        let event = self.pending.remove(key)?;
        self.names.remove(&key.name);
        self.balance.pending -= 1;
        self.share(&event.head.owner).pending -= 1;
        self.leave(&event.head.owner);
        Some(event)
    }

    fn end(&mut self, event: DelayedEvent, now: Timestamp, outcome: &Outcome, keeps_content: bool) {
        let content = keeps_content.then(|| event.content.clone());
        self.rows.push_back(DelayedRow::of(&event.head, now, outcome.clone(), content));
        self.last_row += 1;
        if let Outcome::Parked(reason) = outcome {
            let reason = reason.as_str().into();
            self.share(&event.head.owner).parked += 1;
            let parked = ParkedEvent { event, reason, since: now, released: false };
            self.parked.insert(parked.event.head.creation, parked);
        }
    }

    fn bury(&mut self, event: &DelayedEvent, now: Timestamp) {
        let name = &event.head.key.name;
        if let Some(before) = self.tombstones.insert(name.clone(), Tombstone::of(&event.head, now)) {
            self.tombstone_ages.remove(&(before.at, name.clone()));
        }
        self.tombstone_ages.insert((now, name.clone()));
    }

    fn forget_message(&mut self, key: &MessageKey) {
        if let Some(before) = self.messages.remove(key) {
            self.message_ages.remove(&(before.at, key.clone()));
            self.share(&key.0).answers -= weight(&before);
            self.leave(&key.0);
        }
    }

    pub(super) fn owner(&self, owner: &str) -> OwnerShare {
        self.owners.get(owner).copied().unwrap_or_default()
    }

    fn share(&mut self, owner: &Arc<str>) -> &mut OwnerShare {
        self.owners.entry(owner.clone()).or_default()
    }

    /// Nobody is known who has nothing.
    fn leave(&mut self, owner: &Arc<str>) {
        if self.owners.get(owner) == Some(&OwnerShare::default()) {
            self.owners.remove(owner);
        }
    }

    fn trim_rows(&mut self, now: Timestamp, limits: &DelayedLimits, most: usize) {
        for _ in 0..most {
            let too_many = self.rows.len() as u64 > limits.rows;
            let too_old = |row: &DelayedRow| now.since(row.at) > limits.age;
            if !too_many && !self.rows.front().is_some_and(too_old) {
                break;
            }
            self.rows.pop_front();
        }
    }

    fn trim_changes(&mut self, now: Timestamp, limits: &DelayedLimits, most: usize) {
        for _ in 0..most {
            let too_many =
                self.changes.len() as u64 > limits.changes || self.changes_bytes > limits.changes_bytes;
            let too_old = |change: &ChangeEntry| now.since(change.at) > limits.changes_age;
            if !too_many && !self.changes.front().is_some_and(too_old) {
                break;
            }
            let Some(gone) = self.changes.pop_front() else { break };
            self.changes_bytes = self.changes_bytes.saturating_sub(gone.bytes() as u64);
        }
    }

    fn trim_tombstones(&mut self, now: Timestamp, limits: &DelayedLimits, most: usize) {
        for _ in 0..most {
            let too_many = self.tombstones.len() as u64 > limits.tombstones;
            let too_old = |(at, _): &(Timestamp, _)| now.since(*at) > TOMBSTONES_KEPT;
            if !too_many && !self.tombstone_ages.first().is_some_and(too_old) {
                break;
            }
            if let Some((_, name)) = self.tombstone_ages.pop_first() {
                self.tombstones.remove(&name);
            }
        }
    }

    fn trim_messages(&mut self, now: Timestamp, most: usize) {
        for _ in 0..most {
            match self.message_ages.first().cloned() {
                Some((at, key)) if now.since(at) > ANSWERS_KEPT => self.forget_message(&key),
                _ => break,
            }
        }
    }
}

fn weight(answered: &Answered) -> u64 {
    1 + answered.verdicts.len() as u64
}

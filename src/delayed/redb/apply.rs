//! What a batch makes of the tables, within one transaction.

use super::{
    encoding,
    guard::Failed,
    meta::Meta,
    tables::{self, Written},
    trim,
};
use crate::engine::{
    Answered, MessageKey, Outcome,
    delayed::{
        DelayedBatch, DelayedEvent, DelayedKey, DelayedLimits, DelayedRow, DelayedStep, OwnerShare,
        ParkedEvent, Tombstone,
    },
};
use ::redb::{ReadableTable as _, ReadableTableMetadata as _, WriteTransaction};
use ponos::event::Timestamp;
use std::{collections::HashMap, sync::Arc};

/// Writes a batch, and trims what is too old or too much.
pub(super) fn apply(
    transaction: &WriteTransaction,
    batch: &DelayedBatch,
    limits: &DelayedLimits,
    meta: &mut Meta,
) -> Result<(), Failed> {
    meta.created = meta.created.max(batch.created);
    let mut applying = Applying::new(transaction, batch.now)?;
    let (rows, tombstones) = (meta.last_row, applying.tombstones.len()?);
    for step in &batch.steps {
        applying.step(step, meta)?;
    }
    for (key, answered) in &batch.messages {
        applying.answer(key, answered)?;
    }
    let mut changes = tables::written(transaction, tables::CHANGES)?;
    let mut entry = tables::written(transaction, tables::META)?;
    let before = entry.get(encoding::CHANGES_BYTES)?.map(|bytes| encoding::read::<u64>(bytes.value()));
    let before = before.transpose()?.unwrap_or(0);
    let mut bytes = before;
    for change in &batch.changes {
        meta.last_change += 1;
        bytes += change.bytes() as u64;
        let value = encoding::value(change)?;
        changes.insert(&encoding::number(meta.last_change)[..], &value[..])?;
    }
    trim::rows(&mut applying.record, batch.now, limits, meta.last_row - rows, meta)?;
    trim::changes(&mut changes, batch.now, limits, (batch.changes.len() as u64, &mut bytes), meta)?;
    let added = applying.tombstones.len()?.saturating_sub(tombstones);
    let ages = &mut applying.tombstone_ages;
    trim::tombstones(&mut applying.tombstones, ages, batch.now, limits, added)?;
    applying.trim_messages(batch.messages.len() as u64)?;
    applying.write_shares()?;
    if !meta.balance.is_right() {
        return Err(Failed::Unreadable("its balance is wrong".into()));
    }
    if bytes != before {
        entry.insert(encoding::CHANGES_BYTES, &encoding::value(&bytes)?[..])?;
    }
    entry.insert(encoding::META, &encoding::value(meta)?[..])?;
    Ok(())
}

/// The tables that steps and messages concern.
struct Applying<'a> {
    now: Timestamp,
    pending: Written<'a>,
    names: Written<'a>,
    parked: Written<'a>,
    released: Written<'a>,
    record: Written<'a>,
    tombstones: Written<'a>,
    tombstone_ages: Written<'a>,
    messages: Written<'a>,
    message_ages: Written<'a>,
    owners: Written<'a>,
    /// Of the owners that the batch concerns.
    shares: HashMap<Arc<str>, OwnerShare>,
}

impl<'a> Applying<'a> {
    fn new(transaction: &'a WriteTransaction, now: Timestamp) -> Result<Self, Failed> {
        let table = |table| tables::written(transaction, table);
        Ok(Self {
            now,
            pending: table(tables::PENDING)?,
            names: table(tables::NAMES)?,
            parked: table(tables::PARKED)?,
            released: table(tables::RELEASED)?,
            record: table(tables::RECORD)?,
            tombstones: table(tables::TOMBSTONES)?,
            tombstone_ages: table(tables::TOMBSTONE_AGES)?,
            messages: table(tables::MESSAGES)?,
            message_ages: table(tables::MESSAGE_AGES)?,
            owners: table(tables::OWNERS)?,
            shares: HashMap::new(),
        })
    }

    fn step(&mut self, step: &DelayedStep, meta: &mut Meta) -> Result<(), Failed> {
        match step {
            DelayedStep::Put(event) => self.put(event, meta)?,
            DelayedStep::Cancel(name) => {
                if let Some(send) = self.send(name)? {
                    self.take(&DelayedKey { send, name: name.clone() }, meta)?.ok_or_else(astray)?;
                    meta.balance.cancelled += 1;
                }
            }
            DelayedStep::Settle { key, outcome, keeps_content } => {
                if let Some(event) = self.take(key, meta)? {
                    meta.balance.settled += 1;
                    if event.head.is_named {
                        self.bury(&event)?;
                    }
                    self.end(event, outcome, *keeps_content, meta)?;
                }
            }
            DelayedStep::Release(creation) => {
                let key = encoding::number(*creation);
                if self.parked.get(&key[..])?.is_some() {
                    self.released.insert(&key[..], &[][..])?;
                }
            }
            DelayedStep::Unpark { creation, outcome, keeps_content } => {
                if let Some(parked) = self.unpark(*creation)? {
                    self.end(parked.event, outcome, *keeps_content, meta)?;
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, event: &DelayedEvent, meta: &mut Meta) -> Result<(), Failed> {
        let key = &event.head.key;
        meta.created = meta.created.max(event.head.creation);
        let send = encoding::time(key.send);
        let before = self.names.insert(key.name.as_bytes(), &send[..])?;
        let before = before.map(|send| encoding::read_time(send.value())).transpose()?;
        match before {
            Some(send) => {
                let before = DelayedKey { send, name: key.name.clone() };
                let owner = self.remove(&before)?.ok_or_else(astray)?.head.owner;
                let share = self.share(&owner)?;
                share.pending = share.pending.checked_sub(1).ok_or_else(astray)?;
            }
            None => {
                meta.balance.accepted += 1;
                meta.balance.pending += 1;
            }
        }
        self.share(&event.head.owner)?.pending += 1;
        self.pending.insert(&encoding::place(key)[..], &encoding::event(event)?[..])?;
        Ok(())
    }

    /// When the pending event of this name is to be sent.
    fn send(&self, name: &str) -> Result<Option<Timestamp>, Failed> {
        let send = self.names.get(name.as_bytes())?;
        Ok(send.map(|send| encoding::read_time(send.value())).transpose()?)
    }

    fn remove(&mut self, key: &DelayedKey) -> Result<Option<DelayedEvent>, Failed> {
        let place = encoding::place(key);
        let removed = self.pending.remove(&place[..])?;
        Ok(removed.map(|event| encoding::read_event(&place, event.value())).transpose()?)
    }

    /// Takes one away that is pending.
    fn take(&mut self, key: &DelayedKey, meta: &mut Meta) -> Result<Option<DelayedEvent>, Failed> {
        let Some(event) = self.remove(key)? else { return Ok(None) };
        let send = self.names.remove(key.name.as_bytes())?;
        let send = send.map(|send| encoding::read_time(send.value())).transpose()?;
        if send != Some(key.send) {
            return Err(astray());
        }
        meta.balance.pending = meta.balance.pending.checked_sub(1).ok_or_else(astray)?;
        let share = self.share(&event.head.owner)?;
        share.pending = share.pending.checked_sub(1).ok_or_else(astray)?;
        Ok(Some(event))
    }

    fn end(
        &mut self,
        event: DelayedEvent,
        outcome: &Outcome,
        keeps_content: bool,
        meta: &mut Meta,
    ) -> Result<(), Failed> {
        let content = keeps_content.then(|| event.content.clone());
        let row = DelayedRow::of(&event.head, self.now, outcome.clone(), content);
        meta.last_row += 1;
        self.record.insert(&encoding::number(meta.last_row)[..], &encoding::row(&row)?[..])?;
        match outcome {
            Outcome::Parked(reason) => {
                let reason = reason.as_str().into();
                self.park(&ParkedEvent { event, reason, since: self.now, released: false })
            }
            _ => Ok(()),
        }
    }

    fn park(&mut self, parked: &ParkedEvent) -> Result<(), Failed> {
        let key = encoding::number(parked.event.head.creation);
        self.share(&parked.event.head.owner)?.parked += 1;
        self.parked.insert(&key[..], &encoding::parked(parked)?[..])?;
        Ok(())
    }

    fn unpark(&mut self, creation: u64) -> Result<Option<ParkedEvent>, Failed> {
        let key = encoding::number(creation);
        self.released.remove(&key[..])?;
        let removed = self.parked.remove(&key[..])?;
        let removed = removed.map(|parked| encoding::read_parked(parked.value())).transpose()?;
        if let Some(parked) = &removed {
            let share = self.share(&parked.event.head.owner)?;
            // One that could not be read when its form was brought up to date is not counted.
            share.parked = share.parked.saturating_sub(1);
        }
        Ok(removed)
    }

    fn bury(&mut self, event: &DelayedEvent) -> Result<(), Failed> {
        let name = event.head.key.name.as_bytes();
        let value = encoding::value(&Tombstone::of(&event.head, self.now))?;
        let before = self.tombstones.insert(name, &value[..])?;
        let before = before.map(|before| encoding::read::<Tombstone>(before.value())).transpose()?;
        if let Some(before) = before {
            self.tombstone_ages.remove(&encoding::timed(before.at, name)[..])?;
        }
        self.tombstone_ages.insert(&encoding::timed(self.now, name)[..], &[][..])?;
        Ok(())
    }

    fn answer(&mut self, key: &MessageKey, answered: &Answered) -> Result<(), Failed> {
        let bytes = encoding::message_key(key);
        self.forget(&bytes)?;
        self.share(&key.0)?.answers += weight(answered);
        self.messages.insert(&bytes[..], &encoding::value(answered)?[..])?;
        self.message_ages.insert(&encoding::timed(answered.at, &bytes)[..], &[][..])?;
        Ok(())
    }

    /// Forgets what a message was answered, if it was.
    fn forget(&mut self, key: &[u8]) -> Result<(), Failed> {
        let removed = self.messages.remove(key)?;
        let removed = removed.map(|removed| encoding::read::<Answered>(removed.value())).transpose()?;
        let Some(answered) = removed else { return Ok(()) };
        self.message_ages.remove(&encoding::timed(answered.at, key)[..])?;
        let owner = encoding::read_name(encoding::message_owner(key)?)?;
        let share = self.share(&owner)?;
        share.answers = share.answers.checked_sub(weight(&answered)).ok_or_else(astray)?;
        Ok(())
    }

    fn trim_messages(&mut self, added: u64) -> Result<(), Failed> {
        for _ in 0..trim::most(added) {
            let oldest = self.message_ages.first()?.map(|(key, _)| key.value().to_vec());
            let Some(oldest) = oldest else { break };
            let (at, key) = encoding::read_timed(&oldest)?;
            if self.now.since(at) <= crate::engine::delayed::ANSWERS_KEPT {
                break;
            }
            self.forget(key)?;
        }
        Ok(())
    }

    fn share(&mut self, owner: &Arc<str>) -> Result<&mut OwnerShare, Failed> {
        if !self.shares.contains_key(owner) {
            let kept = self.owners.get(owner.as_bytes())?;
            let kept = kept.map(|share| encoding::read_share(share.value())).transpose()?;
            self.shares.insert(owner.clone(), kept.unwrap_or_default());
        }
        self.shares.get_mut(owner).ok_or_else(astray)
    }

    /// Nobody is known who has nothing.
    fn write_shares(&mut self) -> Result<(), Failed> {
        for (owner, share) in &self.shares {
            if *share == OwnerShare::default() {
                self.owners.remove(owner.as_bytes())?;
            } else {
                self.owners.insert(owner.as_bytes(), &encoding::share(share)?[..])?;
            }
        }
        Ok(())
    }
}

fn weight(answered: &Answered) -> u64 {
    1 + answered.verdicts.len() as u64
}

fn astray() -> Failed {
    Failed::Unreadable("its tables do not fit each other".into())
}

//! What a batch is about, as it lies there, and what the steps make of it in memory; then as much of it as changed is written, a
//! statement for each kind.

use super::{
    keyed::{PARKED, PENDING},
    state::State,
};
use crate::{
    delayed::encoding,
    engine::{
        Outcome,
        delayed::{
            DelayedBatch, DelayedContent, DelayedEvent, DelayedHead, DelayedRow, DelayedStep, ParkedEvent,
            Tombstone,
        },
    },
    postgres::{Added, Calls, Failed, Shard, column, of, portions},
};
use ponos::event::Timestamp;
use sqlx::postgres::PgRow;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// Rows in one statement.
const AT_ONCE: usize = 1_000;

/// An event, and what is published where that was needed or is new.
struct Known {
    head: DelayedHead,
    content: Option<DelayedContent>,
}

#[derive(Default)]
pub(super) struct Overlay {
    /// By name; those that are gone, too.
    pending: HashMap<Arc<str>, Option<Known>>,
    changed: HashSet<Arc<str>>,
    /// By creation; likewise.
    parked: BTreeMap<u64, Option<ParkedEvent>>,
    changed_parked: HashSet<u64>,
    /// Creations that are released as they lie there, where they do.
    released: HashSet<u64>,
    pub(super) tombstones: BTreeMap<Arc<str>, Tombstone>,
    pub(super) rows: Added,
    /// By how much what is each owner's changes.
    pub(super) shares: BTreeMap<Arc<str>, Difference>,
}

/// By how much an [`OwnerShare`](crate::engine::delayed::OwnerShare) changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) pending: i64,
    pub(super) parked: i64,
    pub(super) answers: i64,
}

impl Overlay {
    /// Reads what the steps are about.
    pub(super) async fn read(
        calls: &mut Calls<'_>,
        shard: &Shard,
        batch: &DelayedBatch,
    ) -> Result<Self, Failed> {
        let (mut names, mut with_content, mut creations) = (Vec::new(), HashSet::new(), Vec::new());
        for step in &batch.steps {
            match step {
                DelayedStep::Put(event) => names.push(&event.head.key.name),
                DelayedStep::Cancel(name) => names.push(name),
                DelayedStep::Settle { key, outcome, keeps_content } => {
                    names.push(&key.name);
                    if *keeps_content || matches!(outcome, Outcome::Parked(_)) {
                        with_content.insert(&key.name);
                    }
                }
                DelayedStep::Unpark { creation, .. } => creations.push(encoding::number(*creation).to_vec()),
                // It must not write what is parked anew, so that is not read.
                DelayedStep::Release(_) => {}
            }
        }
        let mut overlay = Self::default();
        let bytes = |name: &Arc<str>| name.as_bytes().to_vec();
        let look = "select name, send, head from {s}.delayed_pending
             where clock = $1 and shard = $2 and name = any ($3::bytea[])";
        names.retain(|name| !with_content.contains(name));
        for names in names.chunks(AT_ONCE) {
            let names: Vec<Vec<u8>> = names.iter().copied().map(bytes).collect();
            for row in calls.all(of(calls, shard, look).bind(names)).await? {
                overlay.know(&row, None)?;
            }
        }
        let known = |row: &_| overlay.know(row, Some(encoding::read_content(column(row, 3)?)?));
        PENDING.read(calls, shard, with_content.into_iter().map(bytes), known).await?;
        let parked = |row: &_| {
            let parked = encoding::read_parked(column(row, 1)?)?;
            let parked = ParkedEvent { released: column(row, 2)?, ..parked };
            overlay.parked.insert(parked.event.head.creation, Some(parked));
            Ok(())
        };
        PARKED.read(calls, shard, creations, parked).await?;
        Ok(overlay)
    }

    /// Of a row of name, send time and head.
    fn know(&mut self, row: &PgRow, content: Option<DelayedContent>) -> Result<(), Failed> {
        let place = encoding::timed(sent_at(column(row, 1)?), column(row, 0)?);
        let head = encoding::read_head(&place, column(row, 2)?)?;
        self.pending.insert(head.key.name.clone(), Some(Known { head, content }));
        Ok(())
    }

    pub(super) fn step(
        &mut self,
        step: &DelayedStep,
        now: Timestamp,
        state: &mut State,
    ) -> Result<(), Failed> {
        match step {
            DelayedStep::Put(event) => self.put(event, state),
            DelayedStep::Cancel(name) => {
                if self.take(name, None, state)?.is_some() {
                    state.meta.balance.cancelled += 1;
                }
            }
            DelayedStep::Settle { key, outcome, keeps_content } => {
                if let Some(event) = self.take(&key.name, Some(key.send), state)? {
                    state.meta.balance.settled += 1;
                    if event.head.is_named {
                        let tombstone = Tombstone::of(&event.head, now);
                        self.tombstones.insert(key.name.clone(), tombstone);
                    }
                    self.end(event, now, outcome, *keeps_content)?;
                }
            }
            DelayedStep::Release(creation) => match self.parked.get_mut(creation) {
                Some(Some(parked)) => {
                    parked.released = true;
                    self.changed_parked.insert(*creation);
                }
                Some(None) => {}
                None => {
                    self.released.insert(*creation);
                }
            },
            DelayedStep::Unpark { creation, outcome, keeps_content } => {
                if let Some(parked) = self.parked.get_mut(creation).and_then(Option::take) {
                    self.changed_parked.insert(*creation);
                    self.share(&parked.event.head.owner).parked -= 1;
                    let DelayedEvent { head, content } = parked.event;
                    self.end(Known { head, content: Some(content) }, now, outcome, *keeps_content)?;
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, event: &DelayedEvent, state: &mut State) {
        let meta = &mut state.meta;
        let DelayedEvent { head, content } = event;
        let name = &head.key.name;
        meta.created = meta.created.max(head.creation);
        let known = Known { head: head.clone(), content: Some(content.clone()) };
        match self.pending.insert(name.clone(), Some(known)).flatten() {
            Some(before) => self.share(&before.head.owner).pending -= 1,
            None => {
                meta.balance.accepted += 1;
                meta.balance.pending += 1;
            }
        }
        self.share(&head.owner).pending += 1;
        self.changed.insert(name.clone());
    }

    /// Takes the one of this name away, where it is pending, and is to be sent then.
    fn take(
        &mut self,
        name: &Arc<str>,
        send: Option<Timestamp>,
        state: &mut State,
    ) -> Result<Option<Known>, Failed> {
        let Some(slot) = self.pending.get_mut(name) else { return Ok(None) };
        let fits = |known: &mut Known| send.is_none_or(|send| send == known.head.key.send);
        let Some(known) = slot.take_if(fits) else { return Ok(None) };
        let pending = &mut state.meta.balance.pending;
        *pending = pending.checked_sub(1).ok_or_else(astray)?;
        self.share(&known.head.owner).pending -= 1;
        self.changed.insert(name.clone());
        Ok(Some(known))
    }

    fn end(
        &mut self,
        Known { head, content }: Known,
        now: Timestamp,
        outcome: &Outcome,
        keeps_content: bool,
    ) -> Result<(), Failed> {
        let kept = content.as_ref().filter(|_| keeps_content).cloned();
        let row = DelayedRow::of(&head, now, outcome.clone(), kept);
        self.rows.at.push(row.at);
        self.rows.values.push(encoding::row(&row)?);
        if let Outcome::Parked(reason) = outcome {
            let event = DelayedEvent { head, content: content.ok_or_else(astray)? };
            let creation = event.head.creation;
            self.share(&event.head.owner).parked += 1;
            let parked = ParkedEvent { event, reason: reason.as_str().into(), since: now, released: false };
            self.parked.insert(creation, Some(parked));
            self.changed_parked.insert(creation);
        }
        Ok(())
    }

    pub(super) fn share(&mut self, owner: &Arc<str>) -> &mut Difference {
        self.shares.entry(owner.clone()).or_default()
    }

    /// Writes what the steps changed of events, pending and parked.
    pub(super) async fn write(&self, calls: &mut Calls<'_>, shard: &Shard) -> Result<(), Failed> {
        let (mut gone, mut puts) = (Vec::new(), Vec::new());
        for name in &self.changed {
            match self.pending.get(name) {
                Some(Some(Known { head, content })) => {
                    puts.push((head, content.as_ref().ok_or_else(astray)?))
                }
                _ => gone.push(name.as_bytes().to_vec()),
            }
        }
        for gone in gone.chunks(AT_ONCE) {
            let delete = "delete from {s}.delayed_pending where clock = $1 and shard = $2 and name = any ($3::bytea[])";
            calls.execute(of(calls, shard, delete).bind(gone)).await?;
        }
        let sizes = puts.iter().map(|(_, content)| content.data.len() + content.headers.len());
        for portion in portions(sizes) {
            let puts = &puts[portion];
            let insert = "insert into {s}.delayed_pending (clock, shard, name, send, head, content)
                 select $1, $2, name, send, head, content
                 from unnest($3::bytea[], $4::bigint[], $5::bytea[], $6::bytea[]) as added (name, send, head, content)
                 on conflict (clock, shard, name)
                 do update set send = excluded.send, head = excluded.head, content = excluded.content";
            let (mut heads, mut contents) = (Vec::new(), Vec::new());
            for (head, content) in puts {
                heads.push(encoding::head(head)?);
                contents.push(encoding::content(content)?);
            }
            let names: Vec<Vec<u8>> =
                puts.iter().map(|(head, _)| head.key.name.as_bytes().to_vec()).collect();
            let sends: Vec<i64> = puts.iter().map(|(head, _)| head.key.send.millis()).collect();
            let insert = of(calls, shard, insert).bind(names).bind(sends).bind(heads).bind(contents);
            calls.execute(insert).await?;
        }
        self.write_parked(calls, shard).await
    }

    async fn write_parked(&self, calls: &mut Calls<'_>, shard: &Shard) -> Result<(), Failed> {
        let released: Vec<_> =
            self.released.iter().map(|creation| encoding::number(*creation).to_vec()).collect();
        for released in released.chunks(AT_ONCE) {
            let update = "update {s}.delayed_parked set released = true
                 where clock = $1 and shard = $2 and key = any ($3::bytea[])";
            calls.execute(of(calls, shard, update).bind(released)).await?;
        }
        let (mut gone, mut keys, mut values, mut flags) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for creation in &self.changed_parked {
            let key = encoding::number(*creation).to_vec();
            match self.parked.get(creation) {
                Some(Some(parked)) => {
                    keys.push(key);
                    values.push(encoding::parked(parked)?);
                    flags.push(parked.released);
                }
                _ => gone.push(key),
            }
        }
        if !gone.is_empty() {
            let delete =
                "delete from {s}.delayed_parked where clock = $1 and shard = $2 and key = any ($3::bytea[])";
            calls.execute(of(calls, shard, delete).bind(gone)).await?;
        }
        for portion in portions(values.iter().map(Vec::len)) {
            let (keys, values) = (&keys[portion.clone()], &values[portion.clone()]);
            let flags = &flags[portion];
            let insert = "insert into {s}.delayed_parked (clock, shard, key, value, released)
                 select $1, $2, key, value, released
                 from unnest($3::bytea[], $4::bytea[], $5::boolean[]) as added (key, value, released)
                 on conflict (clock, shard, key) do update set value = excluded.value, released = excluded.released";
            calls.execute(of(calls, shard, insert).bind(keys).bind(values).bind(flags)).await?;
        }
        Ok(())
    }
}

fn sent_at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(super) fn astray() -> Failed {
    Failed::Unreadable("its tables do not fit each other".into())
}

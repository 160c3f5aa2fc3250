//! What the store keeps, as a clock holds it that follows: with what costs when an engine starts made ahead.
//!
//! Invariant: it is the whole of what was kept after one write, and after the next ones once a [`Difference`] is applied, which
//! is read in one transaction and begins with the very write that was there. Where a write in between is not known, or another one has
//! its number, there is no difference: all is read anew.

use super::{
    load::{self, Found, Loaded},
    tables, touched,
};
use crate::{
    engine::{Row, Sent, Snapshot, Warm},
    postgres::{Calls, Failed, Shard, column},
    schedule::CalendarStore,
    store::{
        encoding::{self, About, Entry},
        meta::Meta,
    },
};
use ponos::event::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use tracing::debug;

/// More keys, or rows of the record, are too many for a difference.
const MOST: usize = 100_000;

const UNWANTED: &str = "this clock does not follow any more";

/// What was kept after one write.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) at: At,
    pub(super) warm: Warm,
    /// All entries that nothing is made of ahead, by their keys: read, for there may be many.
    pub(super) rest: BTreeMap<Vec<u8>, Entry>,
    /// The keys of calendars and zones that no revision referred to when all was read, and none has since.
    unused: BTreeSet<Vec<u8>>,
    pub(super) calendars: CalendarStore,
}

/// Which write it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    store: u64,
    pub(super) write: u64,
    /// Which opening of the store made it.
    by: u64,
    last_row: u64,
    set_backs: u32,
    settled: Timestamp,
}

/// What the writes since one have changed.
#[derive(Debug)]
pub(super) struct Difference {
    at: At,
    /// In the order in which they are applied; `None`: it is there no more.
    pub(super) entries: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub(super) rows: Vec<Row>,
}

/// What an engine is started with.
pub(super) struct Parts {
    pub(super) snapshot: Snapshot,
    pub(super) warm: Warm,
    pub(super) calendars: CalendarStore,
    pub(super) unused: BTreeSet<Vec<u8>>,
}

impl At {
    fn of(meta: &Meta, by: u64) -> Option<Self> {
        let Meta { store, generation: write, last_sequence: last_row, set_backs, .. } = *meta;
        Some(Self { store, write, by, last_row, set_backs, settled: meta.settled? })
    }

    /// What was written since, if that is known, can be read, and is not too much.
    pub(super) async fn difference(
        &self,
        calls: &mut Calls<'_>,
        shard: &Shard,
        meta: &Meta,
    ) -> Result<Option<Difference>, Failed> {
        match self.read_difference(calls, shard, meta).await {
            // It may be that what tells of the changes is damaged, and nothing else.
            Err(Failed::Unreadable(what)) => {
                debug!(what, "what the leader changed can't be read; all is read anew");
                Ok(None)
            }
            read => read,
        }
    }

    async fn read_difference(
        &self,
        calls: &mut Calls<'_>,
        shard: &Shard,
        meta: &Meta,
    ) -> Result<Option<Difference>, Failed> {
        let goes_on = (meta.store, meta.set_backs) == (self.store, self.set_backs)
            && (self.write..u64::MAX).contains(&meta.generation)
            && (self.last_row..=self.last_row.saturating_add(MOST as u64)).contains(&meta.last_sequence);
        if !goes_on {
            return Ok(None);
        }
        let Some(writes) = touched::read(calls, shard, (self.write, meta.generation)).await? else {
            return Ok(None);
        };
        let by = writes.last().map(|last| last.by);
        let Some(at) = by.and_then(|by| At::of(meta, by)) else { return Ok(None) };
        let mut writes = writes.into_iter();
        if writes.next().is_none_or(|first| first.by != self.by) {
            return Ok(None);
        }
        let keys: BTreeSet<Vec<u8>> = writes.flat_map(|write| write.keys).collect();
        if keys.len() > MOST {
            return Ok(None);
        }
        let entries = read_keys(calls, shard, keys).await?;
        let mut rows = Vec::new();
        let bounds = (self.last_row, meta.last_sequence);
        let read = load::rows(calls, shard, bounds, |row| rows.push(row.clone())).await?;
        // Some may have been trimmed already.
        Ok((read == meta.last_sequence - self.last_row).then_some(Difference { at, entries, rows }))
    }
}

/// What lies under these keys now, table by table: what definitions refer to comes before these.
async fn read_keys(
    calls: &mut Calls<'_>,
    shard: &Shard,
    keys: BTreeSet<Vec<u8>>,
) -> Result<Vec<(Vec<u8>, Option<Vec<u8>>)>, Failed> {
    let mut all = Vec::with_capacity(keys.len());
    for table in tables::ALL {
        let wanted = keys.iter().filter(|key| encoding::table(key) == table);
        let mut found: BTreeMap<Vec<u8>, Option<Vec<u8>>> = wanted.map(|key| (key.clone(), None)).collect();
        let wanted: Vec<_> = found.keys().cloned().collect();
        let take = |row: &_| {
            let (key, value): (Vec<u8>, Vec<u8>) = (column(row, 0)?, column(row, 1)?);
            found.insert(key, Some(value));
            Ok(())
        };
        tables::keyed(table).read(calls, shard, wanted, take).await?;
        all.extend(found);
    }
    Ok(all)
}

impl Held {
    /// All that is kept, given up once it is not wanted any more; `None` where nothing is, or nobody could go on from it: whoever
    /// wrote last does not note what it touches.
    pub(super) async fn read(
        calls: &mut Calls<'_>,
        shard: &Shard,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Option<Self>, Failed> {
        let Found::Kept(meta) = load::meta(calls, shard).await? else { return Ok(None) };
        let last = touched::read(calls, shard, (meta.generation, meta.generation)).await?;
        let by = last.and_then(|last| last.last().map(|last| last.by));
        let Some(at) = by.and_then(|by| At::of(&meta, by)) else { return Ok(None) };
        let calendars = CalendarStore::default();
        let (mut loaded, mut rest) = (Loaded::default(), BTreeMap::new());
        let take = |key: &[u8], value: &[u8]| match encoding::about(key)? {
            _ if !is_wanted() => Err(Failed::Moved(UNWANTED)),
            About::Other => {
                rest.insert(key.to_vec(), encoding::entry(key, value, &calendars)?);
                Ok(())
            }
            _ => loaded.take(encoding::entry(key, value, &calendars)?),
        };
        load::entries(calls, shard, take).await?;
        let Loaded { mut snapshot, unused, .. } = loaded;
        load::rows(calls, shard, (0, u64::MAX), |row| Sent::note_row(&mut snapshot.sent, row)).await?;
        let warm = Warm::of(&mut snapshot, at.settled);
        Ok(Some(Self { at, warm, rest, unused, calendars }))
    }

    /// As it is after those writes.
    pub(super) fn apply(mut self, difference: Difference) -> Result<Self, Failed> {
        // Held until the definitions that name them are read.
        let (mut days, mut rules) = (Vec::new(), Vec::new());
        let has_content = difference.entries.iter().any(|(key, _)| encoding::table(key) == "content");
        for (key, value) in difference.entries {
            let about = encoding::about(&key)?;
            let Some(value) = value else {
                match about {
                    About::Content => {
                        self.unused.remove(&key);
                    }
                    About::Revision(name, number) => self.warm.forget(&name, number),
                    About::OneShot(name) => self.warm.put_one_shot(name, None),
                    About::Other => drop(self.rest.remove(&key)),
                }
                continue;
            };
            let entry = encoding::entry(&key, &value, &self.calendars)?;
            if about == About::Other {
                self.rest.insert(key, entry);
                continue;
            }
            match entry {
                Entry::Calendar(_, of) => days.push(of),
                Entry::Zone(of) => rules.push(of),
                Entry::Revision(revision, references) => {
                    for key in references.keys(&revision) {
                        self.unused.remove(&key[..]);
                    }
                    self.warm.put(revision);
                }
                Entry::OneShot(name, row) => self.warm.put_one_shot(name, Some(row)),
                _ => return Err(Failed::Unreadable("an entry is of another kind than its key".into())),
            }
        }
        if has_content {
            self.calendars.forget_unused();
        }
        difference.rows.iter().for_each(|row| self.warm.note_row(row));
        self.warm.move_on(difference.at.settled);
        self.at = difference.at;
        Ok(self)
    }

    /// All of it but what the row of the shard says.
    pub(super) fn into_parts(self) -> Result<Parts, Failed> {
        let Self { warm, rest, unused, calendars, .. } = self;
        let mut loaded = Loaded::default();
        rest.into_values().try_for_each(|entry| loaded.take(entry))?;
        Ok(Parts { snapshot: loaded.snapshot, warm, calendars, unused })
    }
}

//! Reads the store on any thread, beside what is written: each call sees the last transaction that was committed.

use super::{
    copying::Reading,
    encoding::{self, Unreadable},
    guard::{Failed, closed, guarded},
    meta::Meta,
    tables::{self, Definition, Read},
};
use crate::{
    engine::{
        Answered, MessageKey,
        delayed::{
            Counted, DelayedEvent, DelayedHead, DelayedKey, DelayedPage, DelayedReader, DelayedWhole,
            DueEvent, Found, Listed, NumberedRow, OwnerShare, PAGE_BYTES, ParkedEvent, Tombstone,
        },
    },
    store::{ChangePage, StoreError},
};
use ::redb::{Database, ReadTransaction, ReadableDatabase as _, ReadableTableMetadata as _};
use ponos::event::Timestamp;
use std::{
    ops::{Bound, Range},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

/// Bytes that one list looks at, beyond which it goes on with the next page: the content of an event lies beside its head.
const LOOKED_AT: usize = 16 << 20;

/// Reads a database as long as it is open.
pub(super) struct RedbReader {
    path: PathBuf,
    db: RwLock<Result<Arc<Database>, StoreError>>,
    store: u64,
}

impl RedbReader {
    pub(super) fn new(path: &Path, db: Arc<Database>, store: u64) -> Self {
        Self { path: path.to_owned(), db: RwLock::new(Ok(db)), store }
    }

    /// Nothing is read any more; waits for what is being read.
    pub(super) fn close(&self, why: &StoreError) {
        let mut db = self.db.write().unwrap_or_else(PoisonError::into_inner);
        if let Ok(db) = std::mem::replace(&mut *db, Err(why.clone())) {
            // After damage the last one is leaked by the store, and is not to be closed here.
            drop(db);
        }
    }

    /// By name, what is whose.
    pub(super) fn owners(&self) -> Result<Vec<(Arc<str>, OwnerShare)>, StoreError> {
        self.at_once(|transaction| {
            let owners = tables::read(transaction, tables::OWNERS)?;
            let mut all = Vec::new();
            for entry in owners.range::<&[u8]>(..)? {
                let (owner, share) = entry?;
                all.push((encoding::read_name(owner.value())?, encoding::read_share(share.value())?));
            }
            Ok(all)
        })
    }

    /// Reads in one transaction.
    fn at_once<T>(&self, read: impl FnOnce(&ReadTransaction) -> Result<T, Failed>) -> Result<T, StoreError> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        let db = db.as_ref().map_err(Clone::clone)?;
        guarded(&self.path, || read(&db.begin_read()?))
    }

    /// What the store says of itself.
    fn meta(&self, transaction: &ReadTransaction) -> Result<Meta, Failed> {
        let meta = tables::read(transaction, tables::META)?;
        let meta = meta.get(encoding::META)?;
        let meta = meta.ok_or_else(|| Failed::Unreadable("its database does not say what it is".into()))?;
        encoding::read_meta(meta.value())?.map_err(|_| closed(&self.path).into())
    }

    /// Those with a number above `after`, up to the one with which they come to many bytes.
    fn numbered<T>(
        &self,
        table: Definition,
        after: u64,
        most: usize,
        read: impl Fn(&[u8]) -> Result<(T, usize), Unreadable>,
        bounds: impl FnOnce(&Meta) -> (u64, u64),
    ) -> Result<Numbered<T>, StoreError> {
        self.at_once(|transaction| {
            let meta = self.meta(transaction)?;
            let table = tables::read(transaction, table)?;
            let after = encoding::number(after);
            let (mut found, mut bytes) = (Vec::new(), 0);
            for entry in table.range::<&[u8]>((Bound::Excluded(&after[..]), Bound::Unbounded))?.take(most) {
                let (number, value) = entry?;
                let (entry, content) = read(value.value())?;
                found.push((encoding::read_number(number.value())?, entry));
                bytes += content;
                if bytes >= PAGE_BYTES {
                    break;
                }
            }
            let (first, last) = bounds(&meta);
            Ok((found, first, last))
        })
    }
}

impl DelayedReader for RedbReader {
    fn whole(&self) -> Result<Option<DelayedWhole>, StoreError> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        let db = db.as_ref().map_err(Clone::clone)?;
        Ok(Some(Box::new(Reading::begin(&self.path, db)?)))
    }

    fn due(
        &self,
        range: Range<Timestamp>,
        after: Option<&DelayedKey>,
        most: usize,
    ) -> Result<Vec<DueEvent>, StoreError> {
        let (start, end) = (encoding::time(range.start), encoding::time(range.end));
        let after = after.map(encoding::place).filter(|after| after[..] >= start[..]);
        let from = after.as_deref().map_or(Bound::Included(&start[..]), Bound::Excluded);
        // Nothing is before its own place, nor at a range whose end comes before its beginning.
        if range.start >= range.end || after.as_deref().is_some_and(|after| after >= &end[..]) {
            return Ok(Vec::new());
        }
        self.at_once(|transaction| {
            let pending = tables::read(transaction, tables::PENDING)?;
            let due = pending.range::<&[u8]>((from, Bound::Excluded(&end[..])))?.take(most);
            let mut found = Vec::new();
            for entry in due {
                let (key, value) = entry?;
                found.push(encoding::read_due(key.value(), value.value())?);
            }
            Ok(found)
        })
    }

    fn events(&self, keys: &[DelayedKey]) -> Result<Vec<Option<DelayedEvent>>, StoreError> {
        self.at_once(|transaction| {
            let pending = tables::read(transaction, tables::PENDING)?;
            let event = |key: &DelayedKey| {
                let place = encoding::place(key);
                let value = pending.get(&place[..])?;
                Ok(value.map(|value| encoding::read_event(&place, value.value())).transpose()?)
            };
            keys.iter().map(event).collect()
        })
    }

    fn find(&self, names: &[Arc<str>]) -> Result<Vec<Found>, StoreError> {
        self.at_once(|transaction| {
            let looked_up = Names::open(transaction)?;
            let tombstones = tables::read(transaction, tables::TOMBSTONES)?;
            let find = |name: &Arc<str>| {
                if let Some(head) = looked_up.head(name)? {
                    return Ok(Found::Pending(Box::new(head)));
                }
                let tombstone = tombstones.get(name.as_bytes())?;
                let tombstone =
                    tombstone.map(|bytes| encoding::read::<Tombstone>(bytes.value())).transpose()?;
                Ok(tombstone.map_or(Found::Nothing, |tombstone| Found::Settled(Box::new(tombstone))))
            };
            names.iter().map(find).collect()
        })
    }

    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        matches: &dyn Fn(&DelayedHead) -> bool,
        most: usize,
        looked_at: usize,
    ) -> Result<Listed, StoreError> {
        let after = after.filter(|after| *after >= prefix).map(str::as_bytes);
        let from = after.map_or(Bound::Included(prefix.as_bytes()), Bound::Excluded);
        self.at_once(|transaction| {
            let names = Names::open(transaction)?;
            let mut behind = names.names.range::<&[u8]>((from, Bound::Unbounded))?;
            let mut listed = Listed::default();
            let (mut left, mut bytes) = (looked_at.max(1), 0);
            loop {
                let Some(entry) = behind.next().transpose()? else { break };
                let name = encoding::read_name(entry.0.value())?;
                if !name.starts_with(prefix) {
                    break;
                }
                if left == 0 || bytes >= LOOKED_AT || !listed.heads.is_empty() && listed.heads.len() >= most {
                    return Ok(listed);
                }
                left -= 1;
                let (head, length) = names.at(&name, entry.1.value())?;
                bytes += length;
                listed.heads.extend(Some(head).filter(|head| matches(head)));
                listed.next = Some(name);
            }
            Ok(Listed { next: None, ..listed })
        })
    }

    fn answers(&self, messages: &[MessageKey]) -> Result<Vec<Option<Answered>>, StoreError> {
        self.at_once(|transaction| {
            let kept = tables::read(transaction, tables::MESSAGES)?;
            let answer = |message: &MessageKey| {
                let answered = kept.get(&encoding::message_key(message)[..])?;
                Ok(answered.map(|answered| encoding::read(answered.value())).transpose()?)
            };
            messages.iter().map(answer).collect()
        })
    }

    fn owner(&self, owner: &str) -> Result<OwnerShare, StoreError> {
        self.at_once(|transaction| {
            let owners = tables::read(transaction, tables::OWNERS)?;
            let share = owners.get(owner.as_bytes())?;
            Ok(share.map(|share| encoding::read_share(share.value())).transpose()?.unwrap_or_default())
        })
    }

    fn parked(&self, after: u64, most: usize) -> Result<Vec<ParkedEvent>, StoreError> {
        let after = encoding::number(after);
        self.at_once(|transaction| {
            let parked = tables::read(transaction, tables::PARKED)?;
            let released = tables::read(transaction, tables::RELEASED)?;
            let behind = parked.range::<&[u8]>((Bound::Excluded(&after[..]), Bound::Unbounded))?;
            let mut found = Vec::new();
            for entry in behind.take(most) {
                let (creation, value) = entry?;
                let one = encoding::read_parked(value.value())?;
                let released = one.released || released.get(creation.value())?.is_some();
                found.push(ParkedEvent { released, ..one });
            }
            Ok(found)
        })
    }

    fn read(&self, after: u64, most: usize) -> Result<DelayedPage, StoreError> {
        let bounds = |meta: &Meta| (meta.first_row, meta.last_row);
        let read = |bytes: &[u8]| {
            let row = encoding::read_row(bytes)?;
            let content = row.content_bytes();
            Ok((row, content))
        };
        let (rows, first, last) = self.numbered(tables::RECORD, after, most, read, bounds)?;
        let rows = rows.into_iter().map(|(number, row)| NumberedRow { number, row }).collect();
        Ok(DelayedPage { rows, first, last, record: self.store })
    }

    fn changes(&self, after: u64, most: usize) -> Result<ChangePage, StoreError> {
        let bounds = |meta: &Meta| (meta.first_change, meta.last_change);
        let read = |bytes: &[u8]| Ok((encoding::read(bytes)?, 0));
        let (changes, first, last) = self.numbered(tables::CHANGES, after, most, read, bounds)?;
        Ok(ChangePage { changes, first, last, record: self.store })
    }

    fn count(&self, after: Option<&str>, most: usize) -> Result<Counted, StoreError> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.as_bytes()));
        self.at_once(|transaction| {
            let balance = self.meta(transaction)?.balance;
            let places = tables::read(transaction, tables::PENDING)?.len()?;
            let names = tables::read(transaction, tables::NAMES)?;
            let mut counted = Counted { count: 0, next: None, places, balance };
            let mut last = None;
            for entry in names.range::<&[u8]>((from, Bound::Unbounded))? {
                if counted.count == most as u64 {
                    counted.next = last;
                    return Ok(counted);
                }
                last = Some(encoding::read_name(entry?.0.value())?);
                counted.count += 1;
            }
            Ok(counted)
        })
    }
}

/// Entries with their numbers; the number of the first one that is kept, and of the newest.
type Numbered<T> = (Vec<(u64, T)>, u64, u64);

/// Events by name.
struct Names {
    names: Read,
    pending: Read,
}

impl Names {
    fn open(transaction: &ReadTransaction) -> Result<Self, Failed> {
        let table = |table| tables::read(transaction, table);
        Ok(Self { names: table(tables::NAMES)?, pending: table(tables::PENDING)? })
    }

    fn head(&self, name: &Arc<str>) -> Result<Option<DelayedHead>, Failed> {
        let send = self.names.get(name.as_bytes())?;
        let found = send.map(|send| self.at(name, send.value())).transpose()?;
        Ok(found.map(|(head, _)| head))
    }

    /// The one of this name, which is to be sent then, and how many bytes it takes.
    fn at(&self, name: &Arc<str>, send: &[u8]) -> Result<(DelayedHead, usize), Failed> {
        let place = encoding::timed(encoding::read_time(send)?, name.as_bytes());
        let event = self.pending.get(&place[..])?;
        let event = event.ok_or_else(|| Failed::Unreadable("its tables do not fit each other".into()))?;
        let value = event.value();
        Ok((encoding::read_head(&place, value)?, value.len()))
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        delayed::{
            RedbDelayed, RedbOptions,
            conformance::{batch, event},
        },
        engine::delayed::{DelayedStep, DelayedStore as _},
    };

    #[test]
    fn a_list_looks_at_so_many_bytes_and_goes_on_with_the_next_page() {
        let folder = tempfile::tempdir().unwrap();
        let mut store =
            RedbDelayed::open(&folder.path().join("delayed"), "khronos", &RedbOptions::default()).unwrap();
        // 18 MiB.
        let put = |number: usize| {
            let mut event = event(&format!("n{number:02}"), 10);
            event.content.data = vec![7; 256 << 10].into();
            DelayedStep::Put(Box::new(event))
        };
        store.write(0, &batch(0, (0..72).map(put).collect())).unwrap();
        let reader = store.reader();
        let page = |after: Option<&str>| reader.list("", after, &|_| false, 100, 10_000).unwrap();
        let first = page(None);
        assert!(first.heads.is_empty());
        let next = first.next.expect("there is more");
        assert_eq!(&*next, "n63");
        assert_eq!(page(Some(&next)).next, None);
        assert_eq!(reader.list("", None, &|_| true, 5, 10_000).unwrap().heads.len(), 5);
    }
}

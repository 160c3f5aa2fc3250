//! One pass over the whole tree at opening: everything is read, counted and compared with what the store says of
//! itself. A database that lost anything, wherever it did, does not pass.

use super::{
    encoding::{self, Entry, Unreadable},
    meta::Meta,
    record::Record,
};
use crate::{
    engine::{Sent, Snapshot},
    schedule::{CalendarStore, Days, ZoneRules},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, channel, sync_channel},
    },
    thread,
};

/// A key and its value.
pub(super) type Pair = (::sled::IVec, ::sled::IVec);

/// An entry with its fingerprint.
type Understood = (u64, Entry);

/// Entries that a thread is given at once.
const SOME: usize = 4096;

fn read(pairs: &[Pair], calendars: &CalendarStore) -> Result<Vec<Understood>, Unreadable> {
    let understand = |(key, value): &Pair| {
        Ok((super::meta::fingerprint(key, value), encoding::entry(key, value, calendars)?))
    };
    pairs.iter().map(understand).collect()
}

fn received<T>(waiting: &Mutex<Receiver<T>>) -> Option<T> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// What the tree holds.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// As the last write left it; `None` in an empty tree.
    pub(super) meta: Option<Meta>,
    /// All but the rows.
    pub(super) snapshot: Snapshot,
    /// The ends of the record.
    pub(super) record: Record,
    /// The keys of calendars and zones that no revision refers to any more.
    pub(super) unused: BTreeSet<Vec<u8>>,
    /// The keys of revisions that an earlier version wrote, without the rules of their zones.
    pub(super) without_rules: Vec<Vec<u8>>,
    /// Held until the definitions that name them are read.
    days: Vec<Arc<Days>>,
    rules: Vec<Arc<ZoneRules>>,
    entries: u64,
    digest: u64,
    first_row: Option<u64>,
    next_row: u64,
    /// The first and the last change of the log.
    changes: Option<(u64, u64)>,
}

impl Scan {
    /// Takes the entries, in the order of keys. Understanding them takes longer than reading them does: where there are
    /// many, that is shared by threads.
    pub(super) fn fill<E: From<Unreadable>>(
        &mut self,
        calendars: &CalendarStore,
        mut next: impl FnMut() -> Result<Option<Pair>, E>,
    ) -> Result<(), E> {
        let mut some = || -> Result<Vec<Pair>, E> {
            let mut pairs = Vec::with_capacity(SOME);
            while pairs.len() < SOME {
                let Some(pair) = next()? else { break };
                pairs.push(pair);
            }
            Ok(pairs)
        };
        loop {
            let first = some()?;
            self.merge(read(&first, calendars)?)?;
            if first.len() < SOME {
                return Ok(());
            }
            // What definitions refer to is understood before any of them is.
            if first.last().is_some_and(|(key, _)| encoding::is_of_definitions(key)) {
                break;
            }
        }
        let (work, waiting) = sync_channel::<(usize, Vec<Pair>)>(2);
        let (done, understood) = channel();
        let waiting = Mutex::new(waiting);
        thread::scope(|scope| {
            let threads = thread::available_parallelism().map_or(1, usize::from).min(8);
            for _ in 0..threads {
                let (waiting, done) = (&waiting, done.clone());
                scope.spawn(move || {
                    while let Some((number, pairs)) = received(waiting) {
                        if done.send((number, read(&pairs, calendars))).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(done);
            let result = self.share(&mut some, work, &understood);
            // Whoever waits to send an answer sees that nobody takes it.
            drop(understood);
            result
        })
    }

    fn share<E: From<Unreadable>>(
        &mut self,
        some: &mut impl FnMut() -> Result<Vec<Pair>, E>,
        work: SyncSender<(usize, Vec<Pair>)>,
        understood: &Receiver<(usize, Result<Vec<Understood>, Unreadable>)>,
    ) -> Result<(), E> {
        let (mut sent, mut merged) = (0, 0);
        let mut early = BTreeMap::new();
        let mut work = Some(work);
        loop {
            if let Some(way) = &work {
                let pairs = some()?;
                if pairs.is_empty() || way.send((sent, pairs)).is_err() {
                    work = None;
                } else {
                    sent += 1;
                }
            }
            // What is there; all of it, at the end.
            while let Some((number, read)) =
                if work.is_some() { understood.try_recv().ok() } else { understood.recv().ok() }
            {
                early.insert(number, read?);
                while let Some(read) = early.remove(&merged) {
                    self.merge(read)?;
                    merged += 1;
                }
            }
            if work.is_none() {
                return if merged == sent {
                    Ok(())
                } else {
                    Err(Unreadable("a thread that read it ended early".into()).into())
                };
            }
        }
    }

    fn merge(&mut self, entries: Vec<Understood>) -> Result<(), Unreadable> {
        entries.into_iter().try_for_each(|(fingerprint, entry)| self.take(fingerprint, entry))
    }

    fn take(&mut self, fingerprint: u64, entry: Entry) -> Result<(), Unreadable> {
        if !matches!(entry, Entry::Meta(_)) {
            self.entries += 1;
            self.digest = self.digest.wrapping_add(fingerprint);
        }
        match entry {
            Entry::Meta(bytes) => self.meta = Some(encoding::read_meta(&bytes)?),
            Entry::Calendar(id, days) => {
                self.unused.insert(encoding::calendar_key(id).to_vec());
                self.days.push(days);
            }
            Entry::CreatedCalendar(calendar) => self.snapshot.calendars.push(calendar),
            Entry::Zone(rules) => {
                self.unused.insert(encoding::zone_key(rules.id()).to_vec());
                self.rules.push(rules);
            }
            Entry::Revision(revision, references) => {
                if references.without_rules {
                    self.without_rules.push(encoding::revision_key(revision.name(), revision.number));
                }
                references.keys(&revision).for_each(|key| {
                    self.unused.remove(&key[..]);
                });
                self.snapshot.revisions.push(revision);
            }
            Entry::Span(schedule, span) => self.snapshot.spans.push((schedule, span)),
            Entry::OneShot(schedule, one_shot) => self.snapshot.one_shots.push((schedule, one_shot)),
            Entry::Parked(number, parked) => self.snapshot.parked.push((number, parked)),
            Entry::Operation(id, operation) => self.snapshot.operations.push((id, operation)),
            Entry::Trigger(key, due) => self.snapshot.triggers.push((key, due)),
            Entry::Pauses(None, pauses) => self.snapshot.pauses = pauses,
            Entry::Pauses(Some(name), pauses) => self.snapshot.named_pauses.push((name, pauses)),
            Entry::Message(key, answered) => self.snapshot.messages.push((key, answered)),
            Entry::Change(number) => {
                if self.changes.is_some_and(|(_, last)| number != last + 1) {
                    return Err(Unreadable(format!("a change before change {number} is missing")));
                }
                self.changes = Some((self.changes.map_or(number, |(first, _)| first), number));
            }
            Entry::Rows(first, rows) => {
                if self.first_row.is_some() && first != self.next_row {
                    return Err(Unreadable(format!("row {} is missing", self.next_row)));
                }
                self.first_row = self.first_row.or(Some(first));
                self.next_row = first + rows.len() as u64;
                rows.iter().for_each(|row| Sent::note_row(&mut self.snapshot.sent, row));
                self.record.resume(first, &rows)?;
            }
        }
        Ok(())
    }

    /// Compares what was read with what the tree says of itself.
    pub(super) fn verify(&self) -> Result<(), Unreadable> {
        let wrong = |what: String| Err(Unreadable(what));
        let Some(meta) = &self.meta else {
            return match self.entries {
                0 => Ok(()),
                some => wrong(format!("{some} entries, and nothing that says what they belong to")),
            };
        };
        if self.entries != meta.entries {
            return wrong(format!("it has {} entries and should have {}", self.entries, meta.entries));
        }
        let rows = self.first_row.map_or((meta.last_sequence + 1, meta.last_sequence), |first| {
            (first, self.next_row.saturating_sub(1))
        });
        if rows != (meta.first_sequence, meta.last_sequence) {
            return wrong(format!(
                "it has rows {} to {} of the record and should have {} to {}",
                rows.0, rows.1, meta.first_sequence, meta.last_sequence
            ));
        }
        let changes = self.changes.unwrap_or((meta.last_change + 1, meta.last_change));
        if changes != (meta.trimmed_changes + 1, meta.last_change) {
            return wrong(format!(
                "it has changes {} to {} of the log and should have {} to {}",
                changes.0,
                changes.1,
                meta.trimmed_changes + 1,
                meta.last_change
            ));
        }
        if self.digest != meta.digest {
            return wrong("an entry is not what was written".into());
        }
        Ok(())
    }
}

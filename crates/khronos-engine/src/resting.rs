//! Revisions that are kept and do not run: ended ones, and what this version does not understand.
//!
//! Invariant: of a name, those that rest have lower numbers than the one that runs. They grow with edits; which are
//! forgotten, and when, stands in `forgetting`.

use super::{Revision, Sent, progress::SpanKey, sent::sent_key};
use khronos_schedule::Packed;
use ponos_event::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

/// A definition of a file that ended is kept this long (30 days, in milliseconds), and longer while something refers to it.
pub(super) const KEPT: i64 = 30 * 24 * 60 * 60 * 1000;

#[derive(Debug, Default)]
pub(super) struct Resting {
    all: BTreeMap<SpanKey, Retired>,
    /// The numbers of each creation under a name: others may have had it before, in between (a file's), and since.
    by_creation: BTreeSet<(Arc<str>, u64, u32)>,
    /// When they are looked at, whether they can be forgotten.
    looks: BTreeSet<(Timestamp, SpanKey)>,
    /// The same of those to which something referred when they were looked at last: these take no room from the others.
    held: BTreeSet<(Timestamp, SpanKey)>,
    /// What was sent of those schedules of which nothing runs, where that is something: see [`Snapshot::sent`](super::Snapshot).
    sent: BTreeMap<Arc<str>, Sent>,
    /// When one-shots are due that are pending and not understood.
    pending: BTreeMap<SpanKey, Timestamp>,
    /// Up to this one all were looked at, in their order.
    looked_at: Option<SpanKey>,
    /// The definitions of those that are looked at some time and not held, in bytes.
    waiting_bytes: usize,
    /// Those of the other ones that were created at run time.
    edit_bytes: usize,
}

#[derive(Debug)]
struct Retired {
    revision: Revision,
    /// When it is looked at, if it is, and whether it is held until then.
    look: Option<(Timestamp, bool)>,
}

impl Retired {
    fn bytes(&self) -> usize {
        self.revision.definition.bytes()
    }

    /// What it adds to the edits that are kept.
    fn edit_bytes(&self) -> usize {
        if self.look.is_none() && self.revision.definition.is_created() { self.bytes() } else { 0 }
    }
}

impl Resting {
    pub(super) fn insert(&mut self, revision: Revision) {
        let key = (revision.name().into(), revision.number);
        self.remove(&key);
        self.by_creation.insert((key.0.clone(), revision.definition.creation(), key.1));
        let retired = Retired { revision, look: None };
        self.edit_bytes += retired.edit_bytes();
        self.all.insert(key, retired);
    }

    pub(super) fn remove(&mut self, key: &SpanKey) {
        if let Some(retired) = self.all.remove(key) {
            self.by_creation.remove(&(key.0.clone(), retired.revision.definition.creation(), key.1));
            self.edit_bytes -= retired.edit_bytes();
            match retired.look {
                Some((at, false)) => {
                    self.waiting_bytes -= retired.bytes();
                    self.looks.remove(&(at, key.clone()));
                }
                Some((at, true)) => drop(self.held.remove(&(at, key.clone()))),
                None => {}
            }
        }
        self.pending.remove(key);
    }

    /// The definitions of the edits that are kept, all together, in bytes.
    pub(super) fn edit_bytes(&self) -> usize {
        self.edit_bytes
    }

    /// The same, and what was sent of it if it was the last of its schedule.
    pub(super) fn forget(&mut self, key: &SpanKey) {
        let Some(definition) = self.get(key).map(|revision| revision.definition.clone()) else { return };
        self.remove(key);
        if self.all_of(&key.0, definition.creation()).next().is_none() {
            self.sent.remove(&*sent_key(&definition));
        }
    }

    /// Has one looked at, unless that is so already.
    pub(super) fn look_at(&mut self, key: &SpanKey, at: Timestamp) {
        if let Some(kept) = self.all.get_mut(key).filter(|kept| kept.look.is_none()) {
            self.edit_bytes -= kept.edit_bytes();
            self.waiting_bytes += kept.bytes();
            kept.look = Some((at, false));
            self.looks.insert((at, key.clone()));
        }
    }

    /// The same of one that something refers to: however long that is, it takes no room from what can be forgotten.
    pub(super) fn hold(&mut self, key: &SpanKey, at: Timestamp) {
        if let Some(kept) = self.all.get_mut(key).filter(|kept| kept.look.is_none()) {
            self.edit_bytes -= kept.edit_bytes();
            kept.look = Some((at, true));
            self.held.insert((at, key.clone()));
        }
    }

    /// When the first is looked at.
    pub(super) fn next_look(&self) -> Option<Timestamp> {
        [&self.looks, &self.held].into_iter().filter_map(|all| all.first()).map(|(at, _)| *at).min()
    }

    /// The first to be looked at now: its time has come, or there are more than so many, or of more bytes.
    pub(super) fn take_look(&mut self, now: Timestamp, (most, bytes): (usize, usize)) -> Option<SpanKey> {
        let is_held = self.held.first().is_some_and(|(at, _)| *at <= now);
        let is_full = self.looks.len() > most || self.waiting_bytes > bytes;
        let all = if is_held { &mut self.held } else { &mut self.looks };
        all.first().filter(|(at, _)| is_full || *at <= now)?;
        let (_, key) = all.pop_first()?;
        if let Some(kept) = self.all.get_mut(&key) {
            kept.look = None;
            self.waiting_bytes -= if is_held { 0 } else { kept.bytes() };
            self.edit_bytes += kept.edit_bytes();
        }
        Some(key)
    }

    /// Keeps what was sent of a schedule that does not run any more, as long as a revision of it rests.
    pub(super) fn keep_sent(&mut self, definition: &Packed, sent: Sent) {
        if sent != Sent::default() {
            self.sent.insert((&*sent_key(definition)).into(), sent);
        }
    }

    /// Counts an event that was confirmed when its schedule did not run any more.
    pub(super) fn note_sent(&mut self, name: &str, creation: u64, sent_at: Timestamp, returned: bool) {
        // Others may have had its name since.
        let one = self.all_of(name, creation).next_back();
        if let Some(key) = one.map(|one| (&*sent_key(&one.definition)).into()) {
            self.sent.entry(key).or_default().note(sent_at, returned);
        }
    }

    /// What was sent of a schedule that runs from now on.
    pub(super) fn take_sent(&mut self, definition: &Packed) -> Sent {
        self.sent.remove(&*sent_key(definition)).unwrap_or_default()
    }

    /// What was sent of one that does not run.
    pub(super) fn sent(&self, definition: &Packed) -> Sent {
        Sent::of(&self.sent, definition)
    }

    /// One that is not understood is due once, and that is not settled.
    pub(super) fn keep_pending(&mut self, key: SpanKey, due: Timestamp) {
        self.pending.insert(key, due);
    }

    /// When that is.
    pub(super) fn pending(&self, revision: &Revision) -> Option<Timestamp> {
        self.pending.get(&(revision.name().into(), revision.number)).copied()
    }

    pub(super) fn get(&self, key: &SpanKey) -> Option<&Revision> {
        self.all.get(key).map(|kept| &kept.revision)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&SpanKey, &Revision)> {
        self.after(None)
    }

    /// From the first after this one, by name and number.
    pub(super) fn after(&self, key: Option<&SpanKey>) -> impl Iterator<Item = (&SpanKey, &Revision)> {
        let from = key.cloned().map_or(Bound::Unbounded, Bound::Excluded);
        self.all.range((from, Bound::Unbounded)).map(|(key, kept)| (key, &kept.revision))
    }

    /// Of one name, oldest first.
    pub(super) fn of(&self, name: &str) -> impl DoubleEndedIterator<Item = &Revision> {
        self.before(name, u32::MAX)
    }

    /// Of one creation, if it is the latest of its name that rests: newest first.
    pub(super) fn of_creation(&self, name: &str, creation: u64) -> impl Iterator<Item = &Revision> {
        self.of(name).rev().take_while(move |revision| revision.definition.creation() == creation)
    }

    /// All of one creation under a name, oldest first: of files also those before and after what was created in between.
    pub(super) fn all_of(&self, name: &str, creation: u64) -> impl DoubleEndedIterator<Item = &Revision> {
        let name: Arc<str> = name.into();
        let numbers = (name.clone(), creation, 0)..=(name, creation, u32::MAX);
        let of_it = self.by_creation.range(numbers);
        of_it.filter_map(|(name, _, number)| self.get(&(name.clone(), *number)))
    }

    /// Those of one name that are older than this number, oldest first.
    pub(super) fn before(&self, name: &str, number: u32) -> impl DoubleEndedIterator<Item = &Revision> {
        let name: Arc<str> = name.into();
        self.all.range((name.clone(), 0)..(name, number)).map(|(_, kept)| &kept.revision)
    }

    /// Looks at so many, and the next time at those behind them, whether they ended long before `now`: those that did, and
    /// whether the last of all was looked at.
    pub(super) fn long_ended(&mut self, looked_at: usize, now: Timestamp) -> (Vec<SpanKey>, bool) {
        let after = self.looked_at.take();
        let some: Vec<_> = self.after(after.as_ref()).take(looked_at).collect();
        let all = some.len() < looked_at;
        let last = some.last().map(|(key, _)| (*key).clone());
        let old = |revision: &Revision| revision.ended.is_some_and(|ended| now.since(ended) > KEPT);
        let old =
            some.into_iter().filter(|(_, revision)| old(revision)).map(|(key, _)| key.clone()).collect();
        self.looked_at = last.filter(|_| !all);
        (old, all)
    }
}

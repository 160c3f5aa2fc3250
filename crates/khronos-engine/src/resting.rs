//! Revisions that are kept and do not run: ended ones, and what this version does not understand.
//!
//! Invariant: of a name, those that rest have lower numbers than the one that runs. They grow with edits, and shrink as
//! each put and each load looks at some of them, whether they can be forgotten.

use super::{Revision, Sent, progress::SpanKey};
use ponos_event::Timestamp;
use std::{collections::BTreeMap, ops::Bound, sync::Arc};

/// A definition that ended is kept this long (30 days, in milliseconds), and longer while something refers to it.
pub(super) const KEPT: i64 = 30 * 24 * 60 * 60 * 1000;

#[derive(Debug, Default)]
pub(super) struct Resting {
    all: BTreeMap<SpanKey, Revision>,
    /// What was sent of those names of which nothing runs, where that is something.
    sent: BTreeMap<Arc<str>, Sent>,
    /// Up to this one they were looked at, whether they can be forgotten.
    looked_at: Option<SpanKey>,
}

impl Resting {
    pub(super) fn insert(&mut self, revision: Revision) {
        self.all.insert((revision.name().into(), revision.number), revision);
    }

    pub(super) fn remove(&mut self, key: &SpanKey) {
        self.all.remove(key);
    }

    /// Keeps what was sent of a name of which nothing runs any more, as long as a revision of it rests.
    pub(super) fn keep_sent(&mut self, name: &str, sent: Sent) {
        if sent == Sent::default() {
            self.sent.remove(name);
        } else {
            self.sent.insert(name.into(), sent);
        }
    }

    /// Counts an event that was confirmed when nothing ran under its name any more.
    pub(super) fn note_sent(&mut self, name: &Arc<str>, sent_at: Timestamp, returned: bool) {
        if self.of(name).next().is_some() {
            self.sent.entry(name.clone()).or_default().note(sent_at, returned);
        }
    }

    /// What was sent of a name that runs from now on.
    pub(super) fn take_sent(&mut self, name: &str) -> Sent {
        self.sent.remove(name).unwrap_or_default()
    }

    pub(super) fn get(&self, key: &SpanKey) -> Option<&Revision> {
        self.all.get(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&SpanKey, &Revision)> {
        self.all.iter()
    }

    /// From the first after this one, by name and number.
    pub(super) fn after(&self, key: Option<&SpanKey>) -> impl Iterator<Item = (&SpanKey, &Revision)> {
        let from = key.cloned().map_or(Bound::Unbounded, Bound::Excluded);
        self.all.range((from, Bound::Unbounded))
    }

    /// Of one name, oldest first.
    pub(super) fn of(&self, name: &str) -> impl DoubleEndedIterator<Item = &Revision> {
        self.before(name, u32::MAX)
    }

    /// Those of one name that are older than this number, oldest first.
    pub(super) fn before(&self, name: &str, number: u32) -> impl DoubleEndedIterator<Item = &Revision> {
        let name: Arc<str> = name.into();
        self.all.range((name.clone(), 0)..(name, number)).map(|(_, revision)| revision)
    }

    /// Looks at so many, and the next time at those behind them: those that ended long before `now`, and that nothing refers
    /// to, are forgotten. Which, and whether the last of all was looked at.
    pub(super) fn forget_old(
        &mut self,
        looked_at: usize,
        now: Timestamp,
        is_referred_to: impl Fn(&SpanKey) -> bool,
    ) -> (Vec<SpanKey>, bool) {
        let after = self.looked_at.take();
        let some: Vec<_> = self.after(after.as_ref()).take(looked_at).collect();
        let all = some.len() < looked_at;
        let last = some.last().map(|(key, _)| (*key).clone());
        let old = |revision: &Revision| revision.ended.is_some_and(|ended| now.since(ended) > KEPT);
        let found = some.into_iter().filter(|(key, revision)| old(revision) && !is_referred_to(key));
        let keys: Vec<SpanKey> = found.map(|(key, _)| key.clone()).collect();
        for key in &keys {
            self.remove(key);
            if self.of(&key.0).next().is_none() {
                self.sent.remove(&key.0);
            }
        }
        self.looked_at = last.filter(|_| !all);
        (keys, all)
    }
}

//! Which revisions that ended are forgotten: those that nothing refers to, some time after their end.
//!
//! A file's schedule may come back as it was, and goes on then: of it all is kept for 30 days. What was created at run time
//! comes back as something new, with ids of its own: of one that ended all is kept for an hour, for requests that come
//! late, and of one that runs the last edits. So what is created, edited and deleted without end leaves behind what an hour
//! of it leaves, and of that no more than there is room for: in number, and in bytes of their definitions, for a payload is
//! part of one.
//!
//! They are forgotten some at a time: the next ones once the write with those before them is durable.

use super::{Revision, core::Engine, progress::SpanKey};
use ponos_event::Timestamp;

/// What ended of a creation is kept this long (an hour, in milliseconds), and what was settled of it is known as long.
pub(super) const HOUR: i64 = if cfg!(test) { 30_000 } else { 60 * 60 * 1_000 };
/// Earlier revisions of a creation that runs, as many as are kept.
const EDITS: usize = if cfg!(test) { 2 } else { 16 };
/// Fewer, where they are more bytes than this (256 KiB).
const EDIT_BYTES: usize = if cfg!(test) { 100_000 } else { 256 << 10 };
/// At most so many, and so many bytes of them (64 MiB), wait until they are looked at: then the oldest go earlier. Edits that
/// are kept for longer are as many bytes together. What something refers to counts with that, and not here: what is parked,
/// and names that are paused, have bounds of their own.
const MOST: usize = if cfg!(test) { 40 } else { 100_000 };
const MOST_BYTES: usize = if cfg!(test) { 1_000_000 } else { 64 << 20 };
/// What something refers to is looked at again this much later (a minute, in milliseconds).
const LOOK_AGAIN: i64 = 60_000;
/// Ended revisions that a change looks at, whether they can be forgotten: more than it adds.
pub(super) const LOOKED_AT: usize = 4;

impl Engine {
    /// A revision rests from now on.
    pub(super) fn let_rest(&mut self, revision: Revision) {
        let key = (revision.name().into(), revision.number);
        // R may be far ahead of a clock that was set back: by what it shows they are forgotten.
        let ended = revision.ended.map(|ended| ended.min(self.now()));
        let ended = ended.filter(|_| revision.definition.is_created());
        self.resting.insert(revision);
        if let Some(ended) = ended {
            self.resting.look_at(&key, ended.plus(HOUR));
        }
    }

    /// A creation has ended: none of its edits is kept for it any more.
    pub(super) fn let_edits_go(&mut self, name: &str, creation: u64) {
        let at = self.now().plus(HOUR);
        let edits = self.resting.of_creation(name, creation).take(EDITS + LOOKED_AT);
        let edits: Vec<SpanKey> = edits.map(key).collect();
        edits.iter().for_each(|key| self.resting.look_at(key, at));
    }

    /// Of what was edited once more the oldest go.
    pub(super) fn forget_edits(&mut self, name: &str, creation: u64) {
        let mut bytes = 0;
        let all = self.resting.of_creation(name, creation).enumerate();
        let older = all.filter(|(newer, one)| {
            bytes += one.definition.bytes();
            *newer >= EDITS || bytes > EDIT_BYTES
        });
        for key in older.take(LOOKED_AT).map(|(_, one)| key(one)).collect::<Vec<SpanKey>>() {
            self.forget_or_look_again(key);
        }
    }

    /// When the next ones are looked at, unless others are being forgotten still.
    pub(super) fn next_forgotten(&self) -> Option<Timestamp> {
        self.resting.next_look().filter(|_| self.progress.is_durable(self.forgotten))
    }

    /// Forgets those whose time has come, some of them.
    pub(super) fn forget_ended(&mut self) {
        if !self.progress.is_durable(self.forgotten) {
            return;
        }
        for _ in 0..self.rules.piece.max(1) {
            let room = (MOST, MOST_BYTES);
            let Some(key) = self.resting.take_look(self.now(), room) else { return };
            if !self.forget_or_look_again(key) {
                return;
            }
        }
    }

    /// False: it is not durable yet, and those behind it may not be either.
    fn forget_or_look_again(&mut self, key: SpanKey) -> bool {
        let Some(revision) = self.resting.get(&key) else { return true };
        let again = self.now().plus(LOOK_AGAIN);
        if self.refers_to(&key) {
            self.resting.hold(&key, again);
            return true;
        }
        // What is answered has to have been durable.
        if self.progress.is_to_write(&key) {
            self.resting.look_at(&key, again);
            return false;
        }
        let creation = revision.definition.creation();
        if !self.is_there(&key.0, creation) || !self.keeps_edit(&key, creation) {
            self.forget(key);
            self.forgotten = self.progress.next_ticket();
        }
        true
    }

    /// Whether it is one of the last edits of its creation, and there is room for it.
    fn keeps_edit(&self, key: &SpanKey, creation: u64) -> bool {
        let edits = self.resting.of_creation(&key.0, creation).take(EDITS);
        let (mut bytes, mut is_one) = (0, false);
        for edit in edits.take_while(|edit| edit.number >= key.1) {
            bytes += edit.definition.bytes();
            is_one = edit.number == key.1;
        }
        is_one && bytes <= EDIT_BYTES && self.resting.edit_bytes() <= MOST_BYTES
    }

    /// Whether the latest schedule of a name is this creation, whether it is understood or not.
    fn is_there(&self, name: &str, creation: u64) -> bool {
        let unknown = || {
            let last = self.resting.of(name).next_back().filter(|last| last.ended.is_none());
            last.is_some_and(|last| last.definition.creation() == creation)
        };
        self.running_creation(name, creation).is_some() || unknown()
    }

    fn refers_to(&self, key: &SpanKey) -> bool {
        self.outstanding.refers_to(key) || self.operations.refers_to(key) || self.keeps_a_pause(key)
    }

    /// Whether it is the last of a name that is paused and does not run: the pause stays with the name until it ends.
    fn keeps_a_pause(&self, key: &SpanKey) -> bool {
        self.pausing.is_paused(&key.0)
            && self.schedules.find(&key.0).is_none()
            && self.resting.of(&key.0).next_back().is_some_and(|last| last.number == key.1)
    }

    /// Forgets revisions that ended long ago and that nothing refers to, of so many that are looked at; whether these were the
    /// last.
    pub(super) fn forget_old(&mut self, looked_at: usize) -> bool {
        // By what the clock shows, and not by what may have been sent: that may be years ahead after a step back.
        let (old, all) = self.resting.long_ended(looked_at, self.now());
        for key in old {
            if !self.refers_to(&key) {
                self.forget(key);
            }
        }
        all
    }

    fn forget(&mut self, key: SpanKey) {
        self.resting.forget(&key);
        if self.schedules.find(&key.0).is_none() && self.resting.of(&key.0).next().is_none() {
            self.forget_pauses_of(&key.0);
        }
        self.progress.forget(key);
    }
}

fn key(revision: &Revision) -> SpanKey {
    (revision.name().into(), revision.number)
}

//! Which revisions that ended are forgotten: those that nothing refers to, some time after their end.
//!
//! A file's schedule may come back as it was, and goes on then: of it all is kept for 30 days. What was created at run time
//! comes back as something new, with ids of its own: of one that ended all is kept for an hour, for requests that come
//! late, and of one that runs the last edits. So what is created, edited and deleted without end leaves behind what an hour
//! of it leaves, and of that no more than there is room for.
//!
//! They are forgotten some at a time: the next ones once the write with those before them is durable.

use super::{Revision, core::Engine, progress::SpanKey};
use ponos_event::Timestamp;

/// What ended of a creation is kept this long (an hour, in milliseconds), and what was settled of it is known as long.
pub(super) const HOUR: i64 = if cfg!(test) { 30_000 } else { 60 * 60 * 1_000 };
/// Earlier revisions of a creation that runs, as many as are kept at least.
pub(super) const EDITS: usize = if cfg!(test) { 2 } else { 16 };
/// At most so many wait until they are looked at: then the oldest go earlier.
const MOST: usize = if cfg!(test) { 40 } else { 100_000 };
/// What something refers to, or what is not durable, is looked at again this much later (a minute, in milliseconds).
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
        let older = self.resting.of_creation(name, creation).skip(EDITS).take(LOOKED_AT);
        for key in older.map(key).collect::<Vec<SpanKey>>() {
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
            let Some(key) = self.resting.take_look(self.now(), MOST) else { return };
            self.forget_or_look_again(key);
        }
    }

    fn forget_or_look_again(&mut self, key: SpanKey) {
        let Some(revision) = self.resting.get(&key) else { return };
        // What is answered has to have been durable.
        if self.refers_to(&key) || self.progress.is_to_write(&key) {
            let at = self.now().plus(LOOK_AGAIN);
            return self.resting.look_at(&key, at);
        }
        let creation = revision.definition.creation();
        let newer = |revision: &&Revision| revision.number > key.1;
        let is_edit = self.is_there(&key.0, creation)
            && self.resting.of_creation(&key.0, creation).take_while(newer).take(EDITS).count() < EDITS;
        if !is_edit {
            self.forget(key);
            self.forgotten = self.progress.next_ticket();
        }
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

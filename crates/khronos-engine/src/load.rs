//! What is wanted changes: one schedule is put or removed, or all are loaded, in pieces.
//!
//! A put costs what one schedule costs, however many there are. A load of many schedules is as many puts, in the order of
//! names: each piece changes at most `Rules::piece` of them, at a moment T of its own, in one write; the next begins when
//! that is durable. A crash in between leaves each schedule old or new, never a mixture, and what was on its way is read
//! from the files again. Between two pieces what is due goes out as usual. So neither a write nor a step grows with the
//! number of schedules.
//!
//! A load concerns what came from files alone: what a command put is neither changed nor ended by it, whenever the files
//! were read, and a schedule of a file under such a name is not taken in. A put takes a name over.
//!
//! What changed hands nothing over before its write is durable, and no other schedule waits for that.

use super::{
    Notice, OnResume, Origin, PauseRequest, Revision, Scope,
    core::Engine,
    faults::{Fault, planted},
    load_summary::LoadSummary,
    progress::SpanKey,
    slot::Slot,
    slots::SlotId,
};
use khronos_schedule::{Definition, Packed};
use ponos_event::Timestamp;
use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet, VecDeque},
    iter::Peekable,
    sync::Arc,
    vec::IntoIter,
};

/// Schedules that are compared in one step, for each one that may change.
const COMPARED: usize = 32;
/// Ended revisions that a put looks at, whether they can be forgotten: more than it adds.
const LOOKED_AT: usize = 4;

/// Commands that wait at most: until the clock is believed, or until the disk has what they changed. Each holds a definition.
pub(super) const COMMANDS: usize = 1_000;

/// From how long ago on the rules of a zone must be the same, in milliseconds (31 days): what is outstanding for longer has
/// its revision's own.
pub const ZONES_SINCE: i64 = 31 * 86_400_000;

/// What is to change.
#[derive(Debug)]
pub(super) enum Change {
    /// These are wanted, all of them.
    Load(Vec<Packed>),
    /// A command: this one is wanted.
    Put(u64, Packed),
    /// A command: the one of this name is not wanted any more.
    Remove(u64, Arc<str>),
    /// A command: all rest.
    Pause(u64, Scope, PauseRequest),
    /// A command: they rest no longer.
    Resume(u64, Scope, OnResume),
}

/// Which slot, if there is one, and what is wanted of it, if it is wanted.
type Wanted = (Option<SlotId>, Option<Packed>);

/// What is wanted and has not happened yet.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Until the clock is believed.
    waiting: VecDeque<Change>,
    /// The load under way.
    load: Option<Load>,
    /// The write with its latest piece: the next piece begins when it is durable.
    piece: u64,
}

impl Changes {
    pub(super) fn wait(&mut self, change: Change) {
        if let Change::Load(_) = change {
            // What an earlier one wanted that has not begun is not wanted any more.
            self.waiting.retain(|change| !matches!(change, Change::Load(_)));
        }
        self.waiting.push_back(change);
    }

    pub(super) fn next(&mut self) -> Option<Change> {
        self.waiting.pop_front()
    }
}

/// A load under way.
#[derive(Debug)]
struct Load {
    /// By name: what was not compared yet, of so many.
    wanted: Peekable<IntoIter<Packed>>,
    count: usize,
    /// Names up to that of this one were compared.
    after: Option<Packed>,
    /// The first of the names that commands have put and that are wanted all the same, and how many there are.
    taken: Option<(Arc<str>, usize)>,
    /// Names that were removed since it began: the later word counts.
    overruled: HashSet<Arc<str>>,
    /// All were compared.
    compared: bool,
    /// What it changed so far, after those that it replaced; `None` once that was said.
    summary: Option<LoadSummary>,
}

impl Engine {
    /// A command waits for its turn, if there is room.
    pub(super) fn take_command(&mut self, command: u64, change: Change) {
        if self.changes.waiting.len() + self.progress.promises() < COMMANDS {
            self.changes.wait(change);
        } else {
            self.out.too_many.push(command);
        }
    }

    /// What is not clear before the clock is believed: the moment at which it happens.
    pub(super) fn take_change(&mut self, change: Change) {
        match change {
            Change::Load(wanted) => self.begin_load(wanted),
            Change::Put(command, definition) => {
                let name = definition.name().into();
                self.change_one(command, name, Some(definition));
            }
            Change::Remove(command, name) => {
                self.change_one(command, name.clone(), None);
                self.note_confirmation(&name);
            }
            Change::Pause(command, scope, request) => self.pause(command, scope, request),
            Change::Resume(command, scope, how) => self.resume(command, scope, how),
        }
    }

    fn change_one(&mut self, command: u64, name: Arc<str>, wanted: Option<Packed>) {
        let id = self.schedules.find(&name);
        if id.is_none() && wanted.is_none() {
            self.end_resting(&name);
        }
        if let (Some(load), None) = (&mut self.changes.load, &wanted) {
            load.overruled.insert(name);
        }
        if self.is_change(id, wanted.as_ref(), Origin::Command) {
            let gate = self.progress.change();
            self.change_all([(id, wanted)], Origin::Command, gate);
            self.forget_old(LOOKED_AT);
        }
        self.progress.promise(command);
    }

    /// What does not run because this version does not understand it would run again under another one.
    fn end_resting(&mut self, name: &str) {
        let Some(last) = self.resting.of(name).next_back().filter(|last| last.ended.is_none()) else {
            return;
        };
        let ended = Revision { ended: Some(self.moment(last.set_backs)), ..last.clone() };
        self.progress.change();
        self.progress.revision(&ended);
        self.resting.insert(ended);
    }

    /// A load that is under way is given up for it.
    fn begin_load(&mut self, mut wanted: Vec<Packed>) {
        // Mostly they are in order: sorting takes room for as many again.
        if !wanted.is_sorted_by(|a, b| a.name_bytes() < b.name_bytes()) {
            wanted.sort_by(|a, b| a.name_bytes().cmp(b.name_bytes()));
            wanted.dedup_by(|a, b| a.name_bytes() == b.name_bytes());
        }
        self.schedules.reserve(wanted.len().saturating_sub(self.len()));
        // What that has changed nobody was told yet.
        let summary = self.changes.load.take().and_then(|load| load.summary).unwrap_or_default();
        self.changes.load = Some(Load {
            count: wanted.len(),
            wanted: wanted.into_iter().peekable(),
            after: None,
            taken: None,
            overruled: HashSet::new(),
            compared: false,
            summary: Some(summary),
        });
    }

    /// Whether the next piece of a load can be taken in now.
    pub(super) fn may_load(&self) -> bool {
        self.changes.load.is_some()
            && !self.draining
            && self.is_steady()
            && self.progress.is_durable(self.changes.piece)
    }

    /// When a revision that began after so many set-backs ends: not before what may have been sent of it. After a restart, and
    /// after a step back, that may be more than the clock shows.
    pub(super) fn moment(&self, set_backs: u32) -> Timestamp {
        self.now().max(self.progress.may_have_been_sent_of(set_backs))
    }

    /// Takes in the next piece.
    pub(super) fn load_piece(&mut self) {
        let Some(mut load) = self.changes.load.take() else { return };
        let most = self.rules.piece.max(1);
        let changes = self.compare(&mut load, most);
        let left = most - changes.len();
        if !changes.is_empty() {
            self.changes.piece = self.progress.change();
            let gate = self.changes.piece;
            if let Some(summary) = &mut load.summary {
                self.summarize(&changes, summary);
            }
            self.change_all(changes, Origin::File, gate);
        }
        if load.compared {
            self.forget_refusals();
            if let Some((schedule, count)) = load.taken.take() {
                self.out.notices.push(Notice::NameTaken { schedule, others: count - 1 });
            }
            if let Some(summary) = load.summary.take() {
                self.out.notices.push(Notice::Loaded(LoadSummary { schedules: self.len(), ..summary }));
            }
            // A million take their room until the last is forgotten.
            (load.wanted, load.count) = (Vec::new().into_iter().peekable(), 0);
            if self.forget_old(left.max(1)) {
                return;
            }
        }
        self.changes.load = Some(load);
    }

    fn summarize(&self, changes: &[Wanted], summary: &mut LoadSummary) {
        for change in changes {
            match change {
                (None, Some(wanted)) => summary.added.note(wanted.name()),
                (Some(_), Some(wanted)) => summary.changed.note(wanted.name()),
                (Some(id), None) => summary.removed.note(self.schedules[*id].definition.name()),
                (None, None) => {}
            }
        }
    }

    /// The next schedules that are to change, at most so many.
    fn compare(&self, load: &mut Load, most: usize) -> Vec<Wanted> {
        let mut changes = Vec::new();
        let after = load.after.clone();
        let mut running = self.schedules.after(after.as_ref().map(Packed::name)).peekable();
        for _ in 0..most.saturating_mul(COMPARED) {
            let order = match (running.peek(), load.wanted.peek()) {
                (None, None) => {
                    load.compared = true;
                    break;
                }
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(id), Some(wanted)) => {
                    self.schedules[*id].definition.name_bytes().cmp(wanted.name_bytes())
                }
            };
            let id = running.next_if(|_| order != Ordering::Greater);
            let wanted = load.wanted.next_if(|_| order != Ordering::Less);
            load.after = wanted.clone().or(id.map(|id| self.schedules[id].definition.clone()));
            let overruled = || load.after.as_ref().is_some_and(|after| load.overruled.contains(after.name()));
            let is_put = match (id, &wanted) {
                (Some(id), _) => self.schedules[id].origin() == Origin::Command,
                (None, Some(wanted)) => self.rests_as_put(wanted.name()),
                (None, None) => false,
            };
            if is_put && !planted(Fault::LoadEndsWhatWasPut) {
                if let Some(wanted) = wanted {
                    load.taken.get_or_insert((wanted.name().into(), 0)).1 += 1;
                }
            } else if self.is_change(id, wanted.as_ref(), Origin::File) && !overruled() {
                changes.push((id, wanted));
                if changes.len() == most {
                    break;
                }
            }
        }
        changes
    }

    /// Whether a command has put one of this name that does not run because this version does not understand it.
    fn rests_as_put(&self, name: &str) -> bool {
        let last = self.resting.of(name).next_back();
        last.is_some_and(|last| last.ended.is_none() && last.origin == Origin::Command)
    }

    /// How many schedules a load under way has looked at, of how many.
    pub fn loading(&self) -> Option<(usize, usize)> {
        let load = self.changes.load.as_ref().filter(|load| load.count > 0)?;
        Some((load.count - load.wanted.len(), load.count))
    }

    /// Whether what is wanted of a slot is another thing than what it has.
    fn is_change(&self, id: Option<SlotId>, wanted: Option<&Packed>, origin: Origin) -> bool {
        match (id, wanted) {
            (Some(id), Some(wanted)) => {
                let slot = &self.schedules[id];
                slot.origin() != origin || !self.is_as_before(&slot.definition, wanted)
            }
            (id, wanted) => id.is_some() || wanted.is_some(),
        }
    }

    /// Whether it would go on as it is: newer zone data that has the same rules from a month ago on changes nothing.
    pub(super) fn is_as_before(&self, before: &Packed, wanted: &Packed) -> bool {
        if planted(Fault::TakeNewZoneDataForTheOld) {
            let written = |packed: &Packed| Definition { zones: None, ..packed.definition() };
            return written(before) == written(wanted);
        }
        before.means_the_same_from(wanted, self.now().plus(-ZONES_SINCE))
    }

    /// Gives slots what is wanted of them. They hand nothing over before the write `gate` is durable.
    fn change_all(&mut self, changes: impl IntoIterator<Item = Wanted>, origin: Origin, gate: u64) {
        let mut outlived = HashMap::new();
        for (id, wanted) in changes {
            self.change(id, wanted.map(|wanted| (wanted, origin)), gate, &mut outlived);
        }
        self.outstanding.in_flight.reassign_to_spans(outlived);
    }

    /// What is in flight of the slot goes into `outlived`: to which span it belongs now.
    fn change(
        &mut self,
        id: Option<SlotId>,
        wanted: Option<(Packed, Origin)>,
        gate: u64,
        outlived: &mut HashMap<SlotId, SpanKey>,
    ) {
        match (id, wanted) {
            (Some(id), wanted) => {
                self.schedules.dequeue(id);
                let vacant = Slot::vacant(&self.schedules[id].definition);
                let slot = std::mem::replace(&mut self.schedules[id], vacant);
                if slot.in_flight().is_some() {
                    outlived.insert(id, slot.key());
                }
                let until = self.reached(&slot, self.moment(slot.set_backs()));
                let ended = self.retire(&slot, until);
                match wanted {
                    Some(wanted) => {
                        let next = self.succeed(wanted, &ended, (until, until));
                        self.schedules.replace(id, next.having_sent(slot.sent), gate);
                    }
                    None => {
                        self.resting.keep_sent(slot.definition.name(), slot.sent);
                        self.schedules.remove(id);
                    }
                }
            }
            (None, Some((wanted, origin))) => {
                let sent = self.resting.take_sent(wanted.name());
                let slot = self.admit(wanted, origin).having_sent(sent);
                self.schedules.insert(slot, gate);
            }
            (None, None) => {}
        }
    }

    /// Forgets revisions that ended long ago and that nothing refers to, of so many that are looked at; whether these were the
    /// last.
    fn forget_old(&mut self, looked_at: usize) -> bool {
        // By what the clock shows, and not by what may have been sent: that may be years ahead after a step back.
        let now = self.now();
        let referred = |key: &SpanKey| self.outstanding.refers_to(key);
        let (forgotten, all) = self.resting.forget_old(looked_at, now, referred);
        forgotten.into_iter().for_each(|key| self.progress.forget(key));
        all
    }
}

//! What is wanted changes: one schedule is put or removed, or all are loaded, in pieces.
//!
//! A put costs what one schedule costs, however many there are. A load of many schedules is as many puts, in the order of
//! names: each piece changes at most `Rules::piece` of them, at a moment T of its own, in one write; the next begins when
//! that is durable. A crash in between leaves each schedule old or new, never a mixture, and what was on its way is read
//! from the files again. Between two pieces what is due goes out as usual. Commands wait likewise while the next write has
//! as much as a piece. So neither a write nor a step grows with the number of schedules, or of commands.
//!
//! A load concerns what came from files alone: what was created at run time is neither changed nor ended by it, whenever
//! the files were read, and a schedule of a file under such a name is not taken in: that is a fault of the files. Every other
//! name of the files is theirs from when they were read, be it not taken in yet; and nothing is created before they were
//! read for the first time. When a creation ends whose name they want, they are to be read again.
//!
//! With the files, zone data and calendars are read: what was created is read anew by them, and changes where it is due at
//! other times then.
//!
//! What changed hands nothing over before its write is durable, and no other schedule waits for that.

mod admission;
mod anew;
mod asked;
mod pending;
mod size;

use super::{
    Asker, Author, ChangeRequest, Notice, OnResume, Operation, PauseRequest, Scope,
    calendar_users::tired,
    core::Engine,
    faults::{Fault, planted},
    load_summary::LoadSummary,
    progress::SpanKey,
    slot::Slot,
    slots::SlotId,
    trigger::TriggerRequest,
};
#[cfg(test)]
pub(super) use admission::{COMMANDS, PAUSES, PAUSES_OF_ALL};
use khronos_schedule::{Created, Definition, Packed};
use pending::add_askers;
pub(super) use pending::{Changes, Full};
use ponos_event::{CommandId, Timestamp};
use std::{cmp::Ordering, collections::HashMap, sync::Arc, vec::IntoIter};

/// Schedules that are compared in one step, for each one that may change.
const COMPARED: usize = 32;

/// From how long ago on the rules of a zone must be the same, in milliseconds (31 days): what is outstanding for longer has
/// its revision's own.
pub const ZONES_SINCE: i64 = 31 * 86_400_000;

/// What a command asks for.
#[derive(Debug)]
pub(super) enum Change {
    /// Schedules are put and deleted.
    Schedules(Box<ChangeRequest>),
    /// These rest.
    Pause(u64, Scope, PauseRequest),
    /// They rest no longer.
    Resume(u64, Scope, OnResume),
    /// An operation begins.
    Operate(u64, CommandId, Box<Operation>),
    /// An operation ends.
    Cancel(u64, CommandId),
    /// An event of the schedule of this name goes out now.
    Trigger(u64, TriggerRequest),
    /// Another one, for which somebody asks who is known.
    By(Box<Asker>, Box<Change>),
}

/// Which slot, if there is one, and what is wanted of it, if it is wanted.
pub(super) type Wanted = (Option<SlotId>, Option<Packed>);

/// A load under way.
#[derive(Debug)]
struct Load {
    /// By name: what was not compared yet, of so many.
    wanted: IntoIter<Packed>,
    count: usize,
    /// Instead of these, what runs and was not created is wanted.
    is_kept: bool,
    /// Names up to that of this one were compared.
    after: Option<Packed>,
    /// The first of the names that were created at run time and that the files have all the same, with its owner, and how
    /// many there are.
    taken: Option<(Arc<str>, Arc<str>, usize)>,
    /// Those of the latest piece.
    names: Vec<Arc<str>>,
    /// All were compared.
    compared: bool,
    /// What it changed so far, after those that it replaced; `None` once that was said.
    summary: Option<LoadSummary>,
    /// Who asked for it, or for one that it replaces, as far as they are known.
    by: Vec<Author>,
}

impl Engine {
    /// A command waits for its turn, if there is room.
    pub(super) fn take_command(&mut self, command: u64, change: Change) {
        if self.changes.admission.take(command, &change) {
            self.changes.wait(change);
        } else {
            self.out.too_many.push(command);
        }
    }

    /// What is not clear before the clock is believed: the moment at which it happens. Some at a time: the next step goes on.
    pub(super) fn take_changes(&mut self) {
        if self.is_steady()
            && let Some((wanted, by)) = self.changes.read.take()
        {
            self.begin_load(wanted, by);
        }
        let mut made = 0;
        while self.is_steady()
            && let Some(change) = self.changes.next(made, self.full())
        {
            made += change.size().count;
            self.take_change(change);
        }
        if self.is_steady() && !self.draining {
            self.let_finished_go();
            self.forget_ended();
        }
    }

    /// Of what the next write has as much as a piece of a load has: what else is asked for waits for the one after it.
    pub(super) fn full(&self) -> Full {
        Full {
            of_changes: self.progress.is_full_of_changes(self.rules.piece),
            of_pauses: self.progress.room_for_pauses(self.rules.piece) == 0,
        }
    }

    pub(super) fn take_change(&mut self, change: Change) {
        match change {
            Change::By(asker, change) => self.carry_out(*asker, *change),
            Change::Schedules(request) => self.decide(*request),
            Change::Pause(command, scope, request) => self.pause(command, scope, request),
            Change::Resume(command, scope, how) => self.resume(command, scope, how),
            Change::Operate(command, id, operation) => self.begin_operation(command, id, *operation),
            Change::Cancel(command, id) => self.cancel_operation(command, &id),
            Change::Trigger(command, request) => self.trigger(command, request),
        }
    }

    /// As if the files were read, and had nothing that is not there.
    #[cfg(test)]
    pub(super) fn having_read(mut self) -> Self {
        self.changes.were_read = true;
        self
    }

    /// A load that is under way is given up for it.
    fn begin_load(&mut self, wanted: Option<Vec<Packed>>, by: Vec<Author>) {
        let is_kept = wanted.is_none();
        let mut wanted = wanted.unwrap_or_default();
        // Mostly they are in order: sorting takes room for as many again.
        if !wanted.is_sorted_by(|a, b| a.name_bytes() < b.name_bytes()) {
            wanted.sort_by(|a, b| a.name_bytes().cmp(b.name_bytes()));
            wanted.dedup_by(|a, b| a.name_bytes() == b.name_bytes());
        }
        self.schedules.reserve(wanted.len().saturating_sub(self.len()));
        // What that has changed nobody was told yet.
        let before = self.changes.load.take().and_then(|load| Some((load.summary?, load.by)));
        let (summary, mut all) = before.unwrap_or_default();
        add_askers(&mut all, by);
        self.changes.were_read = true;
        self.changes.taken.clear();
        self.changes.load = Some(Load {
            count: wanted.len(),
            wanted: wanted.into_iter(),
            is_kept,
            after: None,
            taken: None,
            names: Vec::new(),
            compared: false,
            summary: Some(summary),
            by: all,
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
        let reached = self.progress.may_have_been_sent_of(set_backs);
        if planted(Fault::EditFromNow) { self.now() } else { self.now().max(reached) }
    }

    /// Takes in the next piece.
    pub(super) fn load_piece(&mut self) {
        let Some(mut load) = self.changes.load.take() else { return };
        let most = self.rules.piece.max(1);
        let changes = self.compare(&mut load, most);
        self.changes.taken.extend(load.names.drain(..));
        let left = most - changes.len();
        if !changes.is_empty() {
            self.changes.piece = self.progress.change();
            if let Some(summary) = &mut load.summary {
                self.summarize(&changes, summary);
            }
            self.change_and_log(changes);
        }
        if load.compared {
            self.forget_refusals();
            if let Some((schedule, owner, count)) = load.taken.take() {
                self.out.notices.push(Notice::NameTaken { schedule, owner, others: count - 1 });
            }
            if let Some(summary) = load.summary.take() {
                let summary = LoadSummary { schedules: self.len(), ..summary };
                load.by.drain(..).for_each(|by| self.log_load(&by, &summary));
                self.out.notices.push(Notice::Loaded(summary));
            }
            // A million take their room until the last is forgotten.
            (load.wanted, load.count) = (Vec::new().into_iter(), 0);
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
        let (mut changes, mut read) = (Vec::new(), 0);
        let is_tired = self.calendars.named.as_ref().map(tired);
        let after = load.after.clone();
        let mut running = self.schedules.after(after.as_ref().map(Packed::name)).peekable();
        for _ in 0..most.saturating_mul(COMPARED) {
            let order = match (running.peek(), load.wanted.as_slice().first()) {
                (None, None) => {
                    load.compared = true;
                    break;
                }
                (Some(id), None) if load.is_kept && !self.schedules[*id].definition.is_created() => {
                    Ordering::Equal
                }
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(id), Some(wanted)) => {
                    self.schedules[*id].definition.name_bytes().cmp(wanted.name_bytes())
                }
            };
            let id = running.next_if(|_| order != Ordering::Greater);
            let wanted = match order {
                Ordering::Less => None,
                _ if load.is_kept => id.map(|id| self.schedules[id].definition.clone()),
                _ => load.wanted.next(),
            };
            load.after = wanted.clone().or(id.map(|id| self.schedules[id].definition.clone()));
            let creation = match (id, &wanted) {
                (Some(id), _) => self.schedules[id].definition.created(),
                (None, Some(wanted)) => self.resting_creation(wanted.name()),
                (None, None) => None,
            };
            if let Some(created) = creation
                && !planted(Fault::LoadEndsWhatWasPut)
            {
                if let Some(wanted) = wanted {
                    let name: Arc<str> = wanted.name().into();
                    load.taken.get_or_insert_with(|| (name.clone(), created.owner.into(), 0)).2 += 1;
                    load.names.push(name);
                }
                if let Some(id) = id.filter(|id| self.reads_others(*id)) {
                    read += 1;
                    changes.extend(self.read_anew(id).map(|anew| (Some(id), Some(anew))));
                }
            } else if !load.is_kept && self.is_change(id, wanted.as_ref()) {
                changes.push((id, wanted));
            }
            // To read one takes as long as to change it; or longer, where days are read by zones.
            let by = self.calendars.named.as_ref();
            let is_tired = is_tired.as_ref().zip(by).is_some_and(|(tired, by)| tired(by));
            if changes.len() == most || read == most || is_tired {
                break;
            }
        }
        changes
    }

    /// Which creation one of this name is that does not run because this version does not understand it.
    fn resting_creation(&self, name: &str) -> Option<Created> {
        let last = self.resting.of(name).next_back().filter(|last| last.ended.is_none());
        last.and_then(|last| last.definition.created())
    }

    /// How many schedules a load under way has looked at, of how many.
    pub fn loading(&self) -> Option<(usize, usize)> {
        let load = self.changes.load.as_ref().filter(|load| load.count > 0)?;
        Some((load.count - load.wanted.len(), load.count))
    }

    /// Whether what is wanted of a slot is another thing than what it has.
    fn is_change(&self, id: Option<SlotId>, wanted: Option<&Packed>) -> bool {
        match (id, wanted) {
            (Some(id), Some(wanted)) => {
                let before = &self.schedules[id].definition;
                before.creation() != wanted.creation() || !self.is_as_before(before, wanted)
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

    /// Makes the changes of a piece; what of them was created is noted in the log, for nobody asked for it.
    pub(super) fn change_and_log(&mut self, changes: Vec<Wanted>) {
        let before = self.versions_of_creations(&changes);
        self.change_all(changes, self.changes.piece);
        self.log_read_anew(before);
    }

    /// Gives slots what is wanted of them. They hand nothing over before the write `gate` is durable.
    pub(super) fn change_all(&mut self, changes: impl IntoIterator<Item = Wanted>, gate: u64) {
        let mut outlived = HashMap::new();
        for (id, wanted) in changes {
            self.change(id, wanted, gate, &mut outlived);
        }
        self.outstanding.in_flight.reassign_to_spans(outlived);
    }

    /// What is in flight of the slot goes into `outlived`: to which span it belongs now.
    fn change(
        &mut self,
        id: Option<SlotId>,
        wanted: Option<Packed>,
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
                self.schedules.unstand(id);
                match wanted {
                    Some(wanted) => {
                        let next = self.succeed(wanted, &ended, until);
                        self.schedules.replace(id, next.having_sent(slot.sent), gate);
                    }
                    None => {
                        self.resting.keep_sent(&slot.definition, slot.sent);
                        self.schedules.remove(id);
                        if self.pausing.is_paused(slot.definition.name()) {
                            self.note_whether_it_runs(&slot.name());
                        }
                    }
                }
            }
            (None, Some(wanted)) => {
                let sent = self.resting.take_sent(&wanted);
                let slot = self.admit(wanted).having_sent(sent);
                let is_paused =
                    self.pausing.is_paused(slot.definition.name()) && !planted(Fault::LoseThePauseAtALoad);
                let id = self.schedules.insert(slot, gate);
                if is_paused {
                    self.schedules.hold(id);
                    self.note_whether_it_runs(&self.schedules[id].name());
                }
            }
            (None, None) => {}
        }
    }
}

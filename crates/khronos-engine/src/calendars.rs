//! Calendars that were created at run time: whose they are, what they say, and who uses them.
//!
//! Schedules that were created at run time may name them, and those of the files; schedules of files name those of the files
//! alone, so that a folder of files is right or wrong by itself. Names do not meet: a name of the files can't be created, and where
//! the files get one that was created before, those who could name the one that was created go on to do so. One that is used can't
//! go. Bounded: an owner has no more of them, and no more bytes, than he leaves to all others.

use super::{
    Author, ChangeKind, Expect, LoggedChange, Notice, Refusal, Verdict, Version,
    calendar_users::{SHOWN, tired},
    core::Engine,
    decide::Asked,
    faults::{Fault, planted},
    portions::Portions,
    slots::SlotId,
};
use khronos_schedule::{Calendar, CalendarText, Calendars, Created, Packed};
use ponos_event::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Calendars in all; an owner alone has half of them.
pub(super) const MOST: usize = if cfg!(test) { 10 } else { 10_000 };
/// Bytes of their texts, and of what these are read to, in all; likewise. What the rules in them cost to be followed counts, too:
/// all texts are read again when the store is opened, which takes less than ten seconds on a slow processor then.
pub(super) const MOST_BYTES: usize = if cfg!(test) { 2_000 } else { 64 << 20 };

/// A calendar that was created at run time.
#[derive(Debug, Clone, PartialEq)]
pub struct CreatedCalendar {
    /// Its name.
    pub name: Arc<str>,
    /// Which creation it is, and whose.
    pub created: Created,
    /// Counts up with every edit, from 1.
    pub revision: u32,
    /// Since when it says this.
    pub since: Timestamp,
    /// As it is written.
    pub text: CalendarText,
    /// As it is read; `None`: this version does not understand it.
    pub calendar: Option<Calendar>,
}

impl CreatedCalendar {
    fn weight(&self) -> usize {
        weight(&self.text, self.calendar.as_ref())
    }
}

/// Bytes of a calendar, about: some of text may cover very many periods, which are held twice, or take very many steps.
fn weight(text: &CalendarText, calendar: Option<&Calendar>) -> usize {
    const PERIOD: usize = 16;
    // A step takes as long as two bytes of text.
    const STEP: usize = 2;
    let steps = |calendar: &Calendar| calendar.steps().saturating_mul(STEP);
    let of = |calendar: &Calendar| steps(calendar).saturating_add(calendar.periods().saturating_mul(PERIOD));
    text.text.len().saturating_add(calendar.map_or(0, of))
}

/// A calendar that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct WantedCalendar {
    /// As it is written.
    pub text: CalendarText,
    /// As it was read.
    pub calendar: Calendar,
}

impl WantedCalendar {
    fn weight(&self) -> usize {
        weight(&self.text, Some(&self.calendar))
    }
}

/// The calendars of the files, as they were read, and those that were created, as they are read now.
#[derive(Debug, Clone, Default)]
pub struct ReadCalendars {
    /// Those of the files.
    pub files: Calendars,
    /// Of those that were created, some that were read anew: by newer zone data a time may lie on another day.
    pub anew: Vec<Arc<CreatedCalendar>>,
}

/// Who uses a calendar.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Users {
    /// Some of the schedules, sorted by name.
    pub first: Vec<Arc<str>>,
    /// How many there are.
    pub count: usize,
}

/// Those that there are.
#[derive(Debug, Default)]
pub(super) struct CreatedCalendars {
    all: BTreeMap<Arc<str>, Arc<CreatedCalendar>>,
    counts: Portions,
    bytes: Portions,
    /// Those of the files, once they were read.
    files: Option<Calendars>,
    /// What a schedule may name that is created at run time.
    pub(super) named: Option<Calendars>,
    /// These are others than was said last.
    changed: bool,
    /// Schedules that are to be read anew.
    pub(super) anew: BTreeSet<SlotId>,
}

impl CreatedCalendars {
    pub(super) fn new(kept: Vec<Arc<CreatedCalendar>>) -> Self {
        let mut this = Self::default();
        kept.into_iter().for_each(|one| this.insert(one));
        this
    }

    fn insert(&mut self, one: Arc<CreatedCalendar>) {
        let owner: Arc<str> = one.created.owner.as_str().into();
        self.remove(&one.name);
        self.counts.add(&owner, 1);
        self.bytes.add(&owner, one.weight());
        if let Some(named) = &mut self.named {
            named.insert(&one.name, one.calendar.clone());
        }
        self.changed = true;
        self.all.insert(one.name.clone(), one);
    }

    fn remove(&mut self, name: &str) -> Option<Arc<CreatedCalendar>> {
        let gone = self.all.remove(name)?;
        self.counts.remove(&gone.created.owner, 1);
        self.bytes.remove(&gone.created.owner, gone.weight());
        if let Some(named) = &mut self.named {
            named.restore(name, self.files.as_ref());
        }
        self.changed = true;
        Some(gone)
    }

    /// The files were read.
    fn read(&mut self, ReadCalendars { files, anew }: ReadCalendars) {
        for one in anew {
            let is_it = |there: &Arc<CreatedCalendar>| {
                (there.created.number, there.revision) == (one.created.number, one.revision)
            };
            if self.all.get(&one.name).is_some_and(is_it) {
                self.insert(one);
            }
        }
        let mut named = files.clone().beside(BTreeSet::new());
        self.all.values().for_each(|one| named.insert(&one.name, one.calendar.clone()));
        (self.files, self.named, self.changed) = (Some(files), Some(named), true);
    }

    /// The first of those whose names the files have too, and how many there are.
    fn taken(&self) -> Option<(&CreatedCalendar, usize)> {
        let files = self.files.as_ref()?;
        let mut taken = self.all.values().filter(|one| files.has(&one.name));
        let first = taken.next()?;
        Some((first, 1 + taken.count()))
    }
}

/// What a change of a calendar comes to.
#[derive(Debug)]
pub(super) enum CalendarStep {
    /// It is there as it is wanted, or not there as it is not.
    Nothing(Verdict),
    /// It changes, or goes, or is new.
    Change,
}

impl Engine {
    /// The calendars that were created at run time, from the first name on or after this one.
    pub fn created_calendars(&self, from: &str) -> impl Iterator<Item = &Arc<CreatedCalendar>> {
        let from = (std::ops::Bound::Included(from), std::ops::Bound::Unbounded);
        self.calendars.all.range::<str, _>(from).map(|(_, one)| one)
    }

    /// The one of this name.
    pub fn created_calendar(&self, name: &str) -> Option<&Arc<CreatedCalendar>> {
        self.calendars.all.get(name)
    }

    /// Which schedules use the calendar of this name that was created at run time.
    pub fn users_of(&self, calendar: &str) -> Users {
        let all = self.schedules.tallies.users_of(calendar);
        let count = all.map_or(0, BTreeSet::len);
        let mut first: Vec<_> =
            all.into_iter().flatten().take(SHOWN).map(|id| self.schedules[*id].name()).collect();
        first.sort_unstable();
        Users { first, count }
    }

    /// What a definition may name, and what was created, where that changed since it was asked for last.
    pub(super) fn changed_calendars(&mut self) -> Option<(Option<Calendars>, Vec<Arc<CreatedCalendar>>)> {
        let changed = std::mem::take(&mut self.calendars.changed);
        changed.then(|| (self.calendars.named.clone(), self.calendars.all.values().cloned().collect()))
    }

    /// The files were read, and calendars with them.
    pub(super) fn take_calendars(&mut self, read: ReadCalendars) {
        self.calendars.read(read);
        if let Some((first, count)) = self.calendars.taken() {
            let (calendar, owner) = (first.name.clone(), first.created.owner.as_str().into());
            self.out.notices.push(Notice::CalendarTaken { calendar, owner, others: count - 1 });
        }
    }

    /// Whether a change of a calendar may be made now, and what it comes to.
    pub(super) fn judge_calendar(
        &self,
        by: &Author,
        (name, wanted): (&str, Option<&WantedCalendar>),
        expect: Expect,
    ) -> Result<CalendarStep, Refusal> {
        let all = &self.calendars;
        let Some(there) = all.all.get(name) else {
            if all.files.as_ref().is_some_and(|files| files.has(name)) {
                return Err(Refusal::FileOwned);
            }
            return match (wanted, expect) {
                (_, Expect::Present) | (Some(_), Expect::Revision { .. }) => {
                    Err(Refusal::Stale { revision: None })
                }
                (None, _) => Ok(CalendarStep::Nothing(Verdict::GoneAlready)),
                // Schedules may name one that the files had.
                (Some(wanted), _) => {
                    self.has_room_for(&by.owner, 1, wanted.weight())?;
                    self.leaves_something(name, wanted).map(|()| CalendarStep::Change)
                }
            };
        };
        let (created, revision) = (&there.created, there.revision);
        if !by.is_admin && *created.owner != *by.owner {
            return Err(Refusal::NotOwner { owner: created.owner.as_str().into() });
        }
        match expect {
            Expect::Absent => return Err(Refusal::Exists { revision }),
            Expect::Revision { creation, number } if (creation, number) != (created.number, revision) => {
                return Err(Refusal::Stale { revision: Some(revision) });
            }
            Expect::Any | Expect::Present | Expect::Revision { .. } => {}
        }
        match wanted {
            Some(wanted) if wanted.text == there.text => {
                let verdict = Verdict::Unchanged { creation: created.number, revision };
                Ok(CalendarStep::Nothing(verdict))
            }
            Some(wanted) => {
                let more = wanted.weight().saturating_sub(there.weight());
                self.has_room_for(&created.owner, 0, more)?;
                self.leaves_something(name, wanted).map(|()| CalendarStep::Change)
            }
            None => match self.users_of(name) {
                Users { count: 0, .. } => Ok(CalendarStep::Change),
                _ if planted(Fault::DeleteACalendarInUse) => Ok(CalendarStep::Change),
                Users { first, count } => Err(Refusal::InUse { first, count: count as u64 }),
            },
        }
    }

    fn leaves_something(&self, name: &str, wanted: &WantedCalendar) -> Result<(), Refusal> {
        let some = self.left_without(name, &wanted.calendar);
        if some.is_empty() { Ok(()) } else { Err(Refusal::LeavesNothingDue { some }) }
    }

    /// A calendar that a definition names and that went since it was read.
    pub(super) fn missing_calendar(&self, definition: &Packed) -> Option<Arc<str>> {
        let named = self.calendars.named.as_ref()?;
        definition.calendar_names().find(|name| !named.has(name)).cloned()
    }

    fn has_room_for(&self, owner: &str, count: usize, bytes: usize) -> Result<CalendarStep, Refusal> {
        let all = &self.calendars;
        if count > 0 && !all.counts.has_room(owner, count, MOST) {
            return Err(Refusal::TooManyCalendars { most: MOST });
        }
        match bytes == 0 || all.bytes.has_room(owner, bytes, MOST_BYTES) {
            true => Ok(CalendarStep::Change),
            false => Err(Refusal::TooManyCalendarBytes { most: MOST_BYTES }),
        }
    }

    /// A calendar is put, or deleted, for that was judged right.
    pub(super) fn change_calendar(
        &mut self,
        Asked { by, command, note, .. }: Asked,
        name: &Arc<str>,
        wanted: Option<WantedCalendar>,
    ) -> Verdict {
        let now = self.now();
        let before = self.calendars.remove(name);
        self.progress.change();
        let after = wanted.map(|WantedCalendar { text, calendar }| {
            let created = before.as_ref().map(|before| before.created.clone());
            let created = created.unwrap_or_else(|| Created {
                number: self.progress.next_creation(),
                owner: by.owner.to_string(),
                door: by.door_kind,
            });
            let revision = before.as_ref().map_or(1, |before| before.revision.saturating_add(1));
            let calendar = Some(calendar);
            Arc::new(CreatedCalendar { name: name.clone(), created, revision, since: now, text, calendar })
        });
        self.progress.calendar(name, after.clone());
        if after.is_none() && self.calendars.files.as_ref().is_some_and(|files| files.has(name)) {
            self.out.notices.push(Notice::CalendarFree { calendar: name.clone() });
        }
        if let Some(after) = &after {
            self.calendars.insert(after.clone());
            // From R on, as where the files are read again.
            let users =
                self.schedules.tallies.users_of(name).filter(|_| !planted(Fault::LeaveTheUsersOfACalendar));
            self.calendars.anew.extend(users.into_iter().flatten());
        }
        let creation = [&before, &after].into_iter().flatten().map(|one| one.created.number).next();
        let creation = creation.unwrap_or_default();
        let (what, verdict) = match (&before, &after) {
            (None, Some(after)) => {
                let revision = after.revision;
                (ChangeKind::CalendarCreated, Verdict::Created { creation, revision, since: now })
            }
            (Some(_), Some(after)) => {
                let revision = after.revision;
                (ChangeKind::CalendarChanged, Verdict::Changed { creation, revision, since: now })
            }
            (before, None) => {
                let revision = before.as_ref().map_or(0, |before| before.revision);
                (ChangeKind::CalendarDeleted, Verdict::Deleted { creation, revision, through: now })
            }
        };
        let (command, note) = (command.cloned(), note.into());
        let (before, after) = (before.map(Version::of_calendar), after.map(Version::of_calendar));
        let entry = LoggedChange::new(now, by, what);
        self.progress.log(LoggedChange {
            name: name.clone(),
            creation,
            before,
            after,
            command,
            note,
            ..entry
        });
        verdict
    }

    /// Whether the next schedules whose calendar changed can be read anew now.
    pub(super) fn may_read_anew(&self) -> bool {
        !self.calendars.anew.is_empty()
            && !self.draining
            && self.is_steady()
            && self.progress.is_durable(self.changes.piece)
    }

    /// Reads the next schedules anew whose calendar changed, at most a piece of them, and fewer where that takes long.
    pub(super) fn read_piece_anew(&mut self) {
        let mut changes = Vec::new();
        let is_tired = self.calendars.named.as_ref().map(tired);
        for _ in 0..self.rules.piece.max(1) {
            if is_tired.as_ref().zip(self.calendars.named.as_ref()).is_some_and(|(tired, by)| tired(by)) {
                break;
            }
            let Some(id) = self.calendars.anew.pop_first() else { break };
            // It may be another one since, or nothing: that is as it should be.
            let is_created = self.schedules[id].runs() && self.schedules[id].definition.is_created();
            if is_created && self.reads_others(id) {
                changes.extend(self.read_anew(id).map(|anew| (Some(id), Some(anew))));
            }
        }
        if !changes.is_empty() {
            self.changes.piece = self.progress.change();
            self.change_and_log(changes);
        }
    }
}

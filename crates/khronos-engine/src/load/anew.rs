//! What was created at run time, read anew by the zone data and the calendars that were read with the files, or by calendars that
//! were put: a change by the clock itself. Where the days of its calendars leave nothing of it, nothing is due of it from then on,
//! and where there are days again, it goes on. What has ended otherwise stays as it is, and so does a one-shot that may be on its way.

use super::Wanted;
use crate::{
    Author, ChangeKind, LoggedChange, Notice, ScheduleChange, Version,
    core::Engine,
    faults::{Fault, planted},
    slots::SlotId,
};
use khronos_schedule::{Anew, Calendars, Packed};

impl Engine {
    /// Whether something beside its definition says when a slot's schedule is due.
    pub(in super::super) fn reads_others(&self, id: SlotId) -> bool {
        let definition = &self.schedules[id].definition;
        let names_others = definition.has_day_rules() || definition.zone_rules().next().is_some();
        names_others && self.calendars.named.is_some() && !planted(Fault::KeepTheZoneDataOfThatDay)
    }

    /// A slot's schedule as it is read now, where that is another one.
    pub(in super::super) fn read_anew(&self, id: SlotId) -> Option<Packed> {
        let slot = &self.schedules[id];
        if self.is_over(id) || self.may_have_been_sent(slot).is_some() {
            return None;
        }
        let Anew::Read(anew) = slot.definition.read_anew(self.calendars.named.as_ref()?) else { return None };
        let is_past = self.is_past(&anew) && !anew.timing().is_out_of_days(self.now());
        (!is_past && !self.is_as_before(&slot.definition, &anew)).then_some(anew)
    }

    /// Whether a slot's schedule, of which something is due now, would have nothing left by these calendars.
    pub(in super::super) fn has_nothing_left_by(&self, id: SlotId, calendars: &Calendars) -> bool {
        let slot = &self.schedules[id];
        let lives = slot.runs() && (!slot.is_idle() || self.schedules.is_standing(id));
        lives
            && self.may_have_been_sent(slot).is_none()
            && match slot.definition.read_anew(calendars) {
                Anew::Read(anew) => self.is_past(&anew),
                Anew::Faulty => true,
                Anew::AsItWas => false,
            }
    }

    /// Whether nothing of a slot's schedule is due any more, whatever days its calendars have.
    pub(in super::super) fn is_over(&self, id: SlotId) -> bool {
        let slot = &self.schedules[id];
        slot.is_idle() && !self.schedules.is_standing(id) && !slot.timing().is_out_of_days(self.now())
    }

    /// A change that was asked for, with its definition as it is read now: it may have been read before the calendars were
    /// edited.
    pub(in super::super) fn as_of_now(&self, change: ScheduleChange) -> ScheduleChange {
        match (change, &self.calendars.named) {
            (ScheduleChange::Put { definition, expect }, Some(calendars)) => {
                let definition = match definition.read_anew(calendars) {
                    Anew::Read(anew) => anew,
                    Anew::AsItWas | Anew::Faulty => definition,
                };
                ScheduleChange::Put { definition, expect }
            }
            (change, _) => change,
        }
    }

    /// As those are now that were created, of those that change.
    pub(super) fn versions_of_creations(&self, changes: &[Wanted]) -> Vec<(SlotId, Version)> {
        let ids = changes.iter().filter_map(|(id, wanted)| wanted.as_ref().and(*id));
        let created = ids.filter(|id| self.schedules[*id].definition.is_created());
        created.map(|id| (id, self.version(id))).collect()
    }

    /// Notes that these were changed, which were so before.
    pub(super) fn log_read_anew(&mut self, before: Vec<(SlotId, Version)>) {
        let clock = Author::the_clock();
        for (id, before) in before {
            self.await_going(id);
            self.note_whether_days_are_left(id);
            let after = self.version(id);
            let definition = &self.schedules[id].definition;
            let (name, creation) = (definition.name().into(), definition.creation());
            let entry = LoggedChange::new(self.now(), &clock, ChangeKind::ReadAnew);
            let (before, after) = (Some(before), Some(after));
            self.progress.log(LoggedChange { name, creation, before, after, ..entry });
        }
    }

    /// Tells that the calendars of a slot's schedule leave nothing of it, if they do.
    pub(in super::super) fn note_whether_days_are_left(&mut self, id: SlotId) -> bool {
        let slot = &self.schedules[id];
        let is_out =
            slot.is_idle() && !self.schedules.is_standing(id) && slot.timing().is_out_of_days(self.now());
        if is_out {
            self.out.out_of_days.note(Notice::OutOfDays { schedule: slot.name(), others: 0 });
        }
        is_out
    }

    fn version(&self, id: SlotId) -> Version {
        let slot = &self.schedules[id];
        Version::of_schedule(slot.number(), &slot.definition)
    }
}

//! What was created at run time, read anew by the zone data and the calendars that were read with the files, or by calendars that
//! were put: a change by the clock itself. What has no occurrence left stays as it is, and so does a one-shot that may be on its way.

use super::Wanted;
use crate::{
    Author, ChangeKind, LoggedChange, ScheduleChange, Version,
    core::Engine,
    faults::{Fault, planted},
    slots::SlotId,
};
use khronos_schedule::Packed;

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
        let anew = slot.definition.read_anew(self.calendars.named.as_ref()?)?;
        let is_over = (slot.is_idle() && !self.schedules.is_standing(id))
            || self.is_past(&anew)
            || self.may_have_been_sent(slot).is_some();
        (!is_over && !self.is_as_before(&slot.definition, &anew)).then_some(anew)
    }

    /// A change that was asked for, with its definition as it is read now: it may have been read before the calendars were
    /// edited.
    pub(in super::super) fn as_of_now(&self, change: ScheduleChange) -> ScheduleChange {
        match (change, &self.calendars.named) {
            (ScheduleChange::Put { definition, expect }, Some(calendars)) => {
                let definition = definition.read_anew(calendars).unwrap_or(definition);
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
            let after = self.version(id);
            let definition = &self.schedules[id].definition;
            let (name, creation) = (definition.name().into(), definition.creation());
            let entry = LoggedChange::new(self.now(), &clock, ChangeKind::ReadAnew);
            let (before, after) = (Some(before), Some(after));
            self.progress.log(LoggedChange { name, creation, before, after, ..entry });
        }
    }

    fn version(&self, id: SlotId) -> Version {
        let slot = &self.schedules[id];
        Version::of_schedule(slot.number(), &slot.definition)
    }
}

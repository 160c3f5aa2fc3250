//! What is due once: whether its event may have been sent, and whether it is settled.
//!
//! A request may come late, or again. What may have been sent is taken back by nobody, and what was settled lately is neither
//! changed nor deleted: else the same request, coming once more, would have it sent under another id.

use super::{
    Revision,
    core::Engine,
    faults::{Fault, planted},
    forgetting::HOUR,
    set_back::FAR,
    slot::Slot,
};
use khronos_schedule::Packed;
use ponos_event::Timestamp;

impl Engine {
    /// When a slot's only occurrence is due, if that may have been sent and is not settled: whatever becomes of the schedule,
    /// it is sent.
    pub(super) fn may_have_been_sent(&self, slot: &Slot) -> Option<Timestamp> {
        if planted(Fault::DeleteWhatMayHaveBeenSent) {
            return None;
        }
        self.may_have_been_handed_over(slot).or_else(|| self.is_tried(slot))
    }

    /// The same, unless it was refused. What was handed over lies at or below R; and of what is late, its span says so.
    fn may_have_been_handed_over(&self, slot: &Slot) -> Option<Timestamp> {
        let due = self.unsettled(slot)?;
        let reached = self.progress.may_have_been_sent_of(slot.set_backs());
        let may_have = match slot.next() {
            Some(due) => slot.send_time(due) <= reached,
            None => {
                let backlog = self.outstanding.backlogs.get(&slot.key());
                slot.in_flight().is_some() || backlog.is_some_and(|backlog| due <= backlog.span.handed)
            }
        };
        may_have.then_some(due)
    }

    /// When a slot's only occurrence is due, if that was not handed over: what was created at run time is its owner's to take
    /// back until then, however late it is.
    pub(super) fn can_be_taken_back(&self, slot: &Slot) -> Option<Timestamp> {
        let due = self.unsettled(slot).filter(|_| slot.definition.is_created())?;
        self.may_have_been_handed_over(slot).is_none().then_some(due)
    }

    /// When a slot's only occurrence is due, if that is neither settled nor parked.
    fn unsettled(&self, slot: &Slot) -> Option<Timestamp> {
        if !slot.definition.is_one_shot() {
            return None;
        }
        let span = self.outstanding.backlogs.get(&slot.key()).map(|backlog| &backlog.span);
        let span = span.filter(|span| span.after < span.through).map(|span| span.through);
        slot.in_flight().or(slot.next()).or(span)
    }

    /// When a one-shot is due that the broker refused, and that is sent again: by itself, or because a person says so. What
    /// only waits for a person is his to drop.
    fn is_tried(&self, slot: &Slot) -> Option<Timestamp> {
        let number = self.outstanding.parked.last_before(&slot.key(), Timestamp::HORIZON)?;
        let parked = self.outstanding.parked.get(number).filter(|_| slot.definition.is_one_shot())?;
        (parked.released || parked.retry_at.is_some()).then_some(parked.stands_for.last)
    }

    /// When a slot's only occurrence was due, if that was settled within the last hour.
    pub(super) fn settled_lately(&self, slot: &Slot) -> Option<Timestamp> {
        if !slot.definition.is_one_shot() || self.unsettled(slot).is_some() {
            return None;
        }
        let number = self.outstanding.parked.last_before(&slot.key(), Timestamp::HORIZON);
        let parked = number.and_then(|number| self.outstanding.parked.get(number)).map(|parked| parked.at);
        let due = slot.timing().last()?;
        self.is_lately([Some(slot.send_time(due)), slot.sent.last(), parked]).then_some(due)
    }

    /// The same of the latest revision of a name of which nothing is there any more.
    pub(super) fn ended_lately(&self, ended: &Revision) -> Option<Timestamp> {
        let timing = Some(ended.timing()).filter(|timing| timing.is_one_shot())?;
        let was_due = |due: &Timestamp| ended.ended.is_some_and(|ended| *due <= ended);
        let due = timing.last().filter(was_due)?;
        let sent = self.resting.sent(&ended.definition).last();
        self.is_lately([Some(timing.send_time(due)), sent]).then_some(due)
    }

    fn is_lately(&self, ends: impl IntoIterator<Item = Option<Timestamp>>) -> bool {
        let end = ends.into_iter().flatten().max();
        // What lies far ahead was settled before the clock was set back, however far that was.
        let end = end.map(|end| if end.since(self.now()) > FAR { self.went_on_from } else { end });
        end.is_some_and(|end| self.now().since(end) < HOUR) && !planted(Fault::ForgetWhatIsSettled)
    }

    /// When something is due that is wanted instead of a slot's schedule, and due once, if that was called for before: under the
    /// same id, so that nothing would be sent of it.
    pub(super) fn was_settled_before(&self, slot: &Slot, wanted: &Packed) -> Option<Timestamp> {
        let due = wanted.timing().last().filter(|_| wanted.is_one_shot())?;
        let until = self.reached(slot, self.moment(slot.set_backs()));
        let timing = slot.timing();
        let by_it = match timing.is_one_shot() {
            true => timing.last() == Some(due) && self.unsettled(slot).is_none(),
            false => slot.era().effective_from < due && timing.after(due.plus(-1)) == Some(due),
        };
        let (name, creation) = (slot.definition.name(), slot.definition.creation());
        let before = by_it || self.was_called_for((name, creation), due) || self.may_be_forgotten(slot, due);
        (before && due <= until).then_some(due)
    }

    /// Whether an earlier revision of a creation had an occurrence at `due`.
    pub(super) fn was_called_for(&self, (name, creation): (&str, u64), due: Timestamp) -> bool {
        self.resting.all_of(name, creation).any(|revision| {
            let within = revision.effective_from < due && revision.ended.is_none_or(|ended| due <= ended);
            within && revision.timing().after(due.plus(-1)) == Some(due)
        })
    }

    /// Whether one that was forgotten may have: only the last edits are kept, and the oldest of them says how far those before
    /// it called for something.
    fn may_be_forgotten(&self, slot: &Slot, due: Timestamp) -> bool {
        let edits = self.resting.of_creation(slot.definition.name(), slot.definition.creation());
        let before = edits.last().map_or(slot.era().previous, |oldest| oldest.previous);
        before.is_some_and(|before| due <= before)
    }

    /// When the only occurrence is due of a schedule that this version does not understand, if that may have been sent, by
    /// another version, and is not settled.
    pub(super) fn unknown_may_have_been_sent(&self, unknown: &Revision) -> Option<Timestamp> {
        let reached = self.progress.may_have_been_sent_of(unknown.set_backs);
        self.resting.pending(unknown).filter(|due| *due <= reached)
    }

    /// The same where it is settled since lately; or where something is wanted of it for a time in which that version may have
    /// sent it.
    pub(super) fn unknown_was_settled(
        &self,
        unknown: &Revision,
        wanted: Option<&Packed>,
    ) -> Option<Timestamp> {
        if self.resting.pending(unknown).is_some() {
            return None;
        }
        let reached = self.progress.may_have_been_sent_of(unknown.set_backs);
        let due = unknown.definition.definition().at.and_then(|at| at.parse().ok());
        let due = due.filter(|due: &Timestamp| *due <= reached && self.is_lately([Some(*due)]));
        let again = wanted.filter(|wanted| wanted.is_one_shot()).and_then(|wanted| wanted.timing().last());
        due.or(again.filter(|due| *due <= reached))
    }
}

//! What others may see of the engine. What grows with the number of schedules is given in pages, so that no step waits
//! for a reader.

use super::{
    KeptPage, Notice, OneShot, Parked, Pause, Refused, Revision, Sent, Span, backlog::Backlogs, core::Engine,
    progress::SpanKey, slot::Slot, slots::SlotId,
};
use khronos_schedule::Packed;
use ponos_event::Timestamp;
use std::{collections::BTreeMap, sync::Arc};

/// One schedule as others see it.
#[derive(Debug, Clone)]
pub struct ScheduleStatus {
    /// The accepted definition.
    pub revision: Revision,
    /// Next due time that is not handed over.
    pub next: Option<Timestamp>,
    /// The due time before it that is handed over and not answered yet.
    pub in_flight: Option<Timestamp>,
    /// What is outstanding, oldest revision first.
    pub outstanding: Vec<Span>,
    /// Its events.
    pub sent: Sent,
    /// What the broker refuses of it at present.
    pub refused: Option<Refused>,
    /// It is paused by its name, whatever its definition says.
    pub paused: Option<Pause>,
    /// Its last occurrence is settled, and nothing of it is due any more: not where only its calendars leave no day at present.
    pub finished: bool,
}

impl Engine {
    /// All parked events, in runs.
    pub fn parked(&self) -> &BTreeMap<u64, Parked> {
        self.outstanding.parked.entries()
    }

    /// How many events are parked.
    pub fn parked_events(&self) -> u64 {
        self.outstanding.parked.events()
    }

    /// How many entries of parked events wait for a person.
    pub fn parked_waiting(&self) -> usize {
        self.outstanding.parked.waiting()
    }

    /// How many of these are kept at most.
    pub fn most_parked(&self) -> usize {
        self.rules.parked
    }

    /// How many schedules run.
    pub fn len(&self) -> usize {
        self.schedules.len()
    }

    /// Whether no schedule runs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The schedule of this name.
    pub fn running(&self, name: &str) -> Option<ScheduleStatus> {
        self.schedules.find(name).map(|id| self.running_as(id))
    }

    /// The creation number of the schedule of this name; 0 of a file's, or where there is none.
    pub fn creation(&self, name: &str) -> u64 {
        self.schedules.find(name).map_or(0, |id| self.schedules[id].definition.creation())
    }

    /// All schedules by name, from the first on or after the one that is named.
    pub fn running_after<'a>(&'a self, name: Option<&str>) -> impl Iterator<Item = ScheduleStatus> + 'a {
        self.schedules.after(name).map(|id| self.running_as(id))
    }

    /// The schedules whose next occurrences are sent first, in that order, at most so many: none that is paused, none that is
    /// finished, and none whose last occurrence got no answer yet.
    pub fn soonest(&self, most: usize) -> impl Iterator<Item = ScheduleStatus> + '_ {
        self.schedules.soonest(most).into_iter().map(|id| self.running_as(id))
    }

    /// Definitions of schedules whose names stand beside this one in the order of names, at most so many: half of them
    /// before it, where there are so many.
    pub fn neighbours<'a>(&'a self, name: &str, most: usize) -> impl Iterator<Item = &'a Packed> + 'a {
        self.schedules.neighbours(name, most).into_iter().map(|id| &self.schedules[id].definition)
    }

    /// Tells that a slot's schedule is finished, if it is, once its last occurrence is settled. `closing`: a span of it has
    /// nothing left and is only still known.
    pub(super) fn note_end(&mut self, id: SlotId, closing: bool) {
        let slot = &self.schedules[id];
        let holds = || {
            let name = slot.definition.name();
            self.outstanding.backlogs.holds_of(name, || slot.definition.creation())
        };
        if !slot.is_idle() || !closing && holds() {
            return;
        }
        self.await_going(id);
        if self.note_whether_days_are_left(id) {
            return;
        }
        let slot = &self.schedules[id];
        let timing = slot.timing();
        if let Some(last) = timing.last() {
            let (schedule, ending, sent) = (slot.name(), timing.ending(), slot.sent.confirmed);
            self.out.finished.note(Notice::Finished { schedule, ending, last, sent, others: 0 });
        }
    }

    fn running_as(&self, id: SlotId) -> ScheduleStatus {
        let slot = &self.schedules[id];
        // While an occurrence is not answered yet, the one after it stands nowhere.
        let next = slot.next().or_else(|| slot.timing().after(slot.in_flight()?));
        // Nor does what is due next of one whose span is open.
        let by = slot.timing().due_by(self.now());
        let next = next.or_else(|| slot.timing().after(by).filter(|_| self.schedules.is_standing(id)));
        let name = slot.name();
        let spans = self.outstanding.backlogs.of(&name).map(|(_, backlog)| backlog);
        let outstanding: Vec<Span> =
            spans.map(|backlog| backlog.span.closed(&backlog.schedule.timing, by)).collect();
        ScheduleStatus {
            revision: slot.revision(),
            next,
            in_flight: slot.in_flight(),
            finished: outstanding.is_empty() && self.is_over(id),
            outstanding,
            sent: slot.sent,
            paused: self.paused_by_name(slot.definition.name()).cloned(),
            refused: self.refused().get(slot.definition.name()).cloned(),
        }
    }

    /// The next revisions that are kept, by name and number, at most so many, from the first on or after the one that is
    /// named; with what is outstanding of each, as a restart would find it.
    ///
    /// Pages that were taken at different moments fit together revision by revision, and that is enough for an audit up
    /// to the lowest W of all pages. At the moment of its page, whatever a revision called for up to W is settled, or
    /// stands in its span, is pending or parked; what is settled later has a row. Rows are read after all pages, once
    /// [`Input::Write`](crate::Input::Write) was answered: what the pages speak of may not be written before. An edit
    /// in between ends a revision no earlier than that W, and the next one begins there.
    pub fn kept_after(&self, after: Option<&SpanKey>, most: usize) -> KeptPage {
        let running = self.schedules.from(after.map_or("", |(name, _)| name)).map(|id| &self.schedules[id]);
        let behind = |slot: &&Slot| after.is_some_and(|(name, number)| is_before(slot, name, *number));
        let mut running = running.skip_while(behind).peekable();
        let mut resting = self.resting.after(after).peekable();
        let mut page = KeptPage { settled: self.settled(), ..KeptPage::default() };
        while page.revisions.len() < most {
            let first = match (running.peek(), resting.peek()) {
                (Some(slot), Some(((name, number), _))) => is_before(slot, name, *number),
                (slot, _) => slot.is_some(),
            };
            let revision = match running.next_if(|_| first) {
                Some(slot) => {
                    page.one_shots.extend(pending(slot));
                    slot.revision()
                }
                None => match resting.next() {
                    Some((_, revision)) => revision.clone(),
                    None => break,
                },
            };
            page.spans.extend(outstanding(&self.outstanding.backlogs, &revision));
            page.revisions.push(revision);
        }
        page
    }
}

/// Whether a slot's revision comes before, or is, the one with this name and number.
fn is_before(slot: &Slot, name: &str, number: u32) -> bool {
    (slot.definition.name_bytes(), slot.number()) <= (name.as_bytes(), number)
}

fn pending(slot: &Slot) -> Option<(Arc<str>, OneShot)> {
    let due = slot.next().or(slot.in_flight()).filter(|_| slot.definition.is_one_shot())?;
    Some((slot.name(), OneShot { revision: slot.number(), due }))
}

fn outstanding(backlogs: &Backlogs, revision: &Revision) -> Option<(Arc<str>, Span)> {
    if backlogs.is_empty() {
        return None;
    }
    let key = (revision.name().into(), revision.number);
    backlogs.get(&key).map(|backlog| (key.0, backlog.span.clone()))
}

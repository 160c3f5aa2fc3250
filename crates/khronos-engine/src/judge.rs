//! Whether a change of a schedule may be made, and what it comes to: judged against all that was decided before it, and
//! changing nothing.

use super::{
    Author, Expect, Refusal, Revision, ScheduleChange, Verdict,
    calendars::CalendarStep,
    core::Engine,
    faults::{Fault, planted},
    slot::Slot,
    slots::SlotId,
};
use khronos_schedule::{Created, Packed, Past};
use ponos_event::Timestamp;

/// Events of the clock's own begin so: those of its files alone.
const RESERVED: &str = "time.";

/// What a change comes to, if it is made.
#[derive(Debug)]
pub(super) enum Step {
    /// It is there as it is wanted.
    Nothing(Verdict),
    /// Instead of what runs in this slot, or of what rests without one; none: as something new.
    Put { before: Option<(Option<SlotId>, Created)> },
    /// What runs in this slot goes, or what rests without one.
    Delete { id: Option<SlotId> },
    /// A calendar changes, or goes.
    Calendar,
}

/// The schedule of a name.
#[derive(Debug, Clone, Copy)]
enum There<'a> {
    Runs(SlotId, &'a Slot),
    /// This version does not understand it.
    Rests(&'a Revision),
}

impl There<'_> {
    /// Its event, as far as that is known.
    fn event(&self) -> String {
        match self {
            Self::Runs(_, slot) => slot.definition.event().to_owned(),
            Self::Rests(unknown) => unknown.definition.definition().event.unwrap_or_default(),
        }
    }
}

impl Engine {
    /// Whether a change may be made now, and what it comes to.
    pub(super) fn judge(&self, by: &Author, change: &ScheduleChange) -> Result<Step, Refusal> {
        let name = change.name();
        let expect = match change {
            ScheduleChange::Invalid { faults, .. } => {
                return Err(Refusal::Invalid { faults: faults.clone() });
            }
            ScheduleChange::Calendar { wanted, expect, .. } => {
                return Ok(match self.judge_calendar(by, (name, wanted.as_deref()), *expect)? {
                    CalendarStep::Nothing(verdict) => Step::Nothing(verdict),
                    CalendarStep::Change => Step::Calendar,
                });
            }
            ScheduleChange::Delete { expect, .. } => expect,
            ScheduleChange::Put { definition, expect } => {
                let event = definition.event();
                if event.starts_with(RESERVED) && !planted(Fault::IgnoreTheDomains) {
                    return Err(Refusal::ReservedEvent { event: event.into() });
                }
                if !covers(by, event) {
                    return Err(Refusal::OutsideDomains { event: event.into() });
                }
                if let Some(name) = self.missing_calendar(definition) {
                    return Err(Refusal::NoSuchCalendar { name });
                }
                expect
            }
        };
        let Some(there) = self.there(name) else {
            return match self.changes.is_of_files(name) && !planted(Fault::CreateWhatTheFilesHave) {
                true => Err(Refusal::FileOwned),
                false => self.judge_new(by, change),
            };
        };
        let (revision, before, id) = match there {
            There::Runs(id, slot) => (slot.number(), &slot.definition, Some(id)),
            There::Rests(unknown) => (unknown.number, &unknown.definition, None),
        };
        let Some(created) = before.created() else { return Err(Refusal::FileOwned) };
        if !by.is_admin && *created.owner != *by.owner {
            return Err(Refusal::NotOwner { owner: created.owner.into() });
        }
        let event = there.event();
        if !covers(by, &event) {
            return Err(Refusal::OutsideDomains { event: event.into() });
        }
        match *expect {
            Expect::Absent => return Err(Refusal::Exists { revision }),
            Expect::Revision { creation, number } if (creation, number) != (created.number, revision) => {
                return Err(Refusal::Stale { revision: Some(revision) });
            }
            Expect::Any | Expect::Present | Expect::Revision { .. } => {}
        }
        let wanted = match change {
            ScheduleChange::Put { definition, .. } => Some(definition),
            _ => None,
        };
        if let Some(wanted) = wanted {
            if id.is_some() && self.is_as_before(before, wanted) {
                let creation = created.number;
                return Ok(Step::Nothing(Verdict::Unchanged { creation, revision }));
            }
            if self.is_past(wanted) {
                return Err(Refusal::NeverDue);
            }
        }
        let (sent, settled) = match there {
            There::Runs(_, slot) => {
                let again = || wanted.and_then(|wanted| self.was_settled_before(slot, wanted));
                (self.may_have_been_sent(slot), self.settled_lately(slot).or_else(again))
            }
            There::Rests(unknown) => {
                (self.unknown_may_have_been_sent(unknown), self.unknown_was_settled(unknown, wanted))
            }
        };
        if let Some(due) = sent {
            return Err(Refusal::MayHaveBeenSent { due });
        }
        if let Some(due) = settled {
            return Err(Refusal::AlreadySettled { due });
        }
        Ok(match change {
            ScheduleChange::Put { .. } => Step::Put { before: Some((id, created)) },
            _ => Step::Delete { id },
        })
    }

    /// The schedule of a name, whether this version understands it or not.
    fn there(&self, name: &str) -> Option<There<'_>> {
        let runs = self.schedules.find(name).map(|id| There::Runs(id, &self.schedules[id]));
        runs.or_else(|| self.resting_unknown(name).map(There::Rests))
    }

    /// The same where nothing of that name is there.
    fn judge_new(&self, by: &Author, change: &ScheduleChange) -> Result<Step, Refusal> {
        let too_many = self.too_many(by, 1);
        if let ScheduleChange::Put { definition, expect: Expect::Any | Expect::Absent } = change
            && let Some((ended, due)) = self.settled_before(&by.owner, change.name())
        {
            // A request that comes again, after what it asked for was sent and went.
            let (creation, revision) = (ended.definition.creation(), ended.number);
            return match self.is_as_before(&ended.definition, definition) {
                true => Ok(Step::Nothing(Verdict::Unchanged { creation, revision })),
                false => Err(Refusal::AlreadySettled { due }),
            };
        }
        match change {
            ScheduleChange::Put { expect: Expect::Revision { .. } | Expect::Present, .. }
            | ScheduleChange::Delete { expect: Expect::Present, .. } => {
                Err(Refusal::Stale { revision: None })
            }
            ScheduleChange::Delete { .. } => Ok(Step::Nothing(Verdict::GoneAlready)),
            ScheduleChange::Put { definition, .. } if self.is_past(definition) => Err(Refusal::NeverDue),
            ScheduleChange::Put { .. } => too_many.map_or(Ok(Step::Put { before: None }), Err),
            ScheduleChange::Invalid { faults, .. } => Err(Refusal::Invalid { faults: faults.clone() }),
            // That is judged apart.
            ScheduleChange::Calendar { .. } => Ok(Step::Calendar),
        }
    }

    /// What this owner had under a name last, and when it was due, if it was due once and is settled since lately.
    fn settled_before(&self, owner: &str, name: &str) -> Option<(&Revision, Timestamp)> {
        let ended = self.resting.of(name).next_back()?;
        let is_his = ended.definition.created().is_some_and(|created| created.owner == owner);
        let due = self.ended_lately(ended).filter(|_| is_his)?;
        Some((ended, due))
    }

    /// Whether so many more would be more than he may have.
    pub(super) fn too_many(&self, by: &Author, more: usize) -> Option<Refusal> {
        let most = by.most.filter(|most| self.schedules.tallies.owned(&by.owner) + more > *most)?;
        Some(Refusal::TooMany { most })
    }

    /// Whether nothing would ever be sent of it.
    pub(super) fn is_past(&self, definition: &Packed) -> bool {
        let sent_at_once = definition.is_one_shot() && definition.conduct().past == Past::Send;
        !sent_at_once && definition.timing().after(self.now()).is_none()
    }

    /// A definition of this name that does not run because this version does not understand it.
    pub(super) fn resting_unknown(&self, name: &str) -> Option<&Revision> {
        self.resting.of(name).next_back().filter(|last| last.ended.is_none())
    }
}

fn covers(by: &Author, event: &str) -> bool {
    (by.covers)(event) || planted(Fault::IgnoreTheDomains)
}

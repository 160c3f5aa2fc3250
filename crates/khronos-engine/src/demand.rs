//! Whether all schedules together stay within what the clock may have: so many, and due together so often.
//!
//! What is refused would raise what is beyond: where a limit was lowered, what makes it less is still made.

use super::{
    Refusal, ScheduleChange,
    core::Engine,
    faults::{Fault, planted},
    judge::Step,
};
use khronos_schedule::{ADay, Demand};

impl Engine {
    /// What all schedules demand together, and those alone that were created at run time.
    pub fn demand(&self) -> (Demand, Demand) {
        (self.schedules.tallies.demand(), self.schedules.tallies.created_demand())
    }

    /// Whether a change would bring all schedules together beyond what they may be.
    pub(super) fn beyond(&self, change: &ScheduleChange, step: &Step) -> Option<Refusal> {
        let now = self.schedules.tallies.demand();
        self.raises_beyond(now, self.demand_after(now, change, step))
    }

    /// The same of changes that are made together: what they come to counts, whatever their order. Each of those by which it is
    /// too much is refused.
    pub(super) fn beyond_together<'a>(
        &self,
        changes: impl Iterator<Item = (&'a ScheduleChange, &'a Result<Step, Refusal>)>,
    ) -> Vec<Option<Refusal>> {
        let begin = self.schedules.tallies.demand();
        let mut now = begin;
        let refusals: Vec<Option<Refusal>> = changes
            .map(|(change, judged)| {
                let step = judged.as_ref().ok()?;
                let after = self.demand_after(now, change, step);
                self.raises_beyond(std::mem::replace(&mut now, after), after)
            })
            .collect();
        match self.raises_beyond(begin, now) {
            Some(_) => refusals,
            None => vec![None; refusals.len()],
        }
    }

    /// What is demanded once a change is made.
    fn demand_after(&self, now: Demand, change: &ScheduleChange, step: &Step) -> Demand {
        let running = match step {
            Step::Put { before: Some((Some(id), _)) } | Step::Delete { id: Some(id) } => {
                Demand::of_packed(&self.schedules[*id].definition)
            }
            Step::Put { .. } | Step::Delete { id: None } | Step::Calendar | Step::Nothing(_) => {
                Demand::default()
            }
        };
        let wanted = match (step, change) {
            (Step::Put { .. }, ScheduleChange::Put { definition, .. }) => Demand::of_packed(definition),
            _ => Demand::default(),
        };
        now.and(wanted).without(running)
    }

    fn raises_beyond(&self, before: Demand, after: Demand) -> Option<Refusal> {
        let most = self.rules.demand;
        if planted(Fault::PutBeyondTheLimits) {
            return None;
        }
        if after.schedules > before.schedules && after.schedules > most.schedules {
            return Some(Refusal::TooManyInAll { most: most.schedules as u64 });
        }
        let raised = after.often > before.often && after.often > most.often;
        let (ADay(a_day), ADay(most)) = (after.often, most.often);
        raised.then_some(Refusal::TooOftenInAll { a_day, most })
    }
}

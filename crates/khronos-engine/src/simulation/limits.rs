//! A clock that may have few schedules, or seldom ones: what is put beyond that is refused. The sum is made anew each time.

use super::{commands::Asked, random::Random, verdicts::Wanted, world::World};
use crate::{Refusal, ScheduleStatus, Verdict, core::UNBOUNDED};
use khronos_schedule::{ADay, Demand, Packed};

/// What all schedules of this world may demand together: few worlds have a bound, so that the others go on as they did.
pub(super) fn of(seed: u64) -> Demand {
    if !seed.is_multiple_of(7) {
        return UNBOUNDED;
    }
    let mut random = Random::new(seed ^ 0x4444);
    let (schedules, a_day) = (*random.pick(&[3, 4, 9]), *random.pick(&[40_000, 250_000, u64::MAX]));
    Demand { schedules, often: ADay(a_day) }
}

impl World {
    /// What must become of a change that would be made if there were no bound.
    pub(super) fn held_to_limits(&self, asked: &Asked, wanted: Wanted) -> Wanted {
        let runs = match &wanted {
            Wanted::Created => None,
            Wanted::Changed { .. } => self.engine.running(asked.name),
            Wanted::Exactly(_) | Wanted::Deleted { .. } => return wanted,
        };
        let Some(new) = &asked.wanted else { return wanted };
        let all: Vec<ScheduleStatus> = self.engine.running_after(None).collect();
        let sum: u64 = all.iter().map(|one| a_day(&one.revision.definition)).sum();
        let before = runs.as_ref().map_or(0, |runs| a_day(&runs.revision.definition));
        let (after, most) = (sum - before + a_day(new), self.rules.demand);
        let refused = |refusal| Wanted::Exactly(Verdict::Refused(refusal));
        if runs.is_none() && all.len() >= most.schedules {
            return refused(Refusal::TooManyInAll { most: most.schedules as u64 });
        }
        if after > sum && after > most.often.0 {
            return refused(Refusal::TooOftenInAll { a_day: after, most: most.often.0 });
        }
        wanted
    }
}

fn a_day(definition: &Packed) -> u64 {
    if definition.is_paused() { 0 } else { definition.timing().most_a_day() }
}

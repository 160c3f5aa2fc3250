//! Rate ceilings in some worlds: that they hold, that nothing is skipped or coalesced because of them, and that they concern
//! no other domain. In some there are delayed events, too, which always wait for each of them, and take turns with schedules.
//!
//! Some of these worlds are undisturbed: disk and broker do at once what they are asked for, and nothing else happens. So
//! whatever is late there is late by a ceiling.

use super::{random::Random, world::World};
use crate::{Ceiling, Handover, Outcome, SkipReason};

/// What is no domain's is on its way so soon (milliseconds) in an undisturbed world.
const SOON: i64 = 1_500;

pub(super) struct Ceilings {
    /// Of one name, by its own pattern, or of all others.
    all: Vec<Ceiling>,
    undisturbed: bool,
    /// Delayed events wait; of each ceiling, how many came of schedules since one of them had its turn, once that is known inside.
    delayed: bool,
    in_a_row: Vec<Option<u32>>,
    /// Of each, when something was handed over since the process began (milliseconds since boot).
    handed: Vec<Vec<i64>>,
    /// How many were handed over below a ceiling, and how many of them later than they were due.
    pub(super) counted: usize,
    pub(super) late: usize,
    /// What should not be.
    pub(super) broken: Option<String>,
}

impl Ceilings {
    pub(super) fn new(seed: u64, active: bool) -> Self {
        let mut random = Random::new(seed ^ 0x6C6C_6C6C);
        let is_active = active && [4, 12].contains(&(seed % 14));
        let mut all = Vec::new();
        for pattern in ["test.a.#", "#", "*.b.happened"] {
            if is_active && random.chance(50) {
                let interval = *random.pick(&[100, 700, 700, 3_000, 20_000]) * 1_000_000;
                let burst = *random.pick(&[1, 1, 3]);
                all.push(Ceiling { domain: pattern.into(), pattern: pattern.into(), interval, burst });
            }
        }
        let undisturbed = is_active && seed % 28 == 4;
        let (handed, in_a_row) = (vec![Vec::new(); all.len()], vec![None; all.len()]);
        let delayed = is_active && !undisturbed && random.chance(50);
        Self { all, undisturbed, delayed, in_a_row, handed, counted: 0, late: 0, broken: None }
    }

    pub(super) fn all(&self) -> crate::Ceilings {
        crate::Ceilings::new(self.all.clone())
    }

    pub(super) fn is_undisturbed(&self) -> bool {
        self.undisturbed
    }

    /// The next process knows nothing of what went out; in the end it has no ceilings, so that all can settle.
    pub(super) fn restart(&mut self) {
        self.handed.iter_mut().for_each(Vec::clear);
        self.in_a_row.fill(None);
    }

    pub(super) fn lift(&mut self) {
        self.all.clear();
        self.handed.clear();
        self.in_a_row.clear();
    }

    fn of(&self, name: &str) -> Option<usize> {
        let at = |pattern: &str| self.all.iter().position(|one| one.pattern == pattern);
        let its_own = match name {
            "a" => at("test.a.#"),
            "b" => at("*.b.happened"),
            _ => None,
        };
        its_own.or_else(|| at("#"))
    }

    /// Something is handed over, so many milliseconds after the boot.
    pub(super) fn check_handover(&mut self, handover: &Handover, boot: i64) {
        let name = &handover.schedule.name;
        let Some(of) = self.of(name) else {
            if self.undisturbed && handover.lateness > SOON {
                self.broken =
                    Some(format!("{name} is late by {} ms, by a ceiling of others", handover.lateness));
            }
            return;
        };
        let (ceiling, handed) = (&self.all[of], &mut self.handed[of]);
        handed.push(boot);
        if let Some(in_a_row) = &mut self.in_a_row[of] {
            *in_a_row += 1;
            if *in_a_row > 1 {
                self.broken = Some(format!("{name} takes the turn of a delayed event"));
            }
        }
        self.counted += 1;
        self.late += usize::from(handover.lateness > 1_000);
        for (count, earlier) in handed.iter().rev().enumerate() {
            let millis = u128::try_from(boot - earlier).unwrap_or_default();
            let most =
                u128::from(ceiling.burst) + millis * 1_000_000 / u128::from(ceiling.interval.unsigned_abs());
            if count as u128 + 1 > most {
                let (domain, count) = (&ceiling.domain, count + 1);
                self.broken = Some(format!("{count} of {domain} within {millis} ms, the last of {name}"));
            }
        }
    }
}

impl World {
    /// Delayed events are handed over as far as the ceilings let them be.
    pub(super) fn delayed_take_their_turns(&mut self) {
        if !self.ceilings.delayed {
            return;
        }
        let all = self.engine.rate_ceilings_mut();
        for (id, of) in all.ids().zip(0..self.ceilings.all.len()) {
            all.delayed_wait(id, true);
            self.ceilings.in_a_row[of].get_or_insert(0);
            while all.may_delayed(id) {
                all.take_delayed(id);
                self.ceilings.handed[of].push(self.boot);
                self.ceilings.in_a_row[of] = Some(0);
            }
        }
    }

    /// A restart without them, so that all can settle.
    pub(super) fn lift_ceilings(&mut self) {
        if !self.ceilings.all.is_empty() && !self.ceilings.undisturbed {
            self.ceilings.lift();
            self.crash();
        }
    }

    /// In an undisturbed world nothing happens but time. Gives how many turns luck has.
    pub(super) fn pass_undisturbed(&mut self, turns: i64) -> i64 {
        if !self.ceilings.undisturbed {
            return turns;
        }
        for _ in 0..4 * turns {
            self.pass(self.beat());
            self.serve();
        }
        0
    }

    /// How much time passes where nothing happens: in an undisturbed world until the engine wakes.
    pub(super) fn beat(&self) -> i64 {
        let wake = self.engine.next_wakeup().map_or(500, |at| at.millis() - self.wall);
        if self.ceilings.undisturbed { wake.clamp(1, 1_000) } else { 1_500 }
    }
}

pub(super) fn ceilings_are_kept(world: &World) -> Result<(), String> {
    world.ceilings.broken.clone().map_or(Ok(()), Err)?;
    if !world.ceilings.undisturbed {
        return Ok(());
    }
    if let Some(many) = world.arrivals.iter().find(|one| one.stands_for.count > 1) {
        return Err(format!("{} of {:?} is coalesced by a ceiling", many.schedule, many.stands_for));
    }
    let is_late =
        |outcome: &Outcome| matches!(outcome, Outcome::Skipped(SkipReason::Missed | SkipReason::TooOld));
    match world.record.iter().map(|entry| &entry.row).find(|row| is_late(&row.outcome)) {
        Some(row) => Err(format!("skipped by a ceiling: {row:?}")),
        None => Ok(()),
    }
}

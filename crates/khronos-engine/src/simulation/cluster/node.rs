//! One node: a machine with its two clocks, and a process on it, which can be stopped and killed. In the process run the real
//! member and, while that leads, the real engine.

use super::{database::Job, later::Later};
use crate::{
    Engine, Handover, Reading,
    lease::{LeaseTimes, Member, MemberId},
};
use ponos_event::Timestamp;
use std::collections::{BTreeMap, VecDeque};

/// 2026-03-01T00:00:00Z: the true time at the start.
pub(super) const START: i64 = 1_772_323_200_000;

pub(super) struct Node {
    /// Counts its processes.
    pub(super) life: u32,
    /// Milliseconds that its wall clock is ahead of the true time.
    pub(super) ahead: i64,
    /// What its boot-time clock showed at the start.
    base: i64,
    pub(super) process: Option<Process>,
    /// It is stopped, and does nothing until then.
    pub(super) stopped_until: i64,
    /// Until then nothing of it reaches the database, or nothing the broker, and nobody says so.
    pub(super) database_silent_until: i64,
    pub(super) broker_silent_until: i64,
    /// What becomes of its next calls.
    pub(super) mishaps: VecDeque<Mishap>,
    /// Its clock was set so far that it is no candidate.
    pub(super) is_off: bool,
    /// When its clock was set last.
    pub(super) set_at: i64,
}

/// What may become of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mishap {
    /// It arrives so much later.
    SlowThere(i64),
    /// Its answer comes so much later.
    SlowBack(i64),
    /// It does not arrive.
    LostThere,
    /// Its answer does not come.
    LostBack,
    /// The connection ends after it came to pass.
    CutBack,
    /// A standby answers.
    Standby,
}

pub(super) struct Process {
    pub(super) member: Member,
    pub(super) id: MemberId,
    /// Its connection to the database, and on which of the database's generations it began.
    pub(super) line: (u64, u32),
    /// Its connection to the broker; `None`: it has none.
    pub(super) link: Option<u64>,
    /// When it is woken up next.
    pub(super) wakes_at: Option<i64>,
    pub(super) jobs: BTreeMap<u64, Job>,
    pub(super) last_job: u64,
    pub(super) leader: Option<Leader>,
    /// What the steps asked for is performed in its order.
    pub(super) performs_at: i64,
    pub(super) is_ending: bool,
}

pub(super) struct Leader {
    pub(super) term: u64,
    pub(super) trusted_until: i64,
    /// None: what is kept is not read yet.
    pub(super) engine: Option<Box<Engine>>,
    pub(super) later: Option<Later>,
    /// What the broker has not answered.
    pub(super) unanswered: BTreeMap<u64, Handover>,
    pub(super) draining: Option<Draining>,
    /// Whether the member was told that there is work.
    pub(super) has_work: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Draining {
    pub(super) since: i64,
    pub(super) is_flushed: bool,
    pub(super) is_told: bool,
}

/// Names the process of a node's life.
pub(super) fn id_of((node, life): (usize, u32)) -> MemberId {
    MemberId((node as u128) << 64 | u128::from(life))
}

impl Process {
    /// Keeps what is to be written, and gives its number.
    pub(super) fn job(&mut self, job: Job) -> u64 {
        self.last_job += 1;
        self.jobs.insert(self.last_job, job);
        self.last_job
    }
}

impl Leader {
    pub(super) fn in_flight(&self) -> usize {
        let later = self.later.as_ref().map_or(0, |later| later.sending.in_flight());
        self.engine.as_ref().map_or(0, |engine| engine.in_flight()) + later
    }

    fn later_wakes(&self) -> Option<Timestamp> {
        let (engine, later) = (self.engine.as_ref()?, self.later.as_ref()?);
        later.sending.next_wakeup(engine.marks(), engine.rate_ceilings())
    }
}

impl Node {
    pub(super) fn new(ahead: i64, base: i64) -> Self {
        Self {
            life: 0,
            ahead,
            base,
            process: None,
            stopped_until: 0,
            database_silent_until: 0,
            broker_silent_until: 0,
            mishaps: VecDeque::new(),
            is_off: false,
            set_at: i64::MIN / 2,
        }
    }

    pub(super) fn reading(&self, now: i64) -> Reading {
        Reading { wall: Timestamp::from_millis(START + now + self.ahead), boot: self.boot(now) }
    }

    pub(super) fn boot(&self, now: i64) -> i64 {
        self.base + now
    }

    /// The true time at an instant of its boot-time clock.
    pub(super) fn at_boot(&self, boot: i64) -> i64 {
        boot - self.base
    }

    /// The true time when its wall clock shows this.
    fn at_wall(&self, wall: Timestamp) -> i64 {
        wall.millis() - START - self.ahead
    }

    pub(super) fn start(&mut self, at: usize, now: i64, times: LeaseTimes) {
        self.life += 1;
        let (id, reading) = (id_of((at, self.life)), self.reading(now));
        self.process = Some(Process {
            member: Member::new(id, 1, times, reading),
            id,
            line: (0, 0),
            link: None,
            wakes_at: None,
            jobs: BTreeMap::new(),
            last_job: 0,
            leader: None,
            performs_at: 0,
            is_ending: false,
        });
    }

    /// Whether frames may be given to the broker's connection.
    pub(super) fn trusts(&self, now: i64) -> bool {
        self.process.as_ref().is_some_and(|process| process.member.trusts(self.boot(now)))
    }

    pub(super) fn leads(&self) -> Option<u64> {
        self.process.as_ref().and_then(|process| process.member.leads())
    }

    pub(super) fn engine(&self) -> Option<&Engine> {
        self.process.as_ref()?.leader.as_ref()?.engine.as_deref()
    }

    /// What is handed over and not answered.
    pub(super) fn in_flight(&self) -> usize {
        let leader = self.process.as_ref().and_then(|process| process.leader.as_ref());
        leader.map_or(0, Leader::in_flight)
    }

    /// When its process wants to do something.
    pub(super) fn next_wakeup(&self) -> Option<i64> {
        let process = self.process.as_ref()?;
        let member = process.member.next_wakeup().map(|boot| self.at_boot(boot));
        let engine = self.engine().and_then(Engine::next_wakeup).map(|wall| self.at_wall(wall));
        let draining = process.leader.as_ref().and_then(|leader| leader.draining);
        let draining = draining.filter(|it| !it.is_flushed).map(|it| it.since + DRAIN);
        let later = process.leader.as_ref().and_then(Leader::later_wakes).map(|wall| self.at_wall(wall));
        [member, engine, later, draining].into_iter().flatten().min()
    }
}

/// What is in flight when a leader resigns is waited for this long.
pub(super) const DRAIN: i64 = 1_000;

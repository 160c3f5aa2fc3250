//! The one database of the cluster: the row with the lease, what the leader keeps beside it, and a standby that may be promoted
//! without the last commits. Each call is one transaction. What is asserted here is true of the row itself, whatever the
//! members think.

use super::{faults::ClusterFault, kept::Kept, node::START};
use crate::{
    Commit, Revision, Row, Snapshot,
    delayed::{DelayedBatch, DelayedReader, DelayedSnapshot, DelayedStore},
    lease::{LeaseCall, LeaseReply, LeaseRow, MemberId},
    store::Store,
};
use ponos_event::Timestamp;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// What a save writes beside the lease.
#[derive(Debug, Clone)]
pub(super) enum Job {
    /// Reads everything; where details of confirmed events are lost, that is written.
    Load,
    Commit(u64, Box<Commit>),
    Append(Vec<Row>, Timestamp),
    /// Of delayed events.
    Later(u64, Box<DelayedBatch>),
}

/// A transaction, and how the row was before it.
struct Entry {
    before: Shard,
    /// The term, and what was written under it.
    wrote: Option<(u64, Job)>,
    accepted: Option<Accepted>,
}

/// A save: under which term, by whom, after how many others.
type Accepted = (u64, MemberId, u64);

#[derive(Debug, Clone, Copy)]
struct Shard {
    term: u64,
    holder: Option<MemberId>,
    beat: u64,
    writes: u64,
    expires_at: i64,
    wanted_by: Option<MemberId>,
    saved_on: u32,
    /// Milliseconds that the database's clock was ahead of the true time when `expires_at` was written.
    was_ahead: i64,
}

pub(super) struct Database {
    fault: Option<ClusterFault>,
    shard: Shard,
    timeline: u32,
    /// Whether a member can see the timeline.
    pub(super) shows_timeline: bool,
    /// A pooler stands before it: connections outlive a promotion.
    pub(super) is_pooled: bool,
    kept: Kept,
    log: Vec<Entry>,
    /// Milliseconds that its clock is ahead of the true time.
    pub(super) ahead: i64,
    /// How much was written when somebody resigned last.
    resigned_at: usize,
    /// Connections that began before this do not reach it any more.
    pub(super) generation: u32,
    /// It takes no calls before this instant.
    pub(super) down_until: i64,
    /// When probes were confirmed, by its clock.
    probes: BTreeMap<MemberId, i64>,
    /// What loads read, by job.
    loaded: HashMap<(MemberId, u64), (Snapshot, DelayedSnapshot)>,
    accepted: HashSet<Accepted>,
    holders: HashMap<u64, MemberId>,
    highest_term: u64,
    /// H as it was written last under each term, or as it was found.
    pub(super) handed: HashMap<u64, Timestamp>,
    /// All revisions that ever were written, as they were last.
    ever: BTreeMap<(String, u64, u32), Revision>,
    /// How many commits were lost with a promotion.
    pub(super) lost: usize,
    /// Timelines whose promotion lost commits, and of which no leader has told yet.
    pub(super) unreported: Vec<u32>,
    /// What should not be.
    pub(super) broken: Option<String>,
}

impl Database {
    pub(super) fn new(fault: Option<ClusterFault>) -> Self {
        let shard = Shard {
            term: 0,
            holder: None,
            beat: 0,
            writes: 0,
            expires_at: i64::MIN / 2,
            wanted_by: None,
            saved_on: 0,
            was_ahead: 0,
        };
        Self {
            fault,
            shard,
            timeline: 1,
            shows_timeline: true,
            is_pooled: false,
            kept: Kept::new(),
            log: Vec::new(),
            ahead: 0,
            resigned_at: 0,
            generation: 0,
            down_until: 0,
            probes: BTreeMap::new(),
            loaded: HashMap::new(),
            accepted: HashSet::new(),
            holders: HashMap::new(),
            highest_term: 0,
            handed: HashMap::new(),
            ever: BTreeMap::new(),
            lost: 0,
            unreported: Vec::new(),
            broken: None,
        }
    }

    /// What its clock shows.
    pub(super) fn clock(&self, now: i64) -> i64 {
        START + now + self.ahead
    }

    /// How much longer the lease lasts than it should, for it was written by a clock that ran ahead: the row is as a promotion
    /// left it, which may be as it was before the clock was set right.
    pub(super) fn lasts_longer(&self, now: i64, ttl: i64) -> i64 {
        let left = self.shard.expires_at.saturating_sub(self.clock(now));
        // That is still seen to when candidates have seen it for its time, or it is not.
        let is_seen = left > 2 * ttl + 1_600;
        if is_seen || self.shard.was_ahead == 0 { 0 } else { (left - ttl).max(0) }
    }

    /// How many commits there were since somebody resigned.
    pub(super) fn since_resigned(&self) -> usize {
        self.log.len().saturating_sub(self.resigned_at)
    }

    pub(super) fn holder(&self) -> Option<MemberId> {
        self.shard.holder
    }

    /// Does what is asked. `clock`: what the caller's clock showed when it asked.
    pub(super) fn execute(
        &mut self,
        (me, ttl): (MemberId, i64),
        (call, job): (LeaseCall, Option<Job>),
        (now, clock): (i64, i64),
    ) -> LeaseReply {
        let now = self.clock(now);
        let ruling = if self.fault == Some(ClusterFault::TheNodesClockInTheLease) { clock } else { now };
        match call {
            LeaseCall::Look => LeaseReply::Looked(self.row(now)),
            LeaseCall::Acquire { term, beat } => self.acquire(me, (term, beat), (now, ruling + ttl), ttl),
            LeaseCall::Save { term, writes, job: number } => {
                let Shard { term: its, holder, writes: its_writes, .. } = self.shard;
                let is_mine = holder == Some(me) || self.fault == Some(ClusterFault::TermAlone);
                let fits = its_writes == writes || self.fault == Some(ClusterFault::RenewWhateverWasWritten);
                if its != term || !is_mine || !fits {
                    return LeaseReply::Unfit;
                }
                let accepted = (term, me, writes);
                if !self.accepted.insert(accepted) {
                    self.fail(format!("{accepted:?} was saved twice"));
                }
                self.log(job.clone().map(|job| (term, job)), Some(accepted));
                self.shard.writes = writes + 1;
                self.shard.beat += 1;
                self.shard.expires_at = ruling + ttl;
                self.shard.was_ahead = self.ahead;
                self.shard.saved_on = self.told_timeline();
                if let Some(job) = job {
                    self.write(term, &job, number.map(|number| (me, number)));
                }
                LeaseReply::Saved { wanted_by: self.shard.wanted_by, timeline: self.told_timeline() }
            }
            LeaseCall::Resign { term, writes } => {
                if (self.shard.term, self.shard.holder, self.shard.writes) != (term, Some(me), writes) {
                    return LeaseReply::Unfit;
                }
                self.log(None, None);
                (self.shard.holder, self.shard.expires_at) = (None, i64::MIN / 2);
                self.shard.beat += 1;
                self.resigned_at = self.log.len();
                LeaseReply::Resigned
            }
            LeaseCall::Report { age } => {
                self.probes.insert(me, now - age);
                LeaseReply::Done
            }
            LeaseCall::Ask { within } => {
                let lately = |(other, at): (&MemberId, &i64)| *other != me && now - at <= within;
                LeaseReply::Asked(self.probes.iter().any(lately))
            }
            LeaseCall::Want { term } => {
                if self.shard.term == term {
                    self.log(None, None);
                    self.shard.wanted_by = Some(me);
                }
                LeaseReply::Done
            }
        }
    }

    fn acquire(
        &mut self,
        me: MemberId,
        seen: (u64, u64),
        (now, expires_at): (i64, i64),
        ttl: i64,
    ) -> LeaseReply {
        let Shard { term, beat, holder, expires_at: until, writes, saved_on, .. } = self.shard;
        let is_free = holder.is_none() || until <= now || until > now + 2 * ttl;
        let blind = self.fault == Some(ClusterFault::AcquireBlind);
        if !(seen == (term, beat) && is_free || blind) {
            return LeaseReply::Unfit;
        }
        self.log(None, None);
        let on_timeline = u64::from(self.told_timeline()) << 32;
        let term = (term + 1).max(on_timeline);
        if term <= self.highest_term {
            self.fail(format!("term {term} was given after {}", self.highest_term));
        }
        self.highest_term = self.highest_term.max(term);
        if self.holders.insert(term, me).is_some_and(|before| before != me) {
            self.fail(format!("term {term} has two holders"));
        }
        let (beat, was_ahead) = (beat + 1, self.ahead);
        let holder = Some(me);
        self.shard = Shard { term, holder, beat, writes, expires_at, wanted_by: None, saved_on, was_ahead };
        if let Some(handed) = self.kept.memory.handed() {
            self.handed.insert(term, handed);
        }
        LeaseReply::Acquired { term, writes, timeline: self.told_timeline() }
    }

    /// 0, where the term counts alone.
    fn told_timeline(&self) -> u32 {
        let shows = self.shows_timeline && self.fault != Some(ClusterFault::TermAlone);
        if shows { self.timeline } else { 0 }
    }

    /// The row is made.
    pub(super) fn make(&mut self) {
        self.shard.saved_on = self.told_timeline();
    }

    /// The row was brought from another database, which had a higher timeline.
    pub(super) fn bring(&mut self) {
        self.shard.term = 5 << 32 | 3;
    }

    /// What a standby says, which is so many transactions behind.
    pub(super) fn execute_on_standby(&self, call: LeaseCall, now: i64, behind: usize) -> LeaseReply {
        let before = behind.checked_sub(1).and_then(|behind| self.log.iter().nth_back(behind));
        let shard = before.map_or(self.shard, |entry| entry.before);
        match call {
            LeaseCall::Look => {
                LeaseReply::Looked(LeaseRow { in_recovery: true, ..self.row_of(&shard, self.clock(now)) })
            }
            _ => LeaseReply::Failed,
        }
    }

    fn row(&self, now: i64) -> LeaseRow {
        self.row_of(&self.shard, now)
    }

    fn row_of(&self, shard: &Shard, now: i64) -> LeaseRow {
        let Shard { term, holder, beat, writes, expires_at, wanted_by, saved_on, .. } = *shard;
        LeaseRow {
            term,
            holder,
            beat,
            writes,
            left: expires_at - now,
            wanted_by,
            schema: 1,
            now: Timestamp::from_millis(now),
            in_recovery: false,
            timeline: self.told_timeline(),
            saved_on,
        }
    }

    fn log(&mut self, wrote: Option<(u64, Job)>, accepted: Option<Accepted>) {
        self.log.push(Entry { before: self.shard, wrote, accepted });
    }

    fn write(&mut self, term: u64, job: &Job, number: Option<(MemberId, u64)>) {
        self.kept.apply(term, job);
        match job {
            Job::Load => {
                let read = self.kept.load();
                self.loaded.extend(number.map(|number| (number, read)));
            }
            Job::Commit(_, commit) => {
                self.handed.insert(term, commit.handed);
                for revision in &commit.revisions {
                    let creation = revision.definition.creation();
                    let key = (revision.name().to_owned(), creation, revision.number);
                    self.ever.insert(key, revision.clone());
                }
            }
            Job::Append(..) | Job::Later(..) => {}
        }
    }

    /// A standby takes its place, which lacks the last commits; and all connections end.
    pub(super) fn promote(&mut self, lacks: usize) {
        self.generation += u32::from(!self.is_pooled);
        self.timeline += 1;
        let kept = self.log.len().saturating_sub(lacks);
        let lost = self.log.split_off(kept);
        let Some(first) = lost.first() else { return };
        self.shard = first.before;
        self.lost += lost.len();
        if self.told_timeline() > 0 {
            self.unreported.push(self.timeline);
        }
        for entry in &lost {
            if let Some(accepted) = &entry.accepted {
                self.accepted.remove(accepted);
            }
        }
        if lost.iter().any(|entry| entry.wrote.is_some()) {
            self.kept = Kept::new();
            for (term, job) in self.log.iter().filter_map(|entry| entry.wrote.as_ref()) {
                self.kept.apply(*term, job);
            }
        }
    }

    /// What a load read.
    pub(super) fn loaded(&mut self, by: MemberId, job: u64) -> Option<(Snapshot, DelayedSnapshot)> {
        self.loaded.remove(&(by, job))
    }

    /// What reads delayed events.
    pub(super) fn later(&self) -> Arc<dyn DelayedReader> {
        self.kept.later.reader()
    }

    /// All that is kept, the record, and all revisions that ever were.
    pub(super) fn content(&mut self) -> (Snapshot, Vec<crate::RecordRow>, Vec<Revision>) {
        let record = self.kept.store.read(0, usize::MAX).expect("it can be read").rows;
        let (disk, _) = self.kept.load();
        (disk, record, self.ever.values().cloned().collect())
    }

    fn fail(&mut self, broken: String) {
        self.broken.get_or_insert(broken);
    }
}

#[test]
fn a_row_that_went_back_with_a_promotion_lasts_as_long_as_the_clock_had_it_that_wrote_it() {
    let mut database = Database::new(None);
    let (me, ttl) = (MemberId(1), 1_200);
    let ask = |database: &mut Database, call| database.execute((me, ttl), (call, None), (0, START));
    database.ahead = 3_000;
    let acquired = ask(&mut database, LeaseCall::Acquire { term: 0, beat: 0 });
    let LeaseReply::Acquired { term, writes, .. } = acquired else { panic!("{acquired:?}") };
    database.ahead = 0;
    assert_eq!(database.lasts_longer(0, ttl), 0, "so long that candidates take it for what it is");
    assert_eq!(database.lasts_longer(1_000, ttl), 2_000);
    ask(&mut database, LeaseCall::Save { term, writes, job: None });
    assert_eq!(database.lasts_longer(1_000, ttl), 0, "the next save was by a clock that was right");
    database.promote(1);
    assert_eq!(database.lasts_longer(1_000, ttl), 2_000);
}

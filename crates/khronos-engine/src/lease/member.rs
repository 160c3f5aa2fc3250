//! The state machine itself: what a step does, in order.

use super::{
    LeaseAction, LeaseCall, LeaseInput, LeaseNotice, LeaseReply, LeaseTimes, MemberId, Why,
    database_clock::DatabaseClock,
    following::Following,
    leading::Leading,
    line::{Line, UnderWay},
};
use crate::Reading;

/// One of several clocks on one database.
#[derive(Debug)]
pub struct Member {
    pub(super) me: MemberId,
    /// The newest form of the row that it understands.
    pub(super) schema: u32,
    pub(super) times: LeaseTimes,
    pub(super) line: Line,
    pub(super) clock: DatabaseClock,
    pub(super) role: Role,
    /// When it was told to stop.
    pub(super) stopped: Option<i64>,
    /// No candidate before this instant.
    pub(super) rests_until: i64,
    /// The last timeline of which it told that it came with a promotion.
    pub(super) told_of: u32,
    /// For the spread of what many members do.
    random: u64,
    pub(super) out: Vec<LeaseAction>,
}

#[derive(Debug)]
pub(super) enum Role {
    Following(Following),
    Leading(Box<Leading>),
    Ended,
}

impl Member {
    /// A member that follows. `me` is made up when the process starts.
    pub fn new(me: MemberId, schema: u32, times: LeaseTimes, reading: Reading) -> Self {
        let random = (me.0 as u64) ^ ((me.0 >> 64) as u64);
        Self {
            me,
            schema,
            times,
            line: Line::default(),
            clock: DatabaseClock::default(),
            role: Role::Following(Following::new(reading.boot)),
            stopped: None,
            rests_until: reading.boot,
            told_of: 0,
            random,
            out: Vec::new(),
        }
    }

    /// One step. Actions are to be performed in order.
    pub fn step(&mut self, reading: Reading, input: LeaseInput) -> Vec<LeaseAction> {
        self.take_in(reading, input);
        if let Some(late) = self.line.overdue(reading.boot, self.times.call) {
            self.answered(reading, late, LeaseReply::Failed);
        }
        match self.role {
            Role::Following(_) => self.follow(reading),
            Role::Leading(_) => self.lead(reading),
            Role::Ended => {}
        }
        std::mem::take(&mut self.out)
    }

    /// When to step next even if nothing happens, in milliseconds since boot; `None`: it has ended.
    pub fn next_wakeup(&self) -> Option<i64> {
        match &self.role {
            Role::Following(following) => Some(self.next_of_follower(following)),
            Role::Leading(leading) => Some(self.next_of_leader(leading)),
            Role::Ended => None,
        }
    }

    /// The term under which it leads, whether it is trusted at the moment or not.
    pub fn leads(&self) -> Option<u64> {
        match &self.role {
            Role::Leading(leading) => Some(leading.term),
            Role::Following(_) | Role::Ended => None,
        }
    }

    /// Whether something may be given to the broker's connection at this instant of the boot-time clock. To be asked again there.
    pub fn trusts(&self, now: i64) -> bool {
        matches!(&self.role, Role::Leading(leading) if now < leading.trusted_until)
    }

    /// By how many milliseconds its wall clock is ahead of the database's, at least and at most.
    pub fn skew(&self, reading: Reading) -> Option<(i64, i64)> {
        self.clock.skew(reading)
    }

    /// Whether it may become the leader, as far as it knows.
    pub fn is_candidate(&self, reading: Reading) -> bool {
        let near = |(least, most): (i64, i64)| -self.times.skew <= least && most <= self.times.skew;
        self.stopped.is_none()
            && reading.boot >= self.rests_until
            && self.clock.skew(reading).is_some_and(near)
    }

    fn take_in(&mut self, reading: Reading, input: LeaseInput) {
        let now = reading.boot;
        match (input, &mut self.role) {
            (LeaseInput::Tick, _) => {}
            (LeaseInput::Replied { number, reply }, _) => {
                if let Some(call) = self.line.answered(number) {
                    // After a pause it may lie there, and be too old to be believed: what has no answer in time is not known.
                    let late = now >= call.sent + self.times.call;
                    self.answered(reading, call, if late { LeaseReply::Failed } else { reply });
                }
            }
            (LeaseInput::Write { job }, Role::Leading(leading)) => {
                if !leading.take_job(job) {
                    self.out.push(LeaseAction::Full { job });
                }
            }
            (LeaseInput::Work { due }, Role::Leading(leading)) => leading.has_work(due, now),
            (LeaseInput::Confirmed, Role::Leading(leading)) => leading.confirmed(now),
            (LeaseInput::Confirmed, Role::Following(following)) => following.confirmed(now),
            (LeaseInput::Want, Role::Following(following)) => following.want(),
            (LeaseInput::Hint, Role::Following(following)) => following.hint(now),
            (LeaseInput::Hint, Role::Leading(leading)) => leading.hint(),
            (LeaseInput::Drained, Role::Leading(leading)) => leading.drained(),
            (LeaseInput::Stop, _) => self.stopped = self.stopped.or(Some(now)),
            // It was fenced meanwhile, or leads already.
            (
                LeaseInput::Write { .. }
                | LeaseInput::Work { .. }
                | LeaseInput::Confirmed
                | LeaseInput::Want
                | LeaseInput::Hint
                | LeaseInput::Drained,
                _,
            ) => {}
        }
    }

    fn answered(&mut self, reading: Reading, call: UnderWay, reply: LeaseReply) {
        let is_standby = matches!(&reply, LeaseReply::Looked(row) if row.in_recovery);
        // It may lack what was written since, and be promoted without this connection ending.
        let reply = if is_standby { LeaseReply::Failed } else { reply };
        if reply == LeaseReply::Failed {
            self.line.fail(reading.boot, self.times.retry);
        } else {
            self.line.succeed();
        }
        if let LeaseReply::Looked(row) = &reply {
            self.clock.note(row.now, (call.sent, reading.boot));
        }
        match self.role {
            Role::Following(_) => self.answered_follower(reading, call, reply),
            Role::Leading(_) => self.answered_leader(reading, call, reply),
            Role::Ended => {}
        }
    }

    /// Sends a call.
    pub(super) fn call(&mut self, now: i64, call: LeaseCall) {
        let action = self.line.send(call, now);
        self.out.push(action);
    }

    pub(super) fn tell(&mut self, notice: LeaseNotice) {
        self.out.push(LeaseAction::Notice(notice));
    }

    /// Leads no more, and is no candidate for so long.
    pub(super) fn fall_back(&mut self, now: i64, why: Why, rest: i64) {
        self.out.push(LeaseAction::Trust { until: now });
        self.out.push(LeaseAction::Follow);
        self.tell(LeaseNotice::Ended(why));
        self.rests_until = self.rests_until.max(now + rest);
        self.role = Role::Following(Following::new(now));
    }

    pub(super) fn end(&mut self) {
        self.role = Role::Ended;
        self.out.push(LeaseAction::End);
    }

    /// The time between two looks: a fifth more or less, so that candidates do not run side by side.
    pub(super) fn next_poll(&mut self) -> i64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let spread = self.times.poll / 5;
        let by = (self.random >> 33) % (2 * spread.unsigned_abs() + 1);
        self.times.poll - spread + by as i64
    }
}

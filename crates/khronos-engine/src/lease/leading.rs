//! A leader: each save renews the lease; what became of a save whose answer is lost is found out; and whoever leads in vain
//! resigns.

use super::{
    LeaseAction, LeaseCall, LeaseNotice, LeaseReply, LeaseRow, Why,
    line::UnderWay,
    member::{Member, Role},
};
use crate::{
    Reading,
    faults::{Fault, planted},
};
use std::collections::VecDeque;

/// So many jobs wait at most.
const JOBS: usize = 1_024;
/// Whether another member's probes are confirmed is asked this often (milliseconds).
const ASK: i64 = 500;

#[derive(Debug)]
pub(super) struct Leading {
    pub(super) term: u64,
    /// On which the lease was taken.
    timeline: u32,
    /// How many writes there were, as far as they are known to be kept.
    writes: u64,
    pub(super) trusted_until: i64,
    has_lapsed: bool,
    /// When the last save was sent.
    saved_at: i64,
    jobs: VecDeque<u64>,
    /// The save that is under way, or is to be repeated.
    attempt: Option<Attempt>,
    /// What became of it has to be looked up.
    is_in_doubt: bool,
    /// Jobs that were found to be kept: believed with the next save that is acknowledged.
    kept: Vec<u64>,
    must_save: bool,
    /// Since when something is due and nothing was confirmed.
    unproven_since: Option<i64>,
    /// By how much the wall clock was ahead of the boot-time clock when it began.
    ahead: i64,
    /// Since when the wall clock is wrong, and has been set.
    off_since: Option<i64>,
    ask_at: i64,
    end: Option<Ending>,
}

/// A save that may be sent several times: it is always the same, so that it does not matter which of them came to pass.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    job: Option<u64>,
    /// One of which nobody knows may still come to pass.
    may_come: bool,
}

/// How it ends.
#[derive(Debug, Clone, Copy)]
struct Ending {
    why: Why,
    since: i64,
    is_drained: bool,
    /// The call that resigns was sent.
    is_resigning: bool,
}

impl Leading {
    pub(super) fn new(
        (term, writes): (u64, u64),
        timeline: u32,
        (sent, trusted_until): (i64, i64),
        ahead: i64,
    ) -> Self {
        Self {
            term,
            timeline,
            writes,
            trusted_until,
            has_lapsed: false,
            saved_at: sent,
            jobs: VecDeque::new(),
            attempt: None,
            is_in_doubt: false,
            kept: Vec::new(),
            must_save: false,
            unproven_since: None,
            ahead,
            off_since: None,
            ask_at: sent,
            end: None,
        }
    }

    /// Whether there is room for it.
    pub(super) fn take_job(&mut self, job: u64) -> bool {
        let room = self.jobs.len() < JOBS;
        if room {
            self.jobs.push_back(job);
        }
        room
    }

    pub(super) fn has_work(&mut self, due: bool, now: i64) {
        self.unproven_since = due.then(|| self.unproven_since.unwrap_or(now));
    }

    pub(super) fn confirmed(&mut self, now: i64) {
        self.unproven_since = self.unproven_since.map(|_| now);
    }

    /// Where the database's clock was set, all members are off, and it goes on.
    fn see_clock(&mut self, reading: Reading, is_off: bool, limit: i64) {
        let set_by = reading.wall.millis() - reading.boot - self.ahead;
        let is_set = set_by.abs() > limit;
        self.off_since = (is_off && is_set).then(|| self.off_since.unwrap_or(reading.boot));
    }

    /// Its next save says whether somebody is wanted: that is now.
    pub(super) fn hint(&mut self) {
        self.must_save |= self.end.is_none();
    }

    pub(super) fn drained(&mut self) {
        if let Some(end) = &mut self.end {
            end.is_drained = true;
        }
    }

    /// What is asked of the database next.
    fn next_call(&mut self, times: &super::LeaseTimes, now: i64) -> Option<LeaseCall> {
        if self.is_in_doubt {
            return Some(LeaseCall::Look);
        }
        if let Some(end) = &mut self.end
            && self.attempt.is_none()
            && (end.is_drained && self.jobs.is_empty() && !self.must_save || now >= end.since + times.drain)
        {
            end.is_resigning = true;
            return Some(LeaseCall::Resign { term: self.term, writes: self.writes });
        }
        let is_due = self.must_save || now >= self.saved_at + times.renew;
        if self.attempt.is_none() && (is_due || !self.jobs.is_empty()) {
            // A renewal goes first: what is to be written may be large.
            let job = if is_due { None } else { self.jobs.pop_front() };
            self.attempt = Some(Attempt { job, may_come: false });
        }
        if let Some(Attempt { job, .. }) = self.attempt {
            self.saved_at = now;
            self.must_save = false;
            return Some(LeaseCall::Save { term: self.term, writes: self.writes, job });
        }
        if self.in_vain(times, now).is_some() && now >= self.ask_at {
            self.ask_at = now + ASK;
            return Some(LeaseCall::Ask { within: times.probed });
        }
        None
    }

    /// Since when it leads in vain, and why. Not while it hands nothing over, for then nothing can be confirmed.
    fn vain_since(&self) -> impl Iterator<Item = (i64, Why)> {
        let off = self.off_since.map(|since| (since, Why::Skewed));
        let both = off.into_iter().chain(self.unproven_since.map(|since| (since, Why::Unproven)));
        both.filter(|_| self.end.is_none() && !self.has_lapsed)
    }

    /// Why it is to resign, if somebody else would do better.
    fn in_vain(&self, times: &super::LeaseTimes, now: i64) -> Option<Why> {
        self.vain_since().find(|(since, _)| now >= since + times.unproven).map(|(_, why)| why)
    }

    /// When something is to be asked of the database.
    fn wants_call_at(&self, times: &super::LeaseTimes) -> i64 {
        let at_once = self.is_in_doubt || self.must_save || self.attempt.is_some() || !self.jobs.is_empty();
        if at_once || self.end.is_some_and(|end| end.is_drained) {
            return 0;
        }
        let mut at = self.saved_at + times.renew;
        if let Some(end) = &self.end {
            at = at.min(end.since + times.drain);
        }
        let asks = self.vain_since().map(|(since, _)| (since + times.unproven).max(self.ask_at));
        at.min(asks.min().unwrap_or(at))
    }

    /// The save under way is durable, and known to be.
    fn acknowledged(&mut self) -> Vec<u64> {
        self.writes += 1;
        let job = self.attempt.take().and_then(|attempt| attempt.job);
        let kept = std::mem::take(&mut self.kept);
        kept.into_iter().chain(job).collect()
    }
}

impl Member {
    /// What a leader does of itself.
    pub(super) fn lead(&mut self, reading: Reading) {
        let now = reading.boot;
        if self.stopped.is_some() {
            self.resign_for(Why::Stopped, now);
        }
        if self.stopped.is_some_and(|at| now >= at + self.times.leave) {
            self.fall_back(now, Why::Stopped, 0);
            return self.end();
        }
        let is_off = self.clock.is_off(reading, self.times.skew);
        let Role::Leading(leading) = &mut self.role else { return };
        leading.see_clock(reading, is_off, self.times.skew);
        if now >= leading.trusted_until && !std::mem::replace(&mut leading.has_lapsed, true) {
            self.out.push(LeaseAction::Notice(LeaseNotice::Lapsed));
        }
        if !self.line.is_free(now) {
            return;
        }
        let Some(call) = leading.next_call(&self.times, now) else { return };
        if matches!(call, LeaseCall::Resign { .. }) && leading.trusted_until > now {
            // Before it is asked: who comes next may lead before the answer is here.
            leading.trusted_until = now;
            leading.has_lapsed = true;
            self.out.push(LeaseAction::Trust { until: now });
        }
        self.call(now, call);
    }

    pub(super) fn next_of_leader(&self, leading: &Leading) -> i64 {
        let mut next = self.line.next(leading.wants_call_at(&self.times), self.times.call);
        if !leading.has_lapsed {
            next = next.min(leading.trusted_until);
        }
        if let Some(at) = self.stopped {
            next = next.min(at + self.times.leave);
        }
        next
    }

    /// Begins to resign, unless it does.
    fn resign_for(&mut self, why: Why, now: i64) {
        let Role::Leading(leading) = &mut self.role else { return };
        if leading.end.is_none() {
            leading.end = Some(Ending { why, since: now, is_drained: false, is_resigning: false });
            self.out.push(LeaseAction::Drain);
        }
    }

    pub(super) fn answered_leader(&mut self, reading: Reading, call: UnderWay, reply: LeaseReply) {
        let now = reading.boot;
        let Role::Leading(leading) = &mut self.role else { return };
        match (call.call, reply) {
            (LeaseCall::Save { .. }, LeaseReply::Saved { wanted_by, timeline }) => {
                if timeline != leading.timeline {
                    // The row is that of a standby that was promoted: others may have led since.
                    return self.fall_back(now, Why::Fenced, 0);
                }
                let sent = if planted(Fault::TrustFromTheReply) { now } else { call.sent };
                self.acknowledged(sent, now);
                if wanted_by.is_some_and(|wanted| wanted != self.me) {
                    self.resign_for(Why::Wanted, now);
                }
            }
            (LeaseCall::Save { .. }, LeaseReply::Failed) => {
                leading.is_in_doubt = !planted(Fault::TakeALostReplyForAFailure);
                if let Some(attempt) = &mut leading.attempt {
                    attempt.may_come = !planted(Fault::TakeALostReplyForAFailure);
                }
            }
            (LeaseCall::Save { .. }, LeaseReply::Unfit) => {
                leading.is_in_doubt = true;
                // An earlier one, of which nothing was known, may have come to pass meanwhile. Else another one leads, most likely.
                if !leading.attempt.is_some_and(|attempt| attempt.may_come) {
                    leading.trusted_until = leading.trusted_until.min(now);
                    leading.has_lapsed = true;
                    self.out.push(LeaseAction::Trust { until: now });
                }
            }
            (LeaseCall::Resign { .. }, LeaseReply::Failed | LeaseReply::Unfit) => leading.is_in_doubt = true,
            (LeaseCall::Resign { .. }, LeaseReply::Resigned) => self.resigned(now),
            (LeaseCall::Look, LeaseReply::Looked(row)) => self.resolve(&row, now),
            (LeaseCall::Ask { .. }, LeaseReply::Asked(true)) => {
                if let Some(why) = leading.in_vain(&self.times, now) {
                    self.resign_for(why, now);
                }
            }
            _ => {}
        }
    }

    fn acknowledged(&mut self, sent: i64, now: i64) {
        let Role::Leading(leading) = &mut self.role else { return };
        let written = leading.acknowledged();
        let until = self.times.trust(sent);
        // One that is about to resign has given its trust up for good.
        let goes_on = !leading.end.is_some_and(|end| end.is_resigning);
        if goes_on && until > now && until > leading.trusted_until {
            leading.trusted_until = until;
            if std::mem::take(&mut leading.has_lapsed) {
                // It could get nothing confirmed meanwhile.
                leading.confirmed(now);
                self.out.push(LeaseAction::Notice(LeaseNotice::Regained));
            }
            self.out.push(LeaseAction::Trust { until });
        }
        self.out.extend(written.into_iter().map(|job| LeaseAction::Written { job }));
    }

    /// What became of a write of unknown outcome, as the row tells.
    fn resolve(&mut self, row: &LeaseRow, now: i64) {
        let me = self.me;
        let Role::Leading(leading) = &mut self.role else { return };
        leading.is_in_doubt = false;
        let is_ours = (row.term, row.holder, row.timeline) == (leading.term, Some(me), leading.timeline);
        let before = leading.writes;
        if is_ours && row.writes == before {
            // To be repeated, as it was; or to be resigned again.
        } else if is_ours && row.writes == before + 1 && leading.attempt.is_some() {
            leading.writes += 1;
            let job = leading.attempt.take().and_then(|attempt| attempt.job);
            leading.kept.extend(job);
            // It is believed once another one is acknowledged: of a commit that waits for its standby others see nothing yet.
            leading.must_save = true;
        } else if leading.end.is_some_and(|end| end.is_resigning) {
            self.resigned(now);
        } else if is_ours && row.writes < before && row.timeline != 0 {
            // The same server, or another one would have another timeline: so nobody has led since. What others have written for this
            // leader that need not last may be lost, so all is read anew, under another term.
            self.fall_back(now, Why::WentBack, 0);
            self.take_again(row, now);
        } else {
            self.fall_back(now, Why::Fenced, 0);
        }
    }

    /// It has no lease any more, as it wished.
    fn resigned(&mut self, now: i64) {
        let Role::Leading(leading) = &self.role else { return };
        let why = leading.end.map_or(Why::Fenced, |end| end.why);
        let rest = match why {
            Why::Unproven => self.times.rest,
            // Whoever is wanted has the time to come, though it began to watch the row but now.
            Why::Wanted => self.times.ttl + 2 * self.times.poll,
            Why::Stopped | Why::Skewed | Why::Fenced | Why::WentBack => 0,
        };
        self.fall_back(now, why, rest);
        if self.stopped.is_some() {
            self.end();
        }
    }
}

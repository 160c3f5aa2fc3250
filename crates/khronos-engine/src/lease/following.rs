//! A follower: it watches the row, and takes the lease once that has run out.

use super::{
    LeaseAction, LeaseCall, LeaseNotice, LeaseReply, LeaseRow,
    leading::Leading,
    line::UnderWay,
    member::{Member, Role},
};
use crate::{
    Reading,
    faults::{Fault, planted},
};

#[derive(Debug)]
pub(super) struct Following {
    look_at: i64,
    watched: Option<Watched>,
    /// A call to be sent next, as the row that was seen last says.
    next: Option<LeaseCall>,
    probe_at: i64,
    /// When a probe was confirmed, of which the database was not told yet.
    confirmed_at: Option<i64>,
    is_wanted: bool,
    /// When it tried to take the lease: on which timeline.
    tried: Option<u32>,
    /// A hint came while the row was looked at: it may have been too early.
    is_hinted: bool,
    /// What it would tell every time was told.
    has_told: bool,
}

/// What was seen of the row, on one connection to one timeline.
#[derive(Debug, Clone, Copy)]
struct Watched {
    term: u64,
    beat: u64,
    timeline: u32,
    saved_on: u32,
    /// Since when it was so, reckoned from when the first answer that said so came.
    unchanged_since: i64,
    /// Since when there is this connection.
    since: i64,
}

impl Following {
    pub(super) fn new(now: i64) -> Self {
        Self {
            look_at: now,
            watched: None,
            next: None,
            probe_at: now,
            confirmed_at: None,
            is_wanted: false,
            tried: None,
            is_hinted: false,
            has_told: false,
        }
    }

    pub(super) fn confirmed(&mut self, now: i64) {
        self.confirmed_at = Some(now);
    }

    pub(super) fn want(&mut self) {
        self.is_wanted = true;
    }

    /// Looks at once.
    pub(super) fn hint(&mut self, now: i64) {
        self.look_at = now;
        self.is_hinted = true;
    }

    /// What was seen, as far as it goes on from what was seen before.
    fn watch(&mut self, row: &LeaseRow, now: i64) -> Watched {
        let LeaseRow { term, beat, timeline, saved_on, .. } = *row;
        let before = self.watched.filter(|seen| seen.timeline == timeline);
        let same = before.filter(|seen| (seen.term, seen.beat) == (term, beat));
        let since = before.map_or(now, |seen| seen.since);
        let unchanged_since = same.map_or(now, |seen| seen.unchanged_since);
        *self.watched.insert(Watched { term, beat, timeline, saved_on, unchanged_since, since })
    }
}

impl Member {
    /// What a follower does of itself.
    pub(super) fn follow(&mut self, reading: Reading) {
        let now = reading.boot;
        if self.stopped.is_some() {
            // A lease that it gets now nobody could take before it has run out: it is given back first.
            if !self.line.is_about_a_lease() {
                self.end();
            }
            return;
        }
        let Role::Following(following) = &mut self.role else { return };
        if now >= following.probe_at {
            following.probe_at = now + self.times.probe;
            self.out.push(LeaseAction::Probe);
        }
        if !self.line.is_free(now) {
            return;
        }
        let call = match following.next.take() {
            Some(call) => call,
            None if now < following.look_at => return,
            None => LeaseCall::Look,
        };
        match call {
            LeaseCall::Look => following.is_hinted = false,
            LeaseCall::Acquire { .. } => {
                following.tried = following.watched.map(|seen| seen.timeline);
                self.tell_of_promotion();
            }
            _ => {}
        }
        self.call(now, call);
    }

    pub(super) fn next_of_follower(&self, following: &Following) -> i64 {
        let wanted = if following.next.is_some() { 0 } else { following.look_at };
        let next = self.line.next(wanted, self.times.call);
        if self.stopped.is_some() { next } else { next.min(following.probe_at) }
    }

    pub(super) fn answered_follower(&mut self, reading: Reading, call: UnderWay, reply: LeaseReply) {
        let now = reading.boot;
        let pause = self.next_poll();
        let Role::Following(following) = &mut self.role else { return };
        following.look_at = if following.is_hinted { now } else { now + pause };
        match (call.call, reply) {
            (_, LeaseReply::Failed) => {
                // What was seen before this connection says nothing of what a promotion has lost.
                following.watched = None;
                following.look_at = now;
            }
            (_, LeaseReply::Looked(row)) => self.looked(reading, &row),
            (LeaseCall::Acquire { .. }, LeaseReply::Acquired { term, writes, timeline }) => {
                self.begin((term, writes), timeline, call.sent, reading);
            }
            // An earlier attempt had come to pass: its answer was lost.
            (LeaseCall::Save { term, writes, .. }, LeaseReply::Saved { timeline, .. }) => {
                self.begin((term, writes + 1), timeline, call.sent, reading);
            }
            (LeaseCall::Report { age }, LeaseReply::Done) => {
                let told = call.sent - age;
                following.confirmed_at = following.confirmed_at.filter(|at| *at > told);
            }
            (LeaseCall::Want { .. }, LeaseReply::Done) => following.is_wanted = false,
            _ => {}
        }
    }

    /// Takes a lease at once that is its own, and that nobody else had meanwhile.
    pub(super) fn take_again(&mut self, row: &LeaseRow, now: i64) {
        let Role::Following(following) = &mut self.role else { return };
        following.watch(row, now);
        following.next = Some(LeaseCall::Acquire { term: row.term, beat: row.beat });
    }

    fn looked(&mut self, reading: Reading, row: &LeaseRow) {
        let now = reading.boot;
        let is_candidate = self.is_candidate(reading) && row.schema <= self.schema;
        let Role::Following(following) = &mut self.role else { return };
        let watched = following.watch(row, now);
        let ttl = self.times.ttl;
        let unchanged = now - watched.unchanged_since;
        let unchanged = if planted(Fault::TrustTheDatabasesClockAlone) { ttl } else { unchanged };
        let is_free = match row.holder {
            // It has resigned. Whoever was wanted goes first.
            None => {
                let others = row.wanted_by.is_some_and(|wanted| wanted != self.me);
                let watched_for = now - watched.since;
                if others { unchanged >= ttl } else { watched_for >= ttl || planted(Fault::TakeAtFirstSight) }
            }
            // The third: the database's clock was set back.
            Some(_) => unchanged >= ttl && (row.left <= 0 || row.left > 2 * ttl),
        };
        let LeaseRow { term, beat, writes, .. } = *row;
        // It may have been fenced under this term; but if it tried to take the lease, that attempt may have come to pass.
        let has_tried = following.tried == Some(row.timeline);
        following.next = if is_candidate && row.holder == Some(self.me) && has_tried {
            Some(LeaseCall::Save { term, writes, job: None })
        } else if is_candidate && is_free {
            Some(LeaseCall::Acquire { term, beat })
        } else if let Some(at) = following.confirmed_at.filter(|_| is_candidate) {
            // Whoever would not lead, though the broker confirms, says nothing: nobody is to resign for it.
            Some(LeaseCall::Report { age: now - at })
        } else if following.is_wanted && row.holder.is_some() {
            Some(LeaseCall::Want { term })
        } else {
            None
        };
        if is_free && !is_candidate {
            self.tell_why_not(reading, row);
        }
    }

    /// Once.
    fn tell_why_not(&mut self, reading: Reading, row: &LeaseRow) {
        let skew = self.clock.skew(reading).unwrap_or_default();
        let limit = self.times.skew;
        let Role::Following(following) = &mut self.role else { return };
        if std::mem::replace(&mut following.has_told, true) {
            return;
        }
        if row.schema > self.schema {
            self.tell(LeaseNotice::Newer { schema: row.schema });
        } else if skew.0 < -limit || skew.1 > limit {
            self.tell(LeaseNotice::Skewed { ahead: (skew.0 + skew.1) / 2 });
        }
    }

    /// Before anything is saved, so that it is told though this process ends the next moment.
    fn tell_of_promotion(&mut self) {
        let Role::Following(Following { watched: Some(seen), .. }) = self.role else { return };
        let (from, to) = (seen.saved_on, seen.timeline);
        if (1..to).contains(&from) && self.told_of < to {
            self.told_of = to;
            self.tell(LeaseNotice::Promoted { from, to });
        }
    }

    /// Leads: unless a standby was promoted since it was watched, behind a connection that goes on. Another leader may be trusted
    /// by what was lost then; so it leaves the lease alone until that has run out. One that was told to stop meanwhile gives it back.
    fn begin(&mut self, (term, writes): (u64, u64), timeline: u32, sent: i64, reading: Reading) {
        let now = reading.boot;
        let ahead = reading.wall.millis() - now;
        let Role::Following(following) = &mut self.role else { return };
        if following.tried != Some(timeline) {
            return;
        }
        if self.stopped.is_some() {
            return self.call(now, LeaseCall::Resign { term, writes });
        }
        let leading = Leading::new((term, writes), timeline, (sent, self.times.trust(sent)), ahead);
        let until = leading.trusted_until;
        self.role = Role::Leading(Box::new(leading));
        self.tell(LeaseNotice::Leads { term });
        self.out.push(LeaseAction::Lead { term, timeline });
        self.out.push(LeaseAction::Trust { until: until.max(now) });
    }
}

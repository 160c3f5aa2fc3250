//! What is looked at while the cluster lives, from outside, by the true time.

use super::{super::serving::send_time, world::World};
use crate::{Handover, lease::LeaseReply};
use ponos_event::Timestamp;
use std::collections::HashMap;

/// A leader that gets nothing confirmed while another one would has resigned after this time at the latest: 3 s without, half a
/// second until it asks, a second for what is in flight, and calls that take long.
const RESIGNED_WITHIN: i64 = 6_500;

pub(super) struct Watch {
    /// Up to when a process may be trusted, as the database has it: by node, with its life.
    granted: HashMap<(usize, u32), i64>,
    /// The highest reading of any leader.
    pub(super) highest: Timestamp,
    /// Since when a leader has had work in vain: under which term.
    in_vain: Option<(i64, u64)>,
    /// How often somebody began to lead, resigned for it led in vain, was fenced, lapsed.
    pub(super) led: usize,
    pub(super) unproven: usize,
    pub(super) fenced: usize,
    pub(super) lapsed: usize,
    pub(super) handed: usize,
    /// When somebody resigned last, for another one was wanted.
    pub(super) wanted_at: i64,
    pub(super) broken: Option<String>,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            granted: HashMap::new(),
            highest: Timestamp::EPOCH,
            in_vain: None,
            led: 0,
            unproven: 0,
            fenced: 0,
            lapsed: 0,
            handed: 0,
            wanted_at: i64::MIN / 2,
            broken: None,
        }
    }

    pub(super) fn fail(&mut self, broken: String) {
        self.broken.get_or_insert(broken);
    }
}

impl World {
    /// The database granted the lease, or some more of it, by a call that was sent at `sent`.
    pub(super) fn granted(&mut self, by: (usize, u32), sent: i64, reply: LeaseReply) {
        let until = sent + self.times.ttl - self.times.margin;
        if matches!(reply, LeaseReply::Acquired { .. } | LeaseReply::Saved { .. }) {
            let granted = self.watch.granted.entry(by).or_default();
            *granted = until.max(*granted);
        }
        if matches!(reply, LeaseReply::Acquired { .. }) {
            let (ahead, theirs) = (self.nodes[by.0].ahead, self.database.ahead);
            // Between its last look and this the clocks may have been set.
            if !self.nodes[by.0].is_off && (ahead - theirs).abs() <= 350 {
                return;
            }
            if self.watch_clock_is_set(by.0) {
                return;
            }
            self.watch.fail(format!("node {} leads, with a clock that is {} ms off", by.0, ahead - theirs));
        }
    }

    /// Whether a clock was set a moment ago, so that a member could not know of it when it asked.
    fn watch_clock_is_set(&self, node: usize) -> bool {
        let since = self.clock_set_at.max(self.nodes[node].set_at);
        self.now - since < 3_000
    }

    /// Somebody is trusted from now on, or still.
    pub(super) fn trusted(&mut self, by: usize) {
        let others = (0..self.nodes.len()).filter(|other| *other != by);
        if let Some(other) = others.into_iter().find(|other| self.nodes[*other].trusts(self.now)) {
            let terms = (self.nodes[by].leads(), self.nodes[other].leads());
            self.watch.fail(format!("nodes {by} and {other} are trusted at once, under the terms {terms:?}"));
        }
    }

    /// Something is given to the broker's connection.
    pub(super) fn handed_over(&mut self, by: (usize, u32), term: u64, handover: &Handover) {
        self.watch.handed += 1;
        let (send, name) = (send_time(handover), &handover.schedule.name);
        let durable = self.database.handed.get(&term).copied();
        if durable.is_none_or(|durable| send > durable) {
            self.watch.fail(format!("{name}, to be sent at {send}, above the H {durable:?} of term {term}"));
        }
        if send > self.watch.highest || handover.lateness < 0 {
            let highest = self.watch.highest;
            self.watch.fail(format!(
                "early: {name}, to be sent at {send}, when no leader showed more than {highest}"
            ));
        }
        let granted = self.watch.granted.get(&by).copied();
        if granted.is_none_or(|granted| self.now >= granted) {
            let late = granted.map(|granted| self.now - granted);
            self.watch.fail(format!(
                "{name} of {send} was handed over {late:?} ms after the deadline of term {term}"
            ));
        }
    }

    /// Whether somebody leads in vain, for too long.
    pub(super) fn look(&mut self) {
        let now = self.now;
        let vain = self.led_by().filter(|leader| self.is_in_vain(*leader));
        let term = vain.and_then(|leader| self.nodes[leader].leads());
        self.watch.in_vain = term.map(|term| match self.watch.in_vain {
            Some((since, before)) if before == term => (since, term),
            _ => (now, term),
        });
        if let Some((since, term)) = self.watch.in_vain
            && now - since > RESIGNED_WITHIN
        {
            self.watch.fail(format!("term {term} leads in vain since {since}, and it is {now}"));
        }
    }

    /// It has work, the broker confirms nothing of it, and would of another one; and the database is well.
    fn is_in_vain(&self, leader: usize) -> bool {
        let now = self.now;
        let is_well = |at: usize| {
            let node = &self.nodes[at];
            node.process.is_some() && node.stopped_until <= now && node.database_silent_until <= now
        };
        let is_linked = |at: usize| {
            let link = self.nodes[at].process.as_ref().and_then(|process| process.link);
            link.is_some() && self.nodes[at].broker_silent_until <= now
        };
        let has_work = self.nodes[leader].engine().is_some_and(crate::Engine::has_work);
        has_work
            && is_well(leader)
            && self.nodes[leader].broker_silent_until > now
            && self.nodes[leader].mishaps.is_empty()
            && self.broker_is_up
            && self.database.down_until <= now
            && (0..self.nodes.len()).any(|at| at != leader && is_well(at) && is_linked(at))
    }

    /// A leader looked at its clock.
    pub(super) fn shown(&mut self, wall: Timestamp) {
        self.watch.highest = self.watch.highest.max(wall);
    }
}

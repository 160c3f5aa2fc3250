//! What is looked at while the cluster lives, from outside, by the true time.

use super::world::World;
use crate::lease::LeaseReply;
use ponos_event::Timestamp;
use std::collections::HashMap;

/// A leader that gets nothing confirmed while another one would has resigned after this time at the latest: 3 s without, half a
/// second until it asks, a second for what is in flight, and calls that take long.
const RESIGNED_WITHIN: i64 = 6_500;

/// Somebody leads within this time, once nothing goes wrong any more.
const LED_WITHIN: i64 = 2_000;

pub(super) struct Watch {
    /// Up to when a process may be trusted, as the database has it: by node, with its life.
    granted: HashMap<(usize, u32), i64>,
    /// The highest reading of any leader.
    pub(super) highest: Timestamp,
    /// Since when nothing goes wrong any more, and the clocks say nothing wrong.
    pub(super) calm_from: Option<i64>,
    /// Since when nobody is trusted.
    vacant_since: Option<i64>,
    /// By node, since when it is a candidate.
    candidates: HashMap<usize, i64>,
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
            calm_from: None,
            vacant_since: None,
            candidates: HashMap::new(),
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

    /// Whoever led in vain so far could not know.
    pub(super) fn nobody_is_in_vain(&mut self) {
        self.in_vain = None;
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
    pub(super) fn handed_over(&mut self, by: (usize, u32), term: u64, (send, name): (Timestamp, &str)) {
        self.watch.handed += 1;
        let durable = self.database.handed.get(&term).copied();
        if durable.is_none_or(|durable| send > durable) {
            self.watch.fail(format!("{name}, to be sent at {send}, above the H {durable:?} of term {term}"));
        }
        if send > self.watch.highest {
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

    /// Whether nobody leads though somebody could, for too long.
    pub(super) fn look_for_a_leader(&mut self) {
        let now = self.now;
        let is_led = self.led_by().is_some();
        let since = self.watch.vacant_since.filter(|_| !is_led).unwrap_or(now);
        self.watch.vacant_since = (!is_led).then_some(since);
        for at in 0..self.nodes.len() {
            let (node, reading) = (&self.nodes[at], self.nodes[at].reading(now));
            let process = node.process.as_ref().filter(|_| node.stopped_until <= now);
            if process.is_some_and(|process| process.member.is_candidate(reading)) {
                self.watch.candidates.entry(at).or_insert(now);
            } else {
                self.watch.candidates.remove(&at);
            }
        }
        let first = self.watch.candidates.iter().min_by_key(|(at, since)| (**since, **at));
        if let (Some(calm), Some(vacant), Some((at, first))) =
            (self.watch.calm_from, self.watch.vacant_since, first)
            && now - calm.max(vacant).max(*first) > LED_WITHIN
        {
            let what = format!("nobody leads since {vacant}, not even node {at}, and it is {now}");
            self.watch.fail(format!("{what}: it is calm since {calm}, and node {at} could since {first}"));
        }
    }

    /// Whether somebody leads in vain, for too long.
    pub(super) fn look_for_who_leads_in_vain(&mut self) {
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
        // Who is none says nothing of its probes.
        let is_candidate = |at: usize| {
            let reading = self.nodes[at].reading(now);
            self.nodes[at].process.as_ref().is_some_and(|process| process.member.is_candidate(reading))
        };
        let would_do_better = |at: usize| at != leader && is_well(at) && is_linked(at) && is_candidate(at);
        let has_work = self.nodes[leader].engine().is_some_and(crate::Engine::has_work);
        has_work
            && is_well(leader)
            && self.nodes[leader].broker_silent_until > now
            && self.nodes[leader].mishaps.is_empty()
            && self.broker_is_up
            && self.database.down_until <= now
            && (0..self.nodes.len()).any(would_do_better)
    }

    /// A leader looked at its clock.
    pub(super) fn shown(&mut self, wall: Timestamp) {
        self.watch.highest = self.watch.highest.max(wall);
    }
}

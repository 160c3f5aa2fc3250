//! What happens, and what goes wrong.

use super::{
    faults::ClusterFault,
    node::{Mishap, id_of},
    process::Todo,
    world::{Event, World},
};
use crate::{Input, delayed::DelayedInput, lease::LeaseInput};

impl World {
    pub(super) fn happen(&mut self, event: Event) {
        let whose = match &event {
            Event::Wakes(at, life) | Event::Unlinks(at, life) | Event::Links(at, life) => Some((*at, *life)),
            Event::Answers { way, .. } | Event::LaterConfirmed { way, .. } => Some(way.by),
            Event::Replied { to: whose, .. }
            | Event::Performs { by: whose, .. }
            | Event::Confirmed { to: whose, .. } => Some(*whose),
            _ => None,
        };
        if let Some((at, life)) = whose {
            let node = &mut self.nodes[at];
            let Some(process) = node.process.as_mut().filter(|_| node.life == life) else { return };
            if node.stopped_until > self.now {
                // It comes to it when the process goes on.
                let after = node.stopped_until - self.now;
                if matches!(event, Event::Wakes(..)) {
                    process.wakes_at = Some(node.stopped_until);
                }
                return self.after(after, event);
            }
        }
        self.do_happen(event);
    }

    fn do_happen(&mut self, event: Event) {
        match event {
            Event::Starts(at) => self.start(at),
            Event::Wakes(at, _) => {
                let now = self.now;
                let process = self.nodes[at].process.as_mut();
                if process.is_some_and(|process| process.wakes_at.take_if(|wakes| *wakes <= now).is_some()) {
                    self.tell(at, Todo::Engine(Input::Tick));
                    self.tell(at, Todo::Later(DelayedInput::Tick));
                    self.tell(at, Todo::Member(LeaseInput::Tick));
                }
            }
            Event::Arrives(sent) => self.arrives(*sent),
            Event::Replied { to: (at, _), line, number, reply } => {
                if self.nodes[at].process.as_ref().is_some_and(|process| process.line.0 == line) {
                    self.tell(at, Todo::Member(LeaseInput::Replied { number, reply }));
                }
            }
            Event::Performs { by, term, handovers } => self.give(by, term, &handovers),
            Event::Frame { by, link, term, handover } => self.frame(by, link, term, handover.as_deref()),
            Event::Confirmed { to: (at, _), link, term, token } => {
                if self.nodes[at].broker_silent_until <= self.now {
                    self.confirmed(at, link, term, token);
                }
            }
            Event::Asks { way, question } => self.asks(way, *question),
            Event::Answers { way, read } => self.answers(way, *read),
            Event::LaterFrame { way, link, token, event } => self.later_frame(way, link, token, &event),
            Event::LaterConfirmed { way, link, token } => self.later_confirmed(way, link, token),
            Event::Unlinks(at, _) => {
                if !self.calm {
                    self.unlink(at);
                }
            }
            Event::Links(at, _) => self.link(at),
            Event::Luck => self.luck(),
            Event::Client => self.ask(),
            Event::Looks => {
                self.look_for_who_leads_in_vain();
                self.look_for_a_leader();
                self.after(100, Event::Looks);
            }
            Event::Promotes => {
                if !self.calm {
                    // All that was written since is lost, so that the row has no holder again.
                    let lacks = self.database.since_resigned();
                    self.database.promote(lacks);
                    self.database.down_until = self.now + 20 + self.random.below(400);
                }
            }
            Event::BrokerIsBack => self.broker_is_up = true,
            Event::DatabaseClockIsBack => {
                (self.database.ahead, self.clock_set_at) = (0, self.now);
            }
        }
    }

    fn start(&mut self, at: usize) {
        if self.nodes[at].process.is_some() {
            return;
        }
        let (now, times) = (self.now, self.times);
        self.nodes[at].start(at, now, times);
        self.nodes[at].stopped_until = now;
        let life = self.nodes[at].life;
        self.after(10, Event::Links(at, life));
        self.tell(at, Todo::Member(LeaseInput::Tick));
    }

    /// The process is told to end.
    pub(super) fn stop(&mut self, at: usize) {
        if let Some(process) = &mut self.nodes[at].process {
            process.is_ending = self.calm;
            self.tell(at, Todo::Member(LeaseInput::Stop));
        }
    }

    fn kill(&mut self, at: usize, down: i64) {
        let life = self.nodes[at].life;
        self.nodes[at].process = None;
        self.clients.leave((at, life));
        self.later_clients.leave(id_of((at, life)));
        self.after(down, Event::Starts(at));
    }

    fn luck(&mut self) {
        if self.calm {
            return;
        }
        if self.now < self.quiet_until {
            return self.after(self.quiet_until - self.now, Event::Luck);
        }
        let next = 100 + self.random.below(1_200);
        self.after(next, Event::Luck);
        let anybody = self.random.below(self.nodes.len() as i64) as usize;
        let at = self.led_by().filter(|_| self.random.chance(65)).unwrap_or(anybody);
        match self.random.below(100) {
            0..13 => {
                let down = 10 + self.random.below(2_500);
                self.kill(at, down);
            }
            13..26 => {
                let long = 100 + self.random.below(3_500);
                // What comes to it meanwhile was put off until the end of an earlier stop, if that is later.
                let node = &mut self.nodes[at];
                node.stopped_until = node.stopped_until.max(self.now + long);
            }
            26..31 if self.nodes[at].stopped_until <= self.now => self.stop(at),
            31..48 => {
                for _ in 0..1 + self.random.below(3) {
                    let mishap = self.mishap();
                    self.nodes[at].mishaps.push_back(mishap);
                }
            }
            48..54 => self.nodes[at].database_silent_until = self.now + 200 + self.random.below(3_000),
            54..58 => self.database.down_until = self.now + 200 + self.random.below(2_500),
            58..62 => self.database.generation += 1,
            62..69 => self.promote(),
            69..75 => {
                let by = *self.random.pick(&[-3_000, -700, -150, 150, 700, 2_000, 5_000]);
                (self.database.ahead, self.clock_set_at) = (by, self.now);
                let after = 300 + self.random.below(2_500);
                self.after(after, Event::DatabaseClockIsBack);
            }
            75..83 => {
                let life = self.nodes[at].life;
                // Now and then so long that the leader has to see it, and nothing else happens.
                let is_long = self.random.chance(30);
                let long = if is_long { 8_000 } else { 500 + self.random.below(6_000) };
                self.nodes[at].broker_silent_until = self.now + long;
                if is_long {
                    self.quiet_until = self.now + long;
                }
                self.after(long, Event::Unlinks(at, life));
            }
            83..87 => {
                self.broker_is_up = false;
                let after = 200 + self.random.below(3_000);
                self.after(after, Event::BrokerIsBack);
                for at in 0..self.nodes.len() {
                    let life = self.nodes[at].life;
                    self.after(0, Event::Unlinks(at, life));
                }
            }
            87..90 => {
                let life = self.nodes[at].life;
                self.after(0, Event::Unlinks(at, life));
            }
            90..95 => self.set_clock(at),
            95..98 if self.nodes[anybody].stopped_until <= self.now => {
                self.tell(anybody, Todo::Member(LeaseInput::Want));
            }
            _ => {}
        }
    }

    fn mishap(&mut self) -> Mishap {
        let random = &mut self.random;
        match random.below(7) {
            0 => Mishap::LostThere,
            1 => Mishap::LostBack,
            2 => Mishap::CutBack,
            3 => Mishap::Standby,
            4 => Mishap::SlowBack(100 + random.below(1_200)),
            _ => Mishap::SlowThere(100 + random.below(1_800)),
        }
    }

    /// The database's machine goes, and a standby takes its place.
    fn promote(&mut self) {
        let lacks = match self.fault {
            Some(ClusterFault::PromoteWithoutTheLastCommit) if !self.is_lossy => 1,
            _ if self.is_lossy => 1 + self.random.below(12),
            _ => 0,
        };
        self.database.promote(lacks.unsigned_abs() as usize);
        self.database.down_until = self.now + 20 + self.random.below(1_500);
    }

    fn set_clock(&mut self, at: usize) {
        let is_off = self.random.chance(40);
        let ahead = match is_off {
            true => *self.random.pick(&[600, 1_500, -2_000, -15_000, 20_000]),
            false => self.random.below(300) - 150,
        };
        let node = &mut self.nodes[at];
        (node.ahead, node.is_off, node.set_at) = (ahead, is_off, self.now);
    }

    /// Nothing goes wrong any more, but for a leader that may be killed now: its last fault.
    pub(super) fn become_calm(&mut self) {
        self.calm = true;
        let now = self.now;
        self.database.generation += 1;
        self.database.down_until = now;
        (self.database.ahead, self.clock_set_at) = (0, now);
        self.watch.calm_from = Some(now + self.database.lasts_longer(now, self.times.ttl));
        self.broker_is_up = true;
        if let Some(leader) = self.led_by().filter(|_| self.random.chance(50)) {
            self.kill(leader, 1_000);
        }
        for at in 0..self.nodes.len() {
            if self.nodes[at].stopped_until > now {
                self.kill(at, 20);
            }
            let random = self.random.below(300) - 150;
            let node = &mut self.nodes[at];
            node.stopped_until = now;
            node.mishaps.clear();
            node.database_silent_until = now;
            if std::mem::take(&mut node.is_off) {
                (node.ahead, node.set_at) = (random, now);
            }
            if node.broker_silent_until > now {
                node.broker_silent_until = now;
                self.unlink(at);
            }
            if self.nodes[at].process.is_none() {
                self.after(20, Event::Starts(at));
            }
        }
    }
}

//! Calls on their way to the database and back, and what goes wrong with them.

use super::{
    node::{Mishap, START, id_of},
    process::Todo,
    world::{Event, Sent, World},
};
use crate::lease::{LeaseCall, LeaseInput, LeaseReply};

impl World {
    pub(super) fn call(&mut self, at: usize, number: u64, fresh: bool, call: LeaseCall) {
        let (now, life, ahead) = (self.now, self.nodes[at].life, self.nodes[at].ahead);
        let mishap = self.nodes[at].mishaps.pop_front();
        let generation = self.database.generation;
        let Some(process) = &mut self.nodes[at].process else { return };
        if fresh || process.line.0 == 0 {
            process.line = (process.line.0 + 1, generation);
        }
        let job = match call {
            LeaseCall::Save { job: Some(job), .. } => process.jobs.get(&job).cloned(),
            _ => None,
        };
        let line = process.line;
        let takes = 1 + self.random.below(4);
        let takes = if let Some(Mishap::SlowThere(by)) = mishap { takes + by } else { takes };
        let clock = START + now + ahead;
        let sent = Sent { by: (at, life), line, number, call, job, clock, at: now, mishap };
        self.after(takes, Event::Arrives(Box::new(sent)));
    }

    /// A call reaches the database.
    pub(super) fn arrives(&mut self, sent: Sent) {
        let Sent { by, line, number, call, job, clock, at, mishap } = sent;
        let now = self.now;
        let silent = self.nodes[by.0].database_silent_until > now || mishap == Some(Mishap::LostThere);
        if silent {
            return;
        }
        let reaches = line.1 == self.database.generation && self.database.down_until <= now;
        let id = id_of(by);
        let reply = if mishap == Some(Mishap::Standby) {
            let behind = self.random.below(5).unsigned_abs() as usize;
            self.database.execute_on_standby(call, now, behind)
        } else if reaches {
            self.database.execute((id, self.times.ttl), (call, job), (now, clock))
        } else {
            LeaseReply::Failed
        };
        self.granted(by, at, reply);
        if reply == LeaseReply::Resigned {
            self.resigned(by);
        }
        let takes = 1 + self.random.below(4);
        let (takes, reply) = match mishap {
            Some(Mishap::SlowBack(more)) => (takes + more, reply),
            Some(Mishap::LostBack) => return,
            Some(Mishap::CutBack) => (takes, LeaseReply::Failed),
            _ => (takes, reply),
        };
        self.after(takes, Event::Replied { to: by, line: line.0, number, reply });
    }

    /// What is in flight has ended; whoever follows may be told.
    fn resigned(&mut self, by: (usize, u32)) {
        let in_flight = self.nodes[by.0].in_flight();
        if self.nodes[by.0].life == by.1 && in_flight > 0 {
            self.watch.fail(format!("node {} resigned with {in_flight} in flight", by.0));
        }
        if self.is_lossy && !self.calm && self.random.chance(20) {
            let after = 100 + self.random.below(500);
            self.after(after, Event::Promotes);
        }
        for at in (0..self.nodes.len()).filter(|at| *at != by.0) {
            if self.nodes[at].stopped_until <= self.now && self.random.chance(50) {
                self.tell(at, Todo::Member(LeaseInput::Hint));
            }
        }
    }
}

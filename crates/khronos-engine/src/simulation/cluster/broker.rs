//! The broker, and each node's connection to it.

use super::{
    super::serving::{rendered, send_time},
    faults::ClusterFault,
    process::Todo,
    world::{Event, World},
};
use crate::{Answer, Handover, Input, lease::LeaseInput, simulation::evidence::Arrival};

impl World {
    /// What was handed over is given to the broker's connection, if there is one, and the time has not run out.
    pub(super) fn give(&mut self, by: (usize, u32), term: u64, handovers: &[Handover]) {
        let (at, _) = by;
        let trusts =
            self.nodes[at].trusts(self.now) || self.fault == Some(ClusterFault::SendAfterTheDeadline);
        let mut lost = Vec::new();
        for handover in handovers {
            let Some(process) = &mut self.nodes[at].process else { return };
            let link = process.link.filter(|_| trusts);
            let Some(leader) = process.leader.as_mut().filter(|leader| leader.term == term) else { return };
            if !leader.unanswered.contains_key(&handover.token) {
                continue;
            }
            match link {
                Some(link) => {
                    self.handed_over(by, term, (send_time(handover), &handover.schedule.name));
                    if handover.lateness < 0 {
                        self.watch.fail(format!("early: {handover:?}"));
                    }
                    self.send_frame(by, link, term, Some(Box::new(handover.clone())));
                }
                None => {
                    leader.unanswered.remove(&handover.token);
                    lost.push((handover.token, Answer::Lost));
                }
            }
        }
        if !lost.is_empty() {
            self.tell(at, Todo::Engine(Input::Settled(lost)));
        }
    }

    pub(super) fn send_frame(
        &mut self,
        by: (usize, u32),
        link: u64,
        term: u64,
        handover: Option<Box<Handover>>,
    ) {
        let takes = self.frame_takes();
        self.after(takes, Event::Frame { by, link, term, handover });
    }

    /// What lies in the kernel comes whenever that is.
    pub(super) fn frame_takes(&mut self) -> i64 {
        let takes = if !self.calm && self.random.chance(3) { 100 + self.random.below(3_000) } else { 0 };
        takes + 1 + self.random.below(5)
    }

    /// A frame reaches the broker.
    pub(super) fn frame(&mut self, by: (usize, u32), link: u64, term: u64, handover: Option<&Handover>) {
        if !self.broker_is_up || self.nodes[by.0].broker_silent_until > self.now {
            return;
        }
        let token = handover.map(|handover| handover.token);
        if let Some(handover) = handover {
            if !self.has_lost() {
                self.clients.arrived(handover);
            }
            let (id, body) = rendered(handover);
            self.arrivals.push(Arrival {
                id,
                body,
                schedule: handover.schedule.name.clone(),
                creation: handover.schedule.creation,
                revision: handover.era.number,
                stands_for: handover.stands_for,
                send_time: send_time(handover),
                highest: self.watch.highest,
                era: 0,
            });
        }
        let takes = 1 + self.random.below(10);
        self.after(takes, Event::Confirmed { to: by, link, term, token });
    }

    /// The broker confirms something.
    pub(super) fn confirmed(&mut self, at: usize, link: u64, term: u64, token: Option<u64>) {
        let Some(process) = &mut self.nodes[at].process else { return };
        if process.link != Some(link) {
            return;
        }
        let leader = process.leader.as_mut().filter(|leader| leader.term == term);
        let token = token.filter(|token| leader.is_some_and(|one| one.unanswered.remove(token).is_some()));
        self.tell(at, Todo::Member(LeaseInput::Confirmed));
        if let Some(token) = token {
            let answers = vec![(token, Answer::Confirmed { returned: false })];
            self.tell(at, Todo::Engine(Input::Settled(answers)));
        }
    }

    /// The connection to the broker ends: nobody knows of what is unanswered.
    pub(super) fn unlink(&mut self, at: usize) {
        let Some(process) = &mut self.nodes[at].process else { return };
        if process.link.take().is_none() {
            return;
        }
        let unanswered = process.leader.as_mut().map(|leader| std::mem::take(&mut leader.unanswered));
        let lost = unanswered.unwrap_or_default().into_keys().map(|token| (token, Answer::Lost)).collect();
        self.tell(at, Todo::Engine(Input::Link(false)));
        self.tell(at, Todo::Engine(Input::Settled(lost)));
        self.lose_later(at);
        let (after, life) = (100 + self.random.below(200), self.nodes[at].life);
        self.after(after, Event::Links(at, life));
    }

    pub(super) fn link(&mut self, at: usize) {
        let life = self.nodes[at].life;
        if !self.broker_is_up || self.nodes[at].broker_silent_until > self.now {
            return self.after(200, Event::Links(at, life));
        }
        self.last_link += 1;
        let link = self.last_link;
        let Some(process) = &mut self.nodes[at].process else { return };
        process.link = Some(link);
        self.tell(at, Todo::Engine(Input::Link(true)));
    }
}

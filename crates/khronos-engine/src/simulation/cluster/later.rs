//! Delayed events on the same database. Whoever leads has a [`Sending`] beside its engine; what that writes goes down as the jobs of
//! the lease do, and what it reads is read beside them.

use super::{
    database::Job,
    faults::ClusterFault,
    node::id_of,
    process::{Todo, Todos},
    world::{Event, World},
};
use crate::{
    Answer, Input,
    delayed::{
        DelayedAction, DelayedAnswer, DelayedEvent, DelayedInput, DelayedReader, DelayedRules,
        DelayedSnapshot, Marks, ParkedHead, Sending,
    },
    lease::LeaseInput,
    store::StoreError,
};
use khronos_schedule::Unrouted;
use ponos_event::Timestamp;
use std::collections::BTreeMap;

/// A leader's.
pub(super) struct Later {
    pub(super) sending: Sending,
    /// What the broker has not answered, and when it was handed over.
    unanswered: BTreeMap<u64, Timestamp>,
    /// What it was told last: H, and whether anything may be handed over.
    handed: Timestamp,
    may_hand_over: bool,
}

/// Something of a delayed event, on its way.
#[derive(Clone, Copy)]
pub(super) struct Way {
    pub(super) by: (usize, u32),
    pub(super) term: u64,
}

/// What was read.
pub(super) enum Read {
    Told(DelayedInput),
    /// What is to be published, if it is there.
    Contents(Vec<(u64, Option<DelayedEvent>)>),
}

impl Later {
    pub(super) fn new(kept: &DelayedSnapshot) -> Self {
        let (unanswered, handed, may_hand_over) = (BTreeMap::new(), Timestamp::EPOCH, false);
        Self {
            sending: Sending::new(DelayedRules::of_simulations(), kept),
            unanswered,
            handed,
            may_hand_over,
        }
    }

    /// Nobody knows of what is unanswered.
    pub(super) fn lost(&mut self) -> Vec<DelayedAnswer> {
        let answer = |(token, sent_at)| answered((token, sent_at), Answer::Lost);
        std::mem::take(&mut self.unanswered).into_iter().map(answer).collect()
    }
}

fn answered((token, sent_at): (u64, Timestamp), answer: Answer) -> DelayedAnswer {
    DelayedAnswer { token, answer, sent_at, unrouted: Unrouted::Ignore }
}

impl World {
    /// What a leader's delayed events are to be told after a step of its engine.
    pub(super) fn look_at_marks(&mut self, at: usize, todos: &mut Todos) {
        let Some(process) = &mut self.nodes[at].process else { return };
        let Some(leader) = &mut process.leader else { return };
        let (Some(engine), Some(later)) = (&leader.engine, &mut leader.later) else { return };
        let (handed, may) = (engine.marks().handed, engine.may_hand_over());
        let had = std::mem::replace(&mut later.may_hand_over, may);
        if had != may {
            todos.push_back(Todo::Later(DelayedInput::Link(may)));
        } else if std::mem::replace(&mut later.handed, handed) != handed {
            todos.push_back(Todo::Later(DelayedInput::Tick));
        }
    }

    pub(super) fn step_later(&mut self, at: usize, input: DelayedInput, todos: &mut Todos) {
        let by = (at, self.nodes[at].life);
        let forgets = self.fault == Some(ClusterFault::ForgetWhatMayHaveBeenSent);
        let Some(process) = &mut self.nodes[at].process else { return };
        let Some(leader) = &mut process.leader else { return };
        let (Some(engine), Some(later)) = (&mut leader.engine, &mut leader.later) else { return };
        let way = Way { by, term: leader.term };
        let marks = engine.marks();
        let marks = if forgets { Marks { reached: Timestamp::EPOCH, ..marks } } else { marks };
        let actions = later.sending.step(marks, engine.rate_ceilings_mut(), input);
        engine.created_delayed(later.sending.created());
        let mut questions = Vec::new();
        for action in actions {
            match action {
                DelayedAction::Write { ticket, batch } => {
                    let job = process.job(Job::Later(ticket, batch));
                    todos.push_back(Todo::Member(LeaseInput::Write { job }));
                    if self.fault == Some(ClusterFault::AnswerBeforeItIsDurable) {
                        todos.push_back(Todo::Later(DelayedInput::Written(ticket)));
                    }
                }
                DelayedAction::Decided(answers) => self.later_clients.answer(answers),
                DelayedAction::TooMany(command) | DelayedAction::NotFound(command) => {
                    self.later_clients.refuse(command);
                }
                DelayedAction::Unparked(..) => {}
                DelayedAction::Reserve(send) => todos.push_back(Todo::Engine(Input::Reserve(send))),
                DelayedAction::Publish(events) => {
                    let Some(leader) = &mut process.leader else { return };
                    let (Some(engine), Some(later)) = (&mut leader.engine, &mut leader.later) else { return };
                    for (token, event) in &events {
                        engine.hands_over_delayed(event.key.send);
                        later.unanswered.insert(*token, marks.now);
                    }
                    questions.push(DelayedAction::Publish(events));
                }
                other => questions.push(other),
            }
        }
        for question in questions {
            let takes = 1 + self.random.below(6);
            self.after(takes, Event::Asks { way, question: Box::new(question) });
        }
        self.go_on_draining(at, todos);
    }

    /// A question reaches the database, or is asked again.
    pub(super) fn asks(&mut self, way: Way, question: DelayedAction) {
        let node = &self.nodes[way.by.0];
        if node.life != way.by.1 {
            return;
        }
        if node.database_silent_until > self.now || self.database.down_until > self.now {
            return self.after(50, Event::Asks { way, question: Box::new(question) });
        }
        let reader = self.database.later();
        match read(&*reader, question) {
            Ok(Some(read)) => {
                let takes = 1 + self.random.below(6);
                self.after(takes, Event::Answers { way, read: Box::new(read) });
            }
            Ok(None) => {}
            Err(error) => self.watch.fail(error.to_string()),
        }
    }

    pub(super) fn answers(&mut self, way: Way, read: Read) {
        let (at, _) = way.by;
        if self.nodes[at].leads() != Some(way.term) {
            return;
        }
        match read {
            Read::Told(input) => self.tell(at, Todo::Later(input)),
            Read::Contents(events) => self.give_later(way, events),
        }
    }

    /// What was handed over is given to the broker's connection.
    fn give_later(&mut self, way: Way, events: Vec<(u64, Option<DelayedEvent>)>) {
        let (at, _) = way.by;
        let trusts =
            self.nodes[at].trusts(self.now) || self.fault == Some(ClusterFault::SendAfterTheDeadline);
        let mut lost = Vec::new();
        for (token, event) in events {
            let Some(process) = &self.nodes[at].process else { return };
            let Some(later) = process.leader.as_ref().and_then(|leader| leader.later.as_ref()) else {
                return;
            };
            if !later.unanswered.contains_key(&token) {
                continue;
            }
            match (process.link.filter(|_| trusts), event) {
                (Some(link), Some(event)) => {
                    self.handed_over(way.by, way.term, (event.head.key.send, &event.head.key.name));
                    let takes = self.frame_takes();
                    self.after(takes, Event::LaterFrame { way, link, token, event: Box::new(event) });
                }
                // A leader of which nobody has heard yet that it is one no more: it has been changed since.
                (Some(_), None) | (None, _) => lost.push(token),
            }
        }
        self.settle_later(at, lost, &Answer::Lost);
    }

    pub(super) fn later_frame(&mut self, way: Way, link: u64, token: u64, event: &DelayedEvent) {
        if !self.broker_is_up || self.nodes[way.by.0].broker_silent_until > self.now {
            return;
        }
        if !self.has_lost() {
            self.later_clients.arrived(event, self.watch.highest);
        }
        let takes = 1 + self.random.below(10);
        self.after(takes, Event::LaterConfirmed { way, link, token });
    }

    pub(super) fn later_confirmed(&mut self, way: Way, link: u64, token: u64) {
        let (at, _) = way.by;
        let Some(process) = &self.nodes[at].process else { return };
        if process.link != Some(link) || self.nodes[at].broker_silent_until > self.now {
            return;
        }
        self.tell(at, Todo::Member(LeaseInput::Confirmed));
        if self.nodes[at].leads() == Some(way.term) {
            self.settle_later(at, vec![token], &Answer::Confirmed { returned: false });
        }
    }

    /// The connection has ended, or the time is over: nobody knows of what is unanswered.
    pub(super) fn lose_later(&mut self, at: usize) {
        let Some(process) = &mut self.nodes[at].process else { return };
        let Some(later) = process.leader.as_mut().and_then(|leader| leader.later.as_mut()) else { return };
        let lost = later.lost();
        self.tell(at, Todo::Later(DelayedInput::Settled(lost)));
    }

    fn settle_later(&mut self, at: usize, tokens: Vec<u64>, answer: &Answer) {
        let Some(process) = &mut self.nodes[at].process else { return };
        let Some(later) = process.leader.as_mut().and_then(|leader| leader.later.as_mut()) else { return };
        let answers = tokens
            .into_iter()
            .filter_map(|token| Some(answered((token, later.unanswered.remove(&token)?), answer.clone())));
        let answers: Vec<_> = answers.collect();
        if !answers.is_empty() {
            self.tell(at, Todo::Later(DelayedInput::Settled(answers)));
        }
    }

    /// A client wants something of the leader's delayed events.
    pub(super) fn ask_later(&mut self, at: usize) {
        let by = (at, self.nodes[at].life);
        let request = self.later_clients.request(id_of(by), self.now);
        self.tell(at, Todo::Later(DelayedInput::Change(Box::new(request))));
    }
}

fn read(reader: &dyn DelayedReader, question: DelayedAction) -> Result<Option<Read>, StoreError> {
    let input = match question {
        DelayedAction::Find { ticket, names, messages } => {
            let (found, answered) = (reader.find(&names)?, reader.answers(&messages)?);
            DelayedInput::Found { ticket, found, answered }
        }
        DelayedAction::Load { ticket, range, after, most } => {
            DelayedInput::Due { ticket, events: reader.due(range, after.as_ref(), most)? }
        }
        DelayedAction::FindParked { ticket, creations } => {
            let find = |creation| Ok(reader.parked_as(creation)?.as_ref().map(ParkedHead::from));
            let found = creations.into_iter().map(find).collect::<Result<_, StoreError>>()?;
            DelayedInput::FoundParked { ticket, found }
        }
        DelayedAction::LoadParked { ticket, after, most } => {
            let heads = reader.parked(after, most)?.iter().map(ParkedHead::from).collect();
            DelayedInput::Parked { ticket, heads }
        }
        DelayedAction::Publish(events) => {
            let keys: Vec<_> = events.iter().map(|(_, event)| event.key.clone()).collect();
            let tokens = events.iter().map(|(token, _)| *token);
            return Ok(Some(Read::Contents(tokens.zip(reader.events(&keys)?).collect())));
        }
        _ => return Ok(None),
    };
    Ok(Some(Read::Told(input)))
}

//! What was looked up is decided some changes at a time, so that no step takes long because somebody asks for ten thousand at once.
//!
//! First all of a request is judged, by the marks as they stood when what was looked up came; then all of it is carried out, or, if
//! it is all or nothing and something of it is refused, nothing. Meanwhile nothing is handed over that was not reached then, so
//! nothing that is judged to be changed goes out before it is; and nothing is written, so what is decided of a request goes down at once.

use super::{
    Sending,
    decide::{self, Decided, Judged},
    faults::{Fault, planted},
    io::{DelayedChange, DelayedRequest, Marks},
    logged::logged,
};
use crate::{
    Answered, Ceilings, Verdict,
    delayed::{DelayedEvent, DelayedStep, DueEvent, Found},
};
use ponos_event::Timestamp;
use std::{collections::VecDeque, vec};

/// Changes that are judged, or carried out, in one step: a millisecond or two. Few in tests, so that much comes in between.
const PORTION: usize = if cfg!(test) { 3 } else { 1_000 };

#[derive(Debug)]
pub(super) struct Deciding {
    /// As they stood at the beginning.
    marks: Marks,
    /// Not begun yet.
    left: VecDeque<LookedUp>,
    /// Which one is under way.
    under_way: Option<UnderWay>,
}

/// A request, and what is known of what it is about.
#[derive(Debug)]
struct LookedUp {
    request: DelayedRequest,
    found: Vec<Found>,
    before: Option<Answered>,
}

#[derive(Debug)]
enum UnderWay {
    Judging { request: Box<DelayedRequest>, found: vec::IntoIter<Found>, judged: Judged },
    CarryingOut { rest: vec::IntoIter<(Decided, DelayedChange)>, command: u64, verdicts: Vec<Verdict> },
}

impl Deciding {
    /// Nothing above is handed over until all is decided.
    pub(super) fn until(&self) -> Timestamp {
        self.marks.least_reached()
    }
}

impl Sending {
    /// What the next requests are about was looked up. What was decided since the store was asked is known here.
    pub(super) fn found(
        &mut self,
        marks: Marks,
        ticket: u64,
        found: Vec<Found>,
        answered: Vec<Option<Answered>>,
    ) {
        let Some((_, count)) = self.looking.take_if(|(looking, _)| *looking == ticket) else { return };
        self.alone = self.alone.saturating_sub(count);
        let (mut found, mut answered) = (found.into_iter(), answered.into_iter());
        let count = count.min(self.waiting.len());
        let left = self.waiting.drain(..count).map(|request| {
            let found = found.by_ref().take(request.changes.len()).collect();
            let before = request.message_key().and_then(|_| answered.next().flatten());
            LookedUp { request, found, before }
        });
        self.deciding = Some(Deciding { marks, left: left.collect(), under_way: None });
    }

    /// Goes on deciding; before the end, all at once.
    pub(super) fn decide(&mut self) {
        let mut room = PORTION;
        while let Some(mut deciding) = self.deciding.take() {
            if room == 0 && !self.draining {
                self.deciding = Some(deciding);
                return;
            }
            let under_way = deciding.under_way.take();
            let next =
                under_way.or_else(|| deciding.left.pop_front().and_then(|next| self.begin(next, &mut room)));
            deciding.under_way = next.and_then(|next| self.go_on(deciding.marks, next, &mut room));
            match deciding.under_way.is_none() && deciding.left.is_empty() {
                true => self.overlay.asked(),
                false => self.deciding = Some(deciding),
            }
        }
    }

    /// A message that was answered before is answered so again.
    fn begin(&mut self, next: LookedUp, room: &mut usize) -> Option<UnderWay> {
        *room = room.saturating_sub(1);
        let LookedUp { request, found, before } = next;
        let before = request.message_key().and_then(|key| self.overlay.answer(&key).cloned()).or(before);
        if let (Some(before), Some(message)) = (before, &request.message) {
            let verdicts = decide::again(&before, message, request.changes.len());
            self.changes.remove(&request.by.owner, request.changes.len());
            self.next.decided.push((request.command, verdicts));
            return None;
        }
        let judged = Judged::of(request.changes.len());
        Some(UnderWay::Judging { request: Box::new(request), found: found.into_iter(), judged })
    }

    /// The part of it for which this step has no more room.
    fn go_on(&mut self, marks: Marks, under_way: UnderWay, room: &mut usize) -> Option<UnderWay> {
        match under_way {
            UnderWay::Judging { request, mut found, mut judged } => {
                while let Some(change) = request.changes.get(judged.count()) {
                    if *room == 0 && !self.draining {
                        return Some(UnderWay::Judging { request, found, judged });
                    }
                    *room = room.saturating_sub(1);
                    let known = found.next().unwrap_or(Found::Nothing);
                    judged.judge(marks, &request, change, known, &self.overlay, &mut self.created);
                }
                Some(self.judged(marks, *request, judged))
            }
            UnderWay::CarryingOut { mut rest, command, verdicts } => {
                while rest.len() > 0 {
                    if *room == 0 && !self.draining {
                        return Some(UnderWay::CarryingOut { rest, command, verdicts });
                    }
                    *room = room.saturating_sub(1);
                    rest.next().into_iter().for_each(|(decided, change)| self.carry_out(decided, change));
                }
                self.next.decided.push((command, verdicts));
                None
            }
        }
    }

    /// All of it is judged: so it is to be carried out, and will be answered.
    fn judged(&mut self, marks: Marks, request: DelayedRequest, judged: Judged) -> UnderWay {
        let decided = judged.end(request.atomic);
        let verdicts: Vec<Verdict> = decided.iter().map(|one| one.verdict.clone()).collect();
        self.next.batch.changes.extend(logged(marks.now, &request, &decided));
        let (command, key) = (request.command, request.message_key());
        self.changes.remove(&request.by.owner, request.changes.len());
        if let (Some(key), Some(message)) = (key, request.message) {
            self.answers += 1;
            let (digest, number) = (message.digest, self.answers);
            let answered = Answered { digest, verdicts: verdicts.clone(), at: marks.now, number };
            self.overlay.answered(key.clone(), answered.clone());
            self.next.batch.messages.push((key, answered));
        }
        let rest: Vec<_> = decided.into_iter().zip(request.changes).collect();
        UnderWay::CarryingOut { rest: rest.into_iter(), command, verdicts }
    }

    fn carry_out(&mut self, decided: Decided, change: DelayedChange) {
        if !decided.verdict.is_change() {
            return;
        }
        if let Some(key) = &decided.before {
            if !planted(Fault::HandOverWhatIsBeingChanged) {
                self.window.remove(key);
            }
            self.window.gone(key.clone());
            self.next.put.remove(key);
            if let Some((_, writing)) = &mut self.writing {
                writing.put.remove(key);
            }
        }
        match (change, decided.head) {
            (DelayedChange::Put { event, .. }, Some(head)) => {
                self.overlay.say(head.key.name.clone(), Found::Pending(Box::new(head.clone())));
                let due = DueEvent::from(&head);
                if planted(Fault::HandOverBeforeDurable) {
                    self.window.put(due.clone(), &self.rules, &Ceilings::default());
                }
                self.next.put.insert(due.key.clone(), due);
                let event = DelayedEvent { head, content: event.content };
                self.next.batch.steps.push(DelayedStep::Put(Box::new(event)));
            }
            (change, _) => {
                let name = change.name().clone();
                self.overlay.say(name.clone(), Found::Nothing);
                self.next.batch.steps.push(DelayedStep::Cancel(name));
            }
        }
    }
}

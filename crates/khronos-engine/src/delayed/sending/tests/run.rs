//! A run in which the store and the broker do at once what they are asked for, and time goes from wish to wish.

use super::*;
use crate::{
    Answer, Refusal,
    delayed::{
        DelayedContent, DelayedEvent, DelayedHead, DelayedLimits, DelayedMemory, DelayedStep, DelayedStore,
        MemoryDelayed,
    },
};
use khronos_schedule::Unrouted;
use std::sync::Arc;

pub(super) const START: Timestamp = Timestamp::from_millis(1_764_547_200_000);

pub(super) struct Run {
    store: MemoryDelayed,
    pub(super) sending: Sending,
    pub(super) marks: Marks,
    pub(super) ceilings: Ceilings,
    /// Milliseconds since the boot.
    boot: i64,
    /// Schedules wait for each ceiling all the time, and have gone out so often.
    pub(super) schedules: Option<usize>,
    /// When, in milliseconds since the start, and what was handed over.
    pub(super) sent: Vec<(i64, Arc<str>)>,
    pub(super) verdicts: Vec<(u64, Vec<Verdict>)>,
    pub(super) refused: Vec<u64>,
    /// Steps that were made, and what is looked at after each.
    pub(super) steps: usize,
    pub(super) look: fn(&Sending),
}

impl Run {
    pub(super) fn new(rules: DelayedRules, ceilings: Ceilings) -> Self {
        let mut store = DelayedMemory::default().open("khronos", DelayedLimits::default()).unwrap();
        let sending = Sending::new(rules, &store.load().unwrap());
        let marks = Marks { now: START, handed: START, reached: START, created: 0, since: None };
        let mut this = Self {
            store,
            sending,
            marks,
            ceilings,
            boot: 5_000,
            schedules: None,
            sent: Vec::new(),
            verdicts: Vec::new(),
            refused: Vec::new(),
            steps: 0,
            look: |_| (),
        };
        this.step(DelayedInput::Link(true));
        this
    }

    /// These are in the store from the beginning.
    pub(super) fn kept(rules: DelayedRules, ceilings: Ceilings, events: Vec<DelayedEvent>) -> Self {
        let mut this = Self::new(rules, ceilings);
        let steps = events.into_iter().map(|event| DelayedStep::Put(Box::new(event))).collect();
        this.store.write(0, &DelayedBatch { steps, ..DelayedBatch::default() }).unwrap();
        this.sending = Sending::new(rules, &this.store.load().unwrap());
        this.step(DelayedInput::Link(true));
        this
    }

    pub(super) fn millis(&self) -> i64 {
        self.marks.now.since(START)
    }

    /// All that follows from it, at this moment.
    pub(super) fn step(&mut self, input: DelayedInput) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.steps += 1;
            self.ceilings.see(self.boot);
            self.let_schedules_go();
            let actions = self.sending.step(self.marks, &mut self.ceilings, input);
            (self.look)(&self.sending);
            for action in actions {
                inputs.extend(self.perform(action));
            }
            if inputs.is_empty() && self.wish().is_some_and(|at| at <= self.marks.now) {
                inputs.push_back(DelayedInput::Tick);
            }
        }
    }

    fn let_schedules_go(&mut self) {
        let Some(gone) = &mut self.schedules else { return };
        for id in self.ceilings.ids() {
            self.ceilings.schedules_wait(id, true);
            while self.ceilings.may(id) {
                self.ceilings.take(id);
                *gone += 1;
            }
        }
    }

    fn perform(&mut self, action: DelayedAction) -> Option<DelayedInput> {
        let reader = self.store.reader();
        match action {
            DelayedAction::Find { ticket, names, messages } => {
                let (found, answered) = (reader.find(&names).unwrap(), reader.answers(&messages).unwrap());
                Some(DelayedInput::Found { ticket, found, answered })
            }
            DelayedAction::Load { ticket, range, after, most } => {
                let events = reader.due(range, after.as_ref(), most).unwrap();
                Some(DelayedInput::Due { ticket, events })
            }
            DelayedAction::Write { ticket, batch } => {
                self.store.write(0, &batch).unwrap();
                Some(DelayedInput::Written(ticket))
            }
            DelayedAction::Reserve(send) => {
                self.marks.handed = self.marks.handed.max(send);
                self.marks.reached = self.marks.reached.max(send);
                Some(DelayedInput::Tick)
            }
            DelayedAction::Publish(events) => {
                let sent_at = self.marks.now;
                let millis = self.millis();
                self.sent.extend(events.iter().map(|(_, event)| (millis, event.key.name.clone())));
                let answers = events.into_iter().map(|(token, _)| {
                    let answer = Answer::Confirmed { returned: false };
                    DelayedAnswer { token, answer, sent_at, unrouted: Unrouted::Ignore }
                });
                Some(DelayedInput::Settled(answers.collect()))
            }
            DelayedAction::Decided(verdicts) => {
                self.verdicts.extend(verdicts);
                None
            }
            DelayedAction::TooMany(command) | DelayedAction::NotFound(command) => {
                self.refused.push(command);
                None
            }
            DelayedAction::FindParked { .. }
            | DelayedAction::LoadParked { .. }
            | DelayedAction::Unparked(..) => None,
        }
    }

    fn wish(&self) -> Option<Timestamp> {
        self.sending.next_wakeup(self.marks, &self.ceilings)
    }

    /// So many milliseconds go by.
    pub(super) fn pass(&mut self, millis: i64) {
        let end = self.marks.now.plus(millis);
        while self.marks.now < end {
            let next = self.wish().map_or(end, |at| at.min(end)).max(self.marks.now.plus(1));
            self.boot += next.since(self.marks.now);
            self.marks.now = next;
            self.step(DelayedInput::Tick);
        }
    }

    /// What becomes of one change.
    pub(super) fn change(&mut self, change: DelayedChange) -> Verdict {
        let command = 1_000 + self.steps as u64;
        let by = Author::admin("billing", "a test");
        let request = DelayedRequest { command, by, message: None, atomic: false, changes: vec![change] };
        self.step(DelayedInput::Change(Box::new(request)));
        let (of, verdicts) = self.verdicts.pop().expect("it is decided");
        assert_eq!((of, verdicts.len()), (command, 1));
        verdicts.into_iter().next().unwrap()
    }
}

/// So many milliseconds after the start.
pub(super) fn event(name: &str, event: &str, after: i64) -> DelayedEvent {
    let send = START.plus(after);
    let head = DelayedHead {
        key: DelayedKey { send, name: name.into() },
        due: send,
        creation: 0,
        revision: 0,
        owner: "billing".into(),
        event: event.into(),
        queue: None,
        is_named: true,
        refused: 0,
        at: START,
        digest: [7; 16],
    };
    DelayedEvent { head, content: DelayedContent::default() }
}

pub(super) fn delete(name: &str) -> DelayedChange {
    DelayedChange::Delete { name: name.into(), expect: Expect::Any }
}

pub(super) fn may_have_been_sent(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Refused(Refusal::MayHaveBeenSent { .. }))
}

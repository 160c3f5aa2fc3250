//! What clients and persons ask for of delayed events, and what they are answered.

use super::{
    super::{
        ClockLoop, Decided, DecidedAnswer, DelayedAsked, Input, UnparkAsked,
        handle::{ChangesAnswer, NotDecided},
    },
    Delayed,
};
use crate::{
    delayed::{DelayedInput, DelayedRequest, UnparkRequest, Unparked},
    engine::Verdict,
};
use tokio::sync::oneshot;

/// Who waits for an answer.
pub(super) enum Waiting {
    Changes(oneshot::Sender<ChangesAnswer>),
    Unparking(oneshot::Sender<DecidedAnswer>),
}

impl Waiting {
    fn refuse(self, why: NotDecided) {
        match self {
            Self::Changes(reply) => drop(reply.send(Err(why))),
            Self::Unparking(reply) => drop(reply.send(Err(why))),
        }
    }
}

impl Delayed {
    pub(super) fn fail_requests(&mut self, why: &str) {
        let what = format!(
            "whether it is done is not known before the store of delayed events can be written again, for that fails: {why}; ask again then, what was done is not done twice"
        );
        for (_, waiting) in self.requests.drain() {
            waiting.refuse(NotDecided::Unknown(what.clone()));
        }
    }

    /// Answers whoever asked. Who was told that it is not known asks again.
    pub(super) fn decided(&mut self, command: u64, verdicts: Vec<Verdict>) {
        if let Some(Waiting::Changes(reply)) = self.requests.remove(&command) {
            drop(reply.send(Ok(verdicts)));
        }
    }

    pub(super) fn unparked(&mut self, command: u64, Unparked { done, being_sent }: Unparked) {
        if let Some(Waiting::Unparking(reply)) = self.requests.remove(&command) {
            drop(reply.send(Ok(Decided { done, being_sent })));
        }
    }

    pub(super) fn too_many(&mut self, command: u64) {
        let Some(waiting) = self.requests.remove(&command) else { return };
        let what = match &waiting {
            Waiting::Changes(_) => {
                "nothing changed: too many other changes of delayed events wait, or too many of yours alone"
            }
            Waiting::Unparking(_) => {
                "nothing changed: too many other parked delayed events are being sent, or wait to be looked up"
            }
        };
        waiting.refuse(NotDecided::TooMany(what.into()));
    }

    pub(super) fn not_found(&mut self, command: u64) {
        let Some(waiting) = self.requests.remove(&command) else { return };
        let of = match &waiting {
            Waiting::Changes(_) => "what is there of a name that is asked for",
            Waiting::Unparking(_) => "one of these parked events",
        };
        let what = format!(
            "nothing changed: {of} can't be read, for the store of delayed events is damaged in that place; its log says how to mend it"
        );
        waiting.refuse(NotDecided::Unavailable(what));
    }
}

impl ClockLoop {
    pub(in super::super) fn change_delayed(
        &mut self,
        asked: DelayedAsked,
        reply: oneshot::Sender<ChangesAnswer>,
    ) {
        let DelayedAsked { by, message, atomic, changes } = asked;
        self.ask_delayed(Waiting::Changes(reply), |command| {
            DelayedInput::Change(Box::new(DelayedRequest { command, by, message, atomic, changes }))
        });
    }

    pub(in super::super) fn unpark_delayed(
        &mut self,
        asked: UnparkAsked,
        reply: oneshot::Sender<DecidedAnswer>,
    ) {
        let UnparkAsked { by, what, creations } = asked;
        self.ask_delayed(Waiting::Unparking(reply), |command| {
            DelayedInput::Unpark(Box::new(UnparkRequest { command, by, what, creations }))
        });
    }

    fn ask_delayed(&mut self, waiting: Waiting, input: impl FnOnce(u64) -> DelayedInput) {
        // How the clock is may have changed since the last step.
        self.step(Input::Tick);
        let why = match &self.delayed {
            None => Some("delayed events are not kept here".to_owned()),
            Some(delayed) => delayed.failing.as_ref().map(|why| {
                format!("nothing changed, for the store of delayed events can't be written: {why}")
            }),
        };
        if let Some(why) = why.or_else(|| self.why_nothing_changes()) {
            return waiting.refuse(NotDecided::Unavailable(why));
        }
        let command = self.next_command();
        if let Some(delayed) = &mut self.delayed {
            delayed.requests.insert(command, waiting);
        }
        self.step_delayed(input(command));
    }
}

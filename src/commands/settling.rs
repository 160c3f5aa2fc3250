//! Answers commands and settles them, in one of two orders. What was done is answered and then settled: lost in between, it is
//! answered once more. A change that is refused *for now* (429, and what the clock can't do at present) is settled, and answered
//! once the broker is known to have that: what came again would be done, though who asked was told that it is not.
//!
//! Invariant: what was answered stays true.

use super::{
    answer::Answer,
    command::CommandKind,
    door::DoorLoop,
    outbox::{Note, Told},
    outcome::{dead_letter, reply},
    report,
};
use crate::{clock, problem::Problem};
use futures_util::FutureExt;
use ponos::{
    broker::{DeliveryTag, Publishing, Settle},
    event::Message,
};
use std::sync::Arc;
use tokio::time::Instant;
use tracing::{debug, warn};

/// A command that is taken and not settled, or not answered.
#[derive(Debug)]
pub(super) struct Open {
    tag: DeliveryTag,
    pub(super) message: Message,
    kind: Option<CommandKind>,
    /// Whose it is, where he is known.
    pub(super) owner: Option<Arc<str>>,
    /// Messages that follow from it and are not confirmed.
    left: u8,
    how: Settle,
    is_settled: bool,
    /// Its answer, which waits until the broker is known to have that it is settled.
    answer: Option<Publishing>,
    /// The broker gave it before, or may have.
    came_before: bool,
}

impl Open {
    pub(super) fn new(
        tag: DeliveryTag,
        (message, kind, owner): (Message, Option<CommandKind>, Option<Arc<str>>),
        came_before: bool,
    ) -> Self {
        let (left, how, is_settled, answer) = (0, Settle::Ack, false, None);
        Self { tag, message, kind, owner, left, how, is_settled, answer, came_before }
    }

    /// Whether it is to change something.
    pub(super) fn changes(&self) -> bool {
        self.kind.is_some_and(CommandKind::changes)
    }
}

impl DoorLoop {
    /// Sends the answer to whom it may concern, and the message to the dead letters if it can't be a command.
    pub(super) async fn answer(&mut self, number: u64, answer: Answer, problem: Option<Problem>) {
        let Some(mut open) = self.open.remove(&number) else { return };
        self.counts.answered(open.kind.map(CommandKind::word), report::result(&answer, problem.as_ref()));
        report::log(&open.message, open.kind, answer.status(), problem.as_ref());
        let id = format!("reply-{}-{number}", self.begun_at);
        let reply = reply(&open.message, &answer, &self.replies, id);
        let message = std::mem::take(&mut open.message);
        if let Some(owner) = open.owner.clone()
            && open.changes()
            && problem.as_ref().is_some_and(Problem::is_for_now)
        {
            open.answer = reply;
            self.settle(&mut open).await;
            self.open.insert(number, open);
            self.turns.doubt(number, owner);
            self.settled.push(number);
            return;
        }
        if let Some(reply) = reply {
            self.send(number, &mut open, reply);
        }
        if let Some(problem) = problem.as_ref().filter(|problem| problem.is_of_the_request()) {
            let letter = dead_letter(message, &self.queue, problem, clock::now());
            self.outbox.send(Note { command: number, is_letter: true }, letter);
            open.left += 1;
        }
        self.settle_if_done(number, open).await;
    }

    /// Asks the broker whether it has what was settled before its answer. No limit: without an answer the connection is lost.
    pub(super) fn ask_what_is_settled(&mut self) {
        if self.asking.is_none() && !self.settled.is_empty() {
            let (numbers, arrivals) = (std::mem::take(&mut self.settled), self.consumer.arrivals());
            self.asking = Some(async move { (numbers, arrivals.of_settlements().await) }.boxed());
        }
    }

    /// What is settled for certain is answered; of the others nobody is told anything, and they come again, or don't.
    pub(super) async fn on_settled(&mut self, numbers: Vec<u64>, of: Option<u64>) {
        for number in numbers {
            self.turns.certain(number);
            let Some(mut open) = self.open.remove(&number) else { continue };
            let generation = open.tag.generation;
            let answer = open.answer.take();
            if of != Some(generation) {
                // Nothing that came after it may be done before it.
                self.void = self.void.max(generation);
                self.counts.reply_dropped();
                debug!("an answer was dropped: the connection was lost, and the command may come again");
            } else if let Some(answer) = answer {
                self.send(number, &mut open, answer);
            }
            self.settle_if_done(number, open).await;
        }
    }

    pub(super) async fn on_told(&mut self, told: Vec<Told>) {
        for Told { note: Note { command, is_letter }, failure } in told {
            let Some(mut open) = self.open.remove(&command) else { continue };
            open.left = open.left.saturating_sub(1);
            match failure {
                Some(why) if is_letter => {
                    warn!(
                        "a dead letter could not be published ({why}); the broker moves the message itself"
                    );
                    open.how = Settle::Dead;
                }
                Some(why) => {
                    self.counts.reply_dropped();
                    debug!("an answer was dropped: {why}");
                }
                None => {}
            }
            self.settle_if_done(command, open).await;
        }
    }

    /// Sends an answer, unless it is of no use: so many of its owner are not confirmed.
    fn send(&mut self, number: u64, open: &mut Open, reply: Publishing) {
        let now = Instant::now();
        if self.unconfirmed.is_unheard(&open.owner, now) {
            self.counts.reply_dropped();
            debug!("an answer was dropped: the broker confirms none of so many of its owner");
            return;
        }
        self.outbox.send(Note { command: number, is_letter: false }, reply);
        self.unconfirmed.sent(number, open.owner.clone(), now);
        open.left += 1;
    }

    async fn settle_if_done(&mut self, number: u64, mut open: Open) {
        match open.left {
            0 => {
                self.turns.closed(number);
                self.unconfirmed.heard(number);
                self.settle(&mut open).await;
            }
            _ => drop(self.open.insert(number, open)),
        }
    }

    pub(super) async fn settle(&mut self, open: &mut Open) {
        if std::mem::replace(&mut open.is_settled, true) {
            return;
        }
        // Gone with its task: it comes again, which the loop notices by itself.
        let _ = self.consumer.settle(open.tag, open.how).await;
        if !open.came_before {
            // After a crash one is taken at a time, so that what caused it harms no other.
            self.consumer.widen();
        }
    }
}

//! Events that are triggered: the answer is given once that is durable.

use super::{
    ClockLoop,
    commands::by,
    handle::{TriggerAnswer, Unchanged},
};
use crate::engine::{Asker, Input, Triggered};
use ponos::event::CommandId;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::oneshot;

/// Those who wait, by the number of their command.
#[derive(Debug, Default)]
pub(super) struct TriggerPromises(BTreeMap<u64, oneshot::Sender<TriggerAnswer>>);

impl TriggerPromises {
    /// The disk fails: nobody waits for it.
    pub(super) fn fail(&mut self, why: &str) {
        for (_, reply) in std::mem::take(&mut self.0) {
            let what = format!(
                "the store can't be written, and it is sent once it can, unless the clock is started again before: ask again with the same key: {why}"
            );
            drop(reply.send(Err(Unchanged::Unknown(what))));
        }
    }

    pub(super) fn refuse(&mut self, command: u64, why: Unchanged) {
        if let Some(reply) = self.0.remove(&command) {
            drop(reply.send(Err(why)));
        }
    }

    pub(super) fn keep(&mut self, answers: Vec<(u64, Triggered)>) {
        for (command, triggered) in answers {
            self.keep_one(command, triggered);
        }
    }

    pub(super) fn keep_one(&mut self, command: u64, triggered: Triggered) {
        if let Some(reply) = self.0.remove(&command) {
            drop(reply.send(Ok(triggered)));
        }
    }
}

impl ClockLoop {
    /// What nobody waits for any more is not triggered.
    pub(super) fn trigger(
        &mut self,
        asker: Option<Box<Asker>>,
        (name, id): (Arc<str>, CommandId),
        reply: oneshot::Sender<TriggerAnswer>,
    ) {
        if reply.is_closed() {
            return;
        }
        // How the clock is may have changed since the last step.
        self.step(Input::Tick);
        if let Some(why) = self.why_nothing_changes() {
            return drop(reply.send(Err(Unchanged::Unavailable(why))));
        }
        let command = self.next_command();
        self.writes.triggers.0.insert(command, reply);
        self.step(by(asker, Input::Trigger { command, name, id }));
    }
}

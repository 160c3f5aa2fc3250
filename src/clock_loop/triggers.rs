//! Events that are triggered: the answer is given once that is durable.

use super::{
    ClockLoop,
    commands::by,
    handle::{TriggerAnswer, TriggerAsked, Unchanged},
};
use crate::{
    engine::{Asker, Input, Triggered},
    schedule::id_name,
};
use ponos::event::{CommandId, EventKind, OccurrenceId, SpanContext};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::oneshot;

/// Those who wait, by the number of their command.
#[derive(Debug, Default)]
pub(super) struct TriggerPromises(BTreeMap<u64, TriggerPromise>);

#[derive(Debug)]
struct TriggerPromise {
    reply: oneshot::Sender<TriggerAnswer>,
    /// Of which event the trace is linked to which.
    traced: Option<(Arc<str>, CommandId, SpanContext)>,
}

impl TriggerPromises {
    /// The disk fails: nobody waits for it.
    pub(super) fn fail(&mut self, why: &str) {
        for (_, TriggerPromise { reply, .. }) in std::mem::take(&mut self.0) {
            let what = format!(
                "the store can't be written, and it is sent once it can, unless the clock is started again before: ask again with the same key: {why}"
            );
            drop(reply.send(Err(Unchanged::Unknown(what))));
        }
    }

    pub(super) fn refuse(&mut self, command: u64, why: Unchanged) {
        if let Some(TriggerPromise { reply, .. }) = self.0.remove(&command) {
            drop(reply.send(Err(why)));
        }
    }

    pub(super) fn keep_one(&mut self, command: u64, triggered: Triggered) {
        if let Some(TriggerPromise { reply, .. }) = self.0.remove(&command) {
            drop(reply.send(Ok(triggered)));
        }
    }
}

impl ClockLoop {
    /// What nobody waits for any more is not triggered.
    pub(super) fn trigger(
        &mut self,
        asker: Option<Box<Asker>>,
        (name, TriggerAsked { id, trace }): (Arc<str>, TriggerAsked),
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
        let traced = trace.map(|trace| (name.clone(), id.clone(), trace));
        self.writes.triggers.0.insert(command, TriggerPromise { reply, traced });
        self.step(by(asker, Input::Trigger { command, name, id }));
    }

    /// These are durable, and are handed over from here on: in traces of their own, which are linked to those of who asked.
    pub(super) fn keep_triggered(&mut self, answers: Vec<(u64, Triggered)>) {
        for (command, triggered) in answers {
            let promise = self.writes.triggers.0.get_mut(&command);
            if let Some((name, id, trace)) = promise.and_then(|promise| promise.traced.take()) {
                let (schedule, kind) = (id_name(&name, triggered.creation), EventKind::Trigger(id));
                let (clock, due) = (&*self.clock, triggered.due);
                let event = OccurrenceId { clock, schedule: &schedule, due, kind: &kind }.id();
                self.spans.link(event.as_str(), trace);
            }
            self.writes.triggers.keep_one(command, triggered);
        }
    }
}

//! Operations that begin and end: the answer is given once that is durable.

use super::{
    ClockLoop,
    commands::by,
    handle::{OperationAnswer, OperationStatus, PAGE, Unchanged},
};
use crate::engine::{Asker, Declined, Engine, Input, Operation};
use ponos::event::CommandId;
use std::collections::BTreeMap;
use tokio::sync::oneshot;

/// Those who wait, by the number of their command, and for which operation.
#[derive(Debug, Default)]
pub(super) struct OperationPromises(BTreeMap<u64, (CommandId, oneshot::Sender<OperationAnswer>)>);

impl OperationPromises {
    /// The disk fails: nobody waits for it.
    pub(super) fn fail(&mut self, why: &str) {
        for (_, (_, reply)) in std::mem::take(&mut self.0) {
            let what = format!("the store can't be written, and a restart may forget it: {why}");
            drop(reply.send(Err(Unchanged::Unknown(what))));
        }
    }

    pub(super) fn refuse(&mut self, command: u64, why: Unchanged) {
        if let Some((_, reply)) = self.0.remove(&command) {
            drop(reply.send(Err(why)));
        }
    }

    /// It is durable.
    pub(super) fn keep(&mut self, command: u64, engine: &Engine) {
        if let Some((id, reply)) = self.0.remove(&command) {
            let gone = || Unchanged::Unavailable(format!("there is no operation '{id}'"));
            drop(reply.send(status(engine, &id).ok_or_else(gone)));
        }
    }
}

impl ClockLoop {
    /// `input`: with the number of the command. What nobody waits for any more is neither begun nor ended.
    pub(super) fn operate(
        &mut self,
        asker: Option<Box<Asker>>,
        (id, input): (CommandId, impl FnOnce(u64) -> Input),
        reply: oneshot::Sender<OperationAnswer>,
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
        self.writes.operations.0.insert(command, (id, reply));
        self.step(by(asker, input(command)));
    }

    pub(super) fn operation(&self, id: &CommandId) -> Option<OperationStatus> {
        status(&self.engine, id)
    }

    pub(super) fn operations(&self, after: Option<&CommandId>) -> Vec<OperationStatus> {
        let rest =
            self.engine.operations().map(|(id, _)| id).filter(|id| after.is_none_or(|after| *id > after));
        rest.take(PAGE).filter_map(|id| self.operation(id)).collect()
    }

    /// What these commands ask for is not begun.
    pub(super) fn decline(&mut self, declined: Vec<(u64, Declined)>) {
        for (command, why) in declined {
            self.writes.triggers.refuse(command, (&why).into());
            self.writes.operations.refuse(command, (&why).into());
        }
    }
}

fn status(engine: &Engine, id: &CommandId) -> Option<OperationStatus> {
    let (operation, outstanding) = engine.operation(id)?;
    let left = operation.left();
    let operation = Operation { left: Vec::new(), ..operation.clone() };
    Some(OperationStatus { id: id.clone(), left, outstanding, operation })
}

impl From<&Declined> for Unchanged {
    fn from(why: &Declined) -> Self {
        match why {
            Declined::Changed => Self::Unavailable(
                "nothing is sent: the schedule was changed or removed at the same moment; look at it, and ask again".into(),
            ),
            Declined::Beside { operation, runs: true } => Self::Conflict(format!(
                "nothing is sent: of a schedule one operation runs at a time, and '{operation}' does; wait until it is done, or cancel it"
            )),
            Declined::Beside { operation, runs: false } => Self::Conflict(format!(
                "nothing is sent: the operation '{operation}' of the same schedule began meanwhile; ask again"
            )),
            Declined::TooMany { owner, of_owner, all, ended: false } => Self::TooMany(format!(
                "nothing is sent: {all} operations run, {of_owner} of them of '{owner}'; one more would leave too little for others: wait until one is done, or cancel one"
            )),
            Declined::TooMany { owner, of_owner, all, ended: true } => Self::TooMany(format!(
                "nothing is sent: {all} operations ran within a day, {of_owner} of them of '{owner}'; one more would leave too little for others: what was asked for is known for 24 hours"
            )),
            Declined::Waiting { owner, of_owner } => Self::TooMany(format!(
                "nothing is sent: {of_owner} triggered events of '{owner}' wait to be sent already; look why (khronos status), and ask again later"
            )),
            Declined::TooManyTriggers { owner } => Self::TooMany(format!(
                "nothing is sent: '{owner}' triggered so much within 24 hours that the answer to one more can't be kept; ask again later"
            )),
        }
    }
}

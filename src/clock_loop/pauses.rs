//! Pausing and resuming, everything or some schedules: the answer is given once that is durable.

use super::{
    ClockLoop,
    commands::by,
    handle::{NotDecided, PauseAnswer, PauseChanged, PauseFor, PauseLength, Unchanged},
};
use crate::engine::{
    Asker, ClockState, Engine, Input, Notice, OnResume, Pause, PauseEnd, PauseRequest, Scope,
};
use ponos::event::Timestamp;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::oneshot;

/// Why a pause does not begin.
const TOO_MANY: &str = "it is not settled yet what is skipped of many earlier pauses: the broker was away since, or schedules have been paused by their names since (`khronos list --state paused`)";

/// Those who wait, by the number of their command.
#[derive(Debug, Default)]
pub(super) struct PausePromises(BTreeMap<u64, PausePromise>);

/// Who waits until a pause, or a resume, is durable.
#[derive(Debug)]
struct PausePromise {
    is_resume: bool,
    scope: Scope,
    /// As far as it is known.
    changed: PauseChanged,
    reply: oneshot::Sender<PauseAnswer>,
}

impl PausePromises {
    fn wait(&mut self, command: u64, promise: PausePromise) {
        self.0.insert(command, promise);
    }

    /// The disk fails: nobody waits for it.
    pub(super) fn fail(&mut self, why: &str) {
        for (_, PausePromise { is_resume, reply, .. }) in std::mem::take(&mut self.0) {
            let what = match is_resume {
                true => {
                    "the pause has ended, but the store can't be written: nothing is sent before it can, and after a restart until then it is paused"
                }
                false => "it is in effect, but the store can't be written, and a restart may forget it",
            };
            drop(reply.send(Err(Unchanged::Unknown(format!("{what}: {why}")))));
        }
    }

    /// A pause that ends was maybe not ended by whoever waits: its own end may come first.
    pub(super) fn notice(&mut self, notice: &Notice) {
        let (at, on_resume) = match notice {
            Notice::Resumed { through, how, .. } => (*through, *how),
            _ => return,
        };
        for promise in self.0.values_mut().filter(|promise| promise.scope == Scope::All) {
            promise.changed.ended.get_or_insert(PauseEnd { at, on_resume });
        }
    }

    /// The same of those by name, of which the engine tells now and then only.
    fn note_end(&mut self, command: u64, engine: &Engine) {
        if let Some(promise) = self.0.get_mut(&command)
            && let Some(name) = first(&promise.scope)
        {
            promise.changed.ended = engine.ended_by_name(name);
        }
    }

    /// There is no room for the pauses of these names. Those of the others have begun.
    fn leave_out(&mut self, command: u64, names: Vec<Arc<str>>) {
        if let Some(promise) = self.0.get_mut(&command) {
            promise.changed.left_out = names;
        }
    }

    pub(super) fn refuse(&mut self, command: u64, why: Unchanged) {
        if let Some(promise) = self.0.remove(&command) {
            drop(promise.reply.send(Err(why)));
        }
    }

    /// It is durable.
    pub(super) fn keep(&mut self, command: u64, engine: &Engine) {
        if let Some(promise) = self.0.remove(&command) {
            let after = present(engine, &promise.scope).cloned();
            let count = match promise.is_resume {
                true => promise.changed.count,
                false => paused(engine, &promise.scope),
            };
            drop(promise.reply.send(Ok(PauseChanged { after, count, ..promise.changed })));
        }
    }

    /// As it was answered before.
    pub(super) fn keep_again(&mut self, command: u64, changed: PauseChanged) {
        if let Some(promise) = self.0.remove(&command) {
            drop(promise.reply.send(Ok(changed)));
        }
    }

    /// Of how many names a resume ends the pause.
    fn count(&mut self, command: u64, engine: &Engine) {
        if let Some(promise) = self.0.get_mut(&command) {
            promise.changed.count = paused(engine, &promise.scope);
        }
    }
}

/// The first of the names.
fn first(scope: &Scope) -> Option<&Arc<str>> {
    match scope {
        Scope::All => None,
        Scope::Named(names) => names.first(),
    }
}

/// The present pause: of everything, or of the first of the names.
fn present<'a>(engine: &'a Engine, scope: &Scope) -> Option<&'a Pause> {
    match scope {
        Scope::All => engine.paused(),
        Scope::Named(names) => engine.paused_by_name(names.first()?),
    }
}

/// How many of the names are paused.
fn paused(engine: &Engine, scope: &Scope) -> usize {
    match scope {
        Scope::All => 0,
        Scope::Named(names) => names.iter().filter(|name| engine.paused_by_name(name).is_some()).count(),
    }
}

/// A change of present pauses.
pub(super) enum PauseChange {
    Pause(PauseFor),
    Resume(Scope, OnResume),
}

impl ClockLoop {
    /// There is no room: by command for the pause of everything, or for those of these names.
    pub(super) fn refuse_pauses(&mut self, commands: Vec<(u64, Vec<Arc<str>>)>) {
        for (command, names) in commands {
            match names.is_empty() {
                true => self.refuse(&[command], TOO_MANY, NotDecided::Unavailable),
                false => self.writes.pauses.leave_out(command, names),
            }
        }
    }

    pub(super) fn change_pause(
        &mut self,
        asker: Option<Box<Asker>>,
        change: PauseChange,
        reply: oneshot::Sender<PauseAnswer>,
    ) {
        if let Some(why) = &self.store_failing {
            let what = format!("nothing changed, for the store can't be written: {why}");
            return drop(reply.send(Err(Unchanged::Unavailable(what))));
        }
        let command = self.next_command();
        let (is_resume, scope) = match &change {
            PauseChange::Pause(asked) => (false, asked.scope.clone()),
            PauseChange::Resume(scope, _) => (true, scope.clone()),
        };
        let before = present(&self.engine, &scope).cloned();
        let changed = PauseChanged { before, ..PauseChanged::default() };
        self.writes.pauses.wait(command, PausePromise { is_resume, scope, changed, reply });
        // How the clock is may have changed since the last step.
        self.step(Input::Tick);
        self.writes.pauses.count(command, &self.engine);
        match self.pause_input(command, change) {
            Ok(input) => {
                self.step(by(asker, input));
                self.writes.pauses.note_end(command, &self.engine);
            }
            Err(why) => self.writes.pauses.refuse(command, why),
        }
        self.show_status();
    }

    fn pause_input(&self, command: u64, change: PauseChange) -> Result<Input, Unchanged> {
        if matches!(self.engine.clock(), ClockState::Held { .. }) {
            let what = format!(
                "nothing changed, for the wall clock jumped ahead and is held until it has proved stable; nothing is sent meanwhile: try again once it is believed, {} s after the jump (clock.settle)",
                self.settle as f64 / 1_000.0
            );
            return Err(Unchanged::Unavailable(what));
        }
        Ok(match change {
            PauseChange::Pause(PauseFor { scope, by, note, end }) => {
                let until = end.map(|(length, on_resume)| self.pause_end(length, on_resume)).transpose()?;
                Input::Pause { command, scope, request: PauseRequest { by, note, until } }
            }
            PauseChange::Resume(scope, how) => Input::Resume { command, scope, how },
        })
    }

    /// By the engine's time, which ends the pause: where the wall clock was set back, that is ahead of it.
    fn pause_end(&self, length: PauseLength, on_resume: OnResume) -> Result<PauseEnd, Unchanged> {
        let now = self.engine.now();
        match length {
            PauseLength::For(millis) => Ok(PauseEnd { at: now.plus(millis), on_resume }),
            PauseLength::Until(at) if at > now => Ok(PauseEnd { at, on_resume }),
            PauseLength::Until(at) => Err(Unchanged::Invalid(is_past(at, now, self.stepped_at))),
        }
    }
}

/// Why a pause can't end at this instant.
fn is_past(at: Timestamp, now: Timestamp, wall: Timestamp) -> String {
    match now > wall {
        true => format!(
            "until: {at} is past: the clock had come to {now} before it was set back, and counts from there"
        ),
        false => format!("until: {at} is past; it is {now}"),
    }
}

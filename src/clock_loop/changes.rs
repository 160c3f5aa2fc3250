//! Requests for changes of schedules: given to the engine, and answered once that is durable.

use super::{
    ClockLoop,
    handle::{ChangesAnswer, ChangesAsked, NotDecided},
};
use crate::engine::{ChangeRequest, ClockState, Input, Verdict};
use tokio::sync::oneshot;

/// Why a command is not taken.
pub(super) const TOO_MUCH: &str = "too much else waits to be written";
/// Why a message is not taken.
pub(super) const TOO_MANY_MESSAGES: &str =
    "the answers to its owner's messages of the last 24 hours are kept, and there is no room for another one";

impl ClockLoop {
    pub(super) fn change_schedules(&mut self, asked: ChangesAsked, reply: oneshot::Sender<ChangesAnswer>) {
        // How the clock is may have changed since the last step.
        self.step(Input::Tick);
        if let Some(why) = self.why_nothing_changes() {
            return drop(reply.send(Err(NotDecided::Unavailable(why))));
        }
        let command = self.writes.next_command();
        self.writes.requests.insert(command, reply);
        let ChangesAsked { by, message, atomic, changes } = asked;
        self.step(Input::Change(Box::new(ChangeRequest { command, by, message, atomic, changes })));
    }

    /// Why nothing can be changed at present, nor begun.
    pub(super) fn why_nothing_changes(&self) -> Option<String> {
        if let Some(why) = &self.store_failing {
            return Some(format!("nothing changed, for the store can't be written: {why}"));
        }
        matches!(self.engine.clock(), ClockState::Held { .. }).then(|| {
            format!(
                "nothing changed, for the wall clock jumped ahead and is held until it has proved stable: try again once it is believed, {} s after the jump (clock.settle)",
                self.settle as f64 / 1_000.0
            )
        })
    }

    /// They would create something, and the files may have its name.
    pub(super) fn refuse_unread(&mut self, commands: &[u64]) {
        let why = match &self.degraded {
            Some(why) => format!(
                "the schedule files were refused, and may have its name: mend them, then they are read again (or on SIGHUP): {why}"
            ),
            None => "the schedule files are still being read, and may have its name: try again later".into(),
        };
        for reply in commands.iter().filter_map(|command| self.writes.requests.remove(command)) {
            let what = format!("nothing changed: something is to be created, but {why}");
            drop(reply.send(Err(NotDecided::Unavailable(what))));
        }
    }

    pub(super) fn on_decided(&mut self, decided: Vec<(u64, Vec<Verdict>)>) {
        for (command, verdicts) in decided {
            match self.writes.requests.remove(&command) {
                Some(reply) => drop(reply.send(Ok(verdicts))),
                None => verdicts.into_iter().for_each(|verdict| self.writes.decided(command, verdict)),
            }
        }
    }
}

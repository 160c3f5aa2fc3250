//! What was decided and may not be in the store yet, or not in what is being read of it: it comes before what the store says.

use super::faults::{Fault, planted};
use crate::{Answered, MessageKey, delayed::Found};
use std::{collections::HashMap, sync::Arc};

#[derive(Debug, Default)]
pub(super) struct Overlay {
    names: HashMap<Arc<str>, (Found, State)>,
    messages: HashMap<MessageKey, (Answered, State)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It goes with the next write.
    Decided,
    /// It goes with this write.
    Writing(u64),
    /// It is in the store, but the store was asked before.
    Written,
}

impl Overlay {
    pub(super) fn name(&self, name: &str) -> Option<&Found> {
        self.names.get(name).map(|(found, _)| found).filter(|_| !planted(Fault::ForgetWhatWasDecided))
    }

    pub(super) fn answer(&self, key: &MessageKey) -> Option<&Answered> {
        self.messages.get(key).map(|(answered, _)| answered).filter(|_| !planted(Fault::ForgetWhatWasDecided))
    }

    pub(super) fn say(&mut self, name: Arc<str>, found: Found) {
        self.names.insert(name, (found, State::Decided));
    }

    pub(super) fn answered(&mut self, key: MessageKey, answered: Answered) {
        self.messages.insert(key, (answered, State::Decided));
    }

    /// All that was decided goes down now.
    pub(super) fn writing(&mut self, ticket: u64) {
        self.each(|state| match state {
            State::Decided => Some(State::Writing(ticket)),
            other => Some(other),
        });
    }

    /// It is in the store.
    pub(super) fn written(&mut self, ticket: u64, was_asked: bool) {
        self.each(|state| match state {
            State::Writing(writing) if writing == ticket => was_asked.then_some(State::Written),
            other => Some(other),
        });
    }

    /// The store has answered.
    pub(super) fn asked(&mut self) {
        self.each(|state| Some(state).filter(|state| *state != State::Written));
    }

    fn each(&mut self, next: impl Fn(State) -> Option<State>) {
        let keep = |state: &mut State| next(*state).map(|next| *state = next).is_some();
        self.names.retain(|_, (_, state)| keep(state));
        self.messages.retain(|_, (_, state)| keep(state));
    }
}

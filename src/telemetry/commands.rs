//! What is counted of commands that come by message.

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use std::sync::Arc;

/// The type of what says none that there is.
const UNKNOWN: &str = "unknown";

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandResult {
    /// It was done.
    Done,
    /// It was refused.
    Refused,
    /// It can't be a command, and went to the dead letters.
    Invalid,
    /// Its owner sends too many.
    Limited,
    /// The clock could not answer.
    Failed,
}

impl CommandResult {
    const ALL: [Self; 5] = [Self::Done, Self::Refused, Self::Invalid, Self::Limited, Self::Failed];

    fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Invalid => "invalid",
            Self::Limited => "limited",
            Self::Failed => "failed",
        }
    }
}

/// Counts of commands. Clones share them.
#[derive(Debug, Clone)]
pub struct CommandCounts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    answered: Family<[(&'static str, &'static str); 2], Counter>,
    again: Counter,
    dropped: Counter,
}

impl Default for CommandCounts {
    fn default() -> Self {
        let answered: Family<_, Counter> = Family::default();
        // So that there are series of each result before the first command is: rules look for them.
        for result in CommandResult::ALL {
            answered.get_or_create_owned(&[("type", UNKNOWN), ("result", result.word())]);
        }
        Self(Arc::new(Inner { answered, again: Counter::default(), dropped: Counter::default() }))
    }
}

impl CommandCounts {
    /// A command of this type, if it is one, was answered.
    pub fn answered(&self, kind: Option<&'static str>, result: CommandResult) {
        let kind = kind.unwrap_or(UNKNOWN);
        self.0.answered.get_or_create_owned(&[("type", kind), ("result", result.word())]).inc();
    }

    /// One came that was delivered before.
    pub fn came_again(&self) {
        self.0.again.inc();
    }

    /// An answer did not reach who asked for it.
    pub fn reply_dropped(&self) {
        self.0.dropped.inc();
    }

    /// Has them shown with the registry's other metrics.
    pub fn register(&self, registry: &mut Registry) {
        let counts = &*self.0;
        registry.register(
            "commands",
            "Commands that came by message, by how they ended",
            counts.answered.clone(),
        );
        registry.register(
            "commands_redelivered",
            "Commands that came by message and had been delivered before",
            counts.again.clone(),
        );
        registry.register(
            "command_replies_dropped",
            "Answers to commands that reached nobody: who asked is gone, or may not be written to",
            counts.dropped.clone(),
        );
    }
}

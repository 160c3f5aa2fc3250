//! Why a caller may not do what he asks for.

use super::Role;
use std::time::Duration;

/// Why somebody may not do something: `Display` names the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// His role is too low.
    #[error("{who} has the role {}; to {what} takes the role {}", .role.word(), .needed.word())]
    Role {
        /// Whose.
        who: String,
        /// It.
        role: Role,
        /// The least that would do.
        needed: Role,
        /// What was asked for.
        what: &'static str,
    },
    /// It is outside of his domains.
    #[error("{who} may change what belongs to the domains {domains}; {what} is outside of them")]
    Domain {
        /// Whose.
        who: String,
        /// They.
        domains: String,
        /// What is outside.
        what: String,
    },
    /// The queue is none that he may send tasks to.
    #[error("{who} may send {}; '{queue}' is none of these queues", match .tasks {
        Some(tasks) => format!("tasks to {tasks}"),
        None => "no tasks (tasks in its configuration)".to_owned(),
    })]
    Tasks {
        /// Whose.
        who: String,
        /// They; without, none.
        tasks: Option<String>,
        /// The queue.
        queue: String,
    },
    /// His owner changes things too often.
    #[error("'{owner}' asks for changes too often; the next one is taken in {} ms", .wait.as_millis().max(1))]
    TooOften {
        /// Whose.
        owner: String,
        /// How long to wait.
        wait: Duration,
    },
    /// He came without a token.
    #[error(
        "over HTTP this clock is only read without a token: to {what}, show one ([[http.tokens]]), or use its control socket (khronos on its machine)"
    )]
    NoToken {
        /// What was asked for.
        what: &'static str,
    },
}

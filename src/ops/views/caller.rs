//! Who asks a clock, as he is told.

use crate::authority::{Caller, Domains};
use serde::{Deserialize, Serialize};

/// Who asks, and what he may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CallerView {
    /// The owner's name that stands by what he changes.
    pub owner: String,
    /// `read`, `operate`, `write` or `admin`: each may do what those before it may.
    pub role: String,
    /// He showed a token.
    pub has_token: bool,
    /// About which events he may change something, as topic patterns: `billing.*`; `#` is all of them.
    pub domains: Vec<String>,
    /// To which queues he may send tasks, likewise.
    pub tasks: Vec<String>,
}

impl From<&Caller> for CallerView {
    fn from(caller: &Caller) -> Self {
        let words = |domains: &Domains| domains.patterns().map(str::to_owned).collect();
        let (role, domains, tasks) = caller.scope();
        Self {
            owner: caller.owner().to_string(),
            role: role.word().into(),
            has_token: caller.has_token(),
            domains: words(domains),
            tasks: tasks.map(words).unwrap_or_default(),
        }
    }
}

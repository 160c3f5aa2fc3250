//! What this process is among the clocks of its name.

/// What the process is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Another one leads, or nobody.
    Following,
    /// Lead under this term.
    Leading {
        /// The term.
        term: u64,
    },
    /// Lead no more under this term: finish what is begun, then say so.
    Draining {
        /// The term.
        term: u64,
    },
    /// The process can end.
    Ended,
}

impl Role {
    /// The term under which something may still be written.
    pub(crate) fn term(self) -> Option<u64> {
        match self {
            Self::Leading { term } | Self::Draining { term } => Some(term),
            Self::Following | Self::Ended => None,
        }
    }
}

/// What a follower sees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Where the leader is reached, if there is one that says so.
    pub(crate) leader: Option<String>,
    /// Why the database can't be asked.
    pub(crate) failing: Option<String>,
    /// Why this member would not become the leader.
    pub(crate) hindered: Option<String>,
}

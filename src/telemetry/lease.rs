//! What a clock that is one of several knows of their lease, for metrics: filled by the thread that keeps it, whether it leads or
//! follows, so that whoever asks asks no database.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a failover of the database may lose, in a word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ReplicationState {
    /// It was not looked at yet, or can't be told.
    #[default]
    Unknown,
    /// Nothing, as far as is known.
    Safe,
    /// What was committed last.
    Lacking,
}

impl ReplicationState {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Unknown, Self::Safe, Self::Lacking];

    /// As a label has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Safe => "safe",
            Self::Lacking => "lacking",
        }
    }
}

/// The lease, as it was seen last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeaseSeen {
    /// The last term that was given (0: none was yet); `None` before the tables were looked at.
    pub term: Option<u64>,
    /// How often another one was seen than before.
    pub changes: u64,
    /// How long nobody led before it (milliseconds), where that is known.
    pub gap: Option<i64>,
    /// By how many milliseconds this clock's time is ahead of the database's, where that is known.
    pub ahead: Option<i64>,
    /// What a failover of the database may lose.
    pub replication: ReplicationState,
}

/// What is known of the lease; nothing of a clock that is alone. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct LeaseFigures(Arc<Mutex<Option<LeaseSeen>>>);

impl LeaseFigures {
    /// The term at present, before which nobody led for so long (milliseconds).
    pub fn saw(&self, term: u64, gap: Option<i64>) {
        self.change(|seen| {
            seen.changes += u64::from(seen.term.is_some_and(|before| before != term));
            (seen.term, seen.gap) = (Some(term), gap);
        });
    }

    /// By how many milliseconds this clock's time is ahead of the database's.
    pub fn is_ahead_by(&self, ahead: Option<i64>) {
        self.change(|seen| seen.ahead = ahead);
    }

    /// What a failover of the database may lose.
    pub fn replicated(&self, replication: ReplicationState) {
        self.change(|seen| seen.replication = replication);
    }

    /// What is known of it; `None` of a clock that is alone, or was told nothing yet.
    pub fn seen(&self) -> Option<LeaseSeen> {
        *self.lock()
    }

    fn change(&self, change: impl FnOnce(&mut LeaseSeen)) {
        change(self.lock().get_or_insert_default());
    }

    fn lock(&self) -> MutexGuard<'_, Option<LeaseSeen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lead_changed_as_often_as_another_term_was_seen_than_before() {
        let figures = LeaseFigures::default();
        assert_eq!(figures.seen(), None, "it is alone");
        for (term, gap, changes) in
            [(7, None, 0), (7, None, 0), (8, Some(1_200), 1), (8, Some(1_200), 1), (11, None, 2)]
        {
            figures.saw(term, gap);
            let seen = figures.seen().unwrap();
            assert_eq!((seen.term, seen.changes, seen.gap), (Some(term), changes, gap));
        }
    }

    #[test]
    fn what_is_told_of_the_clock_and_the_database_stays_whoever_leads() {
        let figures = LeaseFigures::default();
        figures.replicated(ReplicationState::Lacking);
        figures.is_ahead_by(Some(-3));
        figures.saw(7, None);
        let seen = figures.seen().unwrap();
        assert_eq!((seen.replication, seen.ahead), (ReplicationState::Lacking, Some(-3)));
        assert_eq!(seen.changes, 0, "of no other term was anything known");
        assert_eq!(ReplicationState::default(), ReplicationState::Unknown, "before it was looked at");
    }
}

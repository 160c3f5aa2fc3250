//! Why something that somebody asks for is not begun: nothing of it is sent then, and it may be asked for again.

use ponos_event::CommandId;
use std::sync::Arc;

/// Why an operation, or a trigger, is not begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declined {
    /// Its schedule has another revision by now, or is gone.
    Changed,
    /// Another operation of the schedule runs, or began since it was decided what is left.
    Beside {
        /// The other one.
        operation: CommandId,
        /// Whether it runs still.
        runs: bool,
    },
    /// One more operation of this owner would leave too little for others.
    TooMany {
        /// Who asks for it.
        owner: Arc<str>,
        /// How many are his.
        of_owner: usize,
        /// How many there are.
        all: usize,
        /// Those that ended within a day are counted, too.
        ended: bool,
    },
    /// So many triggered events of his wait to be sent.
    Waiting {
        /// Who asks for one more.
        owner: Arc<str>,
        /// How many are his.
        of_owner: usize,
    },
    /// So much was triggered within a day that the answer to one more of his can't be kept.
    TooManyTriggers {
        /// Who asks for it.
        owner: Arc<str>,
    },
}

//! Faults that the simulation plants on purpose, to show that it would catch them. In a build that is no test nothing
//! is ever planted, and the checks are gone.

/// One way in which the engine could be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// An edited timing counts from the last progress instead of from the edit.
    EditMakesMissed,
    /// What an edit leaves behind is dropped.
    EditForgetsTheOld,
    /// A schedule's occurrences overtake what is being retried.
    Overtake,
    /// What an outage or a stop made late is not noticed: the schedule goes on from now.
    ResumeFromNow,
    /// What a revision is due for already when it begins takes W back.
    QueueBehindTheMark,
    /// A restart counts due times from W, though some of those before it have a send time above it.
    RestartWithoutLookingBack,
    /// A name that never ran counts from R, and not from now.
    CountNewNamesFromTheReached,
    /// After a step back an edit of what began since counts from R, too.
    CountAllFromTheReached,
    /// What was sent singly before a step back is coalesced after it.
    CoalesceWhatWasSentBefore,
    /// A crash while a step back is taken leaves the rest of the spans where they were.
    LeaveWhatWasNotTakenBack,
    /// A step back before an earlier one is done forgets what the earlier one gave up.
    LoseTheAbandoned,
    /// What a span or a release hands over need not lie below a durable H.
    SendSpansAboveTheReservation,
    /// A load of the files ends, or changes, what a command put.
    LoadEndsWhatWasPut,
    /// After a step back a revision calls for what lies before it takes effect.
    CallForWhatWasBefore,
}

#[cfg(not(test))]
pub(super) const fn planted(_: Fault) -> bool {
    false
}

#[cfg(test)]
pub(super) use planting::{plant, planted};

#[cfg(test)]
mod planting {
    use super::Fault;
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    /// Plants a fault in this thread, or takes it out.
    pub(crate) fn plant(fault: Option<Fault>) {
        PLANTED.set(fault);
    }

    pub(crate) fn planted(fault: Fault) -> bool {
        PLANTED.get() == Some(fault)
    }
}

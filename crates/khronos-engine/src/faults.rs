//! Faults that tests plant in the engine, to show that they would catch them. Outside tests nothing is ever planted, and the
//! checks are gone.
//!
//! Here stand those alone that nothing outside the engine can play: of each is said why. All others are planted at its
//! boundary, in `simulation/boundary.rs`, or are seen by a test of the lines that would have them.

/// One way in which the engine could be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// An edited timing counts from the last progress instead of from the edit. The instant of an edit is decided inside.
    EditMakesMissed,
    /// What an edit leaves behind is dropped. Where only the disk lacks it, it is sent all the same.
    EditForgetsTheOld,
    /// A schedule's occurrences overtake what is being retried. Outside nobody knows what is due next.
    Overtake,
    /// What an outage or a stop made late is not noticed: the schedule goes on from now. W goes on with it.
    ResumeFromNow,
    /// What a revision is due for already when it begins takes W back. W is made of the queues.
    QueueBehindTheMark,
    /// A restart counts due times from W, though some of those before it have a send time above it. What the store gives is
    /// right: each schedule's jitter decides.
    RestartWithoutLookingBack,
    /// What was sent singly before a step back is coalesced after it. The store has one R for all; of whom it is true is
    /// decided inside.
    CoalesceWhatWasSentBefore,
    /// A crash while a step back is taken leaves the rest of the spans where they were. A restart knows it by
    /// R above H, and edits go by the same R.
    LeaveWhatWasNotTakenBack,
    /// What a span or a release hands over need not lie below a durable H. What is on time has the same H.
    SendSpansAboveTheReservation,
    /// Zone data with other rules than before is taken for what was there. What is compared is decided inside.
    TakeNewZoneDataForTheOld,
    /// A load of the files ends, or changes, what a command put. The files say nothing of commands.
    LoadEndsWhatWasPut,
    /// A pause counts from W, and not from what may have been handed over. The instant is decided inside.
    PauseFromTheMark,
    /// What is skipped when a pause ends reaches back before it. Outside nobody knows what it is about.
    SkipWhatWasDueBefore,
    /// What a pause skipped is forgotten once nothing of it is outstanding. That a name may come back is known inside.
    ForgetWhoMayComeBack,
    /// After a step back what is due anew is skipped by a pause that has ended. What is kept of it is decided inside.
    SkipWhatIsDueAnew,
    /// What rested is handed over again before the end of the pause is durable. The same write may have a reservation.
    ResumeBeforeItIsDurable,
    /// After a step back a revision calls for what lies before it takes effect. Outside nobody knows what is due next.
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

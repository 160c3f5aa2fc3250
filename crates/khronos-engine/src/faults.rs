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
    /// What was created keeps the zone data of that day. What a load compares is decided inside.
    KeepTheZoneDataOfThatDay,
    /// A load of the files ends, or changes, what was created at run time. The files say nothing of that.
    LoadEndsWhatWasPut,
    /// A pause counts from W, and not from what may have been handed over. The instant is decided inside.
    PauseFromTheMark,
    /// The same of pauses by name alone.
    PauseANameFromTheMark,
    /// What is skipped when a pause ends reaches back before it. Outside nobody knows what it is about.
    SkipWhatWasDueBefore,
    /// What a pause skipped is forgotten once nothing of it is outstanding. That a name may come back is known inside.
    ForgetWhoMayComeBack,
    /// After a step back what is due anew is skipped by a pause that has ended. What is kept of it is decided inside.
    SkipWhatIsDueAnew,
    /// What is skipped when the pause of a name ends reaches back before it. As of those of everything.
    SkipOfANameWhatWasDueBefore,
    /// What the pause of a name skipped is forgotten though it may come back. As of those of everything.
    ForgetANameThatMayComeBack,
    /// After a step back what is due anew is skipped by the pause of a name that has ended. As of those of everything.
    SkipOfANameWhatIsDueAnew,
    /// A name goes on before the end of its pause is durable. As of pauses of everything.
    ResumeANameBeforeItIsDurable,
    /// The slot of a name goes on before the end of its pause is durable. Its span has a gate of its own.
    LetTheSlotGoEarly,
    /// What is parked of a name does not go on when its pause ends. Whose turn it is is known inside.
    LeaveWhatIsParkedPaused,
    /// A restart knows that a name is paused, and does not hold its slot. What is due of it goes by that.
    HoldNothingAtARestart,
    /// A load of the files forgets that a name is paused which comes back. What is due of it goes by its slot.
    LoseThePauseAtALoad,
    /// What a pause of one name skips is skipped of all. Whose it is is known inside.
    SkipOfOthersToo,
    /// An operation goes on after its cancel was answered. What it still makes is decided inside.
    GoOnAfterTheCancel,
    /// What is due and was not handed over yet is taken for missing. Outside nobody knows what is due next.
    BackfillWhatIsStillToCome,
    /// An operation begins beside another one of its schedule. Whether one runs is decided inside.
    BackfillTwiceAtOnce,
    /// An operation goes on though its schedule was deleted. What it still makes is decided inside.
    BackfillWhatIsGone,
    /// A command that comes again triggers another event. What was triggered is known inside.
    TriggerTwice,
    /// What was asked for waits in the line of the occurrences: refused, it keeps them from being tried again. Whose turn it is
    /// is decided inside.
    LeaveTheOccurrenceForTheBackfill,
    /// What rested is handed over again before the end of the pause is durable. The same write may have a reservation.
    ResumeBeforeItIsDurable,
    /// A one-shot that may have been sent already is deleted, or changed, all the same. What may have been sent is known inside.
    DeleteWhatMayHaveBeenSent,
    /// Of a request that is all or nothing, what may be made is made. What may be is known inside.
    HalfOfAnAtomicRequest,
    /// Events of others, and the clock's own, are anybody's to change. Whose they are the author says, who is asked inside.
    IgnoreTheDomains,
    /// A name of the files that is not taken in yet is free. What they have is known inside.
    CreateWhatTheFilesHave,
    /// What brings all schedules together beyond the limits is put all the same. What there is is known inside.
    PutBeyondTheLimits,
    /// What was settled a moment ago is changed, or deleted, as if it were not. What is settled is known inside.
    ForgetWhatIsSettled,
    /// What is created anew under a name has the figures of what had it. Whose event was sent is decided inside.
    TakeThePredecessorsFigures,
    /// A message that comes again is carried out again. What is asked for is the same.
    CarryOutWhatComesAgain,
    /// A calendar is deleted though schedules use it. Who does is known inside.
    DeleteACalendarInUse,
    /// What uses a calendar stays as it was read before. What is read anew is decided inside.
    LeaveTheUsersOfACalendar,
    /// What waits for its ceiling is late, and caught up with by its policy. Why it is late is known inside.
    CatchUpWithWhatWaits,
    /// What a ceiling keeps waiting keeps everything waiting that is due later. Whose turn it is is decided inside.
    DelayOthersByACeiling,
    /// Spans hand over whatever the ceiling says. What is counted is known inside.
    SendSpansAboveTheCeiling,
    /// What waits for its ceiling is forgotten when its revision ends. What waits is known inside.
    ForgetWhatWaitsForItsCeiling,
    /// Schedules hand over whenever a ceiling lets one through, though delayed events wait. Whose turn it is is known inside.
    TakeEveryTurn,
    /// After a step back a revision calls for what lies before it takes effect. Outside nobody knows what is due next.
    CallForWhatWasBefore,
    /// A leader is trusted from when the answer to its save came, not from before that was sent. Both are known to the member alone.
    TrustFromTheReply,
    /// A leader repeats a save whose answer is lost, and does not look whether it was kept. What it believes is known inside.
    TakeALostReplyForAFailure,
    /// A candidate does not wait until it has seen the lease unchanged by its own clock. What it has seen is known inside.
    TrustTheDatabasesClockAlone,
    /// An edit counts from what the clock shows, and not from what another leader may have sent. The instant is decided inside.
    EditFromNow,
    /// A clock goes on from a lower reading though others on its store may live. Which readings it believes is known inside.
    GoBackAmongOthers,
    /// A lease that has no holder is taken on a connection that is new, after a promotion too. As of what was seen.
    TakeAtFirstSight,
}

#[cfg(not(test))]
pub(super) const fn planted(_: Fault) -> bool {
    false
}

#[cfg(test)]
pub(super) use planting::{is_any_planted, plant, planted};

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

    pub(crate) fn is_any_planted() -> bool {
        PLANTED.get().is_some()
    }

    pub(crate) fn planted(fault: Fault) -> bool {
        PLANTED.get() == Some(fault)
    }
}

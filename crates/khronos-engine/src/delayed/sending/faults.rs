//! Faults that are planted here by the simulation, so that it is known to see them. Outside tests there are none.

/// What can be done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// What is put is handed over before its row is durable.
    HandOverBeforeDurable,
    /// What is above the durable H is handed over.
    HandOverAboveH,
    /// What is being changed or deleted is handed over meanwhile.
    HandOverWhatIsBeingChanged,
    /// What may have been sent is changed and deleted.
    ChangeWhatMayHaveBeenSent,
    /// After a step back what is old counts as what began since.
    TakeAllForNew,
    /// What began since counts as what is old.
    TakeAllForOld,
    /// What was decided is answered before it is durable.
    AnswerBeforeDurable,
    /// What no answer came to is settled.
    SettleWhatIsLost,
    /// What was refused is not sent again.
    ForgetWhatWasRefused,
    /// A page that was read before something went brings it back.
    BringBackWhatWent,
    /// A page that was read before something took another's place brings the other one back.
    BringBackWhatWasReplaced,
    /// What was decided since the store was asked is not known.
    ForgetWhatWasDecided,
    /// What had no room in memory is not read again.
    ForgetWhatHadNoRoom,
    /// What is put while a page is read is left to the page.
    TrustThePage,
    /// What is put and due soon waits until it is read.
    LeaveOutWhatIsPut,
    /// What was released is not sent again after a restart.
    ForgetWhatWasReleased,
    /// What is being sent again is released once more.
    ReleaseWhatIsBeingSent,
    /// What is being dropped is handed over meanwhile.
    HandOverWhatIsBeingDropped,
    /// What is judged to be changed or deleted is handed over before that is carried out.
    HandOverWhatIsJudged,
    /// A request is written before all of it is decided.
    WriteWhatIsHalfDecided,
    /// Of a request that is all or nothing, what is not refused is carried out.
    HalfOfAnAtomicRequest,
    /// What is over a rate ceiling is handed over.
    IgnoreTheCeilings,
    /// What waits for a ceiling and had no room in memory is not read again.
    ForgetWhatWaitsInTheStore,
    /// What is put while a page of a ceiling is read is left to the page.
    TrustThePageOfACeiling,
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

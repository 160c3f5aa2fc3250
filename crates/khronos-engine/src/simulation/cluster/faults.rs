//! Faults that are planted where the members meet the database, the engine and the broker's connection.

/// One way in which several clocks could be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClusterFault {
    /// Terms count up by one on every timeline, and a save is checked by the term, not by the holder.
    TermAlone,
    /// A renewal is not conditional on how many writes there were.
    RenewWhateverWasWritten,
    /// The node's clock says when the lease runs out.
    TheNodesClockInTheLease,
    /// The lease is taken whatever was seen of it.
    AcquireBlind,
    /// The engine is told that H is durable before it is.
    RaiseHAfterTheHandOver,
    /// What is to be sent is sent though trust has run out meanwhile.
    SendAfterTheDeadline,
    /// A leader resigns before what is in flight has ended.
    ResignBeforeTheEnd,
    /// A new leader coalesces what lies in (W, H].
    CoalesceWhatMayHaveBeenSent,
    /// A standby that is taken for a synchronous one lacks the last commit.
    PromoteWithoutTheLastCommit,
    /// The row is looked at when its leader says that it resigns, and seldom otherwise.
    RelyOnTheHint,
    /// Whoever has another time than the database takes the lease all the same.
    AcquireWithAnotherTime,
    /// A leader that gets nothing confirmed goes on.
    LeadInVain,
    /// What may have been sent of delayed events is deleted and changed.
    ForgetWhatMayHaveBeenSent,
    /// What was asked of delayed events is answered before it is durable.
    AnswerBeforeItIsDurable,
    /// A leader does not say that a standby was promoted.
    KeepSilentOfThePromotion,
    /// Engines are told a later time than it is.
    ReadAhead,
    /// A new leader applies the files of its own machine.
    ApplyOwnFiles,
    /// What a leader may have sent, and the record does not have yet, is taken for settled by the next.
    SettleWhatMayHaveBeenSent,
}

//! What goes into a member and what comes out of it.

use ponos_event::Timestamp;

/// Names a member: made up when its process starts, so that none has that of an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u128);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseInput {
    /// Nothing but time.
    Tick,
    /// The call of this number was answered. Answers to earlier calls are ignored.
    Replied {
        /// See [`LeaseAction::Call`].
        number: u64,
        /// What the database says.
        reply: LeaseReply,
    },
    /// The leader has something to write. Answered by [`LeaseAction::Written`] or [`LeaseAction::Full`]; not at all, where it is
    /// fenced before: then the write is kept or not.
    Write {
        /// Names it; in this order it is written.
        job: u64,
    },
    /// Whether the leader has something due that is not confirmed.
    Work {
        /// It has.
        due: bool,
    },
    /// The broker confirmed something that this member published, a probe included.
    Confirmed,
    /// Somebody wants this member to lead.
    Want,
    /// The database notified that somebody has resigned, or is wanted. A hint: the row is looked at all the same, at the latest at
    /// the usual time.
    Hint,
    /// What [`LeaseAction::Drain`] asked for is done.
    Drained,
    /// The process is to end: lead no more. Answered by [`LeaseAction::End`], by a follower too at the latest after two calls: it
    /// waits for the answer to one that may give it the lease, and gives that back.
    Stop,
}

/// What is to be done. Actions are to be performed in order.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseAction {
    /// Ask the database this, and answer with [`LeaseInput::Replied`]. There is never more than one under way.
    Call {
        /// Names the call.
        number: u64,
        /// Drop the connection, and whatever is under way on it, and take a new one.
        fresh: bool,
        /// What is asked.
        call: LeaseCall,
    },
    /// Lead under this term: read everything that is kept, as a [job](LeaseInput::Write) too, so that it is read under the
    /// term; then start the engine from it.
    Lead {
        /// The fencing term.
        term: u64,
        /// The timeline of the database that it was taken on. The term's own may be above that: its row may come from another database.
        timeline: u32,
    },
    /// Give nothing to the broker's connection at or after this instant of the boot-time clock. Takes the place of what was said before.
    Trust {
        /// Milliseconds since boot.
        until: i64,
    },
    /// This job is durable.
    Written {
        /// See [`LeaseInput::Write`].
        job: u64,
    },
    /// This job is not taken: too many others wait.
    Full {
        /// See [`LeaseInput::Write`].
        job: u64,
    },
    /// This member is about to resign: take nothing in and hand nothing over any more, wait a second at most for what is in
    /// flight and count the rest lost, trim H; when that is durable, say [`LeaseInput::Drained`].
    Drain,
    /// Drop everything that was read or decided while leading.
    Follow,
    /// Publish something that nobody is bound to, on the connection that this member would lead with; say
    /// [`LeaseInput::Confirmed`] when it is confirmed.
    Probe,
    /// The process can end.
    End,
    /// Tell people.
    Notice(LeaseNotice),
}

/// What the database is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseCall {
    /// Read the row: answered by [`LeaseReply::Looked`].
    Look,
    /// Take the lease, from this term and beat and no other: [`LeaseReply::Acquired`] or [`LeaseReply::Unfit`].
    Acquire {
        /// As seen.
        term: u64,
        /// As seen.
        beat: u64,
    },
    /// Renew the lease, and write this job in the same transaction: [`LeaseReply::Saved`], or [`LeaseReply::Unfit`] where term,
    /// holder or number of writes is another one; nothing is written then.
    Save {
        /// The own term.
        term: u64,
        /// How many writes there were.
        writes: u64,
        /// What is written; `None`: the lease is renewed alone.
        job: Option<u64>,
    },
    /// Have no holder, under the same condition: [`LeaseReply::Resigned`] or [`LeaseReply::Unfit`]. Who follows may be notified.
    Resign {
        /// The own term.
        term: u64,
        /// How many writes there were.
        writes: u64,
    },
    /// Note that a probe of this member was confirmed so long ago: [`LeaseReply::Done`].
    Report {
        /// Milliseconds.
        age: i64,
    },
    /// Whether a probe of another member was confirmed within this time, by the database's clock: [`LeaseReply::Asked`].
    Ask {
        /// Milliseconds.
        within: i64,
    },
    /// Note in the row that this member is wanted to lead, while it has this term: [`LeaseReply::Done`].
    Want {
        /// As seen.
        term: u64,
    },
}

/// The lease, as one call saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseRow {
    /// The highest term that was given. Its high 32 bits are the timeline on which it was, or more, where the row was brought
    /// from another database.
    pub term: u64,
    /// Who has the lease.
    pub holder: Option<MemberId>,
    /// Counts up with every change of the row.
    pub beat: u64,
    /// Counts up with every save.
    pub writes: u64,
    /// Milliseconds until it runs out, by the database's clock.
    pub left: i64,
    /// Who is to lead next.
    pub wanted_by: Option<MemberId>,
    /// The form in which the row, and what belongs to it, was written.
    pub schema: u32,
    /// The database's clock.
    pub now: Timestamp,
    /// It is a standby that answered: its row is not believed, and the connection is not used again.
    pub in_recovery: bool,
    /// Rises with each promotion; 0 where it is not known.
    pub timeline: u32,
    /// On which timeline the last save was written, or the row was made; 0 where that is not known.
    pub saved_on: u32,
}

/// What the database says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseReply {
    /// The row.
    Looked(LeaseRow),
    /// The lease was taken.
    Acquired {
        /// The new term.
        term: u64,
        /// How many writes there were.
        writes: u64,
        /// See [`LeaseRow::timeline`].
        timeline: u32,
    },
    /// The lease was renewed, and the job written.
    Saved {
        /// Who is to lead next.
        wanted_by: Option<MemberId>,
        /// See [`LeaseRow::timeline`].
        timeline: u32,
    },
    /// The row was not as it should have been.
    Unfit,
    /// There is no holder any more.
    Resigned,
    /// Whether there is such a probe.
    Asked(bool),
    /// Done.
    Done,
    /// An error, or the connection is gone: it happened or not.
    Failed,
}

/// Why a leader leads no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The process is to end.
    Stopped,
    /// Another member is wanted.
    Wanted,
    /// The broker confirms nothing of it, and something of others.
    Unproven,
    /// Its clock was set while it led, and differs from the database's by too much.
    Skewed,
    /// The row is not as this member wrote it.
    Fenced,
    /// The row is this member's own, and has lost its newest writes: the server crashed. It begins anew.
    WentBack,
}

/// What people may want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseNotice {
    /// This member leads.
    Leads {
        /// Its term.
        term: u64,
    },
    /// The database was promoted from one timeline to another since anything was saved last: unless the standby was a synchronous one,
    /// commits are lost, and with them what was answered and what was sent. Each member that tries to lead then tells it once.
    Promoted {
        /// That of the last save.
        from: u32,
        /// The present one.
        to: u32,
    },
    /// Trust has run out: nothing is handed over until a save is acknowledged.
    Lapsed,
    /// A save was acknowledged again.
    Regained,
    /// This member leads no more.
    Ended(Why),
    /// This member would be the next leader, but its clock differs from the database's by about so much.
    Skewed {
        /// Milliseconds that its clock is ahead.
        ahead: i64,
    },
    /// The row was written by a newer version, in this form.
    Newer {
        /// The form.
        schema: u32,
    },
}

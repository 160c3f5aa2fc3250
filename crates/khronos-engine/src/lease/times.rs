//! The times of the lease.

/// Milliseconds each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// How long a lease lasts by the database's clock; and how long a candidate must have seen it unchanged by its own.
    pub ttl: i64,
    /// Trust ends so much before that, reckoned from before the save was sent.
    pub margin: i64,
    /// A leader that has nothing to write saves this long after its last save all the same.
    pub renew: i64,
    /// A follower looks at the row this often, give or take a fifth.
    pub poll: i64,
    /// A call that takes longer has an unknown outcome, and its connection is not used again.
    pub call: i64,
    /// After a call that failed the next one waits this long, but for the first.
    pub retry: i64,
    /// A member whose clock may differ from the database's by more is no candidate.
    pub skew: i64,
    /// A leader that has work and gets nothing confirmed for this long resigns, or whose clock was set and is wrong for so long, …
    pub unproven: i64,
    /// … if somebody else had a probe confirmed within this time; …
    pub probed: i64,
    /// … and is no candidate for this long, unless its clock was the reason.
    pub rest: i64,
    /// A follower probes the broker this often.
    pub probe: i64,
    /// What is in flight when a leader resigns, and what is to be written then, is waited for this long at most.
    pub drain: i64,
    /// A member that was told to stop, and can't resign, ends this long after that.
    pub leave: i64,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self {
            ttl: 1_200,
            margin: 300,
            renew: 300,
            poll: 150,
            call: 400,
            retry: 100,
            skew: 250,
            unproven: 3_000,
            probed: 2_000,
            rest: 10_000,
            probe: 1_000,
            drain: 2_000,
            leave: 4_000,
        }
    }
}

impl LeaseTimes {
    /// Until when, by the boot-time clock, a save that was sent at this instant is trusted.
    pub(super) fn trust(&self, sent: i64) -> i64 {
        sent + self.ttl - self.margin
    }
}

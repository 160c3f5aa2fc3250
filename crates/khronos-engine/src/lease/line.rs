//! The connection of the lease, and the one call that is under way on it.

use super::{LeaseAction, LeaseCall};

#[derive(Debug, Default)]
pub(super) struct Line {
    last: u64,
    under_way: Option<UnderWay>,
    /// The connection is not to be used again.
    is_broken: bool,
    /// So many calls failed one after the other, …
    failures: u32,
    /// … and the next one waits until then.
    not_before: i64,
}

/// A call, and when it was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct UnderWay {
    number: u64,
    pub(super) call: LeaseCall,
    pub(super) sent: i64,
}

impl Line {
    /// Whether a call can be sent.
    pub(super) fn is_free(&self, now: i64) -> bool {
        self.under_way.is_none() && now >= self.not_before
    }

    /// Whether the call under way may give this member a lease, or gives it back.
    pub(super) fn is_about_a_lease(&self) -> bool {
        let call = self.under_way.map(|under_way| under_way.call);
        matches!(call, Some(LeaseCall::Acquire { .. } | LeaseCall::Save { .. } | LeaseCall::Resign { .. }))
    }

    /// Sends a call. The instant is one before it is on its way.
    pub(super) fn send(&mut self, call: LeaseCall, now: i64) -> LeaseAction {
        self.last += 1;
        self.under_way = Some(UnderWay { number: self.last, call, sent: now });
        let fresh = std::mem::take(&mut self.is_broken);
        LeaseAction::Call { number: self.last, fresh, call }
    }

    /// The call under way, if this is its number.
    pub(super) fn answered(&mut self, number: u64) -> Option<UnderWay> {
        self.under_way.take_if(|call| call.number == number)
    }

    /// The call under way, if it takes longer than the limit.
    pub(super) fn overdue(&mut self, now: i64, limit: i64) -> Option<UnderWay> {
        self.under_way.take_if(|call| now >= call.sent + limit)
    }

    /// A call failed: its connection is not used again. The first time the next one follows at once.
    pub(super) fn fail(&mut self, now: i64, retry: i64) {
        self.is_broken = true;
        self.not_before = if self.failures == 0 { now } else { now + retry };
        self.failures = self.failures.saturating_add(1);
    }

    /// A call was answered.
    pub(super) fn succeed(&mut self) {
        self.failures = 0;
    }

    /// When something is to be done, if a call is wanted at an instant.
    pub(super) fn next(&self, wanted: i64, limit: i64) -> i64 {
        match &self.under_way {
            Some(call) => call.sent + limit,
            None => wanted.max(self.not_before),
        }
    }
}

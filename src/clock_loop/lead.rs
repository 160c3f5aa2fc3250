//! A clock that leads among several: it hands over for a time only, which is prolonged again and again; each event shows under
//! which term; and it says whether it gets anything done.

use super::{ClockLoop, Input};
use crate::clock::{self, Heartbeat};
use ponos::{broker::Publishing, event::HeaderValue};
use std::fmt;
use tokio::sync::watch;

/// Which leadership sent an event. It orders nothing: what an earlier leader sent may arrive after what a later one did.
pub(crate) const TERM: &str = "khronos-term";

/// The token of what is published only to see whether the broker confirms: engines count theirs up from 0, and those of delayed
/// events have the highest bit beside.
pub const PROBE: u64 = u64::MAX;

/// The lease of a clock that leads among several.
pub struct Lead {
    /// The term.
    pub term: u64,
    /// Nothing is handed over at or after this instant of the boot-time clock (milliseconds).
    pub trust: watch::Receiver<i64>,
    /// Told that the loop turns.
    pub heartbeat: Heartbeat,
    /// Told whether it leads in vain.
    pub proof: watch::Sender<Proof>,
}

/// Whether a leader gets anything done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Proof {
    /// Something is due that is not confirmed.
    pub has_work: bool,
    /// How many events were confirmed.
    pub confirmed: u64,
}

impl fmt::Debug for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lead").field("term", &self.term).finish_non_exhaustive()
    }
}

impl Lead {
    /// Until how long it may hand over changes; for ever where it does not lead for a time only. Cancel safe.
    pub(super) async fn changed(lead: &mut Option<Self>) -> i64 {
        if let Some(lead) = lead
            && lead.trust.changed().await.is_ok()
        {
            return *lead.trust.borrow_and_update();
        }
        // Alone, or whoever prolonged it is gone: then it runs out.
        std::future::pending().await
    }

    /// Shows the term on these.
    pub(super) fn stamp(lead: Option<&Self>, publishings: &mut [Publishing]) {
        let Some(lead) = lead else { return };
        let term = i64::try_from(lead.term).unwrap_or(i64::MAX);
        for publishing in publishings {
            publishing.message.headers.set(TERM, HeaderValue::Int(term));
        }
    }
}

impl ClockLoop {
    /// Before anything is handed over: as long as it may be.
    pub(super) fn begin_to_lead(&mut self) {
        if let Some(lead) = &mut self.lead {
            let until = *lead.trust.borrow_and_update();
            self.step(Input::Trust(until));
        }
    }

    /// Says whether it leads in vain.
    pub(super) fn prove(&self) {
        let Some(lead) = &self.lead else { return };
        lead.heartbeat.turn();
        let delayed = self.delayed.as_ref().is_some_and(|delayed| delayed.has_work(&self.engine));
        let proof = Proof { has_work: self.engine.has_work() || delayed, confirmed: self.counters.confirmed };
        lead.proof.send_if_modified(|last| std::mem::replace(last, proof) != proof);
    }

    /// Why nothing may be handed over at present.
    pub(super) fn lapsed(&self) -> Option<String> {
        let lead = self.lead.as_ref()?;
        let until = *lead.trust.borrow();
        (clock::reading().boot >= until).then(|| {
            "lease: the database does not confirm that this clock leads; nothing is sent until it does"
                .to_owned()
        })
    }
}

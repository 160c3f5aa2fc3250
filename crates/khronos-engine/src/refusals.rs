//! Which schedules the broker refuses at present, and why: from the first refusal until something of the schedule is
//! confirmed. Only for people: nothing is decided by it. As many as there are schedules at most.

use super::{Notice, core::Engine, progress::SpanKey};
use ponos_event::Timestamp;
use std::{collections::BTreeMap, sync::Arc};

/// One notice in so many milliseconds at most.
const BETWEEN: i64 = 10_000;

/// What the broker refuses of one schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The event.
    pub event: Arc<str>,
    /// The broker's reason for the last refusal.
    pub reason: String,
    /// When the first of them was refused.
    pub since: Timestamp,
    /// How often, resends included.
    pub times: u64,
}

#[derive(Debug, Default)]
pub(super) struct Refusals {
    all: BTreeMap<Arc<str>, Refused>,
    said: Option<Timestamp>,
}

impl Engine {
    /// The schedules that the broker refuses, by name.
    pub fn refused(&self) -> &BTreeMap<Arc<str>, Refused> {
        &self.outstanding.refusals.all
    }

    /// It stands in the entry of this number now, which is sent again by itself, or waits for a person.
    pub(super) fn note_refusal(&mut self, key: &SpanKey, reason: &str, number: u64) {
        let now = self.now();
        if let Some(refused) = self.outstanding.refusals.all.get_mut(&key.0) {
            reason.clone_into(&mut refused.reason);
            refused.times += 1;
        } else {
            // Of a schedule that is gone nothing would ever be confirmed: the entry would stay for ever.
            if self.schedules.find(&key.0).is_none() {
                return;
            }
            let Some(revision) = self.revision(key) else { return };
            let event = revision.definition.event().into();
            let refused = Refused { event, reason: reason.to_owned(), since: now, times: 1 };
            self.outstanding.refusals.all.insert(key.0.clone(), refused);
        }
        if self.outstanding.refusals.said.is_some_and(|said| (0..BETWEEN).contains(&now.since(said))) {
            return;
        }
        self.outstanding.refusals.said = Some(now);
        if let Some(refused) = self.outstanding.refusals.all.get(&key.0).cloned() {
            let others = self.outstanding.refusals.all.len() - 1;
            let parked = self.outstanding.parked.get(number);
            let again = parked.is_some_and(|parked| parked.retry_at.is_some());
            let schedule = key.0.clone();
            self.out.notices.push(Notice::Refused { schedule, refused, number, again, others });
        }
    }

    pub(super) fn note_confirmation(&mut self, schedule: &str) {
        if !self.outstanding.refusals.all.is_empty() {
            self.outstanding.refusals.all.remove(schedule);
        }
    }

    /// After a load: of a schedule that does not run any more nothing may ever be confirmed.
    pub(super) fn forget_refusals(&mut self) {
        let mut all = std::mem::take(&mut self.outstanding.refusals.all);
        all.retain(|name, _| self.schedules.find(name).is_some());
        self.outstanding.refusals.all = all;
    }
}

//! What is asked for, read: what can't be used, and what is not the caller's, is refused here and has its place all the same.

use super::{WantedEvent, outcome::Undecided};
use crate::{
    authority::{Caller, Denied},
    delayed::trace,
    engine::{
        Refusal,
        delayed::{DelayedChange, DelayedHead},
    },
    ops::{
        change::kept,
        delayed::{
            NamesOf,
            item::{DelayedItem, UnreadItem},
        },
    },
    schedule::is_name,
};
use ponos::event::Timestamp;

/// How names begin that are the clock's own.
const RESERVED: &str = "time.";

/// A change as it was read.
#[derive(Debug)]
pub(super) struct ReadEvent {
    pub(super) change: DelayedChange,
    pub(super) undecided: Undecided,
}

impl ReadEvent {
    /// Reads the change at this place of its request.
    pub(super) fn new(
        wanted: WantedEvent,
        (names, index): (&NamesOf, usize),
        caller: &Caller,
        now: Timestamp,
    ) -> Self {
        let (name, json, expect) = match wanted {
            WantedEvent::Put { name, json, expect } => (name, json, expect),
            WantedEvent::Delete { name, expect } => {
                // What can't be a name is nobody's.
                let name_of = if is_name(&name) { name.as_str() } else { "" }.into();
                let change = DelayedChange::Delete { name: name_of, expect };
                return Self { change, undecided: Undecided { name, ..Undecided::default() } };
            }
        };
        let mut item = match DelayedItem::read(&json, name.as_deref(), (names, index), now) {
            Ok(item) => item,
            Err(UnreadItem { name, faults }) => {
                let name = name.unwrap_or_default();
                let refusal = Refusal::Invalid { faults: kept(&faults) };
                let change = DelayedChange::Refused { name: name.as_str().into(), refusal };
                return Self {
                    change,
                    undecided: Undecided { name, faults: Some(faults), ..Undecided::default() },
                };
            }
        };
        let head = &item.event.head;
        let name = head.key.name.clone();
        let undecided = Undecided {
            name: name.to_string(),
            due: Some(head.due),
            jitter: item.jitter,
            digest: head.digest,
            ..Undecided::default()
        };
        match refused(caller, head) {
            Some((refusal, denied)) => Self {
                change: DelayedChange::Refused { name, refusal },
                undecided: Undecided { denied, ..undecided },
            },
            None => {
                // After its digest: the same again, from elsewhere, is the same.
                if let Some(trace) = caller.trace() {
                    item.event.content.headers = trace::kept(&item.event.content.headers, trace);
                }
                let expect = if item.is_name_made { names.expect(expect) } else { expect };
                let change = DelayedChange::Put { event: item.event, expect, past: item.past };
                Self { change, undecided }
            }
        }
    }
}

/// Why an event is not the caller's to put.
fn refused(caller: &Caller, head: &DelayedHead) -> Option<(Refusal, Option<Denied>)> {
    let DelayedHead { event, queue, .. } = head;
    let outside = |event, denied| Some((Refusal::OutsideDomains { event }, Some(denied)));
    match queue {
        Some(queue) => caller.may_send_tasks(queue).err().and_then(|denied| outside(queue.clone(), denied)),
        None if event.starts_with(RESERVED) => Some((Refusal::ReservedEvent { event: event.clone() }, None)),
        None => caller.may_change(event).err().and_then(|denied| outside(event.clone(), denied)),
    }
}

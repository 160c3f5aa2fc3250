//! Events that reach nobody: said once an hour for each event. Only for people: nothing is decided by it.

use super::{Notice, core::Engine, in_flight::Owner, progress::SpanKey};
use ponos_event::Timestamp;
use std::{collections::HashMap, sync::Arc};

/// An event is said again this much later (milliseconds).
const AGAIN: i64 = 60 * 60 * 1_000;
/// Events that are remembered at most: beyond, they are not said, for the log would be full of them.
const MOST: usize = 1_000;

/// So often at most all that are remembered are looked through for some that can be forgotten (milliseconds).
const SWEEP: i64 = 60 * 1_000;

/// When it was said of which event.
#[derive(Debug, Default)]
pub(super) struct Unheard {
    said: HashMap<Arc<str>, Timestamp>,
    swept: Option<Timestamp>,
}

impl Unheard {
    /// Whether it is to be said now.
    fn note(&mut self, event: &str, now: Timestamp) -> bool {
        let is_fresh = |said: &Timestamp| (0..AGAIN).contains(&now.since(*said));
        if self.said.get(event).is_some_and(is_fresh) {
            return false;
        }
        let swept = self.swept.is_some_and(|swept| (0..SWEEP).contains(&now.since(swept)));
        if self.said.len() >= MOST && !swept {
            self.said.retain(|_, said| is_fresh(said));
            self.swept = Some(now);
        }
        let has_room = self.said.len() < MOST || self.said.contains_key(event);
        if has_room {
            self.said.insert(event.into(), now);
        }
        has_room
    }
}

impl Engine {
    /// An event of this revision was confirmed and reached nobody.
    pub(super) fn note_unheard(&mut self, key: &SpanKey, owner: &Owner) {
        let now = self.now();
        let found;
        let definition = match owner {
            // What is on time has the revision that runs.
            Owner::OnTime(id) => &self.schedules[*id].definition,
            _ => {
                let Some(revision) = self.revision(key) else { return };
                found = revision.definition;
                &found
            }
        };
        let event = definition.event();
        if self.outstanding.unheard.note(event, now) {
            self.out.notices.push(Notice::Unheard { event: event.into(), schedule: key.0.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_said_once_an_hour_and_not_more_than_so_many() {
        let at = Timestamp::from_millis;
        let mut unheard = Unheard::default();
        assert!(unheard.note("a.b.c", at(0)));
        assert!(!unheard.note("a.b.c", at(AGAIN - 1)));
        assert!(unheard.note("a.b.d", at(AGAIN - 1)));
        assert!(unheard.note("a.b.c", at(AGAIN)));
        // A clock that was set back does not silence it.
        assert!(unheard.note("a.b.c", at(5)));
        let said = (0..2 * MOST).filter(|number| unheard.note(&format!("e.{number}"), at(6))).count();
        // What was said in the future is forgotten for want of room.
        assert_eq!(said, MOST - 1);
        assert!(unheard.note("later", at(AGAIN + 10)) && unheard.said.len() <= 3);
    }

    #[test]
    fn what_is_remembered_is_looked_through_once_a_minute_at_most() {
        let at = Timestamp::from_millis;
        let mut unheard = Unheard::default();
        (0..MOST).for_each(|number| assert!(unheard.note(&format!("e.{number}"), at(0))));
        // Nothing can be forgotten yet; a moment later all could be, and nobody looks.
        assert!(!unheard.note("more", at(AGAIN - 1)));
        assert!(!unheard.note("more", at(AGAIN)));
        assert!(unheard.note("more", at(AGAIN - 1 + SWEEP)));
        assert_eq!(unheard.said.len(), 1);
    }
}

//! Events that reach nobody: said once an hour for each event. Only for people: nothing is decided by it.

use super::{Notice, core::Engine, progress::SpanKey};
use ponos_event::Timestamp;
use std::{collections::HashMap, sync::Arc};

/// An event is said again this much later (milliseconds).
const AGAIN: i64 = 60 * 60 * 1_000;
/// Events that are remembered at most: beyond, they are not said, for the log would be full of them.
const MOST: usize = 1_000;

/// When it was said of which event.
#[derive(Debug, Default)]
pub(super) struct Unheard(HashMap<Arc<str>, Timestamp>);

impl Unheard {
    /// Whether it is to be said now.
    fn note(&mut self, event: &str, now: Timestamp) -> bool {
        let is_fresh = |said: &Timestamp| (0..AGAIN).contains(&now.since(*said));
        if self.0.get(event).is_some_and(is_fresh) {
            return false;
        }
        if self.0.len() >= MOST {
            self.0.retain(|_, said| is_fresh(said));
        }
        let has_room = self.0.len() < MOST || self.0.contains_key(event);
        if has_room {
            self.0.insert(event.into(), now);
        }
        has_room
    }
}

impl Engine {
    /// An event of this revision was confirmed and reached nobody.
    pub(super) fn note_unheard(&mut self, key: &SpanKey) {
        let Some(revision) = self.revision(key) else { return };
        let event = revision.definition.event();
        if self.outstanding.unheard.note(event, self.now()) {
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
        assert!(unheard.note("later", at(AGAIN + 10)) && unheard.0.len() <= 3);
    }
}

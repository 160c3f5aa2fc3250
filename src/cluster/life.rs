//! Whether the leadership of this process does anything. The lease is renewed by a thread of its own, so a loop that hangs, or never
//! began, would hold it for ever. Who leads is told of such a one as of a leader with work of which the broker confirms nothing: it
//! resigns if another member gets something confirmed, and goes on alone.

use crate::clock::{self, Heartbeat};

/// What the leadership says of itself.
#[derive(Debug, Default)]
pub(super) struct Life {
    heartbeat: Heartbeat,
    /// It has something due that is not confirmed.
    pub(super) is_due: bool,
    /// As the member was told.
    told: bool,
    /// The term, and since when (milliseconds since boot).
    leads: Option<(u64, i64)>,
}

impl Life {
    pub(super) fn new(heartbeat: Heartbeat) -> Self {
        Self { heartbeat, ..Self::default() }
    }

    /// Whether it leads in vain, if that is another answer than before.
    pub(super) fn changed(&mut self, leads: Option<u64>, silent: i64) -> Option<bool> {
        self.changed_at(clock::reading().boot, leads, silent)
    }

    fn changed_at(&mut self, now: i64, leads: Option<u64>, silent: i64) -> Option<bool> {
        let Some(term) = leads else {
            (self.leads, self.told, self.is_due) = (None, false, false);
            return None;
        };
        let since = match self.leads {
            Some((of, since)) if of == term => since,
            _ => {
                (self.told, self.is_due) = (false, false);
                self.leads.insert((term, now)).1
            }
        };
        let is_silent = now >= since.max(self.heartbeat.last()).saturating_add(silent);
        let in_vain = self.is_due || is_silent;
        (std::mem::replace(&mut self.told, in_vain) != in_vain).then_some(in_vain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENT: i64 = 10_000;

    #[test]
    fn who_leads_and_says_nothing_leads_in_vain_until_it_says_something() {
        let mut life = Life::default();
        let now = clock::reading().boot;
        assert_eq!(life.changed_at(now, None, SILENT), None);
        assert_eq!(life.changed_at(now, Some(7), SILENT), None);
        assert_eq!(life.changed_at(now + SILENT - 1, Some(7), SILENT), None);
        assert_eq!(life.changed_at(now + SILENT, Some(7), SILENT), Some(true));
        assert_eq!(life.changed_at(now + SILENT + 1, Some(7), SILENT), None, "it was told");
        life.heartbeat.turn();
        assert_eq!(life.changed_at(now, Some(7), SILENT), Some(false));
        // Another leadership has all the time again.
        let later = now + 10 * SILENT;
        assert_eq!(life.changed_at(later, Some(7), SILENT), Some(true));
        assert_eq!(life.changed_at(later, None, SILENT), None);
        assert_eq!(life.changed_at(later, Some(8), SILENT), None);
    }

    #[test]
    fn what_is_due_and_not_confirmed_is_in_vain_though_the_loop_turns() {
        let mut life = Life::default();
        let now = clock::reading().boot;
        assert_eq!(life.changed_at(now, Some(7), SILENT), None);
        life.is_due = true;
        assert_eq!(life.changed_at(now, Some(7), SILENT), Some(true));
        life.is_due = false;
        assert_eq!(life.changed_at(now, Some(7), SILENT), Some(false));
    }

    #[test]
    fn what_is_read_is_a_sign_of_life_until_the_loop_turns() {
        let heartbeat = Heartbeat::default();
        heartbeat.progress();
        assert!(heartbeat.last() > 0);
        heartbeat.turn();
        let turned = heartbeat.last();
        while clock::reading().boot <= turned {
            std::thread::yield_now();
        }
        heartbeat.progress();
        assert_eq!(heartbeat.last(), turned, "people read the record of a loop that hangs, too");
        heartbeat.begin();
        assert!(heartbeat.last() > turned);
    }
}

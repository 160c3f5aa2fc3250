//! Which confirm a returned message belongs to. Pure.
//!
//! The broker sends the return before the confirm, and lapin keeps returns in one queue per channel and gives the oldest
//! to whichever confirm comes next. So a return is matched by its `message_id`, exchange and routing key (publishers of several
//! sources may have the same id in flight, of messages that go to different places); and a confirm that was given another
//! message's return is held until either its own turns up or all that were in flight with it have ended, for by then
//! every return that was before it in the queue has been given out.

use super::refused_routes::Routed;
use std::collections::HashMap;

/// The return that came with a confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Brought {
    /// No return: the queue of returns was empty, so this one's own is known by now, or there is none.
    Nothing,
    /// Its own return, or another's, noted by [`Returns::note`] before.
    AReturn,
}

/// Returns seen, and confirms that wait for theirs.
#[derive(Debug, Default)]
pub(super) struct Returns {
    /// Exchange and routing key of each, by the id of its message.
    seen: HashMap<String, Vec<(String, String)>>,
    held: Vec<HeldConfirm>,
}

#[derive(Debug)]
struct HeldConfirm {
    token: u64,
    message_id: String,
    routed: Routed,
    until: u64,
}

impl Returns {
    /// A return was seen. All of a batch are noted before any confirm of the batch is judged.
    pub(super) fn note(&mut self, message_id: &str, exchange: &str, key: &str) {
        let routes = self.seen.entry(message_id.to_owned()).or_default();
        routes.push((exchange.to_owned(), key.to_owned()));
    }

    /// Whether the confirmed publishing was returned; `None` when that is not known yet, and it is held. `newest` is the
    /// number of the newest publishing in flight.
    pub(super) fn judge(
        &mut self,
        token: u64,
        message_id: String,
        routed: &Routed,
        brought: Brought,
        newest: u64,
    ) -> Option<bool> {
        if self.take(&message_id, routed) {
            return Some(true);
        }
        if brought == Brought::Nothing {
            return Some(false);
        }
        self.held.push(HeldConfirm { token, message_id, routed: routed.clone(), until: newest });
        None
    }

    /// Forgets the return of a publishing that is settled without it.
    pub(super) fn forget(&mut self, message_id: &str, routed: &Routed) {
        self.take(message_id, routed);
    }

    /// Whether any confirm is held.
    pub(super) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Those held that are known now: (token, returned). `oldest` is the number of the oldest publishing in flight, `None`
    /// if there is none.
    pub(super) fn release(&mut self, oldest: Option<u64>) -> Vec<(u64, bool)> {
        let mut known = Vec::new();
        for held in std::mem::take(&mut self.held) {
            if self.take(&held.message_id, &held.routed) {
                known.push((held.token, true));
            } else if oldest.is_none_or(|oldest| oldest > held.until) {
                known.push((held.token, false));
            } else {
                self.held.push(held);
            }
        }
        known
    }

    fn take(&mut self, message_id: &str, routed: &Routed) -> bool {
        let Some(routes) = self.seen.get_mut(message_id) else { return false };
        let is_ours =
            |(exchange, key): &(String, String)| *exchange == *routed.exchange && key == routed.key.as_str();
        let Some(ours) = routes.iter().position(is_ours) else { return false };
        routes.swap_remove(ours);
        if routes.is_empty() {
            self.seen.remove(message_id);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(key: &str) -> Routed {
        Routed { exchange: "events".into(), key: key.into(), size: 0 }
    }

    fn note(returns: &mut Returns, message_id: &str) {
        returns.note(message_id, "events", "a");
    }

    fn judge(
        returns: &mut Returns,
        token: u64,
        message_id: &str,
        brought: Brought,
        newest: u64,
    ) -> Option<bool> {
        returns.judge(token, message_id.into(), &routed("a"), brought, newest)
    }

    #[test]
    fn a_return_is_matched_by_id_whichever_confirm_brought_it() {
        let mut returns = Returns::default();
        // 1 is confirmed and brings the return of 2; 2 is confirmed and brings nothing.
        note(&mut returns, "two");
        assert_eq!(judge(&mut returns, 1, "one", Brought::AReturn, 2), None);
        assert_eq!(judge(&mut returns, 2, "two", Brought::Nothing, 2), Some(true));
        assert_eq!(returns.release(None), [(1, false)]);
        assert!(!returns.holds());
    }

    #[test]
    fn a_confirm_with_anothers_return_waits_for_its_own() {
        let mut returns = Returns::default();
        // 1 brings the return of 2, and its own is still in the queue.
        note(&mut returns, "two");
        assert_eq!(judge(&mut returns, 1, "one", Brought::AReturn, 3), None);
        assert_eq!(returns.release(Some(2)), []);
        note(&mut returns, "one");
        assert_eq!(returns.release(Some(3)), [(1, true)]);
        assert_eq!(judge(&mut returns, 2, "two", Brought::AReturn, 3), Some(true));
    }

    #[test]
    fn what_was_not_returned_is_known_when_all_that_were_in_flight_have_ended() {
        let mut returns = Returns::default();
        note(&mut returns, "other");
        assert_eq!(judge(&mut returns, 1, "one", Brought::AReturn, 5), None);
        assert_eq!(returns.release(Some(5)), []);
        assert_eq!(returns.release(Some(6)), [(1, false)]);
    }

    #[test]
    fn of_one_id_in_flight_twice_the_one_is_returned_that_went_to_that_route() {
        let mut returns = Returns::default();
        returns.note("one", "events", "nowhere");
        assert_eq!(returns.judge(1, "one".into(), &routed("somewhere"), Brought::Nothing, 2), Some(false));
        assert_eq!(returns.judge(2, "one".into(), &routed("nowhere"), Brought::AReturn, 2), Some(true));
        // the same with one that is held meanwhile
        returns.note("one", "events", "nowhere");
        assert_eq!(returns.judge(3, "one".into(), &routed("somewhere"), Brought::AReturn, 4), None);
        assert_eq!(returns.release(Some(4)), []);
        assert_eq!(returns.judge(4, "one".into(), &routed("nowhere"), Brought::Nothing, 4), Some(true));
        assert_eq!(returns.release(None), [(3, false)]);
        assert!(returns.seen.is_empty());
    }
}

//! Messages that can't be read: decides how many times they are taken again at once. The broker counts each time, so that they
//! are dead-lettered in the end. All that is known of such a message is how many others are in its queue. A quorum queue
//! delivers returned messages in turn: if several can't be read, each is taken that often before the first is dead.

/// How often a message is taken again at once: more than the delivery limit of a work queue.
const MOST: u32 = 100;
/// The most messages of a queue that are taken for unreadable.
const MESSAGES: u64 = 100;

/// The unreadable messages of a queue, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// In a row, since the last time that one of them was gone.
    times: u32,
    /// How many were ready when it was looked last, …
    looked: Option<u64>,
    /// … and the fewest that were there in two looks, one after the other.
    fewest: Option<u64>,
}

impl Unread {
    /// Whether the last one could not be read: then the next is taken with care.
    pub(super) fn is_at_it(&self) -> bool {
        self.times > 0
    }

    /// Whether this is the second time: the first time it may have been another's, on a connection that was shared.
    pub(super) fn is_certain(&self) -> bool {
        self.times == 2
    }

    /// One could not be read; whether to take it again at once.
    pub(super) fn failed(&mut self) -> bool {
        self.times = self.times.saturating_add(1);
        let messages = self.looked.unwrap_or(1).clamp(1, MESSAGES);
        u64::from(self.times) <= u64::from(MOST) * messages
    }

    /// Notes how many are ready. If they are fewer than ever, one is gone, and the count starts again.
    ///
    /// One that the broker is about to put back is missing for a moment: so what counts is seen twice.
    pub(super) fn looked(&mut self, ready: u64) {
        let Some(before) = self.looked.replace(ready) else { return };
        let ready = ready.max(before);
        if self.fewest.is_some_and(|fewest| ready < fewest) {
            self.times = 1;
        }
        self.fewest = Some(self.fewest.map_or(ready, |fewest| fewest.min(ready)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `count` messages are taken at once until all are dead, in turn or one after the other; `hidden` says at which
    /// times the broker has not yet put back the one that was taken.
    fn all_at_once(count: u64, in_turn: bool, hidden: impl Fn(u64) -> bool) -> bool {
        let (mut unread, mut all) = (Unread::default(), true);
        for time in 0..count * 50 {
            let gone = if in_turn { (time + count).saturating_sub(count * 50) } else { time / 50 };
            unread.looked(count - gone - u64::from(hidden(time)));
            all &= unread.failed();
        }
        all
    }

    #[test]
    fn several_messages_are_each_taken_until_they_are_dead() {
        for in_turn in [true, false] {
            for count in [1, 3, 90] {
                assert!(all_at_once(count, in_turn, |_| false));
                assert!(all_at_once(count, in_turn, |time| time % 2 == 1), "missing in every other look");
            }
            assert!(all_at_once(90, in_turn, |_| true), "missing always");
        }
    }

    #[test]
    fn one_that_stays_is_left_alone_for_a_while_in_the_end() {
        for (others, tries) in [(0, 100), (7, 800), (1_000_000, 10_000)] {
            let mut unread = Unread::default();
            let at_once = (0..20_000).take_while(|time| {
                unread.looked(others + 1 + u64::from(time % 3 == 0));
                unread.failed()
            });
            assert!((tries..=2 * tries + 2).contains(&at_once.count()), "{others}");
            assert!(unread.is_at_it());
        }
    }
}

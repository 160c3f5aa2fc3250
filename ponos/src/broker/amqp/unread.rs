//! Messages that can't be read, one after the other: how often each is taken again at once, which has the broker count, so
//! that it is dead in the end. Nothing of such a message is known but how many are in its queue.

/// So often a message is taken again at once: more than the delivery limit of a work queue.
const MOST: u32 = 100;

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// In a row, of the one that is at the head of the queue as far as can be seen.
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

    /// Whether this is the second time for the one at the head: the first time it may have been another's, on a connection
    /// that was shared.
    pub(super) fn is_certain(&self) -> bool {
        self.times == 2
    }

    /// One could not be read; whether to take it again at once.
    pub(super) fn failed(&mut self) -> bool {
        self.times = self.times.saturating_add(1);
        self.times <= MOST
    }

    /// So many are ready. If they are fewer than ever, the one at the head is gone, and the next has its own count.
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

    /// How many of `count` messages were taken at once each time, with `hidden` saying whether the broker had put back the
    /// one at the head when it was looked.
    fn at_once(count: u64, hidden: impl Fn(u32) -> bool) -> bool {
        let (mut unread, mut all) = (Unread::default(), true);
        for left in (1..=count).rev() {
            for time in 0..50 {
                unread.looked(left - u64::from(hidden(time)));
                all &= unread.failed();
            }
        }
        all
    }

    #[test]
    fn each_message_has_a_count_of_its_own() {
        assert!(at_once(20, |_| false));
        assert!(at_once(20, |time| time % 2 == 1), "missing in every other look");
        assert!(at_once(20, |_| true), "missing always");
    }

    #[test]
    fn one_that_stays_is_left_alone_for_a_while_in_the_end() {
        let mut unread = Unread::default();
        let tries = (0..1_000).take_while(|time| {
            unread.looked(7 + u64::from(time % 3 == 0));
            unread.failed()
        });
        assert!((100..=102).contains(&tries.count()));
        assert!(unread.is_at_it());
    }
}

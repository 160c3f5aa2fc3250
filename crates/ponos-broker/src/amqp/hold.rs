//! How long the acks are held before a subscription is cancelled: until its channel is quiet, but not for long. Pure.

use std::time::Duration;
use tokio::time::Instant;

/// After this long without a delivery, none is on its way.
const QUIET: Duration = Duration::from_millis(100);
/// A queue that is published to all the time never lets the channel be quiet. So the subscription is cancelled after this
/// long all the same; then the few deliveries on their way may come back.
const LONGEST: Duration = Duration::from_millis(300);

/// When something came last, and since when the acks are held.
#[derive(Debug)]
pub(super) struct AckHold {
    stirred: Instant,
    since: Option<Instant>,
}

impl AckHold {
    /// Of a channel on which nothing has come yet.
    pub(super) fn new(now: Instant) -> Self {
        Self { stirred: now, since: None }
    }

    /// Something was delivered.
    pub(super) fn stir(&mut self, now: Instant) {
        self.stirred = now;
    }

    /// Ends it, and says since when it was.
    pub(super) fn take(&mut self) -> Option<Instant> {
        self.since.take()
    }

    /// Begins it, or goes on with one of `since` (see [`Self::take`]), if something may be on its way.
    pub(super) fn holds(&mut self, since: Option<Instant>, now: Instant) -> bool {
        let quiet_for = now.saturating_duration_since(self.stirred);
        if since.is_none() && quiet_for < QUIET {
            // acks that were sent just now may make more come
            self.stirred = now;
        }
        let since = since.unwrap_or(now);
        self.since = Some(since).filter(|since| now < self.end(*since));
        self.since.is_some()
    }

    /// Until when, if nothing comes.
    pub(super) fn until(&self) -> Option<Instant> {
        self.since.map(|since| self.end(since))
    }

    fn end(&self, since: Instant) -> Instant {
        (self.stirred + QUIET).min(since + LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn it_ends_when_nothing_came_for_a_while() {
        let start = Instant::now();
        let mut hold = AckHold::new(start);
        assert!(hold.holds(None, start + millis(50)) && hold.until() == Some(start + millis(150)));
        hold.stir(start + millis(120));
        let since = hold.take();
        assert!(hold.holds(since, start + millis(150)) && hold.until() == Some(start + millis(220)));
        let since = hold.take();
        assert!(!hold.holds(since, start + millis(220)) && hold.until().is_none());
        // quiet already
        assert!(!AckHold::new(start).holds(None, start + millis(100)));
    }

    #[test]
    fn it_ends_soon_though_something_comes_all_the_time() {
        let start = Instant::now();
        let mut hold = AckHold::new(start);
        let (mut now, mut since) = (start, None);
        while hold.holds(since, now) {
            now += millis(66);
            hold.stir(now);
            assert!(hold.until() <= Some(start + millis(300)), "15 a second keep it: {:?}", hold.until());
            since = hold.take();
        }
        assert!(now > start + millis(200), "{:?}", now - start);
    }
}

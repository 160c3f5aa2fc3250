//! When a confirm channel on which something was refused gives way to another one. Pure.
//!
//! RabbitMQ 3.10 asks the node that leads a quorum queue about each channel that publishes to the queue for the first time. A channel
//! that does so while the leader's node is gone, and no other leads yet, goes on to ask that node: it refuses all that is published to
//! that queue until the node is back, though the queue has long had another leader. On a new channel it works. Nothing tells such a
//! refusal from that of a full queue, so that after any the channel is replaced, and less and less often where the next ones refuse, too.

use std::time::Duration;
use tokio::time::Instant;

/// The least life of a channel that refuses; twice as long for each in a row, up to
const SHORTEST: Duration = Duration::from_secs(1);
/// this.
const LONGEST: Duration = Duration::from_mins(1);
/// So long one that is to be replaced is given nothing more, so that all that is outstanding on it is answered. Then it goes on for the
/// rest of a minute: what gets no answer at all, of a queue without a leader, must not hold up what goes to others.
const DRAINING: Duration = Duration::from_secs(5);

/// What was refused on a channel.
#[derive(Debug, Default)]
pub(super) struct Nacks {
    /// Since when the channel is there.
    begun: Option<Instant>,
    /// Since when it refuses something.
    refuses: Option<Instant>,
    /// Channels in a row that were replaced.
    in_a_row: u32,
}

impl Nacks {
    /// A channel is there.
    pub(super) fn begins(&mut self, now: Instant) {
        (self.begun, self.refuses) = (Some(now), None);
    }

    /// Something was refused.
    pub(super) fn nacked(&mut self, now: Instant) {
        self.refuses.get_or_insert(now);
    }

    /// Whether another channel is to take the place of this one.
    pub(super) fn want_another(&self, now: Instant) -> bool {
        self.wanted_for(now).is_some()
    }

    /// Whether this one is given nothing more for now, so that another one can take its place.
    pub(super) fn drains(&self, now: Instant) -> bool {
        self.wanted_for(now).is_some_and(|wanted| wanted.as_secs() % LONGEST.as_secs() < DRAINING.as_secs())
    }

    /// For how long another one has been wanted.
    fn wanted_for(&self, now: Instant) -> Option<Duration> {
        now.checked_duration_since(self.refuses?.max(self.begun? + self.life()))
    }

    /// It is given up for another one. One that lived on beyond its time worked until then.
    pub(super) fn replaced(&mut self, now: Instant) {
        let lived = self.begun.map_or(Duration::ZERO, |begun| now.saturating_duration_since(begun));
        let worked = lived >= LONGEST + self.life();
        self.in_a_row = if worked { 0 } else { self.in_a_row.saturating_add(1) };
        (self.begun, self.refuses) = (None, None);
    }

    fn life(&self) -> Duration {
        SHORTEST.saturating_mul(2_u32.saturating_pow(self.in_a_row)).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A channel that refuses at once; how long it lived.
    fn lives(nacks: &mut Nacks, now: &mut Instant) -> u64 {
        nacks.begins(*now);
        assert!(!nacks.want_another(*now + 3_600 * SECOND), "nothing was refused");
        nacks.nacked(*now);
        let begun = *now;
        while !nacks.want_another(*now) {
            *now += SECOND;
        }
        nacks.replaced(*now);
        assert!(!nacks.want_another(*now + 3_600 * SECOND), "none is there");
        (*now - begun).as_secs()
    }

    #[test]
    fn channels_that_refuse_are_replaced_less_and_less_often() {
        let (mut nacks, mut now) = (Nacks::default(), Instant::now());
        let lived: Vec<u64> = (0..9).map(|_| lives(&mut nacks, &mut now)).collect();
        assert_eq!(lived, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn after_one_that_worked_for_long_a_refusal_is_looked_into_soon() {
        let (mut nacks, mut now) = (Nacks::default(), Instant::now());
        assert!((0..8).map(|_| lives(&mut nacks, &mut now)).sum::<u64>() > 100);
        nacks.begins(now);
        now += 121 * SECOND;
        nacks.nacked(now);
        assert!(nacks.want_another(now));
        nacks.replaced(now);
        assert_eq!(lives(&mut nacks, &mut now), 1);
    }

    #[test]
    fn what_gets_no_answer_holds_up_the_rest_for_a_few_seconds_of_each_minute() {
        let (mut nacks, start) = (Nacks::default(), Instant::now());
        nacks.begins(start);
        nacks.nacked(start + 10 * SECOND);
        let draining: Vec<u32> =
            (0..80_u32).filter(|second| nacks.drains(start + *second * SECOND)).collect();
        assert_eq!(draining, [10, 11, 12, 13, 14, 70, 71, 72, 73, 74]);
        assert!(nacks.want_another(start + 20 * SECOND), "as soon as nothing is outstanding");
    }
}

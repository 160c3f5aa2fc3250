//! Answers that the broker has not confirmed yet, and whose they are. Pure: the time is an argument.
//!
//! A command is the broker's until its answer is confirmed, and where that goes is up to its sender: to a queue that confirms nothing,
//! say. So an owner has a share of these, too, whatever they answer; what is beyond it is given up soon.

use super::turns::SHARE;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// How long an answer beyond the share of its owner waits to be confirmed; who has a share of those that waited so long gets no more.
pub(super) const BRIEFLY: Duration = Duration::from_secs(1);

/// Whose a command is; all users who are not known are one.
type Whose = Option<Arc<str>>;

/// Answers, in the order in which they were sent. Bounded by what is taken from the queue and not settled, or not answered.
#[derive(Debug, Default)]
pub(super) struct Unconfirmed(VecDeque<Answer>);

#[derive(Debug)]
struct Answer {
    /// Of the command.
    number: u64,
    whose: Whose,
    since: Instant,
}

impl Answer {
    fn is_late(&self, now: Instant) -> bool {
        self.since + BRIEFLY <= now
    }
}

impl Unconfirmed {
    /// The command of this number is answered.
    pub(super) fn sent(&mut self, number: u64, whose: Whose, now: Instant) {
        self.0.push_back(Answer { number, whose, since: now });
    }

    /// Its answer is confirmed, or given up.
    pub(super) fn heard(&mut self, number: u64) {
        self.0.retain(|answer| answer.number != number);
    }

    /// Whether a share of this owner's was not confirmed for a while: one more is of no use.
    pub(super) fn is_unheard(&self, whose: &Whose, now: Instant) -> bool {
        self.0.iter().filter(|answer| answer.whose == *whose && answer.is_late(now)).count() >= SHARE
    }

    /// Those beyond the shares of their owners that were not confirmed for a while.
    pub(super) fn late(&self, now: Instant) -> Vec<u64> {
        self.beyond().filter(|answer| answer.is_late(now)).map(|answer| answer.number).collect()
    }

    /// When there is one more of them.
    pub(super) fn next_late(&self) -> Option<Instant> {
        self.beyond().map(|answer| answer.since + BRIEFLY).min()
    }

    fn beyond(&self) -> impl Iterator<Item = &Answer> {
        let mut counts: HashMap<&Whose, usize> = HashMap::new();
        self.0.iter().filter(move |answer| {
            let count = counts.entry(&answer.whose).or_default();
            *count += 1;
            *count > SHARE
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose(owner: &str) -> Whose {
        Some(owner.into())
    }

    #[test]
    fn answers_beyond_a_share_are_given_up_soon_and_those_of_others_wait() {
        let (mut answers, now) = (Unconfirmed::default(), Instant::now());
        let last = SHARE as u64 + 3;
        for number in 1..=last {
            answers.sent(number, whose("a"), now);
        }
        answers.sent(last + 1, whose("b"), now);
        answers.sent(last + 2, None, now);
        let unheard = |answers: &Unconfirmed, now| {
            [whose("a"), whose("b"), None].map(|of| answers.is_unheard(&of, now))
        };
        assert_eq!(answers.next_late(), Some(now + BRIEFLY));
        assert!(answers.late(now + BRIEFLY / 2).is_empty());
        assert_eq!(unheard(&answers, now + BRIEFLY / 2), [false; 3]);
        assert_eq!(answers.late(now + BRIEFLY), [last - 2, last - 1, last]);
        assert_eq!(unheard(&answers, now + BRIEFLY), [true, false, false]);
        for number in [1, last - 2, last - 1, last] {
            answers.heard(number);
        }
        assert_eq!((answers.next_late(), unheard(&answers, now + BRIEFLY)), (None, [false; 3]));
    }

    #[test]
    fn users_who_are_not_known_have_one_share() {
        let (mut answers, now) = (Unconfirmed::default(), Instant::now());
        for number in 0..=SHARE as u64 {
            answers.sent(number, None, now);
        }
        assert_eq!(answers.late(now + BRIEFLY), [SHARE as u64]);
        assert!(answers.is_unheard(&None, now + BRIEFLY));
    }
}

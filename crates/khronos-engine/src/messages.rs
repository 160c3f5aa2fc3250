//! Messages that were answered: one that comes again gets the answer that it got, and undoes nothing that came after it.
//!
//! An answer is kept for 24 hours, in the same write as what it tells of; also what was refused is kept, and what changed
//! nothing: later it might change something. No answer is forgotten earlier, however many messages come: a message is refused
//! where there is no room for its answer. An owner's answers take no more room than they leave to all others together: an
//! owner alone has half a million answers and verdicts, which is 250,000 messages with one change each, or three a second
//! all day. Those with long texts count as more.

use super::{Digest, Verdict, portions::Portions};
use ponos_event::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// Owner and message id.
pub type MessageKey = (Arc<str>, Arc<str>);

/// How long an answer is kept (24 hours, in milliseconds).
pub(super) const KEPT: i64 = 24 * 60 * 60 * 1_000;
/// Answers and their verdicts that are kept at most: some 150 MB.
pub(super) const MOST: usize = if cfg!(test) { 400 } else { 1_000_000 };
/// So many bytes of text in them count as one more.
const BYTES: usize = 150;
/// Of those that are older, so many go with each that comes: more than it adds.
const LOOKED_AT: usize = 4;

/// A message that was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// Of what it asked for.
    pub digest: Digest,
    /// What became of that, change by change.
    pub verdicts: Vec<Verdict>,
    /// When.
    pub at: Timestamp,
    /// Higher than that of whatever was answered before: a clock that was set back shows another order.
    pub number: u64,
}

impl Answered {
    fn weight(&self, id: &str) -> usize {
        let bytes = id.len() + self.verdicts.iter().map(Verdict::text_bytes).sum::<usize>();
        weight(self.verdicts.len()) + bytes / BYTES
    }
}

fn weight(verdicts: usize) -> usize {
    1 + verdicts
}

#[derive(Debug, Default)]
pub(super) struct Messages {
    all: HashMap<MessageKey, Answered>,
    /// The oldest first; none is older than the one before.
    order: VecDeque<MessageKey>,
    weights: Portions,
    last: u64,
}

impl Messages {
    /// Those that were kept, none of them later than now.
    pub(super) fn new(mut kept: Vec<(MessageKey, Answered)>, now: Timestamp) -> Self {
        kept.sort_by_key(|(_, answered)| answered.number);
        let mut this = Self::default();
        for (key, answered) in kept {
            this.keep(key, answered);
        }
        // Those before a step back may say that they are later than those after it.
        let mut latest = now;
        for key in this.order.iter().rev() {
            let Some(answered) = this.all.get_mut(key) else { continue };
            answered.at = answered.at.min(latest);
            latest = answered.at;
        }
        this
    }

    pub(super) fn get(&self, key: &MessageKey) -> Option<&Answered> {
        self.all.get(key)
    }

    /// Whether there is room for the answer to one more message of this owner.
    pub(super) fn has_room(&self, owner: &str, verdicts: usize) -> bool {
        self.weights.has_room(owner, weight(verdicts), MOST)
    }

    /// A message is answered: what is to be kept of it.
    pub(super) fn insert(
        &mut self,
        key: MessageKey,
        digest: Digest,
        verdicts: Vec<Verdict>,
        at: Timestamp,
    ) -> Answered {
        let answered = Answered { digest, verdicts, at, number: self.last + 1 };
        self.keep(key, answered.clone());
        answered
    }

    fn keep(&mut self, key: MessageKey, answered: Answered) {
        self.last = self.last.max(answered.number);
        self.weights.add(&key.0, answered.weight(&key.1));
        match self.all.insert(key.clone(), answered) {
            Some(before) => self.weights.remove(&key.0, before.weight(&key.1)),
            None => self.order.push_back(key),
        }
    }

    /// Forgets those that are too old, a few at a time.
    pub(super) fn forget(&mut self, now: Timestamp) -> Vec<MessageKey> {
        let mut forgotten = Vec::new();
        while forgotten.len() < LOOKED_AT
            && let Some(key) = self.order.front()
            && let Some(oldest) = self.all.get(key)
            && now.since(oldest.at) > KEPT
        {
            self.weights.remove(&key.0, oldest.weight(&key.1));
            self.all.remove(key);
            forgotten.extend(self.order.pop_front());
        }
        forgotten
    }

    /// In how many milliseconds the oldest of all is old enough to be forgotten: before that nobody has more room.
    pub(super) fn room_in(&self, now: Timestamp) -> Option<i64> {
        let oldest = self.all.get(self.order.front()?)?;
        Some((KEPT + 1 - now.since(oldest.at)).max(0))
    }

    /// The clock goes on from here: what was answered after it is kept as long as what is answered now.
    pub(super) fn set_back(&mut self, now: Timestamp) {
        for key in self.order.iter().rev() {
            match self.all.get_mut(key).filter(|answered| answered.at > now) {
                Some(answered) => answered.at = now,
                None => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Refusal, *};

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn key(owner: &str, number: usize) -> MessageKey {
        (owner.into(), number.to_string().into())
    }

    fn verdicts(count: usize) -> Vec<Verdict> {
        vec![Verdict::GoneAlready; count]
    }

    /// As many as there is room for.
    fn flood(messages: &mut Messages, owner: &str, now: i64) -> usize {
        let numbers = 0..MOST;
        let taken = numbers.take_while(|number| {
            let room = messages.has_room(owner, 1);
            if room {
                messages.insert(key(owner, *number), [0; 32], verdicts(1), at(now));
            }
            room
        });
        taken.count()
    }

    #[test]
    fn nobody_drives_out_what_another_one_was_answered() {
        let mut messages = Messages::default();
        messages.insert(key("billing", 1), [1; 32], verdicts(1), at(0));
        let flooded = flood(&mut messages, "ops", 1);
        assert_eq!(flooded, MOST / 4 - 1);
        assert_eq!(messages.forget(at(KEPT)), [] as [MessageKey; 0]);
        assert_eq!((messages.room_in(at(1)), messages.room_in(at(2 * KEPT))), (Some(KEPT), Some(0)));
        assert!(messages.get(&key("billing", 1)).is_some() && messages.get(&key("ops", 0)).is_some());
        assert!(!messages.has_room("ops", 1) && messages.has_room("billing", 1));
        // Those of the other one are older first.
        assert_eq!(messages.forget(at(KEPT + 1)), [key("billing", 1)]);
        assert_eq!(messages.forget(at(KEPT + 2)).len(), LOOKED_AT);
        assert!(messages.has_room("ops", 1));
        let mut forgotten = 1 + LOOKED_AT;
        while let gone @ 1.. = messages.forget(at(KEPT + 2)).len() {
            forgotten += gone;
        }
        assert_eq!((forgotten, messages.all.len(), messages.order.len()), (flooded + 1, 0, 0));
    }

    #[test]
    fn answers_with_long_texts_leave_room_for_fewer() {
        let flooded = |text: usize| {
            let mut messages = Messages::default();
            let faults: Arc<str> = "x".repeat(text).into();
            let invalid = || vec![Verdict::Refused(Refusal::Invalid { faults: faults.clone() })];
            let taken = (0..MOST).take_while(|number| {
                let room = messages.has_room("ops", 1);
                if room {
                    messages.insert(key("ops", *number), [0; 32], invalid(), at(0));
                }
                room
            });
            let taken = taken.count();
            while !messages.forget(at(KEPT + 1)).is_empty() {}
            assert_eq!(messages.weights.of("ops"), 0);
            taken
        };
        // Each is an answer, a verdict, and two more or none.
        assert_eq!((flooded(100), flooded(2 * BYTES)), (MOST / 4, MOST / 8));
    }

    #[test]
    fn after_a_step_back_the_oldest_go_first_and_none_is_kept_for_longer_than_a_day() {
        let mut messages = Messages::default();
        messages.insert(key("a", 1), [0; 32], verdicts(1), at(10 * KEPT));
        messages.insert(key("a", 2), [0; 32], verdicts(1), at(10 * KEPT));
        let before: Vec<_> = messages.all.clone().into_iter().collect();
        messages.set_back(at(5));
        messages.insert(key("a", 3), [0; 32], verdicts(1), at(7));
        let newest = (key("a", 3), messages.all[&key("a", 3)].clone());
        // As the store has them, in whatever order.
        let mut restarted = Messages::new([newest].into_iter().chain(before).collect(), at(8));
        for messages in [&mut messages, &mut restarted] {
            assert_eq!(messages.forget(at(5 + KEPT)), [] as [MessageKey; 0]);
            assert_eq!(messages.forget(at(8 + KEPT)), [1, 2, 3].map(|number| key("a", number)));
            assert_eq!(messages.insert(key("a", 4), [0; 32], verdicts(1), at(9)).number, 4);
        }
    }
}

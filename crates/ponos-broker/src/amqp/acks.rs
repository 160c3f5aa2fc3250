//! Acks in as few frames as possible: everything up to the oldest unsettled delivery in one, stragglers singly. Pure.

use std::collections::VecDeque;

/// The deliveries of one channel from the oldest that is unsettled or still to be acked: at most its prefetch are out.
#[derive(Debug)]
pub(super) struct Acks {
    /// The tag of the first entry; a channel's tags count up from one.
    first: u64,
    entries: VecDeque<AckState>,
    outstanding: usize,
    waiting: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AckState {
    Outstanding,
    Acked,
    /// Acked before the last flush of late ones, and beyond an older delivery that is still at work.
    Late,
    /// The broker knows it.
    Settled,
}

/// Which acks to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flush {
    /// Everything up to the oldest unsettled delivery, which one frame can ack.
    Together,
    /// Also what is beyond it and waited for such a flush before.
    Late,
    /// All.
    All,
}

/// One frame to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ack {
    /// The delivery's tag.
    pub(super) tag: u64,
    /// All up to it as well.
    pub(super) multiple: bool,
}

impl Default for Acks {
    fn default() -> Self {
        Self { first: 1, entries: VecDeque::new(), outstanding: 0, waiting: 0 }
    }
}

impl Acks {
    /// A delivery came. False if others before it did not: a frame for several would ack what nobody has seen.
    pub(super) fn delivered(&mut self, tag: u64) -> bool {
        if self.first + self.entries.len() as u64 != tag {
            return false;
        }
        self.entries.push_back(AckState::Outstanding);
        self.outstanding += 1;
        true
    }

    /// A delivery is done with, to be acked at a flush. False for one that is unknown or settled already.
    pub(super) fn ack(&mut self, tag: u64) -> bool {
        let known = self.end(tag, AckState::Acked);
        self.waiting += usize::from(known);
        known
    }

    /// A delivery is settled otherwise. False for one that is unknown or settled already.
    pub(super) fn settle(&mut self, tag: u64) -> bool {
        let known = self.end(tag, AckState::Settled);
        while self.entries.front() == Some(&AckState::Settled) {
            self.pop();
        }
        known
    }

    fn end(&mut self, tag: u64, state: AckState) -> bool {
        let at = tag.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        let entry = at.and_then(|at| self.entries.get_mut(at));
        let Some(entry) = entry.filter(|entry| **entry == AckState::Outstanding) else { return false };
        *entry = state;
        self.outstanding -= 1;
        true
    }

    fn pop(&mut self) {
        self.entries.pop_front();
        self.first += 1;
    }

    /// How many acks wait for a flush.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many are not settled here.
    pub(super) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// How many the broker counts as out.
    pub(super) fn unsettled(&self) -> usize {
        self.outstanding + self.waiting
    }

    /// Whether all deliveries are settled: the broker may be waiting for us.
    pub(super) fn is_idle(&self) -> bool {
        self.outstanding == 0
    }

    /// The frames to send now: one for all up to the oldest unsettled delivery, and single ones as `which` says.
    pub(super) fn flush(&mut self, which: Flush) -> Vec<Ack> {
        let mut last = None;
        while let Some(state) = self.entries.front().filter(|state| **state != AckState::Outstanding) {
            // the frame names one that the broker still waits for
            if *state != AckState::Settled {
                last = Some(self.first);
                self.waiting -= 1;
            }
            self.pop();
        }
        let mut frames: Vec<Ack> = last.into_iter().map(|tag| Ack { tag, multiple: true }).collect();
        if which == Flush::Together || self.waiting == 0 {
            return frames;
        }
        for (tag, state) in (self.first..).zip(&mut self.entries) {
            match state {
                AckState::Acked if which == Flush::Late => *state = AckState::Late,
                AckState::Acked | AckState::Late => {
                    *state = AckState::Settled;
                    self.waiting -= 1;
                    frames.push(Ack { tag, multiple: false });
                }
                AckState::Outstanding | AckState::Settled => {}
            }
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn upto(tag: u64) -> Ack {
        Ack { tag, multiple: true }
    }

    fn only(tag: u64) -> Ack {
        Ack { tag, multiple: false }
    }

    #[test]
    fn what_is_contiguous_goes_in_one_frame_and_stragglers_singly_when_they_are_late() {
        let mut acks = Acks::default();
        (1..=6).for_each(|tag| assert!(acks.delivered(tag)));
        assert!(acks.ack(2) && acks.ack(1) && acks.ack(4) && acks.ack(5));
        assert_eq!(acks.flush(Flush::Together), [upto(2)]);
        assert_eq!(acks.flush(Flush::Late), []);
        assert_eq!(acks.flush(Flush::Together), []);
        assert_eq!(acks.waiting(), 2);
        assert_eq!(acks.flush(Flush::Late), [only(4), only(5)]);
        assert!(acks.ack(6));
        assert_eq!(acks.flush(Flush::All), [only(6)]);
        assert!(acks.ack(3));
        assert_eq!(acks.flush(Flush::Together), [upto(3)]);
        assert!(acks.is_idle() && acks.waiting() == 0);
    }

    #[test]
    fn a_straggler_whose_elders_are_done_joins_the_one_frame() {
        let mut acks = Acks::default();
        (1..=3).for_each(|tag| assert!(acks.delivered(tag)));
        assert!(acks.ack(2));
        assert_eq!(acks.flush(Flush::Late), []);
        assert!(acks.ack(1));
        assert_eq!(acks.flush(Flush::Together), [upto(2)]);
        assert!(acks.ack(3));
        assert_eq!(acks.flush(Flush::All), [upto(3)]);
    }

    #[test]
    fn nothing_is_settled_twice_and_nothing_unknown_is() {
        let mut acks = Acks::default();
        assert!(acks.delivered(1) && !acks.delivered(3));
        assert!(!acks.ack(2));
        assert!(acks.settle(1));
        assert!(!acks.ack(1) && !acks.settle(1));
        assert_eq!(acks.flush(Flush::All), []);
        assert!(acks.is_idle() && acks.entries.is_empty());
    }

    proptest! {
        #[test]
        fn every_ack_is_sent_once_and_no_frame_covers_what_is_unsettled(
            steps in proptest::collection::vec((0_u8..6, 0_u64..40), 1..200)
        ) {
            let mut acks = Acks::default();
            let (mut next, mut unsettled, mut acked) = (1, BTreeSet::new(), BTreeSet::new());
            let mut told = BTreeSet::new();
            let mut check = |frames: Vec<Ack>, unsettled: &BTreeSet<u64>, acked: &BTreeSet<u64>| {
                for frame in frames {
                    if frame.multiple {
                        assert!(unsettled.first().is_none_or(|oldest| *oldest > frame.tag));
                        let covered: Vec<u64> = acked.range(..=frame.tag).copied().collect();
                        let before = told.len();
                        told.extend(covered);
                        assert!(told.len() > before, "a frame for nothing");
                    } else {
                        assert!(acked.contains(&frame.tag) && told.insert(frame.tag), "sent twice");
                    }
                }
                told.len()
            };
            for (what, tag) in steps {
                match what {
                    0 => { assert!(acks.delivered(next)); unsettled.insert(next); next += 1; }
                    1 => if acks.ack(tag) { assert!(unsettled.remove(&tag)); acked.insert(tag); },
                    2 => if acks.settle(tag) { assert!(unsettled.remove(&tag)); },
                    3 => { check(acks.flush(Flush::Together), &unsettled, &acked); }
                    4 => { check(acks.flush(Flush::Late), &unsettled, &acked); }
                    _ => { check(acks.flush(Flush::All), &unsettled, &acked); }
                }
            }
            prop_assert_eq!(check(acks.flush(Flush::All), &unsettled, &acked), acked.len());
        }
    }
}

//! Acks in as few frames as possible: everything up to the oldest unsettled delivery in one, stragglers singly. Pure.

use std::collections::BTreeSet;

/// The deliveries of one channel. At most its prefetch are outstanding or kept here.
#[derive(Debug, Default)]
pub(super) struct Acks {
    outstanding: BTreeSet<u64>,
    acked: BTreeSet<u64>,
    /// Acked before the last flush of late ones, and beyond an older delivery that is still at work.
    late: BTreeSet<u64>,
}

/// Which acks to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flush {
    /// What one frame can say: everything up to the oldest unsettled delivery.
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

impl Acks {
    /// A delivery came.
    pub(super) fn delivered(&mut self, tag: u64) {
        self.outstanding.insert(tag);
    }

    /// A delivery is done with, to be acked at a flush. False for one that is unknown or settled already.
    pub(super) fn ack(&mut self, tag: u64) -> bool {
        self.outstanding.remove(&tag) && self.acked.insert(tag)
    }

    /// A delivery is settled otherwise. False for one that is unknown or settled already.
    pub(super) fn settle(&mut self, tag: u64) -> bool {
        self.outstanding.remove(&tag)
    }

    /// How many acks wait for a flush.
    pub(super) fn waiting(&self) -> usize {
        self.acked.len() + self.late.len()
    }

    /// Whether all deliveries are settled: the broker may be waiting for us.
    pub(super) fn is_idle(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// What to send now: a frame for all up to the oldest unsettled delivery, and single ones as `which` says.
    pub(super) fn flush(&mut self, which: Flush) -> Vec<Ack> {
        let oldest = self.outstanding.first().copied().unwrap_or(u64::MAX);
        let (beyond, beyond_late) = (self.acked.split_off(&oldest), self.late.split_off(&oldest));
        let last = self.acked.last().max(self.late.last()).copied();
        let mut frames: Vec<Ack> = last.into_iter().map(|tag| Ack { tag, multiple: true }).collect();
        let single = |tag| Ack { tag, multiple: false };
        (self.acked, self.late) = match which {
            Flush::Together => (beyond, beyond_late),
            Flush::Late => {
                frames.extend(beyond_late.into_iter().map(single));
                (BTreeSet::new(), beyond)
            }
            Flush::All => {
                frames.extend(beyond_late.union(&beyond).copied().map(single));
                Default::default()
            }
        };
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn upto(tag: u64) -> Ack {
        Ack { tag, multiple: true }
    }

    fn only(tag: u64) -> Ack {
        Ack { tag, multiple: false }
    }

    #[test]
    fn what_is_contiguous_goes_in_one_frame_and_stragglers_singly_when_they_are_late() {
        let mut acks = Acks::default();
        (1..=6).for_each(|tag| acks.delivered(tag));
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
        (1..=3).for_each(|tag| acks.delivered(tag));
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
        acks.delivered(1);
        assert!(!acks.ack(2));
        assert!(acks.settle(1));
        assert!(!acks.ack(1) && !acks.settle(1));
        assert_eq!(acks.flush(Flush::All), []);
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
                    0 => { acks.delivered(next); unsettled.insert(next); next += 1; }
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

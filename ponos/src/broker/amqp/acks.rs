//! Acks in as few frames as possible: everything up to the oldest unsettled delivery in one, stragglers singly. Pure.

use std::collections::BTreeSet;

/// The deliveries of one channel. At most its prefetch are outstanding or kept here.
#[derive(Debug, Default)]
pub(super) struct Acks {
    outstanding: BTreeSet<u64>,
    acked: BTreeSet<u64>,
    /// Acked before the last flush, and beyond an older delivery that is still at work.
    stragglers: BTreeSet<u64>,
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
        self.acked.len() + self.stragglers.len()
    }

    /// Whether all deliveries are settled: the broker may be waiting for us.
    pub(super) fn is_idle(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// What to send now. An ack beyond an unsettled delivery is sent singly when it has waited for a flush, at once if `all`.
    pub(super) fn flush(&mut self, all: bool) -> Vec<Ack> {
        let mut due = std::mem::take(&mut self.stragglers);
        let fresh = std::mem::take(&mut self.acked);
        let (contiguous, beyond): (BTreeSet<u64>, BTreeSet<u64>) = match self.outstanding.first() {
            None => (fresh, BTreeSet::new()),
            Some(oldest) => fresh.into_iter().partition(|tag| tag < oldest),
        };
        let mut frames = Vec::new();
        let last = due
            .iter()
            .chain(&contiguous)
            .filter(|tag| self.outstanding.first() > Some(tag) || self.is_idle())
            .max();
        if let Some(&last) = last {
            due.retain(|tag| *tag > last);
            frames.push(Ack { tag: last, multiple: true });
        }
        if all {
            due.extend(beyond);
        } else {
            self.stragglers = beyond;
        }
        frames.extend(due.into_iter().map(|tag| Ack { tag, multiple: false }));
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
    fn what_is_contiguous_goes_in_one_frame_and_stragglers_singly_at_the_next_flush() {
        let mut acks = Acks::default();
        (1..=6).for_each(|tag| acks.delivered(tag));
        assert!(acks.ack(2) && acks.ack(1) && acks.ack(4) && acks.ack(5));
        assert_eq!(acks.flush(false), [upto(2)]);
        assert_eq!(acks.flush(false), [only(4), only(5)]);
        assert!(acks.ack(6) && acks.ack(3));
        assert_eq!(acks.flush(false), [upto(6)]);
        assert!(acks.is_idle() && acks.waiting() == 0);
    }

    #[test]
    fn a_straggler_whose_elders_are_done_joins_the_one_frame() {
        let mut acks = Acks::default();
        (1..=3).for_each(|tag| acks.delivered(tag));
        assert!(acks.ack(2));
        assert_eq!(acks.flush(false), []);
        assert!(acks.ack(1));
        assert_eq!(acks.flush(false), [upto(2)]);
        assert!(acks.ack(3));
        assert_eq!(acks.flush(true), [upto(3)]);
    }

    #[test]
    fn nothing_is_settled_twice_and_nothing_unknown_is() {
        let mut acks = Acks::default();
        acks.delivered(1);
        assert!(!acks.ack(2));
        assert!(acks.settle(1));
        assert!(!acks.ack(1) && !acks.settle(1));
        assert_eq!(acks.flush(true), []);
    }

    proptest! {
        #[test]
        fn every_ack_is_sent_once_and_no_frame_covers_what_is_unsettled(
            steps in proptest::collection::vec((0_u8..4, 0_u64..40), 1..200)
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
                    _ => { check(acks.flush(false), &unsettled, &acked); }
                }
            }
            prop_assert_eq!(check(acks.flush(true), &unsettled, &acked), acked.len());
        }
    }
}

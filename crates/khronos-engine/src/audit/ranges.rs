//! Sets of instants as sorted, disjoint ranges (after, through], so that an audit holds runs and never single
//! occurrences.

use ponos_event::Timestamp;
use std::collections::BTreeMap;

/// Instants after `.0` (exclusive) through `.1` (inclusive).
pub(super) type Range = (Timestamp, Timestamp);

/// Sorted, disjoint ranges, keyed by where they begin.
#[derive(Debug, Clone, Default)]
pub(super) struct Ranges(BTreeMap<Timestamp, Timestamp>);

impl Ranges {
    /// The set of one range; empty if it holds nothing.
    pub(super) fn of((after, through): Range) -> Self {
        let mut ranges = Self::default();
        if after < through {
            ranges.0.insert(after, through);
        }
        ranges
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Range> + '_ {
        self.0.iter().map(|(after, through)| (*after, *through))
    }

    /// The parts of `range` that lie in the set.
    pub(super) fn within(&self, (after, through): Range) -> Vec<Range> {
        let start = self.0.range(..=after).next_back().map_or(after, |(begin, _)| *begin);
        self.0
            .range(start..)
            .take_while(|(begin, _)| **begin < through)
            .map(|(begin, end)| ((*begin).max(after), (*end).min(through)))
            .filter(|(begin, end)| begin < end)
            .collect()
    }

    /// Adds a range. `touches(a, b)` says whether nothing that matters lies in (a, b]: such neighbours become one.
    pub(super) fn insert(&mut self, (after, through): Range, touches: impl Fn(Timestamp, Timestamp) -> bool) {
        if after >= through {
            return;
        }
        let (mut after, mut through) = (after, through);
        if let Some((begin, end)) = self.0.range(..=after).next_back().map(|(b, e)| (*b, *e))
            && (end >= after || touches(end, after))
        {
            self.0.remove(&begin);
            (after, through) = (begin, through.max(end));
        }
        while let Some((begin, end)) = self.0.range(after..).next().map(|(b, e)| (*b, *e)) {
            if begin > through && !touches(through, begin) {
                break;
            }
            self.0.remove(&begin);
            through = through.max(end);
        }
        self.0.insert(after, through);
    }

    /// Takes a range out of the set and gives the parts that were in it.
    pub(super) fn take(&mut self, range: Range) -> Vec<Range> {
        let parts = self.within(range);
        for (after, through) in &parts {
            let Some((begin, end)) = self.0.range(..=*after).next_back().map(|(b, e)| (*b, *e)) else {
                continue;
            };
            self.0.remove(&begin);
            if begin < *after {
                self.0.insert(begin, *after);
            }
            if *through < end {
                self.0.insert(*through, end);
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(after: i64, through: i64) -> Range {
        (Timestamp::from_millis(after), Timestamp::from_millis(through))
    }

    fn members(ranges: &Ranges) -> Vec<i64> {
        ranges.iter().flat_map(|(a, b)| a.millis() + 1..=b.millis()).collect()
    }

    proptest! {
        #[test]
        fn ranges_behave_as_a_set_of_instants(steps in prop::collection::vec((any::<bool>(), 0_i64..60, 0_i64..20), 1..40)) {
            let (mut ranges, mut model) = (Ranges::default(), std::collections::BTreeSet::new());
            for (add, after, length) in steps {
                let given = range(after, after + length);
                let inside: Vec<i64> = (after + 1..=after + length).filter(|i| model.contains(i)).collect();
                let found: Vec<i64> =
                    ranges.within(given).iter().flat_map(|(a, b)| a.millis() + 1..=b.millis()).collect();
                prop_assert_eq!(&found, &inside);
                if add {
                    ranges.insert(given, |a, b| a >= b);
                    model.extend(after + 1..=after + length);
                } else {
                    let taken: Vec<i64> =
                        ranges.take(given).iter().flat_map(|(a, b)| a.millis() + 1..=b.millis()).collect();
                    prop_assert_eq!(taken, inside);
                    model.retain(|i| !(after < *i && *i <= after + length));
                }
                prop_assert_eq!(members(&ranges), model.iter().copied().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn neighbours_with_nothing_between_them_become_one() {
        let mut ranges = Ranges::default();
        for due in [10, 20, 40, 30] {
            ranges.insert(range(due - 1, due), |a, b| (a.millis() + 1..=b.millis()).all(|i| i % 10 != 0));
        }
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [range(9, 40)]);
    }
}

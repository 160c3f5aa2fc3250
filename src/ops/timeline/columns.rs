//! The columns of a timeline: spans of time of one length, one after the other.

use ponos::event::Timestamp;
use std::ops::Range;

/// What lies in `[from, to)`, in columns; the last one may be shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    /// How long each is, in milliseconds.
    pub(super) length: i64,
    pub(super) count: usize,
}

impl Columns {
    /// At most so many, at least one; `to` lies behind `from`.
    pub(super) fn new(from: Timestamp, to: Timestamp, most: usize) -> Self {
        let span = to.since(from).max(1);
        let most = i64::try_from(most).unwrap_or(i64::MAX).max(1);
        let length = (span - 1) / most + 1;
        let count = usize::try_from((span - 1) / length + 1).unwrap_or(1);
        Self { from, to, length, count }
    }

    /// The column in which this instant lies.
    pub(super) fn of(self, at: Timestamp) -> Option<usize> {
        if !(self.from..self.to).contains(&at) {
            return None;
        }
        usize::try_from(at.since(self.from) / self.length).ok()
    }

    /// Where a column begins, and where it ends (exclusive).
    pub(super) fn bounds(self, column: usize) -> (Timestamp, Timestamp) {
        let start = self.from.plus(i64::try_from(column).unwrap_or(i64::MAX).saturating_mul(self.length));
        (start, start.plus(self.length).min(self.to))
    }

    /// The columns that a span reaches into, its last instant included.
    pub(super) fn touched(self, (first, last): (Timestamp, Timestamp)) -> Range<usize> {
        match (self.of(first.max(self.from)), self.of(last.min(self.to.plus(-1)))) {
            (Some(begins), Some(ends)) => begins..ends.saturating_add(1),
            _ => 0..0,
        }
    }

    /// How many of `count` due times from `first` through `last` lie in which column, as if each were as far from the next one
    /// as any other: the record has no more of a run.
    pub(super) fn spread(
        self,
        (first, last): (Timestamp, Timestamp),
        count: u64,
    ) -> impl Iterator<Item = (usize, u64)> {
        let touched = if count > 0 { self.touched((first, last)) } else { 0..0 };
        let in_column = move |column| {
            let (start, end) = self.bounds(column);
            (column, before(end, (first, last), count) - before(start, (first, last), count))
        };
        touched.map(in_column).filter(|(_, count)| *count > 0)
    }
}

/// How many of `count` due times, the first and the last of which are known, lie before `at`.
fn before(at: Timestamp, (first, last): (Timestamp, Timestamp), count: u64) -> u64 {
    if at <= first {
        return 0;
    }
    if at > last || first >= last {
        return count;
    }
    // The k-th lies k steps behind the first, and the last one count - 1 steps.
    let (passed, whole) = (at.since(first).unsigned_abs(), last.since(first).unsigned_abs());
    let steps = u128::from(passed) * u128::from(count.saturating_sub(1));
    u64::try_from(steps.div_ceil(u128::from(whole))).unwrap_or(count).min(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn columns_cover_the_span_and_are_no_more_than_asked_for() {
        for (span, most, length, count) in [
            (100, 10, 10, 10),
            (101, 10, 11, 10),
            (100, 3, 34, 3),
            (5, 10, 1, 5),
            (100, 1, 100, 1),
            (9, 6, 2, 5),
        ] {
            let columns = Columns::new(at(1_000), at(1_000 + span), most);
            assert_eq!((columns.length, columns.count), (length, count), "{span} {most}");
            assert_eq!(columns.of(at(999)), None);
            assert_eq!(columns.of(at(1_000)), Some(0));
            assert_eq!(columns.of(at(1_000 + span - 1)), Some(count - 1));
            assert_eq!(columns.of(at(1_000 + span)), None);
            let mut end = columns.from;
            for column in 0..count {
                let (start, until) = columns.bounds(column);
                assert!(start == end && until > start, "{column}");
                assert_eq!((columns.of(start), columns.of(until.plus(-1))), (Some(column), Some(column)));
                end = until;
            }
            assert_eq!(end, columns.to);
        }
    }

    #[test]
    fn a_run_is_spread_as_if_it_came_evenly_and_what_lies_outside_is_left_out() {
        let columns = Columns::new(at(0), at(100), 10);
        let spread = |first, last, count| columns.spread((at(first), at(last)), count).collect::<Vec<_>>();
        assert_eq!(spread(5, 5, 1), [(0, 1)]);
        assert_eq!(spread(99, 99, 3), [(9, 3)], "of one instant all are there");
        assert_eq!(spread(0, 90, 10), (0..10).map(|column| (column, 1)).collect::<Vec<_>>());
        assert_eq!(spread(10, 30, 3), [(1, 1), (2, 1), (3, 1)]);
        assert_eq!(spread(10, 29, 20), [(1, 10), (2, 10)]);
        assert_eq!(spread(-50, 149, 200), (0..10).map(|column| (column, 10)).collect::<Vec<_>>());
        assert_eq!(spread(0, 99, 2), [(0, 1), (9, 1)], "nothing is between the two");
        for (first, last, count) in [(-9, -1, 4), (100, 120, 4), (5, 95, 0)] {
            assert_eq!(spread(first, last, count), [], "{first} {last} {count}");
        }
        let all: u64 = spread(3, 97, 12_345).iter().map(|(_, count)| count).sum();
        assert_eq!(all, 12_345);
        let long = Columns::new(at(0), at(8_000_000_000), 400);
        let all: u64 = long.spread((at(1), at(7_999_999_999)), u64::MAX).map(|(_, count)| count).sum();
        assert_eq!(all, u64::MAX, "no product is too large");
    }
}

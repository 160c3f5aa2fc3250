//! Pages of what is numbered in the store of delayed events: the record of those that ended, and the log of changes. Their numbers are
//! their own, and a [`Position`] says of which store it is; so that of the record, or the log, of schedules is refused here, as theirs
//! are there.

use crate::{
    delayed::{DelayedHandle, DelayedReader},
    ops::{Clock, OpsError},
    position::Position,
    schedule::FaultCode,
    store::StoreError,
};

/// Entries in one answer, at most.
pub const MOST_NUMBERED: usize = 1_000;
/// Entries read at once.
const PAGE: usize = 500;
/// Reads for one answer; when it is not full by then, `next` says where to go on.
const READS: usize = 40;

/// Where a page begins, and how long it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) after: Option<Position>,
    pub(super) before: Option<Position>,
    pub(super) limit: Option<usize>,
}

/// Some entries with their numbers, and the bounds of what is kept.
pub(super) struct Portion<E> {
    pub(super) entries: Vec<(u64, E)>,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) record: u64,
}

/// Those that are shown.
#[derive(Debug)]
pub(super) struct NumberedPage<T> {
    pub(super) shown: Vec<T>,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) next: Option<Position>,
}

impl Span {
    pub(super) fn check(&self) -> Result<(), OpsError> {
        if self.after.is_some() && self.before.is_some() {
            let what = "give after (oldest first) or before (newest first), not both";
            return Err(OpsError::parameter("before", FaultCode::Conflict, what));
        }
        if self.limit.is_some_and(|limit| !(1..=MOST_NUMBERED).contains(&limit)) {
            let what = format!("1 to {MOST_NUMBERED}");
            return Err(OpsError::parameter("limit", FaultCode::OutOfRange, what));
        }
        Ok(())
    }

    /// The numbers that they stand for in this store: of `after`, and of `before`.
    fn numbers(&self, record: u64, last: u64) -> Result<(Option<u64>, Option<u64>), OpsError> {
        let number = |key, position: Option<Position>| {
            let number = |position: Position| {
                let what = "this position is of another store than that of the delayed events which are kept now: of schedules, or of one that was there before";
                let other = || OpsError::parameter(key, FaultCode::InvalidValue, what);
                position.row_in(record).ok_or_else(other)
            };
            position.map(number).transpose()
        };
        let after = number("after", self.after)?;
        if let Some(after) = after.filter(|after| *after > last) {
            let what = format!("{after} is beyond the end, whose number is {last}");
            return Err(OpsError::parameter("after", FaultCode::OutOfRange, what));
        }
        Ok((after, number("before", self.before)?))
    }
}

/// Where the delayed events of this clock are kept; of one that does not run, opened now.
async fn store(clock: &Clock) -> Result<DelayedHandle, OpsError> {
    match clock {
        Clock::Running(clock) => Ok(clock.delayed()?.store.clone()),
        Clock::Stopped(clock) => clock.delayed().await,
    }
}

/// Reads them, on a thread where that holds up nothing.
pub(super) async fn read<T: Send + 'static>(
    clock: &Clock,
    read: impl FnOnce(&dyn DelayedReader) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, OpsError> {
    let unread = |error| OpsError::Unavailable(format!("delayed events can't be read at present: {error}"));
    store(clock).await?.read_by(read).await.map_err(unread)
}

/// A page: newest first, or oldest first behind `after`; of what `show` has a form for.
pub(super) fn page<E, T>(
    read: impl Fn(u64, usize) -> Result<Portion<E>, StoreError>,
    span: Span,
    show: impl Fn(Position, E) -> Option<T>,
) -> Result<Result<NumberedPage<T>, OpsError>, StoreError> {
    let bounds = read(0, 0)?;
    let (first, last, record) = (bounds.first, bounds.last, bounds.record);
    let (after, before) = match span.numbers(record, last) {
        Ok(numbers) => numbers,
        Err(wrong) => return Ok(Err(wrong)),
    };
    let limit = span.limit.unwrap_or(100);
    let at = |number| Position::new(record, number);
    let mut page = NumberedPage { shown: Vec::new(), first, last, next: None };
    if let Some(mut after) = after {
        for _ in 0..READS {
            let portion = read(after, PAGE)?;
            if portion.entries.is_empty() {
                return Ok(Ok(page));
            }
            for (number, entry) in portion.entries {
                if page.shown.len() == limit {
                    page.next = Some(at(after));
                    return Ok(Ok(page));
                }
                after = number;
                page.shown.extend(show(at(number), entry));
            }
        }
        page.next = Some(at(after));
        return Ok(Ok(page));
    }
    // Up to where was looked: from there it goes on.
    let mut before = before.unwrap_or(u64::MAX).min(last.saturating_add(1));
    let (mut reads, mut at_once) = (0, PAGE);
    while before > first {
        if reads >= READS {
            page.next = Some(at(before));
            break;
        }
        let portion = read(before.saturating_sub(at_once as u64 + 1), at_once)?;
        reads += 1;
        let Some((end, _)) = portion.entries.last() else { break };
        // Where entries are long, one read has a few of them alone, and of what it had those next to `before` are missing.
        if *end + 1 < before {
            at_once = portion.entries.len().min(at_once / 2).max(1);
            continue;
        }
        at_once = at_once.saturating_mul(2).min(PAGE);
        let behind = before;
        for (number, entry) in portion.entries.into_iter().rev().filter(|(number, _)| *number < behind) {
            if page.shown.len() == limit {
                page.next = Some(at(before));
                return Ok(Ok(page));
            }
            before = number;
            page.shown.extend(show(at(number), entry));
        }
        // What was there was trimmed meanwhile.
        if before == behind {
            break;
        }
    }
    Ok(Ok(page))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: u64 = 0xab;

    /// A store of the numbers from `first` to `last`, of which `at_once` come in one read.
    fn numbers(
        first: u64,
        last: u64,
        at_once: usize,
    ) -> impl Fn(u64, usize) -> Result<Portion<u64>, StoreError> {
        move |after, most| {
            let from = first.max(after + 1);
            let entries = (from..=last).take(most.min(at_once)).map(|number| (number, number)).collect();
            Ok(Portion { entries, first, last, record: RECORD })
        }
    }

    /// All of the pages, one after the other, of the numbers that can be divided by this.
    fn all(
        read: &impl Fn(u64, usize) -> Result<Portion<u64>, StoreError>,
        is_newest_first: bool,
        by: u64,
        limit: usize,
    ) -> (Vec<u64>, usize) {
        let start = Position::new(RECORD, 0);
        let mut span = Span { after: (!is_newest_first).then_some(start), before: None, limit: Some(limit) };
        let (mut found, mut pages) = (Vec::new(), 0);
        loop {
            let show = |position: Position, number: u64| {
                assert_eq!(position, Position::new(RECORD, number));
                number.is_multiple_of(by).then_some(number)
            };
            let page = page(read, span, show).unwrap().unwrap();
            assert!(page.shown.len() <= limit);
            found.extend(page.shown);
            pages += 1;
            let Some(next) = page.next else { return (found, pages) };
            match is_newest_first {
                true => span.before = Some(next),
                false => span.after = Some(next),
            }
        }
    }

    #[test]
    fn pages_give_each_entry_once_in_either_order_however_many_one_read_has() {
        for (first, last) in [(1, 0), (1, 1), (1, 500), (1, 501), (7, 1_234), (1, 30_000), (900, 31_000)] {
            for (by, limit) in [(1, 1_000), (7, 3), (7, 1_000), (u64::MAX, 10)] {
                // The last ones would take a while by threes.
                if last > 10_000 && limit == 3 {
                    continue;
                }
                for at_once in [usize::MAX, 3] {
                    let read = numbers(first, last, at_once);
                    let mut expected: Vec<u64> = (first..=last).filter(|n| n.is_multiple_of(by)).collect();
                    assert_eq!(all(&read, false, by, limit).0, expected, "{first}..={last} {by} {at_once}");
                    expected.reverse();
                    assert_eq!(all(&read, true, by, limit).0, expected, "{first}..={last} {by} {at_once}");
                }
            }
        }
    }

    #[test]
    fn a_page_ends_where_enough_was_looked_through() {
        let read = numbers(1, 30_000, usize::MAX);
        for is_newest_first in [true, false] {
            let (found, pages) = all(&read, is_newest_first, u64::MAX, 10);
            assert_eq!((found.len(), pages), (0, 2));
        }
    }

    #[test]
    fn a_page_takes_a_bounded_number_of_reads_however_few_entries_one_has() {
        for is_newest_first in [true, false] {
            for at_once in [1, 3] {
                let all = numbers(1, 3_000, at_once);
                let reads = std::cell::Cell::new(0);
                let read = |after, most| {
                    reads.set(reads.get() + 1);
                    all(after, most)
                };
                let after = (!is_newest_first).then_some(Position::new(RECORD, 0));
                let span = Span { after, before: None, limit: Some(1_000) };
                let page = page(read, span, |_, number: u64| Some(number)).unwrap().unwrap();
                assert!(reads.get() <= READS + 1, "{} reads", reads.get());
                assert!(page.shown.len() >= 10 && page.next.is_some(), "{page:?}");
            }
        }
    }

    #[test]
    fn a_position_of_another_store_or_beyond_the_end_is_refused() {
        let read = numbers(1, 9, 5);
        let refused = |after: Option<Position>, before| {
            let span = Span { after, before, limit: None };
            let show = |_, number: u64| Some(number);
            let Err(OpsError::Parameter(fault)) = page(&read, span, show).unwrap() else {
                panic!("{span:?}")
            };
            fault.name
        };
        let other = Position::new(RECORD + 1, 3);
        assert_eq!((refused(Some(other), None), refused(None, Some(other))), ("after", "before"));
        assert_eq!(refused(Some(Position::new(RECORD, 10)), None), "after");
    }
}

//! How many occurrences are sent in each second of a span, over many timings: what `forecast` shows. Memory is bounded by
//! the span, whatever the number of timings: four bytes a second.

use super::timing::Timing;
use ponos_event::Timestamp;
use std::iter::successors;

/// Occurrences by the second, in (after, through].
#[derive(Debug, Clone)]
pub struct LoadForecast {
    after: Timestamp,
    through: Timestamp,
    /// The second (since 1970) of the first cell.
    first: i64,
    cells: Vec<u32>,
    total: u64,
}

/// The most that happened in one unit of time, and when that began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peak {
    /// The beginning of the second, or the minute.
    pub at: Timestamp,
    /// How many.
    pub count: u64,
}

impl LoadForecast {
    /// Nothing, over (after, through]; an empty span if `through` is not after `after`.
    pub fn new(after: Timestamp, through: Timestamp) -> Self {
        let (first, last) = (after.plus(1).millis().div_euclid(1000), through.millis().div_euclid(1000));
        let cells = usize::try_from(last - first + 1).unwrap_or(0);
        Self { after, through, first, cells: vec![0; cells], total: 0 }
    }

    /// Adds what `times` schedules of this timing call for. What is due more often than every half second is counted,
    /// not walked.
    pub fn add(&mut self, timing: &Timing, times: u32) {
        let count = timing.count(self.after, self.through);
        self.total += count * u64::from(times);
        if count <= 2 * self.cells.len() as u64 {
            let mut at = self.after;
            while let Some(due) = timing.after(at).filter(|&due| due <= self.through) {
                let cell = usize::try_from(timing.send_time(due).millis().div_euclid(1000) - self.first).ok();
                if let Some(cell) = cell.and_then(|cell| self.cells.get_mut(cell)) {
                    *cell = cell.saturating_add(times);
                }
                at = due;
            }
            return;
        }
        for (index, cell) in (self.first..).zip(&mut self.cells) {
            let (from, to) =
                (Timestamp::from_millis(index * 1000 - 1), Timestamp::from_millis(index * 1000 + 999));
            let due = timing.count(from.max(self.after), to.min(self.through));
            *cell = cell.saturating_add(u32::try_from(due).unwrap_or(u32::MAX).saturating_mul(times));
        }
    }

    /// How many in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The length of the span in milliseconds.
    pub fn span(&self) -> i64 {
        self.through.since(self.after).max(0)
    }

    /// The first of the busiest seconds; `None` if nothing is due.
    pub fn peak_second(&self) -> Option<Peak> {
        self.peak(1)
    }

    /// The first of the busiest minutes of the clock.
    pub fn peak_minute(&self) -> Option<Peak> {
        self.peak(60)
    }

    fn peak(&self, size: i64) -> Option<Peak> {
        let mut best: Option<Peak> = None;
        for one in self.slices(size) {
            if one.count > best.map_or(0, |best| best.count) {
                best = Some(one);
            }
        }
        best
    }

    /// The span in pieces of `seconds`, which lie at whole multiples since 1970: the first and the last may reach
    /// beyond the span.
    pub fn slices(&self, seconds: i64) -> impl Iterator<Item = Peak> {
        let size = seconds.max(1);
        let start = self.first.div_euclid(size) * size;
        let last = self.first + self.cells.len() as i64;
        let starts = (0..).map(move |index| start + index * size).take_while(move |&at| at < last);
        starts.map(move |at| self.slice(at, at + size))
    }

    /// The span in pieces that begin where `starts` is due, such as the hours or the days of a zone: the first and the last may
    /// reach beyond the span.
    pub fn slices_at<'a>(&'a self, starts: &'a Timing) -> impl Iterator<Item = Peak> + 'a {
        let second = |at: Timestamp| at.millis().div_euclid(1000);
        let (from, last) = (Timestamp::from_millis(self.first * 1000), self.first + self.cells.len() as i64);
        let first = starts.before(from.plus(1)).unwrap_or(from);
        successors(Some(first), |at| starts.after(*at)).take_while(move |at| second(*at) < last).map(
            move |at| {
                let end = starts.after(at).map_or(last, second);
                self.slice(second(at), end)
            },
        )
    }

    /// What lies in these seconds, the end exclusive.
    fn slice(&self, from: i64, end: i64) -> Peak {
        let index = |second: i64| usize::try_from(second - self.first).unwrap_or(0).min(self.cells.len());
        let cells = self.cells.get(index(from)..index(end)).unwrap_or_default();
        let count = cells.iter().map(|&count| u64::from(count)).sum();
        Peak { at: Timestamp::from_millis(from * 1000), count }
    }

    /// The busiest seconds, at most `most`: the fullest first, of equals the earliest.
    pub fn busiest(&self, most: usize) -> Vec<Peak> {
        let mut found: Vec<Peak> = Vec::with_capacity(most + 1);
        for one in self.slices(1).filter(|one| one.count > 0) {
            let place = found.partition_point(|kept| kept.count >= one.count);
            if place < most {
                found.insert(place, one);
                found.truncate(most);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn walking_and_counting_fill_the_same_cells() {
        let minute = Timing::from_every("1 minute", None).unwrap();
        let quick = Timing::from_every("300ms", None).unwrap();
        let mut load = LoadForecast::new(at(0), at(180_000));
        load.add(&minute, 2);
        load.add(&quick, 1);
        assert_eq!((load.total(), load.span()), (6 + 600, 180_000));
        assert_eq!(load.slices(1).map(|one| one.count).sum::<u64>(), 606);
        // 59,700 and 60,000 to 60,900 ms: four quick ones a second at most, and two minutely ones at the whole minute.
        assert_eq!(load.peak_second(), Some(Peak { at: at(60_000), count: 4 + 2 }));
        assert_eq!(load.peak_minute(), Some(Peak { at: at(60_000), count: 202 }));
        let slices: Vec<_> = load.slices(60).map(|one| one.count).collect();
        // (0, 60 s) has one quick occurrence less, since the span begins after 0; its end adds a cell of one second.
        assert_eq!(slices, [199, 202, 202, 3]);
        assert_eq!(load.busiest(2), [Peak { at: at(60_000), count: 6 }, Peak { at: at(120_000), count: 6 }]);
    }

    #[test]
    fn pieces_follow_the_days_of_a_zone() {
        // The clocks go back on 25 October 2026: that day has 25 hours in Paris.
        let start = "2026-10-24T10:00:00Z".parse::<Timestamp>().unwrap();
        let mut load = LoadForecast::new(start, start.plus(3 * 86_400_000));
        load.add(&Timing::from_every("1 hour", None).unwrap(), 1);
        let days = Timing::from_cron("0 0 * * *", Some("Europe/Paris")).unwrap();
        let slices: Vec<_> = load.slices_at(&days).map(|one| (one.at.to_string(), one.count)).collect();
        let of = |at: &str, count| (at.to_owned(), count);
        assert_eq!(
            slices,
            [
                of("2026-10-23T22:00:00.000Z", 11),
                of("2026-10-24T22:00:00.000Z", 25),
                of("2026-10-25T23:00:00.000Z", 24),
                of("2026-10-26T23:00:00.000Z", 12),
            ]
        );
    }

    #[test]
    fn a_span_that_begins_within_a_second_counts_from_there() {
        let mut load = LoadForecast::new(at(500), at(1_500));
        load.add(&Timing::from_every("100ms", None).unwrap(), 1);
        assert_eq!(load.slices(1).map(|one| one.count).collect::<Vec<_>>(), [4, 6]);
        assert_eq!(load.total(), 10);
        assert_eq!(LoadForecast::new(at(5), at(5)).peak_second(), None);
    }
}

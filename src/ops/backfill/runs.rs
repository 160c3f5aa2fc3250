//! What is due in a span and is not there, in runs of neighbours.

use crate::{engine::Coalesced, ops::OpsError, schedule::Timing};
use ponos::event::Timestamp;

/// Events of one backfill, at most.
const MOST: usize = 100_000;
/// Runs of neighbouring occurrences, at most.
const RUNS: usize = 256;

/// Due times, first and last of each range included.
#[derive(Debug, Default)]
pub(super) struct Ranges(Vec<(Timestamp, Timestamp)>);

impl Ranges {
    pub(super) fn new(mut ranges: Vec<(Timestamp, Timestamp)>) -> Self {
        ranges.sort_unstable();
        ranges.dedup_by(|next, before| {
            let joins = next.0 <= before.1;
            if joins {
                before.1 = before.1.max(next.1);
            }
            joins
        });
        Self(ranges)
    }

    pub(super) fn into_inner(self) -> Vec<(Timestamp, Timestamp)> {
        self.0
    }

    pub(super) fn contain(&self, due: Timestamp) -> bool {
        let before = self.0.partition_point(|(first, _)| *first <= due);
        before.checked_sub(1).is_some_and(|at| due <= self.0[at].1)
    }
}

/// What is due in a span.
#[derive(Debug)]
pub(super) struct Found {
    /// What is not there.
    pub(super) runs: Vec<Coalesced>,
    /// How many are.
    pub(super) there: u64,
}

/// What is due in a span, and not in these ranges.
pub(super) fn find(
    timing: &Timing,
    (from, to): (Timestamp, Timestamp),
    ranges: &Ranges,
) -> Result<Found, OpsError> {
    let (mut runs, mut joins, mut count, mut there): (Vec<Coalesced>, _, _, _) = (Vec::new(), false, 0, 0);
    let mut due = from.plus(-1);
    while let Some(next) = timing.after(due).filter(|next| *next <= to) {
        due = next;
        let is_missing = !ranges.contain(due);
        count += usize::from(is_missing);
        there += u64::from(!is_missing);
        if there > 9 * MOST as u64 || count > MOST {
            let what = format!("more than {MOST} events: ask for a shorter span, several times");
            return Err(OpsError::Invalid(what));
        }
        match runs.last_mut().filter(|_| joins && is_missing) {
            Some(run) => (run.last, run.count) = (due, run.count + 1),
            None if is_missing => runs.push(Coalesced { first: due, last: due, count: 1 }),
            None => {}
        }
        joins = is_missing;
    }
    if runs.len() > RUNS {
        let what = format!(
            "what is missing falls into more than {RUNS} pieces: ask for a shorter span, several times"
        );
        return Err(OpsError::Invalid(what));
    }
    Ok(Found { runs, there })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Definition, Packed};

    #[test]
    fn what_is_missing_stands_in_runs_of_neighbours() {
        let definition = Definition {
            name: "a".into(),
            event: Some("test.minute.passed".into()),
            every: Some("1m".into()),
            ..Definition::default()
        };
        let timing = Packed::build(&definition).unwrap().timing();
        let at = |minute: i64| Timestamp::from_millis(minute * 60_000);
        let span = (at(1), at(10));
        let run =
            |first, last| Coalesced { first: at(first), last: at(last), count: (last - first + 1) as u64 };
        let of = |known: &[(i64, i64)]| {
            let known = known.iter().map(|(first, last)| (at(*first), at(*last))).collect();
            let Found { runs, there } = find(&timing, span, &Ranges::new(known)).unwrap();
            assert_eq!(runs.iter().map(|run| run.count).sum::<u64>() + there, 10);
            runs
        };
        assert_eq!(of(&[]), [run(1, 10)]);
        assert_eq!(of(&[(3, 3), (5, 6), (6, 7), (9, 12)]), [run(1, 2), run(4, 4), run(8, 8)]);
        assert_eq!(of(&[(0, 100)]), []);
        let long = find(&timing, (at(0), at(200_000)), &Ranges::default()).unwrap_err().to_string();
        assert!(long.contains("more than 100000 events"), "{long}");
        let every_second = (0..1_000).map(|minute| (at(2 * minute), at(2 * minute))).collect();
        let pieces = find(&timing, (at(0), at(2_000)), &Ranges::new(every_second)).unwrap_err().to_string();
        assert!(pieces.contains("more than 256 pieces"), "{pieces}");
    }
}

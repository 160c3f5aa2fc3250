//! What the answer to a put says: what became of it, and when the schedule is due.

use super::{
    OpsError, RunningClock,
    put::Put,
    run_blocking,
    schedules::find,
    views::{OutcomeView, PutView},
};
use crate::schedule::{Ending, Timing};
use ponos::event::Timestamp;
use std::time::Duration;
use tokio::time::timeout;

/// Due times in the answer.
const NEXT: usize = 5;
/// How long the answer waits for what is known of the schedule.
const PATIENCE: Duration = Duration::from_secs(2);
/// Occurrences are counted up to so many.
const COUNTED: usize = 1_000;

/// The answer to a put, as of `now`. It was put: where the clock does not say in time when it is due, that is left out.
pub async fn put_view(clock: &RunningClock, put: Put, now: Timestamp) -> PutView {
    let Put { name, verdict, remarks } = put;
    let change = OutcomeView::new(&name, &verdict, remarks);
    let from = change.since.map_or(now, |since| since.max(now));
    // Another change may have come meanwhile: then what that says.
    let known = match timeout(PATIENCE, find(&clock.clone().into(), &name)).await {
        Ok(Ok(status)) => run_blocking(move || left(&status.revision.timing(), from)).await.ok(),
        Ok(Err(OpsError::NotFound(_))) => Some((Some(0), Vec::new())),
        Ok(Err(_)) | Err(_) => None,
    };
    let (occurrences_left, next_due_at) = known.unwrap_or_default();
    PutView { change, occurrences_left, next_due_at }
}

/// How many are due after this instant, as far as they are counted, and the next ones.
fn left(timing: &Timing, from: Timestamp) -> (Option<u64>, Vec<Timestamp>) {
    let mut coming = std::iter::successors(timing.after(from), |due| timing.after(*due));
    let next: Vec<Timestamp> = coming.by_ref().take(NEXT).collect();
    if is_endless(timing) {
        return (None, next);
    }
    let count = next.len() + coming.take(COUNTED + 1 - NEXT).count();
    ((count <= COUNTED).then_some(count as u64), next)
}

/// Whether nothing ends it but the horizon of all arithmetic.
fn is_endless(timing: &Timing) -> bool {
    // Hardly anything is due more seldom, and nothing that anybody counts ends so late.
    const LONG: i64 = 10 * 366 * 86_400_000;
    let reaches = |last: Timestamp| Timestamp::HORIZON.since(last) < LONG;
    timing.ending() == Ending::Rule && timing.last().is_some_and(reaches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Definition, Packed};

    fn of(change: impl FnOnce(&mut Definition)) -> Timing {
        let mut definition =
            Definition { name: "a".into(), every: Some("1 hour".into()), ..Definition::default() };
        change(&mut definition);
        let at = Timestamp::from_millis(0);
        crate::engine::Era::first(1, at).of(Packed::kept(&definition)).timing()
    }

    #[test]
    fn what_is_left_is_counted_where_it_ends_soon() {
        let from: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
        let every = |every: &str| of(|definition| definition.every = Some(every.into()));
        let until = |until: &str| of(|definition| definition.until = Some(until.into()));
        for (timing, count, next) in [
            (of(|_| {}), None, 5),
            (every("1 month"), None, 5),
            (every("4 years"), None, 5),
            (until("2026-12-01T03:30:00Z"), Some(3), 3),
            (until("2026-12-01T00:30:00Z"), Some(0), 0),
            (until("2026-11-01T00:00:00Z"), Some(0), 0),
            (until("2027-01-11T16:00:00.001Z"), Some(1_000), 5),
            (until("2027-01-11T17:00:00.001Z"), None, 5),
        ] {
            let (left, coming) = left(&timing, from);
            assert_eq!((left, coming.len()), (count, next), "{timing:?}");
        }
    }
}

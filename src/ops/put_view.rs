//! What the answer to a put says: what became of it, and when the schedule is due.

use super::{
    OpsError, RunningClock,
    put::Put,
    run_blocking,
    schedules::find,
    views::{OutcomeView, PutView},
};
use crate::{
    engine::{Era, Verdict},
    schedule::{Ending, Packed, Timing},
};
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
    let mut paused = clock.status().paused;
    let known = match timeout(PATIENCE, find(&clock.clone().into(), &name)).await {
        Ok(Ok(status)) => {
            paused = status.paused.clone().or(paused);
            run_blocking(move || left(&status.revision.timing(), from)).await.ok()
        }
        Ok(Err(OpsError::NotFound(_))) => Some((Some(0), Vec::new())),
        Ok(Err(_)) | Err(_) => None,
    };
    let (occurrences_left, next_due_at) = known.unwrap_or_default();
    PutView { change, occurrences_left, next_due_at, paused: paused.as_ref().map(Into::into) }
}

/// When one of many that were put is due next, and how many occurrences are left, as far as they are counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Coming {
    /// None: there is no end to them, or they were not counted.
    pub left: Option<u64>,
    /// None: there is none, or it is not known here.
    pub next: Option<Timestamp>,
}

/// Occurrences that are counted for all that are put at once.
pub(super) const COUNTED_TOGETHER: usize = 10_000;

impl Coming {
    /// Of a definition that was put so; counts no more than `budget`. Of an edit whose `limit` counts since an earlier creation
    /// nothing is known here.
    pub(super) fn of(
        definition: Packed,
        verdict: &Verdict,
        now: Timestamp,
        budget: &mut usize,
    ) -> Option<Self> {
        let (since, is_new) = match verdict {
            Verdict::Created { since, .. } => (*since, true),
            Verdict::Changed { since, .. } => (*since, false),
            Verdict::Unchanged { .. } => (now, false),
            _ => return None,
        };
        let timing = Era::first(1, since).of(definition).timing();
        if timing.is_counted_since_creation() && !is_new {
            return None;
        }
        let next = timing.after(since.max(now));
        if next.is_some() && is_endless(&timing) {
            return Some(Self { left: None, next });
        }
        let most = COUNTED.min(*budget);
        let count = std::iter::successors(next, |due| timing.after(*due)).take(most + 1).count();
        *budget = budget.saturating_sub(count);
        Some(Self { left: (count <= most).then_some(count as u64), next })
    }
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
    use crate::schedule::Definition;

    fn of(change: impl FnOnce(&mut Definition)) -> Timing {
        let mut definition =
            Definition { name: "a".into(), every: Some("1 hour".into()), ..Definition::default() };
        change(&mut definition);
        let at = Timestamp::from_millis(0);
        Era::first(1, at).of(Packed::kept(&definition)).timing()
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

    #[test]
    fn of_many_the_next_one_is_said_and_no_more_is_counted_than_there_is_time_for() {
        let at: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
        let limited = Definition {
            name: "a".into(),
            every: Some("1 hour".into()),
            limit: Some(3),
            ..Definition::default()
        };
        let endless = Definition { limit: None, ..limited.clone() };
        let until = Definition { until: Some("2026-12-01T05:30:00Z".into()), ..endless.clone() };
        let created = Verdict::Created { creation: 1, revision: 1, since: at };
        let changed = Verdict::Changed { creation: 1, revision: 2, since: at };
        let next = Some(at.plus(3_600_000));
        for (definition, verdict, budget, expected) in [
            (&endless, &created, 9, Some(Coming { left: None, next })),
            (&limited, &created, 9, Some(Coming { left: Some(3), next })),
            (&limited, &created, 2, Some(Coming { left: None, next })),
            (&limited, &changed, 9, None),
            (&until, &changed, 9, Some(Coming { left: Some(5), next })),
            (&until, &Verdict::GoneAlready, 9, None),
        ] {
            let mut rest = budget;
            let found = Coming::of(Packed::kept(definition), verdict, at, &mut rest);
            assert_eq!(found, expected, "{definition:?} {verdict:?}");
            let counted = expected.and_then(|coming| coming.left).unwrap_or_default();
            assert!(rest == 0 || budget - rest == usize::try_from(counted).unwrap(), "{rest}");
        }
    }
}

//! What comes next of a span: the catch-up decision (ADR 0002; `catch_up` in docs/schedules.md). A function of (schedule, span, now).
//!
//! Invariant: what may have been handed over (due ≤ `handed`) is sent singly; only what lies above may be coalesced.

use super::{Coalesced, SkipReason, Span};
use khronos_schedule::{Policy, Schedule};
use ponos_event::Timestamp;

/// What to do next with a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing is left.
    Done,
    /// Its first occurrence is not to be sent before this instant.
    Wait(Timestamp),
    /// These are settled without being sent.
    Skip(Coalesced, SkipReason),
    /// Send this; the span already says so durably, or is about to.
    Send(Coalesced),
    /// What lies up to here stands parked.
    Parked(Timestamp),
    /// Write this into the span, durably, and ask again.
    Fix { handed: Timestamp, coalesced: Option<Coalesced> },
}

/// The next step of `span` at `now`.
pub(super) fn next(schedule: &Schedule, span: &Span, now: Timestamp) -> Next {
    let timing = &schedule.timing;
    if let Some(coalesced) = span.coalesced {
        let send = timing.send_time(coalesced.last);
        return if send > now { Next::Wait(send) } else { Next::Send(coalesced) };
    }
    let Some(first) = timing.after(span.after).filter(|due| *due <= span.through) else {
        return Next::Done;
    };
    let send = timing.send_time(first);
    if send > now {
        return Next::Wait(send);
    }
    let due_by_now = span.through.min(timing.due_by(now));
    if schedule.paused {
        return Next::Skip(run(schedule, first, due_by_now), SkipReason::Paused);
    }
    if first <= span.handed {
        return Next::Send(single(first));
    }
    let rules = schedule.catch_up;
    if now.since(send) <= rules.grace {
        return Next::Fix { handed: due_by_now, coalesced: None };
    }
    if let Some(too_old) = rules.within.map(|within| now.plus(-within)).filter(|cutoff| first < *cutoff) {
        return Next::Skip(run(schedule, first, due_by_now.min(too_old.plus(-1))), SkipReason::TooOld);
    }
    let missed = run(schedule, first, due_by_now.min(timing.due_by(now.plus(-rules.grace - 1))));
    match rules.policy {
        Policy::None => Next::Skip(missed, SkipReason::Missed),
        Policy::Latest => fix(missed, missed.last),
        Policy::All => match missed.count.checked_sub(u64::from(rules.most)).filter(|older| *older > 0) {
            None => Next::Fix { handed: missed.last, coalesced: None },
            Some(count) => {
                let last = back(schedule, missed.last, rules.most);
                fix(Coalesced { first, last, count }, missed.last)
            }
        },
    }
}

/// One that stands for itself alone.
pub(super) fn single(due: Timestamp) -> Coalesced {
    Coalesced { first: due, last: due, count: 1 }
}

fn fix(stands_for: Coalesced, handed: Timestamp) -> Next {
    Next::Fix { handed, coalesced: (stands_for.count > 1).then_some(stands_for) }
}

/// The run of occurrences from `first` (which is one) to the last at or before `bound`.
fn run(schedule: &Schedule, first: Timestamp, bound: Timestamp) -> Coalesced {
    let last = schedule.timing.before(bound.plus(1)).map_or(first, |last| last.max(first));
    Coalesced { first, last, count: schedule.timing.count(first.plus(-1), last).max(1) }
}

/// The occurrence `steps` before `from`, which is one.
fn back(schedule: &Schedule, from: Timestamp, steps: u32) -> Timestamp {
    (0..steps).fold(from, |due, _| schedule.timing.before(due).unwrap_or(due))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::new_span;
    use khronos_schedule::{Definition, Packed};

    #[test]
    fn what_may_have_been_handed_over_is_sent_singly_and_what_lies_above_is_coalesced() {
        let definition = Definition {
            name: "a".into(),
            event: Some("test.minute.passed".into()),
            every: Some("1m".into()),
            ..Definition::default()
        };
        let schedule = Packed::build(&definition).unwrap().schedule().unwrap();
        let at = |minute: i64| Timestamp::from_millis(minute * 60_000);
        let mut span = new_span(1, at(0), at(9), at(2));
        for minute in [1, 2] {
            assert_eq!(next(&schedule, &span, at(60)), Next::Send(single(at(minute))));
            span.after = at(minute);
        }
        let coalesced = Some(Coalesced { first: at(3), last: at(9), count: 7 });
        assert_eq!(next(&schedule, &span, at(60)), Next::Fix { handed: at(9), coalesced });
    }
}

//! What comes next of a span: the catch-up decision (ADR 0002; `catch_up` in docs/schedules.md). A function of (schedule, span, skipped times, now).
//!
//! Invariants: what may have been handed over (due ≤ `handed`) is sent singly; only what lies above may be coalesced. In a
//! skipped time nothing was ever handed over; what lies before it is never coalesced with what lies after it.

use super::{Coalesced, SkipReason, Span, skipped_times::SkippedTimes};
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
    /// Send this, once the span says so durably.
    Send(Coalesced),
    /// What lies up to here stands parked.
    Parked(Timestamp),
    /// Write this into the span, durably, and ask again. `first`: what it begins with.
    Fix { first: Timestamp, handed: Timestamp, coalesced: Option<Coalesced> },
}

/// The next step of `span` at `now`.
pub(super) fn next(schedule: &Schedule, span: &Span, skipped: SkippedTimes<'_>, now: Timestamp) -> Next {
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
    let mut due_by_now = span.through.min(timing.due_by(now));
    if let Some(through) = skipped.over(send) {
        return Next::Skip(run(schedule, first, due_by_now.min(timing.due_by(through))), SkipReason::Paused);
    }
    if let Some(begin) = skipped.begin_after(send) {
        due_by_now = due_by_now.min(timing.due_by(begin));
    }
    if schedule.paused {
        return Next::Skip(run(schedule, first, due_by_now), SkipReason::Paused);
    }
    if first <= span.handed {
        return Next::Send(single(first));
    }
    let rules = schedule.catch_up;
    if now.since(send) <= rules.grace {
        return Next::Fix { first, handed: due_by_now, coalesced: None };
    }
    if let Some(too_old) = rules.within.map(|within| now.plus(-within)).filter(|cutoff| first < *cutoff) {
        return Next::Skip(run(schedule, first, due_by_now.min(too_old.plus(-1))), SkipReason::TooOld);
    }
    let missed = run(schedule, first, due_by_now.min(timing.due_by(now.plus(-rules.grace - 1))));
    match rules.policy {
        Policy::None => Next::Skip(missed, SkipReason::Missed),
        Policy::Latest => fix(missed, missed.last),
        Policy::All => match missed.count.checked_sub(u64::from(rules.most)).filter(|older| *older > 0) {
            None => Next::Fix { first, handed: missed.last, coalesced: None },
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
    Next::Fix { first: stands_for.first, handed, coalesced: (stands_for.count > 1).then_some(stands_for) }
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
    use crate::{Era, Pauses, Reached, SkippedPause, core::new_span, pausing::Pausing};
    use khronos_schedule::{Definition, Packed};

    fn every_minute() -> Schedule {
        let definition = Definition {
            name: "a".into(),
            event: Some("test.minute.passed".into()),
            every: Some("1m".into()),
            ..Definition::default()
        };
        Packed::build(&definition).unwrap().schedule().unwrap()
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_millis(minute * 60_000)
    }

    fn run_of(first: i64, last: i64) -> Coalesced {
        Coalesced { first: at(first), last: at(last), count: (last - first + 1) as u64 }
    }

    #[test]
    fn what_is_skipped_of_a_span_is_coalesced_with_nothing_before_or_after_it() {
        let schedule = every_minute();
        let ended = |lately: i64, through: i64| SkippedPause {
            reached: Reached { lately: at(lately), ever: at(lately + 1), set_backs: 1 },
            through: at(through),
            set_backs: 2,
        };
        let skipped = |all: &[SkippedPause]| Pauses { skipped: all.to_vec(), ..Pauses::default() };
        let of_names = vec![("a".into(), skipped(&[ended(9, 9)])), ("b".into(), skipped(&[ended(2, 11)]))];
        let pausing = Pausing::new(skipped(&[ended(4, 6)]), of_names);
        let began = |set_backs, minute| Era { set_backs, ..Era::first(1, at(minute)) };
        let next = |after: i64, handed: i64, skipped: SkippedTimes<'_>| {
            next(&schedule, &new_span(1, at(after), at(12), at(handed)), skipped, at(60))
        };
        let fix = |from: i64, to: i64| Next::Fix {
            first: at(from),
            handed: at(to),
            coalesced: Some(run_of(from, to)),
        };
        let skip = |first: i64, last: i64| Next::Skip(run_of(first, last), SkipReason::Paused);
        let skipped = pausing.skipped_times("a", began(1, 0));
        assert_eq!(next(0, 0, skipped), fix(1, 4));
        assert_eq!(next(4, 4, skipped), skip(5, 6));
        // Nothing of it was handed over, whatever was reserved.
        assert_eq!(next(4, 5, skipped), skip(5, 6));
        assert_eq!(next(6, 6, skipped), fix(7, 12), "a pause of no time skips nothing");
        // Of what ran before the clock was set back more may have been sent; of what began since the pause, nothing.
        assert_eq!(next(0, 0, pausing.skipped_times("a", began(0, 0))), fix(1, 5));
        assert_eq!(next(0, 0, pausing.skipped_times("a", began(2, 0))), skip(1, 9));
        // A pause does not concern what began after its end.
        assert_eq!(next(0, 0, pausing.skipped_times("a", began(3, 0))), fix(1, 12));
        assert_eq!(next(0, 0, pausing.skipped_times("a", began(2, 9))), fix(1, 12));
        // Where the clock was set back since, nothing is left of it above the reading, and it concerns whom it concerned.
        let set_backs = vec![(2, at(0)), (3, at(5))];
        let pausing =
            Pausing::new(Pauses { skipped: vec![ended(4, 6)], set_backs, ..Pauses::default() }, vec![]);
        assert_eq!(next(4, 4, pausing.skipped_times("a", began(1, 0))), skip(5, 5));
        assert_eq!(next(0, 0, pausing.skipped_times("a", began(2, 5))), skip(1, 5));
        assert_eq!(next(0, 0, pausing.skipped_times("a", began(3, 0))), fix(1, 12));
        // What is made in a pause in which the clock was set back is sent, where it was due before.
        let set_backs = vec![(2, at(3))];
        let pausing =
            Pausing::new(Pauses { skipped: vec![ended(4, 6)], set_backs, ..Pauses::default() }, vec![]);
        assert_eq!(next(0, 0, pausing.skipped_times("a", began(2, 3))), fix(1, 3));
        assert_eq!(next(3, 3, pausing.skipped_times("a", began(2, 3))), skip(4, 6));
    }

    #[test]
    fn what_may_have_been_handed_over_is_sent_singly_and_what_lies_above_is_coalesced() {
        let (schedule, pausing) = (every_minute(), Pausing::default());
        let next =
            |span: &Span| next(&schedule, span, pausing.skipped_times("a", Era::first(1, at(0))), at(60));
        let mut span = new_span(1, at(0), at(9), at(2));
        for minute in [1, 2] {
            assert_eq!(next(&span), Next::Send(single(at(minute))));
            span.after = at(minute);
        }
        let coalesced = Some(run_of(3, 9));
        assert_eq!(next(&span), Next::Fix { first: at(3), handed: at(9), coalesced });
    }
}

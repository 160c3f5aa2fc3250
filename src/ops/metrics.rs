//! What a clock counts and measures, as a registry: made anew for each scrape, of what the store's thread counted, of the
//! loop's status, and of what is asked of the loop in bounded pages. So a series goes with its schedule, and nothing is
//! counted twice. `docs/operating.md` lists all names; a test compares them.

mod delayed;
mod health;
mod lease;

pub use health::of_follower;

use super::{OpsError, Pages, RunningClock, run_blocking, schedules};
use crate::{
    clock,
    clock_loop::{Command, Status},
    engine::ScheduleStatus,
    reports::Observed,
    telemetry::{Counts, OUTCOMES, OutcomeCounts},
};
use ponos::event::Timestamp;
use prometheus_client::{
    encoding::EncodeMetric,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
};
use tracing::info;

/// A gauge of seconds.
type Seconds = Gauge<f64, AtomicU64>;

/// The metrics of a clock.
///
/// # Errors
/// [`OpsError::Unavailable`]: its loop does not turn.
pub async fn read(clock: &RunningClock) -> Result<Registry, OpsError> {
    let status = clock.status();
    // Whatever is asked of the loop shows that it turns.
    let age = oldest(clock).await?.map_or(0, |oldest| clock::now().since(oldest).max(0));
    let schedules = if_few(clock, &status).await?;
    let (counts, zones, started) = (clock.counts.clone(), clock.zone_data(), clock.started);
    let observed = clock.observed().cloned();
    run_blocking(move || {
        let mut all = with_observed(observed);
        let registry = all.sub_registry_with_prefix("khronos");
        show_status(registry, &status, age);
        health::show(registry, &status, true, (&zones, started));
        delayed::show(registry, status.delayed, clock::now());
        lease::show(registry, counts.lease().seen(), true);
        counts.register(registry);
        show_audit(registry, &counts);
        show_schedules(registry, schedules);
        all
    })
    .await
}

/// A registry with what is counted of reports, where they are heard, under names of its own.
fn with_observed(observed: Option<Observed>) -> Registry {
    let mut registry = Registry::default();
    if let Some(observed) = observed {
        observed.register(&mut registry);
    }
    registry
}

/// When the oldest occurrence was to be sent that is due, and neither settled nor parked.
pub(super) async fn oldest(clock: &RunningClock) -> Result<Option<Timestamp>, OpsError> {
    let mut oldest: Option<Timestamp> = None;
    let mut after = None;
    loop {
        let page = clock.ask(|reply| Command::Oldest(after, reply)).await?;
        oldest = oldest.into_iter().chain(page.oldest).min();
        after = page.last;
        if after.is_none() {
            return Ok(oldest);
        }
    }
}

/// One schedule as it is shown.
struct Shown {
    name: Arc<str>,
    next: Option<Timestamp>,
    last: Option<Timestamp>,
    tally: OutcomeCounts,
}

/// All schedules, if there are not more than are shown.
async fn if_few(clock: &RunningClock, status: &Status) -> Result<Option<Vec<Shown>>, OpsError> {
    let limit = clock.counts.config().schedules;
    let mut is_few = status.figures.schedules.all() <= limit;
    let mut few: Vec<Shown> = Vec::new();
    let mut all = schedules::all(clock.clone());
    while is_few {
        let page = all.next().await?;
        if page.is_empty() {
            break;
        }
        few.extend(page.iter().map(Shown::new));
        is_few = few.len() <= limit;
    }
    if clock.counts.show_schedules(is_few) {
        match is_few {
            true => info!("metrics: there are series of single schedules again"),
            false => info!(
                "metrics: there are more than {limit} schedules (metrics.schedules), so there are no series of single ones"
            ),
        }
    }
    if !is_few {
        return Ok(None);
    }
    let names: Vec<Arc<str>> = few.iter().map(|shown| shown.name.clone()).collect();
    few.iter_mut().zip(clock.counts.of_schedules(&names)).for_each(|(shown, tally)| shown.tally = tally);
    Ok(Some(few))
}

impl Shown {
    fn new(status: &ScheduleStatus) -> Self {
        let (name, last) = (status.revision.name().into(), status.sent.last());
        Self { name, next: first_due(status), last, tally: OutcomeCounts::default() }
    }
}

/// When the first occurrence is to be sent that is neither settled nor parked.
fn first_due(status: &ScheduleStatus) -> Option<Timestamp> {
    let definition = &status.revision.definition;
    let timing = status.revision.timing();
    let behind = status.outstanding.iter().filter_map(|span| match span.coalesced {
        Some(coalesced) => Some(coalesced.first),
        None => timing.after(span.after).filter(|due| *due <= span.through),
    });
    // What somebody paused by its name is not awaited.
    let rests = status.paused.is_some();
    let behind = behind.filter(|_| !rests);
    let next = status.next.filter(|_| !rests && !definition.is_paused());
    behind.chain(status.in_flight).chain(next).min().map(|due| timing.send_time(due))
}

fn show_status(registry: &mut Registry, status: &Status, age: i64) {
    let figures = &status.figures;
    let schedules = Family::<[(&str, &str); 1], Gauge>::default();
    let states = figures.schedules;
    for (state, count) in
        [("active", states.active), ("paused", states.paused), ("finished", states.finished)]
    {
        schedules.get_or_create(&[("state", state)]).set(whole(count));
    }
    registry.register(
        "schedules",
        "Schedules by state; of those that are finished a part may be outstanding still",
        schedules,
    );
    let mut show = |name: &str, what: &str, value: i64| registry.register(name, what, gauge(value));
    show(
        "refused_schedules",
        "Schedules whose events the broker refuses at present",
        whole(figures.refused_schedules),
    );
    show(
        "outstanding",
        "Spans of schedules that are behind, or without an answer",
        whole(status.outstanding),
    );
    show("parked", "Parked events", whole(status.parked));
    show("in_flight", "Events that were handed over and are not answered", whole(figures.in_flight));
    let what = "How long ago the oldest occurrence was to be sent that is neither settled nor parked";
    registry.register_with_unit("oldest_outstanding_age", what, Unit::Seconds, seconds(age));
    let waiting = Family::<[(&str, String); 1], Gauge>::default();
    let delayed = Family::<[(&str, String); 1], Gauge>::default();
    for one in &status.ceilings {
        waiting.get_or_create(&[("domain", one.domain.clone())]).set(whole(one.waiting));
        delayed.get_or_create(&[("domain", one.domain.clone())]).set(whole(one.delayed));
    }
    let what = "Schedules, and parked entries, of which something waits for the rate ceiling of its domain";
    registry.register("ceiling_waiting", what, waiting);
    let what = "Delayed events that wait for the rate ceiling of their domain, as far as they are in memory";
    registry.register("ceiling_waiting_delayed", what, delayed);
    registry.register(
        "refusals",
        "Answers with which the broker refused an event, resends included",
        counter(figures.refusals),
    );
    let steps = Family::<[(&str, &str); 1], Counter>::default();
    for (direction, count) in [("forward", figures.forward_steps), ("backward", figures.backward_steps)] {
        steps.get_or_create(&[("direction", direction)]).inc_by(count);
    }
    registry.register("clock_steps", "Steps of the wall clock that were too long to be believed", steps);
}

fn show_audit(registry: &mut Registry, counts: &Counts) {
    let Some(audited) = counts.last_audit() else { return };
    let holes = gauge(whole(audited.holes));
    registry.register("audit_holes", "Occurrences without a row, as the clock's last audit found", holes);
    let surplus = gauge(whole(audited.surplus));
    registry.register(
        "audit_surplus",
        "Rows without an occurrence, as the clock's last audit found",
        surplus,
    );
    let what = "When the clock's last audit of its own record ended";
    registry.register_with_unit("audit_timestamp", what, Unit::Seconds, seconds(audited.at.millis()));
}

fn show_schedules(registry: &mut Registry, schedules: Option<Vec<Shown>>) {
    registry.register(
        "schedule_series",
        "Whether there are series of single schedules",
        gauge(schedules.is_some().into()),
    );
    let next = Family::<[(&str, Arc<str>); 1], Seconds>::default();
    let last = Family::<[(&str, Arc<str>); 1], Seconds>::default();
    let occurrences = Family::<[(&str, Arc<str>); 2], Counter>::default();
    for Shown { name, next: due, last: sent, tally } in schedules.into_iter().flatten() {
        let labels = [("schedule", name)];
        for (family, at) in [(&next, due), (&last, sent)] {
            if let Some(at) = at {
                family.get_or_create(&labels).set(in_seconds(at.millis()));
            }
        }
        let [label] = labels;
        for (outcome, count) in OUTCOMES.into_iter().zip(tally) {
            // The others may come one day; of most schedules they never do.
            if count > 0 || matches!(outcome, "confirmed" | "skipped" | "parked") {
                let labels = [label.clone(), ("outcome", outcome.into())];
                occurrences.get_or_create(&labels).inc_by(count);
            }
        }
    }
    let what = "When its first occurrence is to be sent that is neither settled nor parked";
    registry.register_with_unit("schedule_next_due_timestamp", what, Unit::Seconds, next);
    let what = "When its last event was sent that the broker confirmed";
    registry.register_with_unit("schedule_last_settled_timestamp", what, Unit::Seconds, last);
    let what = "Its due times that were settled and are in the record, by how they ended";
    registry.register("schedule_occurrences", what, occurrences);
}

fn gauge(value: i64) -> impl EncodeMetric + Send + Sync + fmt::Debug + 'static {
    let gauge: Gauge = Gauge::default();
    gauge.set(value);
    gauge
}

fn counter(value: u64) -> Counter {
    let counter = Counter::default();
    counter.inc_by(value);
    counter
}

/// Of milliseconds.
fn seconds(millis: i64) -> Seconds {
    let gauge = Seconds::default();
    gauge.set(in_seconds(millis));
    gauge
}

fn in_seconds(millis: i64) -> f64 {
    millis as f64 / 1_000.0
}

fn whole(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{Coalesced, Era, Span},
        schedule::{Definition, Packed},
    };

    const MINUTE: i64 = 60_000;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_millis(minute * MINUTE)
    }

    #[test]
    fn what_is_handed_over_and_not_answered_is_due_still() {
        let in_flight = Some(at(8));
        let active = ScheduleStatus { in_flight, ..status(|_| (), vec![]) };
        assert_eq!(first_due(&active), Some(at(8)));
        assert_eq!(first_due(&ScheduleStatus { outstanding: vec![span(3, 7, None)], ..active }), Some(at(4)));
        let pause = || {
            let reached = crate::engine::Reached { lately: at(1), ever: at(1), set_backs: 0 };
            let (by, note) = ("ann".into(), "x".into());
            Some(crate::engine::Pause { since: at(1), by, note, until: None, reached })
        };
        let by_name = || ScheduleStatus { paused: pause(), ..status(|_| (), vec![span(3, 7, None)]) };
        assert_eq!(first_due(&by_name()), None, "it rests, however old that is");
        assert_eq!(first_due(&ScheduleStatus { in_flight, ..by_name() }), Some(at(8)), "it was sent before");
        let paused = status(|definition| definition.paused = Some(true), vec![]);
        assert_eq!(first_due(&ScheduleStatus { in_flight, ..paused }), Some(at(8)));
    }

    fn status(change: impl FnOnce(&mut Definition), outstanding: Vec<Span>) -> ScheduleStatus {
        let every = Some("1 minute".into());
        let mut definition = Definition { name: "one-minute".into(), every, ..Definition::default() };
        change(&mut definition);
        let revision = Era::first(1, at(0)).of(Packed::build(&definition).unwrap());
        let sent = crate::engine::Sent::default();
        let (next, in_flight, refused) = (Some(at(9)), None, None);
        ScheduleStatus {
            revision,
            next,
            in_flight,
            outstanding,
            sent,
            refused,
            paused: None,
            finished: false,
        }
    }

    fn span(after: i64, through: i64, coalesced: Option<Coalesced>) -> Span {
        Span { revision: 1, after: at(after), through: at(through), handed: at(after), coalesced }
    }

    #[test]
    fn the_first_that_is_due_is_the_oldest_that_is_not_settled() {
        let coalesced = Coalesced { first: at(2), last: at(4), count: 3 };
        for (outstanding, first) in [
            (vec![], 9),
            (vec![span(3, 8, None)], 4),
            (vec![span(5, 8, None), span(3, 4, None)], 4),
            (vec![span(1, 4, Some(coalesced))], 2),
            // Nothing of it is left.
            (vec![span(8, 8, None)], 9),
        ] {
            assert_eq!(first_due(&status(|_| (), outstanding.clone())), Some(at(first)), "{outstanding:?}");
        }
        let pause = |definition: &mut Definition| definition.paused = Some(true);
        assert_eq!(first_due(&status(pause, vec![])), None, "nothing of it is sent");
        let jitter = |definition: &mut Definition| definition.jitter = Some("50s".into());
        let later = crate::schedule::jitter_offset("one-minute", at(9), 50_000);
        assert_eq!(first_due(&status(jitter, vec![])), Some(at(9).plus(later)));
    }
}

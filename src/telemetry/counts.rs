//! What is counted and measured of rows once they are durable, and of the store that writes them: so that the counters
//! agree with the record. All of it is bounded, and none of it is touched by the clock's loop.

use super::{
    commands::CommandCounts,
    lease::LeaseFigures,
    per_schedule::{OutcomeCounts, PerSchedule},
    spans::Tracing,
};
use crate::{
    config::MetricsConfig,
    engine::{Outcome, Row, SkipReason, UNROUTED},
};
use ponos::event::{EventId, EventKind, OccurrenceId, Sampling, Timestamp};
use prometheus_client::{
    encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder},
    metrics::{counter::Counter, exemplar::HistogramWithExemplars, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, UNIX_EPOCH},
};

/// Upper bounds of what an event takes, in seconds. One second is the objective that alerts are about.
const EVENT: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];
/// Upper bounds of what a write takes, in seconds.
const WRITE: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// In place of a schedule's name: a row that speaks of all of them.
const ALL: &str = "*";

/// Why an event came to be, as its data says.
const CAUSES: [&str; 3] = ["scheduled", "triggered", "backfilled"];

/// Outcome and reason, and the number of the outcome among [`OUTCOMES`](super::OUTCOMES).
const ENDINGS: [(&str, &str, usize); 11] = [
    ("confirmed", "", 0),
    ("skipped", "paused", 1),
    ("skipped", "missed", 1),
    ("skipped", "too-old", 1),
    ("skipped", "past", 1),
    ("skipped", "removed", 1),
    ("parked", "refused", 2),
    ("parked", "unrouted", 2),
    ("dropped", "operator", 3),
    ("dropped", "limit", 3),
    ("details-lost", "", 4),
];

/// A position in [`ENDINGS`]. A clock that was set back settled nothing.
fn ending(outcome: &Outcome) -> Option<usize> {
    Some(match outcome {
        Outcome::Confirmed { .. } => 0,
        Outcome::Skipped(SkipReason::Paused) => 1,
        Outcome::Skipped(SkipReason::Missed) => 2,
        Outcome::Skipped(SkipReason::TooOld) => 3,
        Outcome::Skipped(SkipReason::Past) => 4,
        Outcome::Skipped(SkipReason::Removed) => 5,
        Outcome::Parked(reason) if reason == UNROUTED => 7,
        Outcome::Parked(_) => 6,
        Outcome::Dropped => 8,
        Outcome::DroppedAtLimit => 9,
        Outcome::DetailsLost => 10,
        Outcome::ClockSetBack => return None,
    })
}

/// A position in [`CAUSES`].
fn cause(kind: &EventKind) -> usize {
    match kind {
        EventKind::Occurrence | EventKind::Delayed => 0,
        EventKind::Trigger(_) => 1,
        EventKind::Backfill(_) => 2,
    }
}

/// What the clock's audit of its own record found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audited {
    /// When it ended.
    pub at: Timestamp,
    /// Occurrences of which nothing is known.
    pub holes: u64,
    /// Rows that should not be there.
    pub surplus: u64,
}

/// Counts and measures. Clones share them.
#[derive(Debug, Clone)]
pub struct Counts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Arc<str>,
    config: MetricsConfig,
    occurrences: Family<[(&'static str, &'static str); 2], Counter>,
    /// The same, as [`ENDINGS`].
    endings: [Counter; ENDINGS.len()],
    lateness: Family<[(&'static str, &'static str); 1], HistogramWithExemplars<Trace>>,
    /// The same, as [`CAUSES`].
    late: [HistogramWithExemplars<Trace>; CAUSES.len()],
    confirms: Histogram,
    unheard: Counter,
    details_lost: Counter,
    flushes: Histogram,
    store_errors: Counter,
    audit_errors: Counter,
    follower_panics: Counter,
    commands: CommandCounts,
    lease: LeaseFigures,
    audited: Mutex<Option<Audited>>,
    schedules: Mutex<PerSchedule>,
    tracing: OnceLock<Tracing>,
}

/// The event that is an example of its bucket. Its id, which is the trace's, is made when it is shown.
#[derive(Debug, Clone)]
struct Trace {
    clock: Arc<str>,
    /// What stands for it in ids.
    schedule: Arc<str>,
    due: Timestamp,
    kind: EventKind,
}

impl Trace {
    fn id(&self) -> EventId {
        let Self { clock, schedule, due, kind } = self;
        OccurrenceId { clock, schedule, due: *due, kind }.id()
    }

    /// Whether somebody records it.
    fn is_in(&self, sampling: Sampling) -> bool {
        sampling == Sampling::ALL
            || self.id().as_str().parse().is_ok_and(|id: uuid::Uuid| sampling.includes(id.as_u128()))
    }
}

impl EncodeLabelSet for Trace {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        ("trace_id", self.id().as_str().replace('-', "")).encode(encoder.encode_label())
    }
}

impl Counts {
    /// Of the clock of this name.
    pub fn new(clock: &str, config: &MetricsConfig) -> Self {
        let lateness: Family<_, _> = Family::new_with_constructor(
            (|| HistogramWithExemplars::new(EVENT.into_iter())) as fn() -> HistogramWithExemplars<Trace>,
        );
        let occurrences = Family::<_, Counter>::default();
        Self(Arc::new(Inner {
            clock: clock.into(),
            config: config.clone(),
            endings: ENDINGS.map(|(outcome, reason, _)| {
                occurrences.get_or_create_owned(&[("outcome", outcome), ("reason", reason)])
            }),
            occurrences,
            late: CAUSES.map(|cause| lateness.get_or_create_owned(&[("cause", cause)])),
            lateness,
            confirms: Histogram::new(EVENT),
            unheard: Counter::default(),
            details_lost: Counter::default(),
            flushes: Histogram::new(WRITE),
            store_errors: Counter::default(),
            audit_errors: Counter::default(),
            follower_panics: Counter::default(),
            commands: CommandCounts::default(),
            lease: LeaseFigures::default(),
            audited: Mutex::default(),
            schedules: Mutex::new(PerSchedule::new(config.schedules)),
            tracing: OnceLock::new(),
        }))
    }

    /// With traces, of which it is counted what becomes of them.
    pub fn with_tracing(self, tracing: Tracing) -> Self {
        // Once, where they are made.
        let _ = self.0.tracing.set(tracing);
        self
    }

    /// Where traces are recorded, and which.
    pub fn tracing(&self) -> Tracing {
        self.0.tracing.get().cloned().unwrap_or_default()
    }

    /// What is configured.
    pub fn config(&self) -> &MetricsConfig {
        &self.0.config
    }

    /// These rows are durable.
    pub fn recorded(&self, rows: &[Row]) {
        let counts = &*self.0;
        let mut ended = [0; ENDINGS.len()];
        let (mut unheard, mut lost) = (0, false);
        let mut shown = [[false; EVENT.len() + 1]; CAUSES.len()];
        let sampling = counts.tracing.get().map_or(Sampling::ALL, |tracing| tracing.sampling);
        let mut schedules = counts.schedules();
        // The newest first: of each batch and bucket one event is shown.
        for row in rows.iter().rev() {
            let Some(ending) = ending(&row.outcome) else { continue };
            ended[ending] += row.count;
            if &*row.schedule != ALL {
                schedules.add(&row.schedule, ENDINGS[ending].2, row.count);
            }
            match row.outcome {
                Outcome::Confirmed { sent_at, lateness, returned } => {
                    unheard += u64::from(returned);
                    let (cause, late) = (cause(&row.kind), seconds(lateness));
                    let bucket = EVENT.partition_point(|upper| *upper < late);
                    // A delayed event may be in the trace of who asked for it, which its row does not say.
                    let is_first =
                        row.kind != EventKind::Delayed && !std::mem::replace(&mut shown[cause][bucket], true);
                    let trace = is_first.then(|| counts.trace(row)).filter(|trace| trace.is_in(sampling));
                    let at = trace.as_ref().map(|_| UNIX_EPOCH + duration(sent_at.millis()));
                    counts.late[cause].observe(late, trace, at);
                    counts.confirms.observe(seconds(row.at.since(sent_at)));
                }
                Outcome::DetailsLost => lost = true,
                _ => {}
            }
        }
        drop(schedules);
        for (counter, count) in counts.endings.iter().zip(ended).filter(|(_, count)| *count > 0) {
            counter.inc_by(count);
        }
        counts.unheard.inc_by(unheard);
        counts.details_lost.inc_by(lost.into());
    }

    /// A row was written at the start which says that a crash took the details of some events: nobody knows how many.
    pub fn details_lost(&self) {
        self.0.details_lost.inc();
    }

    /// Those of commands.
    pub fn commands(&self) -> &CommandCounts {
        &self.0.commands
    }

    /// What is known of the lease, where the clock is one of several.
    pub fn lease(&self) -> &LeaseFigures {
        &self.0.lease
    }

    /// A write took that long.
    pub fn flushed(&self, took: Duration) {
        self.0.flushes.observe(took.as_secs_f64());
    }

    /// A write failed.
    pub fn write_failed(&self) {
        self.0.store_errors.inc();
    }

    /// The thread that reads what the leader keeps panicked.
    pub fn follower_panicked(&self) {
        self.0.follower_panics.inc();
    }

    /// How often it did.
    pub fn follower_panics(&self) -> u64 {
        self.0.follower_panics.get()
    }

    /// The record was audited, or could not be.
    pub fn audited(&self, found: Option<Audited>) {
        match found {
            Some(found) => *self.0.audited.lock().unwrap_or_else(PoisonError::into_inner) = Some(found),
            None => drop(self.0.audit_errors.inc()),
        }
    }

    /// Audits are made no longer: what the last one found grows old.
    pub fn forget_audit(&self) {
        *self.0.audited.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What the last audit found.
    pub fn last_audit(&self) -> Option<Audited> {
        *self.0.audited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether single schedules are shown from now on. Gives whether that is news.
    pub fn show_schedules(&self, shown: bool) -> bool {
        let mut schedules = self.0.schedules();
        if !shown {
            schedules.stop();
        }
        std::mem::replace(&mut schedules.shown, shown) != shown
    }

    /// The tallies of these schedules, which are all that run. What went is forgotten.
    pub fn of_schedules(&self, names: &[Arc<str>]) -> Vec<OutcomeCounts> {
        self.0.schedules().of(names)
    }

    /// Has them shown with the registry's other metrics.
    pub fn register(&self, registry: &mut Registry) {
        let counts = &*self.0;
        registry.register(
            "occurrences",
            "Due times that were settled and are in the record, by how they ended",
            counts.occurrences.clone(),
        );
        let what = "Sent minus send time of confirmed events";
        registry.register_with_unit("lateness", what, Unit::Seconds, counts.lateness.clone());
        let what = "From handing an event over to its confirm";
        registry.register_with_unit("confirm_duration", what, Unit::Seconds, counts.confirms.clone());
        registry.register("unheard", "Confirmed events that reached nobody", counts.unheard.clone());
        registry.register(
            "details_lost",
            "Writes with rows which say that details of settled occurrences were lost, to a crash or for want of room",
            counts.details_lost.clone(),
        );
        let what = "Durable writes of progress and rows";
        registry.register_with_unit("store_flush_duration", what, Unit::Seconds, counts.flushes.clone());
        registry.register(
            "store_errors",
            "Writes that failed; each is tried again",
            counts.store_errors.clone(),
        );
        registry.register(
            "audit_errors",
            "Audits of its own record that the clock could not make",
            counts.audit_errors.clone(),
        );
        counts.commands.register(registry);
        if let Some(traces) = self.tracing().traces {
            traces.register(registry, "spans");
        }
        self.register_of_follower(registry);
    }

    /// Those that a clock has while it follows another one.
    pub fn register_of_follower(&self, registry: &mut Registry) {
        registry.register(
            "follower_panics",
            "Panics of the thread that reads what the leader keeps, while this clock follows",
            self.0.follower_panics.clone(),
        );
    }
}

impl Inner {
    fn schedules(&self) -> MutexGuard<'_, PerSchedule> {
        self.schedules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trace(&self, row: &Row) -> Trace {
        let (clock, schedule) = (
            self.clock.clone(),
            match row.creation {
                0 => row.schedule.clone(),
                _ => row.id_name().into(),
            },
        );
        Trace { clock, schedule, due: row.last, kind: row.kind.clone() }
    }
}

fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

/// Milliseconds in seconds; a wall clock that was set back makes nothing negative.
fn seconds(millis: i64) -> f64 {
    duration(millis).as_secs_f64()
}

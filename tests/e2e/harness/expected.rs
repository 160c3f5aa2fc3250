//! What the schedules call for, computed from what the clock's store says of them; and whether that is what arrived.

use super::{Arrival, Arrivals, Clock, LIMIT};
use khronos::{
    engine::{RecordRow, Revision, Snapshot},
    postgres::{Door, DoorOptions},
    schedule::{Policy, Schedule},
    store::{PostgresOptions, PostgresStore, SledOptions, SledStore, Store},
};
use ponos::event::{EventKind, OccurrenceId, Timestamp};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    thread,
};
use testkit::block_until_or_tell;

/// Rows that are read at once.
const PAGE: usize = 10_000;

/// What a clock that was stopped has settled.
pub(crate) struct Expected {
    snapshot: Snapshot,
    rows: Vec<RecordRow>,
    schedules: Vec<(Revision, Schedule)>,
}

/// The id of an occurrence of the clock `khronos`.
pub(crate) fn id_of(schedule: &str, due: Timestamp) -> String {
    OccurrenceId { clock: "khronos", schedule, due, kind: &EventKind::Occurrence }.id().to_string()
}

/// Due times after the first instant, up to the second.
pub(crate) fn due_times(schedule: &Schedule, after: Timestamp, through: Timestamp) -> BTreeSet<Timestamp> {
    let next = |due: &Timestamp| schedule.timing.after(*due).filter(|next| *next <= through);
    std::iter::successors(next(&after), next).collect()
}

impl Expected {
    /// Reads the store of a clock that was stopped, with nothing outstanding.
    pub(crate) fn of(clock: &Clock) -> Self {
        let mut store = SledStore::open(&clock.store(), "khronos", &SledOptions::default()).unwrap();
        Self::in_store(&mut store).expect("nothing is outstanding")
    }

    /// Reads the store of a clock that was stopped, wherever it is; `None` where something is outstanding.
    pub(crate) fn in_store(store: &mut dyn Store) -> Option<Self> {
        let snapshot = store.load().unwrap();
        if !snapshot.spans.is_empty() {
            return None;
        }
        let mut rows: Vec<RecordRow> = Vec::new();
        loop {
            let page = store.read(rows.last().map_or(0, |row| row.sequence), PAGE).unwrap().rows;
            if page.is_empty() {
                break;
            }
            rows.extend(page);
        }
        let built = |revision: &Revision| (revision.clone(), revision.build().unwrap());
        let schedules = snapshot.revisions.iter().map(built).collect();
        Some(Self { snapshot, rows, schedules })
    }

    /// The same of a clock whose state is in this Postgres.
    pub(crate) fn in_postgres(database: &str) -> Option<Self> {
        // The store's calls block, which a thread of the test's runtime may not.
        let read = || {
            let door = Door::new(database, "khronos", DoorOptions::default()).unwrap();
            Self::in_store(&mut PostgresStore::open(&door, &PostgresOptions::default()).unwrap())
        };
        thread::scope(|scope| scope.spawn(read).join().unwrap())
    }

    /// As long as it counts.
    fn due(&self, (revision, schedule): &(Revision, Schedule)) -> BTreeSet<Timestamp> {
        let settled = self.snapshot.settled.unwrap();
        let through = revision.ended.map_or(settled, |ended| ended.min(settled));
        due_times(schedule, revision.effective_from, through)
    }

    /// All that were ever in effect.
    pub(crate) fn revisions(&self) -> impl Iterator<Item = &Revision> {
        self.schedules.iter().map(|(revision, _)| revision)
    }

    /// What is sent again may come after what is newer.
    fn wait_for_all(&self, schedule: &(Revision, Schedule), arrivals: &Arrivals, queue: usize) {
        let name = &schedule.1.name;
        let due = self.due(schedule);
        let missing = || {
            let came: BTreeSet<_> =
                arrivals.look(|all| of(all, queue, name).filter_map(|arrival| arrival.event.time).collect());
            due.difference(&came).copied().collect::<Vec<_>>()
        };
        let look = || missing().is_empty().then_some(());
        let tell = || {
            let missing = missing();
            let concerned = |row: &&RecordRow| {
                let within = |due: &Timestamp| (row.row.first..=row.row.last).contains(due);
                row.row.schedule == *name && missing.iter().any(within)
            };
            let rows: Vec<_> = self.rows.iter().filter(concerned).collect();
            format!("missing of {} due: {missing:?}; the record says {rows:?}", due.len())
        };
        block_until_or_tell(&format!("all of {name} in queue {queue}"), LIMIT, look, tell);
    }

    /// All of one schedule, each singly, came to this queue.
    pub(crate) fn all_came(&self, name: &str, arrivals: &Arrivals, queue: usize) {
        let schedule = self.schedules.iter().find(|(revision, _)| revision.name() == name).unwrap();
        self.wait_for_all(schedule, arrivals, queue);
    }

    /// Compares with what arrived in each of so many queues. Gives (occurrences, arrivals, coalesced ones).
    pub(crate) fn compare(&self, arrivals: &Arrivals, queues: usize) -> (usize, usize, u64) {
        for schedule in &self.schedules {
            let due = self.due(schedule);
            let last = *due.last().expect("each schedule was due");
            for queue in 0..queues {
                arrivals.first(&format!("{} of {last} in queue {queue}", schedule.1.name), |arrival| {
                    arrival.queue == queue && is(arrival, &schedule.1.name, last)
                });
            }
        }
        let all = self.schedules.iter().filter(|(_, schedule)| schedule.catch_up.policy == Policy::All);
        for schedule in all {
            for queue in 0..queues {
                self.wait_for_all(schedule, arrivals, queue);
            }
        }
        let so_far = arrivals.so_far();
        let mut coalesced = 0;
        for (revision, schedule) in &self.schedules {
            let due = self.due(&(revision.clone(), schedule.clone()));
            for queue in 0..queues {
                let came: Vec<&Arrival> = of(&so_far, queue, &schedule.name).collect();
                coalesced += match schedule.catch_up.policy {
                    Policy::All => same_ids(&schedule.name, &due, &came),
                    _ => tiled(revision, &due, &came),
                };
            }
        }
        plausible(&so_far);
        (self.schedules.iter().map(|schedule| self.due(schedule).len()).sum(), so_far.len(), coalesced)
    }
}

fn is(arrival: &Arrival, schedule: &str, due: Timestamp) -> bool {
    arrival.event.subject.as_deref() == Some(schedule) && arrival.event.time == Some(due)
}

fn of<'a>(arrivals: &'a [Arrival], queue: usize, schedule: &'a str) -> impl Iterator<Item = &'a Arrival> {
    let wanted = move |arrival: &&Arrival| {
        arrival.queue == queue && arrival.event.subject.as_deref() == Some(schedule)
    };
    arrivals.iter().filter(wanted)
}

fn data(arrival: &Arrival) -> Value {
    serde_json::from_slice(&arrival.message.body).unwrap()
}

fn instant(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// `all`: the set of ids that arrived equals the set computed.
fn same_ids(schedule: &str, due: &BTreeSet<Timestamp>, came: &[&Arrival]) -> u64 {
    let expected: BTreeMap<String, Timestamp> = due.iter().map(|due| (id_of(schedule, *due), *due)).collect();
    let came: BTreeMap<String, Timestamp> =
        came.iter().map(|arrival| (arrival.event.id.to_string(), arrival.event.time.unwrap())).collect();
    let missing: Vec<_> = expected.iter().filter(|(id, _)| !came.contains_key(*id)).collect();
    let surplus: Vec<_> = came.iter().filter(|(id, _)| !expected.contains_key(*id)).collect();
    assert!(missing.is_empty() && surplus.is_empty(), "{schedule}: missing {missing:?}, surplus {surplus:?}");
    0
}

/// `latest`: the windows tile the time from the creation to the last due time; their counts are those of the arithmetic.
fn tiled(revision: &Revision, due: &BTreeSet<Timestamp>, came: &[&Arrival]) -> u64 {
    let by_due: BTreeMap<Timestamp, Value> =
        came.iter().map(|arrival| (arrival.event.time.unwrap(), data(arrival))).collect();
    let (mut end, mut coalesced) = (revision.opens, 0);
    for (time, data) in &by_due {
        let (from, to) = (instant(&data["window"]["from"]), instant(&data["window"]["to"]));
        assert_eq!((from, to), (end, *time), "{}: gap or overlap at {data}", revision.name());
        let within = due.range((Bound::Excluded(from), Bound::Included(to))).count() as u64;
        assert_eq!(data["coalesced"], within - 1, "{data}");
        coalesced += within - 1;
        end = to;
    }
    assert_eq!(Some(&end), due.last(), "{}", revision.name());
    coalesced
}

/// Nothing is early; equal ids have equal bodies; the id is that of the occurrence; lateness is what was measured.
fn plausible(arrivals: &[Arrival]) {
    let mut bodies: HashMap<&str, &[u8]> = HashMap::new();
    for arrival in arrivals {
        let (event, message) = (&arrival.event, &arrival.message);
        let (due, sent) = (event.time.unwrap(), event.recorded_time.unwrap());
        assert!(sent >= due && arrival.at >= sent, "early: {event:?} at {}", arrival.at);
        assert_eq!(message.headers.int("khronos-lateness-ms"), Some(sent.since(due)), "{event:?}");
        assert_eq!(event.id.as_str(), id_of(event.subject.as_deref().unwrap(), due));
        let body = bodies.entry(event.id.as_str()).or_insert(&message.body);
        assert_eq!(*body, message.body, "two bodies of {}", event.id);
    }
}

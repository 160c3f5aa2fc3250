//! Two sets of schedules → what differs, schedule by schedule.

use super::{Set, Side};
use crate::{
    engine::ZONES_SINCE,
    schedule::{Change, Skipped, Timing, difference},
};
use ponos::event::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

/// How many occurrences are compared one by one, over all schedules: some seconds' work.
const MOST: u64 = 20_000_000;
/// How many local times in gaps are looked for in each schedule.
const GAPS: usize = 1000;

/// What differs.
#[derive(Serialize)]
pub(super) struct Plan {
    pub(super) old: String,
    pub(super) new: String,
    pub(super) from: Timestamp,
    pub(super) through: Timestamp,
    /// Occurrences of all schedules.
    #[serde(flatten)]
    pub(super) sum: Sum,
    /// New occurrences that fall into a gap of the clocks.
    pub(super) in_gaps: usize,
    /// How many schedules are as before.
    pub(super) unchanged: usize,
    /// What other rules of time zones change by themselves; null where they change nothing.
    pub(super) zone_data: Option<ByZoneData>,
    pub(super) schedules: Vec<One>,
}

/// The schedules of which nothing differs but the rules of a zone.
#[derive(Serialize)]
pub(super) struct ByZoneData {
    /// The new data.
    pub(super) data: String,
    pub(super) schedules: usize,
    #[serde(flatten)]
    pub(super) sum: Sum,
}

/// Counts of occurrences.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Sum {
    pub(super) added: u64,
    pub(super) removed: u64,
    pub(super) moved: u64,
    /// True if there are too many to compare: the counts are lower bounds.
    pub(super) at_least: bool,
}

/// One schedule that differs.
#[derive(Serialize)]
pub(super) struct One {
    pub(super) name: String,
    pub(super) change: Kind,
    #[serde(flatten)]
    pub(super) sum: Sum,
    pub(super) occurrences_before: u64,
    pub(super) occurrences_now: u64,
    /// The keys that differ; only for those that are on both sides.
    pub(super) keys: Vec<Key>,
    /// The time zones that have other rules from a month ago on.
    pub(super) zones: Vec<String>,
    pub(super) first: Vec<Shown>,
    pub(super) gaps: Vec<Gap>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Added,
    Removed,
    Changed,
}

#[derive(Serialize)]
pub(super) struct Key {
    pub(super) key: String,
    pub(super) old: Value,
    pub(super) new: Value,
}

/// One changed occurrence: `was` and `due_at`, one of which may be missing; with local times for people.
#[derive(Serialize)]
pub(super) struct Shown {
    pub(super) was: Option<Instant>,
    pub(super) now: Option<Instant>,
}

#[derive(Serialize)]
pub(super) struct Instant {
    pub(super) due_at: Timestamp,
    pub(super) local_time: String,
    pub(super) time_zone: String,
}

#[derive(Serialize)]
pub(super) struct Gap {
    pub(super) local_time: String,
    pub(super) time_zone: String,
    pub(super) due_at: Option<Timestamp>,
    pub(super) instead: Option<String>,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.added += other.added;
        self.removed += other.removed;
        self.moved += other.moved;
        self.at_least |= other.at_least;
    }
}

impl Plan {
    /// Whether anything does.
    pub(super) fn differs(&self) -> bool {
        !self.schedules.is_empty()
    }
}

/// Compares them in (from, through], keeping `keep` occurrences of each schedule to show.
pub(super) fn compare(old: &Set, new: &Set, span: (Timestamp, Timestamp), keep: usize) -> Plan {
    let mut plan = Plan {
        old: old.title.clone(),
        new: new.title.clone(),
        from: span.0,
        through: span.1,
        sum: Sum::default(),
        in_gaps: 0,
        unchanged: 0,
        zone_data: None,
        schedules: Vec::new(),
    };
    let mut names: Vec<&String> = old.schedules.keys().chain(new.schedules.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let mut budget = MOST;
    for name in names {
        let (before, now) = (old.schedules.get(name), new.schedules.get(name));
        if let (Some(before), Some(now)) = (before, now)
            && before.definition == now.definition
            && zones_changed(before, now).is_empty()
        {
            plan.unchanged += 1;
            continue;
        }
        let one = one(name, before, now, span, &mut budget, keep);
        plan.sum.add(one.sum);
        if !one.zones.is_empty() && one.keys.is_empty() {
            let none = || ByZoneData { data: new.zone_data.clone(), schedules: 0, sum: Sum::default() };
            let by_data = plan.zone_data.get_or_insert_with(none);
            by_data.schedules += 1;
            by_data.sum.add(one.sum);
        }
        plan.in_gaps += one.gaps.len();
        plan.schedules.push(one);
    }
    plan
}

fn one(
    name: &str,
    before: Option<&Side>,
    now: Option<&Side>,
    span: (Timestamp, Timestamp),
    budget: &mut u64,
    keep: usize,
) -> One {
    let (old, new) = (before.and_then(timing), now.and_then(timing));
    let found = difference(old, new, span, *budget, keep);
    if old != new && old.is_some() && new.is_some() && !found.counted {
        *budget = budget.saturating_sub(found.before.saturating_add(found.now));
    }
    let gaps = match new {
        Some(timing) if old != new => timing.gaps(span.0, span.1, GAPS).into_iter().map(Gap::from).collect(),
        _ => Vec::new(),
    };
    let (change, keys, zones) = match (before, now) {
        (None, _) => (Kind::Added, Vec::new(), Vec::new()),
        (_, None) => (Kind::Removed, Vec::new(), Vec::new()),
        (Some(before), Some(now)) => (Kind::Changed, keys(before, now), zones_changed(before, now)),
    };
    let sum = Sum { added: found.added, removed: found.removed, moved: found.moved, at_least: found.counted };
    One {
        name: name.to_owned(),
        change,
        sum,
        occurrences_before: found.before,
        occurrences_now: found.now,
        keys,
        zones,
        first: found.first.iter().map(|&change| shown(change, old, new)).collect(),
        gaps,
    }
}

/// When it is due; never while it is paused.
fn timing(side: &Side) -> Option<&Timing> {
    side.schedule.as_ref().filter(|schedule| !schedule.paused).map(|schedule| &schedule.timing)
}

/// The zones whose rules differ so that the clock would take the schedule for another one.
fn zones_changed(before: &Side, now: &Side) -> Vec<String> {
    let (Some(before), Some(now)) = (&before.schedule, &now.schedule) else { return Vec::new() };
    now.timing.zones_changed(&before.timing, crate::clock::now().plus(-ZONES_SINCE))
}

fn keys(before: &Side, now: &Side) -> Vec<Key> {
    let object = |side: &Side| match serde_json::to_value(&side.definition) {
        Ok(Value::Object(object)) => object,
        _ => Map::new(),
    };
    let (old, new) = (object(before), object(now));
    let mut names: Vec<&String> = old.keys().collect();
    names.extend(new.keys().filter(|name| !old.contains_key(*name)));
    let value = |object: &Map<String, Value>, name| object.get(name).cloned().unwrap_or(Value::Null);
    let differing = names.into_iter().filter(|&name| old.get(name) != new.get(name));
    differing.map(|name| Key { key: name.clone(), old: value(&old, name), new: value(&new, name) }).collect()
}

fn shown(change: Change, old: Option<&Timing>, new: Option<&Timing>) -> Shown {
    let there = |at: Timestamp, timing: Option<&Timing>| {
        let local = timing.and_then(|timing| timing.local(at)).unwrap_or_default();
        Instant { due_at: at, local_time: local.time, time_zone: local.zone.to_string() }
    };
    match change {
        Change::Added(at) => Shown { was: None, now: Some(there(at, new)) },
        Change::Removed(at) => Shown { was: Some(there(at, old)), now: None },
        Change::Moved { from, to } => Shown { was: Some(there(from, old)), now: Some(there(to, new)) },
    }
}

impl From<Skipped> for Gap {
    fn from(skipped: Skipped) -> Self {
        let Skipped { local, zone, due, instead } = skipped;
        Self { local_time: local, time_zone: zone.to_string(), due_at: due, instead }
    }
}

//! The promises, checked on what arrived and what stands in the record. Deliberately not the engine's arithmetic: every
//! occurrence is enumerated and looked for.

use super::{
    backfilling::operations_are_kept,
    ceilings::ceilings_are_kept,
    evidence::{Arrival, Evidence, is_of},
    pausing::pauses_are_kept,
    triggering::triggers_are_kept,
    world::{IN_FLIGHT, World},
};
use crate::{
    ClockState, Outcome, Parked, Revision, Row,
    audit::{Tally, audit},
};
use khronos_schedule::{Unrouted, jitter_offset};
use ponos_event::Timestamp;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// Which occurrences an event or row speaks for, first and last included.
type Run = (Timestamp, Timestamp);

pub(super) fn promises(world: &World) -> Result<(), String> {
    let seen = &world.evidence();
    world.early.clone().map_or(Ok(()), |what| Err(format!("early: {what}")))?;
    nothing_was_early(seen)?;
    world.reservation.broken.clone().map_or(Ok(()), Err)?;
    equal_ids_have_equal_bodies(seen)?;
    world.rendering.broken.clone().map_or(Ok(()), Err)?;
    world.parking.broken.clone().map_or(Ok(()), Err)?;
    world.commands.broken.clone().map_or(Ok(()), Err)?;
    world.calendaring.broken.clone().map_or(Ok(()), Err)?;
    figures_are_its_own(world)?;
    world.zones.broken.clone().map_or(Ok(()), Err)?;
    ceilings_are_kept(world)?;
    pauses_are_kept(world)?;
    triggers_are_kept(world)?;
    operations_are_kept(world)?;
    nothing_is_settled_by_reaching_nobody(seen)?;
    nothing_waits_for_its_turn(world)?;
    nothing_sent_singly_was_coalesced(seen)?;
    order_holds_per_schedule(seen)?;
    if world.most_in_flight > IN_FLIGHT {
        return Err(format!("{} in flight", world.most_in_flight));
    }
    limits_hold(seen)?;
    for revision in seen.revisions {
        nothing_was_lost(seen, revision)?;
    }
    windows_tile(seen)?;
    world
        .recording
        .broken
        .as_ref()
        .map_or(Ok(()), |broken| Err(format!("{AUDIT}would not see that {broken}")))?;
    the_audit_agrees(seen)?;
    world.auditing.broken.as_ref().map_or(Ok(()), |broken| Err(format!("{AUDIT}{broken}")))
}

/// What the audit complains of begins with this.
pub(super) const AUDIT: &str = "the audit ";

/// Record and arithmetic agree: no hole, nothing that should not be there; and a clean stop loses no details.
pub(super) fn the_audit_agrees(seen: &Evidence<'_>) -> Result<(), String> {
    if seen.disk.last_sequence != seen.record.len() as u64 {
        return Err(format!("{AUDIT}would take details for lost after a clean stop"));
    }
    let report = audit(seen.disk, seen.record, None, None).map_err(|e| e.to_string())?;
    let of_all = report.totals.expected.checked_sub(report.totals.holes);
    if report.agrees() && of_all == Some(accounted(&report.totals)) {
        return Ok(());
    }
    let one = report.schedules.iter().find(|one| one.tally.holes + one.tally.surplus > 0);
    Err(match one {
        Some(one) => {
            let (missing, extra) = (&one.missing, &one.extra);
            format!("{AUDIT}misses {missing:?}, and did not expect {extra:?}\n{}", seen.story(&one.schedule))
        }
        None => format!("{AUDIT}does not add up: {:?}", report.totals),
    })
}

fn accounted(tally: &Tally) -> u64 {
    let Tally { confirmed, coalesced, dropped, parked, pending, details_lost, clock_set_back, .. } = tally;
    confirmed + coalesced + tally.all_skipped() + dropped + parked + pending + details_lost + clock_set_back
}

/// As many events are said to be sent of a schedule as the record has of it, and not of what had its name before.
fn figures_are_its_own(world: &World) -> Result<(), String> {
    for one in world.engine.running_after(None) {
        let (name, creation) = (one.revision.name(), one.revision.definition.creation());
        let its_own = |row: &&Row| (&*row.schedule, row.creation) == (name, creation);
        let confirmed = |row: &&Row| matches!(row.outcome, Outcome::Confirmed { .. });
        let rows = world.record.iter().map(|entry| &entry.row).filter(its_own).filter(confirmed).count();
        if one.sent.confirmed as usize != rows {
            let said = one.sent.confirmed;
            return Err(format!("{name}@{creation} is said to have sent {said} events, and sent {rows}"));
        }
    }
    Ok(())
}

/// Where somebody must be bound, what reaches nobody is not confirmed.
fn nothing_is_settled_by_reaching_nobody(seen: &Evidence<'_>) -> Result<(), String> {
    for row in seen.rows() {
        let revision = seen.revisions.iter().find(|r| is_of(r, (&row.schedule, row.creation, row.revision)));
        let parks = revision.is_some_and(|r| r.definition.conduct().unrouted == Unrouted::Park);
        if parks && matches!(row.outcome, Outcome::Confirmed { returned: true, .. }) {
            return Err(format!("{} of {} reached nobody, and is settled", row.schedule, row.last));
        }
    }
    Ok(())
}

/// What is sent again by itself goes out in the end, when nothing is refused any more: but for what lies ahead since the clock
/// was set back, which holds up nothing else.
fn nothing_waits_for_its_turn(world: &World) -> Result<(), String> {
    // Nothing is handed over before the clock is believed.
    if world.engine.clock() != ClockState::Steady {
        return Ok(());
    }
    let is_ahead = |parked: &Parked| {
        let mut all = world.disk.revisions.iter();
        let revision = all.find(|r| *r.name() == *parked.schedule && r.number == parked.revision);
        let jitter = revision.map_or(0, |revision| revision.timing().jitter());
        let due = if parked.singly { parked.stands_for.first } else { parked.stands_for.last };
        due.plus(jitter_offset(&parked.schedule, due, jitter)).millis() > world.wall
    };
    let tried = |(_, parked): &&(u64, Parked)| parked.retry_at.is_some() && !is_ahead(parked);
    match world.disk.parked.iter().find(tried) {
        Some(waits) => Err(format!("never sent again: {waits:?}")),
        None => Ok(()),
    }
}

pub(super) fn nothing_was_early(seen: &Evidence<'_>) -> Result<(), String> {
    match seen.arrivals.iter().find(|a| a.send_time > a.highest) {
        Some(early) => Err(format!("early: {} of {}", early.schedule, early.stands_for.last)),
        None => Ok(()),
    }
}

pub(super) fn equal_ids_have_equal_bodies(seen: &Evidence<'_>) -> Result<(), String> {
    let mut sent: HashMap<&str, Vec<&Arrival>> = HashMap::new();
    for arrival in seen.arrivals {
        let same = sent.entry(&arrival.id).or_default();
        same.push(arrival);
        // What one event stood for before the clock was set back may come singly after it, and not the other way round.
        let as_much = |other: &&&Arrival| {
            let [earlier, later] =
                if other.era < arrival.era { [**other, arrival] } else { [arrival, **other] };
            // What was parked is released as it was, whatever came singly since.
            let parked =
                |event: &Arrival| seen.era > 0 && event.stands_for.count > 1 && seen.was_parked(event);
            let singly = earlier.stands_for.count == 1;
            let as_much = other.era == arrival.era || singly;
            other.stands_for == arrival.stands_for || (as_much && !parked(earlier) && !parked(later))
        };
        if let Some(first) = same.iter().filter(as_much).find(|other| other.body != arrival.body) {
            let text = |a: &Arrival| String::from_utf8_lossy(&a.body).into_owned();
            let story = seen.story(&arrival.schedule);
            return Err(format!("one id, two bodies:\n{}\n{}\n{story}", text(first), text(arrival)));
        }
    }
    Ok(())
}

pub(super) fn nothing_sent_singly_was_coalesced(seen: &Evidence<'_>) -> Result<(), String> {
    let of = |coalesced: bool| seen.arrivals.iter().filter(move |a| (a.stands_for.count > 1) == coalesced);
    let mut runs: HashMap<_, HashSet<(Run, u32)>> = HashMap::new();
    for many in of(true) {
        // In the era in which it was parked it stood for as much.
        let era = if seen.was_parked(many) { 0 } else { many.era };
        let run = (many.stands_for.first, many.stands_for.last);
        runs.entry(many.of()).or_default().insert((run, era));
    }
    for one in of(false) {
        let due = one.stands_for.last;
        let within = runs.get(&one.of()).and_then(|runs| {
            let within =
                |((first, last), era): &&(Run, u32)| (*first..=*last).contains(&due) && one.era <= *era;
            runs.iter().find(within)
        });
        if let Some((run, _)) = within {
            return Err(format!("{} of {due} came singly and within {run:?}", one.schedule));
        }
    }
    Ok(())
}

/// The first arrivals of a schedule's events come in the order of their due times.
pub(super) fn order_holds_per_schedule(seen: &Evidence<'_>) -> Result<(), String> {
    let mut came = HashSet::new();
    let mut latest: HashMap<(&Arc<str>, u64, u32), Timestamp> = HashMap::new();
    for arrival in seen.arrivals {
        // What was parked and released comes when a person says so.
        let was_parked = seen.rows().any(|row| {
            matches!(row.outcome, Outcome::Parked(_))
                && row.schedule == arrival.schedule
                && row.last == arrival.stands_for.last
        });
        let revision = seen.revisions.iter().find(|r| is_of(r, arrival.of()));
        // A one-shot may be made for an instant that is gone.
        let at_once = revision.is_some_and(|revision| revision.definition.timing().is_one_shot());
        // Nothing waits for what is refused; where that was not written before a crash, it is sent again after what was newer.
        let refused = seen.refused.contains(&(arrival.schedule.clone(), arrival.stands_for.last));
        if was_parked || refused || at_once || !came.insert(&arrival.id) {
            continue;
        }
        let due = arrival.stands_for.last;
        let before = latest.insert((&arrival.schedule, arrival.creation, arrival.era), due);
        if before.is_some_and(|before| before > due) {
            return Err(format!("{} of {due} came after that of {before:?}", arrival.schedule));
        }
    }
    Ok(())
}

/// Every occurrence of a revision arrived, or stands in the record with the reason, or is still outstanding.
pub(super) fn nothing_was_lost(seen: &Evidence<'_>, revision: &Revision) -> Result<(), String> {
    let timing = revision.timing();
    let one_shot = timing.is_one_shot();
    let settled = seen.disk.settled.unwrap_or(Timestamp::EPOCH);
    // What its jitter sends after W is not promised yet.
    let promised = |due: Timestamp| due.plus(jitter_offset(revision.name(), due, timing.jitter())) <= settled;
    let ended = revision.ended.unwrap_or(Timestamp::HORIZON);
    let mut accounted: Vec<Run> = Vec::new();
    let creation = revision.definition.creation();
    let mine = |name: &Arc<str>, number: u32| is_of(revision, (name, creation, number));
    for arrival in seen.arrivals.iter().filter(|a| is_of(revision, a.of())) {
        if arrival.stands_for.first <= revision.effective_from {
            return Err(format!(
                "{} of {} came before its revision",
                arrival.schedule, arrival.stands_for.first
            ));
        }
        accounted.push((arrival.stands_for.first, arrival.stands_for.last));
    }
    for row in seen.rows().filter(|row| is_of(revision, (&row.schedule, row.creation, row.revision))) {
        if matches!(row.outcome, Outcome::Skipped(_) | Outcome::Dropped | Outcome::DroppedAtLimit) {
            accounted.push((row.first, row.last));
        }
    }
    // That it was parked says nothing: it has to be there.
    for (_, parked) in seen.disk.parked.iter().filter(|(_, parked)| !parked.is_asked_for()) {
        if mine(&parked.schedule, parked.revision) {
            accounted.push((parked.stands_for.first, parked.stands_for.last));
        }
    }
    for (name, span) in &seen.disk.spans {
        if mine(name, span.revision) {
            accounted.push((span.after.plus(1), span.through));
        }
    }
    let pending = seen.disk.one_shots.iter().any(|(name, row)| mine(name, row.revision));
    let mut due = revision.effective_from;
    // Latest first, so that those that are passed can be taken from the end.
    accounted.sort_unstable_by(|a, b| b.cmp(a));
    let mut reached = Timestamp::EPOCH;
    while let Some(next) = timing.after(due).filter(|next| *next <= ended && promised(*next)) {
        due = next;
        while let Some((_, last)) = accounted.pop_if(|(first, _)| *first <= due) {
            reached = reached.max(last);
        }
        if reached < due && !(one_shot && pending) {
            let (name, number) = (revision.name(), revision.number);
            return Err(format!("lost: {name} r{number} of {due} (W {settled})\n{}", seen.story(name)));
        }
    }
    Ok(())
}

/// Over all revisions that count from one instant, and are due alike, no more occurrences are called for than the limit
/// allows. Under other rules of its zone a schedule has other occurrences, and those are counted.
pub(super) fn limits_hold(seen: &Evidence<'_>) -> Result<(), String> {
    for revision in seen.revisions {
        let Some(limit) = revision.definition.definition().limit else { continue };
        let same = seen.revisions.iter().filter(|other| {
            (other.name(), other.counts_from) == (revision.name(), revision.counts_from)
                && other.definition.creation() == revision.definition.creation()
                && other.definition.definition().limit == Some(limit)
                && other.timing().is_due_as(&revision.timing())
        });
        let numbers: HashSet<u32> = same.map(|other| other.number).collect();
        let creation = revision.definition.creation();
        let of = |arrival: &&Arrival| {
            (&*arrival.schedule, arrival.creation) == (revision.name(), creation)
                && numbers.contains(&arrival.revision)
        };
        let due: HashSet<Timestamp> =
            seen.arrivals.iter().filter(of).map(|arrival| arrival.stands_for.last).collect();
        if due.len() > limit as usize {
            return Err(format!("{}: more than its limit of {limit}", revision.name()));
        }
    }
    Ok(())
}

/// The windows of a schedule's events tile the time: each starts where what was settled before it ends, or where something
/// ends that is still to be settled, for nothing waits behind what is refused.
pub(super) fn windows_tile(seen: &Evidence<'_>) -> Result<(), String> {
    if seen.era > 0 {
        // Where the clock was set back, what ends before a window may have stood in a coalesced event's.
        return Ok(());
    }
    let settled = seen.disk.settled.unwrap_or(Timestamp::EPOCH);
    let mut by_schedule: BTreeMap<(&Arc<str>, u64, u32), BTreeMap<Timestamp, &Arrival>> = BTreeMap::new();
    for arrival in seen.arrivals {
        by_schedule.entry(arrival.of()).or_default().insert(arrival.stands_for.last, arrival);
    }
    for (of @ (schedule, _, number), arrivals) in by_schedule {
        let mut ends: HashSet<String> = arrivals.keys().map(ToString::to_string).collect();
        for row in seen.rows() {
            if (&row.schedule, row.creation, row.revision) == of {
                ends.insert(row.last.to_string());
            }
        }
        let revision = seen.revisions.iter().find(|r| is_of(r, of));
        ends.extend(revision.map(|r| r.opens.to_string()));
        let jitter = revision.map_or(0, |revision| revision.timing().jitter());
        let is_unsettled = |due: Timestamp| due.plus(jitter_offset(schedule, due, jitter)) > settled;
        for (due, arrival) in arrivals {
            let body: serde_json::Value = serde_json::from_slice(&arrival.body).map_err(|e| e.to_string())?;
            let Some(from) = body["window"]["from"].as_str() else { continue };
            if !ends.contains(from) && !from.parse().is_ok_and(is_unsettled) {
                return Err(format!(
                    "{schedule} r{number} of {due}: its window starts at {from}, where nothing ends\n{}",
                    seen.story(schedule)
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Coalesced, Era, Snapshot};
    use khronos_schedule::{Definition, Packed};
    use std::slice::from_ref;

    #[test]
    fn a_window_may_start_where_something_is_due_that_its_jitter_sends_after_w() {
        let at = Timestamp::from_millis;
        let definition = Definition {
            name: "a".into(),
            event: Some("test.a.happened".into()),
            every: Some("3s".into()),
            jitter: Some("2900ms".into()),
            ..Definition::default()
        };
        let revision = Era::first(1, at(0)).of(Packed::build(&definition).unwrap());
        let sent = revision.timing().send_time(at(3_000));
        assert!(sent > at(3_000));
        let arrival = Arrival {
            id: "a".into(),
            body: format!(r#"{{"window": {{"from": "{}"}}}}"#, at(3_000)).into(),
            schedule: "a".into(),
            creation: 0,
            revision: 1,
            stands_for: Coalesced { first: at(6_000), last: at(6_000), count: 1 },
            send_time: at(9_000),
            highest: at(9_000),
            era: 0,
        };
        let is_kept = |settled: Timestamp| {
            let (arrivals, revisions) = (from_ref(&arrival), from_ref(&revision));
            let disk = &Snapshot { settled: Some(settled), ..Snapshot::default() };
            let (record, refused) = (&[], &HashSet::new());
            windows_tile(&Evidence { arrivals, record, disk, revisions, refused, era: 0 }).is_ok()
        };
        assert!(is_kept(sent.plus(-1)) && !is_kept(sent));
    }
}

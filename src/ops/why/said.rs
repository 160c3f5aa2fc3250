//! What became of an occurrence, in sentences for people.

use super::fate::{FateState, LeaderView, OccurrenceFate};
use crate::{
    engine::{Outcome, RecordRow, Revision, ScheduleStatus, SkipReason},
    ops::{Clock, DelayedRowView, ParkedView, next::reason},
    schedule::{Explained, Timing},
};
use ponos::{
    broker::Link,
    event::Timestamp,
    redact::redact,
    text::{counted, shortened},
};

/// Characters of the broker's words.
const WORDS: usize = 300;

/// `one-day of 2026-12-01T00:00:00.000Z`; of what a command asked for its kind too.
fn what(fate: &OccurrenceFate) -> String {
    let OccurrenceFate { schedule, due_at, kind, command, .. } = fate;
    match command {
        Some(command) => format!("the {kind} '{command}' of {schedule} ({due_at})"),
        None => format!("{schedule} of {due_at}"),
    }
}

fn words(of_the_broker: &str) -> String {
    shortened(&redact(of_the_broker), WORDS)
}

/// How it ended, as its row says.
pub(super) fn of_row(fate: &OccurrenceFate, entry: &RecordRow) -> String {
    let (what, row) = (what(fate), &entry.row);
    match &row.outcome {
        Outcome::Confirmed { sent_at, lateness, returned } => {
            let sent = sent(*sent_at, *lateness, *returned);
            match row.count {
                0 | 1 => format!("{what} {sent}"),
                count if row.last == fate.due_at => format!(
                    "{what} {sent}; it stands for {} before it as well, from {} on",
                    counted(count - 1, "due time"),
                    row.first
                ),
                count => format!(
                    "{what} has no event of its own: that of {}, which stands for {}, {sent}",
                    row.last,
                    counted(count, "due time")
                ),
            }
        }
        Outcome::Skipped(reason) => format!("{what} was not sent: {}", skipped(*reason)),
        Outcome::Parked(why) => format!("{what} was given up on at {}: {}", row.at, words(why)),
        Outcome::Dropped => format!("{what} was parked, and somebody dropped it at {}", row.at),
        Outcome::DroppedAtLimit => {
            format!("{what} was parked, and dropped at {} because more was parked than is kept", row.at)
        }
        Outcome::DetailsLost => format!(
            "{what} is settled, but a crash came before it was written how: when it was sent is not known"
        ),
        Outcome::ClockSetBack => {
            format!("the clock was set back over {what}, and went on: whether it was sent is not known")
        }
    }
}

fn sent(sent_at: Timestamp, lateness: i64, returned: bool) -> String {
    let late = if lateness > 0 { format!("{lateness} ms late") } else { "on time".to_owned() };
    let nobody = if returned { ", and reached nobody: no queue was bound" } else { "" };
    format!("was sent at {sent_at}, {late}, and confirmed by the broker{nobody}")
}

fn skipped(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::Paused => "it was skipped, for its schedule was paused then",
        SkipReason::Missed => {
            "it was missed, because the clock or the broker was away, and catch_up.policy is \"none\""
        }
        SkipReason::TooOld => "it was missed, and older than catch_up.within when it could have been sent",
        SkipReason::Past => "its time was gone when the schedule was first seen, and past is \"refuse\"",
        SkipReason::Removed => "its schedule was removed before it was due",
    }
}

/// How a delayed event ended.
pub(super) fn of_delayed(row: &DelayedRowView) -> String {
    let what = format!("the delayed event {} of {}", row.name, row.due_at);
    match (row.outcome.as_str(), row.sent_at) {
        ("confirmed", Some(at)) => {
            let sent = sent(at, row.lateness_ms.unwrap_or_default(), row.returned == Some(true));
            format!("{what} {sent}")
        }
        ("parked", _) => {
            let why = row.reason.as_deref().map_or_else(String::new, words);
            format!("{what} was given up on at {}: {why}", row.recorded_at)
        }
        _ => format!("{what} was parked, and dropped at {}", row.recorded_at),
    }
}

/// Which of several clocks sent it, or recorded what became of it.
pub(super) fn of_leader(fate: &OccurrenceFate) -> Option<String> {
    let LeaderView { term, address, since } = fate.leader.as_ref()?;
    let did = if fate.state == FateState::Sent { "sent" } else { "recorded" };
    let clock = address.as_ref().map_or_else(
        || "a clock that does not say its address".to_owned(),
        |address| format!("the clock at {address}"),
    );
    let since = since.map_or_else(String::new, |since| format!(", which led since {since}"));
    Some(format!("{did} by {clock}{since} (term {term})"))
}

/// Where it is parked.
pub(super) fn of_parked(parked: &ParkedView) -> String {
    let ParkedView { id, reason, parked_at, refused, next_try_at, being_sent, .. } = parked;
    let next = match (being_sent, next_try_at) {
        (true, _) => "it is being sent again".to_owned(),
        (false, Some(at)) => format!("it is sent again by itself, not before {at}"),
        (false, None) => {
            format!("khronos parked release {id} sends it again, khronos parked drop {id} gives it up")
        }
    };
    let times = match refused {
        0 => String::new(),
        times => format!(", refused {}", counted(u64::from(*times), "time")),
    };
    format!("it is parked as number {id} since {parked_at}{times}: {}; {next}", words(reason))
}

/// That it was parked, and is no more.
pub(super) fn parked_no_more(through: Option<Timestamp>) -> String {
    match through {
        Some(through) => format!(
            "it is parked no more; what became of it was recorded after {through}, up to where the record was looked through"
        ),
        None => "it is parked no more, and what became of it is not recorded yet".to_owned(),
    }
}

pub(super) fn sending(fate: &OccurrenceFate) -> String {
    format!("{} was handed over to the broker, which has not answered yet", what(fate))
}

/// Why what is due was not sent yet, as far as that is seen.
pub(super) fn waiting(fate: &OccurrenceFate, clock: &Clock, status: Option<&ScheduleStatus>) -> String {
    let mut why = Vec::new();
    match clock {
        Clock::Running(clock) => {
            let now = clock.status();
            why.extend(now.paused.map(|pause| format!("all schedules are {pause}")));
            match now.link {
                Link::Up { .. } => {}
                Link::Blocked { reason } => {
                    why.push(format!("the broker takes no messages: {}", words(&reason)));
                }
                Link::Down { error: Some(error), .. } => {
                    why.push(format!("there is no connection to the broker: {}", words(&error.to_string())));
                }
                Link::Down { error: None, .. } | Link::Closed => {
                    why.push("there is no connection to the broker".to_owned());
                }
            }
        }
        Clock::Stopped(clock) => {
            why.push("the clock does not run".to_owned());
            why.extend(
                clock.snapshot.pauses.paused.as_ref().map(|pause| format!("all schedules are {pause}")),
            );
        }
    }
    if let Some(status) = status {
        why.extend(status.paused.as_ref().map(|pause| format!("the schedule is {pause}")));
        let refused = status.refused.as_ref();
        why.extend(
            refused.map(|refused| format!("the broker refuses its event: {}", words(&refused.reason))),
        );
    }
    if let Some(all) = &fate.stands_for {
        why.push(format!("it is to be sent as one event for {}", counted(all.count, "due time")));
    }
    if why.is_empty() {
        why.push("what its schedule sent before it has no answer yet, or is caught up with".to_owned());
    }
    format!("{} is due and was not sent yet: {}", what(fate), why.join("; "))
}

pub(super) fn to_come(fate: &OccurrenceFate, status: Option<&ScheduleStatus>) -> String {
    let send = fate.send_at.map_or_else(String::new, |at| format!(", and is sent at {at} (jitter)"));
    let will = match status {
        Some(ScheduleStatus { paused: Some(pause), .. }) => format!("; the schedule is {pause}"),
        Some(status) if status.revision.definition.is_paused() => {
            "; it will be skipped, for the schedule's definition says paused = true".to_owned()
        }
        Some(_) => String::new(),
        None => "; the schedule does not run any more".to_owned(),
    };
    format!("{} is to come: it is not due yet{send}{will}", what(fate))
}

pub(super) fn not_recorded(
    fate: &OccurrenceFate,
    begins: Option<Timestamp>,
    through: Option<Timestamp>,
) -> String {
    let looked = match (begins.filter(|begins| *begins > fate.due_at), through) {
        (Some(begins), _) => format!("the record begins at {begins}: older rows were trimmed"),
        (None, Some(through)) => {
            format!("the record was looked through from then up to {through}; khronos history has the rest")
        }
        (None, None) => "khronos audit compares the record with the arithmetic".to_owned(),
    };
    format!("{} was due, and no row of the record is about it: {looked}", what(fate))
}

pub(super) fn not_due(fate: &OccurrenceFate, why: &str) -> String {
    format!("{} is not due at {}: {why}", fate.schedule, fate.due_at)
}

/// Why none of the revisions that are kept could call for this.
pub(super) fn out_of_revisions(revisions: &[Revision], due: Timestamp) -> String {
    let (Some(first), Some(last)) = (revisions.first(), revisions.last()) else {
        return "no definition of it is kept".to_owned();
    };
    if due <= first.effective_from {
        let older = if first.number > 1 { "; older ones are not kept" } else { "" };
        return format!("its revision {} counts from {} on{older}", first.number, first.effective_from);
    }
    match last.ended.filter(|ended| *ended < due) {
        Some(ended) => format!("it was removed at {ended}"),
        None => "no revision of it that is kept was in effect then".to_owned(),
    }
}

/// Why a timing does not call for this instant.
pub(super) fn why_not(timing: &Timing, due: Timestamp, left_out: &[Explained]) -> String {
    if !left_out.is_empty() {
        let reasons: Vec<String> = left_out.iter().map(|one| reason(one, None)).collect();
        return reasons.join("; ");
    }
    let (before, after) = (timing.before(due), timing.after(due));
    match (before, after) {
        (Some(last), None) => format!("{}, last due at {last}", timing.ending()),
        (None, Some(first)) => format!("it is due for the first time at {first}"),
        (Some(before), Some(after)) => format!("it is due at {before}, and then at {after}"),
        (None, None) => "it is never due".to_owned(),
    }
}

/// By which revision, and where that is read.
pub(super) fn by(fate: &OccurrenceFate) -> Option<String> {
    let (revision, since) = (fate.revision?, fate.effective_from?);
    let timing = fate.timing.as_deref()?;
    let local = match (&fate.local_time, &fate.utc_offset, &fate.time_zone) {
        (Some(time), Some(offset), Some(zone)) if zone != "UTC" => {
            format!("; there it is {time}{offset} in {zone}")
        }
        _ => String::new(),
    };
    Some(format!("by revision {revision}, in effect since {since}: {timing}{local}"))
}

/// What the calendars and the clocks made of it.
pub(super) fn unusual(why: &[Explained]) -> Option<String> {
    let reasons: Vec<String> =
        why.iter().map(|one| reason(one, None)).filter(|one| !one.is_empty()).collect();
    (!reasons.is_empty()).then(|| format!("why then: {}", reasons.join("; ")))
}

//! What became of an event that was put, for people: when it is due, in local time where a zone is given.

use crate::{
    cli::when,
    ops::EventOutcomeView,
    schedule::{CalendarStore, Local, Timing},
};
use ponos::event::Timestamp;

/// One line.
pub(super) fn said(view: &EventOutcomeView, zone: Option<&str>, store: &CalendarStore) -> String {
    let EventOutcomeView { name, outcome, revision, due_at, send_at, .. } = view;
    let revision = revision.map_or(String::new(), |revision| format!(", revision {revision}"));
    let Some(at) = *due_at else { return format!("{name} {outcome}{revision}") };
    let due_at = due(at, zone, store);
    if outcome == "settled" {
        return format!("{name} is settled{revision}: it was due at {due_at}, and was sent, or given up");
    }
    let sent = match send_at {
        Some(send) if *send != at => format!(", sent at {}", due(*send, zone, store)),
        _ => String::new(),
    };
    format!("{name} {outcome}{revision}; due at {due_at}{sent}")
}

/// An instant; with its local time, where a zone is given.
pub(in crate::cli) fn due(at: Timestamp, zone: Option<&str>, store: &CalendarStore) -> String {
    match zone.and_then(|zone| local(at, zone, store)) {
        None => at.to_string(),
        Some(local) => {
            let again = if local.fold == 1 { ", second pass" } else { "" };
            format!("{at} ({} {} {}{again})", when::local(&local), local.offset, local.zone)
        }
    }
}

fn local(at: Timestamp, zone: &str, store: &CalendarStore) -> Option<Local> {
    // Any timing of the zone tells its local time.
    Timing::from_every_with("1 day", Some(zone), store).ok()?.local(at)
}

/// How far the clocks of a zone are set, in milliseconds.
const STEPS: [i64; 3] = [1_800_000, 3_600_000, 7_200_000];

/// What there is to say of a local time that was read as this instant: that it does not exist in its zone, or comes twice.
pub(super) fn doubt(time: &str, read: Timestamp, zone: &str, store: &CalendarStore) -> Option<String> {
    let shown = local(read, zone, store)?;
    let minutes = |time: &str| time.get(..16).map(|time| time.replace([' ', 't'], "T"));
    if minutes(time) != minutes(&shown.time) {
        let taken = due(read, Some(zone), store);
        return Some(format!("{time} does not exist in {zone}: the clocks skip it; taken as {taken}"));
    }
    let comes_again =
        |step: &i64| local(read.plus(*step), zone, store).is_some_and(|later| later.time == shown.time);
    STEPS.iter().any(comes_again).then(|| {
        format!("{time} comes twice in {zone}; taken as the first, {read}. For the second, write its offset")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_outcome_says_when_it_is_due_in_local_time_too() {
        let store = CalendarStore::default();
        let view = EventOutcomeView {
            name: "a".into(),
            outcome: "created".into(),
            creation: Some(17),
            revision: Some(1),
            due_at: Some(at("2026-12-24T17:00:00.000Z")),
            send_at: Some(at("2026-12-24T17:00:00.000Z")),
            event_id: None,
        };
        assert_eq!(said(&view, None, &store), "a created, revision 1; due at 2026-12-24T17:00:00.000Z");
        let later = EventOutcomeView { send_at: Some(at("2026-12-24T17:00:07.000Z")), ..view.clone() };
        assert_eq!(
            said(&later, Some("Europe/Paris"), &store),
            "a created, revision 1; due at 2026-12-24T17:00:00.000Z (Thu 2026-12-24 18:00:00 +01:00 Europe/Paris), sent at 2026-12-24T17:00:07.000Z (Thu 2026-12-24 18:00:07 +01:00 Europe/Paris)"
        );
        let settled = EventOutcomeView { outcome: "settled".into(), send_at: None, ..view.clone() };
        assert!(
            said(&settled, None, &store).contains("it was due at 2026-12-24T17:00:00.000Z, and was sent")
        );
        let deleted = EventOutcomeView { outcome: "deleted".into(), due_at: None, send_at: None, ..view };
        assert_eq!(said(&deleted, None, &store), "a deleted, revision 1");
    }

    #[test]
    fn of_a_local_time_that_does_not_exist_or_comes_twice_it_is_said_which_is_taken() {
        let store = CalendarStore::default();
        for (time, read, said) in [
            ("2027-03-28T02:30", "2027-03-28T01:00:00.000Z", Some("does not exist in Europe/Paris")),
            ("2027-10-31 02:30", "2027-10-31T00:30:00.000Z", Some("comes twice in Europe/Paris")),
            ("2027-10-31T01:30", "2027-10-30T23:30:00.000Z", None),
            ("2027-10-31t03:30:00", "2027-10-31T02:30:00.000Z", None),
        ] {
            let instant = when::instant("TIME", time, (Some("Europe/Paris"), "--zone"), &store).unwrap();
            assert_eq!(instant, at(read), "{time}");
            let note = doubt(time, instant, "Europe/Paris", &store);
            assert_eq!(note.is_some(), said.is_some(), "{time}: {note:?}");
            assert!(note.unwrap_or_default().contains(said.unwrap_or_default()), "{time}");
        }
    }
}

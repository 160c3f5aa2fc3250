//! Events that are triggered: when they go out, and what holds them up.

use super::{
    pauses::{SECOND, running, sent_of},
    pauses_set_back::{running_backward, set_back},
    *,
};
use crate::{Asker, Author, Declined, OnResume, PauseRequest, Scope};
use ponos_event::EventKind;

pub(super) fn trigger(seen: &mut Seen, command: u64, name: &str, id: &str) {
    trigger_as(seen, command, name, (id, "ann"));
}

fn trigger_as(seen: &mut Seen, command: u64, name: &str, (id, owner): (&str, &str)) {
    let asker = Box::new(Asker::new(Author::admin(owner, "a test")));
    let input = Input::Trigger { command, name: name.into(), id: id.parse().unwrap() };
    seen.step(Input::By(asker, Box::new(input)));
}

fn rows(seen: &Seen) -> Vec<(String, i64, bool)> {
    let rows = seen.rows.iter().filter_map(|row| {
        let EventKind::Trigger(id) = &row.kind else { return None };
        let at = row.last.millis() - START;
        Some((id.to_string(), at, matches!(row.outcome, Outcome::Confirmed { .. })))
    });
    rows.collect()
}

#[test]
fn an_event_that_is_triggered_goes_out_at_once_and_once() {
    let mut seen = running(&["all"]);
    let now = seen.now - START;
    for command in 1..4 {
        trigger(&mut seen, command, "all", "x");
    }
    trigger(&mut seen, 4, "all", "y");
    seen.step(Input::Trigger { command: 5, name: "never-was".into(), id: "x".parse().unwrap() });
    let due = Timestamp::from_millis(seen.now);
    assert_eq!(seen.triggered, [(1, due), (2, due), (3, due), (4, due)]);
    assert_eq!(seen.declined, [(5, Declined::Changed)]);
    assert_eq!(sent_of(&seen, "all"), 32);
    seen.pass(2 * SECOND, SECOND);
    assert_eq!(rows(&seen), [("x".into(), now, true), ("y".into(), now, true)]);
    assert!(seen.engine.parked().is_empty());
    // A day later it is another command.
    seen.now += 25 * 60 * MINUTE;
    let before = sent_of(&seen, "all");
    seen.pass(SECOND, SECOND);
    for command in 6..12 {
        trigger(&mut seen, command, "all", &format!("z{command}"));
    }
    trigger(&mut seen, 12, "all", "x");
    assert!(sent_of(&seen, "all") >= before + 7);
    assert_ne!(seen.triggered.last().unwrap().1, due);
}

#[test]
fn it_goes_out_while_its_schedule_is_paused_and_not_while_everything_is() {
    let mut seen = running(&["all"]);
    let request = || PauseRequest { by: "ann".into(), note: "x".into(), until: None };
    let of = || Scope::Named(["all".into()].into());
    seen.step(Input::Pause { command: 1, scope: of(), request: request() });
    trigger(&mut seen, 2, "all", "1");
    seen.pass(MINUTE, SECOND);
    assert_eq!(sent_of(&seen, "all"), 31);
    seen.step(Input::Pause { command: 3, scope: Scope::All, request: request() });
    trigger(&mut seen, 4, "all", "2");
    seen.pass(MINUTE, SECOND);
    assert_eq!((sent_of(&seen, "all"), seen.triggered.len()), (31, 2), "it is durable, and rests");
    seen.step(Input::Resume { command: 5, scope: Scope::All, how: OnResume::Skip });
    assert_eq!(sent_of(&seen, "all"), 32);
    let paused = Definition { paused: Some(true), ..every("paused", "10s") };
    seen.step(Input::Load(vec![Packed::build(&paused).unwrap()]));
    trigger(&mut seen, 6, "paused", "3");
    assert_eq!(sent_of(&seen, "paused"), 1);
}

#[test]
fn it_is_not_held_up_by_a_clock_that_was_set_back() {
    let mut seen = running_backward(&["all"]);
    seen.step(Input::Link(false));
    trigger(&mut seen, 1, "all", "1");
    set_back(&mut seen, 4 * MINUTE);
    seen.step(Input::Link(true));
    seen.pass(SECOND, SECOND);
    assert_eq!(rows(&seen), [("1".into(), 300_500, true)]);
}

#[test]
fn after_a_step_back_its_key_is_known_for_a_day_and_not_until_the_former_time() {
    const DAY: i64 = 24 * 60 * MINUTE;
    let mut seen = running_backward(&[]);
    seen.step(Input::Load(vec![Packed::build(&every("rare", "7d")).unwrap()]));
    seen.now += 30 * DAY;
    seen.pass(SECOND, SECOND);
    trigger(&mut seen, 1, "rare", "k");
    seen.pass(SECOND, SECOND);
    set_back(&mut seen, 30 * DAY);
    trigger(&mut seen, 2, "rare", "k");
    assert_eq!(seen.triggered[0].1, seen.triggered[1].1, "it is the same");
    seen.now += DAY + MINUTE;
    seen.pass(SECOND, SECOND);
    trigger(&mut seen, 3, "rare", "other");
    trigger(&mut seen, 4, "rare", "k");
    assert_eq!(seen.triggered[3].1, Timestamp::from_millis(seen.now), "a day later it is another one");
}

#[test]
fn where_it_is_refused_it_is_tried_again_and_then_left_to_people() {
    let mut seen = running(&["all"]);
    seen.refuses = |handover| handover.kind != EventKind::Occurrence;
    let due = seen.now - START;
    trigger(&mut seen, 1, "all", "1");
    assert_eq!(seen.engine.parked().values().map(|one| (one.released, one.refused)).next(), Some((false, 1)));
    seen.pass(5 * MINUTE, SECOND);
    let parked = seen.engine.parked().values().next().unwrap().clone();
    assert_eq!((parked.refused, parked.retry_at, parked.reason.as_str()), (4, None, "full"));
    assert_eq!(sent_of(&seen, "all"), 60, "its occurrences went out on time");
    seen.refuses = |_| false;
    seen.step(Input::Release(seen.engine.parked().keys().copied().collect()));
    seen.pass(2 * SECOND, SECOND);
    assert_eq!(rows(&seen), [("1".into(), due, false), ("1".into(), due, true)]);
}

#[test]
fn no_more_wait_than_there_is_room_for() {
    let mut seen = running(&["all"]);
    seen.step(Input::Link(false));
    for command in 1..=101 {
        trigger(&mut seen, command, "all", &command.to_string());
    }
    let why = Declined::Waiting { owner: "ann".into(), of_owner: 100 };
    assert_eq!((seen.declined.as_slice(), seen.engine.parked().len()), ([(101, why)].as_slice(), 100));
    trigger_as(&mut seen, 102, "all", ("101", "bob"));
    assert_eq!((seen.declined.len(), seen.engine.parked().len()), (1, 101), "others have room");
    seen.step(Input::Link(true));
    seen.pass(SECOND, SECOND);
    assert_eq!(sent_of(&seen, "all"), 131);
    trigger(&mut seen, 103, "all", "101");
    assert_eq!((seen.declined.len(), sent_of(&seen, "all")), (1, 132), "what was sent has made room");
}

#[test]
fn one_key_of_two_owners_is_two_events_and_none_is_forgotten_within_a_day() {
    let mut seen = running(&["all"]);
    for owner in ["ann", "bob", "cleo", "bob"] {
        trigger_as(&mut seen, 1, "all", ("2026-11-29", owner));
    }
    let dues: Vec<i64> = seen.triggered.iter().map(|(_, due)| due.millis() - seen.now).collect();
    assert_eq!(dues, [0, 1, 2, 1], "each has an id of its own");
    seen.pass(SECOND, SECOND);
    assert_eq!(rows(&seen).len(), 3);
    for number in 0..200 {
        trigger_as(&mut seen, 2, "all", (&format!("n-{number}"), "ann"));
        seen.pass(SECOND, SECOND);
    }
    let (many, known) = (Declined::TooManyTriggers { owner: "ann".into() }, seen.triggered.len());
    assert!(
        seen.declined.len() > 1 && seen.declined.iter().all(|(_, why)| *why == many),
        "{:?}",
        seen.declined
    );
    trigger_as(&mut seen, 3, "all", ("2026-11-29", "ann"));
    assert_eq!(seen.triggered[known].1, seen.triggered[0].1, "answered as it was");
    trigger_as(&mut seen, 4, "all", ("2026-11-29", "dan"));
    assert_eq!(seen.triggered.len(), known + 2, "others have room");
}

#[test]
fn its_key_is_another_one_once_its_schedule_was_created_anew() {
    let mut seen = running(&[]);
    let put = |seen: &mut Seen, every_: &str| {
        seen.step(Input::put(1, Packed::build(&every("own", every_)).unwrap()));
    };
    put(&mut seen, "1m");
    trigger(&mut seen, 2, "own", "k");
    put(&mut seen, "2m");
    trigger(&mut seen, 3, "own", "k");
    assert_eq!((seen.triggered.len(), sent_of(&seen, "own")), (2, 1), "once triggered, it is answered");
    seen.step(Input::delete(4, "own"));
    trigger(&mut seen, 5, "own", "k");
    assert_eq!((seen.triggered.len(), sent_of(&seen, "own")), (3, 1), "it still is");
    seen.pass(SECOND, SECOND);
    put(&mut seen, "1m");
    trigger(&mut seen, 6, "own", "k");
    assert_eq!((seen.triggered.len(), sent_of(&seen, "own")), (4, 2));
    assert_ne!(seen.triggered[3].1, seen.triggered[0].1);
}

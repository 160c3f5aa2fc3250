//! What is written, how often and how much at once.

use super::super::{
    Action, Answer, ClockState, Engine, Handover, Input, Notice, OnResume, Outcome, PauseRequest, Prepared,
    Reading, Scope, SkipReason, Snapshot,
};
use khronos_schedule::{Definition, Packed};
use ponos_event::Timestamp;
use std::collections::BTreeMap;

mod admission;
mod anew;
mod asked;
mod calendars;
mod ceilings;
mod commands;
mod files;
mod finished;
mod held;
mod lives;
mod loads;
mod messages;
mod one_shots;
mod operations;
mod pauses;
mod pauses_by_name;
mod pauses_kept;
mod pauses_set_back;
mod seen;
mod triggers;

use seen::Seen;

const START: i64 = 1_772_323_200_000;
const MINUTE: i64 = 60_000;

#[test]
fn a_paused_schedule_that_is_often_due_is_recorded_without_many_writes() {
    for beat in [1_000, MINUTE] {
        let mut seen = Seen::of(100);
        let often = Definition { paused: Some(true), ..every("often", "100ms") };
        seen.step(Input::Load(vec![Packed::build(&often).unwrap()]));
        seen.step(Input::Link(true));
        seen.pass(MINUTE, beat);
        let (wakeups, saves) = (seen.wakeups, seen.saves);
        seen.pass(10 * MINUTE, beat);
        let beats = usize::try_from(10 * MINUTE / beat).unwrap();
        assert!(seen.saves - saves <= 61, "{} writes in ten minutes", seen.saves - saves);
        assert!(seen.wakeups - wakeups <= beats + 130, "{} wake-ups", seen.wakeups - wakeups);
        // And yet all of it stands there, one run after the other, up to a moment ago.
        assert!(seen.rows.iter().all(|row| row.outcome == Outcome::Skipped(SkipReason::Paused)));
        assert!(seen.rows.windows(2).all(|pair| pair[1].first.since(pair[0].last) == 100), "{:?}", seen.rows);
        let last = seen.rows.last().unwrap().last;
        assert!(seen.now - last.millis() <= 11_000, "{} behind", seen.now - last.millis());
        let count: u64 = seen.rows.iter().map(|row| row.count).sum();
        let first = seen.rows[0].first;
        assert_eq!(i64::try_from(count).unwrap(), last.since(first) / 100 + 1);
    }
}

#[test]
fn what_is_caught_up_with_goes_down_in_writes_of_a_bounded_size() {
    let mut seen = Seen::of(5);
    let many = (0..200).map(|number| Packed::build(&every(&format!("s{number:03}"), "1m")).unwrap());
    seen.step(Input::Load(many.collect()));
    seen.step(Input::Link(true));
    seen.pass(2 * MINUTE + 10_000, MINUTE);
    seen.step(Input::Link(false));
    seen.pass(10 * MINUTE, MINUTE);
    seen.step(Input::Link(true));
    seen.pass(MINUTE, MINUTE);
    // What was in flight may come on top.
    assert!((1..=5 + 4).contains(&seen.largest), "{} spans in one write", seen.largest);
    assert!(seen.sent.len() == 200 && seen.sent.values().all(|count| *count == 13), "{:?}", seen.sent);
}

#[test]
fn what_is_on_time_does_not_wait_for_what_is_caught_up_with() {
    let mut seen = Seen::of(5);
    let now = Timestamp::from_millis(START + 12 * MINUTE);
    let many = (0..200).map(|number| every(&format!("s{number:03}"), "1m"));
    let on_time = Definition { every: None, at: Some(now.to_string()), ..every("z", "1m") };
    let all = many.chain([on_time]).map(|definition| Packed::build(&definition).unwrap());
    seen.step(Input::Load(all.collect()));
    seen.pass(12 * MINUTE, MINUTE);
    // The first step asks for the reservation, the next may hand over.
    let mut sent = Vec::new();
    let mut inputs = vec![Input::Link(true)];
    for _ in 0..2 {
        let input = inputs.pop().unwrap();
        for action in seen.engine.step(Reading { wall: now, boot: 12 * MINUTE }, input) {
            match action {
                Action::Save { ticket, .. } => inputs.push(Input::Saved(ticket)),
                Action::Publish(handovers) => sent.extend(handovers),
                _ => {}
            }
        }
    }
    assert!(sent.iter().any(|one| &*one.schedule.name == "z"), "{sent:?}");
    assert!(seen.engine.outstanding() <= 10, "{} joined", seen.engine.outstanding());
}

#[test]
fn what_is_put_waits_for_its_own_write_and_no_other_schedule_does() {
    let mut seen = Seen::of(100);
    seen.step(Input::Load(vec![Packed::build(&every("a", "100ms")).unwrap()]));
    seen.step(Input::Link(true));
    seen.pass(10_050, 1_000);
    // From now on the disk is slow: it has what was reserved ahead.
    let definition = Packed::build(&every("b", "100ms")).unwrap();
    let (mut saves, mut sent, mut durable) = (Vec::new(), Vec::new(), Vec::new());
    let mut inputs = vec![Input::put(7, definition)];
    for turn in 0..8 {
        if turn == 4 {
            assert!(sent.len() >= 3 && sent.iter().all(|name| name == "a"), "{sent:?}");
            assert!(durable.is_empty() && saves.len() == 1, "{saves:?}");
            inputs.extend(saves.pop().map(Input::Saved));
        }
        inputs.push(Input::Tick);
        for input in std::mem::take(&mut inputs) {
            let reading = Reading { wall: Timestamp::from_millis(seen.now), boot: seen.now - START };
            for action in seen.engine.step(reading, input) {
                match action {
                    Action::Save { ticket, .. } => saves.push(ticket),
                    Action::Decided(decided) => {
                        durable.extend(decided.into_iter().map(|(command, _)| command))
                    }
                    Action::Publish(handovers) => {
                        sent.extend(handovers.iter().map(|one| one.schedule.name.to_string()));
                        let answer = |one: &Handover| (one.token, Answer::Confirmed { returned: false });
                        inputs.push(Input::Settled(handovers.iter().map(answer).collect()));
                    }
                    _ => {}
                }
            }
        }
        if turn >= 4 {
            inputs.extend(saves.drain(..).map(Input::Saved));
        }
        seen.now += 100;
    }
    assert_eq!(durable, [7]);
    assert!(sent.iter().any(|name| name == "b"), "{sent:?}");
}

#[test]
fn paused_schedules_that_are_due_at_one_instant_are_passed_over_some_at_a_time() {
    let mut seen = Seen::of(10_000);
    let paused = |number: i64| Definition { paused: Some(true), ..every(&format!("p{number:04}"), "1m") };
    let all = (0..3_000).map(|number| Packed::build(&paused(number)).unwrap());
    seen.step(Input::Load(all.collect()));
    seen.step(Input::Link(true));
    // Not before the last of them is, so that all are due at once.
    seen.now += MINUTE + 30_000;
    let (turns, ticket) = seen.steps_until_now_is_settled(|_| Input::Tick);
    assert_eq!(turns, 3, "a thousand in a step");
    seen.step(Input::Saved(ticket));
    seen.pass(MINUTE, MINUTE);
    assert_eq!(seen.rows.iter().map(|row| row.count).sum::<u64>(), 6_000);
}

#[test]
fn after_a_step_back_no_step_takes_all_schedules_back() {
    let mut seen = Seen::of(10_000);
    seen.engine = Seen::engine(10_000, true);
    let all = (0..3_000).map(|number| Packed::build(&every(&format!("s{number:04}"), "10m")).unwrap());
    seen.step(Input::Load(all.collect()));
    seen.step(Input::Link(true));
    seen.pass(11 * MINUTE, MINUTE);
    assert_eq!(seen.sent.values().sum::<u64>(), 3_000);
    let (wall, back) = (seen.now, 5 * MINUTE);
    // The time since the start goes on.
    seen.ahead += back;
    seen.now -= back;
    let definition = Packed::build(&every("z", "1d")).unwrap();
    let (turns, ticket) = seen.steps_until_now_is_settled(|turn| match turn {
        1 => Input::Tick,
        _ => Input::put(turn, definition.clone()),
    });
    let taken_back = 3_000 / crate::set_back::AT_ONCE as u64;
    assert_eq!(turns, taken_back + taken_back / 64, "so many in a step, and then what was put meanwhile");
    seen.step(Input::Saved(ticket));
    assert!(seen.engine.running("z").is_some());
    seen.pass(wall - seen.now + MINUTE, MINUTE);
    assert!(seen.sent.len() == 3_000 && seen.sent.values().all(|count| *count == 2), "{:?}", seen.sent);
}

#[test]
fn a_put_of_what_is_laid_out_leaves_the_others_prepared() {
    let mut seen = Seen::of(100);
    let all = ["a", "b", "c"].map(|name| Packed::build(&every(name, "10s")).unwrap());
    for (command, definition) in (1..).zip(all) {
        seen.step(Input::put(command, definition));
    }
    seen.step(Input::Link(true));
    seen.pass(9_600, 1_000);
    assert_eq!(seen.engine.prepare(10).len(), 3);
    let changed = Definition { data: Some(1.into()), ..every("b", "10s") };
    seen.step(Input::put(1, Packed::build(&changed).unwrap()));
    assert!(!seen.engine.can_prepare(), "what is laid out is prepared");
    seen.now = START + 10_000;
    let reading = Reading { wall: Timestamp::from_millis(seen.now), boot: 10_000 };
    let mut sent = BTreeMap::new();
    for action in seen.engine.step(reading, Input::Tick) {
        if let Action::Publish(handovers) = action {
            sent.extend(
                handovers.into_iter().map(|one| (one.schedule.name.to_string(), one.prepared.is_some())),
            );
        }
    }
    assert_eq!(
        sent,
        [("a", true), ("b", false), ("c", true)].map(|(name, one)| (name.to_owned(), one)).into()
    );
    assert!(seen.engine.settled() < reading.wall, "W lies below what is in flight");
}

#[test]
fn what_was_prepared_and_passed_over_is_void_once_something_else_is_prepared() {
    let mut seen = Seen::of(100);
    let all = ["a", "b"].map(|name| Packed::build(&every(name, "10s")).unwrap());
    seen.step(Input::Load(all.into()));
    seen.step(Input::Link(true));
    seen.pass(9_600, 1_000);
    let mut kept = Prepared::default();
    let mut prepare = |engine: &mut Engine| {
        let numbers = engine.prepare(10).into_iter().filter_map(|one| one.prepared);
        numbers.for_each(|number| kept.put(number, ()));
        kept.len()
    };
    assert_eq!(prepare(&mut seen.engine), 2);
    seen.step(Input::Link(false));
    seen.pass(10 * MINUTE, MINUTE);
    seen.step(Input::Link(true));
    assert_eq!(prepare(&mut seen.engine), 2);
}

fn every(name: &str, every: &str) -> Definition {
    Definition {
        name: name.into(),
        event: Some("test.often.passed".into()),
        every: Some(every.into()),
        ..Definition::default()
    }
}

//! Rate ceilings of domains: in which order and how fast what waits goes out, and what becomes of it meanwhile.

use super::{
    commands::{ask, once, put_of},
    lives::{ann, delete},
    triggers::trigger,
    *,
};
use crate::{Row, Verdict};
use khronos_schedule::CatchUpDefinition;

const SECOND: i64 = 1_000;

fn named(name: &str, event: &str, often: &str, policy: &str) -> Packed {
    let grace = Some("1s".into());
    let catch_up = CatchUpDefinition { policy: Some(policy.into()), grace, ..CatchUpDefinition::default() };
    let definition = Definition { event: Some(event.into()), catch_up: Some(catch_up), ..every(name, often) };
    Packed::build(&definition).unwrap()
}

fn running(seen: &mut Seen, schedules: Vec<Packed>) {
    seen.step(Input::Load(schedules));
    seen.step(Input::Link(true));
}

/// Name, due time, for how many, and how late: of events of a schedule whose name begins so.
fn handed_of<'a>(seen: &'a Seen, prefix: &str) -> Vec<(&'a str, i64, u64, i64)> {
    let all = seen.handed.iter().map(|(one, at)| {
        let due = one.stands_for.last.millis();
        (&*one.schedule.name, due - START, one.stands_for.count, at - due)
    });
    all.filter(|(name, ..)| name.starts_with(prefix)).collect()
}

#[test]
fn what_falls_due_together_goes_out_in_its_order_below_the_ceiling_and_others_on_time() {
    let mut seen = Seen::of(100).below("billing.#", 50);
    let many = (0..200).map(|number| named(&format!("b{number:03}"), "billing.month.ended", "1m", "none"));
    let others = (0..20).map(|number| named(&format!("z{number:03}"), "reports.day.ended", "1m", "none"));
    running(&mut seen, many.chain(others).collect());
    seen.pass(MINUTE + 2 * SECOND, 20);
    let waiting = seen.engine.ceilings().remove(0);
    assert!(waiting.waiting > 50 && waiting.waiting < 150, "{waiting:?}");
    assert_eq!(waiting.since.map(|since| since.millis() - START), Some(MINUTE));
    seen.pass(MINUTE, 20);
    let handed = handed_of(&seen, "b");
    for (count, (name, due, of, late)) in handed[..200].iter().enumerate() {
        assert_eq!((*name, *due, *of), (&*format!("b{count:03}"), MINUTE, 1));
        let earliest = 20 * (count as i64 - 4).max(0);
        assert!((earliest..earliest + 25).contains(late), "{name} is {late} ms late");
    }
    let others = handed_of(&seen, "z");
    assert!(others.len() == 40 && others.iter().all(|(.., late)| *late == 0), "{others:?}");
    assert!(handed[200..].iter().all(|(_, due, ..)| *due == 2 * MINUTE));
    // One has nothing left, and is only still known.
    assert!(seen.engine.outstanding() - seen.engine.ceilings()[0].waiting <= 1);
}

#[test]
fn what_waits_is_sent_singly_whatever_its_policy_and_held_in_a_span_each() {
    for policy in ["none", "latest", "all"] {
        let mut seen = Seen::of(100).below("#", 1);
        let names = ["a", "b"].map(|name| named(name, "test.often.passed", "1s", policy));
        running(&mut seen, names.to_vec());
        seen.pass(MINUTE, 100);
        let waiting = seen.engine.ceilings().remove(0);
        let since = waiting.since.unwrap().millis() - START;
        assert!(waiting.waiting == 2 && (28 * SECOND..33 * SECOND).contains(&since), "{waiting:?}");
        assert_eq!((seen.engine.outstanding(), seen.handed.len()), (2, 60));
        // It dies, and begins again without a ceiling.
        seen.ceilings.clear();
        seen.restart();
        seen.step(Input::Link(true));
        seen.pass(SECOND, 100);
        for name in ["a", "b"] {
            let all = handed_of(&seen, name);
            let mut due: Vec<_> = all.iter().map(|(_, due, count, _)| (*due, *count)).collect();
            // The last before the end was not written yet, and comes again under its id.
            due.dedup();
            assert_eq!(due, (1..=61).map(|second| (second * SECOND, 1)).collect::<Vec<_>>(), "{policy}");
        }
        let is_skipped = |row: &Row| matches!(row.outcome, Outcome::Skipped(_));
        assert!(!seen.rows.iter().any(is_skipped), "{:?}", seen.rows);
    }
}

#[test]
fn what_an_outage_made_late_is_caught_up_with_by_its_policy_below_the_ceiling() {
    let mut seen = Seen::of(100).below("#", 2);
    let names = ["a", "b", "c"].map(|name| named(name, "test.often.passed", "2s", "latest"));
    running(&mut seen, names.to_vec());
    seen.pass(10 * SECOND, 100);
    seen.step(Input::Link(false));
    seen.pass(MINUTE, SECOND);
    seen.step(Input::Link(true));
    seen.pass(MINUTE, 100);
    for name in ["a", "b", "c"] {
        let all = handed_of(&seen, name);
        let many: Vec<_> = all.iter().filter(|(_, _, count, _)| *count > 1).collect();
        assert!(many.len() == 1 && (28..=30).contains(&many[0].2), "{name}: {many:?}");
        let sent: u64 = all.iter().map(|(_, _, count, _)| count).sum();
        assert!((63..=65).contains(&sent), "{sent} of {name}");
    }
}

#[test]
fn what_was_due_before_an_edit_or_a_deletion_is_sent_when_it_may_be() {
    let mut seen = Seen::of(100).below("#", 1);
    seen.step(Input::Link(true));
    ask(&mut seen, ann(), ["a", "b", "c"].map(|name| put_of(every(name, "10s"))).into());
    seen.pass(10 * SECOND, 100);
    assert_eq!(handed_of(&seen, "").len(), 1, "the others wait");
    let gone = ask(&mut seen, ann(), vec![delete("b"), put_of(every("c", "5m"))]);
    assert!(matches!(gone[..], [Verdict::Deleted { .. }, Verdict::Changed { .. }]), "{gone:?}");
    seen.pass(9 * SECOND, 100);
    let all: Vec<_> = handed_of(&seen, "").into_iter().map(|(name, due, ..)| (name, due)).collect();
    assert_eq!(all, [("a", 10 * SECOND), ("b", 10 * SECOND), ("c", 10 * SECOND)]);
}

#[test]
fn what_is_due_once_and_waits_can_be_taken_back() {
    let mut seen = Seen::of(100).below("#", 1);
    seen.step(Input::Link(true));
    let due = START + 10 * SECOND;
    ask(&mut seen, ann(), ["a", "b", "c"].map(|name| put_of(once(name, due))).into());
    seen.pass(10 * SECOND + 100, 100);
    let gone = ask(&mut seen, ann(), vec![delete("b")]);
    assert!(matches!(gone[..], [Verdict::Deleted { .. }]), "{gone:?}");
    seen.pass(10 * SECOND, 100);
    let all: Vec<_> = handed_of(&seen, "").into_iter().map(|(name, _, _, late)| (name, late)).collect();
    assert_eq!(all, [("a", 0), ("c", SECOND)]);
}

#[test]
fn a_pause_holds_what_waits_and_lets_others_of_the_domain_pass() {
    let mut seen = Seen::of(100).below("#", 1);
    let names = ["a", "b", "c"].map(|name| named(name, "test.often.passed", "10s", "all"));
    running(&mut seen, names.to_vec());
    seen.pass(10 * SECOND, 100);
    let request = PauseRequest { by: "ann".into(), note: "x".into(), until: None };
    let scope = Scope::Named(["b".into()].into());
    seen.step(Input::Pause { command: 1, scope: scope.clone(), request });
    seen.pass(5 * SECOND, 100);
    assert_eq!(handed_of(&seen, "").len(), 2, "that of c came in its place");
    seen.step(Input::Resume { command: 2, scope, how: OnResume::CatchUp });
    seen.pass(SECOND, 100);
    assert_eq!(handed_of(&seen, "b").len(), 1);
}

#[test]
fn what_commands_ask_for_counts_too_and_waits_behind_what_was_due_before() {
    let mut seen = Seen::of(100).below("billing.#", 1);
    let names = ["a", "b", "c"].map(|name| named(name, "billing.month.ended", "10s", "all"));
    let other = named("z", "reports.day.ended", "1h", "all");
    running(&mut seen, names.into_iter().chain([other]).collect());
    seen.pass(10 * SECOND, 100);
    for (command, name) in ["a", "b", "z"].into_iter().enumerate() {
        trigger(&mut seen, command as u64, name, "x");
    }
    let kinds = |seen: &Seen| -> Vec<(String, bool, i64)> {
        let all = seen.handed.iter().map(|(one, at)| {
            let is_trigger = matches!(one.kind, ponos_event::EventKind::Trigger(_));
            (one.schedule.name.to_string(), is_trigger, (at - START) / SECOND)
        });
        all.collect()
    };
    assert_eq!(kinds(&seen), [("a".into(), false, 10), ("z".into(), true, 10)]);
    assert_eq!(seen.engine.ceilings()[0].waiting, 4);
    seen.pass(5 * SECOND, 100);
    let expected = [("b", false, 11), ("c", false, 12), ("a", true, 13), ("b", true, 14)];
    assert_eq!(kinds(&seen)[2..], expected.map(|(name, kind, at)| (name.to_owned(), kind, at)));
}

#[test]
fn nothing_that_waits_is_decided_before_its_turn() {
    let mut seen = Seen::of(100).below("#", 1);
    seen.step(Input::Link(true));
    let due = START + 10 * SECOND;
    ask(&mut seen, ann(), ["a", "b", "c", "d"].map(|name| put_of(once(name, due))).into());
    seen.pass(11 * SECOND + 100, 100);
    assert_eq!(handed_of(&seen, "").len(), 2, "b had its turn");
    let gone = ask(&mut seen, ann(), vec![delete("b"), delete("c")]);
    assert!(matches!(gone[0], Verdict::Refused(_) | Verdict::GoneAlready), "{gone:?}");
    assert!(matches!(gone[1], Verdict::Deleted { .. }), "{gone:?}");
    seen.pass(10 * SECOND, 100);
    let all: Vec<_> = handed_of(&seen, "").into_iter().map(|(name, _, _, late)| (name, late)).collect();
    assert_eq!(all, [("a", 0), ("b", SECOND), ("d", 2 * SECOND)]);
}

#[test]
fn what_falls_due_while_something_late_waits_is_decided_with_it() {
    let mut seen = Seen::of(100).below("#", 1);
    let names = ["a", "b", "c", "d", "e", "f"].map(|name| named(name, "test.often.passed", "2s", "latest"));
    running(&mut seen, names.to_vec());
    seen.step(Input::Link(false));
    seen.pass(MINUTE, SECOND);
    seen.step(Input::Link(true));
    seen.pass(10 * SECOND, 100);
    let many: Vec<_> = handed_of(&seen, "").into_iter().filter(|(_, _, count, _)| *count > 1).collect();
    let counts: Vec<u64> = many.iter().map(|(_, _, count, _)| *count).collect();
    // One in a second: what of it is late by then, if by more than the grace.
    assert!(counts.len() == 6 && counts.is_sorted() && counts[5] >= counts[0] + 2, "{many:?}");
}

/// The broker takes less than either of them lets through.
#[test]
fn no_ceiling_takes_the_turns_of_another_one() {
    let mut seen = Seen::of(100).below("billing.#", 1_000_000).below("reports.#", 1_000_000);
    let of = |event: &'static str| {
        (0..50).map(move |number| named(&format!("{}{number:02}", &event[..1]), event, "1m", "latest"))
    };
    running(&mut seen, of("billing.month.ended").chain(of("reports.day.ended")).collect());
    seen.step(Input::Link(false));
    seen.pass(MINUTE + 10 * SECOND, SECOND);
    seen.step(Input::Link(true));
    seen.pass(SECOND, 100);
    let handed = handed_of(&seen, "");
    assert_eq!(handed.len(), 100);
    let billing = handed[..40].iter().filter(|(name, ..)| name.starts_with('b')).count();
    assert!((15..=25).contains(&billing), "{billing} of 40");
}

#[test]
fn what_waits_when_the_clock_is_set_back_does_not_wait_until_it_is_there_again() {
    let mut seen = Seen::of(100);
    seen.engine = Seen::engine(100, true);
    let mut seen = seen.below("#", 1);
    running(&mut seen, vec![named("a", "test.often.passed", "1s", "all")]);
    seen.pass(6 * MINUTE + 100, 100);
    let triggered = |seen: &Seen| {
        let is_one = |(one, _): &&(Handover, i64)| matches!(one.kind, ponos_event::EventKind::Trigger(_));
        seen.handed.iter().filter(is_one).count()
    };
    // From the first on there is always one that waits.
    trigger(&mut seen, 1, "a", "x");
    seen.pass(2 * SECOND, 100);
    trigger(&mut seen, 2, "a", "y");
    assert_eq!((triggered(&seen), seen.engine.ceilings()[0].waiting), (1, 2));
    let back = 2 * MINUTE;
    seen.ahead += back;
    seen.now -= back;
    seen.step(Input::Tick);
    assert!(seen.engine.ceilings()[0].since.is_none_or(|since| since <= seen.engine.now()));
    seen.pass(20 * SECOND, 100);
    assert_eq!(triggered(&seen), 2);
}

/// Of the engine's own it is told when they have had their turn: it does not wait for anything else.
#[test]
fn what_waits_goes_on_as_soon_as_delayed_events_have_had_their_turn() {
    let mut seen = Seen::of(100).below("#", 10);
    let many = (0..50).map(|number| named(&format!("b{number:03}"), "billing.month.ended", "10s", "all"));
    running(&mut seen, many.collect());
    seen.pass(10 * SECOND, 100);
    let before = seen.handed.len();
    let id = seen.engine.rate_ceilings().ids().next().unwrap();
    let mut delayed = 0;
    for _ in 0..20 {
        let all = seen.engine.rate_ceilings_mut();
        all.delayed_wait(id, true);
        while all.may_delayed(id) {
            all.take_delayed(id);
            delayed += 1;
        }
        seen.pass(100, 100);
    }
    let schedules = seen.handed.len() - before;
    assert!((9..=11).contains(&delayed) && (9..=11).contains(&schedules), "{delayed}, {schedules}");
    let all = seen.engine.rate_ceilings_mut();
    all.take_delayed(id);
    all.take(id);
    seen.pass(300, 100);
    assert!(!seen.engine.rate_ceilings().may(id), "it is the turn of a delayed one");
    assert_ne!(seen.engine.next_wakeup(), Some(seen.engine.now()));
    // That one was taken back.
    seen.engine.rate_ceilings_mut().delayed_wait(id, false);
    assert_eq!(seen.engine.next_wakeup(), Some(seen.engine.now()));
}

/// One step, and what follows of its writes: what was handed over, which the broker does not answer.
fn unanswered(seen: &mut Seen, input: Input) -> Vec<u64> {
    let (mut inputs, mut tokens) = (vec![input], Vec::new());
    while let Some(input) = inputs.pop() {
        let boot = seen.now - START + seen.ahead;
        let reading = Reading { wall: Timestamp::from_millis(seen.now), boot };
        for action in seen.engine.step(reading, input) {
            match action {
                Action::Save { ticket, .. } => inputs.push(Input::Saved(ticket)),
                Action::Publish(handovers) => tokens.extend(handovers.iter().map(|one| one.token)),
                _ => {}
            }
        }
    }
    tokens
}

#[test]
fn what_has_no_room_with_the_publisher_keeps_no_delayed_event_waiting() {
    let mut seen = Seen::of(100).below("#", 10);
    let many = (0..50).map(|number| named(&format!("b{number:03}"), "billing.month.ended", "10s", "all"));
    running(&mut seen, many.collect());
    seen.pass(10 * SECOND - 1, 100);
    let id = seen.engine.rate_ceilings().ids().next().unwrap();
    let mut tokens = Vec::new();
    for _ in 0..5 {
        seen.now += 100;
        tokens.extend(unanswered(&mut seen, Input::Tick));
    }
    assert!(tokens.len() == 2 && seen.engine.ceilings()[0].waiting > 40, "{tokens:?}");
    for _ in 0..3 {
        let all = seen.engine.rate_ceilings_mut();
        all.delayed_wait(id, true);
        assert!(all.may_delayed(id), "schedules could not go on");
        all.take_delayed(id);
        seen.now += 100;
        assert!(unanswered(&mut seen, Input::Tick).is_empty());
    }
    seen.engine.rate_ceilings_mut().take_delayed(id);
    let answered = tokens.into_iter().map(|token| (token, Answer::Confirmed { returned: false }));
    assert!(unanswered(&mut seen, Input::Settled(answered.collect())).is_empty());
    seen.now += 100;
    assert_eq!(unanswered(&mut seen, Input::Tick).len(), 1, "from then on they take turns again");
}

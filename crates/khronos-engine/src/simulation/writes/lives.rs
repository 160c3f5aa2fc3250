//! What is created, edited and deleted at run time: what is left of it, and what its name has to do with the next.

use super::{
    commands::{ask, once, put_of},
    *,
};
use crate::{Author, Era, Expect, Refusal, Revision, ScheduleChange, Verdict, forgetting::HOUR};
use khronos_schedule::{Created, DoorKind};

pub(super) fn ann() -> Author {
    Author::owner("ann", "a test")
}

pub(super) fn delete(name: &str) -> ScheduleChange {
    ScheduleChange::Delete { name: name.into(), expect: Expect::Any }
}

pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn left(seen: &Seen) -> usize {
    seen.engine.resting.iter().count()
}

#[test]
fn many_that_finish_at_once_go_in_writes_of_a_bounded_size() {
    const DAY: i64 = 24 * 60 * MINUTE;
    let mut seen = Seen::of(10);
    seen.step(Input::Link(true));
    let many = (0..1_000).map(|number| put_of(once(&format!("s{number:03}"), START + MINUTE)));
    ask(&mut seen, ann(), many.collect());
    seen.pass(10 * MINUTE, MINUTE);
    seen.pass(DAY - 10 * MINUTE, 60 * MINUTE);
    assert_eq!(seen.engine.len(), 1_000);
    // The disk is slow, and meanwhile all others come to their time.
    let (mut sizes, mut saved) = (Vec::new(), None);
    while !seen.engine.is_empty() {
        seen.now += 100;
        let reading = Reading { wall: Timestamp::from_millis(seen.now), boot: seen.now - START };
        for turn in 0..20 {
            let input = if turn == 19 { saved.take().map_or(Input::Tick, Input::Saved) } else { Input::Tick };
            for action in seen.engine.step(reading, input) {
                if let Action::Save { ticket, commit } = action {
                    assert!(saved.replace(ticket).is_none());
                    sizes.push(commit.revisions.len());
                }
            }
            let under_way = saved.is_some() && turn < 19;
            assert!(!under_way || seen.engine.next_wakeup().is_none_or(|at| at > reading.wall), "a hot loop");
        }
        assert!(sizes.len() < 1_000, "{} are left", seen.engine.len());
    }
    assert!(sizes.iter().all(|size| *size <= 10) && sizes.iter().sum::<usize>() == 1_000, "{sizes:?}");
}

/// Somebody creates and deletes without end: an hour of it is kept, and then nothing.
#[test]
fn what_was_created_and_deleted_is_forgotten_after_an_hour_and_names_go_no_more() {
    let mut seen = Seen::of(10);
    seen.step(Input::Link(true));
    for round in 0..200 {
        let limited = Definition { limit: Some(1), ..every("b", "100ms") };
        let verdicts = ask(&mut seen, ann(), vec![put_of(every("a", "10m")), put_of(limited)]);
        assert!(verdicts.iter().all(Verdict::is_change), "{verdicts:?}");
        seen.pass(1_000, 500);
        assert!(seen.engine.running("b").unwrap().finished);
        ask(&mut seen, ann(), vec![delete("a"), delete("b")]);
        assert!(left(&seen) <= 2 * (HOUR as usize / 1_000 + 3), "{} after {round}", left(&seen));
    }
    assert!(left(&seen) > 10, "late requests find them");
    seen.pass(2 * HOUR, 1_000);
    assert_eq!((left(&seen), seen.engine.next_goes()), (0, None));
    assert!(seen.engine.next_wakeup().is_some_and(|at| at > seen.engine.now()), "nothing is left to be done");
}

#[test]
fn of_more_that_ended_than_there_is_room_for_the_oldest_go_at_once() {
    let mut seen = Seen::of(100);
    for _ in 0..300 {
        ask(&mut seen, ann(), vec![put_of(every("a", "10m"))]);
        ask(&mut seen, ann(), vec![delete("a")]);
    }
    seen.step(Input::Tick);
    assert!(left(&seen) <= 45, "{} are left", left(&seen));
}

#[test]
fn of_one_that_is_edited_without_end_the_last_edits_are_kept_and_of_files_all() {
    let mut seen = Seen::of(100);
    seen.step(Input::Link(true));
    for edit in 0..300_i64 {
        let definition = Definition { data: Some(edit.into()), ..every("a", "10m") };
        ask(&mut seen, ann(), vec![put_of(definition.clone())]);
        let file = Definition { name: "file".into(), ..definition };
        seen.step(Input::Load(vec![Packed::build(&file).unwrap()]));
        seen.now += 10;
    }
    let of = |name: &str| seen.engine.resting.of(name).map(|one| one.number).collect::<Vec<u32>>();
    assert_eq!(of("a"), [298, 299]);
    assert_eq!(of("file").len(), 299, "it may come back as it was");
    seen.pass(2 * HOUR, 1_000);
    let of = |name: &str| seen.engine.resting.of(name).count();
    assert_eq!((of("a"), of("file")), (2, 299));
    ask(&mut seen, ann(), vec![delete("a")]);
    seen.pass(2 * HOUR, 1_000);
    assert_eq!(seen.engine.resting.of("a").count(), 0);
}

/// As many bytes as a payload may have, about.
fn large(name: &str, often: &str) -> Definition {
    Definition { data: Some("x".repeat(60_000).into()), ..every(name, often) }
}

#[test]
fn of_more_bytes_that_ended_than_there_is_room_for_the_oldest_go_at_once() {
    let mut seen = Seen::of(100);
    for _ in 0..100 {
        ask(&mut seen, ann(), vec![put_of(large("a", "10m"))]);
        ask(&mut seen, ann(), vec![delete("a")]);
    }
    seen.step(Input::Tick);
    assert!((10..=18).contains(&left(&seen)), "{} of 60 KB are left", left(&seen));
}

/// One payload is less than a schedule's edits may be, and two are more.
#[test]
fn edits_with_large_payloads_are_kept_as_far_as_there_is_room_for_them_all() {
    let mut seen = Seen::of(100);
    let names: Vec<String> = (0..40).map(|number| format!("s{number}")).collect();
    for often in ["10m", "20m", "30m", "40m"] {
        names.iter().for_each(|name| drop(ask(&mut seen, ann(), vec![put_of(large(name, often))])));
        let most = names.iter().map(|name| seen.engine.resting.of(name).count()).max();
        assert!(most <= Some(2), "{most:?} of one");
    }
    seen.pass(10 * HOUR, 1_000);
    assert!((10..=18).contains(&left(&seen)), "{} of 60 KB are left", left(&seen));
    assert!(names.iter().all(|name| seen.engine.resting.of(name).count() <= 1));
    assert_eq!(seen.engine.len(), 40);
}

#[test]
fn what_an_edit_called_for_that_is_forgotten_is_not_sent_again() {
    let mut seen = Seen::of(100);
    seen.step(Input::Link(true));
    let called_for = START + 10_000;
    ask(&mut seen, ann(), vec![put_of(large("a", "1s"))]);
    seen.pass(20_500, 500);
    for often in ["1h", "2h", "3h", "4h", "5h"] {
        ask(&mut seen, ann(), vec![put_of(large("a", often))]);
        seen.pass(1_000, 500);
    }
    let kept: Vec<u32> = seen.engine.resting.of("a").map(|one| one.number).collect();
    assert!(!kept.contains(&1) && kept.len() <= 1, "{kept:?}");
    let again = Definition { past: Some("send".into()), ..once("a", called_for) };
    let verdicts = ask(&mut seen, ann(), vec![put_of(again)]);
    assert_eq!(verdicts, [Verdict::Refused(Refusal::AlreadySettled { due: at(called_for) })]);
    let since = START + 23_000;
    let other = Definition { past: Some("send".into()), ..once("a", since) };
    let verdicts = ask(&mut seen, ann(), vec![put_of(other)]);
    assert!(matches!(verdicts[..], [Verdict::Changed { .. }]), "nothing was due then: {verdicts:?}");
}

/// Ten days at once, in both directions.
#[test]
fn after_a_step_back_what_was_settled_before_it_is_known_as_long_as_what_is_settled_now() {
    const DAY: i64 = 24 * 60 * MINUTE;
    let mut seen = Seen::of(100);
    seen.engine = Seen::engine(100, true);
    seen.step(Input::Link(true));
    seen.pass(1_000, 500);
    seen.now += 10 * DAY;
    let due = seen.now + 1_000;
    ask(&mut seen, ann(), vec![put_of(once("a", due)), put_of(once("b", due))]);
    seen.pass(2_000, 500);
    assert_eq!((seen.sent["a"], seen.sent["b"]), (1, 1));
    (seen.ahead, seen.now) = (seen.ahead + 10 * DAY, seen.now - 10 * DAY);
    seen.pass(1_000, 500);
    let again = |seen: &mut Seen| {
        let later = once("a", seen.now + 5 * MINUTE);
        ask(seen, ann(), vec![put_of(later)])
    };
    assert!(matches!(again(&mut seen)[..], [Verdict::Refused(Refusal::AlreadySettled { .. })]));
    seen.pass(HOUR, 1_000);
    assert!(matches!(again(&mut seen)[..], [Verdict::Changed { .. }]), "an hour is over");
    seen.pass(DAY - HOUR - 2 * MINUTE, 60 * MINUTE);
    assert!(seen.engine.running("b").is_some());
    seen.pass(4 * MINUTE, MINUTE);
    assert!(seen.engine.running("b").is_none(), "it is finished since a day");
}

/// R lies ahead of it, but that is of what ran before.
#[test]
fn what_is_created_anew_after_a_step_back_runs_at_once_and_can_be_taken_back() {
    let mut seen = Seen::of(100);
    seen.engine = Seen::engine(100, true);
    seen.step(Input::Link(true));
    ask(&mut seen, ann(), vec![put_of(every("a", "1s")), put_of(every("b", "1s"))]);
    seen.pass(20 * MINUTE, 1_000);
    ask(&mut seen, ann(), vec![delete("a"), delete("b")]);
    let back = 10 * MINUTE;
    // The time since the start goes on.
    (seen.ahead, seen.now) = (seen.ahead + back, seen.now - back);
    seen.pass(5_000, 500);
    let begun = seen.now;
    let verdicts = ask(&mut seen, ann(), vec![put_of(every("a", "1s")), put_of(once("b", begun + 3_000))]);
    assert!(matches!(verdicts[0], Verdict::Created { creation: 3, since, .. } if since == at(begun)));
    let sent = seen.sent["a"];
    assert!(matches!(ask(&mut seen, ann(), vec![delete("b")])[..], [Verdict::Deleted { .. }]));
    seen.pass(10_000, 500);
    assert!((sent + 9..=sent + 10).contains(&seen.sent["a"]), "{} events", seen.sent["a"] - sent);
    let verdicts = ask(&mut seen, ann(), vec![delete("a")]);
    assert!(
        matches!(verdicts[..], [Verdict::Deleted { through, .. }] if through == at(seen.now)),
        "{verdicts:?}"
    );
}

/// The same where the former one was deleted after it: what may have been sent of that is its own.
#[test]
fn what_is_created_anew_does_not_wait_for_what_had_its_name() {
    let mut seen = Seen::of(100);
    seen.engine = Seen::engine(100, true);
    seen.step(Input::Link(true));
    ask(&mut seen, ann(), vec![put_of(every("a", "1s"))]);
    seen.pass(20 * MINUTE, 1_000);
    (seen.ahead, seen.now) = (seen.ahead + 10 * MINUTE, seen.now - 10 * MINUTE);
    seen.pass(5_000, 500);
    ask(&mut seen, ann(), vec![delete("a"), put_of(every("a", "100ms"))]);
    assert_eq!(seen.engine.outstanding(), 1, "its deletion counts from R");
    let before = seen.sent["a"];
    seen.pass(10_000, 50);
    let sent = seen.sent["a"] - before;
    assert!((109..=111).contains(&sent), "{sent} events: a hundred of its own, and ten of the other");
}

#[test]
fn figures_are_those_of_the_creation_and_not_of_the_name() {
    let mut seen = Seen::of(100);
    seen.step(Input::Link(true));
    let confirmed = |seen: &Seen| seen.engine.running("a").unwrap().sent.confirmed;
    ask(&mut seen, ann(), vec![put_of(every("a", "1s"))]);
    seen.pass(10_500, 500);
    assert_eq!(confirmed(&seen), 10);
    ask(&mut seen, ann(), vec![delete("a")]);
    ask(
        &mut seen,
        Author::owner("bob", "a test"),
        vec![put_of(Definition { limit: Some(1), ..every("a", "1s") })],
    );
    assert_eq!(confirmed(&seen), 0);
    seen.pass(5_000, 500);
    assert_eq!(confirmed(&seen), 1);
    let said = seen.notices.iter().find_map(|notice| match notice {
        Notice::Finished { sent, .. } => Some(*sent),
        _ => None,
    });
    assert_eq!(said, Some(1));
}

#[test]
fn a_condition_names_the_creation_too() {
    let mut seen = Seen::of(100);
    let expecting = |creation, number, data: i64| ScheduleChange::Put {
        definition: Packed::build(&Definition { data: Some(data.into()), ..every("a", "1h") }).unwrap(),
        expect: Expect::Revision { creation, number },
    };
    for creation in 1..=2 {
        ask(&mut seen, ann(), vec![put_of(every("a", "1h"))]);
        if creation == 1 {
            ask(&mut seen, ann(), vec![delete("a")]);
            seen.pass(3 * HOUR, 1_000);
            assert_eq!(left(&seen), 0);
        }
    }
    let verdicts = ask(&mut seen, ann(), vec![expecting(1, 1, 1), expecting(2, 1, 2)]);
    let stale = Verdict::Refused(Refusal::Stale { revision: Some(1) });
    assert!(verdicts[0] == stale && matches!(verdicts[1], Verdict::Changed { creation: 2, revision: 2, .. }));
}

#[test]
fn that_something_is_there_is_a_condition_which_any_revision_meets() {
    let mut seen = Seen::of(100);
    let put = |name: &str, data: i64| ScheduleChange::Put {
        definition: Packed::build(&Definition { data: Some(data.into()), ..every(name, "1h") }).unwrap(),
        expect: Expect::Present,
    };
    let delete = |name: &str| ScheduleChange::Delete { name: name.into(), expect: Expect::Present };
    ask(&mut seen, ann(), vec![put_of(every("a", "1h"))]);
    let verdicts = ask(&mut seen, ann(), vec![put("a", 1), put("a", 2), put("b", 1), delete("b")]);
    let stale = Verdict::Refused(Refusal::Stale { revision: None });
    assert!(matches!(
        verdicts[..2],
        [Verdict::Changed { revision: 2, .. }, Verdict::Changed { revision: 3, .. }]
    ));
    assert_eq!(verdicts[2..], [stale.clone(), stale.clone()]);
    let verdicts = ask(&mut seen, ann(), vec![delete("a"), delete("a"), put("a", 3)]);
    assert!(matches!(verdicts[0], Verdict::Deleted { revision: 3, .. }), "{verdicts:?}");
    assert_eq!(verdicts[1..], [stale.clone(), stale]);
}

/// A restart finds what rests, and forgets it in its time.
#[test]
fn what_was_left_before_a_restart_is_forgotten_too() {
    let creation = |name: &str, number| {
        let created = Created { number, owner: "ann".into(), door: DoorKind::Http };
        Packed::build(&every(name, "1h")).unwrap().created_as(Some(created))
    };
    let era = |number| Era::first(number, at(START - MINUTE));
    let ended = |revision| Revision { ended: Some(at(START - 1_000)), ..revision };
    let edits = (1..=5).map(|number| ended(era(number).of(creation("a", 1))));
    let revisions = edits.chain([era(6).of(creation("a", 1)), ended(era(1).of(creation("b", 2)))]).collect();
    let snapshot = Snapshot { settled: Some(at(START)), created: 2, revisions, ..Snapshot::default() };
    let mut seen = Seen::of(100);
    let reading = Reading { wall: at(START), boot: 0 };
    seen.engine = Engine::start(seen.engine.rules, snapshot, reading).having_read();
    seen.step(Input::Tick);
    assert_eq!(left(&seen), 6);
    seen.pass(2 * HOUR, 1_000);
    let kept: Vec<u32> = seen.engine.resting.of("a").map(|one| one.number).collect();
    assert_eq!((kept, left(&seen)), (vec![4, 5], 2));
}

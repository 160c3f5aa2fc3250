//! What is due once: what a late request may still do, and what can be taken back.

use super::{
    commands::{ask, once, put_of},
    lives::{ann, at, delete},
    *,
};
use crate::{Author, Era, OneShot, Refusal, Verdict, forgetting::HOUR};
use khronos_schedule::{Created, DoorKind};
use std::sync::Arc;

/// Sent at once where it is past.
fn at_once(name: &str, at: i64) -> Definition {
    Definition { past: Some("send".into()), ..once(name, at) }
}

fn settled(due: i64) -> Verdict {
    Verdict::Refused(Refusal::AlreadySettled { due: at(due) })
}

fn asked_pause() -> PauseRequest {
    PauseRequest { by: "ann".into(), note: "it is wrong".into(), until: None }
}

/// Of what is not kept any more nobody knows what was called for: nothing is promised that would not be sent.
#[test]
fn what_an_edit_that_is_forgotten_called_for_is_not_called_for_again() {
    let mut seen = Seen::of(100);
    seen.step(Input::Link(true));
    ask(&mut seen, ann(), vec![put_of(every("a", "1s"))]);
    seen.pass(5_000, 500);
    for edit in 0..10_i64 {
        ask(&mut seen, ann(), vec![put_of(Definition { data: Some(edit.into()), ..every("a", "10m") })]);
        seen.pass(1_000, 500);
    }
    let (due, sent) = (START + 3_000, seen.sent["a"]);
    assert_eq!(ask(&mut seen, ann(), vec![put_of(at_once("a", due))]), [settled(due)]);
    // Under another name it is another thing.
    let verdicts = ask(&mut seen, ann(), vec![put_of(at_once("b", due))]);
    assert!(matches!(verdicts[..], [Verdict::Created { .. }]));
    seen.pass(5_000, 500);
    assert_eq!((seen.sent["a"], seen.sent["b"]), (sent, 1));
}

#[test]
fn other_content_for_a_time_that_was_called_for_is_refused_for_nothing_would_be_sent() {
    let mut seen = Seen::of(100);
    seen.step(Input::Link(true));
    let due = START + 10_000;
    ask(&mut seen, ann(), vec![put_of(at_once("a", due)), put_of(every("b", "1s"))]);
    seen.pass(20_000, 500);
    let other = |name: &str| put_of(Definition { data: Some(1.into()), ..at_once(name, due) });
    let verdicts = ask(&mut seen, ann(), vec![other("a"), put_of(at_once("b", due)), other("b")]);
    assert_eq!(verdicts, [settled(due), settled(due), settled(due)]);
    // However long ago that was.
    seen.pass(3 * HOUR, 1_000);
    assert_eq!(ask(&mut seen, ann(), vec![other("a")]), [settled(due)]);
    assert_eq!(seen.sent["a"], 1);
}

/// The broker refused it, and a person has to decide: it is settled as far as its owner is concerned.
#[test]
fn what_is_parked_for_a_person_is_settled() {
    let mut seen = Seen::of(100);
    seen.refuses = |_| true;
    seen.step(Input::Link(true));
    let due = START + 1_000;
    ask(&mut seen, ann(), vec![put_of(once("a", due))]);
    while seen.engine.parked().values().all(|parked| parked.retry_at.is_some()) {
        seen.pass(10_000, 1_000);
        assert!(seen.now < START + 100 * MINUTE);
    }
    let other = || put_of(Definition { data: Some(1.into()), ..at_once("a", due) });
    assert_eq!(ask(&mut seen, ann(), vec![other()]), [settled(due)]);
    seen.pass(3 * HOUR, 1_000);
    assert_eq!(ask(&mut seen, ann(), vec![other()]), [settled(due)]);
}

/// It went by itself, and then the request comes again that created it.
#[test]
fn what_was_sent_and_went_is_not_sent_again_by_a_late_request() {
    let mut seen = Seen::of(100);
    seen.engine.rules.keep_finished = 1_000;
    seen.step(Input::Link(true));
    let due = START + 1_000;
    ask(&mut seen, ann(), vec![put_of(at_once("a", due))]);
    seen.pass(10_000, 500);
    assert!(seen.engine.is_empty());
    let other = put_of(Definition { data: Some(1.into()), ..at_once("a", due) });
    let verdicts = ask(&mut seen, ann(), vec![put_of(at_once("a", due)), other, delete("a")]);
    let unchanged = Verdict::Unchanged { creation: 1, revision: 1 };
    assert_eq!(verdicts, [unchanged, settled(due), Verdict::GoneAlready]);
    // The name is nobody's.
    let bob = Author::owner("bob", "a test");
    assert!(matches!(
        ask(&mut seen, bob.clone(), vec![put_of(every("a", "1h"))])[..],
        [Verdict::Created { .. }]
    ));
    ask(&mut seen, bob, vec![delete("a")]);
    seen.pass(2 * HOUR, 1_000);
    assert_eq!(seen.sent["a"], 1);
    assert!(matches!(ask(&mut seen, ann(), vec![put_of(at_once("a", due))])[..], [Verdict::Created { .. }]));
}

/// Everything is paused for that: nothing that falls due is on its way.
#[test]
fn what_falls_due_in_a_pause_or_an_outage_can_be_taken_back() {
    for pause in [true, false] {
        let mut seen = Seen::of(100);
        seen.step(Input::Link(true));
        let dues = ["a", "b", "c"].map(|name| put_of(at_once(name, START + MINUTE)));
        ask(&mut seen, ann(), dues.into());
        seen.pass(10_000, 1_000);
        match pause {
            true => seen.step(Input::Pause { command: 1, scope: Scope::All, request: asked_pause() }),
            false => seen.step(Input::Link(false)),
        }
        seen.pass(2 * MINUTE, 1_000);
        let other = || put_of(Definition { data: Some(1.into()), ..at_once("b", START + MINUTE) });
        let verdicts = ask(&mut seen, ann(), vec![delete("a"), other(), other()]);
        let through = at(START + MINUTE - 1);
        let deleted = Verdict::Deleted { creation: 1, revision: 1, through };
        let changed = matches!(verdicts[1], Verdict::Changed { creation: 2, revision: 2, .. });
        assert!(verdicts[0] == deleted && changed, "{verdicts:?}");
        assert_eq!(verdicts[2], Verdict::Unchanged { creation: 2, revision: 2 });
        match pause {
            true => seen.step(Input::Resume { command: 2, scope: Scope::All, how: OnResume::CatchUp }),
            false => seen.step(Input::Link(true)),
        }
        seen.pass(MINUTE, 1_000);
        let sent = ["a", "b", "c"].map(|name| seen.sent.get(name).copied().unwrap_or_default());
        assert_eq!(sent, [0, 1, 1], "paused: {pause}");
        let removed = seen.rows.iter().filter(|row| row.outcome == Outcome::Skipped(SkipReason::Removed));
        assert_eq!(removed.map(|row| &*row.schedule).collect::<Vec<_>>(), ["a", "b"]);
    }
}

/// It was late, stood in its span already, and was not handed over: the broker was full.
#[test]
fn what_waits_in_its_span_and_was_not_handed_over_can_be_taken_back() {
    let mut seen = Seen::of(100);
    seen.step(Input::Link(true));
    ask(&mut seen, ann(), vec![put_of(at_once("a", START + MINUTE)), put_of(at_once("b", START + MINUTE))]);
    let pause = |command, name: &str| Input::Pause {
        command,
        scope: Scope::Named([name.into()].into()),
        request: asked_pause(),
    };
    seen.step(pause(1, "a"));
    seen.pass(2 * MINUTE, 1_000);
    assert!(seen.engine.outstanding() == 1 && seen.sent["b"] == 1);
    let verdicts = ask(&mut seen, ann(), vec![delete("a")]);
    assert!(matches!(verdicts[..], [Verdict::Deleted { .. }]), "{verdicts:?}");
    seen.step(Input::Resume { command: 2, scope: Scope::Named(["a".into()].into()), how: OnResume::CatchUp });
    seen.pass(MINUTE, 1_000);
    assert_eq!((seen.engine.outstanding(), seen.sent.get("a")), (0, None));
}

/// A newer version accepted it, and may have sent it; this one knows its event and its owner.
#[test]
fn what_is_not_understood_is_handled_by_the_same_rules() {
    let created = |number| Created { number, owner: "ann".into(), door: DoorKind::Http };
    let unknown = |name: &str, number, due: i64| {
        let event = Some("billing.invoice.due".into());
        let past = Some("as the moon says".into());
        let definition = Definition { event, past, ..once(name, due) };
        Era::first(3, at(START - MINUTE)).of(Packed::kept(&definition).created_as(Some(created(number))))
    };
    let (lately, reached) = (START - 2_000, START + 1_000);
    let all = [("old", lately - 10 * HOUR), ("sent", lately), ("tried", reached), ("waits", reached + 1)];
    let revisions = (1..).zip(all).map(|(number, (name, due))| unknown(name, number, due)).collect();
    let pending = all[2..].iter().map(|(name, due)| ((*name).into(), OneShot { revision: 3, due: at(*due) }));
    let snapshot = Snapshot {
        settled: Some(at(START)),
        handed: Some(at(reached)),
        reached: Some(at(reached)),
        created: 4,
        revisions,
        one_shots: pending.collect(),
        ..Snapshot::default()
    };
    let start = || {
        let reading = Reading { wall: at(START), boot: 0 };
        let mut seen = Seen::of(100);
        seen.engine = Engine::start(seen.engine.rules, snapshot.clone(), reading).having_read();
        seen.step(Input::Tick);
        seen
    };
    let mut seen = start();
    let other = |name: &str| put_of(every(name, "1h"));
    // His token is of another domain, whatever he created once.
    let narrow = Author { covers: Arc::new(|event| event.starts_with("test.")), ..ann() };
    let outside = Verdict::Refused(Refusal::OutsideDomains { event: "billing.invoice.due".into() });
    assert_eq!(ask(&mut seen, narrow, vec![delete("old"), other("waits")]), [outside.clone(), outside]);
    let may_have = Verdict::Refused(Refusal::MayHaveBeenSent { due: at(reached) });
    let never = Verdict::Refused(Refusal::NeverDue);
    let verdicts = ask(
        &mut seen,
        ann(),
        vec![
            delete("tried"),
            other("tried"),
            delete("sent"),
            other("sent"),
            put_of(once("old", START - 1)),
            put_of(at_once("old", START - 1)),
        ],
    );
    let expected = [may_have.clone(), may_have, settled(lately), settled(lately), never, settled(START - 1)];
    assert_eq!(verdicts, expected);
    let verdicts = ask(&mut seen, ann(), vec![delete("waits"), other("old")]);
    assert!(
        matches!(
            verdicts[..],
            [Verdict::Deleted { creation: 4, .. }, Verdict::Changed { creation: 1, revision: 4, .. }]
        ),
        "{verdicts:?}"
    );
    let removed = |seen: &Seen| seen.rows.iter().map(|row| row.schedule.to_string()).collect::<Vec<_>>();
    assert_eq!(removed(&seen), ["waits"]);
    // It is the same of a change.
    let mut seen = start();
    assert!(matches!(
        ask(&mut seen, ann(), vec![other("waits")])[..],
        [Verdict::Changed { creation: 4, .. }]
    ));
    assert_eq!(removed(&seen), ["waits"]);
}

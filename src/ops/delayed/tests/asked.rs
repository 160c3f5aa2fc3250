//! What is asked for, and what becomes of it.

use super::*;
use crate::{
    engine::{Expect, Refusal},
    ops::OpsError,
};

fn refusal(answer: Result<EventOutcome, OpsError>) -> Refusal {
    match answer {
        Err(OpsError::EventUnchanged { refusal, .. }) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_put_is_durable_and_known_by_creation_and_revision() {
    let (clock, machine) = clock().await;
    let (ann, bob, any) = (ann(), owner("bob", "#"), Expect::Any);
    let put =
        async |caller: &Caller, json: Vec<u8>, expect| put(&clock, caller, (None, json), expect, None).await;
    let created = put(&ann, item("a", IN), any).await.unwrap();
    assert_eq!(created.verdict, Verdict::Created { creation: 1, revision: 1, since: NOW.plus(600_000) });
    assert_eq!((created.due, created.send), (Some(NOW.plus(600_000)), Some(NOW.plus(600_000))));
    assert_eq!(machine.disk.balance().pending, 1);
    let same = put(&ann, item("a", IN), any).await.unwrap();
    assert_eq!(same.verdict, Verdict::Unchanged { creation: 1, revision: 1 });
    let at = r#""at":"2026-12-24T17:00:00Z","jitter":"1h""#;
    let moved = put(&ann, item("a", at), Expect::Revision { creation: 1, number: 1 }).await.unwrap();
    let due: Timestamp = "2026-12-24T17:00:00Z".parse().unwrap();
    assert_eq!(moved.verdict, Verdict::Changed { creation: 1, revision: 2, since: due });
    let send = moved.send.unwrap();
    assert!(moved.due == Some(due) && send > due && send < due.plus(3_600_000), "{moved:?}");
    for (answer, expected) in [
        (put(&bob, item("a", IN), any).await, Refusal::NotOwner { owner: "ann".into() }),
        (put(&ann, item("a", IN), Expect::Absent).await, Refusal::Exists { revision: 2 }),
        (
            put(&ann, item("a", IN), Expect::Revision { creation: 1, number: 1 }).await,
            Refusal::Stale { revision: Some(2) },
        ),
        (
            put(&ann, item("p", r#""at":"2020-01-01T00:00:00Z","past":"refuse""#), any).await,
            Refusal::NeverDue,
        ),
        (
            put(&bob, br#"{"name":"t","event":"time.a.b","in":"1s"}"#.to_vec(), any).await,
            Refusal::ReservedEvent { event: "time.a.b".into() },
        ),
    ] {
        assert_eq!(refusal(answer), expected);
    }
    let past = put(&ann, item("late", r#""at":"2020-01-01T00:00:00Z""#), any).await.unwrap();
    assert!(matches!(past.verdict, Verdict::Created { creation: 2, .. }), "{past:?}");
    let Err(OpsError::Definition(faults)) = put(&ann, item("a", r#""in":7"#), any).await else { panic!() };
    assert_eq!(faults.list[0].pointer, "/in");
}

#[tokio::test]
async fn what_may_have_been_sent_stays_and_what_was_sent_is_said_to_be() {
    let (clock, machine) = clock().await;
    let ann = ann();
    let any = Expect::Any;
    let put = async |json: Vec<u8>| put(&clock, &ann, (None, json), any, None).await;
    for name in ["a", "b", "c"] {
        put(item(name, IN)).await.unwrap();
    }
    machine.reach(NOW.plus(600_000));
    let due = NOW.plus(600_000);
    let changed = put(item("a", r#""in":"20m""#)).await;
    let said = changed.as_ref().unwrap_err().to_string();
    assert!(said.contains("the delayed event 'a'") && said.contains("may have been sent"), "{said}");
    assert_eq!(refusal(changed), Refusal::MayHaveBeenSent { due });
    assert_eq!(refusal(delete(&clock, &ann, "a", any, None).await), Refusal::MayHaveBeenSent { due });
    assert_eq!(
        refusal(send_now(&clock, &ann, "a", Expect::Any, None).await),
        Refusal::MayHaveBeenSent { due }
    );
    machine.settle("b");
    let same = put(item("b", IN)).await.unwrap();
    assert_eq!(same.verdict, Verdict::Settled { due, creation: 2, revision: 1 });
    assert_eq!((same.due, same.send), (Some(due), None));
    assert_eq!(refusal(put(item("b", r#""in":"20m""#)).await), Refusal::AlreadySettled { due });
    assert_eq!(refusal(delete(&clock, &ann, "b", any, None).await), Refusal::AlreadySettled { due });
    let sent = send_now(&clock, &ann, "b", Expect::Any, None).await.unwrap();
    assert_eq!(sent.verdict, Verdict::Settled { due, creation: 2, revision: 1 });
}

#[tokio::test]
async fn an_event_is_sent_now_as_it_is_and_is_known_as_the_same() {
    let (clock, machine) = clock().await;
    let ann = ann();
    let asked = item("a", r#""in":"10m","jitter":"1h","data":{"order":7}"#);
    put(&clock, &ann, (None, asked.clone()), Expect::Any, None).await.unwrap();
    let former = Expect::Revision { creation: 1, number: 7 };
    let other = send_now(&clock, &ann, "a", former, None).await;
    assert_eq!(refusal(other), Refusal::Stale { revision: Some(1) });
    let seen = Expect::Revision { creation: 1, number: 1 };
    let sent = send_now(&clock, &ann, "a", seen, None).await.unwrap();
    assert_eq!(sent.verdict, Verdict::Changed { creation: 1, revision: 2, since: NOW });
    assert_eq!((sent.due, sent.send), (Some(NOW), Some(NOW)));
    let view = get(&clock, "a").await.unwrap();
    assert_eq!((view.due_at, view.send_at, view.data.unwrap().get()), (NOW, Some(NOW), r#"{"order":7}"#));
    machine.settle("a");
    let again = put(&clock, &ann, (None, asked), Expect::Any, None).await.unwrap();
    assert!(matches!(again.verdict, Verdict::Settled { .. }), "{again:?}");
    // It was sent as another revision than this one.
    let other = send_now(&clock, &ann, "a", seen, None).await;
    assert_eq!(refusal(other), Refusal::Stale { revision: Some(2) });
    let missing = send_now(&clock, &ann, "b", Expect::Any, None).await.unwrap_err();
    assert!(matches!(missing, OpsError::NotFound(_)), "{missing}");
    put(&clock, &ann, (None, item("c", IN)), Expect::Any, None).await.unwrap();
    let other = send_now(&clock, &owner("bob", "#"), "c", Expect::Any, None).await;
    assert_eq!(refusal(other), Refusal::NotOwner { owner: "ann".into() });
}

#[tokio::test]
async fn what_is_deleted_is_gone_and_so_it_is_where_there_was_none() {
    let (clock, machine) = clock().await;
    let ann = ann();
    put(&clock, &ann, (None, item("a", IN)), Expect::Any, None).await.unwrap();
    let deleted = delete(&clock, &ann, "a", Expect::Any, None).await.unwrap();
    assert!(matches!(deleted.verdict, Verdict::Deleted { creation: 1, revision: 1, .. }), "{deleted:?}");
    assert_eq!(machine.disk.balance().cancelled, 1);
    for name in ["a", "No Name", ""] {
        let gone = delete(&clock, &ann, name, Expect::Any, None).await.unwrap();
        assert_eq!((gone.verdict, gone.name.as_str()), (Verdict::GoneAlready, name));
    }
}

#[tokio::test]
async fn the_same_key_is_the_same_event_and_moves_it_not() {
    let (clock, machine) = clock().await;
    let ann = ann();
    let asked = |delay: &str| format!(r#"{{"event":"billing.reminder.due","in":"{delay}"}}"#).into_bytes();
    let first = post(&clock, &ann, asked("10m"), Some("order-7")).await.unwrap();
    assert!(matches!(first.verdict, Verdict::Created { .. }), "{first:?}");
    let again = post(&clock, &ann, asked("10m"), Some("order-7")).await.unwrap();
    assert_eq!(again.verdict, Verdict::Unchanged { creation: 1, revision: 1 });
    assert_eq!((&again.name, again.due, again.send), (&first.name, first.due, first.send));
    assert_eq!(refusal(post(&clock, &ann, asked("11m"), Some("order-7")).await), Refusal::MessageIdUsed);
    // Another owner's key is another one.
    let bob = post(&clock, &owner("bob", "#"), asked("10m"), Some("order-7")).await.unwrap();
    assert!(bob.name != first.name && matches!(bob.verdict, Verdict::Created { creation: 2, .. }), "{bob:?}");
    machine.settle(&first.name);
    let late = post(&clock, &ann, asked("10m"), Some("order-7")).await.unwrap();
    assert!(matches!(late.verdict, Verdict::Settled { .. }), "{late:?}");
    let other = refusal(post(&clock, &ann, asked("11m"), Some("order-7")).await);
    assert!(matches!(other, Refusal::AlreadySettled { .. }), "{other:?}");
    // Without a key each is another one.
    let one = post(&clock, &ann, asked("10m"), None).await.unwrap();
    let two = post(&clock, &ann, asked("10m"), None).await.unwrap();
    assert_ne!(one.name, two.name);
    let wrong = post(&clock, &ann, asked("10m"), Some("")).await.unwrap_err();
    assert!(matches!(wrong, OpsError::Parameter(fault) if fault.name == "Idempotency-Key"));
}

#[tokio::test]
async fn of_a_batch_each_has_its_outcome_and_an_atomic_one_is_all_or_nothing() {
    let (clock, machine) = clock().await;
    let ann = ann();
    let items = || {
        vec![
            item("a", IN),
            item("b", r#""in":7"#),
            br#"{"event":"reports.a.b","in":"1m"}"#.to_vec(),
            br#"{"event":"docker.images.cleanup","in":"1m","to":{"task":"docker.images"}}"#.to_vec(),
            br#"{"event":"docker.images.cleanup","in":"1m","to":{"task":"mail.letters"}}"#.to_vec(),
            item("a", r#""in":"20m""#),
        ]
    };
    let atomic = change(&clock, &ann, EventBatch { atomic: true, ..batch(items()) }).await.unwrap();
    let refused = atomic.iter().filter(|one| matches!(one.verdict, Verdict::Refused(_))).count();
    assert_eq!((refused, machine.disk.balance().accepted), (6, 0));
    assert_eq!(atomic[0].verdict, Verdict::Refused(Refusal::Another));
    let outcomes = change(&clock, &ann, batch(items())).await.unwrap();
    let words: Vec<_> = outcomes.iter().map(|one| one.clone().done().map(|one| one.verdict)).collect();
    // What was judged before and refused with the others has numbers that nobody has.
    assert!(matches!(words[0], Ok(Verdict::Created { creation: 3, .. })), "{words:?}");
    assert!(matches!(words[1], Err(OpsError::Definition(_))), "{words:?}");
    let said = words[2].as_ref().unwrap_err().to_string();
    assert!(said.contains("domains billing; the event 'reports.a.b' is outside"), "{said}");
    assert!(matches!(words[3], Ok(Verdict::Created { creation: 4, .. })), "{words:?}");
    let said = words[4].as_ref().unwrap_err().to_string();
    assert!(said.contains("may send tasks to docker.*; 'mail.letters' is none"), "{said}");
    assert!(matches!(words[5], Ok(Verdict::Changed { creation: 3, revision: 2, .. })), "{words:?}");
    assert_eq!(outcomes[1].name, "b");
}

#[tokio::test]
async fn a_message_that_comes_again_is_answered_as_before() {
    let (clock, machine) = clock().await;
    let ann = ann();
    let as_message = |items: Vec<Vec<u8>>| EventBatch { message: Some("m1".into()), ..batch(items) };
    let items = || vec![br#"{"event":"billing.a.b","in":"10m"}"#.to_vec(), item("x", r#""in":"x""#)];
    let first = change(&clock, &ann, as_message(items())).await.unwrap();
    assert!(matches!(first[0].verdict, Verdict::Created { creation: 1, .. }), "{first:?}");
    machine.settle(&first[0].name);
    // Also where he may do nothing any more.
    let reader = Caller::holder("1f2e3d4c".parse().unwrap(), "ann", Role::Read, Domains::everything());
    for caller in [&ann, &reader] {
        assert_eq!(change(&clock, caller, as_message(items())).await.unwrap(), first);
    }
    let other = change(&clock, &ann, as_message(vec![item("y", IN)])).await.unwrap();
    assert_eq!(other[0].verdict, Verdict::Refused(Refusal::MessageIdUsed));
    assert_eq!(machine.disk.balance().accepted, 1);
    for id in ["", &"x".repeat(256)] {
        let wrong = EventBatch { message: Some(id.into()), ..batch(items()) };
        assert!(matches!(change(&clock, &ann, wrong).await, Err(OpsError::Parameter(_))));
    }
}

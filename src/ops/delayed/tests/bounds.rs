//! How much somebody may have, and who may at all.

use super::*;
use crate::{
    authority::Denied,
    engine::{
        Expect, Refusal,
        delayed::{DelayedChange, DelayedContent, DelayedEvent, DelayedHead, DelayedKey, PastDue},
    },
    ops::{OpsError, delayed::quota::LetIn},
};

fn words(outcomes: &[EventOutcome]) -> Vec<&'static str> {
    let word = |outcome: &EventOutcome| match outcome.verdict {
        Verdict::Created { .. } => "created",
        Verdict::Changed { .. } => "changed",
        Verdict::Refused(Refusal::TooManyDelayedEvents { .. }) => "too many",
        Verdict::Refused(Refusal::Another) => "another",
        _ => "other",
    };
    outcomes.iter().map(word).collect()
}

#[tokio::test]
async fn no_more_are_pending_of_an_owner_than_he_may_have() {
    let (clock, machine) = clock().await;
    let ann = within(ann(), 3);
    let put = async |names: &[&str], atomic| {
        let items = names.iter().map(|name| item(name, r#""at":"2026-12-24T17:00:00Z""#)).collect();
        change(&clock, &ann, EventBatch { atomic, ..batch(items) }).await.unwrap()
    };
    assert_eq!(words(&put(&["a", "b"], false).await), ["created", "created"]);
    // What is there, and what comes twice, is no new one.
    assert_eq!(words(&put(&["a", "c", "d", "c"], false).await), ["other", "created", "too many", "other"]);
    assert_eq!(words(&put(&["a", "d"], true).await), ["another", "too many"]);
    let refused = super::put(&clock, &ann, (None, item("d", IN)), Expect::Any, None).await.unwrap_err();
    let said = refused.to_string();
    assert!(said.contains("3 delayed events pending or parked") && said.contains("delayed_events"), "{said}");
    let moved = super::put(&clock, &ann, (None, item("a", IN)), Expect::Any, None).await.unwrap();
    assert!(matches!(moved.verdict, Verdict::Changed { .. }), "{moved:?}");
    let bob = within(owner("bob", "billing"), 1);
    assert!(super::put(&clock, &bob, (None, item("e", IN)), Expect::Any, None).await.is_ok());
    machine.settle("b");
    assert_eq!(words(&put(&["d", "f"], false).await), ["created", "too many"]);
}

#[tokio::test]
async fn parked_events_count_until_they_are_gone() {
    let (clock, machine) = clock().await;
    let ann = within(ann(), 2);
    let put = async |name: &str| {
        let answer = change(&clock, &ann, batch(vec![item(name, IN)])).await.unwrap();
        words(&answer)[0]
    };
    assert_eq!((put("a").await, put("b").await), ("created", "created"));
    machine.end("a", Outcome::Parked("the queue is full".into()));
    machine.end("b", Outcome::Parked("the queue is full".into()));
    // One of the name is a new one.
    assert_eq!((put("a").await, put("c").await), ("too many", "too many"));
    release(&clock, &ann, vec![1]).await.unwrap();
    assert_eq!(put("c").await, "too many", "it is still there");
    discard(&clock, &ann, vec![2]).await.unwrap();
    assert_eq!((put("c").await, put("d").await), ("created", "too many"));
}

/// Lets puts of these names in, and keeps them under way.
async fn let_in(clock: &RunningClock, caller: &Caller, names: &[&str]) -> (LetIn, usize) {
    let event = |name: &str| DelayedEvent {
        head: DelayedHead {
            key: DelayedKey { send: NOW, name: name.into() },
            due: NOW,
            creation: 0,
            revision: 0,
            owner: "ann".into(),
            event: "billing.reminder.due".into(),
            queue: None,
            is_named: true,
            refused: 0,
            at: NOW,
            digest: Default::default(),
        },
        content: DelayedContent::default(),
    };
    let put = |name: &&str| DelayedChange::Put {
        event: Box::new(event(name)),
        expect: Expect::Any,
        past: PastDue::Send,
    };
    let mut changes: Vec<_> = names.iter().map(put).collect();
    let let_in = clock.delayed().unwrap().let_in(caller, &mut changes, false).await.unwrap();
    let refused = changes.iter().filter(|change| matches!(change, DelayedChange::Refused { .. })).count();
    (let_in, names.len() - refused)
}

#[tokio::test]
async fn of_what_is_under_way_new_names_count_and_each_once() {
    let (clock, _machine) = clock().await;
    let ann = within(ann(), 4);
    let items = ["a", "b"].map(|name| item(name, IN)).to_vec();
    change(&clock, &ann, batch(items)).await.unwrap();
    // Two are pending, and are moved.
    let (_moves, _) = let_in(&clock, &ann, &["a", "b"]).await;
    let (_new, count) = let_in(&clock, &ann, &["c", "d"]).await;
    assert_eq!(count, 2, "what is moved is no new one");
    let (_again, count) = let_in(&clock, &ann, &["c", "e", "a"]).await;
    assert_eq!(count, 2, "what is under way is no new one, and there is no room for another");
    // It is written while it is still under way.
    let two = within(ann.clone(), 5);
    put(&clock, &two, (None, item("c", IN)), Expect::Any, None).await.unwrap();
    let (_last, count) = let_in(&clock, &two, &["e", "f"]).await;
    assert_eq!(count, 1, "it counts once");
}

#[tokio::test]
async fn nothing_is_changed_without_the_role_nor_more_often_than_the_rate() {
    let (clock, machine) = clock().await;
    let reader = Caller::holder("1f2e3d4c".parse().unwrap(), "ann", Role::Operate, Domains::everything());
    for answer in [
        put(&clock, &reader, (None, item("a", IN)), Expect::Any, None).await,
        post(&clock, &reader, item("a", IN), None).await,
        delete(&clock, &reader, "a", Expect::Any, None).await,
        send_now(&clock, &reader, "a", Expect::Any, None).await,
    ] {
        assert!(matches!(answer, Err(OpsError::Denied(Denied::Role { .. }))), "{answer:?}");
    }
    // A batch of more than come in a second is taken after a rest, and the next one waits.
    let slow = ann().within(Quota { puts_a_second: 1, ..Quota::USUAL });
    let items = (0..100).map(|number| item(&format!("n{number}"), IN)).collect();
    assert_eq!(change(&clock, &slow, batch(items)).await.unwrap().len(), 100);
    let next = put(&clock, &slow, (None, item("a", IN)), Expect::Any, None).await.unwrap_err();
    assert!(
        matches!(next, OpsError::Denied(Denied::TooOften { wait, .. }) if wait > Duration::from_secs(90))
    );
    assert_eq!(machine.disk.balance().accepted, 100);
}

#[tokio::test]
async fn what_there_is_no_room_for_is_not_put_and_can_be_deleted_all_the_same() {
    let (clock, machine) = clock().await;
    let ann = ann();
    put(&clock, &ann, (None, item("a", IN)), Expect::Any, None).await.unwrap();
    machine.disk.fill(Some((1, 64 << 20)));
    let full = put(&clock, &ann, (None, item("b", IN)), Expect::Any, None).await.unwrap_err();
    assert!(matches!(full, OpsError::OutOfDisk(_)), "{full:?}");
    // An answer is kept, and may be larger than what was asked for.
    let names = NamesOf::Message { owner: "ann".into(), id: "m-1".into() };
    let refused = EventBatch { message: Some("m-1".into()), names, ..batch(vec![b"{}".to_vec()]) };
    let full = change(&clock, &ann, refused).await.unwrap_err();
    assert!(matches!(full, OpsError::OutOfDisk(_)), "{full:?}");
    assert!(delete(&clock, &ann, "a", Expect::Any, None).await.is_ok());
    machine.disk.fill(None);
    assert!(put(&clock, &ann, (None, item("b", IN)), Expect::Any, None).await.is_ok());
}

#[tokio::test]
async fn a_clock_that_keeps_no_delayed_events_says_so() {
    let (clock, _machine) = clock().await;
    let counts = Counts::new("khronos", &MetricsConfig::default());
    let record = RecordReader::new(|_, _| async { Ok(Page { rows: vec![], first: 1, last: 0, record: 1 }) });
    let none =
        RunningClock::new(clock.handle, record, CalendarStore::default(), counts, Duration::from_secs(9));
    let refused = put(&none, &ann(), (None, item("a", IN)), Expect::Any, None).await.unwrap_err();
    assert!(matches!(&refused, OpsError::Unavailable(what) if what.contains("keeps no delayed events")));
    assert!(matches!(get(&none, "a").await, Err(OpsError::Unavailable(_))));
}

#[tokio::test]
async fn no_more_are_taken_at_once_than_may_be() {
    let (clock, machine) = clock().await;
    let many = vec![b"{}".to_vec(); EVENTS_AT_ONCE + 1];
    for (items, said) in [(many, "more than 10000"), (vec![], "no events")] {
        let refused = change(&clock, &ann(), batch(items)).await.unwrap_err();
        assert!(matches!(&refused, OpsError::Invalid(what) if what.contains(said)), "{refused}");
    }
    let most = (0..EVENTS_AT_ONCE).map(|number| item(&format!("n{number}"), IN)).collect();
    assert_eq!(change(&clock, &Caller::operator(), batch(most)).await.unwrap().len(), EVENTS_AT_ONCE);
    assert_eq!(machine.disk.balance().pending, EVENTS_AT_ONCE as u64);
}

#[tokio::test]
async fn a_task_is_changed_by_those_to_whom_its_queue_is_open() {
    let (clock, machine) = clock().await;
    let task = r#""in":"1m","to":{"task":"docker.images"}"#;
    put(&clock, &ann(), (None, item("a", task)), Expect::Any, None).await.unwrap();
    // The same owner, whose event would be of his domains.
    let narrow = ann().sending(None);
    for answer in [
        put(&clock, &narrow, (None, item("a", IN)), Expect::Any, None).await,
        delete(&clock, &narrow, "a", Expect::Any, None).await,
    ] {
        let refused = answer.unwrap_err();
        assert!(matches!(refused, OpsError::Denied(_)), "{refused:?}");
        assert!(refused.to_string().contains("docker.images"), "{refused}");
    }
    assert!(delete(&clock, &ann(), "a", Expect::Any, None).await.is_ok());
    assert_eq!(machine.disk.balance().cancelled, 1);
}

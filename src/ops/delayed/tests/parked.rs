//! Parked delayed events are seen, released and dropped.

use super::*;
use crate::ops::OpsError;

/// Five that are parked: two of `billing`, two tasks, one of `reports`; their creations count from 1.
async fn parked_ones() -> (RunningClock, Machine) {
    let (clock, machine) = clock().await;
    let task = r#""in":"10m","to":{"task":"docker.images"}"#;
    let other = r#"{"name":"e","event":"reports.a.due","in":"10m"}"#.as_bytes().to_vec();
    let items = vec![item("a", IN), item("b", IN), item("c", task), item("d", task), other];
    let all = owner("ann", "#");
    let put = change(&clock, &all, batch(items)).await.unwrap();
    assert!(put.iter().all(|one| matches!(one.verdict, Verdict::Created { .. })), "{put:?}");
    for name in ["a", "b", "c", "d", "e"] {
        machine.end(name, Outcome::Parked("the queue is full".into()));
    }
    (clock, machine)
}

#[tokio::test]
async fn parked_events_are_listed_by_creation_page_by_page_without_their_content() {
    let (clock, _machine) = parked_ones().await;
    let (mut all, mut pages, mut page) = (Vec::new(), 0, None);
    loop {
        let list = parked(&clock, ParkedQuery { limit: Some(2), page: page.take() }).await.unwrap();
        all.extend(list.parked);
        pages += 1;
        page = list.next;
        if page.is_none() {
            break;
        }
    }
    let names: Vec<_> = all.iter().map(|one| (one.creation, &*one.name)).collect();
    assert_eq!((pages, names), (3, vec![(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e")]));
    let task = &all[2];
    assert_eq!(task.to.as_ref().map(|to| &*to.task), Some("docker.images"));
    assert_eq!((&*task.reason, task.parked_at, task.due_at), ("the queue is full", NOW, NOW.plus(600_000)));
    assert_eq!((&*task.owner, task.released, task.revision), ("ann", false, 1));
    for (wanted, parameter) in [
        (ParkedQuery { limit: Some(0), page: None }, "limit"),
        (ParkedQuery { limit: Some(1_001), page: None }, "limit"),
        (ParkedQuery { limit: None, page: Some("b".into()) }, "page"),
    ] {
        let refused = parked(&clock, wanted).await.unwrap_err();
        assert!(matches!(&refused, OpsError::Parameter(fault) if fault.name == parameter), "{refused}");
    }
}

#[tokio::test]
async fn what_is_released_is_not_released_again_and_what_is_dropped_is_gone_though_it_was_released() {
    let (clock, _machine) = parked_ones().await;
    let ann = ann();
    let released = release(&clock, &ann, vec![3, 1, 1, 9]).await.unwrap();
    assert_eq!((released.done, released.being_sent, released.unknown), (vec![1, 3], vec![], vec![9]));
    // Its send time lies ahead: so it waits to be sent.
    let dropped = discard(&clock, &ann, vec![1, 2, 4]).await.unwrap();
    assert_eq!((dropped.done, dropped.being_sent, dropped.unknown), (vec![1, 2, 4], vec![], vec![]));
    let again = release(&clock, &ann, vec![1, 2, 3]).await.unwrap();
    assert_eq!((again.done, again.being_sent, again.unknown), (vec![], vec![3], vec![1, 2]));
    let left = parked(&clock, ParkedQuery::default()).await.unwrap().parked;
    let left: Vec<_> = left.iter().map(|one| (one.creation, one.released)).collect();
    assert_eq!(left, [(3, true), (5, false)]);
    let part = clock.delayed().unwrap();
    let changes = part.read(|reader| reader.changes(0, 9)).await.unwrap().changes;
    let said: Vec<_> = changes.iter().map(|(_, one)| (one.what.word(), &*one.name, &*one.by)).collect();
    assert_eq!(said[1..], [("released", "a", "ann"), ("dropped", "a", "ann")]);
}

#[tokio::test]
async fn parked_events_of_others_domains_and_queues_are_left_as_they_are() {
    let (clock, _machine) = parked_ones().await;
    let reader = Caller::holder("1f2e3d4c".parse().unwrap(), "eve", Role::Read, Domains::everything());
    let no_tasks = Caller::holder(
        "1f2e3d4c".parse().unwrap(),
        "eve",
        Role::Operate,
        Domains::new(vec!["billing".into()]).unwrap(),
    );
    // Of all events, but not of all queues.
    let domains = |one: &str| Domains::new(vec![one.to_owned()]).unwrap();
    let of = |role| Caller::holder("1f2e3d4c".parse().unwrap(), "eve", role, Domains::everything());
    let other_tasks = of(Role::Write).sending(Some(domains("billing.*")));
    let of_no_tasks = of(Role::Operate).sending(None);
    for (caller, creations) in [
        (&reader, vec![1]),
        (&no_tasks, vec![1, 3]),
        (&ann(), vec![1, 5]),
        (&other_tasks, vec![1, 3]),
        (&of_no_tasks, vec![3]),
    ] {
        for refused in [
            discard(&clock, caller, creations.clone()).await.unwrap_err(),
            release(&clock, caller, creations).await.unwrap_err(),
        ] {
            assert!(matches!(refused, OpsError::Denied(_)), "{refused}");
        }
    }
    for creations in [vec![], (1..=1_001).collect()] {
        let refused = release(&clock, &ann(), creations).await.unwrap_err();
        assert!(matches!(refused, OpsError::Invalid(_)), "{refused}");
    }
    assert_eq!(parked(&clock, ParkedQuery::default()).await.unwrap().parked.len(), 5);
    let docker = of(Role::Operate).sending(Some(domains("docker.*")));
    assert_eq!(discard(&clock, &docker, vec![3, 5]).await.unwrap().done, [3, 5]);
    // Who may do something about everything is not asked of what each is.
    let all = Caller::operator();
    assert_eq!(discard(&clock, &all, (1..=5).collect()).await.unwrap().done, [1, 2, 4]);
}

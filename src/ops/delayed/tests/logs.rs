//! What is read of the record of delayed events, and of their log of changes.

use super::*;
use crate::{
    engine::Expect,
    ops::{Clock, DelayedChangeView, OpsError},
    position::Position,
};

/// All changes that are wanted, in pages of so many.
async fn all(clock: &RunningClock, wanted: DelayedChangesQuery, limit: usize) -> Vec<DelayedChangeView> {
    let mut wanted = DelayedChangesQuery { limit: Some(limit), ..wanted };
    let mut found = Vec::new();
    loop {
        let page = changes(clock.clone(), wanted.clone()).await.unwrap();
        found.extend(page.changes);
        match (page.next, wanted.after.is_some()) {
            (Some(next), true) => wanted.after = Some(next),
            (Some(next), false) => wanted.before = Some(next),
            (None, _) => return found,
        }
    }
}

#[tokio::test]
async fn who_changed_which_events_is_seen_newest_first_and_from_a_position_on() {
    let (clock, _machine) = clock().await;
    put(&clock, &ann(), (None, item("a", IN)), Expect::Any, None).await.unwrap();
    put(&clock, &ann(), (None, item("a", r#""in":"20m""#)), Expect::Any, None).await.unwrap();
    // Nothing changes by the same again.
    put(&clock, &ann(), (None, item("a", r#""in":"20m""#)), Expect::Any, None).await.unwrap();
    let many = (0..30).map(|number| item(&format!("n{number:02}"), IN)).collect();
    change(&clock, &owner("bob", "#"), batch(many)).await.unwrap();
    delete(&clock, &ann(), "a", Expect::Any, None).await.unwrap();
    let found = all(&clock, DelayedChangesQuery::default(), 3).await;
    let said = |one: &DelayedChangeView| {
        (one.sequence, one.by.clone(), one.what.clone(), one.count, one.names.len())
    };
    let row =
        |number, by: &str, what: &str, count, names| (number, by.to_owned(), what.to_owned(), count, names);
    let expected = [
        row(4, "ann", "deleted", 1, 1),
        row(3, "bob", "created", 30, 21),
        row(2, "ann", "changed", 1, 1),
        row(1, "ann", "created", 1, 1),
    ];
    assert_eq!(found.iter().map(said).collect::<Vec<_>>(), expected);
    assert_eq!((&*found[1].names[0], &*found[1].names[20], found[1].creation), ("n00", "n20", 2));
    let since = found[2].after.as_ref().unwrap();
    assert_eq!((since.revision, &since.definition["event"]), (2, &"billing.reminder.due".into()));
    assert_eq!(since.definition["due_at"], NOW.plus(1_200_000).to_string());
    assert_ne!(since.payload, found[3].after.as_ref().unwrap().payload, "other content has another digest");
    assert!(found[0].after.is_none() && found[1].after.is_none());
    assert!(found.iter().all(|one| one.at == NOW && one.command.is_none()));

    let after = Some(found[3].position);
    let rest = all(&clock, DelayedChangesQuery { after, ..DelayedChangesQuery::default() }, 1).await;
    assert_eq!(rest.iter().map(|one| one.sequence).collect::<Vec<_>>(), [2, 3, 4]);
    for (wanted, numbers) in [
        (DelayedChangesQuery { name: Some("a".into()), ..DelayedChangesQuery::default() }, vec![4, 2, 1]),
        (DelayedChangesQuery { name: Some("n20".into()), ..DelayedChangesQuery::default() }, vec![3]),
        (DelayedChangesQuery { name: Some("n21".into()), ..DelayedChangesQuery::default() }, vec![]),
        (DelayedChangesQuery { by: Some("bob".into()), ..DelayedChangesQuery::default() }, vec![3]),
    ] {
        let found = all(&clock, wanted.clone(), 100).await;
        assert_eq!(found.iter().map(|one| one.sequence).collect::<Vec<_>>(), numbers, "{wanted:?}");
    }
}

#[tokio::test]
async fn how_events_ended_is_seen_by_name_domain_owner_outcome_time_and_lateness() {
    let (clock, machine) = clock().await;
    let bob = owner("bob", "#");
    let of = |name: &str, event: &str, more: &str| {
        format!(r#"{{"name":"{name}","event":"{event}",{more}}}"#).into_bytes()
    };
    let task = r#""in":"3m","to":{"task":"docker.images"}"#;
    put(&clock, &ann(), (None, item("a", r#""in":"1m""#)), Expect::Any, None).await.unwrap();
    for json in [
        of("b", "reports.day.ended", r#""in":"2m""#),
        of("c", "docker.images.cleanup", task),
        of("d", "a.b.c", r#""in":"4m""#),
    ] {
        put(&clock, &bob, (None, json), Expect::Any, None).await.unwrap();
    }
    let sent = |lateness, returned| Outcome::Confirmed { sent_at: NOW.plus(lateness), lateness, returned };
    machine.end("a", sent(3, false));
    machine.end("b", sent(1_001, true));
    machine.end("c", Outcome::Parked("nobody is bound".into()));
    let read = async |wanted: DelayedHistoryQuery| history(clock.clone(), wanted).await.unwrap();
    let any = DelayedHistoryQuery::default;
    let page = read(any()).await;
    assert_eq!((page.first, page.last, page.next), (1, 3, None));
    let names: Vec<_> = page.rows.iter().map(|row| &*row.name).collect();
    assert_eq!(names, ["c", "b", "a"]);
    let (parked, sent) = (&page.rows[0], &page.rows[1]);
    assert_eq!((&*parked.outcome, parked.reason.as_deref()), ("parked", Some("nobody is bound")));
    assert_eq!(parked.to.as_ref().map(|to| &*to.task), Some("docker.images"));
    assert!(parked.event_id.is_none() && parked.sent_at.is_none());
    assert_eq!((&*sent.outcome, sent.returned, sent.lateness_ms), ("confirmed", Some(true), Some(1_001)));
    assert_eq!((sent.sent_at, sent.due_at), (Some(NOW.plus(1_001)), NOW.plus(120_000)));
    assert_eq!((&*sent.owner, sent.creation, sent.revision, sent.recorded_at), ("bob", 2, 1, NOW));
    assert!(sent.event_id.is_some());
    let minutes = |minutes: i64| Some(NOW.plus(minutes * 60_000));
    for (wanted, expected) in [
        (DelayedHistoryQuery { name: Some("b".into()), ..any() }, "b"),
        (DelayedHistoryQuery { domain: Some("billing".into()), ..any() }, "a"),
        (DelayedHistoryQuery { domain: Some("reports.day.ended".into()), ..any() }, "b"),
        (DelayedHistoryQuery { owner: Some("bob".into()), ..any() }, "cb"),
        (DelayedHistoryQuery { outcome: Some("parked".into()), ..any() }, "c"),
        (DelayedHistoryQuery { outcome: Some("dropped".into()), ..any() }, ""),
        (DelayedHistoryQuery { from: minutes(1), to: minutes(2), ..any() }, "b"),
        (DelayedHistoryQuery { late: Some(">1s".into()), ..any() }, "b"),
        (DelayedHistoryQuery { after: Some(page.rows[2].position), limit: Some(1), ..any() }, "b"),
        (DelayedHistoryQuery { before: Some(page.rows[0].position), ..any() }, "ba"),
    ] {
        let found: String = read(wanted.clone()).await.rows.into_iter().map(|row| row.name).collect();
        assert_eq!(found, expected, "{wanted:?}");
    }
}

#[tokio::test]
async fn what_can_not_be_asked_of_the_logs_is_refused_with_the_parameter() {
    let (clock, _machine) = clock().await;
    put(&clock, &ann(), (None, item("a", IN)), Expect::Any, None).await.unwrap();
    let any = DelayedHistoryQuery::default;
    // Its record is that of schedules.
    let other = Some(Position::new(1, 1));
    for (wanted, name) in [
        (DelayedHistoryQuery { limit: Some(0), ..any() }, "limit"),
        (DelayedHistoryQuery { limit: Some(1_001), ..any() }, "limit"),
        (DelayedHistoryQuery { outcome: Some("skipped".into()), ..any() }, "outcome"),
        (DelayedHistoryQuery { domain: Some("A".into()), ..any() }, "domain"),
        (DelayedHistoryQuery { from: Some(NOW), to: Some(NOW), ..any() }, "from"),
        (DelayedHistoryQuery { after: other, before: other, ..any() }, "before"),
        (DelayedHistoryQuery { after: other, ..any() }, "after"),
        (DelayedHistoryQuery { before: other, ..any() }, "before"),
        (DelayedHistoryQuery { after: Some("9".parse().unwrap()), ..any() }, "after"),
    ] {
        let refused = history(clock.clone(), wanted).await.unwrap_err();
        assert!(matches!(&refused, OpsError::Parameter(fault) if fault.name == name), "{name}: {refused}");
    }
    let wanted = DelayedChangesQuery { after: other, ..DelayedChangesQuery::default() };
    let refused = changes(Clock::from(clock), wanted).await.unwrap_err();
    assert!(refused.to_string().contains("of another store than that of the delayed events"), "{refused}");
}

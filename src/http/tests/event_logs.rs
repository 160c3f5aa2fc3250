//! What became of delayed events: their record, their log of changes, and their audit.

use super::{
    events::{CHRISTMAS, SOON, clock},
    schedules::sent,
    *,
};
use crate::{
    authority::Caller,
    engine::audit::Report,
    ops::{self, DelayedChangeList, DelayedHistory},
};

impl Clock {
    pub(super) async fn put(&self, name: &str, item: &str) {
        let wanted = (Some(name), item.as_bytes().to_vec());
        ops::delayed::put(&self.state.clock, &Caller::operator(), wanted, Expect::Any, None).await.unwrap();
    }
}

async fn read<T: serde::de::DeserializeOwned>(clock: &Clock, path: &str) -> T {
    let (status, _, answer) = sent(clock, 1, "GET", path, "", "").await;
    assert_eq!(status, 200, "{path}: {answer}");
    serde_json::from_value(answer).unwrap()
}

#[tokio::test]
async fn how_events_ended_is_read_in_pages_by_positions_of_their_own() {
    let clock = clock().await;
    for name in ["a", "b", "c"] {
        assert_eq!(sent(&clock, 4, "PUT", &format!("/v1/events/{name}"), "", CHRISTMAS).await.0, 201);
        clock.machine.settle(name);
    }
    let page: DelayedHistory = read(&clock, "/v1/events:history?limit=2").await;
    let names: Vec<_> = page.rows.iter().map(|row| (row.sequence, &*row.name, &*row.event)).collect();
    assert_eq!(names, [(3, "c", "billing.reminder.due"), (2, "b", "billing.reminder.due")]);
    let (before, after) = (page.next.unwrap(), page.rows[1].position);
    let page: DelayedHistory = read(&clock, &format!("/v1/events:history?before={before}")).await;
    assert_eq!((page.rows.len(), &*page.rows[0].name, page.next), (1, "a", None));
    let page: DelayedHistory = read(&clock, &format!("/v1/events:history?after={after}&limit=1")).await;
    assert_eq!((page.rows.len(), &*page.rows[0].name, page.next), (1, "c", None));
    let page: DelayedHistory =
        read(&clock, "/v1/events:history?name=b&outcome=confirmed&owner=billing").await;
    assert_eq!(page.rows.len(), 1);
    // No position of the one record is good for the other.
    clock.record(confirmed("one-minute", 1));
    let (ours, theirs) = (Position::new(RECORD, 1), after);
    for path in [format!("/v1/events:history?after={ours}"), format!("/v1/history?after={theirs}")] {
        let (status, _, answer) = sent(&clock, 1, "GET", &path, "", "").await;
        assert_eq!((status, &answer["errors"][0]["parameter"]), (400, &"after".into()), "{path}: {answer}");
    }
    for (query, said) in [
        ("outcome=skipped", "'skipped' is unknown"),
        ("schedule=a", "'schedule' is unknown here"),
        ("limit=0", "1 to 1000"),
        ("late=soon", "late: "),
    ] {
        let (status, _, answer) =
            sent(&clock, 1, "GET", &format!("/v1/events:history?{query}"), "", "").await;
        assert!(status == 400 && answer.to_string().contains(said), "{query}: {answer}");
    }
    assert_eq!(sent(&clock, 4, "POST", "/v1/events:history", "", "{}").await.0, 405);
}

#[tokio::test]
async fn changes_of_events_are_read_and_those_of_schedules_beside_them() {
    let clock = clock().await;
    assert_eq!(sent(&clock, 4, "PUT", "/v1/events/a", "", SOON).await.0, 201);
    let items: Vec<_> = (0..40).map(|_| SOON).collect();
    let batch = format!("[{}]", items.join(","));
    assert_eq!(sent(&clock, 4, "POST", "/v1/events:batch", "", &batch).await.0, 200);
    assert_eq!(sent(&clock, 5, "PUT", "/v1/events/x", "", &SOON.replace("billing", "reports")).await.0, 201);
    assert_eq!(sent(&clock, 4, "DELETE", "/v1/events/a", "", "").await.0, 204);
    let page: DelayedChangeList = read(&clock, "/v1/events:changes").await;
    let said: Vec<_> =
        page.changes.iter().map(|one| (&*one.by, &*one.what, one.count, one.names.len())).collect();
    let expected = [
        ("billing", "deleted", 1, 1),
        ("reports", "created", 1, 1),
        ("billing", "created", 40, 21),
        ("billing", "created", 1, 1),
    ];
    assert_eq!(said, expected);
    assert!(page.changes.iter().all(|one| one.door.starts_with("HTTP, token ")), "{page:?}");
    let page: DelayedChangeList = read(&clock, "/v1/events:changes?name=a&by=billing").await;
    assert_eq!(page.changes.len(), 2);
    let list: ops::changes::ChangeList = read(&clock, "/v1/changes").await;
    assert!(list.changes.is_empty(), "{list:?}");
}

#[tokio::test]
async fn the_audit_counts_delayed_events_and_finds_one_that_is_missing() {
    let clock = Clock::start().await.with_events().await;
    clock.record(confirmed("one-minute", 1));
    for name in ["a", "b", "c"] {
        clock.put(name, CHRISTMAS).await;
    }
    clock.machine.settle("b");
    let report: Report = clock.client.get("/v1/audit").await.unwrap();
    let delayed = report.delayed.unwrap();
    assert!(delayed.agrees(), "{delayed:?}");
    assert_eq!((delayed.accepted, delayed.settled, delayed.pending, delayed.counted), (3, 1, 2, 2));
    clock.machine.disk.lose("c");
    let report: Report = clock.client.get("/v1/audit").await.unwrap();
    assert!(!report.agrees());
    let delayed = report.delayed.unwrap();
    assert_eq!((delayed.pending, delayed.counted, delayed.missing, delayed.surplus), (2, 1, 1, 0));
    let report: Report = clock.client.get("/v1/audit?schedule=one-minute").await.unwrap();
    assert_eq!(report.delayed, None, "one schedule was asked for");
    let report: Report = Clock::start().await.client.get("/v1/audit").await.unwrap();
    assert_eq!(report.delayed, None, "it keeps none");
}

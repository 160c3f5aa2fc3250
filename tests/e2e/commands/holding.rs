//! Schedules that are paused, resumed and triggered by message.

use super::Scene;
use crate::harness::Arrivals;
use ponos::topology::Queue;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_is_paused_resumed_and_triggered_by_who_may() {
    let mut scene = Scene::started("commands-hold");
    let url = scene.node.url_for("guest", "guest", scene.vhost);
    let arrivals = Arrivals::of_all_events(&url, &[Queue::classic("all")]).await;
    let mut billing = scene.client("billing-service").await;
    let reply = billing.ask("schedule.pause", json!({ "name": "daily", "note": "new prices" })).await;
    assert_eq!((reply.status, &reply.body["paused"]["note"]), (200, &json!("new prices")), "{reply:?}");
    let by = reply.body["paused"]["by"].as_str().unwrap();
    assert!(by.contains("billing-service"), "{by}");
    let reply = billing.ask("schedule.get", json!({ "name": "daily" })).await;
    assert!(reply.body.to_string().contains("new prices"), "{reply:?}");
    for (user, kind, body, status) in [
        ("reports-service", "schedule.pause", json!({ "name": "daily", "note": "no" }), 403),
        ("reports-service", "schedule.resume", json!({ "name": "daily", "on_resume": "skip" }), 403),
        ("reports-service", "schedule.trigger", json!({ "name": "daily" }), 403),
        ("billing-service", "schedule.pause", json!({ "name": "often", "note": "no" }), 403),
        ("billing-service", "schedule.trigger", json!({ "name": "often" }), 403),
        ("billing-service", "schedule.trigger", json!({ "name": "dayly" }), 404),
    ] {
        let mut client = scene.client(user).await;
        let reply = client.ask(kind, body.clone()).await;
        assert_eq!(reply.status, status, "{user} {kind} {body}: {reply:?}");
    }
    let reply = billing.ask("schedule.resume", json!({ "name": "daily", "on_resume": "skip" })).await;
    assert_eq!((reply.status, &reply.body["was_paused"]["note"]), (200, &json!("new prices")), "{reply:?}");

    let first = billing.ask_as("month-end", "schedule.trigger", json!({ "name": "daily" })).await;
    assert_eq!(first.status, 202, "{first:?}");
    let id = first.body["event_id"].as_str().unwrap().to_owned();
    arrivals.first("the event that was triggered", |one| one.event.id.as_str() == id);
    for _ in 0..2 {
        let again = billing.ask_as("month-end", "schedule.trigger", json!({ "name": "daily" })).await;
        assert_eq!((again.status, &again.body["event_id"]), (202, &json!(id)), "{again:?}");
        scene.clock.kill();
        scene.clock.start();
        scene.until_open();
    }
    arrivals.more(5);
    let events: Vec<_> =
        arrivals.so_far().into_iter().filter(|one| one.message.routing_key == "billing.day.closed").collect();
    let ids: std::collections::BTreeSet<_> = events.iter().map(|one| one.event.id.to_string()).collect();
    assert_eq!(ids.len(), 1, "one event for one command: {ids:?}");
}

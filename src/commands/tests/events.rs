//! Delayed events by message, before the machine that decides of them.

use super::{played::running_delayed, *};
use crate::ops::delayed::tests::{Machine, NOW};

async fn start() -> (Open, Machine) {
    let machine = Machine::new();
    (Open::before(running_delayed(machine.clone()).await, config()).await, machine)
}

fn item(name: &str) -> Value {
    json!({ "name": name, "event": "billing.reminder.due", "in": "10m", "data": { "order": 7 } })
}

/// A command of this id.
fn under(id: &str, kind: &str, body: Value) -> Message {
    let mut message = command(kind, body);
    message.properties.message_id = Some(id.to_owned());
    message
}

impl Open {
    /// Status and body of the answer to a command of this id.
    async fn ask_as(&mut self, id: &str, kind: &str, body: Value) -> (u16, Value) {
        self.send(under(id, kind, body)).await;
        read(&self.answer().await)
    }
}

#[tokio::test]
async fn delayed_events_are_put_shown_listed_sent_and_deleted_as_over_http() {
    let (mut open, _) = start().await;
    let due = NOW.plus(600_000).to_string();
    let (status, put) = open.ask_as("1", "event.put", json!({ "item": item("a"), "if_absent": true })).await;
    assert_eq!((status, &put["outcome"], &put["due_at"]), (201, &json!("created"), &json!(due)), "{put}");
    let tag = format!("{}.{}", put["creation"], put["revision"]);
    let (status, view) = open.ask_as("2", "event.get", json!({ "name": "a" })).await;
    assert_eq!(
        (status, &view["state"], &view["data"]),
        (200, &json!("pending"), &json!({ "order": 7 })),
        "{view}"
    );
    assert_eq!((&view["owner"], &view["event_id"]), (&json!("billing"), &put["event_id"]));
    let other = json!({ "name": "a", "event": "billing.reminder.due", "at": "2030-01-01T00:00:00Z" });
    let (status, moved) = open.ask_as("3", "event.put", json!({ "item": other, "if_revision": tag })).await;
    assert_eq!(
        (status, &moved["outcome"], &moved["revision"]),
        (200, &json!("changed"), &json!(2)),
        "{moved}"
    );
    let (status, problem) =
        open.ask_as("4", "event.delete", json!({ "name": "a", "if_revision": tag })).await;
    assert_eq!(status, 412, "{problem}");
    assert_eq!(open.ask_as("5", "event.put", json!({ "item": item("b") })).await.0, 201);
    let (status, list) = open.ask_as("6", "event.list", json!({ "due_after": due, "limit": 10 })).await;
    assert_eq!((status, &list["clock"], &list["next"]), (200, &json!("khronos"), &Value::Null), "{list}");
    let names: Vec<&Value> = list["events"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["a"], "{list}");
    let (status, sent) = open.ask_as("7", "event.send-now", json!({ "name": "b" })).await;
    assert_eq!((status, &sent["due_at"]), (202, &json!(NOW.to_string())), "{sent}");
    assert_eq!(open.ask_as("8", "event.delete", json!({ "name": "a" })).await, (204, Value::Null));
    assert_eq!(open.ask_as("9", "event.get", json!({ "name": "a" })).await.0, 404);
    open.until_settled().await;
    assert!(open.letters().is_empty());
}

#[tokio::test]
async fn an_event_without_a_name_has_one_of_its_message_and_comes_again_as_the_same_one() {
    let (mut open, _) = start().await;
    let body = json!({ "item": { "event": "billing.reminder.due", "in": "10m" } });
    let (status, first) = open.ask_as("order-7", "event.put", body.clone()).await;
    assert_eq!(status, 201, "{first}");
    // python3 -c 'import uuid; print(uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_URL, "urn:khronos:idempotency-key"),
    //                                           "billing\norder-7\n0"))'
    assert_eq!(first["name"], "4b00732f-04b4-5d10-a660-dd0797e39d1b");
    assert_eq!(open.ask_as("order-7", "event.put", body.clone()).await, (201, first.clone()));
    let (_, other) = open.ask_as("order-8", "event.put", body.clone()).await;
    assert_ne!(other["name"], first["name"]);
    let (status, problem) = open.ask_as("order-7", "event.put", json!({ "item": item("a") })).await;
    assert_eq!((status, &problem["code"]), (422, &json!("message-id-used")), "{problem}");
}

#[tokio::test]
async fn what_was_sent_or_deleted_and_comes_again_is_answered_as_before_and_undoes_nothing() {
    let (mut open, machine) = start().await;
    assert_eq!(open.ask_as("1", "event.put", json!({ "item": item("a") })).await.0, 201);
    let (status, sent) = open.ask_as("2", "event.send-now", json!({ "name": "a" })).await;
    assert_eq!(status, 202, "{sent}");
    machine.settle("a");
    assert_eq!(open.ask_as("2", "event.send-now", json!({ "name": "a" })).await, (202, sent));
    let (status, again) = open.ask_as("3", "event.send-now", json!({ "name": "a" })).await;
    assert_eq!((status, &again["outcome"]), (200, &json!("settled")), "{again}");
    let (status, problem) = open.ask_as("2", "event.send-now", json!({ "name": "b" })).await;
    assert_eq!((status, &problem["code"]), (422, &json!("message-id-used")), "{problem}");
    assert_eq!(open.ask_as("4", "event.put", json!({ "item": item("b") })).await.0, 201);
    assert_eq!(open.ask_as("5", "event.delete", json!({ "name": "b" })).await.0, 204);
    assert_eq!(open.ask_as("6", "event.put", json!({ "item": item("b") })).await.0, 201);
    assert_eq!(open.ask_as("5", "event.delete", json!({ "name": "b" })).await.0, 204);
    assert_eq!(open.ask_as("7", "event.get", json!({ "name": "b" })).await.0, 200);
}

#[tokio::test]
async fn what_may_have_been_sent_and_what_can_not_be_used_is_refused_where_that_stands() {
    let (mut open, machine) = start().await;
    assert_eq!(open.ask_as("1", "event.put", json!({ "item": item("a") })).await.0, 201);
    machine.reach(NOW.plus(600_000));
    for (id, kind, body) in [
        ("2", "event.put", json!({ "item": { "name": "a", "event": "billing.reminder.due", "in": "1h" } })),
        ("3", "event.delete", json!({ "name": "a" })),
        ("4", "event.send-now", json!({ "name": "a" })),
    ] {
        let (status, problem) = open.ask_as(id, kind, body).await;
        assert_eq!((status, &problem["code"]), (409, &json!("may-have-been-sent")), "{kind}: {problem}");
    }
    for (id, item, status, pointer) in [
        ("5", json!({ "name": "b", "event": "billing.reminder.due", "in": "soon" }), 422, "/item/in"),
        ("6", json!({ "name": "B", "event": "billing.reminder.due", "in": "1h" }), 422, "/item/name"),
        ("7", json!({ "name": "b", "event": "other.reminder.due", "in": "1h" }), 403, ""),
        (
            "8",
            json!({ "event": "docker.images.cleanup", "in": "1h", "to": { "task": "docker.clean" } }),
            403,
            "",
        ),
    ] {
        let (answered, problem) = open.ask_as(id, "event.put", json!({ "item": item })).await;
        let said = problem["errors"][0]["pointer"].as_str().unwrap_or_default();
        assert_eq!((answered, said), (status, pointer), "{problem}");
    }
    let (status, problem) = open.ask_as("9", "event.list", json!({ "limit": 0 })).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (400, &json!("/limit")), "{problem}");
    let mut reader = under("10", "event.delete", json!({ "name": "b" }));
    reader.properties.user_id = Some("reports-service".into());
    open.send(reader).await;
    assert_eq!(read(&open.answer().await).0, 403);
}

#[tokio::test]
async fn many_events_in_one_message_are_answered_one_by_one_or_all_as_one() {
    let (mut open, _) = start().await;
    let wrong = json!({ "name": "wrong", "event": "billing.reminder.due" });
    let unnamed = json!({ "event": "billing.reminder.due", "in": "1h" });
    let items = json!([item("a"), wrong, unnamed, unnamed]);
    let (status, batch) = open.ask_as("1", "events.put", json!({ "items": items })).await;
    assert_eq!((status, &batch["done"], &batch["refused"]), (200, &json!(3), &json!(1)), "{batch}");
    let results = batch["results"].as_array().unwrap();
    assert_eq!((&results[0]["name"], &results[0]["outcome"]), (&json!("a"), &json!("created")), "{batch}");
    assert_eq!(results[1]["problem"]["errors"][0]["pointer"], "/at", "{batch}");
    assert_ne!(results[2]["name"], results[3]["name"], "{batch}");
    assert_eq!(open.ask_as("1", "events.put", json!({ "items": items })).await, (200, batch));
    let none = json!({ "items": [item("b"), wrong], "atomic": true });
    let (status, batch) = open.ask_as("2", "events.put", none).await;
    assert_eq!((status, &batch["done"], &batch["refused"]), (200, &json!(0), &json!(2)), "{batch}");
    assert_eq!(open.ask_as("3", "event.get", json!({ "name": "b" })).await.0, 404);
    let (status, problem) = open.ask_as("4", "events.put", json!({ "items": [] })).await;
    assert_eq!((status, &problem["code"]), (400, &json!("invalid-request")), "{problem}");
    open.until_settled().await;
    let counted = open.counted();
    assert!(counted.contains(r#"type="events.put",result="done"} 3"#), "{counted}");
}

#[tokio::test(start_paused = true)]
async fn a_clock_without_delayed_events_says_so() {
    let mut open = Open::start().await;
    let (status, problem) = open.ask("event.put", json!({ "item": item("a") })).await;
    assert_eq!(status, 503, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("keeps no delayed events"), "{problem}");
}

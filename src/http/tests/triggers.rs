//! Triggering an event by the control socket.

use super::{pauses::doors, *};
use ponos::event::OccurrenceId;
use serde_json::json;

#[tokio::test]
async fn an_event_is_triggered_under_a_key_and_its_id_is_answered() {
    let (clock, control, _folder) = doors().await;
    let path = "/v1/schedules/one-minute/trigger";
    let answer: Value = control.post_once(path, "k-1").await.unwrap();
    let kind = EventKind::Trigger("k-1".parse().unwrap());
    let id = OccurrenceId { clock: "khronos", schedule: "one-minute", due: at(9), kind: &kind }.id();
    let expected = json!({
        "schedule": "one-minute", "event_id": id, "due_at": at(9), "command": "k-1"
    });
    assert_eq!(answer, expected);
    assert_eq!(refused(clock.client.post_once(path, "k-1").await).await.0, 403);
    for (path, key, status, why) in [
        (path, "", 400, "must not be empty"),
        (path, &*"x".repeat(256), 400, "at most 255 bytes"),
        ("/v1/schedules/one-minut/trigger", "k", 404, "did you mean 'one-minute'?"),
    ] {
        let (found, detail) = refused(control.post_once(path, key).await).await;
        assert!(found == status && detail.contains(why), "{path}: {found} {detail}");
    }
    let none = refused(control.post(path, &json!({})).await).await;
    assert!(none.0 == 400 && none.1.contains("Idempotency-Key"), "{none:?}");
}

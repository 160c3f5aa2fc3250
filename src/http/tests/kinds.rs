//! Rows of every kind in the history and in the feed.

use super::*;
use crate::ops::RowView;
use ponos::event::{EventKind::*, OccurrenceId};

fn of(kind: EventKind, minute: i64) -> Row {
    Row { kind, ..confirmed("two-minutes", minute) }
}

/// Rows 1 to 4, one of each kind.
async fn clock() -> Clock {
    let clock = Clock::start().await;
    let command = |text: &str| text.parse().unwrap();
    for (kind, minute) in
        [(Occurrence, 4), (Trigger(command("order 7")), 5), (Backfill(command("b")), 2), (Delayed, 6)]
    {
        clock.record(of(kind, minute));
    }
    clock
}

#[tokio::test]
async fn the_history_shows_kind_and_command_and_filters_by_kind() {
    let clock = clock().await;
    for (number, word, command) in [
        (1, "occurrence", None),
        (2, "trigger", Some("order 7")),
        (3, "backfill", Some("b")),
        (4, "delayed", None),
    ] {
        let page: History = clock.client.get(&format!("/history?kind={word}")).await.unwrap();
        assert_eq!(page.rows.len(), 1, "{word}");
        let row = &page.rows[0];
        assert_eq!((row.sequence, row.kind.as_str(), row.command.as_deref()), (number, word, command));
        let kind = clock.record.rows.lock().unwrap().rows[number as usize - 1].row.kind.clone();
        let id = OccurrenceId { clock: "khronos", schedule: "two-minutes", due: row.due_at, kind: &kind };
        assert_eq!(row.id.as_deref(), Some(id.id().as_str()));
    }
    let (status, detail) = refused(clock.client.get("/history?kind=triggered").await).await;
    assert!(status == 400 && detail.contains("did you mean 'trigger'?"), "{detail}");
}

#[tokio::test]
async fn rows_are_chosen_by_due_time_and_lateness() {
    let clock = clock().await;
    let (from, to) = (at(2), at(5));
    let page: History = clock.client.get(&format!("/history?from={from}&to={to}")).await.unwrap();
    let due: Vec<_> = page.rows.iter().map(|row| row.due_at).collect();
    assert_eq!(due, [at(5), at(4)]);
    let late = confirmed("two-minutes", 7);
    let Outcome::Confirmed { sent_at, returned, .. } = late.outcome else { panic!("{late:?}") };
    clock.record(Row { outcome: Outcome::Confirmed { sent_at, lateness: 1_001, returned }, ..late });
    let page: History = clock.client.get("/history?late=%3E1s").await.unwrap();
    assert_eq!(page.rows.iter().map(|row| row.due_at).collect::<Vec<_>>(), [at(7)]);
    let (status, detail) = refused(clock.client.get("/history?late=soon").await).await;
    assert!(status == 400 && detail.starts_with("late: "), "{detail}");
}

#[test]
fn a_row_that_says_no_kind_is_an_occurrence() {
    let row = RowView::new("khronos", RECORD, &RecordRow { sequence: 1, row: confirmed("one-minute", 1) });
    let mut json = serde_json::to_value(&row).unwrap();
    assert_eq!(json.as_object_mut().unwrap().remove("kind"), Some("occurrence".into()));
    assert!(json.get("command").is_none());
    assert_eq!(serde_json::from_value::<RowView>(json).unwrap(), row);
}

#[tokio::test]
async fn the_feed_gives_what_was_asked_for_under_its_own_id_and_cause() {
    let clock = clock().await;
    let mut feed = clock.client.feed("after=0", None).await.unwrap();
    let page: History = clock.client.get("/history?after=0").await.unwrap();
    let window = |from, to| serde_json::json!({ "from": at(from), "to": at(to) });
    for (row, (cause, window)) in page.rows.iter().zip([
        ("scheduled", window(2, 4)),
        ("triggered", Value::Null),
        ("backfilled", window(0, 2)),
    ]) {
        let message = feed::next(&mut feed).await;
        let event: Value = serde_json::from_str(&message.data).unwrap();
        assert_eq!(event["id"].as_str(), row.id.as_deref());
        assert_eq!((&event["data"]["cause"], &event["data"]["window"]), (&cause.into(), &window));
    }
    let gap = feed::next(&mut feed).await;
    assert_eq!(gap.event, "gap");
    assert!(gap.data.contains("the content of a delayed event is not kept"), "{}", gap.data);
}

//! Backfills that are begun, and operations that are watched and ended.

use super::{pauses::doors, *};
use crate::{
    clock_loop::{OperationAnswer, OperationStatus},
    engine::{Covered, Operation, Triggered},
};
use ponos::event::CommandId;
use serde_json::json;

/// The operations of the loop that is played: one runs from the start.
pub(super) struct Begun(Vec<OperationStatus>);

impl Default for Begun {
    fn default() -> Self {
        let operation = Operation {
            schedule: "one-minute".into(),
            revision: 3,
            creation: 0,
            by: "ann".into(),
            owner: "ann".into(),
            digest: [0; 32],
            at: at(9),
            rate: 10,
            queue: None,
            count: 7,
            first: at(1),
            last: at(7),
            left: vec![],
            sent: 2,
            ended: None,
        };
        Self(vec![OperationStatus { id: "op-1".parse().unwrap(), operation, left: 4, outstanding: 1 }])
    }
}

impl Begun {
    /// What asks for an event now, or for those of the past.
    pub(super) fn answer(&mut self, command: Command, schedules: &[ScheduleStatus]) {
        let gone = || Unchanged::Unavailable("there is none".into());
        let find = |id| self.0.iter().find(|one| one.id == id).cloned();
        match command {
            // As if it had been asked for before.
            Command::Trigger(name, _, reply) => {
                let known = (*name == *"one-minute").then(|| Triggered { due: at(9), creation: 0 });
                drop(reply.send(known.ok_or_else(gone)));
            }
            Command::Covered(name, _, reply) => {
                let status = schedules.iter().find(|status| status.revision.name() == &*name);
                drop(reply.send(status.cloned().map(covered)));
            }
            Command::Operations(after, reply) => {
                let mut all = self.0.clone();
                all.sort_by(|a, b| a.id.cmp(&b.id));
                let is_after = |one: &OperationStatus| after.as_ref().is_none_or(|after| one.id > *after);
                // Pages of the loop are shorter than what is asked for.
                drop(reply.send(all.into_iter().filter(is_after).take(2).collect()));
            }
            Command::Operation(id, reply) => drop(reply.send(find(id))),
            Command::Cancel(id, reply) => drop(reply.send(find(id).ok_or_else(gone))),
            Command::Operate(id, operation, reply) => drop(reply.send(self.begin(id, *operation))),
            _ => {}
        }
    }

    fn begin(&mut self, id: CommandId, operation: Operation) -> OperationAnswer {
        if id.as_str() == "b-beside" {
            return Err(Unchanged::Conflict("another one runs".into()));
        }
        let left = operation.left();
        self.0.push(OperationStatus { id, operation, left, outstanding: 0 });
        Ok(self.0.last().cloned().unwrap())
    }
}

impl Clock {
    /// The record begins with what was recorded in this minute.
    fn trim_record(&self, minute: i64) {
        let mut page = self.record.rows.lock().unwrap();
        (page.first, page.last) = (10, 10);
        page.rows.push(RecordRow { sequence: 10, row: confirmed("two-minutes", minute) });
    }
}

/// The two before 3 are parked; from 8 on nothing was handed over yet.
fn covered(status: ScheduleStatus) -> Covered {
    Covered { status, at: at(10), comes_from: at(8), ranges: vec![(at(1), at(2))] }
}

#[tokio::test]
async fn a_backfill_is_begun_watched_and_cancelled() {
    let (clock, control, _folder) = doors().await;
    let path = "/v1/schedules/one-minute/backfill";
    let asked = json!({ "from": at(1), "to": at(3) });
    assert_eq!(refused(clock.client.post(path, &asked).await).await.0, 403);
    let (status, detail) = refused(control.post(path, &asked).await).await;
    assert!(status == 400 && detail.contains("Idempotency-Key: name the operation"), "{status} {detail}");
    let dry = json!({ "from": at(1), "to": at(3), "dry_run": true, "rate": 100, "only_missing": true });
    let answer: Value = control.post(path, &dry).await.unwrap();
    let expected = json!({
        "count": 1, "first_due_at": at(3), "last_due_at": at(3), "there": 2, "comes_from": null,
        "recorded_since": null, "operation": null
    });
    assert_eq!(answer, expected);
    let asked_as = json!({ "from": at(1), "to": at(3), "expect_count": 3 });
    let counted: Value = control.post_as(path, "b-0", &asked_as).await.unwrap();
    assert_eq!((&counted["count"], &counted["operation"]["id"]), (&json!(3), &json!("b-0")));
    let answer: Value = control.post_as(path, "b-1", &asked).await.unwrap();
    assert_eq!((&answer["count"], &answer["operation"]["left"]), (&json!(3), &json!(3)));
    let again: Value = control.post_as(path, "b-1", &asked).await.unwrap();
    assert_eq!(again, answer, "it is answered as it is");
    let shown = json!({
        "id": "op-1", "kind": "backfill", "state": "running", "schedule": "one-minute", "revision": 3, "by": "ann",
        "begun_at": at(9), "ended_at": null, "rate": 10, "queue": null, "count": 7, "sent": 2, "outstanding": 1,
        "left": 4
    });
    for client in [&clock.client, &control] {
        let all: Value = client.get("/v1/operations").await.unwrap();
        assert_eq!((&all["operations"][2], &all["next"]), (&shown, &Value::Null));
        let one: Value = client.get("/v1/operations/op-1").await.unwrap();
        assert_eq!(one, shown);
        assert_eq!(refused(client.get("/v1/operations/op-2").await).await.0, 404);
    }
    let ended: Value = control.cancel("/v1/operations/op-1").await.unwrap();
    assert_eq!(ended["id"], "op-1");
    assert_eq!(refused(control.cancel("/v1/operations/op-2").await).await.0, 404);
    assert_eq!(refused(clock.client.cancel("/v1/operations/op-1").await).await.0, 403);
    for (more, status, why) in [
        (json!({ "from": at(4) }), 400, "is after to"),
        (json!({ "rate": 0 }), 400, "rate: 1 to 1000"),
        (json!({ "queue": "" }), 400, "queue: the name of a queue"),
        (json!({ "from": "today" }), 422, "from"),
        (json!({ "all": true }), 422, "unknown field `all`"),
    ] {
        let mut body = asked.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (found, detail) = refused(control.post_as(path, "b-2", &body).await).await;
        assert!(found == status && detail.contains(why), "{more}: {found} {detail}");
    }
    for (dry_run, expected) in [(true, 4), (false, 2)] {
        let body = json!({ "from": at(1), "to": at(3), "dry_run": dry_run, "expect_count": expected });
        let (status, detail) = refused(control.post_as(path, "b-2", &body).await).await;
        assert!(
            status == 412 && detail.contains(&format!("3 are found, and {expected}")),
            "{status} {detail}"
        );
    }
    let (status, detail) = refused(control.post_as(path, "a b", &asked).await).await;
    assert!(status == 400 && detail.contains("letters, digits"), "{detail}");
    let (status, detail) = refused(control.post_as(path, "b-beside", &asked).await).await;
    assert!(status == 409 && detail.contains("another one runs"), "{status} {detail}");
}

#[tokio::test]
async fn operations_are_listed_in_pages() {
    let (_clock, control, _folder) = doors().await;
    let path = "/v1/schedules/one-minute/backfill";
    let keys = ["A_5", "b-1", "b-2", "c", "d"];
    for key in keys {
        let _: Value = control.post_as(path, key, &json!({ "from": at(1), "to": at(3) })).await.unwrap();
    }
    for (limit, pages) in [(1, 6), (3, 2), (4, 2), (6, 1), (1_000, 1)] {
        let (mut ids, mut asked, mut page) = (Vec::new(), 0, String::new());
        loop {
            let list: Value = control.get(&format!("/v1/operations?limit={limit}{page}")).await.unwrap();
            let all = list["operations"].as_array().unwrap();
            assert!(!all.is_empty() && all.len() <= limit, "{list}");
            ids.extend(all.iter().map(|one| one["id"].as_str().unwrap().to_owned()));
            asked += 1;
            let Some(next) = list["next"].as_str() else { break };
            page = format!("&page={next}");
        }
        assert_eq!(
            (ids, asked),
            (["A_5", "b-1", "b-2", "c", "d", "op-1"].map(str::to_owned).to_vec(), pages)
        );
    }
    for query in ["?limit=0", "?limit=1001", "?page=b-1", "?pages=2"] {
        let (status, detail) = refused(control.get(&format!("/v1/operations{query}")).await).await;
        assert_eq!(status, 400, "{detail}");
    }
}

#[tokio::test]
async fn a_key_is_for_one_backfill_alone() {
    let (_clock, control, _folder) = doors().await;
    let path = "/v1/schedules/one-minute/backfill";
    let asked = json!({ "from": at(1), "to": at(3) });
    let _: Value = control.post_as(path, "nightly", &asked).await.unwrap();
    for more in [
        json!({ "to": at(4) }),
        json!({ "rate": 11 }),
        json!({ "queue": "mine" }),
        json!({ "only_missing": true }),
    ] {
        let mut body = asked.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, detail) = refused(control.post_as(path, "nightly", &body).await).await;
        assert!(status == 422 && detail.contains("take another key"), "{more}: {status} {detail}");
    }
    let other = refused(control.post_as("/v1/schedules/two-minutes/backfill", "nightly", &asked).await).await;
    assert_eq!(other.0, 422, "{}", other.1);
}

#[tokio::test]
async fn what_is_due_and_waits_is_not_missing() {
    let (_clock, control, _folder) = doors().await;
    let path = "/v1/schedules/one-minute/backfill";
    for only_missing in [false, true] {
        let asked = json!({ "from": at(7), "to": at(10), "only_missing": only_missing, "dry_run": true });
        let answer: Value = control.post(path, &asked).await.unwrap();
        assert_eq!(
            (&answer["count"], &answer["last_due_at"], &answer["comes_from"]),
            (&json!(1), &json!(at(7)), &json!(at(8)))
        );
    }
    let asked = json!({ "from": at(8), "to": at(10) });
    let (status, detail) = refused(control.post_as(path, "b-1", &asked).await).await;
    assert!(status == 422 && detail.contains("is still sent by itself"), "{status} {detail}");
}

#[tokio::test]
async fn what_is_older_than_the_record_is_not_taken_for_missing() {
    let (clock, control, _folder) = doors().await;
    let path = "/v1/schedules/one-minute/backfill";
    clock.trim_record(4);
    let asked = json!({ "from": at(3), "to": at(7), "only_missing": true });
    let (status, detail) = refused(control.post_as(path, "b-1", &asked).await).await;
    assert!(status == 422 && detail.contains(&format!("goes back to {} only", at(4))), "{status} {detail}");
    let mut dry = asked.clone();
    dry["dry_run"] = true.into();
    let answer: Value = control.post(path, &dry).await.unwrap();
    assert_eq!((&answer["count"], &answer["recorded_since"]), (&json!(5), &json!(at(4))));
    let later = json!({ "from": at(4), "to": at(7), "only_missing": true });
    let answer: Value = control.post_as(path, "b-1", &later).await.unwrap();
    assert_eq!((&answer["count"], &answer["recorded_since"]), (&json!(4), &Value::Null));
}

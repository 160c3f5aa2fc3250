//! Pausing and resuming by the control socket, and what others are shown of a pause.

use super::*;
use crate::{
    clock,
    clock_loop::{PauseAnswer, PauseChanged, PauseFor, PauseLength, Unchanged},
    engine::{OnResume, Pause, PauseEnd, Reached},
};
use serde_json::json;

/// What the loop that is played answers: where it was paused before, the note says so.
pub(super) fn begun(asked: PauseFor) -> PauseAnswer {
    let PauseFor { by, note, end } = asked;
    let until = end.map(|(length, on_resume)| match length {
        PauseLength::Until(at) if at <= self::at(10) => Err(Unchanged::Invalid("until: it is past".into())),
        PauseLength::Until(at) => Ok(PauseEnd { at, on_resume }),
        PauseLength::For(millis) => Ok(PauseEnd { at: at(10).plus(millis), on_resume }),
    });
    let until = until.transpose()?;
    let reached = Reached { lately: at(10), ever: at(10), set_backs: 0 };
    let pause = Pause { since: at(10), by, note, until, reached };
    let before = (&*pause.note == "again").then(|| pause.clone());
    Ok(PauseChanged { before, ended: None, after: Some(pause) })
}

#[tokio::test]
async fn a_pause_is_asked_for_by_the_control_socket_alone() {
    let clock = Clock::start().await;
    let folder = tempfile::tempdir().unwrap();
    let socket = bind_control(folder.path()).unwrap();
    tokio::spawn(serve_control(socket, clock.state.clone(), clock.shutdown.clone()));
    let control = Client::new(Target::Unix(control_path(folder.path())));
    let asked = json!({ "all": true, "by": "ann", "note": " new disks " });
    assert_eq!(refused(clock.client.post("/v1/pause", &asked).await).await.0, 403);
    let resume = json!({ "all": true, "on_resume": "skip" });
    assert_eq!(refused(clock.client.post("/v1/resume", &resume).await).await.0, 403);

    let answer: Value = control.post("/v1/pause", &asked).await.unwrap();
    let shown =
        json!({ "since": at(10), "by": "ann", "note": "new disks", "until": null, "on_resume": null });
    assert_eq!(answer, json!({ "paused": shown, "was_paused": false }));
    let again = json!({ "all": true, "by": "ann", "note": "again", "for": "2h", "on_resume": "catch-up" });
    let answer: Value = control.post("/v1/pause", &again).await.unwrap();
    let until: Timestamp = answer["paused"]["until"].as_str().unwrap().parse().unwrap();
    assert_eq!(until, at(10).plus(7_200_000), "by the time of the clock that is asked");
    assert_eq!((&answer["paused"]["on_resume"], &answer["was_paused"]), (&"catch-up".into(), &true.into()));
    let (status, detail) = refused(control.post("/v1/resume", &resume).await).await;
    assert_eq!((status, detail.as_str()), (503, "nothing changed: the disk is full"));

    let future = clock::now().plus(60_000);
    for (wrong, status, why) in [
        (json!({ "all": false }), 400, "all: only everything can be paused"),
        (json!({ "by": " " }), 400, "by: it is empty"),
        (json!({ "note": "" }), 400, "note: it is empty"),
        (json!({ "note": "x".repeat(501) }), 400, "note: it has more than 500 characters"),
        (json!({ "note": "red\u{1b}[31m" }), 400, "a terminal would not show"),
        (json!({ "note": "two\nlines" }), 400, "a terminal would not show"),
        (json!({ "until": at(5), "on_resume": "skip" }), 400, "is past"),
        (json!({ "until": future }), 400, "say what becomes of what falls due"),
        (json!({ "on_resume": "skip" }), 400, "belongs to until or for"),
        (json!({ "until": future, "for": "2h", "on_resume": "skip" }), 400, "exclude each other"),
        (json!({ "for": "2 parsecs", "on_resume": "skip" }), 400, "for: "),
        (json!({ "for": "1h", "on_resume": "drop" }), 422, "on_resume"),
        (json!({ "schedules": ["a"] }), 422, "unknown field `schedules`"),
    ] {
        let mut body = asked.clone();
        let more = wrong.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(more);
        let (found, detail) = refused(control.post("/v1/pause", &body).await).await;
        assert!(found == status && detail.contains(why), "{wrong}: {found} {detail}");
    }
    assert_eq!(refused(control.post("/v1/resume", &json!({ "all": true })).await).await.0, 422);
}

#[tokio::test]
async fn a_paused_clock_is_ready_and_says_with_its_schedules_that_it_is_paused() {
    let clock = Clock::start().await;
    let list: Value = clock.client.get("/schedules").await.unwrap();
    assert_eq!(list.get("paused"), None);
    let end = Some((PauseLength::Until(at(90)), OnResume::Skip));
    let asked = PauseFor { by: "ann".into(), note: "new disks".into(), end };
    clock.status.send_modify(|status| status.paused = begun(asked).unwrap().after);
    let shown = json!({
        "since": at(10), "by": "ann", "note": "new disks", "until": at(90), "on_resume": "skip"
    });
    for path in ["/readyz", "/schedules"] {
        let answer: Value = clock.client.get(path).await.unwrap();
        assert_eq!(answer["paused"], shown, "{path}");
    }
    let list: crate::ops::ScheduleList = clock.client.get("/schedules").await.unwrap();
    assert_eq!(
        list.paused.unwrap().to_string(),
        format!("paused since {} by ann: new disks (until {}; what falls due is skipped)", at(10), at(90))
    );
}

//! Pausing and resuming by the control socket, and what others are shown of a pause.

use super::*;
use crate::{
    clock,
    clock_loop::{PauseAnswer, PauseChanged, PauseFor, PauseLength, Unchanged},
    engine::{OnResume, Pause, PauseEnd, Reached, Refusal, Scope},
};
use serde_json::json;

/// What the loop that is played answers: where it was paused before, the note says so.
pub(super) fn begun(asked: PauseFor) -> PauseAnswer {
    let PauseFor { scope, by, note, end } = asked;
    let until = end.map(|(length, on_resume)| match length {
        PauseLength::Until(at) if at <= self::at(10) => Err(Unchanged::Invalid("until: it is past".into())),
        PauseLength::Until(at) => Ok(PauseEnd { at, on_resume }),
        PauseLength::For(millis) => Ok(PauseEnd { at: at(10).plus(millis), on_resume }),
    });
    let until = until.transpose()?;
    let reached = Reached { lately: at(10), ever: at(10), set_backs: 0 };
    let pause = Pause { since: at(10), by, note, until, reached };
    let before = (&*pause.note == "again").then(|| pause.clone());
    let count = if let Scope::Named(names) = scope { names.len() } else { 0 };
    Ok(PauseChanged { before, ended: None, after: Some(pause), count, ..PauseChanged::default() })
}

/// A command as whoever asks may give it: the loop that is played refuses it otherwise. Nothing was answered before.
pub(super) fn looked_at(command: Command, schedules: &[ScheduleStatus]) -> Option<Command> {
    let (asker, command) = match command {
        Command::By(asker, command) => (asker, *command),
        Command::Answered(.., reply) => {
            drop(reply.send(Ok(None)));
            return None;
        }
        command => return Some(command),
    };
    let refusal = |name: &Arc<str>| {
        let found = schedules.iter().find(|known| *known.revision.name() == **name);
        let Some(found) = found else { return Some(Refusal::NoSuchSchedule { name: name.clone() }) };
        let event = found.revision.definition.event();
        (!(asker.by.covers)(event)).then(|| Refusal::OutsideDomains { event: event.into() })
    };
    let names: Vec<&Arc<str>> = match &command {
        Command::Pause(PauseFor { scope: Scope::Named(names), .. }, _)
        | Command::Resume(Scope::Named(names), ..) => names.iter().collect(),
        Command::Trigger(name, ..) => vec![name],
        _ => Vec::new(),
    };
    let Some(refusal) = names.into_iter().find_map(refusal).map(Unchanged::Refused) else {
        return Some(command);
    };
    match command {
        Command::Pause(_, reply) | Command::Resume(_, _, reply) => drop(reply.send(Err(refusal))),
        Command::Trigger(_, _, reply) => drop(reply.send(Err(refusal))),
        _ => {}
    }
    None
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
        (json!({ "all": false }), 400, "all: here only everything can be paused"),
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

/// The control socket, and the port, of a clock that is played.
pub(super) async fn doors() -> (Clock, Client, tempfile::TempDir) {
    let clock = Clock::start().await;
    let folder = tempfile::tempdir().unwrap();
    let socket = bind_control(folder.path()).unwrap();
    tokio::spawn(serve_control(socket, clock.state.clone(), clock.shutdown.clone()));
    let control = Client::new(Target::Unix(control_path(folder.path())));
    (clock, control, folder)
}

#[tokio::test]
async fn one_schedule_is_paused_by_its_name_and_resumed() {
    let (clock, control, _folder) = doors().await;
    let path = "/v1/schedules/one-minute/pause";
    let asked = json!({ "note": "its queue moves" });
    assert_eq!(refused(clock.client.post(path, &asked).await).await.0, 403);
    let answer: Value = control.post(path, &asked).await.unwrap();
    assert_eq!(answer["paused"]["by"], "operator (control socket)", "{answer}");
    let signed = json!({ "by": "ann", "note": "again", "for": "2h", "on_resume": "skip" });
    let answer: Value = control.post(path, &signed).await.unwrap();
    assert_eq!((&answer["paused"]["by"], &answer["was_paused"]), (&"ann".into(), &true.into()));
    for (path, body, status, why) in [
        (path, json!({ "note": "" }), 400, "note: it is empty"),
        (path, json!({}), 422, "missing field `note`"),
        (path, json!({ "note": "x", "all": true }), 422, "unknown field `all`"),
        ("/v1/schedules/one-minut/pause", json!({ "note": "x" }), 404, "did you mean 'one-minute'?"),
        ("/v1/schedules/one-minute/resume", json!({}), 422, "missing field `on_resume`"),
        ("/v1/schedules/one-minute/resume", json!({ "on_resume": "skip" }), 503, "nothing changed"),
    ] {
        let (found, detail) = refused(control.post(path, &body).await).await;
        assert!(found == status && detail.contains(why), "{path} {body}: {found} {detail}");
    }
}

#[tokio::test]
async fn those_that_a_filter_chooses_are_paused_if_they_are_as_many_as_expected() {
    let (clock, control, _folder) = doors().await;
    let path = "/v1/schedules:pause";
    let asked = |filter: Value, more: Value| {
        let mut body = json!({ "filter": filter, "note": "x" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let all = json!({ "domain": "time" });
    let of_all: Value = control.post(path, &asked(all.clone(), json!({ "dry_run": true }))).await.unwrap();
    let count = of_all["count"].as_u64().unwrap();
    assert!(count > 1 && of_all["dry_run"] == true && of_all["were_paused"] == 0, "{of_all}");
    let done: Value =
        control.post(path, &asked(all.clone(), json!({ "expect_count": count }))).await.unwrap();
    assert_eq!(
        (&done["count"], &done["names"], &done["dry_run"]),
        (&of_all["count"], &of_all["names"], &false.into())
    );
    let one: Value = control.post(path, &asked(json!({ "names": ["one-minute"] }), json!({}))).await.unwrap();
    assert_eq!((&one["count"], &one["names"]), (&1.into(), &json!(["one-minute"])));
    let none: Value = control.post(path, &asked(json!({ "prefix": "zz" }), json!({}))).await.unwrap();
    assert_eq!(none["count"], 0);
    for none in [json!({ "label": "team:billing" }), json!({ "owner": "ann" }), json!({ "origin": "client" })]
    {
        let answer: Value = control.post(path, &asked(none.clone(), json!({}))).await.unwrap();
        assert_eq!(answer["count"], 0, "{none}");
    }
    let files: Value =
        control.post(path, &asked(json!({ "origin": "file" }), json!({ "dry_run": true }))).await.unwrap();
    assert_eq!(files["count"], count);
    for (filter, more, status, why) in [
        (json!({}), json!({}), 400, "say names, or one of prefix, domain, owner, origin, state and label;"),
        (json!({ "names": ["one-minute"], "label": "team" }), json!({}), 400, "names exclude"),
        (json!({ "label": "team=x" }), json!({}), 400, "write key:value"),
        (json!({ "origin": "clients" }), json!({}), 400, "origin"),
        (json!({ "names": ["one-minute"], "prefix": "o" }), json!({}), 400, "names exclude"),
        (json!({ "names": ["one-minut"] }), json!({}), 404, "did you mean 'one-minute'?"),
        (json!({ "state": "idle" }), json!({}), 400, "state"),
        (json!({ "ownr": "x" }), json!({}), 422, "unknown field `ownr`"),
        (all.clone(), json!({ "expect_count": count + 1 }), 412, "nothing changed"),
        (all, json!({ "note": " " }), 400, "note: it is empty"),
    ] {
        let (found, detail) = refused(control.post(path, &asked(filter.clone(), more)).await).await;
        assert!(found == status && detail.contains(why), "{filter}: {found} {detail}");
    }
    let resume = json!({ "filter": { "domain": "time" }, "on_resume": "skip" });
    let none: Value = control.post("/v1/schedules:resume", &resume).await.unwrap();
    assert_eq!(none["count"], 0, "none of them is paused");
    for path in [path, "/v1/schedules:resume"] {
        assert_eq!(refused(clock.client.post(path, &resume).await).await.0, 403, "{path}");
    }
}

#[tokio::test]
async fn a_paused_clock_is_ready_and_says_with_its_schedules_that_it_is_paused() {
    let clock = Clock::start().await;
    let list: Value = clock.client.get("/schedules").await.unwrap();
    assert_eq!(list.get("paused"), None);
    let end = Some((PauseLength::Until(at(90)), OnResume::Skip));
    let asked = PauseFor { scope: Scope::All, by: "ann".into(), note: "new disks".into(), end };
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

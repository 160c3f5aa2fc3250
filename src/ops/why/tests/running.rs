//! Of a clock whose loop is played.

use super::*;
use crate::{
    clock_loop::{Command, Handle},
    engine::{KeptPage, OnResume, Pause, PauseEnd, Reached, Refused, ScheduleStatus, Sent},
    ops::{RecordReader, RunningClock},
    reports::Observed,
    store::Leader,
};
use ponos_hearing::Heard;
use ponos_observer::Limits as Kept;
use std::time::Duration;

/// A clock whose loop says this of `s`, and nothing of any other.
async fn running(status: ScheduleStatus) -> RunningClock {
    recorded(status, store_of(&[], 9).await.into()).await
}

/// The same with this record.
async fn recorded(status: ScheduleStatus, record: RecordReader) -> RunningClock {
    let (handle, mut asked, told) = Handle::played("khronos".into());
    let revisions = vec![status.revision.clone()];
    tokio::spawn(async move {
        while let Some(command) = asked.recv().await {
            match command {
                Command::Kept(_, reply) => {
                    let page = KeptPage { revisions: revisions.clone(), ..KeptPage::default() };
                    drop(reply.send(page));
                }
                Command::Schedule(_, reply) => drop(reply.send(Some(status.clone()))),
                Command::Parked(_, reply) => drop(reply.send(Vec::new())),
                Command::Write(reply) => drop(reply.send(Ok(()))),
                other => panic!("{other:?}"),
            }
        }
        drop(told);
    });
    let counts = Counts::new("khronos", &MetricsConfig::default());
    RunningClock::new(handle, record, CalendarStore::default(), counts, Duration::from_secs(60))
}

fn status(change: impl FnOnce(&mut ScheduleStatus)) -> ScheduleStatus {
    let mut status = ScheduleStatus {
        revision: revision(1, &definition("s")),
        next: None,
        in_flight: None,
        outstanding: Vec::new(),
        sent: Sent::default(),
        refused: None,
        paused: None,
        finished: false,
    };
    change(&mut status);
    status
}

/// State and words of what is due at a minute of a running clock.
async fn of_running(status: ScheduleStatus, minute: i64) -> (FateState, String) {
    let clock = running(status).await;
    let shown = why(clock, &format!("s@{}", at(minute)), at(SETTLED)).await.unwrap();
    assert!(shown.note.unwrap().contains("set reports.enabled = true"));
    let fate = shown.clock.unwrap();
    (fate.state, fate.said.join("\n"))
}

#[tokio::test]
async fn of_a_clock_that_runs_it_is_said_why_something_waits() {
    let pause = || {
        let reached = Reached { lately: at(1), ever: at(1), set_backs: 0 };
        let until = Some(PauseEnd { at: at(200), on_resume: OnResume::CatchUp });
        Some(Pause { since: at(80), by: "ann".into(), note: "new disks".into(), until, reached })
    };
    let (state, _) = of_running(status(|one| one.in_flight = Some(at(90))), 90).await;
    assert_eq!(state, FateState::Sending);
    let outstanding = |one: &mut ScheduleStatus| one.outstanding = vec![span(89, 95, None)];
    let (state, said) = of_running(status(outstanding), 90).await;
    assert_eq!(state, FateState::Waiting);
    assert!(said.contains("there is no connection to the broker"), "{said}");
    let paused = status(|one| {
        outstanding(one);
        one.paused = pause();
    });
    let (_, said) = of_running(paused, 90).await;
    assert!(
        said.contains("the schedule is paused since 1970-01-01T01:20:00.000Z by ann: new disks"),
        "{said}"
    );
    let refused = status(|one| {
        outstanding(one);
        one.refused = Some(Refused {
            event: "test.minute.passed".into(),
            reason: "it is full".into(),
            since: at(90),
            times: 3,
        });
    });
    let (_, said) = of_running(refused, 90).await;
    assert!(said.contains("the broker refuses its event: it is full"), "{said}");
    let (state, said) = of_running(status(|one| one.paused = pause()), 150).await;
    assert!(state == FateState::ToCome && said.contains("the schedule is paused since"), "{said}");
    let by_definition = status(|one| {
        one.revision = revision(1, &Definition { paused: Some(true), ..definition("s") });
    });
    let (_, said) = of_running(by_definition, 150).await;
    assert!(said.contains("it will be skipped, for the schedule's definition says paused = true"), "{said}");
}

#[tokio::test]
async fn what_is_observed_stands_beside_what_the_clock_knows() {
    let heard = Heard::new(Kept::default());
    let clock = running(status(|_| ())).await.observing(Some(Observed::played(heard)));
    let shown = why(clock.clone(), &format!("s@{}", at(150)), at(SETTLED)).await.unwrap();
    assert_eq!((shown.clock.map(|fate| fate.state), shown.observed), (Some(FateState::ToCome), None));
    assert!(shown.note.unwrap().contains("nothing is observed yet"));
    let unknown = why(clock, "order-7", at(SETTLED)).await;
    assert!(
        matches!(&unknown, Err(OpsError::NotFound(one)) if one.what.contains("nothing is observed yet")),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn of_several_clocks_it_is_said_under_which_leadership_an_occurrence_was_sent() {
    let rows =
        [row(90, sent(90, 5)), row(91, Outcome::DetailsLost), row(92, Outcome::Skipped(SkipReason::Paused))];
    let record = RecordReader::from(store_of(&rows, 9).await).with_leaders(|number| async move {
        let address = (number == 1).then(|| "http://two:7650".to_owned());
        Ok(Some(Leader { term: 4_294_967_299, address, since: Some(at(80)) }))
    });
    let clock = recorded(status(|_| ()), record).await;
    let fate = async |id: &str| why(clock.clone(), id, at(SETTLED)).await.unwrap().clock.unwrap();
    let by_due = fate(&format!("s@{}", at(90))).await;
    let led = "http://two:7650, which led since 1970-01-01T01:20:00.000Z (term 4294967299)";
    assert_eq!(by_due.said[1], format!("sent by the clock at {led}"));
    let shown = serde_json::to_value(&by_due).unwrap()["leader"].clone();
    let expected = serde_json::json!({
        "term": 4_294_967_299_u64, "address": "http://two:7650", "since": "1970-01-01T01:20:00.000Z"
    });
    assert_eq!(shown, expected);
    let by_id = fate(by_due.event_id.as_deref().unwrap()).await;
    assert_eq!(by_id.leader, by_due.leader);
    // Nobody knows who sent it.
    assert_eq!(fate(&format!("s@{}", at(91))).await.leader, None);
    let skipped = fate(&format!("s@{}", at(92))).await;
    let said = "recorded by a clock that does not say its address, which led since 1970-01-01T01:20:00.000Z (term 4294967299)";
    assert!(skipped.said.iter().any(|one| one == said), "{:?}", skipped.said);
    // What has no row was written under none.
    assert_eq!(fate(&format!("s@{}", at(150))).await.leader, None);
}

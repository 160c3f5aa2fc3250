//! Of a clock whose loop is played.

use super::*;
use crate::{
    clock_loop::{Command, Handle},
    engine::{KeptPage, OnResume, Pause, PauseEnd, Reached, Refused, ScheduleStatus, Sent},
    ops::RunningClock,
    reports::Observed,
};
use ponos_hearing::Heard;
use ponos_observer::Limits as Kept;
use std::time::Duration;

/// A clock whose loop says this of `s`, and nothing of any other.
async fn running(status: ScheduleStatus) -> RunningClock {
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
    let record = store_of(&[], 9).await.into();
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

//! What a caller is told of a change where the loop does not answer.

use crate::{
    authority::Caller,
    clock_loop::{Command, Handle, Status, tests::parts},
    config::MetricsConfig,
    engine::Expect,
    ops::{OpsError, PauseAsked, RunningClock, parked, pause, put::put, status},
    problem::Problem,
    schedule::CalendarStore,
    store::Memory,
    telemetry::Counts,
};
use ponos::{
    broker::{Link, Publisher},
    event::Timestamp,
};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// A clock that waits so long for its loop, which is played by whoever has the commands.
pub(in crate::ops) async fn played(answer: Duration) -> (RunningClock, mpsc::Receiver<Command>) {
    let (commands, asked) = mpsc::channel(1);
    let link = Link::Down { attempts: 0, error: None };
    let (_, status) =
        watch::channel(Status::starting("khronos".into(), Timestamp::EPOCH, link, Timestamp::EPOCH));
    let (_, recorded) = watch::channel(0);
    let handle = Handle { commands, status, recorded };
    let record = parts(&Memory::default(), Publisher::channel(1).0).await.store.into();
    let counts = Counts::new("khronos", &MetricsConfig::default());
    (RunningClock::new(handle, record, CalendarStore::default(), counts, answer), asked)
}

/// What the operator is told of each change.
async fn told(clock: &RunningClock) -> Vec<OpsError> {
    let caller = Caller::operator();
    let json = br#"{"name":"a","event":"a.b.passed","every":"1h"}"#.to_vec();
    let (by, note) = ("ann".to_owned(), "new disks".to_owned());
    let asked = PauseAsked { all: true, by, note, until: None, length: None, on_resume: None };
    vec![
        put(clock, &caller, (None, json), Expect::Any, None).await.unwrap_err(),
        pause::pause(clock, &caller, asked).await.unwrap_err(),
        parked::release(clock, &caller, vec![1]).await.unwrap_err(),
        status::reload(clock, &caller).await.unwrap_err(),
    ]
}

#[tokio::test]
async fn what_the_loop_took_and_did_not_answer_is_not_said_to_be_undone() {
    let (clock, mut asked) = played(Duration::from_millis(50)).await;
    let taking = tokio::spawn(async move {
        let mut taken = Vec::new();
        while let Some(command) = asked.recv().await {
            taken.push(command);
        }
    });
    let late = told(&clock).await;
    taking.abort();
    let (clock, mut asked) = played(Duration::from_secs(60)).await;
    let dropping = tokio::spawn(async move { while asked.recv().await.is_some() {} });
    let dropped = told(&clock).await;
    dropping.abort();
    for error in late.into_iter().chain(dropped) {
        let said = error.to_string();
        let is_so = matches!(error, OpsError::Unknown(_) | OpsError::Ending { is_known: false, .. });
        assert!(is_so && !said.contains("nothing changed"), "{said}");
        let problem = Problem::from(error);
        assert_eq!((problem.status(), &*problem.word()), (503, "unknown"));
    }
}

#[tokio::test]
async fn what_the_loop_did_not_take_changed_nothing() {
    // Somebody else's question fills the queue, and is not taken.
    let (clock, asked) = played(Duration::from_millis(50)).await;
    clock.handle.commands.try_send(Command::Write(tokio::sync::oneshot::channel().0)).unwrap();
    let full = told(&clock).await;
    drop(asked);
    for error in full.into_iter().chain(told(&clock).await) {
        let said = error.to_string();
        let is_so = matches!(error, OpsError::Unavailable(_) | OpsError::Ending { is_known: true, .. });
        assert!(is_so && said.starts_with("nothing changed"), "{said}");
        assert_eq!(Problem::from(error).word(), "unavailable");
    }
}

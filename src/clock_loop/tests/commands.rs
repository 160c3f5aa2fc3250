//! Commands to the loop: what is due comes between them.

use super::*;
use crate::{
    clock_loop::{Decided, NotDecided, PauseFor, Unchanged},
    store::{StoreError, StoreEvent},
};

#[tokio::test]
async fn what_is_due_comes_between_commands_however_many_are_waiting() {
    let (publisher, mut task) = Publisher::channel(4);
    let (clock_loop, handle) = ClockLoop::new(parts(&Memory::default(), publisher).await);
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    task.link.send_replace(Link::Up { generation: 1, broker: "a test".into(), user: None });
    let askers: Vec<_> = (0..200)
        .map(|_| {
            let commands = handle.commands.clone();
            tokio::spawn(async move {
                loop {
                    let (reply, answer) = tokio::sync::oneshot::channel();
                    commands.send(Command::Schedules(None, reply)).await.unwrap();
                    answer.await.unwrap();
                }
            })
        })
        .collect();
    let some = async {
        for _ in 0..3 {
            let batch = task.submitted.recv().await.unwrap();
            let settle = |one: ponos::broker::Publishing| Settlement {
                token: one.token,
                outcome: PublishOutcome::Confirmed { returned: false },
            };
            task.settled.send(batch.into_iter().map(settle).collect()).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), some).await.expect("events go out");
    askers.iter().for_each(tokio::task::JoinHandle::abort);
    running.abort();
}

/// 503 would say that the clock is away; and the asker is to wait, not to look for it.
#[tokio::test]
async fn where_too_many_wait_that_is_said_whatever_was_asked_for() {
    let (publisher, _task) = Publisher::channel(4);
    let (mut clock_loop, _handle) = ClockLoop::new(parts(&Memory::default(), publisher).await);
    let wait = Duration::from_secs(60);
    type Refused = fn(String) -> NotDecided;
    let refusals: [Refused; 3] = [
        NotDecided::TooMany,
        |what| NotDecided::NoRoom(what, Duration::from_secs(60)),
        NotDecided::Unavailable,
    ];
    for refused in refusals {
        let (reply, paused) = tokio::sync::oneshot::channel();
        let (scope, end) = (crate::engine::Scope::All, None);
        let asked = PauseFor { scope, by: "ann".into(), note: "".into(), end };
        clock_loop.on_command(Command::Pause(asked, reply));
        let command = clock_loop.next_command() - 1;
        clock_loop.refuse(&[command], "there is no room", refused);
        let what = "nothing changed, for there is no room; try again later".to_owned();
        assert_eq!(paused.await.unwrap(), Err(Unchanged::from(refused(what))));
    }
    let (reply, answer) = tokio::sync::oneshot::channel();
    let key: ponos::event::CommandId = "key".parse().unwrap();
    clock_loop.on_command(Command::Trigger("often".into(), key.into(), reply));
    let command = clock_loop.next_command() - 1;
    clock_loop.perform(crate::engine::Action::TooMany(vec![command]));
    assert!(matches!(answer.await.unwrap(), Err(Unchanged::TooMany(_))));
    let id: ponos::event::CommandId = "june".parse().unwrap();
    let (reply, answer) = tokio::sync::oneshot::channel();
    clock_loop.on_command(Command::Trigger("often".into(), id.into(), reply));
    let command = clock_loop.next_command() - 1;
    clock_loop.refuse(&[command], "there is no room", |what| NotDecided::NoRoom(what, wait));
    let Err(Unchanged::NoRoom(_, told)) = answer.await.unwrap() else { panic!("there is no room") };
    assert_eq!(told, wait);
}

#[tokio::test]
async fn what_becomes_of_parked_events_is_not_decided_while_the_disk_fails() {
    let (publisher, _task) = Publisher::channel(4);
    let (mut clock_loop, _handle) = ClockLoop::new(parts(&Memory::default(), publisher).await);
    let (reply, waiting) = tokio::sync::oneshot::channel();
    clock_loop.promised.push(super::super::commands::Promise(u64::MAX, Decided::default(), reply));
    let error = StoreError::Io { path: "store".into(), what: "no space left".into() };
    clock_loop.on_store(StoreEvent::Failing { error });
    let Err(NotDecided::Unknown(why)) = waiting.await.unwrap() else { panic!("it is written") };
    assert!(why.contains("a restart may forget it") && why.contains("no space left"), "{why}");
    for command in [Command::Release, Command::Drop] {
        let (reply, answer) = tokio::sync::oneshot::channel();
        clock_loop.on_command(command(vec![7], reply));
        let Err(NotDecided::Unavailable(why)) = answer.await.unwrap() else { panic!("it is done") };
        assert!(why.starts_with("nothing changed, for the store can't be written"), "{why}");
    }
    assert!(clock_loop.promised.is_empty());
}

//! Pauses as the loop answers and shows them.

use super::*;
use crate::{
    clock,
    clock_loop::{Handle, PauseChanged},
    engine::{OnResume, PauseRequest},
    store::Fault,
};
use tokio::sync::oneshot;

const LIMIT: Duration = Duration::from_secs(60);

async fn ask(
    handle: &Handle,
    command: impl FnOnce(oneshot::Sender<PauseChanged>) -> Command,
) -> PauseChanged {
    let (reply, answer) = oneshot::channel();
    handle.commands.send(command(reply)).await.unwrap();
    tokio::time::timeout(LIMIT, answer).await.expect("it is answered in time").unwrap()
}

fn request(note: &str) -> PauseRequest {
    PauseRequest { by: "ann".into(), note: note.into(), until: None }
}

async fn pause(handle: &Handle, note: &str) -> PauseChanged {
    ask(handle, |reply| Command::Pause(request(note), reply)).await
}

async fn resume(handle: &Handle) -> PauseChanged {
    ask(handle, |reply| Command::Resume(OnResume::CatchUp, reply)).await
}

#[tokio::test]
async fn a_pause_is_answered_when_it_is_durable_and_shown_with_its_note() {
    let memory = Memory::default();
    let (publisher, task) = Publisher::channel(4);
    let (clock_loop, handle) = ClockLoop::new(parts(&memory, publisher).await);
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    task.link.send_replace(Link::Up { generation: 1, broker: "a test".into(), user: None });
    assert_eq!(resume(&handle).await, Ok((None, None)));
    let (before, paused) = pause(&handle, "new disks").await.unwrap();
    assert_eq!((before, &*paused.as_ref().unwrap().note), (None, "new disks"));
    let kept = memory.open("khronos", Limits::default()).unwrap().load().unwrap().pauses;
    assert_eq!(kept.paused, paused);
    let status = handle.status.borrow().clone();
    assert_eq!((&status.paused, status.reasons), (&paused, vec![]));
    assert!(status.warnings[0].contains("by ann: new disks"), "{:?}", status.warnings);
    let (before, again) = pause(&handle, "more disks").await.unwrap();
    assert_eq!((before, again.unwrap().since), (paused.clone(), paused.unwrap().since));
    let (before, after) = resume(&handle).await.unwrap();
    assert_eq!((&*before.unwrap().note, after), ("more disks", None));
    assert_eq!(handle.status.borrow().paused, None);
    running.abort();
}

/// Nothing else is due: the loop turns all the same, however many ask.
#[tokio::test]
async fn a_paused_clock_that_is_asked_all_the_time_goes_on_telling_how_it_is() {
    let (publisher, task) = Publisher::channel(4);
    let (clock_loop, mut handle) = ClockLoop::new(parts(&Memory::default(), publisher).await);
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    task.link.send_replace(Link::Up { generation: 1, broker: "a test".into(), user: None });
    pause(&handle, "new disks").await.unwrap();
    let commands = handle.commands.clone();
    let asking = tokio::spawn(async move {
        loop {
            let (reply, answer) = oneshot::channel();
            commands.send(Command::Schedules(None, reply)).await.unwrap();
            answer.await.unwrap();
        }
    });
    let begun = clock::now();
    let told = handle.status.wait_for(|status| status.now.since(begun) > 3_000);
    tokio::time::timeout(LIMIT, told).await.expect("it is told in time").unwrap();
    asking.abort();
    running.abort();
}

#[tokio::test]
async fn what_the_disk_does_not_take_is_not_answered_as_done() {
    let memory = Memory::default();
    let (publisher, _task) = Publisher::channel(4);
    let (clock_loop, mut handle) = ClockLoop::new(parts(&memory, publisher).await);
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    // The schedules are written first.
    let (reply, answer) = oneshot::channel();
    handle.commands.send(Command::Write(reply)).await.unwrap();
    answer.await.unwrap().unwrap();
    (0..1_000).for_each(|_| memory.plant(Fault::Refused));
    let why = pause(&handle, "new disks").await.unwrap_err();
    assert!(why.contains("it is in effect") && why.contains("a restart may forget it"), "{why}");
    let failing = handle.status.wait_for(|status| !status.reasons.is_empty());
    tokio::time::timeout(LIMIT, failing).await.expect("it is told in time").unwrap();
    let why = resume(&handle).await.unwrap_err();
    assert!(why.starts_with("nothing changed, for the store can't be written"), "{why}");
    assert!(handle.status.borrow().paused.is_some());
    running.abort();
}

/// When a pause would begin is not clear then, and nothing is sent meanwhile.
#[tokio::test]
async fn while_the_clock_is_not_believed_a_pause_is_refused_with_the_reason() {
    let memory = Memory::default();
    // The clock leaps from the first second to now.
    let then = Timestamp::from_millis(1_000);
    let commit = Commit { settled: then, handed: then, reached: then, ..Commit::default() };
    memory.open("khronos", Limits::default()).unwrap().save(0, &commit).unwrap();
    let (publisher, _task) = Publisher::channel(4);
    let mut parts = parts(&memory, publisher).await;
    parts.rules.clock.settle = 3_600_000;
    let (clock_loop, handle) = ClockLoop::new(parts);
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    let why = pause(&handle, "new disks").await.unwrap_err();
    assert!(why.starts_with("nothing changed, for the wall clock jumped ahead"), "{why}");
    assert_eq!(handle.status.borrow().paused, None);
    running.abort();
}

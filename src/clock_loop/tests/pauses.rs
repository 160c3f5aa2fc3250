//! Pauses as the loop answers and shows them.

use super::*;
use crate::{
    clock::{self, Alarm},
    clock_loop::{Degraded, Handle, PauseAnswer, PauseChanged, PauseFor, PauseLength, Unchanged},
    engine::{OnResume, Pause, PauseEnd, Pauses, Reached, Scope},
    store::Fault,
};
use tokio::sync::oneshot;

const LIMIT: Duration = Duration::from_secs(60);

async fn ask(handle: &Handle, command: impl FnOnce(oneshot::Sender<PauseAnswer>) -> Command) -> PauseAnswer {
    let (reply, answer) = oneshot::channel();
    handle.commands.send(command(reply)).await.unwrap();
    tokio::time::timeout(LIMIT, answer).await.expect("it is answered in time").unwrap()
}

async fn pause_for(handle: &Handle, note: &str, end: Option<(PauseLength, OnResume)>) -> PauseAnswer {
    let asked = PauseFor { scope: Scope::All, by: "ann".into(), note: note.into(), end };
    ask(handle, |reply| Command::Pause(asked, reply)).await
}

async fn pause(handle: &Handle, note: &str) -> PauseAnswer {
    pause_for(handle, note, None).await
}

/// Why nothing, or nothing durable, came of it.
fn unavailable(answer: PauseAnswer) -> String {
    match answer {
        Err(Unchanged::Unavailable(why) | Unchanged::Unknown(why)) => why,
        other => panic!("{other:?}"),
    }
}

async fn resume(handle: &Handle) -> PauseAnswer {
    ask(handle, |reply| Command::Resume(Scope::All, OnResume::CatchUp, reply)).await
}

#[tokio::test]
async fn a_pause_is_answered_when_it_is_durable_and_shown_with_its_note() {
    let memory = Memory::default();
    let (publisher, task) = Publisher::channel(4);
    let (clock_loop, handle) = ClockLoop::new(parts(&memory, publisher).await);
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    task.link.send_replace(Link::Up { generation: 1, broker: "a test".into(), user: None });
    assert_eq!(resume(&handle).await, Ok(PauseChanged::default()));
    let PauseChanged { before, after: paused, .. } = pause(&handle, "new disks").await.unwrap();
    assert_eq!((before, &*paused.as_ref().unwrap().note), (None, "new disks"));
    let kept = memory.open("khronos", Limits::default()).unwrap().load().unwrap().pauses;
    assert_eq!(kept.paused, paused);
    let status = handle.status.borrow().clone();
    assert_eq!((&status.paused, status.reasons), (&paused, vec![]));
    assert!(status.warnings[0].contains("by ann: new disks"), "{:?}", status.warnings);
    let PauseChanged { before, after: again, .. } = pause(&handle, "more disks").await.unwrap();
    assert_eq!((before, again.unwrap().since), (paused.clone(), paused.unwrap().since));
    let asked = clock::now();
    let PauseChanged { before, ended, after, .. } = resume(&handle).await.unwrap();
    assert_eq!((&*before.unwrap().note, after), ("more disks", None));
    let PauseEnd { at, on_resume } = ended.unwrap();
    assert!(asked <= at && at <= clock::now() && on_resume == OnResume::CatchUp, "{at}");
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
    let why = unavailable(pause(&handle, "new disks").await);
    assert!(why.contains("it is in effect") && why.contains("a restart may forget it"), "{why}");
    let failing = handle.status.wait_for(|status| !status.reasons.is_empty());
    tokio::time::timeout(LIMIT, failing).await.expect("it is told in time").unwrap();
    let why = unavailable(resume(&handle).await);
    assert!(why.starts_with("nothing changed, for the store can't be written"), "{why}");
    assert!(handle.status.borrow().paused.is_some());
    running.abort();
}

#[tokio::test]
async fn an_end_that_the_disk_does_not_take_is_said_to_let_nothing_out() {
    let memory = Memory::default();
    let (publisher, _task) = Publisher::channel(4);
    let (clock_loop, handle) = ClockLoop::new(parts(&memory, publisher).await);
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    pause(&handle, "new disks").await.unwrap();
    (0..1_000).for_each(|_| memory.plant(Fault::Refused));
    let why = unavailable(resume(&handle).await);
    assert!(why.contains("nothing is sent before it can") && why.contains("after a restart"), "{why}");
    assert!(!why.contains("in effect"), "{why}");
    running.abort();
}

/// When a pause would begin is not clear then, and nothing is sent meanwhile.
#[tokio::test]
async fn while_the_clock_is_not_believed_a_pause_is_refused_with_the_reason() {
    let (publisher, _task) = Publisher::channel(4);
    let (clock_loop, handle) = ClockLoop::new(leaping(publisher).await);
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    let why = unavailable(pause(&handle, "new disks").await);
    assert!(why.starts_with("nothing changed, for the wall clock jumped ahead"), "{why}");
    assert!(why.ends_with("3600 s after the jump (clock.settle)"), "{why}");
    assert_eq!(handle.status.borrow().paused, None);
    running.abort();
}

/// A clock whose store has come to an instant that is so many milliseconds ahead of the wall clock.
async fn set_back_by(millis: i64, max_backward: i64, publisher: Publisher) -> (ClockLoop, Handle, Timestamp) {
    let memory = Memory::default();
    let then = clock::now().plus(millis);
    let commit = Commit { settled: then, handed: then, reached: then, ..Commit::default() };
    memory.open("khronos", Limits::default()).unwrap().save(0, &commit).unwrap();
    let mut parts = parts(&memory, publisher).await;
    parts.rules.clock.max_backward = max_backward;
    parts.rules.clock.settle = 60 * MINUTE;
    let (clock_loop, handle) = ClockLoop::new(parts);
    (clock_loop, handle, then)
}

const MINUTE: i64 = 60_000;

#[tokio::test]
async fn the_length_of_a_pause_is_measured_by_the_time_that_ends_it() {
    let (publisher, _task) = Publisher::channel(4);
    let (clock_loop, handle, then) = set_back_by(4 * MINUTE, 5 * MINUTE, publisher).await;
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    let end = |length| Some((length, OnResume::Skip));
    let paused = pause_for(&handle, "x", end(PauseLength::For(3 * MINUTE))).await.unwrap().after;
    let until = paused.expect("it has not ended at once").until.unwrap().at;
    assert_eq!(until, then.plus(3 * MINUTE));
    let wall = clock::now().plus(3 * MINUTE);
    match pause_for(&handle, "x", end(PauseLength::Until(wall))).await {
        Err(Unchanged::Invalid(why)) => assert!(
            why.starts_with(&format!("until: {wall} is past: the clock had come to {then} before")),
            "{why}"
        ),
        other => panic!("{other:?}"),
    }
    running.abort();
}

/// Else it would say for an hour that all is well, or that it is not.
#[tokio::test]
async fn while_the_clock_is_not_believed_its_status_is_brought_up_to_date() {
    let (publisher, _task) = Publisher::channel(4);
    let (clock_loop, mut handle, _) = set_back_by(60 * MINUTE, MINUTE, publisher).await;
    let begun = clock::now();
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    let later = |status: &crate::clock_loop::Status| {
        status.now.since(begun) > 2_000 && status.degraded.contains(&Degraded::Clock)
    };
    let told = handle.status.wait_for(later);
    tokio::time::timeout(LIMIT, told).await.expect("it is told in time").unwrap();
    running.abort();
}

/// How a pause ends by itself was chosen when it began, and whoever resumes too late is told of that.
#[tokio::test]
async fn a_resume_after_the_pauses_own_end_is_answered_with_how_that_was() {
    let memory = Memory::default();
    let now = clock::now();
    let reached = Reached { lately: now, ever: now, set_backs: 0 };
    let until = PauseEnd { at: now.plus(2_000), on_resume: OnResume::Skip };
    let paused = Pause { since: now, by: "ann".into(), note: "x".into(), until: Some(until), reached };
    let pauses = Some(Pauses { paused: Some(paused), ..Pauses::default() });
    let commit = Commit { settled: now, handed: now, reached: now, pauses, ..Commit::default() };
    memory.open("khronos", Limits::default()).unwrap().save(0, &commit).unwrap();
    let (publisher, _task) = Publisher::channel(4);
    let (mut clock_loop, handle) = ClockLoop::new(parts(&memory, publisher).await);
    let is_paused = handle.status.borrow().paused.is_some();
    // It does not turn meanwhile: the resume is what it sees first.
    testkit::wait_until("its end", LIMIT, async || (clock::now() > until.at).then_some(())).await;
    let (reply, answer) = oneshot::channel();
    clock_loop.on_command(Command::Resume(Scope::All, OnResume::CatchUp, reply));
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    let changed = tokio::time::timeout(LIMIT, answer).await.unwrap().unwrap().unwrap();
    assert!(is_paused && changed.before.is_some(), "{changed:?}");
    assert_eq!((changed.ended, changed.after), (Some(until), None));
    running.abort();
}

/// What it wants later by its own time, which stands still, never comes: it must not be asked again all the time.
#[tokio::test]
async fn while_the_clock_is_held_its_loop_waits_for_the_next_beat() {
    let (publisher, _task) = Publisher::channel(4);
    let (mut clock_loop, _handle, _) = set_back_by(-48 * 60 * MINUTE, MINUTE, publisher).await;
    let alarm = Alarm::new().unwrap();
    for _ in 0..100 {
        let now = clock::now();
        if clock_loop.wake(now) > now {
            return;
        }
        clock_loop.turn(&alarm).await;
    }
    panic!("it turns without a pause");
}

/// One schedule by its name: the others, and the clock, go on.
#[tokio::test]
async fn a_schedule_that_is_paused_by_its_name_is_so_durably_and_shown_with_its_note() {
    let memory = Memory::default();
    let (publisher, task) = Publisher::channel(4);
    let (clock_loop, handle) = ClockLoop::new(parts(&memory, publisher).await);
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    task.link.send_replace(Link::Up { generation: 1, broker: "a test".into(), user: None });
    let scope = || Scope::Named(["often".into()].into());
    let asked = |note: &str| PauseFor { scope: scope(), by: "ann".into(), note: note.into(), end: None };
    let kept = || memory.open("khronos", Limits::default()).unwrap().load().unwrap().named_pauses;
    let (reply, answer) = oneshot::channel();
    // The schedules are there first.
    handle.commands.send(Command::Write(reply)).await.unwrap();
    answer.await.unwrap().unwrap();
    let begun = ask(&handle, |reply| Command::Pause(asked("new queue"), reply)).await.unwrap();
    assert_eq!((begun.before, &*begun.after.as_ref().unwrap().note), (None, "new queue"));
    assert_eq!(kept()[0].1.paused, begun.after);
    let status = handle.status.borrow().clone();
    assert_eq!((status.paused, status.paused_by_name, status.reasons), (None, 1, vec![]));
    assert!(status.warnings[0].starts_with("often: paused since"), "{:?}", status.warnings);
    let (reply, answer) = oneshot::channel();
    handle.commands.send(Command::Schedule("often".into(), reply)).await.unwrap();
    assert_eq!(answer.await.unwrap().unwrap().paused, begun.after);
    let again = ask(&handle, |reply| Command::Pause(asked("still"), reply)).await.unwrap();
    assert_eq!((again.before, again.ended), (begun.after, None));
    let resumed = ask(&handle, |reply| Command::Resume(scope(), OnResume::Skip, reply)).await.unwrap();
    assert_eq!((resumed.before, resumed.after), (again.after, None));
    assert_eq!(resumed.ended.unwrap().on_resume, OnResume::Skip);
    assert_eq!(handle.status.borrow().paused_by_name, 0);
    assert!(kept().iter().all(|(_, pauses)| pauses.paused.is_none()));
    let nothing = ask(&handle, |reply| Command::Resume(scope(), OnResume::Skip, reply)).await;
    assert_eq!(nothing, Ok(PauseChanged::default()));
    running.abort();
}

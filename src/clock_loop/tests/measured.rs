//! What the loop shows for metrics.

use super::*;
use crate::{
    clock_loop::{Degraded, Handle, Status},
    engine::{OldestPage, States},
};
use tokio::sync::oneshot;

/// Waits until the status is as wanted.
async fn until(handle: &mut Handle, what: &str, wanted: impl FnMut(&Status) -> bool) -> Status {
    let shown = tokio::time::timeout(Duration::from_secs(60), handle.status.wait_for(wanted)).await;
    shown.unwrap_or_else(|_| panic!("not in time: {what}")).unwrap().clone()
}

async fn oldest(handle: &Handle) -> OldestPage {
    let (reply, answer) = oneshot::channel();
    handle.commands.send(Command::Oldest(None, reply)).await.unwrap();
    answer.await.unwrap()
}

#[tokio::test]
async fn what_is_not_answered_or_refused_and_what_is_wrong_is_shown() {
    let (publisher, mut task) = Publisher::channel(4);
    let (clock_loop, mut handle) = ClockLoop::new(parts(&Memory::default(), publisher).await);
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    let status = until(&mut handle, "no connection", |status| status.degraded == [Degraded::Broker]).await;
    assert_eq!(status.figures.schedules, States { active: 1, paused: 0, finished: 0 });
    task.link.send_replace(Link::Up { generation: 1, broker: "a test".into(), user: None });
    let sent = task.submitted.recv().await.unwrap();
    let status = until(&mut handle, "an event in flight", |status| status.figures.in_flight == 1).await;
    assert_eq!((status.figures.refusals, status.degraded), (0, vec![]));
    let due = sent[0].message.headers.text("cloudEvents_time").unwrap().parse().unwrap();
    assert_eq!(oldest(&handle).await, OldestPage { last: None, oldest: Some(due) });
    let refuse =
        |one: &ponos::broker::Publishing| Settlement { token: one.token, outcome: PublishOutcome::Nacked };
    task.settled.send(sent.iter().map(refuse).collect()).await.unwrap();
    let status = until(&mut handle, "a refusal", |status| status.figures.refusals == 1).await;
    let status = match status.degraded.is_empty() {
        true => until(&mut handle, "that it is parked", |status| !status.degraded.is_empty()).await,
        false => status,
    };
    assert_eq!((status.figures.refused_schedules, status.parked), (1, 1));
    assert_eq!(status.degraded, [Degraded::Refused, Degraded::Parked]);
    assert_eq!(status.warnings.len(), 2);
    running.abort();
}

#[tokio::test]
async fn what_got_no_answer_is_the_oldest_that_is_outstanding() {
    let (publisher, mut task) = Publisher::channel(4);
    let (clock_loop, mut handle) = ClockLoop::new(parts(&Memory::default(), publisher).await);
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    task.link.send_replace(Link::Up { generation: 1, broker: "a test".into(), user: None });
    let sent = task.submitted.recv().await.unwrap();
    let due: Timestamp = sent[0].message.headers.text("cloudEvents_time").unwrap().parse().unwrap();
    task.link.send_replace(Link::Down { attempts: 0, error: None });
    until(&mut handle, "no connection", |status| status.degraded.contains(&Degraded::Broker)).await;
    let lose =
        |one: &ponos::broker::Publishing| Settlement { token: one.token, outcome: PublishOutcome::Lost };
    task.settled.send(sent.iter().map(lose).collect()).await.unwrap();
    until(&mut handle, "a span", |status| status.outstanding == 1 && status.figures.in_flight == 0).await;
    let page = oldest(&handle).await;
    assert_eq!((page.oldest, page.last), (Some(due), Some(("often".into(), 1))));
    running.abort();
}

#[tokio::test]
async fn the_status_is_kept_up_to_date_however_often_the_loop_is_asked() {
    let (publisher, _task) = Publisher::channel(4);
    let mut parts = parts(&Memory::default(), publisher).await;
    parts.schedules = files(Vec::new());
    let (clock_loop, mut handle) = ClockLoop::new(parts);
    let running = tokio::spawn(clock_loop.run(shutdown().1));
    let begun = until(&mut handle, "no connection", |status| !status.degraded.is_empty()).await.now;
    let asker = handle.clone();
    let asking = tokio::spawn(async move {
        loop {
            oldest(&asker).await;
        }
    });
    until(&mut handle, "two more beats", |status| status.now.since(begun) > 2_000).await;
    asking.abort();
    running.abort();
}

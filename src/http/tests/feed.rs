//! The feed: where it starts, what it gives, what it says of what it can't give.

use super::*;
use crate::ops::GapView;

pub(super) async fn next(feed: &mut client::Feed) -> client::Message {
    tokio::time::timeout(Duration::from_secs(60), feed.next())
        .await
        .expect("in time")
        .unwrap()
        .expect("an event")
}

/// The position of a row, as the feed gives it.
fn id(row: u64) -> Option<String> {
    Some(Position::new(RECORD, row).to_string())
}

#[tokio::test]
async fn a_feed_without_a_position_starts_at_the_end_and_goes_on_live() {
    let clock = Clock::start().await;
    clock.record(confirmed("one-minute", 1));
    let mut feed = clock.client.feed("", None).await.unwrap();
    clock.record(confirmed("one-minute", 2));
    let message = next(&mut feed).await;
    assert_eq!((message.id, message.event.as_str()), (id(2), "time.one-minute.passed"));
    let event: Value = serde_json::from_str(&message.data).unwrap();
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["type"], "time.one-minute.passed");
    assert_eq!(event["time"], "1970-01-01T00:02:00.000Z");
    assert_eq!(event["recordedtime"], "1970-01-01T00:02:00.003Z");
    assert_eq!(event["data"]["schedule"], "one-minute");
}

#[tokio::test]
async fn a_feed_resumes_after_the_last_event_id_and_gives_each_event_once() {
    let clock = Clock::start().await;
    (1..=5).for_each(|minute| clock.record(confirmed("one-minute", minute)));
    let mut feed = clock.client.feed("after=1", Some("3")).await.unwrap();
    assert_eq!(next(&mut feed).await.id, id(4));
    assert_eq!(next(&mut feed).await.id, id(5));
    clock.record(confirmed("one-minute", 6));
    assert_eq!(next(&mut feed).await.id, id(6));
}

#[tokio::test]
async fn a_feed_gives_only_confirmed_events_that_match() {
    let clock = Clock::start().await;
    let mut feed = clock
        .client
        .feed("match=a.b.c&match=time.three-minutes.%23&match=%23.two-minutes.*", None)
        .await
        .unwrap();
    clock.record(confirmed("one-minute", 2));
    clock.record(Row { outcome: Outcome::Dropped, ..confirmed("two-minutes", 2) });
    clock.record(confirmed("two-minutes", 4));
    let message = next(&mut feed).await;
    assert_eq!((message.id, message.event.as_str()), (id(3), "time.two-minutes.passed"));
}

#[tokio::test]
async fn a_trimmed_position_is_told_as_a_gap() {
    let clock = Clock::start().await;
    (1..=5).for_each(|minute| clock.record(confirmed("one-minute", minute)));
    clock.trim(3);
    let mut feed = clock.client.feed("after=1", None).await.unwrap();
    let gap = next(&mut feed).await;
    assert_eq!((gap.event.as_str(), gap.id), ("gap", id(3)));
    let data: Value = serde_json::from_str(&gap.data).unwrap();
    assert_eq!((&data["from"], &data["to"]), (&2.into(), &3.into()));
    assert_eq!(next(&mut feed).await.id, id(4));
}

#[tokio::test]
async fn a_position_beyond_the_record_is_a_gap_and_starts_over() {
    let clock = Clock::start().await;
    clock.record(confirmed("one-minute", 1));
    let mut feed = clock.client.feed("", Some("900")).await.unwrap();
    let gap = next(&mut feed).await;
    assert_eq!((gap.event.as_str(), gap.id), ("gap", id(0)), "who resumes from here misses nothing");
    assert_eq!(next(&mut feed).await.id, id(1));
}

#[tokio::test]
async fn a_position_of_another_record_is_a_gap_however_long_the_new_one_is() {
    let clock = Clock::start().await;
    (1..=5).for_each(|minute| clock.record(confirmed("one-minute", minute)));
    let (other, ours) = (Position::new(RECORD + 1, 3), Position::new(RECORD, 3));
    let mut feed = clock.client.feed(&format!("after={other}"), None).await.unwrap();
    let gap = next(&mut feed).await;
    assert_eq!((gap.event.as_str(), gap.id), ("gap", id(0)));
    let view: GapView = serde_json::from_str(&gap.data).unwrap();
    assert_eq!((view.from, view.to), (None, None), "the old record's rows have no numbers in this one");
    assert!(view.reason.contains("it is a new one"), "{view:?}");
    assert_eq!(next(&mut feed).await.id, id(1));
    let mut feed = clock.client.feed("", Some(&ours.to_string())).await.unwrap();
    assert_eq!(next(&mut feed).await.id, id(4));
    for key in ["after", "before"] {
        let (status, detail) = refused(clock.client.get(&format!("/history?{key}={other}")).await).await;
        assert!(
            status == 400 && detail.contains(&format!("{key}: this position belongs to another")),
            "{detail}"
        );
        let page: History = clock.client.get(&format!("/history?{key}={ours}")).await.unwrap();
        assert_eq!(page.rows.len(), 2);
    }
}

#[tokio::test]
async fn the_last_position_of_all_is_a_gap_too() {
    let clock = Clock::start().await;
    clock.record(confirmed("one-minute", 1));
    for position in [u64::MAX, u64::MAX - 1] {
        let mut feed = clock.client.feed(&format!("after={position}"), None).await.unwrap();
        let gap = next(&mut feed).await;
        assert_eq!((gap.event.as_str(), gap.id), ("gap", id(0)));
        assert_eq!(next(&mut feed).await.id, id(1));
    }
    let (status, detail) = refused(clock.client.get(&format!("/history?after={}", u64::MAX)).await).await;
    assert!(status == 400 && detail.contains("whose last row is number 1"), "{detail}");
    let history: History = clock.client.get("/history?after=1").await.unwrap();
    assert_eq!((history.rows, history.next), (vec![], None));
    let history: History = clock.client.get(&format!("/history?before={}", u64::MAX)).await.unwrap();
    assert_eq!(history.rows.len(), 1);
}

#[tokio::test]
async fn a_pattern_that_can_match_nothing_is_refused_at_once() {
    let clock = Clock::start().await;
    for pattern in ["", "time..passed", "two-*", "time.*", "Time.%23"] {
        match clock.client.feed(&format!("match={pattern}"), None).await {
            Err(ClientError::Refused { status: 400, detail, .. }) => {
                assert!(detail.contains("match: "), "{detail}")
            }
            other => panic!("{pattern}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_event_whose_definition_is_gone_is_told_as_a_gap() {
    let clock = Clock::start().await;
    let mut feed = clock.client.feed("", None).await.unwrap();
    clock.record(Row { revision: 9, ..confirmed("one-minute", 1) });
    clock.record(confirmed("one-minute", 2));
    assert_eq!(next(&mut feed).await.event, "gap");
    assert_eq!(next(&mut feed).await.id, id(2));
}

#[tokio::test]
async fn an_event_whose_definition_can_not_be_had_at_once_is_given_later() {
    let mut clock = Clock::start().await;
    // A loop that does not answer the first time.
    let (commands, mut asked) = mpsc::channel(1);
    clock.state.clock.handle.commands = commands;
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let client = Client::new(Target::Tcp(listener.local_addr().unwrap().to_string()));
    tokio::spawn(serve(listener, clock.state.clone(), clock.shutdown.clone()));
    let mut feed = client.feed("", None).await.unwrap();
    clock.record(confirmed("one-minute", 1));
    let answer = tokio::spawn(async move {
        let passed_over = asked.recv().await;
        assert!(matches!(passed_over, Some(Command::Revision(..))), "{passed_over:?}");
        drop(passed_over);
        match asked.recv().await {
            Some(Command::Revision(_, 1, reply)) => reply.send(Some(revision("one-minute", "1 minute"))),
            other => panic!("{other:?}"),
        }
    });
    let message = next(&mut feed).await;
    assert_eq!((message.id, message.event.as_str()), (id(1), "time.one-minute.passed"));
    answer.await.unwrap().unwrap();
}

#[tokio::test]
async fn too_many_feeds_are_told_to_come_back() {
    let clock = Clock::with(Limits { feeds: 1, ..Limits::patient() }).await;
    let held = clock.client.feed("", None).await.unwrap();
    let (status, detail) = match clock.client.feed("", None).await {
        Err(ClientError::Refused { status, detail, .. }) => (status, detail),
        other => panic!("{other:?}"),
    };
    assert_eq!(status, 503, "{detail}");
    drop(held);
}

#[tokio::test]
async fn feeds_end_when_the_clock_drains() {
    let clock = Clock::start().await;
    let mut feed = clock.client.feed("", None).await.unwrap();
    clock.trigger.advance();
    let ended = tokio::time::timeout(Duration::from_secs(60), feed.next()).await.expect("in time");
    assert!(matches!(ended, Ok(None)), "{ended:?}");
}

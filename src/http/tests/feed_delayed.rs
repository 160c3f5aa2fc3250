//! Delayed events in the feed, where their record keeps what was published.

use super::{feed::next, *};
use crate::{
    delayed::{DelayedBatch, DelayedLimits, DelayedStore as _},
    ops::{self, GapView, delayed::tests::NOW},
    position::FeedPosition,
};

impl Clock {
    /// The same with delayed events, which its feed has, too: as after a start on what its store holds.
    async fn feeding(mut self) -> Self {
        self.machine.reach(Timestamp::EPOCH);
        let delayed = self.machine.handle().await;
        self.state.clock = self.state.clock.with_delayed(delayed).feeding_delayed(true);
        self.serve_again().await;
        self
    }

    /// Puts an item and has it sent.
    async fn send(&self, name: &str, item: &str) {
        self.put(name, item).await;
        self.machine.publish(name);
    }

    /// Wakes feeds that wait: what the machine writes goes by no thread of the store.
    fn wake(&self) {
        self.record(Row { outcome: Outcome::Dropped, ..confirmed("one-minute", 9) });
    }
}

const ITEM: &str =
    r#"{"event":"order.reminder.due","in":"10m","data":{"order": 7},"correlation_id":"c","expires":"1h"}"#;

fn position(message: &client::Message) -> FeedPosition {
    message.id.as_deref().unwrap().parse().unwrap()
}

/// What the next so many of a feed are about.
async fn subjects(feed: &mut client::Feed, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    for _ in 0..count {
        let message = next(feed).await;
        let event: Value = serde_json::from_str(&message.data).unwrap();
        found.push(event["subject"].as_str().unwrap_or(&message.event).to_owned());
    }
    found
}

#[tokio::test]
async fn a_delayed_event_that_was_sent_is_in_the_feed_with_what_it_said() {
    let clock = Clock::start().await.feeding().await;
    let mut feed = clock.client.feed("", None).await.unwrap();
    clock.send("a", ITEM).await;
    clock.wake();
    let message = next(&mut feed).await;
    assert_eq!(message.event, "order.reminder.due");
    let event: Value = serde_json::from_str(&message.data).unwrap();
    let view = ops::delayed::get(&clock.state.clock, "a").await.unwrap();
    for (key, value) in [
        ("id", Value::from(view.event_id)),
        ("type", "order.reminder.due".into()),
        ("subject", "a".into()),
        ("time", view.due_at.to_string().into()),
        ("recordedtime", NOW.plus(3).to_string().into()),
        ("expirytime", view.due_at.plus(3_600_000).to_string().into()),
        ("correlationid", "c".into()),
        ("khronoslatenessms", 3.into()),
        ("datacontenttype", "application/json".into()),
    ] {
        assert_eq!(event[key], value, "{key}: {event}");
    }
    assert!(message.data.ends_with(r#","data":{"order": 7}}"#), "{}", message.data);
}

#[tokio::test]
async fn data_of_any_kind_stand_on_one_line() {
    let clock = Clock::start().await.feeding().await;
    clock.send("a", "{\"event\":\"a.b.c\",\"in\":\"1m\",\"data\":{\r\n\"x\":\n1.0}}").await;
    clock.send("b", r#"{"event":"a.b.c","in":"1m","data_base64":"AP8=","datacontenttype":"a/b"}"#).await;
    clock.send("c", r#"{"event":"a.b.c","in":"1m"}"#).await;
    let mut feed = clock.client.feed("after=0", None).await.unwrap();
    assert!(next(&mut feed).await.data.ends_with(r#","data":{  "x": 1.0}}"#));
    let event: Value = serde_json::from_str(&next(&mut feed).await.data).unwrap();
    assert_eq!((&event["data_base64"], &event["datacontenttype"]), (&"AP8=".into(), &"a/b".into()));
    assert!(event.get("data").is_none());
    let event: Value = serde_json::from_str(&next(&mut feed).await.data).unwrap();
    assert!(event.get("data").is_none() && event.get("data_base64").is_none());
}

#[tokio::test]
async fn a_feed_goes_on_in_both_records_after_a_restart_and_gives_each_event_once() {
    let clock = Clock::start().await.feeding().await;
    clock.record(confirmed("one-minute", 1));
    for name in ["a", "b"] {
        clock.send(name, ITEM).await;
    }
    let mut feed = clock.client.feed("after=0", None).await.unwrap();
    // However far it was read in either.
    let mut last = Vec::new();
    for _ in 0..3 {
        last.push(next(&mut feed).await.id.unwrap());
    }
    let all = ["one-minute", "a", "b"];
    clock.record(confirmed("one-minute", 2));
    clock.send("c", ITEM).await;
    let clock = clock.feeding().await;
    for (seen, id) in last.iter().enumerate() {
        let mut feed = clock.client.feed("", Some(id)).await.unwrap();
        let mut found = subjects(&mut feed, 4 - seen).await;
        found.sort();
        let mut expected: Vec<_> = all[seen + 1..].iter().copied().chain(["one-minute", "c"]).collect();
        expected.sort_unstable();
        assert_eq!(found, expected, "after {id}");
    }
    // A list of the rows of schedules takes such a position, too.
    let history: History = clock.client.get(&format!("/v1/history?after={}", last[2])).await.unwrap();
    assert_eq!(history.rows.len(), 1);
}

#[tokio::test]
async fn a_position_of_before_goes_on_in_its_record_and_from_now_on_in_that_of_delayed_events() {
    let clock = Clock::start().await.feeding().await;
    (1..=3).for_each(|minute| clock.record(confirmed("one-minute", minute)));
    clock.send("a", ITEM).await;
    for (number, before) in [Position::new(RECORD, 2).to_string(), "2".to_owned()].into_iter().enumerate() {
        let mut feed = clock.client.feed("", Some(&before)).await.unwrap();
        let message = next(&mut feed).await;
        let FeedPosition { schedules, delayed } = position(&message);
        assert_eq!(
            (schedules.row(), delayed.map(Position::row)),
            (3, Some(1 + number as u64)),
            "{message:?}"
        );
        let name = format!("b{number}");
        clock.send(&name, ITEM).await;
        clock.wake();
        assert_eq!(subjects(&mut feed, 1).await, [name]);
    }
}

#[tokio::test]
async fn what_the_feed_can_not_give_of_delayed_events_is_a_gap() {
    let clock = Clock::start().await.feeding().await;
    for name in ["a", "b", "c"] {
        clock.send(name, ITEM).await;
    }
    let reason = |message: &client::Message| {
        assert_eq!(message.event, "gap", "{message:?}");
        serde_json::from_str::<GapView>(&message.data).unwrap().reason
    };
    // Of another store.
    let (schedules, other) = (Position::new(RECORD, 0), Position::new(RECORD, 2));
    let other = FeedPosition { schedules, delayed: Some(other) }.to_string();
    let mut feed = clock.client.feed("", Some(&other)).await.unwrap();
    assert!(
        reason(&next(&mut feed).await).contains("the record of delayed events does not have this position")
    );
    assert_eq!(subjects(&mut feed, 3).await, ["a", "b", "c"]);
    // Trimmed, and sent to a broker that keeps what it was sent.
    let limits = DelayedLimits { rows: 1, ..DelayedLimits::default() };
    clock.machine.disk.open("khronos", limits).unwrap().write(0, &DelayedBatch::default()).unwrap();
    clock.put("d", ITEM).await;
    clock.machine.settle("d");
    let mut feed = clock.client.feed("after=0", None).await.unwrap();
    assert_eq!(subjects(&mut feed, 1).await, ["c"], "it begins with what is kept");
    assert!(reason(&next(&mut feed).await).contains("'d': what it said is not kept"));
    let record = clock.machine.handle().await.id();
    let trimmed = FeedPosition { schedules, delayed: Some(Position::new(record, 1)) }.to_string();
    let mut feed = clock.client.feed("", Some(&trimmed)).await.unwrap();
    assert!(reason(&next(&mut feed).await).starts_with("the rows 2 to 2 of the record of delayed events"));
    assert_eq!(subjects(&mut feed, 1).await, ["c"]);
}

#[tokio::test]
async fn tasks_what_was_given_up_on_and_what_does_not_match_are_passed() {
    let clock = Clock::start().await.feeding().await;
    clock.send("task", r#"{"event":"docker.images.cleanup","in":"1m","to":{"task":"docker.images"}}"#).await;
    clock.put("parked", ITEM).await;
    clock.machine.end("parked", Outcome::Parked("full".into()));
    clock.send("other", r#"{"event":"a.b.c","in":"1m"}"#).await;
    clock.send("wanted", ITEM).await;
    let mut feed = clock.client.feed("after=0&match=order.%23", None).await.unwrap();
    let message = next(&mut feed).await;
    assert_eq!(position(&message).delayed.map(Position::row), Some(4));
    let mut feed = clock.client.feed("after=0", None).await.unwrap();
    assert_eq!(subjects(&mut feed, 2).await, ["other", "wanted"]);
}

#[tokio::test]
async fn a_clock_whose_broker_keeps_what_is_sent_has_none_in_its_feed() {
    let clock = Clock::start().await.with_events().await;
    clock.send("a", ITEM).await;
    clock.record(confirmed("one-minute", 1));
    let mut feed = clock.client.feed("after=0", None).await.unwrap();
    let message = next(&mut feed).await;
    assert_eq!(
        (message.id, message.event),
        (Some(Position::new(RECORD, 1).to_string()), "time.one-minute.passed".into())
    );
}

#[tokio::test]
async fn a_feed_does_not_begin_without_delayed_events_while_they_can_t_be_read() {
    let clock = Clock::start().await.feeding().await;
    let mut feed = clock.client.feed("", None).await.unwrap();
    clock.send("a", ITEM).await;
    clock.wake();
    let known = position(&next(&mut feed).await);
    let store = clock.machine.handle().await;
    let running = clock.state.clock.clone().with_delayed(store.clone());
    store.close().await.unwrap();
    let of_schedules = FeedPosition { delayed: None, ..known };
    for after in [None, Some(of_schedules)] {
        let begun = ops::feed::follow(running.clone(), Default::default(), after).await;
        assert!(matches!(begun, Err(ops::OpsError::Unavailable(_))), "{after:?}: {begun:?}");
    }
    // One that knows where it stands goes on once it can be read.
    assert!(ops::feed::follow(running.clone(), Default::default(), Some(known)).await.is_ok());
}

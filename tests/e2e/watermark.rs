//! `time.watermark.advanced`: what it says stands in the queue before it.

use crate::harness::{Arrivals, Clock};
use ponos::{
    event::Timestamp,
    topology::{Binding, Exchange, Queue, Topology},
};
use serde_json::Value;
use testkit::Node;

const SCHEDULES: &str = r#"
[[schedule]]
name = "often"
event = "test.heard.often"
every = "100ms"
[[schedule]]
name = "spread"
event = "test.heard.spread"
every = "500ms"
jitter = "400ms"
[[schedule]]
name = "unheard"
event = "test.unheard.passed"
every = "1s"
unrouted = "park"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watermark_advances_behind_all_that_it_says_was_published() {
    let url = Node::shared().vhost("watermark");
    let bound = ["test.heard.*", "time.watermark.advanced"];
    let heard = Topology {
        exchanges: vec![Exchange::topic("events")],
        queues: vec![Queue::quorum("heard")],
        bindings: bound.map(|key| Binding::queue("events", "heard", key)).into(),
        ..Topology::default()
    };
    let arrivals = Arrivals::of(&url, vec![heard]).await;
    let mut clock = Clock::new(&url, SCHEDULES).with("KHRONOS_PUBLISH_WATERMARK", "100ms").started();
    let parked = |arrival: &Value| arrival["parked"].as_u64() > Some(1);
    let data = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap();
    arrivals.first("a watermark with two that are parked", |one| {
        one.message.routing_key == "time.watermark.advanced" && parked(&data(&one.message.body))
    });
    clock.stop();

    let schema: Value = serde_json::from_str(include_str!("../../schemas/watermark-event.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let (mut last, mut told) = (Timestamp::EPOCH, 0);
    for arrival in arrivals.so_far() {
        let at = arrival.event.time.unwrap();
        if arrival.event.name.as_str() != "time.watermark.advanced" {
            let lateness = arrival.message.headers.int("khronos-lateness-ms").unwrap();
            let send = arrival.event.recorded_time.unwrap().plus(-lateness);
            assert!(send > last, "{:?} came behind a watermark of {last}", arrival.event);
            continue;
        }
        let data = data(&arrival.message.body);
        assert!(validator.is_valid(&data), "{data}");
        assert_eq!(data["watermark"], at.to_string());
        assert_eq!(data["paused"], false);
        assert!(at > last, "{at} came behind {last}");
        (last, told) = (at, told + 1);
    }
    assert!(told > 5, "{told} watermarks");
}

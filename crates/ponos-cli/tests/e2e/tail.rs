//! `ponos tail`.

use super::support::{ponos_ends, put, start};
use ponos::event::Event;
use testkit::{Node, Signal};

#[test]
fn it_prints_what_matches_until_the_count_is_reached() {
    let url = Node::shared().vhost("tail-prints");
    let tail = start(&url, &["tail", "order.*.shipped", "weather.#", "--count", "2"]);
    tail.says("listening");
    ponos_ends(
        &url,
        &["publish", "order.parcel.shipped", r#"{"n":1}"#, "--id", "one", "--subject", "s-1"],
        0,
    );
    ponos_ends(&url, &["publish", "order.parcel.west.shipped", "2", "--id", "two"], 0);
    ponos_ends(&url, &["publish", "weather.today.changed", "3", "--id", "three"], 0);
    let ended = tail.end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].ends_with(r#"  order.parcel.shipped  one  s-1  {"n":1}"#), "{lines:?}");
    assert!(lines[1].ends_with("  weather.today.changed  three  -  3"), "{lines:?}");
    assert!(!ended.out.contains('\u{1b}'), "colours where no terminal is");
}

#[test]
fn as_json_each_line_is_the_whole_event() {
    let url = Node::shared().vhost("tail-json");
    let tail = start(&url, &["tail", "--json", "--count", "1"]);
    tail.says("listening");
    ponos_ends(&url, &["publish", "a.b.c", r#"{"n":1}"#, "--id", "one", "--correlation-id", "c"], 0);
    let event: serde_json::Value = serde_json::from_str(&tail.end().out).unwrap();
    assert_eq!(event["id"], "one");
    assert_eq!(event["type"], "a.b.c");
    assert_eq!(event["correlationid"], "c");
    assert_eq!(event["data"]["n"], 1);
}

#[test]
fn an_interrupt_ends_it_with_130_and_a_termination_with_0() {
    let url = Node::shared().vhost("tail-interrupt");
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 0)] {
        let tail = start(&url, &["tail"]);
        tail.says("listening");
        tail.program.signal(signal);
        assert_eq!(tail.end().code, Some(code));
    }
}

#[test]
fn the_time_of_an_event_is_shown_as_it_came() {
    let url = Node::shared().vhost("tail-time");
    let tail = start(&url, &["tail", "--json", "--count", "2"]);
    tail.says("listening");
    let times = ["2026-12-01T10:00:00.123456789+01:00", "2016-12-31T23:59:60Z"];
    for time in times {
        let mut message =
            Event::new("1".parse().unwrap(), "/python", "a.b.c".parse().unwrap(), "1").into_message();
        message.headers.set("cloudEvents_time", time);
        put(&url, "events", vec![message]);
    }
    let out = tail.end().out;
    let shown: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(shown.iter().map(|event| event["time"].as_str().unwrap()).collect::<Vec<_>>(), times);
}

#[test]
fn a_pattern_that_can_not_match_is_refused() {
    for pattern in
        ["time..passed", "", "Time.One-Day.Passed", "time.passed", "*.*", "time.one_day.passed", "time.on*"]
    {
        let ended = ponos_ends("amqp://127.0.0.1:1", &["tail", "order.#", pattern], 2);
        assert!(ended.err.contains(&format!("'{pattern}'")), "{}", ended.err);
    }
    // one that can is not: nobody is there
    ponos_ends("amqp://127.0.0.1:1", &["tail", "order.#", "*.one-day.passed"], 69);
    ponos_ends("amqp://127.0.0.1:1", &["tail", "--count", "0"], 2);
}

//! `ponos tail`.

use super::support::{declare, holds, ponos_ends, put, start};
use ponos::{event::Event, topology::worker::TASKS};
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

#[test]
fn tasks_of_a_service_are_shown_and_their_worker_misses_none() {
    let url = Node::shared().vhost("tail-tasks");
    for queue in ["shop.stock.shelf.clean", "shop.stock.shelf.fill", "docker.stock.shelf.clean"] {
        declare(&url, queue);
    }
    let words = ["tail", "--task", "shop", "stock.shelf.clean", "stock.shelf.fill", "--count", "3"];
    let (people, programs) = (start(&url, &words), start(&url, &[&words[..], &["--json"]].concat()));
    people.says("listening");
    programs.says("listening");
    let send = |service: &str, name: &str, id: &str| {
        ponos_ends(&url, &["publish", name, r#"{"n":1}"#, "--task", service, "--id", id], 0);
    };
    send("shop", "stock.shelf.clean", "one");
    send("docker", "stock.shelf.clean", "of another service");
    ponos_ends(&url, &["publish", "stock.shelf.clean", "1", "--id", "an event"], 0);
    send("shop", "stock.shelf.fill", "two");
    let mut compressed = Event::new(
        "three".parse().unwrap(),
        "/shop",
        "stock.shelf.clean".parse().unwrap(),
        format!("[{}1]", "1,".repeat(500)),
    )
    .into_message();
    compressed.routing_key = "shop.stock.shelf.clean".into();
    assert!(ponos::compression::gzip(&mut compressed));
    put(&url, TASKS, vec![compressed]);
    let ended = people.end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].ends_with(r#"  stock.shelf.clean  one  -  {"n":1}"#), "{lines:?}");
    assert!(lines[1].contains("  stock.shelf.fill  two  "), "{lines:?}");
    assert!(lines[2].contains("  stock.shelf.clean  three  -  [1,1,1,"), "{lines:?}");
    let shown: Vec<serde_json::Value> =
        programs.end().out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<_> = shown.iter().map(|task| task["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["one", "two", "three"]);
    assert_eq!(shown[2]["data"].as_array().unwrap().len(), 501);
    // nothing was taken from their worker
    holds(&url, "shop.stock.shelf.clean", 2);
    holds(&url, "shop.stock.shelf.fill", 1);
}

#[test]
fn a_task_without_a_queue_is_not_tailed_and_whoever_sends_it_is_told_still() {
    let url = Node::shared().vhost("tail-no-task");
    declare(&url, "shop.stock.shelf.fill");
    let words = ["tail", "--task", "shop", "stock.shelf.fill", "stock.shelf.clean"];
    let ended = ponos_ends(&url, &words, 77);
    assert!(ended.err.contains("no queue 'shop.stock.shelf.clean'"), "{}", ended.err);
    ponos_ends(&url, &["publish", "stock.shelf.clean", "1", "--task", "shop"], 1);
    for wrong in [&["tail", "--task", "shop"][..], &["tail", "--task", "shop", "stock.*.clean"]] {
        let ended = ponos_ends(&url, wrong, 2);
        assert!(ended.err.contains("tasks are sent by their whole names"), "{}", ended.err);
    }
    ponos_ends(&url, &["tail", "--task", "shop", "shelf.clean"], 2);
}

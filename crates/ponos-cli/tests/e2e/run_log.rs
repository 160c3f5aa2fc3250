//! What `ponos run` says on standard error.

use super::support::{declare, ponos_ends, put, start, start_in};
use ponos::event::{Event, Message};
use serde_json::Value;
use testkit::Node;

/// A task that fails and is dead, with a reason that a terminal would obey.
fn failed(vhost: &str, more: &[&str]) -> String {
    let url = Node::shared().vhost(vhost);
    declare(&url, "shop.stock.shelf.clean");
    ponos_ends(&url, &["publish", "stock.shelf.clean", "1", "--task", "shop", "--id", "one"], 0);
    let words = ["run", "--service", "shop", "--task", "stock.shelf.clean", "--drain", "--attempts", "1"];
    let script = ["--", "sh", "-c", "printf 'no such\\nimage\\033[2J\\n' >&2; exit 3"];
    let ended = start(&url, &[&words[..], more, &script].concat()).end();
    // something died
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    ended.err
}

#[test]
fn a_line_is_short() {
    let err = failed("log-text", &[]);
    let line = err.lines().find(|line| line.contains("dead-lettered")).unwrap_or_else(|| panic!("{err}"));
    let (time, rest) = line.split_once(' ').unwrap();
    assert!(time.parse::<ponos::event::Timestamp>().is_ok(), "{line}");
    assert!(rest.starts_with("ERROR dead-lettered  "), "{line}");
    for part in
        [" id=one ", " queue=shop.stock.shelf.clean ", " name=stock.shelf.clean ", "reason=\"exit code 3"]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
    for part in ["messaging.", "otel.", "process{", "ponos::", "\u{1b}"] {
        assert!(!line.contains(part), "{part}: {line}");
    }
    assert!(line.len() < 300, "{line}");
}

#[test]
fn what_is_no_event_is_named_as_its_dead_letter_is() {
    let url = Node::shared().vhost("log-no-event");
    declare(&url, "shop.stock.shelf.clean");
    let mut message = Message { routing_key: "shop.stock.shelf.clean".into(), ..Message::default() };
    message.properties.message_id = Some("by-hand".into());
    message.properties.kind = Some("stock.shelf.clean".into());
    put(&url, "", vec![message]);
    let words = ["run", "--service", "shop", "--task", "stock.shelf.clean", "--drain", "--", "true"];
    let err = ponos_ends(&url, &words, 1).err;
    let line = err.lines().find(|line| line.contains("dead-lettered")).unwrap_or_else(|| panic!("{err}"));
    assert!(line.contains(" id=by-hand ") && line.contains(" name=stock.shelf.clean "), "{line}");
}

#[test]
fn as_json_all_that_is_said_is_json() {
    let err = failed("log-json", &["--log-format", "json"]);
    // what the program itself wrote is handed on as it is
    let ours = err.lines().filter(|line| !line.starts_with("no such") && !line.starts_with("image"));
    let lines: Vec<Value> =
        ours.map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}\n{err}"))).collect();
    let said = |text: &str| {
        let found =
            lines.iter().find(|line| line["message"].as_str().is_some_and(|said| said.contains(text)));
        found.unwrap_or_else(|| panic!("{text}: {err}"))
    };
    let dead = said("dead-lettered");
    assert_eq!((&dead["level"], &dead["queue"]), (&"ERROR".into(), &"shop.stock.shelf.clean".into()));
    assert_eq!(dead["messaging.message.id"], "one");
    let ended = said("ended: 0 handled");
    assert!(ended["timestamp"].is_string() && ended["level"] == "INFO", "{ended}");
    let refused = start(
        "amqp://127.0.0.1:1",
        &["run", "--service", "No", "--task", "a.b.c", "--log-format", "json", "--", "true"],
    )
    .end();
    assert_eq!(refused.code, Some(2));
    let line: Value = serde_json::from_str(refused.err.trim()).unwrap_or_else(|_| panic!("{}", refused.err));
    assert_eq!(line["level"], "ERROR");
}

#[test]
fn a_line_about_an_event_with_a_trace_has_its_ids_at_the_top_whatever_the_level() {
    let url = Node::shared().vhost("log-trace");
    declare(&url, "shop.stock.shelf.clean");
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let task = |id: &str, traceparent: Option<String>| {
        let name = "stock.shelf.clean".parse().unwrap();
        let event = Event { traceparent, ..Event::new(id.parse().unwrap(), "/test", name, b"{}".to_vec()) };
        Message { routing_key: "shop.stock.shelf.clean".into(), ..event.into_message() }
    };
    let mut unread = task("unread", Some(format!("00-{trace}-{parent}-00")));
    unread.body = b"{".to_vec();
    let failing = task("failing", Some(format!("00-{trace}-{parent}-01")));
    put(&url, "", vec![failing, unread, task("untraced", None), task("odd", Some("of the maker".into()))]);
    let words = ["run", "--service", "shop", "--task", "stock.shelf.clean", "--drain", "--attempts", "1"];
    let words = [&words[..], &["--log-format", "json", "--", "false"]].concat();
    let ended = start_in(&url, &words, ("PONOS_LOG", "error")).end();
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    let lines: Vec<Value> = ended.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let dead = |id: &str| {
        let found = lines
            .iter()
            .find(|line| line["messaging.message.id"] == id && line["message"] == "dead-lettered");
        found.unwrap_or_else(|| panic!("{id}: {}", ended.err))
    };
    for id in ["failing", "unread"] {
        let line = dead(id);
        let span = line["span_id"].as_str().unwrap_or_default();
        assert_eq!(line["trace_id"], trace, "{line}");
        assert!(span.len() == 16 && span.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}");
        assert_ne!(span, parent, "the sender's span is not this delivery's");
    }
    assert_ne!(dead("failing")["span_id"], dead("unread")["span_id"]);
    for id in ["untraced", "odd"] {
        assert!(dead(id).get("trace_id").is_none() && dead(id).get("span_id").is_none(), "{}", dead(id));
    }
}

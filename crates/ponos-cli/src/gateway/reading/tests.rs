use super::*;
use ponos::schema::Registry;
use serde_json::json;

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let line = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().unwrap(), Line::from_bytes(value.as_bytes()).unwrap())
    };
    let mut headers = HeaderMap::new();
    for (name, value) in lines.iter().map(line) {
        headers.append(name, value);
    }
    headers
}

const CLOUD_EVENT: [(&str, &str); 5] = [
    ("content-type", "application/json; charset=utf-8"),
    ("ce-specversion", "1.0"),
    ("ce-id", "7"),
    ("ce-source", "/shop"),
    ("ce-type", "order.item.placed"),
];

fn with<'a>(more: &[(&'a str, &'a str)]) -> HeaderMap {
    headers(&[&CLOUD_EVENT[..], more].concat())
}

/// The pointers of what is wrong.
fn wrong(read: Result<Vec<Event>, Problem>) -> Vec<String> {
    let problem = read.unwrap_err();
    assert_eq!(problem.status(), 400, "{problem:?}");
    let problem = serde_json::to_value(&problem).unwrap();
    let errors = problem["errors"].as_array().unwrap().iter();
    errors.map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
}

fn read_binary(headers: &HeaderMap, body: &str) -> Result<Vec<Event>, Problem> {
    read(Form::of(headers)?, headers, body.as_bytes(), None, 10)
}

fn read_as(kind: &str, body: &str) -> Result<Vec<Event>, Problem> {
    let headers = headers(&[("content-type", kind)]);
    read(Form::of(&headers)?, &headers, body.as_bytes(), None, 3)
}

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json; charset=UTF-8";

#[test]
fn the_form_is_told_by_the_headers() {
    for (lines, form) in [
        (&[("content-type", "Application/CloudEvents+JSON; charset=utf-8")][..], Some(Form::Structured)),
        (&[("content-type", BATCH)], Some(Form::Batch)),
        (&[("content-type", "application/vnd.shop+json"), ("ce-specversion", "1.0")], Some(Form::Binary)),
        (&[("ce-specversion", "1.0")], Some(Form::Binary)),
        (&[("content-type", "application/json")], Some(Form::Plain)),
        (&[], None),
        (&[("content-type", "text/plain"), ("ce-specversion", "1.0")], None),
        (&[("content-type", "application/cloudevents+avro")], None),
        (&[("content-type", "application/json"), ("content-encoding", "gzip")], None),
        (&[("content-type", "application/json"), ("content-encoding", "identity")], Some(Form::Plain)),
    ] {
        let found = Form::of(&headers(lines)).map_err(|problem| problem.status());
        assert_eq!(found, form.ok_or(415), "{lines:?}");
    }
}

#[test]
fn binary_mode_has_attributes_in_headers_percent_encoded_and_keeps_the_trace() {
    let lines = [
        ("ce-subject", "Gr%C3%BC%C3%9Fe%20%22x%22"),
        ("ce-time", "2026-12-01T09:00:00.123456+01:00"),
        ("ce-correlationid", "\"c\\\\d\\\"%20\""),
        ("ce-region", "eu"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("user-agent", "x"),
        ("baggage", "tenant=7"),
        ("baggage", "region=eu"),
    ];
    let events = read_binary(&with(&lines), " {\"a\": 1}").unwrap();
    let event = &events[0];
    assert_eq!(
        (event.id.as_str(), event.source.as_str(), event.name.as_str()),
        ("7", "/shop", "order.item.placed")
    );
    assert_eq!(event.subject.as_deref(), Some("Grüße \"x\""));
    assert_eq!(event.time_text().as_deref(), Some("2026-12-01T09:00:00.123456+01:00"));
    assert_eq!(event.correlation_id.as_deref(), Some("c\\d\" "));
    assert_eq!(event.traceparent.as_deref(), Some(lines[4].1));
    // the body is what it was, byte for byte; of other headers nothing is taken
    assert_eq!(event.data, b" {\"a\": 1}");
    let extensions: Vec<_> = event.extensions.iter().map(|(name, _)| name).collect();
    assert_eq!(extensions, ["cloudEvents_region", "baggage"]);
    assert_eq!(event.extensions.text("baggage"), Some("tenant=7,region=eu"));
    let message = event.to_message();
    assert_eq!(message.properties.message_id.as_deref(), Some("7"));
    assert_eq!(message.headers.text("cloudEvents_region"), Some("eu"));
    assert!(read_binary(&with(&[]), "").unwrap()[0].data.is_empty());
}

#[test]
fn what_is_wrong_with_an_event_has_a_pointer() {
    let without = |name: &str| {
        headers(&CLOUD_EVENT.into_iter().filter(|(known, _)| *known != name).collect::<Vec<_>>())
    };
    assert_eq!(wrong(read_binary(&without("ce-id"), "{}")), ["/id"]);
    assert_eq!(wrong(read_binary(&without("ce-type"), "{}")), ["/type"]);
    for (lines, body, pointer) in [
        (&[("ce-id", "8")][..], "{}", "/id"),
        (&[("ce-time", "yesterday")], "{}", "/time"),
        (&[("ce-subject", "\u{e9}")], "{}", "/subject"),
        (&[("ce-subject", "%ff")], "{}", "/subject"),
        (&[("ce-my-name", "x")], "{}", "/my-name"),
        (&[], "{", "/data"),
        (&[], "{} {}", "/data"),
        (&[], "\u{feff}{}", "/data"),
    ] {
        assert_eq!(wrong(read_binary(&with(lines), body)), [pointer], "{lines:?} {body}");
    }
    // trace context never makes an event unreadable
    assert!(read_binary(&with(&[("traceparent", "\u{e9}")]), "{}").is_ok());
    // nor does it take the place of the event's own
    let own = ("ce-traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let hop = ("traceparent", "00-11111111111111111111111111111111-2222222222222222-01");
    for lines in [&[own, ("traceparent", "garbage")][..], &[own, hop, hop]] {
        assert_eq!(read_binary(&with(lines), "{}").unwrap()[0].traceparent.as_deref(), Some(own.1));
    }
    assert_eq!(read_binary(&with(&[own, hop]), "{}").unwrap()[0].traceparent.as_deref(), Some(hop.1));
    let event = |change: &[(&str, Value)]| {
        let mut event = json!({"specversion": "1.0", "id": "1", "source": "/a", "type": "a.b.c", "data": {}});
        change.iter().for_each(|(key, value)| event[*key] = value.clone());
        event.to_string()
    };
    for (change, pointer) in [
        (("specversion", json!("0.3")), "/specversion"),
        (("id", json!("")), "/id"),
        (("type", json!("A.b.c")), "/type"),
        (("time", json!(7)), "/time"),
        (("datacontenttype", json!("text/plain")), "/datacontenttype"),
        (("data_base64", json!("e30=")), ""),
        (("nested", json!({})), "/nested"),
        (("Upper", json!("x")), "/Upper"),
        (("a/b~c", json!("x")), "/a~1b~0c"),
    ] {
        assert_eq!(
            wrong(read_as(STRUCTURED, &event(std::slice::from_ref(&change)))),
            [pointer],
            "{change:?}"
        );
    }
    assert_eq!(wrong(read_as(STRUCTURED, "[]")), [""]);
    assert_eq!(wrong(read_as("application/json", "{}")), ["/type"]);
}

#[test]
fn data_are_what_they_were_byte_for_byte_in_each_mode() {
    let data = r#"{"n": 12345678901234567890123, "f": 0.12345678901234567890, "a": 1, "a": 2}"#;
    let event = format!(r#"{{"specversion":"1.0","id":"1","source":"/a","type":"a.b.c","data": {data} }}"#);
    assert_eq!(read_binary(&with(&[]), data).unwrap()[0].data, data.as_bytes());
    assert_eq!(read_as(STRUCTURED, &event).unwrap()[0].data, data.as_bytes());
    assert_eq!(read_as(BATCH, &format!("[{event}]")).unwrap()[0].data, data.as_bytes());
}

#[test]
fn numbers_of_attributes_are_those_of_cloudevents() {
    let event = |number: &str| {
        format!(r#"{{"specversion":"1.0","id":"1","source":"/a","type":"a.b.c","number":{number}}}"#)
    };
    for number in ["2147483647", "-2147483648"] {
        assert!(read_as(STRUCTURED, &event(number)).is_ok(), "{number}");
    }
    for number in ["2147483648", "12345678901234567890123", "0.5"] {
        assert_eq!(wrong(read_as(STRUCTURED, &event(number))), ["/number"], "{number}");
    }
}

#[test]
fn of_one_source_and_id_there_is_one_event_in_a_batch() {
    let event = |source: &str| json!({"specversion": "1.0", "id": "1", "source": source, "type": "a.b.c"});
    assert_eq!(wrong(read_as(BATCH, &json!([event("/a"), event("/b"), event("/a")]).to_string())), ["/2/id"]);
    assert_eq!(read_as(BATCH, &json!([event("/a"), event("/b")]).to_string()).unwrap().len(), 2);
}

#[test]
fn a_batch_is_read_whole_or_not_at_all() {
    let event = |id: &str, name: &str| json!({"specversion": "1.0", "id": id, "source": "/a", "type": name});
    let events = read_as(BATCH, &json!([event("1", "a.b.c"), event("2", "a.b.d")]).to_string()).unwrap();
    assert_eq!(events.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    let wrongs = json!([event("1", "a.b.c"), event("", "a.b.d"), event("3", "no")]);
    assert_eq!(wrong(read_as(BATCH, &wrongs.to_string())), ["/1/id", "/2/type"]);
    assert_eq!(wrong(read_as(BATCH, "{}")), [""]);
    assert_eq!(wrong(read_as(BATCH, "[1]")), ["/0"]);
    assert!(read_as(BATCH, "[]").unwrap().is_empty());
    let many = json!(vec![event("1", "a.b.c"); 4]).to_string();
    assert_eq!(read_as(BATCH, &many).unwrap_err().status(), 413);
    // what is nested deeper than any reader goes
    let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(wrong(read_as(BATCH, &deep)), ["/0"]);
}

#[test]
fn plain_json_is_what_is_configured_and_sent_again_with_its_key_the_same_event() {
    let event = "order.item.placed".parse().unwrap();
    let plain = Some(Plain { event: &event, source: "/edge/shop" });
    let ask = |lines: &[(&str, &str)], body: &str| {
        let headers = headers(&[&[("content-type", "application/json")], lines].concat());
        read(Form::of(&headers).unwrap(), &headers, body.as_bytes(), plain, 1)
    };
    let [one, other] = [ask(&[], "[1]"), ask(&[], "[1]")].map(|read| read.unwrap().remove(0));
    assert!(one.id != other.id && one.time.is_some());
    assert_eq!(
        (one.source.as_str(), one.name.as_str(), one.data.as_slice()),
        ("/edge/shop", "order.item.placed", &b"[1]"[..])
    );
    let keyed = || ask(&[("idempotency-key", "k")], "[1]").unwrap().remove(0);
    assert_eq!(keyed(), keyed());
    assert_ne!(keyed().id, ask(&[("idempotency-key", "l")], "[1]").unwrap()[0].id);
    assert_eq!(wrong(ask(&[("idempotency-key", "")], "[1]")), ["/id"]);
    assert_eq!(wrong(ask(&[("idempotency-key", "k"), ("idempotency-key", "l")], "[1]")), ["/id"]);
    assert_eq!(wrong(ask(&[], "no")), ["/data"]);
    assert_eq!(wrong(ask(&[], "")), ["/data"]);
}

#[test]
fn data_that_break_their_contract_have_a_pointer_for_each_fault() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["b"]});
    let registry = Registry::from_json(&json!({"order.item.placed": schema})).unwrap();
    let folder = Contracts::Folder(registry);
    let pointers = |at: &str, body: &str| {
        let event = read_binary(&with(&[]), body).unwrap().remove(0);
        let faults = check(&folder, at, &event);
        faults.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>()
    };
    assert!(pointers("", r#"{"a": 1, "b": 2}"#).is_empty());
    let mut found = pointers("/3", r#"{"a": "x"}"#);
    found.sort();
    assert_eq!(found, ["/3/data/a", "/3/data/b"]);
    assert_eq!(pointers("", ""), ["/data"]);
    let mut other = read_binary(&with(&[]), "{}").unwrap().remove(0);
    other.name = "order.item.place".parse().unwrap();
    assert_eq!(check(&folder, "", &other)[0].pointer, "/type");
    assert!(check(&folder, "", &other)[0].detail.contains("did you mean order.item.placed?"));
    assert!(check(&Contracts::Any, "", &other).is_empty());
}

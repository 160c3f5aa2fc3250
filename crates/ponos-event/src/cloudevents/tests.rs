use super::{DecodeError, Event};
use crate::{HeaderValue, Headers, Message, Properties, Timestamp};

fn event() -> Event {
    let at = |text: &str| Some(text.parse().unwrap());
    Event {
        subject: Some("one-day".into()),
        time: at("2026-12-01T09:00:00.250Z"),
        expiry_time: at("2026-12-01T09:10:00Z"),
        recorded_time: at("2026-12-01T09:00:00.251Z"),
        correlation_id: Some("c".into()),
        causation_id: Some("p".into()),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        tracestate: Some("vendor=1".into()),
        data_schema: Some("urn:khronos:schema:time-event".into()),
        extensions: [("khronos-lateness-ms".to_owned(), HeaderValue::Int(1))].into_iter().collect(),
        ..Event::new(
            "6f992030-8ff1-57e8-8522-1fc0093e28d6".parse().unwrap(),
            "/khronos/khronos",
            "time.one-day.passed".parse().unwrap(),
            r#"{"schedule":"one-day"}"#,
        )
    }
}

fn refusal(message: &Message) -> String {
    Event::from_message(message).unwrap_err().to_string()
}

fn structured(body: &str) -> Message {
    let content_type = Some("Application/CloudEvents+JSON; charset=utf-8".to_owned());
    Message {
        properties: Properties { content_type, ..Properties::default() },
        body: body.into(),
        ..Message::default()
    }
}

#[test]
fn binary_mode_is_written_as_laid_down() {
    let message = event().to_message();
    let headers: Vec<_> =
        message.headers.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
    let text = |name: &str, value: &str| (name.to_owned(), HeaderValue::from(value));
    assert_eq!(
        headers,
        [
            text("cloudEvents_specversion", "1.0"),
            text("cloudEvents_id", "6f992030-8ff1-57e8-8522-1fc0093e28d6"),
            text("cloudEvents_source", "/khronos/khronos"),
            text("cloudEvents_type", "time.one-day.passed"),
            text("cloudEvents_subject", "one-day"),
            text("cloudEvents_time", "2026-12-01T09:00:00.250Z"),
            text("cloudEvents_expirytime", "2026-12-01T09:10:00.000Z"),
            text("cloudEvents_recordedtime", "2026-12-01T09:00:00.251Z"),
            text("cloudEvents_correlationid", "c"),
            text("cloudEvents_causationid", "p"),
            text("cloudEvents_dataschema", "urn:khronos:schema:time-event"),
            text("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            text("tracestate", "vendor=1"),
            ("khronos-lateness-ms".to_owned(), HeaderValue::Int(1)),
        ]
    );
    assert_eq!(message.routing_key, "time.one-day.passed");
    assert_eq!(
        message.properties,
        Properties {
            content_type: Some("application/json".into()),
            persistent: true,
            correlation_id: Some("c".into()),
            message_id: Some("6f992030-8ff1-57e8-8522-1fc0093e28d6".into()),
            timestamp: Some("2026-12-01T09:00:00Z".parse().unwrap()),
            kind: Some("time.one-day.passed".into()),
            app_id: Some("khronos".into()),
            ..Properties::default()
        }
    );
}

#[test]
fn all_three_prefixes_are_read() {
    for prefix in ["cloudEvents_", "cloudEvents:", "ce-"] {
        let mut message = event().to_message();
        message.headers = message
            .headers
            .iter()
            .map(|(name, value)| (name.replace("cloudEvents_", prefix), value.clone()))
            .collect();
        assert_eq!(Event::from_message(&message).unwrap(), event(), "{prefix}");
    }
}

#[test]
fn of_several_headers_for_one_thing_the_one_of_the_earlier_prefix_counts_wherever_it_stands() {
    let mut message = event().to_message();
    let mut headers = Headers::default();
    for (name, value) in [("ce-subject", "ce"), ("cloudEvents:sequence", "colon"), ("ce-sequence", "ce")] {
        headers.set(name, value);
    }
    for (name, value) in std::mem::take(&mut message.headers) {
        headers.set(name, value);
    }
    for (name, value) in [
        ("cloudEvents:subject", "colon"),
        ("cloudEvents_sequence", "first"),
        ("cloudEvents_traceparent", "of the maker"),
        ("ce-level", "ce"),
        ("cloudEvents:level", "colon"),
    ] {
        headers.set(name, value);
    }
    message.headers = headers;
    let read = Event::from_message(&message).unwrap();
    assert_eq!(read.subject, event().subject);
    assert_eq!(read.traceparent, event().traceparent, "the hop's own says more");
    let extensions: Vec<_> = read.extensions.iter().collect();
    assert_eq!(
        extensions,
        [
            ("khronos-lateness-ms", &HeaderValue::Int(1)),
            ("cloudEvents_sequence", &"first".into()),
            ("cloudEvents_level", &"colon".into()),
        ]
    );
    message.headers.set("traceparent", 1);
    let read = Event::from_message(&message).unwrap();
    assert_eq!(read.traceparent.as_deref(), Some("of the maker"), "one that says nothing does not count");
}

#[test]
fn texts_and_payload_move_into_the_event_and_names_stay() {
    let mut message = event().to_message();
    message.headers.set("baggage", "b");
    let read = Event::take_from(&mut message).unwrap();
    for name in ["cloudEvents_source", "cloudEvents_subject", "traceparent", "baggage"] {
        assert_eq!(message.headers.text(name), Some(""), "{name} was copied");
    }
    assert!(message.body.is_empty() && !read.data.is_empty());
}

#[test]
fn a_missing_attribute_is_named() {
    for name in ["specversion", "id", "source", "type"] {
        let mut message = event().to_message();
        assert!(message.headers.remove(&format!("cloudEvents_{name}")));
        assert_eq!(refusal(&message), format!("attribute {name} is missing"));
    }
}

#[test]
fn an_attribute_of_the_wrong_type_is_named() {
    let names = ["specversion", "id", "source", "type", "subject", "time", "expirytime", "recordedtime"];
    for name in names.into_iter().chain(["correlationid", "causationid", "dataschema"]) {
        let mut message = event().to_message();
        message.headers.set(format!("cloudEvents_{name}"), 7);
        assert!(refusal(&message).starts_with(&format!("attribute {name} is an integer")), "{name}");
    }
}

#[test]
fn malformed_attributes_are_named_with_what_was_found() {
    for (name, value, part) in [
        ("specversion", "0.3", "expected 1.0"),
        ("id", "", "empty"),
        ("source", "", "empty"),
        ("type", "one-day", "three or more words"),
        ("time", "yesterday", "RFC 3339"),
        ("time", "2026-12-01T09:00:60Z", "RFC 3339"),
        ("expirytime", "", "RFC 3339"),
    ] {
        let mut message = event().to_message();
        message.headers.set(format!("cloudEvents_{name}"), value);
        let refusal = refusal(&message);
        assert!(refusal.starts_with(&format!("attribute {name} is malformed ('{value}')")), "{refusal}");
        assert!(refusal.contains(part), "{refusal}");
    }
}

/// AMQP counts seconds up to 2^64; an event with such a time was read, and could not be read again once it was published on.
#[test]
fn a_timestamp_that_no_text_can_say_is_refused() {
    for name in ["time", "expirytime", "recordedtime"] {
        for (millis, is_read) in [
            (-62_167_219_200_001, false),
            (-62_167_219_200_000, true),
            (253_402_300_799_999, true),
            (253_402_300_800_000, false),
            (i64::MAX, false),
        ] {
            let mut message = event().to_message();
            let time = HeaderValue::Time(Timestamp::from_millis(millis));
            message.headers.set(format!("cloudEvents_{name}"), time);
            match Event::from_message(&message) {
                Ok(event) => assert_eq!(Event::from_message(&event.to_message()), Ok(event), "{millis}"),
                Err(error) => assert!(
                    !is_read
                        && error.0.starts_with(&format!("attribute {name} is malformed ('{millis} ms')")),
                    "{error}"
                ),
            }
            assert_eq!(Event::from_message(&message).is_ok(), is_read, "{millis}");
        }
    }
}

#[test]
fn bodies_that_are_not_plain_json_are_refused() {
    let mut message = event().to_message();
    message.properties.content_encoding = Some("gzip".into());
    assert!(refusal(&message).contains("'gzip'"));
    message.properties.content_encoding = Some("UTF-8".into());
    for (content_type, readable) in [
        (None, true),
        (Some("application/vnd.x+json; charset=utf-8"), true),
        (Some("text/plain"), false),
        (Some("application/cloudevents-batch+json"), false),
        (Some("application/cloudevents+avro"), false),
    ] {
        message.properties.content_type = content_type.map(str::to_owned);
        assert_eq!(Event::from_message(&message).is_ok(), readable, "{content_type:?}");
    }
}

#[test]
fn the_brokers_own_headers_do_not_travel_on() {
    let mut message = event().to_message();
    message.headers.set("x-death", HeaderValue::List(Vec::new()));
    message.headers.set("x-delivery-count", 3);
    assert_eq!(Event::from_message(&message).unwrap(), event());
}

#[test]
fn unknown_attributes_are_kept_and_a_broken_trace_is_not() {
    let mut message = event().to_message();
    message.headers.set("cloudEvents:sequence", "0001");
    message.headers.set("traceparent", 1);
    let read = Event::from_message(&message).unwrap();
    assert_eq!(read.extensions.text("cloudEvents_sequence"), Some("0001"));
    assert_eq!(read.traceparent, None);
}

#[test]
fn times_of_others_are_floored_and_kept_as_they_came() {
    let [time, expiry, recorded] =
        ["2026-12-01T10:00:00.123456789+01:00", "2016-12-31T23:59:60Z", "2026-12-01t09:00:00.1239Z"];
    let mut binary = event().to_message();
    for (name, text) in [("time", time), ("expirytime", expiry), ("recordedtime", recorded)] {
        binary.headers.set(format!("cloudEvents_{name}"), text);
    }
    let in_json = structured(&format!(
        r#"{{"specversion":"1.0","id":"1","source":"/a","type":"a.b.c","time":"{time}","expirytime":"{expiry}","recordedtime":"{recorded}"}}"#
    ));
    for message in [binary, in_json] {
        let mut read = Event::from_message(&message).unwrap();
        let texts = |event: &Event| {
            [event.time_text(), event.expiry_time_text(), event.recorded_time_text()].map(Option::unwrap)
        };
        assert_eq!(texts(&read), [time, expiry, recorded]);
        let floored = ["2026-12-01T09:00:00.123Z", "2017-01-01T00:00:00.000Z", "2026-12-01T09:00:00.123Z"];
        let instants = [read.time, read.expiry_time, read.recorded_time];
        assert_eq!(instants.map(Option::unwrap).map(|at| at.to_string()), floored);
        let again = read.to_message();
        assert_eq!(again.headers.text("cloudEvents_time"), Some(time));
        assert_eq!(again.properties.timestamp, Some("2026-12-01T09:00:00Z".parse().unwrap()));
        assert_eq!(Event::from_message(&again).as_ref(), Ok(&read));
        // what is changed here is ours, and in whole milliseconds
        read.time = read.time.map(|time| time.plus(1));
        assert_eq!(read.time_text().unwrap(), "2026-12-01T09:00:00.124Z");
        assert_eq!(read.to_message().headers.text("cloudEvents_expirytime"), Some(expiry));
    }
    assert_eq!(event().time_text().unwrap(), "2026-12-01T09:00:00.250Z");
}

#[test]
fn a_structured_event_with_a_byte_order_mark_is_told_so() {
    let refusal = refusal(&structured("\u{feff}{\"specversion\":\"1.0\"}"));
    assert!(refusal.contains("byte order mark (EF BB BF)"), "{refusal}");
}

#[test]
fn structured_mode_is_read_with_data_of_both_kinds() {
    let attributes =
        r#""specversion":"1.0","id":"1","source":"/a","type":"a.b.c","time":"2026-12-01T09:00:00Z""#;
    let read = |rest: &str| Event::from_message(&structured(&format!("{{{attributes}{rest}}}")));
    let plain = read(r#","data":{"b":1,"a":[null]},"subject":null,"tenant":"t","level":3"#).unwrap();
    assert_eq!(plain.data, br#"{"b":1,"a":[null]}"#);
    assert_eq!((plain.id.as_str(), plain.source.as_str(), plain.subject), ("1", "/a", None));
    assert_eq!(plain.time, Some("2026-12-01T09:00:00Z".parse().unwrap()));
    assert_eq!(plain.extensions.text("cloudEvents_tenant"), Some("t"));
    assert_eq!(plain.extensions.int("cloudEvents_level"), Some(3));
    assert_eq!(read(r#","data_base64":"e30=""#).unwrap().data, b"{}");
    assert_eq!(read("").unwrap().data, b"");
    for (rest, named) in [
        (r#","data":1,"data_base64":"e30=""#, "both data and data_base64"),
        (r#","data_base64":"?""#, "data_base64 is malformed"),
        (r#","data_base64":1"#, "data_base64 is not a text"),
        (r#","subject":7"#, "attribute subject is an integer"),
        (r#","tenant":{}"#, "attribute tenant is not a simple value"),
        (r#","datacontenttype":"text/xml""#, "datacontenttype"),
    ] {
        let error = read(rest).unwrap_err().to_string();
        assert!(error.contains(named), "{rest}: {error}");
    }
}

#[test]
fn a_structured_body_that_is_no_object_is_refused() {
    for body in ["", "[]", "{", "null", "\u{0}"] {
        assert!(matches!(Event::from_message(&structured(body)), Err(DecodeError(_))), "{body}");
    }
}

#[test]
fn tens_of_thousands_of_headers_are_read_and_put_back_at_once() {
    // A search of all names for each would take a hundred times as long.
    testkit::assert_in_proportion("headers", || read_and_put_back(2_000), || read_and_put_back(20_000));
}

fn read_and_put_back(headers: usize) {
    let mut message = event().to_message();
    let own = std::mem::take(&mut message.headers).into_iter();
    let strange = (0..headers).map(|number| (format!("ce-{number}").into(), HeaderValue::Text("a".into())));
    message.headers = Headers::of_distinct(own.chain(strange).chain([("ce:0".into(), HeaderValue::Int(1))]));
    let before = message.clone();
    let event = Event::take_from(&mut message).unwrap();
    assert_eq!(event.extensions.text(&format!("cloudEvents_{}", headers - 1)), Some("a"));
    event.put_back(&mut message);
    assert_eq!(event.attributes().count(), 11 + headers);
    let names = (0..headers).map(|number| format!(r#","a{number}":"a""#)).collect::<String>();
    let body = format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"a.b.c"{names}}}"#);
    let properties =
        Properties { content_type: Some("application/cloudevents+json".into()), ..Properties::default() };
    let structured = Message { properties, body: body.into_bytes(), ..Message::default() };
    assert_eq!(Event::from_message(&structured).unwrap().extensions.iter().count(), headers);
    assert!(message == before);
}

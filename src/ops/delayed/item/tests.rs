use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn names() -> NamesOf {
    NamesOf::Key { owner: "billing".into(), key: "order-7".into() }
}

fn read_as(given: Option<&str>, text: &str) -> Result<DelayedItem, UnreadItem> {
    DelayedItem::read(text.as_bytes(), given, (&names(), 0), NOW)
}

/// An item of this name, which is right but for what it says more.
fn item(more: &str) -> Result<DelayedItem, UnreadItem> {
    read_as(None, &format!(r#"{{"name":"a","event":"order.reminder.due"{more}}}"#))
}

/// The same, which says when.
fn later(more: &str) -> DelayedItem {
    item(&format!(r#","in":"10m"{more}"#)).unwrap_or_else(|unread| panic!("{more}: {}", unread.faults))
}

/// What is wrong, each as pointer and code.
fn faults(read: Result<DelayedItem, UnreadItem>) -> Vec<(String, FaultCode)> {
    let unread = read.expect_err("it is refused");
    unread.faults.list.into_iter().map(|fault| (fault.pointer, fault.code)).collect()
}

#[test]
fn an_item_is_an_event_with_all_that_is_asked_for() {
    let text = r#"{
        "name": "reminder-7", "event": "order.reminder.due", "at": "2026-12-24T18:00:00+01:00",
        "data": { "order": 7,  "a": [1.0] }, "headers": { "tenant": "x", "n": 7, "b": true },
        "correlation_id": "order 7", "expires": "1h", "unrouted": "park", "jitter": "90s", "past": "refuse"
    }"#;
    let DelayedItem { event, past, jitter, is_name_made } = read_as(Some("reminder-7"), text).unwrap();
    let due: Timestamp = "2026-12-24T17:00:00Z".parse().unwrap();
    let (head, content) = (event.head, event.content);
    assert_eq!((past, jitter, is_name_made), (PastDue::Refuse, 90_000, false));
    assert_eq!((&*head.key.name, &*head.event, head.due), ("reminder-7", "order.reminder.due", due));
    assert_eq!(head.key.send, due.plus(jitter_offset("reminder-7", due, 90_000)));
    assert!(head.key.send > due && head.is_named && head.queue.is_none());
    assert_eq!(&*content.data, br#"{ "order": 7,  "a": [1.0] }"#);
    assert_eq!(&*content.headers, r#"{"tenant":"x","n":7,"b":true}"#);
    assert_eq!((content.correlation_id.as_deref(), content.expires), (Some("order 7"), Some(3_600_000)));
    assert!(content.parks_unrouted && content.content_type.is_none());
}

#[test]
fn a_delay_is_added_to_the_time_that_it_is() {
    for (delay, millis) in [("10m", 600_000), ("1 day", 86_400_000), ("PT1H", 3_600_000), ("5ms", 5)] {
        let item = item(&format!(r#","in":"{delay}""#)).unwrap();
        assert_eq!((item.event.head.due, item.event.head.key.send), (NOW.plus(millis), NOW.plus(millis)));
    }
    assert_eq!(faults(item(r#","in":"100 weeks 5000 weeks""#)).len(), 1);
    assert_eq!(faults(item(r#","in":"3880 weeks""#)), [("/in".into(), FaultCode::OutOfRange)]);
}

#[test]
fn a_task_goes_to_its_queue_and_is_parked_without_it() {
    let task = later(r#","to":{"task":"docker.images.cleanup"}"#);
    assert_eq!(task.event.head.queue.as_deref(), Some("docker.images.cleanup"));
    assert!(task.event.content.parks_unrouted);
    assert!(!later("").event.content.parks_unrouted);
    let conflict = item(r#","in":"1s","to":{"task":"docker.images"},"unrouted":"ignore""#);
    assert_eq!(faults(conflict), [("/unrouted".into(), FaultCode::Conflict)]);
}

#[test]
fn data_of_another_type_are_kept_as_bytes() {
    let item = later(r#","data_base64":"AP8=","datacontenttype":"application/octet-stream""#);
    assert_eq!(&*item.event.content.data, [0, 0xff]);
    assert_eq!(item.event.content.content_type.as_deref(), Some("application/octet-stream"));
    let largest = format!(r#","data":"{}""#, "x".repeat((256 << 10) - 2));
    assert_eq!(later(&largest).event.content.data.len(), 256 << 10);
}

#[test]
fn all_that_is_wrong_is_said_at_its_pointer() {
    use FaultCode::{
        Conflict, DuplicateKey, InvalidValue, MissingKey, NoTimeZone, OutOfRange, TooFine, UnknownKey,
        UnknownWord, WrongType,
    };
    let many: Vec<String> = (0..33).map(|number| format!("\"h{number}\":1")).collect();
    let many = format!(r#","in":"1s","headers":{{{}}}"#, many.join(","));
    let long = format!(r#","in":"1s","headers":{{"a":"{}"}}"#, "x".repeat(8 << 10));
    let large = format!(r#","in":"1s","data":"{}""#, "x".repeat(256 << 10));
    let queue = format!(r#","in":"1s","to":{{"task":"a.{}"}}"#, "x".repeat(250));
    let id = format!(r#","in":"1s","correlation_id":"{}""#, "x".repeat(256));
    for (more, pointer, code) in [
        ("", "/at", MissingKey),
        (r#","at":"2026-12-24T17:00:00Z","in":"1s""#, "/in", Conflict),
        (r#","at":"2026-12-24T17:00""#, "/at", NoTimeZone),
        (r#","at":"2026-12-24T17:00:00.0001Z""#, "/at", TooFine),
        (r#","at":"2100-01-01T00:00:00Z""#, "/at", OutOfRange),
        (r#","at":1790000000"#, "/at", WrongType),
        (r#","in":"1 month""#, "/in", InvalidValue),
        (r#","in":"-1s""#, "/in", InvalidValue),
        (r#","in":600"#, "/in", WrongType),
        (r#","in":"1s","in":"1s""#, "/in", DuplicateKey),
        (r#","in":"1s","evnet":"a.b.c""#, "/evnet", UnknownKey),
        (r#","in":"1s","jitter":"2 days""#, "/jitter", OutOfRange),
        (r#","in":"1s","jitter":"2m","expires":"1m""#, "/expires", Conflict),
        (r#","in":"1s","expires":"soon""#, "/expires", InvalidValue),
        (r#","in":"1s","unrouted":"parc""#, "/unrouted", UnknownWord),
        (r#","in":"1s","past":"skip""#, "/past", UnknownWord),
        (r#","in":"1s","to":{}"#, "/to/task", MissingKey),
        (r#","in":"1s","to":"docker.images""#, "/to", WrongType),
        (r#","in":"1s","to":{"queue":"docker.images"}"#, "/to/queue", UnknownKey),
        (r#","in":"1s","to":{"task":"docker"}"#, "/to/task", InvalidValue),
        (r#","in":"1s","to":{"task":"Docker.images"}"#, "/to/task", InvalidValue),
        (r#","in":"1s","to":{"task":"docker..images"}"#, "/to/task", InvalidValue),
        (r#","in":"1s","to":{"task":"docker.-images"}"#, "/to/task", InvalidValue),
        (&queue, "/to/task", InvalidValue),
        (r#","in":"1s","data":1,"data_base64":"AA==","datacontenttype":"a/b""#, "/data_base64", Conflict),
        (r#","in":"1s","data_base64":"AA==""#, "/datacontenttype", MissingKey),
        (r#","in":"1s","data":1,"datacontenttype":"application/json""#, "/datacontenttype", Conflict),
        (r#","in":"1s","data_base64":"AA=","datacontenttype":"a/b""#, "/data_base64", InvalidValue),
        (r#","in":"1s","data_base64":"AA==","datacontenttype":"text""#, "/datacontenttype", InvalidValue),
        (&large, "/data", OutOfRange),
        (&many, "/headers", OutOfRange),
        (&long, "/headers", OutOfRange),
        (r#","in":"1s","headers":[]"#, "/headers", WrongType),
        (r#","in":"1s","headers":{"a":1.5}"#, "/headers/a", WrongType),
        (r#","in":"1s","headers":{"a":null}"#, "/headers/a", WrongType),
        (r#","in":"1s","headers":{"a/b":{}}"#, "/headers/a~1b", WrongType),
        (r#","in":"1s","headers":{"a":18446744073709551615}"#, "/headers/a", WrongType),
        (r#","in":"1s","headers":{"a":1,"a":2}"#, "/headers/a", DuplicateKey),
        (r#","in":"1s","headers":{"":1}"#, "/headers/", InvalidValue),
        (r#","in":"1s","headers":{"cloudEvents_id":"x"}"#, "/headers/cloudEvents_id", InvalidValue),
        (r#","in":"1s","headers":{"CloudEvents:id":"x"}"#, "/headers/CloudEvents:id", InvalidValue),
        (r#","in":"1s","headers":{"ce-id":"x"}"#, "/headers/ce-id", InvalidValue),
        (r#","in":"1s","headers":{"khronos-lateness-ms":1}"#, "/headers/khronos-lateness-ms", InvalidValue),
        (r#","in":"1s","headers":{"x-death":"x"}"#, "/headers/x-death", InvalidValue),
        (r#","in":"1s","headers":{"CC":"other"}"#, "/headers/CC", InvalidValue),
        (r#","in":"1s","headers":{"BCC":"other"}"#, "/headers/BCC", InvalidValue),
        (r#","in":"1s","headers":{"traceparent":"x"}"#, "/headers/traceparent", InvalidValue),
        (r#","in":"1s","correlation_id":"""#, "/correlation_id", InvalidValue),
        (r#","in":"1s","correlation_id":"a\n""#, "/correlation_id", InvalidValue),
        (&id, "/correlation_id", InvalidValue),
    ] {
        assert_eq!(faults(item(more)), [(pointer.to_owned(), code)], "{more:.80}");
    }
    for (text, pointer, code) in [
        (r#"{"in":"1s"}"#, "/event", MissingKey),
        (r#"{"event":"a.b","in":"1s"}"#, "/event", InvalidValue),
        (r#"{"event":"a.b.c","in":"1s","name":"A"}"#, "/name", InvalidValue),
        (r#"{"event":"a.b.c","in":"1s","name":null}"#, "/name", WrongType),
        ("[]", "", WrongType),
        ("{", "", FaultCode::Syntax),
    ] {
        assert_eq!(faults(read_as(None, text)), [(pointer.to_owned(), code)], "{text}");
    }
    let others = faults(item(r#","event":7,"to":{"tusk":"x"},"in":7"#));
    assert_eq!(others.len(), 3, "{others:?}");
    let others = faults(item(r#","at":"x","expires":"x","unrouted":"x","headers":{"x-a":[],"b":[]}"#));
    assert_eq!(others.len(), 6, "{others:?}");
}

#[test]
fn faults_say_what_to_do() {
    let refused = item(r#","in":"1s","unrouted":"parc""#).unwrap_err();
    let fault = &refused.faults.list[0];
    assert_eq!(fault.suggestion.as_deref(), Some("did you mean 'park'?"));
    assert_eq!(fault.expected.as_deref(), Some("one of \"ignore\", \"park\""));
    let unknown = item(r#","in":"1s","heders":{}"#).unwrap_err().faults;
    assert_eq!(unknown.to_string(), "unknown key 'heders' in a delayed event; did you mean 'headers'?");
}

#[test]
fn a_name_is_that_of_the_request_or_of_the_item_or_made() {
    let text = |name: &str| format!(r#"{{{name}"event":"a.b.c","in":"1s"}}"#);
    let of = |given, said: &str| {
        let item = read_as(given, &text(said))?;
        let head = &item.event.head;
        Ok::<_, UnreadItem>((head.key.name.to_string(), head.is_named, item.is_name_made))
    };
    assert_eq!(of(Some("a"), "").unwrap(), ("a".into(), true, false));
    assert_eq!(of(Some("a"), "\"name\":\"a\",").unwrap(), ("a".into(), true, false));
    assert_eq!(of(None, "\"name\":\"a\",").unwrap(), ("a".into(), true, false));
    // Who has a key knows the name.
    assert_eq!(of(None, "").unwrap(), (names().name(0), true, true));
    let random = NamesOf::Random([7; 16]);
    let made = DelayedItem::read(text("").as_bytes(), None, (&random, 3), NOW).unwrap();
    assert_eq!((&*made.event.head.key.name, made.event.head.is_named), (&*random.name(3), false));
    let other = read_as(Some("b"), &text("\"name\":\"a\","));
    assert_eq!(other.as_ref().unwrap_err().name.as_deref(), Some("b"));
    assert_eq!(faults(other), [("/name".into(), FaultCode::Conflict)]);
    assert_eq!(faults(read_as(Some("A"), &text(""))), [("/name".into(), FaultCode::InvalidValue)]);
    // What can't be used is known by its name all the same.
    let unread = read_as(None, r#"{"name":"a","event":7}"#).unwrap_err();
    assert_eq!(unread.name.as_deref(), Some("a"));
}

#[test]
fn equal_requests_have_equal_digests_and_any_difference_shows() {
    let of = |more: &str| {
        item(more).unwrap_or_else(|unread| panic!("{more}: {}", unread.faults)).event.head.digest
    };
    let at = r#","at":"2026-12-24T17:00:00Z""#;
    let same = [
        at.to_owned(),
        r#","at":"2026-12-24T18:00:00.000+01:00""#.to_owned(),
        format!(r#"{at},"unrouted":"ignore","past":"refuse","headers":{{}}"#),
    ];
    assert!(same.iter().all(|more| of(more) == of(at)));
    assert_eq!(of(r#","in":"60s""#), of(r#","in":"1m""#));
    let headers = [r#","in":"1m","headers":{"a":1,"b":2}"#, r#","in":"1m","headers":{"b":2, "a":1}"#];
    assert_eq!(of(headers[0]), of(headers[1]));
    let others = [
        at.to_owned(),
        r#","in":"1m""#.to_owned(),
        r#","in":"2m""#.to_owned(),
        format!(r#"{at},"data":1"#),
        format!(r#"{at},"data":1.0"#),
        format!(r#"{at},"data_base64":"MQ==","datacontenttype":"a/b""#),
        format!(r#"{at},"headers":{{"a":1}}"#),
        format!(r#"{at},"correlation_id":"a""#),
        format!(r#"{at},"expires":"1m""#),
        format!(r#"{at},"jitter":"1m""#),
        format!(r#"{at},"unrouted":"park""#),
        format!(r#"{at},"to":{{"task":"docker.images"}}"#),
        format!(r#"{at},"to":{{"task":"docker.volumes"}}"#),
    ];
    let digests: std::collections::BTreeSet<_> = others.iter().map(|more| of(more)).collect();
    assert_eq!(digests.len(), others.len());
    // The name is no part of it, and the time at which it is asked for is none.
    let other = DelayedItem::read(
        br#"{"event":"order.reminder.due","in":"1m"}"#,
        Some("b"),
        (&names(), 0),
        NOW.plus(7),
    );
    assert_eq!(other.unwrap().event.head.digest, of(r#","in":"1m""#));
}

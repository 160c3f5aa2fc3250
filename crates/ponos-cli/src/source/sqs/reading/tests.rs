use super::*;
use crate::{
    gateway::settings::Unroutable,
    source::sqs::settings::{Endpoint, KeyFiles, Limits},
};
use ponos::schema::Registry;
use serde_json::json;
use std::collections::HashMap;

const MESSAGE_ID: &str = "eb1a6912-d1b1-466b-af5e-ca0d278a2256";
/// 2026-11-30T16:46:01.452Z
const SENT: &str = "1796057161452";

fn queue() -> Queue {
    let url = "https://sqs.eu-central-1.amazonaws.com/123456789012/orders".to_owned();
    let place = Endpoint::parse(&url).unwrap().0;
    Queue {
        url,
        place,
        name: "orders".into(),
        event: None,
        events: BTreeMap::new(),
        domains: None,
        wait: 20,
        visibility: 30,
        prefetch: 10,
    }
}

fn reader(queue: &Queue, contracts: Contracts) -> Reader {
    let settings = Settings {
        region: None,
        endpoint: None,
        keys: KeyFiles::default(),
        unroutable: Unroutable::Refuse,
        limits: Limits { body: 4096, ..Limits::default() },
        contracts,
        queues: Vec::new(),
    };
    Reader::new("edge", queue, &settings)
}

fn plain(event: &str) -> Reader {
    reader(&Queue { event: Some(event.parse().unwrap()), ..queue() }, Contracts::Any)
}

fn cloud(domains: &[&str]) -> Reader {
    let domains = Domains::new(domains.iter().map(|one| (*one).to_owned()).collect()).unwrap();
    reader(&Queue { domains: Some(domains), ..queue() }, Contracts::Any)
}

fn message(body: impl ToString) -> Message {
    Message {
        message_id: MESSAGE_ID.into(),
        receipt_handle: "handle".into(),
        body: body.to_string(),
        attributes: HashMap::from([("SentTimestamp".into(), SENT.into())]),
    }
}

fn in_envelope(id: &str, inner: &str) -> Message {
    message(json!({
        "Type": "Notification", "MessageId": id, "TopicArn": "arn:aws:sns:eu-central-1:123456789012:news",
        "Message": inner, "Timestamp": "2026-11-30T16:45:00.000Z", "SignatureVersion": "1", "Signature": "x",
    }))
}

#[track_caller]
fn one(read: Result<Reading, String>) -> Event {
    match read {
        Ok(Reading::Events(mut events)) if events.len() == 1 => events.remove(0),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(read: Result<Reading, String>, why: &str) {
    let said = read.unwrap_err();
    assert!(said.contains(why), "{said}");
}

#[test]
fn plain_json_is_the_configured_event_byte_for_byte_and_the_same_when_it_comes_again() {
    let reader = plain("order.item.placed");
    let body = "{\"n\": 12345678901234567890123, \"n\": 1.0}";
    let event = one(reader.read(&message(body)));
    assert_eq!((event.name.as_str(), event.source.as_str()), ("order.item.placed", "/edge/sqs/orders"));
    assert_eq!(event.data, body.as_bytes());
    assert_eq!(event.time.unwrap().to_string(), "2026-11-30T16:46:01.452Z");
    let again = Message { receipt_handle: "another".into(), ..message(body) };
    assert_eq!(one(reader.read(&again)), event);
    let other = Message { message_id: "another".into(), ..message(body) };
    assert_ne!(one(reader.read(&other)).id, event.id);
    // of another queue it is another event
    let queue =
        Queue { name: "returns".into(), event: Some("order.item.placed".parse().unwrap()), ..queue() };
    assert_ne!(one(self::reader(&queue, Contracts::Any).read(&message(body))).id, event.id);
}

#[test]
fn a_cloud_event_keeps_its_id_and_is_of_the_domains_of_the_queue() {
    let reader = cloud(&["order.*"]);
    let event = |name: &str, source: &str| {
        message(json!({"specversion": "1.0", "id": "7", "source": source, "type": name, "data": {"n": 1}}))
    };
    let read = one(reader.read(&event("order.item.placed", "/shop")));
    assert_eq!((read.id.as_str(), read.source.as_str(), &read.data[..]), ("7", "/shop", &b"{\"n\":1}"[..]));
    refused(reader.read(&event("billing.invoice.sent", "/shop")), "not one of them");
    refused(cloud(&["#"]).read(&event("time.one-day.passed", "/shop")), "the clock's");
    refused(reader.read(&event("order.item.placed", "/edge/billing")), "is a source of this");
    assert_eq!(one(reader.read(&event("order.item.placed", "/edge/sqs/orders"))).id.as_str(), "7");
    refused(reader.read(&event("No", "/shop")), "/type: ");
    refused(plain("order.item.placed").read(&event("order.item.placed", "/shop")), "say in domains");
}

#[test]
fn what_is_in_an_envelope_of_sns_is_read_as_what_it_is() {
    let inner = "{\"n\":  1}";
    let event = one(plain("order.item.placed").read(&in_envelope("of-sns", inner)));
    assert_eq!(event.data, inner.as_bytes());
    assert_eq!(event.time.unwrap().to_string(), "2026-11-30T16:45:00.000Z");
    // SNS may deliver one message twice, which SQS takes for two
    let twice = Message { message_id: "another".into(), ..in_envelope("of-sns", inner) };
    assert_eq!(one(plain("order.item.placed").read(&twice)).id, event.id);
    let other = one(plain("order.item.placed").read(&in_envelope("another", inner)));
    assert_ne!(other.id, event.id);
    let cloud_event =
        json!({"specversion": "1.0", "id": "7", "source": "/shop", "type": "order.item.placed"});
    let event = one(cloud(&["order"]).read(&in_envelope("of-sns", &cloud_event.to_string())));
    assert_eq!(event.id.as_str(), "7");
    refused(
        plain("order.item.placed").read(&in_envelope("of-sns", "hello")),
        "in the envelope of SNS: it is not valid JSON",
    );
    let asks = json!({"Type": "SubscriptionConfirmation", "MessageId": "m", "TopicArn": "arn:t", "Message": "confirm", "Token": "hunter2"});
    let said = plain("order.item.placed").read(&message(asks)).unwrap_err();
    assert!(
        said.contains("SubscriptionConfirmation of the topic arn:t") && !said.contains("hunter2"),
        "{said}"
    );
    // an event that looks like it
    let own = json!({"Type": "Notification", "Message": "m"});
    assert_eq!(one(plain("order.item.placed").read(&message(&own))).data, own.to_string().into_bytes());
}

fn record(name: &str, key: &str) -> Value {
    json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-central-1", "eventTime": "2026-11-30T16:46:01.123Z",
        "eventName": name, "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG"},
        "s3": {"bucket": {"name": "files", "arn": "arn:aws:s3:::files"}, "object": {"key": key, "size": 12345678901234567890123_f64}},
    })
}

fn of_s3() -> Reader {
    let events = [
        ("ObjectCreated:Put", "files.object.put"),
        ("ObjectCreated:*", "files.object.created"),
        ("ObjectRemoved:*", "files.object.removed"),
    ];
    let events = events.map(|(theirs, ours)| (theirs.to_owned(), ours.parse().unwrap())).into();
    reader(&Queue { events, ..queue() }, Contracts::Any)
}

#[test]
fn what_s3_says_is_mapped_as_cloud_events_lay_down() {
    let put = record("ObjectCreated:Put", "a%2Bb.txt");
    let event = one(of_s3().read(&message(json!({ "Records": [put] }))));
    assert_eq!(event.id.as_str(), "C3D13FE58DE4C810.FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG");
    assert_eq!(
        (event.source.as_str(), event.subject.as_deref()),
        ("aws:s3.eu-central-1.files", Some("a%2Bb.txt"))
    );
    assert_eq!(
        (event.name.as_str(), event.time.unwrap().to_string().as_str()),
        ("files.object.put", "2026-11-30T16:46:01.123Z")
    );
    assert_eq!(event.data, put.to_string().into_bytes());
    // by way of SNS it is the same event
    let by_sns = one(of_s3().read(&in_envelope("of-sns", &json!({ "Records": [put] }).to_string())));
    assert_eq!(by_sns, event);
    let copy = json!({ "Records": [record("s3:ObjectCreated:Copy", "c")] });
    assert_eq!(one(of_s3().read(&message(copy))).name.as_str(), "files.object.created");
    refused(
        of_s3().read(&message(json!({ "Records": [record("ObjectAcl:Put", "a")] }))),
        "'ObjectAcl:Put' has no name here",
    );
    // what events do not name is event
    let any =
        one(plain("files.object.changed")
            .read(&message(json!({ "Records": [record("ObjectAcl:Put", "a")] }))));
    assert_eq!(any.name.as_str(), "files.object.changed");
    let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-11-30T16:46:01.123Z", "Bucket": "files"});
    assert!(matches!(of_s3().read(&message(&test)), Ok(Reading::TestEvent)));
    assert!(matches!(of_s3().read(&in_envelope("m", &test.to_string())), Ok(Reading::TestEvent)));
}

#[test]
fn no_source_of_this_service_can_be_written_as_one_of_s3() {
    let with = |pointer: &str, value: &str| {
        let mut changed = record("ObjectCreated:Put", "a");
        *changed.pointer_mut(pointer).unwrap() = value.into();
        message(json!({ "Records": [changed] }))
    };
    let long = format!("{}:s3", "a".repeat(33));
    for forged in ["/edge/webhooks/hub:s3", "/edge/billing/:s3", ":s3", "a\n:s3", "aws:s3.x:s3", &long] {
        // it is no notification, but JSON that says what it likes
        refused(of_s3().read(&with("/eventSource", forged)), "event does not say");
        let event = one(plain("order.item.placed").read(&with("/eventSource", forged)));
        assert_eq!(event.source, "/edge/sqs/orders", "{forged}");
    }
    let long = "a".repeat(256);
    for wrong in ["/x", "a\nb", "a b", &long] {
        refused(of_s3().read(&with("/awsRegion", wrong)), "awsRegion or the bucket's name");
        refused(of_s3().read(&with("/s3/bucket/name", wrong)), "awsRegion or the bucket's name");
    }
    refused(of_s3().read(&with("/s3/bucket/name", "")), "awsRegion or the bucket's name");
    refused(of_s3().read(&with("/s3/object/key", &"a".repeat(3073))), "more than 3072 bytes");
    // who speaks as S3 does, without a region
    let event = one(of_s3().read(&with("/eventSource", "minio:s3")));
    assert_eq!(event.source, "minio:s3.eu-central-1.files");
    assert!(
        event.id.as_str().starts_with("C3D13FE58DE4C810.FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG."),
        "{}",
        event.id
    );
    assert_eq!(one(of_s3().read(&with("/awsRegion", ""))).source, "aws:s3..files");
}

#[test]
fn objects_that_one_request_removes_are_events_of_their_own() {
    let removed = |key: &str| record("ObjectRemoved:Delete", key);
    let Ok(Reading::Events(events)) =
        of_s3().read(&message(json!({ "Records": [removed("a"), removed("b")] })))
    else {
        panic!("both are events")
    };
    assert_eq!(events.len(), 2);
    assert_ne!(events[0].id, events[1].id);
    // the same object under another name is another event
    let marker = json!({ "Records": [record("ObjectRemoved:DeleteMarkerCreated", "a")] });
    assert_ne!(one(of_s3().read(&message(marker))).id, events[0].id);
    assert!(events[0].id.as_str().starts_with("C3D13FE58DE4C810.FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG."));
    // each in a message of its own, or sent again, it is the same
    assert_eq!(one(of_s3().read(&message(json!({ "Records": [removed("b")] })))), events[1]);
}

#[test]
fn a_record_without_ids_of_its_request_has_one_of_its_message() {
    let bare = |key: &str| {
        let mut bare = record("ObjectCreated:Put", key);
        bare.as_object_mut().unwrap().remove("responseElements");
        bare
    };
    let both = message(json!({ "Records": [bare("a"), bare("b")] }));
    let ids = |read: Result<Reading, String>| match read {
        Ok(Reading::Events(events)) => events.into_iter().map(|event| event.id).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let first = ids(of_s3().read(&both));
    assert_ne!(first[0], first[1]);
    assert_eq!(ids(of_s3().read(&both)), first);
}

#[test]
fn what_is_no_event_is_refused_with_the_reason() {
    let reader = plain("order.item.placed");
    refused(reader.read(&message("hello")), "it is not valid JSON");
    refused(reader.read(&message("")), "it is not valid JSON");
    refused(reader.read(&message("[".repeat(1000))), "it is not valid JSON");
    refused(reader.read(&message(format!("\"{}\"", "a".repeat(4096)))), "4098 bytes, and 4096 are the most");
    refused(cloud(&["#"]).read(&message("{}")), "event does not say");
    let broken =
        json!({ "Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {}}] });
    refused(of_s3().read(&message(broken)), "not a valid notification of S3");
    let contract = json!({"order.item.placed": {"type": "object", "required": ["order"]}});
    let registry = |document: &Value| {
        let contract = ponos::schema::Contract::from_value(document["order.item.placed"].clone()).unwrap();
        Registry::new().contract("order.item.placed", contract).unwrap()
    };
    let named = |name: &str| Queue { event: Some(name.parse().unwrap()), ..queue() };
    let held = self::reader(&named("order.item.placed"), Contracts::Folder(registry(&contract)));
    refused(held.read(&message("{}")), "'order.item.placed' breaks its contract");
    one(held.read(&message("{\"order\": 1}")));
    let undeclared = self::reader(&named("order.item.lost"), Contracts::Folder(registry(&contract)));
    refused(undeclared.read(&message("{}")), "order.item.lost");
}

/// Whatever a queue brings, it panics on nothing, and what it makes an event of is one that this queue may bring.
#[test]
fn whatever_comes_is_an_event_that_may_come_or_refused_and_is_the_same_again() {
    let events = [("ObjectCreated:*".to_owned(), "files.object.created".parse().unwrap())].into();
    let domains = Some(Domains::new(vec!["order.*".into()]).unwrap());
    let event = Some("order.item.placed".parse().unwrap());
    let reader = reader(&Queue { event, events, domains, ..queue() }, Contracts::Any);
    let records =
        json!({ "Records": [record("ObjectCreated:Put", "a"), record("ObjectRemoved:Delete", "b")] });
    let cloud = json!({"specversion": "1.0", "id": "7", "source": "/shop", "type": "order.item.placed", "subject": "s", "n": 1, "data": {"n": 1}});
    let seeds = [
        cloud.to_string(),
        cloud.to_string().replace("order.item.placed", "time.one-day.passed"),
        records.to_string(),
        in_envelope("m", &records.to_string()).body,
        in_envelope("m", &cloud.to_string()).body,
        json!({"Service": "Amazon S3", "Event": "s3:TestEvent"}).to_string(),
    ];
    let mut random = fastrand::Rng::with_seed(32);
    let mut accepted = 0;
    for round in 0..5_000 {
        let mut body = seeds[round % seeds.len()].clone().into_bytes();
        for _ in 0..random.usize(..4) {
            let at = random.usize(..body.len());
            match random.u8(..3) {
                0 => body[at] = *random.choice(b"\"{}[],:0 e-\\:ax").unwrap(),
                1 => drop(body.remove(at)),
                _ => {
                    let end = random.usize(at..body.len());
                    body.extend_from_within(at..end);
                }
            }
        }
        let message = message(String::from_utf8_lossy(&body));
        let read = reader.read(&message);
        if let Ok(Reading::Events(events)) = &read {
            accepted += 1;
            let may = |event: &Event| {
                let is_json = event.data.is_empty() || from_json::<Value>(&event.data).is_ok();
                let publisher = Publisher::of("sqs/orders".into(), Domains::new(vec!["#".into()]).unwrap());
                let is_forged = publisher.why_not_from("edge", &event.source).is_some();
                is_json && ["order", "files"].contains(&event.name.domain()) && !is_forged
            };
            assert!(!events.is_empty() && events.iter().all(may), "{}", message.body);
        }
        assert_eq!(format!("{read:?}"), format!("{:?}", reader.read(&message)), "{}", message.body);
    }
    assert!(accepted > 300, "{accepted}");
}

//! `ponos source sqs`: messages of an SQS that checks signatures to a real RabbitMQ, which is killed meanwhile.

use super::{
    aws::Aws,
    config::file,
    support::{Ended, LIMIT, Running, declare_all, holds, look, start_without_url, transport, wait},
};
use ponos::{
    broker::{Consume, Settle},
    event::{Event, Message},
    topology::{Binding, Exchange, Queue, Topology},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
};
use tempfile::TempDir;
use testkit::{Node, Signal, block_until_or_tell};

/// Where events go that a test looks at.
const QUEUE: &str = "seen";

/// A queue that has all events but those that are lost.
fn seen(keys: &[&str]) -> Topology {
    Topology {
        exchanges: vec![Exchange::topic("events")],
        queues: vec![Queue::quorum(QUEUE)],
        bindings: keys.iter().map(|key| Binding::queue("events", QUEUE, *key)).collect(),
        ..Topology::default()
    }
}

/// A source that runs.
struct Source {
    running: Running,
    _folder: TempDir,
}

/// A queue's table in `ponos.toml`: it is hidden for three seconds only.
fn table(url: &str, keys: &str) -> String {
    format!("[[source.sqs.queues]]\nurl = {url:?}\nwait = \"1s\"\nvisibility = \"3s\"\n{keys}\n")
}

/// Starts one by this text, with that key.
fn source_with(url: &str, text: &str, (id, secret): (&str, &str)) -> Source {
    let (folder, path) =
        file(&format!("service = \"edge\"\n[source.sqs]\nregion = \"eu-central-1\"\n{text}"));
    let secret_file = folder.path().join("secret");
    std::fs::write(&secret_file, secret).unwrap();
    let words = ["source", "sqs", "--config", &path, "--metrics", "127.0.0.1:0"];
    let variables = [
        ("PONOS_URL", url),
        ("AWS_ACCESS_KEY_ID", id),
        ("AWS_SECRET_ACCESS_KEY_FILE", secret_file.to_str().unwrap()),
        ("AWS_REGION", ""),
        ("AWS_DEFAULT_REGION", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_SESSION_TOKEN", ""),
    ];
    Source { running: start_without_url(&words, &variables), _folder: folder }
}

fn source(url: &str, text: &str) -> Source {
    let aws = Aws::shared();
    let source = source_with(url, text, (&aws.access_key_id, &aws.secret_access_key));
    source.running.says("receiving messages of ");
    source
}

impl Source {
    fn metrics(&self) -> String {
        self.running.says("the metrics are at http://");
        let said = self.running.err();
        let address = said.split("the metrics are at http://").nth(1).unwrap().split('/').next().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[track_caller]
    fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        block_until_or_tell(
            what,
            LIMIT,
            || is_so().then_some(()),
            || format!("{}\n{}", self.running.err(), self.metrics()),
        );
    }

    fn counts(&self, line: &str) {
        self.until(line, || self.metrics().contains(line));
    }

    fn stop(self) -> Ended {
        self.running.program.signal(Signal::TERM);
        let ended = self.running.end();
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert!(ended.err.contains("ended: what was received is published"), "{}", ended.err);
        ended
    }
}

fn events(url: &str, count: usize) -> Vec<Event> {
    look(url, QUEUE, count).iter().map(|message| Event::from_message(message).unwrap()).collect()
}

fn data(event: &Event) -> Value {
    serde_json::from_slice(&event.data).unwrap()
}

#[test]
fn queues_topics_and_buckets_become_events_and_are_emptied() {
    let (aws, url) = (Aws::shared(), Node::shared().vhost("sqs-kinds"));
    declare_all(&url, &seen(&["#"]));
    let [plain, cloud, topic, raw, bucket] = ["plain", "cloud", "topic", "raw", "bucket"]
        .map(|name| aws.queue(&format!("kinds-{name}"), &json!({})));
    let news = aws.ask("sns", "create_topic", &json!({ "Name": "kinds-news" }))["TopicArn"]
        .as_str()
        .unwrap()
        .to_owned();
    for (queue, attributes) in [(&topic, json!({})), (&raw, json!({ "RawMessageDelivery": "true" }))] {
        let with = json!({ "TopicArn": news, "Protocol": "sqs", "Endpoint": aws.arn(queue), "Attributes": attributes });
        aws.ask("sns", "subscribe", &with);
    }
    aws.ask(
        "s3",
        "create_bucket",
        &json!({ "Bucket": "files", "CreateBucketConfiguration": { "LocationConstraint": "eu-central-1" } }),
    );
    let notify = json!({ "QueueConfigurations": [{ "QueueArn": aws.arn(&bucket), "Events": ["s3:ObjectCreated:*"] }] });
    aws.ask(
        "s3",
        "put_bucket_notification_configuration",
        &json!({ "Bucket": "files", "NotificationConfiguration": notify }),
    );
    let text = [
        table(&plain, "event = \"order.item.placed\""),
        table(&cloud, "domains = [\"order.*\"]"),
        table(&topic, "event = \"news.item.told\""),
        table(&raw, "event = \"news.item.heard\""),
        table(&bucket, "events = { \"ObjectCreated:*\" = \"files.object.created\" }"),
    ];
    let source = source(&url, &text.concat());
    let id = aws.send(&plain, "{\"n\":  1}");
    let event = json!({ "specversion": "1.0", "id": "7", "source": "/shop", "type": "order.item.returned", "subject": "\u{e9}", "data": { "n": 2 } });
    aws.send(&cloud, &event.to_string());
    aws.ask("sns", "publish", &json!({ "TopicArn": news, "Message": "{\"n\": 3}" }));
    aws.ask("s3", "put_object", &json!({ "Bucket": "files", "Key": "a/b.txt", "Body": "hello" }));
    holds(&url, QUEUE, 5);
    source.until("the queues to be empty", || {
        [&plain, &cloud, &topic, &raw, &bucket].iter().all(|queue| aws.holds(queue) == (0, 0))
    });
    source.running.says("its test event is deleted, and is no event here");
    let events = events(&url, 5);
    let one = |name: &str| events.iter().find(|event| event.name.as_str() == name).unwrap();
    let placed = one("order.item.placed");
    assert_eq!((placed.source.as_str(), &placed.data[..]), ("/edge/sqs/kinds-plain", &b"{\"n\":  1}"[..]));
    assert_eq!(placed.id, ponos::keyed_id("/edge/sqs/kinds-plain", &placed.name, &id));
    let returned = one("order.item.returned");
    assert_eq!(
        (returned.id.as_str(), returned.subject.as_deref(), data(returned)),
        ("7", Some("é"), json!({ "n": 2 }))
    );
    assert_eq!(
        (data(one("news.item.told")), data(one("news.item.heard"))),
        (json!({ "n": 3 }), json!({ "n": 3 }))
    );
    let created = one("files.object.created");
    assert_eq!(
        (created.source.as_str(), created.subject.as_deref()),
        ("aws:s3.eu-central-1.files", Some("a%2Fb.txt"))
    );
    assert_eq!(data(created)["eventName"], "ObjectCreated:Put");
    source.counts("ponos_source_messages_total{queue=\"kinds-bucket\",outcome=\"test\"} 1");
    source.counts("ponos_source_messages_total{queue=\"kinds-plain\",outcome=\"published\"} 1");
    let ended = source.stop();
    assert!(!ended.err.contains(&aws.secret_access_key), "{}", ended.err);
}

#[test]
fn what_is_no_event_is_left_to_the_redrive_policy_and_what_nobody_receives_comes_again_as_it_was() {
    let (aws, url) = (Aws::shared(), Node::shared().vhost("sqs-left"));
    declare_all(&url, &seen(&["order.item.placed"]));
    let (bad, dead) = aws.queue_with_redrive("left-bad", 1);
    let (lost, lost_dead) = aws.queue_with_redrive("left-lost", 1000);
    let folder = tempfile::tempdir().unwrap();
    let schema =
        |name: &str, text: &str| std::fs::write(folder.path().join(format!("{name}.json")), text).unwrap();
    schema("order.item.placed", "{\"type\": \"object\", \"required\": [\"order\"]}");
    schema("order.item.lost", "true");
    let text = [
        table(&bad, "event = \"order.item.placed\""),
        table(&lost, "event = \"order.item.lost\""),
        format!("[contracts]\nfolder = {:?}\n", folder.path()),
    ];
    let source = source(&url, &text.concat().replace("\"3s\"", "\"2s\""));
    let poison = ["hello", "{}", "{\"specversion\": \"1.0\"}"].map(|body| aws.send(&bad, body));
    aws.send(&bad, "{\"order\": 1}");
    let id = aws.send(&lost, "{\"n\": 1}");
    // the good one is not kept waiting by what lies before it
    holds(&url, QUEUE, 1);
    source.until("the redrive policy", || aws.holds(&dead) == (3, 0));
    assert_eq!(aws.holds(&bad), (0, 0));
    let said = source.running.err();
    for (id, why) in poison.iter().zip(["it is not valid JSON", "breaks its contract", "say in domains"]) {
        let is_said = |line: &str| {
            line.contains(&format!("the message {id} of the queue 'left-bad' is left to SQS"))
                && line.contains(why)
        };
        assert!(said.lines().any(is_said), "{id} {why}: {said}");
    }
    assert!(said.contains("no queue is bound to 'order.item.lost'"), "{said}");
    source.counts("ponos_source_events_total{outcome=\"unroutable\"}");
    // once somebody is there, it comes as it was
    declare_all(&url, &seen(&["order.item.lost"]));
    holds(&url, QUEUE, 2);
    source.until("it to be deleted", || aws.holds(&lost) == (0, 0));
    let events = events(&url, 2);
    let event = events.iter().find(|event| event.name.as_str() == "order.item.lost").unwrap();
    assert_eq!(event.id, ponos::keyed_id("/edge/sqs/left-lost", &event.name, &id));
    assert_eq!(aws.holds(&lost_dead), (0, 0));
    source.counts("ponos_source_messages_total{queue=\"left-lost\",outcome=\"left\"}");
    source.stop();
}

#[test]
fn a_key_that_is_wrong_ends_the_start_and_is_not_said() {
    let (aws, url) = (Aws::shared(), Node::shared().vhost("sqs-key"));
    let queue = aws.queue("key-orders", &json!({}));
    let text = table(&queue, "event = \"order.item.placed\"");
    let ends = |key: (&str, &str), text: &str, words: &str| {
        let ended = source_with(&url, text, key).running.end();
        assert_eq!(ended.code, Some(77), "{}", ended.err);
        assert!(ended.err.contains(words), "{}", ended.err);
        for secret in [key.1, &aws.secret_access_key] {
            assert!(!ended.err.contains(secret), "{}", ended.err);
        }
    };
    let good = (aws.access_key_id.as_str(), aws.secret_access_key.as_str());
    ends((good.0, "hunter2hunter2"), &text, "with 403 (SignatureDoesNotMatch): the key is wrong");
    ends(("AKIDNOBODY", good.1), &text, "with 403 (InvalidClientTokenId): the key is wrong");
    ends(
        good,
        &text.replace("key-orders", "key-nobody"),
        "the queue 'key-nobody': SQS answered GetQueueAttributes with 400 (QueueDoesNotExist)",
    );
}

#[test]
fn none_is_lost_while_the_broker_stands_still_and_is_killed_and_none_is_given_up() {
    const MESSAGES: usize = 60;
    let (aws, node) = (Aws::shared(), Node::start());
    declare_all(&node.url(), &seen(&["order.item.placed"]));
    node.write_down();
    let (queues, dead): (Vec<_>, Vec<_>) =
        ["one", "two"].map(|name| aws.queue_with_redrive(&format!("kill-{name}"), 3)).into_iter().unzip();
    let text = queues.iter().map(|queue| table(queue, "event = \"order.item.placed\"")).collect::<String>();
    let source = source(&node.url(), &format!("confirm = \"2s\"\n{text}"));
    source.counts("ponos_source_broker_connected 1");
    let send = |from: usize, to: usize| {
        (from..to).for_each(|n| drop(aws.send(&queues[n % 2], &json!({ "n": n }).to_string())))
    };
    send(0, 10);
    holds(&node.url(), QUEUE, 10);
    // it stands still: what is received is held, and not deleted, for longer than SQS would hide it
    node.pause();
    send(10, 20);
    source.until("the messages to be held", || {
        let metrics = source.metrics();
        queues.iter().enumerate().all(|(at, _)| {
            metrics.contains(&format!("ponos_source_held{{queue=\"kill-{}\"}} 5", ["one", "two"][at]))
        })
    });
    source.until("them to be extended again and again", || {
        let metrics = source.metrics();
        let calls = |queue: &str| {
            let line =
                format!("ponos_source_calls_total{{queue=\"{queue}\",call=\"extend\",outcome=\"done\"}} ");
            let found = metrics.split(&line).nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
            found.unwrap_or(0.0)
        };
        calls("kill-one") >= 4.0 && calls("kill-two") >= 4.0
    });
    assert!(queues.iter().all(|queue| aws.holds(queue).1 == 5), "{}", source.metrics());
    node.unpause();
    // killed while more come
    send(20, 40);
    node.kill9();
    send(40, MESSAGES);
    node.restart();
    let found = arrived(&node.url(), MESSAGES);
    assert_eq!(found.len(), MESSAGES, "{}", source.running.err());
    source.until("all to be deleted", || queues.iter().all(|queue| aws.holds(queue) == (0, 0)));
    for dead in &dead {
        assert_eq!(aws.holds(dead), (0, 0), "an outage spends no receive: {}", source.running.err());
    }
    source.stop();
}

/// The bodies that the queue has, by id; each of an id is the same.
fn arrived(url: &str, wanted: usize) -> BTreeMap<String, Vec<u8>> {
    wait(async {
        let mut consumer = transport(url).consumer(Topology::default(), Consume::new(QUEUE).prefetch(100));
        let mut found: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        while found.len() < wanted {
            let Ok(Some(delivery)) = tokio::time::timeout(LIMIT, consumer.next()).await else { break };
            let Message { properties, body, .. } = delivery.message;
            let body =
                found.entry(properties.message_id.unwrap()).or_insert_with(|| body.clone()).clone() == body;
            assert!(body, "another body under the same id");
            // an error: it comes again
            let _ = consumer.settle(delivery.tag, Settle::Ack).await;
        }
        found
    })
}

#[test]
fn a_file_is_checked_as_any_other() {
    let (_folder, path) =
        file("service = \"edge\"\n[source.sqs]\n[[source.sqs.queues]]\nurl = \"https://h/1/q\"\n");
    let ended = super::support::ponos("amqp://127.0.0.1:1", &["check", &path]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.out.contains("of no message which event it is"), "{}", ended.out);
}

//! The source on the twin of RabbitMQ and on an SQS of its own.

mod fake;

use super::{
    settings::{KeyFiles, Limits},
    *,
};
use crate::gateway::settings::{Contracts, Unroutable};
use fake::Fake;
use ponos::{
    broker::memory::Broker,
    event::{Event, Message},
    shutdown::Trigger,
    topology::{Binding, Queue as Bound, Topology, worker::EVENTS},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use testkit::wait_until;
use tokio::task::JoinHandle;

const LIMIT: Duration = Duration::from_secs(60);
/// Goes to the queue of the tests.
const EVENT: &str = "order.item.placed";

struct Tested {
    fake: Fake,
    broker: Broker,
    metrics: Metrics,
    trigger: Trigger,
    running: JoinHandle<()>,
}

fn queue(fake: &Fake, name: &str) -> Queue {
    let url = format!("http://{}/123456789012/{name}", fake.address);
    Queue {
        place: Endpoint::parse(&url).unwrap().0,
        url,
        name: name.into(),
        event: Some(EVENT.parse().unwrap()),
        events: BTreeMap::new(),
        domains: None,
        wait: 1,
        visibility: 2,
        prefetch: 20,
    }
}

impl Tested {
    async fn start(name: &str) -> Self {
        Self::start_with(name, 2, Limits::default().bytes).await
    }

    /// A queue whose messages are hidden for so many seconds, and so many bytes of which are held.
    async fn start_with(name: &str, visibility: u64, bytes: usize) -> Self {
        let (fake, broker, metrics) = (Fake::start().await, Broker::new(), Metrics::new());
        let bound = Topology {
            queues: vec![Bound::quorum("placed")],
            bindings: vec![Binding::queue(EVENTS, "placed", EVENT)],
            ..topology(false)
        };
        broker.declare(&bound).unwrap();
        let settings = Settings {
            region: Some("eu-central-1".into()),
            endpoint: None,
            keys: KeyFiles::default(),
            unroutable: Unroutable::Refuse,
            limits: Limits { confirm: Duration::from_millis(500), bytes, ..Limits::default() },
            contracts: Contracts::Any,
            queues: vec![Queue { visibility, ..queue(&fake, name) }],
        };
        let variable = |name: &str| match name {
            "AWS_ACCESS_KEY_ID" => Some("AKID".to_owned()),
            "AWS_SECRET_ACCESS_KEY" => Some("hunter2".to_owned()),
            _ => None,
        };
        let credentials = Arc::new(CredentialSource::find(variable, &settings.keys).unwrap());
        let counted = SourceMetrics::register(&metrics);
        let transport = Transport::memory(broker.clone());
        let (confirm, unroutable) = (settings.limits.confirm, settings.unroutable);
        let publishing = Arc::new(Publishing::new(&transport, false, confirm, unroutable, counted.clone()));
        let (trigger, asked) = shutdown();
        let (queue, sqs) = calls(&settings, &credentials).unwrap().remove(0);
        let source = QueueSource {
            reader: Reader::new("edge", &queue, &settings),
            queue,
            sqs,
            publishing,
            metrics: counted,
            asked,
            said: Said::default(),
            is_test_said: AtomicBool::new(false),
        };
        let running = tokio::spawn(Arc::new(source).run());
        Self { fake, broker, metrics, trigger, running }
    }

    async fn until(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        wait_until(what, LIMIT, async || is_so(self).then_some(())).await;
    }

    /// The numbers of the events that arrived.
    fn arrived(&self) -> Vec<Value> {
        let number = |message: &Message| {
            let data = Event::from_message(message).unwrap().data;
            serde_json::from_slice::<Value>(&data).unwrap()["n"].clone()
        };
        self.broker.peek("placed").iter().map(|delivery| number(&delivery.message)).collect()
    }

    fn counts(&self, line: &str) -> bool {
        self.metrics.expose(None).unwrap().text.contains(line)
    }

    /// Asks for the end, and waits for it.
    async fn end(self) -> Self {
        self.trigger.advance();
        let Self { running, fake, broker, metrics, trigger } = self;
        tokio::time::timeout(LIMIT, running).await.unwrap().unwrap();
        Self { running: tokio::spawn(async {}), fake, broker, metrics, trigger }
    }
}

#[tokio::test]
async fn a_message_is_held_until_its_confirm_and_deleted_only_then() {
    let tested = Tested::start("orders").await;
    tested.broker.hold_confirms(true);
    (0..3).for_each(|n| tested.fake.put(&n.to_string(), &json!({ "n": n }), None));
    // for longer than SQS would hide them, and than a confirm is waited for
    tested
        .until("the messages to be extended", |tested| {
            (0..3).all(|n| {
                tested.fake.state().extended.iter().filter(|(id, _)| *id == n.to_string()).count() >= 4
            })
        })
        .await;
    assert_eq!(tested.fake.state().deleted, Vec::<String>::new());
    assert!(tested.counts("ponos_source_held{queue=\"orders\"} 3"));
    assert!((0..3).all(|n| tested.fake.state().receives(&n.to_string()) == 1), "an outage spends no receive");
    tested.broker.hold_confirms(false);
    tested.until("the messages to be deleted", |tested| tested.fake.state().deleted.len() == 3).await;
    let tested = tested.end().await;
    assert!(tested.counts("ponos_source_messages_total{queue=\"orders\",outcome=\"published\"} 3"));
    assert!(tested.counts("ponos_source_held{queue=\"orders\"} 0"));
    // what was sent more than once has the same id
    let mut ids: Vec<_> =
        tested.broker.peek("placed").into_iter().map(|one| one.message.properties.message_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn an_extension_that_fails_is_tried_again_before_the_message_is_shown_to_others() {
    let tested = Tested::start_with("orders", 6, Limits::default().bytes).await;
    tested.broker.hold_confirms(true);
    let fails = ("ChangeMessageVisibilityBatch", 500, json!({}));
    tested.fake.state().instead.extend([fails.clone(), fails.clone(), fails]);
    tested.fake.put("1", &json!({ "n": 1 }), None);
    tested.until("it to be extended", |tested| !tested.fake.state().extended.is_empty()).await;
    assert_eq!(tested.fake.state().count("ChangeMessageVisibilityBatch"), 4);
    assert_eq!(tested.fake.state().receives("1"), 1, "no receive is spent");
}

#[tokio::test]
async fn what_is_no_event_and_what_nobody_receives_is_left_and_comes_again() {
    let tested = Tested::start("orders").await;
    tested.fake.put("bad", &json!({ "specversion": "1.0" }), None);
    tested.fake.put("good", &json!({ "n": 1 }), None);
    tested.until("the bad one to come again", |tested| tested.fake.state().receives("bad") >= 2).await;
    tested.until("the good one to be deleted", |tested| tested.fake.state().deleted == ["good"]).await;
    assert!(tested.broker.unbind(&Binding::queue(EVENTS, "placed", EVENT)));
    tested.fake.put("nowhere", &json!({ "n": 2 }), None);
    tested.until("the other to come again", |tested| tested.fake.state().receives("nowhere") >= 2).await;
    let bound = Topology { bindings: vec![Binding::queue(EVENTS, "placed", EVENT)], ..topology(false) };
    tested.broker.declare(&bound).unwrap();
    tested.until("it to be deleted", |tested| tested.fake.state().deleted == ["good", "nowhere"]).await;
    assert_eq!(tested.arrived(), [1, 2]);
    let state = tested.fake.state();
    assert!(!state.extended.iter().any(|(id, _)| id == "bad"), "what is left is not held");
}

#[tokio::test]
async fn where_order_counts_what_follows_a_message_that_is_left_is_left_with_it() {
    let tested = Tested::start("orders.fifo").await;
    tested.broker.hold_confirms(true);
    for (id, body, group) in [
        ("a1", json!({ "n": 1 }), "a"),
        ("a2", json!({ "specversion": "1.0" }), "a"),
        ("a3", json!({ "n": 3 }), "a"),
        ("b1", json!({ "n": 4 }), "b"),
        ("b2", json!({ "n": 5 }), "b"),
    ] {
        tested.fake.put(id, &body, Some(group));
    }
    // one at a time: while the first has no confirm, nothing else is sent
    tested.until("the first to be sent twice", |tested| tested.arrived().len() >= 2).await;
    assert!(tested.arrived().iter().all(|n| *n == 1), "{:?}", tested.arrived());
    tested.broker.hold_confirms(false);
    tested.until("a1 and the group b", |tested| tested.fake.state().deleted.len() == 3).await;
    tested.until("the bad one to come again", |tested| tested.fake.state().receives("a2") >= 3).await;
    let mut deleted = tested.fake.state().deleted.clone();
    deleted.sort();
    assert_eq!(deleted, ["a1", "b1", "b2"]);
    let arrived: Vec<Value> = tested.arrived().into_iter().filter(|n| *n != 1).collect();
    assert_eq!(arrived, [4, 5]);
}

#[tokio::test]
async fn a_message_that_can_t_be_read_takes_none_beside_it_along() {
    let tested = Tested::start("orders").await;
    let good = json!({ "MessageId": "1", "ReceiptHandle": "1#0", "Body": "{\"n\": 1}" });
    let answer = json!({ "Messages": [{ "MessageId": "bad" }, good, { "Attributes": null }] });
    tested.fake.state().instead.push_back(("ReceiveMessage", 200, answer));
    tested.until("the good one to arrive", |tested| tested.arrived() == [1]).await;
    assert!(tested.counts("outcome=\"unreadable\"} 2"));
}

#[tokio::test]
async fn where_order_counts_what_follows_a_message_that_is_not_deleted_waits_for_it() {
    let tested = Tested::start("orders.fifo").await;
    let gone = json!({ "Failed": [{ "Id": "0", "SenderFault": true, "Code": "ReceiptHandleIsInvalid" }] });
    tested.fake.state().instead.push_back(("DeleteMessageBatch", 200, gone));
    tested.fake.put_all(&[("a1", json!({ "n": 1 }), Some("a")), ("a2", json!({ "n": 2 }), Some("a"))]);
    tested.until("both to be deleted", |tested| tested.fake.state().deleted.len() == 2).await;
    assert_eq!(tested.arrived(), [1, 1, 2]);
}

#[tokio::test]
async fn what_sqs_shows_to_others_is_sent_no_more() {
    let tested = Tested::start("orders").await;
    tested.broker.hold_confirms(true);
    let gone = json!({ "Failed": [{ "Id": "0", "SenderFault": true, "Code": "MessageNotInflight" }] });
    tested.fake.state().instead.push_back(("ChangeMessageVisibilityBatch", 200, gone));
    tested.fake.put("1", &json!({ "n": 1 }), None);
    tested.until("it to be left", |tested| tested.counts("outcome=\"left\"} 1")).await;
    tested.broker.hold_confirms(false);
    tested.until("it to come again", |tested| tested.fake.state().deleted == ["1"]).await;
    assert_eq!(tested.fake.state().count("DeleteMessageBatch"), 1);
}

#[tokio::test]
async fn at_the_end_what_the_broker_does_not_take_is_given_back_at_once() {
    let tested = Tested::start("orders").await;
    tested.broker.hold_confirms(true);
    tested.fake.put("1", &json!({ "n": 1 }), None);
    tested.until("it to be sent", |tested| !tested.arrived().is_empty()).await;
    tested.broker.stop();
    let tested = tested.end().await;
    let state = tested.fake.state();
    assert_eq!((state.deleted.len(), state.extended.last()), (0, Some(&("1".to_owned(), 0))));
    assert!(tested.counts("ponos_source_messages_total{queue=\"orders\",outcome=\"given-back\"} 1"));
}

#[tokio::test]
async fn a_deletion_that_fails_is_tried_again_and_one_that_never_will_is_not() {
    let tested = Tested::start("orders").await;
    let entry =
        |code: &str, fault: bool| json!({ "Failed": [{ "Id": "0", "SenderFault": fault, "Code": code }] });
    let answers = [
        ("DeleteMessageBatch", 500, json!({ "__type": "InternalFailure" })),
        ("DeleteMessageBatch", 200, entry("InternalError", false)),
        ("DeleteMessageBatch", 200, entry("RequestThrottled", true)),
    ];
    tested.fake.state().instead.extend(answers);
    tested.fake.put("1", &json!({ "n": 1 }), None);
    tested.until("it to be deleted", |tested| tested.fake.state().deleted == ["1"]).await;
    assert_eq!((tested.fake.state().count("DeleteMessageBatch"), tested.arrived().len()), (4, 1));
    tested.fake.state().instead.push_back(("DeleteMessageBatch", 200, entry("ReceiptHandleIsInvalid", true)));
    tested.fake.put("2", &json!({ "n": 2 }), None);
    // it comes again as it was, and is deleted then
    tested.until("it to be deleted", |tested| tested.fake.state().deleted == ["1", "2"]).await;
    assert_eq!(tested.fake.state().count("DeleteMessageBatch"), 6);
    assert_eq!(tested.arrived(), [1, 2, 2]);
    assert!(tested.counts("outcome=\"undeleted\"} 1"));
}

#[tokio::test]
async fn calls_that_fail_are_tried_again() {
    let tested = Tested::start("orders").await;
    let answers = [
        ("ReceiveMessage", 503, json!({})),
        ("ReceiveMessage", 403, json!({ "__type": "ExpiredTokenException" })),
        ("ReceiveMessage", 200, json!("no answer")),
    ];
    tested.fake.state().instead.extend(answers);
    tested.fake.put("1", &json!({ "n": 1 }), None);
    tested.until("it to be deleted", |tested| tested.fake.state().deleted == ["1"]).await;
    for outcome in ["throttled", "refused", "failed", "done"] {
        let line =
            format!("ponos_source_calls_total{{queue=\"orders\",call=\"receive\",outcome=\"{outcome}\"}}");
        assert!(tested.counts(&line), "{line}");
    }
}

#[tokio::test]
async fn room_is_reserved_for_as_many_messages_as_fit_and_for_no_more_than_a_queue_s_share() {
    // for eight messages, four of each queue
    let room = Room::new(8 << 20, 2);
    let (count, first) = room.reserve(10).await.unwrap();
    assert_eq!((count, first.num_permits()), (4, 4 * 1024));
    let (count, second) = room.reserve(3).await.unwrap();
    assert_eq!((count, second.num_permits()), (3, 3 * 1024));
    // one has no room of its size any more, and the last of all waits
    let (count, third) = room.reserve(10).await.unwrap();
    assert_eq!(count, 1);
    tokio::select! {
        biased;
        _ = room.reserve(1) => panic!("all of it is reserved"),
        () = std::future::ready(()) => {}
    }
    drop((second, third));
    assert_eq!(room.reserve(10).await.unwrap().0, 4);
    drop(first);
}

#[tokio::test]
async fn while_the_room_is_full_nothing_is_received_and_what_is_held_is_settled() {
    // two of the messages leave less than a third would need
    let tested = Tested::start_with("orders", 2, 2 << 20).await;
    tested.broker.hold_confirms(true);
    let large = "a".repeat(600 << 10);
    (0..4).for_each(|n| tested.fake.put(&n.to_string(), &json!({ "n": n, "large": large }), None));
    tested.until("what has room to be sent", |tested| tested.arrived().len() >= 2).await;
    tested.until("it to be extended", |tested| tested.fake.state().extended.len() >= 4).await;
    let received =
        |tested: &Tested| (0..4).map(|n| tested.fake.state().receives(&n.to_string())).sum::<u32>();
    assert_eq!(received(&tested), 2, "what has no room stays in SQS");
    tested.broker.hold_confirms(false);
    tested.until("all to be deleted", |tested| tested.fake.state().deleted.len() == 4).await;
}

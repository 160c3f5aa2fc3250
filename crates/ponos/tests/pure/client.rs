//! Clients on the twin: what arrives, what is refused and why, and what waits for how long.

use ponos::{
    Client,
    broker::{Link, Transport},
    client::{ClientError, ClientLimits, Connect},
    event::Event,
    keyed_id,
    prelude::*,
    testing::Kit,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

const TASK: &str = "orders.label.print";
const SHIPPED: &str = "order.item.shipped";

#[derive(Debug, Serialize, Deserialize, ponos::schemars::JsonSchema)]
#[schemars(crate = "ponos::schemars")]
struct Label {
    order: u64,
}

fn worker() -> Worker {
    Worker::new("orders").task(TASK, async |_: Label, _: Context| Ok(Done))
}

fn connect(kit: &Kit) -> Connect {
    Client::connect_on(Transport::memory(kit.broker().clone()), "orders")
        .sends_task::<Label>(TASK)
        .sends_task::<Value>("orders.letter.send")
        .publishes::<Value>(SHIPPED)
}

fn only(kit: &Kit, name: &str) -> Event {
    let mut all = kit.published_events(name);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[tokio::test(start_paused = true)]
async fn a_task_is_handled_and_an_event_needs_nobody() {
    let kit = Kit::start(worker()).await;
    let client = connect(&kit).await.unwrap();
    let id = client.task(TASK, &Label { order: 7 }).await.unwrap();
    client.publish(SHIPPED, &json!({ "order": 7 })).await.unwrap();
    kit.settled().await;
    assert_eq!(kit.ended(&id), Some(Ended::Done));
    assert_eq!(kit.published(SHIPPED), [json!({ "order": 7 })]);
    assert_eq!(only(&kit, SHIPPED).source, "/orders");
}

#[tokio::test(start_paused = true)]
async fn attributes_and_headers_travel_with_it() {
    let kit = Kit::start(worker()).await;
    let client = connect(&kit).await.unwrap();
    let sent = client
        .publish(SHIPPED, &json!({}))
        .key("order-7")
        .subject("order/7")
        .correlation("request-1")
        .causation("order-placed-7")
        .trace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Some("a=b".into()))
        .expires(kit.now().plus(60_000))
        .header("tenant", "north")
        .await
        .unwrap();
    assert_eq!(sent, keyed_id("/orders", &SHIPPED.parse().unwrap(), "order-7"));
    let event = only(&kit, SHIPPED);
    assert_eq!((event.id, event.subject.as_deref()), (sent, Some("order/7")));
    assert_eq!(event.correlation_id.as_deref(), Some("request-1"));
    assert_eq!(event.causation_id.as_deref(), Some("order-placed-7"));
    assert!(event.traceparent.is_some() && event.tracestate.as_deref() == Some("a=b"));
    assert_eq!(event.expiry_time, Some(kit.now().plus(60_000)));
    assert_eq!(event.extensions.text("tenant"), Some("north"));
}

#[tokio::test(start_paused = true)]
async fn what_breaks_a_contract_or_is_not_declared_is_refused_before_anything_is_sent() {
    let kit = Kit::start(worker()).await;
    let client = connect(&kit).await.unwrap();
    let wrong = client.task(TASK, &json!({ "order": "seven" })).await.unwrap_err();
    assert!(matches!(&wrong, ClientError::Unfit(_)) && wrong.to_string().contains("/order"), "{wrong}");
    let unknown = client.publish("order.item.shiped", &json!({})).await.unwrap_err().to_string();
    assert!(unknown.contains("did you mean order.item.shipped?"), "{unknown}");
    let nameless = client.publish("shipped", &json!({})).await.unwrap_err().to_string();
    assert!(nameless.contains("'shipped' is not a valid name"), "{nameless}");
    for reserved in ["x-death", "cloudEvents_id", "traceparent", "retry-attempt", ""] {
        let refused = client.publish(SHIPPED, &json!({})).header(reserved, "1").await.unwrap_err();
        assert!(matches!(refused, ClientError::Attribute { .. }), "{reserved}: {refused}");
    }
    assert!(client.publish(SHIPPED, &json!({})).id("").await.is_err());
    kit.settled().await;
    assert_eq!((kit.published(SHIPPED).len(), kit.published(TASK).len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_task_without_a_queue_says_so_and_a_missing_exchange_too() {
    let kit = Kit::start(worker()).await;
    let client = connect(&kit).await.unwrap();
    let unrouted = client.task("orders.letter.send", &json!({})).await.unwrap_err();
    assert!(
        matches!(&unrouted, ClientError::Unrouted { queue, .. } if queue == "orders.orders.letter.send"),
        "{unrouted}"
    );
    let bare =
        Client::connect_on(Transport::memory(Default::default()), "orders").publishes::<Value>(SHIPPED);
    let missing = bare.await.unwrap().publish(SHIPPED, &json!({})).await.unwrap_err();
    assert!(matches!(&missing, ClientError::Refused { .. }), "{missing}");
    assert!(missing.to_string().contains("its exchange does not exist"), "{missing}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_waited_for_and_the_message_arrives_under_its_id() {
    let kit = Kit::start(worker()).await;
    let client = connect(&kit).await.unwrap();
    kit.broker().hold_confirms(true);
    let (sent, ()) = tokio::join!(client.publish(SHIPPED, &json!(1)), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        kit.broker().disconnect_all();
        kit.broker().hold_confirms(false);
    });
    let ids: Vec<_> = kit.published_events(SHIPPED).into_iter().map(|event| event.id).collect();
    let id = sent.unwrap();
    assert!(ids.len() == 2 && ids.iter().all(|each| *each == id), "{ids:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_confirmed_in_time_may_have_arrived_and_what_was_not_sent_has_not() {
    let kit = Kit::start(worker()).await;
    let limits = ClientLimits { timeout: Duration::from_secs(5), ..ClientLimits::default() };
    let client = connect(&kit).limits(limits).await.unwrap();
    kit.broker().hold_confirms(true);
    let late = client.publish(SHIPPED, &json!(1)).id("one").await.unwrap_err();
    assert!(matches!(&late, ClientError::Unconfirmed { id, .. } if id.as_str() == "one"), "{late}");
    assert!(late.may_have_arrived());
    kit.broker().stop();
    client.link().wait_for(|link| matches!(link, Link::Down { .. })).await.unwrap();
    let began = tokio::time::Instant::now();
    let away = client.publish(SHIPPED, &json!(2)).within(Duration::from_secs(3)).await.unwrap_err();
    assert!(matches!(&away, ClientError::NoConnection { .. }) && !away.may_have_arrived(), "{away}");
    assert!(away.to_string().contains("the in-memory broker is stopped"), "{away}");
    assert_eq!(began.elapsed().as_secs(), 3);
    let nowhere = connect(&kit).await.unwrap_err();
    assert!(matches!(nowhere, ClientError::Unreachable { .. }), "{nowhere}");
}

#[tokio::test(start_paused = true)]
async fn no_more_waits_than_the_limits_allow() {
    let kit = Kit::start(worker()).await;
    let limits = ClientLimits { waiting: 2, body: 4096, waiting_bytes: 5 * 1024, ..ClientLimits::default() };
    let client = connect(&kit).limits(limits).await.unwrap();
    let long = json!("x".repeat(4000));
    let too_long = client.publish(SHIPPED, &json!("x".repeat(4096))).await.unwrap_err();
    assert!(matches!(too_long, ClientError::TooLarge { bytes: 4098, most: 4096, .. }), "{too_long}");
    kit.broker().block("memory");
    let (_one, second, third, ()) = tokio::join!(
        client.publish(SHIPPED, &long),
        client.publish(SHIPPED, &long),
        async { [client.publish(SHIPPED, &json!(1)).await, client.publish(SHIPPED, &json!(2)).await] },
        async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let fourth = client.publish(SHIPPED, &json!(3)).await.unwrap_err();
            assert!(matches!(fourth, ClientError::Full { most: 2, .. }), "{fourth}");
            kit.broker().unblock();
        }
    );
    assert!(matches!(second, Err(ClientError::Full { .. })), "its bytes are beyond the limit: {second:?}");
    assert!(third.iter().all(Result::is_ok), "{third:?}");
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_what_was_sent_and_refuses_what_comes_after() {
    let kit = Kit::start(worker()).await;
    let client = connect(&kit).await.unwrap();
    kit.broker().hold_confirms(true);
    let other = client.clone();
    let (sent, closed, (), after) = tokio::join!(
        client.publish(SHIPPED, &json!(1)),
        async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            other.close().await
        },
        async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            kit.broker().hold_confirms(false);
        },
        async {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            client.publish(SHIPPED, &json!(2)).await
        }
    );
    assert!(sent.is_ok() && closed.is_ok(), "{sent:?} {closed:?}");
    assert!(matches!(after, Err(ClientError::Closed)), "{after:?}");
    assert_eq!(kit.published(SHIPPED), [json!(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_description_is_refused_with_all_that_is_wrong() {
    let kit = Kit::start(worker()).await;
    let limits = ClientLimits { timeout: Duration::ZERO, ..ClientLimits::default() };
    let client = Client::connect_on(Transport::memory(kit.broker().clone()), "Orders")
        .publishes::<Value>("shipped")
        .limits(limits);
    let said = client.await.unwrap_err().to_string();
    for part in ["'Orders'", "'shipped'", "timeout is 0"] {
        assert!(said.contains(part), "{said}");
    }
    let wrong = Client::connect("http://localhost", "orders").await.unwrap_err();
    assert!(matches!(wrong, ClientError::Broker(_)), "{wrong}");
}

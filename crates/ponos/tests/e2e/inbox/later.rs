//! What commits now and is sent later, and what clients write within transactions of their own.
#![cfg(feature = "postgres")]

use super::{opened, sql};
use ponos::{
    Client,
    broker::{Transport, memory},
    client::{ClientError, Connect},
    event::{Event, Timestamp},
    inbox::{
        Inbox,
        postgres::{PostgresOptions, WaitingFilter, WaitingKind},
    },
    prelude::*,
    shutdown::shutdown,
    testing::Kit,
    topology::{Binding, Exchange, Queue, Topology},
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use testkit::wait_until;
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_secs(60);
const NAME: &str = "order.item.shipped";
const TASK: &str = "order.label.print";
const DUE: &str = "order.reminder.due";

fn shop(inbox: &Inbox) -> Worker {
    async fn ships(delay: u64, ctx: Context) -> HandlerResult {
        ctx.task_in(Duration::from_millis(delay), TASK, &json!({ "order": 7 }))?;
        ctx.publish_at(ctx.now().plus(86_400_000), DUE, &json!({ "order": 7 }))?;
        if delay == 0 { Err("no")? } else { Ok(Done) }
    }
    Worker::new("shop")
        .on(NAME, ships.with(Policy::retry(1)))
        .task(TASK, async |_: Value, _: Context| Ok(Done))
        .publishes::<Value>(DUE)
        .inbox(inbox.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_handler_publishes_for_later_commits_with_it_and_is_not_sent_before_it_is_due() {
    let (_, inbox) = opened("later_handler").await;
    let mut kit = Kit::start_in_real_time(shop(&inbox)).await;
    let began = Instant::now();
    kit.publish(NAME, &json!(1_200)).await;
    let arrived = wait_until("the task", LIMIT, async || kit.published_events(TASK).pop()).await;
    assert!(began.elapsed() >= Duration::from_millis(1_200), "{:?}", began.elapsed());
    let time = arrived.time.unwrap();
    assert!(kit.now() >= time && kit.now().since(time) < 60_000, "its time is when it was due: {time}");
    kit.settled().await;
    let status = inbox.outbox().await.unwrap().unwrap();
    assert_eq!((status.waiting, status.later, status.oldest), (0, 1, None));
    assert!(kit.published(DUE).is_empty());
    // a day passes
    let row = "select id || ' ' || (due > now() + interval '23 hours') from ponos.ponos_outbox";
    assert!(sql("later_handler", row).ends_with(" true"));
    sql("later_handler", "update ponos.ponos_outbox set due = now(), next_try = now()");
    wait_until("the event", LIMIT, async || (kit.published(DUE).len() == 1).then_some(())).await;
    // one that fails leaves nothing
    kit.publish(NAME, &json!(0)).await;
    kit.settled().await;
    assert_eq!(
        (kit.dead().len(), sql("later_handler", "select count(*) from ponos.ponos_outbox").as_str()),
        (1, "0")
    );
}

fn broker() -> memory::Broker {
    let broker = memory::Broker::new();
    let topology = Topology {
        exchanges: vec![Exchange::topic("events"), Exchange::direct("tasks")],
        queues: vec![Queue::classic("q")],
        bindings: vec![
            Binding::queue("events", "q", "#"),
            Binding::queue("tasks", "q", "shop.order.label.print"),
        ],
        ..Topology::default()
    };
    broker.declare(&topology).unwrap();
    broker
}

fn connect(broker: &memory::Broker) -> Connect {
    Client::connect_on(Transport::memory(broker.clone()), "shop")
        .sends_task::<u64>(TASK)
        .publishes::<Value>(DUE)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_within_a_transaction_is_sent_after_its_commit_and_never_without() {
    let (url, inbox) = opened("later_client").await;
    let broker = broker();
    let client = connect(&broker).outbox(&inbox).await.unwrap();
    let (end, ending) = shutdown();
    let relaying = client.clone();
    let relay = tokio::spawn(async move { relaying.relay(&ending).await });
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let mut undone = connection.begin().await.unwrap();
    client.task_in(&mut undone, TASK, &1).await.unwrap();
    undone.rollback().await.unwrap();
    let mut kept = connection.begin().await.unwrap();
    let id = client.task_in(&mut kept, TASK, &2).correlation("request-1").await.unwrap();
    let at: Timestamp = "2099-01-01T00:00:00Z".parse().unwrap();
    client.publish_in(&mut kept, DUE, &json!(3)).at(at).await.unwrap();
    client.publish_in(&mut kept, DUE, &json!(4)).after(Duration::from_millis(700)).await.unwrap();
    let wrong = client.task_in(&mut kept, TASK, &"seven").await.unwrap_err();
    assert!(matches!(wrong, ClientError::Unfit(_)), "{wrong}");
    assert_eq!(broker.queue_depth("q"), Some(0), "it is sent before the commit");
    let began = Instant::now();
    kept.commit().await.unwrap();
    wait_until("both", LIMIT, async || (broker.queue_depth("q") == Some(2)).then_some(())).await;
    let events: Vec<Event> = std::iter::from_fn(|| broker.get("q"))
        .map(|delivery| Event::from_message(&delivery.message).unwrap())
        .collect();
    assert_eq!((&events[0].id, events[0].correlation_id.as_deref()), (&id, Some("request-1")));
    assert_eq!(events[1].data, b"4");
    assert!(began.elapsed() < LIMIT);
    assert_eq!(inbox.outbox().await.unwrap().unwrap().later, 1);
    end.advance();
    relay.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_an_outbox_of_its_service_says_so() {
    let (url, inbox) = opened("later_none").await;
    let broker = broker();
    let bare = connect(&broker).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let refused = bare.task_in(&mut connection, TASK, &1).await.unwrap_err().to_string();
    assert!(refused.contains("has no outbox"), "{refused}");
    assert!(bare.relay(&shutdown().1).await.is_err());
    let foreign =
        Client::connect_on(Transport::memory(broker.clone()), "orders").outbox(&inbox).await.unwrap_err();
    assert!(foreign.to_string().contains("it is that of 'shop'"), "{foreign}");
    let memory = connect(&broker).outbox(&Inbox::memory(1)).await.unwrap_err();
    assert!(memory.to_string().contains("has no outbox"), "{memory}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outbox_of_an_earlier_version_is_completed_and_keeps_its_rows() {
    let (url, inbox) = opened("later_migrated").await;
    drop(inbox);
    let before = "drop index ponos.ponos_outbox_due, ponos.ponos_outbox_key;
        alter table ponos.ponos_outbox drop column due, drop column kind, drop column key, drop column name,
            drop column queue, drop column reason;
        insert into ponos.ponos_outbox (service, id, exchange, head, body)
        values ('shop', 'old', 'events', '{}', '');";
    sql("later_migrated", before);
    let inbox = Inbox::postgres(&url, PostgresOptions::new("shop")).await.unwrap();
    let status = inbox.outbox().await.unwrap().unwrap();
    assert_eq!((status.waiting, status.later), (1, 0));
    let waiting = inbox.waiting(WaitingFilter::default()).unwrap().list(None, 10).await.unwrap();
    assert_eq!((waiting.messages[0].id.as_str(), waiting.messages[0].kind), ("old", WaitingKind::Send));
    // a key is there once, as in a new table
    let keyed = "insert into ponos.ponos_outbox (service, id, exchange, head, body, key)
        values ('shop', 'new', 'events', '{}', '', 'k') on conflict (service, key) where key is not null do nothing;";
    sql("later_migrated", &format!("{keyed}{keyed}"));
    assert_eq!(sql("later_migrated", "select count(*) from ponos.ponos_outbox"), "2");
    // what was there yesterday goes on to be written by what has not been updated yet
    let earlier = "insert into ponos.ponos_outbox (service, id, exchange, head, body, due, next_try)
        values ('shop', 'earlier', 'events', '{}', '', null, '-infinity')";
    sql("later_migrated", earlier);
}

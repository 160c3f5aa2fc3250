//! Once it has been quiet: rows of the outbox whose place the next message of their key takes.
#![cfg(feature = "postgres")]

use super::{opened, sql, unique::waiting};
use ponos::{
    Client, Once,
    broker::{Transport, memory},
    event::EventId,
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
use std::{
    process::{Command, Stdio},
    time::Duration,
};
use testkit::{Sandbox, wait_until};
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const NAME: &str = "order.item.changed";
const SEEN: &str = "order.change.seen";
const TASK: &str = "shop.index.update";
/// The test that is a relay's process, and the variables it is told by.
const CHILD: &str = "inbox::debounce::is_the_relay_process";
const DATABASE: &str = "TEST_DEBOUNCE_DATABASE";
const MARK: &str = "TEST_DEBOUNCE_MARK";

fn quiet() -> Once {
    Once::debounce(HOUR).key("index")
}

async fn connect(broker: &memory::Broker, inbox: &Inbox) -> Client {
    let connect = Client::connect_on(Transport::memory(broker.clone()), "shop");
    connect.sends_task::<Value>(TASK).publishes::<Value>(SEEN).outbox(inbox).await.unwrap()
}

/// In a transaction of its own, which commits.
async fn send(client: &Client, url: &str, data: Value, once: Once) -> EventId {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let id = client.task_in(&mut transaction, TASK, &data).once(once).await.unwrap();
    transaction.commit().await.unwrap();
    id
}

/// The data of what waits, by seq.
fn bodies(database: &str) -> String {
    let select = "select coalesce(string_agg(convert_from(body, 'UTF8'), ',' order by seq), '') from ponos.ponos_outbox";
    sql(database, select)
}

/// An hour passes for all that waits.
fn an_hour_passes(database: &str) {
    let back = "update ponos.ponos_outbox set at = at - interval '1 hour', due = due - interval '1 hour',
        next_try = next_try - interval '1 hour'";
    sql(database, back);
}

/// A broker with a queue for the task.
fn broker() -> memory::Broker {
    let broker = memory::Broker::new();
    let topology = Topology {
        exchanges: vec![Exchange::topic("events"), Exchange::direct("tasks")],
        queues: vec![Queue::classic("q")],
        bindings: vec![Binding::queue("tasks", "q", format!("shop.{TASK}"))],
        ..Topology::default()
    };
    broker.declare(&topology).unwrap();
    broker
}

/// Sends what follows from a change once it is quiet: to all keys that it names, in its order; and fails after that if it is told to.
async fn changed(change: Value, ctx: Context) -> HandlerResult {
    for key in change["keys"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        ctx.once(Once::debounce(HOUR).key(key)).task(TASK, &change["data"]).await?;
    }
    if change["tells"] == true {
        ctx.once(quiet()).publish(SEEN, &change["data"]).await?;
    }
    if change["dies"] == true { Ok(Outcome::dead("after all")) } else { Ok(Done) }
}

fn worker(inbox: &Inbox) -> Worker {
    Worker::new("shop")
        .on(NAME, changed.with(Policy::retry(1).concurrency(8)))
        .task(TASK, async |_: Value, _: Context| Ok(Done))
        .publishes::<Value>(SEEN)
        .inbox(inbox.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_one_of_all_senders_is_sent_once_it_has_been_quiet() {
    let (url, inbox) = opened("debounce_last").await;
    let mut kit = Kit::start_in_real_time(worker(&inbox)).await;
    let client = connect(kit.broker(), &inbox).await;
    for data in 1..=3 {
        kit.publish(NAME, &json!({ "keys": ["index", "index"], "data": data })).await;
        kit.settled().await;
    }
    let last = send(&client, &url, json!(4), quiet()).await;
    send(&client, &url, json!("other"), Once::debounce(HOUR).key("another")).await;
    // what fails takes nobody's place
    kit.publish(NAME, &json!({ "keys": ["index"], "data": 5, "dies": true })).await;
    kit.settled().await;
    assert_eq!((kit.dead().len(), bodies("debounce_last").as_str()), (1, "4,\"other\""));
    let due = "select bool_and(due > now() + interval '59 minutes' and due <= now() + interval '1 hour' and due = next_try)
        from ponos.ponos_outbox";
    assert_eq!((sql("debounce_last", due).as_str(), kit.published(TASK).len()), ("t", 0));
    an_hour_passes("debounce_last");
    wait_until("both", LIMIT, async || (kit.published(TASK).len() == 2).then_some(())).await;
    kit.settled().await;
    assert_eq!(kit.published(TASK), [json!(4), json!("other")]);
    assert_eq!((kit.ended(&last), bodies("debounce_last").as_str()), (Some(Ended::Done), ""));
    // the next one begins anew; and an event waits as a task does
    kit.publish(NAME, &json!({ "keys": ["index"], "data": 6, "tells": true })).await;
    kit.settled().await;
    assert_eq!(bodies("debounce_last"), "6,6", "of each name");
    an_hour_passes("debounce_last");
    wait_until("the event", LIMIT, async || (kit.published(SEEN).len() == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_sent_when_its_time_has_passed() {
    let (url, inbox) = opened("debounce_time").await;
    let kit = Kit::start_in_real_time(worker(&inbox)).await;
    let client = connect(kit.broker(), &inbox).await;
    let (began, second) = (Instant::now(), Duration::from_secs(1));
    let id = send(&client, &url, json!(1), Once::debounce(second)).await;
    let ended = wait_until("it", LIMIT, async || kit.ended(&id)).await;
    assert!(began.elapsed() >= second, "{:?}", began.elapsed());
    assert_eq!((ended, kit.published(TASK)), (Ended::Done, vec![json!(1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_steady_stream_is_sent_when_its_bound_is_over() {
    let (url, inbox) = opened("debounce_steady").await;
    let client = connect(&broker(), &inbox).await;
    let told = |what: &str| sql("debounce_steady", &format!("select {what} from ponos.ponos_outbox"));
    for (once, bound) in [(quiet(), 600), (quiet().at_most(HOUR * 3 / 2), 90)] {
        send(&client, &url, json!(0), once.clone()).await;
        // minutes since the first one, and whether the bound comes before the hour
        for (age, is_bounded) in [(20, "f"), (bound - 59, "t"), (bound - 1, "t"), (bound + 1, "t")] {
            let since = format!("update ponos.ponos_outbox set at = now() - interval '{age} minutes'");
            sql("debounce_steady", &since);
            send(&client, &url, json!(age), once.clone()).await;
            assert_eq!(
                told(&format!("due = at + interval '{bound} minutes' and next_try = due")),
                is_bounded
            );
            assert_eq!(bodies("debounce_steady"), age.to_string());
        }
        assert_eq!(told("next_try < now()"), "t", "it is to be sent now");
        sql("debounce_steady", "delete from ponos.ponos_outbox");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_senders_at_once_the_one_that_commits_last_wins() {
    let (url, inbox) = opened("debounce_two").await;
    let client = connect(&broker(), &inbox).await;
    for (commits, is_there) in [(true, false), (false, false), (true, true), (false, true)] {
        sql("debounce_two", "delete from ponos.ponos_outbox");
        if is_there {
            send(&client, &url, json!(0), quiet()).await;
        }
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let mut transaction = connection.begin().await.unwrap();
        client.task_in(&mut transaction, TASK, &json!(1)).once(quiet()).await.unwrap();
        let (other, address) = (client.clone(), url.clone());
        let second = tokio::spawn(async move { send(&other, &address, json!(2), quiet()).await });
        waiting("debounce_two", 1).await;
        if commits {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        let second = second.await.unwrap();
        let id = sql("debounce_two", "select string_agg(id, ',') from ponos.ponos_outbox");
        assert_eq!((bodies("debounce_two").as_str(), id.as_str()), ("2", second.as_str()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_handlers_with_the_same_keys_in_any_order_do_not_wait_for_each_other() {
    let (_, inbox) = opened("debounce_many").await;
    let mut kit = Kit::start_in_real_time(worker(&inbox)).await;
    let mut ids = Vec::new();
    for data in 0..60 {
        let mut keys = ["a", "b", "c", "d", "e", "f"];
        keys.rotate_left(data % 6);
        ids.push(kit.publish(NAME, &json!({ "keys": keys, "data": data })).await);
    }
    kit.settled().await;
    // with a deadlock one of them would have failed
    assert!(ids.iter().all(|id| kit.ended(id) == Some(Ended::Done)), "{:?}", kit.dead());
    assert_eq!(bodies("debounce_many").split(',').count(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_while_it_is_being_sent_is_sent_after_it() {
    let (url, inbox) = opened("debounce_sending").await;
    let broker = broker();
    let client = connect(&broker, &inbox).await;
    send(&client, &url, json!(1), quiet()).await;
    an_hour_passes("debounce_sending");
    broker.hold_confirms(true);
    let relay = inbox.relay(broker.publisher(Topology::default())).unwrap();
    let (end, ending) = shutdown();
    let relay = tokio::spawn(async move { relay.run(&ending).await });
    wait_until("the relay to send", LIMIT, async || (broker.queue_depth("q") == Some(1)).then_some(())).await;
    let (other, address) = (client.clone(), url.clone());
    let second = tokio::spawn(async move { send(&other, &address, json!(2), quiet()).await });
    waiting("debounce_sending", 1).await;
    broker.hold_confirms(false);
    second.await.unwrap();
    assert_eq!(bodies("debounce_sending"), "2", "it waits anew");
    let anew = "select at > now() - interval '1 minute' and due > now() + interval '59 minutes' from ponos.ponos_outbox";
    assert_eq!(sql("debounce_sending", anew), "t");
    an_hour_passes("debounce_sending");
    wait_until("the other one", LIMIT, async || (broker.queue_depth("q") == Some(2)).then_some(())).await;
    end.advance();
    relay.await.unwrap();
    assert_eq!(bodies("debounce_sending"), "");
}

/// A relay that stands still when it has sent what is due, and says so by a file.
#[tokio::test(flavor = "multi_thread")]
async fn is_the_relay_process() {
    let Ok(url) = std::env::var(DATABASE) else { return };
    let inbox = Inbox::postgres(&url, PostgresOptions::new("shop")).await.unwrap();
    let broker = broker();
    broker.hold_confirms(true);
    let relay = inbox.relay(broker.publisher(Topology::default())).unwrap();
    let (_trigger, ending) = shutdown();
    let relay = tokio::spawn(async move { relay.run(&ending).await });
    wait_until("it to be sent", LIMIT, async || (broker.queue_depth("q") == Some(1)).then_some(())).await;
    std::fs::write(std::env::var(MARK).unwrap(), "sent").unwrap();
    relay.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_killed_while_it_sends_loses_neither_it_nor_the_next() {
    let (url, inbox) = opened("debounce_killed").await;
    for follows in [false, true] {
        let broker = broker();
        let client = connect(&broker, &inbox).await;
        let first = send(&client, &url, json!(1), quiet()).await;
        an_hour_passes("debounce_killed");
        let sandbox = Sandbox::new();
        let mark = sandbox.path("mark");
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([CHILD, "--exact", "--nocapture", "--test-threads=1"])
            .env(DATABASE, &url)
            .env(MARK, &mark)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let program = sandbox.start(&mut command);
        wait_until("the relay to send it", LIMIT, async || mark.exists().then_some(())).await;
        let mut expected = first;
        if follows {
            let (other, address) = (client.clone(), url.clone());
            let second = tokio::spawn(async move { send(&other, &address, json!(2), quiet()).await });
            waiting("debounce_killed", 1).await;
            drop(program);
            expected = second.await.unwrap();
            an_hour_passes("debounce_killed");
        } else {
            drop(program);
        }
        // the next relay sends what is there
        let relay = inbox.relay(broker.publisher(Topology::default())).unwrap();
        let (end, ending) = shutdown();
        let relay = tokio::spawn(async move { relay.run(&ending).await });
        let sent = wait_until("the next relay", LIMIT, async || broker.get("q")).await;
        assert_eq!(sent.message.properties.message_id.as_deref(), Some(expected.as_str()));
        wait_until("an empty outbox", LIMIT, async || bodies("debounce_killed").is_empty().then_some(()))
            .await;
        end.advance();
        relay.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_seen_while_it_waits_is_dropped_and_one_that_is_parked_comes_to_life() {
    let (url, inbox) = opened("debounce_seen").await;
    let client = connect(&broker(), &inbox).await;
    let id = send(&client, &url, json!(1), quiet()).await;
    let waits = inbox.waiting(WaitingFilter::default()).unwrap();
    let one = waits.list(None, 10).await.unwrap().messages.remove(0);
    assert_eq!((one.id.as_str(), one.kind, one.attempt), (id.as_str(), WaitingKind::Send, None));
    assert_eq!((one.name.as_deref(), one.queue.as_deref()), (Some(TASK), Some("shop.shop.index.update")));
    assert!(one.reason.unwrap().contains("no other one of its key"));
    sql(
        "debounce_seen",
        "update ponos.ponos_outbox set parked = now(), attempts = 20, last_error = 'no queue'",
    );
    send(&client, &url, json!(2), quiet()).await;
    let fresh = "select parked is null and attempts = 0 and last_error is null from ponos.ponos_outbox";
    assert_eq!((sql("debounce_seen", fresh).as_str(), bodies("debounce_seen").as_str()), ("t", "2"));
    assert_eq!(waits.drop().await.unwrap().changed, 1);
    assert_eq!(bodies("debounce_seen"), "");
    // with its own time it can't have another one
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let later = client.task_in(&mut connection, TASK, &json!(3)).after(HOUR).once(quiet());
    let refused = later.await.unwrap_err().to_string();
    assert!(refused.contains("leave out at and after"), "{refused}");
    assert_eq!(bodies("debounce_seen"), "");
}

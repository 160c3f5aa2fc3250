//! Messages that somebody cancels by their ids: before they come, while they wait, and while they are at work.

use super::{
    super::{NAME, QUEUE, secs},
    shop::{Shop, hour},
};
use ponos::{
    broker::memory::Version,
    client::Cancel,
    event::{Event, EventId},
    inbox::Inbox,
    prelude::*,
    testing::BEGINNING,
    worker::Backoff,
};
use serde_json::Value;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};

fn cancelled() -> Ended {
    Ended::Cancelled("cancelled by ops: sent twice".into())
}

pub(super) fn id(text: &str) -> EventId {
    text.parse().unwrap()
}

/// What handlers saw of being cancelled, and when.
type Told = Arc<Mutex<Vec<(&'static str, Instant)>>>;

/// Waits to be cancelled, and then does what the id says.
async fn wait(told: Told, ctx: Context) -> HandlerResult {
    let note = |what| told.lock().unwrap().push((what, Instant::now()));
    note("begun");
    assert!(!ctx.is_cancelled());
    if timeout(secs(20), ctx.cancelled()).await.is_err() {
        note("not cancelled");
        return Ok(Done);
    }
    note(if ctx.is_cancelled() { "cancelled" } else { "a lie" });
    match ctx.id().as_str() {
        "done" => Ok(Done),
        "fails" => Err("no room")?,
        "dies" => Ok(Outcome::dead("no room")),
        "later" => Ok(Outcome::snooze(secs(1))),
        "panics" => panic!("no room"),
        _ => {
            sleep(secs(6)).await;
            note("went on");
            Ok(Done)
        }
    }
}

fn waiting(told: &Told) -> impl Handler<Value> + use<> {
    let told = Arc::clone(told);
    move |_: Value, ctx: Context| wait(Arc::clone(&told), ctx)
}

async fn fails(_: Value, ctx: Context) -> HandlerResult {
    sleep(secs(3)).await;
    assert!(!ctx.is_cancelled());
    Err("no room")?
}

fn told_of(told: &Told) -> Vec<&'static str> {
    told.lock().unwrap().iter().map(|(what, _)| *what).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_cancelled_is_dropped_when_it_comes_by_replicas_that_run_and_by_those_that_start_later() {
    for version in [Version::V3, Version::V4_3] {
        let shop = Shop::open(version, Duration::ZERO).await;
        // twice, which changes nothing
        shop.cancel("0001").await;
        shop.cancel("0001").await;
        shop.orders(3).await;
        let replica = shop.start(Policy::default());
        shop.until_done(2).await;
        shop.cancel("0004").await;
        shop.send("events", ["0004", "0005"].map(order).into()).await;
        shop.until_done(3).await;
        sleep(secs(60)).await;
        assert_eq!((shop.begun(), shop.seen.dead.load(SeqCst)), (3, 0));
        for (id, ends) in [("0001", cancelled()), ("0002", Ended::Done), ("0004", cancelled())] {
            assert_eq!(shop.ends(id), [ends], "{id}");
        }
        let status = shop.broker.queue_status(QUEUE).unwrap();
        assert_eq!((status.ready, status.unacked), (0, 0), "they are acked");
        let report = replica.stop().await;
        assert_eq!((report.handled, report.cancelled, report.released), (3, 2, 0));
        assert!(report.to_string().ends_with(", cancelled 2"), "{report}");
    }
}

pub(super) fn order(text: &str) -> Event {
    Event::new(id(text), "/t", NAME.parse().unwrap(), *b"{}")
}

#[tokio::test(start_paused = true)]
async fn what_is_at_work_is_told_and_dropped_after_its_grace_unless_it_is_done_by_then() {
    for (id, seen, ended) in [
        ("goes-on", &["begun", "cancelled"][..], cancelled()),
        ("done", &["begun", "cancelled"], Ended::Done),
        ("fails", &["begun", "cancelled"], cancelled()),
        ("dies", &["begun", "cancelled"], cancelled()),
        ("later", &["begun", "cancelled"], cancelled()),
        ("panics", &["begun", "cancelled"], cancelled()),
    ] {
        let (shop, told) = (Shop::open(Version::V3, Duration::ZERO).await, Told::default());
        let replica = shop.run(Worker::new("shop").clock(shop.clock).on::<Value>(NAME, waiting(&told)));
        shop.send("events", vec![order(id)]).await;
        sleep(secs(2)).await;
        assert_eq!(told_of(&told), ["begun"]);
        // another one is not meant
        shop.cancel("another").await;
        let since = Instant::now();
        shop.cancel(id).await;
        sleep(Duration::from_millis(4_800)).await;
        assert_eq!(shop.ends(id).is_empty(), id == "goes-on", "it has its grace");
        sleep(secs(30)).await;
        assert_eq!((told_of(&told).as_slice(), shop.ends(id)), (seen, vec![ended]), "{id}");
        assert!(told.lock().unwrap()[1].1 - since < secs(1), "at once");
        let report = replica.stop().await;
        assert_eq!((report.dead, report.retried, report.released), (0, 0, 0), "{id}: {report}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_must_not_be_left_in_the_middle_goes_on_and_its_next_attempt_is_dropped() {
    let (shop, told) = (Shop::open(Version::V3, Duration::ZERO).await, Told::default());
    let policy = Policy::default().cancellable(false);
    let worker = Worker::new("shop")
        .on::<Value>(NAME, waiting(&told).with(policy.clone()))
        .on::<Value>("order.parcel.lost", fails.with(policy));
    let replica = shop.run(worker.clock(shop.clock));
    let lost = Event::new(id("2"), "/t", "order.parcel.lost".parse().unwrap(), *b"{}");
    shop.send("events", vec![order("1"), lost]).await;
    sleep(secs(1)).await;
    shop.cancel("1").await;
    shop.cancel("2").await;
    sleep(secs(60)).await;
    assert_eq!((told_of(&told), shop.ends("1")), (vec!["begun", "not cancelled"], vec![Ended::Done]));
    let ends = shop.ends("2");
    let [Ended::Retried { reason, .. }, last] = &ends[..] else { panic!("{ends:?}") };
    assert_eq!((reason.as_str(), last), ("no room", &cancelled()));
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_next_attempt_is_dropped_when_it_comes_back() {
    let shop = Shop::open(Version::V3, Duration::ZERO).await;
    let backoff = Backoff { first: secs(3_600), longest: secs(3_600), jitter: 0.0, ..Backoff::default() };
    let worker = Worker::new("shop").on::<Value>(NAME, fails.with(Policy::default().backoff(backoff)));
    let replica = shop.run(worker.clock(shop.clock));
    shop.orders(2).await;
    sleep(secs(10)).await;
    shop.cancel("0000").await;
    sleep(secs(3_700)).await;
    let attempts = |id| shop.ends(id).iter().filter(|ended| matches!(ended, Ended::Retried { .. })).count();
    assert_eq!((attempts("0000"), shop.ends("0000").last()), (1, Some(&cancelled())));
    assert_eq!(attempts("0001"), 2, "the other one goes on");
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_said_while_a_worker_is_not_connected_is_obeyed_once_it_is_back() {
    for version in [Version::V3, Version::V4_3] {
        let (shop, told) = (Shop::open(version, Duration::ZERO).await, Told::default());
        let worker = Worker::new("shop").on::<Value>(NAME, waiting(&told)).inbox(Inbox::memory(100));
        let replica = shop.run(worker.clock(shop.clock));
        shop.send("events", vec![order("1")]).await;
        sleep(secs(2)).await;
        shop.broker.stop();
        sleep(secs(2)).await;
        shop.broker.start();
        shop.client.cancel(&[id("1")], Cancel::of("shop").why("sent twice")).await.unwrap();
        sleep(secs(60)).await;
        // what was at work is told, and what came again for it is dropped
        let ends = shop.ends("1");
        assert!(!ends.is_empty() && ends.iter().all(|ended| *ended == cancelled()), "{ends:?}");
        assert_eq!(told_of(&told)[..2], ["begun", "cancelled"]);
        assert!(!told_of(&told).contains(&"went on"), "{told:?}");
        let status = shop.broker.queue_status(QUEUE).unwrap();
        assert_eq!((status.ready, status.unacked, shop.seen.dead.load(SeqCst)), (0, 0, 0));
        replica.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_alone_is_of_all_queues_of_the_service_and_a_queue_or_a_name_of_its_own() {
    let shop = Shop::open(Version::V3, Duration::ZERO).await;
    let done = |shop: &Shop, handler: &'static str| {
        let seen = Arc::clone(&shop.seen);
        move |_: Value, ctx: Context| {
            seen.done.lock().unwrap().push(format!("{handler} {}", ctx.id()));
            async { Ok(Done) }
        }
    };
    let worker = Worker::new("shop").on::<Value>(NAME, done(&shop, "shipped")).fan_in(
        "all",
        Policy::default(),
        |all| all.on::<Value>("order.#", done(&shop, "all")),
    );
    let other = Worker::new("mail").on::<Value>(NAME, done(&shop, "mail"));
    let replicas = [worker, other].map(|worker| shop.run(worker.clock(shop.clock)));
    sleep(secs(1)).await;
    let cancel = async |text: &str, which: Cancel| {
        shop.client.cancel(&[id(text)], which).await.unwrap();
    };
    cancel("all", Cancel::of("shop")).await;
    cancel("queue", Cancel::of("shop").queue("shop.all")).await;
    cancel("name", Cancel::of("shop").name("order.parcel.lost")).await;
    cancel("mail", Cancel::of("mail")).await;
    sleep(secs(1)).await;
    shop.send("events", ["all", "queue", "name", "mail"].map(order).into()).await;
    let lost = Event::new(id("name"), "/t", "order.parcel.lost".parse().unwrap(), *b"{}");
    shop.send("events", vec![lost]).await;
    sleep(secs(1)).await;
    let mut done = shop.seen.done.lock().unwrap().clone();
    done.sort_unstable();
    assert_eq!(
        done,
        [
            "all mail",
            "all name",
            "mail all",
            "mail name",
            "mail queue",
            "shipped mail",
            "shipped name",
            "shipped queue"
        ]
    );
    for replica in replicas {
        replica.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_item_falls_out_of_its_batch_alone_and_a_batch_at_work_goes_on() {
    let shop = Shop::open(Version::V3, Duration::ZERO).await;
    let (seen, was_cancelled) = (Arc::clone(&shop.seen), Arc::new(AtomicBool::new(false)));
    let told = Arc::clone(&was_cancelled);
    let handler = move |items: Batch<Value>, ctx: Context| {
        let (seen, told) = (Arc::clone(&seen), Arc::clone(&told));
        async move {
            sleep(secs(10)).await;
            told.fetch_or(ctx.is_cancelled(), SeqCst);
            let ids = (0..items.len()).map(|index| items.context(index).id().to_string());
            seen.done.lock().unwrap().extend(ids);
            Ok(Done)
        }
    };
    let worker = Worker::new("shop").batch(NAME, handler.with(Policy::batch(10, secs(30))));
    let replica = shop.run(worker.clock(shop.clock));
    shop.orders(5).await;
    sleep(secs(1)).await;
    // while it is gathered
    shop.cancel("0000").await;
    sleep(secs(33)).await;
    shop.cancel("0001").await;
    sleep(secs(20)).await;
    assert_eq!(*shop.seen.done.lock().unwrap(), ["0001", "0002", "0003", "0004"]);
    assert!(!was_cancelled.load(SeqCst), "nor is it told");
    assert_eq!((shop.ends("0000"), shop.ends("0001")), (vec![cancelled()], vec![Ended::Done]));
    let report = replica.stop().await;
    assert_eq!((report.handled, report.cancelled, report.retried), (4, 1, 0));
}

/// Lets time go on until then, for it does not move by itself while a thread is blocked.
async fn passing<T>(then: impl Future<Output = T>) -> T {
    let mut then = std::pin::pin!(then);
    loop {
        tokio::select! {
            biased;
            then = &mut then => return then,
            () = tokio::time::advance(Duration::from_millis(10)) => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn work_on_a_thread_keeps_its_slot_and_is_cancelled_once_it_has_ended() {
    let shop = Shop::open(Version::V3, Duration::ZERO).await;
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let (begun, mut told) = tokio::sync::mpsc::unbounded_channel();
    let gate = Arc::new(Mutex::new(gate));
    let handler = move |_: Value, ctx: Context| {
        let (gate, begun) = (Arc::clone(&gate), begun.clone());
        async move {
            let work = move |ctx: &Context| {
                let _ = begun.send(());
                gate.lock().unwrap().recv().ok();
                assert!(ctx.is_cancelled());
                Ok(Done)
            };
            ctx.blocking(work).await
        }
    };
    let replica = shop.run(Worker::new("shop").clock(shop.clock).on::<Value>(NAME, handler));
    shop.send("events", vec![order("1")]).await;
    told.recv().await.unwrap();
    passing(shop.cancel("1")).await;
    passing(sleep(secs(20))).await;
    assert_eq!(shop.ends("1"), [], "its slot is taken");
    drop(go);
    shop.until_ended("1").await;
    // nobody hears that it was done
    assert_eq!(shop.ends("1"), [cancelled()]);
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_queue_drops_what_is_cancelled_once_it_goes_on() {
    let shop = Shop::open(Version::V3, Duration::ZERO).await;
    let replica = shop.start(Policy::default());
    shop.client.pause(QUEUE, hour()).await.unwrap();
    replica.until_paused().await;
    shop.orders(3).await;
    shop.cancel("0001").await;
    assert_eq!(replica.liveness.paused_by_hand().len(), 1, "it stays paused");
    shop.client.resume(QUEUE).await.unwrap();
    shop.until_done(2).await;
    sleep(secs(1)).await;
    assert_eq!((shop.ends("0001"), shop.begun()), (vec![cancelled()], 2));
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn eight_days_later_the_same_id_is_handled() {
    let shop = Shop::open(Version::V3, Duration::ZERO).await;
    let end = shop.client.cancel(&[id("0000")], Cancel::of("shop")).await.unwrap();
    let left = end.since(BEGINNING);
    assert!((8 * 86_400_000..=8 * 86_400_000 + 3_600_000).contains(&left), "{left}");
    let replica = shop.start(Policy::default());
    shop.orders(1).await;
    sleep(secs(1)).await;
    assert_eq!((shop.begun(), shop.ends("0000").len()), (0, 1));
    replica.stop().await;
    sleep(secs(8 * 86_400 + 3_600)).await;
    let replica = shop.start(Policy::default());
    shop.orders(1).await;
    shop.until_done(1).await;
    replica.stop().await;
}

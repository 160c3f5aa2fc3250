//! What is in a batch, and when it begins.

use super::{COUNTED, Count, Runs, count, counts, does, held, kit, policy, secs, stock};
use ponos::{compression, event::Message, prelude::*, testing::Kit, worker::Limits};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

#[tokio::test(start_paused = true)]
async fn a_batch_of_one_begins_when_its_time_has_come() {
    let runs = Runs::default();
    let mut kit = kit(policy(500), &runs).await;
    let start = kit.now().millis();
    kit.publish_all(COUNTED, &[count(1)]).await;
    kit.settled().await;
    let times = runs.times(start);
    assert!((1_000..1_100).contains(&times[0]) && times.len() == 1, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_begins_at_once_and_the_rest_in_its_time() {
    let runs = Runs::default();
    let mut kit = kit(policy(3), &runs).await;
    let start = kit.now().millis();
    kit.publish_all(COUNTED, &counts(0..7)).await;
    kit.settled().await;
    assert_eq!(runs.items(), [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
    let times = runs.times(start);
    assert!(times[1] < 100 && (1_000..1_100).contains(&times[2]), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_waits_for_a_place_takes_in_more_meanwhile() {
    let runs = Runs::default();
    let mut kit = kit(policy(3), &runs).await;
    // this one is at work for five seconds
    kit.publish_all(COUNTED, &[does(0, "sleep"), count(1), count(2)]).await;
    held(&kit, 3).await;
    kit.publish_all(COUNTED, &[count(3)]).await;
    held(&kit, 4).await;
    tokio::time::sleep(secs(3)).await;
    kit.publish_all(COUNTED, &[count(4)]).await;
    kit.settled().await;
    assert_eq!(runs.items(), [vec![0, 1, 2], vec![3, 4]]);
}

#[tokio::test(start_paused = true)]
async fn eight_mib_of_bodies_are_a_batch() {
    let sizes: Arc<std::sync::Mutex<Vec<usize>>> = Arc::default();
    let noted = Arc::clone(&sizes);
    let handler = move |items: Batch<String>, _: Context| {
        noted.lock().unwrap().push(items.len());
        async { Ok(Done) }
    };
    let mut kit = Kit::start(Worker::new("stock").batch(COUNTED, handler.with(policy(500)))).await;
    kit.publish_all(COUNTED, &vec!["x".repeat(3 << 20); 3]).await;
    kit.settled().await;
    assert_eq!(*sizes.lock().unwrap(), [2, 1]);
    // as they are when they are inflated
    let compressed: Vec<Message> = (0..3)
        .map(|_| {
            let mut message = kit.event(COUNTED, &"x".repeat(3 << 20)).into_message();
            assert!(compression::gzip(&mut message) && message.body.len() < 1 << 20);
            message
        })
        .collect();
    kit.publish_messages("events", compressed).await;
    kit.settled().await;
    assert_eq!(*sizes.lock().unwrap(), [2, 1, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn fewer_large_bodies_are_held_and_batches_have_no_more_than_that() {
    let sizes: Arc<std::sync::Mutex<Vec<usize>>> = Arc::default();
    let noted = Arc::clone(&sizes);
    let handler = move |items: Batch<String>, _: Context| {
        noted.lock().unwrap().push(items.len());
        std::future::pending::<HandlerResult>()
    };
    let policy = Policy::batch(100, secs(600));
    let mut kit = Kit::start(Worker::new("stock").batch(COUNTED, handler.with(policy))).await;
    for _ in 0..20 {
        kit.publish(COUNTED, &"x".repeat(4_000_000)).await;
    }
    held(&kit, 16 + 1).await; // 64 MiB, and the first
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    held(&kit, 16 + 1).await;
    assert_eq!(*sizes.lock().unwrap(), [2], "8 MiB, without waiting for 100");
}

#[tokio::test(start_paused = true)]
async fn each_key_has_batches_of_its_own() {
    let runs = Runs::default();
    let noted = runs.clone();
    let handler = move |items: Batch<Count>, context: Context| super::act(items, context, noted.clone());
    let by_tens = handler.by(|count: &Count| match count.item {
        66 => panic!("no key"),
        item => item / 10,
    });
    let mut kit =
        Kit::start(Worker::new("stock").batch(COUNTED, by_tens.with(policy(2).timeout(secs(5))))).await;
    let ids = kit.publish_all(COUNTED, &[10, 20, 11, 66, 30, 21, 12].map(count)).await;
    kit.settled().await;
    let mut items = runs.items();
    items.sort();
    assert_eq!(items, [vec![10, 11], vec![12], vec![20, 21], vec![30], vec![66]]);
    assert!(ids.iter().all(|id| kit.ended(id) == Some(Ended::Done)));
    // what can't be read has no key, and its end all the same
    kit.publish_all(COUNTED, &["x"]).await;
    kit.settled().await;
    assert_eq!(kit.dead()[0].kind, "schema");
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_does_not_cut_an_open_batch_short() {
    let runs = Runs::default();
    let mut policy = policy(3);
    policy.batch = Policy::batch(3, secs(10)).batch;
    let mut kit = kit(policy, &runs).await;
    kit.publish_all(COUNTED, &[does(0, "fail-once"), count(1), count(2)]).await;
    kit.settled().await;
    kit.publish_all(COUNTED, &counts(3..5)).await;
    held(&kit, 2).await;
    // the retry comes after two seconds
    tokio::time::sleep(secs(4)).await;
    kit.publish_all(COUNTED, &[count(5)]).await;
    kit.settled().await;
    assert_eq!(runs.items(), [vec![0, 1, 2], vec![0], vec![3, 4, 5]]);
}

#[tokio::test(start_paused = true)]
async fn a_large_one_runs_alone_and_what_was_open_runs_before() {
    let runs = Runs::default();
    let limits = Limits { body: 100, ..Limits::default() };
    let mut kit = Kit::start(stock(policy(500), &runs).limits(limits)).await;
    let start = kit.now().millis();
    kit.publish_all(COUNTED, &[count(0), count(1), does(2, &"x".repeat(200))]).await;
    kit.settled().await;
    assert_eq!(kit.dead()[0].kind, "too-large");
    assert_eq!(runs.items(), [vec![0, 1]]);
    assert!(runs.times(start)[0] < 100, "it did not wait for more");
}

#[tokio::test(start_paused = true)]
async fn a_rate_counts_items() {
    let runs = Runs::default();
    let mut kit = kit(policy(10).rate(15, secs(60)), &runs).await;
    let start = kit.now().millis();
    kit.publish_all(COUNTED, &counts(0..25)).await;
    // twice, for it takes longer than a kit waits
    kit.advance(secs(50)).await;
    kit.settled().await;
    kit.settled().await;
    assert_eq!(runs.sizes().iter().sum::<usize>(), 25);
    let times = runs.times(start);
    let within = |from: i64| {
        let all = times.iter().zip(runs.sizes());
        all.filter(|(at, _)| (from..from + 60_000).contains(*at)).map(|(_, size)| size).sum::<usize>()
    };
    assert!(times.iter().all(|at| within(*at) <= 15), "{times:?} {:?}", runs.sizes());
}

#[tokio::test(start_paused = true)]
async fn as_many_batches_run_at_a_time_as_the_concurrency_says() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (at_work, seen) = (Arc::clone(&now), Arc::clone(&most));
    let handler = move |_: Batch<Count>, _: Context| {
        let (now, most) = (Arc::clone(&at_work), Arc::clone(&seen));
        async move {
            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
            now.fetch_sub(1, SeqCst);
            Ok(Done)
        }
    };
    let policy = policy(5).concurrency(3);
    let mut kit = Kit::start(Worker::new("stock").batch(COUNTED, handler.with(policy))).await;
    kit.publish_all(COUNTED, &counts(0..50)).await;
    kit.settled().await;
    assert_eq!((now.load(SeqCst), most.load(SeqCst)), (0, 3));
    assert_eq!(kit.stop().await.handled, 50);
}

#[tokio::test(start_paused = true)]
async fn tasks_come_in_batches_too_and_a_handler_may_have_a_state() {
    struct Shelf(AtomicUsize);
    async fn store(mut items: Batch<u32>, _: Context, shelf: State<Arc<Shelf>>) -> HandlerResult {
        let taken = items.take();
        items.fail(1, "it is broken");
        shelf.0.fetch_add(taken.len(), SeqCst);
        Ok(Done)
    }
    let shelf = Arc::new(Shelf(AtomicUsize::new(0)));
    let worker = Worker::new("stock")
        .state(Arc::clone(&shelf))
        .batch_task("stock.shelf.fill", store.with_state().with(Policy { attempts: 1, ..policy(3) }));
    let mut kit = Kit::start(worker).await;
    let ids = kit.task_all("stock.shelf.fill", &[1, 2, 3]).await;
    kit.settled().await;
    assert_eq!(shelf.0.load(SeqCst), 3);
    assert_eq!((kit.ended(&ids[0]), kit.dead()[0].reason.as_str()), (Some(Ended::Done), "it is broken"));
}

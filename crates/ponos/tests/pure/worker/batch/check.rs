//! What can't be of batches is refused at the start, in words.

use super::{super::check::faults, COUNTED, Count, secs};
use ponos::{prelude::*, worker::Next};

async fn batch(_: Batch<Count>, _: Context) -> HandlerResult {
    Ok(Done)
}

async fn one(_: Count, _: Context) -> HandlerResult {
    Ok(Done)
}

fn with(policy: Policy) -> Worker {
    Worker::new("stock").batch(COUNTED, batch.with(policy))
}

#[test]
fn each_fault_is_said_in_words() {
    let of = |size| Policy::batch(size, secs(1));
    for (worker, words) in [
        (
            with(of(500).prefetch(499)),
            "prefetch is 499, less than the 500 that batches of 500 are at concurrency 1",
        ),
        (
            with(of(500).prefetch(999).concurrency(2)),
            "prefetch is 999, less than the 1000 that batches of 500 are",
        ),
        (with(of(5_000).concurrency(20)), "at most 65535 can be held, less than the 100000"),
        (with(of(0)), "batch: its size is 0; from 1 to 5000"),
        (with(of(5_001)), "batch: its size is 5001; from 1 to 5000"),
        (with(Policy::batch(5, secs(0))), "batch: its window is 0"),
        (with(of(500).rate(499, secs(1))), "batch: their size is 500, and the rate allows 499 in 1s"),
        (with(of(5).exclusive()), "batch: exclusive is for one at a time"),
        (with(of(5).latest_only()), "batch: latest_only is for one at a time"),
        (with(Policy::batch(500, secs(900))), "(timeout 30s + window 900s) = 1860s"),
        (with(Policy::default()), "its handler takes batches, and nothing says how large they are"),
        (
            Worker::new("stock").batch(COUNTED, batch),
            "its handler takes batches, and nothing says how large they are",
        ),
        (
            Worker::new("stock").on(COUNTED, one.with(of(5))),
            "its policy is one of batches, but its handler takes one at a time",
        ),
        (Worker::new("stock").fan_in("all", of(5), |all| all.on(COUNTED, one)), "a fan-in has no batches"),
        (
            Worker::new("stock").fan_in("all", Policy::default(), |all| all.on(COUNTED, one.with(of(5)))),
            "a fan-in has no batches",
        ),
        (
            with(of(5)).on(COUNTED, one),
            "the handler of one delivery (stock.item.counted by on, task or fan_in) and the handler of batches (stock.item.counted by batch or batch_task) would share one queue",
        ),
        (with(of(5)).batch(COUNTED, batch.with(of(5))), "handle each name once"),
        (
            with(of(5)).around(async |_: Context, next: Next| next.run().await),
            "its handler takes batches, and layers are around one event",
        ),
    ] {
        let faults = faults(worker);
        assert!(faults.iter().any(|fault| fault.contains(words)), "{words}: {faults:?}");
    }
}

#[test]
fn what_can_be_is_not_refused() {
    for worker in [
        with(Policy::batch(500, secs(1))),
        with(Policy::batch(5_000, secs(10)).concurrency(10).timeout(secs(600))),
        with(Policy::batch(1, secs(1)).prefetch(1)),
        with(Policy::batch(500, secs(1)).rate(500, secs(1))),
        // patterns of two queues may meet: each gets a copy
        with(Policy::batch(5, secs(1))).on("stock.#", one),
    ] {
        assert_eq!(faults(worker), Vec::<String>::new());
    }
}

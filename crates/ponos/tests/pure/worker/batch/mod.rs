//! Handlers of batches, on the twin and on paused time.

mod check;
mod effects;
mod ends;
mod gathering;
mod life;

use super::secs;
use ponos::{prelude::*, testing::Kit, worker::Backoff};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::task::yield_now;

const COUNTED: &str = "stock.item.counted";
const QUEUE: &str = "stock.stock.item.counted";

/// What an item is, and what its handler does because of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
struct Count {
    item: u32,
    #[serde(default)]
    does: String,
}

fn count(item: u32) -> Count {
    does(item, "")
}

fn does(item: u32, does: &str) -> Count {
    Count { item, does: does.into() }
}

fn counts(items: std::ops::Range<u32>) -> Vec<Count> {
    items.map(count).collect()
}

/// When it was, and the items.
type Run = (i64, Vec<u32>);

/// Which items each run had, and when it began, in milliseconds.
#[derive(Debug, Clone, Default)]
struct Runs(Arc<Mutex<Vec<Run>>>);

impl Runs {
    fn note(&self, items: &Batch<Count>, context: &Context) {
        let items = items.iter().map(|count| count.item).collect();
        self.0.lock().unwrap().push((context.now().millis(), items));
    }

    fn items(&self) -> Vec<Vec<u32>> {
        self.0.lock().unwrap().iter().map(|(_, items)| items.clone()).collect()
    }

    fn sizes(&self) -> Vec<usize> {
        self.items().iter().map(Vec::len).collect()
    }

    /// When each began, after `start`.
    fn times(&self, start: i64) -> Vec<i64> {
        self.0.lock().unwrap().iter().map(|(at, _)| at - start).collect()
    }

    /// How often each item was in a run.
    fn of_each(&self) -> BTreeMap<u32, usize> {
        let mut each = BTreeMap::new();
        self.items().into_iter().flatten().for_each(|item| *each.entry(item).or_default() += 1);
        each
    }
}

/// Notes its items, and does what they say.
async fn act(items: Batch<Count>, context: Context, runs: Runs) -> HandlerResult {
    runs.note(&items, &context);
    for (index, count) in items.iter().enumerate() {
        match count.does.as_str() {
            "fail" => items.fail(index, "it fails"),
            "fail-once" if items.context(index).attempt() == 1 => items.fail(index, "not yet"),
            "dead" => items.dead(index, "it is not ours"),
            "err" => return Err("no luck".into()),
            "err-once" if items.context(index).attempt() == 1 => return Err("no luck yet".into()),
            "panic" => panic!("worse"),
            "skip" => return Ok(Skip),
            "snooze" if items.context(index).event().extensions.get("retry-waits").is_none() => {
                return Ok(Outcome::snooze(secs(60)).because("the shop is closed"));
            }
            "wrong" => items.fail(items.len(), "there is none"),
            "sleep" => tokio::time::sleep(secs(5)).await,
            _ => {}
        }
    }
    Ok(Done)
}

fn stock(policy: Policy, runs: &Runs) -> Worker {
    let runs = runs.clone();
    let handler = move |items: Batch<Count>, context: Context| act(items, context, runs.clone());
    Worker::new("stock").batch(COUNTED, handler.with(policy))
}

/// With waits that are always the same.
fn policy(size: usize) -> Policy {
    let backoff = Backoff { first: secs(2), factor: 1.0, longest: secs(2), jitter: 0.0 };
    Policy { attempts: 3, ..Policy::batch(size, secs(1)).backoff(backoff) }
}

async fn kit(policy: Policy, runs: &Runs) -> Kit {
    Kit::start(stock(policy, runs)).await
}

/// Until the worker holds so many, without time passing.
async fn held(kit: &Kit, count: usize) {
    for _ in 0..10_000 {
        if kit.broker().queue_status(QUEUE).is_some_and(|status| status.unacked == count) {
            return;
        }
        yield_now().await;
    }
    panic!("{:?}", kit.broker().queue_status(QUEUE));
}

/// Longer than all retries take.
const RETRIED: Duration = Duration::from_secs(60);

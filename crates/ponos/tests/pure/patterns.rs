//! The patterns of `docs/workers.md`: events out of order, echoed events, row versions.

use ponos::{
    prelude::*,
    schemars::{self, JsonSchema},
    testing::Kit,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// An event says which state it speaks of, never "one more".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct StockChanged {
    item: String,
    version: u64,
    left: u64,
}

/// A table `stock(item primary key, version, left)`.
#[derive(Debug, Default)]
struct Stock(Mutex<BTreeMap<String, (u64, u64)>>);

impl Stock {
    /// `insert … on conflict (item) do update … where stock.version < excluded.version`; whether a row changed.
    fn take(&self, change: &StockChanged) -> bool {
        let mut rows = self.0.lock().unwrap();
        let newer = rows.get(&change.item).is_none_or(|(version, _)| *version < change.version);
        if newer {
            rows.insert(change.item.clone(), (change.version, change.left));
        }
        newer
    }
}

fn stock(rows: Arc<Stock>) -> Worker {
    Worker::new("shop").state(rows).on::<StockChanged>("stock.item.changed", |change, ctx| async move {
        let rows = ctx.state::<Arc<Stock>>()?;
        Ok(if rows.take(&change) { Done } else { Skip })
    })
}

fn changed(version: u64, left: u64) -> StockChanged {
    StockChanged { item: "tea".into(), version, left }
}

#[tokio::test(start_paused = true)]
async fn what_comes_out_of_order_ends_in_the_newest_state() {
    let rows = Arc::new(Stock::default());
    let mut kit = Kit::start(stock(rows.clone())).await;
    let newest = kit.publish("stock.item.changed", &changed(3, 5)).await;
    let late = kit.publish("stock.item.changed", &changed(2, 9)).await;
    kit.settled().await;
    assert_eq!(rows.0.lock().unwrap()["tea"], (3, 5));
    assert_eq!(kit.ended(&newest), Some(Ended::Done));
    assert!(matches!(kit.ended(&late), Some(Ended::Skipped(_))), "{:?}", kit.ended(&late));
}

#[tokio::test(start_paused = true)]
async fn the_same_version_twice_changes_one_row_once() {
    let rows = Arc::new(Stock::default());
    let mut kit = Kit::start(stock(rows.clone())).await;
    let event = kit.event("stock.item.changed", &changed(1, 9));
    for _ in 0..2 {
        kit.publish_event(event.clone()).await;
        kit.settled().await;
    }
    assert_eq!(rows.0.lock().unwrap()["tea"], (1, 9));
    assert!(matches!(kit.ended(&event.id), Some(Ended::Skipped(_))));
}

/// Publishes what it also listens to: without the check it would answer itself for ever.
fn relay() -> Worker {
    Worker::new("relay").publishes::<StockChanged>("stock.item.changed").on::<StockChanged>(
        "stock.item.changed",
        |change, ctx| async move {
            if ctx.event().source == "/relay" {
                return Ok(Skip);
            }
            ctx.publish("stock.item.changed", &StockChanged { version: change.version + 1, ..change })?;
            Ok(Done)
        },
    )
}

#[tokio::test(start_paused = true)]
async fn a_service_skips_the_echo_of_what_it_published() {
    let mut kit = Kit::start(relay()).await;
    kit.publish("stock.item.changed", &changed(1, 9)).await;
    kit.settled().await;
    let published = kit.published_events("stock.item.changed");
    assert_eq!(published.len(), 1, "{published:?}");
    assert!(matches!(kit.ended(&published[0].id), Some(Ended::Skipped(_))));
    let report = kit.stop().await;
    assert_eq!(report.handled, 2, "{report}");
}

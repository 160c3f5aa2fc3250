//! What is counted of rows that are durable, and of writes.

use super::*;
use crate::engine::SkipReason;
use prometheus_client::registry::Registry;

/// The value of a series.
fn value(counts: &Counts, series: &str) -> f64 {
    let mut registry = Registry::default();
    counts.register(&mut registry);
    let text = ponos::metrics::expose(&registry, None).unwrap().text;
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{series} is not in\n{text}")).parse().unwrap()
}

const CONFIRMED: &str = "occurrences_total{outcome=\"confirmed\",reason=\"\"}";

#[tokio::test]
async fn each_row_is_counted_once_when_it_is_durable_however_often_its_write_fails() {
    let (memory, counts) = (Memory::default(), counts());
    let (store, ..) = open(opener(&memory), tuning(), counts.clone()).await.unwrap();
    assert_eq!((value(&counts, CONFIRMED), value(&counts, "details_lost_total")), (0.0, 0.0));
    let skipped = Outcome::Skipped(SkipReason::Missed);
    let mut some = rows([1, 2]);
    (some[1].count, some[1].outcome) = (5, skipped);
    store.save(1, commit(1, some)).unwrap();
    store.flush().await.unwrap();
    memory.plant(Fault::Refused);
    memory.plant(Fault::KeptUnanswered);
    store.append(rows([3, 4, 5]), t(5)).unwrap();
    store.flush().await.unwrap();
    assert_eq!((memory.planted(), value(&counts, CONFIRMED)), (0, 4.0));
    assert_eq!(value(&counts, "occurrences_total{outcome=\"skipped\",reason=\"missed\"}"), 5.0);
    assert_eq!(value(&counts, "store_errors_total"), 2.0);
    assert!(value(&counts, "store_flush_duration_seconds_count") >= 1.0);
    store.close().await.unwrap();
}

#[tokio::test]
async fn what_is_given_up_on_is_not_counted() {
    let (memory, counts) = (Memory::default(), counts());
    let hour = Duration::from_secs(3600);
    let slow = Tuning { pause: hour, longest_pause: hour, ..Tuning::default() };
    let (store, _, mut events) = open(opener(&memory), slow, counts.clone()).await.unwrap();
    memory.plant(Fault::Refused);
    store.save(1, commit(1, rows([1]))).unwrap();
    assert!(matches!(events.recv().await, Some(StoreEvent::Failing { .. })));
    memory.plant(Fault::Refused);
    assert!(store.close().await.is_err());
    assert_eq!((value(&counts, CONFIRMED), value(&counts, "store_errors_total")), (0.0, 2.0));
}

#[tokio::test]
async fn details_that_a_crash_took_are_counted_at_the_start() {
    let memory = Memory::default();
    let (store, ..) = started(&memory, tuning()).await;
    store.save(1, commit(1, rows([1]))).unwrap();
    // W passes what was confirmed, and its rows are not appended.
    store.save(2, commit(9, vec![])).unwrap();
    store.close().await.unwrap();
    for lost in [1.0, 0.0] {
        let counts = counts();
        let (store, snapshot, _) = open(opener(&memory), tuning(), counts.clone()).await.unwrap();
        assert_eq!((value(&counts, "details_lost_total"), snapshot.last_sequence), (lost, 2));
        store.close().await.unwrap();
    }
}

//! The stores of a clock, as the configuration says where they are.

use super::rules::millis;
use crate::{
    config::{Config, DelayedConfig, StorePath},
    delayed::{
        self, DelayedHandle, DelayedLimits, DelayedMemory, DelayedSnapshot, DelayedStoreEvent, DelayedTuning,
        RedbOptions,
    },
    engine::Snapshot,
    ops::StoppedClock,
    schedule::CalendarStore,
    store::{self, Limits, Memory, SledOptions, Store, StoreError, StoreHandle, Tuning},
    telemetry::Counts,
};
use tokio::sync::mpsc;

/// The folder of delayed events, within that of the store.
const DELAYED: &str = "delayed";

/// The store of a clock that does not run.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn open_stopped(config: &Config) -> Result<StoppedClock, StoreError> {
    let calendars = CalendarStore::default();
    let (store, snapshot, _) = open_store(config, calendars.clone(), counts(config)).await?;
    let clock = StoppedClock::new(config.clock.name.clone(), store, snapshot, calendars);
    Ok(match &config.store.path {
        StorePath::Folder(path) => clock.with_delayed(path.join(DELAYED)),
        StorePath::Memory => clock,
    })
}

pub(super) fn counts(config: &Config) -> Counts {
    Counts::new(&config.clock.name, &config.metrics)
}

pub(super) async fn open_store(
    config: &Config,
    calendars: CalendarStore,
    counts: Counts,
) -> Result<(StoreHandle, Snapshot, mpsc::UnboundedReceiver<store::StoreEvent>), StoreError> {
    let limits = Limits {
        rows: config.record.max_rows,
        age: millis(config.record.max_age),
        changes: config.changes.max_entries,
        changes_age: millis(config.changes.max_age),
    };
    let clock = config.clock.name.clone();
    match &config.store.path {
        StorePath::Folder(path) => {
            let options = SledOptions { cache: config.store.cache, limits, calendars };
            store::open_sled(path.clone(), clock, options, Tuning::default(), counts).await
        }
        StorePath::Memory => {
            let memory = Memory::default();
            let opener = move || memory.open(&clock, limits).map(|store| Box::new(store) as Box<dyn Store>);
            store::open(Box::new(opener), Tuning::default(), counts).await
        }
    }
}

pub(super) type OpenedDelayed = (DelayedHandle, DelayedSnapshot, mpsc::UnboundedReceiver<DelayedStoreEvent>);

/// Where delayed events are kept: in a folder within that of the store. One that can't be read does not keep schedules from running: it
/// is gone then, which the clock's status says.
///
/// # Errors
/// [`StoreError`] where it is somebody else's: of another clock, of a newer version, or open already.
pub(super) async fn open_delayed(config: &Config) -> Result<OpenedDelayed, StoreError> {
    or_without(open_kept(config).await)
}

fn or_without(opened: Result<OpenedDelayed, StoreError>) -> Result<OpenedDelayed, StoreError> {
    match opened {
        Err(
            error @ (StoreError::Locked { .. } | StoreError::OtherClock { .. } | StoreError::Newer { .. }),
        ) => Err(error),
        Err(error) => Ok(delayed::unopened(error)),
        opened => opened,
    }
}

async fn open_kept(config: &Config) -> Result<OpenedDelayed, StoreError> {
    let (clock, limits) = (config.clock.name.clone(), delayed_limits(config));
    match &config.store.path {
        StorePath::Folder(path) => {
            let path = path.join(DELAYED);
            let options = RedbOptions { limits, ..RedbOptions::default() };
            delayed::open_redb(path, clock, options, DelayedTuning::default()).await
        }
        StorePath::Memory => {
            delayed::open_memory(DelayedMemory::default(), clock, limits, DelayedTuning::default()).await
        }
    }
}

fn delayed_limits(config: &Config) -> DelayedLimits {
    let DelayedConfig { record, changes } = &config.delayed;
    DelayedLimits {
        rows: record.max_rows,
        age: millis(record.max_age),
        changes: changes.max_entries,
        changes_age: millis(changes.max_age),
        ..DelayedLimits::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_of_delayed_events_that_is_damaged_does_not_keep_the_clock_from_starting() {
        let damaged =
            StoreError::Damaged { path: "d".into(), what: "a page".into(), remedy: "restore it".into() };
        let (store, kept, mut events) = or_without(Err(damaged)).unwrap();
        assert_eq!(kept, DelayedSnapshot::default());
        let Some(DelayedStoreEvent::Gone { error }) = events.recv().await else { panic!("it is not gone") };
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        let read = store.read_by(|reader| reader.owner("billing")).await;
        assert!(matches!(read, Err(StoreError::Damaged { .. })), "whoever reads is told why: {read:?}");
        assert!(store.room_for(1, 1).is_err() && store.write(1, Default::default()).is_err());
        assert!(events.recv().await.is_none());
        store.close().await.unwrap();
    }

    #[tokio::test]
    async fn a_store_of_delayed_events_that_is_somebody_elses_does() {
        let locked = StoreError::Locked { path: "d".into() };
        assert!(matches!(or_without(Err(locked)), Err(StoreError::Locked { .. })));
    }
}

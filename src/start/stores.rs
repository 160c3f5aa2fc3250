//! The stores of a clock, as the configuration says where they are.

use super::{RunError, rules::millis};
use crate::{
    config::{ClusterSecret, Config, DelayedConfig, StorePath},
    copying::{DELAYED, HoldingOptions},
    delayed::{
        self, DelayedHandle, DelayedLimits, DelayedMemory, DelayedSnapshot, DelayedStore, DelayedStoreEvent,
        DelayedTuning, PostgresDelayed, RedbOptions,
    },
    engine::Snapshot,
    ops::StoppedClock,
    postgres::{Door, DoorOptions},
    schedule::CalendarStore,
    store::{
        self, Limits, Memory, PostgresOptions, PostgresStore, SledOptions, Store, StoreError, StoreHandle,
        TakeOver, Tuning,
    },
    telemetry::Counts,
};
use std::path::PathBuf;
use tokio::sync::mpsc;

/// The store of a clock that does not run.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn open_stopped(config: &Config) -> Result<StoppedClock, StoreError> {
    let calendars = CalendarStore::default();
    let place = Place::of(config)?;
    // What is held may be read.
    let opening = Opening { calendars: calendars.clone(), held: true, ..Opening::default() };
    let (store, snapshot, _) = open_store(config, &place, opening, counts(config)).await?;
    let clock = StoppedClock::new(config.clock.name.clone(), store, snapshot, calendars);
    Ok(match place {
        Place::Folder(path) => clock.with_delayed(path.join(DELAYED), store::held_delayed_id(&path)?),
        Place::Postgres(_) | Place::Memory => clock,
    })
}

/// Where both stores of a clock are.
pub(super) enum Place {
    Folder(PathBuf),
    Memory,
    /// By one door: what both write is one sequence.
    Postgres(Door),
}

impl Place {
    /// As the configuration says.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(super) fn of(config: &Config) -> Result<Self, StoreError> {
        Ok(match &config.store.path {
            StorePath::Folder(path) => Self::Folder(path.clone()),
            StorePath::Memory => Self::Memory,
            StorePath::Postgres(url) => {
                let schema = config.store.schema.clone();
                let usual = DoorOptions::default();
                let address = config.cluster_address();
                let seal = |(secret, address): (&ClusterSecret, &String)| {
                    secret.seal(&config.clock.name, &usual.holder, address).into()
                };
                let seal = config.cluster.secret.as_ref().zip(address.as_ref()).map(seal);
                let options = DoorOptions { schema, address: address.map(Into::into), seal, ..usual };
                let door = Door::new(url.secret(), &config.clock.name, options);
                Self::Postgres(door.map_err(|error| StoreError::Io {
                    path: "Postgres".into(),
                    what: error.to_string().into(),
                })?)
            }
        })
    }
}

/// Where the tables of several clocks are; none where a clock has a store of its own.
///
/// # Errors
/// [`StoreError::Io`].
pub(crate) fn cluster_door(config: &Config) -> Result<Option<Door>, StoreError> {
    Ok(match Place::of(config)? {
        Place::Postgres(door) => Some(door),
        Place::Folder(_) | Place::Memory => None,
    })
}

/// Says what is risky in how the stores are reached.
///
/// # Errors
/// [`RunError::Unproven`] with `--strict`.
pub(super) fn warn_of_risk(place: &Place, strict: bool) -> Result<(), RunError> {
    match place {
        Place::Postgres(door) => match door.risk() {
            Some(risk) if strict => Err(RunError::Unproven(risk)),
            Some(risk) => {
                tracing::warn!("{risk}");
                Ok(())
            }
            None => Ok(()),
        },
        Place::Folder(_) | Place::Memory => Ok(()),
    }
}

/// Rows in one write to Postgres.
const POSTGRES_BATCH: usize = 1_000;

pub(super) fn counts(config: &Config) -> Counts {
    Counts::new(&config.clock.name, &config.metrics)
}

/// What a store is opened with.
#[derive(Default)]
pub(super) struct Opening {
    pub(super) calendars: CalendarStore,
    /// What a follower has of it.
    pub(super) warm: Option<TakeOver>,
    /// It may be a copy that is held.
    pub(super) held: bool,
}

pub(super) async fn open_store(
    config: &Config,
    place: &Place,
    Opening { calendars, warm, held }: Opening,
    counts: Counts,
) -> Result<(StoreHandle, Snapshot, mpsc::UnboundedReceiver<store::StoreEvent>), StoreError> {
    let limits = limits(config);
    let clock = config.clock.name.clone();
    match place {
        Place::Folder(path) => {
            let options = SledOptions { cache: config.store.cache, limits, calendars, held };
            store::open_sled(path.clone(), clock, options, Tuning::default(), counts).await
        }
        Place::Postgres(door) => {
            let (door, options) = (door.clone(), PostgresOptions { limits, calendars, warm });
            let opener =
                move || PostgresStore::open(&door, &options).map(|store| Box::new(store) as Box<dyn Store>);
            let tuning = Tuning { batch: POSTGRES_BATCH, ..Tuning::default() };
            store::open(Box::new(opener), tuning, counts).await
        }
        Place::Memory => {
            let memory = Memory::default();
            let opener = move || memory.open(&clock, limits).map(|store| Box::new(store) as Box<dyn Store>);
            store::open(Box::new(opener), Tuning::default(), counts).await
        }
    }
}

pub(super) type OpenedDelayed = (DelayedHandle, DelayedSnapshot, mpsc::UnboundedReceiver<DelayedStoreEvent>);

/// Where delayed events are kept: in a folder within that of the store. One that can't be read does not keep schedules from running: it
/// is gone then, which the clock's status says. On Postgres that is so of a damaged one alone: all else may be over in a moment, and a
/// leader that went on without would send none for as long as it leads.
///
/// # Errors
/// [`StoreError`] where it is somebody else's: of another clock, of a newer version, or open already; on Postgres whatever may pass.
pub(super) async fn open_delayed(config: &Config, place: &Place) -> Result<OpenedDelayed, StoreError> {
    or_without(open_kept(config, place).await, place)
}

fn or_without(opened: Result<OpenedDelayed, StoreError>, place: &Place) -> Result<OpenedDelayed, StoreError> {
    let error = match opened {
        Err(error) => error,
        opened => return opened,
    };
    let goes_without = match &error {
        StoreError::Locked { .. }
        | StoreError::Led { .. }
        | StoreError::OtherClock { .. }
        | StoreError::Newer { .. }
        | StoreError::Unfinished { .. } => false,
        StoreError::Damaged { .. } => true,
        _ => !matches!(place, Place::Postgres(_)),
    };
    if goes_without { Ok(delayed::unopened(error)) } else { Err(error) }
}

async fn open_kept(config: &Config, place: &Place) -> Result<OpenedDelayed, StoreError> {
    let (clock, limits) = (config.clock.name.clone(), delayed_limits(config));
    match place {
        Place::Postgres(door) => {
            let door = door.clone();
            let opener = move || {
                PostgresDelayed::open(&door, limits).map(|store| Box::new(store) as Box<dyn DelayedStore>)
            };
            delayed::open(Box::new(opener), DelayedTuning::default()).await
        }
        Place::Folder(path) => {
            let path = path.join(DELAYED);
            let options = RedbOptions { limits, ..RedbOptions::default() };
            delayed::open_redb(path, clock, options, DelayedTuning::default()).await
        }
        Place::Memory => {
            delayed::open_memory(DelayedMemory::default(), clock, limits, DelayedTuning::default()).await
        }
    }
}

/// How the stores of a copy that is held are opened.
pub(crate) fn holding_options(config: &Config) -> HoldingOptions {
    let (cache, limits) = (config.store.cache, limits(config));
    HoldingOptions {
        progress: SledOptions { cache, limits, ..SledOptions::default() },
        delayed: RedbOptions { limits: delayed_limits(config), ..RedbOptions::default() },
    }
}

fn limits(config: &Config) -> Limits {
    Limits {
        rows: config.record.max_rows,
        age: millis(config.record.max_age),
        changes: config.changes.max_entries,
        changes_age: millis(config.changes.max_age),
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
pub(super) mod tests {
    use super::*;
    use crate::{config::Request, delayed::DelayedBatch, engine::Commit, postgres::fixture::Tables};
    use ponos::event::Timestamp;
    use testkit::Postgres;

    #[test]
    fn a_copy_that_is_held_has_the_limits_of_the_configuration() {
        let mut config = Config::load(&Request::default()).unwrap();
        (config.record.max_rows, config.delayed.record.max_rows) = (2_000_000, 3_000_000);
        (config.changes.max_entries, config.delayed.changes.max_entries) = (4_000_000, 5_000_000);
        let HoldingOptions { progress, delayed } = holding_options(&config);
        assert_eq!((progress.limits.rows, progress.limits.changes), (2_000_000, 4_000_000));
        assert_eq!((delayed.limits.rows, delayed.limits.changes), (3_000_000, 5_000_000));
        assert_eq!(progress.cache, config.store.cache);
    }

    pub(in super::super) fn configured(tables: &Tables) -> Config {
        let environment = [("KHRONOS_STORE_PATH", tables.url()), ("KHRONOS_STORE_SCHEMA", tables.schema())];
        let environment = environment.map(|(key, value)| (key.into(), value.into()));
        let file = tempfile::NamedTempFile::new().unwrap();
        let request = Request {
            file: Some(file.path().to_owned()),
            environment: environment.into(),
            flags: Vec::new(),
        };
        Config::load(&request).unwrap()
    }

    #[tokio::test]
    async fn both_stores_on_a_postgres_are_opened_by_one_door_and_there_again_after_a_restart() {
        let config = configured(&Tables::new());
        let mut ids = Vec::new();
        for begun in [None, Some(Timestamp::from_millis(7))] {
            let place = Place::of(&config).unwrap();
            let calendars = CalendarStore::default();
            let opened =
                open_store(&config, &place, Opening { calendars, ..Opening::default() }, counts(&config))
                    .await;
            let (store, snapshot, mut events) = opened.unwrap();
            assert_eq!(snapshot.settled, begun);
            let (delayed, kept, mut told) = open_delayed(&config, &place).await.unwrap();
            assert_eq!(kept.created, u64::from(begun.is_some()));
            store.save(1, Commit { settled: Timestamp::from_millis(7), ..Commit::default() }).unwrap();
            let batch = DelayedBatch { created: 1, lasts: true, ..DelayedBatch::default() };
            delayed.write(1, batch).unwrap();
            let saved = events.recv().await;
            assert!(matches!(saved, Some(store::StoreEvent::Saved { .. })), "{saved:?}");
            let written = told.recv().await;
            assert!(matches!(written, Some(DelayedStoreEvent::Written { .. })), "{written:?}");
            ids.push(store.id());
            delayed.close().await.unwrap();
            store.close().await.unwrap();
        }
        assert_eq!(ids[0], ids[1]);
    }

    #[tokio::test]
    async fn delayed_events_on_a_postgres_that_can_not_be_read_just_now_are_not_gone_and_opened_later() {
        let tables = Tables::new();
        let config = configured(&tables);
        let place = Place::of(&config).unwrap();
        let (store, ..) = open_store(&config, &place, Opening::default(), counts(&config)).await.unwrap();
        let sql = |statement: &str| {
            Postgres::shared().sql("stores", &statement.replace("{s}", tables.schema()));
        };
        sql("alter table {s}.delayed_state rename to elsewhere");
        let refused = open_delayed(&config, &place).await.map(drop);
        assert!(matches!(refused, Err(StoreError::Io { .. })), "{refused:?}");
        sql("alter table {s}.elsewhere rename to delayed_state");
        let (delayed, _, mut told) = open_delayed(&config, &place).await.unwrap();
        let batch = DelayedBatch { created: 1, lasts: true, ..DelayedBatch::default() };
        delayed.write(1, batch).unwrap();
        let written = told.recv().await;
        assert!(matches!(written, Some(DelayedStoreEvent::Written { .. })), "{written:?}");
        delayed.close().await.unwrap();
        store.close().await.unwrap();
    }

    #[tokio::test]
    async fn a_store_of_delayed_events_that_is_damaged_does_not_keep_the_clock_from_starting() {
        let damaged =
            StoreError::Damaged { path: "d".into(), what: "a page".into(), remedy: "restore it".into() };
        let (store, kept, mut events) = or_without(Err(damaged), &Place::Memory).unwrap();
        assert_eq!(kept, DelayedSnapshot::default());
        let Some(DelayedStoreEvent::Gone { error }) = events.recv().await else { panic!("it is not gone") };
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        let read = store.read_by(|reader| reader.owner("billing")).await;
        assert!(matches!(read, Err(StoreError::Damaged { .. })), "whoever reads is told why: {read:?}");
        assert!(store.room_for(1, 1).is_err() && store.write(1, Default::default()).is_err());
        assert!(events.recv().await.is_none());
        store.close().await.unwrap();
    }

    #[test]
    fn a_postgres_elsewhere_that_need_not_prove_itself_is_refused_by_the_strict() {
        let place = |url: &str| Place::Postgres(Door::new(url, "khronos", DoorOptions::default()).unwrap());
        let risky = place("postgres://ann:sesame@db.example/x");
        warn_of_risk(&risky, false).unwrap();
        let refused = warn_of_risk(&risky, true).unwrap_err();
        assert!(matches!(&refused, RunError::Unproven(risk) if risk.contains("db.example")), "{refused}");
        warn_of_risk(&place("postgres://db.example/x?sslmode=verify-full"), true).unwrap();
        warn_of_risk(&Place::Memory, true).unwrap();
    }

    #[tokio::test]
    async fn a_store_of_delayed_events_that_is_somebody_elses_does() {
        let locked = StoreError::Locked { path: "d".into() };
        assert!(matches!(or_without(Err(locked), &Place::Memory), Err(StoreError::Locked { .. })));
    }
}

//! One life of the loop: from what its stores held to its end, with all that is made of it.

use super::{
    RunError, Running, begin_with, declare_tasks,
    files::Files,
    rules::{delayed_rules, rules},
    stores::{OpenedDelayed, Opening, Place, open_delayed, open_store},
    topology, unless_stopped,
};
use crate::{
    clock_loop::{ClockLoop, DelayedParts, Failure, Late, Lead, NamedCalendars, Parts, Wanted},
    config::Config,
    engine::{Snapshot, Warm},
    ops::{
        Backups, RunningClock,
        watermark::{self, Way},
    },
    reading::{
        Beside, Declare, Ends, FilesReader, Stored, declare, declared, late, loader, read_at_start, remarks,
    },
    schedule::CalendarStore,
    sources::FileLines,
    store::{StoreError, StoreEvent, StoreHandle, WarmStore},
    telemetry::Counts,
};
use ponos::{
    broker::{Publisher, Transport},
    shutdown::Shutdown,
    topology::Topology,
};
use std::time::Duration;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

/// The stores of a life, and what they held.
pub(super) struct Stores {
    pub(super) store: StoreHandle,
    pub(super) snapshot: Snapshot,
    /// What was made of it ahead.
    warm: Option<Warm>,
    events: mpsc::UnboundedReceiver<StoreEvent>,
    delayed: OpenedDelayed,
    calendars: CalendarStore,
    counts: Counts,
}

/// The store of the progress, and what was read of it.
pub(super) struct Opened {
    store: StoreHandle,
    snapshot: Snapshot,
    warm: Option<Warm>,
    events: mpsc::UnboundedReceiver<StoreEvent>,
    calendars: CalendarStore,
}

impl Opened {
    async fn of(
        config: &Config,
        place: &Place,
        warm: Option<&WarmStore>,
        counts: Counts,
    ) -> Result<Self, StoreError> {
        let calendars = CalendarStore::default();
        let warm = warm.map(WarmStore::take_over);
        let opening = Opening { calendars: calendars.clone(), warm: warm.clone(), held: false };
        let (store, snapshot, events) = open_store(config, place, opening, counts).await?;
        let (warm, calendars) = match warm.and_then(|warm| warm.made()) {
            Some((made, calendars)) => (Some(made), calendars),
            None => (None, calendars),
        };
        Ok(Self { store, snapshot, warm, events, calendars })
    }

    fn with(self, delayed: OpenedDelayed, counts: Counts) -> Stores {
        let Self { store, snapshot, warm, events, calendars } = self;
        Stores { store, snapshot, warm, events, delayed, calendars, counts }
    }
}

impl Stores {
    /// Opens both; `None` if the clock is asked to stop before. Where delayed events on a Postgres can't be opened what was opened beside
    /// them is left in `half`, for the next attempt at the same place: nothing of it is read, or made, a second time.
    pub(super) async fn open(
        config: &Config,
        place: &Place,
        warm: Option<&WarmStore>,
        counts: Counts,
        shutdown: &Shutdown,
        half: &mut Option<Opened>,
    ) -> Result<Option<Self>, RunError> {
        let before = half.take();
        let opening = async {
            match before {
                Some(opened) => Ok(opened),
                None => Opened::of(config, place, warm, counts.clone()).await,
            }
        };
        let opening = async {
            match place {
                // Over a network neither waits for the other: nobody leads meanwhile.
                Place::Postgres(_) => {
                    let (opened, delayed) = tokio::join!(opening, open_delayed(config, place));
                    (opened, Some(delayed))
                }
                Place::Folder(_) | Place::Memory => (opening.await, None),
            }
        };
        // Nothing was begun; a store that hangs is left behind.
        let Some((opened, delayed)) = unless_stopped(shutdown, opening).await else { return Ok(None) };
        let opened = opened.map_err(RunError::Store)?;
        let delayed = match delayed {
            Some(opened) => Some(opened),
            None => unless_stopped(shutdown, open_delayed(config, place)).await,
        };
        match delayed {
            Some(Ok(delayed)) => Ok(Some(opened.with(delayed, counts))),
            Some(Err(error)) if matches!(place, Place::Postgres(_)) => {
                *half = Some(opened);
                Err(RunError::Store(error))
            }
            given_up => {
                drop(timeout(super::FAREWELL, opened.store.close()).await);
                given_up.map_or(Ok(None), |opened| opened.map(|_| None).map_err(RunError::Store))
            }
        }
    }

    /// The last accepted definitions.
    pub(super) fn stored(&self) -> Stored<'_> {
        Stored { snapshot: &self.snapshot, warm: self.warm.as_ref() }
    }
}

/// How the loop comes by its first schedules.
pub(super) enum First {
    /// From the files, as far as they are read in this time; `strict`: or not at all.
    Files { patience: Option<Duration>, strict: bool },
    /// The stored ones: who takes over from another clock applies no files, unless these are what a clock changed to last.
    Stored(Files),
}

/// What the rest of the process gives to a life.
pub(super) struct Around {
    /// Says that the files are to be read again.
    pub(super) reload: mpsc::Receiver<()>,
    /// What is to be on the broker.
    pub(super) topology: watch::Sender<Topology>,
    /// A connection that is open already.
    pub(super) publisher: Option<Publisher>,
    /// Where it leads for a time only.
    pub(super) lead: Option<Lead>,
    /// Where others have files, too.
    pub(super) files: Option<Files>,
    /// How long unanswered publishings are waited for at the end.
    pub(super) grace: Duration,
}

/// A life that can begin.
pub(super) struct Life {
    pub(super) clock_loop: ClockLoop,
    pub(super) clock: RunningClock,
    pub(super) running: Running,
    /// Told what is wrong with the door of commands.
    pub(super) warning: watch::Sender<Option<String>>,
    /// Told of another clock of the same name.
    pub(super) rival: watch::Sender<Option<String>>,
}

/// Reads the files for what else they tell, such as which calendars may be named: what runs are the stored schedules, unless others are
/// what a clock changed to last.
fn reading_beside(reader: FilesReader, files: Files, declare: Declare) -> Late {
    Box::pin(async move {
        let applied = match files.applied_in_the_end(reader).await {
            Ok(read) => declared(declare, read).await,
            Err(why) => Err(why),
        };
        Ok(match applied {
            Ok(read) => {
                files.note_applied();
                Wanted::Files(read)
            }
            Err(why) => Wanted::Kept(Some(why)),
        })
    })
}

/// Puts a life together; `None` if the clock is asked to stop before.
pub(super) async fn begin(
    config: &Config,
    transport: &Transport,
    stores: Stores,
    first: First,
    around: Around,
    (shutdown, answer): (&Shutdown, Duration),
) -> Result<Option<Life>, RunError> {
    let stored = stores.stored();
    let (had_folder, created) = (stored.had_folder(config), stored.created_demand());
    let Stores { store, snapshot, warm, events, delayed, calendars, counts } = stores;
    let stored = Stored { snapshot: &snapshot, warm: warm.as_ref() };
    let (delayed_store, delayed_kept, delayed_events) = delayed;
    let Around { reload, topology: topology_in, publisher, lead, files, grace } = around;
    let ends = Ends::default();
    let (read_in, read_calendars) = watch::channel(None);
    let known = NamedCalendars { all: None, created: snapshot.calendars.clone() };
    let (named_in, named) = watch::channel(known);
    let (lines_in, lines) = watch::channel(FileLines::default());
    let (demand_in, demand) = watch::channel(created);
    let beside = Beside { had_folder, demand, calendars: named.clone() };
    let reader = FilesReader::new(config, beside, &calendars, &ends, read_in, lines_in);
    let mut beside_stored = None;
    let (schedules, reading) = match first {
        First::Stored(files) => {
            let declare = declare(config, transport, topology_in.clone());
            beside_stored = Some(reading_beside(reader.clone(), files, declare));
            (Some(Ok(Wanted::Kept(None))), None)
        }
        First::Files { patience, strict } => {
            let reading = read_at_start(reader.clone().own(), patience);
            let Some(start) = unless_stopped(shutdown, reading).await else {
                // In vain where it hangs: all that it holds is durable.
                drop(timeout(super::FAREWELL, store.close()).await);
                return Ok(None);
            };
            begin_with(start, strict, stored)?
        }
    };
    let running = Running::of(config, &schedules, stored);
    topology_in.send_replace(topology(config, &schedules, stored));
    let publisher = publisher.unwrap_or_else(|| transport.publisher_following(topology_in.subscribe()));
    let kept = topology_in.clone();
    let loader = match files {
        Some(files) => {
            let read = files.clone().only_the_newest(reader);
            files.noting(loader(read, config, transport, kept))
        }
        None => loader(reader.own(), config, transport, kept),
    };
    let way = Way {
        submit: publisher.submitter(),
        exchange: config.broker.exchange.as_str().into(),
        term: lead.as_ref().map(|lead| lead.term),
    };
    let late = reading.map(|reading| late(reading, config, transport, topology_in)).or(beside_stored);
    let (rival_in, rival) = watch::channel(None);
    let parts = Parts {
        clock: config.clock.name.clone(),
        rules: rules(config),
        ceilings: config.ceilings(),
        store: store.clone(),
        snapshot,
        warm,
        store_events: events,
        publisher,
        exchange: config.broker.exchange.as_str().into(),
        schedules,
        late,
        loader,
        calendars: read_calendars,
        named: named_in,
        remarks: remarks(ends),
        created: demand_in,
        reload,
        rival,
        delayed: Some(DelayedParts {
            store: delayed_store.clone(),
            snapshot: delayed_kept,
            events: delayed_events,
            declare_tasks: declare_tasks(transport),
            rules: delayed_rules(config),
        }),
        lead,
        tracing: counts.tracing(),
        show_events: config.broker.url.is_embedded(),
        grace,
    };
    let (clock_loop, handle) = ClockLoop::new(parts);
    let backups = Backups::new(store.clone(), delayed_store.clone());
    let clock = RunningClock::new(handle, store.into(), calendars, counts, answer);
    let clock = clock.naming(named).written(lines).within(config.limits.clone());
    let (warning, door) = watch::channel(None);
    let clock = clock.with_door(door).with_delayed(delayed_store).with_backups(backups);
    // There the record keeps what was published.
    let clock = clock.feeding_delayed(config.broker.url.is_embedded());
    if let Some(every) = config.publish.watermark {
        tokio::spawn(watermark::run(clock.clone(), way, every, shutdown.clone()));
    }
    Ok(Some(Life { clock_loop, clock, running, warning, rival: rival_in }))
}

/// Whether a leadership that ended so begins again, if the lease is still its own.
pub(super) fn begins_again(error: &RunError) -> bool {
    matches!(
        error,
        RunError::Store(StoreError::Fenced { .. } | StoreError::Io { .. })
            | RunError::Loop(Failure::Store(StoreError::Fenced { .. } | StoreError::Io { .. }))
    )
}

#[cfg(test)]
mod tests {
    use super::{super::stores::tests::configured, *};
    use crate::{
        engine::Commit,
        postgres::fixture::{PATIENCE, Tables},
        start::counts,
        store::Warmth,
    };
    use ponos::{event::Timestamp, shutdown::shutdown};
    use testkit::Postgres;

    #[tokio::test]
    async fn what_was_made_ahead_is_there_still_once_delayed_events_can_be_opened() {
        let tables = Tables::new();
        let config = configured(&tables);
        let (_trigger, shutdown) = shutdown();
        let place = Place::of(&config).unwrap();
        let Place::Postgres(door) = &place else { panic!("it is on a Postgres") };
        let warm = WarmStore::new(door, counts(&config)).unwrap();
        let mut half = None;
        let open = async |half: &mut Option<Opened>, warm: Option<&WarmStore>| {
            Stores::open(&config, &place, warm, counts(&config), &shutdown, half).await
        };
        let mut stores = open(&mut half, None).await.unwrap().expect("nobody stops it");
        let commit = Commit { settled: Timestamp::from_millis(7), ..Commit::default() };
        stores.store.save(1, commit).unwrap();
        assert!(matches!(stores.events.recv().await, Some(StoreEvent::Saved { .. })));
        let Stores { store, delayed, .. } = stores;
        delayed.0.close().await.unwrap();
        store.close().await.unwrap();
        warm.follow();
        let mut warmth = warm.warmth();
        let is_warm = warmth.wait_for(|warmth| matches!(warmth, Warmth::Warm(_)));
        drop(timeout(PATIENCE, is_warm).await.expect("it is warm in time").unwrap());
        let sql = |statement: &str| {
            Postgres::shared().sql("stores", &statement.replace("{s}", tables.schema()));
        };
        sql("alter table {s}.delayed_state rename to elsewhere");
        for _ in 0..2 {
            let refused = open(&mut half, Some(&warm)).await.map(drop);
            assert!(matches!(refused, Err(RunError::Store(StoreError::Io { .. }))), "{refused:?}");
            assert!(half.as_ref().is_some_and(|half| half.warm.is_some()));
        }
        sql("alter table {s}.elsewhere rename to delayed_state");
        let stores = open(&mut half, Some(&warm)).await.unwrap().expect("nobody stops it");
        assert!(stores.warm.is_some() && half.is_none());
        assert_eq!(stores.snapshot.settled, Some(Timestamp::from_millis(7)));
    }

    #[test]
    fn a_leadership_whose_lease_stands_begins_again_but_for_what_stays() {
        let fenced = || StoreError::Fenced { term: 1, seen: 1 };
        let io = || StoreError::Io { path: "Postgres".into(), what: "no answer".into() };
        let stays = || StoreError::Newer { path: "Postgres".into(), form: 9, known: 8 };
        for (error, again) in [(fenced(), true), (io(), true), (stays(), false)] {
            assert_eq!(begins_again(&RunError::Store(error.clone())), again, "{error}");
            assert_eq!(begins_again(&RunError::Loop(Failure::Store(error.clone()))), again, "{error}");
        }
        assert!(!begins_again(&RunError::Loop(Failure::PublisherGone)));
    }
}

//! The whole clock in this process: engine, service, store on a disk or on Postgres, with the defaults of `config.toml`.

use super::EXCHANGE;
use khronos::{
    clock_loop::{ClockLoop, Failure, Handle, Late, Parts, Wanted},
    config::MetricsConfig,
    engine::{Ceilings, ClockRules, Resends, Rules},
    postgres::{Door, DoorOptions},
    schedule::{ADay, Definition, Demand, Packed},
    store::{self, Opener, PostgresOptions, PostgresStore, SledOptions, SledStore, Store, Tuning},
    telemetry::{Counts, Tracing},
};
use ponos::{
    broker::Publisher,
    event::Timestamp,
    shutdown::{Trigger, shutdown},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;

/// Where a clock's store is.
#[derive(Debug)]
pub enum Place {
    Folder(PathBuf),
    /// A database, by its URL.
    Postgres(String),
}

impl From<&Path> for Place {
    fn from(folder: &Path) -> Self {
        Self::Folder(folder.to_owned())
    }
}

impl Place {
    fn opener(self) -> (Opener, Tuning) {
        let usual = Tuning::default();
        match self {
            Self::Folder(folder) => {
                let options = SledOptions { cache: 8 << 20, ..SledOptions::default() };
                let open = move || SledStore::open(&folder, "khronos", &options);
                (Box::new(move || Ok(Box::new(open()?) as Box<dyn Store>)), usual)
            }
            Self::Postgres(url) => {
                let door = Door::new(&url, "khronos", DoorOptions::default()).unwrap();
                let open = move || PostgresStore::open(&door, &PostgresOptions::default());
                (Box::new(move || Ok(Box::new(open()?) as Box<dyn Store>)), Tuning { batch: 1_000, ..usual })
            }
        }
    }
}

/// A clock that runs.
pub struct Clock {
    pub handle: Handle,
    trigger: Trigger,
    running: tokio::task::JoinHandle<Result<(), Failure>>,
    _reload: mpsc::Sender<()>,
}

impl Clock {
    /// Starts it on the store at that place.
    pub async fn start(place: impl Into<Place>, schedules: Vec<Packed>, publisher: Publisher) -> Self {
        Self::start_with(place, Some(schedules), None, publisher).await
    }

    /// The same, with what was stored until `late` has the schedules.
    pub async fn start_with(
        place: impl Into<Place>,
        schedules: Option<Vec<Packed>>,
        late: Option<Late>,
        publisher: Publisher,
    ) -> Self {
        let counts = Counts::new("khronos", &MetricsConfig::default());
        let (opener, tuning) = place.into().opener();
        let (store, snapshot, store_events) = store::open(opener, tuning, counts).await.unwrap();
        let (_reload, reload) = mpsc::channel(1);
        let parts = Parts {
            delayed: None,
            clock: "khronos".to_owned(),
            rules: rules(),
            ceilings: Ceilings::default(),
            store,
            snapshot,
            store_events,
            publisher,
            exchange: EXCHANGE.into(),
            warm: None,
            schedules: schedules.map(|all| Ok(Wanted::Files(all))),
            late,
            loader: Arc::new(|| Err("a benchmark has no files".to_owned())),
            calendars: tokio::sync::watch::channel(None).1,
            named: tokio::sync::watch::channel(Default::default()).0,
            remarks: Arc::new(|_| Vec::new()),
            created: tokio::sync::watch::channel(Demand::default()).0,
            reload,
            rival: tokio::sync::watch::channel(None).1,
            lead: None,
            tracing: Tracing::default(),
            show_events: false,
            grace: Duration::from_secs(20),
        };
        let (clock_loop, handle) = ClockLoop::new(parts);
        let (trigger, shutdown) = shutdown();
        let running = tokio::spawn(async { clock_loop.run_apart(shutdown).await.map(drop) });
        Self { handle, trigger, running, _reload }
    }

    /// Ends it in order.
    pub async fn stop(self) {
        self.trigger.advance();
        self.running.await.unwrap().unwrap();
    }
}

/// As `config.toml` has them.
pub fn rules() -> Rules {
    Rules {
        clock: ClockRules {
            settle: 60_000,
            max_forward: 60_000,
            max_backward: 300_000,
            resume_backward: false,
        },
        resends: Resends { count: 5, over: 600_000 },
        in_flight: 10_000,
        piece: 1_000,
        parked: 1_000,
        record_first: false,
        keep_finished: 86_400_000,
        demand: Demand { schedules: 2_000_000, often: ADay::of_a_second(1_000_000) },
    }
}

/// A schedule that is due at `first` and then `every`.
pub fn schedule(number: usize, every: &str, first: Timestamp) -> Packed {
    let definition = Definition {
        name: format!("bench-{number:07}"),
        event: Some("bench.event.happened".to_owned()),
        every: Some(every.to_owned()),
        anchor: Some(first.to_string()),
        ..Definition::default()
    };
    Packed::build(&definition).unwrap()
}

/// A message as the clock makes it.
pub async fn sample() -> ponos::event::Message {
    use ponos::broker::{Link, PublishOutcome, Settlement};
    let folder = tempfile::tempdir().unwrap();
    let (ours, mut task) = Publisher::channel(1);
    task.link.send_replace(Link::Up { generation: 1, broker: "a sample".to_owned(), user: None });
    let soon = khronos::clock::now().plus(2_000);
    let clock = Clock::start(folder.path(), vec![schedule(0, "1h", soon)], ours).await;
    let one = task.submitted.recv().await.unwrap().remove(0);
    let outcome = PublishOutcome::Confirmed { returned: false };
    task.settled.send(vec![Settlement { token: one.token, outcome }]).await.unwrap();
    clock.stop().await;
    one.message
}

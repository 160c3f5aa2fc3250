//! Khronos, the clock service. `ARCHITECTURE.md` walks one value through the house; [`run`] is the only place where
//! things are wired together.

pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod diagnostic;
pub mod engine;
pub mod http;
pub mod schedule;
pub mod service;
pub mod sources;
pub mod store;
pub mod telemetry;
pub mod watch;

use broker::Broker;
use config::{Config, OnBackward, ScheduleSource, StorePath};
use diagnostic::Diagnostics;
use engine::{ClockRules, Resends, Rules};
use ponos::{broker::LinkError, shutdown::Shutdown};
use schedule::Packed;
use service::{Failure, Loader, Parts, Report, Service};
use std::{path::PathBuf, sync::Arc, time::Duration};
use store::{Limits, Memory, SledOptions, Store, StoreError, StoreHandle, Tuning};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

/// Why the clock did not start, or ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The schedule files are wrong, and `--strict` was given.
    #[error("the schedules are wrong and --strict was given")]
    Schedules(Diagnostics),
    /// The broker's URL or TLS files can't be used.
    #[error("{0}")]
    Broker(LinkError),
    /// The store can't be used.
    #[error("{0}")]
    Store(StoreError),
    /// HTTP can't be served.
    #[error("{0}")]
    Http(http::HttpError),
    /// The loop ended.
    #[error("{0}")]
    Service(Failure),
}

/// Runs the clock until the shutdown. `announce` is called once, when everything is ready to begin, with what people
/// should know.
///
/// # Errors
/// [`RunError`]; the clock wrote what it could before.
pub async fn run(
    config: Config,
    strict: bool,
    shutdown: Shutdown,
    announce: impl FnOnce(&Config, usize),
) -> Result<Report, RunError> {
    let broker = Broker::new(&config.broker, &config.clock.name).map_err(RunError::Broker)?;
    let listener = match config.http.enabled {
        true => Some(http::bind(config.http.listen).await.map_err(RunError::Http)?),
        false => None,
    };
    let (store, snapshot, store_events) = open_store(&config).await.map_err(RunError::Store)?;
    let control = match &config.store.path {
        StorePath::Folder(path) => Some(http::bind_control(path).map_err(RunError::Http)?),
        StorePath::Memory => None,
    };
    let mut read = sources::read_with(&config.schedules, &config.calendars);
    read.hold_to(&config.limits);
    for warning in read.diagnostics.list().iter().filter(|d| d.severity == diagnostic::Severity::Warning) {
        warn!("{warning}");
    }
    let schedules = match read.diagnostics.errors() {
        0 => Ok(accepted(read)),
        _ if strict => return Err(RunError::Schedules(read.diagnostics)),
        _ => {
            error!(
                "the schedule files are wrong; the last accepted schedules are used (khronos check shows more)\n{}",
                read.diagnostics
            );
            Err(read.diagnostics.to_string())
        }
    };
    let known = schedules.as_ref().map_or(&[][..], Vec::as_slice);
    let topology = broker::topology(&config.broker, broker.is_embedded(), known);
    let (reload_in, reload) = mpsc::channel(1);
    let _watcher = watch::folders(&watched(&config), reload_in);
    let count =
        schedules.as_ref().map_or(snapshot.revisions.iter().filter(|r| r.ended.is_none()).count(), Vec::len);
    let parts = Parts {
        clock: config.clock.name.clone(),
        rules: rules(&config, broker.is_embedded()),
        store: store.clone(),
        snapshot,
        store_events,
        publisher: broker.publisher(topology),
        exchange: config.broker.exchange.as_str().into(),
        schedules,
        loader: loader(&config, &broker),
        reload,
        show_events: broker.is_embedded(),
        grace: config.shutdown.grace,
    };
    let (service, handle) = Service::new(parts);
    announce(&config, count);
    let record = http::Record::new(move |after, most| {
        let store = store.clone();
        async move { store.read(after, most).await }
    });
    let site = http::Site::new(handle, record, config.http.hosts.clone(), http::Limits::default());
    let mut servers = tokio::task::JoinSet::new();
    if let Some(listener) = listener {
        servers.spawn(http::serve(listener, site.clone(), shutdown.clone()));
    }
    if let Some(control) = control {
        servers.spawn(http::serve_control(control, site, shutdown.clone()));
    }
    let ended = service.run(shutdown).await.map_err(RunError::Service);
    // The loop may end by itself; the servers have their own limits for saying goodbye.
    drop(tokio::time::timeout(FAREWELL, async { while servers.join_next().await.is_some() {} }).await);
    ended
}

/// How long answers under way may take at the end.
const FAREWELL: Duration = Duration::from_secs(2);

async fn open_store(
    config: &Config,
) -> Result<(StoreHandle, engine::Snapshot, mpsc::UnboundedReceiver<store::StoreEvent>), StoreError> {
    let limits = Limits { rows: config.record.max_rows, age: millis(config.record.max_age) };
    let clock = config.clock.name.clone();
    match &config.store.path {
        StorePath::Folder(path) => {
            let options = SledOptions { cache: config.store.cache, limits };
            store::open_sled(path.clone(), clock, options, Tuning::default()).await
        }
        StorePath::Memory => {
            let memory = Memory::default();
            let opener = move || memory.open(&clock, limits).map(|store| Box::new(store) as Box<dyn Store>);
            store::open(Box::new(opener), Tuning::default()).await
        }
    }
}

/// The folders whose changes are a reason to read again, first that of the schedules.
fn watched(config: &Config) -> Vec<PathBuf> {
    let schedules = match &config.schedules {
        ScheduleSource::Folder(folder) => Some(folder.clone()),
        ScheduleSource::Embedded => None,
    };
    let calendars = sources::calendar_folder(&config.calendars, &config.schedules);
    schedules.into_iter().chain(calendars.filter(|folder| folder.is_dir())).collect()
}

fn rules(config: &Config, embedded: bool) -> Rules {
    Rules {
        clock: ClockRules {
            settle: millis(config.clock.settle),
            max_forward: millis(config.clock.max_forward),
            max_backward: millis(config.clock.max_backward),
            resume_backward: config.clock.on_backward == OnBackward::Resume,
        },
        resends: Resends {
            count: u8::try_from(config.publish.resends).unwrap_or(u8::MAX),
            over: millis(config.publish.resend_over),
        },
        in_flight: config.publish.in_flight,
        piece: PIECE,
        record_first: embedded,
    }
}

/// Schedules that change in one write: sled is at its best with some hundred entries at a time.
const PIECE: usize = 1_000;

/// Reads the schedules again; with `fanout`, new events need their exchanges first.
fn loader(config: &Config, broker: &Broker) -> Loader {
    let (source, calendars) = (config.schedules.clone(), config.calendars.clone());
    let (settings, broker, limits) = (config.broker.clone(), broker.clone(), config.limits.clone());
    let runtime = tokio::runtime::Handle::current();
    Arc::new(move || {
        let mut read = sources::read_with(&source, &calendars);
        read.hold_to(&limits);
        if read.diagnostics.errors() > 0 {
            return Err(read.diagnostics.to_string());
        }
        let schedules = accepted(read);
        if let (true, Broker::Amqp(amqp)) = (settings.fanout, &broker) {
            let topology = broker::topology(&settings, false, &schedules);
            let declared = runtime.block_on(ponos::broker::amqp::check(amqp, &topology));
            declared
                .map_err(|error| format!("the exchanges of its events could not be declared: {error}"))?;
        }
        info!(schedules = schedules.len(), "read");
        Ok(schedules)
    })
}

fn accepted(read: sources::Schedules) -> Vec<Packed> {
    read.list.iter().map(|source| Packed::new(&source.definition, &source.schedule)).collect()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

//! The one place where things are wired together: from a configuration to a clock that runs.

mod cluster;
mod files;
mod held;
mod leading;
mod life;
mod place;
mod replication;
mod rules;
mod stores;
mod told;
mod traced;

pub(crate) use stores::{cluster_door, holding_options, open_stopped};

use crate::{
    authority::Owners,
    broker, clock,
    clock_loop::{DeclareTasks, Failure, Report, Wanted},
    commands,
    config::{BrokerUrl, Config, HttpConfig, ScheduleSource, StorePath},
    diagnostic::Diagnostics,
    http,
    ops::RunningClock,
    presence,
    reading::{Reading, Start, Stored},
    reports::Observing,
    sources,
    store::{StoreError, Tuning},
    telemetry::Counts,
    watch,
};
use life::{Around, First, Stores};
use ponos::{
    broker::Transport,
    shutdown::{Shutdown, Stage},
    topology::Topology,
    traces::CollectorError,
};
use std::{path::PathBuf, sync::Arc, time::Duration};
use stores::{Place, counts, warn_of_risk};
use tokio::{
    net::TcpListener,
    sync::{self, mpsc},
    task::JoinHandle,
    time::timeout,
};
use traced::Traced;
use tracing::{error, info};

/// Why the clock did not start, or ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The schedule files are wrong, and `--strict` was given.
    #[error("the schedules are wrong and --strict was given")]
    Schedules(Diagnostics),
    /// The store can't be used.
    #[error("{0}")]
    Store(StoreError),
    /// A failover of the store's Postgres may lose something, or that can't be told, and `--strict` was given.
    #[error("{0}; --strict was given")]
    Replication(String),
    /// The store's Postgres is elsewhere and need not prove who it is, and `--strict` was given.
    #[error("{0}; --strict was given")]
    Unproven(String),
    /// HTTP can't be served.
    #[error("{0}")]
    Http(http::HttpError),
    /// Commands can't be taken.
    #[error("{0}")]
    Commands(commands::StartError),
    /// Traces can't be sent as it is configured.
    #[error("[traces]: {0}")]
    Traces(CollectorError),
    /// The loop ended.
    #[error("{0}")]
    Loop(Failure),
}

/// The schedules that a clock starts with.
#[derive(Debug)]
pub struct Running {
    /// How many.
    pub schedules: usize,
    /// Where they are from, in words.
    pub source: String,
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
    announce: impl FnOnce(&Config, &Running),
) -> Result<Report, RunError> {
    let begun = clock::reading().boot;
    let tls = tls(&config)?;
    let listener = listen(&config).await?;

    let place = Place::of(&config).map_err(RunError::Store)?;
    warn_of_risk(&place, strict)?;
    let traced = Traced::begin(&config)?;
    let tracing = traced.of_clock.clone();
    let ended = match place {
        Place::Postgres(door) => {
            let process = cluster::Process { config: &config, tls, listener, door, strict, tracing };
            Box::pin(cluster::run(process, shutdown, announce)).await
        }
        place => {
            let counts = counts(&config).with_tracing(tracing);
            let alone =
                alone(&config, (&place, counts), (strict, begun), (tls, listener), shutdown, announce);
            Box::pin(alone).await
        }
    };
    traced.end().await;
    ended
}

/// Runs a clock that has its store for itself; it has begun at this instant of the boot-time clock.
async fn alone(
    config: &Config,
    (place, counts): (&Place, Counts),
    (strict, begun): (bool, i64),
    (tls, listener): (Option<http::Tls>, Option<TcpListener>),
    shutdown: Shutdown,
    announce: impl FnOnce(&Config, &Running),
) -> Result<Report, RunError> {
    let name = format!("khronos {}", config.clock.name);
    let transport = broker::transport(&config.broker, &name);
    let listener = match place {
        Place::Folder(folder) => {
            let accepted = held::until_accepted(config, folder, tls.clone(), listener, &shutdown);
            let Some(listener) = accepted.await? else { return Ok(Report::default()) };
            listener
        }
        _ => listener,
    };
    let Some(stores) = Stores::open(config, place, None, counts, &shutdown, &mut None).await? else {
        return Ok(Report::default());
    };
    let observing = Observing::begin(config, || true);
    let control = listen_for_operators(config)?;
    let store_id = stores.store.id();
    let patience = patience(begun, strict, stores.stored());
    let around = Around {
        // Before they are read: what changes meanwhile is read again.
        reload: watch_files(config),
        topology: sync::watch::channel(Topology::default()).0,
        publisher: None,
        lead: None,
        files: None,
        grace: config.shutdown.grace,
    };
    let limits = http::Limits::for_this_process();
    let first = First::Files { patience, strict };
    let beginning = life::begin(config, &transport, stores, first, around, (&shutdown, limits.answer));
    let Some(life) = Box::pin(beginning).await? else { return Ok(Report::default()) };
    announce(config, &life.running);
    let owners = config.owners();
    let clock = life.clock.observing(observing.as_ref().map(Observing::observed));
    let taking = take_commands(config, &owners, &clock, life.warning, &shutdown)?;
    let state = http_state(config, &owners, clock, limits, tls);
    let serving = http::start(listener, control, state, shutdown.clone()).map_err(RunError::Http)?;
    let term = Tuning::default().term;
    let present = show_presence(config, (store_id, term), life.rival, shutdown.clone());
    let ended = life.clock_loop.run_apart(shutdown).await.map_err(RunError::Loop);
    // The loop may end by itself; the servers have their own limits for saying goodbye.
    let farewell = async {
        serving.ended().await;
        if let Some(taking) = taking {
            taking.ended().await;
        }
        if let Some(present) = present {
            drop(present.await);
        }
    };
    drop(timeout(FAREWELL, farewell).await);
    if let Some(observing) = observing {
        observing.end().await;
    }
    ended
}

/// How the clock answers on HTTP, and to whom.
fn http_state(
    config: &Config,
    owners: &Owners,
    clock: RunningClock,
    limits: http::Limits,
    tls: Option<http::Tls>,
) -> http::HttpState {
    let HttpConfig { open, open_reads, behind_proxy, .. } = config.http;
    let rules = http::AccessRules { open, open_reads, behind_proxy };
    let access = http::Access::new(&config.http.tokens, owners, rules);
    let state = http::HttpState::new(clock, config.hosts(), limits);
    state.with_access(access).with_tls(tls).with_max_error(config.clock.max_error)
}

/// The outcome of a step of the start; `None` if the clock is asked to stop before.
async fn unless_stopped<T>(shutdown: &Shutdown, step: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = shutdown.reached(Stage::Draining) => None,
        outcome = step => Some(outcome),
    }
}

/// What HTTP is encrypted with.
fn tls(config: &Config) -> Result<Option<http::Tls>, RunError> {
    let files = config.http.tls.as_ref().filter(|_| config.http.enabled);
    let read = files.map(|files| http::Tls::read("[http.tls]", &files.cert_file, &files.key_file));
    read.transpose().map_err(|error| RunError::Http(http::HttpError::Tls(error)))
}

async fn listen(config: &Config) -> Result<Option<TcpListener>, RunError> {
    match config.http.enabled {
        true => http::bind(config.http.listen).await.map(Some).map_err(RunError::Http),
        false => Ok(None),
    }
}

fn listen_for_operators(config: &Config) -> Result<Option<http::ControlSocket>, RunError> {
    match &config.store.path {
        StorePath::Folder(path) => http::bind_control(path).map(Some).map_err(RunError::Http),
        // Who operates a clock whose state is elsewhere comes by HTTP.
        StorePath::Postgres(_) | StorePath::Memory => Ok(None),
    }
}

/// How long the start may wait for the files; `None`: until they are read, for nothing else is known or wanted.
fn patience(begun: i64, strict: bool, stored: Stored<'_>) -> Option<Duration> {
    let opening = Duration::from_millis(u64::try_from(clock::reading().boot - begun).unwrap_or_default());
    let patience = PATIENCE.saturating_sub(opening).max(LEAST_PATIENCE);
    (!strict && stored.iter().next().is_some()).then_some(patience)
}

/// The schedules read, or why the last accepted ones are used; `None` while they are still being read.
type FirstSchedules = Option<Result<Wanted, String>>;

fn begin_with(
    start: Start,
    strict: bool,
    stored: Stored<'_>,
) -> Result<(FirstSchedules, Option<Reading>), RunError> {
    match start {
        Start::Read(Ok(schedules)) => Ok((Some(Ok(Wanted::Files(schedules))), None)),
        Start::Read(Err(wrong)) if strict => Err(RunError::Schedules(wrong)),
        Start::Read(Err(wrong)) => {
            let instead = match stored.iter().next() {
                Some(_) => "the last accepted ones are used",
                None => "none were accepted before, so nothing is due",
            };
            error!("the schedules can't be read; {instead}\n{wrong}");
            Ok((Some(Err(wrong.to_string())), None))
        }
        Start::Late(reading) => {
            info!(
                "reading the schedule files takes a while; until then the last accepted schedules are in effect"
            );
            Ok((None, Some(reading)))
        }
    }
}

impl Running {
    fn of(config: &Config, first: &FirstSchedules, stored: Stored<'_>) -> Self {
        let stored = stored.count();
        let (schedules, source) = match first {
            Some(Ok(Wanted::Files(schedules))) => (schedules.len(), config.schedules.to_string()),
            Some(Ok(Wanted::Kept(_))) => (stored, "those of the clock that led before".to_owned()),
            Some(Err(_)) if stored == 0 => (0, "none were accepted before".to_owned()),
            Some(Err(_)) => (stored, "the last accepted ones".to_owned()),
            None => (stored, format!("the last accepted ones, until those {} are read", config.schedules)),
        };
        Self { schedules, source }
    }
}

/// What must be on the broker for the schedules that the clock begins with.
fn topology(config: &Config, first: &FirstSchedules, stored: Stored<'_>) -> Topology {
    match first {
        Some(Ok(Wanted::Files(schedules))) => broker::topology(&config.broker, schedules.iter()),
        _ => broker::topology(&config.broker, stored.iter()),
    }
}

/// Says when the files of the schedules, or of their calendars, have changed.
fn watch_files(config: &Config) -> mpsc::Receiver<()> {
    let (changed_in, changed) = mpsc::channel(1);
    tokio::spawn(watch::folders(watched(config), changed_in));
    changed
}

/// Declares the exchange of delayed tasks, when the first one is due.
fn declare_tasks(transport: &Transport) -> DeclareTasks {
    let transport = transport.clone();
    DeclareTasks(Arc::new(move || {
        let transport = transport.clone();
        Box::pin(async move { transport.check(&broker::tasks()).await.map_err(|error| error.to_string()) })
    }))
}

/// Shows the clock to others of its name on the broker, and looks out for them.
fn show_presence(
    config: &Config,
    (store_id, term): (u64, u64),
    rival: sync::watch::Sender<Option<String>>,
    shutdown: Shutdown,
) -> Option<JoinHandle<()>> {
    let BrokerUrl::Amqp(url) = &config.broker.url else { return None };
    let me = presence::Presence {
        name: config.clock.name.clone(),
        store: format!("{store_id:016x}"),
        term,
        leads: true,
        exchange: config.broker.exchange.clone(),
    };
    // Connections of its own, so that it can't hold anything up.
    let mut amqp = broker::amqp_config(&config.broker, url, &format!("khronos {}", config.clock.name));
    amqp.channels = 1;
    amqp.frame_max = presence::FRAME;
    Some(tokio::spawn(presence::run(Transport::amqp(amqp), me, rival, shutdown)))
}

/// Takes commands by message, if that is wanted.
fn take_commands(
    config: &Config,
    owners: &Owners,
    clock: &RunningClock,
    warning: sync::watch::Sender<Option<String>>,
    shutdown: &Shutdown,
) -> Result<Option<commands::Running>, RunError> {
    let BrokerUrl::Amqp(url) = &config.broker.url else { return Ok(None) };
    if !config.commands.enabled {
        return Ok(None);
    }
    // Connections of its own: a flood of commands holds up no event.
    let mut amqp =
        broker::amqp_config(&config.broker, url, &format!("khronos {} commands", config.clock.name));
    amqp.channels = 1;
    let door = commands::Door {
        config: config.commands.clone(),
        owners: owners.clone(),
        transport: Transport::amqp(amqp),
        clock: clock.clone(),
        warning,
    };
    commands::start(door, shutdown.clone()).map(Some).map_err(RunError::Commands)
}

/// How long answers under way may take at the end.
const FAREWELL: Duration = Duration::from_secs(2);

/// The folders whose changes are a reason to read again, first that of the schedules; of zone data, its top (where its
/// release stands).
fn watched(config: &Config) -> Vec<PathBuf> {
    let schedules = match &config.schedules {
        ScheduleSource::Folder(folder) | ScheduleSource::Unset(folder) => Some(folder.clone()),
        ScheduleSource::Embedded | ScheduleSource::None => None,
    };
    let calendars = sources::calendar_folder(&config.calendars, &config.schedules);
    schedules.into_iter().chain(calendars).chain(config.clock.time_zones.clone()).collect()
}

/// The clock starts without the files when opening the store and reading them takes longer than this, if it knows what
/// ran before.
const PATIENCE: Duration = Duration::from_secs(1);
/// A few files are read within this, however long the store took.
const LEAST_PATIENCE: Duration = Duration::from_millis(200);
